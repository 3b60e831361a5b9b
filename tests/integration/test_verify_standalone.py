#!/usr/bin/python3
"""A standalone instance verifies what it records, by itself: what was really recorded is as the agent has
sealed it, and soon no answer counts anything as unverified."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from vestige_test import VESTIGE, VestigeTest, main, run, wait_for  # noqa: E402  (the path above comes first)


class TestStandalone(VestigeTest):
    def test_it_verifies_by_itself(self):
        for _ in range(23):
            subprocess.run(["/bin/true"], check=True)
        self.vestige.sync()
        self.assertEqual(23, len(self.processes("exe LIKE '%%/true' AND end_cause = 'exit' AND ppid = %s", os.getpid())))
        newest = self.vestige.value("SELECT MAX(batch) FROM batch")
        self.assertGreater(self.vestige.value("SELECT COUNT(*) FROM batch WHERE signature IS NOT NULL"), 0)
        # every ten seconds
        wait_for(lambda: not self.vestige.value("SELECT COUNT(*) FROM batch WHERE verified_at IS NULL AND batch <= %s",
                                                newest), 120, "the instance has verified what was recorded")
        self.assertEqual(0, self.vestige.value("SELECT COUNT(*) FROM verification_failure"))
        self.assertEqual(0, self.vestige.value("SELECT COUNT(*) FROM finding WHERE class LIKE 'evidence-%%'"))
        # a run is noted when all its batches are marked
        wait_for(lambda: self.vestige.value("SELECT COUNT(*) FROM maintenance_run WHERE name = 'verify' AND"
                                            " result = 'success'"), 120, "the run is noted")
        # while it goes on recording
        done = run(VESTIGE, "verify", "--state", self.vestige.state, "--require-signatures", check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("Clean. "), done.stdout)


if __name__ == "__main__":
    main()
