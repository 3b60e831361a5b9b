"""The case of 2011, recorded again and found again by the queries of that time, on LUARM's tables as views."""

import collections
import json
import os
import re
import shlex
import subprocess

from test_luarm import TABLES, columns
from the_case import MASTERS, TheCase
from vestige_test import PATIENT_WITH_FORKS, VESTIGE, VestigeTest, main, run, wait_for

HITS = {"undernet.irc.justedge.net": 963, "dana.basefreak.nl": 1408}


class TestTheCase(VestigeTest):
    """The queries are those of 2011, letter by letter, but for the numbers of processes."""

    keys = PATIENT_WITH_FORKS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.host = cls.vestige.value("SELECT name FROM enrolment")
        with TheCase(cls.vestige.directory, HITS) as cls.case:
            cls.case.intrude()
            wait_for(cls.all_named, 90, "the names of all connections")
        run(VESTIGE, "server", "luarm", cls.host, "--state", cls.vestige.state)
        cls.database = "luarm_" + re.sub(r"[^A-Za-z0-9]", "_", cls.host)[:58]

    @classmethod
    def all_named(cls):
        cls.vestige.sync()
        return cls.vestige.value("SELECT COUNT(*) FROM endpoint WHERE remote_port = 6670 "
                                 "AND remote_name IS NOT NULL") == sum(HITS.values())

    def ask(self, sql):
        """What the prompt shows."""
        done = subprocess.run(["mariadb", f"--defaults-file={self.vestige.path('client.cnf')}", "--table",
                               self.database], input=sql + "\n", capture_output=True, text=True,
                              timeout=60)
        self.assertEqual("", done.stderr)
        self.assertEqual(0, done.returncode)
        if os.environ.get("VESTIGE_SHOW"):
            print(f"mysql> {sql}\n{done.stdout}", flush=True)
        return done.stdout

    def table(self, sql):
        """The cells of each row that the prompt shows, its head left out."""
        lines = [line for line in self.ask(sql).splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]

    def vertical(self, sql):
        rows = re.split(r"^\*+ \d+\. row \*+\n", self.ask(sql), flags=re.M)[1:]
        return [dict(line.lstrip().partition(": ")[::2]
                     for line in row.strip("\n").splitlines()) for row in rows]

    def test_1_tables(self):
        self.assertEqual([[name] for name in sorted(TABLES)], self.table("show tables;"))
        for name in ("netinfo", "psinfo"):
            self.assertEqual(columns(TABLES[name])[0],
                             [tuple(row[:2]) for row in self.table(f"describe {name};")])

    def test_2_hits(self):
        self.assertEqual([["963"]], self.table(
            "select COUNT(*) from netinfo where destfqdn='undernet.irc.justedge.net' ;"))
        self.assertEqual([["1408"]], self.table(
            "select COUNT(*) from netinfo where destfqdn='dana.basefreak.nl ' ;"))

    def test_3_which_user_and_application(self):
        bots = {name: str(pid) for name, pid in self.case.bots.items()}
        self.assertEqual([["crond", "nobody", bots["dana.basefreak.nl"]]] * 5, self.table(
            "select application,username,pid from netinfo where destfqdn='dana.basefreak.nl' LIMIT 5;"))
        self.assertEqual([["crond", "nobody", bots["undernet.irc.justedge.net"]]] * 10, self.table(
            "select application,username,pid from netinfo where "
            "destfqdn='undernet.irc.justedge.net' LIMIT 10;"))

    def test_4_what_that_user_ran(self):
        rows = self.vertical("select command,username,arguments,pid,ppid from psinfo "
                             "where username='nobody' \\G;")
        (count,), = self.table("select COUNT(*) from psinfo where username='nobody' ;")
        self.assertEqual(int(count), len(rows))
        bots = [row for row in rows if row["command"] == "/usr/bin/perl"]
        self.assertEqual([
            {"command": "/usr/bin/perl", "username": "nobody", "arguments": f"./x {MASTERS[name]} 0 0",
             "pid": str(pid), "ppid": str(self.case.httpd)} for name, pid in self.case.bots.items()],
            sorted(bots, key=lambda row: list(self.case.bots.values()).index(int(row["pid"]))))
        counts = collections.Counter(row["command"] for row in rows)
        self.assertEqual((26, 2, 2), tuple(counts[name] for name in (
            "/usr/bin/date", "/usr/bin/id", "/usr/bin/perl")))
        parent = self.only([row for row in rows if row["pid"] == str(self.case.httpd)], "the web server")
        self.assertEqual("./httpd", parent["arguments"])

    def test_5_endpoints_of_one(self):
        for name, pid in self.case.bots.items():
            rows = self.vertical("select sourceport,destport,cday,chour,cmin from netinfo where "
                                 f"username='nobody' AND pid='{pid}' \\G;")
            self.assertEqual(HITS[name], len(rows))
            self.assertEqual({"6670"}, {row["destport"] for row in rows})
            self.assertEqual(HITS[name], len({row["sourceport"] for row in rows}))
            self.assertEqual(
                {tuple(str(value) for value in row.values()) for row in self.vestige.query(
                    "SELECT DAY(created_at), HOUR(created_at), MINUTE(created_at) FROM endpoint "
                    "WHERE pid = %s AND remote_port = 6670", pid)},
                {(row["cday"], row["chour"], row["cmin"]) for row in rows})

    def report(self, *words, form="json", status=0):
        done = run(*self.vestige.client("report", *words, "--on", self.host, "--format", form), check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_6_in_one_step(self):
        for name, pid in self.case.bots.items():
            rows = json.loads(self.report("processes-in-contact", f"remote={name}", "port=6670"))["rows"]
            row = self.only(rows, f"processes in contact with {name}")
            self.assert_row(
                row, host=self.host, login_user=None, username="nobody", pid=pid, ppid=self.case.httpd,
                application="crond", program="/usr/bin/perl", connections=HITS[name],
                command=f"/usr/bin/perl ./x {MASTERS[name]} 0 0",
                parent="/usr/bin/python3 ./httpd")

    def test_7_the_walk_through(self):
        """Each command that it shows runs, and gives what it shows the head of."""
        pids = {"5448": self.case.bots["dana.basefreak.nl"]}
        with open(os.path.join(os.path.dirname(__file__), "../../reports/walk-through.md")) as page:
            blocks = re.findall(r"^```\n(.*?)^```$", page.read(), re.M | re.S)
        n_commands = 0
        for block in blocks:
            first, *shown = block.splitlines()
            first = re.sub(r"\d+", lambda number: str(pids.get(number[0], number[0])), first)
            if first.startswith("MariaDB [luarm_vm]> "):
                said = self.ask(first.partition("> ")[2]).splitlines()
            else:
                words = shlex.split(first.removeprefix("$ vestige "))
                said = run(*self.vestige.client(*words)).stdout.splitlines()
            head = 1 if shown[0].startswith("+-") else 0
            self.assertEqual(shown[head].split(), said[head].split(), first)
            n_commands += 1
        self.assertEqual(7, n_commands)


if __name__ == "__main__":
    main()
