"""Canned questions about connections, addresses and routes, on what was really done."""

import os
import shutil
import subprocess
import tempfile

from network_test import ANSWER, REQUEST, Server, client, finished
from question_test import Background, QuestionTest, login, perl
from vestige_test import VestigeTest, actor_command, main, run

ALICE, BOB = 4242, 4343  # who have no account: rows have their numbers

# One connection, whose request is executed by a shell below the server.
WEBSERVER = """
use IO::Socket::INET;
$| = 1;
my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 5) or die "listen: $!";
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


def closed_ports(n):
    """Ports that nobody listens on."""
    import socket
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class TestNetwork(QuestionTest):
    names = ()

    @classmethod
    def act(cls, facts):
        cls.root = tempfile.mkdtemp(prefix="vestige-network-")
        cls.addClassCleanup(shutil.rmtree, cls.root)
        os.chmod(cls.root, 0o755)
        facts["root"] = cls.root
        for name in ("webserver", "asker", "backdoor", "scanner", "holder"):
            shutil.copy(shutil.which("perl"), os.path.join(cls.root, name))
        cls.vestige.sync()
        cls.exchanges(facts)
        cls.shells(facts)
        cls.probes(facts)
        cls.addresses(facts)

    @classmethod
    def program(cls, name, script, *parameters):
        return perl(os.path.join(cls.root, name), script, *parameters)

    @classmethod
    def exchanges(cls, facts):
        with Server("tcp-server", "127.0.0.1", 3, prefix=actor_command("login", ALICE)) as first, \
                Server("tcp-server", "127.0.0.2", 2, prefix=actor_command("login", ALICE)) as second:
            facts["first"], facts["second"] = (first.pid, first.port), (second.pid, second.port)
            for n, host, server in ((2, "127.0.0.1", first), (2, "127.0.0.2", second),
                                    (1, "127.0.0.1", first)):
                finished(client("tcp-client", host, server.port, n, "vestige-client", BOB))
        with Server("tcp-server", "127.0.0.1", 1) as server, Background(
                login(BOB, *cls.program("holder", HOLD, "127.0.0.1", server.port))) as holder, \
                Background(login(BOB, "/usr/bin/python3", "-c", RAW)) as raw:
            facts["server"] = (server.pid, server.port)
            facts["holder"], facts["raw"] = holder.pid, raw.pid
            cls.vestige.sync()
            facts["then"] = cls.vestige.value("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")

    @classmethod
    def shells(cls, facts):
        with Background(login(ALICE, *cls.program("webserver", WEBSERVER))) as server:
            facts["webserver"] = (server.pid, int(server.said))
            subprocess.run(login(BOB, *cls.program("asker", ASK, "127.0.0.1", server.said,
                                                   "/bin/echo asked; /bin/true asked")), check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with Server("tcp-server", "127.0.0.1", 1) as server:
            process = subprocess.Popen(login(BOB, *cls.program(
                "backdoor", BACKDOOR, "127.0.0.1", server.port, "/bin/true behind; exit 0")))
            facts["backdoor"] = (process.pid, server.port)
            process.wait(30)

    @classmethod
    def probes(cls, facts):
        ports = closed_ports(12)
        with Server("tcp-server", "127.0.0.1", 1) as server:
            with subprocess.Popen(login(ALICE, *cls.program("scanner", SCAN, "127.0.0.1", *ports))) \
                    as scanner:
                facts["scanner"] = (scanner.pid, ports)
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "prober", BOB))
            facts["probed"] = server.port
        for _ in range(3):
            finished(subprocess.Popen(actor_command("tcp-attempt", "127.0.0.1", facts["probed"], 2, 1000),
                                      stdout=subprocess.PIPE, text=True))

    @classmethod
    def addresses(cls, facts):
        run("ip", "link", "add", "vsq0", "type", "veth", "peer", "name", "vsq1")
        try:
            for name in ("vsq0", "vsq1"):
                run("ip", "link", "set", name, "up")
            run("ip", "addr", "add", "198.18.7.1/24", "dev", "vsq0")
            run("ip", "route", "add", "198.18.99.0/24", "via", "198.18.7.2", "dev", "vsq0")
            cls.vestige.sync()
            facts["while it was there"] = cls.vestige.value("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
            run("ip", "route", "del", "198.18.99.0/24")
            run("ip", "addr", "del", "198.18.7.1/24", "dev", "vsq0")
            cls.vestige.sync()
        finally:
            run("ip", "link", "del", "vsq0")


if __name__ == "__main__":
    main()
