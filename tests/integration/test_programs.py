"""The file that a process executed: its digest as sha256sum computes it, its size and time as stat
shows them, or NULL; never those of another file."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from datetime import datetime, timedelta

from vestige_test import VestigeTest, main, wait_for

PROGRAMS, RUNS = 23, 5


def sha256sum(path):
    return subprocess.run(["sha256sum", path], check=True, capture_output=True,
                          text=True).stdout.split()[0]


def time_of(status):
    return datetime(1970, 1, 1) + timedelta(microseconds=status.st_mtime_ns // 1000)


def tick():
    """Times of files stand still for a tick of the kernel's clock."""
    time.sleep(0.05)


class TestPrograms(VestigeTest):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def make(self, name, tail, program="/bin/true"):
        """A program that differs from all others by its last bytes. Returns path, digest, stat."""
        path = os.path.join(self.directory, name)
        shutil.copy(program, path)
        with open(path, "ab") as stream:
            stream.write(tail)
        return path, sha256sum(path), os.stat(path)

    def rows(self, condition, *parameters):
        self.vestige.sync()
        return self.processes(condition, *parameters)

    def hashed(self):
        return int(self.vestige.status()["programs_hashed"])

    def test_each_file_once(self):
        made = [self.make(f"p{i}", b"%d" % i) for i in range(PROGRAMS)]
        tick()
        self.vestige.sync()
        before = self.hashed()
        for _ in range(RUNS):
            for path, _, _ in made:
                subprocess.run([path], check=True)
        rows = self.rows("exe LIKE %s", self.directory + "/%")
        self.assertEqual(PROGRAMS * RUNS, len(rows))
        for path, digest, status in made:
            mine = [row for row in rows if row["exe"] == path]
            self.assertEqual(RUNS, len(mine))
            for row in mine:
                self.assert_row(row, exe_sha256=digest, exe_size=status.st_size,
                                exe_modified_at=time_of(status))
        hashed = self.hashed() - before
        self.vestige.sync()  # whatever else has been hashed by now is in a row
        # Also those that began before, and whose turn came later.
        others = self.vestige.value(
            f"SELECT COUNT(DISTINCT exe_sha256) FROM process WHERE id >= {self.since - 10_000_000} "
            "AND exe NOT LIKE %s", self.directory + "/%")
        self.assertLessEqual(PROGRAMS, hashed)
        self.assertLessEqual(hashed, PROGRAMS + others)

    def test_replaced_between_two_runs(self):
        path, first, _ = self.make("p", b"first")
        tick()
        subprocess.run([path, "1"], check=True)
        self.vestige.sync()
        other, second, _ = self.make("other", b"second")
        os.replace(other, path)
        tick()
        subprocess.run([path, "2"], check=True)
        rows = self.rows("exe = %s", path)
        self.assertEqual([first, second], [row["exe_sha256"] for row in rows])

    def test_replaced_at_once(self):
        """Nobody can know all of them; what is told is right."""
        path = os.path.join(self.directory, "p")
        digests = {}
        for i in range(60):
            other, digests[str(i)], _ = self.make("other", b"%d" % i)
            os.replace(other, path)
            if i % 2:
                tick()
            subprocess.run([path, str(i)], check=True)
            if i % 3 == 0:
                tick()
        rows = self.rows("exe = %s", path)
        self.assertEqual(60, len(rows))
        known = [row for row in rows if row["exe_sha256"] is not None]
        self.assertEqual([digests[row["arguments"]] for row in known],
                         [row["exe_sha256"] for row in known])
        self.assertGreater(len(known), 0)

    def test_deleted(self):
        path, digest, status = self.make("p", b"deleted", "/bin/sleep")
        with subprocess.Popen([path, "600"]) as process:
            try:
                os.unlink(path)
                row = wait_for(lambda: self.rows("pid = %s AND exe_sha256 IS NOT NULL", process.pid), 60,
                               "its row")[0]
            finally:
                process.kill()
        # It may be deleted before its exec has returned.
        self.assertIn(row["exe"], (path, path + " (deleted)"))
        self.assert_row(row, exe_sha256=digest, exe_size=status.st_size)

    def test_script(self):
        path = os.path.join(self.directory, "script")
        with open(path, "w") as stream:
            stream.write("#!/bin/dash\n:\n")
        os.chmod(path, 0o755)
        subprocess.run([path], check=True)
        row = self.only(self.rows("arguments = %s", path), "the script")
        dash = os.path.realpath("/bin/dash")
        self.assert_row(row, exe=dash, exe_sha256=sha256sum(dash))

    def test_other_mount_namespace(self):
        """The same path is another file there. Of what the shell itself becomes nobody knows in which
        namespace it was, unless it is seen before it is gone."""
        inside, _, _ = self.make("inside", b"inside")
        outside, _, _ = self.make("p", b"outside")
        with open(inside, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
        tick()
        script = ('cp "$1/inside" /tmp/vestige-inside.$$ && mount -t tmpfs none "$1" && '
                  'mv /tmp/vestige-inside.$$ "$1/p" && sleep 0.1 && '
                  '"$1/p" child && "$1/p" child && read line && exec "$1/p" last')
        with subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", self.directory],
                              stdin=subprocess.PIPE) as process:
            wait_for(lambda: len(self.rows("exe = %s AND exe_sha256 IS NOT NULL", outside)) == 2, 60,
                     "the children's files have been looked at")
            process.stdin.write(b"\n")
        self.assertEqual(0, process.returncode)
        rows = self.rows("exe = %s", outside)
        self.assertEqual([("child", digest), ("child", digest)],
                         [(row["arguments"], row["exe_sha256"]) for row in rows[:-1]])
        self.assertEqual("last", rows[-1]["arguments"])
        self.assertIn(rows[-1]["exe_sha256"], (None, digest))

    def test_short_scripts(self):
        """Also the children of a shell that is gone when its children's files are looked at."""
        path, digest, _ = self.make("p", b"short")
        tick()
        for _ in range(7):
            subprocess.run(["sh", "-c", f"{path} 1; {path} 2"], check=True)
        # A sync does not wait for files for longer than 2 s.
        wait_for(lambda: None not in [row["exe_sha256"] for row in self.rows("exe = %s", path)], 60,
                 "the children's files have been looked at")
        self.assertEqual([digest] * 14, [row["exe_sha256"] for row in self.rows("exe = %s", path)])

    def test_same_binary_under_other_names(self):
        path, digest, _ = self.make("p", b"same")
        copy = os.path.join(self.directory, "copy")
        shutil.copy(path, copy)
        tick()
        for program in (path, copy):
            subprocess.run([program], check=True)
        self.vestige.sync()
        rows = self.vestige.query(
            "SELECT host_id, exe, COUNT(*) AS runs FROM process WHERE exe_sha256 = %s "
            "GROUP BY host_id, exe ORDER BY exe", digest)
        self.assertEqual([(copy, 1), (path, 1)], [(row["exe"], row["runs"]) for row in rows])

    def coverage(self):
        self.vestige.sync()
        return [(row["mode"], row["detail"]) for row in self.vestige.query(
            "SELECT mode, detail FROM coverage WHERE source = 'programs' "
            "AND destroyed_at IS NULL")]

    def test_too_large_and_off(self):
        path, _, _ = self.make("p", b"large")
        os.truncate(path, 2 << 20)
        status = os.stat(path)
        self.assertEqual([("on", "sha256 of local files up to 256 MiB")], self.coverage())
        self.vestige.stop()
        self.vestige.configure(programs={"largest_mib": 1})
        self.vestige.start()
        self.assertEqual([("on", "sha256 of local files up to 1 MiB")], self.coverage())
        subprocess.run([path], check=True)
        row = self.only(self.rows("exe = %s", path), "a large file")
        self.assert_row(row, exe_sha256=None, exe_size=2 << 20, exe_modified_at=time_of(status))
        self.vestige.stop()
        self.vestige.configure(programs={"hash": "off"})
        self.vestige.start()
        self.assertEqual([("off", "switched off by configuration")], self.coverage())
        subprocess.run([path, "off"], check=True)
        row = self.only(self.rows("exe = %s AND arguments = 'off'", path), "nobody looks")
        self.assert_row(row, exe_sha256=None, exe_size=None, exe_modified_at=None)
        self.vestige.stop()
        self.vestige.configure()
        self.vestige.start()


if __name__ == "__main__":
    main()
