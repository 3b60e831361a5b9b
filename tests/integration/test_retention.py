#!/usr/bin/python3
"""Retention on a real server: sixty simulated days with open rows, late rows, rows that others refer to and
legal holds, row by row as an independent model has it, and the log to the row."""

import datetime
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from retention_model import HOSTS, TABLES, Evidence, Hold, midnight, survivors
from retention_test import SEED, RetentionTest

DAYS = 60
# Days in a row, and days between which much happens.
RUN_ON = (12, 13, 19, 25, 26, 32, 39, 41, 48, 49, 55, 59)
DAY = datetime.timedelta(1)


class SixtyDays(RetentionTest):
    """With one policy for all tables, another for two of them, and holds that come and go."""
    days = {"*": 10, "file_access": 5, "process_change": 7, "session": 12}

    def simulate(self):
        first = self.today
        evidence = Evidence(first, SEED)
        rows = {table: [] for table in TABLES}
        holds = {}
        for table, n in self.days.items():
            self.root.run("CALL vestige_retention_keep(%s, %s)", table, n)
        dropped = {}
        n_runs = 0
        for number in range(DAYS):
            today = first + number * DAY
            if number % 15 == 0:
                self.root.run("CALL vestige_make_partitions_at(%s, 16)", today)
            before = dict(evidence.last_batch)
            new, ended = evidence.day(number)
            self.insert(new)
            self.insert_batches(evidence, [(host, n) for host in HOSTS
                                           for n in range(before[host] + 1, evidence.last_batch[host] + 1)])
            self.end(ended)
            for row in new:
                rows[row.table].append(row)
            self.change_holds(number, today, holds)
            if number in RUN_ON:
                n_runs += 1
                yield number, today, evidence, rows, list(holds.values()), dropped
        self.assertEqual(n_runs, len(RUN_ON))

    def change_holds(self, number, today, holds):
        def add(name, hold):
            self.root.run("CALL vestige_hold_add(%s, %s, %s, %s, %s, 'because', NULL, @id)", hold.host_id,
                          hold.login_uid, hold.username, hold.since, hold.until)
            holds[name] = hold
            hold.id = self.root.value("SELECT @id")

        def release(name):
            self.root.run("CALL vestige_hold_release(%s, @n)", holds.pop(name).id)
            self.assertEqual(self.root.value("SELECT @n"), 1)

        if number == 8:
            add("host", Hold(host_id=2, since=midnight(today - 2 * DAY), until=midnight(today + 2 * DAY)))
        elif number == 14:
            add("user", Hold(login_uid=1001, username="bob", host_id=3))
        elif number == 22:
            add("time", Hold(since=midnight(today - DAY), until=midnight(today)))
        elif number == 33:
            release("host")
        elif number == 40:
            release("user")
            add("name", Hold(username="ann", since=midnight(today - 3 * DAY), until=midnight(today)))
        elif number == 50:
            release("time")

    def test_exact_survivors(self):
        for number, today, evidence, rows, holds, dropped in self.simulate():
            with self.subTest(day=number):
                self.rows_before = {table: list(rows[table]) for table in rows}
                kept = survivors(rows, evidence.batches, today, self.days, holds)
                dry = self.dry_run(today)
                self.retain(today)
                run, result, message = self.last_run()
                self.assertEqual(result, "success", message)
                before = {table: list(rows[table]) for table in rows}
                for table in rows:
                    rows[table][:] = kept[table]
                self.assert_rows(kept, f"on day {number}")
                self.assert_log(run, before, kept, dry)
                self.assert_batches(evidence, kept)
        self.again(today)

    def dry_run(self, today):
        """Changes nothing, and says what goes: {(table, day, host): (rows, dropped)}."""
        all_rows = f"CHECKSUM TABLE {', '.join(TABLES)}, retention_log, maintenance_run, retention_step"
        before = self.root.run(all_rows)
        self.retain(today, 1)
        self.assertEqual(before, self.root.run(all_rows))
        plan = self.root.run("SELECT table_name, day, host_id, n_rows, n_dropped, n_open + n_ended + n_held + n_late"
                             " + n_referred FROM vestige_retention_plan WHERE n > 0")
        self.assertEqual([one for one in plan if one[3] != one[4] + one[5]], [])
        return {one[:3]: one[4] for one in plan if one[4]}

    def assert_log(self, run, rows, kept, dry):
        expected = {}
        for table in TABLES:
            stays = {row.key for row in kept[table]}
            for row in rows[table]:
                if row.key not in stays:
                    one = expected.setdefault((table, row["day"], row["host_id"]), [])
                    one.append(row["id"])
        found = {one[:3]: one[3:] for one in self.root.run(
            "SELECT table_name, day, host_id, n_dropped, first_id, last_id FROM retention_log"
            " WHERE run_id = %s AND table_name IN %s", run, TABLES)}
        self.assertEqual(found, {key: (len(ids), min(ids), max(ids)) for key, ids in expected.items()})
        self.assertEqual(dry, {key: len(ids) for key, ids in expected.items()})

    def assert_batches(self, evidence, kept):
        """Each row that stays can be proved; of no other batch the digests are left for long."""
        used = {(row["host_id"], row[which]) for table in kept for row in kept[table]
                for which in ("batch", "settle_batch", "end_batch") if row.get(which)}
        thin = set(self.root.run("SELECT host_id, batch FROM batch WHERE digests IS NULL"))
        self.assertEqual(thin & used, set())
        fat = {key for key in set(self.root.run("SELECT host_id, batch FROM batch WHERE digests IS NOT NULL")) - used
               if evidence.batches[key]["lines"]}
        self.assertEqual(fat, set())
        self.assertEqual(self.root.run("SELECT COALESCE(SUM(n_dropped), 0) FROM retention_log WHERE table_name = 'batch'"),
                         ((len(thin),),))

    def again(self, today):
        before = {table: self.keys(table) for table in TABLES}
        log = self.root.run("SELECT * FROM retention_log")
        self.assertGreater(len(log), 500)
        self.retain(today)
        self.assertEqual(before, {table: self.keys(table) for table in TABLES})
        self.assertEqual(log, self.root.run("SELECT * FROM retention_log"))


if __name__ == "__main__":
    unittest.main()
