"""What the last of the tests looks at: a process that a test has left is told, and one of somebody else is
not. (The whole program would put away rules that another test may be about to restore.)"""

import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

import machine_state  # noqa: E402  (the path comes first)
from vestige_test import wait_for  # noqa: E402


class TestProcesses(unittest.TestCase):
    def sleep(self, **environment):
        process = subprocess.Popen(["/bin/sleep", "600"], env=environment)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def is_there():
            """The kernel gives it name and environment a little after it has taken the program."""
            with open(f"/proc/{process.pid}/comm") as comm, open(f"/proc/{process.pid}/environ") as environ:
                return comm.read() == "sleep\n" and environ.read()
        wait_for(is_there, 60, "it sleeps")
        return process.pid

    def test_left_by_a_test(self):
        ours, others = self.sleep(VESTIGE_BIN="/somewhere"), self.sleep(HOME="/root")
        told = machine_state.processes()
        self.assertIn(f"sleep {ours}", told)
        self.assertNotIn(f"sleep {others}", told)

    def test_mounts(self):
        """What `ip netns` has mounted is not the tests', all else is told."""
        lines = ["tmpfs /run/netns tmpfs rw 0 0\n", "tmpfs /tmp/x tmpfs rw 0 0\n"]
        self.assertEqual(["tmpfs /tmp/x tmpfs rw 0 0"], machine_state.mounts(lines))


if __name__ == "__main__":
    unittest.main()
