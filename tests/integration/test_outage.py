"""Nothing is lost behind the journal, and nothing is stored twice: the database stops, dies in the
middle of a transaction, or the agent dies between commit and forgetting the batch.

A proxy between agent and database says when a transaction is committed.
VESTIGE_OUTAGE_SECONDS sets how long the database is away (10)."""

import os
import select
import signal
import socket
import subprocess
import threading
import time

from vestige_test import VestigeTest, act, actor_command, main, now_us, wait_for

SECONDS = float(os.environ.get("VESTIGE_OUTAGE_SECONDS", "10"))
COM_QUERY = b"\x03"


class Proxy:
    """Passes on what agent and database say, through a socket of its own; `armed` is a function
    which is called once, on COMMIT: before it reaches the server, or before its answer comes back."""

    def __init__(self, path, server_path):
        self.path = path
        self.server_path = server_path
        self.before_commit = None
        self.after_commit = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
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
            commit = data[4:].upper() == COM_QUERY + b"COMMIT"
            if commit and self.before_commit:
                action, self.before_commit = self.before_commit, None
                action()
            server.sendall(data)
            if commit and self.after_commit:
                action, self.after_commit = self.after_commit, None
                server.recv(1, socket.MSG_PEEK)
                action()
        return True


class TestOutage(VestigeTest):
    def storm(self, n=2000, tag=""):
        return subprocess.Popen(actor_command("storm", n, tag + self.tag),
                                stdout=subprocess.DEVNULL)

    def assert_all_once(self, n, tag=""):
        self.vestige.sync()
        self.assertEqual([{"n": n, "different": n, "ended": n}], self.vestige.query(
            "SELECT COUNT(*) AS n, COUNT(DISTINCT arguments) AS different, "
            f"COUNT(destroyed_at) AS ended FROM process WHERE id >= {self.since} "
            "AND arguments LIKE %s", f"{tag}{self.tag}-%"))
        self.assertEqual([], self.gaps())
        self.assertEqual([], self.vestige.query("SELECT * FROM rejected"), "rejected")
        self.assert_chain()

    def assert_chain(self):
        """Batch numbers are without a hole, each once."""
        numbers = self.vestige.query("SELECT host_id, COUNT(*) AS n, COUNT(DISTINCT batch) AS "
                                     "different, MIN(batch) AS first, MAX(batch) AS last "
                                     "FROM batch GROUP BY host_id")
        for host in numbers:
            self.assertEqual(host["n"], host["different"])
            self.assertEqual(host["n"], host["last"] - host["first"] + 1)

    def test_stopped_database(self):
        """The database does not answer for a while during a storm."""
        storm = self.storm(int(1000 * SECONDS))
        os.kill(self.vestige.database_pid, signal.SIGSTOP)
        try:
            time.sleep(SECONDS)
        finally:
            os.kill(self.vestige.database_pid, signal.SIGCONT)
        self.assertEqual(0, storm.wait(300))
        self.assert_all_once(int(1000 * SECONDS))

    def test_database_killed(self):
        """kill -9 of mariadbd in the middle of a transaction."""
        with self.through_proxy() as proxy:
            self.since = now_us()
            died = threading.Event()

            def kill_database():
                self.vestige.kill_database()
                died.set()
            proxy.before_commit = kill_database
            storm = self.storm(4000)
            self.assertTrue(died.wait(30), "no COMMIT came by")
            self.vestige.wait_for_database()
            self.assertEqual(0, storm.wait(300))
            self.assert_all_once(4000)

    def test_agent_killed_after_commit(self):
        """kill -9 of the agent when its batch is committed and it does not know yet."""
        with self.through_proxy() as proxy:
            died = threading.Event()

            def kill_agent():
                self.vestige.agent.kill()
                died.set()
            act("storm", 1000, "first-" + self.tag)
            proxy.after_commit = kill_agent
            self.assertTrue(died.wait(30), "no COMMIT came by")
            self.vestige.agent.wait(30)
            batches = self.vestige.value("SELECT COUNT(*) FROM batch")
            self.vestige.start_agent()
            act("storm", 1000, "second-" + self.tag)
            self.vestige.sync()
            self.assertGreater(self.vestige.value("SELECT COUNT(*) FROM batch"), batches)
            self.assert_chain()
            self.assertEqual([], self.vestige.query("SELECT * FROM rejected"))
            for tag in ("first-", "second-"):
                self.assertEqual([{"n": 1000, "different": 1000}], self.vestige.query(
                    "SELECT COUNT(*) AS n, COUNT(DISTINCT arguments) AS different FROM process "
                    f"WHERE id >= {self.since} AND arguments LIKE %s", f"{tag}{self.tag}-%"))

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
                setattr(proxy, ("before_commit", "after_commit")[i % 2], kill_agent)
                act("show", self.tag)
                self.assertTrue(died.wait(30), "no COMMIT came by")
                self.vestige.agent.wait(30)
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


class ThroughProxy:
    """The database alone, and an agent of ours beside it, which speaks through the proxy."""

    def __init__(self, vestige):
        self.vestige = vestige
        self.option_file = vestige.path("agent.cnf")

    def __enter__(self):
        self.vestige.stop()
        self.vestige.start("--no-agent")
        self.proxy = Proxy(os.path.join(self.vestige.directory, "proxy.sock"),
                           self.vestige.path("mariadb.sock"))
        with open(self.option_file) as stream:
            self.options = stream.read()
        self.write(self.options.replace("mariadb.sock", "../proxy.sock"))
        self.vestige.start_agent()
        return self.proxy

    def write(self, text):
        with open(self.option_file, "w") as stream:
            stream.write(text)

    def __exit__(self, *failure):
        try:
            self.vestige.stop_agent()
        finally:
            self.proxy.close()
            self.write(self.options)
            self.vestige.stop()
            self.vestige.start()


if __name__ == "__main__":
    main()
