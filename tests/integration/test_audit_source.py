"""The audit source on the real kernel: as owner, as guest of a real auditd, when ownership changes
hands, and after kill -9. Every exec is counted exactly, and audit is as it was before."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from audit_daemon import EXEC_RULE, AuditDaemon
from vestige_test import (ACTOR, assert_audit_state, audit_rules, audit_state, audit_status,
                          put_away_leftovers, run, wait_for)

TOOL = os.path.join(os.path.dirname(ACTOR), "audit_tool")
EXECS = 997
ODD_ARGUMENTS = [b"", b"two words", b"tab\tnewline\n", b"quote\"'\\", b"###", b"\xff\xfe\xc3\x28",
                 "grüße".encode(), b"a0=\"x\" key=vestige", b""]


def kernel_log_lines():
    """Audit records that went to the kernel log, with their times; the oldest lines go."""
    return {line for line in run("dmesg").stdout.splitlines() if "audit: type=" in line}


STORM = """
import os, sys
for i in range(int(sys.argv[2])):
    os.waitpid(os.posix_spawn("/bin/true", ["/bin/true", f"{sys.argv[1]}-{i}"], os.environ), 0)
"""


def storm(tag, count=EXECS):
    """Spawn /bin/true as fast as one process can; its only child at a time."""
    run("/usr/bin/python3", "-c", STORM, tag, str(count))


class Tool:
    """audit_tool and what it wrote."""

    def __init__(self, directory, *options):
        self.path = os.path.join(directory, "facts")
        self.output = open(self.path, "wb")
        self.process = subprocess.Popen([TOOL, "--state", directory, *options],
                                        stdin=subprocess.DEVNULL, stdout=self.output)
        self.wait_line("READY")

    def lines(self, kind=""):
        """Whole lines: the tool may be writing one."""
        with open(self.path) as stream:
            return [line.rstrip("\n") for line in stream
                    if line.startswith(kind) and line.endswith("\n")]

    def wait_line(self, start, count=1, seconds=60):
        def came():
            if self.process.poll() is not None:
                raise AssertionError(f"audit_tool ended with {self.process.returncode}")
            return len(self.lines(start)) >= count
        wait_for(came, seconds, f"line {start}")

    def wait_exec(self, argument):
        wait_for(lambda: any(argument in fact["argv"] for fact in self.execs()), 60,
                 f"exec with {argument}")

    def execs(self):
        """Facts with numbers as they are and texts as bytes."""
        facts = []
        for line in self.lines("EXEC "):
            fact = dict(word.split("=", 1) for word in line.split(" ")[1:])
            for name in ("comm", "exe", "tty", "cwd", "key"):
                fact[name] = None if fact[name] == "-" else bytes.fromhex(fact[name])
            fact["argv"] = ([bytes.fromhex(word) for word in fact["argv"].split(",")]
                            if fact["n_argv"] != "0" else [])
            facts.append(fact)
        return facts

    def tagged(self, tag):
        """Numbers of the tags of a storm, in order of arrival."""
        prefix = f"{tag}-".encode()
        return [int(fact["argv"][1][len(prefix):]) for fact in self.execs()
                if len(fact["argv"]) == 2 and fact["argv"][1].startswith(prefix)]

    def counters(self):
        return dict(word.split("=") for word in self.lines("END ")[0].split(" ")[1:])

    def kill(self, number):
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            self.output.close()

    def end(self):
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
            if self.process.returncode:
                raise AssertionError(f"audit_tool ended with {self.process.returncode}")


class AuditSource(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        put_away_leftovers()

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        before = audit_state()
        self.addCleanup(assert_audit_state, before)
        self.printed = kernel_log_lines()

    def start(self, *options):
        tool = Tool(self.directory, *options)
        self.addCleanup(tool.end)
        return tool

    def auditd(self):
        """Not started. It is made before anything changes, as its end puts back what is now."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        daemon = AuditDaemon(directory.name, rules=[[*EXEC_RULE, "-k", "theirs"]])
        self.addCleanup(daemon.stop)
        return daemon

    def start_auditd(self):
        daemon = self.auditd()
        daemon.start()
        return daemon

    def assert_complete(self, tool, tag):
        self.assertEqual(list(range(EXECS)), tool.tagged(tag))

    def assert_in_log(self, daemon, tag):
        """auditd has every exec of the storm, once."""
        daemon.settled()
        found = re.findall(rf'a1="{tag}-(\d+)"', daemon.log_text())
        self.assertEqual(list(range(EXECS)), sorted(map(int, found)))

    def assert_not_printed(self):
        self.assertEqual(set(), kernel_log_lines() - self.printed, "audit records in the kernel log")

    def assert_no_state_file(self):
        self.assertEqual(["facts"], os.listdir(self.directory))

    def test_owner(self):
        before = audit_state()
        tool = self.start()
        self.assertEqual(1, len(tool.lines("NOTE owner:")))
        self.assertEqual(tool.process.pid, audit_status()["pid"])
        self.assertEqual(0, audit_status()["backlog_wait_time"])
        storm("owner")
        tool.end()
        self.assertEqual(before, audit_state())
        self.assert_no_state_file()
        self.assert_complete(tool, "owner")
        self.assertEqual([], tool.lines("HOLE") + tool.lines("LOST") + tool.lines("OTHER"))
        self.assertEqual("0", tool.counters()["malformed"])
        # SYSCALL, EXECVE and CWD of each exec, and a few records of changes.
        execs = int(tool.counters()["execs"])
        self.assertLess(int(tool.counters()["messages"]), 3 * execs + 60)
        self.assert_not_printed()

    def test_end_in_a_storm(self):
        """Nothing goes to the kernel log, nothing is lost before the end."""
        before = audit_state()
        for attempt in range(5):
            tool = self.start()
            # Of the one before a last child may be still on its way to its exec.
            tag = f"ending{attempt}"
            process = subprocess.Popen(["/usr/bin/python3", "-c", STORM, tag, "100000"])
            self.addCleanup(process.wait, 60)
            self.addCleanup(process.kill)
            tool.wait_exec(f"{tag}-200".encode())
            tool.end()
            self.assertIsNone(process.poll())
            process.kill()
            process.wait(60)
            self.assertEqual(before, audit_state())
            seen = tool.tagged(tag)
            self.assertEqual(list(range(len(seen))), seen)
            self.assertEqual([], tool.lines("HOLE") + tool.lines("LOST"), f"attempt {attempt}")
        self.assert_not_printed()

    def test_arguments(self):
        many = [b"/bin/true", *(b"argument-%d" % i for i in range(5003))]
        long = b"".join(b"%07d " % i for i in range(12800))
        odd = [b"/bin/true", *ODD_ARGUMENTS]
        actors = [(many, None), ([b"/bin/true", long, b"end"], None), (odd, None),
                  ([b"/bin/true", long.replace(b" ", b"_"), b"end"], None)]
        tool = self.start()
        pids = []
        for argv, _ in actors:
            pids.append(os.posix_spawn("/bin/true", argv, {}))
            os.waitpid(pids[-1], 0)
        tool.end()
        found = {int(fact["pid"]): fact for fact in tool.execs()}
        for pid, (argv, _) in zip(pids, actors):
            self.assertEqual(len(argv), int(found[pid]["argc"]))
            self.assertTrue(argv == found[pid]["argv"], f"arguments of {argv[1][:40]}")
            self.assertEqual(os.getpid(), int(found[pid]["ppid"]))
            self.assertEqual(os.path.realpath("/bin/true"), found[pid]["exe"].decode())
            self.assertEqual(os.getcwd(), found[pid]["cwd"].decode())
        self.assertEqual("0", tool.counters()["malformed"])

    def test_login(self):
        tool = self.start()
        child = os.fork()
        if child == 0:
            with open("/proc/self/loginuid", "w") as stream:
                stream.write("1000")
            os.execv("/bin/true", ["/bin/true", "logged-in"])
        os.waitpid(child, 0)
        tool.end()
        self.assertEqual([f"LOGIN pid={child} old_login_uid=4294967295 login_uid=1000"],
                         [line[:line.index(" old_session")] for line in tool.lines(f"LOGIN pid={child} ")])
        fact = next(fact for fact in tool.execs() if b"logged-in" in fact["argv"])
        self.assertEqual(("1000", str(child)), (fact["login_uid"], fact["pid"]))
        self.assertNotEqual("4294967295", fact["session"])

    def test_guest(self):
        daemon = self.start_auditd()
        before = audit_state()
        tool = self.start()
        self.assertEqual(1, len(tool.lines("NOTE guest:")))
        self.assertEqual(before[0], audit_state()[0])
        self.assertIn(before[1], audit_state()[1])
        storm("guest")
        tool.end()
        self.assertEqual(before, audit_state())
        self.assert_no_state_file()
        self.assert_complete(tool, "guest")
        self.assertEqual([], tool.lines("HOLE") + tool.lines("LOST") + tool.lines("OTHER"))
        self.assertEqual("0", tool.counters()["malformed"])
        execs = int(tool.counters()["execs"])
        self.assertLess(int(tool.counters()["messages"]), 3 * execs + 60)
        self.assert_in_log(daemon, "guest")
        # Of the last event these come last.
        wait_for(lambda: daemon.records().get("PATH", 0) >= 2 * EXECS, 60, "PATH records are in the log", 0.5)
        wait_for(lambda: daemon.records().get("PROCTITLE", 0) >= EXECS, 60, "PROCTITLE records are in the log", 0.5)
        self.assert_not_printed()

    def test_guest_without_rules(self):
        daemon = self.start_auditd()
        before = audit_state()
        tool = self.start("--rules", "none")
        self.assertEqual(before, audit_state())
        storm("none")
        tool.end()
        self.assertEqual(before, audit_state())
        self.assert_complete(tool, "none")
        self.assert_in_log(daemon, "none")

    def test_rules_deleted_by_others_come_back(self):
        self.start_auditd()
        tool = self.start()
        run("auditctl", "-D")
        wait_for(lambda: audit_rules().count("key=vestige") == 2, 60, "our rules are back")
        storm("back")
        tool.end()
        self.assert_complete(tool, "back")
        self.assertEqual("No rules\n", audit_rules())

    def test_killed_and_started_again(self):
        before = audit_state()
        first = self.start()
        storm("first")
        first.wait_exec(b"first-%d" % (EXECS - 1))
        first.kill(signal.SIGKILL)
        self.assert_complete(first, "first")
        self.assertNotEqual(before, audit_state())
        second = self.start()
        self.assertEqual(1, len(second.lines("NOTE owner:")))
        storm("second")
        second.end()
        self.assert_complete(second, "second")
        self.assertEqual(before, audit_state())
        self.assert_no_state_file()

    def test_killed_and_auditd_came(self):
        daemon = self.auditd()
        first = self.start()
        first.kill(signal.SIGKILL)
        daemon.start(taking_over=True)
        second = self.start()
        self.assertEqual(1, len(second.lines("NOTE guest:")))
        self.assertNotIn("exclude", audit_rules())
        storm("after")
        second.end()
        self.assert_complete(second, "after")
        self.assert_in_log(daemon, "after")
        self.assertEqual(1, audit_rules().count("\n"))

    def test_auditd_takes_over_and_leaves(self):
        daemon = self.auditd()
        tool = self.start()
        storm("ours")
        daemon.start(attempts=20, taking_over=True)
        tool.wait_line("NOTE guest:")
        self.assertEqual(1, len(tool.lines("NOTE off:")))
        self.assertNotIn("exclude", audit_rules())
        wait_for(lambda: audit_rules().count("key=vestige") == 2, 60, "our rules are there")
        storm("theirs")
        tool.wait_exec(b"theirs-%d" % (EXECS - 1))
        self.assert_in_log(daemon, "theirs")
        self.assert_not_printed()
        daemon.stop()
        tool.wait_line("NOTE owner:", 2)
        storm("again")
        tool.end()
        for tag in ("ours", "theirs", "again"):
            self.assert_complete(tool, tag)

    def test_stopped_reader_never_stalls_the_host(self):
        """With small buffers and nobody reading, records are lost, counted, and nothing waits."""
        before = audit_status()
        tool = self.start("--backlog", "64", "--buffer", "1048576")
        storm("before", 50)
        tool.wait_exec(b"before-49")
        tool.process.send_signal(signal.SIGSTOP)
        storm("during", 3000)
        during = audit_status()
        self.assertEqual(before["backlog_wait_time_actual"], during["backlog_wait_time_actual"])
        lost = during["lost"] - before["lost"]
        tool.process.send_signal(signal.SIGCONT)
        tool.wait_line("LOST ")

        def is_heard():
            storm("after", 1)
            return tool.tagged("after")
        wait_for(is_heard, 60, "an exec is heard again", 0.2)
        tool.end()
        counted = sum(int(line.split("=")[1]) for line in tool.lines("LOST "))
        self.assertGreaterEqual(counted, lost)
        self.assertGreater(lost, 0)
        seen = tool.tagged("during")
        self.assertLess(len(seen), 3000)
        self.assertEqual(sorted(set(seen)), seen)

    def test_without_privilege(self):
        done = run("setpriv", "--reuid=65534", "--clear-groups", TOOL, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("give it CAP_AUDIT_CONTROL", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
