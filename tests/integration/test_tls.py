#!/usr/bin/python3
"""TLS both ways: whoever is not the server gets nothing from an agent, whoever is not the host gets nothing
from the server. Each fault is refused with its reason in the agent's status, the journal grows meanwhile,
and when the fault is mended all rows are there, once.

The agent is the real shipper with a journal of its own (ship_tool), the identities are those that
`vestige client enroll` gives."""

import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from ship_fixture import Tool
from ship_peers import Peer, greeting, packet
from tls_server import ADDRESS, Middle, TlsServer, foreign_authority, make_ca
from vestige_test import VESTIGE, run

QUICK = ("--retry-first", 20, "--retry-most", 50)
FAULTY = 300


class Host(Tool):
    """An enrolled host whose agent is ship_tool."""

    def __init__(self, server, name):
        super().__init__(server)
        self.name = name
        self.identity = server.enrol(name)
        self.host_id = server.root("vestige").value("SELECT host_id FROM enrolment WHERE name = %s", name)
        shutil.copy(os.path.join(self.identity, "agent.cnf"), self.defaults)

    def write_defaults(self, **options):
        pass  # it is copied, and edited below

    def edit(self, **options):
        """The option file of the enrolment, with lines changed; None takes one away."""
        with open(os.path.join(self.identity, "agent.cnf")) as file:
            lines = file.read().splitlines()
        for name, value in options.items():
            name = name.replace("_", "-")
            lines = [line for line in lines if not line.startswith(name + " ")]
            if value is not None:
                lines.append(f"{name} = {value}")
        self.defaults.write_text("\n".join(lines) + "\n")

    def ship(self, n, first, *options, seconds=120):
        return self.run("--host", self.host_id, "--fill", n, "--first-id", 1795000000000000 + first * 10**9,
                        *options, seconds=seconds)


def setUpModule():
    TlsTest.server = TlsServer()
    unittest.addModuleCleanup(TlsTest.server.close)
    TlsTest.elsewhere = tempfile.mkdtemp(prefix="vestige-tls-")
    unittest.addModuleCleanup(shutil.rmtree, TlsTest.elsewhere)
    TlsTest.foreign = foreign_authority(os.path.join(TlsTest.elsewhere, "ca"))


class TlsTest(unittest.TestCase):
    server = elsewhere = foreign = None  # one for all
    number = 0

    def setUp(self):
        TlsTest.number += 1
        self.host = Host(self.server, f"host{self.number}")
        self.addCleanup(self.host.remove)
        self.generated = 0
        self.round = 0

    def root(self):
        session = self.server.root("vestige")
        self.addCleanup(session.close)
        return session

    def stored(self):
        return self.root().value("SELECT COUNT(*) FROM process WHERE host_id = %s", self.host.host_id)

    def assert_refused(self, *words, n=FAULTY):
        """Nothing is shipped, the reason is told, the journal has grown."""
        before, files = self.stored(), len(self.host.batches())
        self.generated += n
        self.round += 1
        result = self.host.ship(n, self.round, "--failures", 2, *QUICK)
        self.assertEqual(result.status, 1, result.text)
        for word in words:
            self.assertIn(word, result.error)
        self.assertEqual(result.connected, 0, result.text)
        self.assertGreater(len(self.host.batches()), files)
        self.assertEqual(self.stored(), before)
        return result

    def assert_mended(self, n=FAULTY):
        """Everything that was generated is there, once."""
        self.generated += n
        self.round += 1
        result = self.host.ship(n, self.round)
        self.assertEqual(result.status, 0, result.text)
        self.assertEqual(self.host.batches(), [])
        self.assertEqual(self.root().run(
            "SELECT COUNT(*), COUNT(DISTINCT id) FROM process WHERE host_id = %s", self.host.host_id),
            ((self.generated, self.generated),))
        self.assertEqual(self.root().value("SELECT COUNT(*) FROM rejected WHERE host_id = %s",
                                           self.host.host_id), 0)


class Identity(TlsTest):
    """Who the host is, as the server sees it."""

    def files(self, *names):
        return [os.path.join(self.host.identity, name) for name in names]

    def test_verified_both_ways(self):
        self.assert_mended(5000)
        subject = self.root().value("SELECT certificate_subject FROM enrolment WHERE host_id = %s",
                                    self.host.host_id)
        self.assertRegex(subject, rf"^/O=Vestige/CN=agent_{self.host.host_id}/serialNumber=[0-9A-F]{{32}}$")
        text = run("openssl", "x509", "-noout", "-text", "-in", *self.files("agent.pem")).stdout
        self.assertIn("TLS Web Client Authentication", text)
        self.assertNotIn("TLS Web Server Authentication", text)

    def test_no_certificate(self):
        self.host.edit(ssl_cert=None, ssl_key=None)
        self.assert_refused("Access denied", "1045")
        self.host.edit()
        self.assert_mended()

    def test_certificate_of_another_host(self):
        other = self.server.enrol(f"other{self.number}")
        self.host.edit(ssl_cert=f"{other}/agent.pem", ssl_key=f"{other}/agent.key")
        self.assert_refused("Access denied", "1045")
        self.host.edit()
        self.assert_mended()

    def test_certificate_of_the_server(self):
        self.host.edit(ssl_cert=self.server.path(ADDRESS + ".pem"), ssl_key=self.server.path(ADDRESS + ".key"))
        self.assert_refused("cannot connect", "refuses this host's certificate")
        self.host.edit()
        self.assert_mended()

    def test_expired_certificate(self):
        serial = self.root().value("SELECT certificate_serial FROM enrolment WHERE host_id = %s", self.host.host_id)
        path = self.server.sign(f"expired{self.number}",
                                f"/O=Vestige/CN=agent_{self.host.host_id}/serialNumber={serial}",
                                "clientAuth", days="-1")
        self.host.edit(ssl_cert=path + ".pem", ssl_key=path + ".key")
        self.assert_refused("cannot connect", "has expired")
        self.host.edit()
        self.assert_mended()

    def test_certificate_of_another_authority(self):
        serial = self.root().value("SELECT certificate_serial FROM enrolment WHERE host_id = %s", self.host.host_id)
        path = self.server.sign(f"foreign{self.number}",
                                f"/O=Vestige/CN=agent_{self.host.host_id}/serialNumber={serial}",
                                "clientAuth", authority=self.foreign)
        self.host.edit(ssl_cert=path + ".pem", ssl_key=path + ".key")
        self.assert_refused("cannot connect", "refuses this host's certificate")
        self.host.edit()
        self.assert_mended()

    def test_old_certificate_after_rotation(self):
        old = os.path.join(self.server.directory, f"old{self.number}")
        shutil.copytree(self.host.identity, old)
        self.server.client("rotate", self.host.name, "--directory", self.host.identity,
                           "--host-directory", self.host.identity)
        self.host.edit(ssl_cert=f"{old}/agent.pem", ssl_key=f"{old}/agent.key")
        # The account demands the new one, and the list has the old one.
        self.assert_refused("cannot connect", "refuses this host's certificate")
        self.host.edit()
        self.assert_mended()

    def test_revoked_certificate(self):
        """On the list alone, with the account still open."""
        self.assert_mended()
        said = self.server.client("revoke", self.host.name).stdout
        self.assertNotIn("copy it there", said)
        root = self.root()
        account = root.value("SELECT account FROM enrolment WHERE host_id = %s", self.host.host_id)
        name, _, host = account.partition("@")
        root.run(f"ALTER USER `{name}`@`{host}` ACCOUNT UNLOCK")
        root.run(f"GRANT vestige_agent TO `{name}`@`{host}`")
        self.assert_refused("cannot connect", "refuses this host's certificate")
        self.server.client("reinstate", self.host.name, "--directory", self.host.identity,
                           "--host-directory", self.host.identity)
        self.host.edit()
        self.assert_mended()

    def test_files_that_are_missing(self):
        for name, option in (("nowhere.pem", "ssl_cert"), ("nowhere.pem", "ssl_ca")):
            self.host.edit(**{option: os.path.join(self.host.identity, name)})
            self.assert_refused("cannot connect", "2026")
        self.host.edit()
        self.assert_mended()


class Server(TlsTest):
    """Who the server is, as the agent sees it."""

    def away(self, name):
        self.server.restart(name)
        self.addCleanup(self.server.restart, ADDRESS)

    def mend(self):
        self.server.restart(ADDRESS)
        self.host.edit()
        self.assert_mended()

    def test_certificate_of_another_authority(self):
        for name in ("pem", "key"):
            shutil.copy(os.path.join(self.foreign, f"{ADDRESS}.{name}"), self.server.path(f"foreign.{name}"))
        self.away("foreign")
        self.assert_refused("2026")
        self.host.edit(ssl_verify_server_cert=0)
        self.assert_refused("2026")
        self.mend()

    def test_certificate_of_an_agent(self):
        """With the right address in it, which no program of ours writes: its usage is another."""
        self.server.sign("as-server", "/O=Vestige/CN=agent_77", "clientAuth")
        self.away("as-server")
        self.assert_refused("2026", "purpose")
        self.mend()

    def test_expired_certificate(self):
        self.server.sign("expired", "/CN=" + ADDRESS, "serverAuth", days="-1")
        self.away("expired")
        self.assert_refused("2026", "expired")
        self.mend()

    def test_certificate_of_another_server(self):
        self.server.sign("elsewhere", "/CN=elsewhere", "serverAuth", address="198.18.0.1")
        self.away("elsewhere")
        self.assert_refused("2026")
        self.mend()

    def test_revoked_certificate(self):
        make_ca(self.server.ca, f"second{self.number}", ADDRESS)
        second = f"second{self.number}"
        make_ca(self.server.ca, "--revoke-server", self.server.path(second + ".pem"))
        self.host.edit(ssl_crl=self.server.path("ca.crl"))
        self.away(second)
        self.assert_refused("2026", "revoked")
        self.server.restart(ADDRESS)
        self.assert_mended()  # with the list that it reads

    def test_no_tls(self):
        self.away(None)
        for options in ({}, {"ssl_verify_server_cert": 0}, {"ssl": 0}, {"ssl_ca": None}):
            self.host.edit(**options)
            self.assert_refused("does not support it")
        self.mend()


class Middlemen(TlsTest):
    def test_proxy_that_ends_tls(self):
        foreign = os.path.join(self.foreign, ADDRESS)
        agent = os.path.join(self.server.enrol(f"thief{self.number}"), "agent")
        for certificate, word in ((foreign, "2026"), (agent, "purpose")):
            middle = Middle(self.server.port, certificate)
            self.addCleanup(middle.close)
            self.host.edit(port=middle.address[1])
            self.assert_refused(word)
            self.assertTrue(middle.tried.wait(60))
            self.assertEqual(middle.seen, b"")
        self.host.edit()
        self.assert_mended()

    def test_server_that_asks_for_a_file(self):
        secret = os.path.join(self.elsewhere, "secret")
        with open(secret, "w") as file:
            file.write("top-secret-evidence")
        asking = Asking(secret, self.server.path(ADDRESS))
        self.addCleanup(asking.close)
        self.host.edit(port=asking.address[1], local_infile=1)
        self.assert_refused()
        self.assertTrue(asking.asked.wait(60))
        self.assertNotIn(b"top-secret", asking.received)
        self.host.edit()
        self.assert_mended()


class Asking(Peer):
    """The true certificate, and in the place of an answer the wish for a file: a server that was taken over."""

    def __init__(self, wanted, certificate):
        self.wanted, self.received = wanted, b""
        self.asked = threading.Event()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate + ".pem", certificate + ".key")
        super().__init__(socket.create_server((ADDRESS, 0)))

    def serve(self, client):
        client.settimeout(60)
        client.sendall(greeting(0x81FFFFFF))  # as MariaDB has them, TLS too
        Middle.read_packet(client)
        with self.context.wrap_socket(client, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(packet(3, b"\0\0\0\2\0\0\0"))
            secure.recv(65536)
            secure.sendall(packet(1, b"\xfb" + self.wanted.encode()))
            self.asked.set()
            secure.settimeout(3)  # who got nothing hangs up
            while data := secure.recv(65536):
                self.received += data


class Cleartext(TlsTest):
    """Only where it is written down, and then it is told."""

    def test_agent(self):
        directory = os.path.join(self.elsewhere, "clear")
        self.server.client("enroll", "clear", "--directory", directory, "--allow-cleartext", authority=False)
        self.server.restart(None)
        self.addCleanup(self.server.restart, ADDRESS)
        shutil.copy(os.path.join(directory, "agent.cnf"), self.host.defaults)
        self.host.host_id = self.root().value("SELECT host_id FROM enrolment WHERE name = 'clear'")
        result = self.host.ship(100, 1)
        self.assertEqual(result.status, 0, result.text)
        self.assertEqual(result.is_clear, 1)
        self.assertIn("EVIDENCE IS SENT IN CLEAR", result.text)
        text = self.host.defaults.read_text()
        self.host.defaults.write_text(text + f"ssl-ca = {self.server.path('ca.pem')}\n")
        result = self.host.ship(100, 2, "--failures", 2, *QUICK)
        self.assertIn("both ssl-ca and allow-cleartext", result.error)

    def test_command(self):
        root = self.root()
        root.run("CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'reader'")
        root.run("GRANT vestige_reader TO reader@'%'")
        root.run("SET DEFAULT ROLE vestige_reader FOR reader@'%'")
        self.server.restart(None)
        self.addCleanup(self.server.restart, ADDRESS)
        path = os.path.join(self.elsewhere, "reader.cnf")

        def ask(extra, *words):
            with open(path, "w") as file:
                file.write(f"[vestige]\nuser=reader\npassword=reader\nport={self.server.port}\n{extra}")
            return run(VESTIGE, "client", "list", "--format", "csv", f"--defaults-file={path}", *words, check=False)
        for extra, words in (("", ["--host", ADDRESS]), (f"host={ADDRESS}\n", []),
                             (f"host={ADDRESS}\nssl-verify-server-cert=0\n", []),
                             (f"host={ADDRESS}\nallow-cleartext=0\n", [])):
            done = ask(extra, *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn("does not support it", done.stderr)
        done = ask("allow-cleartext\n", "--host", ADDRESS)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("NOT ENCRYPTED", done.stderr)
        done = ask(f"host={ADDRESS}\nallow-cleartext=1\nssl-ca={self.server.path('ca.pem')}\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("both ssl-ca and allow-cleartext", done.stderr)

    def test_command_by_tls(self):
        root = self.root()
        root.run("CREATE USER secure@'%' IDENTIFIED BY 'secure' REQUIRE SSL")
        root.run("GRANT vestige_reader TO secure@'%'")
        root.run("SET DEFAULT ROLE vestige_reader FOR secure@'%'")
        path = os.path.join(self.elsewhere, "secure.cnf")
        for authority, status in ((self.server.ca, 0), (self.foreign, 2)):
            with open(path, "w") as file:
                file.write(f"[vestige]\nuser=secure\npassword=secure\nport={self.server.port}\n"
                           f"ssl-ca={authority}/ca.pem\n")
            done = run(VESTIGE, "client", "list", "--format", "csv", f"--defaults-file={path}", "--host", ADDRESS,
                       check=False)
            self.assertEqual(done.returncode, status, done.stderr)

    def test_account_of_a_reader(self):
        """Made over TCP: the account demands TLS, and its file verifies the server, for any client."""
        root = self.root()
        root.run("CREATE USER chief@'%' IDENTIFIED BY 'chief' REQUIRE SSL")
        root.run("GRANT ALL ON *.* TO chief@'%' WITH GRANT OPTION")
        root.run("GRANT vestige_reader TO chief@'%' WITH ADMIN OPTION")
        chief = os.path.join(self.elsewhere, "chief.cnf")
        with open(chief, "w") as file:
            file.write(f"[vestige]\nhost={ADDRESS}\nport={self.server.port}\nuser=chief\npassword=chief\n"
                       f"ssl-ca={self.server.path('ca.pem')}\n")
        done = run(VESTIGE, "server", "reader", "rita", f"--defaults-file={chief}", "--directory", self.elsewhere)
        self.assertIn("ca.pem", done.stdout)
        self.assertIn("REQUIRE SSL", root.value("SHOW CREATE USER rita@'%'"))
        path = os.path.join(self.elsewhere, "rita.cnf")
        with open(path) as file:
            text = file.read()
        with open(os.path.join(self.elsewhere, "ca.pem")) as mine, open(self.server.path("ca.pem")) as file:
            self.assertEqual(mine.read(), file.read())
        self.assertEqual(text.count('ssl-ca = "/etc/vestige/ca.pem"'), 2)
        self.assertEqual(text.count("ssl-verify-server-cert\n"), 1)
        for authority, status in ((self.server.ca, 0), (self.foreign, 2)):
            with open(path, "w") as file:
                file.write(text.replace("/etc/vestige/ca.pem", f"{authority}/ca.pem"))
            self.assertEqual(run(VESTIGE, "client", "list", "--format", "csv", f"--defaults-file={path}",
                                 check=False).returncode, status)
            done = run("mariadb", f"--defaults-file={path}", "-e", "SELECT 1 FROM vestige.enrolment", check=False)
            self.assertEqual(done.returncode == 0, status == 0, done.stderr)


class Doctor(TlsTest):
    """What is wrong with a host's credential is told before it is too late."""

    def found(self):
        configuration = os.path.join(self.elsewhere, "vestiged.conf")
        with open(configuration, "w") as file:
            file.write(f"[agent]\ndefaults_file = {self.host.defaults}\nstate_directory = {self.elsewhere}/none\n")
        done = run(VESTIGE, "doctor", "--format", "json", "--config", configuration, check=False)
        return {row["what"]: (row["level"], row["found"]) for row in json.loads(done.stdout)["rows"]}

    def test_certificate(self):
        self.assertEqual(self.found()["certificate"][0], "ok")
        self.assertNotIn("connection to the server", self.found())
        for days, level, words in (("60", "ok", "good until"), ("29", "WRONG", "good until"), ("-1", "WRONG", "expired on")):
            path = self.server.sign(f"days{days}", "/CN=agent", "clientAuth", days=days)
            self.host.edit(ssl_cert=path + ".pem")
            self.assertEqual(self.found()["certificate"][0].lower(), level.lower())
            self.assertIn(words, self.found()["certificate"][1])
        self.host.edit(ssl_cert=self.server.path("ca.key"))
        self.assertIn("holds none", self.found()["certificate"][1])
        self.host.edit(ssl_cert="/nonexistent")
        self.assertIn("cannot read", self.found()["certificate"][1])

    def test_cleartext(self):
        self.host.edit(allow_cleartext=1)
        self.assertEqual(self.found()["connection to the server"][1], "allow-cleartext is set")


if __name__ == "__main__":
    unittest.main(verbosity=2)
