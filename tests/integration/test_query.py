"""`vestige query` and the database half of `status`, on rows that are known: what is printed, the exit
status, and what is said about the completeness of the evidence."""

import csv
import io
import json
import os
import subprocess
import unittest

from server_test import ServerTest
from vestige_test import VESTIGE, main, run

HOUR = 3600 * 1000000
BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"


class QueryTest(ServerTest):
    hosts = ("web", "mail")

    def setUp(self):
        for table in ("process", "coverage", "gap", "batch", "rejected"):
            self.root.run(f"DELETE FROM {table}")
        # A full hour in the past, so that nothing is about to happen at its borders.
        self.noon = self.root.value(
            "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', DATE_FORMAT("
            "UTC_TIMESTAMP() - INTERVAL 1 DAY, '%Y-%m-%d 12:00:00'))")

    # Rows

    def insert(self, table, **values):
        names = ", ".join(f"`{name}`" for name in values)
        self.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})",
                      *values.values())

    def moment(self, us):
        return self.root.value("SELECT CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL %s "
                               "MICROSECOND AS CHAR)", us) if us is not None else None

    def span(self, table, begin, end, host=1, **values):
        self.insert(table, host_id=host, id=begin, day=self.moment(begin)[:10],
                    created_at=self.moment(begin), destroyed_at=self.moment(end),
                    end_cause="closed" if end else None, seen_by="agent", boot_id=BOOT, batch=1,
                    **values)

    def gap(self, begin, end, count, unit="process", **values):
        self.span("gap", begin, end, source="connector", cause="overrun", unit=unit, count=count,
                  **values)

    def coverage(self, begin, end, source="audit", mode="owner", **values):
        self.span("coverage", begin, end, source=source, mode=mode, **values)

    def batch(self, number, begin, end, lines, host=1, verified=None):
        self.insert("batch", host_id=host, batch=number, hash=bytes([number]) * 32,
                    previous_hash=bytes(32), format=1, boot_id=BOOT, first_time=self.moment(begin),
                    last_time=self.moment(end), n_lines=lines, recovered=0, verified_at=verified)

    def process(self, number, **values):
        values.setdefault("created_at", self.moment(self.noon + number))
        self.insert("process", **{
            "host_id": 1, "id": self.noon + number, "day": self.moment(self.noon)[:10],
            "seen_by": "audit,connector", "boot_id": BOOT, "pid": number, "batch": 1, **values})

    # Questions

    def ask(self, *words, status=0):
        done = self.server.vestige("query", *words, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refuse(self, *words):
        """The one line of an error."""
        done = self.ask(*words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: query: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: query: error: ").rstrip("\n")

    def remark(self, since, until, *words, sql="SELECT @since, @until"):
        return self.ask(sql, "--since", self.moment(since), "--until", self.moment(until),
                        "--format", "csv", *words).stderr.rstrip("\n")


class TestRows(QueryTest):
    def test_table(self):
        self.process(1, comm="cat", login_uid=1000, arguments="'a b'")
        self.process(2, comm="sh\x1b[2J", login_uid=None, arguments="")
        done = self.ask("SELECT pid, comm, login_uid, arguments FROM process ORDER BY id")
        self.assertEqual([["pid", "comm", "login_uid", "arguments"], ["1", "cat", "1000", "'a", "b'"],
                          ["2", "sh\\x1b[2J", "unset"]],
                         [line.split() for line in done.stdout.splitlines()[:-1]])
        self.assertEqual("", done.stderr)
        self.assertRegex(done.stdout.splitlines()[-1], r"\AEvidence of all time: nothing was ")

    def test_json(self):
        self.process(1, comm="cat", login_uid=None, arguments="", start_ticks=2**64 - 1)
        done = self.ask("--format", "json", "SELECT pid, comm AS Comm, login_uid, arguments, "
                        "start_ticks, boot_id, created_at, cpu_user_us FROM process")
        self.assertEqual({"rows": [{
            "pid": 1, "Comm": "cat", "login_uid": None, "arguments": "",
            "start_ticks": 2**64 - 1, "boot_id": BOOT, "created_at": self.moment(self.noon + 1),
            "cpu_user_us": None}]}, json.loads(done.stdout))
        self.assertRegex(done.stderr, r"\AEvidence of all time[^\n]+\n\Z")

    def test_csv(self):
        words = ["plain", 'qu"ote', "com,ma", "two\nlines", "", None, "caf\u00e9 \U0001f600", " x"]
        for number, word in enumerate(words):
            self.process(number, comm=word)
        done = subprocess.run([VESTIGE, "query", "--no-defaults", f"--socket={self.server.socket}",
                               "--user=root", "--format", "csv",
                               "SELECT pid, comm FROM process ORDER BY pid"],
                              capture_output=True, timeout=60)
        output = done.stdout.decode()
        self.assertIn('\r\n4,""\r\n5,\r\n', output)
        rows = list(csv.reader(io.StringIO(output, newline="")))
        self.assertEqual([["pid", "comm"]] + [[str(number), word or ""]
                                              for number, word in enumerate(words)], rows)

    def test_many_rows_pass_in_bounded_memory(self):
        """100 MB of rows, in each format."""
        sql = ("WITH RECURSIVE s AS (SELECT 1 AS seq UNION ALL SELECT seq + 1 FROM s "
               "WHERE seq < 100000) SELECT seq, REPEAT('x', 1000) FROM s")
        for name in ("table", "json", "csv"):
            process = subprocess.Popen(
                [VESTIGE, "query", "--no-defaults", f"--socket={self.server.socket}",
                 "--user=root", "--format", name,
                 "SET STATEMENT max_recursive_iterations = 100000 FOR " + sql],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            length = 0
            while piece := process.stdout.read(1 << 20):
                length += len(piece)
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(0, process.returncode)
            self.assertGreater(length, 100000 * 1000)
            self.assertLess(usage.ru_maxrss, 60 * 1024, name)

    def test_binary_and_duplicate_columns(self):
        self.batch(7, self.noon, self.noon, 1)
        done = self.ask("--format", "json", "SELECT batch, hash, batch FROM batch")
        self.assertEqual([{"batch": 7, "hash": "07" * 32, "batch_2": 7}],
                         json.loads(done.stdout)["rows"])

    def test_time_zone(self):
        self.process(1, created_at="2026-07-01 22:30:00.000001")
        done = self.ask("--format", "csv", "--time-zone", "Europe/Athens",
                        "SELECT created_at, destroyed_at, day FROM process")
        self.assertEqual("2026-07-02 01:30:00.000001+03:00,," + self.moment(self.noon)[:10],
                         done.stdout.splitlines()[1])
        self.assertIn("no time zone", self.refuse("--time-zone", "Mars", "SELECT 1"))

    def test_exit_status(self):
        self.assertEqual("", self.ask("SELECT 1 FROM process", status=1).stdout.split("Ev")[0])
        done = self.ask("--format", "json", "SELECT pid FROM process", status=1)
        self.assertEqual({"rows": []}, json.loads(done.stdout))
        self.ask("SELECT 1 FROM schema_version")
        self.assertIn("error in your SQL syntax", self.refuse("SELEC 1"))
        self.assertIn("doesn't exist", self.refuse("SELECT * FROM nothing"))

    def test_an_error_in_the_middle_of_the_rows(self):
        """Half an answer is no answer."""
        done = self.server.vestige(
            "query", "--format", "csv",
            "WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 5) "
            "SELECT IF(n < 5, n, (SELECT 1 UNION SELECT 2)) AS n FROM s", check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("Subquery returns more than 1 row", done.stderr)
        self.assertNotIn("Evidence", done.stderr)

    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([VESTIGE, "query", "--no-defaults",
                                   f"--socket={self.server.socket}", "--user=root", "SELECT 1"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(2, done.returncode)
        self.assertIn("cannot be written: No space left", done.stderr)


class TestOptions(QueryTest):
    def test_variables(self):
        done = self.ask("--since", "2026-07-01T00:00:00Z", "--until", "2026-07-01T00:00:00.5+01:00",
                        "--format", "csv", "SELECT 1 WHERE @since > @until", status=2)
        self.assertIn("--since is after --until", done.stderr)
        done = self.ask("--since", "2026-07-01", "--on", "mail", "--login-user", "1000",
                        "--format", "csv", "SELECT @since, @until, @host_id, @login_uid")
        self.assertEqual("2026-07-01 00:00:00.000000,,2,1000", done.stdout.splitlines()[1])

    def test_an_option_that_the_sql_does_not_use(self):
        """It would select nothing, silently."""
        for option, value, variable in (("since", "today", "@since"), ("until", "now", "@until"),
                                        ("on", "web", "@host_id"),
                                        ("login-user", "unset", "@login_uid")):
            self.assertIn(f"--{option} is given, but the SQL does not use {variable}",
                          self.refuse(f"--{option}", value, "SELECT 1"))

    def test_hosts(self):
        for word in ("web", "1"):
            self.assertIn("\n1\n", self.ask("--on", word, "SELECT @host_id AS ' '").stdout.replace(
                " ", ""))
        self.assertEqual('there is no host "wbe" in the evidence; did you mean "web"?',
                         self.refuse("--on", "wbe", "SELECT @host_id"))
        self.assertEqual('there is no host "7" in the evidence',
                         self.refuse("--on", "7", "SELECT @host_id"))
        self.assertEqual('there is no host "\'; DROP TABLE gap; --" in the evidence',
                         self.refuse("--on", "'; DROP TABLE gap; --", "SELECT @host_id"))

    def test_login_users(self):
        self.process(1, login_uid=1000, login_username="alice")
        self.process(2, login_uid=None, comm="daemon")
        sql = "SELECT pid FROM process WHERE login_uid <=> @login_uid"
        for word, pid in (("alice", "1"), ("1000", "1"), ("unset", "2")):
            done = self.ask("--login-user", word, "--format", "csv", sql)
            self.assertEqual(["pid", pid], done.stdout.split())
        self.assertEqual('there is no login user "alcie" in the evidence; did you mean "alice"?',
                         self.refuse("--login-user", "alcie", sql))

    def test_servers(self):
        done = run(VESTIGE, "query", "--state", "/tmp", "SELECT 1", check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("/tmp holds no standalone instance", done.stderr)
        done = run(VESTIGE, "query", "--no-defaults", "--socket=/nonexistent/socket", "SELECT 1",
                   check=False)
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, r"\Avestige: query: error: [^\n]*/nonexistent/socket[^\n]*\n")
        self.assertIn("--state says where the database is", run(
            VESTIGE, "query", "--state", "/var", "--host", "db", "SELECT 1", check=False).stderr)


class TestCompleteness(QueryTest):
    def remark_of_the_hour(self, *words, sql="SELECT @since, @until"):
        return self.remark(self.noon, self.noon + HOUR, *words, sql=sql)

    def watched(self):
        self.coverage(self.noon - HOUR, None)
        self.batch(1, self.noon - HOUR, self.noon + HOUR, 10, verified=self.moment(self.noon))

    def assert_remark(self, expected, *words, **options):
        window = (f"Evidence from {self.moment(self.noon)} to {self.moment(self.noon + HOUR)}"
                  .replace(":00:00 ", ":00:00.000000 "))
        if not window.endswith(".000000"):
            window += ".000000"
        self.assertEqual(window + expected, self.remark_of_the_hour(*words, **options))

    def test_complete(self):
        self.watched()
        self.assert_remark(" is complete: 0 gaps, 0 unwatched spans; all verified")

    def test_nothing(self):
        self.assert_remark(": nothing was watched: 0 gaps, 0 unwatched spans; all verified")

    def test_gaps_that_overlap(self):
        self.watched()
        self.gap(self.noon - HOUR, self.noon - 1, 100)                  # before
        self.gap(self.noon + HOUR + 1, self.noon + 2 * HOUR, 100)       # after
        self.gap(self.noon - 10, self.noon + 10, 5)                     # over the first border
        self.gap(self.noon + HOUR - 10, self.noon + HOUR + 10, 2)       # over the last
        self.gap(self.noon + 20, self.noon + 30, 1, unit="record")
        self.assert_remark(" is not complete: 3 gaps (7 processes, 1 record not seen), "
                           "0 unwatched spans; all verified")

    def test_gaps_of_unknown_size(self):
        self.watched()
        self.gap(self.noon + 1, self.noon + 2, None, unit="event")
        self.assert_remark(" is not complete: 1 gap (of unknown size), 0 unwatched spans; "
                           "all verified")
        self.gap(self.noon + 3, self.noon + 4, None, count_at_least=40, count_at_most=90)
        self.gap(self.noon + 5, self.noon + 6, 2)
        self.assert_remark(" is not complete: 3 gaps (at least 42 processes not seen), "
                           "0 unwatched spans; all verified")

    def test_unwatched_spans(self):
        """A hole, one source that ended, one that began late, and one that was off."""
        self.batch(1, self.noon - HOUR, self.noon + HOUR, 10, verified=self.moment(self.noon))
        self.coverage(self.noon - HOUR, self.noon + 10 * 1000000)
        self.coverage(self.noon + 20 * 1000000, None)
        self.coverage(self.noon - HOUR + 1, self.noon + 30 * 1000000, source="taskstats")
        self.coverage(self.noon + 40 * 1000000, None, source="connector")
        self.coverage(self.noon - HOUR + 2, None, source="proc", mode="off")
        self.assert_remark(" is not complete: 0 gaps, 4 unwatched spans (audit, connector, proc, "
                           "taskstats); all verified")

    def test_rows_of_coverage_that_follow_each_other(self):
        """A change of mode is no hole; neither is what lies outside of the window."""
        self.watched()
        self.coverage(self.noon - 2 * HOUR, self.noon + 5 * 1000000, source="proc")
        self.coverage(self.noon + 5 * 1000000 + 500, None, source="proc", mode="guest")
        self.coverage(self.noon - 3 * HOUR, self.noon - 2 * HOUR, source="taskstats")
        self.coverage(self.noon - HOUR + 7, self.noon + HOUR, source="taskstats")
        self.assert_remark(" is complete: 0 gaps, 0 unwatched spans; all verified")

    def test_a_host_that_fell_silent(self):
        """Its row of coverage is still open, but nothing came."""
        self.coverage(self.noon - HOUR, None)
        self.batch(1, self.noon - HOUR, self.noon + 10 * 1000000, 10,
                   verified=self.moment(self.noon))
        self.assert_remark(" is not complete: 0 gaps, 0 unwatched spans, nothing from host web "
                           f"after {self.moment(self.noon + 10 * 1000000)[:19]}.000000; "
                           "all verified")

    def test_unverified(self):
        self.watched()
        self.batch(2, self.noon - 10, self.noon + 10, 100)
        self.batch(3, self.noon + 20, self.noon + HOUR + 100, 200)
        self.batch(4, self.noon + HOUR + 1, self.noon + 2 * HOUR, 5)
        self.assert_remark(" is complete: 0 gaps, 0 unwatched spans; 300 lines in 2 batches not "
                           "verified")

    def test_one_host(self):
        self.watched()
        self.coverage(self.noon - HOUR, self.noon + 1000000, host=2)
        self.gap(self.noon + 1, self.noon + 2, 3, host=2)
        self.batch(1, self.noon - HOUR, self.noon + HOUR, 10, host=2)
        sql = "SELECT @since, @until, @host_id"
        self.assert_remark(" is complete: 0 gaps, 0 unwatched spans; all verified", "--on", "web",
                           sql=sql)
        self.assert_remark(" is not complete: 1 gap (3 processes not seen), 1 unwatched span "
                           "(audit); 10 lines in 1 batch not verified", "--on", "mail", sql=sql)


class TestStatus(QueryTest):
    def status(self, *words, status):
        """The rows by part and name."""
        done = self.server.vestige("status", "--format", "json", *words, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return {(row["part"], row["name"]): (row["level"], row["value"])
                for row in json.loads(done.stdout)["rows"]}

    def now(self, seconds=0):
        return self.root.value("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', "
                               "UTC_TIMESTAMP(6))") + seconds * 1000000

    def test_well(self):
        for host in (1, 2):
            self.batch(1, self.now(-10), self.now(-1), 5, host=host)
        self.coverage(self.now(-100), None)
        self.root.run("CALL vestige_make_partitions_at(UTC_DATE(), 4)")  # the data may be of yesterday
        rows = self.status(status=0)
        self.assertEqual("ok", rows["host web", "last batch"][0])
        self.assertEqual(("ok", "owner"), rows["host web", "watched: audit"])
        self.assertEqual(("ok", "4"), rows["server", "days ahead in process"])
        self.assertEqual("ok", rows["server", "job make_partitions"][0])
        self.assertEqual({("host web", "last batch"), ("host web", "lag of the last batch"),
                          ("host web", "watched: audit")},
                         {key for key in self.status("--on", "web", status=0)
                          if key[0].startswith("host")})

    def test_late_silent_and_rejected(self):
        self.batch(1, self.now(-300), self.now(-200), 5)
        self.batch(1, self.now(-10), self.now(-1), 5, host=2)
        self.root.run("UPDATE batch SET received_at = UTC_TIMESTAMP(6) - INTERVAL 16 MINUTE "
                      "WHERE host_id = 2")
        self.insert("rejected", host_id=1, batch=1, line=1, table_name="process", text="x",
                    error=1406, message="too long")
        self.gap(self.now(-60), self.now(-59), 1)
        rows = self.status(status=1)
        self.assertEqual("wrong", rows["host web", "lag of the last batch"][0])
        self.assertEqual("wrong", rows["host mail", "last batch"][0])
        self.assertEqual(("wrong", "1"), rows["host web", "rows refused in the last 24 hours"])
        self.assertEqual(("note", "1"), rows["host web", "gaps of the last 24 hours"])

    def test_the_servers_own_jobs(self):
        for host in (1, 2):
            self.batch(1, self.now(-10), self.now(-1), 5, host=host)
        self.addCleanup(self.root.run, "DELETE FROM maintenance_run WHERE id > 1000")
        self.root.run("UPDATE maintenance_run SET started_at = started_at - INTERVAL 3 HOUR "
                      "WHERE name = 'make_partitions'")
        self.addCleanup(self.root.run,
                        "UPDATE maintenance_run SET started_at = started_at + INTERVAL 3 HOUR "
                        "WHERE name = 'make_partitions'")
        self.assertEqual("wrong", self.status(status=1)["server", "job make_partitions"][0])
        self.insert("maintenance_run", id=1001, name="make_partitions",
                    started_at=self.moment(self.now()), result="failure", message="error 1205: x")
        self.assertEqual("wrong", self.status(status=1)["server", "job make_partitions"][0])
        self.insert("maintenance_run", id=1002, name="make_partitions",
                    started_at=self.moment(self.now()), result="success", message="")
        self.assertEqual("ok", self.status(status=0)["server", "job make_partitions"][0])

    def test_no_database(self):
        done = run(VESTIGE, "status", "--no-defaults", "--socket=/nonexistent/socket", "--format",
                   "csv", check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("database,not reachable,wrong,", done.stdout)


class TestFrame(unittest.TestCase):
    COMMANDS = ("standalone", "query", "timeline", "status", "sync", "doctor", "journal", "server", "client")

    def vestige(self, *words):
        done = run(VESTIGE, *words, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_help(self):
        status, output, errors = self.vestige("--help")
        self.assertEqual((0, ""), (status, errors))
        for command in self.COMMANDS:
            self.assertIn(f"\n  {command} ", output)
            status, own, errors = self.vestige(command, "--help")
            self.assertEqual((0, ""), (status, errors), command)
            self.assertIn(f"vestige {command}", own)

    def test_version(self):
        status, output, _ = self.vestige("--version")
        self.assertEqual(0, status)
        self.assertRegex(output, r"\Avestige [0-9]+\.[0-9]+\.[0-9]+\n\Z")

    def test_unknown_commands(self):
        self.assertEqual((2, "", 'vestige: command: error: there is no command "qurey"; did you '
                          'mean "query"? (see vestige --help)\n'), self.vestige("qurey"))
        self.assertEqual((2, "", 'vestige: command: error: there is no command "elephant" '
                          '(see vestige --help)\n'), self.vestige("elephant"))
        status, output, errors = self.vestige()
        self.assertEqual((2, ""), (status, output))
        self.assertIn("Usage: vestige COMMAND", errors)

    def test_hostile_words_do_not_drive_the_terminal(self):
        _, _, errors = self.vestige("\x1b]0;x\x07")
        self.assertNotIn("\x1b", errors)
        self.assertNotIn("\x07", errors)


if __name__ == "__main__":
    main()
