"""Files without fanotify: events of trees by inotify, and open files by /proc/PID/fd."""

import collections
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from source_run import ASKING, Run, python

N = 97


class TestInotifySource(unittest.TestCase):
    def setUp(self):
        self.place = os.path.realpath(tempfile.mkdtemp(prefix="vestige-test-"))
        self.addCleanup(shutil.rmtree, self.place)
        self.tree, self.outside = (os.path.join(self.place, n) for n in ("tree", "outside"))
        os.mkdir(self.tree)
        os.mkdir(self.outside)

    def watch(self, script, *options, settle="1000"):
        run = Run("--trees", self.tree, "--settle", settle, "--note", *options, "inotify",
                  *python(f"{ASKING}\ntree, outside = sys.argv[1:]\n{script}\nuntil_read()",
                          self.tree, self.outside))
        self.assertEqual(run.status, 0, run.error)
        self.assertEqual(run.totals["malformed"], 0)
        return run

    def events(self, run):
        return collections.Counter((f["events"], f["path"], f["new_path"])
                                   for f in run.of("FILE"))

    def name(self, *parts):
        return os.path.join(self.tree, *parts)

    def test_files(self):
        run = self.watch(f"""
os.mkdir(tree + "/d")
until_watched(tree + "/d")
for i in range({N}):
    a = f"{{tree}}/f{{i}}"
    with open(a, "w") as file:
        file.write("x")
    os.chmod(a, 0o600)
    os.rename(a, f"{{tree}}/d/g{{i}}")
    os.rename(f"{{tree}}/d/g{{i}}", f"{{outside}}/h{{i}}")
    os.rename(f"{{outside}}/h{{i}}", f"{{tree}}/k{{i}}")
    with open(f"{{tree}}/k{{i}}") as file:
        file.read()
    os.unlink(f"{{tree}}/k{{i}}")
""")
        expected = collections.Counter({("created", self.name("d"), "-"): 1})
        for i in range(N):
            f, g, k = self.name(f"f{i}"), self.name("d", f"g{i}"), self.name(f"k{i}")
            for event in ("created", "opened", "modified", "closed_after_write", "attributes"):
                expected[event, f, "-"] = 1
            expected["renamed", f, g] = 1
            expected["renamed", g, "-"] = 1
            expected["renamed", k, k] = 1
            for event in ("opened", "closed", "deleted"):
                expected[event, k, "-"] = 1
        self.assertEqual(self.events(run), expected)
        self.assertEqual({f["pid"] for f in run.of("FILE")}, {0})
        self.assertTrue(all(f["since_ns"] <= f["boot_ns"] for f in run.of("FILE")))

    def test_nested_directories_at_once(self):
        """Nothing is missed and nothing is told twice, whenever the watch comes."""
        run = self.watch(f"""
for i in range({N}):
    os.makedirs(f"{{tree}}/{{i}}/b/c/d")
    open(f"{{tree}}/{{i}}/b/c/d/file", "w").close()
""")
        expected = collections.Counter()
        for i in range(N):
            for path in ("", "/b", "/b/c", "/b/c/d", "/b/c/d/file"):
                expected[self.name(f"{i}{path}")] = 1
        self.assertEqual(collections.Counter(f["path"] for f in run.of("FILE", events="created")),
                         expected)
        for f in run.of("FILE", events="created"):
            self.assertEqual(f["directory"], int(not f["path"].endswith("file")), f)

    def test_renamed_directories(self):
        for path in ("a/b/c", "x"):
            os.makedirs(self.name(path))
        run = self.watch("""
import ctypes
touch = lambda path: open(tree + path, "w").close()
touch("/a/b/c/1")
os.rename(tree + "/a", tree + "/x/y")
touch("/x/y/b/c/2")
os.rename(tree + "/x", tree + "/a")
touch("/a/y/b/c/3")
os.mkdir(tree + "/e")
libc = ctypes.CDLL(None)
assert libc.renameat2(-100, (tree + "/a").encode(), -100, (tree + "/e").encode(), 2) == 0
touch("/e/y/b/c/4")
touch("/a/5")
os.rename(tree + "/e/y", outside + "/y")
open(outside + "/y/b/c/6", "w").close()
""")
        created = {f["path"] for f in run.of("FILE", events="created", directory=0)}
        self.assertEqual(created, {self.name(p) for p in
                                   ("a/b/c/1", "x/y/b/c/2", "a/y/b/c/3", "e/y/b/c/4", "a/5")})
        renames = [(f["path"], f["new_path"]) for f in run.of("FILE", events="renamed")]
        self.assertEqual(renames, [
            (self.name("a"), self.name("x/y")), (self.name("x"), self.name("a")),
            (self.name("a"), self.name("e")), (self.name("e"), self.name("a")),
            (self.name("e/y"), "-")])

    def test_limit_of_watches(self):
        for i in range(23):
            os.mkdir(self.name(f"d{i}"))
        run = self.watch("""
for i in range(23):
    open(f"{tree}/d{i}/file", "w").close()
""", "--watches", "11")
        self.assertEqual(len(run.of("FILE", events="created")), 10)
        note = next(line for line in run.lines if line.startswith("NOTE "))
        self.assertIn(": 11 directories watched", note)
        self.assertIn("; 13 and what is in them not: limit of watches", note)

    def test_overflow(self):
        """The tool stands still until there is no more room in its queue. It has begun anew when the numbers of
        its watches begin anew; what happens from the end of the old ones until then is lost, too, and told."""
        with open("/proc/sys/fs/inotify/max_queued_events") as file:
            n = int(file.read()) // 2
        run = self.watch(f"""
import signal
os.mkdir(tree + "/first")
until_watched(tree + "/first")
os.mkdir(tree + "/second")
until_watched(tree + "/second")
before = watch_number(tree + "/second")
os.rmdir(tree + "/first")
os.kill(os.getppid(), signal.SIGSTOP)
try:
    for i in range({n}):
        open(f"{{tree}}/f{{i}}", "w").close()
finally:
    os.kill(os.getppid(), signal.SIGCONT)
_until(lambda: watch_number(tree + "/second") not in (None, before), "the tool begins anew")
os.mkdir(tree + "/late")
until_watched(tree + "/late")
open(tree + "/late/file", "w").close()
""")
        self.assertGreaterEqual(len(run.of("OVERRUN")), 3)
        self.assertLess(len(run.of("FILE", events="created")), n)
        self.assertEqual(self.events(run)["created", self.name("late/file"), "-"], 1)

    def test_selection(self):
        run = self.watch("""
for name in ("own", "out", "quiet", "in"):
    os.mkdir(tree + "/" + name)
    with open(f"{tree}/{name}/file", "w") as file:
        file.write("x")
until_read()
for name in ("quiet", "in"):
    until_watched(tree + "/" + name)
for name in ("own", "out", "quiet", "in"):
    open(f"{tree}/{name}/file").close()
""", "--own", self.name("own"), "--exclude", self.name("out") + "*",
                         "--exclude-reads", self.name("quiet") + "/*")
        told = collections.defaultdict(set)
        for f in run.of("FILE", directory=0):
            told[f["path"]].add(f["events"])
        self.assertEqual(set(told), {self.name("quiet/file"), self.name("in/file")})
        self.assertNotIn("closed", told[self.name("quiet/file")])
        self.assertIn("closed", told[self.name("in/file")])

    def test_left_to_fanotify(self):
        run = self.watch("open(tree + '/file', 'w').close()", "--fanotify")
        self.assertEqual(run.of("FILE"), [])
        self.assertEqual([f["mode"] for f in run.of("NOTE")], ["descriptors"])

    # Open files

    def look(self, *options, prefix=()):
        run = Run("--note", "--looks", "1", *options, "inotify", "--", "true", prefix=prefix)
        self.assertEqual(run.status, 0, run.error)
        ends = [i for i, f in enumerate(run.facts) if f["kind"] == "FILE_SCAN" and f["begin"]]
        return run, [f for f in run.facts[ends[-1]:] if f["kind"] == "FILE_OPEN"]

    def test_open_files(self):
        held, expected = [], {}
        for i in range(23):
            fd = os.memfd_create(f"m{i}")
            os.ftruncate(fd, 100 + i)
            held.append(fd)
            expected[f"/memfd:m{i}"] = (1, 1, 1, 100 + i)
            path = self.name(f"deleted{i}")
            fd = os.open(path, os.O_RDONLY | os.O_CREAT)
            os.unlink(path)
            held += [fd, os.dup(fd)]
            expected[path] = (2, 0, 1, 0)
            fd = os.open(self.tree, os.O_TMPFILE | os.O_RDWR)
            held.append(fd)
            expected[os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")] = (1, 1, 1, 0)
            path = self.name(f"named{i} (deleted)")
            held.append(os.open(path, os.O_WRONLY | os.O_CREAT))
            expected[path] = (1, 1, 0, 0)
        held += [os.open(self.tree, os.O_RDONLY), os.open("/proc/self/stat", os.O_RDONLY),
                 os.open("/dev/zero", os.O_RDONLY), *os.pipe()]
        run, found = self.look()
        paths = [line.split(" path=")[1].split(" source=")[0] for line in run.lines
                 if line.startswith("FILE_OPEN ") and f" pid={os.getpid()} " in line]
        mine = {path: value for path, value in zip(paths, (
            (o["descriptors"], o["writable"], o["deleted"], o["size"])
            for o in run.of("FILE_OPEN", pid=os.getpid())))
            if path.startswith((self.tree, "/memfd:"))}
        for fd in held:
            os.close(fd)
        self.assertEqual(mine, expected)
        self.assertFalse([p for p in paths if p.startswith(("/proc/", "/dev/", "pipe:"))])
        self.assertEqual(run.of("FILE_SCAN", begin=0)[-1]["complete"], 1)

    def test_many_descriptors(self):
        n = 10000
        holder = subprocess.Popen([sys.executable, "-c", f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({n} + 100, {n} + 100))
held = [os.open(f"{{sys.argv[1]}}/f{{i}}", os.O_CREAT | os.O_RDWR) for i in range({n})]
print("ready", flush=True)
sys.stdin.read()
""", self.tree], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        try:
            self.assertEqual(holder.stdout.readline(), "ready\n")
            run, found = self.look()
        finally:
            holder.stdin.close()
            holder.wait()
        self.assertEqual(len({f["path"] for f in found if f["pid"] == holder.pid
                              and f["path"].startswith(self.tree)}), n)
        begin, end = run.of("FILE_SCAN")[-2:]
        cpu = (end["cpu_ns"] - begin["cpu_ns"]) / n
        print(f"{n} open files: {cpu / 1000:.2f} us each, with reader, decoding and printing; "
              f"50,000 of them every 30 s: {cpu * 50000 / 30e9 * 100:.2f} % of a core",
              file=sys.stderr)

    def test_vanishing_processes(self):
        storm = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
        try:
            run = Run("--note", "--looks", "5", "inotify", "--", "true")
        finally:
            storm.kill()
            storm.wait()
        self.assertEqual(run.status, 0, run.error)
        self.assertEqual({f["complete"] for f in run.of("FILE_SCAN", begin=0)}, {1})

    def test_without_privilege(self):
        run, _ = self.look(prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        self.assertIn(os.getpid(), {f["pid"] for f in run.of("FILE_REFUSED")})
        self.assertRegex("\n".join(run.lines), r"NOTE mode=descriptors .*, not of \d+ processes")


if __name__ == "__main__":
    unittest.main()
