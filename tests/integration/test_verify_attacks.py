#!/usr/bin/python3
"""`vestige verify` against who knows how it works: root of the server on days that retention has handled, in the
chain, the keys and the readers' log; a thief of an agent's credential who adds seals of any number."""

import calendar
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from private_server import Session  # noqa: E402  (the path above comes first)
from sealed_fleet import DAY_US, MAIL, WEB, SealedFleet, moment  # noqa: E402
from vestige_test import run  # noqa: E402

GREATEST = 2**64 - 1


def microseconds(time):
    return calendar.timegm(time.timetuple()) * 1000000 + time.microsecond


def batch_hash(seal):
    """Of a row of table batch, as recorder/journal.md says."""
    header = f"vestige batch {seal['format']}\n" + "".join(f"{name}\t{value}\n" for name, value in (
        ("host", seal["host_id"]), ("boot", seal["boot_id"]), ("batch", seal["batch"]),
        ("first", microseconds(seal["first_time"])), ("last", microseconds(seal["last_time"])),
        ("lines", seal["n_lines"]), ("recovered", seal["recovered"]), ("births", seal["births"]),
        ("cursors", seal["cursors"]), ("previous", seal["previous_hash"].hex())))
    return hashlib.sha256(header.encode() + seal["digests"]).digest()


class Attack(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.fleet = SealedFleet("test_verify_attacks")
        cls.addClassCleanup(cls.fleet.close)
        cls.session, cls.server = cls.fleet.session, cls.fleet.server
        cls.names = {table: [name for name, in cls.session.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige' AND table_name = %s AND"
            " generation_expression IS NULL ORDER BY ordinal_position", table)] for table in (*cls.fleet.tables(), "batch")}

    def keep(self, table, where):
        """Rows that are as before when the test is over."""
        names = ", ".join(f"`{name}`" for name in self.names[table])
        rows = self.session.run(f"SELECT {names} FROM {table} WHERE {where} ORDER BY host_id")
        sql = f"REPLACE INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(self.names[table]))})"
        self.addCleanup(lambda: [self.session.run(sql, *row) for row in rows])
        self.addCleanup(self.session.run, f"DELETE FROM {table} WHERE {where}")
        return [dict(zip(self.names[table], row)) for row in rows]

    def run_until_over(self, sql, undo):
        self.session.run(sql)
        self.addCleanup(self.session.run, undo)

    def differences(self, *words):
        rows, self.said, _ = self.fleet.verify(*words)
        return [(row["host"], row["table"], row["id"], row["batch"], row["what"]) for row in rows]

    def count(self, what):
        return self.session.value(f"SELECT COUNT(*) FROM {what}")


class TestRetained(Attack):
    """A day of which rows were dropped: those that were kept must be there, with their ends."""

    def drop(self, table, day, n, slack=0):
        """Rows of WEB go as retention lets them go; the log says more when lists of others went, too."""
        date = moment((self.fleet.first + day) * DAY_US)[:10]
        where = f"host_id = {WEB} AND day = '{date}'"
        rows = sorted(self.keep(table, where), key=lambda row: row["id"])
        gone, left = rows[:n], rows[n:]
        self.session.run(f"DELETE FROM {table} WHERE {where} AND id <= %s", gone[-1]["id"])
        self.log(table, date, n + slack, len(left), gone[0]["id"], gone[-1]["id"])
        return left

    def log(self, table, date, n, kept, first, last):
        self.session.run("INSERT INTO retention_log (run_id, table_name, day, host_id, first_id, last_id, n_dropped,"
                         " n_kept, horizon) VALUES (1, %s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))",
                         table, date, WEB, first, last, n, kept)
        self.addCleanup(self.session.run, "DELETE FROM retention_log")

    def test_survivor_deleted(self):
        left = self.drop("endpoint", 1, 2, slack=7)
        self.assertEqual([], self.differences())
        self.session.run("DELETE FROM endpoint WHERE host_id = %s AND id = %s", WEB, left[-1]["id"])
        # behind all that was dropped: it is known which one
        self.assertEqual([("web", "endpoint", left[-1]["id"], "missing")],
                         [(*row[:3], row[4]) for row in self.differences()])

    def test_survivor_between_dropped_ones_deleted(self):
        left = self.drop("route", 1, 2, slack=7)
        self.session.run("UPDATE retention_log SET last_id = %s", left[-1]["id"] + 1)
        self.assertEqual([], self.differences())
        self.session.run("DELETE FROM route WHERE host_id = %s AND id = %s", WEB, left[0]["id"])
        self.assertEqual([("web", "route", "more missing than retention says")],
                         [(*row[:2], row[4]) for row in self.differences()])
        self.assertEqual([], self.differences("--on", "mail"))

    def test_what_came_later_deleted(self):
        left = self.drop("device", 1, 1, slack=7)
        self.session.run("UPDATE retention_log SET last_id = %s, dropped_at = %s, n_kept = 0", left[-1]["id"] + 1,
                         self.session.value("SELECT MIN(received_at) - INTERVAL 1 SECOND FROM batch"))
        self.session.run("DELETE FROM device WHERE host_id = %s AND id = %s", WEB, left[0]["id"])
        self.assertEqual([("web", "device", "more missing than retention says")],
                         [(*row[:2], row[4]) for row in self.differences()])

    def test_end_taken_away(self):
        for table, verb, number, where in (("process", "end", "end_batch", "end_batch > batch"),
                                           ("process", "settle", "settle_batch", "settle_batch IS NOT NULL")):
            with self.subTest(verb=verb):
                left = self.drop(table, 1, 1)
                self.session.run("UPDATE retention_log SET last_id = %s", left[-1]["id"] + 1)
                self.assertEqual([], self.differences())
                id = self.session.value(f"SELECT MIN(id) FROM {table} WHERE host_id = %s AND day = %s AND {where}", WEB,
                                        left[0]["day"])
                columns = self.fleet.columns[table, verb]
                self.session.run(f"UPDATE {table} SET {number} = NULL" + "".join(f", `{name}` = NULL" for name in columns) +
                                 " WHERE host_id = %s AND id = %s", WEB, id)
                self.assertEqual([("web", table, id, "changed")], [(*row[:3], row[4]) for row in self.differences()])
                self.doCleanups()

    def test_thinned_seal(self):
        """What the chain says stays as it was, without a list too."""
        self.keep("batch", f"host_id = {WEB} AND batch = 4")
        gone = {}
        for table in self.fleet.tables():
            self.keep(table, f"host_id = {WEB} AND 4 IN (batch, settle_batch, end_batch)")
            gone[table] = self.session.run(f"SELECT day, COUNT(*) FROM {table} WHERE host_id = {WEB} AND 4 IN (batch,"
                                           " settle_batch, end_batch) GROUP BY day")
            self.session.run(f"DELETE FROM {table} WHERE host_id = {WEB} AND 4 IN (batch, settle_batch, end_batch)")
            for day, n in gone[table]:
                self.log(table, day, n, 0, None, None)
        self.session.run("UPDATE batch SET digests = NULL WHERE host_id = %s AND batch = 4", WEB)
        self.log("batch", self.session.value("SELECT DATE(MIN(received_at)) FROM batch"), 1, 0, 4, 4)
        self.assertEqual([], self.differences())
        self.session.run("UPDATE batch SET previous_hash = REVERSE(previous_hash) WHERE host_id = %s AND batch = 4", WEB)
        self.assertEqual([("web", "batch", None, 3, "chain broken")], self.differences())


class TestRetention(Attack):
    """What the server's own retention leaves."""

    def test_each_survivor(self):
        today = self.session.value("SELECT UTC_DATE()")
        self.session.run("CALL vestige_retention_keep('*', 5)")
        self.session.run("CALL vestige_retention_at(%s, 0)", today + datetime.timedelta(days=7))
        self.assertEqual([], self.differences())
        self.assertGreater(self.session.value("SELECT SUM(n_dropped) FROM retention_log"), 100)
        survivors = [(table, *row) for table in self.fleet.tables() for row in self.session.run(
            f"SELECT t.host_id, t.id FROM {table} t JOIN retention_log l ON l.table_name = '{table}' AND l.day = t.day"
            " AND l.host_id = t.host_id WHERE l.n_kept > 0 GROUP BY 1, 2")]
        self.assertGreater(len(survivors), 20)
        for table, host, id in survivors[::3]:
            with self.subTest(table=table, host=host, id=id):
                self.keep(table, f"host_id = {host} AND id = {id}")
                self.session.run(f"DELETE FROM {table} WHERE host_id = %s AND id = %s", host, id)
                named = {row[1] for row in self.differences()}
                self.doCleanups()
                self.assertIn(table, named)
                # a row that is missing may be a refused line that went: then there are too many of these
                self.assertLessEqual(named, {table, "rejected"})
        self.assertEqual([], self.differences())


class TestRoot(Attack):
    def test_signature_given_up(self):
        """The newest batch made anew, as one of before the host had a key."""
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", WEB)
        where = f"host_id = {WEB} AND batch = {newest}"
        seal, = self.keep("batch", where)
        self.assertEqual(seal["hash"], batch_hash(seal))
        seal["cursors"] += "1"
        self.session.run(f"UPDATE batch SET cursors = %s, hash = %s, signature = NULL, received_at = '2001-01-01' WHERE {where}",
                         seal["cursors"], batch_hash(seal))
        self.assertEqual([("web", "batch", None, newest, "not signed")], self.differences())

    def test_new_key(self):
        """With a key of their own root can sign anew what there is; not what had arrived when a seal was kept."""
        kept = os.path.join(self.server.directory, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(self.server.vestige("seal").stdout)
        self.assertEqual([], self.differences("--against", kept))
        key = os.path.join(self.server.directory, "own.key")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout[-32:]
        self.session.run("INSERT INTO host_key (host_id, number, public_key, created_by) VALUES (%s, 2, %s, 'root')", MAIL,
                         public)
        self.addCleanup(self.session.run, "DELETE FROM host_key WHERE number = 2")
        self.assertEqual([], self.differences("--against", kept))
        self.assertIn("that came since: 1", self.said)
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", MAIL)
        seal, = self.keep("batch", f"host_id = {MAIL} AND batch = {newest}")
        text = os.path.join(self.server.directory, "text")
        with open(text, "wb") as file:
            file.write(b"vestige batch\n" + seal["hash"])
        signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", text], check=True,
                                   capture_output=True).stdout
        self.session.run("UPDATE batch SET signature = %s WHERE host_id = %s AND batch = %s", signature, MAIL, newest)
        self.assertEqual([], self.differences())
        self.assertEqual([("mail", "batch", None, newest, "signature wrong")], self.differences("--against", kept))

    def test_names_swapped(self):
        kept = os.path.join(self.server.directory, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(self.server.vestige("seal").stdout)
        swap = "UPDATE enrolment SET name = CASE host_id WHEN {} THEN 'web' WHEN {} THEN 'mail' ELSE name END"
        self.session.run("UPDATE enrolment SET name = CONCAT(name, '-') WHERE host_id IN (%s, %s)", WEB, MAIL)
        self.run_until_over(swap.format(MAIL, WEB), swap.format(WEB, MAIL))
        self.addCleanup(self.session.run, "UPDATE enrolment SET name = CONCAT(name, '-') WHERE host_id IN (7, 8)")
        self.assertEqual([], self.differences())
        self.assertEqual({("enrolment", "name changed since the seal was kept")},
                         {(row[1], row[4]) for row in self.differences("--against", kept)})

    def test_readers_log(self):
        """Who asked is evidence, too."""
        self.server.vestige("query", "SELECT 1")
        self.server.vestige("query", "SELECT 2")
        self.assertEqual([], self.differences())
        n = self.count("reading")
        self.assertIn(f"log of readers has {n} rows", self.said)
        words = self.session.value("SELECT words FROM reading WHERE id = 1")
        self.session.run("UPDATE reading SET words = 'query' WHERE id = 1")
        self.assertEqual([(None, "reading", 1, None, "the row is not as it was written")], self.differences())
        self.assertEqual([], self.differences("--on", "web"))
        self.session.run("UPDATE reading SET words = %s WHERE id = 1", words)
        self.session.run("UPDATE reading SET id = id + 1000 WHERE id = 3")
        named = self.differences()
        self.session.run("UPDATE reading SET id = id - 1000 WHERE id = 1003")
        self.assertIn((None, "reading", 3, None, "the row is missing"), named)
        self.assertEqual({"reading"}, {row[1] for row in named})
        self.assertEqual([], self.differences())

    def test_finding_of_the_server(self):
        """An agent's finding that is said to be the server's is missing."""
        id, schedule = self.session.run("SELECT (SELECT MIN(id) FROM finding WHERE host_id = %s AND schedule_id IS NULL),"
                                        " MIN(schedule_id) FROM finding", WEB)[0]
        self.keep("finding", f"host_id = {WEB} AND id = {id}")
        self.session.run("UPDATE finding SET schedule_id = %s WHERE host_id = %s AND id = %s", schedule, WEB, id)
        self.assertEqual([("web", "finding", id, "missing")], [(*row[:3], row[4]) for row in self.differences()])

    def test_rows_hidden_by_their_partition(self):
        """The bounds of partitions moved by a day, rows left where they are: who asks for a day finds none."""
        data = os.path.join(self.server.directory, "data", "vestige")
        day = moment(self.fleet.first * DAY_US)[:10]
        n = self.count(f"route WHERE day = '{day}'")
        self.assertGreater(n, 0)
        sql = self.session.run("SHOW CREATE TABLE route")[0][1].replace("`route`", "`moved`")
        self.session.run(re.sub(r"(`p\d{8}` VALUES LESS THAN )\('([\d-]+)'\)", lambda match: match[1] + "('%s')" % (
            datetime.date.fromisoformat(match[2]) + datetime.timedelta(days=1)), sql))
        self.addCleanup(self.session.run, "DROP TABLE moved")
        self.session.run("FLUSH TABLES")
        for end in (".frm", ".par"):
            shutil.copy2(f"{data}/route{end}", f"{data}/kept{end}")
            shutil.copy2(f"{data}/moved{end}", f"{data}/route{end}")
        self.session.run("FLUSH TABLES")
        try:
            self.assertEqual(0, self.count(f"route WHERE day = '{day}'"))
            rows, said, _ = self.fleet.verify()
        finally:
            for end in (".frm", ".par"):
                os.replace(f"{data}/kept{end}", f"{data}/route{end}")
            self.session.run("FLUSH TABLES")
        self.assertEqual({("route", "in a partition of other days")}, {(row["table"], row["what"]) for row in rows}, said)
        self.assertTrue(any(re.match(r"\d+ rows in p\d+, ", row["detail"]) for row in rows), rows)
        self.assertEqual([], self.differences())

    def test_other_partitions(self):
        sql = self.session.run("SHOW CREATE TABLE route")[0][1]
        self.session.run("ALTER TABLE route PARTITION BY HASH (host_id) PARTITIONS 2")
        named = self.differences()
        self.session.run("ALTER TABLE route " + sql[sql.index("PARTITION BY"):].replace("/*", "").rstrip(" */"))
        self.assertEqual([(None, "route", None, None, "not partitioned by days")], named)
        self.assertEqual([], self.differences())

    def test_computed_columns(self):
        """The command line that answers show is the server's work."""
        was = self.session.value("SELECT generation_expression FROM information_schema.columns WHERE table_schema ="
                                 " 'vestige' AND table_name = 'process' AND column_name = 'cmdline'")
        change = "ALTER TABLE process MODIFY cmdline LONGTEXT GENERATED ALWAYS AS ({}) VIRTUAL"
        id = self.session.value("SELECT MIN(id) FROM process WHERE host_id = %s AND cmdline LIKE '%%text-%%'", WEB)
        self.session.run(change.format(f"IF(id = {id}, 'ls', {was})").replace("%", "%%"))
        named = self.differences()
        self.session.run(change.format(was).replace("%", "%%"))
        self.assertEqual([("web", "process", id, "changed")], [(*row[:3], row[4]) for row in named])
        self.assertEqual([], self.differences())

    def test_types(self):
        self.session.run("ALTER TABLE coverage MODIFY day DATETIME NOT NULL")
        self.session.run("UPDATE coverage SET day = day + INTERVAL 5 HOUR")
        named = self.differences()
        self.session.run("UPDATE coverage SET day = DATE(day)")
        self.session.run("ALTER TABLE coverage MODIFY day DATE NOT NULL")
        self.assertEqual([(None, "coverage", None, None, "column of another type")], named)

    def test_what_follows_a_nul(self):
        """Text is compared to its end."""
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", WEB)
        self.keep("batch", f"host_id = {WEB} AND batch = {newest}")
        self.session.run("UPDATE batch SET cursors = CONCAT(cursors, '\0x') WHERE host_id = %s AND batch = %s", WEB, newest)
        id, text = self.session.run("SELECT id, text FROM rejected WHERE host_id = %s LIMIT 1", MAIL)[0]
        self.session.run("UPDATE rejected SET table_name = CONCAT(table_name, '\0x') WHERE id = %s", id)
        named = self.differences()
        self.session.run("UPDATE rejected SET table_name = SUBSTRING_INDEX(table_name, '\0', 1)")
        self.assertEqual([("mail", "rejected", int(text.split("\t")[2]), "changed"), ("web", "batch", None, "seal changed")],
                         sorted((*row[:3], row[4]) for row in named))

    def test_key_of_another_size(self):
        self.run_until_over("ALTER TABLE host_key MODIFY public_key VARBINARY(32) NOT NULL",
                            "ALTER TABLE host_key MODIFY public_key BINARY(32) NOT NULL")
        key = self.session.value("SELECT public_key FROM host_key WHERE host_id = %s", WEB)
        self.session.run("UPDATE host_key SET public_key = 'x' WHERE host_id = %s", WEB)
        done = self.server.vestige("verify", check=False)
        self.session.run("UPDATE host_key SET public_key = %s WHERE host_id = %s", key, WEB)
        self.assertEqual(2, done.returncode, done.stdout)
        self.assertRegex(done.stderr, r"host_key has a key that is none, of host 7")


class TestThief(Attack):
    """Who has an agent's password, but not its key, adds seals."""

    def setUp(self):
        self.thief = Session(self.server, database="vestige", read_default_group="vestige",
                             read_default_file=str(self.fleet.mail.directory / "agent.cnf"))
        self.addCleanup(self.thief.close)
        self.addCleanup(self.session.run, "DELETE FROM batch WHERE host_id = %s AND server_offset_us = 666", MAIL)

    def forge(self, *numbers, **values):
        seal, = self.session.run("SELECT boot_id, first_time, last_time FROM batch WHERE host_id = %s ORDER BY batch DESC"
                                 " LIMIT 1", MAIL)
        row = {"host_id": MAIL, "previous_hash": bytes(32), "format": 2, "boot_id": seal[0], "first_time": seal[1],
               "last_time": seal[2], "n_lines": 1, "births": 0, "cursors": "", "recovered": 0, "server_offset_us": 666,
               "digests": b"host\tinsert\t1\n" + bytes(24), "signature": None, **values}
        for number in numbers:
            row.update(batch=number, hash=os.urandom(32))
            if row["births"] is not None:
                row["hash"] = batch_hash(row)
            names = ", ".join(row)
            self.thief.run(f"INSERT INTO batch_in ({names}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())

    def arrived(self):
        return self.server.vestige("verify", "--arrived", check=False, timeout=200)

    def test_numbers(self):
        """Each is named, also the greatest; verification comes to its end, and the host's own are not concerned."""
        numbers = [0, 4000, GREATEST - 1, GREATEST]
        self.forge(*numbers, n_lines=2**32 - 1)
        self.assertEqual([("mail", "batch", None, number, "not signed") for number in numbers],
                         sorted(row for row in self.differences() if row[1] == "batch"))
        self.assertIn("batches verified, 4 not as sealed", self.arrived().stdout)
        self.assertEqual({(number,) for number in numbers},
                         set(self.session.run("SELECT batch FROM batch WHERE verified_at IS NULL")))

    def test_lines_that_never_were(self):
        """A seal with very many lines hides nothing of what else is different."""
        id = self.session.value("SELECT MIN(id) FROM route WHERE host_id = %s", WEB)
        self.keep("route", f"host_id = {WEB} AND id = {id}")
        self.session.run("DELETE FROM route WHERE host_id = %s AND id = %s", WEB, id)
        entries = b"".join((10**15 + n * DAY_US).to_bytes(8, "big") + bytes(16) for n in range(5000))
        self.forge(4000, n_lines=5000, digests=b"host\tinsert\t5000\n" + entries)
        named = self.differences()
        self.assertIn(("web", "route", id, "missing"), [(*row[:3], row[4]) for row in named])
        self.assertIn(("mail", "batch", None, 4000, "not signed"), named)
        self.assertLessEqual(len(named), 102)
        self.assertIn("and 4900 lines more", self.said)

    def test_many_old_ones(self):
        """Seals whose births have to be searched for cost so much only once."""
        self.forge(*range(5000, 5300), format=1, births=None)
        self.assertEqual([("mail", "batch", None, 5000, "seal changed")], self.differences())

    def test_lock(self):
        """A lock that any account may take holds up no job of the server."""
        for name in ("vestige.verify", "vestige.notify", "vestige.verify."):
            self.assertEqual(1, self.thief.value("SELECT GET_LOCK(%s, 0)", name))
        self.assertEqual(1143, self.thief.error("SELECT applied_at FROM schema_version"))
        self.session.run("UPDATE batch SET verified_at = NULL LIMIT 1")
        self.assertIn("1 batch verified", self.arrived().stdout)

    def test_findings(self):
        """A flood of seals is not one of findings."""
        self.arrived()
        self.session.run("DELETE FROM verification_failure")
        tampered = "finding WHERE class LIKE 'evidence-%'"
        before = self.count(tampered)
        self.forge(*range(10**6, 10**6 + 150))
        self.assertIn("0 batches verified, 150 not as sealed", self.arrived().stdout)
        self.assertEqual(101, self.count(tampered) - before)
        self.assertEqual(1, self.count("finding WHERE subject = 'very many batches'"))
        self.assertEqual(150, self.count("verification_failure"))


class TestCutOff(Attack):
    def test_hole_before_what_arrives(self):
        """Newest batches that are gone when the next one comes: the job says so, too."""
        self.server.vestige("verify", "--arrived")
        newest = self.session.value("SELECT MAX(batch) FROM batch WHERE host_id = %s", WEB)
        self.session.run("DELETE FROM batch WHERE host_id = %s AND batch = %s", WEB, newest)
        self.fleet.web.ship("--fill", 5, "--first-id", (self.fleet.first + 6) * DAY_US)
        self.server.vestige("verify", "--arrived")
        self.assertEqual(((WEB, f"batch {newest} missing"),), self.session.run(
            "SELECT host_id, subject FROM finding WHERE class = 'evidence-tampered'"))
        self.assertEqual(0, self.count("batch WHERE verified_at IS NULL"))


if __name__ == "__main__":
    unittest.main()
