"""`vestige export`: a case bundle that can be checked without Vestige, and events for other tools; on rows
that were made for it (hostile ones, many). What was really recorded is in test_export_recorded.py."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from server_test import ServerTest
from vestige_test import VESTIGE, main, memory_kib, run, wait_for

HOUR = 3600 * 1000000
BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
HOSTILE = "\x1b]0;x\x07 |<script>\n'\"%_\\ \u202e,\r\u00e9"
LINE_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


def unique(pairs):
    """A JSON object in which no name stands twice."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise AssertionError(f"twice in one object: {names}")
    return dict(pairs)


def json_lines(text):
    return [json.loads(line, object_pairs_hook=unique) for line in text.splitlines()]


def read_lines(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json_lines(file.read())


class Case:
    """A bundle, checked with nothing but what its README says."""

    def __init__(self, directory):
        self.directory = directory
        self.about = json.load(open(self.path("case.json"), encoding="utf-8"))
        lines = read_lines(directory, "lines.jsonl")
        self.columns = {(line["table"], line["verb"]): line["columns"] for line in lines}
        self.since = {(line["table"], line["verb"], name): format_
                      for line in lines for name, format_ in line["since"].items()}
        self.seals = {(seal["host_id"], seal["batch"]): seal for seal in read_lines(directory, "seals", "batch.jsonl")}

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def files(self):
        return sorted(os.path.relpath(os.path.join(place, name), self.directory)
                      for place, _, names in os.walk(self.directory) for name in names)

    def rows(self, table):
        return read_lines(self.directory, "rows", table + ".jsonl")

    def tables(self):
        return sorted(name[:-len(".jsonl")] for name in os.listdir(self.path("rows")))

    def check_sums(self):
        return subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"], cwd=self.directory,
                              capture_output=True, text=True, check=False, timeout=60)

    def is_signed(self, seal, key):
        """By the commands that the README gives, with their words filled in."""
        with open(self.path("README"), encoding="utf-8") as file:
            commands = re.findall(r"^ {9}((?:\(printf|printf|openssl) .*)$", file.read(), re.M)
        if len(commands) != 3:
            raise AssertionError(f"not the commands of the README: {commands}")
        values = {"HOST": key["host_id"], "NUMBER": key["number"], "HASH": seal["hash"],
                  "SIGNATURE": seal["signature"]}
        script = re.sub(r"\b(HOST|NUMBER|HASH|SIGNATURE)\b", lambda word: str(values[word[0]]), "\n".join(commands))
        with tempfile.TemporaryDirectory(prefix="vestige-export-") as place:
            os.symlink(self.path("keys"), os.path.join(place, "keys"))
            done = subprocess.run(["sh", "-c", script], cwd=place, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0 and "Signature Verified Successfully" in done.stdout:
            return True
        if "Signature Verification Failure" in done.stdout + done.stderr:
            return False
        raise AssertionError(done.stdout + done.stderr)

    def lines(self, table, row, together):
        """(verb, batch, text) of each line of a row; together: its end is in the insert line."""
        def text(verb, absent=()):
            values = ["\\N" if row[name] is None or name in absent else str(row[name]).translate(LINE_ESCAPES)
                      for name in self.columns[table, verb]
                      if self.since.get((table, verb, name), 1) <= self.format_of(row)]
            return "\t".join([verb, table, str(row["id"]), *values])
        settled, ended = self.columns.get((table, "settle"), []), self.columns.get((table, "end"), [])
        later = [] if row["settle_batch"] is None else settled
        yield "insert", row["batch"], text("insert", {*later, *([] if together else ended)})
        if later:
            yield "settle", row["settle_batch"], text("settle")
        if row["end_batch"] is not None and not together:
            yield "end", row["end_batch"], text("end")

    def format_of(self, row):
        return self.seals.get((row["host_id"], row["batch"]), {"format": 2})["format"]

    def missing(self, table, row, together):
        """The lines of a row that are in no seal."""
        for verb, batch, text in self.lines(table, row, together):
            entry = row["id"].to_bytes(8, "big") + hashlib.sha256(text.encode()).digest()[:16]
            seal = self.seals.get((row["host_id"], batch))
            if seal is None or entry.hex() not in seal["digests"]:
                yield verb, row["id"], text

    def unsealed(self, table):
        """Lines that are in no seal. What ended in the batch that it began in has one line or two."""
        found = []
        for row in self.rows(table):
            missing = list(self.missing(table, row, False))
            if missing and row["end_batch"] == row["batch"]:
                missing = list(self.missing(table, row, True))
            found += missing
        return found


class ExportTest(ServerTest):
    hosts = ("web", "mail")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tables = [name for name, in cls.root.run(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'vestige' AND"
            " column_name = 'seen_by' AND table_name IN (SELECT table_name FROM information_schema.tables WHERE"
            " table_schema = 'vestige' AND table_type = 'BASE TABLE') ORDER BY 1")]

    def setUp(self):
        for table in (*self.tables, "batch"):
            self.root.run(f"DELETE FROM {table}")
        self.noon = self.root.value(
            "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', DATE_FORMAT("
            "UTC_TIMESTAMP() - INTERVAL 1 DAY, '%Y-%m-%d 12:00:00'))")
        self.directory = tempfile.mkdtemp(prefix="vestige-export-")
        self.addCleanup(shutil.rmtree, self.directory)

    def moment(self, us, zone=""):
        if us is None:
            return None
        text = self.root.value("SELECT DATE_FORMAT(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL %s MICROSECOND,"
                               " '%%Y-%%m-%%d %%H:%%i:%%s.%%f')", us)
        return text.replace(" ", "T") + zone if zone else text

    def insert(self, table, begin=1, end=None, host=1, **values):
        """A row that began and ended so many microseconds after noon."""
        begin, end = self.noon + begin, None if end is None else self.noon + end
        row = {"host_id": host, "id": begin, "day": self.moment(begin)[:10], "created_at": self.moment(begin),
               "destroyed_at": self.moment(end), "end_cause": None if end is None else "exit", "seen_by": "agent",
               "batch": 1, "end_batch": None if end is None else 1, **values}
        if table in ("process", "coverage", "gap", "boot", "session"):
            row.setdefault("boot_id", BOOT)
        names = ", ".join(f"`{name}`" for name in row)
        self.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())
        return row["id"]

    def seal(self, number, host=1):
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                      " n_lines, recovered) VALUES (%s, %s, %s, %s, 1, %s, %s, %s, 1, 0)", host, number,
                      bytes([number]) * 32, bytes(32), BOOT, self.moment(self.noon), self.moment(self.noon))

    def export(self, *words, status=0):
        done = self.server.vestige("export", *words, check=False)
        self.assertEqual(status, done.returncode, done.stdout[-2000:] + done.stderr)
        return done

    def refuse(self, *words):
        done = self.export(*words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: export: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: export: error: ").rstrip("\n")

    def begin(self, *words, **options):
        return subprocess.Popen([VESTIGE, "export", *words, "--no-defaults", f"--socket={self.server.socket}",
                                 "--user=root"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, encoding="utf-8", **options)

    def case(self, *words, status=0):
        directory = os.path.join(self.directory, "case")
        done = self.export("--case", directory, *words, status=status)
        return Case(directory), done

    def one_of_each(self):
        """A row of each table, with hostile text in what is text."""
        who = {"uid": 1000, "username": "alice", "login_uid": 1000, "login_username": "alice", "application": HOSTILE,
               "pid": 7, "process_id": self.noon + 1}
        self.insert("process", 1, 5, pid=7, ppid=1, comm=HOSTILE, exe="/bin/x", argv0="x", arguments=HOSTILE, uid=1000,
                    username="alice", euid=0, effective_username="root", login_uid=1000, login_username="alice",
                    exit_code=3, start_ticks=2**64 - 1, exe_sha256="ab" * 32, argc=2, cwd="/", parent_id=5)
        self.insert("process_change", 2, 2, process_id=self.noon + 1, kind="uid", old_value="1000", new_value="0")
        self.insert("endpoint", 3, 4, protocol="tcp", direction="in", remote_address="192.0.2.1", remote_port=6670,
                    local_address="192.0.2.9", local_port=22, remote_name=HOSTILE, bytes_sent=7, bytes_received=5,
                    status="established", **who)
        self.insert("file_access", 3, 4, path="/tmp/" + HOSTILE, operations="read,write,create", mode=0o100644, size=9,
                    **who)
        self.insert("session", 3, 4, session_id=3, login_uid=1000, username="alice", service="sshd", tty=HOSTILE)
        self.insert("auth_attempt", 3, 3, username=HOSTILE, service="sshd", result="failure", remote_address="::1")
        self.insert("device", 3, 4, devpath="/devices/x", vendor=HOSTILE, users_logged_in="alice,bob", subsystem="usb")
        self.insert("kernel_event", 3, 3, kind="module_load", target=HOSTILE, result="success", **who)
        self.insert("account", 3, username="alice", uid=1000, gid=1000, home=HOSTILE, shell="/bin/sh")
        self.insert("account_group", 3, groupname=HOSTILE, gid=4)
        self.insert("group_member", 3, groupname="sudo", username="alice")
        self.insert("interface_address", 3, interface="eth0", address="192.0.2.9", prefix_length=24)
        self.insert("route", 3, destination="0.0.0.0", prefix_length=0, gateway="192.0.2.1", interface="eth0")
        self.insert("address_name", 3, address="192.0.2.1", name=HOSTILE, source="dns")
        self.insert("finding", 3, **{"class": "odd", "subject": HOSTILE})
        self.insert("host", 3, name="web", os_name="Debian", kernel="6.1")
        self.insert("boot", 3, 4, kernel="6.1", ended_clean=0)
        self.insert("coverage", 3, source="audit", mode="owner")
        self.insert("gap", 3, 4, source="connector", cause="overrun", unit="process", count=7)


class TestEcs(ExportTest):
    def test_one_of_each(self):
        self.one_of_each()
        done = self.export("--format", "ecs")
        documents = json_lines(done.stdout)
        self.assertEqual(self.tables, sorted(document["vestige"]["table"] for document in documents))
        for control in "\x1b\x07\r\u202e":
            self.assertNotIn(control, done.stdout)
        for document in documents:
            self.assertRegex(document["@timestamp"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
            self.assertEqual(("web", "1"), (document["host"]["name"], document["host"]["id"]))
            self.assertIn(document["event"]["kind"], ("event", "alert", "pipeline_error"))
        self.assertRegex(done.stderr, r"\AEvidence of all time [^\n]*\n\Z")

    def test_a_process(self):
        self.one_of_each()
        document = next(d for d in json_lines(self.export("--format", "ecs").stdout)
                        if d["vestige"]["table"] == "process")
        begin, end = self.moment(self.noon + 1, "Z"), self.moment(self.noon + 5, "Z")
        quoted = "x " + HOSTILE
        self.assertEqual({
            "@timestamp": begin,
            "ecs": {"version": "9.0.0"},
            "event": {"kind": "event", "category": ["process"], "type": ["start", "end"], "action": "process",
                      "module": "vestige", "dataset": "vestige.process", "id": f"1-process-{self.noon + 1}",
                      "start": begin, "end": end, "duration": 4000},
            "host": {"name": "web", "id": "1", "boot": {"id": BOOT}},
            "message": f"ran {quoted} (/bin/x, pid 7, parent 1, user root, login user alice)",
            "process": {"entity_id": f"1-{self.noon + 1}", "pid": 7, "name": HOSTILE, "executable": "/bin/x",
                        "hash": {"sha256": "ab" * 32}, "command_line": quoted, "args_count": 2,
                        "working_directory": "/", "start": begin, "end": end, "exit_code": 3,
                        "parent": {"pid": 1, "entity_id": "1-5"}},
            "user": {"id": "1000", "name": "alice", "effective": {"id": "0", "name": "root"},
                     "audit": {"id": "1000", "name": "alice"}},
            "vestige": {"table": "process", "id": self.noon + 1, "batch": 1, "end_batch": 1, "end_cause": "exit",
                        "seen_by": ["agent"]}}, document)

    def test_an_endpoint_and_a_file(self):
        self.one_of_each()
        documents = {d["vestige"]["table"]: d for d in json_lines(self.export("--format", "ecs").stdout)}
        endpoint, file = documents["endpoint"], documents["file_access"]
        self.assertEqual({"ip": "192.0.2.1", "port": 6670, "domain": HOSTILE, "bytes": 5}, endpoint["source"])
        self.assertEqual({"ip": "192.0.2.9", "port": 22, "bytes": 7}, endpoint["destination"])
        self.assertEqual({"transport": "tcp", "direction": "ingress", "bytes": 12}, endpoint["network"])
        self.assertEqual((["connection", "start", "end"], "success"),
                         (endpoint["event"]["type"], endpoint["event"]["outcome"]))
        self.assertEqual({"path": "/tmp/" + HOSTILE, "name": HOSTILE, "mode": "0644", "size": 9}, file["file"])
        self.assertEqual(["creation", "change", "access"], file["event"]["type"])
        self.assertEqual(["read", "write", "create"], file["vestige"]["operations"])
        self.assertEqual(["alice", "bob"], documents["device"]["related"]["user"])

    def test_64_kib(self):
        text = "a\\'\"%_" * 11000
        self.insert("process", 1, pid=1, arguments=text, argv0="x")
        document, = json_lines(self.export("--format", "ecs").stdout)
        self.assertEqual("x " + text, document["process"]["command_line"])

    def test_nothing(self):
        self.assertEqual("", self.export("--format", "ecs", status=1).stdout)


class TestTimelines(ExportTest):
    def test_timesketch(self):
        self.one_of_each()
        events = json_lines(self.export("--format", "timesketch").stdout)
        for event in events:
            self.assertLessEqual({"message", "datetime", "timestamp", "timestamp_desc"}, set(event))
            self.assertRegex(event["datetime"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00\Z")
        self.assertEqual(sorted([*(f"Start of {table}" for table in self.tables),
                                 *(f"End of {table}" for table in ("process", "endpoint", "session", "device", "boot"))]),
                         sorted(event["timestamp_desc"] for event in events))
        start, end = (e for e in events if e["data_type"] == "vestige:process")
        self.assertEqual((self.noon + 1, self.moment(self.noon + 1, "+00:00")), (start["timestamp"], start["datetime"]))
        self.assertEqual((self.noon + 5, f"{HOSTILE} (pid 7) ended: exit, status 3"),
                         (end["timestamp"], end["message"]))
        self.assertEqual("alice", start["user_audit_name"])

    def test_timesketch_csv(self):
        self.one_of_each()
        with self.begin("--format", "timesketch-csv") as export:
            export.stdout.reconfigure(newline="")
            rows = list(csv.DictReader(io.StringIO(export.stdout.read(), newline="")))
        events = json_lines(self.export("--format", "timesketch").stdout)
        self.assertEqual([(event["message"], event["datetime"], event["timestamp_desc"]) for event in events],
                         [(row["message"], row["datetime"], row["timestamp_desc"]) for row in rows])
        start = next(row for row in rows if row["data_type"] == "vestige:process")
        self.assertEqual(("7", HOSTILE, "alice", "web"), (start["process_pid"], start["process_name"],
                                                          start["user_audit_name"], start["host_name"]))

    def test_tln(self):
        self.one_of_each()
        header, *lines = self.export("--format", "tln").stdout.splitlines()
        self.assertEqual("Time|Source|Host|User|Description", header)
        self.assertEqual(len(self.tables) + 5, len(lines))
        for line in lines:
            second, source, host, _, _ = line.split("|")
            self.assertEqual((self.noon // 1000000, "web"), (int(second), host))
            self.assertIn(source.removeprefix("vestige:"), self.tables)
            self.assertNotIn("\x1b", line)
        self.assertIn("|root|ran x \\x1b]0;x\\x07 \\x7c<script>\\x0a'\"%_\\ \\u202e,\\x0d\u00e9 (/bin/x, pid 7",
                      next(line for line in lines if "|vestige:process|" in line))

    def test_an_event_is_in_the_window_itself(self):
        """Of a row that is alive in the window, those moments that are in it."""
        for pid, begin, end in ((1, -HOUR, None), (2, -HOUR, 10), (3, 10, HOUR), (4, 10, 20), (5, -HOUR, -5), (6, HOUR, None)):
            self.insert("process", begin + pid, end, pid=pid)
        window = ("--since", self.moment(self.noon, "Z"), "--until", self.moment(self.noon + 1000, "Z"))
        events = json_lines(self.export("--format", "timesketch", *window).stdout)
        self.assertEqual([(2, "End"), (3, "Start"), (4, "Start"), (4, "End")],
                         [(event["process_pid"], event["timestamp_desc"].split()[0]) for event in events])
        documents = json_lines(self.export("--format", "ecs", *window).stdout)
        self.assertEqual([1, 2, 3, 4], [document["process"]["pid"] for document in documents])

    def test_a_time_zone_is_for_reading(self):
        """14:30 in Kolkata is 09:00 in UTC; what is written is UTC."""
        at = self.moment(self.noon)[:10] + "T"
        self.insert("process", -3 * HOUR, -3 * HOUR + 5, pid=7)
        zone = ("--time-zone", "Asia/Kolkata")
        document, = json_lines(self.export("--format", "ecs", "--since", at + "14:29", "--until", at + "14:31", *zone).stdout)
        self.assertEqual(self.moment(self.noon - 3 * HOUR, "Z"), document["@timestamp"])
        self.export("--format", "ecs", "--since", at + "14:31", *zone, status=1)

    def test_hosts_and_users(self):
        self.one_of_each()
        self.insert("process", 50, host=2, pid=1, login_uid=1000, login_username="alice")
        self.insert("process", 51, pid=2, login_uid=1001, login_username="bob")
        self.insert("process", 52, pid=3)

        def pids(*words):
            return [d["process"]["pid"] for d in json_lines(self.export("--format", "ecs", *words).stdout)
                    if d["vestige"]["table"] == "process"]
        self.assertEqual([7, 2, 3], pids("--on", "web"))
        self.assertEqual([1], pids("--on", "2"))
        self.assertEqual([7, 1], pids("--login-user", "alice"))
        self.assertEqual([2], pids("--login-user", "1001"))
        self.assertEqual([3], pids("--login-user", "unset"))
        documents = json_lines(self.export("--format", "ecs", "--login-user", "1000", "--on", "web").stdout)
        self.assertEqual(["account", "device", "endpoint", "file_access", "group_member", "kernel_event", "process",
                          "process_change", "session"], sorted(d["vestige"]["table"] for d in documents))


class TestCase(ExportTest):
    def test_one_of_each(self):
        self.one_of_each()
        self.insert("process", 60, 70, host=2, pid=9, batch=4, settle_batch=5, end_batch=6)
        for number in (1, 2, 3):
            self.seal(number)
        for number in (1, 4, 5, 6, 7):
            self.seal(number, host=2)
        case, done = self.case()
        self.assertEqual("", case.check_sums().stderr)
        self.assertEqual(self.tables, case.tables())
        keys = self.root.value("SELECT COUNT(*) FROM host_key")
        self.assertEqual({"hosts.jsonl": 2, "seals/batch.jsonl": 4, "keys/host_key.jsonl": keys,
                          **{f"rows/{table}.jsonl": 2 if table == "process" else 1 for table in self.tables}},
                         case.about["rows"])
        self.assertEqual([(1, 1), (2, 4), (2, 5), (2, 6)], sorted(case.seals))
        self.assertEqual("01" * 32, case.seals[1, 1]["hash"])
        row = case.rows("process")[0]
        columns = self.root.run("SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige' AND"
                                " table_name = 'process' ORDER BY ordinal_position")
        self.assertEqual([name for name, in columns], list(row))
        self.assertEqual((HOSTILE, 2**64 - 1, None), (row["arguments"], row["start_ticks"], row["tty"]))
        with open(case.path("MANIFEST.sha256"), "rb") as file:
            manifest = file.read()
        self.assertIn(f": {hashlib.sha256(manifest).hexdigest()}\n", done.stderr)
        listed = [line.split("  ")[1] for line in manifest.decode().splitlines()]
        self.assertEqual(case.files(), sorted([*listed, "MANIFEST.sha256"]))
        self.assertIn("keys/host_key.jsonl", listed)

    def key(self):
        """The bytes of a new public key, and what signs with the private one."""
        place = tempfile.mkdtemp(dir=self.directory)
        private, message, signature = (os.path.join(place, name) for name in ("key", "message", "signature"))
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
        public = subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-outform", "DER"], capture_output=True,
                                check=True).stdout[-32:]

        def sign(text):
            with open(message, "wb") as file:
                file.write(text)
            run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", message, "-out", signature)
            with open(signature, "rb") as file:
                return file.read()
        return public, sign

    def test_signatures(self):
        """By the commands of the README, with openssl: of each host by its own key, and by no other."""
        self.root.run("DELETE FROM host_key")
        self.insert("process", 1, pid=1)
        self.insert("process", 2, host=2, pid=1)
        self.insert("process", 3, host=2, pid=1, batch=2)
        signed = {}
        for host, batch, number in ((1, 1, 1), (2, 1, 1), (2, 2, 2)):
            public, sign = self.key()
            self.seal(batch, host=host)
            hash = hashlib.sha256(f"{host} {batch}".encode()).digest()
            self.root.run("UPDATE batch SET hash = %s, signature = %s WHERE host_id = %s AND batch = %s",
                          hash, sign(b"vestige batch\n" + hash), host, batch)
            self.root.run("UPDATE host_key SET retired_at = UTC_TIMESTAMP(6) WHERE host_id = %s", host)
            self.root.run("INSERT INTO host_key (host_id, number, public_key, created_by) VALUES (%s, %s, %s, 'root')",
                          host, number, public)
            signed[host, batch] = number
        case, _ = self.case()
        self.assertEqual("", case.check_sums().stderr)
        self.assertEqual([(1, 1, False), (2, 1, True), (2, 2, False)],
                         [(key["host_id"], key["number"], key["retired_at"] is not None)
                          for key in read_lines(case.directory, "keys", "host_key.jsonl")])
        for (host, batch), number in signed.items():
            for key in read_lines(case.directory, "keys", "host_key.jsonl"):
                self.assertEqual((host, number) == (key["host_id"], key["number"]),
                                 case.is_signed(case.seals[host, batch], key), (host, batch, key))
        forged = {**case.seals[1, 1], "hash": "00" * 32}
        self.assertFalse(case.is_signed(forged, {"host_id": 1, "number": 1}))

    def test_keys_of_the_host_alone(self):
        self.root.run("DELETE FROM host_key")
        self.insert("process", 1, pid=1)
        for host in (1, 2):
            self.root.run("INSERT INTO host_key (host_id, number, public_key, created_by) VALUES (%s, 1, %s, 'root')",
                          host, bytes([host]) * 32)
        case, _ = self.case("--on", "web")
        self.assertEqual(["keys/1-1.pem", "keys/host_key.jsonl"], [f for f in case.files() if f.startswith("keys/")])

    def test_a_change_is_seen(self):
        self.one_of_each()
        case, _ = self.case()
        with open(case.path("rows", "process.jsonl"), "r+b") as file:
            text = file.read()
            file.seek(0)
            file.write(text.replace(b"alice", b"malic", 1))
        self.assertIn("1 computed checksum did NOT match", case.check_sums().stderr)

    def test_of_a_user(self):
        """What is nobody's is left out, what is needed to judge the rest is not."""
        self.one_of_each()
        self.insert("process", 51, pid=2, login_uid=1001, login_username="bob")
        case, _ = self.case("--login-user", "alice", "--on", "web", "--since", self.moment(self.noon, "Z"))
        self.assertEqual(["account", "auth_attempt", "boot", "coverage", "device", "endpoint", "file_access", "gap",
                          "group_member", "host", "kernel_event", "process", "process_change", "session"], case.tables())
        self.assertEqual([7], [row["pid"] for row in case.rows("process")])
        self.assertEqual([], case.rows("auth_attempt"))
        self.assertEqual(1, len(case.rows("process_change")))
        self.assertEqual(("web", "alice", self.moment(self.noon, "Z"), None),
                         tuple(case.about[name] for name in ("host", "login_user", "since", "until")))
        self.assertRegex(case.about["completeness"], r"\AEvidence since .* is not complete: 1 gap")

    def test_directories(self):
        self.one_of_each()
        os.mkdir(os.path.join(self.directory, "empty"), 0o700)
        self.export("--case", os.path.join(self.directory, "empty"))
        self.assertIn("is not empty", self.refuse("--case", os.path.join(self.directory, "empty")))
        self.assertIn("cannot be made: No such file", self.refuse("--case", os.path.join(self.directory, "no", "such")))
        for place, names, files in os.walk(os.path.join(self.directory, "empty")):
            for name in files:
                self.assertEqual(0o600, os.stat(os.path.join(place, name)).st_mode & 0o777)

    def test_no_rows(self):
        case, _ = self.case(status=1)
        self.assertEqual("", case.check_sums().stderr)


class TestBadDays(ExportTest):
    ROWS = 15000

    def many(self):
        """30 MiB of rows."""
        self.root.run("INSERT INTO process (host_id, id, day, created_at, seen_by, boot_id, pid, batch, argv0, arguments)"
                      " SELECT 1, %s + seq, %s, %s, 'agent', %s, seq, 1, 'x', REPEAT('y', 2000) FROM seq_1_to_15000",
                      self.noon, self.moment(self.noon)[:10], self.moment(self.noon), BOOT)

    def cut(self, export):
        """Take the server's side of the connection away, if it is not ended."""
        found = wait_for(lambda: self.root.run(
            "SELECT id FROM information_schema.processlist WHERE db = 'vestige' AND user = 'root'"
            " AND id <> CONNECTION_ID() ORDER BY id DESC") or export.poll() is not None, 60,
            "the export has a connection")
        if found is not True:
            self.root.error(f"KILL CONNECTION {found[0][0]}")

    def test_much_in_little_memory(self):
        self.many()
        with self.begin("--format", "ecs") as export:
            for _ in range(self.ROWS - 1000):
                self.assertTrue(export.stdout.readline())
            memory = memory_kib(export.pid, "VmHWM")
            self.assertEqual(1000, sum(1 for _ in export.stdout))
        self.assertEqual(0, export.returncode)
        self.assertLess(memory, 16 * 1024)

    def test_a_closed_pipe(self):
        self.many()
        for format_ in ("ecs", "timesketch", "timesketch-csv", "tln"):
            for ignore in (False, True):
                with self.subTest(format_, ignore=ignore), self.begin("--format", format_, preexec_fn=(
                        lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if ignore else None,
                        restore_signals=not ignore) as export:
                    export.stdout.readline()
                    export.stdout.close()
                    self.assertEqual("", export.stderr.read())
                    self.assertEqual(-signal.SIGPIPE, export.wait(60))

    def test_a_connection_that_is_lost(self):
        """What is written then is marked as not all."""
        self.many()
        for format_, mark in (("ecs", '"kind": "pipeline_error"'), ("timesketch", '"EXPORT NOT COMPLETE"'),
                              ("timesketch-csv", "EXPORT NOT COMPLETE: "), ("tln", "|||EXPORT NOT COMPLETE: ")):
            with self.subTest(format_), self.begin("--format", format_) as export:
                export.stdout.readline()
                self.cut(export)
                lines = export.stdout.read().splitlines()
                self.assertIn(mark, lines[-1])
                self.assertLess(len(lines), self.ROWS)
                self.assertRegex(export.stderr.read(), r"\Avestige: export: error: [^\n]*(lost|gone away|ended)[^\n]*\n\Z")
                self.assertEqual(2, export.wait(60))

    def test_a_case_that_is_cut_short(self):
        self.many()
        for attempt in range(20):  # it may be faster than we
            directory = os.path.join(self.directory, f"case{attempt}")
            rows = os.path.join(directory, "rows", "process.jsonl")
            with self.begin("--case", directory) as export:
                wait_for(lambda: os.path.exists(rows) and os.path.getsize(rows), 60, "rows are written", 0.001)
                self.cut(export)
                status = export.wait(60)
            if status:
                break
            self.assertFalse(os.path.exists(os.path.join(directory, "INCOMPLETE")))
        self.assertEqual(2, status)
        self.assertEqual((True, False), (os.path.exists(os.path.join(directory, "INCOMPLETE")),
                                         os.path.exists(os.path.join(directory, "MANIFEST.sha256"))))

    def test_a_full_disk(self):
        self.insert("process", 1, pid=1)
        with open("/dev/full", "w") as full:
            done = subprocess.run([VESTIGE, "export", "--format", "ecs", "--no-defaults",
                                   f"--socket={self.server.socket}", "--user=root"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("cannot be written: No space left", done.stderr)

    def test_words(self):
        self.assertIn("--case DIR, or --format", self.refuse())
        self.assertIn("one of the two", self.refuse("--case", "/tmp/x", "--format", "ecs"))
        self.assertIn("there is no such format; write ecs, timesketch,", self.refuse("--format", "\x1becs"))
        self.assertIn("--since is after --until", self.refuse("--format", "ecs", "--since", "now", "--until", "today"))
        self.assertIn('there is no host "wbe" in the evidence; did you mean "web"?',
                      self.refuse("--format", "ecs", "--on", "wbe"))
        self.assertIn("Mars", self.refuse("--format", "ecs", "--time-zone", "Mars"))
        self.assertIn("in the evidence", self.refuse("--format", "ecs", "--login-user", "'; DROP TABLE gap; --%_"))

    def test_an_account_without_the_privilege(self):
        self.root.run("CREATE OR REPLACE USER little@localhost IDENTIFIED BY 'a word'")
        self.root.run("GRANT SELECT ON vestige.enrolment TO little@localhost")
        file = os.path.join(self.directory, "little.cnf")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(f"[vestige]\nsocket={self.server.socket}\nuser=little\npassword='a word'\n")
        done = run(VESTIGE, "export", "--format", "ecs", f"--defaults-file={file}", check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("SELECT command denied", done.stderr)


if __name__ == "__main__":
    main()
