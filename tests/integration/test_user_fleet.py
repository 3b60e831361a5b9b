"""`vestige user` on rows that are known: persons of a fleet, and what cannot be made to happen here."""

import json

from server_test import ServerTest
from vestige_test import main


class TestFleet(ServerTest):
    """A person has another number on each host, and somebody else has hers."""

    hosts = ("web1", "web2")
    BASE = 1767261600000000  # 2026-01-01 10:00
    WINDOW = ("--since", "2026-01-01", "--until", "2026-01-02")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.number = cls.BASE
        for host, name, uid in ((1, "alice", 1001), (2, "alice", 1005), (2, "bob", 1001)):
            cls.insert("account", host, username=name, uid=uid)
            cls.insert("process", host, pid=7, boot_id="9ef5ba15-e1b3-47bd-a95f-8eee5155396d",
                       exe=f"/bin/{name}{host}", argv0="x", arguments="", login_uid=uid,
                       login_username=name, uid=uid, euid=uid)
        cls.insert("device", 1, subsystem="block", devpath="/d", devnode="/dev/sdx", vendor="<b>Acme",
                   model="Stick", serial="77", users_logged_in="bob,alice")
        cls.insert("device", 1, subsystem="block", devpath="/e", users_logged_in="alice2")
        cls.insert("finding", 2, **{"class": "login_unusual", "subject": "alice", "detail": "at night"})
        cls.insert("finding", 2, **{"class": "login_unusual", "subject": "malice", "detail": "x"})
        cls.insert("gap", 1, source="audit", cause="overrun", unit="record", count=23,
                   destroyed_at="2026-01-01 10:00:05",
                   boot_id="9ef5ba15-e1b3-47bd-a95f-8eee5155396d")
        cls.insert("auth_attempt", 2, username="alice", service="sshd", result="failure",
                   remote_address="192.0.2.1")

    @classmethod
    def insert(cls, table, host, **values):
        cls.number += 1
        values = {"host_id": host, "id": cls.number, "day": "2026-01-01", "batch": 1,
                  "created_at": "2026-01-01 10:00:00", "seen_by": "agent", **values}
        names = ", ".join(f"`{name}`" for name in values)
        cls.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})",
                     *values.values())

    def facts(self, *words):
        done = self.server.vestige("user", *words, *self.WINDOW, "--format", "json")
        return {section["title"]: [fact["sentence"] for fact in section["facts"]]
                for section in json.loads(done.stdout)["sections"]}

    def test_numbers_differ(self):
        at = "at 2026-01-01 10:00:00"
        facts = self.facts("alice")
        self.assertEqual([f"/bin/alice1: once on web1; {at}", f"/bin/alice2: once on web2; {at}"],
                         facts["Programs run most"])
        self.assertEqual([f"While alice was logged in, block /dev/sdx (<b>Acme Stick), serial 77, "
                          f"appeared on web1 {at}"], facts["Devices"])
        self.assertEqual([f"login_unusual on web2 {at}: alice: at night"], facts["Findings"])
        self.assertEqual([f"One attempt as alice by sshd from 192.0.2.1 failed on web2; {at}"],
                         facts["Failed attempts"])
        self.assertEqual(["On web1, audit missed 23 records (overrun) from 2026-01-01 10:00:00 "
                          "to 2026-01-01 10:00:05"], facts["What is not known"])
        self.assertEqual([f"/bin/bob2: once on web2; {at}"], self.facts("bob")["Programs run most"])
        self.assertEqual([f"/bin/alice2: once on web2; {at}"],
                         self.facts("alice", "--on", "web2")["Programs run most"])

    def test_by_number(self):
        """A number is whoever has it."""
        self.assertEqual(["/bin/alice1: once on web1", "/bin/bob2: once on web2"],
                         [one.partition(";")[0] for one in self.facts("1001")["Programs run most"]])

    def test_who(self):
        done = self.server.vestige("user", "alice", *self.WINDOW)
        self.assertEqual("Login user alice: number 1001 on web1, 1005 on web2",
                         done.stdout.splitlines()[0])

    def test_a_number_on_many_hosts(self):
        """Said once, so that another number on one of them is seen."""
        columns = "id, day, created_at, seen_by, batch, username, uid"
        for host in range(11, 34):
            self.root.run("INSERT INTO enrolment (host_id, name, account) VALUES (%s, CONCAT('zoo', %s), '')", host, host)
            self.root.run(f"INSERT INTO account (host_id, {columns}) VALUES (%s, 7, '2026-01-01', '2026-01-01', 'agent',"
                          " 1, 'alice', %s)", host, 1001 if host < 33 else 1007)
        self.addCleanup(self.root.run, "DELETE FROM enrolment WHERE host_id > 10")
        self.addCleanup(self.root.run, "DELETE FROM account WHERE host_id > 10")
        done = self.server.vestige("user", "alice", *self.WINDOW)
        self.assertEqual("Login user alice: number 1001 on web1 and 22 more hosts, 1005 on web2, 1007 on zoo33",
                         done.stdout.splitlines()[0])


if __name__ == "__main__":
    main()
