"""The process connector and taskstats on the real kernel, through the agent's own reader."""

import collections
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from source_run import Run, python

BOTH = "connector,taskstats"

# Runs in a process of its own: parent of everything that the tests look for.
SPAWN = """
import os, sys
for i in range(int(sys.argv[1])):
    os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
"""
ENDS = """
import os, signal, sys
def child(what):
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(99)
    os.waitpid(pid, 0)
    print(pid, file=sys.stderr, flush=True)
child(lambda: os._exit(7))
child(lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
CHANGES = """
import ctypes, os
os.setsid()
ctypes.CDLL(None).prctl(15, b"crond \\xff", 0, 0, 0)
os.setresgid(1001, 1002, 1002)
os.setresuid(1001, 1002, 1002)
"""
THREADS = """
import threading, time
def burn():
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
threads = [threading.Thread(target=burn) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


class ConnectorTaskstats(unittest.TestCase):
    def run_tool(self, *arguments):
        run = Run(*arguments)
        self.assertEqual(run.status, 0, run.error)
        self.assertEqual(run.totals["malformed"], 0)
        self.assertEqual(run.totals["spoofed"], 0)
        return run

    def sequence_holes(self, run):
        """Messages that are missing between the first and the last of each CPU."""
        by_cpu = collections.defaultdict(list)
        for fact in run.of("SEQUENCE"):
            by_cpu[fact["cpu"]].append(fact["sequence"])
        holes = 0
        for sequences in by_cpu.values():
            self.assertEqual(sequences, sorted(set(sequences)))
            holes += sequences[-1] - sequences[0] + 1 - len(sequences)
        return holes

    def assert_storm_is_complete(self, run, count):
        forks = run.of("FORK", parent_tgid=run.command)
        self.assertEqual(len(forks), count)
        self.assertEqual(self.sequence_holes(run), 0)
        of_task = collections.defaultdict(list)
        for fact in run.facts:
            if fact["kind"] in ("FORK", "EXEC", "EXIT"):
                of_task[fact["pid"]].append(fact)
        ends = collections.Counter(fact["pid"] for fact in run.of("TASK_STATS", last=1))
        for fork in forks:
            life = of_task[fork["pid"]]
            self.assertEqual([fact["kind"] for fact in life], ["FORK", "EXEC", "EXIT"])
            self.assertEqual([fact["tgid"] for fact in life], [fork["pid"]] * 3)
            times = [fact["boot_ns"] for fact in life]
            self.assertEqual(times, sorted(times))
            # The kernel sends EXIT after it has woken the parent: once reaped, 0.
            self.assertIn(life[2]["parent_tgid"], (run.command, 0))
            self.assertEqual(ends[fork["pid"]], 1)

    def test_storm(self):
        run = self.run_tool(BOTH, *python(SPAWN, 500))
        self.assertEqual(run.totals["overruns"], 0)
        self.assert_storm_is_complete(run, 500)
        self.assertEqual(len(run.of("NOTE", mode="all")), 2)

    def test_nothing_is_lost_while_the_queue_is_not_read(self):
        run = self.run_tool("--interval", "1", "--stall", "500", BOTH, *python(SPAWN, 500))
        self.assertEqual(run.totals["overruns"], 0)
        self.assert_storm_is_complete(run, 500)

    def test_exit_codes(self):
        run = self.run_tool(BOTH, *python(ENDS))
        left, killed = (int(word) for word in run.error.split())
        for pid, code in ((left, 0x700), (killed, 9)):
            self.assertEqual([f["code"] for f in run.of("EXIT", pid=pid)], [code])
            stats, = run.of("TASK_STATS", pid=pid)
            self.assertEqual(stats["code"], code)
            self.assertEqual(stats["last"], 1)
            self.assertEqual(stats["forked_no_exec"], 1)
            self.assertEqual(stats["ppid"], run.command)

    def test_changes(self):
        run = self.run_tool(BOTH, *python(CHANGES))
        pid = run.command
        # The kernel gives out the numbers of a task before it tells of the end, by another socket.
        kinds = [f["kind"] for f in run.facts if f.get("pid") == pid and f["kind"] not in ("COMMAND", "TASK_STATS")]
        self.assertEqual(kinds, ["FORK", "EXEC", "SID", "COMM", "GID", "UID", "EXIT"])
        self.assertEqual([(f["real"], f["effective"]) for f in run.of("UID", pid=pid)],
                         [(1001, 1002)])
        self.assertEqual([(f["real"], f["effective"]) for f in run.of("GID", pid=pid)],
                         [(1001, 1002)])
        self.assertIn(f"COMM pid={pid} tgid={pid} comm=crond \\xff source=connector",
                      "\n".join(run.lines))
        stats, = run.of("TASK_STATS", pid=pid)
        self.assertEqual((stats["uid"], stats["gid"]), (1001, 1001))
        self.assertGreater(stats["max_rss_kib"], 1000)

    def test_threads_are_summed_with_the_last(self):
        run = self.run_tool(BOTH, *python(THREADS))
        tasks = run.of("TASK_STATS", tgid=run.command)
        self.assertEqual(len(tasks), 4)
        self.assertEqual([task["last"] for task in tasks], [0, 0, 0, 1])
        single = sum(task["user_us"] + task["system_us"] for task in tasks[:3])
        self.assertGreater(single, 100000)
        self.assertGreaterEqual(tasks[3]["user_us"] + tasks[3]["system_us"], single)

    def test_loss_is_seen(self):
        """A receive buffer of the least size, read once a second."""
        run = self.run_tool("--interval", "1000", "--receive-buffer", "1", "--note", "--total", "connector",
                            *python(SPAWN, 200))
        self.assertGreaterEqual(run.totals["overruns"], 1)
        self.assertEqual(len(run.of("OVERRUN")), run.totals["overruns"])
        forks = len(run.of("FORK", parent_tgid=run.command))
        self.assertLess(forks, 200)
        totals = run.of("FORK_TOTAL")
        self.assertGreaterEqual(len(totals), 2)
        self.assertGreaterEqual(totals[-1]["total"] - totals[0]["total"], 200)
        self.assertTrue(all(t["before_ns"] <= t["after_ns"] for t in totals))
        note, = run.of("NOTE")
        self.assertEqual(note["mode"], "all")

    def test_forks_are_what_the_kernel_counts(self):
        run = self.run_tool("--note", "--total", "connector", *python(SPAWN, 300))
        first, *_, last = run.of("FORK_TOTAL")
        forks = run.of("FORK")
        sure = sum(first["after_ns"] < f["boot_ns"] < last["before_ns"] for f in forks)
        most = sum(first["before_ns"] <= f["boot_ns"] <= last["after_ns"] for f in forks)
        self.assertGreaterEqual(sure, 300)
        # A task is counted a moment before its message has its time.
        self.assertLessEqual(abs(last["total"] - first["total"] - sure), most - sure + 2)

    def test_recording_gives_the_same_facts(self):
        with tempfile.TemporaryDirectory() as directory:
            place = os.path.join(directory, "recording")
            run = self.run_tool("--record", place, BOTH, *python(SPAWN, 50))
            again = self.run_tool("--replay", place)
            facts = [line for line in run.lines if not line.startswith(("COMMAND", "READ"))]
            self.assertEqual([line for line in again.lines if not line.startswith("READ")], facts)
            self.assertGreater(len(facts), 300)
            second = Run("--record", place, "connector", "--", "true")
            self.assertEqual(second.status, 2)
            self.assertIn("remove it", second.error)

    def test_refusals_say_what_to_do(self):
        cases = (
            (["unshare", "-U", "-r", "-p", "-f"], "connector", "first user and pid namespace"),
            (["unshare", "-U", "-r", "-p", "-f"], "taskstats", "CAP_NET_ADMIN"),
            (["setpriv", "--bounding-set", "-net_admin"], "taskstats", "CAP_NET_ADMIN"),
        )
        for prefix, source, said in cases:
            with self.subTest(prefix=prefix, source=source):
                run = Run(source, "--", "true", prefix=prefix)
                self.assertEqual(run.status, 2)
                self.assertIn(said, run.error)
                self.assertEqual(len(run.error.splitlines()), 1)

    def test_connector_without_the_capability(self):
        """Refused before Linux 6.6; from then on it works, but with a small buffer."""
        run = Run("connector", "--", "true", prefix=["setpriv", "--bounding-set", "-net_admin"])
        if run.status == 2:
            self.assertIn("CAP_NET_ADMIN", run.error)
        else:
            self.assertIn("less than asked for", "\n".join(run.lines))


if __name__ == "__main__":
    unittest.main()
