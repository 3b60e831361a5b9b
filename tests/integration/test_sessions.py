"""Sessions and attempts to log in: what wtmp and btmp hold at the first start against last(1) and
lastb(1); files that are rotated, truncated, replaced and torn; what programs say to audit, merged
with utmp; restarts."""

import collections
import os
import shutil
import tempfile
import time
import unittest

from login_test import (ACCT, AUTH, BOOT_TIME, CMD, DEAD, END, START, USER, USER_LOGIN, RECORD,
                        LOGIN, Speaker, append, failures, history, record, told_by_last)
from vestige_test import (Standalone, VestigeTest, act, assert_audit_state, audit_state, brief,
                          main, run, wait_for)

DAY = 86400
N_RECORDS = 10000
MERGE_MS = 300
with open("/proc/sys/kernel/random/boot_id") as stream:
    BOOT_ID = stream.read().strip()
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

    def path(self, name):
        return os.path.join(self.vestige.logins, name)

    def sessions(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM session WHERE id >= {self.since} AND "
                                  f"({condition}) ORDER BY created_at, id", *parameters)

    def attempts(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM auth_attempt WHERE id >= {self.since} AND "
                                  f"({condition}) ORDER BY created_at, id", *parameters)

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]


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
            row = self.only(wait_for(ended, 10, "its session ends"), "session")
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
        """No wtmp: what utmp shows is there, and what it shows no more is over."""
        with Speaker() as shell:
            one = record(USER, shell.pid, "pts/80", self.tag[:32], "", time.time())
            append(self.path("utmp"), one)
            self.vestige.sync()
            row = self.only(self.sessions("tty = 'pts/80'"), "session")
            self.assert_row(row, seen_by="utmp", destroyed_at=None, leader_pid=shell.pid)
            os.truncate(self.path("utmp"), 0)
            self.vestige.sync()
            row = self.only(self.sessions("tty = 'pts/80'"), "session")
            self.assert_ended(row, end_cause="closed")

    def test_join(self):
        """The processes of a session, by the key that the schema names."""
        _, reports = act("login", 1000, "/bin/true")
        del reports
        explain = self.vestige.query(
            "EXPLAIN SELECT p.id FROM session s JOIN process p ON p.host_id = s.host_id "
            "AND p.session_id = s.session_id AND p.login_uid = s.login_uid "
            "AND p.created_at >= s.created_at AND p.created_at <= COALESCE(s.destroyed_at, "
            "p.created_at) WHERE s.id = 1")
        self.assertTrue(explain)


if __name__ == "__main__":
    main()
