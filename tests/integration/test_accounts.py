"""Accounts, groups and members: those of this machine, added, changed and removed by the tools of
the system, and who did it; those of a directory of the test, whose files are edited; restarts. The
accounts that are made have a prefix of their own, and are removed at the end."""

import collections
import datetime
import grp
import os
import pwd
import shutil
import signal
import subprocess
import time

from vestige_test import VESTIGED, VestigeTest, brief, main, run, wait_for

N = 30
CLOCK_S = 0.1  # what the recorder's clock may be away from ours
PATIENCE = datetime.timedelta(seconds=2)  # of the recorder with a tool that has locked its files
# The kernel's ticks come late where a virtual processor is away.
TICK = datetime.timedelta(milliseconds=250)
PREFIX = f"vst{os.getpid() % 10000}-"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
FILES = ("passwd", "shadow", "group", "gshadow")
TABLES = ("account", "account_group", "group_member")


def tool(*words):
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def name(i):
    return f"{PREFIX}{i:02}"


class AccountsTest(VestigeTest):
    audited = False

    def setUp(self):
        super().setUp()
        self.vestige.sync()

    def rows(self, table, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM {table} WHERE {condition} ORDER BY id",
                                  *parameters)

    def open_rows(self, table):
        return self.rows(table, "destroyed_at IS NULL")

    def lives(self, table, key):
        """The rows of this test by what `key` names, each list in its order: what they say and how
        they ended; each begins where the one before ended."""
        found = collections.defaultdict(list)
        for row in self.rows(table, f"id >= {self.since} AND {key} LIKE %s", PREFIX + "%"):
            created = row["created_at"].replace(tzinfo=datetime.timezone.utc).timestamp()
            self.assertGreater(created, self.since / 1e6 - CLOCK_S, brief([row]))
            self.assertLess(created, time.time() + CLOCK_S, brief([row]))
            self.assertEqual("inotify", row["seen_by"])
            if found[row[key]]:
                self.assertEqual(found[row[key]][-1]["destroyed_at"], row["created_at"])
            found[row[key]].append(row)
        return found

    def assert_nothing_lost(self):
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] in ("accounts", "findings")])


class TestMachine(AccountsTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_all)

    def remove_all(self):
        for account in pwd.getpwall():
            if account.pw_name.startswith(PREFIX):
                run("userdel", account.pw_name, check=False)
        for group in grp.getgrall():
            if group.gr_name.startswith(PREFIX):
                run("groupdel", group.gr_name, check=False)

    def lives(self, table, key):
        """Without what is only half of a change: the tools write the passwords last, and one that stands still
        before that is not waited for any longer than PATIENCE."""
        def is_half(row, after):
            return (after and row["password_state"] == "absent"
                    and row["destroyed_at"] - row["created_at"] >= PATIENCE
                    and all(row[name] == after[name] for name in (key, "gid", *others)))
        others = ("uid", "gecos", "home", "shell") if table == "account" else ()
        return {name: [row for row, after in zip(rows, [*rows[1:], None]) if not is_half(row, after)]
                for name, rows in super().lives(table, key).items()}

    def do_alone(self, *words):
        """Likewise, and the next change is not before this one has been read: on a busy machine two that are
        close to each other are one."""
        pid = self.do(*words)
        self.vestige.sync()
        return pid

    def do(self, *words):
        """A tool of the system; its pid."""
        process = tool(*words)
        _, problem = process.communicate(timeout=60)
        self.assertEqual(0, process.returncode, f"{words}: {problem}")
        return process.pid

    def test_as_the_system_has_them(self):
        """What is open is exactly what the C library gives."""
        self.assertEqual(sorted((a.pw_name, a.pw_uid, a.pw_gid, a.pw_gecos, a.pw_dir, a.pw_shell)
                                for a in pwd.getpwall()),
                         sorted((r["username"], r["uid"], r["gid"], r["gecos"], r["home"], r["shell"])
                                for r in self.open_rows("account")))
        self.assertEqual(sorted((g.gr_name, g.gr_gid) for g in grp.getgrall()),
                         sorted((r["groupname"], r["gid"]) for r in self.open_rows("account_group")))
        self.assertEqual(sorted((g.gr_name, member) for g in grp.getgrall() for member in g.gr_mem),
                         sorted((r["groupname"], r["username"])
                                for r in self.open_rows("group_member")))
        coverage = self.only(self.rows("coverage", "source = 'accounts' AND destroyed_at IS NULL"),
                             "coverage")
        self.assert_row(coverage, mode="on")

    def doer(self, row, at):
        """The program that put another passwd (or group) in its place and was alive at the moment
        of the row. The time of file_access is that of a reading, which may be of several renames. That of
        the row is the file's, of a clock that may stand still: then it is the program that came next."""
        file = "/etc/passwd" if "uid" in row else "/etc/group"
        rows = self.vestige.query(
            "SELECT p.pid, p.comm, p.uid, p.created_at FROM file_access AS f"
            " JOIN process AS p ON p.host_id = f.host_id AND p.id = f.process_id"
            " WHERE f.host_id = %s AND f.new_path = %s AND FIND_IN_SET('rename', f.operations)"
            "   AND f.created_at BETWEEN %s - INTERVAL 1 MINUTE AND %s + INTERVAL 1 MINUTE"
            "   AND p.created_at <= %s AND (p.destroyed_at >= %s OR p.destroyed_at IS NULL) ORDER BY p.created_at",
            row["host_id"], file, at, at, at + TICK, at)
        return self.only([row for row in rows if row["created_at"] <= at] or rows[:1],
                         f"who changed {file} at {at}")

    def test_tools(self):
        """30 of each: added, changed, made members, removed."""
        added, changed, removed = [], [], []
        group = PREFIX + "all"
        self.do("groupadd", group)
        for i in range(N):
            added.append(self.do_alone("useradd", "-M", "-c", f"number {i}", "-s", "/bin/sh", name(i)))
        for i in range(N):
            self.do("gpasswd", "-a", name(i), group)
        for i in range(N):
            changed.append(self.do_alone("usermod", "-s", "/bin/false", name(i)))
        for i in range(0, N, 2):
            self.do("gpasswd", "-d", name(i), group)
        self.vestige.sync()  # these ends are before those that follow
        for i in range(N):
            removed.append(self.do_alone("userdel", name(i)))
        self.do("groupdel", group)
        self.vestige.sync()

        accounts = self.lives("account", "username")
        groups = self.lives("account_group", "groupname")
        self.assertEqual([name(i) for i in range(N)], sorted(accounts))
        self.assertEqual([name(i) for i in range(N)] + [group], sorted(groups))
        for i in range(N):
            first, second = accounts[name(i)]
            self.assert_ended(first, end_cause="closed", gecos=f"number {i}", shell="/bin/sh",
                              home="/home/" + name(i), password_state="locked",
                              password_digest=None)
            self.assert_ended(second, end_cause="removed", gecos=f"number {i}", shell="/bin/false",
                              uid=first["uid"], gid=first["gid"])
            own = self.only(groups[name(i)], "the account's own group")
            self.assert_ended(own, end_cause="removed", gid=first["gid"], password_state="locked")
            self.assertEqual(added[i], self.doer(first, first["created_at"])["pid"])
            self.assertEqual(changed[i], self.doer(second, second["created_at"])["pid"])
            doer = self.doer(second, second["destroyed_at"])
            self.assertEqual((removed[i], 0), (doer["pid"], doer["uid"]))
            # Without audit a process that has gone when it is looked at has no name.
            self.assertIn(doer["comm"], ("userdel", None))
        self.assert_ended(self.only(groups[group], "the group of all"), end_cause="removed")

        members = self.rows("group_member", f"id >= {self.since} AND groupname = %s", group)
        self.assertEqual([name(i) for i in range(N)], [row["username"] for row in members])
        for i, row in enumerate(members):
            self.assert_ended(row, end_cause="removed")
            if i % 2 == 0:
                self.assertLess(row["destroyed_at"], accounts[name(0)][1]["destroyed_at"])
        # When was X in the group: one question.
        span = self.only(self.vestige.query(
            "SELECT created_at, destroyed_at FROM group_member WHERE groupname = %s AND username = %s",
            group, name(2)), "when")
        self.assertEqual((members[2]["created_at"], members[2]["destroyed_at"]),
                         (span["created_at"], span["destroyed_at"]))
        self.assert_nothing_lost()

    def test_passwords(self):
        """Set, set to another, locked, unlocked: rows that differ; the hash is nowhere."""
        self.do_alone("useradd", "-M", name(0))
        for word in ("one", "two"):
            subprocess.run(["chpasswd", "-e"], input=f"{name(0)}:$6$salt{word}$hash-of-{word}\n",
                           text=True, check=True, timeout=60)
            self.vestige.sync()
        for option in ("-L", "-U"):
            self.do_alone("usermod", option, name(0))
        self.do("passwd", "-d", name(0))
        self.vestige.sync()
        rows = self.lives("account", "username")[name(0)]
        self.assertEqual(["locked", "set", "set", "locked", "set", "empty"],
                         [row["password_state"] for row in rows])
        digests = [row["password_digest"] for row in rows]
        self.assertEqual([None, None], [digests[0], digests[5]])
        self.assertNotEqual(digests[1], digests[2])
        self.assertEqual(digests[2], digests[3])
        self.assertEqual(digests[2], digests[4])
        self.assertRegex(digests[1], "^[0-9a-f]{16}$")
        finding = self.only(self.rows("finding", "subject = %s", name(0)), "finding")
        self.assert_row(finding, **{"class": "empty_password", "destroyed_at": None,
                                    "created_at": rows[5]["created_at"]})
        self.do("userdel", name(0))
        self.vestige.sync()
        finding = self.only(self.rows("finding", "subject = %s", name(0)), "finding")
        self.assert_ended(finding, end_cause="removed")
        for row in self.rows("account", "username = %s", name(0)):
            self.assertNotIn("hash-of", str(row))


class TestOtherDirectory(AccountsTest):
    """The files of a directory of its own; the last of the classes, because the agent stays with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = os.path.join(cls.vestige.directory, "etc")
        os.mkdir(cls.directory)
        for file in FILES:
            shutil.copy(os.path.join("/etc", file), cls.directory)
        cls.vestige.stop()
        cls.vestige.configure(accounts={"directory": cls.directory})
        cls.vestige.start()

    def setUp(self):
        super().setUp()
        self.before = {file: self.read(file) for file in FILES}
        self.addCleanup(self.restore)

    def restore(self):
        for file, text in self.before.items():
            self.replace(file, text)

    def path(self, file):
        return os.path.join(self.directory, file)

    def read(self, file):
        with open(self.path(file), "rb") as stream:
            return stream.read()

    def replace(self, file, text):
        with open(self.path("new"), "wb") as stream:
            stream.write(text)
        os.rename(self.path("new"), self.path(file))

    def append(self, file, text):
        with open(self.path(file), "ab") as stream:
            stream.write(text)

    def test_edited_files(self):
        """By other files in their place, and in place; bytes of any kind; lines that are none."""
        lines = [f"{name(i)}:x:{5000 + i}:5000:g{i}:/home/x:/bin/sh\n".encode() for i in range(N)]
        for i in range(0, N, 3):
            self.replace("passwd", self.read("passwd") + b"".join(lines[i:i + 3]))
            self.vestige.sync()
        self.append("group", f"{PREFIX}g:x:5000:{name(0)},{name(1)}\nbroken\n".encode())
        self.append("passwd", PREFIX.encode() + b"\xff\x1b[2J:!:7000:7000\nno numbers:x:a:b:::\n")
        self.vestige.sync()
        self.replace("passwd", self.read("passwd").replace(lines[4], b"").replace(
            lines[5], lines[5].replace(b"/bin/sh", b"/bin/bash")))
        self.replace("group", self.read("group").replace(f",{name(1)}".encode(), b""))
        self.vestige.sync()

        accounts = self.lives("account", "username")
        odd = PREFIX + r"\xff" + "\x1b[2J"
        self.assertEqual([name(i) for i in range(N)] + [odd], sorted(accounts))
        for i in range(N):
            rows = accounts[name(i)]
            self.assertEqual(2 if i == 5 else 1, len(rows), rows)
            self.assert_row(rows[0], uid=5000 + i, gid=5000, gecos=f"g{i}", home="/home/x",
                            shell="/bin/sh", password_state="absent", password_digest=None,
                            end_cause={4: "removed", 5: "closed"}.get(i))
        self.assert_row(accounts[name(5)][1], shell="/bin/bash", destroyed_at=None)
        self.assert_row(self.only(accounts[odd], "odd"), uid=7000, gid=7000, gecos=None, home=None,
                        shell=None, password_state="locked")
        members = self.rows("group_member", "groupname = %s", PREFIX + "g")
        self.assertEqual([(name(0), None), (name(1), "removed")],
                         [(row["username"], row["end_cause"]) for row in members])
        coverage = self.only(self.rows("coverage", "source = 'accounts' AND destroyed_at IS NULL"),
                             "coverage")
        self.assertIn("2 malformed", coverage["detail"])
        self.assertIn(self.directory, coverage["detail"])
        self.assert_nothing_lost()

    def test_passwords_that_are_away(self):
        """Without shadow and gshadow nothing is known to have changed, and what is new has none."""
        self.append("shadow", f"{name(0)}:$6$a$hash:1::::::\n".encode())
        self.append("passwd", f"{name(0)}:x:5000:1:::/bin/sh\n".encode())
        self.vestige.sync()
        before = self.open_ids()
        shadow = {file: self.read(file) for file in ("shadow", "gshadow")}
        for file in shadow:
            os.remove(self.path(file))
        self.vestige.sync()
        self.assertEqual(before, self.open_ids())
        coverage = self.only(self.rows("coverage", "source = 'accounts' AND destroyed_at IS NULL"),
                             "coverage")
        for file in shadow:
            self.assertIn(f"; {file}: No such file or directory, passwords are those known before",
                          coverage["detail"])
        self.replace("passwd", self.read("passwd").replace(b"/bin/sh", b"/bin/bash") +
                     f"{name(1)}:x:5001:1:::\n".encode())
        self.vestige.sync()
        for file, text in shadow.items():
            self.replace(file, text)
        self.vestige.sync()
        accounts = self.lives("account", "username")
        first, second = accounts[name(0)]
        self.assert_ended(first, end_cause="closed", shell="/bin/sh", password_state="set")
        self.assert_row(second, destroyed_at=None, shell="/bin/bash", password_state="set",
                        password_digest=first["password_digest"])
        self.assertEqual([None, "absent"], [row["password_state"] for row in accounts[name(1)]])
        self.assert_nothing_lost()

    def findings(self):
        return [(row["class"], row["subject"], row["detail"], row["end_cause"]) for row in
                self.rows("finding", f"id >= {self.since}")]

    def test_findings(self):
        toor, twice = PREFIX + "toor", PREFIX + "twice"
        self.append("passwd", f"{toor}::0:0:::\n{twice}:*:6001:1:::\n{twice}:*:6002:1:::\n".encode())
        self.vestige.sync()
        expected = [("uid_zero_account", toor, "an account besides root has uid 0", None),
                    ("empty_password", toor, "no password is asked for", None),
                    ("duplicate_uid", "0", f"root, {toor}", None),
                    ("duplicate_name", twice, "2 lines with this name", None)]
        self.assertEqual(expected, self.findings())
        self.replace("passwd", self.before["passwd"])
        self.vestige.sync()
        self.assertEqual([(*finding[:3], "removed") for finding in expected], self.findings())

    def test_ten_thousand_members(self):
        text = f"{PREFIX}big:x:5001:" + ",".join(f"{PREFIX}m{i}" for i in range(10000)) + "\n"
        self.replace("group", self.before["group"] + text.encode())
        self.vestige.sync()
        count = ("SELECT COUNT(*) FROM group_member WHERE groupname = %s AND destroyed_at IS "
                 "{} NULL")
        self.assertEqual(10000, self.vestige.value(count.format(""), PREFIX + "big"))
        self.replace("group", self.before["group"])
        self.vestige.sync()
        self.assertEqual(0, self.vestige.value(count.format(""), PREFIX + "big"))
        self.assertEqual(10000, self.vestige.value(count.format("NOT"), PREFIX + "big"))
        self.assert_nothing_lost()

    def open_ids(self):
        return {table: {row["id"]: row for row in self.open_rows(table)} for table in TABLES}

    def change_while_stopped(self):
        """One account is gone, one is another, one is new; its password is another one."""
        line = f"{name(9)}:x:5009:1:::\n"
        self.replace("passwd", self.read("passwd").replace(
            f"{name(7)}:x:5007:1:::\n".encode(), line.encode()))
        self.replace("shadow", self.read("shadow").replace(b"$6$a$first", b"$6$a$second"))

    def begin_two(self):
        """Passwords first: whenever the files are read, each account has the one that it will have."""
        self.append("shadow", f"{name(7)}:*:1::::::\n{name(8)}:$6$a$first:1::::::\n".encode())
        self.append("passwd", f"{name(7)}:x:5007:1:::\n{name(8)}:x:5008:1:::\n".encode())
        self.vestige.sync()
        return self.open_ids()

    def assert_taken_up(self, before):
        """All but the two that are others."""
        after = self.open_ids()
        for table in TABLES:
            gone = [row["username"] for id_, row in before[table].items() if id_ not in after[table]]
            new = [row["username"] for id_, row in after[table].items() if id_ not in before[table]]
            self.assertEqual(sorted(gone), [name(7), name(8)] if table == "account" else [])
            self.assertEqual(sorted(new), [name(8), name(9)] if table == "account" else [])
        for row in self.rows("account", "username IN (%s, %s) AND destroyed_at IS NOT NULL"
                             f" AND id >= {self.since}", name(7), name(8)):
            self.assert_row(row, end_cause="reconciled")

    def test_restart(self):
        before = self.begin_two()
        self.vestige.stop()
        self.change_while_stopped()
        self.vestige.start()
        self.vestige.sync()
        self.assert_taken_up(before)

    def test_reboot(self):
        """Accounts outlive a boot."""
        before = self.begin_two()
        self.addCleanup(self.start_again)
        self.vestige.stop()
        self.change_while_stopped()
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        self.vestige.sync()
        self.assert_taken_up(before)
        self.assertEqual([], [row for table in TABLES for row in
                              self.rows(table, f"id >= {self.since} AND end_cause = 'reboot'")])

    def start_again(self):
        self.vestige.stop()
        self.vestige.start()

    def test_overrun(self):
        """More events than the kernel keeps: a gap; what happened meanwhile is known all the same."""
        with open("/proc/sys/fs/inotify/max_queued_events") as stream:
            n = int(stream.read()) // 2 + 100
        os.kill(self.vestige.agent_pid, signal.SIGSTOP)
        try:
            for i in range(n):
                with open(self.path("other"), "w"):
                    pass
                os.unlink(self.path("other"))
            self.append("passwd", f"{name(6)}:x:5006:1:::\n".encode())
        finally:
            os.kill(self.vestige.agent_pid, signal.SIGCONT)
        self.vestige.sync()
        gap = self.only([gap for gap in self.gaps() if gap["source"] == "accounts"], "gap")
        self.assert_row(gap, cause="overrun", unit="event", count=None)
        self.assert_row(self.only(self.lives("account", "username")[name(6)], name(6)), uid=5006)

    def lines(self, text):
        """Of the tables of this test, in their order."""
        return [line for line in text.splitlines()
                if line.split("\t")[1:2] and line.split("\t")[1] in (*TABLES, "finding")]

    def test_record_and_replay(self):
        """A recording gives the same rows as the run that made it, and has no hash in it."""
        self.vestige.stop()
        self.addCleanup(self.vestige.start)
        state, place = (os.path.join(self.vestige.directory, name) for name in ("own", "recording"))

        def shown():
            journal = os.path.join(state, "journal")
            files = [os.path.join(journal, name) for name in sorted(os.listdir(journal))]
            sealed = [path for path in files if path.endswith(".sealed.zst")]
            return run("zstdcat", *sealed).stdout if sealed else ""
        with open(os.path.join(self.vestige.directory, "recording.log"), "wb") as log:
            agent = subprocess.Popen([VESTIGED, "--config", self.vestige.path("vestiged.conf"),
                                      "--state", state, "--record", place],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: os.path.exists(os.path.join(state, "vestiged.sock")), 60,
                     "vestiged records")
            self.append("passwd", f"{name(8)}:x:5008:1:::\n".encode())
            self.append("shadow", f"{name(8)}:$6$a$first:1::::::\n".encode())
            wait_for(lambda: f"\t{name(8)}\t5008\t" in shown(), 60, "the account is recorded", 0.2)
            self.replace("passwd", self.before["passwd"])
        finally:
            agent.terminate()
            self.assertEqual(agent.wait(60), 0)
        replayed = run(VESTIGED, "--replay", place).stdout
        self.assertGreater(len(self.lines(shown())), 20)
        self.assertEqual(self.lines(shown()), self.lines(replayed))
        self.assertIn(f"\t{name(8)}\t5008\t", replayed)
        for file in os.listdir(place):
            with open(os.path.join(place, file), "rb") as stream:
                self.assertNotIn(b"$6$a$first", stream.read())

    def test_killed(self):
        before = self.begin_two()
        self.vestige.kill_agent()
        self.change_while_stopped()
        self.vestige.sync()
        after = self.open_ids()
        self.assertEqual(before["account_group"].keys(), after["account_group"].keys())
        self.assertEqual(
            {name(8), name(9)},
            {row["username"] for id_, row in after["account"].items() if id_ not in before["account"]})


if __name__ == "__main__":
    main()
