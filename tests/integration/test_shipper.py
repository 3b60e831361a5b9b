#!/usr/bin/python3
"""The shipper against a real server, without an agent: every row exactly once, whatever dies in
between; bad rows in quarantine and nothing else there; what an operator must mend shows as lag."""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from network_test import own_port
from ship_fixture import HOST_ID, PASSWORD, SOURCE, ShipServer, Tool
from ship_peers import AskingServer, Relay
from vestige_test import wait_for

FIRST_ID = 1700000000000000
STEP = 50
QUICK = ("--retry-first", 50, "--retry-most", 200)
FAILS = ("--failures", 3, *QUICK)  # and ends, however long that takes


class ShipTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = ShipServer()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.server.ensure()
        self.server.empty()
        self.tool = Tool(self.server)
        self.addCleanup(self.tool.remove)

    def assert_exact(self, n):
        """The n rows that ship_tool made, each once, and no other."""
        self.assertEqual(
            (n, n, FIRST_ID, FIRST_ID + (n - 1) * STEP, n),
            self.server.query("SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id),"
                              " COUNT(end_batch) FROM process")[0])
        self.assertEqual(0, self.server.value(
            f"SELECT COUNT(*) FROM process WHERE (id - {FIRST_ID}) MOD {STEP} <> 0"
            f" OR arguments NOT LIKE CONCAT('tag-', (id - {FIRST_ID}) DIV {STEP}, ' %%')"))
        self.assertEqual(0, self.rejected())
        self.assertEqual(self.server.value("SELECT COUNT(*) FROM batch"),
                         self.server.value("SELECT COUNT(DISTINCT batch) FROM batch"))

    def rejected(self):
        return self.server.value("SELECT COUNT(*) FROM rejected")

    def said(self):
        """What a started tool has written so far."""
        return (self.tool.directory / "output").read_text()

    def stored(self):
        return self.server.value("SELECT COUNT(*) FROM process")

    def assert_shipped(self, result):
        self.assertEqual(0, result.status, result.text)
        self.assertEqual(0, result.waiting)
        self.assertEqual("", result.error)
        self.assertEqual(1, result.connected)

    def assert_lag(self, result, *words):
        """Nothing was shipped, nothing was lost, and the status says why."""
        self.assertEqual(1, result.status, result.text)
        self.assertGreater(result.waiting, 0)
        self.assertEqual(0, result.rows_rejected)
        self.assertEqual(0, result.batches_shipped)
        for word in words:
            self.assertIn(word, result.error)
        self.assertNotIn(PASSWORD, result.text)


class Delivery(ShipTest):
    def test_every_row_once(self):
        result = self.tool.run("--fill", 100000)
        self.assert_shipped(result)
        self.assertEqual(100000, result.rows_shipped)
        self.assertEqual(result.batches_sealed, result.batches_shipped)
        self.assert_exact(100000)
        self.assertEqual((100000, result.batches_sealed), self.server.query(
            "SELECT CAST(SUM(n_lines) AS INT), COUNT(*) FROM batch")[0])
        self.assertEqual(0, self.server.value(
            "SELECT COUNT(*) FROM process JOIN batch USING (host_id, batch)"
            " WHERE end_batch <> batch OR id < UNIX_TIMESTAMP(first_time) * 1000000"))
        offsets = [result.server_offset_us]

        def is_measured():
            """It is off by half of a question at most; on a busy machine all three of a connection may be slow."""
            if abs(offsets[-1]) < 20000:
                return True
            more = FIRST_ID + (100000 + len(offsets)) * STEP
            offsets.append(self.tool.run("--fill", 1, "--first-id", more).server_offset_us)
            return False
        wait_for(is_measured, 60, "the offset of a clock that is the same")

    def test_values_arrive_as_they_are(self):
        self.assert_shipped(self.tool.run("--fill", 2))
        row = self.server.query(
            "SELECT host_id, CAST(day AS CHAR), CAST(created_at AS CHAR), CAST(destroyed_at AS CHAR),"
            " seen_by, boot_id, pid, previous_id, arguments, cmdline, login_uid, exit_code,"
            " exit_signal, net_ns, settle_batch, end_batch"
            " FROM process WHERE id = %s", FIRST_ID + STEP)[0]
        arguments = "tag-1 --output /var/tmp/build/object-1.o 'a b\tc\\d'"
        self.assertEqual(
            (HOST_ID, "2023-11-14", "2023-11-14 22:13:20.000050", "2023-11-14 22:13:20.001550",
             "audit,connector,taskstats", "01234567-89ab-4cde-8f01-23456789abcd", 301, None,
             arguments, "/usr/bin/true " + arguments, 1000, 1, None, 4026531840, None, 1), row)

    def test_rows_are_settled_and_ended_by_later_lines(self):
        result = self.tool.run("--fill", 20000, "--open", 5000, "--settle", 2000)
        self.assert_shipped(result)
        self.assertEqual(27000, result.rows_shipped)
        self.assert_exact(20000)
        self.assertEqual(2000, self.server.value(
            "SELECT COUNT(*) FROM process WHERE settle_batch > 0 AND comm = 'true'"))
        self.assertEqual(5000, self.server.value(
            f"SELECT COUNT(*) FROM process WHERE id < {FIRST_ID + 5000 * STEP}"
            f" AND end_batch >= batch AND exit_code = (id - {FIRST_ID}) DIV {STEP} MOD 256"))

    def test_a_row_is_inserted_settled_and_ended_in_one_batch(self):
        self.assert_shipped(self.tool.run("--fill", 100, "--open", 60, "--settle", 30))
        self.assert_exact(100)
        self.assertEqual(1, self.server.value("SELECT COUNT(*) FROM batch"))

    def test_a_committed_batch_is_recognised(self):
        """As after kill -9 between commit and unlink."""
        self.tool.fill("--fill", 30000, "--open", 1000)
        self.tool.save()
        self.assertEqual(31000, self.tool.run().rows_shipped)
        before = self.server.query("CHECKSUM TABLE process, batch, rejected")
        self.tool.restore()
        result = self.tool.run()
        self.assert_shipped(result)
        self.assertEqual(0, result.rows_shipped)
        self.assertEqual(before, self.server.query("CHECKSUM TABLE process, batch, rejected"))
        self.assertEqual([], self.tool.batches())

    def test_another_hash_of_the_same_number_is_no_reason_to_stop(self):
        self.server.query(
            "INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
            " last_time, n_lines, recovered) VALUES (%s, 1, REPEAT('f', 32), '', 1, UUID(),"
            " '2020-01-01', '2020-01-01', 0, 0)", HOST_ID)
        self.assert_shipped(self.tool.run("--fill", 10))
        self.assertEqual(10, self.stored())
        self.assertEqual(2, self.server.value("SELECT COUNT(*) FROM batch WHERE batch = 1"))


class Formats(ShipTest):
    """What the header of a batch says arrives, whichever version wrote it."""

    def seals(self):
        return self.server.query("SELECT batch, format, hash, previous_hash, births, signature, recovered"
                                 " FROM batch ORDER BY batch")

    def key(self):
        """Of a host, made by another program than ours."""
        path = self.tool.directory / "signing.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True,
                       capture_output=True, stdin=subprocess.DEVNULL)
        path.chmod(0o600)
        return path

    def fits(self, key, hash, signature):
        """Whether openssl says so."""
        public, message, said = (self.tool.directory / name for name in ("public", "message", "signature"))
        subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)], check=True)
        message.write_bytes(b"vestige batch\n" + hash)
        said.write_bytes(signature)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public),
                               "-in", str(message), "-sigfile", str(said)], check=False,
                              capture_output=True).returncode == 0

    def test_signatures(self):
        """Without a key there are none; each batch has the one of the key that was there then."""
        self.assert_shipped(self.tool.run("--fill", 10))
        keys = [self.key()]
        self.assert_shipped(self.tool.run("--fill", 10, "--first-id", FIRST_ID + 10 * STEP, "--key", keys[0]))
        os.rename(keys[0], keys[0].with_suffix(".former"))
        keys = [keys[0].with_suffix(".former"), self.key()]
        self.assert_shipped(self.tool.run("--fill", 10, "--first-id", FIRST_ID + 20 * STEP, "--key", keys[1]))
        seals = self.seals()
        self.assertEqual([(1, 2, 10), (2, 2, 20), (3, 2, 30)], [(seal[0], seal[1], seal[4]) for seal in seals])
        self.assertIsNone(seals[0][5])
        for seal, right, wrong in ((seals[1], 0, 1), (seals[2], 1, 0)):
            self.assertTrue(self.fits(keys[right], seal[2], seal[5]))
            self.assertFalse(self.fits(keys[wrong], seal[2], seal[5]))

    def test_a_journal_of_an_older_version(self):
        """Two sealed batches, and one that its agent left open; nothing of them is lost, and what is new is signed
        and chained to them."""
        self.tool.journal.mkdir(mode=0o700)
        for file in (SOURCE / "tests" / "data" / "journal-format-1").iterdir():
            shutil.copy(file, self.tool.journal)
        key = self.key()
        result = self.tool.run("--key", key)
        self.assert_shipped(result)
        self.assertEqual(26, result.rows_shipped)
        self.assertEqual((14, 14, 6, None, 8, "investigator", 14), self.server.query(
            "SELECT COUNT(*), COUNT(destroyed_at), COUNT(settle_batch), MAX(masked), COUNT(IF(settle_batch IS NULL, cwd,"
            " NULL)), MAX(login_username), COUNT(argc) FROM process")[0])
        self.assertEqual(0, self.rejected())
        self.assert_shipped(self.tool.run("--key", key, "--fill", 5, "--first-id", FIRST_ID + 9000000))
        seals = self.seals()
        self.assertEqual([(1, 1, 5, 0), (2, 1, 10, 0), (3, 1, 4, 1), (4, 2, 9, 0)],
                         [(batch, format_, births, recovered) for batch, format_, _, _, births, _, recovered in seals])
        for before, seal in zip(seals, seals[1:]):
            self.assertEqual(before[2], seal[3])
        self.assertEqual([None] * 3, [seal[5] for seal in seals[:3]])
        self.assertTrue(self.fits(key, seals[3][2], seals[3][5]))


class Deaths(ShipTest):
    INSERT = ("INSERT INTO process (host_id, id, day, created_at, seen_by, boot_id, pid, batch)"
              " VALUES (%s, %s, '2023-11-14', NOW(), 'proc', UUID(), 1, 1)")

    def hold(self, row):
        """Nobody gets past the batch with this row, however slow the test is, until the session that is
        returned rolls back, or ends."""
        other = self.server.root("vestige")
        self.addCleanup(other.close)
        other.run("START TRANSACTION")
        other.run(self.INSERT, HOST_ID, FIRST_ID + row * STEP)
        return other

    def test_server_killed_in_the_middle(self):
        self.tool.fill("--fill", 100000)
        self.hold(40000)
        process = self.tool.start("--timeout", 300000, *QUICK)
        for outage, at_least in enumerate((15000, 50000), 1):
            wait_for(lambda: self.stored() >= at_least, 60, f"{at_least} rows", 0.001)
            self.server.kill()
            wait_for(lambda: self.said().count("is the server running") >= outage, 60, "it finds no server")
            process.send_signal(signal.SIGSTOP)
            self.server.start()
            if outage == 1:
                self.hold(90000)
            process.send_signal(signal.SIGCONT)
        result = self.tool.finish(process)
        self.assert_shipped(result)
        self.assertGreater(result.ship_failures, 0)
        self.assert_exact(100000)
        self.assertEqual(100000, result.rows_shipped)

    def test_agent_killed_in_the_middle_again_and_again(self):
        self.tool.fill("--fill", 100000)
        other = self.hold(99999)
        for delay in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
            process = self.tool.start("--timeout", 300000, *QUICK)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(delay)
            process.kill()
            self.tool.finish(process)
        other.run("ROLLBACK")
        self.assert_shipped(self.tool.run(*QUICK))
        self.assert_exact(100000)

    def test_connections_killed_again_and_again(self):
        self.tool.fill("--fill", 100000)
        other = self.hold(99999)
        process = self.tool.start("--timeout", 300000, *QUICK)
        for batches in (1, 2, 3, 4):
            wait_for(lambda: self.server.value("SELECT COUNT(*) FROM batch") >= batches, 60,
                     f"{batches} batches", 0.001)
            wait_for(self.server.close_agents, 60, "a connection to kill", 0.001)
        other.run("ROLLBACK")
        self.assert_shipped(self.tool.finish(process))
        self.assert_exact(100000)

    def commit_is_lost(self, after):
        relay = Relay(self.tool.directory / "relay", self.server.socket, times=2, after=after)
        self.addCleanup(relay.close)
        self.tool.write_defaults(socket=relay.address)
        result = self.tool.run("--fill", 25000, "--bad", 3, *QUICK)
        self.assertEqual(2, relay.cut)
        self.assert_shipped(result)
        self.assertEqual((24997, 24997), self.server.query(
            "SELECT COUNT(*), COUNT(DISTINCT id) FROM process")[0])
        self.assertEqual(3, self.rejected())
        self.assertEqual((24997, 3), (result.rows_shipped, result.rows_rejected))

    def test_connection_lost_after_commit_was_executed(self):
        self.commit_is_lost(True)

    def test_connection_lost_before_commit_was_executed(self):
        self.commit_is_lost(False)

    def test_server_away_and_back(self):
        self.tool.fill("--fill", 20000)
        self.server.stop()
        began = time.monotonic()
        process = self.tool.start("--timeout", 300000, *QUICK)
        wait_for(lambda: "is the server running" in self.said(), 60, "it finds no server")
        for name in ("nobody-1", "nobody-2"):  # it has tried again when it tells of another address
            self.tool.write_defaults(socket=self.tool.directory / name)
            wait_for(lambda: name in self.said(), 60, f"it tries {name}")
        self.assertIsNone(process.poll())
        self.tool.write_defaults()
        self.server.start()
        result = self.tool.finish(process)
        away = time.monotonic() - began
        self.assert_shipped(result)
        self.assert_exact(20000)
        # any time up to 50, 100, then 200 ms: nearly never below a mean of 20 ms
        self.assertTrue(3 <= result.ship_failures <= away / 0.02, (away, result.text))

    def test_deadlock_is_tried_again(self):
        last = FIRST_ID + 999 * STEP
        other = self.server.root("vestige")
        self.addCleanup(other.close)
        # InnoDB ends the transaction that has changed less
        other.run("CREATE OR REPLACE TABLE heavy (n INT PRIMARY KEY)")
        other.run("START TRANSACTION")
        other.run("INSERT INTO heavy SELECT seq FROM seq_1_to_50000")
        other.run(self.INSERT, HOST_ID, last)
        deadlocks = "SELECT variable_value FROM information_schema.global_status" \
                    " WHERE variable_name = 'Innodb_deadlocks'"
        before = int(self.server.value(deadlocks))
        process = self.tool.start("--fill", 1000)
        # the server refreshes this table only when nobody asked for 100 ms
        wait_for(lambda: self.server.value(
            "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"),
            60, "the shipper waits for the last row", 0.3)
        other.run(self.INSERT, HOST_ID, FIRST_ID)
        self.assertEqual(before + 1, int(self.server.value(deadlocks)))
        other.run("ROLLBACK")
        result = self.tool.finish(process)
        self.assert_shipped(result)
        self.assertEqual(0, result.ship_failures)
        self.assert_exact(1000)
        self.server.query("DROP TABLE heavy")


class Quarantine(ShipTest):
    def bad_rows(self, n, of, *options):
        result = self.tool.run("--fill", of, "--bad", n, *options)
        self.assert_shipped(result)
        self.assertEqual((of - n, n), (result.rows_shipped, result.rows_rejected))
        self.assertEqual(of - n, self.stored())
        self.assertEqual(n, self.rejected())
        self.assertEqual(0, self.server.value(
            "SELECT COUNT(*) FROM process WHERE exit_code IS NULL"))
        # exactly the lines whose exit code does not fit, whole
        self.assertEqual(n, self.server.value(
            "SELECT COUNT(DISTINCT batch, line) FROM rejected WHERE table_name = 'process'"
            " AND text LIKE 'insert\\tprocess\\t17%%\\t300\\t\\\\\\\\N'"))
        return result

    def test_one_bad_row(self):
        self.bad_rows(1, 10000)
        ((error, message),) = self.server.query("SELECT error, message FROM rejected")
        self.assertEqual(1264, error)
        self.assertIn("exit_code", message)

    def test_line_and_text_are_those_of_the_journal(self):
        self.tool.fill("--fill", 100, "--bad", 1)
        (batch,) = self.tool.batches()
        journal = subprocess.run(["zstdcat", batch], capture_output=True, check=True).stdout
        lines = journal.partition(b"\n\n")[2].split(b"\n")
        self.assert_shipped(self.tool.run())
        ((line, text),) = self.server.query("SELECT line, text FROM rejected")
        self.assertEqual(lines[line - 1].decode(), text)

    def test_500_bad_rows_of_10000_are_no_quadratic_work(self):
        started = int(self.server.query("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])
        self.bad_rows(500, 10000)
        used = int(self.server.query("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1]) - started
        # a bad row costs its own array, the one in which it was met, the good rows before it,
        # each with a savepoint, two undone, one question where it was, and one insert
        self.assertLess(used, 500 * 16)

    def statements(self, *names):
        """How many of these were executed so far. The server's own jobs would count, too."""
        self.server.query("SET GLOBAL event_scheduler = OFF")
        wait_for(lambda: not self.server.query(
            "SELECT 1 FROM information_schema.processlist WHERE user LIKE 'vestige\\_%'"
            " OR user = 'event_scheduler'"), 60, "no event is at work or about to begin")
        return [int(self.server.value("SELECT variable_value FROM information_schema.global_status"
                                      " WHERE variable_name = %s", name)) for name in names]

    def test_good_batches_need_no_savepoints(self):
        names = "Com_savepoint", "Com_rollback", "Com_begin"
        before = self.statements(*names)
        result = self.tool.run("--fill", 25000, "--open", 100, "--settle", 50)
        self.assert_shipped(result)
        after = self.statements(*names)
        self.assertEqual([0, 0, result.batches_shipped], [b - a for a, b in zip(before, after)])

    def test_care_is_for_batches_with_bad_rows_and_the_one_after(self):
        names = "Com_rollback", "Com_begin"
        before = self.statements(*names)
        # The 25,000th and the last: between them are whole batches without one.
        result = self.bad_rows(2, 50000)
        after = self.statements(*names)
        self.assertEqual([2, result.batches_shipped + 2], [b - a for a, b in zip(before, after)])

    def test_all_rows_bad(self):
        self.bad_rows(3000, 3000)

    def test_bytes_that_are_no_text(self):
        self.bad_rows(2, 1000, "--not-utf8", 1)
        self.assertEqual(1, self.server.value(
            "SELECT COUNT(*) FROM rejected WHERE text LIKE '%%\\tcaf\\\\\\\\xe9 \\\\\\\\xff\\t%%'"
            " AND message LIKE '%%not UTF-8%%digest of the whole line: %%'"))

    def test_ids_that_are_there_already(self):
        result = self.tool.run("--fill", 5000, "--twice", 7)
        self.assert_shipped(result)
        self.assertEqual((5000, 7), (result.rows_shipped, result.rows_rejected))
        self.assertEqual(5000, self.stored())
        self.assertEqual(((1062, 7),), self.server.query(
            "SELECT error, COUNT(*) FROM rejected GROUP BY error"))

    def test_ends_of_rows_that_are_not_there(self):
        result = self.tool.run("--fill", 5000, "--open", 3000, "--missing", 5)
        self.assert_shipped(result)
        self.assertEqual((8000, 5), (result.rows_shipped, result.rows_rejected))
        self.assertEqual(5, result.lost_end)
        self.assertEqual(5000, self.server.value("SELECT COUNT(end_batch) FROM process"))
        self.assertEqual(((0, 5),), self.server.query(
            "SELECT error, COUNT(*) FROM rejected WHERE text LIKE 'end\\tprocess\\t%%'"
            " AND message LIKE 'no row for this line%%' GROUP BY error"))

    def test_the_end_of_a_refused_row_is_refused_too(self):
        result = self.tool.run("--fill", 100, "--open", 100, "--twice", 1)
        self.assert_shipped(result)
        self.assertEqual(100, self.server.value("SELECT COUNT(end_batch) FROM process"))
        self.assertEqual(1, self.rejected())

    def with_packet(self, size):
        before = self.server.value("SELECT @@max_allowed_packet")
        self.server.query("SET GLOBAL max_allowed_packet = %s", size)
        self.addCleanup(self.server.query, "SET GLOBAL max_allowed_packet = %s", before)

    def test_row_larger_than_a_packet(self):
        self.with_packet(1 << 20)
        result = self.tool.run("--fill", 3000, "--huge", 3 << 20)
        self.assert_shipped(result)
        self.assertEqual((3000, 1), (result.rows_shipped, result.rows_rejected))
        self.assertEqual(3000, self.stored())
        self.assertEqual(0, result.ship_failures)
        ((error, length, message),) = self.server.query(
            "SELECT error, LENGTH(text), message FROM rejected")
        self.assertEqual(1153, error)
        self.assertTrue((1 << 20) - 8192 <= length < 1 << 20, length)
        self.assertRegex(message, f"text holds the first {length} of the line's 31[0-9]{{5}} bytes; "
                                  "digest of the whole line: [0-9a-f]{32}$")

    def test_rows_just_below_a_packet_are_stored_whole(self):
        self.with_packet(1 << 20)
        size = (1 << 20) - 4096 - 1500
        result = self.tool.run("--fill", 10, "--huge", size)
        self.assert_shipped(result)
        self.assertEqual(11, result.rows_shipped)
        self.assertEqual(size, self.server.value("SELECT MAX(LENGTH(arguments)) FROM process"))

    def test_damaged_file_is_passed_over_and_kept(self):
        self.tool.fill("--fill", 30000)
        second = self.tool.batches()[1]
        data = bytearray(second.read_bytes())
        data[len(data) // 2] ^= 0x10
        second.write_bytes(data)
        result = self.tool.run()
        self.assert_shipped(result)
        self.assertGreater(result.lost_damaged, 0)
        self.assertEqual(30000 - result.lost_damaged, self.stored())
        self.assertEqual(bytes(data), (second.parent / (second.name + ".damaged")).read_bytes())
        self.assert_shipped(self.tool.run("--fill", 10, "--first-id", FIRST_ID + 10 ** 9))
        self.assertEqual(30010 - result.lost_damaged, self.stored())

    def test_file_that_is_removed_while_it_is_sent(self):
        self.tool.fill("--fill", 30000)
        other = self.server.root("vestige")
        self.addCleanup(other.close)
        other.run("LOCK TABLES batch WRITE")
        process = self.tool.start(*QUICK)
        wait_for(lambda: self.server.query(
            "SELECT 1 FROM information_schema.processlist WHERE user = %s AND state LIKE"
            " 'Waiting for table%%'", f"agent_{HOST_ID}"), 60, "the shipper waits")
        self.tool.batches()[0].unlink()
        other.run("UNLOCK TABLES")
        result = self.tool.finish(process)
        self.assert_shipped(result)
        self.assertEqual(0, result.ship_failures)
        self.assert_exact(30000)


class Lag(ShipTest):
    """What is no fault of a row keeps everything in the journal, until it is mended."""

    def lag_and_mend(self, *words, mend, failures=3):
        try:
            self.tool.fill("--fill", 3000)
            self.assert_lag(self.tool.run("--failures", failures, *QUICK), *words)
            self.assertEqual(0, self.rejected())
        finally:
            mend()
        self.assertEqual(0, self.stored())
        self.assert_shipped(self.tool.run(*QUICK))
        self.assert_exact(3000)

    def test_table_that_somebody_holds(self):
        other = self.server.root("vestige")
        other.run("LOCK TABLES process WRITE")
        self.lag_and_mend("1205", mend=other.close, failures=1)

    def test_missing_partition(self):
        self.server.query("ALTER TABLE process REMOVE PARTITIONING")
        self.server.query("ALTER TABLE process PARTITION BY RANGE COLUMNS (day)"
                          " (PARTITION p_old VALUES LESS THAN ('2001-01-01'))")
        self.lag_and_mend("1526", mend=lambda: self.server.query(
            "ALTER TABLE process ADD PARTITION (PARTITION p_later VALUES LESS THAN (MAXVALUE))"))

    def test_missing_privilege(self):
        self.server.query("REVOKE INSERT ON process_in FROM vestige_agent")
        self.lag_and_mend("1142", mend=lambda: self.server.query(
            "GRANT INSERT ON process_in TO vestige_agent"))

    def test_missing_view(self):
        self.server.query("RENAME TABLE process_in TO process_hidden")
        self.lag_and_mend("1146", mend=lambda: self.server.query(
            "RENAME TABLE process_hidden TO process_in"))

    def test_read_only_server(self):
        self.server.query("SET GLOBAL read_only = 1")
        self.lag_and_mend("1290", mend=lambda: self.server.query("SET GLOBAL read_only = 0"))

    def test_wrong_password(self):
        self.tool.write_defaults(password="wrong-horse")
        self.tool.fill("--fill", 3000)
        result = self.tool.run("--failures", 10, *QUICK)
        self.assert_lag(result, "1045", "agent_7")
        self.assertNotIn("wrong-horse", result.text)
        self.assertEqual(0, result.connected)
        # it waits between attempts (nearly never below a mean of 20 ms), and says the same thing once
        self.assertLessEqual(result.ship_failures, float(result.seconds) / 0.02, result.text)
        self.assertEqual(1, result.text.count("batches stay in the journal"), result.text)
        self.tool.write_defaults()
        self.assert_shipped(self.tool.run())
        self.assert_exact(3000)

    def test_password_is_mended_while_it_runs(self):
        self.tool.write_defaults(password="wrong-horse")
        process = self.tool.start("--fill", 3000, *QUICK)
        wait_for(lambda: "error 1045" in self.said(), 60, "it is refused")
        self.tool.write_defaults()
        self.assert_shipped(self.tool.finish(process))
        self.assert_exact(3000)

    def test_account_of_another_host(self):
        self.tool.fill("--fill", 100, "--host", 8)
        self.assert_lag(self.tool.run("--host", 8, *FAILS), "1369")
        self.assertEqual((0, 0), (self.stored(), self.rejected()))

    def test_no_server(self):
        self.tool.write_defaults(socket=self.tool.directory / "nobody")
        self.tool.fill("--fill", 10)
        self.assert_lag(self.tool.run(*FAILS), "2002", "nobody")

    def test_no_option_file(self):
        self.tool.defaults.unlink()
        result = self.tool.run("--fill", 10)
        self.assertEqual(2, result.status)
        self.assertIn("agent.cnf", result.text)
        self.assertIn("No such file", result.text)

    def test_schema_that_is_newer_or_older(self):
        self.server.query("REPLACE INTO schema_version (version, name, checksum) VALUES (30, 'x', '')")
        self.addCleanup(self.server.query, "DELETE FROM schema_version WHERE version = 30")
        self.server.query("REPLACE INTO schema_agents VALUES (40, 29, 'a test')")
        self.addCleanup(self.server.query, "DELETE FROM schema_agents WHERE version = 40")
        self.tool.fill("--fill", 10)
        self.assert_lag(self.tool.run(*FAILS, "--schema", 28),
                        "schema is version 30 and takes agents from version 29 on, this agent writes"
                        " version 28: install the newer")
        self.assert_lag(self.tool.run(*FAILS, "--schema", 31),
                        "schema is version 30, this agent writes version 31: run `vestige server")
        self.assert_shipped(self.tool.run("--schema", 30))
        self.tool.fill("--fill", 10, "--first-id", FIRST_ID + 2 * 10 ** 9)
        self.assert_shipped(self.tool.run("--schema", 29))
        # what it may not see cannot say that an older agent is good enough
        self.server.query("REVOKE SELECT (oldest_agent) ON schema_agents FROM vestige_agent")
        self.addCleanup(self.server.query,
                        "GRANT SELECT (oldest_agent) ON schema_agents TO vestige_agent")
        self.tool.fill("--fill", 10, "--first-id", FIRST_ID + 3 * 10 ** 9)
        self.assert_lag(self.tool.run(*FAILS, "--schema", 29), "install the newer")
        self.assert_shipped(self.tool.run("--schema", 30))
        # without the right to look, it goes on
        self.server.query("REVOKE SELECT (version) ON schema_version FROM vestige_agent")
        self.addCleanup(self.server.query,
                        "GRANT SELECT (version) ON schema_version TO vestige_agent")
        self.tool.fill("--fill", 10, "--first-id", FIRST_ID + 10 ** 9)
        self.assert_shipped(self.tool.run("--schema", 31))

    def test_a_server_that_stands_still_does_not_hold_up_the_end(self):
        process = self.tool.start("--fill", 10, "--hold", "--timeout", 500)
        # It holds after 500 ms, too; and nobody can end a connection that is still being made.
        wait_for(lambda: "holding" in self.said() and self.stored() == 10, 60, "it has shipped")
        self.server.send(signal.SIGSTOP)
        self.addCleanup(self.server.send, signal.SIGCONT)
        process.stdin.write("fill 10\n")
        process.stdin.flush()
        wait_for(lambda: "done" in self.said(), 60, "it waited")
        started = time.monotonic()
        result = self.tool.finish(process, 60)
        self.assertLess(time.monotonic() - started, 25)  # an answer is waited for for 30 s
        self.assertNotIn("is not waited for", result.text)
        self.assertIn("shipped 0", result.text)

    def test_an_idle_connection_that_was_lost_costs_no_time(self):
        wait_for(lambda: not self.server.close_agents(), 60, "the connections of before are gone")
        process = self.tool.start("--fill", 10, "--hold", "--retry-first", 100000)
        wait_for(lambda: "holding" in self.said(), 60, "it ships")
        self.assertEqual(1, self.server.close_agents())
        process.stdin.write("fill 10\n")
        result = self.tool.finish(process)
        self.assertIn("shipped 1", result.text)
        self.assertLess(float(result.seconds), 30)
        self.assertEqual(0, result.ship_failures)
        self.assertEqual(20, self.stored())


class Peers(ShipTest):
    def test_a_server_that_asks_for_a_file_gets_none(self):
        secret = self.tool.directory / "secret"
        secret.write_text("top-secret-evidence")
        peer = AskingServer(self.tool.directory / "peer", str(secret))
        self.addCleanup(peer.close)
        for options in ({}, {"local_infile": "1"}):
            self.tool.write_defaults(socket=peer.address, **options)
            result = self.tool.run("--fill", 10, "--failures", 1)
            self.assert_lag(result)
            self.assertTrue(peer.asked.wait(60), result.text)
            self.assertNotIn(b"top-secret", peer.received)


class Encryption(ShipTest):
    """Over TCP the certificate is verified, whatever the option file says."""

    @classmethod
    def setUpClass(cls):
        cls.server = ShipServer(port=str(own_port()), bind_address="127.0.0.1", userstat="1")
        cls.addClassCleanup(cls.server.close)
        cls.directory = os.path.join(cls.server.directory, "certificates")
        os.mkdir(cls.directory)
        for authority in ("ours", "theirs"):
            cls.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        f"/CN={authority}", "-keyout", f"{authority}-ca.key",
                        "-out", f"{authority}-ca.pem")
        cls.certificate("ours", "server", "127.0.0.1")
        cls.certificate("theirs", "impostor", "127.0.0.1")
        cls.certificate("ours", "agent", "agent_8")

    @classmethod
    def openssl(cls, *words, **options):
        subprocess.run(["openssl", *words], cwd=cls.directory, check=True, capture_output=True,
                       **options)

    @classmethod
    def certificate(cls, authority, name, subject):
        cls.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}",
                    "-keyout", f"{name}.key", "-out", f"{name}.csr")
        extension = os.path.join(cls.directory, f"{name}.ext")
        kind = "IP" if subject[0].isdigit() else "DNS"
        with open(extension, "w") as stream:
            stream.write(f"subjectAltName={kind}:{subject}\n")
        cls.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}-ca.pem", "-CAkey",
                    f"{authority}-ca.key", "-CAcreateserial", "-days", "2", "-extfile", extension,
                    "-out", f"{name}.pem")

    def serve(self, name):
        """The server again, on TCP, with this certificate (None: without TLS)."""
        settings = self.server.settings
        for key in [key for key in settings if key.startswith("ssl")]:
            del settings[key]
        settings["port"] = str(own_port())
        if name:
            settings["ssl-cert"] = os.path.join(self.directory, f"{name}.pem")
            settings["ssl-key"] = os.path.join(self.directory, f"{name}.key")
        self.server.stop()
        self.server.start()

    def to_server(self, **options):
        self.tool.write_defaults(host="127.0.0.1", port=self.server.settings["port"], **options)

    def ca(self, name="ours"):
        return os.path.join(self.directory, f"{name}-ca.pem")

    def assert_refused(self, *words):
        before = self.connections_accepted()
        result = self.tool.run("--fill", 10, *FAILS)
        self.assert_lag(result, *words)
        self.assertEqual(before, self.connections_accepted())

    def connections_accepted(self):
        """Of the agent: those that ever came as far as an authentication."""
        return int(self.server.query("SELECT COALESCE(SUM(total_connections), 0) FROM"
                                     " information_schema.user_statistics"
                                     f" WHERE user = 'agent_{HOST_ID}'")[0][0])

    def test_verified_server(self):
        self.serve("server")
        self.to_server(ssl_ca=self.ca())
        self.assert_shipped(self.tool.run("--fill", 5000))
        self.assert_exact(5000)
        wait_for(lambda: self.connections_accepted() == 1, 60, "its connection is counted")

    def test_server_without_encryption(self):
        self.serve(None)
        for options in ({"ssl_ca": self.ca()}, {}, {"ssl_verify_server_cert": "0"},
                        {"disable_ssl_verify_server_cert": None}, {"ssl": "0"}):
            self.to_server(**options)
            self.assert_refused("does not support it")

    def test_certificate_of_another_authority(self):
        self.serve("impostor")
        for options in ({"ssl_ca": self.ca()}, {},
                        {"ssl_ca": self.ca(), "ssl_verify_server_cert": "0"}):
            self.to_server(**options)
            self.assert_refused("2026")

    def test_certificate_of_an_agent(self):
        self.serve("agent")
        for options in ({"ssl_ca": self.ca()},
                        {"ssl_ca": self.ca(), "ssl_verify_server_cert": "0"}):
            self.to_server(**options)
            self.assert_refused("2026")


if __name__ == "__main__":
    unittest.main(verbosity=2)
