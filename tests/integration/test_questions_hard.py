"""Canned questions where it is easy to be wrong, on rows that are known: what lives, what began before the
window, pids used again, programs executed one from the other, users who are unknown or are others on the
next host, rows found the day after, the borders of the window, and a row that must not be there twice."""

import json
import os
import unittest

from private_server import VestigeServer
from vestige_test import main

BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sql")
WINDOW = ("--since", "2026-01-10", "--until", "2026-01-11")
BAIT = "100% \"so_called\" 'x'"


def setUpModule():
    HardTest.server = VestigeServer()
    unittest.addModuleCleanup(HardTest.server.close)
    for name in ("web1", "web2"):
        HardTest.server.enrol(name)
    HardTest.root = HardTest.server.root("vestige")
    unittest.addModuleCleanup(HardTest.root.close)


class HardTest(unittest.TestCase):
    maxDiff = None

    number = 0
    server = root = None  # for the whole module

    def setUp(self):
        for table in ("process", "process_change", "endpoint", "file_access", "session", "auth_attempt", "account",
                      "device", "address_name", "gap"):
            self.root.run(f"DELETE FROM {table}")

    @classmethod
    def insert(cls, table, begin, end=None, host=1, recorded=None, **values):
        """A row; times without a day are of the 10th. The id is of when it was recorded."""
        begin, end, recorded = (one and (one if "-" in one else "2026-01-10 " + one)
                                for one in (begin, end, recorded))
        HardTest.number += 1
        number = cls.root.value("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %s)",
                                recorded or begin) + cls.number
        if table in ("process", "gap"):
            values = {"boot_id": BOOT, **values}
        if table == "process":
            values = {"pid": 7, "argv0": values.get("exe", "x"), "arguments": "", "euid": values.get("uid"),
                      "comm": values.get("exe", "x").rpartition("/")[2], **values}
        if table == "endpoint":
            values = {"direction": "out", "protocol": "tcp", "status": "established", **values}
        values = {"host_id": host, "id": number, "day": (recorded or begin)[:10], "batch": 1, "created_at": begin,
                  "destroyed_at": end, "end_cause": "exit" if end else None, "seen_by": "agent", **values}
        if table == "auth_attempt":
            values.setdefault("result", "failure")
        names = ", ".join(f"`{name}`" for name in values)
        cls.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})",
                     *values.values())
        return number

    def ask(self, name, *words, window=WINDOW, status=None):
        done = self.server.vestige("report", name, *words, *window, "--format", "json", check=False)
        self.assertIn(done.returncode, (0, 1) if status is None else (status,), done.stdout + done.stderr)
        self.said = done.stderr
        return json.loads(done.stdout)["rows"] if done.returncode < 2 else None

    def column(self, column, name, *words, **options):
        return [row[column] for row in self.ask(name, *words, **options)]


class TestLives(HardTest):
    """What lives, and what began before."""

    def test_a_connection_of_long_ago_that_is_open(self):
        old = self.insert("process", "2026-01-01 00:00:00", exe="/usr/bin/perl", username="nobody", uid=65534)
        self.insert("endpoint", "2026-01-01 00:00:01", application="crond", process_id=old,
                    remote_address="192.0.2.66", remote_name="c2.example", remote_port=6670)
        self.insert("endpoint", "2026-01-02 00:00:01", "2026-01-09 23:59:59", application="over",
                    remote_address="192.0.2.66", remote_name="c2.example", remote_port=6670)
        for question in ("who-contacted", "processes-in-contact"):
            for remote in ("c2.example", "192.0.2.66", "::ffff:192.0.2.66"):
                self.assertEqual(["crond"] if remote[0] != ":" else [],
                                 self.column("application", question, f"remote={remote}"), question)
        self.assertEqual(["crond"], self.column("application", "connections-of-program", "perl"))

    def test_the_program_was_deleted_before(self):
        self.insert("process", "2026-01-01 00:00:00", exe="/tmp/x (deleted)")
        self.insert("process", "2026-01-01 00:00:00", "2026-01-02 00:00:00", exe="/tmp/y (deleted)")
        self.assertEqual([("/tmp/x (deleted)", "deleted before")],
                         [(row["program"], row["what"]) for row in self.ask("deleted-program")])

    def test_descendants_behind_one_that_ended(self):
        """A daemon's parent ended long ago; and the process was another program when it forked."""
        shell = self.insert("process", "2026-01-01 00:00:00", "2026-01-03 00:00:00", pid=70, exe="/bin/sh")
        self.insert("process", "2026-01-03 00:00:00", pid=70, exe="/bin/server", previous_id=shell)
        between = self.insert("process", "2026-01-02 00:00:00", "2026-01-02 00:00:01", pid=71, exe="/bin/fork",
                              parent_id=shell)
        self.insert("process", "2026-01-02 00:00:00", pid=72, exe="/bin/daemon", parent_id=between)
        self.assertEqual([(2, "/bin/daemon"), (0, "/bin/server")], [
            (row["generation"], row["program"]) for row in self.ask("descendants", "pid=70")])

    def test_text_in_a_command(self):
        for begin, end in (("2026-01-01 00:00:00", None), ("2026-01-01 00:00:00", "2026-01-02 00:00:00"),
                           ("10:00:00", "10:00:01")):
            self.insert("process", begin, end, exe="/usr/bin/perl", argv0="/usr/bin/perl",
                        arguments=f"./x 192.0.2.66 {BAIT}")
        self.insert("process", "11:00:00", exe="/bin/echo", argv0="echo", arguments="1000 \"so-called\"")
        for word in ("192.0.2.66", BAIT, "perl ./x", "%", "_"):
            self.assertEqual(["2026-01-01 00:00:00.000000", "2026-01-10 10:00:00.000000"],
                             self.column("created_at", "commands-with", f"word={word}"), word)
        self.assertEqual([], self.ask("commands-with", "word=192.0.2.66", "program=echo"))
        self.assertEqual(2, len(self.ask("commands-with", "192.0.2.66", "perl", "--login-user", "unset")))


class TestWindow(HardTest):
    def test_borders(self):
        for at in ("2026-01-09 23:59:59.999999", "2026-01-10 00:00:00", "2026-01-11 00:00:00",
                   "2026-01-11 00:00:00.000001"):
            self.insert("process", at, at, exe="/bin/true", username="nobody", uid=65534)
        self.assertEqual(["2026-01-10 00:00:00.000000", "2026-01-11 00:00:00.000000"],
                         self.column("created_at", "commands-of-account", "nobody"))
        self.assertEqual(["2026-01-11 00:00:00.000001"], self.column(
            "created_at", "commands-of-account", "nobody", window=(
                "--since", "2026-01-11T00:00:00.000001Z", "--until", "2026-01-12")))

    def test_found_the_day_after(self):
        """A row's day is that of its recording."""
        late = {"recorded": "2026-01-11 00:30:00", "login_uid": 1001, "login_username": "alice", "uid": 0,
                "username": "root"}
        process = self.insert("process", "23:59:50", exe="/usr/bin/curl", pid=9, **late)
        self.insert("endpoint", "23:59:51", process_id=process, pid=9, application="curl",
                    remote_address="192.0.2.9", remote_name="late.example", **late)
        self.insert("file_access", "23:59:52", "23:59:53", process_id=process, path="/srv/late",
                    operations="write", **late)
        for question, *words in (
                ("commands-of-user", "1001"), ("commands-of-account", "root"), ("who-contacted", "late.example"),
                ("everything-of-user", "1001"), ("files-of-user", "1001"), ("unusual-programs",),
                ("written-while-connected",), ("descendants", "9"), ("connections-of-program", "curl"),
                ("who-touched", "/srv/late"), ("first-seen-destinations",), ("contacts-of-program", "curl")):
            self.assertEqual(1, len(self.ask(question, *words)) // (3 if question[:3] == "eve" else 1), question)

    def test_sessions_of_before_the_first_record(self):
        """wtmp tells of them, when the recorder first reads it."""
        for recorded in ("12:00:00", "2026-01-20 00:00:00"):
            self.insert("session", "11:00:00", "11:30:00", recorded=recorded, username="alice", login_uid=1001,
                        remote_address="192.0.2.1", service="sshd")
        self.insert("device", "11:10:00", devpath="/d", serial="77")
        self.assertEqual(2, len(self.ask("sessions")))
        self.assertEqual(2, len(self.ask("sessions-at", "at=2026-01-10 11:10", window=())))
        self.assertEqual(1, len(self.ask("devices-while-user", "1001")))

    def test_gaps_over_a_border(self):
        for begin, end in (("2026-01-08 00:00:00", "00:00:01"), ("2026-01-08 00:00:00", None),
                           ("23:00:00", "2026-01-12 00:00:00"), ("2026-01-08 00:00:00", "2026-01-09 00:00:00")):
            self.insert("gap", begin, end, source="audit", cause="overrun", unit="record", count=1)
        self.assertEqual(3, len(self.ask("gaps")))
        self.assertEqual(1, len(self.ask("gaps", window=("--since", "2026-01-12 01:00", "--until", "2026-01-13"))))

    def test_the_limit(self):
        for second in range(3):
            self.insert("process", f"10:00:0{second}", exe="/bin/true", username="nobody")
        self.assertEqual(2, len(self.ask("commands-of-account", "nobody", "--limit", "2")))
        self.assertIn("--limit", self.said)
        self.assertEqual(3, len(self.ask("commands-of-account", "nobody", "--limit", "3")))
        self.assertNotIn("--limit", self.said)


class TestUsers(HardTest):
    def people(self):
        for host, name, uid in ((1, "alice", 1001), (2, "alice", 1005), (2, "bob", 1001)):
            self.insert("account", "00:00:01", host=host, username=name, uid=uid)
            self.insert("process", "10:00:00", host=host, exe=f"/bin/{name}{host}", login_uid=uid,
                        login_username=name, uid=uid, username=name)

    def test_one_name_with_two_numbers(self):
        self.people()
        for words in (("commands-of-user", "alice"), ("commands-of-account", "alice", "--login-user", "alice")):
            self.ask(*words, status=2)
            self.assertIn('login user "alice" has number 1001 on web1 and 1005 on web2; add --on HOST, or give '
                          'the number', self.said)
        for host in (1, 2):
            self.assertEqual([f"/bin/alice{host}"],
                             self.column("program", "commands-of-user", "alice", "--on", f"web{host}"))
            self.assertNotIn("login-user", self.said)
        self.assertEqual(["/bin/alice1", "/bin/alice2"], self.column("program", "commands-of-account", "alice"))

    def test_one_number_with_two_names(self):
        self.people()
        self.assertEqual(["/bin/alice1", "/bin/bob2"], self.column("program", "commands-of-user", "bob"))
        self.assertIn("number 1001 is alice on web1", self.said)
        self.assertEqual(["/bin/bob2"], self.column("program", "commands-of-user", "bob", "--on", "web2"))
        self.assertEqual(2, len(self.ask("commands-of-user", "1001")))
        self.assertNotIn("is alice", self.said)

    def test_one_person_on_several_hosts(self):
        """By name: whatever number; by number: whatever name."""
        self.people()
        for host, uid, address in ((1, 1001, "192.0.2.1"), (2, 1005, "192.0.2.2"), (2, 1001, "192.0.2.3")):
            self.insert("session", "10:00:00", host=host, login_uid=uid, remote_address=address)
        self.insert("process", "11:00:00", host=2, exe="/bin/unnamed", login_uid=1005)
        for word, expected in (("alice", [("web1", "alice", 1, "192.0.2.1"), ("web2", "alice", 2, "192.0.2.2")]),
                               ("bob", [("web2", "bob", 1, "192.0.2.3")]), ("nobody", []), ("x' OR 1=1", []),
                               ("1001", [("web1", "alice", 1, "192.0.2.1"), ("web2", "bob", 1, "192.0.2.3")])):
            rows = self.ask("user-across-hosts", word)
            self.assertEqual(expected, [(row["host"], row["login_user"], row["programs"], row["came_from"])
                                        for row in rows], word)

    def test_unknown(self):
        """No name: the number. No login: unset, and not those of everybody."""
        self.insert("process", "10:00:00", exe="/bin/a", uid=4294967294, login_uid=1001)
        self.insert("process", "10:00:01", exe="/bin/b", uid=None, login_uid=None)
        rows = self.ask("commands-of-account", "4294967294")
        self.assertEqual([("1001", "4294967294")], [(row["login_user"], row["username"]) for row in rows])
        self.assertEqual(["/bin/b"], self.column("exe", "programs-of-host", "--login-user", "unset"))
        self.assertEqual(2, len(self.ask("programs-of-host")))

    def test_a_number_that_had_another_name(self):
        self.insert("account", "2025-01-01 00:00:00", "2025-06-01 00:00:00", username="old", uid=1001)
        self.insert("account", "2025-07-01 00:00:00", username="new", uid=1001)
        for name in ("old", "new"):
            self.insert("auth_attempt", "10:00:00", username=name, service="sshd")
        self.assertEqual(["new"], self.column("username", "everything-of-user", "1001"))


class TestProcesses(HardTest):
    def test_a_pid_used_again(self):
        for begin, end, exe in (("10:00:00", "10:00:10", "/bin/first"), ("10:00:20", "10:00:30", "/bin/second")):
            number = self.insert("process", begin, end, pid=70, exe=exe)
            self.insert("endpoint", begin, end, process_id=number, pid=70, application=exe[5:])
            self.insert("process", begin, end, pid=71, exe=exe + "-child", parent_id=number)
        for second, exe in ((5, "/bin/first"), (25, "/bin/second")):
            at = f"at=2026-01-10 10:00:{second:02}"
            self.assertEqual([exe[5:]], self.column("application", "endpoints-of-process", "70", at))
            self.assertEqual([exe + "-child", exe], self.column("program", "ancestry", "71", at, window=()))
        self.assertEqual(2, len(self.ask("endpoints-of-process", "70")))
        self.assertEqual([], self.ask("endpoints-of-process", "70", "at=2026-01-10 10:00:15"))
        self.assertEqual(4, len(self.ask("descendants", "70")))
        self.assertEqual(2, len(self.ask("descendants", "70", window=(
            "--since", "2026-01-10 10:00:15", "--until", "2026-01-11"))))

    def test_a_connection_outlives_the_program(self):
        """Bash connects and becomes cat, which keeps the connection."""
        bash = self.insert("process", "10:00:00", "10:00:05", pid=70, exe="/bin/bash", parent_id=None)
        cat = self.insert("process", "10:00:05", pid=70, exe="/bin/cat", previous_id=bash)
        self.insert("endpoint", "10:00:01", process_id=bash, pid=70, application="bash")
        self.insert("endpoint", "10:00:06", process_id=cat, pid=70, application="cat")
        for second in (3, 8):
            self.assertEqual(["bash", "cat"], self.column(
                "application", "endpoints-of-process", "70", f"at=2026-01-10 10:00:0{second}"))
        self.assertEqual([("itself", "/bin/cat"), ("was before", "/bin/bash")], [
            (row["relation"], row["program"]) for row in self.ask(
                "ancestry", "70", "at=2026-01-10 11:00", window=())])


class TestFiles(HardTest):
    def test_renamed_to_below(self):
        process = self.insert("process", "10:00:00", "10:00:09", pid=70, exe="/bin/mv")
        self.insert("file_access", "10:00:01", "10:00:01", process_id=process, application="mv",
                    path="/tmp/x", new_path="/usr/x", operations="rename")
        self.insert("file_access", "10:00:02", "10:00:02", process_id=process, application="mv",
                    path="/usrx", new_path="/usr0", operations="rename")
        for words in (("files-of-program", "mv"), ("files-written-by-process", "70"), ("deleted-files",)):
            self.assertEqual(["/usr/x"], self.column("new_path", *words, "under=/usr"), words)
            self.assertEqual(2, len(self.ask(*words)), words)

    def test_pattern_characters(self):
        for path in ("/srv/a_b%/x", "/srv/axbz/x", "/srv/a_b%0"):
            self.insert("file_access", "10:00:00", "10:00:01", path=path, operations="read", application=BAIT,
                        login_uid=1001)
        self.assertEqual(["/srv/a_b%/x"], self.column("path", "files-under", "/srv/a_b%"))
        self.assertEqual(["/srv/a_b%/x"], self.column("path", "files-of-user", "1001", "under=/srv/a_b%"))
        self.assertEqual(3, len(self.ask("files-of-program", BAIT)))
        self.assertEqual([], self.ask("files-of-program", "100_ \"so_called\" 'x'"))


class TestNetwork(HardTest):
    def test_the_other_end_is_unknown(self):
        """What is unknown is not loopback."""
        process = self.insert("process", "10:00:00", exe="/usr/bin/python3")
        for address in (None, "127.0.0.1", "::1", "192.0.2.9"):
            self.insert("endpoint", "10:00:01", "10:00:05", direction="in", remote_address=address, local_port=22,
                        process_id=process, bytes_sent=10, protocol="tcp" if address else None)
        self.assertEqual([None, "192.0.2.9"], self.column("remote_address", "incoming-connections"))
        self.assertEqual([None, "192.0.2.9"], self.column("remote_address", "long-connections", "seconds=1"))
        self.assertEqual([2], self.column("connections", "top-talkers"))
        self.assertEqual(4, len(self.ask("interpreter-connections")))
        self.insert("file_access", "10:00:02", "10:00:03", path="/srv/x", operations="read", process_id=process)
        self.assertEqual([20], self.column("bytes_sent", "read-then-sent", "bytes=1"))

    def test_the_form_of_an_address(self):
        self.insert("endpoint", "10:00:00", direction="in", remote_address="2001:db8::1")
        self.insert("address_name", "10:00:00", address="2001:db8::1", name="n.example", source="dns")
        for word in ("2001:DB8:0::1", "2001:db8::1"):
            self.assertEqual(1, len(self.ask("incoming-connections", f"remote={word}")), word)
            self.assertEqual(["n.example"], self.column("name", "names-of-address", word))

    def test_one_row_once(self):
        """Found by name and by address, under several names; and with two files."""
        process = self.insert("process", "10:00:00", "10:00:09", exe="/usr/bin/wget")
        for name in ("a.example", "b.example"):
            self.insert("address_name", "09:00:00", address="192.0.2.9", name=name, source="dns")
            self.insert("address_name", "09:30:00", address="192.0.2.9", name=name, source="dns")
        self.insert("endpoint", "10:00:01", process_id=process, application="wget", remote_address="192.0.2.9",
                    remote_name=None, bytes_sent=7)
        self.assertEqual([1], self.column("connections", "who-contacted", "a.example"))
        self.assertEqual([1], self.column("connections", "processes-in-contact", "192.0.2.9"))


class TestSessions(HardTest):
    def test_two_places_at_once(self):
        for host, begin, end, name, address in (
                (1, "2026-01-05 00:00:00", None, "alice", "192.0.2.1"),
                (2, "10:00:00", "11:00:00", "alice", "192.0.2.2"), (1, "10:30:00", None, "alice", "192.0.2.1"),
                (1, "12:00:00", "13:00:00", "bob", "192.0.2.3"), (2, "13:00:01", "14:00:00", "bob", "192.0.2.4"),
                (1, "12:00:00", "13:00:00", "eve", "127.0.0.1"), (1, "12:00:00", "13:00:00", "eve", "192.0.2.4"),
                (1, "12:00:00", "13:00:00", None, "192.0.2.5"), (1, "12:00:00", "13:00:00", None, "192.0.2.6")):
            self.insert("session", begin, end, host=host, username=name, remote_address=address, service="sshd")
        rows = self.ask("simultaneous-sessions")
        self.assertEqual(
            [("web2", "10:00:00", "alice", "192.0.2.2", "web1", "192.0.2.1", "11:00:00"),
             ("web1", "10:30:00", "alice", "192.0.2.1", "web2", "192.0.2.2", "11:00:00")],
            [(row["host"], row["created_at"][11:19], row["username"], row["remote_address"], row["other_host"],
              row["other_address"], row["together_until"][11:19]) for row in rows])
        self.assertEqual(["alice", "alice", "eve"], self.column("username", "simultaneous-sessions", "loopback=1"))

    def test_listening_after_logout(self):
        for session, end in ((5, "11:00:00"), (6, None)):
            self.insert("session", "10:00:00", end, boot_id=BOOT, session_id=session, login_uid=1001,
                        username="alice")
            process = self.insert("process", "10:00:01", exe="/bin/nc", session_id=session, login_uid=1001)
            for port, gone in ((80 + session, None), (90 + session, "10:59:00")):
                self.insert("endpoint", "10:00:02", gone, direction="listen", status="listening", local_port=port,
                            process_id=process, login_uid=1001, application="nc")
        rows = self.ask("listening-after-logout")
        self.assertEqual([(85, "2026-01-10 11:00:00.000000")],
                         [(row["local_port"], row["logged_out_at"]) for row in rows])

    def test_devices(self):
        self.insert("account", "2026-01-01 00:00:00", username="alice", uid=1001)
        self.insert("session", "10:00:00", "11:00:00", login_uid=1001, username="alice", remote_address="192.0.2.1")
        for begin, end, serial in (("10:30:00", None, "during"), ("09:00:00", "10:10:00", "there"),
                                   ("09:00:00", "09:10:00", "before"), ("11:30:00", None, "after")):
            self.insert("device", begin, end, devpath="/" + serial, serial=serial, users_logged_in="")
        self.assertEqual(["during"], self.column("serial", "devices-while-user", "alice"))
        self.assertEqual(["there", "during"], self.column("serial", "devices-while-user", "alice", "present=1"))

    def test_brute_force_of_two_hosts(self):
        """Each host with the key and the batch of its own row."""
        for host, n, batch in ((1, 3, 1000), (2, 4, 5)):
            for second in range(n):
                last = self.insert("auth_attempt", f"1{host}:00:0{second}", host=host, batch=batch,
                                   username=f"u{second}", remote_address="192.0.2.1")
            self.assertEqual([] if host == 1 else [("web1", 7, 4, 2, 3, 1000), ("web2", 7, 4, 2, 4, 5)], [
                (row["host"], row["failures"], row["names"], row["hosts"], row["failures_here"], row["row_batch"])
                for row in self.ask("brute-force")])
        self.assertEqual(last, self.ask("brute-force")[1]["row_id"])
        self.assertEqual([], self.ask("brute-force", "--on", "web2"))


class TestEveryQuestion(HardTest):
    def test_hostile_values(self):
        """Whatever text a parameter is: no error, and nothing found."""
        values = {"number": "0", "address": "192.0.2.1", "path": "/no/such '\"%_\u00f6", "time": "2026-01-10",
                  "host": "web1", "user": "1001"}
        for name in self.names():
            given = [f"{parameter}={values.get(kind) or chr(246) + BAIT}" for parameter, kind in self.parameters(name)]
            window = WINDOW if self.has_window(name) else ()
            with self.subTest(name):
                self.ask(name, *given, window=window)

    def names(self):
        done = self.server.vestige("report", "--format", "json")
        names = [row["name"] for row in json.loads(done.stdout)["rows"]]
        self.assertEqual(sorted(name[:-4] for name in os.listdir(SQL) if name.endswith(".sql")), names)
        return names

    def about(self, name):
        return self.server.vestige("report", name, "--about").stdout

    def parameters(self, name):
        for line in self.about(name).splitlines():
            word, equal, rest = line.strip().partition("=")
            kind = rest.split(" ")[0]
            if equal and line.startswith("  ") and word.replace("_", "").isalpha() and kind in (
                    "text", "number", "address", "path", "time", "host", "user"):
                yield word, kind

    def has_window(self, name):
        return "--since" in self.about(name)


if __name__ == "__main__":
    main()
