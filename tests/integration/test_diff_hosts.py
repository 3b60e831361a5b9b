"""`vestige diff` of two hosts with rows that are known."""

import subprocess

from server_test import ServerTest
from vestige_test import VESTIGE, main


class TestHosts(ServerTest):
    """Two hosts at one time."""

    hosts = ("web1", "web2")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number, (host, name, shell, digest) in enumerate((
                (1, "alice", "/bin/sh", "aaaa"), (2, "alice", "/bin/sh", "bbbb"),
                (1, "bob", "/bin/sh", None), (2, "bob", "/bin/zsh", None),
                (1, "carol", "/bin/sh", None), (2, "Zoe' OR 1", "/bin/sh", None),
                (1, "\u00e9va", "/bin/sh", None), (2, "\u00e9va", "/bin/sh", None),
                (1, "\U0001f600", "/bin/sh", None), (1, "\ufffd", "/bin/sh", None),
                (2, "\U0001f600", "/bin/sh", None), (2, "\ufffd", "/bin/sh", None))):
            cls.root.run("INSERT INTO account (host_id, id, day, created_at, seen_by, username, uid, "
                         "shell, password_state, password_digest, batch) VALUES (%s, %s, "
                         "'2026-01-01', '2026-01-01 10:00:00', 'inotify', %s, 1000, %s, 'set', %s, 1)",
                         host, 1767261600000000 + number, name, shell, digest)

    def ask(self, *words, status=0):
        done = subprocess.run([VESTIGE, "diff", *words, "--no-defaults",
                               f"--socket={self.server.socket}", "--user=root"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_differs(self):
        """The order of bytes is that of the database, also beyond the first plane; a digest, whose key
        is the host's own, is no difference."""
        lines = self.ask("web1", "web2", "--only", "accounts,groups").splitlines()
        self.assertRegex(lines[0], r"\AAt 2.*: - only on web1, \+ only on web2, ~ differs\Z")
        self.assertEqual([
            "accounts",
            "  + Zoe' OR 1: uid 1000, shell /bin/sh, password set",
            "  ~ bob: uid 1000, shell /bin/sh, password set -> "
            "uid 1000, shell /bin/zsh, password set",
            "  - carol: uid 1000, shell /bin/sh, password set",
            "groups: no difference (0 the same)"], lines[3:8])
        self.assertEqual(["web1)", "web2)"], [line.rpartition(" (host ")[2] for line in lines
                                              if line.startswith("Evidence from ")])

    def test_at(self):
        lines = self.ask("1", "2", "--only", "accounts", "--at", "2025-12-31", status=1).splitlines()
        self.assertEqual([f"Nothing of host {host} was watched at 2025-12-31 00:00:00.000000: "
                          "its state then is what was left open before" for host in "12"], lines[1:3])
        self.assertEqual("accounts: no difference (0 the same)", lines[3])


if __name__ == "__main__":
    main()
