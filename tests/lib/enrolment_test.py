"""Tests of enrolment: a server for all of them, and what one host could do with its credential."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

from private_server import Refused, Session
from tls_server import TlsServer
from vestige_test import VESTIGED, run

SHUT_OUT = (1045, 2006, 2013)  # by the password; or already by the certificate, seen in writing or reading


def start_server():
    Fleet.server = TlsServer()
    unittest.addModuleCleanup(Fleet.server.close)


class Fleet(unittest.TestCase):
    maxDiff = None
    server = None
    number = 0

    def setUp(self):
        Fleet.number += 1
        self.directory = tempfile.mkdtemp(prefix="vestige-enrolment-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.root = self.server.root("vestige")
        self.addCleanup(self.root.close)
        self.name = f"host{self.number}"

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def client(self, *words, check=True):
        """Over TCP, so with certificates."""
        return self.server.client(*words, check=check)

    def refused(self, *words, names, by_socket=False):
        done = self.server.vestige("client", *words, check=False) if by_socket else self.client(*words, check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for name in names:
            self.assertIn(name, done.stderr)

    def vestiged(self, *words, status=0, **options):
        done = run(VESTIGED, *words, check=False, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def enrolled(self, name=None):
        return dict(zip(
            ("host_id", "account", "serial", "subject", "used_from", "revoked", "retired"),
            self.root.run("SELECT host_id, account, certificate_serial, certificate_subject, bundle_used_from,"
                          " revoked_at, retired_at FROM enrolment WHERE name = %s", name or self.name)[0]))

    def login(self, directory, **options):
        """As the agent with these files would."""
        with open(os.path.join(directory, "agent.cnf")) as file:
            values = dict(re.findall(r'^([\w-]+) = "?([^"\n]*)"?$', file.read(), re.M))
        tls = {name: values[f"ssl-{name}"] for name in ("ca", "cert", "key") if f"ssl-{name}" in values}
        place = {"unix_socket": values["socket"]} if "socket" in values else {
            "host": values["host"], "port": int(values["port"])}
        return TcpSession(user=values["user"], password=values["password"], database=values["database"],
                          **({"ssl": tls} if tls else {}), **place, **options)

    def login_error(self, directory):
        try:
            self.login(directory).close()
        except Refused as refused:
            return refused.number
        return 0

    def keys(self, name=None):
        return self.root.run(
            "SELECT number, public_key, retired_at IS NOT NULL, revoked_at IS NOT NULL FROM host_key"
            " WHERE host_id = (SELECT host_id FROM enrolment WHERE name = %s) ORDER BY number", name or self.name)

    def assert_private(self, directory, *names):
        self.assertEqual(sorted(os.listdir(directory)), sorted(names))
        for name in names:
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode), 0o600, name)

    def log(self, name=None):
        return [row[0] for row in self.root.run("SELECT action FROM enrolment_log WHERE name = %s ORDER BY id",
                                                name or self.name)]


class TcpSession(Session):
    def __init__(self, **options):
        import pymysql
        try:
            self.connection = pymysql.connect(autocommit=True, charset="utf8mb4", **options)
        except (pymysql.MySQLError, OSError) as error:
            raise Refused(error) from None


FILES = ("agent.cnf", "agent.key", "agent.pem", "ca.pem", "signing.key", "vestiged.conf")


def public_key(path):
    """The 32 bytes at the end of what openssl writes."""
    return subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
                          capture_output=True, stdin=subprocess.DEVNULL).stdout[-32:]
