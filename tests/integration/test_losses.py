"""Losses are counted: whatever goes wrong, for process lifecycles generated = stored + counted."""

import os
import signal
import subprocess
import time

from vestige_test import (Accounts, VestigeTest, act, actor_command, brief, main)


class LossTest(VestigeTest):
    def restart(self, **sections):
        """Go on with the same data and another configuration."""
        self.vestige.stop()
        self.vestige.configure(**sections)
        self.vestige.start()
        self.vestige.sync()
        self.addCleanup(self.resume)

    def resume(self):
        for pid in (self.vestige.agent_pid, self.vestige.database_pid):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def stopped(self, pid, seconds, n):
        """A storm while this process is stopped for some time."""
        storm = subprocess.Popen(actor_command("storm", n, self.tag), stdout=subprocess.DEVNULL)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(0, storm.wait(300))
        return storm.pid

    def test_nothing_lost(self):
        """The accounts themselves: without trouble they balance, without a gap."""
        with Accounts(self) as accounts:
            act("storm", 2000, self.tag)
            act("threads", 50)
            act("fork", 0)
        accounts.assert_exact()
        self.assertEqual([], accounts.gaps(), brief(accounts.gaps()))

    def test_restart(self):
        """A clean end and a new start, with storms before and after: only what was forked between
        them is lost, and it is counted."""
        with Accounts(self) as accounts:
            act("storm", 2000, "before-" + self.tag)
            self.restart()
            act("storm", 2000, "after-" + self.tag)
        # The database server was started anew, too: threads that were born and gone while nobody
        # listened cannot be told from processes.
        accounts.assert_exact(threads=True)
        self.assertLess(accounts.counted(), 500)

    def test_stopped_agent(self):
        """5 s without the agent fit into the buffers: nothing is lost."""
        self.restart()
        with Accounts(self) as accounts:
            spawner = self.stopped(self.vestige.agent_pid, 5, 6000)
        accounts.assert_exact()
        self.assertEqual(0, accounts.counted())
        self.assertEqual(6000, self.children(spawner))

    def test_tiny_receive_buffer(self):
        self.restart(reader={"receive_buffer_kib": 256})
        with Accounts(self) as accounts:
            self.stopped(self.vestige.agent_pid, 5, 5000)
        # A thread whose birth nobody heard cannot be told from a process.
        accounts.assert_exact(threads=True)
        self.assertGreater(accounts.counted(), 1000)
        gap = [gap for gap in accounts.gaps() if gap["unit"] == "process"][0]
        self.assertEqual("connector", gap["source"], brief([gap]))
        self.assertGreaterEqual((gap["destroyed_at"] - gap["created_at"]).total_seconds(), 0.1)

    def test_tiny_audit_backlog(self):
        """Lost audit records cost the arguments, not the rows, and are gaps of their own."""
        self.restart(audit={"backlog_limit": 8})
        with Accounts(self) as accounts:
            spawner = self.stopped(self.vestige.agent_pid, 2, 5000)
            storms = [subprocess.Popen(actor_command("storm", 2000, f"{i}-{self.tag}"),
                                       stdout=subprocess.DEVNULL) for i in range(4)]
            for storm in storms:
                storm.wait()
        accounts.assert_exact()
        for spawner, n in [(spawner, 5000), *((storm.pid, 2000) for storm in storms)]:
            self.assertEqual(n, self.children(spawner))
        silent = self.vestige.value(
            f"SELECT COUNT(*) FROM process WHERE id > {accounts.first['id']} AND comm = 'true' "
            "AND arguments IS NULL")
        gaps = self.audit_gaps(accounts)
        if silent:
            self.assertNotEqual([], gaps)
        for gap in gaps:
            self.assertNotEqual("process", gap["unit"], brief([gap]))

    def audit_gaps(self, accounts):
        return [gap for gap in accounts.gaps() if gap["source"] == "audit"]

    def children(self, spawner):
        row = self.row_of(spawner)
        return self.vestige.value(
            "SELECT COUNT(*) FROM process WHERE parent_id = %s AND end_cause = 'exit' "
            "AND exit_code = 0", row["id"])

    def test_audit_buffer_too_small(self):
        """As above, for certain: what audit cannot hold while the agent is stopped is lost."""
        self.restart(audit={"backlog_limit": 1}, reader={"receive_buffer_kib": 256})
        with Accounts(self) as accounts:
            self.stopped(self.vestige.agent_pid, 3, 3000)
        # A thread whose birth nobody heard cannot be told from a process.
        accounts.assert_exact(threads=True)
        self.assertNotEqual([], self.audit_gaps(accounts))

    def test_killed_agent(self):
        """kill -9 in the middle of a storm; the instance starts another while it goes on."""
        self.restart()
        with Accounts(self) as accounts:
            storm = subprocess.Popen(actor_command("storm", 12000, self.tag),
                                     stdout=subprocess.DEVNULL)
            time.sleep(3)
            self.vestige.kill_agent()
            self.assertEqual(0, storm.wait(300))
        accounts.assert_exact()
        self.assertGreater(accounts.counted(), 0)

    def test_full_journal(self):
        """The database does not answer until the journal is full; then it goes on by itself."""
        self.restart(journal={"limit_mib": 1}, process={"remember_mib": 1})
        with Accounts(self) as accounts:
            os.kill(self.vestige.database_pid, signal.SIGSTOP)
            self.fill_journal()
            # What the agent may hold in memory besides, and more.
            self.incompressible(6000)
            os.kill(self.vestige.database_pid, signal.SIGCONT)
            self.vestige.sync()
            spawner, _ = act("storm", 500, "room-" + self.tag)
        accounts.assert_exact(60)
        self.assertGreater(accounts.counted(), 500)
        self.assertIn("journal", {gap["source"] for gap in accounts.gaps()})
        self.assertEqual(500, self.children(spawner))

    def incompressible(self, n):
        for _ in range(n):
            arguments = ["true", self.tag, os.urandom(1000).hex()]
            os.waitpid(os.posix_spawn("/bin/true", arguments, os.environ), 0)

    def fill_journal(self):
        for _ in range(100):
            self.incompressible(200)
            if self.vestige.status()["journal_full"] == "1":
                return
        self.fail("20 MB do not fill a journal of 1 MiB")


if __name__ == "__main__":
    main()
