"""`sync`, `status`, `doctor` and `query` beside a running agent."""

import collections
import json
import os
import re
import signal
import time

from vestige_test import VESTIGE, VestigeTest, main, run, wait_for

NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")


class CommandTest(VestigeTest):
    def command(self, name, *words, status=0, prefix=()):
        done = run(*prefix, *self.vestige.client(name, *words), check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def rows(self, name, *words, status=0):
        return json.loads(self.command(name, "--format", "json", *words, status=status).stdout)[
            "rows"]

    def paused(self, pid):
        """Stopped until the test ends."""
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        wait_for(lambda: self.state(pid) == "T", 60, f"{pid} is stopped")

    def state(self, pid):
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]


class TestSync(CommandTest):
    def test_what_was_before_can_be_queried(self):
        """Twenty times, so that luck is no explanation."""
        for number in range(20):
            run("/bin/true", f"{self.tag}-{number}")
            self.command("sync")
            self.assertEqual(1, self.vestige.value(
                "SELECT COUNT(*) FROM process WHERE arguments = %s AND end_cause = 'exit'",
                f"{self.tag}-{number}"))

    def test_a_server_that_does_not_answer(self):
        """The time limit holds, and the error says how far behind the agent is."""
        self.paused(self.vestige.database_pid)
        run("/bin/true", self.tag)
        begin = time.monotonic()
        done = self.command("sync", "--timeout", "1", status=2)
        self.assertLess(time.monotonic() - begin, 15)  # else it would be 30
        self.assertRegex(done.stderr, r"\Avestige: sync: error: [^\n]*[0-9][^\n]*\n\Z")
        os.kill(self.vestige.database_pid, signal.SIGCONT)
        self.command("sync")
        self.assertEqual(1, self.vestige.value(
            "SELECT COUNT(*) FROM process WHERE arguments = %s", self.tag))

    def test_who_may_not_ask(self):
        for prefix, words in ((NOBODY, self.vestige.client("sync")),
                              ((), [VESTIGE, "sync", "--state", "/nonexistent"])):
            done = run(*prefix, *words, check=False)
            self.assertEqual(2, done.returncode)
            self.assertRegex(done.stderr, r"\Avestige: sync: error: [^\n]+\n\Z")


class TestStatus(CommandTest):
    def test_running(self):
        run("/bin/true", self.tag)
        self.vestige.sync()
        rows = {(row["part"], row["name"]): row for row in self.rows("status")}
        self.assertEqual(str(self.vestige.agent_pid), rows["agent", "pid"]["value"])
        self.assertEqual("0", rows["agent", "journal_full"]["value"])
        host = os.uname().nodename
        for source in ("audit", "connector", "taskstats", "proc"):
            self.assertEqual("ok", rows[f"host {host}", f"watched: {source}"]["level"])
        self.assertEqual({"ok", "note"}, {row["level"] for row in rows.values()} | {"ok", "note"})

    def test_an_agent_that_does_not_answer(self):
        self.paused(self.vestige.agent_pid)
        rows = self.rows("status", status=1)
        self.assertIn(("agent", "no answer", "wrong"),
                      [(row["part"], row["name"], row["level"]) for row in rows])


class TestDoctor(CommandTest):
    def findings(self, *words, prefix=()):
        done = run(*prefix, *self.vestige.client("doctor", "--format", "json", *words),
                   check=False)
        rows = json.loads(done.stdout)["rows"]
        wrong = [row for row in rows if row["level"] == "wrong"]
        self.assertEqual(1 if wrong else 0, done.returncode)
        for row in wrong:
            self.assertTrue(row["why it loses evidence"] and row["what to do"], row)
        return {row["what"]: (row["level"], row["found"]) for row in rows}

    def test_running(self):
        findings = self.findings()
        self.assertEqual(("ok", "runs"), findings["agent"])
        self.assertEqual(("ok", f"vestiged (pid {self.vestige.agent_pid})"),
                         findings["owner of audit"])
        for what in ("process connector", "taskstats"):
            self.assertEqual(("ok", "available"), findings[what])
        with open("/proc/cmdline") as line:
            expected = "ok" if "audit=1" in line.read().split() else "wrong"
        self.assertEqual(expected, findings["audit at boot"][0])
        self.assertEqual("ok", findings["pid namespace"][0])

    def test_logins_and_devices(self):
        findings = self.findings()
        for what, path in (("logins in wtmp", "/var/log/wtmp"), ("logins in utmp", "/var/run/utmp"),
                           ("failed logins in btmp", "/var/log/btmp")):
            self.assertEqual(("ok", path) if os.path.exists(path) else
                             ("note", "there is no such file"), findings[what])
        self.assertEqual(("ok", "a daemon runs") if os.path.exists("/run/udev/control") else
                         ("note", "no daemon"), findings["udev"])

    def test_not_as_root(self):
        findings = self.findings(prefix=NOBODY)
        self.assertEqual("note", findings["audit"][0])
        self.assertEqual("note", findings["agent"][0])

    def test_a_rule_that_blinds_audit(self):
        run("auditctl", "-a", "task,never")
        try:
            findings = self.findings()
        finally:
            run("auditctl", "-d", "task,never")
        self.assertEqual(("wrong", "-a task,never"), findings["audit rules"])

    def test_in_a_pid_namespace(self):
        findings = self.findings(prefix=("unshare", "--pid", "--fork"))
        self.assertEqual("wrong", findings["pid namespace"][0])


class TestQuery(CommandTest):
    def test_evidence_does_not_drive_the_terminal(self):
        """Arguments that hold control characters, in every format."""
        run("/bin/true", self.tag, "\x1b]0;owned\x07\u009b31m\u202e")
        self.vestige.sync()
        sql = f"SELECT arguments FROM process WHERE arguments LIKE '{self.tag}%'"
        table = self.command("query", sql).stdout
        self.assertIn("\\x1b]0;owned\\x07\\x9b31m\\u202e", table)
        self.assertFalse(set(table) & {"\x1b", "\x07", "\u009b", "\u202e"})
        text = self.command("query", "--format", "json", sql).stdout
        self.assertFalse(set(text) & {"\x1b", "\x07", "\u009b", "\u202e"})
        self.assertEqual(f"{self.tag} '\x1b]0;owned\x07\u009b31m\u202e'",
                         json.loads(text)["rows"][0]["arguments"])

    def test_the_gap_of_a_killed_agent_is_told(self):
        offset = os.path.getsize(self.vestige.log)
        self.paused(self.vestige.process.pid)  # which would start another agent at once
        os.kill(self.vestige.agent_pid, signal.SIGKILL)
        wait_for(lambda: self.state(self.vestige.agent_pid) == "Z", 60, "the agent is dead")
        for _ in range(30):
            run("/bin/true", self.tag)
        os.kill(self.vestige.process.pid, signal.SIGCONT)
        self.vestige.wait_for_line("agent: recording", offset, 60)
        self.vestige.agent_pid = self.vestige.child("vestiged")
        self.vestige.sync()
        since = self.vestige.value(
            "SELECT CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL %s MICROSECOND AS CHAR)",
            self.since)

        def told():
            """One that is written between the two questions is in the second only."""
            gaps = [self.vestige.query("SELECT * FROM gap WHERE destroyed_at >= %s", since)]
            done = self.command("query", "--since", since, "--format", "csv", "SELECT @since")
            gaps.append(self.vestige.query("SELECT * FROM gap WHERE destroyed_at >= %s", since))
            return (gaps[0], done) if gaps[0] == gaps[1] else None
        gaps, done = wait_for(told, 60, "nothing else is written")
        # The next agent also finds audit's events missing, when others were busy meanwhile; and these may use more
        # files in a second than are recorded.
        self.assertLessEqual({("agent", "process")}, {(gap["source"], gap["unit"]) for gap in gaps}, gaps)
        self.assertLessEqual({(gap["source"], gap["unit"]) for gap in gaps},
                             {("agent", "process"), ("audit", "event"), ("fanotify", "event")}, gaps)
        # A kernel counter that the dead agent had not stored yet leaves the number unknown.
        numbers = collections.Counter()
        for gap in gaps:
            numbers[gap["unit"]] += int(gap["count"] or gap["count_at_least"] or 0)
        least = "" if all(gap["count"] is not None for gap in gaps) else "at least "
        parts = [f"{number} {unit}{'' if number == 1 else 'es' if unit == 'process' else 's'}"
                 for unit, number in numbers.items() if number]
        told = re.match(rf"Evidence since {since} is not complete: {len(gaps)} gaps? \((.*?)\), ",
                        done.stderr)
        self.assertTrue(told, done.stderr)
        words = re.fullmatch(f"{least}(.*) not seen", told[1]) if parts else None
        self.assertEqual(sorted(parts) if parts else "of unknown size",
                         sorted(words[1].split(", ")) if words else told[1], done.stderr)

    def test_a_stopped_instance(self):
        self.vestige.stop()
        self.addCleanup(self.vestige.start)
        done = self.command("query", "SELECT 1", status=2)
        self.assertRegex(done.stderr, rf"\Avestige: query: error: the standalone instance in "
                         rf"{self.vestige.state} does not run; serve its data with vestige "
                         rf"standalone --state {self.vestige.state} --no-agent\n\Z")


if __name__ == "__main__":
    main()
