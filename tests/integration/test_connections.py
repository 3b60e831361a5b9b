"""Connections on the real kernel: every one is a row, with its process, login user, bytes and both ends,
compared tuple by tuple with what tcpdump saw in the same run."""

import os
import socket
import time
from collections import Counter

from dns_server import DnsServer, name
from network_test import (ANSWER, REQUEST, Capture, Server, black_hole, client, finished,
                          network_namespace)
from vestige_test import (Standalone, VestigeTest, actor_command, assert_audit_state, audit_state, brief,
                          main, now_us, put_away_leftovers, run, wait_for)

N = 2000


class Connections(VestigeTest):
    """Questions about endpoint rows."""

    def endpoints(self, condition, *parameters):
        return self.vestige.query(
            f"SELECT * FROM endpoint WHERE id >= {self.since} AND ({condition}) ORDER BY id",
            *parameters)

    def assert_all(self, rows, **expected):
        """Each row has exactly these values, and has ended properly."""
        for row in rows:
            self.assertEqual(expected, {name: row[name] for name in expected}, brief([row]))
            self.assertIsNotNone(row["destroyed_at"], brief([row]))
            self.assertGreaterEqual(row["destroyed_at"], row["created_at"], brief([row]))

    def assert_same(self, expected, found):
        """The same things, each as often; a difference is told in short."""
        expected, found = Counter(expected), Counter(found)
        missing, surplus = expected - found, found - expected
        if missing or surplus:
            self.fail(f"missing {missing.total()}: {list(missing)[:3]}; "
                      f"surplus {surplus.total()}: {list(surplus)[:3]}")

    def exchange(self, n, host, login_uid=1000, prefix=(), options=()):
        """n TCP connections of a user; what took part."""
        with Server("tcp-server", host, n, *options, prefix=prefix) as server, \
                Capture(server.port, n, prefix) as capture:
            report = finished(client("tcp-client", host, server.port, n, "vestige-client",
                                     login_uid, prefix=prefix))
        self.vestige.sync()
        return server, report, capture

    def check_exchange(self, n, host, server, report, capture, **expected):
        out = self.endpoints("direction = 'out' AND protocol = 'tcp' AND remote_port = %s",
                             server.port)
        incoming = self.endpoints("direction = 'in' AND protocol = 'tcp' AND local_port = %s",
                                  server.port)
        self.assertEqual((n, n), (len(out), len(incoming)), brief(self.gaps()))
        self.assert_same(capture.tuples, (
            (row["local_address"], row["local_port"], row["remote_address"], row["remote_port"])
            for row in out))
        self.assert_same(capture.tuples, (
            (row["remote_address"], row["remote_port"], row["local_address"], row["local_port"])
            for row in incoming))
        self.assert_same(report["ports"], (row["local_port"] for row in out))
        common = {"status": "established", "end_cause": "closed", "pid_source": "exact",
                  "remote_address": host, "local_address": host, **expected}
        self.assert_all(out, pid=report["pid"], application="vestige-client", uid=1000,
                        login_uid=1000, bytes_sent=REQUEST, bytes_received=ANSWER,
                        process_id=self.rows_of(report["pid"])[-1]["id"], **common)
        self.assert_all(incoming, pid=server.pid, application="actor", uid=0, login_uid=None,
                        bytes_sent=ANSWER, bytes_received=REQUEST,
                        process_id=self.rows_of(server.pid)[-1]["id"], **common)
        self.assertEqual(n, len({row["cookie"] for row in out}))


class TestTcp(Connections):
    def test_storm(self):
        self.check_exchange(N, "127.0.0.1", *self.exchange(N, "127.0.0.1"))

    def test_storm_ipv6(self):
        self.check_exchange(N, "::1", *self.exchange(N, "::1"))

    def test_accept_without_address(self):
        self.check_exchange(97, "127.0.0.1", *self.exchange(97, "127.0.0.1", options=("nobuffer",)))

    def test_other_network_namespace(self):
        with network_namespace("vestige-test") as prefix:
            inode = os.stat("/run/netns/vestige-test").st_ino
            self.assertNotEqual(inode, os.stat("/proc/self/ns/net").st_ino)
            parts = self.exchange(97, "127.0.0.1", prefix=prefix)
            self.check_exchange(97, "127.0.0.1", *parts, netns=inode)

    def test_listener(self):
        """A listener is a row from listen to close."""
        with Server("tcp-server", "127.0.0.1", 1) as server:
            self.vestige.sync()
            row = self.only(self.endpoints("direction = 'listen' AND local_port = %s", server.port),
                            "the listener")
            self.assert_row(row, status="listening", local_address="127.0.0.1", pid=server.pid,
                            pid_source="exact", remote_address=None, destroyed_at=None)
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "x", 0))
        self.vestige.sync()
        row = self.only(self.endpoints("direction = 'listen' AND local_port = %s", server.port),
                        "the listener")
        self.assert_ended(row, end_cause="closed")

    def test_refused(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]  # bound and not listened on: refused
            report = finished(client("tcp-attempt", "127.0.0.1", port, 97, 1000))
        self.assertEqual(97, report["refused"])
        self.vestige.sync()
        rows = self.endpoints("remote_port = %s AND direction = 'out'", port)
        self.assertEqual(97, len(rows))
        self.assert_all(rows, status="refused", pid=report["pid"], pid_source="exact",
                        bytes_sent=0, bytes_received=0, end_cause="closed")

    def test_black_hole(self):
        with black_hole() as address:
            report = finished(client("tcp-attempt", address, 9, 23, 20))
            self.vestige.sync()
        rows = self.endpoints("remote_address = %s", address)
        self.assertEqual(23, len(rows))
        self.assert_all(rows, status="failed", pid=report["pid"], remote_port=9,
                        local_address="198.18.0.1", pid_source="exact")

    def test_pending(self):
        """A connection that waits for its answer is there, with its process, before it is known what
        becomes of it."""
        with black_hole() as address:
            with client("tcp-attempt", address, 9, 1, 60000) as process:
                def waits():
                    self.vestige.sync()
                    return self.endpoints("remote_address = %s", address)
                row = self.only(wait_for(waits, 45, "the row is there", 0.1), "the attempt")
                self.assert_row(row, status=None, pid=process.pid, destroyed_at=None)
                process.kill()
            self.vestige.sync()
            row = self.only(self.endpoints("remote_address = %s", address), "the attempt")
            self.assert_ended(row, status="failed")

    def test_large_numbers(self):
        """Ports up to 65535 and pids up to 4194303 are stored as they are."""
        with open("/proc/sys/kernel/pid_max") as stream:
            most = stream.read()
        self.addCleanup(write, "/proc/sys/kernel/pid_max", most)
        with Server("tcp-server", "127.0.0.1", 1, port=65535) as server:
            write("/proc/sys/kernel/pid_max", "4194304")
            report = finished(client("tcp-client", "127.0.0.1", 65535, 1, "high", 0,
                                     prefix=actor_command("with-pid", 4194303)))
        self.assertEqual(4194303, report["pid"])
        self.vestige.sync()
        row = self.only(self.endpoints("direction = 'out' AND remote_port = 65535"), "port 65535")
        self.assert_ended(row, pid=report["pid"], application="high")
        self.assertEqual(65535, server.port)


class TestUdp(Connections):
    def exchange_datagrams(self, n, how):
        with Server("udp-server", "127.0.0.1", n) as server:
            report = finished(client("udp-client", "127.0.0.1", server.port, n, "vestige-client",
                                     1000, how))
        self.vestige.sync()
        out = self.endpoints("direction = 'out' AND protocol = 'udp' AND remote_port = %s",
                             server.port)
        self.assertEqual(n, len(out))
        self.assert_all(out, pid=report["pid"], pid_source="exact", login_uid=1000, uid=1000,
                        application="vestige-client", bytes_sent=None, bytes_received=None,
                        status="established" if how == "connected" else "requested",
                        remote_address="127.0.0.1")
        incoming = self.endpoints("direction = 'in' AND protocol = 'udp' AND local_port = %s",
                                  server.port)
        # One socket serves all: a port that was used twice is one peer of it.
        self.assert_same(set(report["ports"]), (row["remote_port"] for row in incoming))
        self.assert_all(incoming, pid=server.pid, pid_source="exact", login_uid=None,
                        status="established")

    def test_connected(self):
        self.exchange_datagrams(1000, "connected")

    def test_unconnected(self):
        self.exchange_datagrams(1000, "unconnected")


class TestConcurrent(Connections):
    """Two users and three programs at once to one port."""

    PROGRAMS = (("alpha", 1000), ("beta", 1000), ("gamma", 1001))

    def run_all(self, n):
        with Server("tcp-server", "127.0.0.1", n * len(self.PROGRAMS)) as server:
            clients = [client("tcp-client", "127.0.0.1", server.port, n, name, uid)
                       for name, uid in self.PROGRAMS]
            reports = [finished(process) for process in clients]
        self.vestige.sync()
        out = self.endpoints("direction = 'out' AND remote_port = %s", server.port)
        incoming = self.endpoints("direction = 'in' AND local_port = %s", server.port)
        return server, reports, out, incoming

    def truth(self, reports):
        """Who had which port; two may have had the same, one after the other."""
        return [(port, (report["pid"], name, uid))
                for report, (name, uid) in zip(reports, self.PROGRAMS) for port in report["ports"]]

    def test_exact_mode(self):
        server, reports, out, incoming = self.run_all(1000)
        truth = self.truth(reports)
        self.assertEqual(3000, len(truth))
        self.assert_same(truth, ((row["local_port"], (row["pid"], row["application"], row["login_uid"]))
                                 for row in out))
        self.assertEqual({"exact"}, {row["pid_source"] for row in out + incoming})
        self.assert_same((port for port, _ in truth), (row["remote_port"] for row in incoming))
        self.assertEqual({server.pid}, {row["pid"] for row in incoming})


class OwnInstance(Connections):
    """Each test has an instance of its own, with another configuration or another life."""

    @classmethod
    def setUpClass(cls):
        put_away_leftovers()
        cls.machine = audit_state()

    def setUp(self):
        super().setUp()
        self.vestige = Standalone()
        self.addCleanup(assert_audit_state, self.machine)
        self.addCleanup(self.vestige.remove)
        self.addCleanup(self.vestige.stop)

    def start(self, **sections):
        self.vestige.start()
        if sections:
            self.vestige.stop()
            self.vestige.configure(**sections)
            self.vestige.start()
        self.vestige.sync()
        self.since = now_us()

    def endpoint(self, condition, *parameters):
        return self.only(self.vestige.query(f"SELECT * FROM endpoint WHERE {condition}",
                                            *parameters), condition)


class TestNetlinkMode(OwnInstance):
    """Without BPF: what is exact is right, and the rest says that it is inferred."""

    run_all, truth, PROGRAMS = (TestConcurrent.run_all, TestConcurrent.truth,
                                TestConcurrent.PROGRAMS)

    def test_concurrent(self):
        self.start(bpf={"mode": "off"})
        server, reports, out, incoming = self.run_all(1000)
        truth = self.truth(reports)
        self.assert_same((port for port, _ in truth), (row["local_port"] for row in out))
        self.assert_same((port for port, _ in truth), (row["remote_port"] for row in incoming))
        for row in out:
            if row["pid_source"] == "exact":
                self.assertIn((row["local_port"], (row["pid"], row["application"], row["login_uid"])), truth,
                              brief([row]))
            self.assertEqual(bool(row["pid"]), bool(row["process_id"]), brief([row]))
        named = [row for row in out if row["pid"]]
        self.assertGreater(len(named), 2900, "outgoing rows with a process")
        pids = {report["pid"] for report in reports}
        self.assertLessEqual({row["pid"] for row in named}, pids)
        # The peer of an accept, with its port, is one connection only.
        self.assert_all(incoming, pid=server.pid, pid_source="exact", bytes_sent=ANSWER)
        self.assert_all(out, bytes_sent=REQUEST)
        self.assert_received(incoming, REQUEST)
        self.assert_received(out, ANSWER)

    def assert_received(self, rows, payload):
        """Whether the peer's end is among the bytes is not said when it came late (tcp_bytes.h)."""
        received = Counter(row["bytes_received"] for row in rows)
        self.assertLessEqual(set(received), {payload, payload - 1})
        self.assertGreater(received[payload], 2900)

    def test_refused(self):
        """The kernel tells of the failure only to who asked: an attempt that did not wait may have
        been refused, or have failed otherwise."""
        self.start(bpf={"mode": "off"})
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            for _ in range(23):
                with socket.socket() as attempt, self.assertRaises(ConnectionRefusedError):
                    attempt.connect(("127.0.0.1", port))
            report = finished(client("tcp-attempt", "127.0.0.1", port, 23, 1000))
        self.vestige.sync()
        waited = self.endpoints("remote_port = %s AND pid = %s", port, os.getpid())
        self.assertEqual(23, len(waited))
        self.assert_all(waited, status="refused", pid_source="exact", direction="out")
        others = self.endpoints("remote_port = %s AND pid = %s", port, report["pid"])
        self.assertEqual(23, len(others))
        self.assert_all(others, status="failed", pid_source="inferred", direction="out")


class TestLives(OwnInstance):
    """What is older than the agent, and lives on over its restart, is one row."""

    def test_older_than_the_agent(self):
        with Server("tcp-server", "127.0.0.1", 2) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as kept:
                wait_for(lambda: connections_of(server.pid, server.port), 60, "it is accepted")
                self.start()
                listener = self.endpoint("direction = 'listen' AND local_port = %s", server.port)
                self.assert_row(listener, pid=server.pid, pid_source="exact", destroyed_at=None,
                                status="listening", application="actor")
                outgoing = self.endpoint("direction = 'out' AND remote_port = %s", server.port)
                self.assert_row(outgoing, pid=os.getpid(), local_port=kept.getsockname()[1],
                                status="established", destroyed_at=None)
                incoming = self.endpoint("direction = 'in' AND local_port = %s", server.port)
                self.assert_row(incoming, pid=server.pid, destroyed_at=None,
                                remote_port=kept.getsockname()[1])
                for restart in (self.restart, self.vestige.kill_agent):
                    restart()
                    self.vestige.sync()
                    for row in (listener, outgoing, incoming):
                        self.assert_row(self.endpoint("id = %s", row["id"]), destroyed_at=None)
                kept.sendall(bytes(REQUEST))
                while kept.recv(65536):
                    pass
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "x", 0))
        self.vestige.sync()
        for row in (listener, outgoing, incoming):
            self.assert_ended(self.endpoint("id = %s", row["id"]), end_cause="closed")
        self.assertEqual(5, self.vestige.value(
            "SELECT COUNT(*) FROM endpoint WHERE %s IN (local_port, remote_port)", server.port))

    def restart(self):
        self.vestige.stop()
        self.vestige.start()

    def test_gone_while_nobody_listened(self):
        self.start()
        with Server("tcp-server", "127.0.0.1", 1) as server:
            self.vestige.sync()
            self.vestige.stop()
            finished(client("tcp-client", "127.0.0.1", server.port, 1, "x", 0))
        self.vestige.start()

        def is_ended():
            self.vestige.sync()
            return self.endpoint("direction = 'listen' AND local_port = %s",
                                 server.port)["destroyed_at"]
        wait_for(is_ended, 60, "the listener's row ends", 0.2)
        self.assert_ended(self.endpoint("direction = 'listen' AND local_port = %s", server.port),
                          end_cause="reconciled")


class TestNames(OwnInstance):
    """Names of peers, as rows and as `remote_name`."""

    def connect_to(self, host):
        with Server("tcp-server", host, 1) as server:
            finished(client("tcp-client", host, server.port, 1, "x", 0))
        return server.port

    def named(self, port, name):
        """The row has the name, soon after the connection."""
        def has_name():
            rows = self.vestige.query("SELECT remote_name FROM endpoint WHERE direction = 'out' "
                                      "AND remote_port = %s", port)
            return rows and rows[0]["remote_name"] == name
        wait_for(has_name, 60, f"{name} is there", 0.1)

    def test_by_a_name_server(self):
        with DnsServer() as dns:
            dns.answers["127.0.77.1"] = name("one.example")
            dns.answers["127.0.77.2"] = name([b"a\x01b\xff", b"example"])
            self.start(names={"servers": dns.address})
            began = time.monotonic()
            self.named(self.connect_to("127.0.77.1"), "one.example")
            self.named(self.connect_to("127.0.77.2"), "a\x01b\\xff.example")
            self.assertLess(time.monotonic() - began, 20)  # alone it is 3
            self.named(self.connect_to("127.0.77.1"), "one.example")
            self.assertEqual(1, dns.queries["127.0.77.1"])
        row = self.only(self.vestige.query("SELECT * FROM address_name WHERE address = %s",
                                           "127.0.77.1"), "127.0.77.1")
        self.assert_row(row, name="one.example", source="dns", destroyed_at=None)

    def test_dead_name_server(self):
        """It costs names, and nothing else: no row waits for it for more than 250 ms."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            self.start(names={"servers": f"127.0.0.1:{silent.getsockname()[1]}"})
            ports = [self.connect_to(f"127.0.78.{i}") for i in range(1, 24)]
            began = time.monotonic()
            self.vestige.sync()
            self.assertLess(time.monotonic() - began, 10)
        rows = self.endpoints("direction = 'out' AND remote_address LIKE '127.0.78.%%'")
        self.assert_same(ports, (row["remote_port"] for row in rows))
        self.assert_all(rows, status="established", remote_name=None, bytes_sent=REQUEST)


class TestOtherSockets(OwnInstance):
    """Raw and packet sockets, and UNIX sockets that are listened on."""

    def test_found_by_a_dump(self):
        path = os.path.join(self.vestige.directory, "a socket")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300), \
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), \
                socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
            named.bind(path)
            named.listen()
            abstract.bind(b"\0vestige-test\xff")
            abstract.listen()
            self.start(sock_diag={"interval_s": 1})
            packet = self.endpoint("protocol = 'packet' AND pid = %s", os.getpid())
            raw = self.endpoint("protocol = 'raw' AND destroyed_at IS NULL AND pid = %s", os.getpid())
            self.assert_row(packet, direction="local", destroyed_at=None, uid=0)
            self.assert_row(raw, direction="local", destroyed_at=None, local_port=1)
            self.assert_row(self.endpoint("protocol = 'unix' AND local_name = %s", path),
                            direction="listen", status="listening", pid=os.getpid())
            self.assert_row(self.endpoint("protocol = 'unix' AND local_name = %s",
                                          "@vestige-test\\xff"), pid=os.getpid())

        def are_ended():
            self.vestige.sync()
            return self.vestige.value("SELECT COUNT(*) FROM endpoint WHERE id IN (%s, %s) AND "
                                      "destroyed_at IS NOT NULL", packet["id"], raw["id"]) == 2
        wait_for(are_ended, 60, "their rows end", 0.2)


def connections_of(pid, port):
    """Established connections of a process to this port, as ss sees them."""
    lines = run("ss", "-tnpH", "state", "established", f"( sport = :{port} )").stdout
    return [line for line in lines.splitlines() if f"pid={pid}," in line]


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


if __name__ == "__main__":
    main()
