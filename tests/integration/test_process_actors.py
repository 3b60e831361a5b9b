"""Deeds with known rows: how processes are born, what they become, how they end."""

import datetime
import os
import re
import shlex
import stat
import subprocess
import tempfile
import time

from vestige_test import ACTOR, VestigeTest, act, brief, main

TRUE = os.path.realpath("/bin/true")
SLEEP = os.path.realpath("/bin/sleep")
SHELL = os.path.realpath("/bin/sh")


def evidence_bytes(text):
    """The bytes that stored text stands for: \\xNN is a byte, everything else is UTF-8."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match.group(1), 16)]),
                  text.encode())


def argument_list(text):
    """`arguments` as a POSIX shell would split it, as bytes."""
    split = shlex.split(evidence_bytes(text).decode("latin-1"), comments=False, posix=True)
    return [argument.encode("latin-1") for argument in split]


SLEEPER = None


def setUpModule():
    global SLEEPER
    SLEEPER = subprocess.Popen(["sleep", "86400"], cwd="/usr")


def tearDownModule():
    SLEEPER.kill()
    SLEEPER.wait()


class ActorTest(VestigeTest):
    def act(self, *parameters, **options):
        """Run the actor; everything it did can be queried. Returns its row and its reports."""
        pid, reports = act(*parameters, **options)
        self.vestige.sync()
        return self.row_of(pid), reports

    def assert_exit(self, row, report, **expected):
        self.assert_ended(row, end_cause="exit", exit_code=report["exit_code"],
                          exit_signal=report["exit_signal"], pid=report["pid"], **expected)


class TestLives(ActorTest):
    def test_fork_without_exec(self):
        actor, reports = self.act("fork", 0)
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], parent_id=actor["id"], previous_id=None,
                         comm="actor", exit_uid=0, uid=0, username="root")
        self.assertEqual(5, row["exit_code"])

    def test_fork_that_lasts(self):
        actor, reports = self.act("fork", 300, 9)
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], parent_id=actor["id"], previous_id=None)
        self.assertGreaterEqual((row["destroyed_at"] - row["created_at"]).total_seconds(), 0.3)

    def test_late_exec(self):
        """An image between fork and exec that lasts over 100 ms is a row of its own."""
        actor, reports = self.act("late-exec", 250, self.tag)
        rows = self.processes("pid = %s", reports["child"]["pid"])
        self.assertEqual(2, len(rows), brief(rows))
        self.assertEqual([rows[1]["id"]], [row["id"] for row in self.rows_of(reports["child"]["pid"])])
        self.assert_ended(rows[0], end_cause="exec", exit_code=None, exit_signal=None,
                          previous_id=None, parent_id=actor["id"])
        self.assert_exit(rows[1], reports["child"], previous_id=rows[0]["id"],
                         parent_id=actor["id"], arguments=self.tag, exe=TRUE)
        self.assertEqual(rows[0]["destroyed_at"], rows[1]["created_at"])
        self.assertGreaterEqual(
            (rows[0]["destroyed_at"] - rows[0]["created_at"]).total_seconds(), 0.25)

    def test_vfork(self):
        actor, reports = self.act("vfork", self.tag)
        self.assert_exit(self.row_of(reports["child"]["pid"]), reports["child"],
                         parent_id=actor["id"], previous_id=None, argv0="true",
                         arguments=self.tag, argc=2, exe=TRUE, comm="true")

    def test_exec_twice(self):
        """A second exec ends the first row and begins the next."""
        actor, reports = self.act("exec-twice", self.tag)
        rows = self.rows_of(reports["child"]["pid"])
        self.assertEqual(2, len(rows), brief(rows))
        self.assert_ended(rows[0], end_cause="exec", exit_code=None, exit_signal=None, exe=SHELL,
                          argv0="sh", parent_id=actor["id"], previous_id=None, argc=5)
        self.assertEqual([b"-c", b'exec /bin/true "$1"', b"sh", self.tag.encode()],
                         argument_list(rows[0]["arguments"]))
        self.assert_exit(rows[1], reports["child"], argv0="/bin/true", arguments=self.tag,
                         exe=TRUE, parent_id=actor["id"], previous_id=rows[0]["id"],
                         start_ticks=rows[0]["start_ticks"])

    def test_thread_exec(self):
        """The leader's death by its thread's exec is not the end of the process."""
        actor, reports = self.act("thread-exec", self.tag)
        self.assert_exit(self.row_of(reports["child"]["pid"]), reports["child"], exe=TRUE,
                         argv0="true", arguments=self.tag, comm="true", parent_id=actor["id"],
                         previous_id=None, exit_uid=0)

    def test_exec_then_thread_exec(self):
        """An image that was executed, and is ended by the exec of its thread."""
        actor, reports = self.act("exec-thread-exec", self.tag)
        rows = self.rows_of(reports["child"]["pid"])
        self.assertEqual(2, len(rows), brief(rows))
        self.assert_ended(rows[0], end_cause="exec", exit_code=None, exit_signal=None,
                          exe=os.path.realpath(ACTOR), argv0="actor",
                          arguments="become-by-thread " + self.tag, parent_id=actor["id"],
                          previous_id=None)
        self.assert_exit(rows[1], reports["child"], exe=TRUE, argv0="true", arguments=self.tag,
                         comm="true", parent_id=actor["id"], previous_id=rows[0]["id"],
                         start_ticks=rows[0]["start_ticks"], exit_uid=0)
        self.assertEqual(rows[0]["destroyed_at"], rows[1]["created_at"])

    def leader_first(self, how, code):
        """The end is the last thread's, and the code what wait() gives."""
        actor, reports = self.act(how)
        self.assertEqual(code, reports["child"]["exit_code"])
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], parent_id=actor["id"], ppid=actor["pid"],
                         previous_id=None, comm="actor", uid=0, exit_uid=0)
        self.assertGreaterEqual((row["destroyed_at"] - row["created_at"]).total_seconds(), 0.15)

    def test_leader_first(self):
        """The last thread ends all with exit_group."""
        self.leader_first("leader-first", 7)

    def test_leader_first_and_last_exits(self):
        """The last thread ends only itself, with another code than the leader."""
        self.leader_first("leader-first-exit", 9)

    def test_threads(self):
        _, reports = self.act("threads", 97)
        self.assert_exit(self.row_of(reports["child"]["pid"]), reports["child"])

    def test_double_fork(self):
        """The orphan keeps its first parent."""
        actor, reports = self.act("double-fork", self.tag)
        child = self.row_of(reports["child"]["pid"])
        self.assert_exit(child, reports["child"], parent_id=actor["id"])
        self.assert_exit(self.row_of(reports["orphan"]["pid"]), reports["orphan"],
                         parent_id=child["id"], ppid=child["pid"], arguments=self.tag)

    def test_clone_parent(self):
        actor, reports = self.act("clone-parent", self.tag)
        self.assert_exit(self.row_of(reports["child"]["pid"]), reports["child"],
                         parent_id=actor["id"])
        self.assert_exit(self.row_of(reports["sibling"]["pid"]), reports["sibling"],
                         parent_id=actor["id"], ppid=actor["pid"], arguments=self.tag)

    def test_killed(self):
        for number in (9, 11):
            with self.subTest(signal=number):
                actor, reports = self.act("kill", number)
                row = self.row_of(reports["child"]["pid"])
                self.assert_exit(row, reports["child"], exe=SLEEP, parent_id=actor["id"])
                self.assertEqual((None, number), (row["exit_code"], row["exit_signal"]))

    def test_pid_reuse(self):
        actor, reports = self.act("pid-reuse", "first-" + self.tag, "second-" + self.tag)
        self.assertEqual(reports["first"]["pid"], reports["second"]["pid"])
        rows = self.rows_of(reports["first"]["pid"])
        self.assertEqual(["first-" + self.tag, "second-" + self.tag],
                         [row["arguments"] for row in rows], brief(rows))
        for row in rows:
            self.assert_exit(row, reports["first"], parent_id=actor["id"], previous_id=None)
        self.assertLessEqual(rows[0]["destroyed_at"], rows[1]["created_at"])

    def test_pid_namespace(self):
        """One that is looked at in /proc has its namespace."""
        seconds = "1.001"
        for _ in range(10):  # its row may be written before that look
            actor, reports = self.act("pid-namespace", self.tag, seconds)
            self.assertNotEqual(reports["outer"]["inode"], reports["inner"]["inode"])
            row = self.row_of(reports["child"]["pid"])
            if row["pid_ns"]:
                break
        self.assert_exit(row, reports["child"], parent_id=actor["id"], exe=SLEEP,
                         arguments=seconds, pid_ns=reports["inner"]["inode"])


class TestIdentities(ActorTest):
    def changes(self, row):
        return [(change["kind"], change["old_value"], change["new_value"])
                for change in self.vestige.query(
                    "SELECT kind, old_value, new_value FROM process_change WHERE process_id = %s "
                    "ORDER BY created_at, id", row["id"])]

    def test_uid(self):
        _, reports = self.act("uid", 1000)
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], uid=0, euid=0, gid=0, egid=0, exit_uid=1000)
        self.assertEqual([("gid", "0", "1000"), ("uid", "0", "1000")], self.changes(row))

    def test_effective_uid(self):
        _, reports = self.act("effective", 65534)
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], uid=0, euid=0, exit_uid=0)
        self.assertEqual([("uid", "0", "0/65534"), ("uid", "0/65534", "0")], self.changes(row))

    def test_comm(self):
        """A bot that calls itself crond."""
        _, reports = self.act("comm", "crond")
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"])
        self.assertEqual([("comm", "actor", "crond")], self.changes(row))

    def test_session(self):
        _, reports = self.act("session")
        pid = reports["child"]["pid"]
        row = self.row_of(pid)
        self.assert_exit(row, reports["child"])
        self.assertEqual([("sid", str(pid))], [(kind, new) for kind, _, new in self.changes(row)])

    def test_ordinary_user(self):
        """From root to nobody: the change is the first image's, the second has the new ids."""
        pid, _ = act("as", 65534, ACTOR, "show", self.tag)
        self.vestige.sync()
        rows = self.rows_of(pid)
        self.assertEqual(2, len(rows), brief(rows))
        self.assert_ended(rows[0], end_cause="exec", uid=0, username="root")
        self.assert_ended(rows[1], end_cause="exit", exit_code=0, uid=65534, euid=65534,
                          gid=65534, username="nobody", effective_username="nobody",
                          exit_uid=65534, previous_id=rows[0]["id"],
                          arguments="show " + self.tag)
        self.assertEqual([], self.changes(rows[1]))

    def test_setuid_program(self):
        """An ordinary user runs a setuid program: uid stays, euid is root's, from the exec on."""
        directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(os.rmdir, directory)
        program = os.path.join(directory, "setuid")
        subprocess.run(["cp", ACTOR, program], check=True)
        self.addCleanup(os.unlink, program)
        os.chmod(directory, 0o755)
        os.chmod(program, 0o755 | stat.S_ISUID)
        pid, reports = act("as", 65534, program, "show", self.tag)
        self.assertEqual((65534, 0), (reports["self"]["uid"], reports["self"]["euid"]))
        self.vestige.sync()
        rows = self.rows_of(pid)
        self.assertEqual(2, len(rows), brief(rows))
        self.assert_ended(rows[1], end_cause="exit", uid=65534, euid=0, username="nobody",
                          effective_username="root", exit_uid=65534, exe=program)
        self.assertEqual([], self.changes(rows[1]))
        self.assertNotIn("65534/0", [new for _, _, new in self.changes(rows[0])])


class TestImages(ActorTest):
    def true_row(self, reports, **expected):
        row = self.row_of(reports["child"]["pid"])
        self.assert_exit(row, reports["child"], **expected)
        return row

    def test_script(self):
        with tempfile.NamedTemporaryFile("w", prefix="vestige-test-", delete=False) as script:
            script.write("#!/bin/sh\nexit 3\n")
        self.addCleanup(os.unlink, script.name)
        os.chmod(script.name, 0o755)
        with subprocess.Popen([script.name, self.tag]) as process:
            self.assertEqual(3, process.wait())
        self.vestige.sync()
        row = self.row_of(process.pid)
        self.assert_ended(row, end_cause="exit", exit_code=3, exe=SHELL, argv0="/bin/sh", argc=3,
                          arguments=f"{script.name} {self.tag}",
                          comm=os.path.basename(script.name)[:15])

    def test_deleted_exe(self):
        _, reports = self.act("deleted-exe", self.tag)
        self.true_row(reports, exe=reports["file"]["path"] + " (deleted)", arguments=self.tag)

    def test_deleted_cwd(self):
        _, reports = self.act("deleted-cwd", self.tag)
        self.true_row(reports, exe=TRUE, arguments=self.tag,
                      cwd=reports["directory"]["path"] + " (deleted)")

    def test_cwd(self):
        pid, _ = act("show", self.tag, cwd="/usr/lib")
        self.vestige.sync()
        self.assert_row(self.row_of(pid), cwd="/usr/lib")

    def arguments(self, kind):
        _, reports = self.act("arguments", kind, self.tag)
        return reports

    def test_no_arguments(self):
        self.true_row(self.arguments("none"), argv0="true", arguments="", argc=1, cmdline="true")

    def test_no_argv(self):
        """Kernels from 5.18 on give a program without argv an empty argv[0]."""
        self.true_row(self.arguments("no-argv"), argv0="", arguments="", argc=1, exe=TRUE)

    def test_empty_arguments(self):
        row = self.true_row(self.arguments("empty"), argv0="true", argc=4)
        self.assertEqual([self.tag.encode(), b"", b""], argument_list(row["arguments"]))

    def test_odd_arguments(self):
        """Each byte comes back, and so do the boundaries."""
        row = self.true_row(self.arguments("odd"), argv0="true", argc=17)
        self.assertEqual(
            [self.tag.encode(), b"a\tb", b"a\nb", b"a\\b", b"a'b", b'a"b', b"###", b"a b", b"$HOME",
             b"\xff\xfe\x80", b"\\x41", b"\x1b[0m", b"\xc3\xa4", b"\xed\xa0\x80", b"\xc0\xaf", b"*"],
            argument_list(row["arguments"]))

    def test_many_arguments(self):
        row = self.true_row(self.arguments("many"), argv0="true", argc=5001)
        self.assertEqual(" ".join(f"{self.tag}-{i}" for i in range(5000)), row["arguments"])

    def test_long_argument(self):
        row = self.true_row(self.arguments("long"), argv0="true", argc=3)
        self.assertEqual(f"{self.tag} {'x' * 102400}", row["arguments"])


class TestBeforeTheAgent(ActorTest):
    """What was there before the agent is found in /proc and ends like everything else."""

    def test_older_process(self):
        self.since = 0
        self.vestige.sync()
        row = self.row_of(SLEEPER.pid)
        self.assert_row(row, exe=SLEEP, argv0="sleep", arguments="86400", cwd="/usr", uid=0,
                        username="root", destroyed_at=None, comm="sleep", ppid=os.getpid())
        created = row["created_at"].replace(tzinfo=datetime.timezone.utc).timestamp()
        self.assertLess(abs(created - self.started()), 0.05, brief([row]))
        SLEEPER.kill()
        SLEEPER.wait()
        self.vestige.sync()
        self.assert_ended(self.row_of(SLEEPER.pid), end_cause="exit", exit_signal=9,
                          id=row["id"])

    def started(self):
        """In seconds since 1970."""
        with open(f"/proc/{SLEEPER.pid}/stat") as stat_file:
            ticks = int(stat_file.read().rsplit(")", 1)[1].split()[19])
        # Of several readings the two clocks are nearest to each other in the one that gives most.
        boot = max(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) for _ in range(10))
        return boot + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
