"""What a running agent may do: its user, each thread's capabilities as the table of the code has them,
no new privileges, a filter of system calls; whose its files are; and what `vestige doctor` says of it."""

import contextlib
import json
import os
import pwd
import re
import shutil
import stat
import struct
import subprocess
import unittest

from agent_alone import Agent
from vestige_test import (AGENT_USER, VESTIGE, Timeout, assert_audit_state, audit_state, main,
                          processes_named, run, wait_for)

AUDIT_SYSCALL, AUDIT_SECCOMP = 1300, 1326
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BITS = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21,
        "CAP_AUDIT_CONTROL": 30, "CAP_AUDIT_READ": 37, "CAP_PERFMON": 38, "CAP_BPF": 39}


def source(name):
    with open(os.path.join(ROOT, name)) as stream:
        return stream.read()


def mask(names):
    return sum(1 << BITS[name] for name in names)


def table_of_code():
    """thread -> capabilities, by core/thread_rights.c."""
    text = source("core/thread_rights.c")
    of_right = {}
    for right, capability in re.findall(r"\{(THREAD_\w+),\s+(CAP_\w+)\s*\}", text):
        of_right.setdefault(right, set()).add(capability)
    threads = text[text.index("threads[] = {"):]
    threads = threads[:threads.index("\n};")]
    return {name: set().union(*(of_right[right] for right in re.findall(r"THREAD_\w+", rights)))
            for name, rights in re.findall(r'\{"([\w-]+)",\s+([^"]*?),\s*"', threads)}


def table_of_readme():
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]*) \| [^|]+ \|$", source("recorder/README.md"), re.M)
    return {name: {"CAP_" + word for word in re.findall(r"[A-Z_]{3,}", words)}
            for name, words in rows}


def task_states(pid):
    """The fields of /proc/PID/task/*/status, of all threads."""
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        # One that has ended meanwhile is none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open(f"/proc/{pid}/task/{task}/status") as stream:
            states.append(dict(re.findall(r"^(\w+):[ \t]*(.*)$", stream.read(), re.M)))
    return states


def has_capabilities(state, table):
    return int(state["CapPrm"], 16) == mask(table[state["Name"]])


def has_begun(state, table):
    """A thread has its name first, then gives up what the table does not have."""
    return has_capabilities(state, table) and state["Seccomp"] == "2"


class Fixture(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        before = audit_state()
        self.addCleanup(assert_audit_state, before)
        self.agent = Agent()
        self.addCleanup(self.agent.remove)

    def guard_pid(self):
        guard, = wait_for(lambda: processes_named("vestige-guard", self.agent.inner_pid()), 60, "the guard")
        return guard

    def states(self):
        return task_states(self.agent.inner_pid()) + task_states(self.guard_pid())

    def doctor(self):
        done = run(VESTIGE, "doctor", "--format", "json", "--config",
                   self.agent.path("vestiged.conf"), check=False)
        return {row["what"]: row for row in json.loads(done.stdout)["rows"]}


class TestRunning(Fixture):
    def test_as_in_the_table(self):
        """Every thread has what the table says and no more, and each row of it is a thread."""
        table = table_of_code()
        self.assertEqual(table, table_of_readme())
        self.assertEqual(18, len(table))
        self.agent.start(seconds=60)
        sync = subprocess.Popen([VESTIGE, "sync", "--timeout", "600", "--config", self.agent.path("vestiged.conf")],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: {state["Name"] for state in self.states()} == set(table), 60,
                     "a thread for each row")
            with contextlib.suppress(Timeout):
                wait_for(lambda: all(has_begun(state, table) for state in self.states()), 60,
                         "what has a name has given up what it has to")
            states = self.states()
        finally:
            sync.kill()
            sync.wait()
        uid = str(pwd.getpwnam(AGENT_USER).pw_uid)
        most = mask(BITS)
        for state in states:
            name = state["Name"]
            with self.subTest(name):
                self.assertEqual(mask(table[name]), int(state["CapPrm"], 16), "permitted")
                self.assertEqual(mask(table[name]), int(state["CapEff"], 16), "effective")
                self.assertEqual((0, 0), (int(state["CapInh"], 16), int(state["CapAmb"], 16)))
                self.assertEqual(0, int(state["CapBnd"], 16) & ~most)
                self.assertEqual([uid] * 4, state["Uid"].split())
                self.assertEqual("", state["Groups"])
                self.assertEqual(("1", "2"), (state["NoNewPrivs"], state["Seccomp"]))
        self.assert_doctor(table)
        self.assert_files(int(uid))

    def assert_doctor(self, table):
        said = self.doctor()
        threads = {what.split()[1]: row for what, row in said.items() if what.startswith("thread ")}
        self.assertEqual(set(table) - {"sync"}, set(threads) - {"sync"})
        for name, row in threads.items():
            names = set() if row["found"] == "no capability" else set(row["found"].upper().split())
            self.assertEqual(("ok", table[name]), (row["level"], names), row)
        self.assertEqual(("ok", True), (said["agent's user"]["level"],
                                        AGENT_USER in said["agent's user"]["found"]))
        self.assertEqual("ok", said["agent's system calls"]["level"])
        state = said[self.agent.state]
        self.assertEqual(("ok", f"uid {pwd.getpwnam(AGENT_USER).pw_uid}, mode 0700"),
                         (state["level"], state["found"]))

    def assert_files(self, uid):
        looked_at = 0
        for directory, _, names in os.walk(self.agent.state):
            for path in [directory, *(os.path.join(directory, name) for name in names)]:
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue  # a batch was given another name
                looked_at += 1
                self.assertEqual(uid, status.st_uid, path)
                if not stat.S_ISLNK(status.st_mode):
                    self.assertFalse(status.st_mode & 0o022, path)
        self.assertGreater(looked_at, 3)

    def test_memory_is_closed(self):
        """Not even the same user looks into it."""
        self.agent.start(seconds=60)
        done = run("setpriv", "--reuid", AGENT_USER, "--clear-groups", "cat",
                   f"/proc/{self.agent.process.pid}/environ", check=False)
        self.assertNotEqual(0, done.returncode)

    def test_no_record_of_a_refusal(self):
        """In a run with all sources, until its end, nothing is refused: seccomp would write a record,
        which the filter of nobody leaves out."""
        with open("/proc/sys/kernel/seccomp/actions_logged") as stream:
            self.assertIn("errno", stream.read())
        self.agent.start("--record", self.agent.path("recording"), seconds=60)
        run("unshare", "--net", "/bin/true")
        run("getent", "passwd", "no-such-user", check=False)
        run(VESTIGE, "sync", "--timeout", "1", "--config", self.agent.path("vestiged.conf"),
            check=False)
        self.agent.stop()
        self.assertNotEqual([], self.records(AUDIT_SYSCALL))
        self.assertEqual([], [record for record in self.records(AUDIT_SECCOMP) if b"vestige" in record])

    def records(self, kind):
        """The texts of audit's records of this type, as they came by netlink."""
        with open(self.agent.path("recording", "recording.vst"), "rb") as stream:
            return re.findall(re.escape(struct.pack("<H", kind)) + rb".{10}(audit\([^\0\n]*)", stream.read(), re.DOTALL)

    def test_doctor_names_what_is_more(self):
        """Root, and without a filter: each is told, and is no loss of evidence."""
        self.agent.sections["agent"].update(user="", seccomp="off")
        self.agent.set_owner("root")
        self.agent.start(seconds=60)
        self.assertIn("it stays root", self.agent.log())
        table = table_of_code()
        with contextlib.suppress(Timeout):
            wait_for(lambda: all(has_capabilities(state, table) for state in self.states()), 60,
                     "each thread has given up what it has to")
        said = self.doctor()
        self.assertEqual("note", said["agent's user"]["level"])
        self.assertEqual("note", said["agent's system calls"]["level"])
        self.assertEqual(("note", "its system calls are not filtered"),
                         (said["thread tracker"]["level"], said["thread tracker"]["found"]))
        for state in self.states():
            self.assertEqual(mask(table[state["Name"]]), int(state["CapPrm"], 16))

    def test_doctor_names_open_files(self):
        self.agent.start(seconds=60)
        os.chmod(os.path.join(self.agent.state, "journal"), 0o755)
        row = self.doctor()[os.path.join(self.agent.state, "journal")]
        self.assertEqual("wrong", row["level"])


class TestStart(Fixture):
    def assert_refused(self, pattern):
        self.agent.write_configuration()
        done = self.agent.run()
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, rf"\A(?:[^\n]* there is no signing key [^\n]*\n)?vestiged: agent: error: [^\n]*{pattern}[^\n]*\n\Z")

    def test_no_such_user(self):
        self.agent.sections["agent"]["user"] = "vst-nobody"
        self.assert_refused("there is no user vst-nobody: make it .*or name another with user in")

    def test_option_file_of_another(self):
        os.chown(self.agent.path("agent.cnf"), 0, 0)
        self.assert_refused("agent.cnf: Permission denied; give it to that user")

    def test_directory_that_cannot_be_passed(self):
        os.chmod(self.agent.directory, 0o700)
        self.assert_refused("cannot write in .*state: Permission denied; let it pass through")

    def test_something_elses_directory(self):
        os.mkdir(self.agent.state, 0o700)
        open(os.path.join(self.agent.state, "precious"), "w").close()
        self.assert_refused("cannot be given to the agent's user: it holds something else")
        self.assertEqual(0, os.stat(self.agent.state).st_uid)

    def test_state_of_root_before(self):
        """An agent that ran as root before: its journal is given to the user, and goes on."""
        self.agent.sections["agent"]["user"] = ""
        self.agent.set_owner("root")
        self.agent.start(seconds=60)
        self.agent.stop()
        before = self.agent.batches()
        self.agent.sections["agent"]["user"] = AGENT_USER
        self.agent.set_owner(AGENT_USER)
        self.agent.start(seconds=60)
        self.agent.stop()
        self.assertGreater(len(self.agent.batches()), len(before))
        self.agent.check_journal()
        self.assertEqual({pwd.getpwnam(AGENT_USER).pw_uid},
                         {os.stat(path).st_uid for path in self.agent.batches()})


class TestUnit(unittest.TestCase):
    """deploy/systemd: what systemd itself finds in the unit, and that it fits the code."""

    def test_unit(self):
        text = source("deploy/systemd/vestiged.service")
        directory = os.path.join("/tmp", f"vestige-test-unit-{os.getpid()}")
        os.mkdir(directory)
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "vestiged.service")
        with open(path, "w") as stream:
            stream.write(text.replace("/usr/sbin/vestiged", "/bin/true"))
        done = run("systemd-analyze", "verify", "--man=no", path)
        self.assertEqual("", done.stdout + done.stderr)
        run("systemd-analyze", "security", "--offline=yes", "--threshold=60", path)
        bounding = set(re.findall(r"CAP_\w+", " ".join(
            re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.M))))
        self.assertEqual(set(BITS) | {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"},
                         bounding)
        for name in ("vestige", "vestige-notify", "vestige-verify"):
            run("systemd-sysusers", "--dry-run", os.path.join(ROOT, f"deploy/systemd/{name}.sysusers"))


if __name__ == "__main__":
    main()
