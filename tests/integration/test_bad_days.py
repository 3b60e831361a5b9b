#!/usr/bin/python3
"""Bad days of a server and its agents: a clock a year off, a server that may not be written to, has no
connection left, or has a full disk; agents older and newer than the schema, and a migration that ends
half way while agents ship. Each time the status says what to do, nothing is lost, and all goes on by
itself when it is mended."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from load_fixture import Load
from private_server import Refused, Session
from ship_fixture import HOST_ID, PASSWORD, SOURCE, ShipServer
from vestige_test import VESTIGE, run, wait_for

QUICK = ("--retry-first", 20, "--retry-most", 200)
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
YEAR_US = 365 * 86400 * 1000000
FILES = sorted((SOURCE / "server-schema").glob("[0-9]*.sql"))
LATEST = int(FILES[-1].name[:4])


class BadDay(unittest.TestCase):
    def add_load(self, server, host_id=HOST_ID):
        load = Load(server, host_id)
        self.addCleanup(load.remove)
        return load

    def wait_for_status(self, load, what, condition, seconds=60):
        return wait_for(lambda: condition(status := load.status()) and status, seconds, what, 0.05)

    def wait_for_error(self, load, *words, seconds=60):
        """The text; batches wait, none is given up."""
        status = self.wait_for_status(load, f"an error with {words}", lambda status: all(
            word in status.error for word in words), seconds)
        self.assertNotIn(PASSWORD, status.error)
        self.wait_for_status(load, "batches wait", lambda status: status.waiting > 0)
        return status.error

    def assert_all(self, load):
        """All that was made is stored."""
        result = load.drain()
        self.assertEqual((1, 0, 0), (result.shipped, result.rows_rejected, result.lines_refused),
                         result.text)
        load.end()
        self.assertEqual((load.made(), 0), load.accounted())


class Server(BadDay):
    @classmethod
    def setUpClass(cls):
        cls.server = ShipServer(max_connections="12", extra_max_connections="5")
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.server.empty()
        self.load = self.add_load(self.server)

    def set_global(self, name, value, before):
        self.server.query(f"SET GLOBAL {name} = {value}")
        self.addCleanup(self.server.query, f"SET GLOBAL {name} = {before}")

    def test_read_only(self):
        self.load.start("--rate", 500, *QUICK)
        self.wait_for_status(self.load, "it ships", lambda status: status.batches_shipped)
        self.set_global("read_only", 1, 0)
        self.wait_for_error(self.load, "error 1290", "--read-only option", "has somebody made it read-only?")
        self.server.query("SET GLOBAL read_only = 0")
        self.assert_all(self.load)

    def test_no_connection_is_left(self):
        """It asks less often, and says why."""
        # those of the tests before are about to go, and would leave a place
        wait_for(lambda: self.server.query("SELECT id FROM information_schema.processlist WHERE user = 'root' OR"
                                           " user LIKE 'agent%%'") == self.server.query("SELECT CONNECTION_ID()"),
                 60, "there is no other connection", 0.1)
        # one more than max_connections is let in for whoever has the right to mend it
        sessions = [self.server.root() for _ in range(11)]
        for session in sessions:
            self.addCleanup(session.close)
        with contextlib.suppress(Refused):
            sessions.append(self.server.root())
        self.load.start("--rate", 500, "--retry-first", 5, "--retry-most", 20)
        error = self.wait_for_error(self.load, "error 1040", "max_connections", "raise it")
        self.assertIn("waits longer", error)
        started, failures = time.monotonic(), self.load.status().ship_failures
        self.wait_for_status(self.load, "it asks a hundred times more",
                             lambda status: status.ship_failures >= failures + 100, 60)
        # any time up to 40 milliseconds, so that a hundred are 2 s and never 1.4; else it would be 20, and 1 s
        self.assertGreater(time.monotonic() - started, 1.4)
        self.load.end()
        self.load.start("--rate", 500, "--retry-first", 50, "--retry-most", 30000)
        self.wait_for_error(self.load, "error 1040")
        for session in sessions:
            session.close()
        self.load.command("drain", 1)  # a person who asks need not wait
        self.assert_all(self.load)

    def test_an_account_in_use_twice(self):
        self.server.query(f"ALTER USER agent_{HOST_ID}@localhost WITH MAX_USER_CONNECTIONS 1")
        self.addCleanup(self.server.query,
                        f"ALTER USER agent_{HOST_ID}@localhost WITH MAX_USER_CONNECTIONS 0")
        other = Session(self.server, user=f"agent_{HOST_ID}", password=PASSWORD)
        self.addCleanup(other.close)
        self.load.start("--rate", 500, *QUICK)
        self.wait_for_error(self.load, "error 1226", "does another agent use it?")
        other.close()
        self.assert_all(self.load)

    def test_statements_of_an_older_agent(self):
        """What agents of format 1 send: nothing that is newer is needed."""
        source = (SOURCE / "recorder" / "row" / "catalogue.c").read_text()
        newer = set(re.findall(r"_SINCE\(\d+,\s*\"(\w+)\"\)", source)) | {"births", "signature"}
        self.assertIn("masked", newer)
        needed = self.server.query(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'vestige'"
            " AND table_name NOT LIKE '%%\\_in' AND column_name IN %s AND is_nullable = 'NO'"
            " AND column_default IS NULL AND table_name IN ('process', 'batch')", sorted(newer))
        self.assertEqual((), needed)
        agent = Session(self.server, user=f"agent_{HOST_ID}", password=PASSWORD, database="vestige")
        self.addCleanup(agent.close)
        boot = "01234567-89ab-4cde-8f01-23456789abcd"
        agent.run("START TRANSACTION")
        agent.run("INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
                  " last_time, n_lines, cursors, recovered, server_offset_us, digests) VALUES (%s, 1, %s,"
                  " %s, 1, %s, '2023-11-14', '2023-11-14', 2, '', 0, 5, '')", HOST_ID, b"\1" * 32,
                  b"\0" * 32, boot)
        agent.run("INSERT INTO process_in (host_id, id, day, batch, created_at, seen_by, boot_id, pid)"
                  " VALUES (%s, 1700000000000000, '2023-11-14', 1, '2023-11-14 22:13:20', 'proc', %s, 5)",
                  HOST_ID, boot)
        self.assertEqual(1, agent.run(
            "UPDATE process_settle SET comm = 'true', exe = '/bin/true', settle_batch = 1"
            " WHERE host_id = %s AND id = 1700000000000000 AND day = '2023-11-14'", HOST_ID))
        agent.run("COMMIT")
        self.assertEqual(((None, "true"),), self.server.query("SELECT masked, comm FROM process"))
        self.assertEqual(((1, None, None),), self.server.query(
            "SELECT format, births, signature FROM batch"))


class FalseClock:
    """The environment of a program whose wall clock can be set while it runs."""

    def __init__(self, path):
        self.path = str(path)
        self.set("+0")
        self.environment = {**os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_TIMESTAMP_FILE": self.path, "DONT_FAKE_MONOTONIC": "1"}

    def set(self, offset):
        with open(self.path + ".new", "w", encoding="ascii") as clock:
            clock.write(offset + "\n")
        os.rename(self.path + ".new", self.path)


@unittest.skipUnless(os.path.exists(FAKETIME), "needs the Debian package faketime")
class Clocks(BadDay):
    """A clock is set by a year and back while an agent ships: each batch says how far they are apart."""

    def steps(self, load, clock, direction):
        for words, offset in (("+365d", YEAR_US), ("-365d", -YEAR_US), ("+0", 0)):
            clock.set(words)
            self.wait_for_status(load, f"the offset is that of {words}", lambda status: abs(
                status.server_offset_us - direction * offset) < 1000000)
            last = load.status().last_shipped
            self.wait_for_status(load, "it ships on", lambda status: status.last_shipped > last + 1)
            self.assertLess(abs(load.server.value(
                "SELECT server_offset_us FROM batch ORDER BY batch DESC LIMIT 1")
                - direction * offset), 1000000)
        self.assertEqual(0, load.status().ship_failures)
        years = load.server.query("SELECT ROUND(server_offset_us / %s) AS years, COUNT(*) > 0 FROM batch"
                                  " GROUP BY years ORDER BY years", YEAR_US)
        self.assertEqual(((-1, 1), (0, 1), (1, 1)), years)

    def test_the_servers_clock(self):
        server = ShipServer()
        self.addCleanup(server.close)
        server.stop()
        clock = FalseClock(os.path.join(server.directory, "clock"))
        server.environment = clock.environment
        server.start()
        # a transaction that is under way when the clock jumps seems to be a year old
        server.query("ALTER EVENT vestige_reaper DISABLE")
        load = self.add_load(server).start("--rate", 500, "--clock", 300, *QUICK)
        self.wait_for_status(load, "it ships", lambda status: status.batches_shipped)
        self.steps(load, clock, 1)
        self.assert_all(load)

    def test_the_agents_clock(self):
        """It need not ask the server again to know."""
        server = ShipServer()
        self.addCleanup(server.close)
        load = self.add_load(server)
        clock = FalseClock(load.directory / "clock")
        load.start("--rate", 500, *QUICK, env=clock.environment)
        self.wait_for_status(load, "it ships", lambda status: status.batches_shipped)
        self.steps(load, clock, -1)
        load.end()  # waits with a time limit do not work well under that library
        self.assert_all(load.start(*QUICK))


class FullDisk(BadDay):
    def test_the_servers_disk_is_full(self):
        directory = os.path.join("/tmp", f"vestige-server-disk-{os.getpid()}")
        os.mkdir(directory, 0o700)
        self.addCleanup(os.rmdir, directory)
        image = directory + ".image"
        run("truncate", "-s", "420M", image)
        self.addCleanup(os.unlink, image)
        run("mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, directory)
        self.addCleanup(run, "umount", "-l", directory)
        server = ShipServer(directory)
        self.addCleanup(server.stop)
        load = self.add_load(server).start("--rate", 3000, *QUICK)
        self.wait_for_status(load, "it ships", lambda status: status.batches_shipped)
        filler = os.path.join(directory, "filler")
        with open(filler, "wb", 0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(65536))
        status = self.wait_for_status(load, "batches wait",
                                      lambda status: status.error and status.waiting > 2)
        self.assertEqual((0, 0), (status.rows_rejected, status.lines_refused))
        # mariadbd 10.11 ends itself when there is no room to undo what did not fit.
        wait_for(lambda: server.process.poll() is not None or
                 "is the disk of the server full?" in load.log_text(), 60, "the server's disk is noticed")
        if server.process.poll() is None:
            self.assertIn("is the disk of the server full?", load.log_text())
        else:
            with open(os.path.join(directory, "log"), encoding="utf-8", errors="replace") as log:
                self.assertRegex(log.read(), "Out of disk space|failed with error 28")
            self.wait_for_error(load, "is the server running")
        os.unlink(filler)
        # it may be about to end itself
        wait_for(lambda: server.process.poll() is not None or not load.status().error, 60,
                 "it ships, or there is no server")
        if server.process.poll() is not None:
            server.start()
        self.assert_all(load)


class Versions(BadDay):
    """Schemas and agents of different versions."""

    def make_server(self, until):
        """A server whose schema is as `vestige server init` of that version made it."""
        server = ShipServer(until=until)
        self.addCleanup(server.close)
        for path in FILES:
            if int(path.name[:4]) <= until:
                server.query("INSERT INTO schema_version (version, name, checksum) VALUES (%s, %s, %s)",
                             int(path.name[:4]), path.name,
                             hashlib.sha256(path.read_bytes()).hexdigest())
        return server

    def migrate(self, server, **options):
        return subprocess.Popen([VESTIGE, "server", "migrate", "--no-defaults",
                                 f"--socket={server.socket}", "--user=root"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, **options)

    def test_a_newer_agent_waits_for_the_migration(self):
        """It ends half way, again and again; agents wait and then go on by themselves."""
        server = self.make_server(24)
        load = self.add_load(server).start("--rate", 1000, "--schema", LATEST, *QUICK)
        self.wait_for_error(load, f"the server's schema is version 24, this agent writes version {LATEST}",
                            "run `vestige server migrate` on the server")
        for milliseconds in (30, 60, 120, 240, 480):
            migration = self.migrate(server)
            with contextlib.suppress(subprocess.TimeoutExpired):
                migration.wait(milliseconds / 1000)
            migration.send_signal(signal.SIGKILL)
            migration.communicate()
            self.assertEqual(0, load.status().rows_rejected)
        migration = self.migrate(server)
        text, _ = migration.communicate(timeout=120)
        self.assertEqual(0, migration.returncode, text)
        self.assertEqual(LATEST, server.value("SELECT MAX(version) FROM schema_version"))
        self.wait_for_status(load, "it ships", lambda status: status.batches_shipped)
        self.assert_all(load)

    def test_an_older_agent_ships_through_a_migration(self):
        """A column is added while it ships; then it is told that it is too old."""
        server = self.make_server(LATEST)
        load = self.add_load(server).start("--rate", 3000, "--schema", LATEST, *QUICK)
        self.wait_for_status(load, "it ships", lambda status: status.batches_shipped)
        for name in ("process", "gap"):
            server.query(f"ALTER TABLE {name} WAIT 60 ADD COLUMN IF NOT EXISTS future INT NULL AFTER created_at")
            view = server.query(f"SHOW CREATE VIEW {name}_in")[0][1]
            view = view.replace(f"`{name}`.`created_at` AS `created_at`",
                                f"`{name}`.`created_at` AS `created_at`,`{name}`.`future` AS `future`", 1)
            server.query(view.replace("CREATE ", "CREATE OR REPLACE ", 1))
            self.assertIn("future", server.query(f"SHOW CREATE VIEW {name}_in")[0][1])
        server.query("INSERT INTO schema_version (version, name, checksum) VALUES (9000, 'x', '')")
        shipped = load.status().last_shipped
        self.wait_for_status(load, "it ships on", lambda status: status.last_shipped > shipped + 1)
        self.assertGreater(server.close_agents(), 0)
        shipped = load.status().last_shipped
        self.wait_for_status(load, "it ships on over another connection",
                             lambda status: status.last_shipped > shipped + 1)
        server.query("INSERT INTO schema_agents VALUES (9000, 8999, 'a test')")
        server.close_agents()
        self.wait_for_error(load, "takes agents from version 8999 on, this agent writes version "
                            f"{LATEST}: install the newer vestiged on this host")
        server.query("DELETE FROM schema_agents WHERE version = 9000")
        self.assert_all(load)
        self.assertEqual(0, server.value("SELECT COUNT(future) FROM process"))

    def test_the_server_is_upgraded(self):
        """mariadbd ends and another comes, again and again, in order."""
        server = self.make_server(LATEST)
        load = self.add_load(server).start("--rate", 3000, "--schema", LATEST, *QUICK)
        for _ in range(3):
            shipped = load.status().last_shipped
            self.wait_for_status(load, "it ships", lambda status: status.last_shipped > shipped)
            server.stop()
            server.start()
        self.assert_all(load)


if __name__ == "__main__":
    unittest.main(verbosity=2)
