"""The dashboard for Grafana: each of its queries runs, with the account that it is meant for, against the
views, and gives the rows that are there; that account can do nothing else."""

import datetime
import json
import os
import re
import unittest

from private_server import Session, VestigeServer
from vestige_test import main

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
HOSTILE = "<script>alert('x')</script>\"%_\\"
PASSWORD = "correct-horse-battery"


def expand(sql, since, until, hosts):
    """The macros of Grafana's MySQL data source, and the variable `host`, as Grafana replaces them."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN FROM_UNIXTIME({since}) AND FROM_UNIXTIME({until})", sql)
    sql = re.sub(r"\$__timeGroupAlias\((\w+),\s*\$__interval\)",
                 r"UNIX_TIMESTAMP(\1) DIV 300 * 300 AS `time`", sql)
    sql = sql.replace("$__unixEpochFrom()", str(since)).replace("$__unixEpochTo()", str(until))
    sql = sql.replace("${host:sqlstring}", ",".join("'" + host.replace("'", "''") + "'" for host in hosts))
    if "$" in sql:
        raise AssertionError(f"not replaced: {sql}")
    return sql


class TestDashboard(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "deploy", "grafana", "vestige.json"), encoding="utf-8") as file:
            cls.dashboard = json.load(file)
        cls.server = VestigeServer()
        cls.addClassCleanup(cls.server.close)
        for name in ("web", "it's"):
            cls.server.enrol(name.replace("'", "-"))
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.root.run("UPDATE enrolment SET name = %s WHERE host_id = 2", "it's")
        cls.root.run(f"CREATE USER grafana@localhost IDENTIFIED BY '{PASSWORD}'")
        cls.root.run("GRANT vestige_grafana TO grafana@localhost")
        cls.root.run("SET DEFAULT ROLE vestige_grafana FOR grafana@localhost")
        cls.reader = Session(cls.server, user="grafana", password=PASSWORD, database="vestige")
        cls.addClassCleanup(cls.reader.close)
        cls.reader.run("SET time_zone = '+00:00'")
        cls.noon = datetime.datetime.now(datetime.timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
        cls.since = int(cls.noon.timestamp())
        cls.fill()

    @classmethod
    def insert(cls, table, number, host=1, **values):
        """A row at a second after noon."""
        at = cls.noon + datetime.timedelta(seconds=number)
        row = {"host_id": host, "id": int(at.timestamp()) * 1000000, "day": at.date(),
               "created_at": at.replace(tzinfo=None), "destroyed_at": None, "seen_by": "agent", "batch": 1, **values}
        names = ", ".join(f"`{name}`" for name in row)
        cls.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())

    @classmethod
    def fill(cls):
        who = {"uid": 1000, "username": "alice", "login_uid": 1000, "login_username": "alice"}
        for host, number in ((1, 1), (1, 2), (2, 3), (1, 7200)):
            cls.insert("process", number, host, boot_id=BOOT, pid=number, comm="sh", exe="/bin/sh",
                       cpu_user_us=500000, cpu_system_us=500000, **who)
        cls.insert("process", 4, boot_id=BOOT, pid=5, comm="vestiged", own=1)
        cls.insert("endpoint", 1, application=HOSTILE, direction="out", protocol="tcp", remote_address="192.0.2.1",
                   remote_port=6670, bytes_sent=700, bytes_received=300, **who)
        cls.insert("auth_attempt", 1, username=HOSTILE, service="sshd", result="failure", remote_address="192.0.2.1")
        cls.insert("session", 1, username="alice", service="sshd", login_uid=1000)
        cls.insert("file_access", 1, path="/etc/" + HOSTILE, operations="read,write", application="vi", **who)
        cls.insert("file_access", 2, path="/etc/passwd", operations="read", application="cat", **who)
        cls.insert("kernel_event", 1, kind="module_load", target="x", result="success", **who)
        cls.insert("device", 1, devpath="/devices/x", subsystem="usb", serial="42", users_logged_in="alice")
        cls.insert("process_change", 1, process_id=1, kind="uid", old_value="1000", new_value="0")
        cls.insert("finding", 1, **{"class": "odd", "subject": HOSTILE})
        cls.insert("gap", 1, boot_id=BOOT, source="connector", cause="overrun", unit="process", count=7)
        cls.insert("coverage", 1, boot_id=BOOT, source="audit", mode="owner")
        moment = cls.noon.replace(tzinfo=None)
        cls.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                     " n_lines, recovered, received_at) VALUES (1, 1, %s, %s, 1, %s, %s, %s, 5, 0, %s)",
                     bytes(32), bytes(32), BOOT, moment, moment, moment + datetime.timedelta(seconds=2))

    def queries(self):
        for panel in self.dashboard["panels"]:
            for target in panel["targets"]:
                yield panel["title"], panel["type"], target["rawSql"]
        for annotation in self.dashboard["annotations"]["list"]:
            yield annotation["name"], "annotation", annotation["rawQuery"]

    def answer(self, title, hosts=("web", "it's")):
        """The rows of a panel for the hour after noon, as dicts."""
        found = [sql for name, _, sql in self.queries() if name == title]
        with self.reader.connection.cursor() as cursor:
            cursor.execute(expand(found[0], self.since, self.since + 3600, hosts))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def test_each_query_gives_rows(self):
        titles = [title for title, _, _ in self.queries()]
        self.assertEqual(len(set(titles)), len(titles))
        for title, kind, _ in self.queries():
            with self.subTest(title):
                rows = self.answer(title)
                self.assertTrue(rows, "no rows")
                if kind == "timeseries":
                    self.assertEqual(["time", "metric", "value"], list(rows[0]))
                elif kind == "annotation":
                    self.assertLessEqual({"time", "text"}, set(rows[0]))

    def test_no_rows_of_other_hosts_or_times(self):
        for title, _, _ in self.queries():
            with self.subTest(title):
                self.assertEqual([], self.answer(title, hosts=("nobody's",)))

    def test_numbers(self):
        self.assertEqual([("it's", 1), ("web", 2)],
                         sorted((row["metric"], row["value"]) for row in self.answer("Programs started")))
        self.assertEqual([(HOSTILE, 700)],
                         [(row["metric"], row["value"]) for row in self.answer("Bytes sent by program")])
        self.assertEqual([("web", 2)], [(row["metric"], float(row["value"]))
                                        for row in self.answer("Seconds until evidence arrived")])
        self.assertEqual([("alice", "web", 2, 2), ("alice", "it's", 1, 1)],
                         [(row["login_user"], row["host"], row["programs"], row["cpu_seconds"])
                          for row in self.answer("Who ran most")])
        self.assertEqual([7], [row["missed"] for row in self.answer("Gaps in the evidence")])
        self.assertEqual(["/etc/" + HOSTILE], [row["path"] for row in self.answer("Files written by login users")])

    def test_each_view_has_what_grafana_wants(self):
        views = [name for name, in self.root.run(
            "SELECT table_name FROM information_schema.views WHERE table_schema = 'vestige'"
            " AND table_name LIKE 'v\\_time\\_%%' ORDER BY 1")]
        self.assertEqual(13, len(views))
        used = {name for _, _, sql in self.queries() for name in re.findall(r"v_time_\w+", sql)} | {"v_time_host"}
        self.assertEqual(set(views), used)
        for view in views:
            columns = dict(self.root.run("SELECT column_name, data_type FROM information_schema.columns"
                                         " WHERE table_schema = 'vestige' AND table_name = %s", view))
            self.assertEqual("datetime", columns["time"], view)
            self.assertLessEqual({"host", "value"}, set(columns), view)

    def test_days_before_the_window_are_left_out(self):
        """Through the view the server still sees which partitions it needs."""
        sql = next(sql for title, _, sql in self.queries() if title == "Sessions")
        with self.root.connection.cursor() as cursor:
            cursor.execute("EXPLAIN PARTITIONS " + expand(sql, self.since, self.since + 3600, ["web"]))
            names = [column[0] for column in cursor.description]
            plan = {row[names.index("table")]: row[names.index("partitions")] for row in cursor.fetchall()}
        self.assertNotIn("p_before", plan["t"])
        self.assertIn(f"p{self.noon:%Y%m%d}", plan["t"])

    def test_the_account_can_do_nothing_else(self):
        denied = {1142, 1143, 1044, 1227, 1356, 1370}
        for sql in ("SELECT * FROM process", "SELECT arguments FROM process_in", "SELECT * FROM account",
                    "SELECT * FROM enrolment", "DELETE FROM v_time_process", "UPDATE v_time_process SET exit_code = 0",
                    "INSERT INTO v_time_gap (host_id) VALUES (1)", "CREATE TABLE x (a INT)",
                    "CALL vestige_make_partitions()", "SELECT * FROM mysql.global_priv"):
            self.assertIn(self.reader.error(sql), denied, sql)
        self.assertEqual([], [column for column, in self.root.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vestige' AND table_name LIKE"
            " 'v\\_time\\_%%' AND column_name IN ('arguments', 'cmdline', 'argv0', 'cwd', 'password_digest')")])


if __name__ == "__main__":
    main()
