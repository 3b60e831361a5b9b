#!/usr/bin/python3
"""`vestige verify` on evidence that was sealed by real journals and stored by the real shipper: honest evidence
is clean, with everything that may happen to it; what retention dropped is told; a thief's batch is named; the
job marks what arrived; a kept seal shows that a chain was cut off."""

import datetime
import os
import pathlib
import re
import sys
import tempfile
import unittest

import pymysql

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from sealed_fleet import DAY_US, MAIL, WEB, SealedFleet, moment  # noqa: E402  (the path above comes first)
from vestige_test import VESTIGE, run  # noqa: E402

RETENTION_LOG = (
    "CREATE TABLE IF NOT EXISTS retention_log (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, run_id BIGINT"
    " UNSIGNED NOT NULL, table_name VARCHAR(64) NOT NULL, day DATE NOT NULL, host_id INT UNSIGNED NULL, first_id"
    " BIGINT UNSIGNED NULL, last_id BIGINT UNSIGNED NULL, n_dropped BIGINT UNSIGNED NOT NULL, n_kept BIGINT UNSIGNED"
    " NOT NULL, horizon DATETIME(6) NOT NULL, dropped_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)))")
TOLD = re.compile(r"(\d+) rows?, (\d+) refused lines?, (\d+) lines? of (\d+) batch(?:es)? of (\d+) hosts?;")


class VerifyTest(unittest.TestCase):
    maxDiff = None
    rows = 4

    @classmethod
    def setUpClass(cls):
        cls.fleet = SealedFleet("test_verify", cls.rows)
        cls.addClassCleanup(cls.fleet.close)
        cls.session = cls.fleet.session
        cls.session.run(RETENTION_LOG)
        cls.server = cls.fleet.server

    def day(self, number):
        """A day of the fleet's rows, as text."""
        return moment((self.fleet.first + number) * DAY_US)[:10]

    def clean(self, *words):
        rows, said, status = self.fleet.verify(*words)
        self.assertEqual(([], 0), (rows, status), said)
        return said

    def differences(self, *words):
        rows, said, status = self.fleet.verify(*words)
        self.assertEqual(1, status, said)
        return [(row["host"], row["table"], row["id"], row["batch"], row["what"]) for row in rows]

    def refused(self, *words):
        done = self.server.vestige("verify", *words, check=False)
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertRegex(done.stderr, r"\Avestige: verify: error: [^\n]+\n\Z")
        return done.stderr

    def count(self, what, *values):
        return self.session.value(f"SELECT COUNT(*) FROM {what}", *values)

    def n_rows(self, where="1"):
        """Rows of agents; findings of the server are in no batch."""
        return sum(self.count(f"{table} WHERE {where}" + (" AND schedule_id IS NULL" if table == "finding" else ""))
                   for table in self.fleet.tables())


class TestHonest(VerifyTest):
    def test_all(self):
        """Every line of every batch is looked at: those of the seals are those of rows and refused lines."""
        told = [int(n) for n in TOLD.search(self.clean()).groups()]
        sealed = self.session.value("SELECT SUM(n_lines) FROM batch")
        refused = self.count("rejected")
        self.assertEqual([self.n_rows(), refused, sealed - refused, self.count("batch"), 2], told)
        self.assertGreater(refused, 15)
        self.assertGreater(self.count("finding WHERE schedule_id IS NOT NULL"), 0)
        self.assertGreater(self.count("process WHERE settle_batch > batch AND end_batch > settle_batch"), 0)

    def test_whatever_memory_and_connections(self):
        self.assertEqual(*(TOLD.search(self.clean(*words)).group(0) for words in
                           (("--jobs", "1", "--memory", "1"), ("--jobs", "5"))))

    def test_one_host(self):
        told = [int(n) for n in TOLD.search(self.clean("--on", "mail")).groups()]
        self.assertEqual([self.n_rows(f"host_id = {MAIL}"), self.count("rejected WHERE host_id = %s", MAIL)], told[:2])
        self.assertEqual([self.count("batch WHERE host_id = %s", MAIL), 1], told[3:])

    def test_since(self):
        half = self.session.value("SELECT received_at FROM batch ORDER BY received_at LIMIT 1 OFFSET 6")
        later = (half + datetime.timedelta(seconds=1)).replace(microsecond=0)
        self.session.run("UPDATE batch SET received_at = %s WHERE host_id = %s AND batch > 5",
                         later + datetime.timedelta(hours=2), WEB)
        self.addCleanup(self.session.run, "UPDATE batch SET received_at = %s WHERE host_id = %s AND batch > 5", half, WEB)
        told = [int(n) for n in TOLD.search(
            self.clean("--since", (later + datetime.timedelta(hours=1)).isoformat() + "Z")).groups()]
        self.assertEqual(self.count("batch WHERE host_id = %s AND batch > 5", WEB), told[3])
        self.assertEqual(self.n_rows(f"host_id = {WEB} AND GREATEST(batch, COALESCE(settle_batch, 0),"
                                     " COALESCE(end_batch, 0)) > 5"), told[0])

    def test_signatures(self):
        """Batches of before the key are a kind of their own."""
        n = self.count("batch WHERE signature IS NULL")
        self.assertIn(f"had no key then: {n} batches", self.clean())
        named = self.differences("--require-signatures")
        self.assertEqual({"not signed"}, {row[4] for row in named})

    def test_births_of_older_servers(self):
        """They did not keep what the hash covers: it is found."""
        self.session.run("UPDATE batch SET births = NULL WHERE format = 1")
        self.addCleanup(self.session.run, "UPDATE batch SET births = batch * 5 WHERE format = 1 AND batch < 3")
        self.clean()

    def test_words(self):
        done = self.server.vestige("verify")
        self.assertTrue(done.stdout.startswith("Clean. "), done.stdout)
        self.assertIn("--against", done.stdout)
        self.assertIn("--login-user", self.refused("--login-user", "root"))
        self.assertIn('no host "wob"', self.refused("--on", "wob"))
        self.assertIn("--arrived", self.refused("--arrived", "--on", "web"))
        self.assertIn("/nowhere", self.refused("--against", "/nowhere"))


class TestNamed(VerifyTest):
    """What a table says of one difference; more kinds are in test_tampering.py."""

    def test_newer_schema(self):
        """What a newer program has sealed this one cannot rebuild; it must not call it changed."""
        self.session.run("INSERT INTO schema_version (version, name, checksum) VALUES (9999, 'x', 'x')")
        self.addCleanup(self.session.run, "DELETE FROM schema_version WHERE version = 9999")
        self.assertIn("of version 9999", self.refused())
        self.assertIn("of version 9999", self.refused("--arrived"))
        self.assertEqual(0, self.count("verification_failure"))

    def test_table(self):
        self.session.run("UPDATE route SET metric = COALESCE(metric, 0) + 1 WHERE host_id = %s ORDER BY id LIMIT 1", WEB)
        id = self.session.value("SELECT MIN(id) FROM route WHERE host_id = %s", WEB)
        done = self.server.vestige("verify", check=False)
        self.session.run("UPDATE route SET metric = metric - 1 WHERE host_id = %s AND id = %s", WEB, id)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stdout, rf"web +route +{id} +insert +\d+ +changed")
        self.assertIn("TAMPERED: 1 difference.", done.stdout)

    def test_many_rows_of_a_day(self):
        """A flood is one row a table, host and day; a few are a row each."""
        day = self.day(1)
        names = ", ".join(name for name, in self.session.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige' AND table_name ="
            " 'process' AND generation_expression IS NULL"))
        self.session.run("CREATE TABLE kept LIKE process")
        self.session.run(f"INSERT INTO kept ({names}) SELECT {names} FROM process")
        for host, limit in ((WEB, 1000), (MAIL, 3)):
            self.session.run("DELETE FROM process WHERE host_id = %s AND day = %s ORDER BY id LIMIT %s", host, day, limit)
        rows, _, _ = self.fleet.verify()
        self.session.run(f"INSERT IGNORE INTO process ({names}) SELECT {names} FROM kept")
        n = self.count("process WHERE host_id = %s AND day = %s", WEB, day)
        self.session.run("DROP TABLE kept")
        self.assertEqual([("mail", "missing")] * 3 + [("web", "missing")], sorted((row["host"], row["what"]) for row in rows))
        self.assertTrue(any((row["detail"] or "").startswith(f"{n} rows of {day}") for row in rows), rows)
        self.clean()


class TestThief(VerifyTest):
    """Who has an agent's password, but not its key."""

    def test_forged_batch(self):
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.server.directory))
        host = self.fleet.mail
        journal, host.journal, host.signs = host.journal, directory / "journal", False
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", MAIL)
        try:
            host.ship("--fill", 30, "--first-id", (self.fleet.first + 5) * DAY_US)
        finally:
            host.journal, host.signs = journal, True
        named = self.differences()
        self.assertEqual([("mail", "batch", None, 1, "not signed")], named)
        self.server.vestige("verify", "--arrived", check=False)
        self.assertEqual([(1, None)], [*self.session.run(
            "SELECT batch, verified_at FROM batch WHERE host_id = %s AND verified_at IS NULL", MAIL)])
        self.assertEqual(1, self.count("finding WHERE class = 'evidence-unsigned' AND host_id = %s", MAIL))
        host.ship("--fill", 10, "--first-id", (self.fleet.first + 6) * DAY_US)
        self.assertEqual(named, self.differences())
        self.server.vestige("verify", "--arrived", check=False)
        self.assertEqual(1, self.count("batch WHERE verified_at IS NULL"))
        self.assertEqual(newest + 1, self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", MAIL))


class TestArrived(VerifyTest):
    def arrived(self, status=0):
        done = self.server.vestige("verify", "--arrived", check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_job(self):
        n = self.count("batch")
        self.assertEqual(f"{n} batches verified, 0 not as sealed\n", self.arrived())
        self.assertEqual(0, self.count("batch WHERE verified_at IS NULL"))
        self.assertEqual("", self.arrived())
        self.assertEqual(((f"{n} batches verified, 0 not as sealed", "success"),),
                         self.session.run("SELECT message, result FROM maintenance_run WHERE name = 'verify'"))
        # what comes later changes rows of before
        self.fleet.ship_generations(self.fleet.web, [4], 2)
        self.assertRegex(self.arrived(), r"\A[123] batch(es)? verified, 0 not as sealed\n\Z")
        self.clean()

        self.fleet.ship_generations(self.fleet.web, [5, 6], 2)
        batches = [batch for batch, in self.session.run("SELECT batch FROM batch WHERE verified_at IS NULL ORDER BY 1")]
        self.session.run("UPDATE device SET vendor = CONCAT(COALESCE(vendor, ''), 'x') WHERE host_id = %s AND batch = %s"
                         " LIMIT 1", WEB, batches[0])
        self.session.run("UPDATE process SET batch = %s WHERE host_id = %s AND batch = %s LIMIT 1", batches[1], WEB,
                         batches[0])
        self.arrived(status=1)
        failed = [batch for batch, in self.session.run("SELECT batch FROM batch WHERE verified_at IS NULL ORDER BY 1")]
        self.assertEqual(batches[:1], failed)
        self.assertEqual(tuple(failed), self.session.run("SELECT batch FROM verification_failure")[0])
        findings = self.session.run("SELECT host_id, subject, detail FROM finding WHERE class = 'evidence-tampered'")
        self.assertEqual(1, len(findings), findings)
        self.assertEqual("", self.arrived())
        self.assertEqual(1, self.count("finding WHERE class = 'evidence-tampered'"))

    def test_role(self):
        """The job's account: it reads, marks and concludes, and changes no evidence."""
        self.session.run("CREATE USER verifier@localhost IDENTIFIED BY 'correct-horse'")
        self.session.run("GRANT vestige_verifier TO verifier@localhost")
        self.session.run("SET DEFAULT ROLE vestige_verifier FOR verifier@localhost")
        options = pathlib.Path(self.server.directory) / "verify.cnf"
        options.write_text(f"[vestige]\nuser=verifier\npassword=correct-horse\nsocket={self.server.socket}\n")
        run(VESTIGE, "verify", "--arrived", f"--defaults-file={options}")
        session = pymysql.connect(unix_socket=self.server.socket, user="verifier", password="correct-horse",
                                  database="vestige", autocommit=True)
        self.addCleanup(session.close)
        for sql in ("UPDATE batch SET hash = hash", "UPDATE process SET pid = 1", "DELETE FROM rejected",
                    "INSERT INTO host_key (host_id, number, public_key, created_by) VALUES (7, 9, '', '')",
                    "DELETE FROM verification_failure"):
            with session.cursor() as cursor, self.assertRaises(pymysql.MySQLError, msg=sql) as refused:
                cursor.execute(sql)
            self.assertIn(refused.exception.args[0], (1142, 1143))
        self.session.run("REVOKE vestige_verifier FROM verifier@localhost")
        self.session.run("GRANT vestige_reader TO verifier@localhost")
        self.session.run("SET DEFAULT ROLE vestige_reader FOR verifier@localhost")
        self.session.run("UPDATE batch SET verified_at = NULL LIMIT 1")
        done = run(VESTIGE, "verify", "--arrived", f"--defaults-file={options}", check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("vestige_verifier", done.stderr)


class TestRetention(VerifyTest):
    def log(self, table, day, host, n):
        self.session.run("INSERT INTO retention_log (run_id, table_name, day, host_id, n_dropped, n_kept, horizon)"
                         " VALUES (1, %s, %s, %s, %s, 0, UTC_TIMESTAMP(6))", table, day, host, n)

    def test_dropped(self):
        """Rows of a day that retention names may be missing, as many as it says; what is left is still proved."""
        day = self.day(0)
        n = self.count("endpoint WHERE host_id = %s AND day = %s", WEB, day)
        self.session.run("DELETE FROM endpoint WHERE host_id = %s AND day = %s ORDER BY id LIMIT %s", WEB, day, n - 2)
        self.assertEqual(n - 2, len(self.differences()))
        self.log("endpoint", day, WEB, n - 2)
        self.assertIn(f"retention_log says: {n - 2} rows", self.clean())
        left = self.session.run("SELECT id, pid FROM endpoint WHERE host_id = %s AND day = %s", WEB, day)
        self.session.run("UPDATE endpoint SET pid = COALESCE(pid, 0) + 1 WHERE host_id = %s AND id = %s", WEB, left[0][0])
        self.assertEqual([left[0][0]], [row[2] for row in self.differences()])
        self.session.run("UPDATE endpoint SET pid = %s WHERE host_id = %s AND id = %s", left[0][1], WEB, left[0][0])
        self.session.run("DELETE FROM endpoint WHERE host_id = %s AND id = %s", WEB, left[1][0])
        self.assertEqual([("web", "endpoint", "more missing than retention says")],
                         [(row[0], row[1], row[4]) for row in self.differences()])
        self.session.run("UPDATE retention_log SET n_dropped = n_dropped + 1 WHERE table_name = 'endpoint'")
        self.clean()

    def test_refused_lines(self):
        """They have no day of their own: those of batches that arrived that day may be missing."""
        n = self.count("rejected WHERE host_id = %s", MAIL)
        today = self.session.value("SELECT DATE(MIN(received_at)) FROM rejected")
        rows = {tuple(text.split("\t")[1:3]) for text, in self.session.run("SELECT text FROM rejected WHERE host_id = %s",
                                                                           MAIL)}
        self.session.run("DELETE FROM rejected WHERE host_id = %s", MAIL)
        self.assertEqual(rows, {(row[1], str(row[2])) for row in self.differences()})
        self.log("rejected", today, MAIL, n)
        self.assertIn(f"{n} refused lines", self.clean())
        self.session.run("UPDATE retention_log SET n_dropped = n_dropped - 1 WHERE table_name = 'rejected'")
        self.assertEqual([("mail", "rejected", "more missing than retention says")],
                         [(row[0], row[1], row[4]) for row in self.differences()])
        self.session.run("UPDATE retention_log SET n_dropped = n_dropped + 1 WHERE table_name = 'rejected'")

    def test_thinned(self):
        """A batch without any line left may lose its list, and nothing else."""
        day = "2023-11-14"
        n = self.count("process WHERE day = %s", day)
        self.session.run("DELETE FROM process WHERE day = %s", day)
        self.log("process", day, WEB, n)
        self.session.run("UPDATE batch SET digests = NULL WHERE host_id = %s AND batch < 3", WEB)
        self.assertEqual({("batch", "digest list missing")}, {(row[1], row[4]) for row in self.differences()})
        self.log("batch", self.session.value("SELECT DATE(MIN(received_at)) FROM batch"), WEB, 2)
        self.assertIn("digest lists of 2 batches", self.clean())
        self.session.run("UPDATE batch SET hash = REVERSE(hash) WHERE host_id = %s AND batch = 2", WEB)
        self.assertIn(("batch", "chain broken"), {(row[1], row[4]) for row in self.differences()})
        self.session.run("UPDATE batch SET hash = REVERSE(hash) WHERE host_id = %s AND batch = 2", WEB)
        self.clean()


class TestAgainst(VerifyTest):
    def test_cut_off(self):
        kept = os.path.join(self.server.directory, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(self.server.vestige("seal").stdout)
        self.fleet.ship_generations(self.fleet.mail, [4], 2)
        self.assertIn("Compared with the 2 ends", self.clean("--against", kept))
        # all that came last, rows included, as if it had never been
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", MAIL)
        kept_end = int(re.search(r"host 8 mail\nbatches \d+\nlast (\d+)", open(kept, encoding="utf-8").read()).group(1))
        for number in range(newest, kept_end - 1, -1):
            self.session.run("DELETE FROM batch WHERE host_id = %s AND batch = %s", MAIL, number)
        self.session.run("DELETE FROM rejected WHERE host_id = %s AND batch >= %s", MAIL, kept_end)
        for table in self.fleet.tables():
            self.session.run(f"DELETE FROM {table} WHERE host_id = %s AND batch >= %s", MAIL, kept_end)
            late = self.fleet.columns.get((table, "settle"), [])
            self.session.run(f"UPDATE {table} SET settle_batch = NULL" +
                             "".join(f", `{name}` = NULL" for name in late) +
                             " WHERE host_id = %s AND settle_batch >= %s", MAIL, kept_end)
            self.session.run(f"UPDATE {table} SET end_batch = NULL" +
                             "".join(f", `{name}` = NULL" for name in self.fleet.columns[table, "end"]) +
                             " WHERE host_id = %s AND end_batch >= %s", MAIL, kept_end)
        self.clean()
        self.assertEqual([("mail", "batch", None, kept_end, "cut off")], self.differences("--against", kept))
        self.clean("--against", kept, "--on", "web")

    def test_key(self):
        kept = os.path.join(self.server.directory, "kept-keys")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(self.server.vestige("seal", "--on", "web").stdout)
        self.session.run("UPDATE host_key SET number = 5 WHERE host_id = %s", WEB)
        self.clean()
        named = self.differences("--against", kept)
        self.session.run("UPDATE host_key SET number = 1 WHERE host_id = %s", WEB)
        # a key of a greater number came later: it cannot have signed what was there
        self.assertEqual([("web", "batch", "signature wrong"), ("web", "host_key", "key changed since the seal was kept")],
                         [(row[0], row[1], row[4]) for row in named])
        with open(kept, "w", encoding="utf-8") as file:
            file.write("not a seal\n")
        self.assertIn("kept-keys", self.refused("--against", kept))


if __name__ == "__main__":
    unittest.main()
