#!/usr/bin/python3
"""The schema on a real server: set up, set up again, interrupted at each statement, newer than the
program; the same columns as the recorder's catalogue; partitions through a hundred days; settings
without which evidence is lost."""

import datetime
import os
import re
import subprocess
import sys
import time
import unittest

import pymysql.constants.CLIENT

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from network_test import own_port
from private_server import PrivateServer, Session, VestigeServer
from vestige_test import VESTIGE, run, wait_for

ACCOUNTS = ("account", "account_group", "group_member", "finding")
NETWORK = ("endpoint", "address_name", "interface_address", "route")
LOGINS = ("session", "auth_attempt")
TABLES = ("process", "process_change", "host", "boot", "coverage", "gap", *NETWORK, "file_access",
          *ACCOUNTS, "device", *LOGINS, "kernel_event")
PARTITIONED = ("process", "process_change", *NETWORK, "file_access", *ACCOUNTS, "device", *LOGINS,
               "kernel_event")
# What no agent writes: computed, or of findings that the server made.
SERVERS_COLUMNS = {"process": ["cmdline"],
                   "finding": ["schedule_id", "first_seen", "last_seen", "row_keys", "complete"]}
SETTLED = ("process", "endpoint", "device")
STATEMENT_END = re.compile(r";\n+(?=--|(?!END\b)[A-Z]|\Z)")
PLACES_MOST = 20  # in a file, at which a migration is interrupted
WAITS_S = 5  # the making of partitions, for who uses the tables
FILES = sorted(name for name in os.listdir(os.path.join(ROOT, "server-schema"))
               if re.match(r"\d{4}_\w+\.sql\Z", name))


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def catalogue():
    """{table: [(column, line)]} from recorder/row/catalogue.c, lines being BIRTH, SETTLE, END."""
    text = read("recorder", "row", "catalogue.c")
    text = text.replace("BIRTH_COMMON,", 'BIRTH("created_at"), BIRTH("seen_by"),')
    text = text.replace("END_COMMON,", 'END("destroyed_at"), END("end_cause"),')
    return {table: [(name, line) for line, name in re.findall(
        r'\b(BIRTH|SETTLE|END)(?:_SINCE)?\((?:\d+, )?"(\w+)"\)', body)]
            for table, body in re.findall(r"struct column (\w+)_columns\[\] = \{(.*?)\};", text, re.S)}


def identifier(day, number=0):
    """The id of a row that was recorded at noon of a day."""
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.timezone.utc)
    return int(noon.timestamp()) * 1000000 + number


def insert_process(session, day, host_id, number=0):
    return session.run(
        "INSERT INTO process_in (host_id, id, day, batch, created_at, seen_by, boot_id, pid)"
        " VALUES (%s, %s, %s, 1, %s, 'proc', UUID(), 1)",
        host_id, identifier(day, number), day, f"{day} 12:00:00")


class ServerTest(unittest.TestCase):
    server_class, settings = PrivateServer, {}

    @classmethod
    def setUpClass(cls):
        cls.server = cls.server_class(**cls.settings)
        cls.addClassCleanup(cls.server.close)
        cls.root = cls.server.root()

    def columns(self, table):
        return [row[0] for row in self.root.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige'"
            " AND table_name = %s ORDER BY ordinal_position", table)]

    def refused(self, *words, names):
        """A command that fails with status 2, one line, and these words in it."""
        done = self.server.vestige(*words, check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        last = done.stderr.splitlines()[-1]
        for name in names:
            self.assertIn(name, last)
        return done


class Schema(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.vestige("server", "init")

    def versions(self):
        return self.root.run("SELECT version, name FROM vestige.schema_version ORDER BY version")

    def test_files_are_recorded(self):
        self.assertEqual(self.versions(), tuple((int(name[:4]), name) for name in FILES))

    def test_again_changes_nothing(self):
        before = self.root.run("SELECT * FROM vestige.schema_version")
        for command in ("init", "migrate"):
            done = self.server.vestige("server", command)
            self.assertIn(f"schema version {int(FILES[-1][:4])}, 0 files applied", done.stdout)
        self.assertEqual(self.root.run("SELECT * FROM vestige.schema_version"), before)

    def test_newer_schema_is_refused(self):
        self.root.run("INSERT INTO vestige.schema_version (version, name, checksum)"
                      " VALUES (99, '0099_future.sql', 'x')")
        self.addCleanup(self.root.run, "DELETE FROM vestige.schema_version WHERE version = 99")
        for command in (("server", "init"), ("server", "migrate"), ("client", "list"),
                        ("client", "enroll", "nobody", "--directory", self.server.directory)):
            self.refused(*command, names=["version 99", "0099_future.sql",
                                          f"only version {int(FILES[-1][:4])}", "install a newer Vestige"])
        self.assertEqual(self.root.run("SELECT * FROM vestige.enrolment WHERE name = 'nobody'"), ())

    def test_other_form_is_refused(self):
        self.root.run("UPDATE vestige.schema_version SET checksum = REVERSE(checksum)"
                      " WHERE version = 2")
        self.addCleanup(self.root.run, "UPDATE vestige.schema_version"
                        " SET checksum = REVERSE(checksum) WHERE version = 2")
        self.refused("server", "migrate", names=["0002_accounts.sql", "in another form"])

    def test_catalogue_agrees(self):
        tables = catalogue()
        self.assertEqual(sorted(tables), sorted(TABLES))
        for table, columns in tables.items():
            names = [name for name, _ in columns]
            end = [name for name, line in columns if line == "END"]
            settle = [name for name, line in columns if line == "SETTLE"]
            key = ["host_id", "id", "day"]
            with self.subTest(table=table):
                self.assertEqual(sorted(self.columns(table)), sorted(
                    key + names + ["batch", "settle_batch", "end_batch"]
                    + SERVERS_COLUMNS.get(table, [])))
                self.assertEqual(self.columns(table + "_in"), key + ["batch", "end_batch"] + names)
                self.assertEqual(self.columns(table + "_end"), key + end + ["end_batch"])
                self.assertEqual(self.columns(table + "_settle"),
                                 key + settle + ["settle_batch"] if settle else [])
                self.check_column_rights(table + "_end", end + ["end_batch"])
                if settle:
                    self.check_column_rights(table + "_settle", settle + ["settle_batch"])

    def check_column_rights(self, view, update):
        rights = dict(self.root.run(
            "SELECT column_name, column_priv FROM mysql.columns_priv"
            " WHERE user = 'vestige_agent' AND table_name = %s", view))
        self.assertEqual(rights, {**{name: "Select" for name in ("host_id", "id", "day")},
                                  **{name: "Update" for name in update}})

    def test_agents_have_no_other_right(self):
        rights = set(self.root.run("SELECT table_name, table_priv, column_priv FROM mysql.tables_priv"
                                   " WHERE user = 'vestige_agent'"))
        expected = {(t + "_in", "Insert", "") for t in TABLES + ("batch", "rejected")}
        expected |= {(t + "_end", "", "Select,Update") for t in TABLES}
        expected |= {(t + "_settle", "", "Select,Update") for t in SETTLED}
        expected |= {("schema_version", "", "Select"), ("schema_agents", "", "Select"),
                     ("host_alive", "", "Update")}
        self.assertEqual(rights, expected)
        self.assertEqual(self.root.run("SELECT table_name, column_name FROM mysql.columns_priv WHERE"
                                       " user = 'vestige_agent' AND table_name LIKE 'schema%%' ORDER BY 1"),
                         (("schema_agents", "oldest_agent"), ("schema_version", "version")))
        self.assertEqual(self.root.run("SELECT * FROM mysql.db WHERE user = 'vestige_agent'"), ())
        self.assertEqual(self.root.run("SELECT routine_name, proc_priv FROM mysql.procs_priv"
                                       " WHERE user = 'vestige_agent'"),
                         (("vestige_enrolment_confirm", "Execute"),))

    def test_definers_are_locked(self):
        definers = {}
        for view, definer in self.root.run("SELECT table_name, definer FROM information_schema.views"
                                           " WHERE table_schema = 'vestige'"):
            definers.setdefault(definer, []).append(view)
        self.assertEqual(set(definers), {"vestige_owner@localhost", "vestige_registrar@localhost"})
        self.assertEqual(definers["vestige_registrar@localhost"], ["changed_credential", "reader_account"])
        definers = {row[0] for row in self.root.run(
            "SELECT definer FROM information_schema.routines WHERE routine_schema = 'vestige' UNION"
            " SELECT definer FROM information_schema.events WHERE event_schema = 'vestige'")}
        self.assertEqual(definers, {"vestige_maintainer@localhost", "vestige_asker@localhost",
                                    "vestige_scheduler@localhost", "vestige_watcher@localhost",
                                    "vestige_clerk@localhost", "vestige_registrar@localhost"})
        for user in ("vestige_owner", "vestige_maintainer", "vestige_asker", "vestige_scheduler",
                     "vestige_registrar", "vestige_watcher", "vestige_clerk"):
            self.assertIn("ACCOUNT LOCK", self.root.value(f"SHOW CREATE USER {user}@localhost"))
        self.assertEqual(self.root.run("SHOW GRANTS FOR vestige_owner@localhost")[0][0].split(" IDENT")[0],
                         "GRANT USAGE ON *.* TO `vestige_owner`@`localhost`")

    def test_text_and_numbers_keep_what_they_get(self):
        directory = self.server.enrol("types")
        host_id = self.root.value("SELECT host_id FROM vestige.enrolment WHERE name = 'types'")
        agent = Session(self.server, read_default_file=os.path.join(directory, "agent.cnf"),
                        read_default_group="vestige", database="vestige")
        day = datetime.datetime.now(datetime.timezone.utc).date()
        agent.run("INSERT INTO process_in (host_id, id, day, batch, created_at, seen_by, boot_id, pid,"
                  " uid, exe, argv0, arguments, pid_ns) VALUES (%s, %s, %s, 1, %s, %s,"
                  " '01234567-89ab-4def-8123-456789abcdef', 4194304, 4294967294, 'x ', %s, %s,"
                  " 4026531836)", host_id, identifier(day), day, f"{day} 12:00:00.000001",
                  "audit,connector,taskstats,proc,agent", "a" * 131072, "b" * 1000000)
        row = self.root.run("SELECT created_at, seen_by, boot_id, pid, uid, exe = 'x', exe = 'x ',"
                            " LENGTH(argv0), LENGTH(arguments), LENGTH(cmdline), pid_ns"
                            " FROM vestige.process WHERE host_id = %s", host_id)
        self.assertEqual(row, ((datetime.datetime.combine(day, datetime.time(12, 0, 0, 1)),
                                "audit,connector,taskstats,proc,agent",
                                "01234567-89ab-4def-8123-456789abcdef", 4194304, 4294967294, 0, 1,
                                131072, 1000000, 1131073, 4026531836),))

    def test_pages_are_compressed(self):
        for table in PARTITIONED:
            self.assertIn("PAGE_COMPRESSED", self.root.value(
                "SELECT create_options FROM information_schema.tables WHERE table_schema = 'vestige'"
                " AND table_name = %s", table).upper())

    def test_cmdline(self):
        self.addCleanup(self.root.run, "DELETE FROM vestige.process WHERE host_id = 4000000000")
        cases = [(None, None, None), ("ls", "", "ls"), ("ls", "-l 'a b'", "ls -l 'a b'"),
                 ("", "", ""), ("", "x", " x"), ("ls", None, "ls"), ("ls", " ", "ls  ")]
        for number, (argv0, arguments, cmdline) in enumerate(cases):
            self.root.run("INSERT INTO vestige.process (host_id, id, day, created_at, seen_by,"
                          " boot_id, pid, batch, argv0, arguments) VALUES (4000000000, %s,"
                          " '2026-01-01', '2026-01-01', 'proc', UUID(), 1, 1, %s, %s)",
                          number, argv0, arguments)
            self.assertEqual(self.root.value("SELECT cmdline FROM vestige.process WHERE"
                                             " host_id = 4000000000 AND id = %s", number), cmdline)


class Interrupted(ServerTest):
    """A migration may end anywhere; the next one gives the same schema as one that did not."""

    def fresh(self):
        self.root.run("DROP DATABASE IF EXISTS vestige")
        for user, host, is_role in self.root.run("SELECT user, host, is_role FROM mysql.user"
                                                 " WHERE user LIKE 'vestige\\_%%'"):
            self.root.run(f"DROP ROLE {user}" if is_role == "Y" else f"DROP USER {user}@{host}")

    def description(self):
        """All that the schema is: tables, views, routines, events, rights."""
        everything = {}
        for name, kind in self.root.run("SELECT table_name, table_type FROM"
                                        " information_schema.tables WHERE table_schema = 'vestige'"):
            text = self.root.run(f"SHOW CREATE TABLE vestige.`{name}`")[0][1]
            everything[name] = re.sub(r" AUTO_INCREMENT=\d+", "", text)
        for table in ("tables_priv", "columns_priv", "db", "global_priv", "procs_priv"):
            columns = "host, user, priv" if table == "global_priv" else "*"
            everything[table] = sorted(
                re.sub(r"datetime\.datetime\(.*?\)|\"password_last_changed\": ?\d+", "", repr(row))
                for row in self.root.run(f"SELECT {columns} FROM mysql.{table}"))
        everything["routines"] = self.root.run(
            "SELECT routine_name, routine_definition, definer, sql_mode, security_type FROM"
            " information_schema.routines WHERE routine_schema = 'vestige' ORDER BY 1")
        everything["events"] = self.root.run(
            "SELECT event_name, event_definition, definer, interval_value, interval_field, status"
            " FROM information_schema.events WHERE event_schema = 'vestige' ORDER BY 1")
        return everything

    def begin(self):
        """A session in an empty database, as the program makes it."""
        self.fresh()
        self.root.run("CREATE DATABASE vestige CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        session = Session(self.server, user="root", database="vestige", client_flag=pymysql.
                          constants.CLIENT.MULTI_STATEMENTS)
        self.addCleanup(session.close)
        session.run("SET sql_mode = 'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,"
                    "NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'")
        return session

    def apply(self, session, text):
        with session.connection.cursor() as cursor:
            cursor.execute(text)
            while cursor.nextset():
                pass

    def record(self, session, name):
        session.run("INSERT INTO schema_version (version, name, checksum) VALUES (%s, %s, %s)",
                    int(name[:4]), name, self.checksums[int(name[:4])])

    def expect(self):
        """What an undisturbed one gives; here in a database that somebody had made, in another character set."""
        self.day = self.root.value("SELECT UTC_DATE()")
        self.fresh()
        self.root.run("CREATE DATABASE vestige CHARACTER SET latin1")
        self.server.vestige("server", "init")
        self.assertEqual(self.root.run("SELECT specific_name, parameter_name FROM information_schema.parameters"
                                       " WHERE specific_schema = 'vestige' AND character_set_name = 'latin1'"), ())
        self.expected = self.description()
        self.checksums = dict(self.root.run("SELECT version, checksum FROM vestige.schema_version"))

    @staticmethod
    def without_days(description):
        return {name: re.sub(r"\s*PARTITION `p\d{8}` VALUES[^\n]*", "", text) if isinstance(text, str) else text
                for name, text in description.items()}

    def compare(self):
        found = self.description()
        if self.root.value("SELECT UTC_DATE()") != self.day:  # then there are partitions of other days
            found, self.expected = self.without_days(found), self.without_days(self.expected)
        self.assertEqual(sorted(found), sorted(self.expected))
        for key in self.expected:
            self.assertEqual(found[key], self.expected[key], key)

    def test_after_each_statement(self):
        """Interrupted after its first statement, begun anew and interrupted after its second, and so on:
        so each statement meets what each later one has made. Of long files every so many."""
        self.expect()
        session = self.begin()
        n_places = 0
        for name in FILES:
            text = read("server-schema", name)
            ends = [match.end() for match in STATEMENT_END.finditer(text)]
            step = -(-len(ends) // PLACES_MOST)
            for end in sorted({*ends[::step], len(text)}):
                n_places += 1
                try:
                    self.apply(session, text[:end])
                except pymysql.MySQLError as error:
                    self.fail(f"{name} up to {end}: {error}")
            self.record(session, name)
        self.assertGreater(n_places, 300)
        self.assertIn(f"schema version {int(FILES[-1][:4])}, 0 files applied",
                      self.server.vestige("server", "init").stdout)
        self.compare()

    def test_by_the_program(self):
        """What the program does with a database that another run left within a file."""
        self.expect()
        for name in (FILES[0], "0022_schedule_procedures.sql", "0031_retention.sql", FILES[-1]):
            with self.subTest(file=name):
                session = self.begin()
                for earlier in FILES[:FILES.index(name)]:
                    self.apply(session, read("server-schema", earlier))
                    self.record(session, earlier)
                text = read("server-schema", name)
                ends = [match.end() for match in STATEMENT_END.finditer(text)]
                self.apply(session, text[:ends[len(ends) // 2]])
                done = self.server.vestige("server", "init")
                self.assertIn(f"{len(FILES) - FILES.index(name)} file", done.stdout)
                self.compare()


class Partitions(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.vestige("server", "init")
        cls.directory = cls.server.enrol("partitions")
        cls.root.run("USE vestige")
        cls.host_id = cls.root.value("SELECT host_id FROM enrolment WHERE name = 'partitions'")
        # The day of the first partition: now it may be the next one already.
        cls.today = datetime.datetime.strptime(cls.root.value(
            "SELECT partition_name FROM information_schema.partitions WHERE table_schema = 'vestige' AND"
            " table_name = 'process' AND partition_ordinal_position = 2"), "p%Y%m%d").date()
        cls.agent = cls.connect_agent()

    @classmethod
    def connect_agent(cls):
        return Session(cls.server, read_default_file=os.path.join(cls.directory, "agent.cnf"),
                       read_default_group="vestige", database="vestige")

    def partitions(self, table):
        return [row[0] for row in self.root.run(
            "SELECT partition_name FROM information_schema.partitions WHERE table_schema = 'vestige'"
            " AND table_name = %s ORDER BY partition_ordinal_position", table)]

    def days(self, first, last):
        return [f"p{first + datetime.timedelta(n):%Y%m%d}" for n in range((last - first).days + 1)]

    def last_run(self):
        return self.root.run("SELECT result, message, finished_at >= started_at FROM maintenance_run"
                             " WHERE name = 'make_partitions' ORDER BY id DESC LIMIT 1")[0]

    def made(self, n_days):
        """What a run says that has made the partitions of so many days."""
        n_tables = len(PARTITIONED[:3])
        return "success", f"{n_days * n_tables} partitions made in {n_tables} tables"

    def test_1_made_at_once(self):
        for table in PARTITIONED:
            self.assertEqual(self.partitions(table), ["p_before", *self.days(
                self.today, self.today + datetime.timedelta(4)), "p_later"])

    def test_2_the_event_runs_by_itself(self):
        runs = ("SELECT COUNT(*) FROM maintenance_run"
                " WHERE name = 'make_partitions' AND result <> 'running'")
        idle = f"{runs} AND message = '{self.made(0)[1]}'"
        # Partitions of three tables are enough for a hundred days.
        for table in PARTITIONED[3:]:
            self.root.run(f"ALTER TABLE {table} REMOVE PARTITIONING")
        before, idle_before = self.root.value(runs), self.root.value(idle)
        self.root.run("ALTER DEFINER = vestige_maintainer@localhost EVENT vestige_partitions"
                      " ON SCHEDULE EVERY 1 SECOND")
        # On a busy machine more than one begin before the first has made them.
        wait_for(lambda: self.root.value(runs) > before + 1 and self.root.value(idle) > idle_before, 60,
                 "the event makes partitions, and then has nothing to do")
        self.root.run("ALTER DEFINER = vestige_maintainer@localhost EVENT vestige_partitions"
                      " ON SCHEDULE EVERY 1 HOUR")
        self.root.wait_for_events()
        wait_for(lambda: self.last_run() == (*self.made(0), 1), 60, "the last of them has ended, and had nothing to do")
        day = self.root.value("SELECT DATE(MAX(started_at)) FROM maintenance_run WHERE name = 'make_partitions'")
        self.assertEqual(self.partitions("process"), ["p_before", *self.days(
            self.today, day + datetime.timedelta(14)), "p_later"])

    def test_3_a_hundred_days(self):
        for n in range(101):
            day = self.today + datetime.timedelta(n)
            self.root.run("CALL vestige_make_partitions_at(%s, 14)", day)
            self.assertEqual(self.last_run()[0], "success")
            insert_process(self.agent, day, self.host_id)
            self.assertEqual(self.root.run(
                f"SELECT id FROM process PARTITION (p{day:%Y%m%d}) WHERE host_id = %s",
                self.host_id), ((identifier(day),),))
        last = self.today + datetime.timedelta(114)
        for table in PARTITIONED[:3]:
            self.assertEqual(self.partitions(table),
                             ["p_before", *self.days(self.today, last), "p_later"])
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM process PARTITION (p_later)"), 0)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM process"), 101)

    def test_4_a_server_that_did_not_run_for_a_hundred_days(self):
        first = self.today + datetime.timedelta(115)
        for n in (0, 50, 99):
            insert_process(self.agent, first + datetime.timedelta(n), self.host_id, 1)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM process PARTITION (p_later)"), 3)
        self.root.run("CALL vestige_make_partitions_at(%s, 14)", first + datetime.timedelta(100))
        self.assertEqual(self.last_run()[:2], self.made(115))
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM process PARTITION (p_later)"), 0)
        for n in (0, 50, 99):
            day = first + datetime.timedelta(n)
            self.assertEqual(self.root.value(
                f"SELECT COUNT(*) FROM process PARTITION (p{day:%Y%m%d})"), 1)

    def test_5_a_day_before_the_first(self):
        insert_process(self.agent, datetime.date(1970, 1, 1), self.host_id)
        self.assertEqual(self.root.value("SELECT day FROM process PARTITION (p_before)"),
                         datetime.date(1970, 1, 1))

    def test_6_a_clock_far_ahead_makes_no_thousands(self):
        before = self.partitions("process")
        self.assertEqual(self.root.error("CALL vestige_make_partitions_at('2037-01-01', 14)"), 1644)
        self.assertEqual(self.partitions("process"), before)
        result, message, _ = self.last_run()
        self.assertEqual(result, "failure")
        self.assertIn("over 400 days ago", message)

    def test_7_an_agent_that_holds_the_table(self):
        self.agent.run("BEGIN")
        self.agent.run("SELECT id FROM process_end WHERE host_id = %s LIMIT 1", self.host_id)
        day = self.today + datetime.timedelta(230)
        self.root.run("CALL vestige_make_partitions_at(%s, 14)", day)
        self.assertEqual(self.last_run()[:2], self.made(15))
        self.assertIn(self.agent.error("SELECT 1"), (2006, 2013))
        type(self).agent = self.connect_agent()

    def test_8_two_at_once(self):
        # Few days are made: who has to wait for so long ends the agents' connections.
        day = self.today + datetime.timedelta(232)
        command = ["mariadb", "--no-defaults", f"--socket={self.server.socket}", "vestige", "-e",
                   f"CALL vestige_make_partitions_at('{day}', 14)"]
        began = time.monotonic()
        both = [subprocess.Popen(command) for _ in range(4)]
        self.assertEqual([one.wait(60) for one in both], [0] * 4)
        took = time.monotonic() - began
        self.assertEqual(self.partitions("process")[-2], f"p{day + datetime.timedelta(14):%Y%m%d}")
        if took < WAITS_S:
            self.assertEqual(self.agent.value("SELECT 1"), 1)


class Settings(ServerTest):
    settings = {"secure_timestamp": "NO"}

    def test_each_setting_is_demanded(self):
        wrong = [("sql_mode", "'NO_ZERO_DATE'"), ("sql_mode", "'STRICT_TRANS_TABLES'"),
                 ("event_scheduler", "OFF"), ("local_infile", "1"),
                 ("innodb_flush_log_at_trx_commit", "2")]
        for name, value in wrong:
            with self.subTest(name=name, value=value):
                before = self.root.value(f"SELECT @@GLOBAL.{name}")
                self.root.run(f"SET GLOBAL {name} = {value}")
                done = self.refused("server", "init", names=["2 settings of the server",
                                                             "nothing was done"])
                self.root.run(f"SET GLOBAL {name} = %s", before)
                named = re.findall(r"error: (\S+) is (\S+):", done.stderr)
                self.assertEqual(named, [("secure_timestamp", "NO"), (name, value.strip("'"))])
        self.assertEqual(self.root.run("SHOW DATABASES LIKE 'vestige'"), ())

    def test_time_zone_tables_are_only_a_note(self):
        done = self.server.vestige("server", "init", check=False)
        self.assertRegex(done.stderr, "time zone tables: empty: .*mariadb-tzinfo-to-sql")
        self.assertIn("1 setting of the server", done.stderr)


class Uncompressed(ServerTest):
    settings = {"innodb_compression_algorithm": "none"}

    def test_init(self):
        self.server.vestige("server", "init")
        self.assertEqual(self.root.value(
            "SELECT create_options FROM information_schema.tables WHERE table_schema = 'vestige'"
            " AND table_name = 'process'"), "partitioned")


class Unreachable(ServerTest):
    """What a person reads when it cannot work."""

    def says(self, *words, options):
        done = run(VESTIGE, *words, *options, check=False, env={**os.environ, "HOME": "/nonexistent"})
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_no_server(self):
        said = self.says("client", "list", options=["--no-defaults", "--socket=/nonexistent/s"])
        self.assertIn("connect to MariaDB at socket /nonexistent/s", said)
        self.assertIn("is the server running", said)

    def test_no_option_file(self):
        said = self.says("client", "list", options=["--defaults-file=/nonexistent.cnf"])
        self.assertIn("cannot read the option file /nonexistent.cnf: No such file", said)

    def test_no_database(self):
        said = self.says("client", "list", options=["--no-defaults", "--user=root",
                                                    f"--socket={self.server.socket}"])
        self.assertIn("Unknown database 'vestige'", said)
        self.assertIn("vestige server init", said)

    def test_wrong_password(self):
        self.root.run("CREATE USER wrong@localhost IDENTIFIED BY 'right'")
        path = os.path.join(self.server.directory, "wrong.cnf")
        with open(path, "w") as file:
            file.write(f"[vestige]\nuser=wrong\npassword=secret-word\nsocket={self.server.socket}\n")
        said = self.says("client", "list", options=[f"--defaults-file={path}"])
        self.assertIn("Access denied for user 'wrong'@'localhost'", said)
        self.assertIn("check user and password", said)
        self.assertNotIn("secret-word", said)

    def test_group_and_extra_file(self):
        first, extra = (os.path.join(self.server.directory, n) for n in ("first.cnf", "extra.cnf"))
        with open(first, "w") as file:
            file.write("[client]\nuser=client_user\n[vestige]\nuser=plain_user\n"
                       f"socket={self.server.socket}\n[vestige_two]\nuser=two_user\n"
                       f"socket={self.server.socket}\n")
        with open(extra, "w") as file:
            file.write("[vestige]\nuser=extra_user\n")
        for options, user in ((["--defaults-file", first], "plain_user"),
                              (["--defaults-file", first, "--defaults-group-suffix=_two"], "two_user"),
                              (["--defaults-file", first, "--user=option_user"], "option_user"),
                              (["--defaults-extra-file", extra, "--socket", self.server.socket],
                               "extra_user")):
            self.assertIn(f"'{user}'@'localhost'", self.says("client", "list", options=options))

    def test_tcp_without_tls(self):
        port = own_port()
        server = PrivateServer(port=str(port), bind_address="127.0.0.1")
        self.addCleanup(server.close)
        server.root().run("CREATE USER tcp@'%' IDENTIFIED BY 'secret-word'")
        path = os.path.join(server.directory, "tcp.cnf")
        for extra in ("", "ssl-verify-server-cert=0\n", "ssl=0\n", "protocol=1\n"):
            with open(path, "w") as file:
                file.write(f"[vestige]\nuser=tcp\npassword=secret-word\nport={port}\n"
                           f"host={'localhost' if 'protocol' in extra else '127.0.0.1'}\n{extra}")
            said = self.says("client", "list", options=[f"--defaults-file={path}"])
            self.assertIn("error 2026", said, extra)


class Enrolment(ServerTest):
    server_class = VestigeServer

    def password(self, directory):
        with open(os.path.join(directory, "agent.cnf")) as file:
            return re.search(r"^password = (\S+)$", file.read(), re.M).group(1)

    def login(self, directory):
        return Session(self.server, read_default_file=os.path.join(directory, "agent.cnf"),
                       read_default_group="vestige", database="vestige")

    def test_files_and_account(self):
        directory = self.server.enrol("one.example")
        host_id = self.root.value("SELECT host_id FROM vestige.enrolment WHERE name = 'one.example'")
        self.assertEqual(os.stat(os.path.join(directory, "agent.cnf")).st_mode & 0o777, 0o600)
        with open(os.path.join(directory, "vestiged.conf")) as file:
            self.assertIn(f"[agent]\nhost_id = {host_id}\n", file.read())
        self.assertEqual(self.login(directory).run("SELECT CURRENT_USER(), CURRENT_ROLE()"),
                         ((f"agent_{host_id}@localhost", "vestige_agent"),))
        self.assertGreaterEqual(len(self.password(directory)), 43)
        listed = self.server.vestige("client", "list", "--format", "csv").stdout.splitlines()
        self.assertIn(f"{host_id},one.example,agent_{host_id}@localhost,", "\n".join(listed))

    def test_password_is_in_no_log(self):
        self.root.run("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON")
        directory = self.server.enrol("logged")
        self.server.vestige("client", "rotate", "logged", "--directory", directory)
        self.root.run("SET GLOBAL general_log = OFF")
        text = "\n".join(str(row[0]) for row in self.root.run("SELECT argument FROM mysql.general_log"))
        self.assertIn("CREATE USER", text)
        self.assertNotIn(self.password(directory), text)

    def test_twice_is_refused(self):
        directory = self.server.enrol("twice")
        before = self.password(directory)
        self.refused("client", "enroll", "twice", "--directory", directory,
                     names=["enrolled already", "client rotate twice"])
        self.assertEqual(self.password(directory), before)
        self.login(directory).close()

    def test_rotate(self):
        directory = self.server.enrol("rotated")
        with open(os.path.join(directory, "agent.cnf")) as file:
            old = file.read()
        self.server.vestige("client", "rotate", "rotated", "--directory", directory)
        self.login(directory).close()
        path = os.path.join(directory, "old.cnf")
        with open(path, "w") as file:
            file.write(old)
        with self.assertRaisesRegex(Exception, "Access denied"):
            Session(self.server, read_default_file=path, read_default_group="vestige")
        self.refused("client", "rotate", "nobody", names=["nobody is not enrolled"])

    def test_bad_names(self):
        for name in ("", "a b", "a'b", "a`b", "a/b", "a;b", "ü", "x" * 254):
            self.refused("client", "enroll", name, "--directory", self.server.directory,
                         names=["name of a host"])

    def test_a_foreign_account_is_not_taken_over(self):
        next_id = self.root.value("SELECT COALESCE(MAX(host_id), 0) + 1 FROM vestige.enrolment")
        next_id = max(next_id, self.root.value(
            "SELECT auto_increment FROM information_schema.tables WHERE table_schema = 'vestige'"
            " AND table_name = 'enrolment'"))
        self.root.run(f"CREATE USER agent_{next_id}@localhost IDENTIFIED BY 'mine'")
        self.refused("client", "enroll", "foreign", "--directory", self.server.directory,
                     names=[f"make the account agent_{next_id}@localhost"])
        self.assertEqual(self.root.run("SELECT * FROM vestige.enrolment WHERE name = 'foreign'"), ())
        self.root.run(f"DROP USER agent_{next_id}@localhost")


if __name__ == "__main__":
    unittest.main(verbosity=2)
