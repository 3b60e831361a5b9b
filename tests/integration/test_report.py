"""`vestige report` itself, on files of questions made here: what is read of them, how values reach the
SQL, what is said about an answer, and what each mistake is answered with."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile

from server_test import ServerTest
from vestige_test import VESTIGE, main, wait_for

BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
HEAD = "-- question: What is it?\n-- tags: made, test\n"


class ReportTest(ServerTest):
    hosts = ("web1", "db1")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root.run("INSERT INTO process (host_id, id, day, created_at, seen_by, boot_id, pid, batch,"
                     " login_uid, login_username) VALUES (1, 1, '1970-01-01', '1970-01-01', 'audit',"
                     " %s, 7, 1, 1000, 'alice')", BOOT)

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def question(self, name, text):
        with open(os.path.join(self.directory, name + ".sql"), "w") as stream:
            stream.write(text)

    def command(self, *words):
        return [VESTIGE, "report", *words, "--directory", self.directory, "--no-defaults",
                f"--socket={self.server.socket}", "--user=root"]

    def report(self, *words, status=0):
        done = self.server.vestige("report", *words, "--directory", self.directory, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def rows(self, *words, status=0):
        return json.loads(self.report(*words, "--format", "json", status=status).stdout)["rows"]

    def refuse(self, *words):
        """The one line of an error."""
        done = self.report(*words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: report: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: report: error: ").rstrip("\n")


class TestFiles(ReportTest):
    def test_list(self):
        self.question("mine", HEAD + "SELECT 1 AS one")
        self.question("other", "-- question: Another\n--    one?\n-- tags: test\nSELECT 1 AS one")
        for ignored in (".hidden.sql", "mine.sql~", "README"):
            with open(os.path.join(self.directory, ignored), "w") as stream:
                stream.write("nothing")
        rows = {row["name"]: row for row in self.rows()}
        self.assertEqual({"name": "mine", "question": "What is it?", "tags": "made, test"},
                         rows["mine"])
        self.assertEqual("Another one?", rows["other"]["question"])
        self.assertIn("programs-of-host", rows)
        self.assertEqual(sorted(rows), list(rows))
        self.assertEqual(["mine"], [row["name"] for row in self.rows("--tag", "made")])
        self.assertEqual('no report has the tag "mad"',
                         self.report("--tag", "mad", status=2).stderr.split("error: ")[1].rstrip())

    def test_list_for_people_is_in_groups(self):
        self.question("mine", HEAD + "SELECT 1 AS one")
        self.question("also", "-- question: Also?\n-- tags: test\nSELECT 1 AS one")
        said = self.report().stdout
        self.assertIn("\n\nmade\n  mine                      What is it?\n\n", said)
        self.assertIn("\n\ntest\n  also                      Also?\n\n", said)
        groups = re.findall(r"(?m)^([a-z-]+)$", said)
        self.assertEqual(sorted(set(groups)), groups)
        names = re.findall(r"(?m)^  ([a-z-]+) +[A-Z]", said)
        self.assertEqual([row["name"] for row in self.rows()], sorted(names))
        self.assertEqual("made\n  mine                      What is it?\n",
                         self.report("--tag", "made").stdout.split("\n\n")[0] + "\n")

    def test_misspelt_parameter(self):
        self.question("mine", HEAD + "-- parameter: port number = none; a port\n"
                      "-- parameter: text text = none; a text\nSELECT :port + 0 AS port, :text AS text")
        self.assertEqual('mine has no parameter "prot"; did you mean "port"?',
                         self.refuse("mine", "prot=22"))
        self.assertEqual([{"port": None, "text": "prot=22"}], self.rows("mine", "text=prot=22"))

    def test_broken_files_are_named_and_the_others_listed(self):
        self.question("mine", HEAD + "SELECT 1 AS one")
        self.question("broken", HEAD + "-- windw: 1 day\nSELECT 1")
        os.symlink("/dev/zero", os.path.join(self.directory, "endless.sql"))
        os.mkdir(os.path.join(self.directory, "folder.sql"))
        done = self.report("--format", "csv")
        self.assertIn("mine,", done.stdout)
        place = re.escape(self.directory)
        self.assertRegex(done.stderr, place + r"/broken\.sql:3: there is no key `windw`; write ")
        self.assertRegex(done.stderr, place + r"/endless\.sql cannot be read: Invalid argument")
        self.assertRegex(done.stderr, place + r"/folder\.sql cannot be read: Invalid argument")
        self.assertEqual(3, done.stderr.count("warning"))
        self.assertIn("broken.sql:3: ", self.refuse("broken"))
        self.assertIn("endless.sql cannot be read", self.refuse("endless"))

    def test_a_file_of_the_site_wins(self):
        self.question("programs-of-host", HEAD + "SELECT 'mine' AS whose")
        self.assertEqual([{"whose": "mine"}], self.rows("programs-of-host"))

    def test_about(self):
        self.question("mine", HEAD + "-- parameter: port number = none; a port\n"
                      "-- parameter: name text; a name\n-- window: 36 hours\n-- column: x; an x\n"
                      "-- example: vestige report mine x\nSELECT :port + 0 AS x, :name, :since, "
                      ":until, :host_id")
        text = self.report("mine", "--about").stdout
        for part in ("What is it?", "port=number (default none)\n      a port",
                     "name=text (needed)\n      a name", "x                    an x",
                     "Options that select: --on, --since, --until\n", "the last 36 hours",
                     "Example: vestige report mine x", "Tags: made, test", "SELECT :port + 0 AS x"):
            self.assertIn(part, text)

    def test_no_such_things(self):
        self.question("mine", HEAD + "SELECT 1 AS one")
        self.assertEqual('there is no report "mien"; did you mean "mine"? (vestige report lists '
                         'them)', self.refuse("mien"))
        done = self.server.vestige("report", "--directory", "/nonexistent", check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("/nonexistent cannot be read: No such file", done.stderr)


class TestValues(ReportTest):
    def test_hostile_text_is_text(self):
        self.question("echo", HEAD + "-- parameter: a text; a\n-- parameter: b text = 'x; b\n"
                      "SELECT :a AS a, :b AS b, ':a' AS c, LENGTH(:a) AS n")
        for word in ("'", '"', "\\", "%", "_", "c=b", "'; DROP TABLE gap; -- ", "\n\t", "\u20ac",
                     "x" * 65536, ":b", "?"):
            row, = self.rows("echo", word)
            self.assertEqual({"a": word, "b": "'x", "c": ":a", "n": len(word.encode())}, row)
        self.assertEqual("", self.rows("echo", "a=")[0]["a"])

    def test_bytes_that_are_no_text(self):
        self.question("echo", HEAD + "-- parameter: a text; a\nSELECT 1 AS n FROM process WHERE "
                      "comm = :a")
        done = subprocess.run(self.command("echo", b"\xff\xfe"), capture_output=True, timeout=60)
        self.assertIn(done.returncode, (1, 2))

    def test_words_without_a_name_fill_in_order(self):
        self.question("echo", HEAD + "-- parameter: a text; a\n-- parameter: b text = none; b\n"
                      "-- parameter: c text = z; c\nSELECT :a AS a, :b AS b, :c AS c")
        self.assertEqual([{"a": "1", "b": None, "c": "z"}], self.rows("echo", "1"))
        self.assertEqual([{"a": "1", "b": "2", "c": "3"}], self.rows("echo", "b=2", "1", "3"))
        self.assertEqual("b= is given twice", self.refuse("echo", "1", "2", "b=2"))
        self.assertEqual('"4" is one word too many: echo takes a, b, c',
                         self.refuse("echo", "1", "2", "3", "4"))
        self.assertEqual("a= is missing (a); for example: vestige report echo a=irc.example.net",
                         self.refuse("echo"))

    def typed(self, kind, word):
        self.question("typed", HEAD + f"-- parameter: v {kind}; v\nSELECT :v AS v")
        return self.rows("typed", f"v={word}")[0]["v"]

    def test_types(self):
        for kind, word, value in (
                ("number", "0", 0), ("number", "18446744073709551615", 2**64 - 1),
                ("address", "192.0.2.7", "192.0.2.7"), ("address", "2001:DB8:0::1", "2001:db8::1"),
                ("address", "::ffff:192.0.2.7", "192.0.2.7"), ("path", "/", "/"),
                ("path", "/etc//x/./y/", "/etc/x/y"), ("path", "/a/../b", "/a/../b"),
                ("time", "2026-11-20T23:08:00.25+02:00", "2026-11-20 21:08:00.250000"),
                ("time", "1970-01-01T00:00:00.000001Z", "1970-01-01 00:00:00.000001"),
                ("host", "db1", 2), ("host", "1", 1), ("user", "alice", 1000), ("user", "7", 7),
                ("user", "unset", None)):
            with self.subTest(kind=kind, word=word):
                self.assertEqual(value, self.typed(kind, word))

    def test_ill_typed(self):
        for kind, word, reason in (
                ("number", "-1", "v=-1: this is no whole number; write for example v=6670"),
                ("number", "18446744073709551616", "this is no whole number"),
                ("number", "1x", "this is no whole number"), ("number", "", "no whole number"),
                ("address", "192.0.2", "this is no IPv4 or IPv6 address; write for example"),
                ("address", "fe80::1%eth0", "this is no IPv4 or IPv6 address"),
                ("path", "etc/passwd", "a path begins with /; write for example v=/etc/shadow"),
                ("time", "soon", '"soon" is no moment; did you mean "boot"?; write'),
                ("host", "web2", 'there is no host "web2" in the evidence; did you mean "web1"?'),
                ("user", "alcie", 'no login user "alcie" in the evidence; did you mean "alice"?')):
            with self.subTest(kind=kind, word=word):
                self.question("typed", HEAD + f"-- parameter: v {kind}; v\nSELECT :v AS v")
                self.assertIn(reason, self.refuse("typed", f"v={word}"))

    def test_selection(self):
        self.question("all", HEAD + "-- window: 2 days\nSELECT :host_id AS host_id, :any_login AS "
                      "any_login, :login_uid AS uid, :since AS since, :until AS until, "
                      ":since_day AS since_day, :until_day AS until_day, :row_limit AS row_limit")
        row, = self.rows("all", "--on", "db1", "--login-user", "alice", "--since",
                         "2026-11-20T00:30:00Z", "--until", "2026-11-20T23:30:00Z", "--limit", "7")
        self.assertEqual({"host_id": 2, "any_login": 0, "uid": 1000,
                          "since": "2026-11-20 00:30:00",
                          "until": "2026-11-20 23:30:00", "since_day": "2026-11-19",
                          "until_day": "2026-11-21", "row_limit": 8}, row)
        row, = self.rows("all", "--until", "2026-11-20", "--login-user", "unset")
        self.assertEqual((None, 0, None, "2026-11-18 00:00:00", 1001),
                         (row["host_id"], row["any_login"], row["uid"], row["since"],
                          row["row_limit"]))
        row, = self.rows("all")
        self.assertEqual((1, None), (row["any_login"], row["uid"]))
        self.assertEqual(49, self.root.value("SELECT TIMESTAMPDIFF(HOUR, %s, %s)", row["since"],
                                             row["until"]))

    def test_options_that_mean_nothing(self):
        self.question("bare", HEAD + "SELECT 1 AS one")
        for option, value in (("on", "web1"), ("login-user", "alice"), ("since", "today"),
                              ("until", "now"), ("limit", "3")):
            self.assertEqual(f"--{option} means nothing to the report bare; leave it out",
                             self.refuse("bare", f"--{option}", value))
        self.question("mine", HEAD + "-- window: all\nSELECT 1 AS one WHERE :since < :until")
        self.assertIn("--since is after --until", self.refuse(
            "mine", "--since", "2026-11-20", "--until", "2026-11-19"))


class TestAnswers(ReportTest):
    def test_frame(self):
        self.question("mine", HEAD + "-- window: 1 hour\nSELECT 1 AS one WHERE :since < :until AND "
                      ":host_id IS NULL OR TRUE")
        lines = self.report("mine").stdout.splitlines()
        self.assertRegex(lines[-2], r"\A1 row in \d+\.\d\d s; from \d{4}-\d\d-\d\d [\d:.]+ to now "
                         r"\(default window\); all hosts\Z")
        self.assertRegex(lines[-1], r"\AEvidence since ")
        done = self.report("mine", "--since", "2026-11-20", "--until", "2026-11-21", "--on", "db1",
                           "--format", "csv", "--time-zone", "Europe/Athens")
        self.assertEqual(["one", "1"], done.stdout.split())
        self.assertIn("from 2026-11-20 00:00:00.000000+02:00 to 2026-11-21 00:00:00.000000+02:00; "
                      "host db1", done.stderr)

    def test_a_moment(self):
        self.question("mine", HEAD + "-- parameter: at time = now; when\nSELECT :at AS at, :at_day "
                      "AS day")
        done = self.report("mine", "2026-11-20T23:30:00Z", "--format", "json")
        self.assertEqual([{"at": "2026-11-20 23:30:00", "day": "2026-11-21"}],
                         json.loads(done.stdout)["rows"])
        self.assertIn("; at 2026-11-20 23:30:00.000000; all hosts", done.stderr)

    def test_keys_are_for_programs(self):
        self.question("mine", HEAD + "SELECT 'x' AS name, 1 AS row_host_id, 2 AS row_id")
        self.assertEqual(["name", "x"], self.report("mine").stdout.split("1 row")[0].split())
        self.assertEqual([{"name": "x", "row_host_id": 1, "row_id": 2}], self.rows("mine"))

    def test_cut(self):
        self.question("many", HEAD + "SELECT seq AS n FROM seq_1_to_5000 ORDER BY n LIMIT "
                      ":row_limit")
        done = self.report("many", "--format", "csv", "--limit", "97")
        self.assertEqual(98, len(done.stdout.splitlines()))
        self.assertRegex(done.stderr, r"\A97 rows in [\d.]+ s, cut there: more with --limit; ")
        done = self.report("many", "--format", "csv")
        self.assertEqual(1001, len(done.stdout.splitlines()))
        self.assertIn("cut there", done.stderr)
        self.assertNotIn("cut", self.report("many", "--format", "csv", "--limit", "5000").stderr)

    def test_long_values(self):
        self.question("long", HEAD + "WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n * 4 "
                      "FROM s WHERE n < 1000000) SELECT n, REPEAT('x', n) AS v, NULL AS none, "
                      "CAST(1.50 AS DECIMAL(9,2)) AS d FROM s ORDER BY n")
        for row in self.rows("long"):
            self.assertEqual((row["n"], None, 1.5), (len(row["v"]), row["none"], row["d"]))

    def test_empty(self):
        self.question("none", HEAD + "SELECT 1 AS one FROM gap WHERE FALSE")
        self.assertEqual([], self.rows("none", status=1))
        self.assertRegex(self.report("none", status=1).stdout, r"\A0 rows in |\Aone\n0 rows in ")

    def test_terminal_is_safe(self):
        self.question("bad", HEAD + "SELECT CONCAT('a', CHAR(27 USING utf8mb4), '[2Jb') AS x")
        done = self.report("bad")
        self.assertIn("a\\x1b[2Jb", done.stdout)
        self.assertNotIn("\x1b", done.stdout)

    def test_sql_that_is_wrong(self):
        for sql, reason in (("SELEC 1", "error in your SQL syntax"),
                            ("SELECT * FROM nothing", "doesn't exist"),
                            ("SELECT 1 = ?", "its SQL has a `?`"),
                            ("SET @a = 1", "its SQL gives no rows")):
            self.question("wrong", HEAD + sql)
            self.assertIn(reason, self.refuse("wrong"))

    def test_rights(self):
        """A reader may read, and only that; without the right it is named."""
        self.root.run("CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'x'")
        self.addCleanup(self.root.run, "DROP USER poor@localhost")
        self.root.run("GRANT SELECT ON vestige.enrolment TO poor@localhost")
        with open(os.path.join(self.directory, "poor.cnf"), "w") as stream:
            os.chmod(stream.name, 0o600)
            stream.write(f"[vestige]\nsocket={self.server.socket}\nuser=poor\npassword=x\n")
        self.question("mine", HEAD + "SELECT pid FROM process")
        done = subprocess.run([VESTIGE, "report", "mine", "--directory", self.directory,
                               f"--defaults-file={self.directory}/poor.cnf"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertRegex(done.stderr, r"SELECT command denied to user 'poor'@'localhost' for table "
                         r"`vestige`\.`process`")

    def test_connection_lost_in_the_middle(self):
        """Rows that came are shown, and that they are not all is said."""
        self.question("slow", HEAD + "SELECT seq, REPEAT('x', 200) AS x FROM seq_1_to_300000 WHERE seq < "
                      "290000 OR SLEEP(300)")
        with open(os.path.join(self.directory, "output"), "w+b") as output:
            process = subprocess.Popen(self.command("slow"), stdout=output, stderr=subprocess.PIPE,
                                       text=True)
            wait_for(lambda: os.fstat(output.fileno()).st_size, 60, "rows are written")
            number = self.root.value("SELECT id FROM information_schema.processlist WHERE info LIKE "
                                     "'SELECT seq%' AND id <> CONNECTION_ID()")
            self.root.run(f"KILL {number}")
            _, error = process.communicate(timeout=120)
            output.seek(0)
            last = output.read().splitlines()[-1].decode()
        self.assertEqual(2, process.returncode)
        self.assertRegex(last, r"\ANot the whole answer: the server's rows ended after \d+ rows\Z")
        self.assertRegex(error, r"\Avestige: report: error: cannot run the report slow: ")

    def test_closed_pipe(self):
        self.question("many", HEAD + "SELECT seq, REPEAT('x', 200) AS x FROM seq_1_to_300000")
        process = subprocess.Popen(self.command("many"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(b"", process.stderr.read())
        process.stderr.close()
        self.assertEqual(-signal.SIGPIPE, process.wait(60))

    def test_progress_on_a_terminal_only(self):
        self.question("slow", HEAD + "SELECT SLEEP(2.5) AS slept")
        told = []
        for _ in range(5):  # on a busy machine a second may pass by
            text = self.on_a_terminal("slow")
            told.append([int(n) for n in re.findall(rb"\rslow: (\d+) s (?=\r)", text)])
            self.assertEqual(sorted(set(told[-1])), told[-1], text)
            if told[-1][:2] == [1, 2]:
                break
        self.assertEqual([1, 2], told[-1][:2], told)
        self.assertEqual("", self.report("slow").stderr)

    def on_a_terminal(self, name):
        """What is written to it while the question is asked."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(self.command(name), stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece
        os.close(ours)
        self.assertEqual(0, process.wait(60))
        return text


if __name__ == "__main__":
    main()
