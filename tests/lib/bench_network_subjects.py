"""What tests/bench/connect compares; see bench_subjects.py. Each says how many connections it has
recorded since a mark."""

import contextlib
import os
import re
import signal
import subprocess
import time

import bench_subjects
from audit_daemon import AuditDaemon
from vestige_test import Standalone, Timeout, now_us, wait_for

RULES = (("-a", "always,exit", "-F", "arch=b64", "-S", "connect", "-F", "saddr_fam=2"),
         ("-a", "always,exit", "-F", "arch=b64", "-S", "accept,accept4", "-F", "success=1"))


class Subject(bench_subjects.Subject):
    def runs(self):
        """False: it has ended by itself under the storm."""
        return True

    def mark(self):
        return 0

    def recorded_since(self, mark):
        """Connections, each with both of its ends where the subject knows ends."""
        return 0


class Nothing(Subject):
    name = "nothing"


class VestigeExact(Subject):
    """The agent beside a database that takes its batches; who connects comes from BPF."""

    name = "Vestige, exact"
    mode = "on"

    def prepare(self):
        self.vestige = Standalone()
        self.vestige.start()
        self.vestige.stop()
        self.vestige.configure(bpf={"mode": self.mode})
        self.vestige.start("--no-agent")
        self.inferred = self.rows = 0

    def finish(self):
        try:
            self.vestige.stop()
        finally:
            self.vestige.remove()

    def start(self):
        self.vestige.start_agent()

    def stop(self):
        self.vestige.stop_agent()

    def pids(self):
        return [self.vestige.agent_pid]

    def mark(self):
        self.vestige.sync()
        return now_us()

    def recorded_since(self, mark):
        self.vestige.sync()
        rows = self.vestige.query(
            "SELECT direction, pid_source, COUNT(*) AS n FROM endpoint WHERE id >= %s "
            "AND protocol = 'tcp' AND direction IN ('in', 'out') AND destroyed_at IS NOT NULL "
            "AND remote_address LIKE '127.%%' GROUP BY direction, pid_source", mark)
        self.rows += sum(row["n"] for row in rows)
        self.inferred += sum(row["n"] for row in rows if row["pid_source"] != "exact")
        return min(sum(row["n"] for row in rows if row["direction"] == direction)
                   for direction in ("in", "out"))


class VestigeNetlink(VestigeExact):
    """The same without BPF: audit says who, sock_diag how it ended."""

    name = "Vestige, netlink"
    mode = "off"


class VestigeToTheBatch(VestigeExact):
    """Exact, while the database does not answer: the way ends at the sealed batch."""

    name = "Vestige to the batch"

    def start(self):
        super().start()
        os.kill(self.vestige.database_pid, signal.SIGSTOP)

    def stop(self):
        os.kill(self.vestige.database_pid, signal.SIGCONT)
        super().stop()

    def mark(self):
        time.sleep(1)  # rows of the warming storm have their ids by then
        return now_us()

    def recorded_since(self, mark):
        os.kill(self.vestige.database_pid, signal.SIGCONT)
        return super().recorded_since(mark)


class Auditd(Subject):
    name = "auditd ENRICHED"

    def prepare(self):
        super().prepare()
        self.daemon = AuditDaemon(self.directory, "ENRICHED", RULES)

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
        return min(calls.count("42"), calls.count("43") + calls.count("288"))


class Listener(Subject):
    """A program that writes a line for each event."""

    command = ()

    def start(self):
        self.output = open(os.path.join(self.directory, "output"), "w+")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        if self.process.poll() is not None:
            raise AssertionError(f"{self.command} ended with {self.process.returncode}")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.output.close()

    def pids(self):
        return [self.process.pid]

    def runs(self):
        return self.process.poll() is None

    def mark(self):
        return self.quiet_size()

    def quiet_size(self):
        sizes = [-1]

        def same():
            sizes.append(os.path.getsize(self.output.name))
            return sizes[-1] == sizes[-2]
        # On a machine that does something else it may never be: what these have seen is shown, not judged.
        with contextlib.suppress(Timeout):
            wait_for(same, 30, "the output is quiet", 0.5)
        return sizes[-1]

    def recorded_since(self, mark):
        self.quiet_size()
        with open(self.output.name, errors="replace") as stream:
            stream.seek(mark)
            return self.count(stream.read())


class SocketEvents(Listener):
    """ss -E tells of sockets that are destroyed: both ends of each connection, without a process."""

    name = "ss -E"
    command = ("/bin/ss", "-E", "-t", "-n", "-H", "-O")

    def count(self, text):
        return sum(" 127." in line for line in text.splitlines()) // 2


class Conntrack(Listener):
    """conntrack -E, with the rule that makes the kernel track connections."""

    name = "conntrack -E"
    command = ("/usr/sbin/conntrack", "-E", "-p", "tcp", "-b", "67108864")
    RULE = ("add table inet vestige_bench", "add chain inet vestige_bench track "
            "{ type filter hook output priority 0; }",
            "add rule inet vestige_bench track ct state new,established counter")

    def start(self):
        subprocess.run(["/usr/sbin/nft", "-f", "-"], input="\n".join(self.RULE) + "\n", text=True,
                       check=True)
        super().start()

    def stop(self):
        super().stop()
        subprocess.run(["/usr/sbin/nft", "delete", "table", "inet", "vestige_bench"], check=True)

    def count(self, text):
        return text.count("[NEW]")


SUBJECTS = {
    "nothing": Nothing, "batch": VestigeToTheBatch, "exact": VestigeExact,
    "netlink": VestigeNetlink, "enriched": Auditd, "ss": SocketEvents, "conntrack": Conntrack,
}
