"""A good guest: somebody else owns audit, with rules and a log of their own."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from audit_daemon import EXEC_RULE, AuditDaemon
from vestige_test import (ACTOR, Standalone, Timeout, VestigeTest, act, actor_command,
                          assert_audit_state, audit_rules, audit_state, audit_status, brief, main,
                          now_us, put_away_leftovers, run, wait_for)

N, STOPPED_N = 997, 3000
PAIRED_N, PAIRS, PAIRS_MOST = 1000, 3, 12
OWNER_RULES = (EXEC_RULE + ("-F", "key=owner-exec"),
               ("-w", "/etc/hostname", "-p", "wa", "-k", "owner-watch"))
STORM_COLUMNS = ("arguments IS NOT NULL AND exe IS NOT NULL AND cwd IS NOT NULL AND uid = 0 "
                 "AND end_cause = 'exit' AND exit_code = 0 AND FIND_IN_SET('audit', seen_by)")


class TestGuest(VestigeTest):
    """Here each test has an instance of its own, as its start and end are what is looked at."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid():
            raise AssertionError("integration tests need root")
        put_away_leftovers()
        cls.machine = audit_state()
        cls.vestige = Standalone()
        cls.addClassCleanup(cls.vestige.remove)

    def setUp(self):
        super().setUp()
        self.addCleanup(assert_audit_state, self.machine)
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.owner = AuditDaemon(self.directory, rules=OWNER_RULES)
        self.addCleanup(self.owner.stop)
        self.addCleanup(self.vestige.kill_all)

    def storm(self, tag):
        """A storm of which we have each row, complete."""
        pid, _ = act("storm", N, tag)
        self.vestige.sync()
        self.assertEqual(N, self.vestige.value(
            f"SELECT COUNT(DISTINCT arguments) FROM process WHERE id >= {self.since} "
            f"AND arguments LIKE %s AND {STORM_COLUMNS}", f"{tag}-%"), brief(self.gaps()))
        return pid

    def owner_records(self, parent):
        """How many events of this parent, with its key, the owner's log has."""
        return sum(f" ppid={parent} " in line and 'key="owner-exec"' in line
                   for line in self.owner.log_text().splitlines()
                   if line.startswith("type=SYSCALL"))

    def coverage(self):
        return self.vestige.query(
            "SELECT mode FROM coverage WHERE source = 'audit' AND destroyed_at IS NULL")

    def assert_mode(self, mode):
        def is_mode():
            self.vestige.sync()
            return [row["mode"] for row in self.coverage()] == [mode]
        wait_for(is_mode, 60, f"audit coverage is {mode}", 0.2)

    def test_beside_an_owner(self):
        self.owner.start()
        owned = audit_state()
        self.vestige.start()
        self.assert_mode("guest")
        self.assertEqual(self.owner.process.pid, audit_status()["pid"])
        pid = self.storm(self.tag)
        self.owner.settled()
        self.assertEqual(N, self.owner_records(pid))
        for rule in owned[1].splitlines():
            self.assertIn(rule, audit_rules().splitlines())
        self.vestige.stop()
        self.assertEqual(owned, audit_state())

    def test_killed_beside_an_owner(self):
        self.owner.start()
        owned = audit_state()
        self.vestige.start()
        self.storm("before-" + self.tag)
        self.vestige.kill_all()
        self.vestige.start()
        self.storm("after-" + self.tag)
        self.vestige.stop()
        self.assertEqual(owned, audit_state())

    def test_killed_as_owner(self):
        """Without another owner: the state of before the first start comes back."""
        self.vestige.start()
        self.assert_mode("owner")
        self.assertNotEqual(self.machine, audit_state())
        self.vestige.kill_all()
        self.vestige.start()
        self.storm(self.tag)
        self.vestige.stop()
        assert_audit_state(self.machine)

    def test_owner_comes_later(self):
        """auditd started while we own audit takes over, and we become its guest."""
        self.vestige.start()
        self.assert_mode("owner")
        self.owner.start(attempts=20, taking_over=True)
        self.assert_mode("guest")
        self.assertEqual(self.owner.process.pid, audit_status()["pid"])
        self.wait_until_ours_are_last()
        pid = self.storm(self.tag)
        self.owner.settled()
        self.assertEqual(N, self.owner_records(pid))
        self.vestige.stop()
        self.assertEqual(sorted(self.owner_rules()), sorted(audit_rules().splitlines()))
        self.owner.stop()

    def wait_until_ours_are_last(self):
        """The kernel gives an event the key of the first rule that matches."""
        def last():
            rules = audit_rules().splitlines()
            ours = [rule for rule in rules if "key=vestige" in rule]
            return len(ours) == 12 and rules[-len(ours):] == ours
        wait_for(last, 60, "our rules stand behind the owner's", 0.1)

    def test_owner_loads_its_rules_later(self):
        """What matches rules of both keeps the owner's key, and nothing is missed meanwhile."""
        self.owner.rules = OWNER_RULES[1:]
        self.owner.start()
        owned = audit_state()
        self.vestige.start()
        self.assert_mode("guest")
        run("auditctl", *OWNER_RULES[0])
        self.storm("while-" + self.tag)
        self.wait_until_ours_are_last()
        pid = self.storm(self.tag)
        self.owner.settled()
        self.assertEqual(N, self.owner_records(pid))
        self.vestige.kill_all()
        self.vestige.start()
        self.assert_mode("guest")
        self.vestige.stop()
        run("auditctl", "-d", *OWNER_RULES[0][1:])
        self.assertEqual(owned, audit_state())

    def owner_rules(self):
        """The owner's rules as auditctl lists them."""
        return ["-a always,exit -F arch=b64 -S execve,execveat -F success=1 -F key=owner-exec",
                "-w /etc/hostname -p wa -k owner-watch"]

    # Quietness

    def mark_kernel_log(self):
        self.mark = f"vestige-test {now_us()}"
        with open("/dev/kmsg", "w") as log:
            log.write(self.mark + "\n")

    def printed(self):
        """What audit wrote into the kernel log since the mark."""
        lines = run("dmesg").stdout.splitlines()
        begin = next(i for i, line in enumerate(lines) if self.mark in line)
        return [line for line in lines[begin + 1:] if "audit" in line]

    def stopped(self):
        """The agent as a whole does not run; a block."""
        @contextlib.contextmanager
        def block():
            os.kill(self.vestige.agent_pid, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(self.vestige.agent_pid, signal.SIGCONT)
        return block()

    def a_quiet_life(self):
        """From the start to after the end, with the buffers that it has by default."""
        self.mark_kernel_log()
        self.vestige.start()
        self.storm("before-" + self.tag)
        with self.stopped():
            act("storm", STOPPED_N, "stopped-" + self.tag)
        self.vestige.sync()
        self.assertEqual(STOPPED_N, self.vestige.value(
            f"SELECT COUNT(*) FROM process WHERE id >= {self.since} AND arguments LIKE %s "
            f"AND {STORM_COLUMNS}", f"stopped-{self.tag}-%"), brief(self.gaps()))
        self.vestige.stop()
        self.assertEqual([], self.printed())

    def test_nothing_is_printed_as_owner(self):
        self.a_quiet_life()

    def test_nothing_is_printed_as_guest(self):
        self.owner.start()
        self.a_quiet_life()

    def joined(self):
        """How many audit records the agent that runs now has used."""
        return int(self.vestige.status()["audit_joined"])

    def test_killed_in_a_storm(self):
        """The guard holds what the agent cannot read any more, and puts audit back; the agent that is
        started again goes on. Nothing is printed."""
        self.mark_kernel_log()
        self.vestige.start()
        storm = subprocess.Popen(actor_command("storm", 1000000, self.tag), stdout=subprocess.DEVNULL)
        self.addCleanup(storm.wait)
        self.addCleanup(storm.kill)
        for _ in range(3):
            wait_for(lambda: self.joined() > 200, 60, "the storm is recorded")
            self.vestige.kill_agent()
            self.assert_mode("owner")
        self.assertIsNone(storm.poll())
        self.vestige.stop()
        self.assertEqual([], self.printed())

    def test_killed_for_good(self):
        """Nobody starts it again: audit is put back all the same."""
        for start in (lambda: None, self.owner.start):
            start()
            before = audit_state()
            self.mark_kernel_log()
            self.vestige.start()
            self.assertNotEqual(before, audit_state())
            self.vestige.kill_all()
            wait_for(lambda: audit_state() == before, 60, "audit is as it was before")
            act("storm", 100, self.tag)
            self.assertEqual([], self.printed())

    # A stopped agent

    def cost(self):
        """Of a storm: its time and its CPU, both in seconds."""
        begin = time.monotonic()
        pid = os.posix_spawn(ACTOR, actor_command("storm", PAIRED_N, self.tag), os.environ,
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        self.assertEqual(0, status)
        return time.monotonic() - begin, usage.ru_utime + usage.ru_stime

    def wait_caught_up(self):
        """Until a new process has a row. A sync would wait for the account of what was lost, too."""
        def seen():
            pid, _ = act("show", self.tag)
            with contextlib.suppress(Timeout):
                return wait_for(lambda: self.rows_of(pid), 2, "a row", 0.1)
        wait_for(seen, 60, "the agent caught up")

    def assert_stopped_costs_nothing(self):
        """Paired storms while the agent runs and while it does not, with so little room that
        everything is full soon. The least of each counts: what others do here only adds, and on a busy machine
        more pairs are needed."""
        running, stopped = [], []
        while len(running) < PAIRS or (len(running) < PAIRS_MOST and any(
                min(those) >= 1.5 * min(these) for these, those in zip(zip(*running), zip(*stopped)))):
            running.append(self.cost())
            with self.stopped():
                stopped.append(self.cost())
            self.wait_caught_up()
        for name, of_running, of_stopped in zip(("time", "CPU"), zip(*running), zip(*stopped)):
            ratio = min(of_stopped) / min(of_running)
            print(f"storm of {PAIRED_N}, {name}: {min(of_stopped):.3f} s stopped, "
                  f"{min(of_running):.3f} s running: {ratio:.2f}", flush=True)
            self.assertLess(ratio, 1.5, name)

    def start_small(self):
        self.vestige.start()
        self.vestige.stop()
        self.vestige.configure(reader={"receive_buffer_kib": 256}, audit={"backlog_limit": 64})
        self.addCleanup(self.vestige.configure)
        self.vestige.start()

    def test_stopped_owner(self):
        self.start_small()
        self.assert_mode("owner")
        lost = audit_status()["lost"]
        self.assert_stopped_costs_nothing()
        self.assertGreater(audit_status()["lost"], lost, "nothing was full")
        self.vestige.stop()

    def test_stopped_guest(self):
        self.owner.start()
        self.start_small()
        self.assert_mode("guest")
        self.assert_stopped_costs_nothing()
        self.vestige.stop()


if __name__ == "__main__":
    main()
