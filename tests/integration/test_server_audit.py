"""Who reads the evidence by other programs than vestige: MariaDB's plugin server_audit, with the settings of
deploy/fleet/readers.cnf; what `vestige server check`, `vestige server reader` and the watch say of it."""

import configparser
import contextlib
import json
import os
import pathlib
import re
import unittest

from private_server import PrivateServer, Refused, Session
from vestige_test import BIN, main, run, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = os.path.abspath(os.path.join(BIN, "..", "..", "plugins"))
LINE = re.compile(r"^\d{8} \d\d:\d\d:\d\d,[^,]*,(?P<user>[^,]*),(?P<host>[^,]*),(?P<connection>\d+),\d+,(?P<event>[A-Z_]+),"
                  r"(?P<database>[^,]*),(?:'(?P<text>.*)')?,(?P<error>\d+)$")
LIST_MOST = 1023


def recommended():
    """The settings of deploy/fleet/readers.cnf."""
    parser = configparser.ConfigParser(allow_no_value=True)
    parser.read(ROOT / "deploy" / "fleet" / "readers.cnf")
    return dict(parser["mariadbd"])


class AuditedServer(PrivateServer):
    def __init__(self):
        run(str(ROOT / "tests" / "lib" / "fetch_server_audit"), PLUGINS)
        super().__init__(plugin_dir=PLUGINS, **recommended())

    def start(self):
        self.audit_log = os.path.join(self.directory, "server_audit.log")
        self.settings["server-audit-file-path"] = self.audit_log
        super().start()

    def lines(self):
        with open(self.audit_log, errors="replace") as log:
            found = [LINE.match(line) for line in log.read().split("\n")[:-1]]
        assert None not in found, "a line of another form"
        return [line.groupdict() for line in found]


class Shared(unittest.TestCase):
    """One server for all."""
    maxDiff = None

    @classmethod
    def addClassCleanup(cls, *words):
        unittest.addModuleCleanup(*words)

    @classmethod
    def setUpClass(cls):
        cls.server = AuditedServer()
        cls.addClassCleanup(cls.server.close)
        cls.server.vestige("server", "init")
        for name in ("web", "mail"):
            cls.server.enrol(name)
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.root.run("ALTER DEFINER = vestige_watcher@localhost EVENT vestige_watch"
                     " ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01'")
        cls.root.wait_for_events()
        Shared.first = cls.make_reader("carol")

    @classmethod
    def make_reader(cls, name):
        return cls.server.vestige("server", "reader", name, "--directory", cls.server.directory).stdout


def setUpModule():
    Shared.setUpClass()


class Readers(Shared):
    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        self.root.stay_within_a_day()
        for table in ("finding", "schedule_finding", "server_setting"):
            self.root.run(f"DELETE FROM {table}")
        self.watch()
        self.n_before = len(self.server.lines())

    def set(self, name, value):
        """For this test."""
        before = self.root.value(f"SELECT @@GLOBAL.{name}")
        self.addCleanup(self.root.run, f"SET GLOBAL {name} = %s", before)
        self.root.run(f"SET GLOBAL {name} = %s", value)

    def watch(self):
        self.root.run("CALL vestige_watch_at(UTC_TIMESTAMP(6))")

    def findings(self):
        return self.root.run("SELECT class, REGEXP_REPLACE(subject, '( at|,) .*', ''),"
                             " REGEXP_REPLACE(detail, ';.*', '') FROM finding WHERE class <> '' ORDER BY 1, 2")

    def check(self):
        """What is not right of the log: by setting, what was found and what is wanted."""
        rows = json.loads(self.server.vestige("server", "check", "--format", "json").stdout)["rows"]
        rows = [row for row in rows if "server_audit" in row["setting"]]
        self.assertEqual(len(rows), 5)
        return {row["setting"]: (row["found"], row["wanted"]) for row in rows if row["level"] != "ok"}

    def prompt(self, text, name="carol", check=True):
        """A person at MariaDB's own prompt."""
        done = run("mariadb", f"--defaults-file={self.server.directory}/{name}.cnf", "--comments", "vestige", "-e", text,
                   check=check)
        self.wait_until_gone(name)
        return done

    def wait_until_gone(self, user):
        """The server writes what somebody asked after it has answered, and last that they are gone."""
        def gone():
            lines = [line for line in self.server.lines() if line["user"] == user]
            ids = {event: {line["connection"] for line in lines if line["event"] == event}
                   for event in ("CONNECT", "DISCONNECT")}
            return ids["CONNECT"] <= ids["DISCONNECT"]
        wait_for(gone, 60, f"{user} is gone by the log")

    def logged(self, user=None, event="QUERY"):
        return [line for line in self.server.lines()[self.n_before:]
                if line["event"] == event and user in (None, line["user"])]

    def texts(self, user):
        return [line["text"] for line in self.logged(user)]


class Kept(Readers):
    def test_recommended(self):
        self.assertEqual(self.check(), {})
        rows = json.loads(self.server.vestige("server", "check", "--format", "json").stdout)["rows"]
        found = {row["setting"]: row["found"] for row in rows}
        self.assertEqual(found["server_audit"], f"ON, events: CONNECT,QUERY, to {self.server.audit_log} in "
                         f"{self.server.directory}/data/, 0 writes failed")
        self.assertIn("server_audit_incl_users = root,carol", self.first)
        self.assertEqual(self.root.value("SELECT @@GLOBAL.server_audit_incl_users"), "root,carol")
        self.watch()
        self.assertEqual(self.findings(), ())

    def test_questions_at_the_prompt(self):
        questions = ["SELECT 'it''s', COUNT(*) FROM process", "WITH p AS (SELECT 23 AS n) SELECT n FROM p",
                     "SHOW TABLES", "EXPLAIN SELECT * FROM endpoint", f"/* {'x' * 5000} */ SELECT 97",
                     "EXECUTE IMMEDIATE 'SELECT 41'", "(SELECT 1) UNION (SELECT 2)", "VALUES (7)"]
        self.prompt(";\n".join(questions))
        texts = self.texts("carol")
        for question in questions:
            self.assertEqual(texts.count(question.replace("'", "\\'")), 1, question[:60])
        connected, = self.logged("carol", "CONNECT")
        self.assertEqual((connected["database"], connected["error"], connected["host"]), ("vestige", "0", "localhost"))
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM reading"), 0)

    def test_refused(self):
        for text in ("DELETE FROM process", "SELECT * FROM mysql.global_priv"):
            self.assertIn("ERROR 1142", self.prompt(text, check=False).stderr)
        self.assertEqual([(line["text"], line["error"]) for line in self.logged("carol") if line["error"] != "0"],
                         [("DELETE FROM process", "1142"), ("SELECT * FROM mysql.global_priv", "1142")])
        with contextlib.suppress(Refused):
            Session(self.server, user="carol", password="guess").close()
        wait_for(lambda: self.logged("carol", "FAILED_CONNECT"), 60, "that is in the log")
        failed, = self.logged("carol", "FAILED_CONNECT")
        self.assertEqual(failed["error"], "1045")

    def test_vestige_is_in_both(self):
        run(os.path.join(BIN, "vestige"), "query", "SELECT 4711 AS n", f"--defaults-file={self.server.directory}/carol.cnf")
        self.wait_until_gone("carol")
        self.addCleanup(self.root.run, "UPDATE reading_head SET id = 0, hash = REPEAT('\\0', 32)")
        self.addCleanup(self.root.run, "DELETE FROM reading")
        self.assertIn("SELECT 4711 AS n", [text for text in self.texts("carol") if "vestige_read" not in text])
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM reading WHERE question = 'SELECT 4711 AS n'"), 1)

    def test_agents_are_left_out(self):
        agent = Session(self.server, database="vestige", read_default_group="vestige",
                        read_default_file=os.path.join(self.server.directory, "enrolled-web", "agent.cnf"))
        for _ in range(97):
            agent.run("UPDATE host_alive SET gaps = 0")
        agent.close()
        self.assertEqual(len(self.logged("agent_1", "CONNECT")), 1)
        self.assertEqual(self.logged("agent_1"), [])
        self.prompt("SELECT 23")
        self.assertEqual(self.texts("carol").count("SELECT 23"), 1)

    def test_another_file(self):
        """As readers.cnf says: the old one is moved away, and nothing is lost."""
        self.prompt("SELECT 29")
        old = self.server.audit_log + ".1"
        os.rename(self.server.audit_log, old)
        self.addCleanup(os.unlink, old)
        self.root.run("SET GLOBAL server_audit_file_path = %s", self.server.audit_log)
        self.prompt("SELECT 97")
        self.n_before = 0
        with open(old) as log:
            text = log.read()
        self.assertEqual((text.count("'SELECT 29'"), text.count("'SELECT 97'")), (1, 0))
        self.assertEqual(self.texts("carol").count("SELECT 97"), 1)
        self.assertEqual(self.texts("carol").count("SELECT 29"), 0)


class Noticed(Readers):
    def test_a_reader_made_by_hand(self):
        self.root.run("CREATE USER inga@'10.%' IDENTIFIED BY 'a long password'")
        self.addCleanup(self.root.run, "DROP USER inga@'10.%'")
        self.assertEqual(self.check(), {})
        self.root.run("GRANT vestige_reader TO inga@'10.%'")
        self.assertEqual(self.check(), {"readers in server_audit": (
            "without inga@10.%", "server_audit_incl_users = root,carol,inga")})
        self.watch()
        self.watch()
        self.assertEqual(self.findings(), (("reader-not-logged", "inga@10.%", "it may read the evidence, and what it"
                                            " asks is not in the log of server_audit"),))
        self.set("server_audit_incl_users", "root, carol, inga")
        self.assertEqual(self.check(), {})

    def test_whatever_lets_it_read(self):
        """By a role in a role, the database, a table; not by the account of an agent, nor without a right."""
        self.root.run("CREATE ROLE auditors")
        self.addCleanup(self.root.run, "DROP ROLE auditors")
        self.root.run("GRANT vestige_reader TO auditors")
        for name, grant in (("by_role", "GRANT auditors TO by_role"), ("by_database", "GRANT SELECT ON `vest%`.* TO"
                            " by_database"), ("by_table", "GRANT SELECT ON process TO by_table"), ("by_all",
                            "GRANT SELECT ON *.* TO by_all"), ("nobody", "GRANT INSERT ON process TO nobody"),
                            ("elsewhere", "GRANT SELECT ON mysql.* TO elsewhere"), ("locked", "GRANT vestige_reader"
                            " TO locked")):
            self.root.run(f"CREATE USER {name}{' ACCOUNT LOCK' if name == 'locked' else ''}")
            self.addCleanup(self.root.run, f"DROP USER {name}")
            self.root.run(grant)
        self.assertEqual(self.check()["readers in server_audit"][0],
                         "without by_all@%, by_database@%, by_role@%, by_table@%")

    def test_switched_off(self):
        self.root.run("SET GLOBAL server_audit_logging = OFF")
        self.addCleanup(self.root.run, "SET GLOBAL server_audit_logging = ON")
        self.assertIn("SET GLOBAL server_audit_logging = OFF", self.texts("root"))
        self.prompt("SELECT 23")
        self.assertEqual(self.texts("carol"), [])
        wrong = self.check()
        self.assertEqual(list(wrong), ["server_audit"])
        self.assertTrue(wrong["server_audit"][0].startswith("OFF, "), wrong)
        self.watch()
        self.assertEqual(self.findings(), (("server-setting-changed", "server_audit_logging", "from ON to OFF"),))
        self.assertNotEqual(self.root.error("UNINSTALL SONAME 'server_audit'"), 0)

    def test_settings_that_keep_less(self):
        for name, value, setting in (("server_audit_events", "CONNECT,QUERY_DDL,QUERY_DML,QUERY_DCL", "server_audit"),
                                     ("server_audit_events", "QUERY", "server_audit"),
                                     ("server_audit_query_log_limit", 1024, "server_audit_query_log_limit"),
                                     ("server_audit_file_rotations", 9, "server_audit_file_rotations")):
            with self.subTest(f"{name}={value}"):
                before = self.root.value(f"SELECT @@GLOBAL.{name}")
                self.root.run(f"SET GLOBAL {name} = %s", value)
                self.assertEqual(list(self.check()), [setting])
                self.watch()
                self.assertIn(("server-setting-changed", name, f"from {before} to {value}"), self.findings())
                self.root.run(f"SET GLOBAL {name} = %s", before)
                self.assertEqual(self.check(), {})
                self.setUp()

    def test_agents_that_are_logged(self):
        wanted = "server_audit_incl_users = carol,root"
        self.set("server_audit_incl_users", "")
        self.assertEqual(self.check(), {"agents in server_audit": ("2 logged", wanted)})
        self.set("server_audit_excl_users", "agent_1")
        self.assertEqual(self.check(), {"agents in server_audit": ("1 logged", wanted)})
        self.root.run("SET GLOBAL server_audit_excl_users = 'agent_1,agent_2'")
        self.assertEqual(self.check(), {})
        self.root.run("SET GLOBAL server_audit_excl_users = 'agent_1,agent_2,carol'")
        self.assertEqual(self.check(), {"readers in server_audit": ("without carol@localhost", wanted)})

    def test_a_list_that_is_full(self):
        """The plugin takes no more; the account is made, and what it means is said."""
        names = ["root", "carol"]
        while len(",".join(names)) + 12 <= LIST_MOST:
            names.append(f"person_{len(names):03}")
        self.set("server_audit_incl_users", ",".join(names))
        self.addCleanup(self.root.run, "DROP USER dave@localhost")
        done = self.server.vestige("server", "reader", "dave_with_a_long_name".replace("_with_a_long_name", ""),
                                   "--directory", self.server.directory)
        self.assertNotIn("server_audit_incl_users", done.stdout)
        self.assertIn("what dave asks by other programs than vestige will not be kept", done.stderr)
        self.assertEqual(self.root.value("SELECT @@GLOBAL.server_audit_incl_users"), ",".join(names))
        self.assertEqual(self.check()["readers in server_audit"][0], "without dave@localhost")

    def test_twice(self):
        self.assertIn("account carol", self.make_reader("carol"))
        self.assertEqual(self.root.value("SELECT @@GLOBAL.server_audit_incl_users"), "root,carol")


if __name__ == "__main__":
    main()
