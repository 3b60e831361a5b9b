#!/usr/bin/python3
"""The journal's disk is full, read-only, or fails: what was made is in the database or counted, the
program goes on by itself, the status says what is wrong, and nothing wrong is ever stored.

Disks are a small tmpfs and an ext4 on a loop device whose own file cannot grow, so that the kernel's
writes fail behind the program's back; single calls of the journal's thread are made to fail by strace."""

import contextlib
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from load_fixture import Load
from ship_fixture import ShipServer
from vestige_test import run, unmount, wait_for

QUICK = ("--retry-first", 50, "--retry-most", 200, "--checkpoint", 300)


def setUpModule():
    global SERVER
    SERVER = ShipServer()
    unittest.addModuleCleanup(SERVER.close)


class DiskTest(unittest.TestCase):
    def setUp(self):
        SERVER.ensure()
        SERVER.empty()
        self.load = Load(SERVER)
        self.addCleanup(self.load.remove)
        self.disk = self.load.directory / "disk"
        self.disk.mkdir()

    def mount(self, *words, where=None):
        where = where or self.disk
        run("mount", *map(str, words), str(where))
        self.addCleanup(subprocess.run, ["umount", "-l", str(where)], stderr=subprocess.DEVNULL)
        self.load.journal = self.disk / "journal"

    def error(self):
        return self.load.status().journal_error

    def wait_for_error(self, words):
        return wait_for(lambda: words in (error := self.error()) and error, 90, f"'{words}' in the status")

    def wait_for_status(self, what, condition, seconds=60):
        return wait_for(lambda: condition(status := self.load.status()) and status, seconds, what, 0.05)

    def wait_for_no_error(self):
        wait_for(lambda: not self.error(), 60, "the status has no error")

    def assert_exact(self):
        """All is shipped and accounted for; how many rows were counted as lost."""
        result = self.load.drain()
        self.assertEqual((1, 0), (result.shipped, result.rows_rejected), result.text)
        self.load.end()
        return self.load.accounted()[1]


class Full(DiskTest):
    def fill(self):
        with open(self.disk / "filler", "wb", 0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))

    def test_somebody_fills_it(self):
        self.mount("-t", "tmpfs", "-o", "size=24m", "none")
        self.load.start("--rate", 2000, "--buffer", 262144, *QUICK)
        self.wait_for_status("a batch is shipped", lambda status: status.batches_shipped)
        self.fill()
        self.wait_for_error("No space left on device")
        wait_for(lambda: self.load.status().lines_refused > 1000, 60, "lines are refused")
        os.unlink(self.disk / "filler")
        self.wait_for_no_error()
        log = self.load.log_text()
        self.assertIn("make room", log)
        self.assertLess(log.count("\n"), 10, log)
        counted = self.assert_exact()
        self.assertGreater(counted, 1000)

    def test_the_journal_fills_it(self):
        """What is shipped then goes only when the rest has been sealed and a checkpoint written."""
        self.mount("-t", "tmpfs", "-o", "size=8m", "none")
        SERVER.stop()
        self.load.start("--limit", 1 << 30, "--buffer", 262144, *QUICK)
        self.load.command("batches", 300, 500)
        self.load.command("rate", 20000)
        self.wait_for_error("cannot be written: No space left on device")
        refused = self.load.status().lines_refused
        status = self.wait_for_status("lines are refused",
                                      lambda status: status.lines_refused > refused + 5000)
        self.assertEqual(0, status.journal_full)
        disk = os.statvfs(self.disk)
        self.assertTrue(200000 < disk.f_bavail * disk.f_frsize < 1100000, disk)
        self.load.command("rate", 1000)
        SERVER.start()
        self.wait_for_no_error()
        self.load.command("batches", 10, 500)
        self.assertGreater(self.assert_exact(), 0)


class ReadOnly(DiskTest):
    def make(self, name="image", size="64M", options=()):
        image = self.load.directory / name
        run("truncate", "-s", size, str(image))
        run("mkfs.ext4", "-q", "-F", *options, str(image))
        return image

    def loop(self, image):
        device = run("losetup", "--find", "--show", str(image)).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device], stderr=subprocess.DEVNULL)
        return device

    def test_the_kernel_makes_it_read_only(self):
        """As after an error of the filesystem itself. It is mended, which needs another start."""
        image = self.make()
        self.mount("-o", "errors=remount-ro", self.loop(image))
        SERVER.stop()
        self.load.start("--rate", 2000, "--buffer", 262144, *QUICK)
        wait_for(lambda: self.load.status().waiting >= 2, 60, "batches wait")
        run("mount", "-o", "remount,abort", str(self.disk))
        wait_for(lambda: self.load.status().lines_refused > 1000, 60, "lines are refused")
        self.wait_for_error("Read-only file system")  # the first write may fail otherwise
        SERVER.start()
        # what is sealed is stored, and cannot be marked: that is seen, and is no second row
        wait_for(lambda: "cannot mark batch 1 as shipped" in self.load.status().error, 60,
                 "the status says that batches cannot be marked")
        self.load.end()
        self.assertIn("could not be written and are lost", self.load.log_text())
        unmount(self.disk)
        # A mount namespace that was made meanwhile may hold the filesystem that is read-only: not this device.
        run("mount", self.loop(image), str(self.disk))
        self.load.start("--rate", 2000, *QUICK)
        self.wait_for_status("it ships", lambda status: status.batches_shipped)
        self.assertGreater(self.assert_exact(), 1000)

    def test_the_block_device_fails(self):
        """The kernel takes what is written and cannot keep it; fsync says so once. When it works again,
        all that was taken must be on the disk itself: it is read from there, by another start."""
        backing = self.load.directory / "backing"
        backing.mkdir()
        self.mount("-t", "tmpfs", "-o", "size=8m", "none", where=backing)
        image = self.make(backing / "image", "32M", ("-O", "^has_journal", "-N", "1024", "-b", "4096"))
        device = self.loop(image)
        self.mount("-o", "errors=continue", device)
        SERVER.stop()
        self.load.start("--rate", 1000, "--limit", 1 << 30, *QUICK)
        wait_for(lambda: self.load.status().waiting >= 2, 60, "batches wait")
        self.load.command("rate", 0)
        wait_for(lambda: not list(self.load.journal.glob("*.open")), 60, "all is sealed")
        run("sync", "-f", str(self.disk))
        # What files of before have left has no room either. A loop device calls half a write a whole
        # one, so a block is a page of its file: each is written or refused.
        run("fstrim", str(self.disk))
        with open(backing / "filler", "wb", 0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        self.load.command("rate", 1000)
        self.wait_for_error("cannot be written")
        made = self.load.made()
        wait_for(lambda: self.load.made() > made + 2000, 60, "more is made than is sealed at once")
        self.assertIn("cannot be written", self.error())
        os.unlink(backing / "filler")
        self.wait_for_no_error()
        wait_for(lambda: self.load.status().waiting >= 4, 60, "more batches wait")
        self.assertEqual(0, self.load.status().lines_refused)
        self.load.end()
        unmount(self.disk)
        run("mount", "-o", "errors=continue", device, str(self.disk))
        SERVER.start()
        self.load.start("--rate", 1000, *QUICK)
        self.wait_for_status("it ships", lambda status: status.batches_shipped)
        self.assertEqual(0, self.assert_exact())


class Failing(DiskTest):
    """Calls of one thread fail for a while."""

    def thread(self, name):
        tasks = f"/proc/{self.load.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm") as comm:
                if comm.read() == f"{name}\n":
                    return int(task)
        self.fail(f"no thread {name}")

    @contextlib.contextmanager
    def failing(self, thread, calls, fault):
        task = self.thread(thread)
        with open(self.load.directory / "strace", "w+") as output:
            strace = subprocess.Popen(
                ["strace", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}", "-p",
                 str(task)], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                wait_for(lambda: self.traced(task), 60, "strace has attached")
                yield output
            finally:
                strace.terminate()
                strace.wait(60)

    def traced(self, task):
        with open(f"/proc/{self.load.process.pid}/task/{task}/status") as status:
            return "TracerPid:\t0\n" not in status.read()

    def injected(self, output):
        output.seek(0)
        return output.read().count("(INJECTED)")

    def fails_for_a_while(self, calls, fault, words):
        """It is short and fits into memory: nothing is lost."""
        SERVER.empty()
        load = self.load = Load(SERVER)
        self.addCleanup(load.remove)
        load.start("--rate", 500, *QUICK)
        wait_for(lambda: load.status().batches_shipped, 60, "a batch is shipped")
        with self.failing("journal", calls, fault) as output:
            wait_for(lambda: self.injected(output) >= 3, 60, f"{calls} failed three times")
            if words:
                self.wait_for_error(words)
        self.wait_for_no_error()
        self.assertEqual(0, load.status().lines_refused)
        self.assertEqual(0, self.assert_exact(), load.log_text())

    def test_each_call(self):
        writes, renames = "pwritev,pwritev2", "rename,renameat,renameat2"
        for calls, fault, words in (
                (writes, "error=EIO", "Input/output error"),
                (writes, "error=ENOSPC:when=1+2", None),
                ("write", "error=EIO:when=1+2", None),
                ("fsync", "error=EIO", "Input/output error"),
                ("fsync", "error=EIO:when=1+2", None),
                ("fsync", "error=ENOSPC:when=2+3", None),
                (renames, "error=EROFS", "Read-only file system"),
                ("openat", "error=EMFILE", "Too many open files"),
                (f"{writes},ftruncate", "error=EDQUOT", "Disk quota exceeded")):
            with self.subTest(calls=calls, fault=fault):
                self.fails_for_a_while(calls, fault, words)

    def test_for_long(self):
        """Memory is bounded: what does not fit is counted."""
        load = self.load.start("--rate", 4000, "--buffer", 262144, *QUICK)
        wait_for(lambda: load.status().batches_shipped, 60, "a batch is shipped")
        with self.failing("journal", "fsync", "error=EIO"):
            self.wait_for_error("cannot be written: Input/output error")
            wait_for(lambda: load.status().lines_refused > 3000, 60, "lines are refused")
        self.wait_for_no_error()
        self.assertGreater(self.assert_exact(), 3000)
        self.assertIn("written again", load.log_text())

    def test_reading_fails_for_a_while(self):
        """A batch that the disk does not give now is not yet damaged."""
        load = self.load.start("--rate", 2000, *QUICK)
        wait_for(lambda: load.status().batches_shipped, 60, "a batch is shipped")
        with self.failing("shipper", "read", "error=EIO") as output:
            wait_for(lambda: self.injected(output) >= 2, 60, "it failed twice")
            self.assertIn("Input/output error", load.status().error)
        self.assertEqual(0, self.assert_exact(), load.log_text())
        self.assertNotIn("damaged", load.log_text())

    def test_killed_while_it_fails(self):
        """What fsync has not confirmed may be gone; what it confirmed is not."""
        load = self.load.start("--rate", 2000, *QUICK)
        for calls in ("fsync", "rename,renameat,renameat2", "pwritev,pwritev2"):
            wait_for(lambda: load.status().batches_shipped, 60, "a batch is shipped")
            with self.failing("journal", calls, "error=EIO:when=2+2") as output:
                wait_for(lambda: self.injected(output) >= 2, 60, f"{calls} failed")
                load.kill()
            load.start("--rate", 2000, *QUICK)
        self.assertLess(self.assert_exact(), load.made() // 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
