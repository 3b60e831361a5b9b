"""What retention keeps, computed a second time: sixty days of made evidence of three hosts, and the rows of
it that stay, by the rules in the words of server-schema/0031_retention.sql. It knows nothing of how the
server does it."""

import datetime
import hashlib
import random
import struct
import uuid

MICROSECOND = datetime.timedelta(microseconds=1)
EPOCH = datetime.datetime(1970, 1, 1)
HOSTS = (1, 2, 3)
USERS = {1000: "ann", 1001: "bob", 0: "root"}
USER_TABLES = ("process", "endpoint", "file_access", "kernel_event", "session", "auth_attempt")
REFERRING = ("endpoint", "file_access", "kernel_event", "process_change", "session", "auth_attempt")
TABLES = USER_TABLES + ("process_change", "address_name", "device", "account", "finding", "host", "boot", "coverage",
                        "gap")
SEEN = {"seen_by": "proc"}


def id_of(moment):
    return (moment - EPOCH) // MICROSECOND


def moment_of(number):
    return EPOCH + number * MICROSECOND


def midnight(day):
    return datetime.datetime.combine(day, datetime.time())


class Row(dict):
    """A row by its columns; `table` beside them."""

    def __init__(self, table, **columns):
        super().__init__(columns)
        self.table = table

    @property
    def key(self):
        return self["host_id"], self["id"]


class Evidence:
    """Makes rows day by day. `new` are those that arrive, `ended` those whose end arrives."""

    def __init__(self, first_day, seed):
        self.first_day = first_day
        self.chance = random.Random(seed)
        self.last_id = 0
        self.batches = {}   # (host, number): {"received_at", "lines"}
        self.last_batch = dict.fromkeys(HOSTS, 0)
        self.boots = {host: str(uuid.UUID(int=self.chance.getrandbits(128), version=4)) for host in HOSTS}
        self.session = 0
        self.daemons = {}
        self.open = []      # (day on which the end arrives, row, moment of the end)
        self.delayed = []   # (day on which it arrives, row)

    def new_id(self, moment):
        self.last_id = max(self.last_id + 1, id_of(moment))
        return self.last_id

    def line(self, row, verb, batch):
        self.batches[row["host_id"], batch]["lines"].append((row.table, verb, row["id"]))

    def day(self, number):
        """Returns the rows that arrive on that day, and the rows whose end does."""
        self.today = self.first_day + datetime.timedelta(number)
        self.now = midnight(self.today)
        self.batch = {}
        for host in HOSTS:
            self.last_batch[host] += 1
            self.batch[host] = self.last_batch[host]
            self.batches[host, self.last_batch[host]] = {
                "received_at": midnight(self.today) + datetime.timedelta(hours=23), "lines": []}
        self.new = []
        if number == 0:
            self.standing()
        for host in HOSTS:
            self.activity(host)
        arrived = [row for due, row in self.delayed if due <= self.today]
        self.delayed = [one for one in self.delayed if one[0] > self.today]
        for row in arrived:
            self.arrive(row)
        ended = []
        for due, row, moment in self.open:
            if due <= self.today and "batch" in row:
                row["destroyed_at"], row["end_cause"] = moment, "exit"
                row["end_batch"] = self.batch[row["host_id"]]
                self.line(row, "end", row["end_batch"])
                ended.append(row)
        done = {id(row) for row in ended}
        self.open = [one for one in self.open if id(one[1]) not in done]
        fresh = {id(row) for row in self.new}
        return self.new, [row for row in ended if id(row) not in fresh]

    def arrive(self, row):
        row["batch"] = self.batch[row["host_id"]]
        if row.get("destroyed_at"):
            row["end_batch"] = row["batch"]
        self.line(row, "insert", row["batch"])
        self.new.append(row)

    def add(self, table, host, life=0, late=0, **columns):
        """A row that lives for `life` days (None: for ever; below one it is complete when it arrives), and
        arrives `late` days after it was recorded."""
        self.now += datetime.timedelta(seconds=7)
        number = self.new_id(self.now)
        row = Row(table, host_id=host, id=number, day=self.today, created_at=moment_of(number), destroyed_at=None,
                  end_cause=None, settle_batch=None, end_batch=None, **SEEN, **columns)
        if life is not None:
            end = moment_of(number) + datetime.timedelta(days=life)
            if life < 1:
                row["destroyed_at"], row["end_cause"] = end, "closed"
            else:
                self.open.append((end.date() + datetime.timedelta(self.chance.choice((0, 0, 0, 6))), row, end))
        if late:
            self.delayed.append((self.today + datetime.timedelta(late), row))
        else:
            self.arrive(row)
        return row

    def process(self, host, life, user=0, login=None, parent=None, previous=None, session=None, **more):
        return self.add("process", host, life, pid=self.chance.randrange(1, 4000000), boot_id=self.boots[host],
                        uid=user, username=USERS[user], login_uid=login, login_username=USERS.get(login),
                        parent_id=parent and parent["id"], previous_id=previous and previous["id"],
                        session_id=session, **more)

    def actor(self, process, known=True):
        return {"process_id": process["id"], "uid": process["uid"], "username": process["username"],
                "login_uid": process["login_uid"] if known else None,
                "login_username": process["login_username"] if known else None}

    def standing(self):
        for host in HOSTS:
            self.add("boot", host, None if host == 1 else 20 + host, boot_id=self.boots[host])
            self.add("host", host, 15, name=f"h{host}")
            self.add("host", host, None, name=f"h{host}", kernel="new")
            init = self.process(host, None)
            shell = self.process(host, 3, parent=init)
            self.daemons[host] = [init, self.process(host, None, parent=shell), self.process(host, 25, parent=shell)]
            for user in USERS.values():
                self.add("account", host, self.chance.choice((None, 5, 20)), username=user)

    def activity(self, host):
        chance = self.chance
        self.add("coverage", host, 1, boot_id=self.boots[host], source="audit")
        if chance.random() < 0.3:
            self.add("gap", host, boot_id=self.boots[host], source="audit", cause="x", unit="row",
                     late=chance.choice((0, 0, 12)))
        for daemon in self.daemons[host]:
            if daemon["destroyed_at"] is None:
                self.add("endpoint", host, chance.choice((0, 0, 0.1, 2)), **self.actor(daemon))
                if chance.random() < 0.3:
                    self.add("process_change", host, process_id=daemon["id"], kind=chance.choice(("uid", "comm")))
        for _ in range(2):
            self.login(host)
        if chance.random() < 0.3:
            self.add("device", host, chance.choice((0.2, 4, None)), devpath="/devices/x",
                     late=chance.choice((0, 0, 15)))
        self.add("address_name", host, 0.5, address="198.18.0.1")
        if chance.random() < 0.2:
            self.add("finding", host, chance.choice((0, 9)), **{"class": "x", "subject": "s"})

    def login(self, host):
        chance = self.chance
        user = chance.choice((1000, 1000, 1001))
        life = chance.choice((0.2, 0.2, 0.2, 3, 14))
        self.session += 1
        sshd = self.process(host, life, login=user, parent=self.daemons[host][0], session=self.session)
        self.add("auth_attempt", host, username=USERS[user], process_id=sshd["id"], result="success")
        self.add("session", host, life, boot_id=self.boots[host], session_id=self.session, login_uid=user,
                 username=USERS[user], process_id=sshd["id"])
        shell = self.process(host, min(life, 0.1), user=user, login=user, parent=sshd, session=self.session)
        image = shell
        for _ in range(chance.randrange(3)):
            image = self.process(host, chance.choice((0, 0, 0.1, 8)), user=user, login=user, parent=shell,
                                 previous=image, session=self.session, late=chance.choice((0, 0, 0, 0, 13)))
            if "batch" not in image:
                break
            self.add("file_access", host, chance.choice((0, 0, 0, 5)), path="/x", late=chance.choice((0, 0, 0, 11)),
                     **self.actor(image, chance.random() < 0.7))
            if chance.random() < 0.3:
                self.add("process_change", host, process_id=image["id"], kind="uid")
            if chance.random() < 0.2:
                self.add("kernel_event", host, kind="mount", **self.actor(image))
            if chance.random() < 0.3:
                self.add("endpoint", host, chance.choice((0, 0, 30)), **self.actor(image, chance.random() < 0.7))

    def digests(self, key):
        """As recorder/journal.md has the list."""
        groups = {}
        for table, verb, number in self.batches[key]["lines"]:
            groups.setdefault((table.encode(), verb.encode()), []).append(number)
        text = b""
        for (table, verb), numbers in sorted(groups.items()):
            text += b"%s\t%s\t%d\n" % (table, verb, len(numbers))
            for number in sorted(numbers):
                text += struct.pack(">Q", number) + hashlib.sha256(table + verb + str(number).encode()).digest()[:16]
        return text


class Hold:
    def __init__(self, host_id=None, login_uid=None, username=None, since=None, until=None):
        self.host_id, self.login_uid, self.username = host_id, login_uid, username
        self.since, self.until = since, until
        self.of_user = login_uid is not None or username is not None

    def in_time(self, row):
        return ((self.host_id is None or row["host_id"] == self.host_id)
                and (self.until is None or row["created_at"] <= self.until)
                and (self.since is None or row["destroyed_at"] is None or row["destroyed_at"] >= self.since))

    def of_this_user(self, row):
        return (self.login_uid is not None and self.login_uid in (row.get("login_uid"), row.get("uid"))
                or self.username is not None and self.username in (row.get("login_username"), row.get("username")))

    def covers(self, row, processes):
        if not self.in_time(row):
            return False
        if not self.of_user:
            return True
        if row.table in USER_TABLES or row.table == "process_change":
            if row.table != "process_change" and self.of_this_user(row):
                return True
            actor = processes.get((row["host_id"], row.get("process_id")))
            return actor is not None and self.in_time(actor) and self.of_this_user(actor)
        return True


def survivors(rows, batches, today, days, holds):
    """{table: [rows that stay]} of all rows; `days` by table, "*" for the others, None: for ever."""
    horizon = {table: midnight(today - datetime.timedelta(days.get(table, days["*"])))
               for table in rows if days.get(table, days["*"]) is not None}
    processes = {row.key: row for row in rows["process"]}
    kept = {table: set() for table in rows}

    def expired(row):
        return row.table in horizon and row["day"] < horizon[row.table].date()

    def lived(row, process):
        """When the process was recorded."""
        return row["created_at"] <= moment_of(process["id"]) and (
            row["destroyed_at"] is None or moment_of(process["id"]) <= row["destroyed_at"])

    def own_reason(row):
        limit = horizon[row.table]
        arrivals = [batches[row["host_id"], row[which]]["received_at"]
                    for which in ("batch", "settle_batch", "end_batch") if row.get(which)]
        return (row["destroyed_at"] is None or row["destroyed_at"] >= limit
                or any(hold.covers(row, processes) for hold in holds) or any(a >= limit for a in arrivals))

    for table in rows:
        for row in rows[table]:
            if not expired(row) or own_reason(row):
                kept[table].add(row.key)
    for finding in rows["finding"]:
        if finding.key in kept["finding"]:
            for named in finding.get("names", ()):
                kept[named.table].add(named.key)

    waiting = [row for row in rows["process"] if row.key in kept["process"]]
    waiting += [processes[row["host_id"], row["process_id"]] for table in REFERRING for row in rows[table]
                if row.key in kept[table] and (row["host_id"], row.get("process_id")) in processes]
    while waiting:
        row = waiting.pop()
        is_old = expired(row)
        kept["process"].add(row.key)
        for column in ("parent_id", "previous_id"):
            other = processes.get((row["host_id"], row.get(column)))
            if other is not None and other.key not in kept["process"]:
                waiting.append(other)
        for session in rows["session"]:
            if ((session["host_id"], session["boot_id"], session["session_id"]) == (
                    row["host_id"], row["boot_id"], row["session_id"]) and session.key not in kept["session"]
                    and (is_old or lived(session, row))):
                kept["session"].add(session.key)
                leader = processes.get((session["host_id"], session["process_id"]))
                if leader is not None and leader.key not in kept["process"]:
                    waiting.append(leader)

    newest = {}
    for change in rows["process_change"]:
        if expired(change):
            which = change["host_id"], change["process_id"], change["kind"]
            newest[which] = max(newest.get(which, 0), change["id"])
    for (host, process, _), number in newest.items():
        if (host, process) in kept["process"]:
            kept["process_change"].add((host, number))
    leaders = {(s["host_id"], s["process_id"]) for s in rows["session"] if s.key in kept["session"]}
    kept["auth_attempt"] |= {a.key for a in rows["auth_attempt"] if (a["host_id"], a["process_id"]) in leaders}
    stay = [p for p in rows["process"] if p.key in kept["process"]]
    for boot in rows["boot"]:
        if any((p["host_id"], p["boot_id"]) == (boot["host_id"], boot["boot_id"])
               and (expired(p) or lived(boot, p)) for p in stay):
            kept["boot"].add(boot.key)
    for host in rows["host"]:
        if any(p["host_id"] == host["host_id"] and lived(host, p) for p in stay):
            kept["host"].add(host.key)
    return {table: [row for row in rows[table] if row.key in kept[table]] for table in rows}
