"""A scheduled question on what a real agent recorded."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from test_schedule import QUESTION
from vestige_test import VESTIGE, Standalone, main, run


class Recorded(unittest.TestCase):
    """The same on what a real agent recorded."""

    def test_a_program_that_ran(self):
        instance = Standalone()
        self.addCleanup(instance.remove)
        self.addCleanup(instance.stop)
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "ran.sql"), "w") as file:
                file.write(QUESTION.format(window="1 day"))
            # Anybody may run sleep meanwhile, and nobody else this.
            program = os.path.join(directory, f"sleep-{os.getpid()}")
            shutil.copy("/usr/bin/sleep", program)
            instance.start()
            run("mariadb", "--no-defaults", f"--socket={instance.path('mariadb.sock')}", "vestige", "-e",
                "ALTER DEFINER = vestige_scheduler@localhost EVENT vestige_schedules DISABLE")
            def schedule(*words, status=0):
                done = run(VESTIGE, "schedule", *words, "--state", instance.state, check=False)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                return done.stdout
            instance.sync()
            before = schedule("add", "ran", os.path.basename(program), "--every", "60", "--directory", directory)
            which = before.split()[1].rstrip(":")
            first = subprocess.run([program, "0.1"])
            self.assertEqual(first.returncode, 0)
            instance.sync()
            rows = json.loads(schedule("run", which, "--format", "json"))["rows"]
            self.assertEqual([(row["question"], row["subject"].split(", ")[1]) for row in rows],
                             [("ran", program)])
            key, = json.loads(rows[0]["row_keys"])
            self.assertEqual(instance.query(
                "SELECT comm, arguments FROM process WHERE host_id = %s AND id = %s AND day = DATE("
                "'1970-01-01' + INTERVAL id DIV 1000000 SECOND)", key["host_id"], key["id"]),
                [{"comm": os.path.basename(program), "arguments": "0.1"}])
            subprocess.run([program, "0.2"])
            instance.sync()
            self.assertEqual(json.loads(schedule("run", which, "--format", "json", status=1))["rows"], [])
            key, other = json.loads(instance.value("SELECT row_keys FROM finding WHERE class = 'ran'"))


if __name__ == "__main__":
    main()
