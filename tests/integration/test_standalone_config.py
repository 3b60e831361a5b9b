"""What the agent of a standalone instance begins with: `vestige standalone --config`."""

import os
import shutil
import tempfile
import unittest

from vestige_test import VESTIGE, Standalone, audit_status, main, run


class TestConfig(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def file(self, text):
        path = os.path.join(self.directory, "keys.conf")
        with open(path, "w") as stream:
            stream.write(text)
        return path

    def refused(self, *options):
        """The one line that says why."""
        done = run(VESTIGE, "standalone", "--state", os.path.join(self.directory, "state"), *options, check=False)
        self.assertEqual(2, done.returncode, done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: standalone: error: [^\n]+\n\Z")
        return done.stderr

    def test_from_the_first_start(self):
        """The keys hold at once, and stay; afterwards they are changed in the instance."""
        instance = Standalone(audited=False)
        self.addCleanup(instance.remove)
        instance.start()
        self.addCleanup(instance.stop)
        for _ in range(2):
            instance.sync()
            self.assertEqual([{"mode": "off", "detail": "switched off by configuration"}], instance.query(
                "SELECT mode, detail FROM coverage WHERE source = 'audit' AND destroyed_at IS NULL"))
            self.assertNotEqual(instance.agent_pid, audit_status()["pid"])
            instance.stop()
            instance.start()
        instance.stop()
        with open(instance.path("vestiged.conf")) as stream:
            text = stream.read()
        self.assertIn("\nhost_id = 1\n", text)
        self.assertIn("[audit]\nmode = off\n", text)
        keys = self.file("[audit]\nmode = guest\n")
        done = run(*instance.client("standalone", "--for", "1", "--config", keys), check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn(f"--config is for the first start, and {instance.path('vestiged.conf')} is there already: "
                      f"write the keys of {keys} into it", done.stderr)
        with open(instance.path("vestiged.conf")) as stream:
            self.assertEqual(text, stream.read())

    def test_bad_files(self):
        """Said with file and line; what was begun goes on with a better file."""
        missing = os.path.join(self.directory, "none.conf")
        self.assertIn(f"{missing}: cannot read it: No such file or directory", self.refused("--for", "1", "--config", missing))
        keys = self.file("[audit]\nmode = off\n[reader]\ninterval_ms = 12345\n")
        self.assertIn(f"{keys}:4: ", self.refused("--for", "1", "--config", keys))
        keys = self.file("[audit]\nmode = off\n[agent]\nhost_id = 7\n")
        error = self.refused("--for", "1", "--config", keys)
        self.assertIn(f"with the keys of {keys}, below those that are always set, it would be ", error)
        self.assertIn("host_id is given twice in [agent]; remove one", error)
        keys = self.file("[audit]\nmode = off\n")
        state = os.path.join(self.directory, "state")
        done = run(VESTIGE, "standalone", "--state", state, "--for", "1", "--config", keys)
        self.assertIn("ended: ", done.stdout)

    def test_without_an_agent(self):
        self.assertIn("--config is for the agent, of which --no-agent starts none",
                      self.refused("--no-agent", "--config", self.file("")))


if __name__ == "__main__":
    main()
