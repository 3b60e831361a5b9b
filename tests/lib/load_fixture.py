"""ship_load under test: numbered rows through journal and shipper, and where each of them went."""

import os
import re
import select
import struct
import subprocess
import time

from ship_fixture import Result, Tool
from vestige_test import BIN, Timeout

SHIP_LOAD = os.environ.get("SHIP_LOAD", os.path.join(BIN, "..", "tests", "bin", "ship_load"))
FIRST_ID = 1700000000000000
STEP = 50


class Load(Tool):
    """ship_load with a journal of its own; it can be ended and started again."""

    process = None

    def start(self, *options, program=(), **parameters):
        """Returns when its journal is open. `program` goes before the command."""
        self.log = open(self.directory / "log", "a")
        self.process = subprocess.Popen(
            [*program, SHIP_LOAD, "--journal", str(self.journal), "--defaults", str(self.defaults),
             "--host", str(self.host_id), "--counter", str(self.directory / "counter"),
             *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, **parameters)
        self.log.close()
        self.read_until("running", 120)
        return self

    def read_until(self, last, seconds):
        deadline, text = time.monotonic() + seconds, b""
        while not text.endswith(f"{last}\n".encode()):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Timeout(f"ship_load does not say {last} within {seconds} s:\n{self.log_text()}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"ship_load has ended, status {self.process.wait()}:\n"
                                     + self.log_text())
            text += data
        return text.decode()

    def command(self, *words, seconds=300):
        """What it answers, as attributes."""
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        return Result(self.read_until("done", seconds), None)

    def status(self):
        return self.command("status")

    def drain(self, seconds=400):
        return self.command("drain", seconds * 1000, seconds=seconds + 60)

    def kill(self):
        self.process.kill()
        self.reap()

    def end(self):
        """In order. Legal at any time."""
        if self.process and self.process.poll() is None:
            self.process.stdin.close()
            self.reap()

    def reap(self):
        self.process.wait(120)
        self.process.stdin.close()
        self.process.stdout.close()

    def remove(self):
        if self.process and self.process.poll() is None:
            self.kill()
        super().remove()

    def log_text(self):
        return (self.directory / "log").read_text()

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))

    def made(self):
        """How many rows were made, by all runs together."""
        return struct.unpack("@Q", (self.directory / "counter").read_bytes()[:8])[0]

    def accounted(self):
        """(rows stored, rows that a gap names): asserts that they are all that was made, each once."""
        made, where = self.made(), f"host_id = {self.host_id}"
        stored, different, first, last = self.server.query(
            f"SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id) FROM process WHERE {where}"
            f" AND (id - {FIRST_ID}) MOD {STEP} = 0"
            f" AND arguments LIKE CONCAT('tag-', (id - {FIRST_ID}) DIV {STEP}, ' %%')")[0]
        strange = self.server.value(f"SELECT COUNT(*) FROM process WHERE {where}") - stored
        assert (stored, strange) == (different, 0), (stored, different, strange)
        assert not stored or FIRST_ID + STEP <= first <= last <= FIRST_ID + made * STEP, (first, last)
        gone = set()
        for detail, count in self.server.query(f"SELECT detail, count FROM gap WHERE {where}"):
            begin, end = map(int, re.fullmatch(r"rows (\d+)-(\d+)", detail).groups())
            assert count == end - begin + 1, (detail, count)
            assert not self.server.value(
                f"SELECT COUNT(*) FROM process WHERE {where} AND id BETWEEN %s AND %s",
                FIRST_ID + begin * STEP, FIRST_ID + end * STEP), f"{detail} are stored and counted as lost"
            assert gone.isdisjoint(range(begin, end + 1)), f"{detail} are counted twice"
            gone.update(range(begin, end + 1))
        rejected = self.server.query(f"SELECT table_name, message, LEFT(text, 80) FROM rejected WHERE {where}")
        assert not rejected, rejected
        assert stored + len(gone) == made, f"made {made}, stored {stored}, counted {len(gone)}"
        batches = self.server.query("SELECT COUNT(*), COUNT(DISTINCT batch), MIN(batch), MAX(batch)"
                                    f" FROM batch WHERE {where}")[0]
        assert batches[0] == batches[1] == batches[3] - batches[2] + 1, batches
        return stored, len(gone)
