"""Sessions and attempts to log in: what wtmp and btmp hold at the first start against last(1) and
lastb(1); files that are rotated, truncated, replaced and torn; what programs say to audit, merged
with utmp; restarts. su, sudo, sshd, cron and systemd are the machine's own."""

import collections
import contextlib
import datetime
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from login_test import (ACCT, AUTH, BOOT_TIME, CMD, DEAD, END, START, USER, USER_LOGIN, RECORD,
                        LOGIN, Speaker, append, failures, history, record, told_by_last)
from network_test import own_port
from test_process_login import ENTER, FILES, LOGIN_UID
from vestige_test import (ACTOR, Standalone, VestigeTest, act, assert_audit_state, audit_state, brief,
                          main, processes_named, run, wait_for)

DAY = 86400
N_RECORDS = 10000
MERGE_MS = 1000  # a busy machine may hold up a login program between its words
with open("/proc/sys/kernel/random/boot_id") as stream:
    BOOT_ID = stream.read().strip()
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
COLUMNS = ("username", "tty", "service", "leader_pid", "session_id", "login_uid",
           "remote_address", "remote_name", "seen_by")


class LoginTest(VestigeTest):
    @classmethod
    def start_instance(cls):
        before = audit_state()
        directory = tempfile.mkdtemp(prefix="vestige-test-")
        instance = Standalone()
        for cleanup, *parameters in ((assert_audit_state, before), (instance.remove,),
                                     (shutil.rmtree, directory), (instance.stop,)):
            unittest.addModuleCleanup(cleanup, *parameters)
        instance.logins = directory
        now = time.time()
        append(os.path.join(directory, "wtmp"),
               *history(N_RECORDS, now - 60 * DAY, now - 30 * DAY))
        append(os.path.join(directory, "btmp"),
               *failures(N_RECORDS, now - 60 * DAY, now - 30 * DAY))
        instance.start()
        instance.stop()
        files = {name: os.path.join(directory, name) for name in ("utmp", "wtmp", "btmp")}
        instance.configure(sessions={"merge_ms": MERGE_MS, **files})
        instance.start()
        return instance

    def setUp(self):
        if self.vestige.process is None or self.vestige.process.poll() is not None:
            self.vestige.disconnect()  # a test before has failed while nothing ran
            self.vestige.start()
        super().setUp()

    def path(self, name):
        return os.path.join(self.vestige.logins, name)

    def sessions(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM session WHERE id >= {self.since} AND "
                                  f"({condition}) ORDER BY created_at, id", *parameters)

    def attempts(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM auth_attempt WHERE id >= {self.since} AND "
                                  f"({condition}) ORDER BY created_at, id", *parameters)

    def findings(self, *classes):
        """(class, subject, detail), in the order in which they were made."""
        rows = self.vestige.query("SELECT * FROM finding WHERE id >= %s AND class IN %s ORDER BY id",
                                  self.since, classes)
        for row in rows:
            self.assert_ended(row, end_cause="closed", created_at=row["destroyed_at"])
        return self.values(rows, "class", "subject", "detail")

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]


def utc_now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def whole_second(moment):
    return moment.replace(microsecond=0)


class TestAtFirst(LoginTest):
    """Runs first, by its name: what was there at the first start."""

    def setUp(self):
        super().setUp()
        self.since = 0

    def test_wtmp_as_last_reads_it(self):
        self.vestige.sync()
        rows = [row for row in self.sessions("created_at < UTC_TIMESTAMP() - INTERVAL 29 DAY")]
        ours = collections.Counter(
            (row["username"], row["tty"], row["remote_address"], whole_second(row["created_at"]),
             whole_second(row["destroyed_at"])) for row in rows)
        reboots = sorted(whole_second(row["destroyed_at"]) for row in rows
                         if row["end_cause"] == "reboot")
        told = told_by_last(self.path("wtmp"))
        self.assertGreater(sum(told.values()), N_RECORDS // 3)
        self.assertEqual(sum(told.values()), len(rows))
        # Of those that a reboot or shutdown ended, last names no time.
        timed = collections.Counter({one: n for one, n in told.items()
                                     if one[4] not in ("crash", "down", None)})
        untimed = collections.Counter({one[:4]: n for one, n in told.items()
                                       if one[4] in ("crash", "down", None)})
        self.assertGreater(len(untimed), 10)
        self.assertEqual(collections.Counter(), timed - ours)
        rest = collections.Counter({one[:4]: n for one, n in (ours - timed).items()})
        self.assertEqual(untimed, rest)
        self.assertEqual(sum(untimed.values()), len(reboots))
        self.assertEqual({"utmp"}, {row["seen_by"] for row in rows})
        print(f"{len(rows)} sessions, {len(reboots)} ended by a reboot", flush=True)

    def test_btmp_as_lastb_reads_it(self):
        self.vestige.sync()
        rows = self.attempts("created_at < UTC_TIMESTAMP() - INTERVAL 29 DAY")
        told = told_by_last(self.path("btmp"), "lastb")
        ours = collections.Counter((row["username"], "ssh:notty", row["remote_address"],
                                    whole_second(row["created_at"])) for row in rows)
        self.assertEqual(N_RECORDS, len(rows))
        self.assertEqual(collections.Counter(one[:4] for one in told.elements()), ours)
        self.assertEqual({("failure", "sshd", "utmp", "closed")},
                         set(self.values(rows, "result", "service", "seen_by", "end_cause")))

    def test_coverage(self):
        self.vestige.sync()
        row = self.only(self.vestige.query("SELECT * FROM coverage WHERE source = 'utmp' "
                                           "AND destroyed_at IS NULL"), "coverage")
        self.assert_row(row, mode="on", detail=", ".join(
            self.path(name) for name in ("utmp", "wtmp", "btmp")) + "; not there: utmp")


class TestFiles(LoginTest):
    """wtmp becomes another one. Nothing is missed, nothing is there twice."""

    n = 0

    def setUp(self):
        super().setUp()
        self.vestige.sync()

    def failure(self, name):
        TestFiles.n += 1
        return record(LOGIN, 5, "ssh:notty", name, "", time.time())

    def names(self):
        self.vestige.sync()
        return [row["username"] for row in self.attempts("username LIKE %s", self.tag[-8:] + "%")]

    def guesses(self, *numbers):
        return [self.failure(f"{self.tag[-8:]}-{number}") for number in numbers]

    def assert_guesses(self, *numbers):
        self.assertEqual([f"{self.tag[-8:]}-{number}" for number in numbers], sorted(self.names()))

    def test_append(self):
        append(self.path("btmp"), *self.guesses(1, 2, 3))
        self.assert_guesses(1, 2, 3)

    def test_torn(self):
        one, two = self.guesses(1, 2)
        append(self.path("btmp"), one, two[:100])
        self.assert_guesses(1)
        append(self.path("btmp"), two[100:])
        self.assert_guesses(1, 2)

    def test_rotated(self):
        append(self.path("btmp"), *self.guesses(1))
        os.rename(self.path("btmp"), self.path("btmp.1"))
        append(self.path("btmp.1"), *self.guesses(2))
        append(self.path("btmp"), *self.guesses(3, 4))
        self.assert_guesses(1, 2, 3, 4)

    def test_truncated(self):
        append(self.path("btmp"), *self.guesses(1, 2))
        self.assert_guesses(1, 2)
        os.truncate(self.path("btmp"), 0)
        append(self.path("btmp"), *self.guesses(3))
        self.assert_guesses(1, 2, 3)

    def test_shortened(self):
        append(self.path("btmp"), *self.guesses(1, 2, 3))
        self.assert_guesses(1, 2, 3)
        os.truncate(self.path("btmp"), os.path.getsize(self.path("btmp")) - RECORD.size)
        self.assert_guesses(1, 2, 3)
        append(self.path("btmp"), *self.guesses(4))
        self.assert_guesses(1, 2, 3, 4)

    def test_replaced(self):
        append(self.path("btmp"), *self.guesses(1, 2))
        self.assert_guesses(1, 2)
        shutil.copy(self.path("btmp"), self.path("new"))
        append(self.path("new"), *self.guesses(3))
        os.rename(self.path("new"), self.path("btmp"))
        self.assert_guesses(1, 2, 3)

    def test_while_the_agent_is_killed(self):
        append(self.path("btmp"), *self.guesses(1, 2))
        self.assert_guesses(1, 2)
        self.vestige.kill_all()
        append(self.path("btmp"), *self.guesses(3))
        os.rename(self.path("btmp"), self.path("btmp.2"))
        append(self.path("btmp"), *self.guesses(4))
        self.vestige.start()
        self.assert_guesses(1, 2, 3, 4)
        self.vestige.kill_agent()
        append(self.path("btmp"), *self.guesses(5))
        self.assert_guesses(1, 2, 3, 4, 5)
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] == "utmp"])


class TestWtmp(LoginTest):
    """wtmp becomes another one: that is a finding. Each visit is a login and a logout."""

    CLASSES = ("wtmp_shrank", "wtmp_changed_inode")

    def setUp(self):
        super().setUp()
        self.name = self.tag[-8:]
        append(self.path("wtmp"), *self.visits(0))
        self.vestige.sync()

    def visits(self, *numbers):
        now = time.time()
        return [one for number in numbers for one in (
            record(USER, 1 << 21, f"pts/9{number}", f"{self.name}-{number}", "", now),
            record(DEAD, 1 << 21, f"pts/9{number}", "", "", now))]

    def assert_visits(self, *numbers):
        self.vestige.sync()
        rows = self.sessions("username LIKE %s", self.name + "%")
        self.assertEqual([(f"{self.name}-{number}", "closed") for number in numbers],
                         sorted(self.values(rows, "username", "end_cause")), brief(rows))

    def assert_finding(self, name, detail):
        self.assertEqual([(name, "wtmp", detail)], self.findings(*self.CLASSES))

    def inode(self, name="wtmp"):
        return os.stat(self.path(name)).st_ino

    def test_rotated(self):
        before = self.inode()
        os.rename(self.path("wtmp"), self.path("wtmp.1"))
        append(self.path("wtmp.1"), *self.visits(1))
        append(self.path("wtmp"), *self.visits(2))
        self.assert_visits(0, 1, 2)
        self.assert_finding("wtmp_changed_inode", "the one before was renamed; "
                                                  f"inode {self.inode()}, before {before}")

    def test_truncated(self):
        size = os.path.getsize(self.path("wtmp"))
        os.truncate(self.path("wtmp"), 0)
        self.assert_visits(0)
        append(self.path("wtmp"), *self.visits(1))
        self.assert_visits(0, 1)
        self.assert_finding("wtmp_shrank", f"{size} bytes were read, now it has 0")

    def test_written_over(self):
        """As long as before."""
        append(self.path("wtmp"), *self.visits(1))
        self.assert_visits(0, 1)
        size = os.path.getsize(self.path("wtmp"))
        with open(self.path("wtmp"), "r+b") as stream:
            stream.seek(-2 * RECORD.size, os.SEEK_END)
            stream.write(b"".join(self.visits(2)))
        self.assert_visits(0, 1, 2)
        self.assert_finding("wtmp_shrank", f"{size} bytes were read, now it has {size}")

    def test_replaced(self):
        before = self.inode()
        shutil.copy(self.path("wtmp"), self.path("new"))
        append(self.path("new"), *self.visits(1))
        os.rename(self.path("new"), self.path("wtmp"))
        self.assert_visits(0, 1)
        self.assert_finding("wtmp_changed_inode", "the one before is gone; "
                                                  f"inode {self.inode()}, before {before}")

    def test_removed(self):
        before = self.inode()
        append(self.path("wtmp"), *self.visits(1))
        os.unlink(self.path("wtmp"))
        self.vestige.sync()
        coverage = self.only(self.vestige.query("SELECT detail FROM coverage WHERE "
                                                "source = 'utmp' AND destroyed_at IS NULL"),
                             "coverage")
        self.assertIn(" wtmp", coverage["detail"].partition("; not there:")[2])
        append(self.path("wtmp"), *self.visits(2))
        self.assert_visits(0, 1, 2)
        self.assert_finding("wtmp_changed_inode",
                            f"inode {before} is gone, and there is no other")


class TestLogins(LoginTest):
    """What programs say, and what they write."""

    def setUp(self):
        super().setUp()
        self.vestige.sync()

    def log_in(self, speaker, name, host="198.18.0.9"):
        speaker.pam(AUTH, "authentication", name, host=host)
        speaker.pam(ACCT, "accounting", name, host=host)
        speaker.pam(START, "session_open", name, host=host)

    def test_both(self):
        """One row of both, and its processes."""
        with Speaker() as sshd:
            self.log_in(sshd, self.tag)
            append(self.path("wtmp"), record(USER, sshd.pid, "pts/77", self.tag[:32],
                                             "client.example", time.time()))
            self.vestige.sync()
            row = self.only(self.sessions("leader_pid = %s", sshd.pid), "session")
            self.assert_row(row, username=self.tag, tty="pts/77", service="sshd",
                            remote_address="198.18.0.9", remote_name="client.example",
                            seen_by="audit,utmp", destroyed_at=None,
                            boot_id=BOOT_ID,
                            process_id=self.row_of(sshd.pid)["id"])
            sshd.pam(END, "session_close", self.tag)
            append(self.path("wtmp"), record(DEAD, sshd.pid, "pts/77", "", "", time.time()))
            self.vestige.sync()
            row = self.only(self.sessions("leader_pid = %s", sshd.pid), "session")
            self.assert_ended(row, end_cause="closed")
            attempt = self.only(self.attempts("username = %s", self.tag), "attempt")
            self.assert_row(attempt, result="success", service="sshd",
                            remote_address="198.18.0.9", seen_by="audit",
                            process_id=self.row_of(sshd.pid)["id"])

    def test_killed_and_taken_up(self):
        """Open over kill -9 of the agent; then the leader is killed."""
        with Speaker() as sshd, Speaker() as other:
            self.log_in(sshd, self.tag)
            self.log_in(other, self.tag)
            self.vestige.sync()
            before = self.sessions("username = %s AND destroyed_at IS NULL", self.tag)
            self.assertEqual(2, len(before), brief(before))
            self.vestige.kill_agent()
            self.vestige.sync()
            self.assertEqual(before, self.sessions("username = %s", self.tag))
            other.pam(END, "session_close", self.tag)
            sshd.process.kill()
            sshd.process.wait()
            self.vestige.sync()

            def ended():
                self.vestige.sync()
                return self.sessions("leader_pid = %s AND destroyed_at IS NOT NULL", sshd.pid)
            row = self.only(wait_for(ended, 60, "its session ends"), "session")
            self.assert_ended(row, end_cause="exit", id=before[0]["id"])
            self.assert_row(self.only(self.sessions("leader_pid = %s", other.pid), "session"),
                            end_cause="closed")

    def test_failures(self):
        """A wrong password, and a user that does not exist, whose name only btmp has."""
        with Speaker() as sshd:
            sshd.pam(AUTH, "authentication", self.tag, result="failed")
            append(self.path("btmp"), record(LOGIN, sshd.pid, "ssh:notty", self.tag[:32],
                                             "198.18.0.9", time.time()))
            self.vestige.sync()
            sshd.pam(AUTH, "authentication", "?", result="failed")
            sshd.say(USER_LOGIN, 'op=login acct=28696E76616C6964207573657229 exe="/usr/sbin/sshd" '
                                 "hostname=? addr=198.18.0.9 terminal=sshd res=failed")
            append(self.path("btmp"), record(LOGIN, sshd.pid, "ssh:notty", "no-such-user",
                                             "198.18.0.9", time.time()))
            self.vestige.sync()
            rows = self.attempts("process_id = %s", self.row_of(sshd.pid)["id"])
            self.assertEqual([(self.tag, "failure", "sshd", "198.18.0.9", "audit,utmp"),
                              ("no-such-user", "failure", "sshd", "198.18.0.9", "audit,utmp")],
                             self.values(rows, "username", "result", "service", "remote_address",
                                         "seen_by"))

    def test_sudo(self):
        with Speaker() as sudo:
            for result in ("failed", "failed", "success"):
                sudo.pam(AUTH, "authentication", self.tag, "/usr/bin/sudo", result, "?",
                         "/dev/pts/5")
            sudo.pam(ACCT, "accounting", self.tag, "/usr/bin/sudo", "success", "?", "/dev/pts/5")
            sudo.say(CMD, 'cwd="/" cmd="id" exe="/usr/bin/sudo" terminal=pts/5 res=success')
            sudo.pam(START, "session_open", "root", "/usr/bin/sudo", "success", "?", "/dev/pts/5")
            sudo.pam(END, "session_close", "root", "/usr/bin/sudo", "success", "?", "/dev/pts/5")
        self.vestige.sync()
        process = self.row_of(sudo.pid)["id"]
        self.assertEqual([(self.tag, "failure"), (self.tag, "failure"), (self.tag, "success")],
                         self.values(self.attempts("process_id = %s", process), "username",
                                     "result"))
        row = self.only(self.sessions("leader_pid = %s", sudo.pid), "session")
        self.assert_ended(row, service="sudo", username="root", tty="pts/5", end_cause="closed")

    def test_hostile_name(self):
        """An apostrophe and words that look like fields."""
        with Speaker() as sshd:
            sshd.say(AUTH, "op=PAM:authentication acct=\"o'x\" exe=\"/usr/sbin/sshd\" "
                           "hostname=a'b addr=198.18.0.9 terminal=ssh res=failed")
            sshd.say(AUTH, "op=PAM:authentication acct=6120726573 exe=\"/usr/sbin/sshd\" "
                           "hostname=x res=success addr=198.18.0.9 terminal=ssh res=failed")
            self.vestige.sync()
            self.assertEqual([("o'x", "failure"), ("a res", "failure")], self.values(
                self.attempts("process_id = %s", self.row_of(sshd.pid)["id"]),
                "username", "result"))

    def test_findings(self):
        """Logouts of nobody, by a line that is no text, too."""
        with Speaker() as sshd:
            sshd.pam(END, "session_close", self.tag)
            append(self.path("wtmp"), record(DEAD, 1 << 21, "\xff\tx", "", "", time.time()),
                   record(USER, 1 << 21, "pts/81", self.tag[:32], "", time.time()))
            self.vestige.sync()
            self.assertEqual(
                [("logout_without_login", f"pid {sshd.pid}",
                  f"sshd, process {sshd.pid}, closed a session that was not opened"),
                 ("logout_without_login", "\\xff\tx",
                  f"process {1 << 21}: a logout of nobody who was logged in"),
                 ("session_without_leader", "pts/81",
                  f"process {1 << 21}, which a login names, was never there")],
                sorted(self.findings("logout_without_login", "session_without_leader"),
                       key=lambda one: (one[0], one[1] != f"pid {sshd.pid}")))
            append(self.path("wtmp"), record(DEAD, 1 << 21, "pts/81", "", "", time.time()))

    def test_reboot_record(self):
        """It closes what nobody is in any more, and only that."""
        with Speaker() as sshd:
            append(self.path("wtmp"),
                   record(USER, sshd.pid, "pts/78", self.tag[:32], "", time.time()),
                   record(USER, 1 << 21, "pts/79", self.tag[:32], "", time.time()))
            self.vestige.sync()
            append(self.path("wtmp"), record(BOOT_TIME, 0, "~", "reboot", "6.1", time.time()))
            self.vestige.sync()
            self.assertEqual([("pts/78", None), ("pts/79", "reboot")], self.values(
                self.sessions("tty IN ('pts/78', 'pts/79')"), "tty", "end_cause"))

    def test_utmp(self):
        """No wtmp: what utmp shows is there, and what it shows no more is over, but for who lives."""
        with Speaker() as shell:
            now = time.time()
            append(self.path("utmp"), record(USER, shell.pid, "pts/80", self.tag[:32], "", now),
                   record(USER, 1 << 21, "pts/82", self.tag[:32], "", now))
            self.vestige.sync()
            rows = self.sessions("tty IN ('pts/80', 'pts/82')")
            self.assertEqual([("utmp", None, shell.pid), ("utmp", None, 1 << 21)],
                             self.values(rows, "seen_by", "destroyed_at", "leader_pid"))
            self.assertEqual([], [gap for gap in self.gaps() if gap["source"] == "utmp"])
            with open(self.path("new"), "wb") as stream:
                stream.truncate(2 << 20)  # more than is read
            os.rename(self.path("new"), self.path("utmp"))
            self.vestige.sync()
            self.assertEqual(rows, self.sessions("tty IN ('pts/80', 'pts/82')"))
            os.truncate(self.path("utmp"), 0)
            self.vestige.sync()
            self.assertEqual([("pts/80", None), ("pts/82", "closed")], self.values(
                self.sessions("tty IN ('pts/80', 'pts/82')"), "tty", "end_cause"))
            self.assertEqual(
                [("utmp_shrank", "pts/80",
                  f"{self.tag[:32]}, process {shell.pid}: utmp shows it no more, and it lives")],
                self.findings("utmp_shrank"))
            self.assertEqual({("unread", "record", None)}, {
                (gap["cause"], gap["unit"], gap["count"])
                for gap in self.gaps() if gap["source"] == "utmp"})

        def ended():
            self.vestige.sync()
            return self.sessions("tty = 'pts/80' AND destroyed_at IS NOT NULL")
        self.assert_ended(self.only(wait_for(ended, 60, "its session ends"), "session"),
                          end_cause="exit")


DENY = "auth required pam_deny.so\naccount required pam_permit.so\n"
OPEN = ENTER.replace('exec "$@"', 'mount --bind "$BTMP" /var/log/btmp\nexec "$@"')


class TestPrograms(LoginTest):
    """The system's own su and sudo, on files of the test's own."""

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)

    def write_files(self, **changed):
        for name, text in {**FILES, **changed}.items():
            with open(os.path.join(self.directory, name), "w") as stream:
                stream.write(text)
        os.chmod(os.path.join(self.directory, "sudoers"), 0o440)

    def log_in_and(self, *command, **options):
        """Log in as 1000, as an ordinary user run the command. What the actor reported."""
        return act("login", LOGIN_UID, ACTOR, "as", LOGIN_UID, *command,
                   prefix=("env", "BTMP=" + self.path("btmp"), "unshare", "--mount", "/bin/sh", "-c",
                           OPEN, "sh", self.directory), **options)[1]

    def test_su(self):
        self.write_files()
        shown = self.log_in_and("su", "root", "-c", f"{ACTOR} show {self.tag}")["self"]
        self.vestige.sync()
        row = self.only(self.sessions("service = 'su' AND session_id = %s", shown["session"]),
                        "session")
        self.assert_ended(row, username="root", login_uid=LOGIN_UID, seen_by="audit",
                          end_cause="closed", boot_id=BOOT_ID)
        attempt = self.only(self.attempts("process_id = %s", row["process_id"]), "attempt")
        self.assert_row(attempt, username="root", service="su", result="success")
        inside = self.vestige.query(
            "SELECT p.arguments FROM session s JOIN process p ON p.host_id = s.host_id "
            "AND p.boot_id = s.boot_id AND p.session_id = s.session_id "
            "AND p.login_uid = s.login_uid AND p.created_at >= s.created_at - INTERVAL 2 SECOND "
            "AND p.created_at <= s.destroyed_at + INTERVAL 2 SECOND WHERE s.id = %s", row["id"])
        self.assertIn({"arguments": f"show {self.tag}"}, inside)

    def test_su_refused(self):
        """PAM and su itself (in btmp) tell of it."""
        self.write_files(pam=DENY)
        self.log_in_and("su", "root", "-c", f"{ACTOR} show {self.tag}", status=1)
        self.vestige.sync()
        attempt = self.only(self.attempts("service = 'su' AND result = 'failure'"), "attempt")
        self.assert_row(attempt, username="root", seen_by="audit,utmp")
        self.assertEqual([], self.sessions("service = 'su'"))

    def test_sudo(self):
        self.write_files()
        shown = self.log_in_and("sudo", ACTOR, "show", self.tag)["self"]
        self.vestige.sync()
        row = self.only(self.sessions("service = 'sudo' AND session_id = %s", shown["session"]),
                        "session")
        self.assert_ended(row, username="root", login_uid=LOGIN_UID, end_cause="closed")
        attempt = self.only(self.attempts("process_id = %s", row["process_id"]), "attempt")
        self.assert_row(attempt, username="ordinary", service="sudo", result="success")

    def test_sudo_refused(self):
        self.write_files(pam=DENY, sudoers="ordinary ALL=(ALL) ALL\n")
        self.log_in_and("/bin/sh", "-c", "yes x | sudo -S true", status=1)
        self.vestige.sync()
        rows = self.attempts("service = 'sudo'")
        self.assertEqual({("ordinary", "failure")}, set(self.values(rows, "username", "result")))
        self.assertEqual(3, len(rows), brief(rows))
        self.assertEqual([], self.sessions("service = 'sudo'"))


JOBS = 23
# Audit's times are of the kernel's ticks, which come late where a virtual processor is away.
TICK = datetime.timedelta(milliseconds=250)
CRON = """
set -e
cd "$1"
shift
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount --bind shadow /etc/shadow
mount --bind empty /etc/crontab
mount --bind none /etc/cron.d
mount --bind crontabs /var/spool/cron/crontabs
mount --bind run /run
exec "$@"
"""


class TestCron(LoginTest):
    """The real cron with the machine's PAM; accounts, crontabs and /run, where it keeps its pid and
    that it has begun, are the test's own."""

    OURS = "username IN ('ordinary', 'expired')"

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        for name in ("crontabs", "run", "none"):
            os.mkdir(self.path_of(name))
        self.write("empty", "")
        self.write("passwd", FILES["passwd"] + "expired:x:1001:1000::/:/bin/sh\n")
        self.write("group", FILES["group"])
        self.write("shadow", FILES["shadow"] + "expired:*:19000:0:99999:7::19001:\n")

    def path_of(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text):
        with open(self.path_of(name), "w") as stream:
            stream.write(text)

    def crontab(self, user, uid, *jobs):
        path = os.path.join("crontabs", user)
        self.write(path, 'MAILTO=""\n' + "".join(f"@reboot {job}\n" for job in jobs))
        os.chmod(self.path_of(path), 0o600)
        os.chown(self.path_of(path), uid, 0)

    @contextlib.contextmanager
    def cron(self):
        with subprocess.Popen(["unshare", "--mount", "/bin/sh", "-c", CRON, "sh", self.directory,
                               "/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL) as cron:
            try:
                yield cron
            finally:
                cron.terminate()
                cron.wait(60)

    def test_jobs(self):
        """All begin together. A session and an audit session for each, and no attempt; the job of
        whose account has expired is refused."""
        self.crontab("ordinary", LOGIN_UID, *(
            f"{ACTOR} show {self.tag}-{job}; {ACTOR} show {self.tag}-{job}" for job in range(JOBS)))
        self.crontab("expired", 1001, f"{ACTOR} show {self.tag}-expired")
        with self.cron():
            def ended():
                self.vestige.sync()
                rows = self.sessions(f"destroyed_at IS NOT NULL AND {self.OURS}")
                return len(rows) >= JOBS and self.attempts(self.OURS)
            wait_for(ended, 90, "all jobs are done", 0.2)
        self.vestige.sync()
        rows = self.sessions(self.OURS)
        self.assertEqual(JOBS, len(rows), brief(rows))
        jobs = collections.Counter()
        for row in rows:
            self.assert_ended(row, username="ordinary", service="cron", login_uid=LOGIN_UID,
                              tty=None, remote_address=None, remote_name=None, seen_by="audit",
                              end_cause="closed", boot_id=BOOT_ID)
            leader = self.only(self.processes("id = %s", row["process_id"]), "leader")
            self.assert_row(leader, pid=row["leader_pid"], comm="cron")
            inside = self.processes(
                "session_id = %s AND login_uid = %s AND arguments LIKE 'show %%'",
                row["session_id"], LOGIN_UID)
            self.assertEqual(2, len(inside), brief(inside))
            for process in inside:
                self.assertTrue(row["created_at"] <= process["created_at"]
                                <= process["destroyed_at"] <= row["destroyed_at"] + TICK,
                                brief([row, process]))
            jobs.update(process["arguments"] for process in inside)
        self.assertEqual({f"show {self.tag}-{job}": 2 for job in range(JOBS)}, jobs)
        attempt = self.only(self.attempts(self.OURS), "attempt")
        self.assert_row(attempt, username="expired", service="cron", result="failure", tty=None,
                        remote_address=None, seen_by="audit")
        self.assertEqual([], self.processes("arguments = %s", f"show {self.tag}-expired"))


UNIT = """
[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force

[Service]
User={user}
PAMName=systemd-user
ExecStart={command}
"""
MANAGER = """
set -e
for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
cd "$1"
shift
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount --bind shadow /etc/shadow
mount --bind run /run
exec "$@"
"""


class UserManager:
    """systemd begins a user manager as a unit with PAMName=systemd-user. Here it is not process 1:
    a `systemd --user` of root begins such a unit, whose program is another, by the same code and
    PAM. Real are the program, PAM and the records; accounts and /run are the test's own."""

    def __init__(self, user, *command):
        self.user, self.command = user, command

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        os.chmod(self.directory, 0o755)
        for name in ("run", "run/systemd", "run/systemd/system", "units", "runtime"):
            os.mkdir(os.path.join(self.directory, name))
        self.write("units/it.service", UNIT.format(user=self.user, command=" ".join(self.command)))
        for name in ("passwd", "group", "shadow"):
            self.write(name, FILES[name])
        roots = [root for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified",
                                   "/sys/fs/cgroup") if os.path.exists(f"{root}/cgroup.procs")]
        self.groups = [f"{root}/{os.path.basename(self.directory)}" for root in roots]
        for group in self.groups:
            os.mkdir(group)
        environment = {**os.environ, "CGROUPS": " ".join(self.groups),
                       "SYSTEMD_UNIT_PATH": f"{self.directory}/units",
                       "XDG_RUNTIME_DIR": f"{self.directory}/runtime"}
        self.process = subprocess.Popen(
            ["unshare", "--mount", "/bin/sh", "-c", MANAGER, "sh", self.directory,
             "/lib/systemd/systemd", "--user", "--unit=it.service", "--log-target=null"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment)
        return self

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as stream:
            stream.write(text)

    def empty(self):
        for group in self.groups:
            for root, _, _ in os.walk(group):
                with open(f"{root}/cgroup.procs") as stream:
                    if stream.read():
                        return False
        return True

    def __exit__(self, *failure):
        if failure[0]:
            self.process.kill()
        self.process.wait(60)
        wait_for(self.empty, 60, "its processes end")
        for group in self.groups:
            for root, _, _ in os.walk(group, topdown=False):
                os.rmdir(root)
        shutil.rmtree(self.directory)


class TestUserManager(LoginTest):
    def test_unit(self):
        with UserManager("ordinary", ACTOR, "show", self.tag):
            pass

        def ended():
            self.vestige.sync()
            return self.sessions("destroyed_at IS NOT NULL")
        row = self.only(wait_for(ended, 60, "the session ends"), "session")
        self.assertEqual([row], self.sessions())
        # (sd-pam) closes without the right to tell audit.
        self.assert_row(row, username="ordinary", service="systemd-user", tty=None,
                        login_uid=LOGIN_UID, remote_address=None, seen_by="audit",
                        end_cause="exit", boot_id=BOOT_ID)
        inside = self.processes("session_id = %s AND login_uid = %s AND arguments = %s",
                                row["session_id"], LOGIN_UID, f"show {self.tag}")
        self.assert_row(self.only(inside, "the unit's program"), pid=row["leader_pid"],
                        uid=LOGIN_UID)
        self.assertEqual([], self.attempts())


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
PidFile none
UsePAM {pam}
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PrintMotd no
"""


LOGS = """
set -e
mount --bind "$0/utmp" "$1/utmp"
mount --rbind "$1" /run
mount --bind "$0" /var/log
shift
exec "$@"
"""


class Sshd(LoginTest):
    """The real sshd, on a port of its own; /run and /var/log are ours where it runs."""

    pam = "yes"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="vestige-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        for name in ("host_key", "key", "other"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{cls.directory}/{name}")
        os.rename(f"{cls.directory}/key.pub", f"{cls.directory}/authorized_keys")
        with open(f"{cls.directory}/askpass", "w") as stream:
            stream.write("#!/bin/sh\necho wrong\n")
        os.chmod(f"{cls.directory}/askpass", 0o755)
        os.makedirs(f"{cls.directory}/run/sshd", 0o755)
        append(f"{cls.directory}/run/utmp")
        append(os.path.join(cls.vestige.logins, "utmp"))
        os.chmod(os.path.join(cls.vestige.logins, "btmp"), 0o600)
        append(os.path.join(cls.vestige.logins, "lastlog"))
        cls.port = own_port()
        with open(f"{cls.directory}/sshd_config", "w") as stream:
            stream.write(SSHD.format(port=cls.port, directory=cls.directory, pam=cls.pam))
        cls.log = open(f"{cls.directory}/log", "w+")
        cls.addClassCleanup(cls.log.close)
        cls.sshd = subprocess.Popen(
            ["unshare", "--mount", "/bin/sh", "-c", LOGS, cls.vestige.logins,
             f"{cls.directory}/run", "/usr/sbin/sshd", "-D", "-e", "-f",
             f"{cls.directory}/sshd_config"], stdin=subprocess.DEVNULL, stderr=cls.log)
        cls.addClassCleanup(cls.end_sshd)

        def listens():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", cls.port)) == 0
        wait_for(listens, 60, "sshd listens")

    @classmethod
    def end_sshd(cls):
        cls.sshd.terminate()
        cls.sshd.wait(60)

    def said(self):
        with open(f"{self.directory}/log") as stream:
            return stream.read()[-3000:]

    def ssh(self, user, *command, password=False, tty=True):
        options = ["-F", "none", "-tt" if tty else "-T", "-p", str(self.port),
                   "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                   "-o", "NumberOfPasswordPrompts=1"]
        options += (["-o", "PubkeyAuthentication=no"] if password else
                    ["-i", f"{self.directory}/other", "-i", f"{self.directory}/key",
                     "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
        environment = {**os.environ, "SSH_ASKPASS": f"{self.directory}/askpass",
                       "SSH_ASKPASS_REQUIRE": "force"}
        before = self.connections()
        client = subprocess.Popen(["ssh", *options, f"{user}@127.0.0.1", *command],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=environment, text=True)
        client.others = before
        return client

    def connections(self):
        """The processes of sshd that serve one each."""
        return set(processes_named("sshd", self.sshd.pid))

    def finish(self, client):
        """When its side of sshd has ended, too, which tells of the logout after the client has gone."""
        output, _ = client.communicate(timeout=60)
        wait_for(lambda: not (self.connections() - client.others), 60, "sshd has done with it")
        return client.returncode, output

    def log_in(self, tty=True):
        """Logged in until let_go()."""
        gate = tempfile.mktemp(prefix="gate-", dir=self.directory)
        os.mkfifo(gate)
        client = self.ssh("root", f"echo ready; exec cat {gate}", tty=tty)
        client.gate = gate
        self.addCleanup(self.end, client)
        self.assertEqual("ready", client.stdout.readline().strip(), self.said())
        client.own = self.connections() - client.others
        self.vestige.sync()  # the next one begins when nothing is merged with this one any more
        return client

    @staticmethod
    def open_gate(gate):
        """Whether somebody waited there."""
        with contextlib.suppress(OSError):
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    def let_go(self, *clients):
        for client in clients:
            wait_for(lambda gate=client.gate: self.open_gate(gate), 60, "the login waits")
        for client in clients:
            client.others |= self.connections() - client.own
            self.assertEqual(0, self.finish(client)[0], self.said())

    def end(self, client):
        client.kill()
        client.wait(60)
        client.stdout.close()

    def sshd_sessions(self):
        self.vestige.sync()
        return self.sessions("service = 'sshd'")

    def start_in_another_boot(self):
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"',
            self.vestige.path("boot_id")))


class TestSshd(Sshd):
    def test_login_and_logout(self):
        status, output = self.finish(self.ssh("root", f"tty; {ACTOR} show {self.tag}"))
        self.assertEqual(0, status, output + self.said())
        tty = output.splitlines()[0].strip().removeprefix("/dev/")
        self.vestige.sync()
        row = self.only(self.sessions("service = 'sshd'"), "session\n" + self.said())
        self.assert_ended(row, username="root", tty=tty, login_uid=0, seen_by="audit,utmp",
                          end_cause="closed", remote_address="127.0.0.1")
        attempt = self.only(self.attempts(), "attempt")
        self.assert_row(attempt, username="root", service="sshd", result="success",
                        remote_address="127.0.0.1")
        inside = self.vestige.query(
            "SELECT arguments FROM process WHERE session_id = %s AND login_uid = 0 AND id >= %s",
            row["session_id"], self.since)
        self.assertIn({"arguments": f"show {self.tag}"}, inside)

    def test_refused(self):
        """A wrong password, and a user that does not exist."""
        for user in ("root", "no-such-user"):
            status, output = self.finish(self.ssh(user, "true", password=True))
            self.assertEqual(255, status, output)
        self.vestige.sync()
        rows = self.attempts()
        # Of the user that does not exist sshd tells when it hears the name, too, as in lastb.
        self.assertEqual([("root", "failure", "sshd", "127.0.0.1", "audit,utmp"),
                          ("no-such-user", "failure", "sshd", "127.0.0.1", "audit,utmp"),
                          ("no-such-user", "failure", "sshd", "127.0.0.1", "audit,utmp")],
                         self.values(rows, "username", "result", "service", "remote_address",
                                     "seen_by"), brief(rows) + self.said())
        self.assertEqual([], self.sessions())

    def test_killed_leader(self):
        client = self.ssh("root", "echo ready; exec sleep 60")
        self.assertEqual("ready", client.stdout.readline().strip())
        self.vestige.sync()
        row = self.only(self.sessions("service = 'sshd'"), "session")
        self.assert_row(row, destroyed_at=None, seen_by="audit,utmp")
        os.kill(row["leader_pid"], signal.SIGKILL)
        self.finish(client)

        def ended():
            self.vestige.sync()
            return self.sessions("id = %s AND destroyed_at IS NOT NULL", row["id"])
        self.assert_ended(self.only(wait_for(ended, 60, "the session ends"), "session"),
                          end_cause="exit")

    def test_user_manager_of_a_login(self):
        """It begins with the login, of the same user: a session of its own. (sd-pam) of root may
        tell audit that it closes."""
        with UserManager("root", ACTOR, "show", self.tag):
            client = self.log_in()
        self.vestige.sync()
        ssh = self.only(self.sessions("service = 'sshd'"), "session of sshd")
        manager = self.only(self.sessions("service = 'systemd-user'"), "session of systemd")
        self.assertEqual(2, len(self.sessions()), brief(self.sessions()))
        self.assert_row(ssh, username="root", seen_by="audit,utmp", destroyed_at=None)
        self.assert_ended(manager, username="root", seen_by="audit", tty=None, login_uid=0,
                          end_cause="closed")
        self.assertNotEqual(ssh["session_id"], manager["session_id"])
        self.only(self.processes("session_id = %s AND login_uid = 0 AND arguments = %s",
                                 manager["session_id"], f"show {self.tag}"), "the unit's program")
        self.let_go(client)

    def test_taken_up(self):
        """Open over kill -9 of the agent, with a terminal and without; then closed."""
        clients = [self.log_in(), self.log_in(tty=False)]
        before = self.sshd_sessions()
        self.assertEqual([("audit,utmp", None), ("audit", None)],
                         self.values(before, "seen_by", "destroyed_at"), brief(before))
        self.vestige.kill_agent()
        self.assertEqual(before, self.sshd_sessions())
        self.let_go(*clients)
        after = self.sshd_sessions()
        self.assertEqual([row["id"] for row in before], [row["id"] for row in after], brief(after))
        for row in after:
            self.assert_ended(row, end_cause="closed")

    def test_closed_while_no_agent_runs(self):
        """wtmp has the logout of the one with a terminal, nobody that of the other; a third stays."""
        clients = [self.log_in(), self.log_in(tty=False)]
        third = self.log_in()
        before = self.sshd_sessions()
        self.assertEqual(3, len(before), brief(before))
        self.vestige.stop()
        begin = utc_now()
        self.let_go(*clients)
        end = utc_now()
        self.vestige.start()
        after = self.sshd_sessions()
        self.assertEqual([row["id"] for row in before], [row["id"] for row in after], brief(after))
        self.assertEqual(["closed", "reconciled", None],
                         [row["end_cause"] for row in after], brief(after))
        self.assertTrue(begin <= after[0]["destroyed_at"] <= end, brief(after))
        self.assertLess(end, after[1]["destroyed_at"])
        self.let_go(third)
        self.assert_ended(self.sshd_sessions()[2], end_cause="closed")

    def test_reboot(self):
        client = self.log_in()
        begin = utc_now() - datetime.timedelta(seconds=2)
        before = self.only(self.sshd_sessions(), "session")
        self.vestige.kill_all()
        end = utc_now()
        self.start_in_another_boot()
        try:
            row = self.only(self.sshd_sessions(), "session")
            self.assert_ended(row, id=before["id"], end_cause="reboot", boot_id=BOOT_ID)
            self.assertTrue(begin <= row["destroyed_at"] <= end, brief([row]))
            self.let_go(client)
            self.vestige.sync()
        finally:
            self.vestige.stop()
            self.vestige.start()
        self.assertEqual([row], self.sshd_sessions())


class TestSshdWithoutPam(Sshd):
    """sshd itself tells of a failure, and of a login when it has a terminal; nobody sets the login
    user."""

    pam = "no"

    def test_login_and_logout(self):
        status, output = self.finish(self.ssh("root", f"tty; {ACTOR} show {self.tag}"))
        self.assertEqual(0, status, output + self.said())
        tty = output.splitlines()[0].strip().removeprefix("/dev/")
        self.vestige.sync()
        row = self.only(self.sessions(), "session\n" + self.said())
        self.assert_ended(row, username="root", tty=tty, service="sshd", login_uid=None,
                          session_id=None, seen_by="audit,utmp", end_cause="closed",
                          remote_address="127.0.0.1")
        attempt = self.only(self.attempts(), "attempt")
        self.assert_row(attempt, username="root", service="sshd", result="success", tty=tty,
                        remote_address="127.0.0.1", seen_by="audit")
        shown = self.only(self.processes("arguments = %s", f"show {self.tag}"), "the command")
        self.assert_row(shown, session_id=None, login_uid=None)

    def test_without_terminal(self):
        """Told is only that the first key was refused."""
        status, output = self.finish(self.ssh("root", f"{ACTOR} show {self.tag}", tty=False))
        self.assertEqual(0, status, output + self.said())
        self.vestige.sync()
        self.only(self.processes("arguments = %s", f"show {self.tag}"), "the command")
        self.assertEqual([], self.sessions())
        self.assert_row(self.only(self.attempts(), "attempt"), username="root", service="sshd",
                        result="failure", remote_address="127.0.0.1", seen_by="audit")

    def test_refused(self):
        """A wrong password, and a user that does not exist."""
        for user in ("root", "no-such-user"):
            status, output = self.finish(self.ssh(user, "true", password=True))
            self.assertEqual(255, status, output)
        self.vestige.sync()
        rows = self.attempts()
        # sshd tells of the user that does not exist twice, as in lastb, but audit's two words may
        # be with the first: then the second is btmp's alone.
        self.assertCountEqual([("root", "failure", "sshd", "127.0.0.1"),
                               ("no-such-user", "failure", "sshd", "127.0.0.1"),
                               ("no-such-user", "failure", "sshd", "127.0.0.1")],
                              self.values(rows, "username", "result", "service", "remote_address"),
                              brief(rows) + self.said())
        by_both = [row["username"] for row in rows if row["seen_by"] == "audit,utmp"]
        self.assertEqual({"root", "no-such-user"}, set(by_both), brief(rows))
        for row in rows:
            self.assertIn(row["seen_by"], ("audit,utmp", "utmp"))
            process = self.only(self.processes("id = %s", row["process_id"]), "process")
            self.assert_row(process, comm="sshd")
        self.assertEqual([], self.sessions())


if __name__ == "__main__":
    main()
