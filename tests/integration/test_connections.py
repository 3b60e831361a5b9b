"""Connections on the real kernel: every one is a row, with its process, login user, bytes and both ends,
compared tuple by tuple with what tcpdump saw in the same run."""

import os
import socket
from collections import Counter

from network_test import (ANSWER, REQUEST, Capture, Server, black_hole, client, finished,
                          network_namespace)
from vestige_test import VestigeTest, brief, main, wait_for

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
                Capture(server.port, prefix) as capture:
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
                        process_id=self.row_of(report["pid"])["id"], **common)
        self.assert_all(incoming, pid=server.pid, application="actor", uid=0, login_uid=None,
                        bytes_sent=ANSWER, bytes_received=REQUEST,
                        process_id=self.row_of(server.pid)["id"], **common)
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
                row = self.only(wait_for(waits, 20, "the row is there", 0.1), "the attempt")
                self.assert_row(row, status=None, pid=process.pid, destroyed_at=None)
                process.kill()
            self.vestige.sync()
            row = self.only(self.endpoints("remote_address = %s", address), "the attempt")
            self.assert_ended(row, status="failed")

    def test_large_numbers(self):
        """Ports up to 65535 and pids up to 4194304 are stored as they are."""
        with open("/proc/sys/kernel/pid_max") as stream:
            most = stream.read()
        self.addCleanup(write, "/proc/sys/kernel/pid_max", most)
        with Server("tcp-server", "127.0.0.1", 1, port=65535) as server:
            write("/proc/sys/kernel/pid_max", "4194304")
            write("/proc/sys/kernel/ns_last_pid", "4194290")
            report = finished(client("tcp-client", "127.0.0.1", 65535, 1, "high", 0))
            write("/proc/sys/kernel/ns_last_pid", "1000")
        self.assertGreater(report["pid"], 4194290)
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
        self.assert_same(report["ports"], (row["remote_port"] for row in incoming))
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
        """Who had which port."""
        return {port: (report["pid"], name, uid)
                for report, (name, uid) in zip(reports, self.PROGRAMS) for port in report["ports"]}

    def test_exact_mode(self):
        server, reports, out, incoming = self.run_all(1000)
        truth = self.truth(reports)
        self.assertEqual(3000, len(truth))
        self.assert_same(truth.items(), ((row["local_port"], (row["pid"], row["application"],
                                                              row["login_uid"])) for row in out))
        self.assertEqual({"exact"}, {row["pid_source"] for row in out + incoming})
        self.assert_same(list(truth), (row["remote_port"] for row in incoming))
        self.assertEqual({server.pid}, {row["pid"] for row in incoming})


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


if __name__ == "__main__":
    main()
