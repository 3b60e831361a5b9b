"""Runs of source_tool, and the facts that it prints."""

import os
import subprocess
import sys

TOOL = os.environ.get("VESTIGE_SOURCE_TOOL") or os.path.join(os.environ.get("VESTIGE_BIN", ""),
                                                             "source_tool")


# What the command may ask of the tool, which is its parent: whether it has read all events of files, and
# whether it watches a directory by inotify.
ASKING = """
import ctypes, fcntl, os, struct, sys, termios, time
def _groups():
    tool = f"/proc/{os.getppid()}"
    for number in os.listdir(tool + "/fd"):
        try:
            if os.readlink(f"{tool}/fd/{number}") in ("anon_inode:[fanotify]", "anon_inode:inotify"):
                yield int(number), f"{tool}/fdinfo/{number}"
        except FileNotFoundError:
            pass
def _unread():
    tool, n = os.pidfd_open(os.getppid()), 0
    for number, _ in _groups():
        group = ctypes.CDLL(None).syscall(438, tool, number, 0)  # pidfd_getfd
        n += struct.unpack("i", fcntl.ioctl(group, termios.FIONREAD, bytes(4)))[0]
        os.close(group)
    os.close(tool)
    return n
def _until(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(what + ": not within 30 s")
        time.sleep(0.002)
def until_read():
    _until(lambda: _unread() == 0, "the tool has read all")
def _watches(inode):
    for _, path in _groups():
        with open(path) as info:
            if f" ino:{inode:x} " in info.read():
                return True
    return False
def until_watched(path):
    inode = os.stat(path).st_ino
    _until(lambda: _watches(inode), "the tool watches " + path)
"""


class Fact(dict):
    """One line "KIND key=value ...", numbers as numbers."""

    def __init__(self, line):
        kind, *words = line.split(" ")
        super().__init__(kind=kind)
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                digits = value.removeprefix("0x")
                self[name] = int(value, 0) if digits.isdigit() or value != digits else value


class Run:
    """What the tool printed: facts in their order, totals, what the command wrote."""

    def __init__(self, *arguments, prefix=(), **options):
        done = subprocess.run([*prefix, TOOL, *arguments], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=600, **options)
        self.status, self.error = done.returncode, done.stderr
        self.lines = done.stdout.splitlines()
        self.facts = [Fact(line) for line in self.lines]
        self.totals = next((f for f in self.facts if f["kind"] == "READ"), None)
        self.command = next((f["pid"] for f in self.facts if f["kind"] == "COMMAND"), None)

    def of(self, kind, **values):
        return [fact for fact in self.facts if fact["kind"] == kind
                and all(fact.get(name) == value for name, value in values.items())]


def python(source, *arguments):
    return ["--", sys.executable, "-c", source, *map(str, arguments)]
