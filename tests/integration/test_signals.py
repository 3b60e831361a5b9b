"""Whoever stops, continues or kills the agent is in the record: also the one who killed it at once. So
is who moves it to another control group, and who changes audit."""

import contextlib
import datetime
import os
import re
import signal
import subprocess
import sys
import time

from vestige_test import VestigeTest, audit_rules, main, processes_named, run, wait_for

CGROUPS = "/sys/fs/cgroup/unified"


class TestSignals(VestigeTest):
    def setUp(self):
        if self.vestige.process is None or self.vestige.process.poll() is not None:
            self.vestige.disconnect()  # a test before has failed while nothing ran
            self.vestige.start()
        super().setUp()

    def sender(self, name, number):
        """Send a signal from a process of its own; its pid."""
        process = subprocess.Popen(["/bin/sh", "-c", f"kill -{name} {number}; exec sleep 0"])
        process.wait()
        return process.pid

    def rows(self, word):
        self.vestige.sync()
        return self.vestige.query("SELECT * FROM kernel_event WHERE kind = 'signal' AND target LIKE %s"
                                 " ORDER BY id", word + " to vestiged%")

    def assert_sender(self, row, pid, agent):
        self.assertEqual(pid, row["pid"])
        self.assertEqual(0, row["uid"])
        self.assertEqual("sh", row["application"])
        self.assertEqual("bpf", row["seen_by"])
        self.assertIn(f"pid {agent}", row["target"])
        process = self.vestige.query("SELECT * FROM process WHERE id = %s", row["process_id"])
        self.assertEqual([pid], [one["pid"] for one in process])

    def test_stopped_and_continued(self):
        agent = self.vestige.agent_pid
        self.addCleanup(go_on, agent)
        stopper = self.sender("STOP", agent)
        wait_for(lambda: state_of(agent) == "T", 60, "the agent is stopped")
        stopped = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        time.sleep(2.5)  # what is tested: longer than the limit
        continuer = self.sender("CONT", agent)
        self.assert_sender(self.rows("SIGSTOP")[-1], stopper, agent)
        self.assert_sender(self.rows("SIGCONT")[-1], continuer, agent)
        told = subprocess.run(self.vestige.client("report", "recorder-disturbed", "--format", "csv"),
                              capture_output=True, text=True, check=True).stdout
        for word in (f"SIGSTOP to vestiged, pid {agent}", f"SIGCONT to vestiged, pid {agent}", "not_run"):
            self.assertIn(word, told)
        found = self.vestige.query("SELECT * FROM finding WHERE class = 'agent-did-not-run'")
        times = [(row["created_at"], float(re.match(r"nothing was read for (\d+\.\d{3}) s", row["detail"])[1]))
                 for row in found]
        # It is told when it is over, or a little later; on a busy machine it may have had no processor at other
        # times, too.
        lasted = [seconds for at, seconds in times if 0 < (at - stopped).total_seconds() < seconds + 1]
        self.assertEqual(1, len(lasted), times)
        self.assertGreater(lasted[0], 2)

    def test_killed(self):
        agent = self.vestige.agent_pid
        offset = os.path.getsize(self.vestige.log)
        killer = self.sender("KILL", agent)
        self.vestige.wait_for_line("agent: recording", offset, 60)
        self.vestige.agent_pid = self.vestige.child("vestiged")
        rows = self.rows("SIGKILL")
        self.assertEqual(1, len(rows))
        self.assertEqual((killer, "sh"), (rows[0]["pid"], rows[0]["application"]))
        self.assertIn(f"pid {agent}", rows[0]["target"])
        self.assertEqual("bpf", rows[0]["seen_by"])
        self.assertFalse(os.path.exists(os.path.join(self.vestige.state, "agent", "last_signals")))

    def test_ended_in_order(self):
        """The instance ends with its agent, so the question is asked after the next start."""
        agent = self.vestige.agent_pid
        ender = self.sender("TERM", agent)
        self.vestige.process.wait(90)
        self.vestige.disconnect()
        self.vestige.start()
        self.assert_sender(self.rows("SIGTERM")[-1], ender, agent)

    def test_moved_to_another_control_group(self):
        group = os.path.join(CGROUPS, f"vestige-test-{os.getpid()}")
        if not os.path.exists(os.path.join(CGROUPS, "cgroup.procs")):
            self.skipTest("there is no cgroup2 at " + CGROUPS)
        os.mkdir(group)
        self.addCleanup(os.rmdir, group)
        agent = self.vestige.agent_pid
        move = "open('{}/cgroup.procs', 'w').write('{}')"
        pids = [self.run_python(move.format(place, agent)) for place in (group, CGROUPS)]
        self.vestige.sync()
        rows = self.vestige.query("SELECT * FROM kernel_event WHERE kind = 'tamper' AND target LIKE"
                                  " 'control group %%' ORDER BY id")
        self.assertEqual([(pid, f"control group of vestiged, pid {agent}") for pid in pids],
                         [(row["pid"], row["target"]) for row in rows])

    def test_the_guard_is_sent_signals(self):
        guard = self.guard()
        self.addCleanup(go_on, guard)
        stopper, continuer = self.sender("STOP", guard), self.sender("CONT", guard)
        self.vestige.sync()
        rows = self.vestige.query("SELECT * FROM kernel_event WHERE kind = 'signal' AND target LIKE"
                                  " '%%the guard of vestiged%%' ORDER BY id")
        self.assertEqual([(stopper, f"SIGSTOP to the guard of vestiged, pid {guard}"),
                          (continuer, f"SIGCONT to the guard of vestiged, pid {guard}")],
                         [(row["pid"], row["target"]) for row in rows])

    def guard(self):
        number, = processes_named("vestige-guard", self.vestige.agent_pid)
        return number

    def run_python(self, code):
        process = subprocess.Popen([sys.executable, "-c", code],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        error = process.communicate(timeout=60)[1]
        self.assertEqual(0, process.returncode, error)
        return process.pid


class TestAudit(VestigeTest):
    """Who makes audit deaf is in the record, and so is for how long it may have been."""

    def setUp(self):
        super().setUp()
        if self.coverage()["mode"] != "owner":
            self.skipTest("another program owns audit, whose rules these tests would change")

    def change(self, *words):
        process = subprocess.Popen(["auditctl", *words], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.assertEqual(0, process.wait(60))
        return process.pid

    def targets(self, pid):
        self.vestige.sync()
        rows = self.vestige.query("SELECT * FROM kernel_event WHERE kind = 'audit_change' AND pid = %s"
                                  " ORDER BY id", pid)
        for row in rows:
            self.assert_row(row, application="auditctl", uid=0, seen_by="audit", result="success")
        return [row["target"] for row in rows]

    def coverage(self):
        self.vestige.sync()
        return self.vestige.query("SELECT mode, detail FROM coverage WHERE source = 'audit'"
                                  " AND destroyed_at IS NULL")[0]

    def gaps(self):
        return self.vestige.query("SELECT * FROM gap WHERE cause = 'rules_deleted'")

    def test_rules_deleted(self):
        rules = audit_rules()
        n_keyed = rules.count("key=vestige")
        self.assertGreater(n_keyed, 5)
        targets = self.targets(self.change("-D"))
        wait_for(lambda: audit_rules() == rules, 60, "the rules are back")
        # Without a rule for calls, those that delete the rest (exclusions) have no record.
        self.assertEqual(["remove_rule key=vestige list=4"] * n_keyed, targets[:n_keyed], targets)
        self.assertEqual(set(), set(targets[n_keyed:]) - {"remove_rule key=(null) list=5"})
        wait_for(lambda: self.vestige.sync() or self.gaps(), 60, "the gap is told")
        gap, = self.gaps()
        self.assert_row(gap, source="audit", unit="event", count=None)
        self.assertLess(gap["created_at"], gap["destroyed_at"])

    def test_disabled(self):
        self.addCleanup(run, "auditctl", "-e", "1")
        self.assertEqual(["set audit_enabled=0 old=1"], self.targets(self.change("-e", "0")))

        def mode():
            return self.coverage()["mode"]
        wait_for(lambda: mode() == "off", 60, "coverage says so")
        self.change("-e", "1")  # whose record has no call: audit was off when it began
        wait_for(lambda: mode() == "owner", 60, "coverage says so")

    def test_records_suppressed(self):
        rule = ("exclude", "always", "-F", "msgtype=CWD")
        pid = self.change("-a", ",".join(rule[:2]), *rule[2:])
        self.addCleanup(subprocess.run, ["auditctl", "-d", ",".join(rule[:2]), *rule[2:]],
                        stderr=subprocess.DEVNULL)
        self.assertEqual(["add_rule key=(null) list=5"], self.targets(pid))

        def detail():
            return self.coverage()["detail"]
        wait_for(lambda: "1 rules of others keep records from being made" in detail(), 60, "it is told")
        self.change("-d", ",".join(rule[:2]), *rule[2:])
        wait_for(lambda: "of others" not in detail(), 60, "it is told")


def go_on(pid):
    """Whoever was stopped, when a test has failed meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if state_of(pid) == "T":
            os.kill(pid, signal.SIGCONT)


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stream:
        text = stream.read()
    return text[text.rindex(")") + 2]


if __name__ == "__main__":
    main()
