"""vestiged by itself, in a directory of its own, with whatever configuration, rights and disk."""

import json
import os
import shutil
import signal
import subprocess

from vestige_test import (AGENT_USER, VESTIGE, VESTIGED, Timeout, end_with_parent,
                          processes_named, run, test_directory, wait_for)


class Agent:
    """The state directory, the configuration and the option file, and a run of vestiged with them.
    The server is one that is never there, until set_server says otherwise."""

    def __init__(self):
        self.directory = test_directory()
        self.state = self.path("state")
        self.sections = {"agent": {"host_id": 1, "user": AGENT_USER, "state_directory": self.state,
                                   "defaults_file": self.path("agent.cnf"),
                                   "signing_key": self.path("signing.key")},
                         "database": {"retry_first_ms": 100, "retry_most_ms": 100}}
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path("signing.key"))
        os.chmod(self.path("signing.key"), 0o600)
        self.set_server(socket=self.path("no-server"), user="agent_1", password="secret")
        self.process = None

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def set_server(self, **options):
        """At once: an agent that reads it meanwhile sees the old or the new one."""
        with open(self.path("agent.cnf.new"), "w") as stream:
            stream.write("[vestige]\n")
            stream.writelines(f"{name} = {value}\n" for name, value in options.items())
        shutil.chown(self.path("agent.cnf.new"), AGENT_USER)
        os.chmod(self.path("agent.cnf.new"), 0o600)
        os.rename(self.path("agent.cnf.new"), self.path("agent.cnf"))

    def set_owner(self, user):
        """Of the option file: whoever the agent becomes reads it."""
        shutil.chown(self.path("agent.cnf"), user)

    def write_configuration(self, text=None):
        """This text, or what `sections` says."""
        if text is None:
            text = "".join(
                f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                for section, keys in self.sections.items())
        with open(self.path("vestiged.conf"), "w") as stream:
            stream.write(text)

    def command(self, *options):
        return [VESTIGED, "--config", self.path("vestiged.conf"), *map(str, options)]

    # A run that records

    def start(self, *options, prefix=(), seconds=60):
        self.write_configuration()
        with open(self.path("log"), "w") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command(*options)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=end_with_parent)
        self.wait_for_line("agent: recording this host", seconds)
        return self

    def log(self):
        with open(self.path("log")) as log:
            return log.read()

    def lines(self, subject):
        """What it said of this: a subsystem, or with its level as in "audit: warning"."""
        start = f"vestiged: {subject}: "
        return [line[len(start):] for line in self.log().splitlines() if line.startswith(start)]

    def wait_for_line(self, text, seconds=60):
        def came():
            if text in self.log():
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"vestiged ended with {self.process.returncode}:\n{self.log()}")
            return False
        try:
            wait_for(came, seconds, f"'{text}' in the log of vestiged")
        except Timeout as timeout:
            raise Timeout(f"{timeout}\n{self.log()}") from None

    def status(self):
        """What it answers on its socket, by name: level and value."""
        done = run(VESTIGE, "status", "--format", "json", "--config", self.path("vestiged.conf"),
                   check=False)
        return {row["name"]: (row["level"], row["value"])
                for row in json.loads(done.stdout)["rows"] if row["part"] == "agent"}

    def inner_pid(self):
        """vestiged itself, where the command in prefix does not become it."""
        return (processes_named("vestiged", self.process.pid) or [self.process.pid])[0]

    def stop(self):
        """In order: it must end with 0."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.inner_pid(), signal.SIGTERM)
        process, self.process = self.process, None
        status = process.wait(90)
        if status:
            raise AssertionError(f"vestiged ended with {status}:\n{self.log()}")

    def left_batches(self):
        """Whether its end did not wait for the server any longer: the next start ships the rest."""
        return "the last batches stay in the journal" in self.log()

    def stop_shipped(self):
        """In order, and all is shipped: what a server that is slow for seconds does not take, the next run brings."""
        self.stop()
        for _ in range(5):
            if not self.left_batches():
                return
            self.start()
            self.stop()
        raise AssertionError(f"batches are left after five more runs:\n{self.log()}")

    def remove(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory)

    # A run that ends by itself

    def run(self, *options, prefix=(), **parameters):
        """The finished command."""
        return run(*prefix, *self.command(*options), check=False, **parameters)

    # The journal

    def batches(self):
        """The files of sealed batches, in order. Those that were shipped are gone."""
        journal = os.path.join(self.state, "journal")
        return [os.path.join(journal, name) for name in sorted(os.listdir(journal))
                if name.endswith(".sealed.zst")]  # and not one that is being written

    def journal_lines(self):
        """All lines of sealed batches as they stand there, in order."""
        batches = self.batches()
        text = run("zstdcat", *batches).stdout if batches else ""
        return [line for line in text.splitlines()
                if line.startswith(("insert\t", "settle\t", "end\t"))]

    def check_journal(self):
        run(VESTIGE, "journal", "check", "--directory", os.path.join(self.state, "journal"))
