"""fanotify on the real kernel: exact events of files by path and process, renames of directories,
names of any bytes, filesystems that come and go, overlays, what is excluded, and losses."""

import collections
import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from source_run import ASKING, Run, python
from vestige_test import run

FILES = 97
(OPENED, EXECUTED, MODIFIED, CLOSED_AFTER_WRITE, CLOSED, CREATED, DELETED, RENAMED,
 ATTRIBUTES) = (1 << bit for bit in range(9))
WRITTEN = CREATED | OPENED | MODIFIED | CLOSED_AFTER_WRITE
UNKNOWN_SIZE = -1
NOBODY = 65534

NAMES = ("opened", "executed", "modified", "closed_after_write", "closed", "created", "deleted",
         "renamed", "attributes")
LINE = re.compile(r"FILE pid=(\d+) since_ns=(\d+) directory=([01]) path_at_read=([01]) "
                  r"events=([a-z_,]+) device=(\d+) inode=(\d+) mode=0x([0-9a-f]+) size=(-|\d+) "
                  r"path=(.*) new_path=(.*) source=fanotify boot_ns=(\d+)$")

Event = collections.namedtuple("Event", "pid events since_ns directory path_at_read device inode "
                                        "mode size path new_path boot_ns")

# What every actor begins with.
PRELUDE = ASKING + """
import contextlib, os, signal, stat, subprocess, sys, time
def write(path, data=b"hello"):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.close(fd)
def read(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 100)
    os.close(fd)
pause = until_looked
def _stands():
    for task in os.listdir(f"/proc/{os.getppid()}/task"):
        with open(f"/proc/{os.getppid()}/task/{task}/stat") as stat:
            if stat.read().rpartition(") ")[2][0] != "T":
                return False
    return True
@contextlib.contextmanager
def at_once():  # what is done meanwhile is read and looked at afterwards, all of it at once
    os.kill(os.getppid(), signal.SIGSTOP)
    try:
        _until(_stands, "the tool stands still")
        yield
    finally:
        os.kill(os.getppid(), signal.SIGCONT)
def unmount(path):  # who looks into a filesystem that is new keeps it busy for a moment
    _until(lambda: subprocess.run(["umount", path]).returncode == 0, "it is unmounted")
"""


def shown(path):
    """As the tool prints a path: evidence text, then escaped as a field."""
    text = os.fsencode(path).decode("utf-8", "surrogateescape")
    text = re.sub("[\udc80-\udcff]", lambda m: "\\x%02x" % (ord(m.group()) - 0xdc00), text)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


class Files:
    """The facts of a run of the tool, those of paths that begin with a prefix."""

    def __init__(self, source, *arguments, prefix, options=(), **keywords):
        self.run = Run("--note", "--settle", "200", *options, "fanotify",
                       *python(PRELUDE + source, *arguments), **keywords)
        assert self.run.status == 0, self.run.error
        events = [self._event(m) for m in map(LINE.match, self.run.lines) if m]
        self.all = events
        self.events = [e for e in events
                       if e.path.startswith(prefix) or e.new_path.startswith(prefix)]

    @staticmethod
    def _event(match):
        pid, since, directory, at_read, events, device, inode, mode, size = match.groups()[:9]
        return Event(int(pid), sum(1 << NAMES.index(name) for name in events.split(",")),
                     int(since), directory == "1", at_read == "1", int(device), int(inode),
                     int(mode, 16), UNKNOWN_SIZE if size == "-" else int(size),
                     *match.groups()[9:11], int(match.group(12)))

    def union(self, directories=False):
        """What was done, by process and path."""
        done = collections.defaultdict(int)
        for e in self.events:
            if e.directory == directories and not e.events & RENAMED:
                done[e.pid, e.path] |= e.events
        return dict(done)

    def renames(self):
        return [(e.path, e.new_path) for e in self.events if e.events & RENAMED]

    def of(self, path):
        return [e for e in self.events if e.path == path]

    def notes(self):
        return [line for line in self.run.lines if line.startswith("NOTE ")]


class TestFanotify(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = tempfile.mkdtemp(prefix="fanotify-", dir="/var/tmp")
        self.stack.callback(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def files(self, source, *arguments, **keywords):
        return Files(source, *arguments, prefix=self.directory, **keywords)

    def mount(self, *arguments, target):
        os.makedirs(target, exist_ok=True)
        run("mount", *arguments, target)
        self.stack.callback(subprocess.run, ["umount", target], stderr=subprocess.DEVNULL)

    def test_a_life(self):
        for name in ("a", "b"):
            os.mkdir(self.path(name))
        files = self.files("""
os.chdir(sys.argv[1])
n = int(sys.argv[2])
with at_once():
    for i in range(n):
        write(f"a/f{i}")
pause()
child = os.fork()
if child == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    for i in range(n):
        read(f"a/f{i}")
    os._exit(0)
os.waitpid(child, 0)
for i in range(n):
    os.chmod(f"a/f{i}", 0o600)
for i in range(n):
    os.rename(f"a/f{i}", f"b/g{i}")
pause()
for i in range(n):
    os.unlink(f"b/g{i}")
""", self.directory, FILES)
        actor = files.run.command
        expected = {}
        done = files.union()
        (child,) = {pid for pid, _ in done} - {actor}
        for i in range(FILES):
            expected[actor, self.path("a", f"f{i}")] = WRITTEN | ATTRIBUTES
            expected[child, self.path("a", f"f{i}")] = OPENED | CLOSED
            expected[actor, self.path("b", f"g{i}")] = DELETED
        self.assertEqual(expected, done)
        self.assertEqual([(self.path("a", f"f{i}"), self.path("b", f"g{i}"))
                          for i in range(FILES)], files.renames())
        written = [e for e in files.events if e.events & CREATED]
        self.assertEqual(FILES, len(written))
        for e in written:
            self.assertEqual((0o100644, 5), (e.mode, e.size))
            self.assertGreater(e.inode, 0)
        device = os.stat(self.directory).st_dev
        self.assertEqual({os.major(device) << 32 | os.minor(device)},
                         {e.device for e in files.events})
        for e in files.events:
            self.assertLess(e.since_ns, e.boot_ns)
            if e.events & DELETED:
                self.assertEqual((0, UNKNOWN_SIZE), (e.mode, e.size))

    def test_a_name_used_again(self):
        """What is there at the reading is another file than the one that was closed."""
        files = self.files("""
with at_once():
    write(sys.argv[1])
    os.link(sys.argv[1], sys.argv[1] + ".kept")
    os.unlink(sys.argv[1])
    write(sys.argv[1], b"longer")
""", self.path("x"))
        by_inode = collections.defaultdict(set)
        for e in files.of(self.path("x")):
            by_inode[e.inode].add(e.size)
        self.assertEqual([{6}, {UNKNOWN_SIZE}], sorted(by_inode.values(), reverse=True, key=max))

    def test_depth_known(self):
        """Directories whose birth was seen have the right path before and after a rename."""
        files = self.files("""
os.chdir(sys.argv[1])
n = int(sys.argv[2])
os.mkdir("first")  # from then on the directory above is known
pause()
deep = "/".join(f"d{i}" for i in range(40))
os.makedirs(deep)
rest = deep[3:]
for i in range(n):
    write(f"d{i}/{rest}/before{i}")
    os.rename(f"d{i}", f"d{i + 1}")
    write(f"d{i + 1}/{rest}/after{i}")
""", self.directory, FILES)
        rest = "/".join(f"d{i}" for i in range(1, 40))
        expected = {self.path(f"d{i}", rest, f"before{i}"): WRITTEN for i in range(FILES)}
        expected.update({self.path(f"d{i + 1}", rest, f"after{i}"): WRITTEN
                         for i in range(FILES)})
        self.assertEqual(expected, {path: events for (_, path), events in files.union().items()})
        self.assertEqual([(self.path(f"d{i}"), self.path(f"d{i + 1}")) for i in range(FILES)],
                         files.renames())
        self.assertEqual([self.path("first")], [e.path for e in files.events if e.path_at_read])
        self.assertEqual(41, sum(1 for e in files.events if e.directory and e.events & CREATED))

    def test_to_and_fro(self):
        """Equal renames merge: what is told meanwhile says that it is of the moment of reading."""
        os.makedirs(self.path("a", "below"))
        files = self.files("""
os.chdir(sys.argv[1])
os.mkdir("first")
write("a/below/f")
pause()
for i in range(int(sys.argv[2])):
    os.rename("a", "b")
    write(f"b/below/b{i}")
    if i < int(sys.argv[2]) - 1:
        os.rename("b", "a")
        write(f"a/below/a{i}")
pause()
write("b/below/last")
""", self.directory, FILES)
        done = {os.path.basename(e.path): e for e in files.events
                if e.events & CLOSED_AFTER_WRITE}
        self.assertEqual(2 * FILES + 1, len(done))
        for name, event in done.items():
            right = "a" if name[0] in "af" else "b"
            if event.path != self.path(right, "below", name):
                self.assertTrue(event.path_at_read, event)
        self.assertEqual(self.path("b", "below", "last"), done["last"].path)

    def test_depth_unknown(self):
        """Others have the path of the moment of reading, and say so; later the right one."""
        deep = "/".join(f"d{i}" for i in range(1, 40))
        os.makedirs(self.path("d0", deep))
        files = self.files("""
os.chdir(sys.argv[1])
deep = sys.argv[2]
with at_once():
    write(f"d0/{deep}/f")
    os.rename("d0", "x0")
pause()
with at_once():
    read(f"x0/{deep}/f")
    os.rename("x0", "y0")
    write(f"y0/{deep}/g")
""", self.directory, deep)
        self.assertEqual([(self.path("x0", deep, "f"), WRITTEN, True),
                          (self.path("x0", deep, "f"), OPENED | CLOSED, False),
                          (self.path("y0", deep, "g"), WRITTEN, False)],
                         [(e.path, e.events, e.path_at_read) for e in files.events
                          if not e.directory])

    def test_names(self):
        names = [b"new\nline", b"t\tab", b"\xff\xfe invalid \xc3", b"n" * 255, b"plain",
                 "umlaut ä".encode(), b" blank ", b"back\\slash"]
        files = self.files("""
os.chdir(sys.argv[1])
for name in eval(sys.argv[2]):
    write(name)
    os.rename(name, b"r" + name[1:])
directory = b""
while len(os.getcwdb()) < 4095 - 210:
    directory = b"p" * 200
    os.mkdir(directory)
    os.chdir(directory)
last = b"l" * (4095 - len(os.getcwdb()) - 1)
with at_once():
    write(last)
pause()
""", self.directory, repr(names))
        directory = os.fsencode(self.directory) + b"/"
        expected = {shown(directory + name) for name in names}
        paths = {e.path for e in files.events if e.events & CREATED and not e.directory}
        self.assertEqual(set(), expected - paths)
        self.assertEqual([(shown(directory + n), shown(directory + b"r" + n[1:])) for n in names],
                         files.renames())
        (longest,) = paths - expected
        self.assertEqual(4095, len(longest))
        (event,) = files.of(longest)
        self.assertEqual((WRITTEN, 5, 0o100644), (event.events, event.size, event.mode))

    def image(self):
        path = self.path("image")
        run("truncate", "-s", "8M", path)
        run("mkfs.ext4", "-q", path)
        return path

    def test_loop_device(self):
        """A filesystem that comes, is used, and goes."""
        mounted = self.path("mounted")
        os.mkdir(mounted)
        self.stack.callback(subprocess.run, ["umount", mounted], stderr=subprocess.DEVNULL)
        files = self.files("""
subprocess.run(["mount", "-o", "loop", sys.argv[1], sys.argv[2]], check=True)
pause()
write(sys.argv[2] + "/top")
os.mkdir(sys.argv[2] + "/d")
for i in range(97):
    write(f"{sys.argv[2]}/d/f{i}")
unmount(sys.argv[2])
pause()
write(sys.argv[2] + "/below")
""", self.image(), mounted)
        actor = files.run.command
        expected = {(actor, f"{mounted}/d/f{i}"): WRITTEN for i in range(FILES)}
        expected[actor, f"{mounted}/top"] = WRITTEN
        expected[actor, f"{mounted}/below"] = WRITTEN
        done = {key: events for key, events in files.union().items()
                if key[1].startswith(mounted + "/") and "lost+found" not in key[1]}
        self.assertEqual(expected, done)
        devices = {e.path: e.device for e in files.events}
        self.assertNotEqual(devices[f"{mounted}/top"], devices[f"{mounted}/below"])
        having = [f"ext4 {mounted}" in note for note in files.notes()]
        self.assertIn(True, having)
        self.assertFalse(having[0] or having[-1])

    def test_bind_mount(self):
        """Once, by the path in the filesystem's own mount."""
        os.mkdir(self.path("a"))
        self.mount("--bind", self.path("a"), target=self.path("b"))
        os.mkdir(self.path("c"))
        files = self.files("""
write(sys.argv[1] + "/b/f")
subprocess.run(["mount", "--bind", sys.argv[1] + "/a", sys.argv[1] + "/c"], check=True)
pause()
write(sys.argv[1] + "/c/g")
unmount(sys.argv[1] + "/c")
""", self.directory)
        self.assertEqual({self.path("a", "f"): WRITTEN, self.path("a", "g"): WRITTEN},
                         {path: events for (_, path), events in files.union().items()})

    def test_file_passed_over(self):
        """A single file whose reads are excluded, until it has another name."""
        files = self.files("""
path = sys.argv[1]
write(path)
for i in range(5):
    read(path)
    pause()
os.rename(path, path + ".other")
pause()
read(path + ".other")
os.rename(path + ".other", path)
for i in range(5):
    read(path)
    pause()
os.link(path, path + ".link")
pause()
read(path + ".link")
""", self.path("x"), options=("--exclude-reads", self.path("x")))
        done = {path: events for (_, path), events in files.union().items()}
        self.assertEqual(WRITTEN, done[self.path("x")] & ~CLOSED & ~ATTRIBUTES)
        for other in (".other", ".link"):
            self.assertEqual(OPENED | CLOSED, done[self.path("x" + other)] & (OPENED | CLOSED))

    def test_tmpfs(self):
        self.mount("-t", "tmpfs", "none", target=self.path("t"))
        files = self.files("""
with at_once():
    os.mkdir(sys.argv[1] + "/d")
    write(sys.argv[1] + "/d/f")
pause()
os.rename(sys.argv[1] + "/d", sys.argv[1] + "/e")
read(sys.argv[1] + "/e/f")
print(os.stat(sys.argv[1] + "/e/f").st_ino, file=sys.stderr)
""", self.path("t"))
        f, e = self.path("t", "d", "f"), self.path("t", "e", "f")
        self.assertEqual({f: WRITTEN, e: OPENED | CLOSED},
                         {path: events for (_, path), events in files.union().items()})
        inode = int(files.run.error.split()[-1])
        self.assertEqual({(inode, 5, 0o100644)},
                         {(x.inode, x.size, x.mode) for x in files.of(f) + files.of(e)})

    def test_overlay(self):
        for name in ("lower/d", "upper", "work"):
            os.makedirs(self.path(name))
        for name in ("read", "deleted", "changed", "d/deep"):
            with open(self.path("lower", name), "w", encoding="ascii") as file:
                file.write("lower")
        self.mount("-t", "overlay", "overlay", "-o",
                   f"lowerdir={self.path('lower')},upperdir={self.path('upper')},"
                   f"workdir={self.path('work')}", target=self.path("merged"))
        files = self.files("""
os.chdir(sys.argv[1])
read("read")
read("d/deep")
write("new")
os.rename("new", "renamed")
os.unlink("deleted")
fd = os.open("changed", os.O_WRONLY | os.O_APPEND)
os.write(fd, b"more")
os.close(fd)
pause()
""", self.path("merged"))
        actor = files.run.command
        done = {path: events for (pid, path), events in files.union().items() if pid == actor}
        merged = self.path("merged")
        self.assertEqual({merged}, {os.path.commonpath([merged, path]) for path in done}, done)
        self.assertEqual(OPENED | CLOSED, done[f"{merged}/read"])
        self.assertEqual(OPENED | CLOSED, done[f"{merged}/d/deep"])
        self.assertEqual(WRITTEN, done[f"{merged}/new"])
        self.assertEqual(DELETED, done[f"{merged}/deleted"] & ~(OPENED | CLOSED))
        self.assertTrue(done[f"{merged}/changed"] & CLOSED_AFTER_WRITE)
        self.assertEqual([(f"{merged}/new", f"{merged}/renamed")], files.renames())
        self.assertIn(f"overlay {merged} (through its layers)", files.notes()[0])

    def test_selection(self):
        """What is excluded is passed over by the kernel, until the directory has another name."""
        for name in ("reads/below", "none", "own", "told"):
            os.makedirs(self.path(name))
        for name in ("reads/below/f", "none/f", "told/f"):
            with open(self.path(name), "w", encoding="ascii"):
                pass
        files = self.files("""
os.chdir(sys.argv[1])
inodes = {name: os.stat(name).st_ino for name in ("reads/below", "none", "own", "told")}
def marks():
    text = ""
    for fd in os.listdir(f"/proc/{os.getppid()}/fdinfo"):
        with open(f"/proc/{os.getppid()}/fdinfo/{fd}") as info:
            text += info.read()
    print("MARKS", *(name for name in sorted(inodes)
                     if f"fanotify ino:{inodes[name]:x} " in text), file=sys.stderr)
for i in range(4):
    for name in ("reads/below/f", "none/f", "told/f"):
        read(name)
    write(f"own/f{i}")
    write(f"none/f{i}")
    pause()
marks()
write("reads/below/f")
os.rename("none/f", "told/g")
pause()
os.rename("reads", "moved")
pause()
marks()
read("moved/below/f")
pause()
""", self.directory, options=["--include", f"{self.directory}/*",
                              "--exclude", self.path("none") + "/*",
                              "--exclude-reads", self.path("reads") + "/*",
                              "--own", self.path("own")])
        done = {path: events for (_, path), events in files.union().items()}
        self.assertEqual(
            {self.path("told", "f"): OPENED | CLOSED,
             self.path("moved", "below", "f"): OPENED | CLOSED,
             self.path("reads", "below", "f"): MODIFIED | CLOSED_AFTER_WRITE},
            {path: events & ~OPENED if "reads" in path else events
             for path, events in done.items()})
        self.assertEqual([(self.path("none", "f"), self.path("told", "g")),
                          (self.path("reads"), self.path("moved"))], files.renames())
        self.assertEqual(["MARKS none own reads/below", "MARKS none own"],
                         [line for line in files.run.error.splitlines()
                          if line.startswith("MARKS")])
        # Of a directory that is gone before it was known nobody can say that it is excluded: others remove some.
        self.assertEqual([], [e for e in files.all if not e.path.startswith((self.directory, "handle:"))])

    def test_deleted_directory(self):
        """A directory that is gone before anybody knew it has no path that could be told."""
        os.mkdir(self.path("unknown"))
        with open(self.path("unknown", "f"), "w", encoding="ascii"):
            pass
        inode = os.stat(self.path("unknown")).st_ino
        files = self.files("""
os.chdir(sys.argv[1])
with at_once():
    read("unknown/f")
    os.unlink("unknown/f")
    os.rmdir("unknown")
os.mkdir("known")
write("known/f")
os.unlink("known/f")
os.rmdir("known")
""", self.directory)
        handle = "handle:" + inode.to_bytes(4, "little").hex()
        unknown = [e for e in files.all if e.path.startswith(handle)]
        self.assertEqual(OPENED | CLOSED | DELETED,
                         functools.reduce(lambda all, e: all | e.events, unknown, 0))
        for e in unknown:
            self.assertRegex(e.path, "^handle:[0-9a-f]+/f$")
        self.assertEqual({self.path("known", "f"): WRITTEN | DELETED},
                         {path: events for (_, path), events in files.union().items()})

    def test_overflow(self):
        """The tool is stopped while more events are made than its queue in the kernel holds."""
        self.mount("-t", "tmpfs", "none", target=self.path("t"))
        files = self.files("""
import signal
os.chdir(sys.argv[1])
os.kill(os.getppid(), signal.SIGSTOP)
for i in range(140000):
    os.close(os.open(f"f{i}", os.O_CREAT | os.O_WRONLY))
os.kill(os.getppid(), signal.SIGCONT)
pause()
""", self.path("t"), options=["--no-facts", "--include", self.path("t") + "/*"])
        self.assertEqual(1, files.run.totals["overruns"])
        self.assertGreater(files.run.totals["facts"], 65536)
        self.assertLess(files.run.totals["facts"], 140000)

    def test_without_privilege(self):
        done = Run("fanotify", *python(""), prefix=["setpriv", "--reuid", str(NOBODY),
                                                    "--clear-groups", "--bounding-set=-all"])
        self.assertEqual(2, done.status)
        self.assertIn("CAP_SYS_ADMIN", done.error)

    def test_nothing_is_left(self):
        """The bound of queues is what it was."""
        with open("/proc/sys/fs/fanotify/max_queued_events", encoding="ascii") as file:
            before = file.read()
        self.files("", self.directory)
        with open("/proc/sys/fs/fanotify/max_queued_events", encoding="ascii") as file:
            self.assertEqual(before, file.read())

    def test_replay(self):
        recording = self.path("recording")
        files = self.files("write(sys.argv[1])", self.path("f"),
                           options=["--record", recording, "--own", recording])
        again = Run("--replay", recording)
        self.assertEqual([line for line in files.run.lines if line.startswith(("FILE", "NOTE"))],
                         [line for line in again.lines if line.startswith(("FILE", "NOTE"))])
        self.assertTrue(files.of(self.path("f")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
