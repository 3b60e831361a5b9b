"""The server watches its fleet: signs of life, hosts that fall silent, machines under one identity, floods,
clocks, credentials, settings; and `status` and `schedule list`, which show it. Nothing is waited for: the
watch is told what time it is."""

import datetime
import json
import os
import unittest

from private_server import Session
from server_test import ServerTest
from vestige_test import main, wait_for

BOOTS = [f"{n}1111111-2222-4333-8444-555555555555" for n in range(4)]
RULES = ("host-silent", "host-cloned", "host-flooding", "host-credential-changed", "host-clock-off",
         "server-setting-changed", "reader-not-logged")
ALIVE = ("boot_id", "agent_version", "agent_run", "beat", "batches_waiting", "journal_bytes",
         "journal_limit_bytes", "waiting_us", "journal_full", "gaps", "server_offset_us")
NO_TABLE_RIGHT, NO_COLUMN_RIGHT = 1142, 1143


class Shared(ServerTest):
    """One server for all."""
    hosts = ("web", "mail", "db")

    @classmethod
    def addClassCleanup(cls, *words):
        unittest.addModuleCleanup(*words)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.event = cls.root.run("SELECT definer, interval_value, interval_field FROM information_schema.events"
                                 " WHERE event_schema = 'vestige' AND event_name = 'vestige_watch'")
        # Only these tests look.
        cls.root.run("ALTER DEFINER = vestige_watcher@localhost EVENT vestige_watch"
                     " ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01'")
        cls.root.wait_for_events()
        cls.agents = [Session(cls.server, database="vestige", read_default_group="vestige",
                              read_default_file=os.path.join(cls.server.directory, "enrolled-" + name,
                                                             "agent.cnf")) for name in cls.hosts]


def setUpModule():
    Shared.setUpClass()


class WatchTest(Shared):
    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        """Hosts that were heard a moment ago; a watch that has looked."""
        self.root.stay_within_a_day()
        for table in ("batch", "finding", "schedule_finding", "host_traffic", "host_watched", "coverage",
                      "server_setting"):
            self.root.run(f"DELETE FROM {table}")
        self.root.run("DELETE FROM maintenance_run WHERE name = 'watch'")
        self.root.run("DELETE FROM watch_setting WHERE host_id > 0")
        self.root.run("UPDATE watch_state SET looked_at = NULL, counted_at = NULL")
        self.root.run("DELETE FROM host_state")
        self.root.run("INSERT INTO host_state (host_id) SELECT host_id FROM enrolment")
        self.now = self.root.value("SELECT UTC_TIMESTAMP(6)")
        self.beats = {}

    def later(self, **span):
        return self.now + datetime.timedelta(**span)

    def watch(self, **span):
        self.root.run("CALL vestige_watch_at(%s)", self.later(**span))

    def findings(self, rule=None):
        return self.root.run("SELECT host_id, class, subject, detail FROM finding WHERE class <> ''"
                             " AND (%s IS NULL OR class = %s) ORDER BY id", rule, rule)

    def runs(self):
        return self.root.run("SELECT result, message FROM maintenance_run WHERE name = 'watch' ORDER BY id")

    def alive(self, host=1, boot=0, run=1, beat=None, seconds=0, **values):
        """A sign of life; the rows so far are made older by some seconds first."""
        if seconds:
            self.root.run("UPDATE host_state SET seen_at = seen_at - INTERVAL %s SECOND WHERE host_id = %s",
                          seconds, host)
        self.beats[run] = beat or self.beats.get(run, 0) + 1
        values = {"boot_id": BOOTS[boot], "agent_version": "1.0", "agent_run": run, "beat": self.beats[run],
                  "batches_waiting": 0, "journal_bytes": 4096, "journal_limit_bytes": 1 << 30,
                  "waiting_us": 0, "journal_full": 0, "gaps": 0, "server_offset_us": 0, **values}
        return self.agents[host - 1].run(
            "UPDATE host_alive SET " + ", ".join(f"{name} = %s" for name in values), *values.values())

    def batch(self, number, host=1, boot=0, hash_of=None, lines=10, offset=0, **span):
        at = self.later(**span)
        self.root.run(
            "INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
            " n_lines, recovered, server_offset_us, received_at) VALUES (%s, %s, UNHEX(SHA2(%s, 256)),"
            " REPEAT('x', 32), 2, %s, %s, %s, %s, 0, %s, %s)",
            host, number, hash_of or f"{host} {number}", BOOTS[boot], at, at, lines, offset, at)

    def open_coverage(self, host=1):
        number = int(self.now.timestamp() * 1000000)
        self.root.run("INSERT INTO coverage (host_id, id, day, created_at, seen_by, batch, boot_id, source)"
                      " VALUES (%s, %s, %s, %s, 'agent', 1, %s, 'audit')", host, number,
                      datetime.date(1970, 1, 1) + datetime.timedelta(seconds=number // 1000000), self.now,
                      BOOTS[0])


class SignsOfLife(WatchTest):
    def state(self, *columns, host=1):
        return self.root.run(f"SELECT {', '.join(columns)} FROM host_state WHERE host_id = %s", host)[0]

    def test_one_row_a_host(self):
        self.assertEqual(self.alive(batches_waiting=3, waiting_us=5000000), 1)
        self.assertEqual(self.alive(gaps=2), 1)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM host_state WHERE host_id <= 3"), 3)
        self.assertEqual(self.state("boot_id", "agent_version", "beat", "batches_waiting", "gaps", "address"),
                         (BOOTS[0], "1.0", 2, 0, 2, "localhost"))
        self.assertEqual(self.state("seen_at", host=2), (None,))

    def test_the_server_says_when(self):
        """Whatever the session says of the time."""
        for sql in ("SET time_zone = '-12:00'", "SET sql_mode = ''"):
            self.agents[0].run(sql)
        self.assertEqual(self.agents[0].error("SET timestamp = 1"), 1290)
        self.alive()
        age = self.root.value("SELECT TIMESTAMPDIFF(MICROSECOND, seen_at, UTC_TIMESTAMP(6)) FROM host_state"
                              " WHERE host_id = 1")
        self.assertLess(abs(age), 60000000)

    def test_what_an_agent_cannot(self):
        self.alive(host=2)
        before = self.root.run("SELECT * FROM host_state WHERE host_id > 1")
        agent = self.agents[0]
        for error, sql in ((NO_TABLE_RIGHT, "SELECT * FROM host_alive"),
                           (NO_TABLE_RIGHT, "SELECT host_id FROM host_alive"),
                           (NO_TABLE_RIGHT, "SELECT seen_at FROM host_state"),
                           (NO_COLUMN_RIGHT, "UPDATE host_alive SET host_id = 2"),
                           (NO_COLUMN_RIGHT, "UPDATE host_alive SET seen_at = '2000-01-01'"),
                           (NO_COLUMN_RIGHT, "UPDATE host_alive SET recent_boots = ''"),
                           (NO_TABLE_RIGHT, "UPDATE host_state SET beat = 1"),
                           (NO_TABLE_RIGHT, "INSERT INTO host_alive (beat) VALUES (1)"),
                           (NO_TABLE_RIGHT, "DELETE FROM host_alive"),
                           (NO_TABLE_RIGHT, "SELECT * FROM watch_setting"),
                           (NO_TABLE_RIGHT, "UPDATE watch_setting SET value = 0"),
                           (NO_TABLE_RIGHT, "DELETE FROM host_traffic"),
                           (1370, "CALL vestige_watch()"),
                           (1370, "CALL vestige_conclude('host-silent', 1, 'x', 'x', NULL)"),
                           (1370, "SELECT vestige_watch_limit(1, 'silent_seconds')")):
            self.assertEqual(agent.error(sql), error, sql)
        self.assertEqual(self.root.run("SELECT * FROM host_state WHERE host_id > 1"), before)

    def test_enrolment_makes_the_row(self):
        self.server.enrol("new")
        host, = self.root.run("SELECT host_id, account FROM enrolment WHERE name = 'new'")
        self.addCleanup(self.root.run, f"DROP USER agent_{host[0]}@localhost")
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE name = 'new'")
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM host_state s JOIN enrolment e USING (host_id)"
                                         " WHERE e.name = 'new'"), 1)


class Silent(WatchTest):
    def test_nothing_to_record_is_not_silent(self):
        self.batch(1, minutes=-30)
        self.alive()
        self.watch(minutes=14)
        self.assertEqual(self.findings(), ())

    def test_gone(self):
        self.alive(batches_waiting=7)
        self.open_coverage()
        self.watch(minutes=14)
        self.assertEqual(self.findings(), ())
        self.watch(minutes=16)
        (found,) = self.findings()
        since = self.root.value("SELECT CAST(seen_at AS CHAR) FROM host_state WHERE host_id = 1")
        self.assertEqual(found[:3], (1, "host-silent", f"nothing was heard since {since}"))
        self.assertIn("without a word", found[3])
        self.assertIn("7 batches waited in its journal", found[3])
        self.watch(minutes=17)
        self.assertEqual(len(self.findings()), 1)  # the same silence
        self.alive()
        self.root.run("UPDATE host_state SET seen_at = %s WHERE host_id = 1", self.later(minutes=20))
        self.watch(minutes=21)
        self.assertEqual(len(self.findings()), 1)
        self.watch(minutes=50)
        self.assertEqual(len(self.findings()), 2)  # another one

    def test_it_said_that_it_ends(self):
        self.alive()
        self.watch(minutes=16)
        self.assertIn("had said that it ends", self.findings()[0][3])

    def test_an_agent_without_signs_of_life(self):
        self.batch(1)
        self.watch(minutes=1)
        self.watch(minutes=16)
        (found,) = self.findings()
        self.assertIn("never gave a sign of life", found[3])

    def test_never_heard_revoked_retired(self):
        self.alive(host=1)
        self.alive(host=2)
        for host, column in ((1, "revoked_at"), (2, "retired_at")):
            self.root.run(f"UPDATE enrolment SET {column} = UTC_TIMESTAMP(6) WHERE host_id = {host}")
            self.addCleanup(self.root.run, f"UPDATE enrolment SET {column} = NULL WHERE host_id = {host}")
        self.watch(days=3)
        self.assertEqual(self.findings("host-silent"), ())

    def test_limit_of_one_host(self):
        self.alive(host=1)
        self.alive(host=2)
        self.root.run("INSERT INTO watch_setting VALUES (1, 'silent_seconds', 60)")
        self.watch(minutes=2)
        self.assertEqual([(row[0], row[1]) for row in self.findings("host-silent")], [(1, "host-silent")])


class Cloned(WatchTest):
    def cloned(self):
        return [(row[0], row[2]) for row in self.findings("host-cloned")]

    def test_reboots_and_restarts(self):
        """One boot after the other, the agent started anew, journals of a former boot that come late."""
        self.batch(1)
        self.alive(boot=0, run=1)
        self.alive(boot=0, run=1, seconds=60)
        self.alive(boot=0, run=2, seconds=60)
        self.batch(2, seconds=10)
        self.alive(boot=1, run=3, seconds=60)
        self.batch(3, boot=0, seconds=20)
        self.batch(4, boot=1, seconds=21)
        self.alive(boot=1, run=3, seconds=60)
        self.watch(seconds=30)
        self.assertEqual(self.findings(), ())

    def test_two_boots_in_turn(self):
        self.alive(boot=0, run=1)
        self.alive(boot=1, run=2, seconds=30)
        self.watch(seconds=1)
        self.assertEqual(self.cloned(), [])
        self.alive(boot=0, run=1, seconds=30)
        self.watch(seconds=2)
        self.assertEqual(self.cloned(), [(1, f"boots {BOOTS[0]} and {BOOTS[1]}")])
        self.assertIn("from localhost and localhost", self.findings("host-cloned")[0][3])
        self.alive(boot=1, run=2, seconds=30)
        self.watch(seconds=3)
        self.assertEqual(len(self.cloned()), 1)

    def test_three_machines(self):
        for boot in (0, 1, 2, 0):
            self.alive(boot=boot, run=boot + 1, seconds=30)
        self.watch(seconds=1)
        self.assertEqual(self.cloned(), [(1, f"boots {BOOTS[0]} and {BOOTS[2]}")])

    def test_a_copy_that_runs_on(self):
        """The same boot, run and count: a machine that was copied while it ran."""
        self.alive(run=1, beat=5)
        self.alive(run=1, beat=5, seconds=30)
        self.watch(seconds=1)
        self.assertEqual(self.cloned(), [(1, f"boot {BOOTS[0]} twice")])

    def test_a_statement_that_had_to_wait(self):
        """It is left out, and the next sign is no machine that comes back."""
        self.alive(boot=0, run=1)
        self.alive(boot=1, run=2, seconds=30)
        self.alive(boot=0, run=1, seconds=10)
        self.alive(boot=1, run=2, seconds=60)
        self.alive(boot=1, run=2, beat=1, seconds=5)
        self.watch(seconds=1)
        self.assertEqual(self.cloned(), [])

    def test_two_hashes(self):
        self.batch(1, boot=0)
        self.batch(2, boot=0)
        self.watch(seconds=10)
        self.batch(2, boot=1, hash_of="other", seconds=20)
        self.watch(seconds=30)
        self.assertEqual(self.cloned(), [(1, f"boots {BOOTS[0]} and {BOOTS[1]}")])
        self.assertIn("1 batches, from number 2 on, came with two hashes", self.findings("host-cloned")[0][3])

    def test_numbers_of_two_boots_in_each_other(self):
        for number, boot in ((1, 0), (2, 1), (3, 0), (4, 1)):
            self.batch(number, boot=boot, host=2)
        self.watch(seconds=30)
        self.assertEqual(self.cloned(), [(2, f"boots {BOOTS[0]} and {BOOTS[1]}")])

    def boots(self, numbers, each, **span):
        """Batches that come several times, each time of another boot."""
        at = self.later(**span)
        rows = [f"(1, {number}, RANDOM_BYTES(32), '', 2, UUID(), '{at}', '{at}', 1, 0, '{at}')"
                for number in numbers for _ in range(each)]
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                      " n_lines, recovered, received_at) VALUES " + ", ".join(rows))

    def test_a_thief_with_many_boots(self):
        """One number that comes very often is one finding, not its square; and there are not a thousand a day."""
        self.boots([5], 400)
        self.watch(seconds=1)
        self.assertEqual(1, len(self.cloned()))
        for i in range(1, 7):
            self.boots(range(100 * i, 100 * i + 60), 2, minutes=3 * i)
            self.root.run("ANALYZE TABLE batch")  # the server does, when it likes
            self.watch(minutes=3 * i, seconds=1)
        self.assertEqual(101, len(self.cloned()))
        self.assertEqual(1, sum("very many boots" in subject for _, subject in self.cloned()))


class Flooding(WatchTest):
    def test_rows(self):
        self.root.run("INSERT INTO watch_setting VALUES (1, 'rows_per_hour', 1000)")
        hour = self.now.replace(minute=0, second=0, microsecond=0)
        self.now = hour + datetime.timedelta(minutes=10)
        for number in range(10):
            self.batch(number, lines=100)
            self.batch(number, lines=100000, host=2)
        self.watch(minutes=1)
        self.watch(minutes=2)
        self.assertEqual(self.root.run("SELECT host_id, hour, n_rows FROM host_traffic ORDER BY host_id"),
                         ((1, hour, 1000), (2, hour, 1000000)))
        self.assertEqual(self.findings("host-flooding"), ())
        self.batch(11, lines=1, minutes=3)
        self.watch(minutes=4)
        self.assertEqual(self.findings("host-flooding"), (
            (1, "host-flooding", f"rows in the hour from {hour:%Y-%m-%d %H:%M}",
             "1001 rows so far; its quota is 1000 an hour. All are kept"),))
        self.watch(minutes=5)
        self.assertEqual(len(self.findings("host-flooding")), 1)
        self.assertEqual(self.root.value("SELECT n_rows FROM host_traffic WHERE host_id = 1"), 1001)

    def test_bytes(self):
        """What the account sent is counted by the server, where userstat is on."""
        self.root.run("SET GLOBAL userstat = ON")
        self.addCleanup(self.root.run, "SET GLOBAL userstat = OFF")
        self.addCleanup(self.root.run, "DELETE FROM server_setting WHERE name = 'userstat'")
        def received():
            """The server counts a statement just after it has answered it."""
            return self.root.value("SELECT COALESCE(SUM(bytes_received), 0) FROM"
                                   " information_schema.user_statistics WHERE user = 'agent_1'")
        self.alive()
        self.alive()
        wait_for(received, 60, "the account is counted")
        self.watch()
        before = received()
        for _ in range(20):
            self.agents[0].run("DO '" + "x" * 10000 + "'")
        wait_for(lambda: received() > before + 200000, 60, "all statements are counted")
        self.watch(seconds=1)
        sent = self.root.value("SELECT SUM(n_bytes) FROM host_traffic WHERE host_id = 1")
        self.assertGreater(sent, 200000)
        self.assertLess(sent, 220000)
        self.root.run("INSERT INTO watch_setting VALUES (1, 'bytes_per_day', 200000)")
        self.watch(seconds=2)
        self.assertEqual(self.findings("host-flooding")[0][:3],
                         (1, "host-flooding", f"bytes on {self.later(seconds=2):%Y-%m-%d}"))


class Clocks(WatchTest):
    def test_off(self):
        self.alive(server_offset_us=1900000)
        self.alive(host=2, server_offset_us=-86400000000)
        self.batch(1, host=3, offset=2100000)
        self.watch(seconds=1)
        day = f"{self.later(seconds=1):%Y-%m-%d}"
        self.assertEqual(sorted(self.findings("host-clock-off")), [
            (2, "host-clock-off", f"its clock is off on {day}", "it is 86400.0 s ahead of the server's"),
            (3, "host-clock-off", f"its clock is off on {day}", "it is 2.1 s behind the server's")])
        self.watch(minutes=1)
        self.assertEqual(len(self.findings("host-clock-off")), 2)

    def test_what_no_clock_says(self):
        """A number of which there is no positive one does not end the look at the others."""
        self.alive(server_offset_us=-2**63)
        self.alive(host=2, server_offset_us=-86400000000)
        self.watch(seconds=1)
        self.alive(server_offset_us=2**63 - 1)
        self.watch(seconds=2)
        self.assertEqual({1, 2}, {row[0] for row in self.findings("host-clock-off")})
        self.assertEqual({"success"}, {result for result, _ in self.runs()})

    def test_step(self):
        self.root.run("INSERT INTO watch_setting VALUES (1, 'clock_offset_ms', 99999999999)")
        self.alive(server_offset_us=0)
        self.watch(seconds=1)
        self.alive(server_offset_us=-3601000000)
        self.watch(seconds=2)
        (found,) = self.findings("host-clock-off")
        self.assertEqual((found[0], found[3]), (1, "by 3601.0 s forward"))
        self.watch(seconds=3)
        self.assertEqual(len(self.findings("host-clock-off")), 1)


class Settings(WatchTest):
    def test_changed(self):
        self.watch(seconds=1)
        self.assertEqual(self.findings(), ())
        before = self.root.value("SELECT @@GLOBAL.max_connections")
        self.root.run("SET GLOBAL max_connections = 77")
        self.addCleanup(self.root.run, f"SET GLOBAL max_connections = {before}")
        self.root.run("UPDATE watch_setting SET value = 901 WHERE name = 'silent_seconds'")
        self.addCleanup(self.root.run, "UPDATE watch_setting SET value = 900 WHERE name = 'silent_seconds'")
        alter = "ALTER DEFINER = vestige_maintainer@localhost EVENT vestige_reaper "
        self.root.run(alter + "DISABLE")
        self.addCleanup(self.root.run, alter + "ENABLE")
        self.root.run("INSERT INTO watch_setting VALUES (2, 'silent_seconds', 7)")
        self.watch(seconds=2)
        at = f"{self.later(seconds=2):%Y-%m-%d %H:%M:%S}"
        advice = "; `vestige server check` tells what it should be"
        self.assertEqual(sorted(self.findings()), sorted([
            (0, "server-setting-changed", f"max_connections at {at}", f"from {before} to 77{advice}"),
            (0, "server-setting-changed", f"watch_setting silent_seconds at {at}", f"from 900 to 901{advice}"),
            (0, "server-setting-changed", f"watch_setting silent_seconds of host 2 at {at}",
             f"from nothing to 7{advice}"),
            (0, "server-setting-changed", f"event vestige_reaper at {at}",
             "from ENABLED EVERY 10 SECOND BY vestige_maintainer@localhost to DISABLED EVERY 10 SECOND BY "
             f"vestige_maintainer@localhost{advice}")]))
        self.watch(seconds=3)
        self.assertEqual(len(self.findings()), 4)
        report = self.server.vestige("report", "findings", "--format", "json")
        self.assertEqual({row["host"] for row in json.loads(report.stdout)["rows"]}, {"(server)"})


class Credentials(WatchTest):
    def test_changed_behind_the_back_of_enrolment(self):
        self.watch()
        self.assertEqual(self.findings(), ())
        account = "agent_2@localhost"
        before = self.root.value("SELECT JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv"
                                 " WHERE User = 'agent_2'")
        change = f"ALTER USER {account} IDENTIFIED VIA mysql_native_password USING '%s'"
        self.root.run(change % ("*" + "A" * 40))
        self.addCleanup(self.root.run, change % before)
        self.watch(seconds=1)
        self.watch(seconds=2)
        (found,) = self.findings()
        self.assertEqual(found[:2], (2, "host-credential-changed"))
        self.assertRegex(found[2], rf"^{account}: .*, on {self.now:%Y-%m-%d}$")


class Runs(WatchTest):
    def test_quiet_runs_are_one_row(self):
        for seconds in range(1, 5):
            self.watch(seconds=seconds)
        self.assertEqual(self.runs(), (("success", "nothing new"),))
        self.alive(server_offset_us=9000000)
        self.watch(seconds=6)
        self.watch(seconds=7)
        self.watch(seconds=8)
        self.assertEqual(self.runs(), (("success", "nothing new"), ("success", "1 new findings"),
                                       ("success", "nothing new")))

    def test_a_part_that_fails(self):
        """It is told once, and does not stop the others."""
        self.root.run("RENAME TABLE host_traffic TO gone")
        self.addCleanup(self.root.run, "RENAME TABLE gone TO host_traffic")
        self.alive(server_offset_us=9000000)
        self.watch(seconds=1)
        self.watch(seconds=2)
        self.watch(seconds=3)
        rows = self.runs()
        self.assertEqual([row[0] for row in rows], ["failure", "failure"])
        self.assertRegex(rows[0][1], "^1 new findings; error 1146: .*host_traffic")
        self.assertEqual(len(self.findings("host-clock-off")), 1)

    def test_two_at_once(self):
        other = self.server.root("vestige")
        self.addCleanup(other.close)
        other.run("START TRANSACTION")
        other.run("SELECT * FROM watch_state FOR UPDATE")
        self.watch(seconds=1)
        self.assertEqual(self.runs(), ())
        other.run("ROLLBACK")
        self.watch(seconds=1)
        self.assertEqual(len(self.runs()), 1)

    def test_the_event_is_there(self):
        self.assertEqual(self.event, (("vestige_watcher@localhost", "1", "MINUTE"),))

    def test_definer_writes_no_evidence(self):
        granted = {(row[0], row[1]) for row in self.root.run(
            "SELECT table_name, table_priv FROM mysql.tables_priv WHERE user = 'vestige_watcher'")}
        writes = {name for name, rights in granted if set(rights.split(",")) & {"Insert", "Update", "Delete"}}
        self.assertEqual(writes, {"host_state", "watch_state", "host_watched", "host_traffic",
                                  "server_setting", "maintenance_run"})
        self.assertIn("ACCOUNT LOCK", self.root.value("SHOW CREATE USER vestige_watcher@localhost"))


class Status(WatchTest):
    def setUp(self):
        super().setUp()
        self.watch()

    def status(self, *words, status=0):
        done = self.server.vestige("status", *words, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def host_rows(self, status=0):
        done = self.status("--hosts", "--format", "json", status=status)
        return json.loads(done.stdout)["rows"]

    def rows(self, *words, status=0):
        done = self.status("--format", "json", *words, status=status)
        return {(row["part"], row["name"]): row for row in json.loads(done.stdout)["rows"]}

    def test_a_line_a_host(self):
        self.alive(host=1)
        self.alive(host=2, batches_waiting=12, waiting_us=120000000, journal_bytes=3 << 20,
                   server_offset_us=-2500000)
        self.assertEqual(
            [(row["host"], row["state"], row["lag_s"], row["waiting"], row["spool_mib"], row["offset_s"],
              row["agent"]) for row in self.host_rows(status=1)],
            [("mail", "behind, clock off", 120.0, 12, 3.0, -2.5, "1.0"),
             ("db", "never seen", None, None, None, None, None),
             ("web", "ok", 0.0, 0, 0.0, 0.0, "1.0")])

    def test_silent_cloned_full(self):
        for host in (1, 2, 3):
            self.alive(host=host, journal_full=int(host == 3))
        self.root.run("UPDATE host_state SET seen_at = UTC_TIMESTAMP(6) - INTERVAL 16 MINUTE WHERE host_id = 1")
        self.root.run("UPDATE host_state SET cloned_at = UTC_TIMESTAMP(6) WHERE host_id = 2")
        rows = {row["host"]: row for row in self.host_rows(status=1)}
        self.assertEqual({host: row["state"] for host, row in rows.items()},
                         {"web": "silent", "mail": "cloned", "db": "journal full"})
        # what a silent host has recorded since is not here
        self.assertTrue(960 <= rows["web"]["lag_s"] < 1080, rows["web"])
        rows = self.rows(status=1)
        self.assertEqual(rows["host web", "sign of life"]["level"], "wrong")
        self.assertEqual(rows["host mail", "two machines"]["level"], "wrong")
        self.assertEqual(rows["host db", "waiting in its journal"]["level"], "wrong")

    def test_no_agent_on_a_host_that_has_one(self):
        """Whoever asks on it does not hear that all is well."""
        path = os.path.join(self.server.directory, "vestiged.conf")
        for host in (1, 2, 3):
            self.alive(host=host)
        for host_id, level, status in ((0, "note", 0), (7, "wrong", 1)):
            with open(path, "w", encoding="ascii") as stream:
                stream.write(f"[agent]\nhost_id = {host_id}\nstate_directory = /nonexistent\n")
            rows = self.rows("--config", path, status=status)
            self.assertEqual(rows["agent", "not running here"]["level"], level)

    def test_retired_hosts_come_last(self):
        for host in (1, 2, 3):
            self.alive(host=host)
        self.root.run("UPDATE enrolment SET retired_at = UTC_TIMESTAMP(6) WHERE host_id = 3")
        self.addCleanup(self.root.run, "UPDATE enrolment SET retired_at = NULL WHERE host_id = 3")
        self.assertEqual([(row["host"], row["state"]) for row in self.host_rows()],
                         [("mail", "ok"), ("web", "ok"), ("db", "retired")])

    def test_table(self):
        """A line a host, what is wrong first; then the server."""
        for host in (1, 2, 3):
            self.alive(host=host, server_offset_us=5000000 if host == 1 else 0)
        lines = self.status(status=1).stdout.splitlines()
        self.assertRegex(lines[0], r"(?i)^host +state +last_seen +lag_s +waiting")
        self.assertRegex(lines[1], r"^web +clock off +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
        self.assertEqual([line.split()[0] for line in lines[1:4]], ["web", "db", "mail"])
        self.assertEqual(lines[4], "")
        self.assertEqual(lines[-1], "1 thing is wrong.")
        self.assertNotIn("host web", "\n".join(lines))
        one = self.status("--on", "web", status=1).stdout
        self.assertIn("server's clock minus its own", one)

    def test_two_hashes_are_one_host(self):
        self.batch(1)
        self.batch(1, hash_of="other")
        self.assertEqual(len([row for row in self.host_rows() if row["host"] == "web"]), 1)

    def test_overdue(self):
        for host in (1, 2, 3):
            self.alive(host=host)
        rows = self.rows()
        self.assertEqual(rows["server", "job watch"]["level"], "ok")
        self.root.run("UPDATE maintenance_run SET started_at = started_at - INTERVAL 6 MINUTE"
                      " WHERE name = 'watch'")
        row = self.rows(status=1)["server", "job watch"]
        self.assertEqual(row["level"], "wrong")
        self.assertIn("every minute", row["advice"])
        self.watch(seconds=1)
        self.root.run("DELETE FROM maintenance_run WHERE name = 'retention'")
        for name, limit in (("verify", "3 HOUR"), ("retention", "3 DAY")):
            if name == "retention":
                self.keep_since("3 DAY")
            self.root.run("INSERT INTO maintenance_run (name, started_at, finished_at, result, message) VALUES"
                          f" (%s, UTC_TIMESTAMP(6) - INTERVAL {limit}, UTC_TIMESTAMP(6), 'success', '')", name)
            self.addCleanup(self.root.run, "DELETE FROM maintenance_run WHERE name = %s", name)
            self.assertEqual(self.rows(status=1)["server", f"job {name}"]["level"], "wrong")
            self.root.run("UPDATE maintenance_run SET started_at = UTC_TIMESTAMP(6) WHERE name = %s", name)
            self.assertEqual(self.rows()["server", f"job {name}"]["level"], "ok")

    def keep_since(self, span):
        self.addCleanup(self.root.run, "DELETE FROM retention")
        self.root.run("REPLACE INTO retention (table_name, keep_days, changed_at, changed_by) VALUES"
                      f" ('process', 90, UTC_TIMESTAMP(6) - INTERVAL {span}, 'x')")

    def test_retention_that_never_ran(self):
        """It is due within a day of the first rule, and never without one."""
        for host in (1, 2, 3):
            self.alive(host=host)
        self.root.run("DELETE FROM maintenance_run WHERE name = 'retention'")
        self.addCleanup(self.root.run, "DELETE FROM maintenance_run WHERE name = 'retention'")
        key = ("server", "job retention")
        self.assertNotIn(key, self.rows())
        self.keep_since("1 DAY")
        self.assertEqual([self.rows()[key][name] for name in ("level", "value")], ["ok", "not run yet"])
        self.keep_since("26 HOUR")
        row = self.rows(status=1)[key]
        self.assertEqual((row["level"], row["value"]), ("wrong", "not run yet"))
        self.assertIn("every day", row["advice"])
        self.root.run("UPDATE retention SET keep_days = NULL")
        self.assertNotIn(key, self.rows())
        self.root.run("INSERT INTO maintenance_run (name, started_at, finished_at, result, message) VALUES"
                      " ('retention', UTC_TIMESTAMP(6) - INTERVAL 90 DAY, UTC_TIMESTAMP(6), 'success', '')")
        self.assertEqual(self.rows()[key]["level"], "ok")

    def test_required_settings(self):
        for host in (1, 2, 3):
            self.alive(host=host)
        self.root.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        self.addCleanup(self.root.run, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        row = self.rows(status=1)["server", "setting innodb_flush_log_at_trx_commit"]
        self.assertEqual((row["level"], row["value"]), ("wrong", "2"))

    def test_rules_in_the_list_of_schedules(self):
        done = self.server.vestige("schedule", "list", "--format", "json", check=False)
        rows = {row["question"].split(":")[0]: row for row in json.loads(done.stdout)["rows"]}
        self.assertLessEqual(set(RULES), set(rows))
        self.assertEqual({(row["state"], row["every_minutes"]) for row in rows.values()}, {("server", 0)})
        which = str(rows["host-silent"]["id"])
        for word, told in (("remove", "cannot be removed"), ("run", "cannot be run by hand")):
            done = self.server.vestige("schedule", word, which, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(told, done.stderr)
        self.root.run("CALL vestige_schedule_remove(%s, @n)", which)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM schedule WHERE removed_at IS NOT NULL"), 0)


if __name__ == "__main__":
    main()
