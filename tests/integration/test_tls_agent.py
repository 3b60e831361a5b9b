#!/usr/bin/python3
"""A host that was enrolled with a token, and its real agent, over TLS: what it records arrives signed; a server
that shows another certificate, and a host that was revoked, are told by its status, and nothing is lost."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from agent_alone import Agent
from tls_server import ADDRESS, TlsServer, foreign_authority
from vestige_test import AGENT_USER, VESTIGE, VESTIGED, assert_audit_state, audit_state, run, wait_for

NAME = "watched"


class TlsAgent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.server = TlsServer()
        cls.addClassCleanup(cls.server.close)
        cls.agent = Agent()
        cls.addClassCleanup(cls.agent.remove)
        cls.files = cls.agent.path("etc")
        cls.enrol()
        cls.elsewhere = tempfile.mkdtemp(prefix="vestige-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.elsewhere)
        foreign = foreign_authority(os.path.join(cls.elsewhere, "ca"))
        for name in ("pem", "key"):
            shutil.copy(os.path.join(foreign, f"{ADDRESS}.{name}"), cls.server.path(f"foreign.{name}"))
        cls.n_markers = 0
        cls.agent.sections["agent"].update(
            host_id=cls.server.root("vestige").value("SELECT host_id FROM enrolment"),
            defaults_file=os.path.join(cls.files, "agent.cnf"),
            signing_key=os.path.join(cls.files, "signing.key"))
        cls.agent.start()

    @classmethod
    def enrol(cls):
        token = cls.agent.path("token")
        cls.server.client("enroll", NAME, "--token", token)
        waiting = subprocess.Popen([VESTIGED, "--enroll", token, "--directory", cls.files, "--wait", "120"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        with waiting:
            fingerprint = waiting.stdout.readline().split()[-1]
            cls.server.client("approve", NAME, "--fingerprint", fingerprint)
            waiting.stdout.read()
        assert waiting.returncode == 0
        cls.give_to_agent()

    @classmethod
    def give_to_agent(cls):
        """As the enrolment itself does where there is a user vestige."""
        for path in (cls.files, *(os.path.join(cls.files, name) for name in os.listdir(cls.files))):
            shutil.chown(path, AGENT_USER)

    def root(self):
        session = self.server.root("vestige")
        self.addCleanup(session.close)
        return session

    def mark(self, n=20):
        """Run programs that can be told apart, and what they are called."""
        for _ in range(n):
            type(self).n_markers += 1
            run("/bin/true", f"marker-{self.n_markers}-{os.getpid()}")

    def assert_all_there(self):
        run(VESTIGE, "sync", "--config", self.agent.path("vestiged.conf"))
        self.assertEqual(self.root().run(
            "SELECT COUNT(*), COUNT(DISTINCT arguments) FROM process WHERE arguments LIKE %s"
            " AND exe = '/usr/bin/true' AND end_cause = 'exit'", f"marker-%-{os.getpid()}"),
            ((self.n_markers, self.n_markers),))
        self.assertEqual(self.root().value("SELECT COUNT(*) FROM rejected"), 0)

    def assert_told(self, words):
        """In the status and, a moment later, in the log, once the connection of before is gone."""
        wait_for(lambda: words in self.agent.status().get("ship_error", ("", ""))[1], 60,
                 f"{words} in the status of the agent")
        wait_for(lambda: any(words in line for line in self.agent.lines("shipper: warning")), 60,
                 f"{words} in the log of the agent")

    def assert_journal_grows(self):
        before = len(self.agent.batches())
        self.mark()
        wait_for(lambda: len(self.agent.batches()) > before, 60, "another batch in the journal")

    def test_1_signed(self):
        self.mark()
        self.assert_all_there()
        self.assertEqual(self.root().value("SELECT COUNT(*) FROM batch WHERE signature IS NULL"), 0)
        self.assertEqual(self.agent.status()["server_connected"][1], "1")

    def test_2_another_server(self):
        self.server.restart("foreign")
        try:
            self.assert_journal_grows()
            self.assert_told("unable to get local issuer certificate")
        finally:
            self.server.restart(ADDRESS)
        self.assert_all_there()

    def test_3_revoked_and_reinstated(self):
        self.server.client("revoke", NAME)
        self.assert_journal_grows()
        self.assert_told("refuses this host's certificate")
        bundle = self.agent.path("bundle")
        self.server.client("reinstate", NAME, "--bundle", bundle)
        run(VESTIGED, "--enroll", bundle, "--directory", self.files)
        self.give_to_agent()
        self.assert_all_there()


if __name__ == "__main__":
    unittest.main(verbosity=2)
