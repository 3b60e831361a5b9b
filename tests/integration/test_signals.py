"""Whoever stops, continues or kills the agent is in the record: also the one who killed it at once."""

import os
import subprocess
import time

from vestige_test import VestigeTest, main, wait_for


class TestSignals(VestigeTest):
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
        stopper = self.sender("STOP", agent)
        wait_for(lambda: state_of(agent) == "T", 10, "the agent is stopped")
        time.sleep(2.5)  # what is tested: longer than the limit
        continuer = self.sender("CONT", agent)
        self.assert_sender(self.rows("SIGSTOP")[-1], stopper, agent)
        self.assert_sender(self.rows("SIGCONT")[-1], continuer, agent)
        told = subprocess.run(self.vestige.client("report", "recorder-disturbed", "--format", "csv"),
                              capture_output=True, text=True, check=True).stdout
        for word in (f"SIGSTOP to vestiged, pid {agent}", f"SIGCONT to vestiged, pid {agent}", "not_run"):
            self.assertIn(word, told)
        found = self.vestige.query("SELECT * FROM finding WHERE class = 'agent-did-not-run'")
        self.assertEqual(1, len(found))
        self.assertRegex(found[0]["detail"], r"^nothing was read for [2-9]\.\d\d\d s")

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
        self.vestige.process.wait(60)
        self.vestige.disconnect()
        self.vestige.start()
        self.assert_sender(self.rows("SIGTERM")[-1], ender, agent)


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stream:
        text = stream.read()
    return text[text.rindex(")") + 2]


if __name__ == "__main__":
    main()
