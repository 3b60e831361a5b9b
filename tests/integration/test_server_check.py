"""`vestige server check` and `vestige server reader`: settings that lose evidence are told with a reason, and
people get accounts that can read and nothing else."""

import json
import os
import re
import stat
import unittest

from private_server import PrivateServer, Session
from server_test import ServerTest
from vestige_test import VESTIGE, main, run

DEFINERS = ("vestige_owner", "vestige_maintainer", "vestige_scheduler", "vestige_watcher", "vestige_clerk")


def settings(server, *words):
    done = server.vestige("server", "check", "--format", "json", *words, check=False)
    return done.returncode, {row["setting"]: row for row in json.loads(done.stdout)["rows"]}, done


class Check(ServerTest):
    hosts = ("web",)

    def check(self):
        return settings(self.server)

    def test_all_required_are_right(self):
        status, rows, done = self.check()
        self.assertEqual((status, done.stderr), (0, "Nothing is wrong.\n"))
        self.assertEqual({row["level"] for row in rows.values()}, {"ok", "note"})
        self.assertGreater(len(rows), 35)
        for name in ("secure_timestamp", "sql_mode", "event_scheduler", "local_infile", "sync_binlog",
                     "binlog_format", "innodb_doublewrite", "innodb_flush_log_at_trx_commit", "read_only",
                     "max_allowed_packet", "vestige's events", "log of readers"):
            self.assertEqual(rows[name]["level"], "ok", name)
        self.assertEqual((rows["server_audit"]["level"], rows["server_audit"]["found"]), ("note", "not installed"))
        self.assertEqual({row["found"] for name, row in rows.items() if re.search("server_audit.", name)},
                         {"server_audit is off"})
        for row in rows.values():
            self.assertEqual(row["level"] == "ok", row["wanted"] is None, row)
            self.assertEqual(row["level"] == "ok", row["what it is for"] is None, row)

    def test_each_setting_that_can_be_changed(self):
        for name, value, level in (
                ("sql_mode", "'ANSI'", "wrong"), ("event_scheduler", "OFF", "wrong"), ("local_infile", "1", "wrong"),
                ("innodb_flush_log_at_trx_commit", "2", "wrong"), ("read_only", "1", "wrong"),
                ("max_allowed_packet", "8388608", "wrong"), ("max_connections", "20", "note"),
                ("max_prepared_stmt_count", "10", "note"),
                ("wait_timeout", "60", "note"), ("max_statement_time", "600", "note"),
                ("default_password_lifetime", "90", "note"), ("init_connect", "'SET @x = 1'", "note"),
                ("innodb_strict_mode", "0", "note"), ("innodb_file_per_table", "0", "note"),
                ("general_log", "1", "note")):
            with self.subTest(name):
                before = self.root.value(f"SELECT @@GLOBAL.{name}")
                self.root.run(f"SET GLOBAL {name} = {value}")
                try:
                    status, rows, done = self.check()
                finally:
                    self.root.run(f"SET GLOBAL {name} = %s", before)
                self.assertEqual(rows[name]["level"], level)
                self.assertTrue(rows[name]["what it is for"] and rows[name]["wanted"])
                self.assertEqual(status, 1 if level == "wrong" else 0)
                self.assertEqual(done.stderr, "1 thing is wrong.\n" if status else "Nothing is wrong.\n")

    def test_hosts_need_statements(self):
        """16 prepared statements for each host: a fleet meets the server's limit."""
        rows = self.check()[1]
        for name in ("max_prepared_stmt_count", "thread_handling"):
            self.assertEqual(rows[name]["level"], "ok", name)
        self.root.run("INSERT INTO enrolment (name, account) SELECT CONCAT('many', seq), '' FROM seq_1_to_1100")
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE name LIKE 'many%'")
        rows = self.check()[1]
        self.assertEqual((rows["max_prepared_stmt_count"]["level"], rows["max_prepared_stmt_count"]["found"]),
                         ("note", "16382 for 1101 hosts"))
        self.assertEqual(rows["max_connections"]["found"], "151 for 1101 hosts")
        self.assertEqual((rows["thread_handling"]["level"], rows["thread_handling"]["found"]),
                         ("note", "one-thread-per-connection for 1101 hosts"))

    def test_an_event_that_is_disabled(self):
        alter = "ALTER DEFINER = vestige_maintainer@localhost EVENT vestige_reaper "
        self.root.run(alter + "DISABLE")
        self.addCleanup(self.root.run, alter + "ENABLE")
        status, rows, _ = self.check()
        self.assertEqual((status, rows["vestige's events"]["level"], rows["vestige's events"]["found"]),
                         (1, "wrong", "vestige_reaper"))

    def test_table(self):
        done = self.server.vestige("server", "check")
        self.assertRegex(done.stdout, r"(?i)setting +level +found")
        self.assertTrue(done.stdout.endswith("Nothing is wrong.\n"))

    def test_options_of_others(self):
        for words in (("check", "--remove"), ("init", "--from", "%"), ("check", "--admin"), ("reader",),
                      ("check", "web"), ("chek",)):
            done = self.server.vestige("server", *words, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)


class Binlog(unittest.TestCase):
    def test_statements_and_no_sync(self):
        """Before there is a database, too; and `init` refuses such a server."""
        server = PrivateServer(log_bin="binlog", binlog_format="STATEMENT", sync_binlog="0", server_id="1")
        self.addCleanup(server.close)
        status, rows, done = settings(server)
        self.assertEqual((status, rows["binlog_format"]["level"], rows["sync_binlog"]["level"]),
                         (1, "wrong", "wrong"))
        self.assertIn("no database vestige yet", done.stderr)
        done = server.vestige("server", "init", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("2 settings of the server must be changed first; nothing was done", done.stderr)
        root = server.root()
        self.addCleanup(root.close)
        self.assertEqual(root.run("SHOW DATABASES LIKE 'vestige'"), ())
        root.run("SET GLOBAL binlog_format = 'ROW'")
        root.run("SET GLOBAL sync_binlog = 1")
        self.assertEqual(settings(server)[0], 0)
        server.vestige("server", "init")


class Reader(ServerTest):
    hosts = ("web",)

    def account(self, name, *words):
        directory = os.path.join(self.server.directory, "people")
        done = self.server.vestige("server", "reader", name, "--directory", directory, *words)
        return os.path.join(directory, name + ".cnf"), done

    def session(self, path):
        session = Session(self.server, database="vestige", read_default_group="client", read_default_file=path)
        self.addCleanup(session.close)
        return session

    def test_reads_and_changes_nothing(self):
        path, done = self.account("carol")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertIn("account carol@localhost with role vestige_reader", done.stdout)
        with open(path) as file:
            password = next(line for line in file if line.startswith("password")).split(" = ")[1].strip()
        self.assertNotIn(password, done.stdout + done.stderr)
        carol = self.session(path)
        self.assertEqual(carol.run("SELECT name FROM enrolment"), (("web",),))
        for table in ("process", "batch", "enrolment", "finding", "watch_setting", "host_state", "reading"):
            self.assertEqual(carol.error(f"DELETE FROM {table}"), 1142)
            self.assertEqual(carol.error(f"CREATE OR REPLACE VIEW {table}_mine AS SELECT 1"), 1142)
        for sql in ("CALL vestige_watch()", "CALL vestige_make_partitions()",
                    "CALL vestige_conclude('host-silent', 1, 'x', 'x', NULL)",
                    "CALL vestige_schedule_remove(1, @n)"):
            self.assertEqual(carol.error(sql), 1370, sql)
        self.assertEqual(carol.error("SELECT * FROM mysql.global_priv"), 1142)
        done = run(VESTIGE, "report", "gaps", f"--defaults-file={path}", check=False)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        status = run(VESTIGE, "status", f"--defaults-file={path}", "--format", "json", check=False)
        self.assertEqual([row for row in json.loads(status.stdout)["rows"] if row["level"] == "wrong"], [])

    def test_again_gives_a_new_password(self):
        path, _ = self.account("dave")
        with open(path) as file:
            before = file.read()
        self.account("dave")
        with open(path) as file:
            self.assertNotEqual(file.read(), before)
        self.session(path)

    def test_administrator(self):
        path, done = self.account("erin", "--admin")
        self.assertIn("role vestige_admin", done.stdout)
        erin = self.session(path)
        self.assertEqual(erin.run("INSERT INTO watch_setting VALUES (1, 'silent_seconds', 60)"), 1)
        self.assertEqual(erin.error("CALL vestige_watch()"), 0)
        self.assertEqual(erin.error("DELETE FROM process"), 1142)
        self.assertEqual(erin.error("UPDATE reading_head SET id = 0"), 1142)
        self.assertEqual(run(VESTIGE, "report", "gaps", f"--defaults-file={path}", check=False).stderr, "")

    def test_from(self):
        _, done = self.account("frank", "--from", "10.1.2.%")
        self.assertIn("frank@10.1.2.%", done.stdout)
        self.assertEqual(self.root.value("SELECT ssl_type FROM mysql.user WHERE User = 'frank'"), "ANY")
        self.assertEqual(self.root.value("SELECT Host FROM mysql.user WHERE User = 'frank'"), "10.1.2.%")

    def test_over_tcp(self):
        """No password in clear: the account demands TLS, and who has it verifies the server."""
        directory = os.path.join(self.server.directory, "people")
        authority = os.path.join(self.server.directory, "authority")
        os.makedirs(authority)
        with open(os.path.join(authority, "ca.pem"), "w") as file:
            file.write("the authority\n")
        path, done = self.account("gina", "--address", "db1.example.net", "--ca-directory", authority)
        self.assertIn("account gina@% with role vestige_reader", done.stdout)
        self.assertIn("/etc/vestige/ca.pem", done.stdout)
        self.assertEqual(self.root.run("SELECT Host, ssl_type FROM mysql.user WHERE User = 'gina'"), (("%", "ANY"),))
        self.account("ivan")
        self.assertEqual(self.root.value("SELECT ssl_type FROM mysql.user WHERE User = 'ivan'"), "")
        with open(path) as file:
            text = file.read()
        for line in ('host = "db1.example.net"', 'ssl-ca = "/etc/vestige/ca.pem"', "ssl-verify-server-cert"):
            self.assertIn(line, text.splitlines())
        self.assertNotIn("socket", text)
        with open(os.path.join(directory, "ca.pem")) as file:
            self.assertEqual(file.read(), "the authority\n")
        done = self.server.vestige("server", "reader", "hugo", "--directory", directory, "--ca-directory", authority,
                                   check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("write --address HOST, too", done.stderr)

    def test_names_that_are_refused(self):
        for name in ("agent_7", "x y", "a'b", "", "x" * 81, "../x"):
            done = self.server.vestige("server", "reader", name, "--directory", self.server.directory, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), name)

    def test_locked_accounts_are_not_given_away(self):
        """The definers of the views and jobs are no readers."""
        for name in (*DEFINERS, "root"):
            done = self.server.vestige("server", "reader", name, "--from", "localhost", "--directory",
                                       self.server.directory, check=False)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn("is no account of a reader", done.stderr)
        self.assertEqual(self.root.run("SELECT User FROM mysql.roles_mapping WHERE Role = 'vestige_reader'"
                                       " AND Admin_option = 'N' AND User IN ('root', 'vestige_owner')"), ())


if __name__ == "__main__":
    main()
