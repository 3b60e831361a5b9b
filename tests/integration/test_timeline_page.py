"""`vestige timeline` on rows that are known: what is printed, what it refuses, and its page as a browser
shows it."""

import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import time

from browser import ActionChains, Browser, Keys
from server_test import ServerTest
from vestige_test import VESTIGE, main, run, wait_for

SECOND = 1000000
HOUR = 3600 * SECOND
BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
NOON = "2026-03-05 12:00:00.000000"
NOON_US = 1772712000 * SECOND
HOSTILE = "<script>alert(1)</script>\"'&</script><!--\\xff\u202e\x1b[2J"
SHOWN = "<script>alert(1)</script>\"'&</script><!--\\xff\\u202e\\x1b[2J"


def moment(us):
    second, rest = divmod(us - NOON_US, SECOND)
    hours, rest_s = divmod(12 * 3600 + second, 3600)
    assert 0 <= hours < 24
    return f"2026-03-05 {hours:02}:{rest_s // 60:02}:{rest_s % 60:02}.{rest:06}"


class TimelineTest(ServerTest):
    hosts = ("web",)

    def setUp(self):
        self.n = 0
        for table in ("process", "coverage", "gap", "batch", "endpoint", "file_access", "device", "session"):
            self.root.run(f"DELETE FROM {table}")

    # Rows

    def insert(self, table, rows):
        """Rows that have the same columns."""
        names = ", ".join(f"`{name}`" for name in rows[0])
        marks = f"({', '.join(['%s'] * len(rows[0]))})"
        for first in range(0, len(rows), 500):
            part = rows[first:first + 500]
            self.root.run(f"INSERT INTO {table} ({names}) VALUES {', '.join([marks] * len(part))}",
                          *[value for row in part for value in row.values()])

    def row(self, begin, end, ended_by="exit", **values):
        """A row from `begin` to `end` seconds after noon."""
        self.n += 1
        begin_us = NOON_US + round(begin * SECOND)
        return {"host_id": 1, "id": begin_us + self.n, "day": "2026-03-05", "created_at": moment(begin_us),
                "destroyed_at": None if end is None else moment(NOON_US + round(end * SECOND)),
                "end_cause": None if end is None else ended_by, "seen_by": "audit", "batch": 1, **values}

    def process(self, begin, end, comm, user="alice", pid=None, parent=None, **values):
        uid = {"alice": 1000, "bob": 1001, "carol": 1002, None: None}[user]
        return self.row(begin, end, seen_by="audit,connector", boot_id=BOOT, pid=pid or 1000 + self.n, comm=comm,
                        login_uid=uid, login_username=user, uid=0 if uid is None else uid, username=user or "root",
                        parent_id=parent and parent["id"],
                        **{"exit_code": None if end is None else 0, "exe": "/usr/bin/" + comm, "argv0": comm, "arguments": "", "previous_id": None,
                           "session_id": None, "exit_signal": None, **values})

    def owned(self, process, begin, end, **values):
        """What belongs to a process."""
        return self.row(begin, end, "closed", process_id=process["id"], pid=process["pid"],
                        application=process["comm"], login_uid=process["login_uid"],
                        login_username=process["login_username"], uid=process["uid"],
                        username=process["username"], **values)

    def endpoint(self, process, begin, end, **values):
        return self.owned(process, begin, end, **{
            "protocol": "tcp", "direction": "out", "remote_address": "203.0.113.9", "remote_port": 6670,
            "remote_name": "irc.example.net", "local_address": "198.18.0.1", "local_port": 43210,
            "local_name": None, "status": "established", "bytes_sent": 12, "bytes_received": 0, **values})

    def file(self, process, begin, end, path, **values):
        return self.owned(process, begin, end, path=path, **{
            "new_path": None, "operations": "read", "size": 5, **values})

    def device(self, begin, end, **values):
        return self.row(begin, end, "removed", **{
            "subsystem": "usb", "devpath": "/devices/usb1/1-1", "devnode": "/dev/bus/usb/001/002",
            "vendor": "Example", "model": "Flash_Stick", "serial": "0123456789", "users_logged_in": "alice",
            **values})

    def session(self, begin, end, **values):
        return self.row(begin, end, "closed", **{
            "boot_id": BOOT, "session_id": 5, "login_uid": 1000, "username": "alice", "service": "sshd",
            "tty": "pts/7", "leader_pid": 999, "remote_address": "198.18.0.9", "remote_name": None, **values})

    def gap(self, begin, end, **values):
        return self.row(begin, end, "closed", boot_id=BOOT, source="connector", cause="overrun", unit="process",
                        count=12, **values)

    def watched(self, begin=-7200, end=7200):
        self.insert("coverage", [self.row(begin, end, "closed", boot_id=BOOT, source=source, mode="on")
                                 for source in ("connector", "fanotify")])

    def small(self):
        """One row of each kind, and what belongs to what."""
        shell = self.process(10, 100, "bash", pid=500, session_id=5)
        perl = self.process(20, 60.5, "perl", pid=501, parent=shell, exe="/usr/bin/perl", argv0="crond",
                            arguments="./x 203.0.113.9 0 0", exit_code=None, exit_signal=9)
        other = self.process(30, None, "sleep", user="bob", pid=502)
        self.insert("process", [shell, perl, other])
        self.insert("endpoint", [self.endpoint(perl, 21, 60)])
        self.insert("file_access", [self.file(perl, 22, 23, "/tmp/x", operations="read,write")])
        self.insert("device", [self.device(40, 50)])
        self.insert("session", [self.session(5, 110)])
        self.insert("gap", [self.gap(70, 80)])
        self.watched()
        return shell, perl, other

    def busy(self, n, seconds=3600, seed=7):
        """n rows of an hour on a busy host: shells of three users and of cron, and what they do."""
        chance = random.Random(seed)
        tables = {name: [] for name in ("process", "endpoint", "file_access", "device", "session", "gap")}
        users = ("alice", "bob", "carol", None)
        for number, user in enumerate(users[:3]):
            begin = 60 + 300 * number
            tables["session"].append(self.session(begin, seconds - 200 * number - 100, username=user,
                                                  login_uid=1000 + number, session_id=5 + number))
        for number in range(3):
            tables["device"].append(self.device(700 + 600 * number, 1000 + 900 * number,
                                                devpath=f"/devices/usb1/1-{number + 1}"))
        tables["gap"].append(self.gap(1500, 1530))
        shells = []
        while sum(map(len, tables.values())) < n:
            at, user = chance.uniform(30, seconds - 30), chance.choice(users)
            if not shells or chance.random() < 0.03:
                shells.append(self.process(at, min(seconds - 1, at + chance.uniform(60, 900)),
                                           "bash" if user else "cron", user=user))
                tables["process"].append(shells[-1])
                continue
            parent = chance.choice(shells)
            begin = (parent["id"] - NOON_US) / SECOND + chance.uniform(0, 50)
            length = chance.choice((0.002, 0.01, 0.2, 3, 20)) * chance.uniform(0.5, 2)
            comm = chance.choice(("ls", "cat", "curl", "ssh", "grep", "python3", "make", "cc1", "tar"))
            child = self.process(begin, begin + length, comm, user=parent["login_username"], parent=parent,
                                 arguments=f"--number {len(tables['process'])} /srv/data/{chance.randrange(100)}")
            tables["process"].append(child)
            for number in range(chance.choice((0, 1, 1, 2))):
                tables["file_access"].append(self.file(child, begin, begin + length * chance.random(),
                                                       f"/srv/data/{chance.randrange(500)}.txt",
                                                       operations=chance.choice(("read", "read,write", "write,create"))))
            if comm in ("curl", "ssh"):
                tables["endpoint"].append(self.endpoint(child, begin, begin + length,
                                                        remote_port=443 if comm == "curl" else 22))
        for table, rows in tables.items():
            self.insert(table, rows)
        self.watched(-7200, seconds - 300)
        return sum(map(len, tables.values()))

    # Questions

    def command(self, *words):
        return [VESTIGE, "timeline", "--no-defaults", f"--socket={self.server.socket}", "--user=root", *words]

    def ask(self, *words, status=0, since=0, until=200):
        window = ("--since", moment(NOON_US + since * SECOND) + "Z", "--until", moment(NOON_US + until * SECOND) + "Z")
        done = run(*self.command(*window, *words), check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refuse(self, *words):
        done = run(*self.command(*words), check=False)
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertRegex(done.stderr, r"\Avestige: timeline: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: timeline: error: ").rstrip("\n")

    def events(self, *words, **options):
        """(seconds after noon, event, kind, what) of each line."""
        done = self.ask("--format", "json", *words, **options)
        return [(row["time"][14:19] + row["time"][19:26].rstrip("0").rstrip("."), row["event"], row["kind"], row["what"])
                for row in json.loads(done.stdout)["rows"]]

    def kinds(self, *words, **options):
        return sorted({event[2] for event in self.events(*words, **options)})


class TestText(TimelineTest):
    def test_lines(self):
        self.small()
        lines = self.ask().stdout.splitlines()
        self.assertEqual("""\
time                       event kind     login_user user  pid what
2026-03-05 12:00:05.000000 begin session  alice      alice 999 alice by sshd from 198.18.0.9 on pts/7 session 5
2026-03-05 12:00:10.000000 begin process  alice      alice 500 bash
2026-03-05 12:00:20.000000 begin process  alice      alice 501 crond ./x 203.0.113.9 0 0
2026-03-05 12:00:21.000000 begin endpoint alice      alice 501 tcp to irc.example.net (203.0.113.9) port 6670 by perl
2026-03-05 12:00:22.000000 begin file     alice      alice 501 /tmp/x by perl
2026-03-05 12:00:23.000000 end   file     alice      alice 501 /tmp/x: read, write, 5 bytes
2026-03-05 12:00:30.000000 begin process  bob        bob   502 sleep
2026-03-05 12:00:40.000000 begin device   -          -         usb Example Flash_Stick 0123456789 /dev/bus/usb/001/002 logged in: alice
2026-03-05 12:00:50.000000 end   device   -          -         usb Flash_Stick /dev/bus/usb/001/002: removed
2026-03-05 12:01:00.000000 end   endpoint alice      alice 501 tcp irc.example.net port 6670: closed, sent 12, received 0
2026-03-05 12:01:00.500000 end   process  alice      alice 501 perl: signal 9
2026-03-05 12:01:10.000000 begin gap      -          -         connector overrun: 12 processes not seen
2026-03-05 12:01:20.000000 end   gap      -          -         connector overrun: seen again
2026-03-05 12:01:40.000000 end   process  alice      alice 500 bash: exit 0
2026-03-05 12:01:50.000000 end   session  alice      alice 999 alice by sshd session 5: closed
Host web: 7 rows, 15 events
Evidence from 2026-03-05 12:00:00.000000 to 2026-03-05 12:03:20.000000 is not complete: \
1 gap (12 processes not seen), 0 unwatched spans; all verified""".splitlines(), lines)

    def test_formats(self):
        shell, perl, _ = self.small()
        done = self.ask("--format", "csv", "--lanes", "endpoints")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual(["begin", "end"], [row["event"] for row in rows])
        self.assertEqual(["web"] * 2, [row["host"] for row in rows])
        self.assertRegex(done.stderr, r"\AHost web: 1 row, 2 events\nEvidence from [^\n]+\n\Z")
        done = self.ask("--format", "json", "--lanes", "processes", "--process", "501")
        first = json.loads(done.stdout)["rows"][0]
        self.assertEqual((501, 1, perl["id"]), (first["pid"], first["row_host_id"], first["row_id"]))
        self.assertIn("15:00:20.000000+03:00", self.ask("--time-zone", "Africa/Nairobi").stdout)

    def test_a_hostile_name_is_one_safe_line(self):
        self.insert("process", [self.process(1, 2, "x\n\x1b[2Jy", argv0="a\r\n\tb" + "c" * 70000)])
        lines = self.ask().stdout.splitlines()
        self.assertEqual(5, len(lines))
        self.assertIn(" a\\x0d\\x0a\\x09bccc", lines[1])
        self.assertTrue(lines[1].endswith("ccc [cut: 70005 bytes in all]"), lines[1][-80:])
        self.assertTrue(lines[2].endswith("x\\x0a\\x1b[2Jy: exit 0"), lines[2])

    def test_exec_ends_before_it_begins(self):
        first = self.process(1, 5, "sh", pid=7)
        first["end_cause"] = "exec"
        self.insert("process", [first, self.process(5, 6, "ls", pid=7, previous_id=first["id"])])
        self.assertEqual([("00:01", "begin", "process", "sh"), ("00:05", "end", "process", "sh: exec"),
                          ("00:05", "begin", "process", "ls"), ("00:06", "end", "process", "ls: exit 0")],
                         self.events("--lanes", "processes"))

    def test_a_moment_is_one_line(self):
        process = self.process(0, 9, "rm")
        self.insert("file_access", [self.file(process, 3, 3, "/tmp/gone", operations="delete", size=None)])
        self.assertEqual([("00:03", "moment", "file", "/tmp/gone: delete")], self.events("--lanes", "files"))

    def test_unwatched(self):
        self.watched(50, 60)
        self.insert("process", [self.process(1, 2, "x")])
        self.assertEqual([("00:50", "end", "unwatched", "connector, fanotify: end of: not watched"),
                          ("01:00", "begin", "unwatched", "connector, fanotify: not watched")],
                         self.events("--lanes", "unwatched"))

    def test_only_lines_of_the_window(self):
        self.small()
        self.assertEqual(["endpoint", "process"], self.kinds(since=55, until=65))
        self.assertEqual([("01:00", "end", "endpoint"), ("01:00.5", "end", "process")],
                         [event[:3] for event in self.events(since=55, until=65)])

    def test_nothing(self):
        done = self.ask(status=1)
        self.assertEqual(2, len(self.ask("--lanes", "sessions", status=1).stdout.splitlines()))
        self.assertIn("nothing was watched", done.stdout.splitlines()[-1])


class TestSelection(TimelineTest):
    def test_lanes(self):
        self.small()
        self.assertEqual(["device", "endpoint", "file", "gap", "process", "session"], self.kinds())
        self.assertEqual(["file", "session"], self.kinds("--lanes", "files,sessions"))
        self.assertEqual('--lanes: there is no lane "file"; did you mean "files"?; write some of sessions, processes, '
                         "endpoints, files, devices, gaps and unwatched, with commas between",
                         self.refuse("--lanes", "sessions,file"))

    def test_login_user(self):
        self.small()
        pids = {row[3] for row in self.events("--login-user", "bob")}
        self.assertEqual({"sleep", "connector overrun: 12 processes not seen", "connector overrun: seen again"}, pids)
        for word in ("alice", "1000"):
            self.assertEqual(["device", "endpoint", "file", "gap", "process", "session"],
                             self.kinds("--login-user", word))
        self.assertEqual(["gap"], self.kinds("--login-user", "unset"))
        self.assertEqual('there is no login user "alcie" in the evidence; did you mean "alice"?',
                         self.refuse("--login-user", "alcie"))

    def test_the_tree_of_a_process(self):
        shell, perl, other = self.small()
        image = self.process(60.5, 65, "cat", pid=501, previous_id=perl["id"])
        self.insert("process", [image, self.process(61, 62, "child", parent=image)])
        for words in (("--process", "501"), ("--process-row", str(perl["id"]))):
            events = self.events(*words, "--lanes", "sessions,processes,endpoints,files,devices")
            self.assertEqual({"crond ./x 203.0.113.9 0 0", "perl: signal 9", "cat", "child"},
                             {event[3] for event in events if event[2] == "process"} - {"cat: exit 0", "child: exit 0"})
            self.assertEqual({"process", "endpoint", "file"}, {event[2] for event in events})
        self.assertEqual(["endpoint", "file", "gap", "process", "session"], self.kinds("--process", "500"))
        self.assertEqual("there is no process row 17 on host web", self.refuse("--process-row", "17"))
        self.assertIn("one of them says which", self.refuse("--process-row", "17", "--process", "1"))

    def test_the_window_of_a_tree(self):
        _, perl, _ = self.small()
        done = run(*self.command("--process-row", str(perl["id"])))
        self.assertIn("; the window is the life of the process and its descendants\n", done.stdout)
        self.assertIn("Evidence from 2026-03-05 12:00:20.000000 to 2026-03-05 12:01:00.500000 ", done.stdout)

    def test_the_window_by_default(self):
        done = run(*self.command("--until", moment(NOON_US)), check=False)
        self.assertIn("; the window is one hour, by default\n", done.stdout)
        self.assertIn("Evidence from 2026-03-05 11:00:00.000000 to 2026-03-05 12:00:00.000000", done.stdout)

    def test_limit(self):
        self.insert("process", [self.process(n, n + 0.5, f"p{n}") for n in range(1, 11)])
        done = self.ask("--limit", "4")
        self.assertEqual(["p1", "p2", "p3", "p4"], [line.split()[-1] for line in done.stdout.splitlines()
                                                  if " begin " in line and " process " in line])
        self.assertIn("\nOnly the first 4 rows are shown: what began at 2026-03-05 12:00:05.000000 or later is left out; "
                      "ask for a shorter window, or more with --limit\n", done.stdout)

    def test_several_hosts(self):
        self.root.run("INSERT INTO enrolment (host_id, name, account) VALUES (2, 'mail', 'agent_2')")
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE host_id = 2")
        self.small()
        self.assertEqual("the evidence is of 2 hosts; say which with --on: mail, web", self.refuse())
        self.assertEqual(["device", "endpoint", "file", "gap", "process", "session"], self.kinds("--on", "web"))
        self.assertEqual(["unwatched"], self.kinds("--on", "2", status=1) or ["unwatched"])
        self.assertEqual('there is no host "wbe" in the evidence; did you mean "web"?', self.refuse("--on", "wbe"))

    def test_what_a_user_did_on_all_hosts(self):
        """In one order of time; the evidence is that of all of them; a page and a pid are of one."""
        self.root.run("INSERT INTO enrolment (host_id, name, account) VALUES (2, 'mail', 'agent_2')")
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE host_id = 2")
        self.insert("process", [self.process(10, 20, "ssh"), self.process(30, 40, "id"),
                                self.process(12, None, "sshd", host_id=2), self.process(31, 35, "su", host_id=2),
                                self.process(13, 14, "ls", user="bob", host_id=2)])
        lines = self.ask("--login-user", "1000", "--lanes", "processes").stdout.splitlines()
        self.assertEqual(["time host event kind login_user user pid what".split(),
                          *[["12:00:10.000000", "web", "begin", "ssh"], ["12:00:12.000000", "mail", "begin", "sshd"],
                            ["12:00:20.000000", "web", "end", "0"], ["12:00:30.000000", "web", "begin", "id"],
                            ["12:00:31.000000", "mail", "begin", "su"], ["12:00:35.000000", "mail", "end", "0"],
                            ["12:00:40.000000", "web", "end", "0"]]],
                         [lines[0].split(), *[[words[1], words[2], words[3], words[-1]] for words in
                                              (line.split() for line in lines[1:8])]])
        self.assertEqual("All 2 hosts: 4 rows, 7 events", lines[8])
        self.assertRegex(lines[9], r"\AEvidence from 2026-03-05 12:00:00\.000000 to ")
        rows = json.loads(self.ask("--login-user", "alice", "--format", "json", "--lanes", "processes").stdout)["rows"]
        self.assertEqual([("web", 1), ("mail", 2)], [(row["host"], row["row_host_id"]) for row in rows[:2]])
        done = self.ask("--login-user", "1000", "--lanes", "processes", "--limit", "3")
        self.assertIn("\nOnly the first 3 rows are shown: what began at 2026-03-05 12:00:31.000000 or later", done.stdout)
        for words in (("--html", "-"), ("--process", "7")):
            self.assertEqual("the evidence is of 2 hosts; say which with --on: mail, web",
                             self.refuse("--login-user", "1000", *words))
        self.assertIn("\nHost mail: 2 rows, ", self.ask("--login-user", "1000", "--on", "mail").stdout)

    def test_a_row_says_its_host(self):
        self.root.run("INSERT INTO enrolment (host_id, name, account) VALUES (2, 'mail', 'agent_2')")
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE host_id = 2")
        row = self.process(10, 20, "id", host_id=2)
        self.insert("process", [row])
        self.assertIn("\nHost mail: 1 row, 2 events", self.ask("--process-row", str(row["id"])).stdout)
        tree = run(VESTIGE, "tree", "--no-defaults", f"--socket={self.server.socket}", "--user=root", "--process-row",
                   str(row["id"]), check=False)
        self.assertEqual(0, tree.returncode, tree.stderr)
        self.assertIn("1 process; from 2026-03-05 12:00:10.000000", tree.stdout)
        self.assertEqual("there is no process row 17 on any host", self.refuse("--process-row", "17"))
        tree = run(VESTIGE, "tree", "--no-defaults", f"--socket={self.server.socket}", "--user=root", check=False)
        self.assertIn("the evidence is of 2 hosts; say which with --on: mail, web", tree.stderr)

    def test_a_closed_pipe(self):
        self.insert("process", [self.process(n / 100, n / 100, f"p{n}") for n in range(5000)])
        process = subprocess.Popen(self.command("--since", moment(NOON_US), "--until", moment(NOON_US + HOUR)),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(b"", process.stderr.read())
        process.stderr.close()
        process.wait(30)

    def test_options(self):
        self.assertIn("leave out --format", self.refuse("--html", "/tmp/x", "--format", "json"))
        self.assertIn("cannot write the page /nonexistent/x", self.refuse("--html", "/nonexistent/x"))
        self.assertIn("--since is after --until", self.refuse("--since", "2026-03-05", "--until", "2026-03-04"))


class TestPage(TimelineTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.page = os.path.join(self.server.directory, "page.html")
        self.browser.resize(1280, 860)
        self.browser.prefer("light")

    def make(self, *words, **options):
        return self.ask("--html", self.page, *words, **options)

    def open(self):
        seconds = self.browser.open(self.page)
        self.assertEqual([], self.browser.console())
        self.assertEqual("1", self.state("ready"))
        self.frame()  # another size of the window clears what was drawn first
        return seconds

    @staticmethod
    def least(seconds_of, most=2, tries=10):
        """Of some tries, until one is below the most."""
        times = []
        while len(times) < tries and min(times, default=most) >= most:
            times.append(seconds_of())
        return min(times)

    def state(self, name):
        return self.browser.run("return document.getElementById('timeline').dataset[arguments[0]]", name)

    def counts(self, name):
        return {lane: int(n) for lane, n in (pair.split(":") for pair in self.state(name).split())}

    def frame(self):
        """Until what was asked for is drawn."""
        self.browser.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))")

    def search(self, text):
        field = self.browser.find("#search")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.BACKSPACE, text)
        self.browser.wait("return document.getElementById('timeline').dataset.query === '%s'" % text.lower(),
                          f"searched for {text}")
        self.frame()

    def click_on(self, label):
        self.browser.find(f"button[aria-label='{label}']").click()
        self.frame()

    def place(self, seconds, lane="processes", track=0):
        """Where on the page that moment of a lane's track is, in whole pixels."""
        return tuple(self.browser.run("return document.getElementById('timeline').placeOf(...arguments)",
                                      NOON_US + seconds * SECOND, lane, track))

    def pixel(self, lane, seconds, track=0):
        x, y = self.place(seconds, lane, track)
        return tuple(self.browser.run("""
            const canvas = document.querySelector("#scroller canvas"), box = canvas.getBoundingClientRect();
            return [...canvas.getContext("2d").getImageData(arguments[0] - box.left, arguments[1] - box.top, 1, 1).data]
            """, x, y))

    def colour(self, user):
        """Of a user, as the legend shows it."""
        return tuple(self.browser.run("""
            const one = [...document.querySelectorAll(".legend button")].find((it) => it.textContent === arguments[0]);
            return [...one.querySelector("canvas").getContext("2d").getImageData(14, 14, 1, 1).data]""", user))

    def hover(self, x, y):
        actions = ActionChains(self.browser.driver)
        actions.w3c_actions.pointer_action.move_to_location(x, y)
        actions.perform()
        self.frame()
        return self.browser.find("#card").text

    def headings(self):
        return [one.text.split(" (")[0] for one in self.browser.find_all("#detail h3")]

    def follow(self, heading, key):
        """The first link below a heading of the detail."""
        self.browser.run("""
            const one = [...document.querySelectorAll("#detail h3")].find((it) => it.textContent.startsWith(arguments[0]));
            one.nextElementSibling.querySelector("a").click()""", heading)
        self.frame()
        self.assertTrue(self.state("selected").startswith(key), self.state("selected"))

    def view(self):
        """In seconds after noon."""
        return tuple((int(self.state(name)) - NOON_US) / SECOND for name in ("viewSince", "viewUntil"))

    def test_ten_thousand_rows(self):
        self.busy(10500)
        done = self.make("--limit", "20000", until=3600)
        n = int(re.search(r": (\d+) rows", done.stdout).group(1))
        self.assertGreaterEqual(n, 10000)
        # What is proved is that it can be so; a busy machine may need several times longer, now and then.
        seconds = self.least(self.open)
        print(f"{n} rows, {os.path.getsize(self.page) >> 10} KiB: {seconds:.2f} s", flush=True)
        self.assertLess(seconds, 2)
        counts = self.counts("lanes")
        self.assertEqual(n + 2, sum(counts.values()))  # a gap and an unwatched span
        self.assertEqual(6, len(counts))
        self.assertEqual({"sessions": 3, "devices": 3, "missed": 2},
                         {name: counts[name] for name in ("sessions", "devices", "missed")})

        def search():
            self.search("")
            begin = time.monotonic()
            self.search("--number 77 ")
            self.assertEqual("1", self.state("matches"))
            return time.monotonic() - begin
        self.assertLess(self.least(search), 2)

    def test_every_lane_is_drawn(self):
        self.small()
        self.make()
        self.open()
        expected = {"missed": 1, "sessions": 1, "processes": 3, "endpoints": 1, "files": 1, "devices": 1}
        self.assertEqual(expected, self.counts("lanes"))
        self.assertEqual(expected, self.counts("drawn"))
        self.assertEqual({**dict.fromkeys(expected, 1), "processes": 3}, self.counts("tracks"))
        self.assertEqual((0, 200), self.view())
        self.assertIn("1 gap (12 processes not seen)", self.browser.find("#completeness").text)
        # Each bar in its place, in its user's colour; the gap is shaded in the lane of processes alone.
        for lane, at, user in (("sessions", 5, "alice"), ("processes", 10, "alice"), ("endpoints", 21, "alice"),
                               ("files", 22, "alice")):
            self.assertEqual(self.colour(user), self.pixel(lane, at + 0.2), lane)
        self.assertNotEqual(self.pixel("processes", 130, 1), self.pixel("processes", 75, 1))
        self.assertEqual(self.pixel("files", 130), self.pixel("files", 75))

    def test_search(self):
        self.small()
        self.make()
        self.open()
        self.search("IRC.example")
        self.assertEqual("1", self.state("matches"))
        self.assertEqual("1 row", self.browser.find("#found").text)
        self.assertNotEqual(self.colour("alice"), self.pixel("sessions", 5.2))
        self.assertEqual(self.colour("alice"), self.pixel("endpoints", 21.2))
        self.search("no such thing")
        self.assertEqual("0", self.state("matches"))
        self.search("perl")
        self.browser.find("#search").send_keys(Keys.ENTER)
        self.browser.wait("return document.getElementById('timeline').dataset.selected", "a match is chosen")
        self.assertRegex(self.state("selected"), r"\Aprocesses/\d+\Z")
        self.search("")
        self.assertEqual("", self.state("matches"))

    def test_zoom(self):
        self.small()
        self.make()
        self.open()
        self.click_on("Zoom in")
        self.assertEqual((50, 150), self.view())
        self.click_on("Zoom out")
        self.click_on("Zoom out")
        self.assertEqual((0, 200), self.view())
        x, y = self.place(100)
        self.browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {
            "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -300})
        self.browser.wait("return document.getElementById('timeline').dataset.viewSince > %d" % NOON_US, "the wheel zooms")
        since, until = self.view()
        self.assertLess(until - since, 150)
        self.assertAlmostEqual(100, (since + until) / 2, delta=2)  # about the pointer
        self.click_on("Show the whole window")
        left, right = self.place(20), self.place(60)
        actions = ActionChains(self.browser.driver)
        pointer = actions.w3c_actions.pointer_action
        pointer.move_to_location(*left).pointer_down().move_to_location(*right).pointer_up()
        actions.perform()
        self.frame()
        since, until = self.view()
        self.assertAlmostEqual(20, since, delta=0.5)
        self.assertAlmostEqual(60, until, delta=0.5)
        self.browser.find("#scroller").send_keys("0")
        self.frame()
        self.assertEqual((0, 200), self.view())
        for _ in range(40):
            self.browser.find("#scroller").send_keys("+")
        self.frame()
        since, until = self.view()
        self.assertAlmostEqual(20e-6, until - since, places=9)

    def test_hover_and_choose(self):
        shell, perl, _ = self.small()
        child = self.process(25, 30, "sh", parent=perl)
        self.insert("process", [child])
        self.make()
        self.open()
        card = self.hover(*self.place(11, "processes"))
        self.assertIn("argv0\nbash\n", card + "\n")
        columns = self.browser.run("return [...document.querySelectorAll('#card dt')].map((one) => one.textContent)")
        unknown = self.browser.find("#card .unknown").text.removeprefix("NULL: ").split(", ")
        stored = [row[0] for row in self.root.run("SHOW COLUMNS FROM process")]
        self.assertEqual(sorted(stored), sorted(columns + unknown))
        actions = ActionChains(self.browser.driver)
        actions.w3c_actions.pointer_action.move_to_location(*self.place(11, "processes")).pointer_down().pointer_up()
        actions.perform()
        self.frame()
        self.assertEqual(f"processes/{shell['id']}", self.state("selected"))
        self.follow("Children", f"processes/{perl['id']}")
        self.assertEqual(["Parent", "Children", "Endpoints", "Files", "The whole row"], self.headings())
        self.follow("Children", f"processes/{child['id']}")
        self.follow("Parent", f"processes/{perl['id']}")
        self.follow("Endpoints", "endpoints/")
        self.follow("Process", f"processes/{perl['id']}")
        self.follow("Files", "files/")
        self.browser.find("#scroller").send_keys(Keys.ESCAPE)
        self.assertEqual("", self.state("selected"))
        self.browser.driver.get("about:blank")
        self.browser.driver.get(f"file://{self.page}#processes/{child['id']}")  # a link to one row
        self.assertEqual(f"processes/{child['id']}", self.state("selected"))

    def test_by_keyboard(self):
        self.small()
        self.make()
        self.open()
        chart = self.browser.find("#scroller")
        self.assertEqual(0, self.browser.run("return arguments[0].tabIndex", chart))
        chosen = []
        for key in "jjjk":
            chart.send_keys(key)
            self.frame()
            chosen.append(self.state("selected").split("/")[0])
        self.assertEqual(["sessions", "processes", "processes", "processes"], chosen)
        chart.send_keys(Keys.ARROW_RIGHT)
        chart.send_keys("+", Keys.ARROW_RIGHT)
        self.frame()
        self.assertEqual((65, 165), self.view())
        chart.send_keys(Keys.ESCAPE, "/")
        self.assertEqual("search", self.browser.run("return document.activeElement.id"))

    def test_what_lived_throughout(self):
        daemon = self.process(-100, None, "daemon")
        self.insert("process", [daemon, self.process(5, 6, "child", parent=daemon)])
        self.watched()
        self.make()
        self.open()
        self.assertEqual(1, self.counts("lanes")["processes"])
        self.browser.find("#scroller").send_keys("j")
        self.frame()
        self.follow("Parent", f"processes/{daemon['id']}")
        self.frame()
        self.assertEqual(2, self.counts("lanes")["processes"])

    def test_lanes_and_users(self):
        self.small()
        self.make("--lanes", "processes")
        self.open()
        self.assertEqual({"missed": 1, "processes": 3}, self.counts("lanes"))
        self.assertNotEqual(self.colour("bob"), self.colour("alice"))
        self.browser.run("[...document.querySelectorAll('.legend button')][1].click()")
        self.frame()
        self.assertNotEqual(self.colour("alice"), self.pixel("processes", 10.2))
        for box in self.browser.find_all(".check input"):
            box.click()
        self.frame()
        self.assertIn("All lanes are switched off", self.browser.find("#empty").text)

    def test_hostile_names(self):
        process = self.process(1, 100, HOSTILE, argv0=HOSTILE, arguments=HOSTILE, exe="/" + HOSTILE, cwd=HOSTILE)
        self.insert("process", [process])
        self.insert("endpoint", [self.endpoint(process, 2, 99, remote_name=HOSTILE, local_name=HOSTILE)])
        self.insert("file_access", [self.file(process, 3, 98, "/tmp/" + HOSTILE)])
        self.insert("device", [self.device(4, 97, model=HOSTILE, devpath=HOSTILE)])
        self.insert("session", [self.session(5, 96, username=HOSTILE, tty=HOSTILE)])
        self.insert("gap", [self.gap(6, 95, detail=HOSTILE)])
        self.watched()
        self.root.run("UPDATE enrolment SET name = %s", HOSTILE)
        self.addCleanup(self.root.run, "UPDATE enrolment SET name = 'web'")
        self.make()
        with open(self.page, encoding="utf-8") as stream:
            text = stream.read()
        self.assertEqual(2, text.count("<script"))
        self.assertEqual(2, text.count("</script>"))
        for forbidden in ("\u202e", "\x1b", "<!--"):
            self.assertNotIn(forbidden, text)
        self.browser.open(self.page)
        self.assertEqual([], self.browser.console())
        self.assertEqual(2, self.browser.run("return document.scripts.length"))
        self.assertEqual("Timeline of " + SHOWN, self.browser.driver.title)
        self.assertEqual("Timeline of " + SHOWN, self.browser.find("h1").text)
        seen = set()
        for _ in range(6):
            self.browser.find("#scroller").send_keys("j")
            self.frame()
            seen.add(self.state("selected").split("/")[0])
            self.assertIn(SHOWN, self.browser.find("#detail").text)
            self.assertEqual(2, self.browser.run("return document.scripts.length"))
        self.assertEqual({"processes", "endpoints", "files", "devices", "sessions", "gaps"}, seen)
        self.hover(*self.place(50, "processes"))
        self.assertIn(SHOWN, self.browser.find("#card").text)
        self.assertEqual([], self.browser.console())

    def test_the_policy(self):
        """What is not the page's own script does not run, and nothing is loaded."""
        self.small()
        self.make()
        self.open()
        self.browser.run("const one = document.createElement('script'); one.textContent = 'document.title = 1'; "
                         "document.body.append(one); const image = new Image(); image.src = 'http://198.18.0.1/x'; "
                         "document.body.append(image)")
        self.assertEqual("Timeline of web", self.browser.driver.title)
        messages = []
        wait_for(lambda: messages.extend(entry["message"] for entry in self.browser.console()) or len(messages) >= 2,
                 60, "both are told on the console")
        self.assertEqual(2, len(messages))
        for message in messages:
            self.assertIn("Content Security Policy", message)

    def test_print(self):
        self.busy(300)
        self.make(until=3600)
        self.open()
        path = os.path.join(self.server.directory, "page.pdf")
        self.browser.pdf(path)
        run("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.browser.profile}-print",
            f"--print-to-pdf={path}.2", "file://" + self.page)
        shutil.rmtree(self.browser.profile + "-print", ignore_errors=True)  # a part of it may still write there
        for name in (path, path + ".2"):
            text = run("pdftotext", "-layout", name, "-").stdout
            for word in ("Sessions", "Processes", "Endpoints", "Files", "Devices", "Not seen", "12:10", "is not complete",
                         "Login user", "bash", "alice by sshd from 198.18.0.9 on pts/7 session 5"):
                self.assertIn(word, text)
            self.assertIn(f"Rows ({sum(self.counts('lanes').values())})", text)
            self.assertNotIn("Whole window", text)

    def test_narrow_wide_dark(self):
        self.busy(300)
        self.make(until=3600)
        papers = {}
        for scheme in ("light", "dark"):
            for width, height in ((390, 844), (1280, 860), (2200, 1200)):
                self.browser.prefer(scheme)
                self.browser.resize(width, height)
                self.open()
                self.assertEqual(scheme, self.state("theme"))
                self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), width)
                papers[scheme] = self.pixel("sessions", 2)
        self.assertNotEqual(papers["light"], papers["dark"])

    def test_nothing(self):
        self.watched()
        self.make(status=1)
        self.open()
        self.assertIn("Nothing was recorded in this window", self.browser.find("#nothing").text)
        self.assertIn("is complete", self.browser.find("#completeness").text)

    def test_beside_a_scroll_bar(self):
        """The page gets one only when the chart is there."""
        self.make(status=1)
        self.browser.resize(390, 844)
        self.open()
        self.frame()
        self.assertEqual(self.browser.run("return document.getElementById('scroller').clientWidth"),
                         self.browser.find("#scroller canvas").size["width"])

    def test_on_standard_output(self):
        self.small()
        done = self.ask("--html", "-")
        self.assertTrue(done.stdout.startswith("<!DOCTYPE html>"))
        self.assertTrue(done.stdout.endswith("</html>\n"))
        self.assertRegex(done.stderr, r"\AHost web: 7 rows\nEvidence from [^\n]+\n\Z")

    def test_a_time_zone(self):
        self.small()
        self.make("--time-zone", "Africa/Nairobi")
        self.open()
        self.assertIn("2026-03-05 15:00:00.000000+03:00", self.browser.find(".window").text)
        self.browser.find("#scroller").send_keys("j")
        self.frame()
        self.assertIn("2026-03-05 15:00:05.000000", self.browser.find("#detail").text)


if __name__ == "__main__":
    main()
