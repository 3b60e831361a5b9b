"""What tests of the retention share: a server with the schema and three hosts, and rows put there as the
model of retention_model.py has them."""

import os
import unittest

from private_server import VestigeServer
from retention_model import HOSTS, TABLES

SEED = int(os.environ.get("VESTIGE_SEED", "7"))


class RetentionTest(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        # Changes of form wait for the statistics that are kept on disk, which nothing here needs.
        cls.server = VestigeServer(innodb_stats_persistent="0")
        cls.addClassCleanup(cls.server.close)
        cls.connect()
        # Nothing else works, now or after another start: records of its runs would be old on a day to come.
        for event in ("watch", "retention", "partitions", "schedules"):
            cls.root.run(f"ALTER EVENT vestige_{event} DISABLE")
        cls.root.wait_for_events()
        cls.root.run("DELETE FROM finding")  # of an event that was disabled
        for host in HOSTS:
            cls.server.enrol(f"h{host}")
        cls.today = cls.root.value("SELECT UTC_DATE()")

    @classmethod
    def connect(cls):
        cls.root = cls.server.root("vestige")

    def keys(self, table):
        return set(self.root.run(f"SELECT host_id, id FROM `{table}`"))

    def last_run(self):
        return self.root.run("SELECT id, result, message FROM maintenance_run WHERE name = 'retention'"
                             " ORDER BY id DESC LIMIT 1")[0]

    def retain(self, today, dry=0):
        self.root.run("CALL vestige_retention_at(%s, %s)", today, dry)

    def insert(self, rows):
        for table in TABLES:
            some = [row for row in rows if row.table == table]
            for names in {tuple(sorted(set(row) - {"names"})) for row in some}:
                values = [[row[name] for name in names] for row in some if tuple(sorted(set(row) - {"names"})) == names]
                columns = ", ".join(f"`{name}`" for name in names)
                with self.root.connection.cursor() as cursor:
                    cursor.executemany(f"INSERT INTO `{table}` ({columns}) VALUES ({', '.join(['%s'] * len(names))})",
                                       values)

    def insert_batches(self, evidence, keys):
        for host, number in keys:
            batch = evidence.batches[host, number]
            self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
                          " last_time, n_lines, recovered, digests, received_at) VALUES (%s, %s, %s, %s, 2, %s, %s, %s,"
                          " %s, 0, %s, %s)", host, number, f"{number:032}", "0" * 32, evidence.boots[host],
                          batch["received_at"], batch["received_at"], len(batch["lines"]),
                          evidence.digests((host, number)), batch["received_at"])

    def end(self, rows):
        for row in rows:
            n = self.root.run(f"UPDATE `{row.table}` SET destroyed_at = %s, end_cause = 'exit', end_batch = %s"
                              " WHERE host_id = %s AND id = %s AND day = %s AND destroyed_at IS NULL",
                              row["destroyed_at"], row["end_batch"], *row.key, row["day"])
            self.assertEqual(n, 1, f"the end of {row.table} {row.key} of {row['day']} found no row")

    def assert_rows(self, rows, where=""):
        for table in TABLES:
            found, expected = self.keys(table), {row.key for row in rows[table]}
            named = {row.key: row for row in self.rows_before[table]}
            lost = [dict(named[key]) for key in sorted(expected - found)][:3]
            extra = [dict(named[key]) for key in sorted(found - expected)][:3]
            self.assertEqual((lost, extra), ([], []), f"{table} {where}; seed {SEED}")
