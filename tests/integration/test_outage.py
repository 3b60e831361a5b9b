"""Nothing is lost behind the journal, and nothing is stored twice: the database stops, is shut down,
dies in the middle of a transaction, or the agent dies between commit and forgetting the batch.

A proxy between agent and database says when a transaction is committed; strace ends the agent where
it is about to forget. VESTIGE_OUTAGE_SECONDS sets how long the database stands still (60)."""

import contextlib
import glob
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

from vestige_test import VestigeTest, act, actor_command, main, now_us, wait_for

SECONDS = float(os.environ.get("VESTIGE_OUTAGE_SECONDS", "60"))
COMMIT_PACKET = b"\x07\x00\x00\x00\x03COMMIT"


class Proxy:
    """Passes on what agent and database say, through a socket of its own. What is armed is called
    once, on COMMIT: before it reaches the server, or before its answer comes back."""

    def __init__(self, path, server_path):
        self.path = path
        self.server_path = server_path
        self._armed = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        os.chmod(path, 0o666) # for an agent of another user
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def arm(self, moment, action):
        """`before` or `after`."""
        self._armed[moment] = action

    def close(self):
        # A thread that still accepts would do so for the next listener with this descriptor.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(30)
        self._listener.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.server_path)
            while self._pass_on(client, server):
                pass
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def _pass_on(self, client, server):
        for source in select.select([client, server], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return False
            if source is server:
                client.sendall(data)
                continue
            # Behind a command that has no answer, such as the close of a statement, it may come with it.
            commit = data.upper().endswith(COMMIT_PACKET)
            if commit and (action := self._armed.pop("before", None)):
                action()
            server.sendall(data)
            if commit and (action := self._armed.pop("after", None)):
                server.recv(1, socket.MSG_PEEK)
                action()
        return True


class TestOutage(VestigeTest):
    def storm(self, n=2000, tag=""):
        return subprocess.Popen(actor_command("storm", n, tag + self.tag),
                                stdout=subprocess.DEVNULL)

    def storms(self, seconds):
        """Storms one after the other for so long; how many processes that were."""
        n, deadline = 0, time.monotonic() + seconds
        while time.monotonic() < deadline:
            act("storm", 2000, f"{time.monotonic_ns()}-{self.tag}")
            n += 2000
        return n

    def assert_all_once(self, n):
        self.vestige.sync()
        self.assertEqual([{"n": n, "different": n, "ended": n}], self.vestige.query(
            "SELECT COUNT(*) AS n, COUNT(DISTINCT arguments) AS different, "
            f"COUNT(destroyed_at) AS ended FROM process WHERE id >= {self.since} "
            "AND arguments LIKE %s AND comm = 'true'", f"%{self.tag}-%"))
        self.assertEqual([], self.vestige.query("SELECT * FROM rejected"), "rejected")
        self.assert_chain()

    def assert_nothing_missing(self, n):
        self.assert_all_once(n)
        # Whatever others do with files is all the same here.
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] not in ("fanotify", "files")])

    def assert_chain(self):
        """Batch numbers are without a hole, each once."""
        numbers = self.vestige.query("SELECT host_id, COUNT(*) AS n, COUNT(DISTINCT batch) AS "
                                     "different, MIN(batch) AS first, MAX(batch) AS last "
                                     "FROM batch GROUP BY host_id")
        for host in numbers:
            self.assertEqual(host["n"], host["different"])
            self.assertEqual(host["n"], host["last"] - host["first"] + 1)

    def test_stopped_database(self):
        """The database does not answer for a minute of storm."""
        os.kill(self.vestige.database_pid, signal.SIGSTOP)
        try:
            n = self.storms(SECONDS)
        finally:
            os.kill(self.vestige.database_pid, signal.SIGCONT)
        self.assert_nothing_missing(n)

    def test_database_shut_down(self):
        """The database ends in order during a storm, and comes again later."""
        with Apart(self.vestige) as apart:
            self.since = now_us()
            storm = self.storm(5000)
            wait_for(lambda: self.vestige.value(
                "SELECT COUNT(*) FROM process WHERE arguments LIKE %s", f"{self.tag}-%"), 60,
                "rows of the storm")
            self.vestige.stop()
            self.assertEqual(0, storm.wait(300))
            n = 5000 + self.storms(3)
            wait_for(lambda: int(self.vestige.status()["batches_waiting"]), 60, "batches wait")
            apart.start_database()
            self.assert_nothing_missing(n)

    def test_everything_shut_down(self):
        """The database is shut down, then the agent, which has batches left; the agent comes first."""
        with Apart(self.vestige) as apart:
            self.vestige.stop()
            self.since = now_us()
            n = self.storms(3)
            self.vestige.stop_agent()
            left = self.batches("sealed")
            self.assertGreater(len(left), 0, "nothing is left to ship")
            self.vestige.start_agent()
            n += self.storms(1)
            self.assertLessEqual(left, self.batches("sealed"))
            apart.start_database()
            self.assert_all_once(n)
            self.assertEqual(set(), self.batches("sealed") & left)

    def batches(self, kind):
        """Numbers of the batches in the journal: `sealed` are to be shipped, `shipped` were."""
        names = map(os.path.basename, glob.glob(self.vestige.path("agent", "journal", "*")))
        found = (re.fullmatch(rf"0*(\d+)\.{kind}\.zst", name) for name in names)
        return {int(match.group(1)) for match in found if match}

    def test_database_killed(self):
        """kill -9 of mariadbd in the middle of a transaction."""
        with self.through_proxy() as proxy:
            self.since = now_us()
            died = threading.Event()

            def kill_database():
                self.vestige.kill_database()
                died.set()
            proxy.arm("before", kill_database)
            storm = self.storm(4000)
            self.wait_for_commit(died)
            self.vestige.wait_for_database()
            self.assertEqual(0, storm.wait(300))
            self.assert_nothing_missing(4000)

    def wait_for_commit(self, died):
        if not died.wait(90):
            with open(self.vestige.agent_log) as log:
                self.fail(f"no COMMIT came by: {self.vestige.status()}\n{log.read()[-4000:]}")

    def test_agent_killed_after_commit(self):
        """kill -9 of the agent when its batch is committed and it does not know yet."""
        with self.through_proxy() as proxy:
            died = threading.Event()

            def kill_agent():
                self.vestige.agent.kill()
                died.set()
            act("storm", 1000, "first-" + self.tag)
            self.vestige.sync()
            proxy.arm("after", kill_agent)
            act("show", self.tag)
            self.wait_for_commit(died)
            self.vestige.agent.wait(60)
            self.assert_goes_on(1000)

    def test_agent_killed_before_marking(self):
        """kill -9 when it knows that its batch is committed, and is about to mark that."""
        with Apart(self.vestige):
            act("storm", 1000, "first-" + self.tag)
            self.vestige.sync()
            with self.killed_at("rename,renameat,renameat2", self.shipper()):
                act("show", self.tag)
            last = self.vestige.value("SELECT MAX(batch) FROM batch")
            self.assertIn(last, self.batches("sealed"), "the batch is not stored and unmarked")
            self.assert_goes_on(1000)
            self.assertNotIn(last, self.batches("sealed"))

    def test_agent_killed_before_unlink(self):
        """kill -9 when batches are stored and marked, and it is about to unlink the first."""
        with Apart(self.vestige):
            act("storm", 1000, "first-" + self.tag)
            self.vestige.sync()
            act("storm", 10, "more-" + self.tag)
            self.vestige.sync()  # the checkpoint may come at any moment
            first = min(self.batches("shipped"))
            names = [f"{number:012}.shipped.zst" for number in range(first, first + 300)]  # not .open, at each seal
            with self.killed_at("unlink,unlinkat", self.vestige.agent_pid, "-f",
                                *(word for name in names for word in ("-P", name))):
                pass
            left = self.batches("shipped")
            self.assertGreater(len(left), 1, "nothing was to be unlinked")
            self.assert_goes_on(1010)
            # The next checkpoint unlinks all but the newest.
            wait_for(lambda: not self.batches("shipped") & left, 120, "what was left is unlinked")

    def shipper(self):
        """The thread of the agent that ships."""
        tasks = f"/proc/{self.vestige.agent_pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm") as comm:
                if comm.read() == "shipper\n":
                    return int(task)
        self.fail("the agent has no thread that ships")

    @contextlib.contextmanager
    def killed_at(self, calls, task, *options):
        """After what is done within, kill -9 of the agent where it enters one of these calls."""
        with open(os.path.join(self.vestige.directory, "strace"), "w") as output:
            strace = subprocess.Popen(
                ["strace", "-qq", *options, "-e", f"trace={calls}", "-e",
                 f"inject={calls}:signal=KILL", "-p", str(task)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                wait_for(lambda: self.is_traced(task), 60, "strace has attached")
                yield
                self.assertEqual(-signal.SIGKILL, self.vestige.agent.wait(120))
            finally:
                strace.terminate()
                strace.wait(60)

    def is_traced(self, task):
        """Or was, and has been killed already."""
        if self.vestige.agent.poll() is not None:
            return True
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{task}/status") as status:
            return "TracerPid:\t0\n" not in status.read()
        return False

    def assert_goes_on(self, n):
        """Another agent takes up the journal; of before there is all, and nothing twice."""
        batches = self.vestige.value("SELECT COUNT(*) FROM batch")
        self.vestige.start_agent()
        act("storm", 1000, "second-" + self.tag)
        self.assert_all_once(n + 1000)
        self.assertGreater(self.vestige.value("SELECT COUNT(*) FROM batch"), batches)

    def test_agent_killed_again_and_again(self):
        """kill -9 at any moment: what is in the journal comes, and comes once."""
        with self.through_proxy() as proxy:
            for i in range(5):
                act("storm", 500, f"{i}-{self.tag}")
                self.vestige.sync()
                died = threading.Event()

                def kill_agent(died=died):
                    self.vestige.agent.kill()
                    died.set()
                proxy.arm(("before", "after")[i % 2], kill_agent)
                # A COMMIT that comes in one piece with others is not noticed: then the next one is.
                for _ in range(10):
                    act("show", self.tag)
                    if died.wait(3):
                        break
                self.wait_for_commit(died)
                self.vestige.agent.wait(60)
                self.vestige.start_agent()
            self.vestige.sync()
            for i in range(5):
                self.assertEqual([{"n": 500, "different": 500}], self.vestige.query(
                    "SELECT COUNT(*) AS n, COUNT(DISTINCT arguments) AS different FROM process "
                    f"WHERE id >= {self.since} AND arguments LIKE %s", f"{i}-{self.tag}-%"))
            self.assert_chain()
            self.assertEqual([], self.vestige.query("SELECT * FROM rejected"))

    def through_proxy(self):
        return ThroughProxy(self.vestige)


class Apart:
    """The database alone, and an agent of ours beside it."""

    def __init__(self, vestige):
        self.vestige = vestige

    def __enter__(self):
        self.vestige.stop()
        self.vestige.start("--no-agent")
        self.vestige.start_agent(120)
        return self

    def end_agent(self):
        """In order; whatever happens, it is gone: the next one needs its directory."""
        try:
            self.vestige.stop_agent(90)
        finally:
            if self.vestige.agent.poll() is None:
                self.vestige.agent.kill()
                self.vestige.agent.wait()

    def start_database(self):
        """Again; the agent is as it was."""
        self.vestige.start("--no-agent")
        self.vestige.agent_pid = self.vestige.agent.pid

    def __exit__(self, *failure):
        try:
            self.end_agent()
        finally:
            self.vestige.stop()
            self.vestige.start()


class ThroughProxy(Apart):
    """They speak through a proxy."""

    def __enter__(self):
        self.option_file = self.vestige.path("agent.cnf")
        self.vestige.stop()
        self.vestige.start("--no-agent")
        self.proxy = Proxy(os.path.join(self.vestige.directory, "proxy.sock"),
                           self.vestige.path("mariadb.sock"))
        with open(self.option_file) as stream:
            self.options = stream.read()
        self.write(self.options.replace("mariadb.sock", "../proxy.sock"))
        self.vestige.start_agent(120)
        return self.proxy

    def write(self, text):
        with open(self.option_file, "w") as stream:
            stream.write(text)

    def __exit__(self, *failure):
        try:
            self.end_agent()
        finally:
            self.proxy.close()
            self.write(self.options)
            self.vestige.stop()
            self.vestige.start()


if __name__ == "__main__":
    main()
