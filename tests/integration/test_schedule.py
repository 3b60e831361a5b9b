"""Scheduled questions on a real server: rows come as agents send them, through the views and in
batches; runs are the procedures that the event calls. What is found is exact, whatever was missed,
came late, ran twice or ended half way; and a question can only read."""

import datetime
import hashlib
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest

from private_server import Refused, Session, VestigeServer
from vestige_test import VESTIGE, main, run, wait_for

# Those of the source, which are compiled in; or of another directory, to try them.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUESTIONS = os.environ.get("VESTIGE_QUESTIONS", os.path.join(ROOT, "sql"))
DIRECTORY = ["--directory", QUESTIONS] if "VESTIGE_QUESTIONS" in os.environ else []

QUESTION = """\
-- question: Which programs of this name ran?
-- parameter: name text; name of the program
-- parameter: least number = none; only from this pid on
-- window: {window}
-- tags: test
-- column: exe; its file
-- schedule: process; subject host, exe, login_user
SELECT h.name AS host, p.created_at, COALESCE(p.login_username, p.login_uid) AS login_user, p.exe,
       p.comm, p.host_id AS row_host_id, p.id AS row_id,
       GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS row_batch
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.day >= :since_day AND p.created_at >= :since AND p.created_at <= :until
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
   AND p.exe IS NOT NULL
   AND p.comm = :name AND (:least IS NULL OR p.pid >= :least)
 ORDER BY p.created_at, p.id
 LIMIT :row_limit
"""


def setUpModule():
    """One server for all classes: making one takes longer than any test."""
    global SERVER, ENROLLED
    SERVER = VestigeServer()
    unittest.addModuleCleanup(SERVER.close)
    disable_other_events()
    ENROLLED = {name: SERVER.enrol(name) for name in ("web", "mail")}


def disable_other_events():
    """What they find, and the rows of their runs, would be among those of these tests."""
    root = SERVER.root("vestige")
    for event in ("watch", "retention", "partitions", "reaper"):
        root.run(f"ALTER EVENT vestige_{event} DISABLE")
    root.run("ALTER DEFINER = vestige_scheduler@localhost EVENT vestige_schedules DISABLE")
    root.wait_for_events()
    root.close()


class ScheduleTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = SERVER
        cls.agents = {name: cls.agent(directory) for name, directory in ENROLLED.items()}
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.root.run("SET time_zone = '+00:00'")
        cls.directory = tempfile.TemporaryDirectory(prefix="vestige-questions-")
        cls.addClassCleanup(cls.directory.cleanup)

    @classmethod
    def agent(cls, directory):
        session = Session(cls.server, read_default_file=os.path.join(directory, "agent.cnf"),
                          read_default_group="vestige", database="vestige")
        cls.addClassCleanup(session.close)
        session.run("SET time_zone = '+00:00', tx_isolation = 'READ-COMMITTED'")
        return session

    @classmethod
    def event(cls, state):
        cls.root.run(f"ALTER DEFINER = vestige_scheduler@localhost EVENT vestige_schedules {state}")

    def setUp(self):
        for table in ("process", "coverage", "gap", "batch", "finding", "schedule", "schedule_run",
                      "schedule_position", "schedule_finding", "maintenance_run"):
            self.root.run(f"DELETE FROM {table}")
        self.now = self.root.value("SELECT UTC_TIMESTAMP(6)")
        self.n_rows = 0
        self.question("ran", QUESTION.format(window="1 day"))

    # Agents

    def us(self, moment):
        return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)

    def batch(self, number, begin=None, host="web", filler=0):
        begin = begin or self.now
        self.agents[host].run(
            "INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
            " last_time, n_lines, recovered) VALUES (%s, %s, %s, %s, 1, UUID(), %s, %s, 1, 0)",
            self.host_id(host), number, bytes([filler]) * 32, bytes(32), begin, begin)

    def host_id(self, host):
        return 1 if host == "web" else 2

    def process(self, number, comm="perl", exe="/usr/bin/perl", host="web", at=None, **values):
        """The id of a row of batch `number`."""
        self.n_rows += 1
        at = at or self.now
        row_id = self.us(at) + self.n_rows
        row = {"host_id": self.host_id(host), "id": row_id,
               "day": (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=row_id)).date(),
               "batch": number, "created_at": at, "seen_by": "audit", "boot_id": "01234567-89ab-4def-"
               "8123-456789abcdef", "pid": self.n_rows, "comm": comm, "exe": exe, **values}
        self.agents[host].run(
            f"INSERT INTO process_in ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
            *row.values())
        return row_id

    def ship(self, number, *comms, host="web", at=None, **values):
        """A batch with a process of each name, in one transaction as agents do it."""
        self.agents[host].run("BEGIN")
        self.batch(number, at, host)
        ids = [self.process(number, comm, host=host, at=at, **values) for comm in comms]
        self.agents[host].run("COMMIT")
        return ids

    # The administrator

    def question(self, name, text):
        with open(os.path.join(self.directory.name, name + ".sql"), "w") as file:
            file.write(text)

    def schedule(self, *words, status=0, **options):
        done = self.server.vestige("schedule", *words, check=False, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def add(self, *words, **options):
        done = self.schedule("add", *words, "--every", "5", "--directory", self.directory.name,
                             **options)
        self.assertRegex(done.stdout, r"\Aschedule \d+: ")
        return int(done.stdout.split()[1].rstrip(":"))

    def refuse(self, *words):
        done = self.schedule("add", *words, "--directory", self.directory.name, status=2)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM schedule"), 0)
        self.assertRegex(done.stderr, r"\Avestige: schedule: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: schedule: error: ").rstrip("\n")

    def run_now(self, which, session=None):
        """(result, new batches, rows of the answer, new findings)"""
        session = session or self.root
        session.run("CALL vestige_schedule_run(%s, @run, @outcome)", which)
        return session.run("SELECT result, n_batches, n_rows, n_findings FROM schedule_run"
                           " WHERE id = @run")[0]

    def findings(self, *columns):
        columns = ", ".join(columns or ("host_id", "subject"))
        return list(self.root.run(f"SELECT {columns} FROM finding ORDER BY host_id, subject"))

    def keys(self, subject):
        return [key["id"] for key in json.loads(self.root.value(
            "SELECT row_keys FROM finding WHERE subject = %s", subject))]

    def positions(self, which):
        return list(self.root.run("SELECT host_id, first_batch, last_batch FROM schedule_position"
                                  " WHERE schedule_id = %s ORDER BY 1, 2", which))


class Runs(ScheduleTest):
    def test_from_now_on(self):
        self.ship(1, "perl")
        which = self.add("ran", "perl")
        self.assertEqual(self.run_now(which), ("success", 0, 0, 0))
        self.ship(2, "perl", "sh", login_uid=1000, login_username="alice")
        self.ship(1, "perl", host="mail")
        self.assertEqual(self.run_now(which), ("success", 2, 2, 2))
        self.assertEqual(self.findings(), [(1, "web, /usr/bin/perl, alice"),
                                           (2, "mail, /usr/bin/perl, -")])
        self.assertEqual(self.run_now(which), ("success", 0, 0, 0))
        self.assertEqual(self.positions(which), [(1, 0, 2), (2, 1, 1)])

    def test_a_finding_tells_what_why_and_whence(self):
        which = self.add("ran", "perl")
        row_id, = self.ship(7, "perl", login_uid=1000, at=self.now)
        done = self.schedule("run", str(which), "--format", "json")
        moment = self.now.isoformat(" ", "microseconds")
        row, = self.root.run("SELECT host_id, class, subject, detail, schedule_id, batch, seen_by,"
                             " first_seen = created_at, last_seen = created_at, destroyed_at = last_seen,"
                             " day = DATE(created_at), end_cause, row_keys FROM finding")
        self.assertEqual(row[:-1], (
            1, "ran", "web, /usr/bin/perl, 1000",
            f"host: web, created_at: {moment}, login_user: 1000, exe: /usr/bin/perl, comm: perl",
            which, 0, "", 1, 1, 1, 1, "closed"))
        self.assertEqual(json.loads(row[-1]), [
            {"table": "process", "host_id": 1, "id": row_id, "created_at": moment}])
        shown, = json.loads(done.stdout)["rows"]
        self.assertEqual((shown["host"], shown["question"], shown["subject"], shown["row_host_id"]),
                         ("web", "ran", row[2], 1))
        self.assertRegex(done.stderr, r"\ARun \d+: 1 new batches of 1 hosts, 1 rows, 1 new findings, in "
                         r"\d+\.\d+ s\nEvidence from .* to .*: not complete; [^\n]*\n\Z")
        self.schedule("run", str(which), status=1)

    def test_a_bounded_past(self):
        hour = datetime.timedelta(hours=1)
        for number in range(1, 7):
            self.ship(number, "perl", at=self.now - (7 - number) * hour, login_uid=number)
        # Batch 4 began before the moment and may hold rows behind it.
        which = self.add("ran", "perl", "--since", str(self.now - 2.5 * hour))
        self.assertEqual(self.run_now(which), ("success", 3, 3, 3))
        self.assertEqual([row[1][-1] for row in self.findings()], ["4", "5", "6"])

    def test_runs_that_were_missed(self):
        which = self.add("ran", "perl")
        for number in range(1, 40):
            self.ship(number, "perl" if number % 2 else "sh", login_uid=number)
        self.assertEqual(self.run_now(which), ("success", 39, 20, 20))
        self.assertEqual(sorted(int(row[1].split(", ")[2]) for row in self.findings()),
                         list(range(1, 40, 2)))
        self.assertEqual(self.positions(which), [(1, 1, 39)])

    def test_rows_that_came_days_late(self):
        """Longer ago than the question's window: a host without a network."""
        which = self.add("ran", "perl")
        self.ship(1, "perl", login_uid=1)
        self.run_now(which)
        self.ship(2, "perl", at=self.now - datetime.timedelta(days=30), login_uid=2)
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))
        since = self.root.value("SELECT since FROM schedule_run ORDER BY id DESC LIMIT 1")
        self.assertEqual(since, self.now - datetime.timedelta(days=31))

    def test_what_became_known_later(self):
        """A row whose condition is true only with its settle line."""
        which = self.add("ran", "perl")
        self.agents["web"].run("BEGIN")
        self.batch(1)
        row_id = self.process(1, None, None)
        self.agents["web"].run("COMMIT")
        self.assertEqual(self.run_now(which), ("success", 1, 0, 0))
        self.agents["web"].run("BEGIN")
        self.batch(2)
        self.assertEqual(1, self.agents["web"].run(
            "UPDATE process_settle SET comm = 'perl', exe = '/usr/bin/perl', settle_batch = 2"
            " WHERE host_id = 1 AND id = %s AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000"
            " SECOND)", row_id))
        self.agents["web"].run("COMMIT")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))
        self.assertEqual(self.keys("web, /usr/bin/perl, -"), [row_id])

    def test_an_end_moves_the_last_sight(self):
        which = self.add("ran", "perl")
        row_id, = self.ship(1, "perl")
        self.run_now(which)
        first = self.findings("id", "first_seen", "last_seen")
        self.agents["web"].run("BEGIN")
        self.batch(2)
        self.assertEqual(1, self.agents["web"].run(
            "UPDATE process_end SET destroyed_at = %s, end_cause = 'exit', end_batch = 2"
            " WHERE host_id = 1 AND id = %s AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000"
            " SECOND)", self.now, row_id))
        self.agents["web"].run("COMMIT")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 0))
        second = self.findings("id", "first_seen", "last_seen")
        self.assertEqual(first[0][:2], second[0][:2])
        self.assertGreater(second[0][2], first[0][2])
        self.assertEqual(self.keys("web, /usr/bin/perl, -"), [row_id])

    def test_the_same_subject_again(self):
        which = self.add("ran", "perl")
        ids = self.ship(1, "perl", "perl", "perl")
        self.assertEqual(self.run_now(which), ("success", 1, 3, 1))
        ids += self.ship(2, "perl")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 0))
        self.assertEqual(self.keys("web, /usr/bin/perl, -"), ids)
        ids += self.ship(3, *["perl"] * 60)
        self.assertEqual(self.run_now(which), ("success", 1, 60, 0))
        self.assertEqual(self.keys("web, /usr/bin/perl, -"), ids[:54])
        self.ship(4, "perl")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 0))
        self.assertEqual(len(self.keys("web, /usr/bin/perl, -")), 54)

    def test_a_run_that_fails_at_its_end(self):
        """Findings, guards and positions are kept together or not at all."""
        which = self.add("ran", "perl")
        self.ship(1, "perl")
        self.root.run("CREATE TRIGGER vestige.stops BEFORE INSERT ON schedule_position FOR EACH ROW"
                      " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no room'")
        try:
            self.assertEqual(self.run_now(which), ("failure", None, None, None))
        finally:
            self.root.run("DROP TRIGGER vestige.stops")
        self.assertEqual(self.root.value("SELECT message FROM schedule_run"), "error 1644: no room")
        for table in ("finding", "schedule_finding", "schedule_position"):
            self.assertEqual(self.root.value(f"SELECT COUNT(*) FROM {table}"), 0)
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))

    def test_two_schedules_do_not_share(self):
        one, other = self.add("ran", "perl"), self.add("ran", "perl")
        self.ship(1, "perl")
        self.assertEqual(self.run_now(one), ("success", 1, 1, 1))
        self.assertEqual(self.run_now(other), ("success", 1, 1, 1))
        self.assertEqual(sorted(self.findings("schedule_id")), [(one,), (other,)])

    def test_a_number_far_ahead_hides_nothing(self):
        which = self.add("ran", "perl")
        self.ship(1, "perl", login_uid=1)
        self.run_now(which)
        self.ship(2**64 - 1, "perl", login_uid=2)
        self.ship(1000, "perl", login_uid=3)
        self.ship(3, "perl", login_uid=4)
        self.assertEqual(self.run_now(which), ("success", 3, 3, 3))
        self.assertEqual(self.positions(which), [(1, 1, 1), (1, 3, 3), (1, 1000, 1000),
                                                 (1, 2**64 - 1, 2**64 - 1)])
        self.ship(2, "perl", login_uid=5)
        self.ship(4, "perl", login_uid=6)
        self.assertEqual(self.run_now(which), ("success", 2, 2, 2))
        self.assertEqual(self.positions(which), [(1, 1, 4), (1, 1000, 1000),
                                                 (1, 2**64 - 1, 2**64 - 1)])

    def test_a_number_far_ahead_before_the_schedule(self):
        self.ship(1, "perl", login_uid=1)
        self.ship(1000, "perl", login_uid=2)
        which = self.add("ran", "perl")
        self.ship(2, "perl", login_uid=3)
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))
        self.assertEqual([row[1][-1] for row in self.findings()], ["3"])

    def test_holes_are_bounded(self):
        which = self.add("ran", "perl")
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
                      " last_time, n_lines, recovered) SELECT 1, seq, '', '', 1, UUID(), %s, %s, 1, 0"
                      " FROM seq_1_to_2005_step_2", self.now, self.now)
        self.assertEqual(self.run_now(which)[:2], ("success", 1003))
        self.assertEqual(self.root.value("SELECT message FROM schedule_run"),
                         "3 holes in the numbers of batches were given up")
        positions = self.positions(which)
        self.assertEqual((len(positions), positions[0], positions[-1]),
                         (1000, (1, 0, 7), (1, 2005, 2005)))

    def test_two_hashes_of_one_number(self):
        which = self.add("ran", "perl")
        self.ship(1, "perl")
        self.batch(1, filler=7)
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))

    def test_a_transaction_that_is_open(self):
        """What commits after the run began is of the next run."""
        which = self.add("ran", "perl")
        self.agents["web"].run("BEGIN")
        self.batch(1)
        self.process(1)
        self.ship(1, "perl", host="mail")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))
        self.agents["web"].run("COMMIT")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))

    def test_selections(self):
        on_web = self.add("ran", "perl", "--on", "web")
        alice = self.add("ran", "perl", "--login-user", "1000")
        nobody = self.add("ran", "perl", "--login-user", "unset")
        least = self.add("ran", "name=perl", "least=3")
        self.ship(1, "perl", login_uid=1000)
        self.ship(1, "perl", host="mail")
        self.ship(2, "perl", login_uid=1000, host="mail")
        self.assertEqual([self.run_now(which)[1:] for which in (on_web, alice, nobody, least)],
                         [(1, 1, 1), (3, 2, 2), (3, 1, 1), (3, 1, 1)])

    def test_hostile_values(self):
        self.addCleanup(self.root.run, "SET NAMES utf8mb4")
        for number, name in enumerate(("it's", 'a "quoted" one', "%", "_", "back\\slash", "a\nb", "?",
                                       ":since", "$.x", "caf\u00e9 \U0001f600", "\u00e9" * 32768,
                                       "x" * 65536), 1):
            with self.subTest(name=name[:20]):
                self.question("long", QUESTION.format(window="1 day").replace(
                    "p.comm = :name", "CONCAT(p.comm, p.argv0) = :name"))
                which = self.add("long", "name=" + name, "--on", "web")
                self.ship(number, "", argv0=name)
                self.ship(number + 1000, "", argv0="y" + name)
                self.assertEqual(self.run_now(which)[2:], (1, 1))

    def test_long_subjects_are_whole_subjects(self):
        """They are shown cut, and told apart all the same."""
        which = self.add("ran", "perl")
        self.ship(1, "perl", exe="/" + "x" * 8000 + "1")
        self.ship(2, "perl", exe="/" + "x" * 8000 + "2")
        self.assertEqual(self.run_now(which), ("success", 2, 2, 2))
        for subject, detail in self.findings("subject", "detail"):
            self.assertRegex(subject, r"\Aweb, /x{4044} \.\.\. of 8010 characters\Z")
            self.assertIn("x" * 8000, detail)

    def test_completeness(self):
        which = self.add("ran", "perl")
        day = datetime.timedelta(days=1)
        for host in (1, 2):
            self.root.run("INSERT INTO coverage (host_id, id, day, created_at, seen_by, boot_id, source,"
                          " mode, batch) VALUES (%s, 1, %s, %s, 'agent', UUID(), 'audit', 'owner', 1)",
                          host, self.now - 2 * day, self.now - 2 * day)
        self.root.run("INSERT INTO gap (host_id, id, day, created_at, destroyed_at, seen_by, boot_id,"
                      " source, cause, unit, batch) VALUES (2, 1, %s, %s, %s, 'agent', UUID(), 'audit',"
                      " 'overrun', 'event', 1)", self.now, self.now - day / 2, self.now - day / 2)
        self.ship(1, "perl")
        self.run_now(which)
        self.ship(1, "perl", host="mail")
        self.run_now(which)
        self.assertEqual(self.findings("host_id", "complete"), [(1, 1), (2, 0)])
        self.assertEqual(self.root.run("SELECT complete FROM schedule_run ORDER BY id"), ((1,), (0,)))
        self.root.run("UPDATE coverage SET created_at = %s WHERE host_id = 1", self.now - day / 2)
        self.ship(2, "perl", login_uid=1)
        self.run_now(which)
        self.assertEqual(self.root.value("SELECT complete FROM schedule_run ORDER BY id DESC LIMIT 1"), 0)

    def test_a_window_of_its_own(self):
        which = self.add("ran", "perl", "--window", "3")
        self.ship(1, "perl")
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))
        self.assertEqual(self.root.value("SELECT since FROM schedule_run"),
                         self.now - datetime.timedelta(hours=3))

    def test_old_records_go(self):
        which = self.add("ran", "perl")
        for days, found in ((100, 0), (100, 1), (80, 0)):
            self.root.run("INSERT INTO schedule_run (schedule_id, started_at, result, n_findings) VALUES"
                          " (%s, %s, 'success', %s)", which, self.now - datetime.timedelta(days), found)
        for days, result in ((8, "success"), (8, "failure"), (6, "success")):
            self.root.run("INSERT INTO maintenance_run (name, started_at, result, message) VALUES"
                          " ('schedules', %s, %s, 'old')", self.now - datetime.timedelta(days), result)
        self.root.run("CALL vestige_run_due_schedules()")
        self.assertEqual(self.root.run("SELECT TIMESTAMPDIFF(DAY, started_at, %s), n_findings FROM schedule_run"
                                       " ORDER BY started_at", self.now), ((100, 1), (80, 0), (0, 0)))
        self.assertEqual(self.root.run("SELECT TIMESTAMPDIFF(DAY, started_at, %s), result FROM maintenance_run"
                                       " ORDER BY started_at", self.now),
                         ((8, "failure"), (6, "success"), (0, "success")))

    def test_a_question_about_all_time(self):
        self.question("ever", QUESTION.format(window="all"))
        which = self.add("ever", "perl")
        self.ship(1, "perl", at=datetime.datetime(1999, 1, 1))
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))

    def test_the_present_is_that_of_the_run(self):
        self.question("alive", QUESTION.format(window="1 day").replace(
            "-- parameter: least number = none; only from this pid on",
            "-- parameter: at time = now; when\n-- parameter: least number = none; x").replace(
            "AND p.exe IS NOT NULL", "AND p.created_at <= :at AND p.day <= :at_day"))
        now, past = self.add("alive", "perl"), self.add("alive", "perl", f"at={self.now}")
        wait_for(lambda: self.root.value("SELECT UTC_TIMESTAMP(6)") > self.now, 60, "time goes on")
        self.ship(1, "perl", at=self.root.value("SELECT UTC_TIMESTAMP(6)"))
        self.assertEqual(self.run_now(now)[2:], (1, 1))
        self.assertEqual(self.run_now(past)[2:], (0, 0))


class AtOnce(ScheduleTest):
    # It lasts as long as the test holds the lock.
    SLOW = QUESTION.format(window="1 day").replace("AND p.exe IS NOT NULL",
                                                   "AND p.exe IS NOT NULL AND GET_LOCK('slow', 300) = 1")

    def hold(self):
        """A session that has the lock, and lets go of it when it is closed."""
        holder = self.server.root()
        self.addCleanup(holder.close)
        self.assertEqual(holder.value("SELECT GET_LOCK('slow', 60)"), 1)
        return holder

    def start(self, sql, *values):
        session = self.server.root("vestige")
        outcome = []
        def work():
            try:
                session.run(sql, *values)
                outcome.append(session.run("SELECT @run, @outcome")[0])
            except Refused as refused:
                outcome.append(refused.number)
            session.close()
        thread = threading.Thread(target=work)
        thread.start()
        return session, thread, outcome

    def waits(self):
        return self.root.value("SELECT COUNT(*) FROM information_schema.processlist"
                               " WHERE state = 'User lock'")

    def test_two_at_once_are_one(self):
        self.question("slow", self.SLOW)
        which = self.add("slow", "perl")
        self.ship(1, "perl")
        holder = self.hold()
        _, thread, outcome = self.start("CALL vestige_schedule_run(%s, @run, @outcome)", which)
        wait_for(self.waits, 60, "the run is at work")
        self.assertEqual(self.root.run("SELECT result FROM schedule_run"), (("running",),))
        done = self.schedule("run", str(which), status=2)
        self.assertIn(f"schedule {which} is at work just now", done.stderr)
        self.assertEqual(self.schedule("list", "--format", "csv").stdout.splitlines()[1].split(",")[3],
                         "running")
        self.root.run("CALL vestige_run_due_schedules()")
        holder.close()
        thread.join(60)
        self.assertEqual(outcome[0][1], "success")
        self.assertEqual(self.root.run("SELECT result, n_findings FROM schedule_run"), (("success", 1),))
        self.assertEqual(len(self.findings()), 1)

    def test_many_at_once(self):
        which = self.add("ran", "perl")
        for number in range(1, 20):
            self.ship(number, "perl", login_uid=number)
        command = ["mariadb", "--no-defaults", f"--socket={self.server.socket}", "vestige", "-e",
                   "CALL vestige_run_due_schedules()"]
        several = [subprocess.Popen(command) for _ in range(8)]
        self.assertEqual([one.wait(60) for one in several], [0] * 8)
        self.assertEqual(self.root.run("SELECT result, n_rows, n_findings FROM schedule_run"),
                         (("success", 19, 19),))
        self.assertEqual(len(self.findings()), 19)
        self.assertEqual(self.positions(which), [(1, 1, 19)])

    def test_a_run_that_ended_half_way(self):
        self.question("slow", self.SLOW)
        which = self.add("slow", "perl")
        self.ship(1, "perl")
        self.hold()
        session, thread, outcome = self.start("CALL vestige_schedule_run(%s, @run, @outcome)", which)
        wait_for(self.waits, 60, "the run is at work")
        self.root.run(f"KILL CONNECTION {session.connection.thread_id()}")
        thread.join(60)
        self.assertIn(outcome[0], (2006, 2013, 1927))
        self.assertEqual(self.findings(), [])
        self.root.run("UPDATE schedule SET question_sql = REPLACE(question_sql, 'GET_LOCK(''slow'', 300)', '1')")
        wait_for(lambda: self.run_now(which) == ("success", 1, 1, 1), 60, "the next run does it all")
        self.assertEqual(self.root.run("SELECT result, message FROM schedule_run ORDER BY id LIMIT 1"),
                         (("failure", "the server or the session ended during this run; nothing of it"
                           " was kept"),))

    def test_a_run_holds_no_agent(self):
        """A question that takes long locks no evidence."""
        self.question("slow", self.SLOW)
        which = self.add("slow", "perl")
        row_id, = self.ship(1, "perl")
        holder = self.hold()
        _, thread, _ = self.start("CALL vestige_schedule_run(%s, @run, @outcome)", which)
        wait_for(self.waits, 60, "the run is at work")
        self.agents["web"].run("SET innodb_lock_wait_timeout = 1")
        self.ship(2, "perl")
        self.assertEqual(1, self.agents["web"].run(
            "UPDATE process_end SET destroyed_at = %s, end_cause = 'exit', end_batch = 2"
            " WHERE host_id = 1 AND id = %s AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000"
            " SECOND)", self.now, row_id))
        self.assertTrue(self.waits())
        holder.close()
        thread.join(60)


class Rights(ScheduleTest):
    def evidence(self):
        """Of all tables, what would show any change."""
        tables = [row[0] for row in self.root.run(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'vestige' AND"
            " table_type = 'BASE TABLE' AND table_name NOT LIKE 'schedule%%'"
            " AND table_name <> 'maintenance_run' ORDER BY 1")]
        return {table: hashlib.sha256(repr(self.root.run(f"SELECT * FROM `{table}`")).encode()).hexdigest()
                for table in tables}

    FORGED = (
        "DELETE FROM process", "UPDATE process SET comm = 'x'", "DROP TABLE process",
        "SELECT 1) q; DELETE FROM process; -- ", "SELECT * FROM process) q; DROP TABLE process; #",
        "SELECT 1 INTO OUTFILE '/tmp/vestige-forged'", "SELECT comm INTO @x FROM process",
        "CALL vestige_kill_agents()", "SELECT vestige_nothing()",
        "SELECT LOAD_FILE('/etc/passwd') x", "INSERT INTO finding SELECT * FROM finding",
        "SET GLOBAL event_scheduler = OFF", "SELECT User FROM mysql.global_priv",
        "WITH x AS (DELETE FROM process RETURNING *) SELECT * FROM x", "SELECT 1 /* ", "", ")",
        "TRUNCATE process", "GRANT ALL ON *.* TO x@y")

    def test_forged_sql_changes_nothing(self):
        which = self.add("ran", "perl")
        row_id, = self.ship(1, "perl")
        self.root.run("CREATE FUNCTION vestige.writes() RETURNS INT SQL SECURITY DEFINER MODIFIES SQL"
                      " DATA BEGIN DELETE FROM process; RETURN 1; END")
        self.addCleanup(self.root.run, "DROP FUNCTION vestige.writes")
        before = self.evidence()
        columns = ("1 AS host, 2 AS created_at, 3 AS login_user, 4 AS exe, {} AS comm, 1 AS row_host_id,"
                   " 6 AS row_id, 1 AS row_batch")
        for sql in (*self.FORGED, "SELECT " + columns.format("writes()"),
                    "SELECT " + columns.format("(SELECT User FROM mysql.global_priv LIMIT 1)"),
                    "SELECT " + columns.format("LOAD_FILE('/etc/passwd')") + " INTO DUMPFILE '/tmp/x'"):
            with self.subTest(sql=sql):
                self.root.run("UPDATE schedule SET question_sql = %s, value_names = '[]'", sql)
                self.assertEqual(self.run_now(which)[0], "failure")
                self.assertEqual(self.evidence(), before)
        self.assertFalse(os.path.exists("/tmp/vestige-forged"))
        for column, value in (("subject_columns", '["comm`), 1) FROM process -- "]'),
                              ("answer_columns", '["comm`"]'), ("row_table", "process` t JOIN x"),
                              ("subject_columns", "[]"), ("value_names", json.dumps(["name"] * 65))):
            with self.subTest(column=column):
                one = self.add("ran", "perl")
                self.ship(one + 100, "perl")
                before = self.evidence()
                self.root.run(f"UPDATE schedule SET {column} = %s WHERE id = %s", value, one)
                self.assertEqual(self.run_now(one)[0], "failure")
                self.assertEqual(self.evidence(), before)

    def test_the_rights_are_those_of_a_reader(self):
        """And not those of who calls the procedure, who is root here."""
        grants = [row[0] for row in self.root.run("SHOW GRANTS FOR vestige_asker@localhost")]
        self.assertEqual([grant.split(" ON ")[0] for grant in grants],
                         ["GRANT USAGE", "GRANT SELECT, CREATE TEMPORARY TABLES", "GRANT EXECUTE"])
        self.assertIn("`vestige`.`vestige_ask`", grants[2])
        for user in ("vestige_asker", "vestige_scheduler"):
            self.assertIn("ACCOUNT LOCK", self.root.value(f"SHOW CREATE USER {user}@localhost"))

    def test_only_an_administrator(self):
        for name in ("reader", "admin"):
            self.root.run(f"CREATE USER {name}@localhost IDENTIFIED BY 'word'")
            self.addCleanup(self.root.run, f"DROP USER {name}@localhost")
            self.root.run(f"GRANT vestige_{name} TO {name}@localhost")
            self.root.run(f"SET DEFAULT ROLE vestige_{name} FOR {name}@localhost")
            with open(os.path.join(self.server.directory, f"{name}.cnf"), "w") as file:
                file.write(f"[vestige]\nuser={name}\npassword=word\nsocket={self.server.socket}\n")
        def ask(name, *words):
            return run(VESTIGE, "schedule", *words,
                       f"--defaults-file={self.server.directory}/{name}.cnf", check=False)
        addition = ("add", "ran", "perl", "--every", "1", "--directory", self.directory.name)
        done = ask("reader", *addition)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"execute command denied to user 'reader'@'localhost' for routine "
                         r"'vestige.vestige_schedule_add' .*; use an account with the role vestige_admin")
        done = ask("admin", *addition)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        which = done.stdout.split()[1].rstrip(":")
        self.assertEqual(self.root.value("SELECT created_by FROM schedule"), "admin@localhost")
        self.ship(1, "perl")
        self.assertEqual(ask("reader", "run", which).returncode, 2)
        self.assertEqual(ask("reader", "remove", which).returncode, 2)
        self.assertEqual(ask("reader", "list").returncode, 0)
        self.assertEqual(self.findings(), [])
        done = ask("admin", "run", which)
        self.assertEqual((done.returncode, len(self.findings())), (0, 1), done.stderr)
        self.assertEqual(ask("admin", "remove", which).returncode, 0)

    def test_neither_reader_nor_admin_writes_the_tables(self):
        for name in ("reader", "admin"):
            self.root.run(f"CREATE USER w{name}@localhost IDENTIFIED BY 'word'")
            self.addCleanup(self.root.run, f"DROP USER w{name}@localhost")
            self.root.run(f"GRANT vestige_{name} TO w{name}@localhost")
            self.root.run(f"SET DEFAULT ROLE vestige_{name} FOR w{name}@localhost")
            session = Session(self.server, user=f"w{name}", password="word", database="vestige")
            self.addCleanup(session.close)
            for sql in ("UPDATE schedule SET question_sql = ''", "DELETE FROM schedule_run",
                        "DELETE FROM schedule_position", "DELETE FROM finding",
                        "INSERT INTO schedule_finding VALUES (1, 1, 1, '', '2026-01-01', 1)"):
                self.assertEqual(session.error(sql), 1142, sql)
        for sql in ("SELECT * FROM schedule", "SELECT * FROM finding", "SELECT * FROM schedule_finding"):
            self.assertEqual(self.agents["web"].error(sql), 1142)
        self.assertEqual(self.agents["web"].error("CALL vestige_schedule_run(1, @a, @b)"), 1370)

    def test_an_agent_cannot_take_the_keys_of_findings(self):
        which = self.add("ran", "perl")
        self.ship(1, "perl")
        today = self.root.value("SELECT UTC_DATE()")
        number = 1 + int(self.root.value("SELECT COALESCE(MAX(id), 0) FROM schedule_finding"))
        sql = ("INSERT INTO finding_in (host_id, id, day, batch, created_at, seen_by, class, subject)"
               " VALUES (1, %s, %s, 1, UTC_TIMESTAMP(6), 'agent', 'x', 'x')")
        taken = self.root.value("SELECT AUTO_INCREMENT FROM information_schema.tables WHERE"
                                " table_schema = 'vestige' AND table_name = 'schedule_finding'")
        for one in range(number, int(taken) + 10):
            self.assertEqual(self.agents["web"].error(sql, one, today), 1369)
            self.assertEqual(self.agents["web"].error(sql, one, "1970-01-01"), 0)
        self.assertEqual(self.agents["web"].error(
            "INSERT INTO finding_in (host_id, id, day, batch, created_at, seen_by, class, subject,"
            " schedule_id) VALUES (1, 5, '1970-01-01', 1, UTC_TIMESTAMP(6), 'agent', 'x', 'x', 1)"), 1054)
        self.assertEqual(self.run_now(which), ("success", 1, 1, 1))


class Commands(ScheduleTest):
    def test_list(self):
        self.assertEqual("0 schedules\n", self.schedule("list", status=1).stdout)
        which = self.add("ran", "perl", "--on", "web", "--login-user", "1000")
        row, = json.loads(self.schedule("list", "--format", "json").stdout)["rows"]
        self.assertEqual((row["id"], row["question"], row["every_minutes"], row["state"],
                          row["created_by"], row["findings"], row["last_run"]),
                         (which, "ran perl --on web --login-user 1000", 5, "new", "root@localhost", 0,
                          None))
        self.ship(1, "perl", login_uid=1000)
        self.run_now(which)
        row, = json.loads(self.schedule("list", "--format", "json").stdout)["rows"]
        self.assertEqual((row["state"], row["n_rows"], row["n_findings"], row["findings"]),
                         ("ok", 1, 1, 1))
        self.root.run("UPDATE schedule SET next_due = UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE")
        row, = json.loads(self.schedule("list", "--format", "json").stdout)["rows"]
        self.assertEqual(row["state"], "overdue")

    def status(self):
        done = self.server.vestige("status", "--format", "json", check=False)
        return {row["name"]: row for row in json.loads(done.stdout)["rows"]}

    def test_status(self):
        which = self.add("ran", "perl")
        name = f"schedule {which}, ran"
        self.assertEqual(self.status()[name]["level"], "ok")
        self.root.run("UPDATE schedule SET next_due = UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE")
        self.assertEqual(self.status()[name]["level"], "wrong")
        self.assertIn("overdue", self.status()[name]["advice"])
        self.ship(1, "perl")
        self.root.run("UPDATE schedule SET question_sql = 'SELECT nothing'")
        self.run_now(which)
        self.assertEqual(self.status()[name]["level"], "wrong")
        self.assertIn("Unknown column 'nothing'", self.status()[name]["advice"])

    def test_remove(self):
        which = self.add("ran", "perl")
        self.ship(1, "perl")
        self.run_now(which)
        done = self.schedule("remove", str(which))
        self.assertEqual(done.stdout, f"schedule {which} is removed; what it found stays\n")
        self.schedule("list", status=1)
        self.assertEqual(len(self.findings()), 1)
        self.ship(2, "perl", login_uid=1)
        self.root.run("CALL vestige_run_due_schedules()")
        self.assertEqual(len(self.findings()), 1)
        for words in (("remove", str(which)), ("run", str(which)), ("run", "999")):
            done = self.schedule(*words, status=2)
            self.assertRegex(done.stderr, rf"there is no schedule {words[1]}; see vestige schedule list")
        self.assertEqual(self.root.run("SELECT enabled, removed_by, removed_at >= created_at FROM schedule"),
                         ((0, "root@localhost", 1),))

    def test_what_is_refused(self):
        every = ("--every", "5")
        self.assertRegex(self.refuse("rann", "perl", *every), r"rann.*did you mean \"ran\"")
        self.assertRegex(self.refuse("ran", *every), r"name= is missing \(name of the program\)")
        self.assertRegex(self.refuse("ran", "perl", "least=many", *every),
                         r"least=many: this is no whole number; write for example least=")
        self.assertRegex(self.refuse("ran", "perl", "other=1", *every), r"other")
        self.assertRegex(self.refuse("ran", "perl"), r"--every is missing.*--every 5")
        self.assertRegex(self.refuse("ran", "perl", "--every", "0"), r"--every 0: .*from 1 to")
        self.assertRegex(self.refuse("ran", "perl", "--on", "wed", *every),
                         r'no host "wed".*did you mean "web"')
        self.assertRegex(self.refuse("ran", "perl", "--until", "now", *every), r"--until means nothing")
        self.question("plain", QUESTION.format(window="1 day").replace("-- schedule:", "-- column: x;"))
        self.assertRegex(self.refuse("plain", "perl", *every),
                         r"plain cannot be scheduled: its file \(.*plain.sql\) has no `schedule:` line")
        self.question("keyless", QUESTION.format(window="1 day").replace("AS row_batch", "AS newest"))
        self.assertRegex(self.refuse("keyless", "perl", *every), r"no column row_batch")
        self.question("subject", QUESTION.format(window="1 day").replace("subject host,", "subject hosts,"))
        self.assertRegex(self.refuse("subject", "perl", *every), r"no column hosts, which is to be a sub")
        self.question("broken", QUESTION.format(window="1 day").replace("p.exe,", "p.exx,"))
        self.assertRegex(self.refuse("broken", "perl", *every), r"Unknown column 'p.exx'")
        self.question("names", QUESTION.format(window="1 day").replace("p.exe,", "p.exe, p.pid AS `Pid x`,"))
        self.assertRegex(self.refuse("names", "perl", *every), r'the column "Pid x" of its answer')
        self.question("many", QUESTION.format(window="1 day").replace(
            "AND p.exe IS NOT NULL", "AND :name = :name " * 40))
        self.assertRegex(self.refuse("many", "perl", *every), r"at more than 64 places")
        done = self.schedule("run", "one", status=2)
        self.assertIn('"one" is no number of a schedule', done.stderr)
        self.assertIn('there is no `vestige schedule ad`; did you mean "add"?', self.schedule("ad", "ran", status=2).stderr)
        self.assertIn("for `add`", self.schedule("list", "--on", "web", status=2).stderr)

    def test_the_same_twice(self):
        """Is done, and said: everything would be found twice. Another value, or host, is another question."""
        words = ("add", "ran", "perl", "--every", "5", "--directory", self.directory.name)
        first = re.match(r"schedule (\d+): ", self.schedule(*words).stdout)[1]
        self.assertEqual("", self.schedule("add", "ran", "sh", *words[3:]).stderr)
        again = self.schedule(*words)
        second = re.match(r"schedule (\d+): ", again.stdout)[1]
        self.assertEqual(f"vestige: schedule: warning: schedule {first} asks the same already: remove one of them, "
                         f"vestige schedule remove {second}\n", again.stderr)
        self.schedule("remove", first)
        self.schedule("remove", second)
        self.assertEqual("", self.schedule(*words).stderr)

    def test_event_scheduler_off(self):
        self.root.run("SET GLOBAL event_scheduler = OFF")
        self.addCleanup(self.root.run, "SET GLOBAL event_scheduler = ON")
        done = self.schedule("add", "ran", "perl", "--every", "5", "--directory", self.directory.name)
        for output in (done, self.schedule("list")):
            self.assertRegex(output.stderr, r"event scheduler is off, so nothing runs by itself: SET GLOBAL "
                             r"event_scheduler = ON, and event_scheduler = ON in the server's option file")


class Event(ScheduleTest):
    def test_is_defined(self):
        self.event("ENABLE")
        self.addCleanup(self.root.wait_for_events)
        self.addCleanup(self.event, "DISABLE")
        self.assertEqual(self.root.run(
            "SELECT definer, interval_value, interval_field, status, on_completion, event_definition"
            " FROM information_schema.events WHERE event_name = 'vestige_schedules'"),
            (("vestige_scheduler@localhost", "1", "MINUTE", "ENABLED", "PRESERVE",
              "CALL vestige_run_due_schedules()"),))

    def test_runs_what_is_due(self):
        which = self.add("ran", "perl")
        self.ship(1, "perl")
        self.event("ON SCHEDULE EVERY 1 SECOND ENABLE")
        try:
            wait_for(lambda: self.root.value("SELECT COUNT(*) FROM schedule_run WHERE result = 'success'"),
                     60, "the event runs the schedule")
            self.assertEqual(len(self.findings()), 1)
            due = self.root.value("SELECT next_due FROM schedule")
            self.assertGreater(due, self.now + datetime.timedelta(minutes=4))
            self.ship(2, "perl", login_uid=1)
            self.root.run("UPDATE schedule SET next_due = %s - INTERVAL 3 MINUTE", self.now)
            wait_for(lambda: len(self.findings()) == 2, 60, "the event runs it again")
        finally:
            self.event("ON SCHEDULE EVERY 1 MINUTE DISABLE")
            self.root.wait_for_events()  # of two that began, one may just find that the other is at work
        # On its beat: two minutes from then, not five from now.
        wait_for(lambda: self.root.value("SELECT next_due FROM schedule") ==
                 self.now + datetime.timedelta(minutes=2), 60, "the beat is kept")
        self.assertEqual(self.root.run("SELECT DISTINCT result FROM schedule_run WHERE schedule_id = %s",
                                       which), (("success",),))

    def test_one_that_fails_does_not_stop_the_others(self):
        bad, good = self.add("ran", "sh"), self.add("ran", "perl")
        self.root.run("UPDATE schedule SET question_sql = 'SELECT nothing' WHERE id = %s", bad)
        self.ship(1, "perl")
        self.root.run("CALL vestige_run_due_schedules()")
        self.assertEqual(self.root.run(
            "SELECT schedule_id, result, message, finished_at >= started_at, duration >= 0 FROM schedule_run"
            " ORDER BY id"),
            ((bad, "failure", "error 1054: Unknown column 'nothing' in 'SELECT'", 1, 1),
             (good, "success", "", 1, 1)))
        self.assertEqual(self.root.run("SELECT name, result, message FROM maintenance_run"),
                         (("schedules", "failure", f"2 runs, 1 failed; schedule {bad}, ran"),))
        self.assertEqual(self.positions(bad), [])
        # It is tried again at its next time, and nothing was lost.
        self.root.run("CALL vestige_run_due_schedules()")
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM schedule_run"), 2)
        self.assertEqual(len(self.findings()), 1)


class Questions(ScheduleTest):
    """All questions of ours that may be scheduled."""

    VALUES = {"text": "x", "number": "7", "address": "192.0.2.7", "path": "/etc", "time": "1h ago",
              "host": "web", "user": "1000"}

    def headers(self):
        """{name: words for its parameters that have no default} of those with `schedule:`"""
        found = {}
        for name in os.listdir(QUESTIONS):
            if not name.endswith(".sql"):
                continue
            with open(os.path.join(QUESTIONS, name)) as file:
                text = file.read()
            if re.search(r"^-- schedule:", text, re.M):
                found[name.removesuffix(".sql")] = [
                    f"{parameter}={self.VALUES[kind]}" for parameter, kind, default in re.findall(
                        r"^-- parameter: *(\w+) +(\w+) *(=?)", text, re.M) if not default]
        return found

    def test_each_can_be_asked(self):
        for number, (name, words) in enumerate(sorted(self.headers().items()), 1):
            with self.subTest(name=name):
                done = self.schedule("add", name, *words, "--every", "5", *DIRECTORY)
                which = int(done.stdout.split()[1].rstrip(":"))
                self.ship(number, "perl")
                result = self.run_now(which)
                self.assertEqual(result[:2], ("success", 1), self.root.value(
                    "SELECT message FROM schedule_run ORDER BY id DESC LIMIT 1"))


if __name__ == "__main__":
    main()
