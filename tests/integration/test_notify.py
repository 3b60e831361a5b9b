"""Notification of findings: what each way is told, byte by byte where it matters; that nothing is lost
when a way is broken, and nobody is told twice when it is not."""

import contextlib
import email
import email.policy
import http.server
import json
import os
import shutil
import tempfile
import threading
import time
import unittest

from network_test import own_port
from private_server import Session, VestigeServer
from vestige_test import VESTIGE, main, processes_named, run, wait_for

PROGRAM = """#!/bin/sh
# Keeps what it is told, and its words; ends as `status` says, or never if there is `endless`.
n=$(ls "{directory}" | grep -c '^{name}-')
printf '%s\\n' "$@" > "{directory}/words-{name}"
cat > "{directory}/{name}-$(printf %03d "$n")"
[ -e "{directory}/endless" ] && {{ tail -f /dev/null & echo $! > "{directory}/pid"; wait; }}
[ -s "{directory}/status" ] || exit 0
echo "first words" >&2; echo "it is broken" >&2
exit "$(cat "{directory}/status")"
"""


def parent_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("PPid:"))


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.command_lines.append(self.server.curl())
        self.server.requests.append((self.path, dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *words):
        pass


class HookServer(http.server.HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", own_port()), Hook)
        self.requests, self.answers, self.command_lines = [], [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    @staticmethod
    def curl():
        """The command line of the curl that asks, which a vestige of ours has started."""
        for pid in processes_named("curl"):
            with contextlib.suppress(OSError, StopIteration):
                with open(f"/proc/{pid}/cmdline") as file:
                    line = file.read()
                if "--disable" in line.split("\0") and parent_of(parent_of(pid)) == os.getpid():
                    return line
        return ""

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


def setUpModule():
    """One server for all classes: making one takes longer than any test."""
    global SERVER, ENROLLED
    SERVER = VestigeServer()
    unittest.addModuleCleanup(SERVER.close)
    ENROLLED = {name: SERVER.enrol(name) for name in ("web", "mail")}


class NotifyTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = SERVER
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.root.run("ALTER DEFINER = vestige_scheduler@localhost EVENT vestige_schedules DISABLE")
        cls.agent = Session(cls.server, read_default_file=os.path.join(ENROLLED["web"], "agent.cnf"),
                            read_default_group="vestige", database="vestige")
        cls.addClassCleanup(cls.agent.close)

    def setUp(self):
        for table in ("finding", "schedule_finding", "schedule", "notification",
                      "notification_position", "batch"):
            self.root.run(f"DELETE FROM {table}")
        self.directory = tempfile.mkdtemp(prefix="vestige-notify-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.root.run("INSERT INTO schedule (id, question, question_sql, value_names, parameters, row_table,"
                      " subject_columns, answer_columns, every_minutes, words, created_by, next_due)"
                      " VALUES (1, 'who', '', '[]', '{}', 'process', '[]', '[]', 5, 'who', 'x', NOW()),"
                      " (2, 'what', '', '[]', '{}', 'process', '[]', '[]', 5, 'what', 'x', NOW())")
        self.n_batches = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def program(self, name):
        with open(self.path(name), "w") as file:
            file.write(PROGRAM.format(directory=self.directory, name=name))
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def configure(self, *lines, mode=0o640):
        with open(self.path("vestige.conf"), "w") as file:
            file.write("[notify]\nretry_seconds = 0\n" + "\n".join(lines) + "\n")
        os.chmod(self.path("vestige.conf"), mode)

    def notify(self, status=0, **options):
        done = self.server.vestige("notify", "--config", self.path("vestige.conf"), check=False,
                                   **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def begin(self, *lines):
        """With a position: what comes from now on is news."""
        self.configure(*lines)
        done = self.notify()
        self.assertRegex(done.stderr, "findings from now on are told")
        self.assertEqual(done.stdout, "")

    # Findings

    def find(self, subject, schedule=1, host=1, detail="host: web", complete=1):
        """A finding as a run writes it; its number."""
        self.root.run("INSERT INTO schedule_finding (schedule_id, host_id, subject_hash, day, run_id)"
                      " VALUES (%s, %s, UNHEX(SHA2(UUID(), 256)), '2026-01-02', 1)", schedule, host)
        number = self.root.value("SELECT LAST_INSERT_ID()")
        self.root.run("INSERT INTO finding (host_id, id, day, created_at, destroyed_at, end_cause, seen_by,"
                      " class, subject, detail, batch, schedule_id, last_seen, row_keys, complete) VALUES"
                      " (%s, %s, '2026-01-02', '2026-01-02 03:04:05', '2026-01-02 03:04:05', 'closed', '',"
                      " 'who', %s, %s, 0, %s, '2026-01-02 03:04:05',"
                      " '[{\"table\": \"process\", \"host_id\": 1, \"id\": 77}]', %s)",
                      host, number, subject, detail, schedule, complete)
        return number

    def ship(self, *subjects):
        """Findings of the agent, in a batch of their own."""
        self.n_batches += 1
        self.agent.run("BEGIN")
        self.agent.run("INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id,"
                       " first_time, last_time, n_lines, recovered) VALUES (1, %s, %s, %s, 1, UUID(),"
                       " UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 1, 0)", self.n_batches, bytes(32), bytes(32))
        for number, subject in enumerate(subjects):
            self.agent.run(
                "INSERT INTO finding_in (host_id, id, day, batch, created_at, seen_by, class, subject)"
                " SELECT 1, n, DATE('1970-01-01' + INTERVAL n DIV 1000000 SECOND), %s,"
                " UTC_TIMESTAMP(6), 'agent', 'shared-uid', %s FROM (SELECT TIMESTAMPDIFF(MICROSECOND,"
                " '1970-01-01', UTC_TIMESTAMP(6)) + %s AS n) x", self.n_batches, subject, number)
        self.agent.run("COMMIT")

    # What was told

    def told(self, name):
        """The messages that a program got."""
        names = sorted(one for one in os.listdir(self.directory) if one.startswith(name + "-"))
        messages = []
        for one in names:
            with open(self.path(one), "rb") as file:
                messages.append(file.read())
            os.unlink(self.path(one))
        return messages

    def subjects(self, name="command"):
        return [[finding["subject"] for finding in json.loads(message)["findings"]]
                for message in self.told(name)]

    def log(self):
        return self.root.run("SELECT channel, result, attempts, n_findings, message FROM notification"
                             " ORDER BY id")


class Ways(NotifyTest):
    def test_mail(self):
        self.begin("mail = security@example.net, duty@example.net", "mail_from = vestige@example.net",
                   "sendmail = " + self.program("sendmail"))
        self.find("alice", detail="host: web, user: alice")
        number = self.find("bob", complete=0)
        self.notify()
        raw, = self.told("sendmail")
        with open(self.path("words-sendmail")) as words:
            self.assertEqual(words.read(), "-t\n-i\n")
        message = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual(message.items(), [
            ("From", "vestige@example.net"), ("To", "security@example.net, duty@example.net"),
            ("Subject", "Vestige: 2 new findings"), ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"), ("Content-Type", 'text/plain; charset="utf-8"'),
            ("Content-Transfer-Encoding", "base64")])
        self.assertEqual(message.get_content(), f"""\
Vestige has 2 new findings.

1. 2026-01-02 03:04:05.000000 UTC, host web: who
   about: alice
   found: host: web, user: alice
   vestige query "SELECT * FROM finding WHERE host_id = 1 AND id = {number - 1}"

2. 2026-01-02 03:04:05.000000 UTC, host web: who
   about: bob
   found: host: web
   The evidence was not complete: there may be more.
   vestige query "SELECT * FROM finding WHERE host_id = 1 AND id = {number}"

""")
        self.assertEqual(self.root.run("SELECT channel, recipient, result, attempts, n_findings, findings,"
                                       " message, finished_at >= attempted_at FROM notification"),
                         (("mail", "security@example.net, duty@example.net", "success", 1, 2,
                           f"[[1, {number - 1}], [1, {number}]]", "", 1),))

    def test_evidence_is_no_header_and_no_escape(self):
        self.begin("mail = security@example.net", "sendmail = " + self.program("sendmail"))
        self.find("x\r\nBcc: evil@example.net\r\n\r\n.\r\nFrom: root", detail="\x1b[2J\u202e" + "\u00e9" * 3000)
        self.notify()
        raw, = self.told("sendmail")
        self.assertLess(max(map(len, raw.split(b"\n"))), 100)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual([name for name in message.keys()], ["To", "Subject", "Auto-Submitted",
                         "MIME-Version", "Content-Type", "Content-Transfer-Encoding"])
        text = message.get_content()
        self.assertIn("about: x\\x0d\\x0aBcc: evil@example.net\\x0d\\x0a", text)
        self.assertIn("found: \\x1b[2J\\u202e\u00e9\u00e9", text)
        self.assertIn("\u00e9 ... (more in the table)\n", text)

    def test_command(self):
        self.begin("command = " + self.program("command") + " --queue  security $HOME")
        number = self.find('a "quoted"\nthing', detail="d\u00e9tail")
        self.notify()
        with open(self.path("words-command")) as words:
            self.assertEqual(words.read(), "--queue\nsecurity\n$HOME\n")
        self.assertEqual([json.loads(one) for one in self.told("command")], [{"findings": [{
            "host": "web", "host_id": 1, "id": number, "day": "2026-01-02", "class": "who",
            "schedule_id": 1, "subject": 'a "quoted"\nthing', "detail": "d\u00e9tail",
            "first_seen": "2026-01-02 03:04:05.000000", "last_seen": "2026-01-02 03:04:05.000000",
            "complete": 1, "row_keys": [{"table": "process", "host_id": 1, "id": 77}]}]}])

    def hook(self):
        hook = HookServer()
        self.addCleanup(hook.close)
        return hook

    def test_webhook(self):
        hook = self.hook()
        with open(self.path("headers"), "w") as file:
            file.write("X-One: 1\nX-Two: two\n")
        self.begin("webhook = " + hook.url('/hooks/secret-path?a="b"&c=[1-3]'),
                   "webhook_header = Authorization: Bearer secret-\\word",
                   "webhook_header = X-Three: 3", "webhook_headers = " + self.path("headers"))
        self.find("alice")
        self.notify()
        (path, headers, body), = hook.requests
        self.assertEqual(path, '/hooks/secret-path?a="b"&c=[1-3]')
        self.assertEqual({name: headers.get(name) for name in (
            "Authorization", "Content-Type", "X-One", "X-Two", "X-Three")}, {
            "Authorization": "Bearer secret-\\word", "Content-Type": "application/json", "X-One": "1",
            "X-Two": "two", "X-Three": "3"})
        self.assertEqual([one["subject"] for one in json.loads(body)["findings"]], ["alice"])
        # Nobody who lists processes or reads the log learns the secrets.
        self.assertEqual(len(hook.command_lines), 1)
        self.assertIn("--config", hook.command_lines[0])
        self.assertNotIn("secret", hook.command_lines[0])
        self.assertEqual(self.root.run("SELECT recipient, result FROM notification"),
                         ((hook.url("").rstrip("/"), "success"),))

    def test_webhook_that_fails(self):
        hook = self.hook()
        self.begin("webhook = " + hook.url("/x"), "attempts = 2")
        self.find("alice")
        hook.answers = [302, 500]
        self.assertRegex(self.notify(status=2).stderr, r"webhook: 1 findings were not told after 2 attempts: "
                         r"\S*curl ended with status 22: curl: .*500\n\Z")
        # What is sent elsewhere has not arrived.
        hook.answers = [500, 302]
        self.assertRegex(self.notify(status=2).stderr, r"the webhook answers with status 302\n\Z")
        self.assertEqual([path for path, _, _ in hook.requests], ["/x"] * 4)
        self.notify()
        self.assertEqual(len(hook.requests), 5)
        hook.close()
        self.find("bob")
        self.assertRegex(self.notify(status=2).stderr, r"curl ended with status 7: .*onnect")


class Positions(NotifyTest):
    def begin_command(self, *lines):
        self.begin("command = " + self.program("command"), *lines)

    def status(self):
        done = self.server.vestige("status", "--format", "json", check=False)
        return next((row["level"], row["advice"]) for row in json.loads(done.stdout)["rows"]
                    if row["name"] == "notification by command")

    def test_silent_when_there_is_nothing(self):
        self.find("before")
        self.ship("before")
        self.begin_command()
        for _ in range(2):
            done = self.notify()
            self.assertEqual((done.stdout, done.stderr), ("", ""))
        self.assertEqual(self.told("command"), [])
        self.assertEqual(self.log(), ())

    def test_once_each(self):
        self.begin_command()
        self.find("one")
        self.find("two", schedule=2)
        self.ship("three", "four")
        self.notify()
        self.assertEqual([sorted(one) for one in self.subjects()], [["four", "one", "three", "two"]])
        self.notify()
        self.assertEqual(self.subjects(), [])
        self.find("five", schedule=2)
        self.ship()
        self.ship("six")
        self.notify()
        self.assertEqual(self.subjects(), [["five", "six"]])

    def test_schedules_that_commit_in_another_order(self):
        """A number that was given early and became visible late."""
        self.begin_command()
        other = self.server.root("vestige")
        self.addCleanup(other.close)
        root, self.__dict__["root"] = self.root, other
        other.run("BEGIN")
        self.find("early", schedule=1)
        self.__dict__["root"] = root
        self.find("late", schedule=2)
        self.notify()
        self.assertEqual(self.subjects(), [["late"]])
        other.run("COMMIT")
        self.notify()
        self.assertEqual(self.subjects(), [["early"]])

    def test_many_go_in_messages_of_at_most(self):
        self.begin_command("most = 10")
        for number in range(25):
            self.find(f"{number:02}")
        done = self.notify()
        self.assertEqual(done.stdout, "25 notifications of findings\n")
        messages = self.subjects()
        self.assertEqual([len(one) for one in messages], [10, 10, 5])
        self.assertEqual(sum(messages, []), [f"{number:02}" for number in range(25)])

    def test_more_than_a_round(self):
        self.begin_command("most = 1000")
        self.root.run("INSERT INTO schedule_finding (schedule_id, host_id, subject_hash, day, run_id)"
                      " SELECT 1, 1, UNHEX(SHA2(seq, 256)), '2026-01-02', 1 FROM seq_1_to_2500")
        self.root.run("INSERT INTO finding (host_id, id, day, created_at, seen_by, class, subject, batch,"
                      " schedule_id) SELECT 1, id, day, '2026-01-02', '', 'who', id, 0, 1"
                      " FROM schedule_finding")
        self.ship(*[f"a{number}" for number in range(20)])
        self.notify()
        told = sum(self.subjects(), [])
        self.assertEqual(len(told), 2520)
        self.assertEqual(len(set(told)), 2520)

    def test_broken_and_mended(self):
        self.begin_command("attempts = 2")
        with open(self.path("status"), "w") as file:
            file.write("3")
        self.find("one")
        done = self.notify(status=2)
        self.assertRegex(done.stderr, r"\Avestige: notify: error: command: 1 findings were not told after 2 "
                         r"attempts: /.*/command ended with status 3: it is broken\n\Z")
        self.assertEqual(len(self.told("command")), 2)
        self.find("two")
        self.notify(status=2)
        self.told("command")
        # The log has a channel that stays broken once an hour.
        self.assertEqual([row[:4] for row in self.log()], [("command", "failure", 2, 1)])
        self.assertEqual(self.status(), ("wrong", self.log()[0][4]))
        os.unlink(self.path("status"))
        self.notify()
        self.assertEqual(self.subjects(), [["one", "two"]])
        self.assertEqual(self.status(), ("ok", None))
        self.assertEqual([row[:4] for row in self.log()], [("command", "failure", 2, 1),
                                                           ("command", "success", 1, 2)])
        self.notify()
        self.assertEqual(self.subjects(), [])

    def test_one_way_that_is_broken(self):
        self.begin("command = /nonexistent/program", "mail = a@example.net", "attempts = 1",
                   "sendmail = " + self.program("sendmail"))
        self.find("one")
        done = self.notify(status=2)
        self.assertIn("/nonexistent/program cannot be started: No such file", done.stderr)
        self.assertEqual(len(self.told("sendmail")), 1)
        self.notify(status=2)
        self.assertEqual(len(self.told("sendmail")), 0)

    def test_a_program_that_does_not_end(self):
        self.begin_command("attempts = 1")
        open(self.path("endless"), "w").close()
        self.find("one")
        for seconds in (1, 5, 25):  # a busy machine may let it come no further at first
            self.configure("command = " + self.path("command"), "attempts = 1", f"timeout_seconds = {seconds}")
            begin = time.monotonic()
            done = self.notify(status=2)
            self.assertLess(time.monotonic() - begin, seconds + 60)
            self.assertIn(f"did not end within {seconds} s", done.stderr)
            if os.path.exists(self.path("pid")) and os.path.getsize(self.path("pid")):
                break
        with open(self.path("pid")) as file:
            pid = file.read().strip()
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 60, "what it started is gone too")
        os.unlink(self.path("endless"))
        self.told("command")
        self.configure("command = " + self.path("command"))
        self.notify()
        self.assertEqual(self.subjects(), [["one"]])

    def test_two_at_once(self):
        self.begin_command()
        name = self.root.value("SELECT CONCAT('vestige.notify.', LEFT(SHA2(GROUP_CONCAT(applied_at ORDER BY version),"
                               " 256), 32)) FROM schema_version")
        self.root.run("SELECT GET_LOCK(%s, 10)", name)
        self.addCleanup(self.root.run, "SELECT RELEASE_LOCK(%s)", name)
        self.assertIn("another vestige notify is at work", self.notify(status=2).stderr)


class Rights(NotifyTest):
    def test_the_role_is_enough_and_not_more(self):
        self.root.run("CREATE USER teller@localhost IDENTIFIED BY 'word'")
        self.addCleanup(self.root.run, "DROP USER teller@localhost")
        self.root.run("GRANT vestige_notifier TO teller@localhost")
        self.root.run("SET DEFAULT ROLE vestige_notifier FOR teller@localhost")
        with open(self.path("teller.cnf"), "w") as file:
            file.write(f"[vestige]\nuser=teller\npassword=word\nsocket={self.server.socket}\n")
        def notify():
            return run(VESTIGE, "notify", "--config", self.path("vestige.conf"),
                       f"--defaults-file={self.path('teller.cnf')}")
        self.configure("command = " + self.program("command"))
        notify()
        self.find("one")
        notify()
        self.assertEqual(self.subjects(), [["one"]])
        session = Session(self.server, user="teller", password="word", database="vestige")
        self.addCleanup(session.close)
        for sql in ("DELETE FROM finding", "UPDATE schedule SET enabled = 0", "DELETE FROM notification",
                    "UPDATE notification SET result = 'success'"):
            self.assertEqual(session.error(sql), 1142, sql)

    def test_a_reader_is_told_what_is_missing(self):
        self.root.run("CREATE USER looker@localhost IDENTIFIED BY 'word'")
        self.addCleanup(self.root.run, "DROP USER looker@localhost")
        self.root.run("GRANT vestige_reader TO looker@localhost")
        self.root.run("SET DEFAULT ROLE vestige_reader FOR looker@localhost")
        with open(self.path("looker.cnf"), "w") as file:
            file.write(f"[vestige]\nuser=looker\npassword=word\nsocket={self.server.socket}\n")
        self.configure("command = " + self.program("command"))
        done = run(VESTIGE, "notify", "--config", self.path("vestige.conf"),
                   f"--defaults-file={self.path('looker.cnf')}", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"INSERT command denied to user 'looker'@'localhost' for table "
                         r".*notification_position")


class Configuration(NotifyTest):
    def refuse(self, text, mode=0o640):
        with open(self.path("vestige.conf"), "w") as file:
            file.write(text)
        os.chmod(self.path("vestige.conf"), mode)
        said = self.notify(status=2).stderr
        self.assertEqual(len(said.splitlines()), 1)
        return said.removeprefix("vestige: notify: error: ").replace(self.path("vestige.conf"), "F").rstrip()

    def test_what_is_refused(self):
        for text, said in (
                ("[notify]\nmial = a@b\n", r'F:2: there is no key "mial" in \[notify\]; did you mean "mail"'),
                ("[notify]\nmail = a@b\nmail = c@d\n", "F:3: mail is given twice; remove one"),
                ("mail = a@b\n", "F:1: mail stands before any"),
                ("[notifi]\nmail = a@b\n", r"F:1: there is no section \[notifi\]"),
                ("[notify]\n\nmail\n", "F:3: neither a"),
                ("[notify]\nmail = a@b\n  c@d\n", "F:3: the line begins with a blank"),
                ("[notify]\nmail =\n", "F:2: mail has no value"),
                ("[notify]\nmail = a b\n", "F:2: mail = a b: write a mail address, or several"),
                ("[notify]\nmail = -oQ/tmp@b\n", "F:2: mail = -oQ"),
                ("[notify]\nmail = <a@b>\n", "F:2: mail = <a@b>: write"),
                ("[notify]\nmail = a@b,\n", "F:2: mail = a@b,: write"),
                ("[notify]\nmail_from = a@b, c@d\n", "F:2: mail_from = a@b, c@d: write a mail address"),
                ("[notify]\nmail = a@b\x07\n", "F:2: byte 11 is a control character"),
                ("[notify]\ncommand = true\n", "F:2: command = true: write an absolute path"),
                ("[notify]\nwebhook = ftp://secret\n", "F:2: webhook: write an address that begins with http"),
                ("[notify]\nwebhook = http://x\nwebhook_header = secret\n", "F:3: webhook_header: write NAME"),
                ("[notify]\nattempts = 0\n", "F:2: attempts = 0: write a number from 1 to 10"),
                ("[notify]\nmail = " + "a" * 300 + "\n", "F:2: the line is longer than 197 bytes"),
                ("[notify]\nattempts = 1\n", "F: nobody is to be told"),
                ("", "F: nobody is to be told"),
                ("[notify]\nmail = a@b\nwebhook_header = X: y\n", "F: webhook headers without a webhook")):
            with self.subTest(text=text):
                answer = self.refuse(text)
                self.assertRegex(answer, r"\A" + said)
                self.assertNotIn("secret", answer)

    def test_a_secret_that_others_can_read(self):
        self.assertRegex(self.refuse("[notify]\nwebhook = https://x/y\n", mode=0o644),
                         r"F has the address of a webhook, .* chmod o-rwx F")

    def test_no_file(self):
        self.assertIn("vestige.conf cannot be read: No such file", self.notify(status=2).stderr)

    def test_the_sample_is_read(self):
        """With each line that is a comment there made a line."""
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(root, "deploy", "vestige.conf")) as file:
            lines = [line.removeprefix("#") if line.startswith("#") and line[1] not in " \n" else line
                     for line in file]
        with open(self.path("vestige.conf"), "w") as file:
            file.writelines(lines)
        os.chmod(self.path("vestige.conf"), 0o600)
        self.assertEqual(self.notify().stdout, "")


if __name__ == "__main__":
    main()
