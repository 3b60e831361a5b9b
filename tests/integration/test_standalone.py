"""`vestige standalone`: start, files and settings."""

import contextlib
import grp
import os
import pwd
import stat

from standalone_test import Fixture, standalone
from vestige_test import main, processes_named, run


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


if __name__ == "__main__":
    main()
