"""Canned questions about connections, addresses and routes, on what was really done."""

import collections
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from network_test import ANSWER, REQUEST, Server, black_hole, client, finished, own_port
from question_test import Background, QuestionTest, login, perl
from vestige_test import actor_command, main, run, wait_for

ALICE, BOB = 4242, 4343  # who have no account: rows have their numbers

# One connection, whose request is executed by a shell below the server.
WEBSERVER = """
use IO::Socket::INET;
$| = 1;
my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 5)
    or die "listen: $!";
print $listener->sockport, "\\n";
my $client = $listener->accept;
my $request = <$client>;
system "sh", "-c", $request;
print $client "done\\n";
close $client;
<STDIN>;
"""

ASK = """
use IO::Socket::INET;
my ($host, $port, $text) = @ARGV;
my $server = IO::Socket::INET->new("$host:$port") or die "connect: $!";
print $server "$text\\n";
$server->flush;
<$server>;
"""

# Connects, then becomes a shell.
BACKDOOR = """
use IO::Socket::INET; use Fcntl;
my ($host, $port, $text) = @ARGV;
my $server = IO::Socket::INET->new("$host:$port") or die "connect: $!";
fcntl $server, F_SETFD, 0;
print $server "x" x 100;
$server->flush;
read $server, my $answer, 200;
exec "sh", "-c", $text;
"""

# Tries ports one after the other, of which one answers.
SCAN = """
use IO::Socket::INET;
my ($host, @ports) = @ARGV;
IO::Socket::INET->new("$host:$_") for @ports;
"""

HOLD = """
use IO::Socket::INET;
$| = 1;
my ($host, $port) = @ARGV;
my $server = IO::Socket::INET->new("$host:$port") or die "connect: $!";
print "connected\\n";
<STDIN>;
print $server "x" x 100;
$server->flush;
read $server, my $answer, 200;
"""

RAW = """
import socket, sys
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
print("open", flush=True)
sys.stdin.read()
"""


NAMES = ("connections-of-program", "connections-without-login", "contacts-of-program", "did-contact",
         "endpoints-of-address", "first-seen-destinations", "incoming-connections", "long-connections",
         "names-of-address", "network-changes", "new-listeners", "port-probes", "raw-sockets", "scanners",
         "started-after-connection", "top-talkers", "who-had-address", "who-listens")


def own_name():
    """The name of this program, which starts the others."""
    with open("/proc/self/comm") as comm:
        return comm.read().rstrip("\n")


class NetworkQuestions(QuestionTest):
    names = NAMES

    @classmethod
    def before(cls, facts):
        cls.raw = Background(login(BOB, "/usr/bin/python3", "-c", RAW)).__enter__()
        unittest.addModuleCleanup(cls.raw.process.stdin.close)
        facts["raw"] = cls.raw.pid

    @classmethod
    def act(cls, facts):
        cls.directory = tempfile.mkdtemp(prefix="vestige-network-")
        unittest.addModuleCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        facts["root"] = cls.directory
        for name in ("webserver", "asker", "backdoor", "scanner", "holder", "cronjob"):
            shutil.copy(shutil.which("perl"), os.path.join(cls.directory, name))
        cls.vestige.sync()
        cls.exchanges(facts)
        cls.held(facts)
        cls.shells(facts)
        cls.probes(facts)
        cls.addresses(facts)
        cls.raw.__exit__(None)

    @classmethod
    def program(cls, name, script, *parameters):
        return perl(os.path.join(cls.directory, name), script, *parameters)

    @classmethod
    def now(cls):
        """What came before is before it, what comes after is after it."""
        time.sleep(0.1)
        now = cls.vestige.value("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
        time.sleep(0.1)
        return now

    @classmethod
    def exchanges(cls, facts):
        """One host, then another one, then the first again."""
        with Server("tcp-server", "127.0.0.1", 3, prefix=actor_command("login", ALICE)) as first, \
                Server("tcp-server", "127.0.0.2", 2, prefix=actor_command("login", ALICE)) as second:
            facts["first"], facts["second"] = (first.pid, first.port), (second.pid, second.port)
            finished(client("tcp-client", "127.0.0.1", first.port, 1, "vestige-client", BOB))
            cls.vestige.sync()
            facts["between"] = cls.now()
            finished(client("tcp-client", "127.0.0.2", second.port, 2, "vestige-client", BOB))
            finished(client("tcp-client", "127.0.0.1", first.port, 2, "vestige-client", BOB))
        with Server("tcp-server", "127.0.0.1", 2) as server:
            for _ in range(2):
                subprocess.run(["setpriv", f"--reuid={BOB}", f"--regid={BOB}", "--clear-groups",
                                *cls.program("cronjob", HOLD, "127.0.0.1", server.port)], check=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            facts["unattributed"] = server.port

    @classmethod
    def held(cls, facts):
        begin = time.monotonic()
        with Server("tcp-server", "127.0.0.1", 1, prefix=actor_command("login", ALICE)) as server, \
                Background(login(BOB, *cls.program("holder", HOLD, "127.0.0.1", server.port))) as holder:
            facts["server"], facts["holder"] = (server.pid, server.port), holder.pid
            end = time.monotonic() + 1.1
            cls.vestige.sync()
            facts["then"] = cls.now()
            wait_for(lambda: time.monotonic() > end, 60, "a connection is a second old")
        facts["held_s"] = time.monotonic() - begin

    @classmethod
    def shells(cls, facts):
        with Background(login(ALICE, *cls.program("webserver", WEBSERVER, own_port()))) as server:
            facts["webserver"] = (server.pid, int(server.said))
            subprocess.run(login(BOB, *cls.program("asker", ASK, "127.0.0.1", server.said,
                                                   "/bin/echo asked; /bin/true asked")), check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with Server("tcp-server", "127.0.0.1", 1) as server:
            with subprocess.Popen(login(BOB, *cls.program(
                    "backdoor", BACKDOOR, "127.0.0.1", server.port, "/bin/true behind; exit 0"))) as shell:
                facts["backdoor"] = (shell.pid, server.port)

    @classmethod
    def probes(cls, facts):
        ports = [own_port() for _ in range(12)]
        with subprocess.Popen(login(ALICE, *cls.program("scanner", SCAN, "127.0.0.1", *ports))) as scanner:
            facts["scanner"] = (scanner.pid, ports)
        with Server("tcp-server", "127.0.0.1", 1) as server:
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "prober", BOB))
            facts["probed"] = server.port
        for _ in range(3):
            cls.attempt("127.0.0.1", facts["probed"], 2, 1000)
        with black_hole() as nobody:
            cls.attempt(nobody, facts["probed"], 2, 100)
            cls.vestige.sync()

    @classmethod
    def attempt(cls, *parameters):
        finished(subprocess.Popen(actor_command("tcp-attempt", *parameters), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True))

    @classmethod
    def addresses(cls, facts):
        run("ip", "link", "add", "vsq0", "type", "veth", "peer", "name", "vsq1")
        try:
            for name in ("vsq0", "vsq1"):
                run("ip", "link", "set", name, "up")
            run("ip", "addr", "add", "198.18.7.1/24", "dev", "vsq0")
            run("ip", "route", "add", "198.18.99.0/24", "via", "198.18.7.2", "dev", "vsq0")
            with Server("tcp-server", "0.0.0.0", 1, prefix=actor_command("login", ALICE)) as everywhere:
                cls.vestige.sync()
                facts["while it was there"] = cls.now()
                facts["everywhere"] = (everywhere.pid, everywhere.port)
                finished(client("tcp-client", "127.0.0.1", everywhere.port, 1, "last", BOB))
            run("ip", "route", "del", "198.18.99.0/24")
            run("ip", "addr", "del", "198.18.7.1/24", "dev", "vsq0")
            cls.vestige.sync()
        finally:
            run("ip", "link", "del", "vsq0")

    def by(self, uid, name, *words, **parameters):
        """What one login user did."""
        return self.report(name, "--login-user", uid, *words, **parameters)


class TestPrograms(NetworkQuestions):
    def test_did_contact(self):
        _, port = self.facts["second"]
        row = ("4343", "4343", "vestige-client", "tcp", "out", "established", port, REQUEST, ANSWER)
        columns = ("login_user", "username", "application", "protocol", "direction", "status",
                   "remote_port", "bytes_sent", "bytes_received")
        question = "did-contact", "vestige-client", "127.0.0.2"
        self.assert_answer([row, row], self.report(*question, port=port), *columns)
        self.assert_answer([row, row], self.report(*question), *columns)
        self.empty(*question, port=port + 1)
        self.empty(*question, "--login-user", ALICE)
        row, = self.report("did-contact", os.path.join(self.facts["root"], "asker"), "127.0.0.1")
        self.assertEqual(self.facts["webserver"][1], row["remote_port"])
        self.assertIn("'/bin/echo asked; /bin/true asked'", row["command"])

    def test_contacts_of_program(self):
        self.assert_answer(
            [(1, "127.0.0.1", self.facts["first"][1], 3, 3, 3 * REQUEST, 3 * ANSWER),
             (2, "127.0.0.2", self.facts["second"][1], 2, 2, 2 * REQUEST, 2 * ANSWER)],
            self.report("contacts-of-program", "vestige-client"),
            "place", "remote_address", "remote_port", "contacts", "established", "bytes_sent",
            "bytes_received")
        refused = self.report("contacts-of-program", "scanner")
        self.assert_answer([(place, port, 1, 0) for place, port in enumerate(self.facts["scanner"][1], 1)],
                           refused, "place", "remote_port", "contacts", "established")

    def test_connections_of_program(self):
        """In the order in which they were made."""
        first, second = (("127.0.0.1", self.facts["first"][1]), ("127.0.0.2", self.facts["second"][1]))
        rows = self.by(BOB, "connections-of-program", "vestige-client")
        self.assert_answer([first, second, second, first, first], rows, "remote_address", "remote_port")
        rows = self.report("connections-of-program", "webserver")
        self.assert_answer([("listen", None, None), ("in", 5, len("/bin/echo asked; /bin/true asked\n"))],
                           rows, "direction", "bytes_sent", "bytes_received")

    def test_started_after_connection(self):
        columns = "application", "depth", "connected_by", "direction", "row_remote_address"
        served = [("sh", 1, "webserver", "in", "127.0.0.1"), ("echo", 2, "webserver", "in", "127.0.0.1"),
                  ("true", 2, "webserver", "in", "127.0.0.1")]
        became = [("sh", 0, "backdoor", "out", "127.0.0.1"), ("true", 1, "backdoor", "out", "127.0.0.1")]
        question = "started-after-connection", "loopback=1"
        self.assert_answer(served, self.by(ALICE, *question), *columns)
        self.assert_answer(became, self.by(BOB, *question), *columns)
        self.assert_answer(became[:1], self.by(BOB, *question, program="sh"), *columns)
        self.assert_answer([], self.by(BOB, *question, direction="out", program="echo", status=1), *columns)
        row, = self.by(ALICE, *question, direction="in", program="echo")
        self.assertEqual(("/bin/echo asked", self.facts["webserver"][1]),
                         (row["command"], row["local_port"]))


class TestListeners(NetworkQuestions):
    def test_who_listens(self):
        pid, port = self.facts["server"]
        rows = json.loads(self.ask("who-listens", f"at={self.facts['then']}", "--login-user",
                                   ALICE).stdout)["rows"]
        self.assert_answer([("root", "actor", pid, "tcp", "127.0.0.1", port, own_name())], rows,
                           "username", "application", "pid", "protocol", "local_address", "local_port",
                           "parent")
        self.assertIn(f"tcp-server 127.0.0.1 {port} 1", rows[0]["command"])
        self.empty("who-listens", f"at={self.facts['then']}", port=port, protocol="udp")
        self.empty("who-listens", port=port)

    def test_new_listeners(self):
        """Also those that are gone."""
        rows = self.by(ALICE, "new-listeners", protocol="tcp")
        self.assert_answer(
            [("actor", *self.facts["first"]), ("actor", *self.facts["second"]),
             ("actor", *self.facts["server"]), ("webserver", *self.facts["webserver"]),
             ("actor", *self.facts["everywhere"])], rows, "application", "pid", "local_port")
        for row in rows:
            self.assertGreater(row["destroyed_at"], row["created_at"])
            self.assertGreater(row["row_batch"], 0)

    def test_incoming_connections(self):
        pid, port = self.facts["webserver"]
        columns = "application", "pid", "login_user", "local_port", "remote_address"
        expected = [("webserver", pid, "4242", port, "127.0.0.1")]
        question = "incoming-connections", f"port={port}"
        self.assert_answer(expected, self.report(*question, "loopback=1"), *columns)
        self.assert_answer(expected, self.report(*question, "loopback=1", "remote=127.0.0.1"), *columns)
        self.empty(*question, "loopback=1", "remote=127.0.0.2")
        self.empty(*question)

    def test_raw_sockets(self):
        self.assert_all_of([(BOB, self.facts["raw"], "packet"), (BOB, self.facts["raw"], "raw")],
                           [{**row, "login_user": int(row["login_user"])}
                            for row in self.by(BOB, "raw-sockets")], "login_user", "pid", "protocol")


class TestTraffic(NetworkQuestions):
    def test_top_talkers(self):
        rows = self.by(BOB, "top-talkers", "loopback=1")
        totals = [row["bytes_sent"] + row["bytes_received"] for row in rows]
        self.assertEqual(sorted(totals, reverse=True), totals)
        asked = len("/bin/echo asked; /bin/true asked\n")
        self.assert_all_of([("vestige-client", 5, 2, 5 * REQUEST, 5 * ANSWER),
                            ("holder", 1, 1, REQUEST, ANSWER), ("backdoor", 1, 1, REQUEST, ANSWER),
                            ("prober", 1, 1, REQUEST, ANSWER), ("last", 1, 1, REQUEST, ANSWER),
                            ("asker", 1, 1, asked, 5)],
                           rows, "application", "connections", "remotes", "bytes_sent", "bytes_received")
        self.assertEqual("vestige-client", rows[0]["application"])

    def test_first_seen_destinations(self):
        columns = "application", "remote_address", "remote_port"
        new = [("vestige-client", "127.0.0.2", self.facts["second"][1])]
        question = ("first-seen-destinations", "loopback=1")
        since = "--since", self.facts["between"]
        self.assert_answer(new, self.asked(*question, *since, "program=vestige-client"), *columns)
        self.assert_answer(new, self.asked(*question, *since, "per_program=0", "--login-user", BOB),
                           *columns)
        self.assert_answer([*new, ("vestige-client", "127.0.0.1", self.facts["first"][1])],
                           self.asked(*question, *since, "program=vestige-client", "baseline_days=0"),
                           *columns)
        self.empty(*question[:1], *since, "program=vestige-client")

    def asked(self, name, *words):
        return json.loads(self.ask(name, *words).stdout)["rows"]

    def test_long_connections(self):
        rows = self.by(BOB, "long-connections", "loopback=1", "seconds=1")
        held = [row for row in rows if row["application"] == "holder"]
        self.assert_answer([("holder", self.facts["holder"], "out", self.facts["server"][1])], held,
                           "application", "pid", "direction", "remote_port")
        self.assertLessEqual(held[0]["lasted_s"], self.facts["held_s"])
        # On a busy machine others may have lasted, too: those that did, and no more.
        self.assertLessEqual(1, min(row["lasted_s"] for row in rows))
        self.assertEqual(len(rows), self.vestige.value(
            "SELECT COUNT(*) FROM endpoint WHERE id >= %s AND login_uid = %s AND direction = 'out' "
            "AND TIMESTAMPDIFF(MICROSECOND, created_at, destroyed_at) > 1000000", self.facts["since"], BOB))

    def test_connections_without_login(self):
        rows = self.report("connections-without-login", f"username={BOB}", "loopback=1")
        self.assert_answer([("4343", "cronjob", "127.0.0.1", self.facts["unattributed"], 2, 2 * REQUEST,
                             2 * ANSWER, own_name())], rows,
                           "username", "application", "remote_address", "remote_port", "connections",
                           "bytes_sent", "bytes_received", "started_by")

    def test_port_probes(self):
        port = self.facts["probed"]
        rows = self.report("port-probes", port)
        found = collections.Counter()
        for row in rows:  # the hour may have ended meanwhile
            for what in ("accepted", "refused", "failed"):
                found[row["side"], row["remote_address"], what] += row[what]
        self.assertEqual({("here", "127.0.0.1", "accepted"): 1, ("there", "127.0.0.1", "accepted"): 1,
                          ("there", "127.0.0.1", "refused"): 6, ("there", "198.18.0.77", "failed"): 2},
                         {key: n for key, n in found.items() if n}, json.dumps(rows, indent=1))
        self.assertRegex(rows[0]["hour"], r" \d\d:00:00$")
        hour = int(rows[0]["hour"][11:13])
        self.assertEqual(rows, self.report("port-probes", port, from_hour=hour, to_hour=(hour + 1) % 24))
        self.empty("port-probes", port, from_hour=(hour + 2) % 24, to_hour=(hour + 3) % 24)
        of = {"from_address": "198.18.0.0", "to_address": "198.18.255.255"}
        self.assert_answer([("198.18.0.77", 2)], self.report("port-probes", port, **of),
                           "remote_address", "failed")
        self.empty("port-probes", port, from_address="::", to_address="ffff::")

    def test_scanners(self):
        pid, ports = self.facts["scanner"]
        self.assert_answer([("scanner", pid, len(ports), len(ports), 0, 1, len(ports))],
                           self.by(ALICE, "scanners", attempts=len(ports)),
                           "application", "pid", "attempts", "refused", "failed", "addresses", "ports")
        self.empty("scanners", "--login-user", ALICE, attempts=len(ports) + 1)


class TestAddresses(NetworkQuestions):
    def at(self, moment, name, *words, **parameters):
        return json.loads(self.ask(name, *words, f"at={self.facts[moment]}", **parameters).stdout)["rows"]

    def test_who_had_address(self):
        rows = self.at("while it was there", "who-had-address", "198.18.7.1")
        self.assert_answer([("vsq0", "198.18.7.1", 24)], rows, "interface", "address", "prefix_length")
        self.assertGreater(rows[0]["destroyed_at"], self.facts["while it was there"])
        self.empty("who-had-address", "198.18.7.1")
        self.empty("who-had-address", "198.18.7.1", f"at={self.facts['then']}")

    def test_endpoints_of_address(self):
        (server, port), holder = self.facts["server"], self.facts["holder"]
        rows = [row for row in self.at("then", "endpoints-of-address", "127.0.0.1")
                if row["pid"] in (server, holder)]
        self.assert_answer([(server, "listen", port, None), (holder, "out", rows[1]["local_port"], port),
                            (server, "in", port, rows[1]["local_port"])], rows,
                           "pid", "direction", "local_port", "remote_port")
        # One that listens on all addresses of the host which had this one.
        pid, port = self.facts["everywhere"]
        rows = self.at("while it was there", "endpoints-of-address", "198.18.7.1", "--login-user", ALICE)
        self.assert_answer([(pid, "listen", "0.0.0.0", port)], rows,
                           "pid", "direction", "local_address", "local_port")
        self.empty("endpoints-of-address", "198.18.7.1", "--login-user", ALICE,
                   f"at={self.facts['then']}")

    def test_network_changes(self):
        rows = [row for row in self.report("network-changes", "vsq0")
                if not (row["address"] or "").startswith("fe80")]  # of the kernel's own making, later
        came = [("came", "interface", None, None, None), ("came", "address", "198.18.7.1", 24, None),
                ("came", "route", "198.18.7.0", 24, None),
                ("came", "route", "198.18.99.0", 24, "198.18.7.2")]
        went = [("went", *change) for _, *change in came]
        columns = "deed", "what", "address", "prefix_length", "gateway"
        self.assert_answer(came, rows[:4], *columns)
        self.assertEqual(sorted(went, key=repr),
                         sorted((tuple(row[column] for column in columns) for row in rows[4:]), key=repr))
        self.assertEqual("interface", rows[-1]["what"])

    def test_names_of_address(self):
        with open("/etc/hosts") as stream:
            names = [line.split()[1] for line in stream if line.split()[:1] == ["127.0.0.1"]]
        for remote in ("127.0.0.1", names[0]):
            rows = [row for row in self.report("names-of-address", remote)
                    if row["address"] == "127.0.0.1"]
            self.assert_answer([("127.0.0.1", names[0], "hosts")], rows, "address", "name", "source")


class TestAll(NetworkQuestions):
    def test_hostile_parameters(self):
        self.check_hostile_parameters()

    def test_nothing(self):
        self.check_nothing()

    def test_examples(self):
        self.check_examples()

    def test_schedules(self):
        self.check_schedules()


if __name__ == "__main__":
    main()
