"""`vestige diff`: two times of a machine that the test has changed in between. Two hosts are in
test_diff_hosts.py."""

import contextlib
import csv
import datetime
import io
import json
import os
import re
import shutil
import subprocess

from network_test import Server, client, finished
from person_test import PersonTest
from vestige_test import ACTOR, main, run

ADDRESS = "198.51.100.77"
NETWORK = "203.0.113.0/24"


def utc_now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(" ")


class TestTimes(PersonTest):
    person = "d"
    times = None

    def setUp(self):
        super().setUp()
        self.host = self.vestige.value("SELECT name FROM enrolment")
        if not TestTimes.times:
            TestTimes.times = self.change()
        self.first, self.second = TestTimes.times

    def change(self):
        """Once for all tests of this file; what is added is there at the second time only."""
        names = TestTimes.names = {"user": f"vst{os.getpid() % 10000}-new",
                                   "group": f"vst{os.getpid() % 10000}-all"}
        program = TestTimes.program = self.path("odd <b>\x1b name")
        shutil.copy("/bin/sleep", program)
        self.vestige.sync()
        first = utc_now()
        with contextlib.ExitStack() as stack:
            run("groupadd", names["group"])
            stack.callback(run, "groupdel", names["group"])
            run("useradd", "-M", "-N", "-c", "a <b>name</b>", "-s", "/bin/false", names["user"])
            stack.callback(run, "userdel", names["user"])
            run("gpasswd", "-a", names["user"], names["group"])
            run("usermod", "-s", "/bin/dash", "-p", "$6$salt$digest", self.name)
            run("ip", "address", "add", ADDRESS + "/32", "dev", "lo")
            stack.callback(run, "ip", "address", "del", ADDRESS + "/32", "dev", "lo")
            run("ip", "route", "add", NETWORK, "dev", "lo", "metric", "77")
            stack.callback(run, "ip", "route", "del", NETWORK, "dev", "lo", "metric", "77")
            server = stack.enter_context(Server("tcp-server", "127.0.0.1", 1))
            TestTimes.port = server.port
            process = stack.enter_context(subprocess.Popen([program, "600"]))
            stack.callback(process.kill)
            self.vestige.sync()
            second = utc_now()
            process.terminate()
            process.wait(60)
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "talker", 0))
        self.vestige.sync()
        return first, second

    def diff(self, *words, status=0):
        return self.ask("diff", "--on", self.host, self.first, self.second, *words, status=status)

    def lines(self, only, *words):
        """Those of one section, without the first line and the last."""
        text = self.diff("--only", only, *words).stdout.splitlines()
        self.assertEqual(f"Host {self.host}: - only at {self.first}, + only at {self.second}, "
                         "~ changed", text[0])
        self.assertRegex(text[-1], r"\AEvidence from 2.* to 2.* is ")
        self.assertEqual(only, text[1])
        return text[2:-1]

    def test_accounts(self):
        number = self.vestige.value("SELECT uid FROM account WHERE username = %s",
                                    self.names["user"])
        me = f"uid {self.uid}, gid 100, home /home/{self.name}, shell "
        self.assertEqual([
            f"  ~ {self.name}: {me}/bin/sh, password locked -> "
            f"{me}/bin/dash, password set, digest D",
            f"  + {self.names['user']}: uid {number}, gid 100, home /home/{self.names['user']}, "
            "shell /bin/false, name a <b>name</b>, password locked"],
            [self.no_digest(line) for line in self.lines("accounts")])

    @staticmethod
    def no_digest(line):
        return re.sub(r"digest [0-9a-f]{16}", "digest D", line)

    def test_groups_and_members(self):
        gid = self.vestige.value("SELECT gid FROM account_group WHERE groupname = %s",
                                 self.names["group"])
        line, = self.lines("groups")
        self.assertEqual(f"  + {self.names['group']}: gid {gid}, password locked",
                         line.partition(", digest")[0])
        self.assertEqual([f"  + {self.names['user']} in {self.names['group']}"],
                         self.lines("members"))

    def test_network(self):
        self.assertIn(f"  + lo {ADDRESS}/32: 00:00:00:00:00:00", self.lines("addresses"))
        self.assertIn(f"  + tcp 127.0.0.1:{self.port}: actor as root", self.lines("listeners"))
        self.assertEqual([f"  + {NETWORK}: dev lo metric 77"], self.lines("routes"))

    def test_programs(self):
        """Of an odd name, which cannot drive the terminal."""
        self.assertIn(f"  + {self.program}: as root".replace("\x1b", "\\x1b"), self.lines("programs"))
        self.assertIn(f"  + {ACTOR}: as root", self.lines("programs"))

    def test_backward_is_the_mirror(self):
        """Appeared becomes vanished, by the rows that the tables name."""
        document = json.loads(self.diff("--format", "json", "--only", "members,groups").stdout)
        self.assertEqual([("groups", "appeared", self.names["group"]),
                          ("members", "appeared",
                           f"{self.names['user']} in {self.names['group']}")],
                         [(row["section"], row["change"], row["item"]) for row in document["rows"]])
        for row in document["rows"]:
            self.assertIsNone(row["row_id_before"])
            self.assertEqual(1, self.vestige.value(
                f"SELECT COUNT(*) FROM {row['row_table']} WHERE host_id = %s AND id = %s",
                row["row_host_id_after"], row["row_id_after"]))
        after = json.loads(self.ask("diff", "--on", self.host, self.second, utc_now(), "--format",
                                    "json", "--only", "members,groups").stdout)
        self.assertEqual([("vanished", row["item"], row["row_id_after"])
                          for row in document["rows"]],
                         [(row["change"], row["item"], row["row_id_before"])
                          for row in after["rows"]])

    def test_csv(self):
        done = self.diff("--format", "csv", "--only", "members")
        row, = csv.DictReader(io.StringIO(done.stdout, newline=""))
        self.assertEqual(("appeared", ""), (row["change"], row["before"]))
        self.assertRegex(done.stderr, r"\AHost [^\n]+\nEvidence from [^\n]+\n\Z")

    def test_no_difference(self):
        done = self.ask("diff", "--on", self.host, self.second, self.second, status=1)
        self.assertEqual(12, len(done.stdout.splitlines()), done.stdout)
        for line in done.stdout.splitlines()[1:-1]:
            self.assertRegex(line, r"\A[a-z]+: no difference \(\d+ the same\)\Z")
        self.assertNotIn("host: no difference (0", done.stdout)

    def test_before_anything(self):
        """That nothing was watched is said; an empty state is not taken for an empty host."""
        done = self.ask("diff", "--on", self.host, "2001-01-01", self.second, "--only", "host")
        self.assertIn("  + kernel: " + os.uname().release + "\n", done.stdout)
        self.assertIn(f"Nothing of host {self.host} was watched at 2001-01-01 00:00:00.000000: ",
                      done.stdout)

    def test_cut(self):
        done = self.ask("diff", "--on", self.host, "2001-01-01", self.second, "--only", "accounts",
                        "--limit", "2")
        self.assertEqual(2, done.stdout.count("\n  + "))
        self.assertIn("\naccounts: cut after 2 differences: more with --limit\n", done.stdout)

    def test_errors(self):
        on = ("diff", "--on", self.host)
        self.assertEqual("the first time is after the second", self.refuse(*on, "now", "2001-01-01"))
        self.assertRegex(self.refuse(*on, "noonish", "now"), r"\Athe first time: ")
        self.assertRegex(self.refuse(*on, "now"), r"\Atoo few words")
        self.assertRegex(self.refuse(*on, "now", "now", "--only", "acounts"),
                         r'\A--only: there is no section "acounts"; did you mean "accounts"\?')
        self.assertRegex(self.refuse(*on, "now", "now", "--at", "now"), r"\A--at is the time at ")
        self.assertRegex(self.refuse(*on, "now", "now", "--since", "now"), r"\A--since, --until and ")
        self.assertRegex(self.refuse("diff", self.host, self.host + "x"),
                         rf'\Athere is no host "{self.host}x" .* did you mean "{self.host}"\?')
        for name in ("%", "_", "' OR 1=1 -- ", "h" * 65536):
            self.assertRegex(self.refuse("diff", self.host, name), r"\Athere is no host ")


if __name__ == "__main__":
    main()
