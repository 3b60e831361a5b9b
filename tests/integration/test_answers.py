"""What all commands that answer have in common: evidence cannot drive a terminal, what was not written is
an error with words, and an option that would select nothing is refused."""

import os
import signal
import subprocess
import tempfile

from server_test import ServerTest
from vestige_test import VESTIGE, main

BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
HOSTILE = "\x1b[2J\u009b31m\u202e is complete: all"
SAFE = r"\x1b[2J\x9b31m\u202e is complete: all"
ANSWERS = (("report", "who-listens"), ("tree", "--on", "web1"), ("user", "1000"), ("timeline", "--on", "web1"),
           ("diff", "--on", "web1", "2h ago", "now"))
FUTURE = "2100-01-01"


class AnswersTest(ServerTest):
    hosts = ("web1",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number, source in ((1, "audit"), (2, HOSTILE)):
            cls.root.run(
                "INSERT INTO coverage (host_id, id, day, created_at, destroyed_at, seen_by, boot_id, source,"
                " mode, batch) SELECT 1, %s + UNIX_TIMESTAMP(t) * 1000000, DATE(t), t, t + INTERVAL 1 SECOND,"
                " 'agent', %s, %s, 'owner', 1 FROM (SELECT UTC_TIMESTAMP(6) - INTERVAL 1 HOUR AS t) moment",
                number, BOOT, source)

    def command(self, *words):
        return [VESTIGE, *words, "--no-defaults", f"--socket={self.server.socket}", "--user=root"]

    def refuse(self, *words):
        """The one line of an error."""
        done = self.server.vestige(*words, check=False)
        self.assertEqual((2, ""), (done.returncode, done.stdout), done.stderr)
        self.assertRegex(done.stderr, r"\Avestige: \w+: error: [^\n]+\n\Z")
        return done.stderr.split("error: ", 1)[1].rstrip("\n")

    def test_the_names_of_sources_are_evidence(self):
        for words in ANSWERS:
            with self.subTest(words=words):
                done = self.server.vestige(*words, "--format", "json", check=False)
                self.assertNotIn("\x1b", done.stdout + done.stderr)
                if words[0] != "tree":  # of this moment nothing is unwatched but what is ended
                    self.assertNotIn(HOSTILE, done.stdout + done.stderr)
        done = self.server.vestige("user", "1000", check=False)
        self.assertIn(SAFE, done.stdout)
        self.assertNotIn("null", done.stdout)
        page = self.server.vestige("timeline", "--on", "web1", "--since", "2h ago", "--html", "-", check=False)
        self.assertIn('<p id="completeness" class="warn">', page.stdout)

    def test_an_error_is_safe(self):
        self.assertEqual('there is no report "a??b?[c" (vestige report lists them)',
                         self.refuse("report", "a\u009bb\x1b[c"))

    def test_a_full_disk(self):
        for words in (*ANSWERS, ("report",), ("report", "who-listens", "--about"), ("schedule", "list"),
                      ("export", "--format", "tln"), ("user", "--help")):
            for format_ in ("table", "json", "csv"):
                if format_ != "table" and {"export", "--about", "--help"} & {*words}:
                    continue
                if format_ == "table" and "schedule" in words:  # no schedule: not a byte
                    continue
                with self.subTest(words=words, format=format_), open("/dev/full", "w") as full:
                    form = () if "export" in words else ("--format", format_)
                    done = subprocess.run(self.command(*words, *form), stdout=full,
                                          stderr=subprocess.PIPE, text=True, timeout=60)
                    self.assertEqual(2, done.returncode)
                    self.assertRegex(done.stderr, r"error: [^\n]*No space left on device\n")

    def test_a_closed_pipe(self):
        for words in (("schedule", "list", "--format", "json"), ("report", "who-listens", "--about")):
            with self.subTest(words=words):
                ours, theirs = os.pipe()
                os.close(ours)
                done = subprocess.run(self.command(*words), stdout=theirs, stderr=subprocess.PIPE, timeout=60)
                os.close(theirs)
                self.assertEqual((-signal.SIGPIPE, b""), (done.returncode, done.stderr))

    def test_windows_that_begin_in_the_future(self):
        for words in (("timeline", "--on", "web1"), ("tree", "--on", "web1", "--process", "7"),
                      ("user", "1000"), ("report", "everything-of-user", "user=1000")):
            with self.subTest(words=words):
                self.assertRegex(self.refuse(*words, "--since", FUTURE), r"\A--since is ")

    def test_options_that_select_nothing(self):
        self.assertRegex(self.refuse("diff", "web1", "web1", "--only", ""), r'\A--only: there is no section ""')
        self.assertEqual("--tag is for the list; leave it out", self.refuse("report", "who-listens", "--tag", "x"))
        for words in (("--on", "web1"), ("--login-user", "7"), ("--since", "now"), ("--until", "now"),
                      ("--limit", "3"), ("--about",)):
            with self.subTest(words=words):
                self.assertRegex(self.refuse("report", *words), r"\Awrite which report: ")
        with tempfile.TemporaryDirectory() as directory:
            page = os.path.join(directory, "page")
            self.assertIn("leave out --format", self.refuse("user", "1000", "--html", page, "--format", "json"))
            self.assertEqual([], os.listdir(directory))

    def test_a_question_changes_nothing(self):
        """Whoever is the server's root could, by a slip; the log of readers is written all the same."""
        before = self.root.value("SELECT COUNT(*) FROM coverage")
        asked = self.root.value("SELECT COUNT(*) FROM reading WHERE step = 'answered'")
        for sql in ("DELETE FROM coverage", "UPDATE coverage SET mode = 'x'", "DROP TABLE coverage", "TRUNCATE coverage",
                    "CREATE TABLE mine (a INT)", "INSERT INTO watch_setting VALUES (9, 'silent_seconds', 1)"):
            with self.subTest(sql):
                self.assertIn("a question changes nothing", self.refuse("query", sql))
        self.assertEqual(before, self.root.value("SELECT COUNT(*) FROM coverage"))
        self.assertEqual(asked + 6, self.root.value("SELECT COUNT(*) FROM reading WHERE step = 'answered'"))
        self.assertIn("vestige-schema(7) has the tables", self.refuse("query", "SELECT * FROM processs"))
        self.assertIn("vestige-schema(7) has the columns", self.refuse("query", "SELECT nothing FROM process"))


class GoneTest(ServerTest):
    """What the last line says of hosts from which nothing comes: revoked, retired, never heard."""

    hosts = ("web", "mail", "db")

    def setUp(self):
        self.root.run("DELETE FROM batch")
        self.root.run("DELETE FROM coverage")
        self.root.run("UPDATE enrolment SET retired_at = NULL, revoked_at = NULL, created_at = '2026-01-01'")
        for host in (1, 2, 3):
            self.host_is_heard(host, "NOW(6)")

    def host_is_heard(self, host, until):
        """Watched since January, and its last batch is of then."""
        self.root.run("INSERT INTO coverage (host_id, id, day, created_at, seen_by, boot_id, source, mode, batch) VALUES"
                      " (%s, 1767225600000000, '2026-01-01', '2026-01-01', 'agent', %s, 'audit', 'owner', 1)", host, BOOT)
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                      " n_lines, recovered, received_at, verified_at) VALUES (%s, 1, '', '', 1, %s, '2026-01-01',"
                      f" {until}, 1, 0, {until}, {until})", host, BOOT)

    def silent(self, host, moment="'2026-03-01'"):
        self.root.run(f"UPDATE batch SET last_time = {moment}, received_at = {moment} WHERE host_id = %s", host)

    def last_line(self, *words):
        done = self.server.vestige("report", "gaps", *words, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.stdout.splitlines()[-1]

    def test_all_are_heard(self):
        self.assertRegex(self.last_line("--since", "2026-02-01"), r" is complete: 0 gaps, 0 unwatched spans;")

    def test_a_revoked_host_is_not_watched(self):
        self.silent(2)
        self.root.run("UPDATE enrolment SET revoked_at = '2026-03-02' WHERE host_id = 2")
        self.assertIn(" is not complete: 0 gaps, 0 unwatched spans, nothing from host mail after"
                      " 2026-03-01 00:00:00.000000;", self.last_line("--since", "2026-02-01"))

    def test_a_retired_host_is_silent_from_then_on(self):
        self.silent(2)
        self.root.run("UPDATE enrolment SET retired_at = '2026-03-05' WHERE host_id = 2")
        said = ", nothing from host mail after 2026-03-01 00:00:00.000000;"
        self.assertIn(said, self.last_line("--since", "2026-02-01"))
        self.assertIn(" is complete: ", self.last_line("--since", "2026-03-06"))
        self.assertIn(" is complete: ", self.last_line("--since", "2026-02-01", "--until", "2026-02-20"))
        self.assertIn(said, self.last_line("--since", "2026-03-06", "--on", "mail"))
        self.silent(2, "'2026-03-05'")
        self.assertIn(" is complete: ", self.last_line("--since", "2026-02-01"))

    def test_a_host_that_was_never_heard(self):
        for table in ("batch", "coverage"):
            self.root.run(f"DELETE FROM {table} WHERE host_id IN (1, 3)")
        self.assertIn(" is not complete: 0 gaps, 0 unwatched spans, nothing ever from host db and from 1 more;",
                      self.last_line("--since", "2026-02-01"))
        self.assertIn(" is complete: ", self.last_line("--since", "2025-11-01", "--until", "2025-12-01")
                      .replace(": nothing was watched: ", " is complete: "))
        self.root.run("UPDATE enrolment SET retired_at = '2026-01-02' WHERE host_id = 3")
        self.assertIn("nothing ever from host web;", self.last_line("--since", "2026-02-01"))


if __name__ == "__main__":
    main()
