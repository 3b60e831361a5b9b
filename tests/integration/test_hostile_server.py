#!/usr/bin/python3
"""A server that lies to the shipper: whatever it answers, nothing ends, nothing grows, and the batches
stay in the journal with the reason in the status."""

import os
import sys
import time
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from ship_fixture import Tool
from ship_peers import COLUMN, END, Impostor, packet, packets, prepared, refusal, rows, text
from vestige_test import wait_for

SESSION, CLOCK, SEAL, ROWS = ("SELECT @@sql_mode", "SELECT CAST(UNIX_TIMESTAMP", "INSERT INTO batch_in",
                              "INSERT INTO process_in")
MEMORY_MIB = 60


def endlessly(first, again):
    """The first packets, and then one that comes again and again."""
    def answer(client):
        client.sendall(first)
        block = b"".join(packet(i % 256, again) for i in range(4, 260))
        while True:
            client.sendall(block)
    return answer


class HostileServer(unittest.TestCase):
    def setUp(self):
        self.tool = Tool(types.SimpleNamespace(socket="/nowhere"))
        self.addCleanup(self.tool.remove)

    def impostor(self, lies):
        peer = Impostor(self.tool.directory / "peer", lies)
        self.addCleanup(peer.close)
        self.tool.write_defaults(socket=peer.address)
        return peer

    def ship(self, lies):
        """Until it has met the lies twice and tries again; the status of then."""
        peer = self.impostor(lies)
        process = self.tool.start("--fill", 97, "--timeout", 1, "--retry-first", 20, "--retry-most", 50,
                                  "--hold")
        self.addCleanup(process.kill)
        wait_for(lambda: len(peer.told) > 2 or process.poll() is not None, 60, "it meets the lie")
        self.assertIsNone(process.poll(), "it ended")
        with open(f"/proc/{process.pid}/status") as stream:
            memory = dict(line.split(":", 1) for line in stream)
        self.assertLess(int(memory["VmHWM"].split()[0]), MEMORY_MIB * 1024)
        process.stdin.write("status\n")
        return self.tool.finish(process, 120)

    def assert_refused(self, lies, words):
        result = self.ship(lies)
        self.assertEqual(1, result.status, result.text)
        self.assertEqual((1, 0, 0), (result.waiting, result.batches_shipped, result.rows_rejected))
        self.assertIn(words, result.error)
        return result

    def test_what_is_no_lie_is_believed(self):
        self.impostor({})
        result = self.tool.run("--fill", 97)
        self.assertEqual((1, 97, 0), (result.batches_shipped, result.rows_shipped, result.waiting))
        self.assertEqual("", result.error)

    def test_fewer_columns_than_asked_for(self):
        self.assert_refused({SESSION: rows(1, ["utf8mb4"])}, "with 1 columns and not 7")

    def test_more_columns_than_asked_for(self):
        self.assert_refused({CLOCK: rows(2, ["1", "2"])}, "with 2 columns and not 1")

    def test_more_parameters_than_are_bound(self):
        self.assert_refused({SEAL: prepared(60000)}, "of 15 parameters for one of 60000")

    def test_fewer_parameters_than_are_bound(self):
        self.assert_refused({ROWS: prepared(1)}, "parameters for one of 1, with 0 columns")

    def test_columns_of_what_has_none(self):
        self.assert_refused({SEAL: prepared(15, 3)}, "for one of 15, with 3 columns")

    def test_clocks_that_are_none(self):
        for clock in ("-9223372036854775808", "9223372036854775807", "0", "noon"):
            with self.subTest(clock):
                self.assert_refused({CLOCK: rows(1, [clock])}, "does not say what time it is")
                self.doCleanups()
                self.setUp()

    def test_words_that_are_lines_and_commands(self):
        result = self.assert_refused(
            {SEAL: refusal(1045, "no\nwaiting 0\nlast_shipped 9\x1b[2J\x07\u009b2J\x7f")}, "(error 1045)")
        self.assertIn("no?waiting 0?last_shipped 9?[2J???2J?", result.error)
        self.assertEqual(0, result.last_shipped)

    def test_endless_rows(self):
        answer = packets(b"\1", COLUMN, END)
        self.assert_bounded({CLOCK: endlessly(answer, text("7" * 250))})

    def test_endless_columns(self):
        self.assert_bounded({CLOCK: endlessly(packets(b"\1"), COLUMN)})

    def test_an_endless_value(self):
        def answer(client):
            client.sendall(packets(b"\1", COLUMN, END))
            block = bytes(1 << 20)
            for number in range(4, 256):
                client.sendall(b"\xff\xff\xff" + bytes([number]))
                for _ in range(16):
                    client.sendall(block)
        self.assert_bounded({CLOCK: answer})

    def assert_bounded(self, lies):
        self.assert_refused(lies, "longer than any of MariaDB's")

    def test_a_greeting_that_trickles_does_not_keep_it_from_ending(self):
        def greet(client):
            for _ in range(200):
                client.sendall(b"\x0a")
                time.sleep(0.5)
        self.impostor({"": greet})
        started = time.monotonic()
        result = self.tool.run("--fill", 97, "--timeout", 500, seconds=120)
        self.assertLess(time.monotonic() - started, 60)  # the greeting takes 100
        self.assertEqual((1, 0), (result.waiting, result.batches_shipped))
        self.assertIn("not waited for", result.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
