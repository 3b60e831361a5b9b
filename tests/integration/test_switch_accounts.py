"""Users whom only the name service switch knows: in rows, with rows of their own, changed, removed
and taken over by the passwd file, over a restart; and a switch that never answers.

The agent has a mount namespace of its own, with an nsswitch.conf of the test, users of Debian's
libnss-extrausers, and a module of tests/programs that writes down for whom it is asked."""

import collections
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from vestige_test import ACTOR, AGENT_USER, VestigeTest, main, run, wait_for

N = 23
FIRST = 71001
NOBODY = 72001
HANGS = 72002
PREFIX = f"vsx{os.getpid() % 10000}-"

# What a process of a user does besides: a file, a connection, a call that audit tells of.
DEEDS = """
import ctypes, socket, sys
open(sys.argv[1]).close()
socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
ctypes.CDLL(None).unshare(0x10000000)
"""


def name(i):
    return f"{PREFIX}{i:02}"


class SwitchTest(VestigeTest):
    @classmethod
    def start_instance(cls):
        for uid in [*range(FIRST, FIRST + N), NOBODY, HANGS]:
            if any(account.pw_uid == uid for account in pwd.getpwall()):
                raise AssertionError(f"this machine has a user with uid {uid}")
        cls.directory = SwitchTest.directory = tempfile.mkdtemp(prefix="vestige-test-")
        unittest.addModuleCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        os.mkdir(cls.path("extrausers"))
        with open(cls.path("asked"), "w"):
            if AGENT_USER:  # the module writes as the agent
                shutil.chown(cls.path("asked"), AGENT_USER)
        with open(cls.path("nsswitch.conf"), "w") as stream:
            stream.write("passwd: files extrausers vestigetest\ngroup: files\n"
                         "shadow: files\nhosts: files dns\n")
        cls.users = SwitchTest.users = {i: cls.line(i) for i in range(N)}
        cls.write_users()
        instance = super().start_instance()
        instance.stop()
        cls.start_agent(instance)
        return instance

    @classmethod
    def path(cls, file):
        return os.path.join(cls.directory, file)

    @classmethod
    def line(cls, i, shell="/bin/sh"):
        gecos = b"odd \xff\\x41" if i == 1 else f"number {i}".encode()
        return f"{name(i)}:x:{FIRST + i}:5000{i:02}:".encode() + gecos + f":/h/{i}:{shell}\n".encode()

    @classmethod
    def write_users(cls):
        with open(cls.path("next"), "wb") as stream:
            stream.writelines(cls.users.values())
        os.rename(cls.path("next"), cls.path("extrausers/passwd"))

    @classmethod
    def start_agent(cls, instance):
        instance.configure(names={"user_keep_s": 1})
        instance.start(prefix=(
            "env", f"LD_LIBRARY_PATH={os.path.dirname(ACTOR)}",
            f"VESTIGE_TEST_SWITCH={cls.directory}",
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf &&'
            ' mount --bind "$0/extrausers" /var/lib/extrausers && exec "$@"', cls.directory))

    def run_as(self, uid, *command):
        """Its pid."""
        with subprocess.Popen(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
                               *command], stdin=subprocess.DEVNULL) as process:
            self.assertEqual(0, process.wait(60))
        return process.pid

    def process_of(self, pid, uid):
        """The row of the program that ran as this user."""
        return self.only([row for row in self.rows_of(pid) if row["uid"] == uid], f"uid {uid}")

    def run_all(self, users):
        """A process of each; nobody waits for the answer of the switch."""
        pids = {i: self.run_as(FIRST + i, "/bin/true", self.tag) for i in users}
        self.vestige.sync()
        return {i: self.process_of(pids[i], FIRST + i) for i in users}

    def wait_for_accounts(self, are_so, what):
        """When the switch has answered: neither a row nor a sync waits for it."""
        def told():
            self.vestige.sync()
            accounts = self.accounts()
            return accounts if are_so(accounts) else None
        return wait_for(told, 60, what, 0.1)

    def accounts(self):
        """Rows of the switch by the number of the user, each list in its order."""
        found = collections.defaultdict(list)
        for row in self.vestige.query("SELECT * FROM account WHERE seen_by = 'agent' ORDER BY id"):
            if found[row["uid"] - FIRST]:
                self.assertLessEqual(found[row["uid"] - FIRST][-1]["destroyed_at"],
                                     row["created_at"])
            found[row["uid"] - FIRST].append(row)
        return found

    def asked(self, uid):
        """How often the last module of the switch was asked for this one."""
        with open(self.path("asked")) as stream:
            return stream.read().split().count(str(uid))

    def assert_account(self, row, i, **expected):
        expected = {"username": name(i), "uid": FIRST + i, "gid": 500000 + i, "shell": "/bin/sh",
                    "gecos": r"odd \xff\x5cx41" if i == 1 else f"number {i}", "home": f"/h/{i}",
                    "password_state": None, "password_digest": None, "destroyed_at": None, **expected}
        self.assert_row(row, **expected)


class TestUsers(SwitchTest):
    def change(self, changed, removed):
        self.users[changed] = self.line(changed, "/bin/zsh")
        del self.users[removed]
        self.write_users()

    def restore(self):
        SwitchTest.users.update({i: self.line(i) for i in range(N)})
        self.write_users()

    def test_life(self):
        self.addCleanup(self.restore)
        rows = self.run_all(range(N))
        for i, row in rows.items():
            self.assertIn(row["username"], (name(i), None))
        first = self.wait_for_accounts(lambda accounts: len(accounts) >= N, "the switch has told of all")
        self.assertEqual(list(range(N)), sorted(first))
        rows = self.run_all(range(N))
        self.assertEqual({i: name(i) for i in range(N)},
                         {i: row["username"] for i, row in rows.items()})
        for i in range(N):
            self.assert_account(self.only(first[i], name(i)), i)
        self.assertEqual(0, self.vestige.value(
            "SELECT COUNT(*) FROM account WHERE seen_by <> 'agent' AND uid BETWEEN %s AND %s",
            FIRST, FIRST + N))

        # While the agent runs: asked again when they appear again.
        self.change(3, 5)

        def ended():
            self.run_all((3, 5))
            accounts = self.accounts()
            return accounts[3][0]["destroyed_at"] and accounts[5][0]["destroyed_at"]
        wait_for(ended, 60, "the switch is asked again", 0.2)
        self.assertEqual([None], [row["username"] for row in self.run_all((5,)).values()])
        accounts = self.accounts()
        self.assertEqual(list(range(N)), sorted(accounts))
        self.assertEqual({3: 2}, {i: len(rows) for i, rows in accounts.items() if len(rows) != 1})
        self.assert_row(accounts[3][0], end_cause="closed", shell="/bin/sh")
        self.assertEqual(accounts[3][0]["destroyed_at"], accounts[3][1]["created_at"])
        self.assert_account(accounts[3][1], 3, shell="/bin/zsh")
        self.assert_row(accounts[5][0], end_cause="removed")

        # While it does not.
        self.vestige.stop()
        self.change(7, 8)
        self.start_agent(self.vestige)
        self.vestige.sync()
        self.assertEqual(accounts, self.accounts())
        self.run_all([i for i in range(N) if i != 5])
        accounts = self.wait_for_accounts(
            lambda accounts: len(accounts[7]) == 2 and accounts[8][0]["destroyed_at"],
            "the switch is asked after the restart")
        self.assertEqual({3: 2, 7: 2},
                         {i: len(rows) for i, rows in accounts.items() if len(rows) != 1})
        self.assert_row(accounts[7][0], end_cause="reconciled")
        self.assert_account(accounts[7][1], 7, shell="/bin/zsh")
        self.assert_row(accounts[8][0], end_cause="reconciled")
        for i in set(range(N)) - {3, 5, 7, 8}:
            self.assert_account(accounts[i][0], i)
            self.assertEqual(first[i][0]["id"], accounts[i][0]["id"])
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] == "accounts"])

    def test_nobody(self):
        """Asked once within a minute, also over other questions."""
        before = self.asked(NOBODY)
        pids = []
        for _ in range(3):
            pids.append(self.run_as(NOBODY, "/bin/true", self.tag))
            self.vestige.sync()
            self.run_all((0,))
        self.assertEqual([None] * 3,
                         [self.process_of(pid, NOBODY)["username"] for pid in pids])
        wait_for(lambda: self.asked(NOBODY) > before, 60, "the switch is asked")
        self.assertEqual(1, self.asked(NOBODY) - before)
        self.assertNotIn(NOBODY - FIRST, self.accounts())

    def test_passwd_takes_over(self):
        """A line of the machine's passwd with the uid of a user of the switch."""
        self.run_all((9,))
        open_row = self.wait_for_accounts(
            lambda accounts: accounts[9] and accounts[9][-1]["destroyed_at"] is None, "its row")[9][-1]
        self.addCleanup(run, "userdel", name(9), check=False)
        run("useradd", "-M", "-N", "-u", str(FIRST + 9), "-s", "/bin/false", name(9))
        self.vestige.sync()
        # Two, if useradd stood still for long before it wrote the password.
        of_file, *_ = rows = self.vestige.query(
            "SELECT * FROM account WHERE uid = %s AND seen_by = 'inotify' ORDER BY id", FIRST + 9)
        self.only([row for row in rows if row["destroyed_at"] is None], "the line")
        self.assert_row(rows[-1], username=name(9), shell="/bin/false", destroyed_at=None)

        def closed():
            self.vestige.sync()
            row = self.only([row for row in self.accounts()[9] if row["id"] == open_row["id"]],
                            "the row of before")
            return row if row["destroyed_at"] else None
        row = wait_for(closed, 60, "the line takes its place", 0.1)
        self.assert_row(row, end_cause="closed")
        overlap = (row["destroyed_at"] - of_file["created_at"]).total_seconds()
        self.assertTrue(-1 < overlap < 30, f"{overlap} s")
        run("userdel", name(9))

        def back():
            self.vestige.sync()
            return self.accounts()[9][-1]["destroyed_at"] is None
        wait_for(back, 60, "the switch has the uid again", 0.1)
        self.assert_account(self.accounts()[9][-1], 9)
        self.assertEqual(2, len(self.accounts()[9]))


class TestHanging(SwitchTest):
    def setUp(self):
        super().setUp()
        with open(self.path("hang"), "w"):
            pass
        self.addCleanup(self.start_anew)

    def start_anew(self):
        """Whoever hangs, hangs for ever."""
        os.unlink(self.path("hang"))
        self.vestige.stop()
        self.start_agent(self.vestige)

    def rows_by(self, table, pid):
        return self.vestige.query(f"SELECT * FROM {table} WHERE id >= {self.since} AND pid = %s", pid)

    def test_rows_without_a_name(self):
        """Whatever the user does; sync and the end of the agent do not wait for the switch."""
        with socket.create_server(("127.0.0.1", 0)) as server, \
                tempfile.NamedTemporaryFile() as file:
            os.chmod(file.name, 0o644)
            pid = self.run_as(HANGS, sys.executable, "-c", DEEDS, file.name,
                              str(server.getsockname()[1]))
        wait_for(lambda: self.asked(HANGS), 60, "the switch is asked")
        begin = time.monotonic()
        self.vestige.sync()
        self.assertLess(time.monotonic() - begin, 50)
        row = self.process_of(pid, HANGS)
        self.assert_ended(row, username=None, uid=HANGS, exit_code=0)
        self.assert_row(self.only([row for row in self.rows_by("file_access", pid)
                                   if row["path"] == file.name], file.name),
                        username=None, uid=HANGS)
        self.assert_row(self.only(self.rows_by("endpoint", pid), "the connection"),
                        username=None, uid=HANGS)
        self.assertEqual([(None, HANGS)], [(row["username"], row["uid"])
                                           for row in self.rows_by("kernel_event", pid)])
        self.assertNotIn(HANGS - FIRST, self.accounts())
        self.assertEqual(1, self.asked(HANGS))
        self.assert_row(self.process_of(self.known(), 0), username="root")

        begin = time.monotonic()
        self.vestige.stop()
        self.assertLess(time.monotonic() - begin, 60)
        self.assertIn("thread is left behind", self.vestige.log_text())

    def known(self):
        """A process of a user whom the passwd file has."""
        with subprocess.Popen(["/bin/true", self.tag]) as process:
            process.wait(60)
        self.vestige.sync()
        return process.pid


if __name__ == "__main__":
    main()
