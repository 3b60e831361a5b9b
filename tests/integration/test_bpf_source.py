"""The BPF programs on the real kernel: who opens, accepts and uses sockets, and what became of each
connection, exactly and to the byte."""

import collections
import itertools
import json
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from network_test import ANSWER, REQUEST, network_namespace
from source_run import Run, python
from vestige_test import actor_command, run

N = 97
TCP, UDP = 6, 17
ESTABLISHED, SYN_SENT, SYN_RECEIVED, CLOSE, LISTEN = 1, 2, 3, 7, 10
UNSET = 0xffffffff
LOGIN = 65533

# A server and a client of the actor program; what both report is written as one line each.
EXCHANGE = """
import json, sys
from network_test import Server, client, finished
kind, host, n, name, uid, *more = sys.argv[1:]
with Server(kind + "-server", host, n, *(more if kind == "tcp" else [])) as server:
    done = finished(client(kind + "-client", host, server.port, n, name, uid,
                           *(more if kind == "udp" else [])))
for report in ({"role": "listening", "pid": server.pid, "port": server.port}, done):
    print(json.dumps(report), file=sys.stderr)
"""

# Writes a line of JSON for each pair of connected sockets whose end it has arranged: the ports of
# both, and what was sent from the first and from the second.
ENDS = """
import json, socket, struct, sys, time
def pair(name, there, back, family=socket.AF_INET):
    listener = socket.socket(family)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listener.listen(1)
    a = socket.create_connection(listener.getsockname()[:2])
    b = listener.accept()[0]
    listener.close()
    print(json.dumps({"name": name, "a": a.getsockname()[1], "b": b.getsockname()[1],
                      "there": there, "back": back}), file=sys.stderr)
    return a, b
def exchange(a, b, there=100, back=200):
    a.sendall(b"x" * there), b.recv(there, socket.MSG_WAITALL)
    b.sendall(b"y" * back), a.recv(back, socket.MSG_WAITALL)
def end(s):
    try:
        assert s.recv(1) == b""
    except ConnectionResetError:
        pass
    s.close()
def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()

a, b = pair("first closes first", 100, 200); exchange(a, b); a.close(); end(b)
a, b = pair("second closes first", 100, 200); exchange(a, b); b.close(); end(a)
a, b = pair("first half closes", 100, 200)
a.sendall(b"x" * 100); a.shutdown(socket.SHUT_WR); b.recv(100, socket.MSG_WAITALL)
assert b.recv(1) == b""; b.sendall(b"y" * 200); b.close(); a.recv(200, socket.MSG_WAITALL); end(a)
a, b = pair("second half closes", 100, 200)
b.sendall(b"y" * 200); b.shutdown(socket.SHUT_WR); a.recv(200, socket.MSG_WAITALL)
assert a.recv(1) == b""; a.sendall(b"x" * 100); a.close(); b.recv(100, socket.MSG_WAITALL); end(b)
a, b = pair("both half close", 100, 200); exchange(a, b)
a.shutdown(socket.SHUT_WR); b.shutdown(socket.SHUT_WR); end(a); end(b)
a, b = pair("first resets", 100, 200); exchange(a, b); abort(a); end(b)
a, b = pair("second resets a half closed one", 100, 200)
exchange(a, b); a.shutdown(socket.SHUT_WR); assert b.recv(1) == b""; abort(b); end(a)
a, b = pair("something is left unread", 100, 200)
a.sendall(b"x" * 100); b.recv(100, socket.MSG_WAITALL); b.sendall(b"y" * 200)
assert a.recv(200, socket.MSG_PEEK | socket.MSG_WAITALL) == b"y" * 200
a.close(); end(b)
a, b = pair("nothing is sent", 0, 0); a.close(); end(b)
a, b = pair("nothing is sent, and reset", 0, 0); abort(a); end(b)
a, b = pair("disconnected by connect", 100, 200); exchange(a, b)
import ctypes; assert ctypes.CDLL(None).connect(a.fileno(), bytes(16), 16) == 0; end(b)
a, b = pair("megabytes", 3000000, 2000001, socket.AF_INET6)
import threading
def send(s, n): s.sendall(bytes(n)); s.shutdown(socket.SHUT_WR)
def receive(s):
    while s.recv(1 << 20): pass
threads = [threading.Thread(target=t) for t in (lambda: send(a, 3000000), lambda: send(b, 2000001),
                                                lambda: receive(a), lambda: receive(b))]
[t.start() for t in threads]; [t.join() for t in threads]; a.close(); b.close()
"""

# A long transfer each way through a queue that has no room for it.
CROWDED = """
import json, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
a = socket.create_connection(listener.getsockname())
b = listener.accept()[0]
def send(s, n): s.sendall(bytes(n)); s.shutdown(socket.SHUT_WR)
def receive(s):
    while s.recv(1 << 20): pass
threads = [threading.Thread(target=t) for t in (lambda: send(a, 1000000), lambda: send(b, 700001),
                                                lambda: receive(a), lambda: receive(b))]
[t.start() for t in threads]; [t.join() for t in threads]
print(json.dumps({"a": a.getsockname()[1], "b": b.getsockname()[1]}), file=sys.stderr)
a.close(); b.close()
for line in open("/proc/net/snmp"):
    if line.startswith("Tcp:"):
        numbers = line.split()
print(json.dumps({"retransmitted": int(numbers[12])}), file=sys.stderr)
"""

# Refused, listening, accepted by a child and by a thread, from a socket that is descriptor 0.
DEEDS = """
import json, os, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
where = listener.getsockname()
def connect(): return socket.create_connection(where)
def say(**what): print(json.dumps(what), file=sys.stderr)
refused = socket.socket()
refused.bind(("127.0.0.1", 0))
assert refused.getsockname() != where
attempt = socket.socket()
try:
    attempt.connect(refused.getsockname())
except ConnectionRefusedError:
    say(deed="refused", port=refused.getsockname()[1])
attempt.close()
a = connect()
child = os.fork()
if child == 0:
    listener.accept()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
say(deed="child", port=a.getsockname()[1], pid=child)
b = connect()
accepted = []
thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
thread.start(); thread.join()
say(deed="thread", port=b.getsockname()[1], pid=os.getpid())
c = connect()
os.dup2(c.fileno(), 0)
assert os.getuid() == 0
say(deed="getuid", port=c.getsockname()[1])
say(deed="listener", port=where[1], pid=os.getpid())
"""

# From a socket of IPv6 to one of IPv6, by IPv4.
MAPPED = """
import json, os, socket, sys
listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
port = listener.getsockname()[1]
a = socket.socket(socket.AF_INET6)
a.connect(("::ffff:127.0.0.1", port))
b = listener.accept()[0]
print(json.dumps({"pid": os.getpid(), "server": port, "client": a.getsockname()[1]}), file=sys.stderr)
a.close(); b.close(); listener.close()
"""

DATAGRAMS = """
import json, os, socket, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 0))
port = server.getsockname()[1]
clients = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
for host, family in clients.items():
    client = socket.socket(family, socket.SOCK_DGRAM)
    for i in range(23):
        client.sendto(b"x", (host, port))
        data, peer = server.recvfrom(10)
        server.sendto(b"y", peer)
        client.recvfrom(10)
    print(json.dumps({"host": host, "port": client.getsockname()[1], "server": port,
                      "pid": os.getpid()}), file=sys.stderr)
    client.close()
    silent = socket.socket(family, socket.SOCK_DGRAM)
    silent.close()
server.close()
"""


def text(host, port):
    return f"{host},{port}"


class BpfSource(unittest.TestCase):
    def run_tool(self, *arguments, prefix=()):
        done = Run("--note", *arguments, prefix=prefix)
        self.assertEqual(done.status, 0, done.error)
        self.assertEqual(done.totals["malformed"], 0)
        return done

    def exchange(self, *parameters, prefix=()):
        """What was heard, the server and the client."""
        done = self.run_tool("bpf", "--", *prefix, *python(EXCHANGE, *parameters)[1:])
        self.assertEqual(done.totals["overruns"], 0)
        self.assertFalse(done.of("BPF_LOST"))
        return done, *(json.loads(line) for line in done.error.splitlines())

    # -- TCP --

    def check_connections(self, done, server, client, host, netns):
        where = text(host, server["port"])
        tuples = {text(host, port) for port in client["ports"]}
        self.assertEqual(len(tuples), N)
        family = 10 if ":" in host else 2
        every = dict(netns=netns, type=1, protocol=TCP, family=family)
        who = dict(caller_uid=LOGIN, login_uid=LOGIN, comm="visitor")

        connects = done.of("SOCKET_CALL", call="connect", pid=client["pid"])
        self.assertEqual(len(connects), N)
        self.assertEqual(len(done.of("SOCKET_CALL", call="connect", remote=where, state=SYN_SENT,
                                     uid=LOGIN, **every, **who)), N)
        self.assertTrue(all(0 < f["session"] < UNSET and f["inode"] for f in connects))
        opened = {f["cookie"] for f in connects}
        self.assertEqual(len(opened), N)

        established = done.of("SOCKET_STATE", old=SYN_SENT, new=ESTABLISHED, remote=where, **every)
        self.assertEqual({f["local"] for f in established}, tuples)
        self.assertEqual({f["cookie"] for f in established}, opened)
        self.assertEqual(len(established), N)

        taken = done.of("SOCKET_STATE", old=SYN_RECEIVED, new=ESTABLISHED, local=where, **every)
        accepts = done.of("SOCKET_CALL", call="accept", local=where, **every)
        for facts in (taken, accepts):
            self.assertEqual(len(facts), N)
            self.assertEqual({f["remote"] for f in facts}, tuples)
        self.assertEqual({f["pid"] for f in accepts}, {server["pid"]})
        self.assertEqual({(f["caller_uid"], f["comm"]) for f in accepts}, {(0, "actor")})
        self.assertEqual({f["cookie"] for f in taken}, {f["cookie"] for f in accepts})

        for cookies, end, sent, received in (
                (opened, "local", REQUEST, ANSWER),
                ({f["cookie"] for f in taken}, "remote", ANSWER, REQUEST)):
            ends = [f for f in done.of("SOCKET_STATE", new=CLOSE, **every)
                    if f["cookie"] in cookies]
            self.assertEqual(len(ends), N)
            self.assertEqual({f[end] for f in ends}, tuples)
            self.assertEqual({(f["bytes_sent"], f["bytes_received"], f["error"]) for f in ends},
                             {(sent, received, 0)})

        listens = done.of("SOCKET_CALL", call="listen", pid=server["pid"])
        self.assertEqual([(f["local"], f["remote"], f["state"]) for f in listens],
                         [(where, "-", LISTEN)])
        ends = done.of("SOCKET_STATE", old=LISTEN, new=CLOSE, cookie=listens[0]["cookie"])
        self.assertEqual([(f["local"], f["bytes_sent"]) for f in ends], [(where, "-")])

        times = {(f["cookie"], f["kind"], f.get("new")): f["boot_ns"] for f in done.facts
                 if f["kind"].startswith("SOCKET_") and f["cookie"] in opened}
        for cookie in opened:
            life = [times[cookie, "SOCKET_CALL", None], times[cookie, "SOCKET_STATE", ESTABLISHED],
                    times[cookie, "SOCKET_STATE", CLOSE]]
            self.assertEqual(life, sorted(life))

    def test_connections(self):
        own = os.stat("/proc/self/ns/net").st_ino
        for host, buffer in (("127.0.0.1", "buffer"), ("::1", "buffer"), ("127.0.0.1", "nobuffer")):
            with self.subTest(host=host, buffer=buffer):
                done, server, client = self.exchange("tcp", host, N, "visitor", LOGIN, buffer)
                self.check_connections(done, server, client, host, own)

    def test_connections_in_another_namespace(self):
        with network_namespace("vestige-bpf") as prefix:
            netns = os.stat("/run/netns/vestige-bpf").st_ino
            for host in ("127.0.0.1", "::1"):
                with self.subTest(host=host):
                    done, server, client = self.exchange("tcp", host, N, "visitor", LOGIN,
                                                         prefix=prefix)
                    self.check_connections(done, server, client, host, netns)

    def test_bytes_of_each_kind_of_end(self):
        done = self.run_tool("bpf", *python(ENDS))
        pairs = [json.loads(line) for line in done.error.splitlines()]
        self.assertEqual(len(pairs), 12)
        ends = collections.defaultdict(list)
        for fact in done.of("SOCKET_STATE", new=CLOSE, protocol=TCP):
            key = (fact["local"].rpartition(",")[2], fact["remote"].rpartition(",")[2])
            ends[key].append((fact["bytes_sent"], fact["bytes_received"]))
        for pair in pairs:
            with self.subTest(pair["name"]):
                a, b = str(pair["a"]), str(pair["b"])
                self.assertEqual(ends[a, b], [(pair["there"], pair["back"])])
                self.assertEqual(ends[b, a], [(pair["back"], pair["there"])])

    def test_bytes_that_are_sent_again(self):
        with network_namespace("vestige-bpf") as prefix:
            run("ip", "-n", "vestige-bpf", "link", "set", "lo", "mtu", "1500")
            run("tc", "-n", "vestige-bpf", "qdisc", "add", "dev", "lo", "root", "tbf", "rate",
                "20mbit", "burst", "3000", "limit", "12000")
            done = self.run_tool("bpf", "--", *prefix, *python(CROWDED)[1:])
        ports, counted = (json.loads(line) for line in done.error.splitlines())
        self.assertGreater(counted["retransmitted"], 0)
        ends = {(f["local"], f["remote"]): f for f in done.of("SOCKET_STATE", new=CLOSE)}
        a, b = text("127.0.0.1", ports["a"]), text("127.0.0.1", ports["b"])
        self.assertEqual((ends[b, a]["bytes_sent"], ends[b, a]["bytes_received"]),
                         (700001, 1000000))
        self.assertEqual(ends[a, b]["bytes_received"], 700001)
        # Whoever began may count the SYN: see set_payload().
        self.assertIn(ends[a, b]["bytes_sent"], (1000000, 1000001))

    def test_refused_listening_and_accepted_by_others(self):
        done = self.run_tool("bpf", *python(DEEDS))
        deeds = {said["deed"]: said for said in map(json.loads, done.error.splitlines())}
        where = text("127.0.0.1", deeds["listener"]["port"])
        pid = deeds["listener"]["pid"]

        nobody = text("127.0.0.1", deeds["refused"]["port"])
        call, = done.of("SOCKET_CALL", call="connect", pid=pid, remote=nobody)
        state, = done.of("SOCKET_STATE", cookie=call["cookie"])
        self.assertEqual((state["old"], state["new"], state["error"], state["remote"]),
                         (SYN_SENT, CLOSE, 111, nobody))
        self.assertRegex(state["local"], r"^127\.0\.0\.1,[1-9]\d*$")
        self.assertEqual((state["bytes_sent"], state["bytes_received"]), (0, 0))

        accepts = done.of("SOCKET_CALL", call="accept", local=where)
        self.assertEqual([(f["pid"], f["remote"]) for f in accepts],
                         [(deeds[deed]["pid"], text("127.0.0.1", deeds[deed]["port"]))
                          for deed in ("child", "thread")])
        listen, = done.of("SOCKET_CALL", call="listen", pid=pid)
        self.assertEqual(listen["local"], where)
        # getuid of x86-64 has the number that socketcall has in 32-bit programs.
        self.assertFalse(done.of("SOCKET_CALL", call="accept",
                                 local=text("127.0.0.1", deeds["getuid"]["port"])))
        self.assertEqual(len(done.of("SOCKET_CALL", call="accept", pid=pid)), 1)

    def test_mapped_addresses(self):
        done = self.run_tool("bpf", *python(MAPPED))
        said = json.loads(done.error)
        server, client = text("127.0.0.1", said["server"]), text("127.0.0.1", said["client"])
        calls = done.of("SOCKET_CALL", pid=said["pid"])
        self.assertEqual([(f["call"], f["family"], f["local"], f["remote"]) for f in calls],
                         [("listen", 10, text("::", said["server"]), "-"),
                          ("connect", 10, text("127.0.0.1", 0), server),
                          ("accept", 10, server, client)])
        states = [(f["new"], f["local"], f["remote"]) for f in done.of("SOCKET_STATE")
                  if f["cookie"] in {calls[1]["cookie"], calls[2]["cookie"]}]
        self.assertEqual(sorted(states), sorted((new, *ends) for new in (ESTABLISHED, CLOSE)
                                                for ends in ((server, client), (client, server))))

    @unittest.skipUnless(os.uname().machine == "x86_64", "only x86-64 runs both kinds of programs")
    def test_accepts_of_32_bit_programs(self):
        done = self.run_tool("bpf", "--", *actor_command("accept-ia32"))
        said = json.loads(done.error)
        connects = done.of("SOCKET_CALL", call="connect", pid=said["pid"])
        accepts = done.of("SOCKET_CALL", call="accept", pid=said["pid"])
        self.assertEqual(len(connects), 3)
        self.assertEqual(len(accepts), 3)
        ports = {f["local"] for f in done.of("SOCKET_STATE", old=SYN_SENT, new=ESTABLISHED)
                 if f["cookie"] in {c["cookie"] for c in connects}}
        self.assertEqual({f["remote"] for f in accepts}, ports)

    # -- UDP --

    def test_datagrams(self):
        for host, mode in itertools.product(("127.0.0.1", "::1"), ("unconnected", "connected")):
            call = "connect" if mode == "connected" else "send"
            with self.subTest(host=host, mode=mode):
                done, server, client = self.exchange("udp", host, N, "visitor", LOGIN, mode)
                where = text(host, server["port"])
                tuples = collections.Counter(text(host, port) for port in client["ports"])
                self.assertEqual(tuples.total(), N)
                calls = done.of("SOCKET_CALL", pid=client["pid"])
                self.assertEqual(len(calls), N)
                self.assertEqual({(f["call"], f["remote"], f["protocol"], f["type"], f["caller_uid"],
                                   f["login_uid"], f["comm"]) for f in calls},
                                 {(call, where, UDP, 2, LOGIN, LOGIN, "visitor")})
                cookies = {f["cookie"] for f in calls}
                self.assertEqual(len(cookies), N)
                if call == "send":
                    self.assertEqual({f["local"].rpartition(",")[2] for f in calls},
                                     {str(port) for port in client["ports"]})

                received = done.of("SOCKET_CALL", pid=server["pid"])
                self.assertEqual({(f["call"], f["local"]) for f in received}, {("receive", where)})
                # A peer is new once, also when its port is used again.
                self.assertEqual(collections.Counter(f["remote"] for f in received),
                                 collections.Counter(set(tuples)))

                ends = [f for f in done.of("SOCKET_STATE", new=CLOSE, protocol=UDP)
                        if f["cookie"] in cookies]
                self.assertEqual(len(ends), N)
                self.assertEqual({(f["bytes_sent"], f["bytes_received"]) for f in ends}, {("-", "-")})
                if call == "connect":
                    self.assertEqual(collections.Counter(f["local"] for f in ends), tuples)
                    self.assertEqual({(f["old"], f["remote"]) for f in ends},
                                     {(ESTABLISHED, where)})
                own, = done.of("SOCKET_STATE", new=CLOSE, cookie=received[0]["cookie"])
                self.assertEqual(own["local"], where)

    def test_each_peer_once_and_mapped_addresses(self):
        done = self.run_tool("bpf", *python(DATAGRAMS))
        said = [json.loads(line) for line in done.error.splitlines()]
        facts = done.of("SOCKET_CALL", pid=said[0]["pid"])
        expected = []
        for exchange in said:
            there = text(exchange["host"], exchange["server"])
            back = text(exchange["host"], exchange["port"])
            expected += [("send", there), ("receive", back)]
        self.assertEqual([(f["call"], f["remote"]) for f in facts], expected)
        server = facts[1]["cookie"]
        self.assertEqual([f["cookie"] == server for f in facts], [False, True, False, True])
        self.assertEqual({f["family"] for f in facts if f["cookie"] == server}, {10})

    # -- losses, recordings, refusals --

    def test_losses_are_counted(self):
        """More than the ring has room for, while nobody reads it. The end of the run finds what was
        kept, and the number of the rest."""
        with network_namespace("vestige-bpf") as prefix:
            netns = os.stat("/run/netns/vestige-bpf").st_ino
            n = 1000
            done = self.run_tool("--receive-buffer", "1", "--interval", "1000", "bpf", "--", *prefix,
                                 *python(EXCHANGE, "tcp", "127.0.0.1", n, "visitor", 0)[1:])
        self.assertIn("; ring 262144 bytes ", done.lines[0])
        lost = sum(f["events"] for f in done.of("BPF_LOST"))
        self.assertEqual(len(done.of("OVERRUN")), len(done.of("BPF_LOST")))
        self.assertEqual(done.totals["overruns"], len(done.of("OVERRUN")))
        heard = [f for f in done.facts if f["kind"].startswith("SOCKET_")]
        own = [f for f in heard if f["netns"] == netns]
        wanted = 6 * n + 2
        self.assertGreater(lost, 0)
        self.assertLess(len(own), wanted)
        self.assertGreaterEqual(len(own) + lost, wanted)
        # What others on this machine did meanwhile may be lost as well, but is little.
        self.assertLess(len(heard) + lost, wanted * 1.2)

    def test_recording_gives_the_same_facts(self):
        with tempfile.TemporaryDirectory(prefix="vestige-test-") as directory:
            place = os.path.join(directory, "recording")
            done = self.run_tool("--record", place, "bpf", *python(ENDS))
            again = Run("--replay", place)
            facts = [line for line in done.lines if not line.startswith(("COMMAND", "READ"))]
            self.assertEqual([line for line in again.lines if not line.startswith("READ")], facts)
            self.assertGreater(len(facts), 60)

    def note(self, *prefix):
        done = self.run_tool("bpf", "--", "true", prefix=prefix)
        line = next(line for line in done.lines if line.startswith("NOTE "))
        return re.search(r"detail=(.*) source=bpf", line)[1]

    def test_note(self):
        self.assertRegex(self.note(), r"^accept by [^;]+; udp by cgroup; ring 2097152 bytes$")

    def test_without_cgroup2(self):
        hide = ["unshare", "-m", "sh", "-c",
                "awk '$3 == \"cgroup2\" {print $2}' /proc/self/mounts | xargs -n 1 umount -l &&"
                "exec \"$@\"", "sh"]
        self.assertIn("; udp by nothing, cgroup2 is not mounted; ", self.note(*hide))

    def test_without_capabilities(self):
        cases = (("-bpf,-sys_admin", "CAP_BPF"), ("-perfmon,-sys_admin", "CAP_PERFMON"),
                 ("-bpf,-perfmon,-sys_admin", "CAP_BPF and CAP_PERFMON"))
        for dropped, said in cases:
            with self.subTest(dropped=dropped):
                refused = Run("bpf", "--", "true", prefix=["setpriv", "--bounding-set", dropped])
                self.assertEqual(refused.status, 2)
                self.assertTrue(refused.error.endswith(f"give it {said}\n"), refused.error)
                self.assertEqual(len(refused.error.splitlines()), 1)
        self.assertIn("; udp by nothing, it is not permitted (CAP_NET_ADMIN); ",
                      self.note("setpriv", "--bounding-set", "-net_admin,-sys_admin"))


if __name__ == "__main__":
    unittest.main()
