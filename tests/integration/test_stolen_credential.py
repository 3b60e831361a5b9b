#!/usr/bin/python3
"""What somebody with an agent's stolen credential can do to the evidence: add false rows of that
host (they lack the signature), end and settle its open rows once, read the keys of its open rows,
see the schema's version. Everything else is tried here, with the number of the error that refuses
it. What an agent does all day is done here too, so that a server that refuses everything fails."""

import datetime
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from private_server import Refused, Session, VestigeServer
from vestige_test import wait_for

ACCESS_DENIED, NO_DATABASE_RIGHT, NO_TABLE_RIGHT, NO_COLUMN_RIGHT = 1045, 1044, 1142, 1143
CHECK_OPTION, UNKNOWN_COLUMN, NO_ADMINISTRATIVE_RIGHT = 1369, 1054, 1227
NO_ROUTINE_RIGHT = 1370

BOOT = "11111111-2222-4333-8444-555555555555"
TABLES = ("process", "process_change", "host", "boot", "coverage", "gap", "endpoint",
          "address_name", "interface_address", "route", "file_access", "device", "account",
          "account_group", "group_member", "finding", "session", "auth_attempt", "kernel_event",
          "batch", "rejected", "enrolment", "maintenance_run", "host_key", "enrolment_log",
          "enrolment_token")
# What a row needs besides the common columns.
NEEDS = {"process": {"boot_id": BOOT, "pid": 1}, "process_change": {"process_id": 1, "kind": "uid"},
         "host": {"name": "h"}, "boot": {"boot_id": BOOT},
         "coverage": {"boot_id": BOOT, "source": "audit"},
         "gap": {"boot_id": BOOT, "source": "audit", "cause": "x", "unit": "row"},
         "endpoint": {"protocol": "tcp"}, "address_name": {"address": "198.18.0.1"},
         "interface_address": {"interface": "v0"},
         "route": {"destination": "198.18.0.0", "prefix_length": 24},
         "file_access": {"path": "/x"}, "device": {"devpath": "/devices/x"},
         "account": {"username": "u"}, "account_group": {"groupname": "g"},
         "group_member": {"groupname": "g", "username": "u"},
         "finding": {"class": "x", "subject": "s"},
         "session": {"username": "x"}, "auth_attempt": {"result": "failure"},
         "kernel_event": {"kind": "mount"}}
# The columns of an end besides the common ones, and those that are settled, with values.
ENDS = {"process": {"exit_code": 1, "cpu_user_us": 1, "exit_uid": 0},
        "endpoint": {"bytes_sent": 1, "bytes_received": 0},
        "file_access": {"operations": "read", "opens": 1, "mode": 33188, "size": 0}}
SETTLES = {"process": {"comm": "x", "exe": "", "arguments": "", "login_uid": 0, "argc": 0,
                       "tty": "", "exe_sha256": "", "exe_size": 0,
                       "exe_modified_at": datetime.datetime(1970, 1, 1)},
           "endpoint": {"status": "closed", "local_address": "", "local_port": 0, "local_name": "",
                        "remote_name": ""},
           "device": {"driver": ""}}
# A session in which everything that a session can switch off is off.
SWITCHED_OFF = ("SET sql_mode = 'ALLOW_INVALID_DATES'", "SET check_constraint_checks = 0",
                "SET foreign_key_checks = 0", "SET unique_checks = 0", "SET time_zone = '-12:00'",
                "SET character_set_client = latin1", "SET collation_connection = utf8mb4_general_ci",
                "SET tx_isolation = 'READ-UNCOMMITTED'", "SET max_statement_time = 0",
                "SET wait_timeout = 31536000", "SET lock_wait_timeout = 31536000",
                "SET optimizer_switch = 'derived_merge=off'", "SET updatable_views_with_limit = 1",
                "SET old_mode = ''", "SET sql_safe_updates = 0", "SET div_precision_increment = 0")


def utc_today():
    return datetime.datetime.now(datetime.UTC).date()


class Thief(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = VestigeServer()
        cls.addClassCleanup(cls.server.close)
        cls.root = cls.server.root("vestige")
        # What they write would be taken for what a thief has changed.
        for event in ("watch", "retention", "partitions", "schedules"):
            cls.root.run(f"ALTER EVENT vestige_{event} DISABLE")
        cls.root.wait_for_events()
        cls.directories = {name: cls.server.enrol(name) for name in ("stolen", "other")}
        ids = dict(cls.root.run("SELECT name, host_id FROM enrolment"))
        cls.mine, cls.theirs = ids["stolen"], ids["other"]
        cls.last_id = 0

    def setUp(self):
        self.thief = self.login("stolen")
        self.other = self.login("other")
        self.addCleanup(self.thief.close)
        self.addCleanup(self.other.close)

    def login(self, host):
        return Session(self.server, database="vestige", read_default_group="vestige",
                       read_default_file=os.path.join(self.directories[host], "agent.cnf"))

    def new_id(self):
        now = int(self.root.value("SELECT UNIX_TIMESTAMP(SYSDATE(6)) * 1000000"))
        type(self).last_id = max(now, self.last_id + 1)
        return self.last_id

    def row(self, table="process", **changes):
        """The columns of a legitimate open row, with changes."""
        row = {"host_id": self.mine, "id": self.new_id(), "batch": 7, "seen_by": "proc",
               **NEEDS[table], **changes}
        if "day" not in row or "created_at" not in row:
            recorded = datetime.datetime(1970, 1, 1) + datetime.timedelta(
                seconds=row["id"] // 1000000)
            row.setdefault("day", recorded.date())
            row.setdefault("created_at", recorded)
        return row

    def insert(self, session=None, table="process", verb="INSERT", suffix="", **changes):
        """The number of the error that inserting such a row gives; 0: it is there."""
        row = self.row(table, **changes)
        names = ", ".join(f"`{name}`" for name in row)
        error = (session or self.thief).error(
            f"{verb} INTO {table}_in ({names}) VALUES ({', '.join(['%s'] * len(row))}){suffix}",
            *row.values())
        self.inserted = row
        return error

    def open_row(self, session=None, table="process", **changes):
        """A row that was inserted open, as its key."""
        self.assertEqual(self.insert(session, table, **changes), 0)
        return self.key()

    def key(self):
        return self.inserted["host_id"], self.inserted["id"], self.inserted["day"]

    def end(self, key, session=None, table="process", **columns):
        """Rows changed by an end, or the error that it gave, negative."""
        columns = {"destroyed_at": f"{key[2]} 23:59:59.999999", "end_cause": "exit", "end_batch": 8,
                   **columns}
        return self.update(session, f"{table}_end", columns, key)

    def settle(self, key, session=None, table="process", **columns):
        columns = {**SETTLES[table], "settle_batch": 8, **columns}
        return self.update(session, f"{table}_settle", columns, key)

    def update(self, session, view, columns, key):
        assignments = ", ".join(f"{name} = %s" for name in columns)
        try:
            return (session or self.thief).run(
                f"UPDATE {view} SET {assignments} WHERE host_id = %s AND id = %s AND day = %s",
                *columns.values(), *key)
        except Refused as refused:
            return -refused.number

    def stored(self, key, *columns, table="process"):
        return self.root.run(f"SELECT {', '.join(columns)} FROM {table}"
                             " WHERE host_id = %s AND id = %s AND day = %s", *key)

    def unchanged(self):
        """All rows of all tables that an agent could want to change, but rows of its own host."""
        return [self.root.run(f"CHECKSUM TABLE {table}") for table in TABLES]

    def refuse(self, cases, session=None):
        """Each statement gives its error, and nothing of the evidence changes."""
        before = self.unchanged()
        for error, sql in cases:
            with self.subTest(sql=sql):
                self.assertEqual((session or self.thief).error(sql), error)
        self.assertEqual(self.unchanged(), before)


class Legitimate(Thief):
    def test_birth_settle_end(self):
        key = self.open_row()
        self.assertEqual(self.settle(key), 1)
        self.assertEqual(self.end(key, cpu_user_us=5, exit_code=3), 1)
        self.assertEqual(self.stored(key, "batch", "settle_batch", "end_batch", "comm", "end_cause",
                                     "exit_code"), ((7, 8, 8, "x", "exit", 3),))

    def test_settle_after_end(self):
        for table in SETTLES:
            key = self.open_row(table=table)
            self.assertEqual(self.end(key, table=table), 1)
            self.assertEqual(self.settle(key, table=table), 1)
            names = tuple(SETTLES[table])
            self.assertEqual(self.stored(key, *names, table=table),
                             (tuple(SETTLES[table].values()),))

    def test_complete_at_once(self):
        at = datetime.datetime.utcnow()
        self.assertEqual(self.insert(comm="x", created_at=at, destroyed_at=at, end_cause="exit",
                                     end_batch=7, exit_code=0), 0)

    def test_each_table(self):
        for table in NEEDS:
            with self.subTest(table=table):
                key = self.open_row(table=table)
                self.assertEqual(self.end(key, table=table, end_cause="closed"), 1)
                self.assertEqual(self.stored(key, "end_cause", "end_batch", table=table),
                                 (("closed", 8),))
                now = datetime.datetime.utcnow()
                self.assertEqual(self.insert(table=table, created_at=now, destroyed_at=now,
                                             end_cause="closed", end_batch=7), 0)

    def test_batch_and_rejected(self):
        self.assertEqual(self.insert_batch(), 1)
        self.assertEqual(self.thief.run(
            "INSERT INTO rejected_in (host_id, batch, line, table_name, text, error, message)"
            " VALUES (%s, 1, 2, 'process', 'line', 1406, 'too long')", self.mine), 1)
        self.assertEqual(self.root.run("SELECT verified_at, ABS(TIMESTAMPDIFF(SECOND, received_at,"
                                       " UTC_TIMESTAMP())) < 60 FROM batch"), ((None, 1),))

    def insert_batch(self, number=1, digest=b"\xff" * 32):
        return self.thief.run(
            "INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
            " last_time, n_lines, cursors, recovered, server_offset_us, digests) VALUES"
            " (%s, %s, %s, %s, 1, %s, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 3, 'a=1', 0, -5, 'x')",
            self.mine, number, digest, b"\0" * 32, BOOT)

    def test_two_hashes_of_one_batch_are_both_kept(self):
        self.assertEqual(self.insert_batch(90, b"\1" * 32), 1)
        self.assertEqual(self.insert_batch(90, b"\2" * 32), 1)
        with self.assertRaises(Refused) as refused:
            self.insert_batch(90, b"\2" * 32)
        self.assertEqual(refused.exception.number, 1062)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM batch WHERE batch = 90"), 2)

    def test_clocks_that_are_wrong(self):
        for created_at in ("1970-01-01 00:00:00.000001",
                           datetime.datetime.utcnow() + datetime.timedelta(366)):
            self.assertEqual(self.insert(created_at=created_at), 0, created_at)
        self.assertEqual(self.insert(id=5000000, created_at="1970-01-01 00:00:01"), 0)

    def test_version(self):
        self.assertEqual(self.thief.value("SELECT MAX(version) FROM schema_version"),
                         self.root.value("SELECT MAX(version) FROM schema_version"))


class Reading(Thief):
    def test_nothing_but_keys_of_own_open_rows(self):
        for table in NEEDS:
            mine = self.open_row(table=table)
            theirs = self.open_row(self.other, table=table, host_id=self.theirs)
            ended = self.open_row(table=table)
            self.assertEqual(self.end(ended, table=table), 1)
            for verb in ("end", "settle") if table in SETTLES else ("end",):
                keys = self.thief.run(f"SELECT host_id, id, day FROM {table}_{verb}")
                self.assertIn(mine, keys)
                self.assertNotIn(theirs, keys)
            self.assertNotIn(ended, self.thief.run(f"SELECT host_id, id, day FROM {table}_end"))

    def test_refused(self):
        self.refuse([(NO_TABLE_RIGHT, f"SELECT * FROM {table}") for table in TABLES])
        self.refuse([(NO_TABLE_RIGHT, f"SELECT id FROM {table}_in") for table in NEEDS])
        self.refuse([(NO_TABLE_RIGHT, f"SELECT id FROM {table}_open") for table in NEEDS])
        self.refuse([(NO_COLUMN_RIGHT, f"SELECT destroyed_at FROM {table}_end") for table in NEEDS])
        self.refuse([(NO_TABLE_RIGHT, f"SHOW CREATE TABLE {table}") for table in TABLES])
        self.refuse([(NO_TABLE_RIGHT, f"SHOW CREATE VIEW {table}_end") for table in NEEDS])
        for table, columns in SETTLES.items():
            self.refuse([(NO_TABLE_RIGHT, f"SELECT id FROM {table}_unsettled")])
            self.refuse([(NO_COLUMN_RIGHT, f"SELECT {name} FROM {table}_settle")
                         for name in columns])
        self.refuse([
            (NO_COLUMN_RIGHT, "SELECT id FROM process_settle WHERE exe LIKE '/bin/%%'"),
            (NO_COLUMN_RIGHT, "SELECT id FROM process_end ORDER BY cpu_user_us"),
            (NO_COLUMN_RIGHT, "SELECT name FROM schema_version"),
            (NO_COLUMN_RIGHT, "SELECT reason FROM schema_agents"),
            (NO_TABLE_RIGHT, "SELECT text FROM rejected_in"),
            (NO_TABLE_RIGHT, "SELECT hash FROM batch_in"),
            (NO_TABLE_RIGHT, "SELECT * FROM mysql.global_priv"),
            (NO_TABLE_RIGHT, "SELECT * FROM mysql.general_log"),
            (NO_TABLE_RIGHT, "HANDLER process_in OPEN"),
            (1345, "EXPLAIN SELECT id FROM process_end"),
            (NO_ADMINISTRATIVE_RIGHT, "SELECT * FROM information_schema.innodb_trx"),
            (NO_ADMINISTRATIVE_RIGHT, "SHOW ENGINE INNODB STATUS"),
            (NO_ADMINISTRATIVE_RIGHT, "SELECT id FROM process_end INTO OUTFILE '/tmp/stolen'"),
            (NO_ADMINISTRATIVE_RIGHT, "SELECT id FROM process_end LIMIT 1"
                                      " INTO DUMPFILE '/tmp/stolen'"),
        ])
        self.assertIsNone(self.thief.value("SELECT LOAD_FILE('/etc/hostname')"))

    def test_update_reads_nothing(self):
        """An UPDATE may name the view's other columns, but in the rows of the view they are NULL."""
        for table in NEEDS:
            with self.subTest(table=table):
                ended = self.open_row(table=table)
                self.assertEqual(self.end(ended, table=table, **ENDS.get(table, {})), 1)
                if table in SETTLES:
                    self.assertEqual(self.settle(self.open_row(table=table), table=table), 1)
                self.check_update_reads_nothing(table)

    def check_update_reads_nothing(self, table):
        columns = ("end_cause", "end_batch", *ENDS.get(table, ()))
        for condition in (*(f"{name} >= 0" for name in columns), "destroyed_at > created_at"):
            error = self.thief.error(
                f"UPDATE {table}_end SET destroyed_at = UTC_TIMESTAMP(6), end_cause = 'exit',"
                f" end_batch = 9 WHERE {condition}")
            self.assertEqual(error, UNKNOWN_COLUMN if "created_at" in condition else 0, condition)
        for name in columns:
            self.assertEqual(self.thief.run(f"UPDATE {table}_end SET end_batch = {name}"), 0)
        for name in SETTLES.get(table, ()):
            self.assertEqual(self.thief.run(
                f"UPDATE {table}_settle SET settle_batch = 9 WHERE {name} LIKE '%'"), 0)
        self.assertEqual(self.root.value(f"SELECT COUNT(*) FROM {table} WHERE 9 IN (end_batch,"
                                         " settle_batch)"), 0)

    def test_returning_gives_only_what_was_sent(self):
        row = self.row()
        insert = (f"INSERT INTO process_in ({', '.join(row)}) VALUES"
                  f" ({', '.join(['%s'] * len(row))}) RETURNING ")
        for error, what in ((NO_TABLE_RIGHT, "(SELECT MAX(comm) FROM process)"),
                            (NO_COLUMN_RIGHT, "(SELECT MAX(comm) FROM process_settle)"),
                            (UNKNOWN_COLUMN, "cmdline")):
            self.assertEqual(self.thief.error(insert + what, *row.values()), error, what)
        self.assertEqual(self.thief.run(insert + "id, comm", *row.values()), ((row["id"], None),))

    def test_other_sessions_are_not_seen(self):
        seen = {row[1] for row in self.thief.run("SHOW PROCESSLIST")}
        self.assertEqual(seen, {f"agent_{self.mine}"})

    def test_no_oracle_for_other_hosts(self):
        """A duplicate of another host's row is refused for the host, not for being a duplicate."""
        for table in NEEDS:
            key = self.open_row(self.other, table=table, host_id=self.theirs)
            for identifier in (key[1], key[1] + 1000000):
                for verb in ("INSERT", "INSERT IGNORE"):
                    self.assertEqual(self.insert(table=table, host_id=self.theirs, id=identifier,
                                                 verb=verb), CHECK_OPTION)
            self.assertEqual(len(self.stored(key, "1", table=table)), 1)
            self.assertEqual(self.end(key, table=table), 0)
            if table in SETTLES:
                self.assertEqual(self.settle(key, table=table), 0)

    def test_routines(self):
        self.refuse([(NO_ROUTINE_RIGHT, "CALL vestige_make_partitions()"),
                     (NO_ROUTINE_RIGHT, "CALL vestige_kill_agents()"),
                     (NO_ROUTINE_RIGHT, "CALL vestige_reap_transactions(0)")])


class Writing(Thief):
    def test_other_host(self):
        for table in NEEDS:
            with self.subTest(table=table):
                self.assertEqual(self.insert(table=table, host_id=self.theirs), CHECK_OPTION)
                self.assertEqual(self.insert(table=table, host_id=0), CHECK_OPTION)
                key = self.open_row(self.other, table=table, host_id=self.theirs)
                before = self.stored(key, "*", table=table)
                self.assertEqual(self.end(key, table=table), 0)
                if table in SETTLES:
                    self.assertEqual(self.settle(key, table=table), 0)
                self.assertEqual(self.stored(key, "*", table=table), before)
        for sql in ("INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id,"
                    " first_time, last_time, n_lines, recovered) VALUES"
                    f" ({self.theirs}, 1, 'x', 'x', 1, '{BOOT}', NOW(), NOW(), 1, 0)",
                    "INSERT INTO rejected_in (host_id, batch, line, table_name, text, error, message)"
                    f" VALUES ({self.theirs}, 1, 1, 'x', 'x', 1, 'x')"):
            self.assertEqual(self.thief.error(sql), CHECK_OPTION)

    def test_other_day(self):
        for day in ("2000-01-01", "1970-01-01", "9999-12-31", utc_today() + datetime.timedelta(2)):
            for table in NEEDS:
                self.assertEqual(self.insert(table=table, day=day), CHECK_OPTION, (table, day))
        for day in ("9999-12-31", None):
            self.assertIn(self.insert(id=2 ** 64 - 1, day=day, created_at="2026-01-01"),
                          (CHECK_OPTION, 1048, 1441))

    def test_implausible_birth(self):
        for created_at in ("1969-12-31 23:59:59.999999", "1000-01-01", "9999-12-31",
                           datetime.datetime.utcnow() + datetime.timedelta(402)):
            for table in NEEDS:
                self.assertEqual(self.insert(table=table, created_at=created_at), CHECK_OPTION,
                                 (table, created_at))

    def test_implausible_end_at_birth(self):
        now = datetime.datetime.utcnow()
        earlier, later = now - datetime.timedelta(1), now + datetime.timedelta(402)
        cases = [
            {"destroyed_at": now, "end_cause": "exit"},                     # no batch
            {"destroyed_at": now, "end_cause": "exit", "end_batch": 6},     # another batch
            {"destroyed_at": now, "end_batch": 7},                          # no cause
            {"end_cause": "exit", "end_batch": 7},                          # no time
            {"destroyed_at": earlier, "end_cause": "exit", "end_batch": 7, "created_at": now},
            {"destroyed_at": later, "end_cause": "exit", "end_batch": 7},
            {"end_batch": 7},
        ]
        for table in NEEDS:
            alone = [{name: value} for name, value in ENDS.get(table, {}).items()]
            for case in cases + alone:
                with self.subTest(table=table, case=case):
                    self.assertEqual(self.insert(table=table, **case), CHECK_OPTION)

    def test_implausible_end(self):
        for table in NEEDS:
            with self.subTest(table=table):
                self.check_implausible_end(table)

    def check_implausible_end(self, table):
        key = self.open_row(table=table)
        before = self.stored(key, "*", table=table)
        nothing = {"destroyed_at": None, "end_cause": None, "end_batch": None}
        cases = [
            {"destroyed_at": "1970-01-02"}, {"destroyed_at": None}, {"end_cause": None},
            {"end_batch": None}, {**nothing, "end_batch": 8},
            {"destroyed_at": datetime.datetime.utcnow() + datetime.timedelta(402)},
            {"destroyed_at": "9999-12-31"},
            *({**nothing, name: value} for name, value in ENDS.get(table, {}).items()),
        ]
        for case in cases:
            with self.subTest(case=case):
                self.assertEqual(self.end(key, table=table, **case), -CHECK_OPTION)
        self.assertEqual(self.end(key, table=table, end_cause="nothing"), -1265)
        self.assertEqual(self.stored(key, "*", table=table), before)
        self.assertEqual(self.end(key, table=table), 1)

    def test_end_once(self):
        for table in NEEDS:
            key = self.open_row(table=table)
            self.assertEqual(self.end(key, table=table), 1)
            before = self.stored(key, "*", table=table)
            again = {"end_cause": "reboot", **ENDS.get(table, {})}
            self.assertEqual(self.end(key, table=table, **again), 0)
            self.assertEqual(self.end(key, table=table, destroyed_at=None, end_cause=None,
                                      end_batch=None), 0)
            self.assertEqual(self.thief.run(f"UPDATE {table}_end SET end_batch = 99"
                                            " WHERE id = %s", key[1]), 0)
            self.assertEqual(self.stored(key, "*", table=table), before)

    def test_settle_once(self):
        for table, columns in SETTLES.items():
            with self.subTest(table=table):
                self.check_settle_once(table, columns)

    def check_settle_once(self, table, columns):
        nothing = dict.fromkeys(columns)
        key = self.open_row(table=table)
        self.assertEqual(self.settle(key, table=table, settle_batch=None), -CHECK_OPTION)
        self.assertEqual(self.settle(key, table=table), 1)
        for name in columns:
            self.assertEqual(self.settle(key, table=table, **{name: None}), 0)
        self.assertEqual(self.settle(key, table=table, **nothing, settle_batch=None), 0)
        self.assertEqual(self.stored(key, *columns, "settle_batch", table=table),
                         ((*columns.values(), 8),))
        key = self.open_row(table=table)
        self.assertEqual(self.settle(key, table=table, **nothing), 1)
        self.assertEqual(self.settle(key, table=table, settle_batch=9), 0)

    def test_settled_at_birth(self):
        for table, columns in SETTLES.items():
            for column, value in columns.items():
                with self.subTest(table=table, column=column):
                    key = self.open_row(table=table, **{column: value})
                    self.assertEqual(self.settle(key, table=table), 0)
                    self.assertEqual(self.stored(key, column, "settle_batch", table=table),
                                     ((value, None),))

    def test_insert_cannot_settle(self):
        for table in NEEDS:
            self.assertEqual(self.insert(table=table, settle_batch=7), UNKNOWN_COLUMN)

    def test_columns_that_are_not_its_own(self):
        for table in NEEDS:
            with self.subTest(table=table):
                self.check_columns_that_are_not_its_own(table)

    def check_columns_that_are_not_its_own(self, table):
        key = self.open_row(table=table)
        settles = table in SETTLES
        for view in (f"{table}_end", f"{table}_settle") if settles else (f"{table}_end",):
            for column in ("host_id", "id", "day"):
                self.assertEqual(self.update(None, view, {column: 1}, key), -NO_COLUMN_RIGHT)
        for column in ("created_at", "batch", "settle_batch", *NEEDS[table],
                       *SETTLES.get(table, ())):
            self.assertEqual(self.update(None, f"{table}_end", {column: 1}, key),
                             -NO_COLUMN_RIGHT)
        views = [table, f"{table}_in", f"{table}_open"]
        if settles:
            views.append(f"{table}_unsettled")
            self.assertEqual(self.update(None, f"{table}_settle", {"destroyed_at": 1}, key),
                             -NO_COLUMN_RIGHT)
        for view in views:
            self.assertEqual(self.update(None, view, {"batch": 1}, key), -NO_TABLE_RIGHT)

    def test_overwriting(self):
        for table in NEEDS:
            key = self.open_row(table=table)
            before = self.stored(key, "*", table=table)
            again = {"table": table, "id": key[1], "batch": 666}
            self.assertEqual(self.insert(**again), 1062)
            self.assertEqual(self.insert(verb="REPLACE", **again), NO_TABLE_RIGHT)
            for value in ("666", "VALUES(batch)"):
                self.assertEqual(self.insert(suffix=f" ON DUPLICATE KEY UPDATE batch = {value}",
                                             **again), NO_TABLE_RIGHT)
            self.assertEqual(self.insert(verb="INSERT IGNORE", **again), 0)
            self.assertEqual(self.stored(key, "*", table=table), before)

    def test_removing(self):
        for table in NEEDS:
            where = f"WHERE id = {self.open_row(table=table)[1]}"
            views = [table, *(f"{table}_{kind}" for kind in ("in", "end", "open"))]
            if table in SETTLES:
                views += [f"{table}_settle", f"{table}_unsettled"]
            self.refuse([(NO_TABLE_RIGHT, f"DELETE FROM {view} {where}") for view in views])
        self.refuse([(NO_TABLE_RIGHT, f"DELETE FROM {table}_in") for table in NEEDS])
        self.refuse([(NO_TABLE_RIGHT, f"TRUNCATE TABLE {table}") for table in TABLES])
        self.refuse([(NO_TABLE_RIGHT, f"DROP TABLE {table}") for table in TABLES])
        self.refuse([(NO_TABLE_RIGHT, "DELETE a FROM process_end AS a"),
                     (NO_DATABASE_RIGHT, "DROP DATABASE vestige"),
                     (NO_TABLE_RIGHT, "ALTER TABLE process DROP PARTITION p_before"),
                     (NO_TABLE_RIGHT, "DROP VIEW process_in")])

    def test_batch_times_are_the_servers(self):
        columns = ("host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                   " n_lines, recovered")
        values = f"{self.mine}, 500, 'f', 'f', 1, '{BOOT}', '2020-01-01', '2020-01-01', 1, 0"
        for column in ("received_at", "verified_at"):
            self.assertEqual(self.thief.error(f"INSERT INTO batch_in ({columns}, {column})"
                                              f" VALUES ({values}, '2020-01-01')"), UNKNOWN_COLUMN)
        self.assertNotEqual(self.thief.error("SET timestamp = 1577836800"), 0)
        for setting in SWITCHED_OFF:
            self.thief.error(setting)
        self.thief.run(f"INSERT INTO batch_in ({columns}) VALUES ({values})")
        self.assertEqual(self.root.run(
            "SELECT ABS(TIMESTAMPDIFF(SECOND, received_at, UTC_TIMESTAMP())) < 60, verified_at"
            " FROM batch WHERE batch = 500"), ((1, None),))
        self.refuse([(NO_TABLE_RIGHT, "UPDATE batch_in SET hash = 'x'"),
                     (NO_TABLE_RIGHT, "UPDATE batch SET verified_at = NOW()"),
                     (NO_TABLE_RIGHT, "INSERT INTO batch (host_id) VALUES (1)")])

    def test_rejected_times_are_the_servers(self):
        self.assertEqual(self.thief.error(
            "INSERT INTO rejected_in (host_id, batch, line, table_name, text, error, message,"
            f" received_at) VALUES ({self.mine}, 1, 1, 'x', 'x', 1, 'x', '2020-01-01')"),
            UNKNOWN_COLUMN)

    def test_load_data(self):
        path = os.path.join(self.server.directory, "rows")
        with open(path, "w") as file:
            file.write("1\n")
        self.refuse([(ACCESS_DENIED, f"LOAD DATA INFILE '{path}' INTO TABLE process_in (host_id)"),
                     (4166, f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE process_in (host_id)")])

    def test_load_data_local_from_a_willing_client(self):
        willing = Session(self.server, database="vestige", read_default_group="vestige",
                          local_infile=True,
                          read_default_file=os.path.join(self.directories["stolen"], "agent.cnf"))
        self.addCleanup(willing.close)
        path = os.path.join(self.server.directory, "rows")
        with open(path, "w") as file:
            file.write(f"{self.theirs}\n")
        self.refuse([(4166, f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE process_in (host_id)")],
                    willing)

    def test_making_things(self):
        for table in NEEDS:
            self.refuse([(NO_TABLE_RIGHT, sql) for sql in (
                f"CREATE VIEW stolen AS SELECT id FROM {table}_end",
                f"CREATE OR REPLACE VIEW {table}_in AS SELECT 1 AS id",
                f"ALTER VIEW {table}_end AS SELECT 1 AS id",
                f"ALTER TABLE {table} ADD COLUMN stolen INT",
                f"RENAME TABLE {table} TO stolen",
                f"CREATE INDEX stolen ON {table} (seen_by)",
                f"CREATE TRIGGER stolen BEFORE INSERT ON {table} FOR EACH ROW SET @a = 1",
                f"ANALYZE TABLE {table}")])
        self.refuse([
            (NO_TABLE_RIGHT, "CREATE TABLE stolen (a INT)"),
            (NO_DATABASE_RIGHT, "CREATE TEMPORARY TABLE stolen (a INT)"),
            (NO_DATABASE_RIGHT, "CREATE EVENT stolen ON SCHEDULE EVERY 1 SECOND DO SET @a = 1"),
            (NO_DATABASE_RIGHT, "ALTER EVENT vestige_reaper DISABLE"),
            (NO_DATABASE_RIGHT, "DROP EVENT vestige_partitions"),
            (NO_DATABASE_RIGHT, "CREATE PROCEDURE stolen() SET @a = 1"),
            (NO_ROUTINE_RIGHT, "DROP PROCEDURE vestige_make_partitions"),
            (NO_ADMINISTRATIVE_RIGHT, "CREATE USER stolen"),
            (NO_ADMINISTRATIVE_RIGHT, "CREATE ROLE stolen"),
            (NO_ADMINISTRATIVE_RIGHT, "ALTER USER vestige_owner@localhost ACCOUNT UNLOCK"),
            (1959, "SET ROLE vestige_admin"),
            (1959, "SET ROLE vestige_reader"),
            (NO_ADMINISTRATIVE_RIGHT, "SET GLOBAL local_infile = 1"),
            (NO_ADMINISTRATIVE_RIGHT, "SET GLOBAL event_scheduler = OFF"),
            (NO_ADMINISTRATIVE_RIGHT, "SET sql_log_bin = 0"),
            (NO_ADMINISTRATIVE_RIGHT, "FLUSH TABLES"),
            (NO_ADMINISTRATIVE_RIGHT, "SHUTDOWN"),
            (NO_DATABASE_RIGHT, "LOCK TABLES process WRITE"),
            (NO_DATABASE_RIGHT, "USE mysql"),
        ])


class SwitchedOff(Writing):
    """The same after everything that a session can switch off is off."""

    def login(self, host):
        session = super().login(host)
        if host == "stolen":
            self.n_off = sum(session.error(setting) == 0 for setting in SWITCHED_OFF)
        return session

    def test_something_was_switched_off(self):
        self.assertGreaterEqual(self.n_off, len(SWITCHED_OFF) - 2)
        self.assertEqual(self.thief.value("SELECT @@sql_mode"), "ALLOW_INVALID_DATES")

    def test_time_cannot_be_set(self):
        self.assertNotEqual(self.thief.error("SET timestamp = 1577836800"), 0)
        self.assertEqual(self.root.value("SELECT ABS(UNIX_TIMESTAMP() - %s) < 60",
                                         self.thief.value("SELECT UNIX_TIMESTAMP()")), 1)

    def check_implausible_end(self, table):
        key = self.open_row(table=table)
        before = self.stored(key, "*", table=table)
        for case in ({"end_cause": "nothing"}, {"end_cause": 0}, {"end_cause": ""},
                     {"destroyed_at": "nonsense"}, {"destroyed_at": "0000-00-00"},
                     {"destroyed_at": "1970-01-02"}, {"destroyed_at": "9999-12-31"},
                     {"end_cause": None}, {"end_batch": None}):
            with self.subTest(case=case):
                self.assertEqual(self.end(key, table=table, **case), -CHECK_OPTION)
        self.assertEqual(self.stored(key, "*", table=table), before)

    @staticmethod
    def next_day_of_no_calendar():
        today = utc_today()
        return next(day for day in (f"{year}-{month:02}-31" for year in (today.year, today.year + 1)
                                    for month in (2, 4, 6, 9, 11)) if day > str(today))

    def test_zero_dates(self):
        for table in NEEDS:
            with self.subTest(table=table):
                self.check_zero_dates(table)

    def check_zero_dates(self, table):
        key = self.open_row(table=table)
        for date in ("0000-00-00", "2026-00-00", "2026-01-00", "2026-02-31", "nonsense",
                     "1000-01-01", self.next_day_of_no_calendar()):
            self.assertEqual(self.insert(table=table, created_at=date), CHECK_OPTION, date)
            self.assertEqual(self.insert(table=table, destroyed_at=date, end_cause="exit",
                                         end_batch=7), CHECK_OPTION, date)
            self.assertEqual(self.end(key, table=table, destroyed_at=date), -CHECK_OPTION, date)
        for day in ("0000-00-00", "1000-01-01", "nonsense"):
            self.assertEqual(self.insert(table=table, day=day), CHECK_OPTION, day)

    def test_update_ignore(self):
        for table in NEEDS:
            key = self.open_row(table=table)
            before = self.stored(key, "*", table=table)
            for change in ("destroyed_at = '1970-01-02', end_cause = 'exit', end_batch = 8",
                           "end_cause = 'exit'", *(f"{name} = 5" for name in ENDS.get(table, ()))):
                self.thief.run(f"UPDATE IGNORE {table}_end SET {change} WHERE id = %s", key[1])
            for name, value in SETTLES.get(table, {}).items():
                self.thief.run(f"UPDATE IGNORE {table}_settle SET {name} = %s WHERE id = %s",
                               value, key[1])
            self.assertEqual(self.stored(key, "*", table=table), before)

    def test_many_tables_at_once(self):
        key = self.open_row()
        self.assertEqual(self.end(key), 1)
        other = self.open_row()
        error = self.thief.error(
            "UPDATE process_end AS a, process_settle AS b SET a.destroyed_at = '1970-01-02',"
            " a.end_cause = 'exit', a.end_batch = 8, b.comm = 'x', b.settle_batch = 8"
            " WHERE a.id = b.id")
        self.assertEqual(error, CHECK_OPTION)
        self.assertEqual(self.stored(key, "end_cause", "comm"), (("exit", None),))
        self.assertEqual(self.stored(other, "destroyed_at", "comm"), ((None, None),))


class Holding(Thief):
    """A transaction that is left open is ended after 30 s, whatever the session does meanwhile."""

    def hold(self, *statements):
        holder = self.login("stolen")
        self.addCleanup(holder.close)
        for statement in ("SET autocommit = 0", "BEGIN", *statements):
            holder.run(statement)
        self.assertEqual(self.insert(holder), 0)
        return holder, self.key()

    def count(self):
        return self.root.value("SELECT COUNT(*) FROM information_schema.processlist"
                               " WHERE user = %s", f"agent_{self.mine}")

    def test_reaped(self):
        start = self.root.value("SELECT UTC_TIMESTAMP(6)")
        wait_for(lambda: self.count() == 1, 60, "the sessions of the test before are gone")
        before = 1
        holder, key = self.hold("SET wait_timeout = 31536000")
        self.assertEqual(self.count(), before + 1)
        self.root.run("CALL vestige_reap_transactions(30)")
        self.assertEqual(self.count(), before + 1)

        def kept_busy():
            return holder.error("DO SLEEP(0.2)")  # a session that is never idle
        error = wait_for(kept_busy, 120, "the event ends the transaction")
        self.assertIn(error, (1317, 1927, 2006, 2013))
        wait_for(lambda: self.count() == before, 60, "the session is gone")
        self.assertEqual(self.stored(key, "1"), ())
        # the event notes what it did after it has done it
        (started,), = wait_for(lambda: self.root.run(
            "SELECT started_at FROM maintenance_run WHERE name = 'reap_transactions' AND started_at > %s"
            " AND message LIKE %s ORDER BY id DESC LIMIT 1", start, f"%agent_{self.mine}%"), 60, "the run is noted")
        self.assertGreater(started - start, datetime.timedelta(seconds=29))
        self.assertLess(started - start, datetime.timedelta(seconds=60))
        self.assertEqual(self.thief.value("SELECT 1"), 1)

    def test_prepared_is_a_finding(self):
        holder = self.login("stolen")
        holder.run("XA START 'stolen'")
        self.assertEqual(self.insert(holder), 0)
        holder.run("XA END 'stolen'")
        holder.run("XA PREPARE 'stolen'")
        holder.close()
        self.addCleanup(self.root.error, "XA ROLLBACK 'stolen'")
        wait_for(lambda: self.root.run("SELECT 1 FROM information_schema.innodb_trx WHERE"
                                       " trx_mysql_thread_id = 0 AND trx_started < SYSDATE()"),
                 60, "the transaction has no session", interval=0.3)  # innodb_trx is cached 0.1 s
        self.root.run("CALL vestige_reap_transactions(0)")
        self.root.run("CALL vestige_reap_transactions(0)")
        self.assertEqual(self.root.run("SELECT result, LEFT(message, 17) FROM maintenance_run"
                                       " WHERE name = 'prepared_transactions'"),
                         (("failure", "1 XA transactions"),))

    def test_only_agents_are_reaped(self):
        reader = self.server.root("vestige")
        self.addCleanup(reader.close)
        reader.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        reader.run("SELECT COUNT(*) FROM process")
        self.root.run("CALL vestige_reap_transactions(-5)")
        self.assertEqual(reader.value("SELECT 1"), 1)


# Of a statement of which nothing is allowed: which of these it is depends on what the account has.
REFUSED = {ACCESS_DENIED, NO_DATABASE_RIGHT, NO_TABLE_RIGHT, NO_COLUMN_RIGHT, NO_ROUTINE_RIGHT,
           NO_ADMINISTRATIVE_RIGHT}
NO_GRANT, NO_SUCH_ROUTINE, NO_OWN_THREAD, EVENT_UNKNOWN = 1141, 1305, 1095, 1539


class Listed(Thief):
    """Each table, view and routine that there is, by the server's own lists."""

    def relations(self):
        return [row[0] for row in self.root.run(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'vestige'")]

    def columns(self, relation):
        return [row[0] for row in self.root.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige'"
            " AND table_name = %s", relation)]

    def granted(self, role):
        """{relation: {privilege: columns, or None for all}}"""
        found = {}
        for table, privileges in self.root.run(
                "SELECT table_name, table_priv FROM mysql.tables_priv WHERE user = %s AND db = 'vestige'",
                role):
            for privilege in filter(None, privileges.split(",")):
                found.setdefault(table, {})[privilege] = None
        for table, column, privileges in self.root.run(
                "SELECT table_name, column_name, column_priv FROM mysql.columns_priv WHERE user = %s", role):
            for privilege in privileges.split(","):
                found.setdefault(table, {}).setdefault(privilege, set()).add(column)
        return found

    def statements(self, relation):
        column = self.columns(relation)[0]
        return {
            "Select": f"SELECT `{column}` FROM {relation}", "Insert": f"INSERT INTO {relation} () VALUES ()",
            "Update": f"UPDATE {relation} SET `{column}` = `{column}`", "Delete": f"DELETE FROM {relation}",
            "Drop": f"DROP TABLE {relation}", "Drop view": f"DROP VIEW {relation}",
            "Truncate": f"TRUNCATE TABLE {relation}", "Alter": f"ALTER TABLE {relation} COMMENT = 'x'",
            "Rename": f"RENAME TABLE {relation} TO stolen",
            "Trigger": f"CREATE TRIGGER stolen BEFORE INSERT ON {relation} FOR EACH ROW SET @a = 1",
            "Lock": f"LOCK TABLES {relation} WRITE", "Flush": f"FLUSH TABLES {relation} WITH READ LOCK",
            "Optimize": f"OPTIMIZE TABLE {relation}", "Show create": f"SHOW CREATE TABLE {relation}",
            "Show index": f"SHOW INDEX FROM {relation}",
            "Grant": f"GRANT SELECT ON {relation} TO CURRENT_USER()"}

    def refuse_all(self, session, granted):
        for relation in self.relations():
            before = self.root.value(f"SELECT COUNT(*) FROM {relation}") if relation in TABLES else None
            for verb, sql in self.statements(relation).items():
                if verb in granted.get(relation, {}) or (verb == "Show index" and relation in granted):
                    continue
                with self.subTest(sql=sql):
                    self.assertIn(session.error(sql), REFUSED)
            if before is not None:
                self.assertEqual(self.root.value(f"SELECT COUNT(*) FROM {relation}"), before, relation)

    def refuse_routines(self, session, allowed):
        routines = self.root.run("SELECT routine_name, routine_type FROM information_schema.routines"
                                 " WHERE routine_schema = 'vestige'")
        self.assertGreater(len(routines), 10)
        for name, kind in routines:
            n = self.root.value("SELECT COUNT(*) FROM information_schema.parameters WHERE specific_schema ="
                                " 'vestige' AND specific_name = %s AND ordinal_position > 0", name)
            values = ", ".join(f"@p{i}" for i in range(n))
            with self.subTest(name):
                if name not in allowed:
                    self.assertEqual(session.error(f"{'CALL' if kind == 'PROCEDURE' else 'SELECT'} {name}({values})"),
                                     NO_ROUTINE_RIGHT)
                self.assertEqual(session.error(f"SHOW CREATE {kind} {name}"),
                                 0 if name in allowed else NO_SUCH_ROUTINE)
                self.assertIn(session.error(f"DROP {kind} {name}"), (NO_ROUTINE_RIGHT,))
                self.assertIn(session.error(f"ALTER {kind} {name} SQL SECURITY INVOKER"), (NO_ROUTINE_RIGHT,))


class Everything(Listed):
    def test_grants_are_those_of_the_views(self):
        granted = self.granted("vestige_agent")
        kinds = {"in": {"Insert"}, "end": {"Select", "Update"}, "settle": {"Select", "Update"}}
        others = {"host_alive": {"Update"}, "schema_version": {"Select"}, "schema_agents": {"Select"}}
        for relation, privileges in granted.items():
            kind = relation.rpartition("_")[2]
            self.assertEqual(set(privileges), others.get(relation) or kinds[kind], relation)
            if kind in ("end", "settle"):
                self.assertEqual(privileges["Select"], {"host_id", "id", "day"}, relation)
            if kind != "in":
                self.assertNotIn(None, privileges.values(), f"{relation}: all columns")
        self.assertEqual(granted["schema_version"], {"Select": {"version"}})
        self.assertEqual(granted["schema_agents"], {"Select": {"oldest_agent"}})
        self.assertEqual(self.root.run("SELECT 1 FROM mysql.db WHERE user = 'vestige_agent'"), ())
        self.assertEqual(self.root.run("SELECT routine_name FROM mysql.procs_priv WHERE user = 'vestige_agent'"),
                         (("vestige_enrolment_confirm",),))

    def test_each_table_and_verb(self):
        self.assertGreater(len(self.relations()), 80)
        self.refuse_all(self.thief, self.granted("vestige_agent"))

    def test_each_routine(self):
        self.refuse_routines(self.thief, {"vestige_enrolment_confirm"})

    def test_what_show_shows(self):
        self.assertEqual(self.thief.run("SHOW DATABASES"), (("information_schema",), ("vestige",)))
        self.assertEqual({row[0] for row in self.thief.run("SHOW TABLES")}, set(self.granted("vestige_agent")))
        self.assertLessEqual({row[1] for row in self.thief.run("SHOW OPEN TABLES")}, set(self.granted("vestige_agent")))
        for sql in ("SHOW TRIGGERS", "SELECT event_name FROM information_schema.events"):
            self.assertEqual(self.thief.run(sql), (), sql)
        self.assertEqual({row[1] for row in self.thief.run("SHOW PROCEDURE STATUS WHERE db = 'vestige'")},
                         {"vestige_enrolment_confirm"})
        # Of a procedure that it may execute the text is not shown.
        self.assertIsNone(self.thief.run("SHOW CREATE PROCEDURE vestige_enrolment_confirm")[0][2])
        other = f"agent_{self.theirs}@localhost"
        for error, sql in ((NO_DATABASE_RIGHT, "SHOW EVENTS"), (NO_DATABASE_RIGHT, f"SHOW GRANTS FOR {other}"),
                           (NO_DATABASE_RIGHT, "SHOW GRANTS FOR vestige_owner@localhost"),
                           (NO_DATABASE_RIGHT, "SHOW GRANTS FOR vestige_reader"),
                           (NO_DATABASE_RIGHT, f"SHOW CREATE USER {other}"),
                           (NO_ADMINISTRATIVE_RIGHT, "SHOW MASTER STATUS"),
                           (NO_ADMINISTRATIVE_RIGHT, "SHOW BINARY LOGS"),
                           (NO_ADMINISTRATIVE_RIGHT, "SHOW SLAVE STATUS"),
                           (NO_ADMINISTRATIVE_RIGHT, "SHOW ENGINE INNODB MUTEX"),
                           (NO_ADMINISTRATIVE_RIGHT, "SHOW SLAVE HOSTS")):
            with self.subTest(sql):
                self.assertEqual(self.thief.error(sql), error)

    def test_variables_of_the_server(self):
        for name in ("event_scheduler", "local_infile", "sql_mode", "general_log", "log_output", "read_only",
                     "max_connections", "secure_timestamp", "innodb_flush_log_at_trx_commit", "require_secure_transport"):
            self.assertIn(self.thief.error(f"SET GLOBAL {name} = DEFAULT"), (NO_ADMINISTRATIVE_RIGHT, 1238), name)
        for setting in ("sql_log_bin = 0", "binlog_format = 'STATEMENT'", "pseudo_thread_id = 1", "server_id = 7",
                        "gtid_domain_id = 7", "binlog_row_image = 'MINIMAL'", "debug_dbug = 'd'"):
            self.assertIn(self.thief.error(f"SET SESSION {setting}"), (NO_ADMINISTRATIVE_RIGHT, 1193), setting)

    def test_accounts(self):
        other = f"agent_{self.theirs}@localhost"
        for error, sql in ((NO_DATABASE_RIGHT, f"SET PASSWORD FOR {other} = PASSWORD('x')"),
                           (NO_ADMINISTRATIVE_RIGHT, f"ALTER USER {other} IDENTIFIED BY 'x'"),
                           (NO_ADMINISTRATIVE_RIGHT, f"DROP USER {other}"),
                           (NO_ADMINISTRATIVE_RIGHT, f"RENAME USER {other} TO stolen"),
                           (NO_ADMINISTRATIVE_RIGHT, "ALTER USER CURRENT_USER() WITH MAX_USER_CONNECTIONS 0"),
                           (NO_ADMINISTRATIVE_RIGHT, "INSTALL SONAME 'server_audit'"),
                           (NO_ADMINISTRATIVE_RIGHT, "RESET QUERY CACHE"), (NO_ADMINISTRATIVE_RIGHT, "FLUSH SSL"),
                           (NO_ADMINISTRATIVE_RIGHT, "CHANGE MASTER TO master_host = 'x'"),
                           (NO_ADMINISTRATIVE_RIGHT, "PURGE BINARY LOGS BEFORE NOW()")):
            with self.subTest(sql):
                self.assertIn(self.thief.error(sql), {error, *REFUSED})
        # that of the test before may be about to go, and then there is none of its number
        connection = self.root.value("SELECT MAX(id) FROM information_schema.processlist WHERE user = %s",
                                     f"agent_{self.theirs}")
        self.assertEqual(self.thief.error(f"KILL {connection}"), NO_OWN_THREAD)

    def test_own_password_is_seen(self):
        """A thief may set the password of the account that was stolen; that is told."""
        self.server.enrol("robbed")
        session = Session(self.server, database="vestige", read_default_group="vestige", read_default_file=os.path.join(
            self.server.directory, "enrolled-robbed", "agent.cnf"))
        self.addCleanup(session.close)
        session.run("SET PASSWORD = PASSWORD('thief')")
        self.assertIn("its password was changed", [row[2] for row in self.root.run("CALL vestige_changed_credentials()")])

    def test_seals_of_another_host(self):
        seal = ("INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                f" n_lines, recovered) VALUES (%s, 1, 'f', 'f', 2, '{BOOT}', '2020-01-01', '2020-01-01', 1, 0)")
        line = ("INSERT INTO rejected_in (host_id, batch, line, table_name, text, error, message)"
                " VALUES (%s, 1, 1, 'x', 'x', 1, 'x')")
        for sql in (seal, line):
            for host in (self.theirs, 0, 4294967295):
                self.assertEqual(self.thief.error(sql, host), CHECK_OPTION)

    def test_only_its_own_enrolment_can_be_confirmed(self):
        before = self.root.run("SELECT * FROM enrolment WHERE host_id <> %s", self.mine)
        self.thief.run("CALL vestige_enrolment_confirm('x')")
        self.thief.run("CALL vestige_enrolment_confirm('x')")
        self.assertEqual(self.thief.error("CALL vestige_enrolment_confirm('y')"), 1644)
        self.assertEqual(self.root.run("SELECT * FROM enrolment WHERE host_id <> %s", self.mine), before)


class Newcomer(Listed):
    """The one-time account of a token."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.server.directory, "token-" + self.id().rpartition(".")[2])
        name = "n" + self.id().rpartition(".")[2].replace("_", "-")
        self.server.vestige("client", "enroll", name, "--token", path)
        with open(path) as file:
            text = file.read()
        values = dict(line.split(" = ") for line in text[text.index("[vestige]"):text.index("file agent.cnf")].splitlines()
                      if " = " in line)
        self.newcomer = Session(self.server, database="vestige", user=values["user"], password=values["password"])
        self.addCleanup(self.newcomer.close)
        self.other_token = int(values["user"].rpartition("_")[2])

    ALLOWED = {"vestige_token_request", "vestige_token_look"}

    def test_each_table_and_verb(self):
        self.refuse_all(self.newcomer, {})
        self.assertEqual(self.newcomer.run("SHOW TABLES"), ())

    def test_each_routine(self):
        self.refuse_routines(self.newcomer, self.ALLOWED)

    def test_grants_are_those_of_the_views(self):
        self.assertEqual(self.granted("vestige_newcomer"), {})
        self.assertEqual({row[0] for row in self.root.run(
            "SELECT routine_name FROM mysql.procs_priv WHERE user = 'vestige_newcomer'")}, self.ALLOWED)
        self.assertEqual(self.root.run("SELECT 1 FROM mysql.db WHERE user = 'vestige_newcomer'"), ())

    def test_what_show_shows(self):
        self.assertEqual({row[1] for row in self.newcomer.run("SHOW PROCEDURE STATUS WHERE db = 'vestige'")}, self.ALLOWED)
        for sql in ("SHOW EVENTS", "SHOW GRANTS FOR vestige_registrar@localhost", "SHOW MASTER STATUS"):
            self.assertIn(self.newcomer.error(sql), REFUSED, sql)

    def test_its_own_token_only(self):
        before = self.root.run("SELECT * FROM enrolment_token WHERE id <> %s", self.other_token)
        words = ("-----BEGIN CERTIFICATE REQUEST-----\n", "ab" * 32, "*" + "A" * 40)
        self.newcomer.run("CALL vestige_token_request(%s, %s, %s)", *words)
        self.assertEqual(self.newcomer.error("CALL vestige_token_request(%s, %s, %s)", words[0], "cd" * 32, words[2]), 1644)
        self.assertEqual(self.newcomer.run("CALL vestige_token_look()")[0][1:3], (None, None))
        self.assertEqual(self.root.run("SELECT * FROM enrolment_token WHERE id <> %s", self.other_token), before)


class Revoked(Thief):
    """A session that was there before the revocation."""

    def test_session_that_is_kept(self):
        directory = self.server.enrol("revoked")
        kept = Session(self.server, database="vestige", read_default_group="vestige",
                       read_default_file=os.path.join(directory, "agent.cnf"))
        self.addCleanup(kept.close)
        mine = self.root.value("SELECT host_id FROM enrolment WHERE name = 'revoked'")
        key = self.open_row(kept, host_id=mine)
        kept.run("BEGIN")
        self.assertEqual(self.insert(kept, host_id=mine), 0)
        uncommitted = self.key()
        self.server.vestige("client", "revoke", "revoked")
        with self.assertRaises(Refused):
            kept.run("COMMIT")
        with self.assertRaises(Refused):
            Session(self.server, database="vestige", read_default_group="vestige",
                    read_default_file=os.path.join(directory, "agent.cnf"))
        self.assertEqual(len(self.stored(key, "1")), 1)
        self.assertEqual(self.stored(uncommitted, "1"), ())


if __name__ == "__main__":
    unittest.main(verbosity=2)
