"""`deploy/quickstart` from a clean clone: builds, records, says how to ask; and again with the same
data, without building anything.

VESTIGE_QUICKSTART names a directory that TestBuild fills and TestQuickstart goes on with, so that the
build can be beside other tests that record."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from vestige_test import assert_audit_state, audit_state, main, run, wait_for

REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD_SECONDS = 900  # a minute, where nobody else works


class Quickstart(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = os.environ.get("VESTIGE_QUICKSTART") or tempfile.mkdtemp(prefix="vestige-test-")
        cls.clone = os.path.join(cls.directory, "clone")
        os.environ["VESTIGE_QUICKSTART"] = cls.directory


class TestBuild(Quickstart):
    def test_build(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        trust = os.path.join(self.directory, "gitconfig")
        with open(trust, "w") as stream:
            stream.write("[safe]\n\tdirectory = *\n")  # it may belong to who made it, not to root
        run("git", "clone", "--quiet", REPOSITORY, self.clone,
            env={**os.environ, "GIT_CONFIG_GLOBAL": trust})
        done = run(os.path.join(self.clone, "deploy", "quickstart"), "--help", timeout=BUILD_SECONDS, cwd="/")
        self.assertRegex(done.stdout + done.stderr,
                         rf"quickstart: builds into {self.clone}/build/release [^\n]+\n")
        self.assertIn("vestige standalone", done.stdout)


class TestQuickstart(Quickstart):
    def setUp(self):
        self.addCleanup(assert_audit_state, audit_state())
        self.addCleanup(shutil.rmtree, self.directory)
        place = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, place)
        self.state = os.path.join(place, "state")

    def output(self):
        with open(self.log) as log:
            return log.read()

    def start(self):
        self.log = os.path.join(self.directory, "log")
        with open(self.log, "w") as log:
            process = subprocess.Popen(
                [os.path.join(self.clone, "deploy", "quickstart"), "--for", "600", "--state",
                 self.state], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.addCleanup(self.end, process)

        def asks():
            self.assertIsNone(process.poll(), self.output())
            return "ask with:" in self.output()
        wait_for(asks, 200, "quickstart records")
        return process

    def end(self, process):
        process.terminate()
        process.wait(120)

    def ask(self, condition):
        """How many rows, by the command that was printed."""
        command = re.search(r"^ask with:  (.*)$", self.output(), re.M).group(1).split()
        self.assertEqual(["mariadb", f"--defaults-file={self.state}/client.cnf", "vestige"], command)
        return int(run(*command, "-N", "-e",
                       f"SELECT COUNT(*) FROM process WHERE {condition}").stdout)

    def records(self, tag):
        run("/bin/true", tag)
        wait_for(lambda: self.ask(f"arguments = '{tag}' AND end_cause = 'exit'") == 1, 60,
                 f"the row of {tag}", 0.2)
        wait_for(lambda: "\nrecording  " in self.output(), 60, "its line of what it records")

    def assert_ended(self, process, said):
        """In order, with nothing but this: errors and warnings would be more."""
        process.send_signal(signal.SIGINT)
        self.assertEqual(0, process.wait(120), self.output())
        self.assertRegex(self.output(), said)

    def test_twice(self):
        programs = f"{self.clone}/build/release/bin"
        records = (r"vestiged: agent: recording this host \(host_id 1\), state in [^\n]+\n"
                   rf"recording this host into {self.state}\n"
                   rf"ask with:  mariadb --defaults-file={self.state}/client.cnf vestige\n"
                   rf"      or:  vestige query --state {self.state} 'SELECT ...'\n"
                   r"ends after 600 s, or with Ctrl-C\n"
                   r"(recording  [0-9,]+ process(es)?  [0-9,]+ endpoints?  [0-9]+ gaps?  lag [0-9.]+ s\n)+"
                   r"ending: the agent ships what is left ...\n"
                   r"vestiged: agent: ending on signal 15 [^\n]+\n"
                   r"ended: [0-9,]+ process(es)?  [0-9,]+ endpoints?  [0-9]+ gaps?  lag [0-9.]+ s\n"
                   rf"the data stay in {self.state}: [^\n]+\n\Z")
        first = self.start()
        self.records("quickstart-first")
        self.assert_ended(first, r"\Amaking the database \(once\) ...\n" + records)
        built = {name: os.stat(os.path.join(programs, name)).st_mtime_ns
                 for name in ("vestige", "vestiged")}
        second = self.start()
        self.assertEqual(1, self.ask("arguments = 'quickstart-first'"))
        self.records("quickstart-second")
        self.assert_ended(second, r"\A" + records)
        self.assertEqual(built, {name: os.stat(os.path.join(programs, name)).st_mtime_ns
                                 for name in built})
        self.assertEqual("", run("git", "-C", self.clone, "status", "--porcelain", env={
            **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}).stdout)


if __name__ == "__main__":
    main()
