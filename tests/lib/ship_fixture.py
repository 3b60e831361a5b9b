"""What tests of the shipper share: a private server with the schema and one agent's account, made
without the programs that enrol, and ship_tool with a journal of its own.

SHIP_TOOL names the program; by default it is looked for beside VESTIGE_BIN."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from private_server import PrivateServer, Refused
from vestige_test import BIN

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = sorted((SOURCE / "server-schema").glob("[0-9]*.sql"))
SHIP_TOOL = os.environ.get("SHIP_TOOL", os.path.join(BIN, "..", "tests", "bin", "ship_tool"))
HOST_ID = 7
PASSWORD = "correct-horse-battery"


class ShipServer(PrivateServer):
    """The schema, and the account agent_7. `until`: the last file of the schema that is applied."""

    def __init__(self, directory=None, until=9999, **settings):
        self._session = None
        self.made_of = [path for path in SCHEMA if int(path.name[:4]) <= until]
        self.kind = f"shipped-{self.made_of[-1].name[:4]}"
        super().__init__(directory, innodb_log_file_size="64M", skip_name_resolve="1", **settings)
        try:
            self.add_agent(HOST_ID)
        except BaseException:
            self.close()
            raise

    def start(self):
        self._session = None
        super().start()

    def prepare(self):
        session = self.root()
        session.run("CREATE DATABASE vestige")
        session.close()
        for path in self.made_of:
            self.apply(path)

    def add_agent(self, host_id):
        for host in ("localhost", "127.0.0.1"):
            account = f"agent_{host_id}@'{host}'"
            self.query(f"CREATE USER {account} IDENTIFIED BY '{PASSWORD}'")
            self.query(f"GRANT vestige_agent TO {account}")
            self.query(f"SET DEFAULT ROLE vestige_agent FOR {account}")

    def apply(self, path):
        with open(path, "rb") as stream:
            subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}",
                            "--default-character-set=utf8mb4", "--delimiter=//", "vestige"],
                           stdin=stream, check=True)

    def query(self, sql, *values):
        """Rows as tuples, asked by root; the connection is made again when it was lost."""
        if self._session is None:
            self._session = self.root("vestige")
            self._session.run("SET time_zone='+00:00'")
        try:
            return self._session.run(sql, *values)
        except Refused as refused:
            if refused.number in (0, 2006, 2013):
                self._session = None
            raise

    def value(self, sql, *values):
        return self.query(sql, *values)[0][0]

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a power cut would end it."""
        self._session = None
        self.send(signal.SIGKILL)
        self.process.wait(60)
        self.log.close()

    def ensure(self):
        """It runs, whatever a test before did."""
        if self.process.poll() is not None:
            self.start()

    def stop(self):
        self._session = None
        if self.process and self.process.poll() is None:
            self.send(signal.SIGCONT)
        super().stop()

    def empty(self):
        for table in ("process", "gap", "batch", "rejected"):
            self.query(f"TRUNCATE {table}")

    def close_agents(self):
        """Kill the agent's connections; how many there were."""
        found = self.query("SELECT id FROM information_schema.processlist WHERE user = %s",
                           f"agent_{HOST_ID}")
        for (connection,) in found:
            try:
                self.query(f"KILL CONNECTION {connection}")
            except Refused as refused:
                if refused.number != 1094:
                    raise
        return len(found)


class Tool:
    """ship_tool with a journal of its own."""
    started = None

    def __init__(self, server, host_id=HOST_ID):
        self.server = server
        self.host_id = host_id
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vestige-ship-tool-"))
        self.journal = self.directory / "journal"
        self.defaults = self.directory / "agent.cnf"
        self.write_defaults()

    def remove(self):
        if self.started and self.started.poll() is None:  # its test has failed
            self.started.kill()
            self.started.wait()
        shutil.rmtree(self.directory)

    def write_defaults(self, **options):
        """The option file: over the server's socket, unless the options say another way."""
        values = {"user": f"agent_{self.host_id}", "password": PASSWORD, "database": "vestige"}
        if "host" not in options:
            values["socket"] = self.server.socket
        values.update(options)
        lines = ["[vestige]"] + [name.replace("_", "-") + (f"={value}" if value is not None else "")
                                 for name, value in values.items()]
        written = self.defaults.with_suffix(".new")  # who reads it meanwhile gets the old or the new one
        written.write_text("\n".join(lines) + "\n")
        written.chmod(0o600)
        written.rename(self.defaults)

    def command(self, *options):
        return [SHIP_TOOL, "--journal", str(self.journal), "--defaults", str(self.defaults),
                "--host", str(self.host_id), *map(str, options)]

    def start(self, *options):
        self.output = open(self.directory / "output", "w+")
        self.started = subprocess.Popen(self.command(*options), stdin=subprocess.PIPE, stdout=self.output,
                                        stderr=subprocess.STDOUT, text=True)
        return self.started

    def finish(self, process, seconds=400):
        """What a started tool has printed, when it has ended by itself."""
        process.communicate(timeout=seconds)
        self.output.seek(0)
        result = Result(self.output.read(), process.returncode)
        self.output.close()
        return result

    def run(self, *options, seconds=400):
        return self.finish(self.start(*options), seconds)

    def fill(self, *options):
        result = self.run("--only-fill", *options)
        if result.status:
            raise AssertionError(result.text)

    def save(self):
        shutil.copytree(self.journal, self.directory / "saved")

    def restore(self):
        shutil.rmtree(self.journal)
        shutil.copytree(self.directory / "saved", self.journal)

    def batches(self, kind="sealed"):
        return sorted(self.journal.glob(f"*.{kind}.zst"))


class Result:
    """Exit status, and the "name value" lines as attributes."""

    def __init__(self, text, status):
        self.text = text
        self.status = status
        self.values = dict(line.partition(" ")[::2] for line in text.splitlines())

    def __getattr__(self, name):
        if name not in self.values:
            raise AssertionError(f"no {name} in:\n{self.text}")
        value = self.values[name]
        return int(value) if value.lstrip("-").isdigit() else value
