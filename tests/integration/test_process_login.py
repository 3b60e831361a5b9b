"""Accountability: the login user and the session stay with a task through su, sudo and setuid.

su and sudo work on files of the test's own, bound over the machine's in a mount namespace: nothing
of the machine is changed."""

import os
import pwd
import shutil
import stat
import tempfile

from vestige_test import ACTOR, VestigeTest, act, brief, main, run

LOGIN_UID = 1000
FILES = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nordinary:x:1000:1000::/:/bin/sh\n",
    "group": "root:x:0:\nordinary:x:1000:\n",
    "shadow": "root:*:19000:0:99999:7:::\nordinary:*:19000:0:99999:7:::\n",
    "sudoers": "ordinary ALL=(ALL) NOPASSWD: ALL\n",
    "pam": "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n"
           "session required pam_permit.so\n",
}
ENTER = """
set -e
cd "$1"
shift
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount --bind shadow /etc/shadow
mount --bind sudoers /etc/sudoers
mount --bind pam /etc/pam.d/su
mount --bind pam /etc/pam.d/sudo
exec "$@"
"""


class TestLogin(VestigeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="vestige-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        for name, text in FILES.items():
            with open(os.path.join(cls.directory, name), "w") as stream:
                stream.write(text)
        os.chmod(os.path.join(cls.directory, "sudoers"), 0o440)
        cls.setuid = os.path.join(cls.directory, "setuid")
        shutil.copy(ACTOR, cls.setuid)
        os.chmod(cls.setuid, 0o755 | stat.S_ISUID)
        cls.plain = os.path.join(cls.directory, "plain")
        shutil.copy(ACTOR, cls.plain)

    def log_in_and(self, *command):
        """Log in as 1000, as an ordinary user run the command. Returns the rows of the login's
        task and all that came of it, from the login on, and what `show` said."""
        run_pid, reports = act("login", LOGIN_UID, ACTOR, "as", LOGIN_UID, *command,
                               prefix=("unshare", "--mount", "/bin/sh", "-c", ENTER, "sh",
                                       self.directory))
        self.vestige.sync()
        rows = self.descendants(run_pid)
        login = [row for row in rows if row["arguments"] and
                 row["arguments"].startswith(f"login {LOGIN_UID}")]
        self.only(login, "the login")
        return [row for row in rows if row["id"] > login[0]["id"]], login[0], reports["self"]

    def descendants(self, pid):
        found = {row["id"]: row for row in self.rows_of(pid)}
        while True:
            rows = self.processes(
                f"parent_id IN ({','.join(map(str, found))}) "
                f"AND id NOT IN ({','.join(map(str, found))})")
            if not rows:
                return sorted(found.values(), key=lambda row: row["id"])
            found.update((row["id"], row) for row in rows)

    def assert_accountable(self, *command, uid, euid):
        rows, login, shown = self.log_in_and(*command)
        self.assertEqual((uid, euid, LOGIN_UID), (shown["uid"], shown["euid"],
                                                  shown["login_uid"]))
        try:
            name = pwd.getpwuid(LOGIN_UID).pw_name
        except KeyError:
            name = None
        self.assertGreaterEqual(len(rows), 2)
        for row in rows:
            self.assert_row(row, login_uid=LOGIN_UID, session_id=shown["session"],
                            login_username=name)
        became = self.only([row for row in rows if row["arguments"] == "show " + self.tag],
                           "the program in the end")
        self.assert_ended(became, end_cause="exit", exit_code=0, uid=uid, euid=euid,
                          pid=shown["pid"])
        changes = self.vestige.query(
            "SELECT kind, old_value, new_value FROM process_change WHERE process_id = %s "
            "AND kind = 'login_uid'", login["id"])
        self.assertEqual([{"kind": "login_uid", "old_value": "unset",
                           "new_value": str(LOGIN_UID)}], changes, brief([login]))

    def test_su(self):
        self.assert_accountable("su", "root", "-c", f"{self.plain} show {self.tag}",
                                uid=0, euid=0)

    def test_sudo(self):
        self.assert_accountable("sudo", self.plain, "show", self.tag, uid=0, euid=0)

    def test_setuid_program(self):
        self.assert_accountable(self.setuid, "show", self.tag, uid=LOGIN_UID, euid=0)

    def test_no_login(self):
        pid, reports = act("show", self.tag)
        self.assertEqual(4294967295, reports["self"]["login_uid"])
        self.vestige.sync()
        self.assert_row(self.row_of(pid), login_uid=None, session_id=None, login_username=None)
        answer = run(*self.vestige.client("query", "--format", "table",
                                          f"SELECT login_uid FROM process WHERE id >= "
                                          f"{self.since} AND pid = {pid}"))
        self.assertIn("unset", answer.stdout)


if __name__ == "__main__":
    main()
