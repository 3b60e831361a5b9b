"""`vestige standalone`: ends of every kind, and bad days."""

import os
import pty
import pwd
import re
import select
import shutil
import signal
import subprocess

from standalone_test import Fixture, alive, database_runs, standalone
from vestige_test import VESTIGE, Timeout, main, processes_named, run, unmount, wait_for

NOBODY = pwd.getpwnam("nobody")


class Terminal:
    """A program that has a terminal of its own, as its controlling one."""

    def __init__(self, *command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.text = ""

    def read_until(self, pattern, seconds=120):
        def found():
            while select.select([self.master], [], [], 0)[0]:
                try:
                    self.text += os.read(self.master, 4096).decode(errors="replace")
                except OSError:
                    break
            return re.search(pattern, self.text)
        try:
            return wait_for(found, seconds, f"{pattern!r} on the terminal", 0.05)
        except Timeout as timeout:
            raise Timeout(f"{timeout}\n{self.text}") from None

    def end(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


class Unaudited(Fixture):
    audited = False

    @staticmethod
    def true():
        """The pid of a process that was."""
        with subprocess.Popen(["/bin/true"]) as process:
            return process.pid

    def assert_recorded(self, instance, pid):
        row, = instance.query("SELECT comm, end_cause, exit_code FROM process WHERE pid = %s ORDER BY id DESC "
                              "LIMIT 1", pid)
        self.assertEqual({"comm": "true", "end_cause": "exit", "exit_code": 0}, row)


class TestEnds(Unaudited):
    def database_log(self, instance):
        with open(instance.path("mariadb.log")) as log:
            return log.read()

    def test_control_c_at_a_terminal(self):
        """A live line; and one Ctrl-C ends the agent first, then mariadbd, each by SIGTERM."""
        instance = self.instance()
        terminal = Terminal(VESTIGE, "standalone", "--state", instance.state, *self.first)
        terminal.read_until(r"\r\x1b\[Krecording  [0-9,]+ process(es)?  [0-9,]+ endpoints?  [0-9]+ gaps?  lag [0-9.]+ s")
        database, = processes_named("mariadbd", terminal.pid)
        os.write(terminal.master, b"\x03")
        terminal.read_until(r"ended: [0-9,]+ process")
        self.assertEqual(0, terminal.end())
        self.assertIn("ending on signal 15", terminal.text)
        self.assertNotIn("ending on signal 2", terminal.text)
        self.assertFalse(alive(database))
        self.assertEqual(1, self.database_log(instance).count("mariadbd: Shutdown complete"))

    def test_each_signal_ends_it_cleanly(self):
        instance = self.instance()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            instance.start()
            instance.process.send_signal(number)
            self.assertEqual(0, instance.process.wait(60), instance.log_text())
            self.assertFalse(alive(instance.agent_pid) or alive(instance.database_pid))
        self.assertEqual(3, self.database_log(instance).count("mariadbd: Shutdown complete"))

    def test_killed(self):
        """kill -9 of the foreground program: the kernel ends both others, and the next start waits
        for them."""
        instance = self.instance()
        instance.start()
        agent, database = instance.agent_pid, instance.database_pid
        instance.process.kill()
        instance.process.wait()
        instance.start()
        self.assertFalse(alive(agent) or alive(database))
        self.assertEqual(1, instance.value("SELECT 1"))
        instance.stop()

    def test_mariadbd_is_started_again(self):
        instance = self.instance()
        instance.start()
        self.addCleanup(instance.stop)
        offset = os.path.getsize(instance.log)
        instance.kill_database()
        instance.wait_for_line("mariadbd was killed by signal 9; it is started again", offset, 60)
        pid = self.true()
        instance.wait_for_database()
        instance.sync()
        self.assert_recorded(instance, pid)
        self.assertTrue(alive(instance.agent_pid))

    def test_a_killed_agent_is_started_again(self):
        instance = self.instance()
        instance.start()
        self.addCleanup(instance.stop)
        instance.kill_agent()
        pid = self.true()
        instance.sync()
        self.assert_recorded(instance, pid)
        self.assertIn("the agent was killed by signal 9; it is started again", instance.log_text())

    def test_an_agent_that_gives_up_ends_it(self):
        instance = self.instance()
        standalone("--state", instance.state, "--for", "1", *self.first)
        instance.configure(reader={"interval_ms": 12345})
        _, errors = standalone("--state", instance.state, status=2)
        self.assertIn("vestiged.conf", errors)
        self.assertFalse(database_runs(instance))


class TestBadDays(Unaudited):
    def as_nobody(self, *command, **options):
        return run("setpriv", "--reuid", "nobody", "--regid", str(NOBODY.pw_gid),
                   "--clear-groups", *command, check=False, **options)

    def test_not_root(self):
        """The missing capabilities are named, and nothing is made."""
        directory = self.directory()
        os.chmod(directory, 0o777)
        state = os.path.join(directory, "state")
        done = self.as_nobody(VESTIGE, "standalone", "--state", state)
        self.assertEqual(2, done.returncode)
        self.assert_one_error(done.stderr, "cap_net_admin, cap_audit_control.*--no-agent")
        self.assertFalse(os.path.exists(state))

    def test_a_copy_is_served_without_root(self):
        """Evidence that was copied to somebody's own directory; the files are made right again."""
        instance = self.instance()
        os.chmod(instance.directory, 0o755)
        instance.start()
        pid = self.true()
        instance.sync()
        instance.stop()
        copy = self.instance()
        os.chmod(copy.directory, 0o755)
        shutil.copytree(instance.state, copy.state, symlinks=True)
        run("chown", "-hR", f"nobody:{NOBODY.pw_gid}", copy.state)
        with open(copy.log, "w") as log:
            copy.process = subprocess.Popen(
                ["setpriv", "--reuid", "nobody", "--regid", str(NOBODY.pw_gid), "--clear-groups",
                 VESTIGE, "standalone", "--state", copy.state, "--no-agent"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        copy.agent_pid, copy.database_pid = None, None
        copy.wait_for_line("serving what was recorded", 0, 120)
        copy.database_pid = copy.child("mariadbd")
        self.assertEqual(NOBODY.pw_uid, os.stat(f"/proc/{copy.database_pid}").st_uid)
        self.assert_recorded(copy, pid)
        copy.stop()

    def test_another_users_data(self):
        instance = self.instance()
        os.chmod(instance.directory, 0o711)
        standalone("--state", instance.state, "--for", "1", *self.first)
        done = self.as_nobody(VESTIGE, "standalone", "--state", instance.state, "--no-agent")
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, r"\Avestige: standalone: error: [^\n]+\n\Z")

    def test_directories_that_are_refused(self):
        directory = self.directory()
        for path, pattern in (
                ("/proc/1/state", "cannot be made"),
                ("/etc", "is not empty and holds no standalone instance"),
                (os.path.join(directory, "x" * 90), "too long for a unix socket"),
                ("/dev/null", "cannot be made|is no directory")):
            _, errors = standalone("--state", path, "--for", "1", status=2)
            self.assert_one_error(errors, f"({pattern})")
        _, errors = standalone("--state", os.path.join(directory, "none"), "--no-agent", status=2)
        self.assert_one_error(errors, "holds no standalone instance to serve")
        self.assertFalse(os.path.exists(os.path.join(directory, "none")))

    def test_a_small_disk(self):
        directory = self.directory()
        run("mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", directory)
        self.addCleanup(unmount, directory)
        _, errors = standalone("--state", directory, "--for", "1", status=2)
        self.assert_one_error(errors, "[0-9]+ MiB are free and a new instance needs 300")

    def test_damaged_data(self):
        """mariadbd's own words reach the user."""
        instance = self.instance()
        standalone("--state", instance.state, "--for", "1", *self.first)
        os.truncate(instance.path("mariadb", "ibdata1"), 100)
        _, errors = standalone("--state", instance.state, status=2)
        self.assert_one_error(errors, r"mariadbd ended with status 1: \[ERROR\] .*see "
                              rf"{instance.state}/mariadb.log")

    def test_an_interrupted_first_start(self):
        """What it left behind is thrown away."""
        instance = self.instance()
        os.makedirs(instance.path("mariadb.new", "half"))
        open(instance.path("lock"), "w").close()
        output, _ = standalone("--state", instance.state, "--for", "1", *self.first)
        self.assertIn("making the database", output)
        self.assertFalse(os.path.exists(instance.path("mariadb.new")))

    def test_bad_words(self):
        for options, pattern in ((("--for", "0"), "--for 0: write a whole number from 1"),
                                 (("--for",), "--for needs a value"),
                                 (("--stat", "x", "extra"), "\"extra\" is one word too many"),
                                 (("--agentless",), "unknown option --agentless")):
            _, errors = standalone(*options, status=2)
            self.assert_one_error(errors, pattern)


if __name__ == "__main__":
    main()
