"""What tests/bench/exec compares. A subject is prepared once, then started and stopped for each pair
of storms; while it runs it names its processes, and says how many processes of a storm it recorded
with their arguments."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from audit_daemon import EXEC_RULE, AuditDaemon
from vestige_test import Standalone, wait_for


class Subject:
    name = ""

    def prepare(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")

    def finish(self):
        shutil.rmtree(self.directory)

    def start(self):
        pass

    def stop(self):
        pass

    def pids(self):
        return []

    def recorded(self, tag):
        """Different processes `true TAG-N`."""
        return 0


class Nothing(Subject):
    name = "nothing"


class VestigeToMariaDB(Subject):
    """The agent beside a database that takes its batches. Files are left out, as they are with the others:
    what they cost is measured by tests/bench/file."""

    name = "Vestige to MariaDB"
    configuration = {}  # keys of sections, besides

    def prepare(self):
        self.vestige = Standalone()
        self.vestige.start()
        self.vestige.stop()
        self.vestige.configure(files={"mode": "off"}, **self.configuration)
        self.vestige.start("--no-agent")

    def finish(self):
        try:
            self.vestige.stop()
        finally:
            self.vestige.remove()

    def start(self):
        """The programs that run already are read once, at the start: that is not an exec's cost."""
        self.vestige.start_agent()
        self.vestige.sync()

    def stop(self):
        self.vestige.stop_agent()

    def pids(self):
        return [self.vestige.agent_pid]

    def recorded(self, tag):
        self.vestige.sync()
        return self.vestige.value(
            "SELECT COUNT(DISTINCT arguments) FROM process WHERE arguments LIKE %s "
            "AND end_cause = 'exit'", tag + "-%")


class VestigeToTheBatch(VestigeToMariaDB):
    """The same, while the database does not answer: the way ends at the sealed batch."""

    name = "Vestige to the batch"

    def start(self):
        super().start()
        os.kill(self.vestige.database_pid, signal.SIGSTOP)

    def stop(self):
        os.kill(self.vestige.database_pid, signal.SIGCONT)
        super().stop()

    def recorded(self, tag):
        os.kill(self.vestige.database_pid, signal.SIGCONT)
        return super().recorded(tag)


class VestigeUnfiltered(VestigeToTheBatch):
    """What the filter of system calls costs, beside VestigeToTheBatch."""

    name = "Vestige to the batch, without seccomp"
    configuration = {"agent": {"seccomp": "off"}}


class VestigeUnmasked(VestigeToTheBatch):
    """Likewise what looking for secrets in command lines costs."""

    name = "Vestige to the batch, without masking"
    configuration = {"masking": {"mode": "off"}}


class Auditd(Subject):
    log_format = "ENRICHED"
    name = "auditd ENRICHED"

    def prepare(self):
        super().prepare()
        self.daemon = AuditDaemon(self.directory, self.log_format, [EXEC_RULE], self.plugins())

    def plugins(self):
        return {}

    def start(self):
        self.daemon.start()

    def stop(self):
        self.daemon.stop()

    def pids(self):
        return self.daemon.pids()

    def recorded(self, tag):
        self.daemon.settled()
        return len(set(re.findall(rf'^type=EXECVE .* a1="({tag}-\d+)"', self.daemon.log_text(),
                                  re.M)))


class AuditdRaw(Auditd):
    log_format = "RAW"
    name = "auditd RAW"


class Laurel(Auditd):
    """auditd hands each record to laurel, which writes events as JSON; auditd writes no log."""

    name = "auditd and laurel"

    def plugins(self):
        settings = os.path.join(self.directory, "laurel.toml")
        with open(settings, "w") as stream:
            stream.write(f'directory = "{self.directory}/laurel"\nuser = "root"\n'
                         '[auditlog]\nfile = "audit.json"\nsize = 1000000000\ngenerations = 2\n')
        return {"laurel": "active = yes\ndirection = out\npath = /usr/sbin/laurel\ntype = always\n"
                          f"args = --config {settings}\nformat = string\n"}

    def start(self):
        super().start()
        wait_for(lambda: len(self.pids()) == 2, 60, "laurel runs")

    def recorded(self, tag):
        wanted = re.compile(re.escape(tag) + r"-\d+$")
        found = set()
        self.daemon.settled()
        time.sleep(1)
        with open(os.path.join(self.directory, "laurel", "audit.json")) as stream:
            for line in stream:
                arguments = json.loads(line).get("EXECVE", {}).get("ARGV", [])
                found.update(argument for argument in arguments if wanted.match(argument))
        return len(found)


class Forkstat(Subject):
    """forkstat reads the process connector and looks into /proc for the rest."""

    name = "forkstat"

    def start(self):
        self.output = open(os.path.join(self.directory, "forkstat"), "w+")
        self.process = subprocess.Popen(["/usr/bin/forkstat", "-l", "-e", "fork,exec,exit"],
                                        stdin=subprocess.DEVNULL, stdout=self.output)
        wait_for(lambda: os.fstat(self.output.fileno()).st_size, 60, "forkstat runs")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.output.close()

    def pids(self):
        return [self.process.pid]

    def recorded(self, tag):
        self.output.flush()
        with open(self.output.name, errors="replace") as stream:
            return len(set(re.findall(rf"\bexec\b.* ({tag}-\d+)\b", stream.read())))


SUBJECTS = {
    "nothing": Nothing, "batch": VestigeToTheBatch, "mariadb": VestigeToMariaDB,
    "unfiltered": VestigeUnfiltered, "unmasked": VestigeUnmasked,
    "enriched": Auditd, "raw": AuditdRaw, "laurel": Laurel, "forkstat": Forkstat,
}
