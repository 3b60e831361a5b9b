"""Secrets in command lines: masked in the rows and in the journal, whoever saw the command first."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile

from vestige_test import VESTIGED, VestigeTest, main, wait_for

SECRET = "Geheimnis9871"


class TestMasking(VestigeTest):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def program(self, name):
        """A program of that name which does nothing."""
        path = os.path.join(self.directory, name)
        shutil.copy("/bin/true", path)
        return path

    def row(self, path):
        self.vestige.sync()
        rows = self.processes("exe = %s", path)
        self.assertEqual(1, len(rows), path)
        return rows[0]

    def test_rows(self):
        for name, words, wanted in (
                ("mysql", ["-u", "root", "-p" + SECRET, "db"], "-u root '-p***' db"),
                ("tool", ["--api-key", SECRET, "run"], "--api-key '***' run"),
                ("curl", ["https://alice:" + SECRET + "@localhost/x"], "'https://alice:***@localhost/x'"),
                ("bash", ["-c", f"PGPASSWORD={SECRET} psql db"], "-c 'PGPASSWORD=*** psql db'")):
            path = self.program(name)
            subprocess.run([path, *words], check=True)
            self.assert_row(self.row(path), arguments=wanted, argc=len(words) + 1, masked=1)

    def test_nothing_is_masked_without_need(self):
        path = self.program("mkdir")
        subprocess.run([path, "-p", "/tmp/a b"], check=True)
        self.assert_row(self.row(path), arguments="-p '/tmp/a b'", masked=None)

    def test_nothing_of_it_is_on_the_disk(self):
        path = self.program("sshpass")
        os.kill(self.vestige.database_pid, signal.SIGSTOP)  # what is shipped may be unlinked at any time
        try:
            subprocess.run([path, "-p", SECRET, "ssh", "host"], check=True)
            text = wait_for(lambda: (text := self.journal()) and path.encode() in text
                            and b"-p '***' ssh host" in text and text, 60, "it is in the journal", 0.1)
        finally:
            os.kill(self.vestige.database_pid, signal.SIGCONT)
        self.assertNotIn(SECRET.encode(), text)
        self.assert_row(self.row(path), arguments="-p '***' ssh host", masked=1)
        self.assertNotIn(SECRET.encode(), self.journal())

    def journal(self):
        """What can be read of it. A file may get another name meanwhile."""
        text = b""
        for name in glob.glob(self.vestige.path("agent", "journal", "*")):
            if name.endswith(".zst"):
                text += subprocess.run(["zstdcat", name], capture_output=True).stdout
            else:
                with contextlib.suppress(FileNotFoundError), open(name, "rb") as stream:
                    text += stream.read()
        return text

    def test_rules_are_checked(self):
        rules = os.path.join(self.directory, "rules")
        with open(rules, "w") as stream:
            stream.write("# ours\nlock in abc\n")
        configuration = os.path.join(self.directory, "vestiged.conf")
        with open(configuration, "w") as stream:
            stream.write(f"[masking]\nrules = {rules}\n")
        result = subprocess.run([VESTIGED, "--config", configuration, "--check-config"],
                                capture_output=True, text=True)
        self.assertEqual(2, result.returncode)
        self.assertIn(f"{rules}:2: the pattern has no group (?<secret>...)", result.stderr)
        usual = subprocess.run([VESTIGED, "--dump-masking"], capture_output=True, text=True, check=True)
        with open(rules, "w") as stream:
            stream.write(usual.stdout)
        subprocess.run([VESTIGED, "--config", configuration, "--check-config"], check=True,
                       stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
