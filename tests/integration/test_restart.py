"""Open rows of an earlier run: taken up again while the process lives, ended as `reconciled` or
`reboot` when it does not."""

import os
import subprocess

from vestige_test import VestigeTest, actor_command, brief, main, now_us, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SLEEP = os.path.realpath("/bin/sleep")
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"


class TestRestart(VestigeTest):
    def setUp(self):
        if self.vestige.process is None or self.vestige.process.poll() is not None:
            self.vestige.disconnect()  # a test before has failed while nothing ran
            self.vestige.start()
        super().setUp()

    def sleeper(self):
        process = subprocess.Popen(["/bin/sleep", "86400"])

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)
        return process

    def begin(self):
        """Three processes with open rows: one will live on, one dies unseen, one is left open."""
        self.living, self.dying = self.sleeper(), self.sleeper()
        self.vestige.sync()
        self.first = {process: self.row_of(process.pid) for process in (self.living, self.dying)}
        for row in self.first.values():
            self.assert_row(row, destroyed_at=None, end_cause=None)

    def end(self, process):
        process.kill()
        process.wait()

    def assert_reconciled(self):
        self.vestige.sync()
        living = self.row_of(self.living.pid)
        # Another process may have its pid by now.
        dead = self.only(self.processes("pid = %s AND arguments = '86400'", self.dying.pid), "who died")
        self.assert_row(living, **self.first[self.living])
        self.assert_ended(dead, id=self.first[self.dying]["id"], end_cause="reconciled",
                          exit_code=None, exit_signal=None)
        self.end(self.living)
        self.vestige.sync()
        self.assert_ended(self.row_of(self.living.pid), id=living["id"], end_cause="exit",
                          exit_signal=9, exit_code=None)

    def test_clean_restart(self):
        self.begin()
        self.vestige.stop()
        self.end(self.dying)
        self.vestige.start()
        self.assert_reconciled()

    def test_killed(self):
        self.begin()
        self.vestige.kill_all()
        self.end(self.dying)
        self.vestige.start()
        self.assert_reconciled()

    def test_killed_twice(self):
        """What the second run had taken up is taken up again by the third."""
        self.begin()
        self.vestige.kill_all()
        self.vestige.start()
        self.vestige.sync()
        self.vestige.kill_all()
        self.end(self.dying)
        self.vestige.start()
        self.assert_reconciled()

    def test_pid_of_another(self):
        """A living process with the pid of an open row, but of another start, is another."""
        self.begin()
        self.vestige.stop()
        self.end(self.dying)
        self.with_pid(self.dying.pid)
        self.vestige.start()
        self.vestige.sync()
        rows = self.rows_of(self.dying.pid)
        self.assertEqual([self.first[self.dying]["id"]], [row["id"] for row in rows
                                                          if row["end_cause"] == "reconciled"])
        new = self.only([row for row in rows if row["destroyed_at"] is None], "the new process")
        self.assert_row(new, pid=self.dying.pid, arguments="86401", previous_id=None)

    def test_exec_while_away(self):
        """The same process, but another program: the row of before cannot know when it ended."""
        for stop in (self.vestige.stop, self.vestige.kill_all):
            with self.subTest(stop.__name__):
                self.exec_while_away(stop)

    def exec_while_away(self, stop):
        self.since = now_us()
        shell = subprocess.Popen(["/bin/sh", "-c", "read line && exec /bin/sleep 86402", self.tag],
                                 stdin=subprocess.PIPE)
        self.addCleanup(self.end, shell)
        self.vestige.sync()
        first = self.row_of(shell.pid)
        self.assert_row(first, destroyed_at=None, exe=os.path.realpath("/bin/sh"))
        stop()
        shell.stdin.write(b"\n")
        shell.stdin.close()
        wait_for(lambda: os.readlink(f"/proc/{shell.pid}/exe") == SLEEP, 60, "the exec")
        self.vestige.start()
        self.vestige.sync()
        rows = self.rows_of(shell.pid)
        self.assertEqual(2, len(rows), brief(rows))
        self.assert_ended(rows[0], id=first["id"], end_cause="reconciled", exit_code=None,
                          exit_signal=None, arguments=first["arguments"])
        self.assert_row(rows[1], destroyed_at=None, exe=SLEEP, argv0="/bin/sleep",
                        arguments="86402", start_ticks=first["start_ticks"], ppid=os.getpid())
        self.end(shell)
        self.vestige.sync()
        self.assert_ended(self.rows_of(shell.pid)[1], id=rows[1]["id"], end_cause="exit",
                          exit_code=None, exit_signal=9)

    def with_pid(self, pid):
        """A sleeper with this pid."""
        parent = subprocess.Popen(actor_command("with-pid", pid, "/bin/sleep", 86401))
        self.addCleanup(self.end, parent)
        wait_for(lambda: self.sleeps(pid), 60, f"a sleeper has pid {pid}")

    @staticmethod
    def sleeps(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe") == SLEEP
        except FileNotFoundError:
            return False

    def test_reboot(self):
        """The kernel says that this is another boot; what was open ended with the one before."""
        self.begin()
        boot = self.first[self.living]["boot_id"]
        self.vestige.stop()
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        self.vestige.sync()
        for process in (self.living, self.dying):
            rows = self.rows_of(process.pid)
            self.assertEqual(2, len(rows), rows)
            self.assert_ended(rows[0], id=self.first[process]["id"], end_cause="reboot",
                              exit_code=None, boot_id=boot)
            self.assert_row(rows[1], destroyed_at=None, boot_id=OTHER_BOOT)
        self.assertEqual(0, self.vestige.value(
            "SELECT COUNT(*) FROM process WHERE boot_id = %s AND destroyed_at IS NULL", boot))
        self.vestige.stop()
        self.vestige.start()


if __name__ == "__main__":
    main()
