#!/usr/bin/python3
"""A server that is away, slow, or back after an hour: agents of a fleet come back spread out, a slow
server is lag and no loss, memory is bounded, and a full journal keeps the oldest and counts the newest.

VESTIGE_AWAY_BATCHES says how many batches of 500 rows an hour has (400; 3600 is an hour of 500 execs a
second)."""

import os
import re
import sys
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from load_fixture import Load
from private_server import Refused
from ship_fixture import ShipServer
from ship_peers import SlowRelay
from vestige_test import wait_for

BATCHES = int(os.environ.get("VESTIGE_AWAY_BATCHES", "400"))
QUICK = ("--retry-first", 50, "--retry-most", 500)
MIB = 1 << 20


def setUpModule():
    global SERVER
    SERVER = ShipServer()
    unittest.addModuleCleanup(SERVER.close)


class AwayTest(unittest.TestCase):
    def setUp(self):
        SERVER.ensure()
        SERVER.empty()

    def load(self, host_id=7):
        load = Load(SERVER, host_id)
        self.addCleanup(load.remove)
        return load

    def assert_exact(self, load, seconds=60):
        """All is shipped and accounted for; how many rows were counted as lost."""
        result = load.drain(seconds)
        self.assertEqual((1, 0), (result.shipped, result.rows_rejected), result.text)
        wait_for(lambda: load.status().waiting == 0, 60, "the journal knows that all is shipped")
        load.end()
        return load.accounted()[1]


class Connections(threading.Thread):
    """When each connection of an agent began: between two looks at the server's list. Each look is a connection
    of its own, which the server takes behind those that came before it: when it is late to take them, the
    looks are late, too, and it is not known any more when the others came."""

    AGENTS = ("SELECT id, user FROM information_schema.processlist"
              " WHERE user LIKE 'agent\\_%%'")

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.found, self.ended = {}, set(), False
        self.looked, found = self.look()
        for connection in found:
            self.seen[connection] = None
        self.start()

    def look(self):
        """Which there are, and before when none came that is not among them."""
        asked = time.monotonic()
        session = SERVER.root()
        found = [row[0] for row in session.run(self.AGENTS)]
        session.close()
        return asked, found

    def run(self):
        while not self.ended:
            try:
                asked, found = self.look()
            except Refused as refused:
                print(refused)
                return
            now = time.monotonic()
            self.found = set(found)
            for connection in found:
                self.seen.setdefault(connection, (self.looked, now))
            self.looked = asked
            time.sleep(0.005)

    def end(self):
        self.ended = True
        self.join()

    def worst(self, width=0.1):
        """The most connections that certainly began within 100 ms: who looks late does not know when."""
        times = [when for when in self.seen.values() if when]
        return max(sum(first <= begin and end < first + width for begin, end in times) for first, _ in times)


class Fleet(AwayTest):
    N = 30

    @classmethod
    def setUpClass(cls):
        for host_id in range(101, 101 + cls.N):
            SERVER.add_agent(host_id)

    def fleet(self):
        loads = [self.load(101 + i) for i in range(self.N)]
        for load in loads:
            load.start()
        return loads

    @staticmethod
    def all_at_once(loads):
        for load in loads:
            load.process.stdin.write(b"batches 1 10\n")
            load.process.stdin.flush()
        for load in loads:
            load.read_until("done", 60)

    def assert_spread(self, connections, what):
        print(f"{what}: {connections.worst()} of {self.N} connections in the worst 100 ms", flush=True)
        self.assertLessEqual(connections.worst(), self.N // 3)

    def test_connections_that_are_lost_and_a_restart(self):
        """All find in one moment that theirs is gone; then the server is gone for a while."""
        loads = self.fleet()
        self.all_at_once(loads)
        wait_for(lambda: all(load.status().waiting == 0 for load in loads), 60, "all have shipped", 0.2)
        connections = Connections()
        wait_for(lambda: len(connections.found) == self.N, 60, "all are connected")
        session = SERVER.root()
        killed = {connection for connection, _ in session.run(Connections.AGENTS)}
        for connection in killed:
            session.run(f"KILL CONNECTION {connection}")
        session.close()
        # An agent that has something to say meanwhile has another one already.
        wait_for(lambda: not killed & connections.found, 60, "all are closed")
        self.all_at_once(loads)
        wait_for(lambda: len(connections.found) == self.N, 60, "all are connected again")
        connections.end()
        self.assert_spread(connections, "killed connections")
        SERVER.stop()
        self.all_at_once(loads)
        wait_for(lambda: all(load.status().ship_failures > 0 for load in loads), 60,
                 "all have failed to connect", 0.2)
        SERVER.start()
        connections = Connections()
        wait_for(lambda: len(connections.found) == self.N, 90, "all are connected after the restart")
        connections.end()
        self.assert_spread(connections, "restarted server")
        for load in loads:
            self.assertEqual(0, self.assert_exact(load))


class Slow(AwayTest):
    def test_slow_is_lag_and_no_loss(self):
        load = self.load()
        relay = SlowRelay(load.directory / "relay", SERVER.socket, delay=0.1, rate=700000)
        self.addCleanup(relay.close)
        load.write_defaults(socket=relay.address)
        # Batches of one size, whoever stands still meanwhile: of a larger one it holds more in memory.
        load.start("--seal", 600000)

        def until_waiting(n):
            while (status := load.status()).waiting < n:
                self.assertLess(status.batches_sealed, 500, "batches are shipped as fast as they are made")
                load.command("batches", 1, 3000)
                wait_for(lambda: load.status().batches_sealed > status.batches_sealed, 60, "it is sealed")
            return status
        until_waiting(4)
        wait_for(lambda: load.status().batches_shipped, 60, "the first of them is shipped")
        before = until_waiting(4)
        memory = load.memory_kib()
        after = until_waiting(10)
        self.assertGreater(after.journal_bytes, before.journal_bytes)
        self.assertEqual((0, 0, 1), (after.lines_refused, after.ship_failures, after.connected),
                         after.text)
        self.assertLess(load.memory_kib(), memory + 4096)
        self.assertLess(load.memory_kib(), 65536)
        relay.rate, relay.delay = None, 0
        self.assertEqual(0, self.assert_exact(load))


    def test_a_burst_over_a_thin_line(self):
        """It takes longer than a transaction of an agent may: it is compressed, and arrives. (The server's
        limit is 30 s.)"""
        load = self.load()
        relay = SlowRelay(load.directory / "relay", SERVER.socket, rate=150000)
        self.addCleanup(relay.close)
        load.write_defaults(socket=relay.address)
        load.start(*QUICK)
        load.command("batches", 1, 10000)
        wait_for(lambda: load.status().waiting, 60, "it is sealed")

        def is_stored():
            SERVER.query("CALL vestige_reap_transactions(12)")
            return load.status().waiting == 0
        wait_for(is_stored, 120, "the burst is stored", 0.5)
        self.assertIn("compressed from now on", load.log_text())
        self.assertEqual(0, self.assert_exact(load))


class Hour(AwayTest):
    def test_an_hour_without_a_server(self):
        load = self.load()
        # A batch is what it is told to make, however slow that is.
        load.start("--checkpoint", 1000, "--seal", 600000, *QUICK)
        load.command("batches", 10, 500)
        wait_for(lambda: load.status().waiting == 0, 60, "the first batches are shipped")
        SERVER.stop()
        started = time.monotonic()
        load.command("batches", BATCHES // 2, 500, seconds=300)
        memory = load.memory_kib()
        load.command("batches", BATCHES // 2, 500, seconds=300)
        wait_for(lambda: load.status().waiting == BATCHES, 60, "all are sealed")
        # First its connection was gone; that there is no server it knows when it has tried another.
        status = wait_for(lambda: "is the server running" in (status := load.status()).error and status, 60,
                          "it finds no server")
        self.assertEqual((BATCHES, 0, 0), (status.waiting, status.lines_refused, status.connected), status.text)
        grown = load.memory_kib() - memory
        self.assertLess(grown, 4096)
        made, shipping = time.monotonic() - started, time.monotonic()
        SERVER.start()
        self.assertEqual(0, self.assert_exact(load, 300))
        print(f"{BATCHES} batches of 500 rows: {status.journal_bytes / MIB:.1f} MiB of journal made in "
              f"{made:.1f} s, memory grew by {grown} KiB in the second half, shipped in "
              f"{time.monotonic() - shipping:.1f} s", flush=True)

    def test_the_limit_keeps_the_oldest_and_counts_the_newest(self):
        load = self.load()
        SERVER.stop()
        load.start("--limit", 8 * MIB, "--checkpoint", 300, *QUICK)
        while not load.status().lines_refused:  # what waits in memory counts, so it comes and goes at first
            load.command("batches", 10, 500)
            self.assertLess(load.made(), 1000000)
        kept = load.made()
        load.command("batches", 100, 500)
        status = load.status()
        self.assertEqual(1, status.first_batch, "the oldest batch is not the first")
        self.assertGreater(status.lines_refused, 25000)
        self.assertLessEqual(status.journal_bytes, 8 * MIB + 65536)
        self.assertGreater(status.journal_bytes, 5 * MIB)
        SERVER.start()
        wait_for(lambda: load.status().waiting == 0, 300, "all is shipped")
        wait_for(lambda: not load.status().journal_full, 60, "there is room again")
        load.command("batches", 2, 500)
        made = load.made()
        counted = self.assert_exact(load)
        self.assertGreaterEqual(counted, 25000)
        lost = [int(n) for (detail,) in SERVER.query("SELECT detail FROM gap")
                for n in re.findall(r"\d+", detail)]
        # all that is older than the limit is there, and all that came when there was room again
        self.assertTrue(kept - 5000 <= min(lost) and max(lost) <= made - 1000, (lost, kept, made))


if __name__ == "__main__":
    unittest.main(verbosity=2)
