"""A server for a fleet of simulated agents, enrolled with the programs that enrol, and what it costs."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

from network_test import own_port
from private_server import PrivateServer, Refused
from vestige_test import BIN, run

FLEET_TOOL = os.environ.get("FLEET_TOOL", os.path.join(BIN, "..", "tests", "bin", "fleet_tool"))
DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "fleet"
MAKE_CA = DEPLOY / "make-ca"
SERVER_OPTIONS = DEPLOY / "server.cnf"
STATEMENTS_A_HOST = 16
ADDRESS = "127.0.0.1"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def settings_for(n_agents, memory):
    """Those of deploy/fleet/server.cnf, for so many agents."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(SERVER_OPTIONS)
    return dict(parser["mariadbd"]) | {
        "innodb_buffer_pool_size": memory, "max_connections": str(n_agents + 50),
        "max_prepared_stmt_count": str(max(16382, STATEMENTS_A_HOST * n_agents))}


COUNTED = ("Connections", "Threads_connected", "Threads_running", "Max_used_connections", "Com_commit",
           "Com_rollback", "Com_stmt_prepare", "Com_stmt_execute", "Questions", "Innodb_deadlocks",
           "Innodb_row_lock_waits", "Innodb_row_lock_time", "Innodb_log_writes", "Innodb_data_fsyncs",
           "Innodb_os_log_written", "Innodb_log_waits", "Aborted_connects", "Aborted_clients",
           "Prepared_stmt_count", "Opened_tables")


class FleetServer(PrivateServer):
    def __init__(self, n_agents, memory, keep=None, tls=False, **others):
        self.keep = bool(keep)
        self.authority = tempfile.mkdtemp(prefix="vestige-authority-") if tls else None
        settings = settings_for(n_agents, memory) | others
        if tls:
            settings.update(self.make_certificates())
        super().__init__(directory=keep, **settings)
        self.descriptor_limit()
        try:
            self.vestige("server", "init")
        except BaseException:
            self.close()
            raise

    def make_certificates(self):
        run(str(MAKE_CA), "--directory", self.authority, ADDRESS)
        self.port = own_port()
        return {"port": str(self.port), "bind_address": ADDRESS, "ssl_ca": f"{self.authority}/ca.pem",
                "ssl_cert": f"{self.authority}/{ADDRESS}.pem", "ssl_key": f"{self.authority}/{ADDRESS}.key"}

    def enrol_options(self):
        if not self.authority:
            return ()
        return ("--address", ADDRESS, "--from", ADDRESS, "--port", str(self.port), "--ca-directory", self.authority)

    def descriptor_limit(self):
        """Files of partitions are many; a server that may open few closes and opens them all the time."""
        with open(f"/proc/{self.process.pid}/limits", encoding="ascii") as file:
            self.files = next(line.split()[3] for line in file if line.startswith("Max open files"))

    def close(self):
        if self.authority:
            shutil.rmtree(self.authority, ignore_errors=True)
        if self.keep:
            self.stop()
        else:
            super().close()

    def cpu_seconds(self):
        """Of the server so far, user and system."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file)
        return {name: int(found[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")} | {
            "threads": int(found["Threads"])}

    def status(self, session):
        rows = session.run("SHOW GLOBAL STATUS")
        found = {name: int(value) for name, value in rows if name in COUNTED and value.isdigit()}
        found["lock_timeouts"] = int(session.value(
            "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_timeouts'"))
        return found

    def table_bytes(self):
        """What the files of the tables take on the disk."""
        directory = pathlib.Path(self.directory) / "data" / "vestige"
        return sum(file.stat().st_blocks * 512 for file in directory.glob("*.ibd"))


class Fleet:
    """N enrolled hosts: option files, and journals that are no burden to the server's disk."""

    def __init__(self, server, n, journals=None):
        self.server, self.n = server, n
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vestige-fleet-",
                                                       dir=journals or "/dev/shm"))
        self.hosts = []

    def enrol(self):
        """All of them in the way that is for many. Returns the seconds that it took."""
        names = [f"simulated-{number}" for number in range(self.n)]
        names_file, hosts = self.directory / "names", self.directory / "hosts"
        names_file.write_text("\n".join(names) + "\n")
        hosts.mkdir()
        begin = time.monotonic()
        self.server.vestige("client", "enroll", "--from-file", names_file, "--directory", hosts,
                            "--host-directory", "/where-it-is", *self.server.enrol_options())
        took = time.monotonic() - begin
        for name in names:
            # The files are used where they are, and not where a host would have them.
            options = hosts / name / "agent.cnf"
            options.write_text(options.read_text().replace("/where-it-is", str(hosts / name)))
            self.hosts.append((self.host_id(hosts / name), hosts / name))
        return took

    @staticmethod
    def host_id(directory):
        return int(re.search(r"^host_id\s*=\s*(\d+)", (directory / "vestiged.conf").read_text(), re.M)[1])

    def list_file(self, n=None, name="agents", first=0):
        """The file that fleet_tool reads, of n hosts, with journals that are empty."""
        chosen = self.hosts[first:first + (n or self.n)]
        for _, directory in chosen:
            shutil.rmtree(directory / "journal", ignore_errors=True)
        path = self.directory / name
        path.write_text("".join(f"{host}\t{directory}/agent.cnf\t{directory}/journal\t{directory}/signing.key\n"
                                for host, directory in chosen))
        return path

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Tool:
    """fleet_tool while it runs; its lines are kept as they come."""

    def __init__(self, agents, *options):
        self.values, self.ticks, self.agents, self.tables, self.turns = {}, [], [], {}, []
        self.process = subprocess.Popen([FLEET_TOOL, "--agents", agents, *map(str, options)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.errors = []
        self.readers = [threading.Thread(target=self.read, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            word, *rest = line.rstrip("\n").split(" ")
            if word == "tick":
                self.ticks.append(tuple(map(int, rest)))
            elif word == "turn":
                self.turns.append(int(rest[0]) / 1000)
            elif word == "agent":
                self.agents.append((*map(int, rest[:9]), " ".join(rest[9:])))
            elif word == "table":
                self.tables[rest[0]] = tuple(map(int, rest[1:]))
            else:
                self.values[word] = rest[0]

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def running(self):
        return self.process.poll() is None

    def finish(self):
        status = self.process.wait()
        for reader in self.readers:
            reader.join()
        return status

    def __getattr__(self, name):
        try:
            return float(self.__dict__["values"][name])
        except KeyError:
            raise AttributeError(name) from None

    def end(self):
        if self.running():
            self.process.kill()
            self.process.wait()


class Watch:
    """Looks at the server while it works: what connects, how many threads there are."""

    def __init__(self, server, interval):
        self.server, self.interval = server, interval
        self.samples, self.stopping = [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.begin = time.time()
        self.thread.start()

    def run(self):
        session = None
        while not self.stopping.is_set():
            at = time.time()
            try:
                session = session or self.server.root()
                self.samples.append((at, self.server.status(session)))
            except (Refused, OSError):
                session = None
            pause = self.interval if session else 0.02
            self.stopping.wait(max(0.0, pause - (time.time() - at)))
        if session:
            session.close()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.samples
