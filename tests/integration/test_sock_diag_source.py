"""sock_diag on the real kernel: ends with their bytes, dumps beside those of `ss`, owners, network
namespaces that come and go, a kernel without sock_diag, losses, and what 50,000 sockets cost."""

import collections
import contextlib
import ctypes
import errno
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from source_run import Run, python
from vestige_test import run

CONNECTIONS = 97
OWN = os.stat("/proc/self/ns/net").st_ino
TCP, UDP = 6, 17
ESTABLISHED, CLOSE, LISTEN = 1, 7, 10

# A server that is a thread and a client: connections one after the other. Writes "listens PORT" and
# for each connection the client's port.
CONNECT = """
import array, fcntl, socket, struct, sys, termios, threading, time
how, host, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET

def exactly(s, n):
    while n > 0:
        n -= len(s.recv(n))

def end_of(s):
    assert s.recv(1) == b""

def reset_of(s):
    try:
        s.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError("no reset")

def waiting(s):
    n = array.array("i", [0])
    fcntl.ioctl(s, termios.FIONREAD, n)
    return n[0]

def exchange_client(s):
    s.sendall(b"x" * 100)
    exactly(s, 200)

def exchange_server(s):
    exactly(s, 100)
    s.sendall(b"y" * 200)

def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

class client_first:
    def client(s): exchange_client(s)
    def server(s): exchange_server(s); end_of(s)
class server_first:
    def client(s): exchange_client(s); end_of(s)
    def server(s): exchange_server(s)
class half_closed:
    def client(s): s.sendall(b"x" * 100); s.shutdown(socket.SHUT_WR); exactly(s, 200); end_of(s)
    def server(s): exactly(s, 100); end_of(s); s.sendall(b"y" * 200)
class late:  # the peer's end comes 40 ms after its acknowledgement of ours
    def client(s): exchange_client(s); time.sleep(0.2)
    def server(s): exchange_server(s)
class aborted:
    def client(s): exchange_client(s); abort(s)
    def server(s): exchange_server(s); reset_of(s)
class unread:
    def client(s): s.sendall(b"x" * 100); reset_of(s)
    def server(s):
        while waiting(s) < 100:
            time.sleep(0.001)
class written_to_the_end:
    def client(s): exchange_client(s)
    def server(s):
        exchange_server(s)
        client.join()
        s.sendall(b"late")
        while s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            time.sleep(0.001)
class nothing:
    def client(s): pass
    def server(s): end_of(s)

parts = {"written_to_the_end": written_to_the_end, "client_first": client_first,
         "server_first": server_first, "half_closed": half_closed, "late": late,
         "aborted": aborted, "unread": unread, "nothing": nothing}[how]
listener = socket.socket(family)
listener.bind((host, 0))
listener.listen()
print("listens", listener.getsockname()[1])

def connect():
    with socket.socket(family) as s:
        s.connect(listener.getsockname())
        print("client", s.getsockname()[1])
        parts.client(s)

for i in range(count):
    client = threading.Thread(target=connect)
    client.start()
    with listener.accept()[0] as s:
        parts.server(s)
    client.join()
"""

REFUSED = """
import socket, sys
host, count, blocking = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family) as closed:
    closed.bind((host, 0))
    address = closed.getsockname()
    print("listens", address[1])
    for i in range(count):
        with socket.socket(family) as s:
            s.setblocking(blocking)
            error = s.connect_ex(address)
            print("client", s.getsockname()[1])
            while not blocking and not error == 111:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
"""

DATAGRAMS = """
import socket, sys
host, count, connected = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as server:
    server.bind((host, 0))
    print("listens", server.getsockname()[1])
    for i in range(count):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            if connected:
                s.connect(server.getsockname())
                s.send(b"x" * 100)
            else:
                s.sendto(b"x" * 100, server.getsockname())
            server.sendto(b"y" * 200, server.recvfrom(100)[1])
            print("client", s.getsockname()[1])
            assert len(s.recv(300)) == 200
"""

# One socket of each kind, as root and as 65534. Writes "NAME DESCRIPTOR INODE" of each, then "held",
# and holds them until its input ends.
HOLD = """
import os, socket, sys
def hold(name, s):
    print(name, s.fileno(), os.fstat(s.fileno()).st_ino)
    kept.append(s)
    return s
def listener(name, family, address):
    s = hold(name, socket.socket(family))
    s.bind(address)
    s.listen()
    return s
kept = []
four = listener("listen4", socket.AF_INET, ("127.0.0.1", 0))
six = listener("listen6", socket.AF_INET6, ("::1", 0))
both = listener("listen_both", socket.AF_INET6, ("::", 0))
def connected(name, family, to):
    s = hold(name, socket.socket(family))
    s.connect(to)
    return s
connected("client4", socket.AF_INET, four.getsockname())
hold("server4", four.accept()[0])
connected("client6", socket.AF_INET6, six.getsockname())
hold("server6", six.accept()[0])
connected("client_mapped", socket.AF_INET6, ("::ffff:127.0.0.1", both.getsockname()[1]))
hold("server_mapped", both.accept()[0])
half = connected("closed_half", socket.AF_INET, four.getsockname())
hold("half_open", four.accept()[0])
half.shutdown(socket.SHUT_WR)
waits = connected("not_accepted", socket.AF_INET, four.getsockname())
bound = hold("bound_to_device", socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
bound.bind(("0.0.0.0", 0))
udp = hold("udp4", socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
udp.bind(("127.0.0.1", 65535))
connected_udp = hold("udp4_connected", socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
connected_udp.connect(udp.getsockname())
hold("udp6", socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)).bind(("::1", 0))
hold("udplite", socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)).bind(("127.0.0.1", 0))
hold("raw4", socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
hold("raw6", socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58))
hold("packet_raw", socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)))
hold("packet_datagram", socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)).bind(("lo", 0x0800))
listener("unix_path", socket.AF_UNIX, sys.argv[1] + "/a socket")
listener("unix_abstract", socket.AF_UNIX, b"\\0vestige \\xff")
packets = hold("unix_packets", socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
packets.bind(sys.argv[1] + "/packets")
packets.listen()
hold("unix_not_listening", socket.socket(socket.AF_UNIX)).bind(sys.argv[1] + "/silent")
os.setresuid(65534, 65534, 65534)
listener("nobodys", socket.AF_INET, ("127.0.0.1", 0))
print("held", flush=True)
sys.stdin.read()
"""

# As many connections as are asked for; holds both ends.
HOLD_MANY = """
import resource, socket, sys
pairs, address = int(sys.argv[1]), sys.argv[2]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listener = socket.socket()
listener.bind((address, 0))
listener.listen()
kept = []
for i in range(pairs):
    s = socket.socket()
    s.bind((address, 0))
    s.connect(listener.getsockname())
    kept += [s, listener.accept()[0]]
print("held", flush=True)
sys.stdin.read()
"""

# Namespaces, one after the other, each with a process that has a socket.
CHURN = """
import os, subprocess, sys
for i in range(int(sys.argv[2])):
    name = f"{sys.argv[1]}-{i}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    print("inode", os.stat(f"/run/netns/{name}").st_ino, flush=True)
    subprocess.run(["ip", "netns", "exec", name, sys.executable, "-c",
                    "import socket; s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen()"],
                   check=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
"""


class Holder:
    """A process that holds sockets, and what it said of them: descriptor and inode by name."""

    def __init__(self, source, *arguments, prefix=()):
        self.process = subprocess.Popen([*prefix, sys.executable, "-c", source, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sockets = {}
        for line in self.process.stdout:
            if line == "held\n":
                return
            name, descriptor, inode = line.split()
            self.sockets[name] = (int(descriptor), int(inode))
        raise AssertionError("the holder ended")

    def close(self):
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()


@contextlib.contextmanager
def namespace(name):
    """A network namespace with its loopback up; gives its inode number."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield os.stat(f"/run/netns/{name}").st_ino
    finally:
        run("ip", "netns", "del", name)


def within(name):
    return ["ip", "netns", "exec", name]


def wait_for_nsid(name):
    """Lines of a program that waits until the namespace has an nsid, so that it is heard."""
    return f"""
until = time.monotonic() + 60
while {name!r} not in subprocess.run(["ip", "netns", "list-id"], capture_output=True,
                                     text=True).stdout:
    assert time.monotonic() < until
    time.sleep(0.02)
"""


def deny(call, error, *conditions):
    """A preexec_fn that makes the system call fail when all (argument, value) are met."""
    numbers = {"x86_64": {"socket": 41, "sendto": 44, "setsockopt": 54},
               "aarch64": {"socket": 198, "sendto": 206, "setsockopt": 208}}[os.uname().machine]
    load, equal, answer = 0x20, 0x15, 0x06
    tests = [(0, numbers[call])] + [(16 + 8 * argument, value) for argument, value in conditions]
    program = b""
    for i, (offset, value) in enumerate(tests):
        program += struct.pack("HBBI", load, 0, 0, offset)
        program += struct.pack("HBBI", equal, 0, 2 * (len(tests) - i - 1) + 1, value)
    program += struct.pack("HBBI", answer, 0, 0, 0x00050000 | error)
    program += struct.pack("HBBI", answer, 0, 0, 0x7fff0000)

    def apply():
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(program)
        filter_ = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_, 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")
    return apply


def address(text):
    """As ss prints it, to what the tool prints."""
    host, _, port = text.rpartition(":")
    host = host.partition("%")[0].strip("[]").removeprefix("::ffff:")
    return host.replace("*", "::"), "0" if port == "*" else port


def ss(name, *options):
    """Sockets as ss lists them in a namespace: local, remote, inode, cookie, uid, state."""
    found = set()
    for line in run(*within(name), "ss", "-H", "-n", "-a", "-e", *options).stdout.splitlines():
        words = line.split()
        value = dict(word.split(":", 1) for word in words[5:] if ":" in word)
        state = words[0].replace("FIN-WAIT-1", "FIN-WAIT-2")
        found.add((state, *address(words[3]), *address(words[4]), int(value["ino"]),
                   int(value["sk"], 16), int(value.get("uid", 0))))
    return found


# Between the two waits for a FIN lies an acknowledgement that may come at any moment.
STATES = {1: "ESTAB", 4: "FIN-WAIT-2", 5: "FIN-WAIT-2", 7: "UNCONN", 8: "CLOSE-WAIT", 10: "LISTEN"}


def as_ss(fact):
    """The same of a fact; what ss shows of a side that is not there is any address."""
    anything = "0.0.0.0" if fact["family"] == 2 else "::"
    sides = [fact[side].split(",") if fact[side] != "-" else [anything, "0"]
             for side in ("local", "remote")]
    return (STATES[fact["state"]], *sides[0], *sides[1], fact["inode"], fact["cookie"],
            fact["uid"])


class SockDiag(unittest.TestCase):
    maxDiff = None

    def run_tool(self, *arguments, **options):
        """Starts the command when the first dump is done."""
        result = Run("--note", "--settle", "100", *arguments, **options)
        self.assertEqual(result.status, 0, result.error)
        self.assertEqual(result.totals["malformed"], 0)
        self.assertEqual(result.totals["spoofed"], 0)
        return result

    def ends_of(self, result, **values):
        """Ends of the sockets of the command, by "local remote", and the port of its server."""
        port = int(re.search(r"^listens (\d+)$", result.error, re.M)[1])
        mine = [fact for fact in result.of("SOCKET", end=1, **values)
                if str(port) in (fact["local"].rpartition(",")[2], fact["remote"].rpartition(",")[2])]
        by_name = collections.Counter(f"{fact['local']} {fact['remote']}" for fact in mine)
        if values.get("protocol") != UDP:  # the kernel gives out a port again as soon as it is free
            self.assertEqual([name for name, n in by_name.items() if n > 1], [])
        for fact in mine:
            self.assertEqual((fact["inode"], fact["uid"], fact["error"]), (0, 0xffffffff, 0))
            self.assertGreater(fact["cookie"], 0)
        self.assertEqual(len({fact["cookie"] for fact in mine}), len(mine))
        return {f"{fact['local']} {fact['remote']}": fact for fact in mine}, port

    def clients(self, result):
        return [int(port) for port in re.findall(r"^client (\d+)$", result.error, re.M)]

    def assert_connections(self, result, host, count, client, server, netns=OWN, first="client"):
        """Two ends each, with these (sent, received), and the listener's; no other ones.

        `first` closes first. When the other one's end comes so late that its acknowledgement goes
        before it, which a busy machine may do to any of them, a byte is missing (tcp_bytes.h)."""
        ends, port = self.ends_of(result, protocol=TCP)
        expected = {f"{host},{port} -": (0, 0)}
        for other in self.clients(result):
            expected[f"{host},{other} {host},{port}"] = client
            expected[f"{host},{port} {host},{other}"] = server
        self.assertEqual(len(expected), 2 * count + 1)
        found = {name: (end["bytes_sent"], end["bytes_received"]) for name, end in ends.items()}
        for name, (sent, received) in expected.items():
            side = "server" if name.startswith(f"{host},{port} ") else "client"
            if side == first and received and found.get(name) == (sent, received - 1):
                found[name] = (sent, received)
        self.assertEqual(found, expected)
        for end in ends.values():
            self.assertEqual((end["netns"], end["state"], end["type"]), (netns, CLOSE, 1))
            self.assertEqual(end["family"], 10 if ":" in host else 2)

    # Ends

    def test_connections(self):
        for host in ("127.0.0.1", "::1"):
            for how in ("client_first", "server_first"):
                with self.subTest(host=host, how=how):
                    result = self.run_tool("--ends", str(2 * CONNECTIONS + 1), "sock_diag",
                                           *python(CONNECT, how, host, CONNECTIONS))
                    self.assertEqual(result.totals["overruns"], 0)
                    self.assert_connections(result, host, CONNECTIONS, (100, 200), (200, 100),
                                            first=how.removesuffix("_first"))

    def test_bytes_of_odd_ends(self):
        """The table in tcp_bytes.h, but for what cannot be told apart."""
        cases = (("half_closed", (100, 200), (200, 100)), ("unread", (100, 0), (0, 100)),
                 ("nothing", (0, 0), (0, 0)))
        for how, client, server in cases:
            with self.subTest(how=how):
                result = self.run_tool("--ends", "11", "sock_diag",
                                       *python(CONNECT, how, "127.0.0.1", 5))
                self.assert_connections(result, "127.0.0.1", 5, client, server,
                                        first="client" if how == "nothing" else "")

    def test_bytes_of_an_abort(self):
        """Who aborts loses its counters and its peer; the other one has them."""
        result = self.run_tool("--ends", "11", "sock_diag",
                               *python(CONNECT, "aborted", "127.0.0.1", 5))
        _, port = self.ends_of(result)
        aborted, reset = [], []
        for fact in result.of("SOCKET", end=1, protocol=TCP):
            if fact["local"].rpartition(",")[2] in map(str, self.clients(result)):
                aborted.append((fact["remote"].rpartition(",")[2], fact["bytes_sent"],
                                fact["bytes_received"]))
            elif fact["local"] == f"127.0.0.1,{port}" and fact["remote"] != "-":
                reset.append((fact["bytes_sent"], fact["bytes_received"]))
        self.assertEqual(reset, [(200, 100)] * 5)
        self.assertEqual([(sent, received) for _, sent, received in aborted], [("-", "-")] * 5)

    def test_an_end_that_the_peer_does_not_answer_costs_at_most_a_byte(self):
        """The server closes first and the client much later; the client does, and is written to."""
        for how, late, prompt, sent in (("late", "server", "client", 100),
                                        ("written_to_the_end", "client", "server", 204)):
            with self.subTest(how=how):
                result = self.run_tool("--ends", "7", "sock_diag",
                                       *python(CONNECT, how, "127.0.0.1", 3))
                ends, port = self.ends_of(result, protocol=TCP)
                of = {"client": [], "server": []}
                for end in ends.values():
                    if end["remote"] != "-":
                        at = "server" if end["local"] == f"127.0.0.1,{port}" else "client"
                        of[at].append((end["bytes_sent"], end["bytes_received"]))
                payload = {"client": 200, "server": 100}
                self.assertEqual(of[prompt], [(sent, payload[prompt])] * 3)
                self.assertEqual(len(of[late]), 3)
                self.assertLessEqual({received for _, received in of[late]},
                                     {payload[late] - 1, payload[late]})

    def test_refused(self):
        for blocking in (1, 0):
            with self.subTest(blocking=blocking):
                result = self.run_tool("--ends", str(CONNECTIONS + 1), "sock_diag",
                                       *python(REFUSED, "127.0.0.1", CONNECTIONS, blocking))
                ports = self.clients(result)
                ends = [fact for fact in result.of("SOCKET", end=1, protocol=TCP)
                        if int(fact["local"].rpartition(",")[2]) in ports]
                self.assertEqual(len(ends), CONNECTIONS)
                self.assertEqual({(end["bytes_sent"], end["bytes_received"], end["state"])
                                  for end in ends}, {(0, 0, CLOSE)})

    def test_datagrams(self):
        for host in ("127.0.0.1", "::1"):
            for connected in (1, 0):
                with self.subTest(host=host, connected=connected):
                    result = self.run_tool("--ends", str(CONNECTIONS + 1), "sock_diag",
                                           *python(DATAGRAMS, host, CONNECTIONS, connected))
                    _, port = self.ends_of(result, protocol=UDP)
                    ends = collections.Counter(
                        (fact["local"].rpartition(",")[2], fact["remote"], fact["state"],
                         fact["bytes_sent"], fact["bytes_received"])
                        for fact in result.of("SOCKET", end=1, protocol=UDP, type=2)
                        if fact["local"].rpartition(",")[2]
                        in map(str, (port, *self.clients(result))))
                    peer = f"{host},{port}" if connected else "-"
                    state = ESTABLISHED if connected else CLOSE
                    expected = collections.Counter((str(other), peer, state, "-", "-")
                                                   for other in self.clients(result))
                    expected[(str(port), "-", CLOSE, "-", "-")] = 1
                    self.assertEqual(ends, expected)

    def test_with_bpf_only_datagrams_end_here(self):
        code = CONNECT + "\nwith socket.socket(type=socket.SOCK_DGRAM) as s:\n    s.bind((host, 0))"
        result = self.run_tool("--bpf", "--ends", "1", "sock_diag",
                               *python(code, "client_first", "127.0.0.1", 3))
        self.assertEqual(result.of("SOCKET", end=1, protocol=TCP), [])
        self.assertIn("ends of udp by destroy groups", "\n".join(result.lines))

    def test_namespace_that_was_there(self):
        name = f"vestige-{os.getpid()}-a"
        with namespace(name) as inode:
            command = within(name) + python(CONNECT, "client_first", "127.0.0.1", CONNECTIONS)[1:]
            result = self.run_tool("--ends", str(2 * CONNECTIONS + 1), "sock_diag", "--", *command)
            self.assert_connections(result, "127.0.0.1", CONNECTIONS, (100, 200), (200, 100), inode)
            scans = result.of("SOCKET_SCAN", netns=inode)
            self.assertEqual([(scan["begin"], scan["complete"]) for scan in scans],
                             [(1, 0), (0, 1)])
            self.assertEqual(len(result.of("SOCKET_SCAN", netns=OWN)), 2)

    def test_namespace_that_comes_later(self):
        """Found between two dumps, dumped at once, and heard from then on."""
        name = f"vestige-{os.getpid()}-b"
        waits = f"""
import os, subprocess, sys, time
subprocess.run(["ip", "netns", "add", {name!r}], check=True)
subprocess.run(["ip", "-n", {name!r}, "link", "set", "lo", "up"], check=True)
print("inode", os.stat("/run/netns/{name}").st_ino, flush=True)
{wait_for_nsid(name)}
subprocess.run({within(name) + python(CONNECT, "client_first", "::1", 7)[1:]!r}, check=True)
"""
        try:
            result = self.run_tool("--ends", "15", "--other-scans", "1", "sock_diag", *python(waits))
        finally:
            run("ip", "netns", "del", name, check=False)
        inode = int(re.search(r"^inode (\d+)$", result.error, re.M)[1])
        self.assert_connections(result, "::1", 7, (100, 200), (200, 100), inode)
        scans = result.of("SOCKET_SCAN", netns=inode)
        self.assertEqual([(scan["begin"], scan["complete"]) for scan in scans], [(1, 0), (0, 1)])

    def assert_last_scan_is_empty(self, result, netns):
        last = [fact for fact in result.facts if fact.get("netns") == netns][-2:]
        self.assertEqual([(f["kind"], f["begin"], f["complete"]) for f in last],
                         [("SOCKET_SCAN", 1, 0), ("SOCKET_SCAN", 0, 1)])

    def run_to_its_end(self, name, command):
        """A namespace with a socket, which the command ends. Gives its inode number, too."""
        run("ip", "netns", "add", name)
        inode = os.stat(f"/run/netns/{name}").st_ino
        holder = Holder("import socket, sys\ns = socket.socket(); s.bind(('0.0.0.0', 9)); "
                        "s.listen(); print('held', flush=True); sys.stdin.read()",
                        prefix=within(name))
        # The kernel ends a namespace some time after its last user has gone. Then nobody has its nsid.
        ends = f"""
import os, subprocess, sys, time
def nsids():
    lines = subprocess.run(["ip", "netns", "list-id"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {{line.split()[1]: line for line in lines}}
mine, = (nsid for nsid, line in nsids().items() if {name!r} in line)
os.kill({holder.process.pid}, 9)
subprocess.run(["ip", "netns", "del", {name!r}], check=True)
until = time.monotonic() + 60
while mine in nsids():
    assert time.monotonic() < until
    time.sleep(0.02)
{command}
"""
        try:
            result = self.run_tool("--sockets-interval", "1", "--scans", "4", "sock_diag",
                                   *python(ends))
        finally:
            holder.close()
        # On a busy machine there is time for more than one dump before its end.
        shown = self.shown_by_scans(result, inode, "0.0.0.0,9")
        self.assertEqual((1, [1] * sum(shown) + [0] * (len(shown) - sum(shown))), (shown[0], shown))
        self.assertEqual(len(result.of("SOCKET", netns=inode, end=0, local="0.0.0.0,9")), sum(shown))
        self.assertEqual(len(result.of("SOCKET", netns=inode, end=1, local="0.0.0.0,9")), 1)
        return result, inode

    @staticmethod
    def shown_by_scans(result, netns, local):
        """How often each dump of the namespace shows a socket, in their order."""
        shown = []
        for fact in result.facts:
            if fact.get("netns") != netns:
                continue
            if fact["kind"] == "SOCKET_SCAN" and fact["begin"]:
                shown.append(0)
            elif fact["kind"] == "SOCKET" and not fact["end"] and fact["local"] == local:
                shown[-1] += 1
        return shown

    def test_namespace_that_ends(self):
        """It has a last scan without sockets."""
        result, inode = self.run_to_its_end(f"vestige-{os.getpid()}-c", "")
        self.assert_last_scan_is_empty(result, inode)

    def test_namespace_under_the_number_of_another(self):
        """The kernel gives a number again at once; the new namespace is found and heard."""
        name = f"vestige-{os.getpid()}-f"
        again = f"""
subprocess.run(["ip", "netns", "add", {name!r}], check=True)
print("inode", os.stat("/run/netns/{name}").st_ino, flush=True)
{wait_for_nsid(name)}
subprocess.run({within(name)} + [sys.executable, "-c", "import socket; s = socket.socket("
               "type=socket.SOCK_DGRAM); s.bind(('0.0.0.0', 10))"], check=True)
"""
        try:
            result, _ = self.run_to_its_end(name, again)
        finally:
            run("ip", "netns", "del", name, check=False)
        inode = int(re.search(r"^inode (\d+)$", result.error, re.M)[1])
        self.assertEqual(len(result.of("SOCKET", netns=inode, end=1, local="0.0.0.0,10")), 1)
        self.assert_last_scan_is_empty(result, inode)

    def test_namespaces_that_vanish_while_they_are_looked_at(self):
        name = f"vestige-{os.getpid()}-g"
        result = self.run_tool("--sockets-interval", "1", "--scans", "4", "sock_diag",
                               *python(CHURN, name, 200))
        self.assertNotIn("sock_diag:", result.error)
        self.assertEqual(result.of("SOCKET_SCAN", begin=0, complete=0), [])
        self.assertEqual(len(result.of("SOCKET_SCAN", begin=1)),
                         len([scan for scan in result.of("SOCKET_SCAN", begin=0) if scan["netns"]]))
        self.assertGreater(len(result.of("SOCKET_SCAN", begin=0, netns=0)), 0)
        mine = {int(inode) for inode in re.findall(r"^inode (\d+)$", result.error, re.M)}
        self.assertGreater(len({f["netns"] for f in result.of("SOCKET_SCAN")} & mine), 0)

    # Dumps

    def test_dump_beside_ss(self):
        name = f"vestige-{os.getpid()}-d"
        with namespace(name) as inode, tempfile.TemporaryDirectory() as directory:
            holder = Holder(HOLD, directory, prefix=within(name))
            try:
                result = self.run_tool("sock_diag", "--", "true")
                facts = result.of("SOCKET", end=0, netns=inode)
                self.assertEqual({as_ss(f) for f in facts if f["protocol"] == TCP},
                                 ss(name, "-t"))
                self.assertEqual({as_ss(f) for f in facts if f["protocol"] == UDP},
                                 ss(name, "-u"))
                self.assert_other_kinds(name, directory, facts, holder)
                self.assert_owners(result, holder)
                result = self.run_tool("sock_diag", "--", "true", preexec_fn=deny(
                    "socket", errno.EPROTONOSUPPORT, (0, 16), (2, 4)))
                self.assert_without_sock_diag(result, inode, facts)
            finally:
                holder.close()

    def assert_other_kinds(self, name, directory, facts, holder):
        by_inode = {fact["inode"]: fact for fact in facts}
        of = {name: by_inode.get(inode) for name, (_, inode) in holder.sockets.items()}
        fields = ("family", "type", "protocol", "state", "local", "interface", "path")
        self.assertEqual({name: tuple(of[name][field] for field in fields) for name in
                          ("raw4", "raw6", "packet_raw", "packet_datagram", "unix_abstract")},
                         {"raw4": (2, 3, 1, CLOSE, "0.0.0.0,1", 0, "-"),
                          "raw6": (10, 3, 58, CLOSE, "::,58", 0, "-"),
                          "packet_raw": (17, 3, 0x0806, 0, "-", 0, "-"),
                          "packet_datagram": (17, 2, 0x0800, 0, "-", 1, "-"),
                          "unix_abstract": (1, 1, 0, LISTEN, "-", 0, "\\x00vestige")})
        self.assertEqual((of["unix_packets"]["type"], of["unix_packets"]["path"]),
                         (5, f"{directory}/packets"))
        self.assertEqual(of["unix_path"]["path"], f"{directory}/a")
        self.assertEqual((of["udplite"]["type"], of["udplite"]["protocol"]), (2, 136))
        self.assertEqual(of["bound_to_device"]["interface"], 1)
        self.assertEqual(of["nobodys"]["uid"], 65534)
        self.assertEqual(of["udp4"]["local"], "127.0.0.1,65535")
        self.assertTrue(of["client_mapped"]["local"].startswith("127.0.0.1,"))
        self.assertTrue(of["client_mapped"]["remote"].startswith("127.0.0.1,"))
        self.assertIsNone(of["unix_not_listening"])
        self.assertEqual(sum(fact["inode"] == 0 for fact in facts), 1)  # not accepted
        packets = run(*within(name), "ss", "-H", "-n", "-a", "-e", "-0").stdout
        self.assertEqual({(fact["inode"], f"{fact['cookie']:x}") for fact in facts
                          if fact["family"] == 17},
                         set((int(ino), sk) for ino, sk in
                             re.findall(r"ino:(\d+) sk:([0-9a-f]+)", packets)))
        unix = run(*within(name), "ss", "-H", "-n", "-l", "-x",
                   errors="replace").stdout
        self.assertEqual({fact["inode"] for fact in facts if fact["family"] == 1},
                         {int(inode) for inode in re.findall(r" LISTEN .* (\d+) +\* 0", unix)})

    def assert_owners(self, result, holder):
        expected = {(inode, descriptor) for name, (descriptor, inode) in holder.sockets.items()
                    if name != "unix_not_listening"}
        found = [(fact["inode"], fact["descriptor"]) for fact in result.of("SOCKET_OWNER")
                 if fact["pid"] == holder.process.pid]
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(found), expected)

    def assert_without_sock_diag(self, result, inode, facts):
        """The same sockets; /proc/net knows no cookie, no interface of an inet socket and no user
        of a UNIX socket."""
        def plain(fact):
            without = {2: "interface", 10: "interface", 1: "uid"}.get(fact["family"])
            return tuple(sorted((key, value) for key, value in fact.items()
                                if key not in ("cookie", "boot_ns", without)))
        found = result.of("SOCKET", end=0, netns=inode)
        self.assertEqual(collections.Counter(map(plain, found)),
                         collections.Counter(map(plain, facts)))
        note, = result.of("NOTE")
        self.assertEqual(note["mode"], "proc-net")
        line = next(line for line in result.lines if line.startswith("NOTE"))
        self.assertIn("ends inferred from dumps: Protocol not supported; /proc/net every 30 s", line)
        self.assertEqual(result.of("SOCKET_SCAN", begin=0, complete=0), [])

    def test_owners_of_what_is_new(self):
        """Each descriptor once; a child that inherited it too; nothing is looked for twice."""
        code = """
import os, signal, socket
s = socket.socket()
children = []
for i in range(2):
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        signal.pause()
    children.append(pid)
s.bind(("0.0.0.0", 0))  # owners are looked for when a dump shows it first
s.listen()
print("inode", os.fstat(s.fileno()).st_ino, "descriptor", s.fileno(), "parent", os.getpid(),
      "children", *children)
"""
        for prefix in ([], ["unshare", "-n"]):
            with self.subTest(prefix=prefix):
                self.assert_owners_once(["--", *prefix, *python(code)[1:]])

    def assert_owners_once(self, command):
        children = []
        try:
            result = self.run_tool("--sockets-interval", "1", "--scans", "4", "sock_diag", *command)
            inode, descriptor, parent, *children = map(int, re.search(
                r"inode (\d+) descriptor (\d+) parent (\d+) children (\d+) (\d+)",
                result.error).groups())
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
        owners = collections.Counter((f["pid"], f["descriptor"])
                                     for f in result.of("SOCKET_OWNER", inode=inode))
        owners.pop((parent, descriptor), None)  # when it was still there
        self.assertEqual(owners, {(child, descriptor): 1 for child in children})
        self.assertGreaterEqual(len(result.of("SOCKET", end=0, inode=inode)), 3)

    def test_fifty_thousand(self):
        """What a dump costs when nothing is new: less than 1 % of a core every 30 s."""
        pairs = 25000
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100) // 2
        holders = []
        try:
            for i, first in enumerate(range(0, pairs, most)):
                holders.append(Holder(HOLD_MANY, str(min(most, pairs - first)),
                                      f"127.77.{i + 1}.1"))
            result = self.run_tool("--no-facts", "--sockets-interval", "1", "--scans", "8",
                                   "sock_diag", "--", "true")
        finally:
            for holder in holders:
                holder.close()
        scans = [fact for fact in result.of("SOCKET_SCAN", netns=OWN) if fact["begin"] == 0]
        costs = [(after["cpu_ns"] - before["cpu_ns"]) / 1e6
                 for before, after in zip(scans, scans[1:])]
        print(f"\n50000 TCP sockets: the first dump {scans[0]['cpu_ns'] / 1e6:.0f} ms of CPU, then "
              f"{sorted(costs)[len(costs) // 2]:.0f} ms (median; least {min(costs):.0f}, most "
              f"{max(costs):.0f}), decoding included: "
              f"{sorted(costs)[len(costs) // 2] / 300:.2f} % of a core every 30 s; "
              f"{result.totals['facts'] // len(scans)} facts each")
        self.assertGreater(result.totals["facts"], 50000 * len(scans))
        self.assertTrue(all(scan["complete"] for scan in scans))
        self.assertLess(sorted(costs)[len(costs) // 2], 300)

    # What the kernel refuses, and losses

    def test_destroy_groups_refused(self):
        result = self.run_tool("sock_diag", *python(CONNECT, "client_first", "127.0.0.1", 3),
                               preexec_fn=deny("setsockopt", errno.EPERM, (1, 270), (2, 1)))
        self.assertEqual(result.of("SOCKET", end=1), [])
        self.assertIn("NOTE mode=on detail=ends inferred from dumps: Operation not permitted; "
                      "dump every 30 s", "\n".join(result.lines))
        self.assertEqual(result.of("SOCKET_SCAN", begin=0, complete=0), [])

    def test_dumps_that_fail_are_not_complete(self):
        result = self.run_tool("sock_diag", "--", "true", preexec_fn=deny("sendto", errno.ENOMEM))
        scan, = result.of("SOCKET_SCAN", begin=0, netns=OWN)
        self.assertEqual(scan["complete"], 0)
        self.assertEqual(result.of("SOCKET", end=0), [])
        self.assertEqual(len(result.of("NOTE", mode="on")), 1)

    def test_other_namespaces_refused(self):
        name = f"vestige-{os.getpid()}-e"
        with namespace(name) as inode:
            result = self.run_tool("--ends", "7", "sock_diag",
                                   *python(CONNECT, "client_first", "127.0.0.1", 3),
                                   preexec_fn=deny("setsockopt", errno.EPERM, (1, 270), (2, 8)))
            self.assert_connections(result, "127.0.0.1", 3, (100, 200), (200, 100))
            self.assertIn("of this namespace only", "\n".join(result.lines))
            self.assertEqual(len(result.of("SOCKET_SCAN", netns=inode)), 2)

    def test_loss_is_seen_and_followed_by_a_dump(self):
        result = self.run_tool("--interval", "1000", "--receive-buffer", "1", "--scans", "1",
                               "sock_diag", *python(CONNECT, "client_first", "127.0.0.1", 97))
        self.assertGreaterEqual(result.totals["overruns"], 1)
        self.assertEqual(len(result.of("OVERRUN")), result.totals["overruns"])
        self.assertLess(len(result.of("SOCKET", end=1)), 195)

    def test_recording_gives_the_same_facts(self):
        def facts(result):
            return [re.sub(" cpu_ns=\\d+", "", line) for line in result.lines
                    if not line.startswith(("COMMAND", "READ"))]
        with tempfile.TemporaryDirectory() as directory:
            place = os.path.join(directory, "recording")
            result = self.run_tool("--record", place, "--ends", "11", "sock_diag",
                                   *python(CONNECT, "client_first", "::1", 5))
            again = Run("--replay", place)
            self.assertEqual(again.status, 0, again.error)
            self.assertEqual(facts(again), facts(result))
            self.assertGreater(len(result.of("SOCKET", end=1)), 10)


def enter_namespace():
    """Ends are counted, so no socket but the tests' own may end in any namespace that can be found: neither in
    that of the machine, nor in one of a test beside this one, both of which use the same ports."""
    if os.environ.pop("VESTIGE_TEST_NETNS", None) != str(OWN):
        os.execvp("unshare", ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                              'mount -t tmpfs none /run && '
                              'VESTIGE_TEST_NETNS=$(stat -L -c %i /proc/self/ns/net) exec "$@"',
                              "sh", sys.executable, "-B", *sys.argv])
    run("ip", "link", "set", "lo", "up")


if __name__ == "__main__":
    enter_namespace()
    unittest.main()
