"""A server without an audit context, as one that is older than audit: without BPF, what it accepts
is not heard, but what it listens on is known."""

from network_test import Server, client, finished
from vestige_test import Standalone, VestigeTest, audit_status, brief, main, run

N = 23


class TestUnaudited(VestigeTest):
    @classmethod
    def setUpClass(cls):
        """An instance that begins after the server, and that is the first to switch audit on."""

    def start(self):
        self.vestige = Standalone()
        self.addCleanup(self.vestige.remove)
        self.vestige.start()
        self.addCleanup(self.vestige.stop)
        self.vestige.stop()
        self.vestige.configure(bpf={"mode": "off"})
        self.vestige.start()
        self.vestige.sync()

    def unheard_server(self):
        run("auditctl", "-a", "task,never")
        self.addCleanup(run, "auditctl", "-d", "task,never", check=False)
        server = self.enterContext(Server("tcp-server", "127.0.0.1", N))
        run("auditctl", "-d", "task,never")
        return server

    def endpoints(self, direction, port):
        return self.vestige.query(
            "SELECT * FROM endpoint WHERE direction = %s AND %s IN (local_port, remote_port)",
            direction, port)

    def assert_side(self, rows, port_column, ports, **expected):
        self.assertEqual(sorted(ports), sorted(row[port_column] for row in rows))
        for row in rows:
            self.assert_ended(row, **expected)

    def test_server_that_audit_does_not_hear(self):
        self.assertEqual(0, audit_status()["enabled"], "somebody uses audit")
        server = self.unheard_server()
        self.start()
        report = finished(client("tcp-client", "127.0.0.1", server.port, N, "x", 0))
        self.vestige.sync()
        serving, asking = self.row_of(server.pid), self.row_of(report["pid"])
        self.assertEqual((1, 0), (serving["unaudited"], asking["unaudited"]),
                         brief([serving, asking]))
        listener = self.only(self.endpoints("listen", server.port), "the listener")
        self.assert_row(listener, pid=server.pid, process_id=serving["id"], pid_source="exact")
        self.assert_side(self.endpoints("in", server.port), "remote_port", report["ports"],
                         pid=server.pid, process_id=serving["id"], pid_source="inferred")
        self.assert_side(self.endpoints("out", server.port), "local_port", report["ports"],
                         pid=report["pid"], process_id=asking["id"])


if __name__ == "__main__":
    main()
