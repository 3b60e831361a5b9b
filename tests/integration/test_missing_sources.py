"""A source is missing: the rest records, a row of coverage says so, `vestige doctor` explains."""

import itertools
import json
import os
import signal
import subprocess
import time

from agent_alone import Agent
from vestige_test import (Standalone, VestigeTest, act, assert_audit_state, audit_state, brief, main,
                          now_us, run, wait_for)

N = 97
OFF = "switched off by configuration"

# Coverage by the sources of processes.
OF_PROCESSES = ("SELECT source, mode, detail FROM coverage WHERE destroyed_at IS NULL "
                "AND source IN ('connector', 'taskstats', 'audit', 'proc')")


class TestSwitchedOff(VestigeTest):
    def without(self, source):
        self.vestige.stop()
        self.vestige.configure(**{source: {"mode": "off"}})
        self.vestige.start()
        self.since = now_us()
        self.storm, _ = act("storm", N, self.tag)
        self.longer = self.shell()
        self.vestige.sync()
        self.assert_told(source)

    def shell(self):
        """A process that lives for longer than all sources need to see it, and ends with 3. /proc shows it once: where
        that is before its exec, or when its row is written, another is begun."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            process = subprocess.Popen(["/bin/sh", "-c", "read line; exit 3", self.tag],
                                       stdin=subprocess.PIPE)

            def written():
                self.vestige.sync()
                return self.rows_of(process.pid)
            row = wait_for(written, 60, "the row of a process that lives", 0.1)[-1]
            process.stdin.close()
            self.assertEqual(3, process.wait(60))
            if "proc" in row["seen_by"] and row["arguments"] is not None:
                return process.pid
        raise AssertionError(f"/proc shows none in time:\n{brief([row])}")

    def assert_told(self, source):
        rows = self.vestige.query(OF_PROCESSES)
        modes = {row["source"]: row["mode"] for row in rows}
        self.assertEqual({"connector": "all", "taskstats": "all", "audit": "owner", "proc": "on",
                          source: "off"}, modes, brief(rows))
        self.assertEqual([OFF], [row["detail"] for row in rows if row["source"] == source])
        done = run(*self.vestige.client("doctor", "--format", "json"), check=False)
        self.assertEqual(1, done.returncode, done.stdout)
        finding, = [row for row in json.loads(done.stdout)["rows"] if row["what"] == f"source {source}"]
        self.assertEqual(("wrong", f"off: {OFF}", f"set mode in section [{source}] of the "
                          "configuration, and start the agent again"),
                         (finding["level"], finding["found"], finding["what to do"]))
        self.assertIn(self.explanations[source], finding["why it loses evidence"])
        answer = run(*self.vestige.client("query", "--format", "csv", "SELECT 1"))
        self.assertRegex(answer.stderr, rf" is not complete: .* unwatched spans? \([^)]*\b{source}\b")

    explanations = {"connector": "births are not heard", "taskstats": "used is not known",
                    "audit": "arguments and login users"}

    def assert_longer(self, seen_by, **expected):
        row = self.row_of(self.longer)
        self.assert_ended(row, arguments=f"-c 'read line; exit 3' {self.tag}", argv0="/bin/sh", uid=0,
                          username="root", end_cause="exit", exit_code=3, exit_signal=None, **expected)
        self.assertLessEqual(seen_by, set(row["seen_by"].split(",")))

    def of_storm(self, condition):
        return self.vestige.query(
            f"SELECT * FROM process WHERE id >= {self.since} AND comm = 'true' AND {condition}")

    def test_without_connector(self):
        self.without("connector")
        self.assert_longer({"audit", "proc"})
        rows = self.of_storm(f"arguments LIKE '{self.tag}%'")
        self.assertEqual({f"{self.tag}-{i}" for i in range(N)}, {row["arguments"] for row in rows})
        self.assertEqual({None}, {row["login_uid"] for row in rows})

    def test_without_taskstats(self):
        self.without("taskstats")
        self.assert_longer({"audit", "connector"}, cpu_user_us=None, max_rss_kib=None)
        rows = self.of_storm(f"arguments LIKE '{self.tag}%' AND end_cause = 'exit' AND exit_code = 0")
        self.assertEqual(sorted(f"{self.tag}-{i}" for i in range(N)),
                         sorted(row["arguments"] for row in rows))
        self.assertEqual({None}, {row["max_rss_kib"] for row in rows})

    def test_without_audit(self):
        self.without("audit")
        self.assert_longer({"connector", "proc"})
        parent = self.row_of(self.storm)["id"]
        rows = self.of_storm(f"parent_id = {parent} AND end_cause = 'exit' AND exit_code = 0")
        self.assertEqual(N, len(rows))
        self.assertFalse([row for row in rows if "audit" in row["seen_by"]])
        self.assertTrue(all(row["max_rss_kib"] for row in rows))


class TestRefused(VestigeTest):
    """In a pid namespace the kernel refuses all but /proc: a warning each, and it records."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.vestige = Standalone()
        cls.addClassCleanup(cls.vestige.remove)
        cls.vestige.start()
        cls.vestige.stop()
        cls.vestige.start("--no-agent")
        cls.addClassCleanup(cls.vestige.stop)

    def test_in_a_pid_namespace(self):
        agent = Agent()
        self.addCleanup(agent.remove)
        agent.state = self.vestige.path("agent")
        agent.sections["agent"].update(state_directory=agent.state,
                                       defaults_file=self.vestige.path("agent.cnf"))
        machine = audit_state()
        agent.start(prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"), seconds=60)
        assert_audit_state(machine)
        said = {source: agent.lines(f"{source}: warning")
                for source in ("connector", "taskstats", "audit")}
        for source, pattern in (
                ("connector", "no answer to the subscription within 1 s; the kernel answers only in "
                              "the first user and pid namespace: run on the host itself"),
                ("taskstats", "the kernel allows it only in the first user and pid namespace: run on "
                              "the host itself"),
                ("audit", "Operation not permitted; run as root or give it CAP_AUDIT_CONTROL, on the "
                          "host itself and in no container")):
            line, = said[source]
            self.assertRegex(line, f"{pattern}; recording goes on without it$")

        def told():
            return {row["source"]: (row["mode"], row["detail"])
                    for row in self.vestige.query(OF_PROCESSES)}
        wait_for(lambda: len(told()) == 4, 60, "four rows of coverage")
        for source, (line,) in said.items():
            self.assertEqual(("off", line.partition("; recording goes on without it")[0]),
                             told()[source])
        self.assertEqual("on", told()["proc"][0])
        until = time.monotonic() + 300
        for seconds in itertools.count(600):
            row = self.sleeper(agent, seconds)
            if row["comm"] == "sleep" or time.monotonic() > until:
                break
        self.assert_row(row, seen_by="proc", argv0="/bin/sleep", arguments=str(seconds), uid=0)

    def sleeper(self, agent, seconds):
        """The row of a sleeper. Nobody tells of its exec: one that /proc shows before that stays what it was."""
        with subprocess.Popen(["nsenter", "--target", str(agent.inner_pid()), "--pid", "--mount", "/bin/sleep",
                               str(seconds)], start_new_session=True) as process:
            try:
                rows = wait_for(lambda: self.processes("comm IN ('nsenter', 'sleep') AND (arguments = %s OR "
                                                       "arguments LIKE %s)", str(seconds), f"%/bin/sleep {seconds}"),
                                60, "the row of sleep")
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # sleep, too, which is its child
        return self.only(rows, "sleep")


if __name__ == "__main__":
    main()
