"""Who read the evidence: each command of `vestige` that answers leaves its question and its end, in a chain
that readers can only add to, and in which each change shows."""

import json
import os
import subprocess
import threading

from private_server import Session
from server_test import ServerTest
from vestige_test import VESTIGE, main, run, wait_for

HOSTILE = "'; DROP TABLE reading; -- %s %_ \"\\x00 \x1b[31m\u202e\u00e9"
NO_TABLE_RIGHT, NO_ROUTINE_RIGHT = 1142, 1370


class ReadingTest(ServerTest):
    hosts = ("web", "mail")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {}
        for name in ("carol", "dave"):
            done = cls.server.vestige("server", "reader", name, "--directory", cls.server.directory)
            cls.files[name] = os.path.join(cls.server.directory, name + ".cnf")
            assert cls.files[name] in done.stdout, done.stdout
        cls.root.run("ALTER DEFINER = vestige_watcher@localhost EVENT vestige_watch"
                     " ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01'")

    def setUp(self):
        self.root.run("DELETE FROM reading")
        self.root.run("UPDATE reading_head SET id = 0, hash = REPEAT('\\0', 32)")

    def ask(self, *words, who="carol", status=None, **options):
        done = run(VESTIGE, *words, f"--defaults-file={self.files[who]}", check=False, **options)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def session(self, who="carol"):
        session = Session(self.server, database="vestige", read_default_group="client",
                          read_default_file=self.files[who])
        self.addCleanup(session.close)
        return session

    def rows(self, *columns, step="asked"):
        return self.root.run(f"SELECT {', '.join(columns)} FROM reading WHERE step = %s ORDER BY id", step)

    def check(self):
        """What `vestige server check` says of the log: level and text."""
        done = self.server.vestige("server", "check", "--format", "json", check=False)
        rows = {row["setting"]: row for row in json.loads(done.stdout)["rows"]}
        return rows["log of readers"]["level"], rows["log of readers"]["found"]


class Written(ReadingTest):
    def test_question_and_end(self):
        self.ask("report", "coverage", "--on", "web", "--since", "2026-01-02T03:04:05Z", status=1)
        asked, = self.rows("account", "command", "question", "on_host", "login_user", "since", "until", "n_rows",
                           "words", "os_host")
        self.assertEqual([str(value) if value is not None else None for value in asked[:8]],
                         ["carol@localhost", "report", "coverage", "web", None, "2026-01-02 03:04:05", None, None])
        self.assertEqual(sorted(asked[8].split()), sorted([
            "report", "coverage", "--on", "web", "--since", "2026-01-02T03:04:05Z",
            f"--defaults-file={self.files['carol']}"]))
        self.assertEqual(asked[9], os.uname().nodename)
        answered, = self.rows("asked_id", "host_id", "since", "n_rows", "outcome", "account",
                              "duration_ms BETWEEN 0 AND 60000", step="answered")
        self.assertEqual([str(value) for value in answered],
                         ["1", "1", "2026-01-02 03:04:05", "0", "none", "carol@localhost", "1"])

    def test_each_command(self):
        cases = [("report", "gaps"), ("query", "SELECT 1 AS one"), ("tree", "--on", "web"),
                 ("timeline", "--on", "web"), ("diff", "web", "mail"), ("user", "1000"),
                 ("export", "--format", "tln")]
        for words in cases:
            with self.subTest(words[0]):
                self.setUp()
                self.ask(*words)
                self.assertEqual({row[0] for row in self.rows("command")}, {words[0]})
                self.assertEqual(len(self.rows("id")), 2 if words[0] == "diff" else 1)
                self.assertEqual(len(self.rows("id", step="answered")), len(self.rows("id")))
                self.assertNotIn("error", {row[0] for row in self.rows("outcome", step="answered")})
                self.assertEqual(self.check()[0], "ok")

    def test_what_is_no_question(self):
        self.ask("report", status=0)
        self.ask("report", "gaps", "--about", status=0)
        self.ask("status")
        self.ask("schedule", "list")
        self.assertEqual(self.rows("id"), ())

    def test_errors_and_rows(self):
        self.ask("query", "SELECT 1 UNION SELECT 2", status=0)
        self.ask("query", "SELECT nothing", status=2)
        self.ask("report", "gaps", "--on", "nobody", status=2)
        self.assertEqual(self.rows("n_rows", "outcome", step="answered"),
                         ((2, "rows"), (0, "error"), (0, "error")))

    def test_hostile_words(self):
        sql = f"SELECT {json.dumps(HOSTILE)} AS x WHERE 'a' = '{'b' * 65536}'"
        self.ask("query", sql, status=1)
        question, words = self.rows("question", "words")[0]
        self.assertIn("b" * 65536, question)
        self.assertIn("DROP TABLE reading; -- %s %_", question)
        self.assertEqual(self.check()[0], "ok")
        done = subprocess.run([VESTIGE, "query", b"SELECT '\xff\xfe' AS x",
                               f"--defaults-file={self.files['carol']}"], capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        self.assertNotIn(b"not in the log", done.stderr)
        self.assertIn("\\xff\\xfe", self.rows("question")[1][0])
        report = self.ask("report", "who-asked", status=0).stdout
        self.assertNotIn("\x1b", report)

    def test_interrupted(self):
        """A reader who ends vestige half way has asked all the same."""
        process = subprocess.Popen([VESTIGE, "query", "SELECT SLEEP(300)",
                                    f"--defaults-file={self.files['carol']}"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for(lambda: self.rows("id"), 60, "the question is there")
        process.kill()
        process.wait()
        self.assertEqual(len(self.rows("id")), 1)
        self.assertEqual(self.rows("id", step="answered"), ())
        rows = json.loads(self.ask("report", "who-asked", "--format", "json").stdout)["rows"]
        self.assertEqual([(row["command"], row["outcome"]) for row in rows], [("report", None), ("query", None)])

    def test_who_asked(self):
        self.ask("user", "1000")
        self.ask("report", "gaps", "--on", "web", who="dave")
        self.ask("report", "gaps", "--on", "mail", who="dave")

        def asked(*words):
            rows = json.loads(self.ask("report", "who-asked", "--format", "json", *words).stdout)["rows"]
            return [(row["account"], row["command"], row["about_host"]) for row in rows
                    if "who-asked" not in row["words"]]
        self.assertEqual(asked("account=dave"), [("dave@localhost", "report", "mail"),
                                                 ("dave@localhost", "report", "web")])
        self.assertEqual(asked("about=1000"), [("carol@localhost", "user", None)])
        self.assertEqual(asked("--on", "web"), [("dave@localhost", "report", "web"),
                                                ("carol@localhost", "user", None)])

    def test_two_at_once(self):
        threads = [threading.Thread(target=self.ask, args=("query", f"SELECT {n}"),
                                    kwargs={"who": ("carol", "dave")[n % 2]}) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM reading"), 16)
        self.assertEqual(self.root.run("SELECT MIN(id), MAX(id) FROM reading"), ((1, 16),))
        self.assertEqual(self.check()[0], "ok")


class Refusing(ReadingTest):
    def test_readers_can_only_add(self):
        self.ask("query", "SELECT 1", status=0)
        before = self.root.run("SELECT * FROM reading")
        session = self.session()
        for error, sql in (
                (NO_TABLE_RIGHT, "DELETE FROM reading"), (NO_TABLE_RIGHT, "UPDATE reading SET n_rows = 0"),
                (NO_TABLE_RIGHT, "INSERT INTO reading (id) VALUES (9)"),
                (NO_TABLE_RIGHT, "UPDATE reading_head SET id = 0"), (NO_TABLE_RIGHT, "DELETE FROM reading_head"),
                (NO_TABLE_RIGHT, "UPDATE watch_setting SET value = 0"),
                (NO_ROUTINE_RIGHT, "CALL vestige_read_add('asked', NULL, '', '', '', '', '', '', '', NULL, NULL,"
                                   " NULL, NULL, NULL, NULL, @a)")):
            self.assertEqual(session.error(sql), error, sql)
        self.assertEqual(self.root.run("SELECT * FROM reading"), before)

    def test_account_and_time_are_the_servers(self):
        session = self.session("dave")
        session.run("SET time_zone = '-12:00'")
        session.run("CALL vestige_read_begin('root', 'elsewhere', 'report', 'w', 'q', NULL, NULL, NULL, NULL, @a)")
        row, = self.root.run("SELECT account, os_user, ABS(TIMESTAMPDIFF(SECOND, at, UTC_TIMESTAMP())) < 60"
                             " FROM reading")
        self.assertEqual(row, ("dave@localhost", "root", 1))
        self.assertEqual(self.check()[0], "ok")

    def test_an_end_is_of_who_asked_and_once(self):
        self.session("dave").run("CALL vestige_read_begin('', '', 'report', 'w', 'q', NULL, NULL, NULL, NULL, @a)")
        end = "CALL vestige_read_end(1, NULL, NULL, NULL, 5, 1, 'rows')"
        self.assertEqual(self.session("carol").error(end), 1644)
        self.assertEqual(self.session("dave").error(end), 0)
        self.assertEqual(self.session("dave").error(end), 1644)
        self.assertEqual(self.session("dave").error(end.replace("(1,", "(2,")), 1644)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM reading"), 2)

    def test_agents_cannot(self):
        agent = Session(self.server, database="vestige", read_default_group="vestige",
                        read_default_file=os.path.join(self.server.directory, "enrolled-web", "agent.cnf"))
        self.addCleanup(agent.close)
        self.assertEqual(agent.error("CALL vestige_read_begin('', '', '', '', '', NULL, NULL, NULL, NULL, @a)"),
                         NO_ROUTINE_RIGHT)
        self.assertEqual(agent.error("SELECT * FROM reading"), NO_TABLE_RIGHT)

    def test_a_log_that_cannot_be_written(self):
        """A warning, and the answer; with reading_required no answer."""
        self.root.run("RENAME TABLE reading_head TO gone")
        self.addCleanup(self.root.run, "UPDATE watch_setting SET value = 0 WHERE name = 'reading_required'")
        self.addCleanup(self.root.run, "RENAME TABLE gone TO reading_head")
        done = self.ask("query", "SELECT 41 + 1 AS x", status=0)
        self.assertIn("42", done.stdout)
        self.assertIn("not in the log of readers", done.stderr)
        self.root.run("UPDATE watch_setting SET value = 1 WHERE name = 'reading_required'")
        for words in (("query", "SELECT 41 + 1 AS x"), ("report", "gaps"), ("tree", "--on", "web"),
                      ("timeline", "--on", "web"), ("user", "1000"), ("diff", "web", "mail"),
                      ("export", "--format", "tln")):
            done = self.ask(*words, status=2)
            self.assertEqual(done.stdout, "", words)
            self.assertIn("no answer is given", done.stderr, words)


class Tampering(ReadingTest):
    def setUp(self):
        super().setUp()
        for n in range(5):
            self.session().run("CALL vestige_read_begin('u', 'h', 'report', %s, 'q', 'web', NULL,"
                               " '2026-01-01', NULL, @a)", f"words {n} é")
        self.assertEqual(self.check()[0], "ok")

    def wrong(self, *told):
        level, found = self.check()
        self.assertEqual((level, *found.split("; ")[1:]), ("wrong", *told), found)

    def test_each_column(self):
        for column, value in (("at", "2000-01-01"), ("step", "answered"), ("asked_id", 1), ("account", "x@y"),
                              ("os_user", "x"), ("os_host", None), ("command", "query"), ("words", "words 3 e"),
                              ("question", ""), ("on_host", "mail"), ("login_user", "x"), ("since", None),
                              ("until", "2026-01-01"), ("host_id", 7), ("n_rows", 0), ("duration_ms", 1),
                              ("outcome", "none")):
            with self.subTest(column):
                before = self.root.value(f"SELECT {column} FROM reading WHERE id = 3")
                self.root.run(f"UPDATE reading SET {column} = %s WHERE id = 3", value)
                self.wrong("3: the row is not as it was written")
                self.root.run(f"UPDATE reading SET {column} = %s WHERE id = 3", before)
                self.assertEqual(self.check()[0], "ok")

    def test_taken_out(self):
        self.root.run("DELETE FROM reading WHERE id = 2")
        self.wrong("2: the row is missing")

    def test_taken_off_the_end(self):
        self.root.run("DELETE FROM reading WHERE id >= 4")
        self.wrong("4: the row is missing", "5: the row is missing")
        self.root.run("UPDATE reading_head SET id = 3")
        self.wrong("3: the head is not that of the last row")

    def test_renumbered(self):
        self.root.run("DELETE FROM reading WHERE id = 2")
        self.root.run("UPDATE reading SET id = id - 1 WHERE id > 2 ORDER BY id")
        self.assertEqual(self.check()[0], "wrong")

    def test_made_anew(self):
        """A row with a right hash of its own does not follow the one before."""
        self.root.run("CREATE TABLE kept AS SELECT * FROM reading")
        self.addCleanup(self.root.run, "DROP TABLE kept")
        super().setUp()
        for n in range(5):
            self.session().run("CALL vestige_read_begin('u', 'h', 'report', %s, 'q', 'web', NULL,"
                               " '2026-01-01', NULL, @a)", f"other {n}")
        self.root.run("DELETE FROM reading WHERE id <> 3")
        self.root.run("INSERT INTO reading SELECT * FROM kept WHERE id <> 3")
        self.root.run("UPDATE reading_head SET hash = (SELECT hash FROM kept WHERE id = 5)")
        self.wrong("3: the row does not follow the one before", "4: the row does not follow the one before")


if __name__ == "__main__":
    main()
