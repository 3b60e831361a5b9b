"""`vestige standalone`: start, files, settings, ends of every kind, and bad days."""

import contextlib
import grp
import os
import pty
import pwd
import re
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

import vestige_test
from vestige_test import (VESTIGE, Standalone, Timeout, audit_state, main, processes_named, run,
                          wait_for)

NOBODY = pwd.getpwnam("nobody")


def alive(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/status") as state:
            return "State:\tZ" not in state.read()
    return False


def database_runs(instance):
    for pid in processes_named("mariadbd"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/cmdline") as words:
                if instance.state in words.read():
                    return True
    return False


def standalone(*options, status=0, **parameters):
    """A standalone that ends by itself: its standard output and error."""
    done = run(VESTIGE, "standalone", *options, check=False, **parameters)
    if done.returncode != status:
        raise AssertionError(f"standalone {options}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


class Fixture(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        before = audit_state()
        self.addCleanup(vestige_test.assert_audit_state, before)

    def instance(self):
        instance = Standalone()
        self.addCleanup(instance.remove)
        return instance

    def directory(self):
        path = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, path)
        return path

    def assert_one_error(self, text, pattern):
        """One line, which says this."""
        self.assertRegex(text, rf"\Avestige: standalone: error: [^\n]*{pattern}[^\n]*\n\Z")


class TestLife(Fixture):
    def mode(self, instance, name):
        status = os.stat(instance.path(name))
        return (stat.filemode(status.st_mode), pwd.getpwuid(status.st_uid).pw_name,
                grp.getgrgid(status.st_gid).gr_name)

    def test_first_start_and_its_files(self):
        """Below a directory that everybody may pass, mariadbd runs as mysql."""
        instance = self.instance()
        os.chmod(instance.directory, 0o711)
        output, errors = standalone("--state", instance.state, "--for", "2")
        self.assertRegex(output, rf"(?s)\Amaking the database \(once\) ...\n"
                         rf"recording this host into {instance.state}\n"
                         rf"ask with:  mariadb --defaults-file={instance.state}/client.cnf vestige\n"
                         rf"      or:  vestige query --state {instance.state} 'SELECT ...'\n"
                         r"ends after 2 s, or with Ctrl-C\n"
                         r"recording  [0-9,]+ process.*\n"
                         r"ending: the agent ships what is left ...\n"
                         r"ended: [0-9,]+ process.*  [0-9]+ gaps?  lag [0-9.]+ s\n")
        self.assertIn("vestiged: agent: recording this host (host_id 1)", errors)
        self.assertEqual({"": ("drwx--x--x", "root", "root"),
                          "agent": ("drwx------", "root", "root"),
                          "mariadb": ("drwx------", "mysql", "root"),
                          "run": ("drwxr-x---", "mysql", "root"),
                          "mariadb.log": ("-rw-r-----", "mysql", "root"),
                          "agent.cnf": ("-rw-------", "root", "root"),
                          "client.cnf": ("-rw-------", "root", "root"),
                          "signing.key": ("-rw-------", "root", "root"),
                          "vestiged.conf": ("-rw-------", "root", "root")},
                         {name: self.mode(instance, name) for name in (
                             "", "agent", "mariadb", "run", "mariadb.log", "agent.cnf",
                             "client.cnf", "signing.key", "vestiged.conf")})

    def test_below_a_private_directory(self):
        """Where mysql cannot go mariadbd runs as root, and nobody else can pass."""
        instance = self.instance()
        instance.start("--user", "")
        self.assertEqual(0, os.stat(f"/proc/{instance.database_pid}").st_uid)
        self.assertEqual(("drwx------", "root", "root"), self.mode(instance, ""))
        instance.stop()

    def test_settings(self):
        instance = self.instance()
        instance.start()
        self.addCleanup(instance.stop)
        row, = instance.query(
            "SELECT @@skip_networking, @@secure_timestamp, @@event_scheduler, @@local_infile,"
            " @@global.time_zone, @@system_time_zone, @@innodb_flush_log_at_trx_commit,"
            " @@performance_schema, @@skip_name_resolve, @@character_set_server")
        self.assertEqual([1, "YES", "ON", 0, "+00:00", "UTC", 1, 0, 1, "utf8mb4"],
                         list(row.values()))
        modes = set(instance.value("SELECT @@global.sql_mode").split(","))
        self.assertLessEqual({"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_DATE",
                              "NO_ZERO_IN_DATE"}, modes)
        with open("/proc/net/tcp") as tcp, open("/proc/net/tcp6") as tcp6:
            listening = {line.split()[9] for line in tcp.readlines() + tcp6.readlines()
                         if line.split()[3] == "0A"}
        sockets = set()
        for name in os.listdir(f"/proc/{instance.database_pid}/fd"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(f"/proc/{instance.database_pid}/fd/{name}"))
        self.assertFalse({f"socket:[{inode}]" for inode in listening} & sockets)

    def test_accounts(self):
        """The reader of client.cnf reads, in UTC, and no more; the administrator is root alone."""
        instance = self.instance()
        os.chmod(instance.directory, 0o711)
        instance.start()
        self.addCleanup(instance.stop)

        def client(sql, *options, check=True):
            return run("mariadb", f"--defaults-file={instance.path('client.cnf')}", *options,
                       "vestige", "-N", "-e", sql, check=check)
        self.assertEqual("+00:00\tinvestigator@localhost\n",
                         client("SELECT @@time_zone, CURRENT_USER()").stdout)
        self.assertEqual("2026-07-01 03:00:00\n", client(
            "SELECT CONVERT_TZ('2026-07-01 00:00:00', 'UTC', 'Europe/Athens')").stdout)
        for sql in ("DELETE FROM process", "UPDATE gap SET detail = ''", "DROP TABLE batch",
                    "INSERT INTO schema_version VALUES (99, '', NOW(), '')",
                    "CREATE USER eve", "SELECT LOAD_FILE('/etc/passwd') FROM mysql.user",
                    "SET GLOBAL event_scheduler = OFF"):
            done = client(sql, check=False)
            self.assertEqual(1, done.returncode, sql)
            self.assertRegex(done.stderr, "ERROR (1142|1044|1227|1410) ", sql)
        dump = run("mariadb-dump", f"--defaults-file={instance.path('client.cnf')}",
                   "--single-transaction", "--hex-blob", "vestige", "enrolment")
        self.assertIn("INSERT INTO `enrolment`", dump.stdout)
        accounts = instance_accounts(instance)
        self.assertEqual("unix_socket", accounts["root"])
        self.assertEqual({"root", "mariadb.sys", "vestige_owner", "vestige_maintainer",
                          "vestige_agent", "vestige_reader", "vestige_admin", "vestige_asker",
                          "vestige_scheduler", "vestige_notifier", "vestige_grafana", "vestige_verifier",
                          "vestige_registrar", "vestige_newcomer", "vestige_watcher", "vestige_clerk",
                          "investigator", "agent_1"}, set(accounts))
        for user in ("mysql", "nobody"):
            done = run("setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid),
                       "--clear-groups", "mariadb",
                       "--no-defaults", f"--socket={instance.path('run', 'mariadb.sock')}",
                       "--user=root", "-e", "SELECT 1", check=False)
            self.assertEqual(1, done.returncode, user)
            self.assertRegex(done.stderr, r"ERROR (1698|2002) ")

    def test_started_again(self):
        """The same data, the same host, and no second database."""
        instance = self.instance()
        standalone("--state", instance.state, "--for", "1")
        instance.start()
        run("/bin/true", "between")
        instance.sync()
        rows = instance.value("SELECT COUNT(*) FROM process WHERE arguments = 'between'")
        before = instance.value("SELECT COUNT(*) FROM process")
        instance.stop()
        self.assertNotIn("making the database", instance.log_text())
        self.assertEqual(1, rows)
        instance.start("--no-agent")
        self.assertGreaterEqual(instance.value("SELECT COUNT(*) FROM process"), before)
        self.assertEqual(1, instance.value("SELECT COUNT(*) FROM enrolment"))
        self.assertEqual([], processes_named("vestiged", instance.process.pid))
        instance.stop()
        self.assertIn("serving what was recorded", instance.log_text())

    def test_second_on_the_same_directory(self):
        instance = self.instance()
        instance.start()
        self.addCleanup(instance.stop)
        for options in ((), ("--no-agent",)):
            _, errors = standalone("--state", instance.state, *options, status=2)
            self.assert_one_error(errors, rf"is in use by another vestige standalone "
                                  rf"\(pid {instance.process.pid}\)")
        self.assertEqual(1, instance.value("SELECT 1"))


def instance_accounts(instance):
    """Authentication plugins by user, as root sees them."""
    rows = run("mariadb", "--no-defaults", f"--socket={instance.path('mariadb.sock')}",
               "--user=root", "-N", "-e", "SELECT user, plugin FROM mysql.user").stdout
    return dict(line.split("\t") for line in rows.splitlines())


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


class TestEnds(Fixture):
    def database_log(self, instance):
        with open(instance.path("mariadb.log")) as log:
            return log.read()

    def test_control_c_at_a_terminal(self):
        """A live line; and one Ctrl-C ends the agent first, then mariadbd, each by SIGTERM."""
        instance = self.instance()
        terminal = Terminal(VESTIGE, "standalone", "--state", instance.state)
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
        run("/bin/true", "after")
        instance.wait_for_database()
        instance.sync()
        self.assertEqual(1, instance.value(
            "SELECT COUNT(*) FROM process WHERE arguments = 'after'"))
        self.assertTrue(alive(instance.agent_pid))

    def test_a_killed_agent_is_started_again(self):
        instance = self.instance()
        instance.start()
        self.addCleanup(instance.stop)
        instance.kill_agent()
        run("/bin/true", "again")
        instance.sync()
        self.assertEqual(1, instance.value(
            "SELECT COUNT(*) FROM process WHERE arguments = 'again'"))
        self.assertIn("the agent was killed by signal 9; it is started again", instance.log_text())

    def test_an_agent_that_gives_up_ends_it(self):
        instance = self.instance()
        standalone("--state", instance.state, "--for", "1")
        instance.configure(reader={"interval_ms": 12345})
        _, errors = standalone("--state", instance.state, status=2)
        self.assertIn("vestiged.conf", errors)
        self.assertFalse(database_runs(instance))


class TestBadDays(Fixture):
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
        run("/bin/true", "copied")
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
        self.assertEqual(1, copy.value("SELECT COUNT(*) FROM process WHERE arguments = 'copied'"))
        copy.stop()

    def test_another_users_data(self):
        instance = self.instance()
        os.chmod(instance.directory, 0o711)
        standalone("--state", instance.state, "--for", "1")
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
        self.addCleanup(run, "umount", directory)
        _, errors = standalone("--state", directory, "--for", "1", status=2)
        self.assert_one_error(errors, "[0-9]+ MiB are free and a new instance needs 300")

    def test_damaged_data(self):
        """mariadbd's own words reach the user."""
        instance = self.instance()
        standalone("--state", instance.state, "--for", "1")
        os.truncate(instance.path("mariadb", "ibdata1"), 100)
        _, errors = standalone("--state", instance.state, status=2)
        self.assert_one_error(errors, r"mariadbd ended with status 1: \[ERROR\] .*see "
                              rf"{instance.state}/mariadb.log")

    def test_an_interrupted_first_start(self):
        """What it left behind is thrown away."""
        instance = self.instance()
        os.makedirs(instance.path("mariadb.new", "half"))
        open(instance.path("lock"), "w").close()
        output, _ = standalone("--state", instance.state, "--for", "1")
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
