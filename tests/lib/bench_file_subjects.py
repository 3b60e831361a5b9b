"""What tests/bench/file compares; see bench_network_subjects.py. Each says how many of the storm's files
it has recorded since a mark: of a storm of lives those that were renamed, of one of reads those that were
opened."""

import os
import re

from audit_daemon import AuditDaemon
from bench_network_subjects import Listener, Nothing, Subject
from vestige_test import ACTOR, Standalone, now_us

BARE = os.path.join(os.path.dirname(ACTOR), "fanotify_bare")


class FileSubject(Subject):
    def __init__(self, storm):
        self.storm = storm


class NothingOfFiles(FileSubject, Nothing):
    pass


class VestigeOfFiles(FileSubject):
    """The agent beside a database that takes its batches. Nothing but files is of interest: the rate of
    a program is without bound, so that a storm is recorded whole."""

    name = "Vestige"
    settings = {}  # keys of vestiged.conf by section

    def prepare(self):
        self.vestige = Standalone()
        self.vestige.start()
        self.vestige.stop()
        self.vestige.configure(**{**self.settings, "files": {
            "rate_per_program": 0, **self.settings.get("files", {})}})
        self.vestige.start("--no-agent")
        self.gaps = 0

    def finish(self):
        try:
            self.vestige.stop()
        finally:
            self.vestige.remove()

    def start(self):
        self.vestige.start_agent()
        self.vestige.sync()

    def stop(self):
        self.vestige.stop_agent()

    def pids(self):
        return [self.vestige.agent_pid]

    def mark(self):
        self.vestige.sync()
        return now_us()

    def recorded_since(self, mark):
        self.vestige.sync()
        self.gaps += self.vestige.value(
            "SELECT COUNT(*) FROM gap WHERE id >= %s AND source = 'fanotify'", mark)
        return self.vestige.value(
            "SELECT COUNT(DISTINCT path) FROM file_access WHERE id >= %s AND path LIKE %s "
            "AND FIND_IN_SET(%s, operations)", mark, self.storm.directory + "/%",
            self.storm.operation)


class Bare(Listener, FileSubject):
    """A reader of the same events that does nothing with them."""

    name = "bare fanotify reader"

    def __init__(self, storm):
        FileSubject.__init__(self, storm)
        self.command = (BARE, storm.directory)

    def recorded_since(self, mark):
        return 0


class AuditWatch(FileSubject):
    """auditd with a watch on the tree."""

    name = "auditd ENRICHED"

    def prepare(self):
        super().prepare()
        self.daemon = AuditDaemon(self.directory, "ENRICHED", [
            ["-a", "always,exit", "-F", "arch=b64", "-F", f"dir={self.storm.directory}",
             "-F", "perm=rwa", "-k", "watch"]])

    def start(self):
        self.daemon.start()

    def stop(self):
        self.daemon.stop()

    def pids(self):
        return self.daemon.pids()

    def mark(self):
        self.daemon.settled()
        return os.path.getsize(self.daemon.log)

    def recorded_since(self, mark):
        self.daemon.settled()
        with open(self.daemon.log, errors="replace") as log:
            log.seek(mark)
            calls = re.findall(r"^type=SYSCALL .* syscall=(\d+) ", log.read(), re.M)
        return calls.count(str(self.storm.system_call))


class Fatrace(Listener, FileSubject):
    """fatrace: fanotify, with the program's name and path of each event."""

    name = "fatrace"
    command = ("/usr/sbin/fatrace", "--timestamp")

    def __init__(self, storm):
        FileSubject.__init__(self, storm)

    def count(self, text):
        letters = self.storm.fatrace
        found = set()
        for line in text.splitlines():
            words = line.split()
            if self.storm.directory in line and any(set(letters) & set(word) for word in words[2:3]):
                found.add(words[-1])
        return len(found)


class Inotifywait(Listener, FileSubject):
    """inotifywait on the tree: events without a process."""

    name = "inotifywait"

    def __init__(self, storm):
        FileSubject.__init__(self, storm)
        self.command = ("/usr/bin/inotifywait", "-m", "-q", "-r", "--format", "%e %w%f",
                        storm.directory)

    def count(self, text):
        return len({line for line in text.splitlines() if self.storm.inotify in line})


SUBJECTS = {"nothing": NothingOfFiles, "bare": Bare, "vestige": VestigeOfFiles,
            "enriched": AuditWatch, "fatrace": Fatrace, "inotifywait": Inotifywait}
