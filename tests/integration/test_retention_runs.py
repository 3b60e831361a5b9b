#!/usr/bin/python3
"""Runs of the retention: such as end half way, at each step and in each manner; agents at work meanwhile; the
ends of rows that stayed; who may do what; the command."""

import datetime
import os
import signal
import sys
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from private_server import Refused, Session
from retention_model import Row, id_of, midnight
from retention_test import RetentionTest
from ship_fixture import ShipServer, Tool
from vestige_test import wait_for

DAY = datetime.timedelta(1)
BOOT = "01234567-89ab-4cde-8f01-23456789abcd"
LATER = 12  # days after today on which the runs of these tests are


class RunTest(RetentionTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root.run("CALL vestige_retention_keep('*', 5)")
        cls.noon = midnight(cls.today) + datetime.timedelta(hours=12)
        cls.number = 0

    @classmethod
    def row(cls, table, host=1, is_open=False, **columns):
        cls.number += 1
        number = id_of(cls.noon) + cls.number
        end = {} if is_open else {"destroyed_at": cls.noon, "end_cause": "exit", "end_batch": 1}
        return Row(table, host_id=host, id=number, day=cls.today, created_at=cls.noon, seen_by="proc", batch=1,
                   **{"destroyed_at": None, "end_cause": None, "end_batch": None, **end}, **columns)

    def agent(self, host):
        return Session(self.server, database="vestige", read_default_group="vestige",
                       read_default_file=os.path.join(self.server.directory, f"enrolled-{host}", "agent.cnf"))

    def run_later(self):
        self.retain(self.today + LATER * DAY)


class Needed(RunTest):
    """Rows that are old by the rule of their own table, and those that say more of what is kept longer."""

    def lived(self, table, **columns):
        row = self.row(table, **columns)
        row["destroyed_at"] += datetime.timedelta(hours=1)
        return row

    def test_processes_that_are_kept_longer(self):
        shell = self.lived("process", pid=1, boot_id=BOOT, session_id=1)
        needed = [self.lived("session", boot_id=BOOT, session_id=1, process_id=shell["id"]),
                  self.lived("boot", boot_id=BOOT), self.lived("host", name="h1"),
                  self.row("auth_attempt", username="ann", process_id=shell["id"], result="success")]
        others = [self.lived("session", boot_id=BOOT, session_id=2),
                  self.lived("boot", boot_id=BOOT.replace("0", "f")), self.row("host", name="before"),
                  self.row("auth_attempt", username="ann", process_id=1, result="failure")]
        self.insert([shell, *needed, *others])
        for tables in (("auth_attempt",), ("session", "boot", "host")):
            for table in tables:
                self.root.run("CALL vestige_retention_keep(%s, 2)", table)
            self.retain(self.today + 4 * DAY)
            for table in tables:
                self.assertEqual(self.keys(table), {row.key for row in needed if row.table == table}, table)
        self.run_later()
        self.assertEqual({table: self.keys(table) for table in ("process", "session", "boot", "host", "auth_attempt")},
                         dict.fromkeys(("process", "session", "boot", "host", "auth_attempt"), set()))

    def test_refused_line_that_came_late(self):
        """It lived when its batch was made, not when that arrived."""
        for batch, days_before in ((1, 5), (2, 0)):
            self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                          " n_lines, recovered, received_at) VALUES (1, %s, 'a', '', 2, UUID(), %s, %s, 1, 0, %s)", batch,
                          self.noon - days_before * DAY, self.noon, self.noon)
            self.root.run("INSERT INTO rejected (host_id, batch, line, table_name, text, error, message, received_at)"
                          " VALUES (1, %s, 1, 'gap', 'x', 1406, 'x', %s)", batch, self.noon)
        self.root.run("CALL vestige_hold_add(1, NULL, NULL, %s, %s, 'because', NULL, @id)", self.noon - 6 * DAY,
                      self.noon - 4 * DAY)
        self.run_later()
        self.assertEqual(self.root.run("SELECT batch FROM rejected"), ((1,),))
        self.root.run("CALL vestige_hold_release(@id, @n)")


class Interrupted(RunTest):
    """Rows of three tables, of which a run drops all but the open ones."""
    # Ended only by a KILL, which ends the run with it.
    WAIT = ("SELECT COUNT(*) INTO @vestige_n FROM information_schema.collations a,"
            " information_schema.collations b, information_schema.collations c, information_schema.collations d"
            " WHERE CONCAT(a.id, b.id, c.id, d.id) = 'x'")
    # Once merged, the days of before are no partitions any more.
    STEPS = ("merge", "look", "form", "gate", "copy", "exchange", "after-exchange", "drop", "delete", "seal")

    def fill(self):
        for table in ("process", "file_access", "gap", "batch", "retention_log", "retention_seal", "maintenance_run"):
            self.root.run(f"DELETE FROM {table}")
        kinds = {"process": {"pid": 1, "boot_id": BOOT}, "file_access": {"path": "/x"},
                 "gap": {"boot_id": BOOT, "source": "audit", "cause": "x", "unit": "row"}}
        rows = [self.row(table, is_open=n % 40 == 0, **columns) for table, columns in kinds.items()
                for n in range(200)]
        self.insert(rows)
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                      " n_lines, recovered, digests, received_at) VALUES (1, 1, 'a', '', 2, UUID(), %s, %s, 1, 0, '', %s),"
                      " (1, 2, 'b', '', 2, UUID(), %s, %s, 1, 0, '', %s)", *[self.noon] * 6)
        self.root.run("UPDATE gap SET end_batch = 2 WHERE end_batch = 1")
        return {table: {row.key for row in rows if row.table == table and row["destroyed_at"] is None}
                for table in kinds}

    def stop_at(self, step):
        """The procedure that notes each step, with a sleep in one of them."""
        when = "now_doing = 'drop'" if step == "after-exchange" else f"now_doing = '{step}'"
        sleep = f"IF {when} THEN {self.WAIT}; END IF;"
        body = self.original.partition("BEGIN")[2]
        if step == "after-exchange":
            body = f"BEGIN {sleep} {body}"
        else:
            body = f"BEGIN {body.rpartition('END')[0]} {sleep} END"
        self.root.run(self.head + body)

    def setUp(self):
        text = self.root.run("SHOW CREATE PROCEDURE vestige_retention_step")[0][2]
        self.head, begin, rest = text.replace("CREATE ", "CREATE OR REPLACE ", 1).partition("BEGIN")
        self.original = begin + rest

    def restore(self):
        self.root.run(self.head + self.original)

    def interrupt(self, step, how):
        session = self.server.root("vestige")
        connection = session.value("SELECT CONNECTION_ID()")
        errors = []
        worker = threading.Thread(target=lambda: errors.append(
            session.error("CALL vestige_retention_at(%s, 0)", self.today + LATER * DAY)))
        worker.start()
        wait_for(lambda: self.root.run("SELECT 1 FROM information_schema.processlist WHERE id = %s"
                                       " AND info LIKE '%%collations a%%'", connection), 60, f"the run is at {step}")
        if how == "server":
            self.server.process.send_signal(signal.SIGKILL)
            self.server.process.wait(60)
            self.server.log.close()
            self.server.start()
            type(self).root = self.server.root("vestige")
        else:
            self.root.run(f"KILL {how} {connection}")
        worker.join(60)
        self.assertFalse(worker.is_alive())
        self.assertNotEqual(errors, [0])
        if how != "server":
            wait_for(lambda: not self.root.run("SELECT 1 FROM information_schema.processlist WHERE id = %s"
                                               " AND command <> 'Sleep'", connection), 60, "it has ended")
        if how == "QUERY":
            self.addCleanup(session.close)

    def assert_whole(self, kept):
        for table, keys in kept.items():
            self.assertEqual(self.keys(table), keys, table)
        self.assertEqual(dict(self.root.run("SELECT table_name, CAST(SUM(n_dropped) AS INT) FROM retention_log"
                                            " WHERE table_name <> 'maintenance_run' GROUP BY table_name")),
                         {"process": 195, "file_access": 195, "gap": 195, "batch": 1})
        self.assertEqual(self.root.run("SELECT batch FROM batch WHERE digests IS NULL"), ((2,),))
        self.assertEqual(self.root.run("SHOW TABLES LIKE 'retention\\_rewrite'"), ())
        self.assertEqual(self.root.run("SHOW TABLES LIKE 'retention\\_form'"), ())
        self.assertEqual(self.root.run("SHOW TRIGGERS WHERE `Trigger` LIKE 'retention%'"), ())
        self.assertEqual(self.root.run("SELECT run_id, step FROM retention_step"), ((None, None),))
        self.assertEqual(self.root.run("SELECT * FROM retention_seal"), ())

    def test_each_step(self):
        ways = ("QUERY", "CONNECTION", "server")
        for number, step in enumerate(self.STEPS):
            ways_here = ways if step in ("exchange", "after-exchange") else (ways[number % 3],)
            for how in ways_here:
                with self.subTest(step=step, how=how):
                    kept = self.fill()
                    self.root.run("CALL vestige_make_partitions_at(%s, 1)", self.today + LATER * DAY)
                    self.stop_at(step)
                    try:
                        self.interrupt(step, how)
                    finally:
                        self.restore()
                    self.run_later()
                    runs = self.root.run("SELECT result, message FROM maintenance_run WHERE name = 'retention' ORDER BY id")
                    self.assertEqual([result for result, _ in runs], ["failure", "success"])
                    self.assertIn("interrupted", runs[0][1])
                    self.assert_whole(kept)

    def test_two_at_once(self):
        self.fill()
        self.stop_at("look")
        other = self.server.root("vestige")
        worker = threading.Thread(target=other.error, args=("CALL vestige_retention_at(%s, 0)", self.today + LATER * DAY))
        worker.start()
        wait_for(lambda: self.root.run("SELECT 1 FROM retention_step WHERE step = 'look'"), 60, "it is at work")
        self.restore()
        guard = self.root.run("SELECT * FROM retention_step"), self.root.run("SHOW PROCESSLIST")
        with self.assertRaisesRegex(Refused, "another run of the retention is at work", msg=guard):
            self.run_later()
        connection = other.connection.thread_id()
        self.root.run(f"KILL CONNECTION {connection}")
        worker.join(60)
        wait_for(lambda: not self.root.run("SELECT 1 FROM information_schema.processlist WHERE id = %s", connection), 60,
                 "its connection is gone")
        self.run_later()
        self.assertEqual(self.last_run()[1], "success")

    def test_a_hold_that_comes_during_the_run(self):
        kept = self.fill()
        everything = {table: self.keys(table) for table in kept}
        self.WAIT = "DO GET_LOCK('copied', 60)"
        self.root.run("DO GET_LOCK('copied', 0)")
        self.stop_at("copy")
        errors = []
        other = self.server.root("vestige")
        worker = threading.Thread(target=lambda: errors.append(
            other.error("CALL vestige_retention_at(%s, 0)", self.today + LATER * DAY)))
        worker.start()
        connection = other.connection.thread_id()
        wait_for(lambda: self.root.run("SELECT 1 FROM information_schema.processlist WHERE id = %s"
                                       " AND info LIKE '%%GET_LOCK%%'", connection), 60, "it copies")
        self.root.run("CALL vestige_hold_add(NULL, NULL, NULL, NULL, NULL, 'all', NULL, @id)")
        self.addCleanup(self.root.run, "CALL vestige_hold_release(@id, @n)")
        self.restore()
        self.root.run("DO RELEASE_LOCK('copied')")
        worker.join(60)
        self.assertEqual(errors, [1644])
        self.assertIn("a hold was added", self.last_run()[2])
        self.assertEqual(everything, {table: self.keys(table) for table in kept})


class Ends(RunTest):
    """An agent ends and settles rows that a rewrite has kept, and each end reads one partition of many."""

    def setUp(self):
        self.host = self.agent("h1")
        self.addCleanup(self.host.close)

    def read_keys(self):
        return int(self.host.run("SHOW SESSION STATUS LIKE 'Handler_read_key'")[0][1])

    def open_row(self):
        row = self.row("process", is_open=True, pid=1, boot_id=BOOT)
        self.host.run("INSERT INTO process_in (host_id, id, day, batch, created_at, seen_by, boot_id, pid) VALUES"
                      " (1, %s, %s, 1, %s, 'proc', %s, 1)", row["id"], row["day"], row["created_at"], BOOT)
        return row

    def test_one_partition(self):
        rows = [self.open_row() for _ in range(3)]
        self.insert([self.row("process", pid=1, boot_id=BOOT) for _ in range(100)])
        self.root.run("CALL vestige_make_partitions_at(%s, 40)", self.today + LATER * DAY)
        n_partitions = self.n_partitions()
        self.assertGreater(n_partitions, 50)
        self.end_row(rows[0], self.today)
        self.run_later()
        self.assertEqual(self.keys("process"), {row.key for row in rows[1:]})
        self.assertLess(self.n_partitions(), n_partitions - 5)  # those of before are one
        self.settle_row(rows[1])
        for row in rows[1:]:
            self.end_row(row, self.today + LATER * DAY)
        # Such a row goes when its end is out of the window.
        self.retain(self.today + (LATER + 4) * DAY)
        self.assertEqual(self.keys("process"), {row.key for row in rows[1:]})
        self.retain(self.today + (LATER + 6) * DAY)
        self.assertEqual(self.keys("process"), set())

    def n_partitions(self):
        return self.root.value("SELECT COUNT(*) FROM information_schema.partitions WHERE table_schema = 'vestige'"
                               " AND table_name = 'process'")

    def change(self, view, row, columns):
        # The first statement of a table's form reads the statistics of its columns, too.
        self.host.run(f"UPDATE {view} SET {columns} WHERE host_id = 1 AND id = 1 AND day = '1970-01-01'")
        before = self.read_keys()
        n = self.host.run(f"UPDATE {view} SET {columns} WHERE host_id = 1 AND id = %s AND day = %s", row["id"], row["day"])
        self.assertEqual(n, 1)
        self.assertLessEqual(self.read_keys() - before, 2)

    def end_row(self, row, day):
        self.change("process_end", row, f"destroyed_at = '{day} 13:00:00', end_cause = 'exit', end_batch = 3")
        # Without the day each partition is read.
        before = self.read_keys()
        self.host.run("UPDATE process_end SET end_batch = 4 WHERE host_id = 1 AND id = %s", row["id"] + 10**12)
        self.assertGreater(self.read_keys() - before, 20)

    def settle_row(self, row):
        self.change("process_settle", row, "comm = 'late', settle_batch = 2")


class Command(RunTest):
    """What a person sees of it, and who may do it."""

    def command(self, *words, status=0):
        done = self.server.vestige("server", *words, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_policy(self):
        self.assertIn("Rows are kept for 28 days: file_access.", self.command("retention", "--keep", "4w", "--table",
                                                                              "file_access"))
        self.command("retention", "--keep", "3 days", "--table", "file_access")
        self.command("retention", "--keep", "forever", "--table", "file_access")
        self.assertEqual(self.root.run("SELECT old_value, new_value, changed_by FROM retention_change"
                                       " WHERE table_name = 'file_access'"),
                         ((None, 28, "root@localhost"), (28, 3, "root@localhost"), (3, None, "root@localhost")))
        for word in ("0d", "-1d", "d", "1.5d", "90m", "99999999999999999999d", "40000", "90d'", "%s", ""):
            self.assertIn("is no time to keep", self.command("retention", "--keep", word, status=2))
        for table in ("nosuch", "process; DROP TABLE process", "'", "hold", "retention_log"):
            self.assertIn("no such table of evidence",
                          self.command("retention", "--keep", "9d", "--table", table, status=2))
        self.assertIn('did you mean "file_access"?', self.command("retention", "--dry-run", "--keep", "9d", "--table",
                                                                  "file_acces", status=2))
        self.assertIn("file_access for ever", self.command("retention"))

    def test_hold(self):
        hostile = "o'brien \" %s \\ \033[31m" + "x" * 60000
        self.assertIn("is in force", self.command("hold", "add", "--on", "h2", "--reason", hostile, "--case", "A'1",
                                                  "--since", "2026-01-01", "--until", "2026-02-01"))
        number, reason = self.root.run("SELECT id, reason FROM hold WHERE case_name = 'A''1'")[0]
        self.assertEqual(reason, hostile)
        shown = self.command("hold", "list")
        self.assertIn("A'1", shown)
        self.assertNotIn("\033", shown)
        self.assertIn("is released", self.command("hold", "release", str(number)))
        self.assertIn("no hold", self.command("hold", "release", str(number), status=2))
        for words, told in ((("add",), "--reason is missing"), (("release", "x"), "no number of a hold"),
                            (("release", "99"), "no hold 99"), (("list", "--reason", "x"), "for `add`"),
                            (("add", "--reason", "x", "--on", "h9"), "h9"),
                            (("add", "--reason", "x", "--since", "2026-02-01", "--until", "2026-01-01"), "")):
            self.assertIn(told, self.command("hold", *words, status=2))
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM hold WHERE released_at IS NULL"), 0)

    def test_answers_say_what_was_dropped(self):
        rows = [self.row("process", host=2, pid=1, boot_id=BOOT) for _ in range(7)]
        self.insert(rows)
        self.assertNotIn("dropped by retention", self.ask())
        plan = self.command("retention", "--dry-run", "--keep", "1d", "--format", "csv", status=1)
        self.assertIn("0 rows would go", plan)
        self.root.run("CALL vestige_make_partitions_at(%s, 1)", self.today + LATER * DAY)
        self.run_later()
        self.assertIn(f"7 rows of {self.today} to {self.today} dropped by retention", self.ask())
        self.assertIn("is not complete", self.ask())
        self.assertNotIn("dropped", self.ask("--since", str(self.today + LATER * DAY)))

    def ask(self, *words):
        moment = "@since" if words else "'1970-01-01'"
        return self.server.vestige("query", f"SELECT COUNT(*) FROM process WHERE created_at >= {moment}", *words).stdout

    def test_who_may(self):
        self.root.run("CREATE USER reader@localhost")
        self.root.run("GRANT vestige_reader TO reader@localhost")
        self.root.run("SET DEFAULT ROLE vestige_reader FOR reader@localhost")
        self.root.run("CREATE USER chief@localhost")
        self.root.run("GRANT vestige_admin TO chief@localhost")
        self.root.run("SET DEFAULT ROLE vestige_admin FOR chief@localhost")
        calls = ("CALL vestige_retention_keep('*', 5)", "CALL vestige_retention_at(UTC_DATE(), 0)",
                 "CALL vestige_hold_release(1, @n)", "CALL vestige_retention_due()")
        writes = ("DELETE FROM hold", "DELETE FROM retention_log", "UPDATE retention_change SET changed_by = 'x'",
                  "UPDATE retention SET keep_days = 1", "INSERT INTO retention_seal VALUES (1, 1)")
        chief = Session(self.server, user="chief", database="vestige")
        self.assertEqual([chief.error(call) for call in calls], [0] * len(calls))
        for who in (chief, Session(self.server, user="reader", database="vestige"), self.agent("h1")):
            self.assertTrue(all(who.error(write) in (1142, 1143) for write in writes))
            if who is not chief:
                self.assertEqual([who.error(call) for call in calls], [1370] * len(calls))
            who.close()


class Agents(unittest.TestCase):
    """A shipper that sends old rows, all of them into the partition that is rewritten again and again."""

    def test_nothing_is_refused_or_lost(self):
        server = ShipServer()
        self.addCleanup(server.close)
        tool = Tool(server)
        self.addCleanup(tool.remove)
        server.query("ALTER EVENT vestige_retention DISABLE")
        server.query("CALL vestige_make_partitions()")
        server.query("CALL vestige_retention_keep('*', 30)")
        tool.fill("--fill", 40000, "--open", 15000, "--settle", 5000)
        shipping = tool.start("--timeout", 200000, "--retry-first", 20, "--retry-most", 100)
        n_runs = n_meanwhile = 0
        while shipping.poll() is None:
            server.query("INSERT INTO process (host_id, id, day, created_at, destroyed_at, end_cause, seen_by, boot_id,"
                         " pid, batch, end_batch) SELECT 9, seq, '1970-01-01', '1970-01-01', '1970-01-02', 'exit',"
                         " 'proc', UUID(), 1, 1, 1 FROM seq_1_to_500")
            before = server.query("SELECT MAX(batch) FROM batch")
            server.query("CALL vestige_retention_at(UTC_DATE(), 0)")
            n_runs += 1
            n_meanwhile += before != server.query("SELECT MAX(batch) FROM batch")
            self.assertEqual(0, server.value("SELECT COUNT(*) FROM process WHERE host_id = 9"))
        result = tool.finish(shipping)
        self.assertEqual((0, 0), (result.status, result.rows_rejected), result.text)
        self.assertGreater(n_meanwhile, 0)
        self.assertEqual((40000, 40000, 40000), server.query(
            "SELECT COUNT(*), COUNT(DISTINCT id), COUNT(end_batch) FROM process WHERE host_id = 7")[0])
        self.assertEqual(5000, server.value("SELECT COUNT(settle_batch) FROM process"))
        self.assertEqual(0, server.value("SELECT COUNT(*) FROM rejected"))
        self.assertEqual(500 * n_runs, server.value("SELECT SUM(n_dropped) FROM retention_log"))


class Proof(unittest.TestCase):
    """vestige verify accepts what retention dropped, and nothing else."""

    def setUp(self):
        self.server = ShipServer()
        self.addCleanup(self.server.close)
        self.tool = Tool(self.server)
        self.addCleanup(self.tool.remove)
        self.server.query("ALTER EVENT vestige_retention DISABLE")
        self.server.query("CALL vestige_make_partitions()")
        self.server.query("INSERT INTO enrolment (host_id, name, account) VALUES (7, 'seven', 'agent_7')")

    def verify(self, status=0):
        done = self.server.vestige("verify", check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def test_verify(self):
        query = self.server.query
        self.assertEqual(0, self.tool.run("--fill", 30000, "--open", 6000, "--settle", 1000).status)
        self.assertIn("30000 rows", self.verify())
        # Lines of 2023 that arrived then; a tenth of a second of them is held.
        query("UPDATE batch SET received_at = '2023-11-15'")
        query("CALL vestige_hold_add(7, NULL, NULL, '2023-11-14 22:13:20.5', '2023-11-14 22:13:20.6', 'x', NULL, @id)")
        query("CALL vestige_retention_keep('*', 30)")
        query("CALL vestige_retention_at(UTC_DATE(), 0)")
        kept = query("SELECT COUNT(*) FROM process")[0][0]
        self.assertGreater(kept, 1000)
        self.assertEqual(((5, 4),), query("SELECT COUNT(*), SUM(digests IS NULL) FROM batch"))
        self.assertIn(f"{kept} rows", self.verify())
        self.assertIn("digest lists of 4 batches", self.verify())
        row = query("SELECT id FROM process ORDER BY id LIMIT 1")[0][0]
        query("UPDATE process SET uid = uid + 1 WHERE id = %s", row)
        self.assertIn(str(row), self.verify(1))


if __name__ == "__main__":
    unittest.main()
