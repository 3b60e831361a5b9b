"""The keys with which a host signs its batches: a standalone instance makes and registers one, every batch
is signed by it, and openssl says so; another key, no key, and keys that the agent must not use."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from agent_alone import Agent
from vestige_test import VESTIGE, Standalone, assert_audit_state, audit_state, main, run

PUBLIC_HEAD = bytes.fromhex("302a300506032b6570032100")


def public_of(path):
    """The 32 bytes of the public half of a signing key, by openssl."""
    done = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"],
                          capture_output=True, check=True, stdin=subprocess.DEVNULL)
    if not done.stdout.startswith(PUBLIC_HEAD):
        raise AssertionError(f"{path}: no Ed25519 key")
    return done.stdout[len(PUBLIC_HEAD):]


class Signatures:
    """openssl as the judge."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-openssl-")

    def remove(self):
        shutil.rmtree(self.directory)

    def write(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def fits(self, public, hash, signature):
        key = self.write("public.der", PUBLIC_HEAD + public)
        message = self.write("message", b"vestige batch\n" + hash)
        done = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", key,
             "-in", message, "-sigfile", self.write("signature", signature)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if "Signature Verified Successfully" in done.stdout and done.returncode == 0:
            return True
        if "Signature Verification Failure" in done.stdout + done.stderr:
            return False
        raise AssertionError(done.stdout + done.stderr)


class SigningTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.audit_before = audit_state()
        cls.addClassCleanup(assert_audit_state, cls.audit_before)
        cls.signatures = Signatures()
        cls.addClassCleanup(cls.signatures.remove)

    def tearDown(self):
        self.assertEqual(self.audit_before, audit_state())


class TestStandalone(SigningTest):
    def setUp(self):
        self.vestige = Standalone()
        self.addCleanup(self.vestige.remove)
        self.key = self.vestige.path("signing.key")

    def record(self):
        """A run that records something; the number of its last batch, which it makes at its end."""
        self.vestige.start()
        run("true")
        self.vestige.sync()
        self.assertNotIn("there is no signing key", self.vestige.log_text())
        self.keys = self.vestige.query(
            "SELECT number, public_key, created_by, retired_at IS NOT NULL AS retired, revoked_at"
            " FROM host_key WHERE host_id = 1 ORDER BY number")
        self.vestige.stop()
        return max(int(name.split(".")[0]) for name in os.listdir(self.vestige.path("agent", "journal"))
                   if name.endswith((".sealed.zst", ".shipped.zst")))

    def assert_fits(self, rows, public, other=None):
        for row in rows:
            self.assertEqual(2, row["format"])
            self.assertIsNotNone(row["births"])
            self.assertTrue(self.signatures.fits(public, row["hash"], row["signature"]), row["batch"])
            if other:
                self.assertFalse(self.signatures.fits(other, row["hash"], row["signature"]))

    def test_keys_of_an_instance(self):
        """Made at the first start, used at the second; another one after it was lost, and the old is retired.
        A directory of an older version, whose configuration has no such line, gets one too."""
        first = self.record()
        one = public_of(self.key)
        self.assertEqual(0o100600, os.stat(self.key).st_mode)
        self.assertEqual([(1, one, "root@localhost", 0, None)], [tuple(key.values()) for key in self.keys])
        self.check_journal(one)

        with open(self.vestige.path("vestiged.conf")) as file:
            text = file.read()
        self.assertIn(f"signing_key = {self.key}\n", text)
        with open(self.vestige.path("vestiged.conf"), "w") as file:
            file.write(re.sub(r"signing_key = .*\n", "", text))
        second = self.record()
        self.assertEqual(1, len(self.keys))

        os.rename(self.key, self.key + ".former")
        third = self.record()
        two = public_of(self.key)
        self.assertEqual([(1, one, 1), (2, two, 0)],
                         [(key["number"], key["public_key"], key["retired"]) for key in self.keys])
        os.rename(self.key, self.key + ".latter")
        os.rename(self.key + ".former", self.key)
        done = run(*self.vestige.client("standalone", "--for", 1), check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn(f"the public key {one.hex()} was used before", done.stderr)
        os.rename(self.key + ".latter", self.key)

        # What was not shipped at the end of a run is, at the latest, in the next.
        self.vestige.start()
        self.vestige.sync()
        chain = self.vestige.query("SELECT batch, hash, previous_hash, signature, format, births FROM batch"
                                   " WHERE batch <= %s ORDER BY batch", third)
        self.vestige.stop()
        self.assertTrue(0 < first < second < third)
        self.assertEqual([row["batch"] for row in chain], list(range(1, third + 1)))
        self.assert_fits(chain[:second], one)
        self.assert_fits(chain[second:], two, one)
        for before, row in zip(chain, chain[1:]):
            self.assertEqual(before["hash"], row["previous_hash"])

    def check_journal(self, public):
        done = run(VESTIGE, "journal", "check", "--state", self.vestige.state)
        self.assertRegex(done.stdout, rf"0 findings\nsignatures: [1-9][0-9]* are of a key in {self.key}, "
                                      r"0 batches are not signed\n\Z")
        other = self.signatures.write("key", b"-----BEGIN PUBLIC KEY-----\n" + self.base64(public) +
                                      b"\n-----END PUBLIC KEY-----\n")
        done = run(VESTIGE, "journal", "check", "--directory", self.vestige.path("agent", "journal"),
                   "--public-key", other)
        self.assertIn(f"are of a key in {other}, 0 batches are not signed\n", done.stdout)

    @staticmethod
    def base64(public):
        return subprocess.run(["openssl", "base64", "-A"], input=PUBLIC_HEAD + public, capture_output=True,
                              check=True).stdout


class TestAgentAlone(SigningTest):
    """Without a server: what is signed or not stands in the journal."""

    def setUp(self):
        self.agent = Agent()
        self.addCleanup(self.agent.remove)
        self.key = self.agent.path("signing.key")
        os.unlink(self.key)

    def headers(self):
        """[{key: value}] of the sealed batches."""
        found = []
        for path in self.agent.batches():
            text = run("zstdcat", path).stdout.partition("\n\n")[0]
            found.append(dict(line.split("\t") for line in text.splitlines()[1:]))
        return found

    def doctor(self):
        done = run(VESTIGE, "doctor", "--config", self.agent.path("vestiged.conf"), "--format", "csv", check=False)
        return [line for line in done.stdout.splitlines() if "signing key" in line][0]

    def test_no_key_and_then_one(self):
        self.agent.start()
        self.agent.stop()
        self.assertEqual(1, len([line for line in self.agent.lines("agent: warning")
                                 if f"there is no signing key {self.key}: batches are not signed" in line]))
        self.assertIn("batches are not signed", self.doctor())
        unsigned = self.headers()
        self.assertGreater(len(unsigned), 0)
        for header in unsigned:
            self.assertEqual("0" * 128, header["signature"])

        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key)
        os.chmod(self.key, 0o600)
        self.agent.start()
        self.agent.stop()
        self.assertFalse([line for line in self.agent.lines("agent: warning") if "signing" in line])
        self.assertIn(self.key, self.doctor())
        self.assertNotIn("not signed", self.doctor())
        signed = self.headers()[len(unsigned):]
        self.assertGreater(len(signed), 0)
        public = public_of(self.key)
        for header in signed:
            self.assertTrue(self.signatures.fits(public, bytes.fromhex(header["hash"]),
                                                 bytes.fromhex(header["signature"])))
        self.assertEqual(unsigned[-1]["hash"], signed[0]["previous"])

    def refused(self, words):
        self.agent.write_configuration()
        done = self.agent.run(timeout=120)
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.agent.state, "journal")))

    def test_keys_that_are_refused(self):
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key)
        for mode in (0o640, 0o604, 0o602, 0o666):
            os.chmod(self.key, mode)
            self.refused(f"{self.key} can be read or written by others than its owner (mode 0{mode:o})")
        self.assertIn("can be read or written by others", self.doctor())
        os.unlink(self.key)
        run("openssl", "genpkey", "-algorithm", "x25519", "-out", self.key)
        self.refused(f"{self.key} holds no Ed25519 key")
        os.unlink(self.key)
        run("openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out", self.key)
        self.refused(f"{self.key} holds no Ed25519 key without a password")
        os.unlink(self.key)
        os.mkdir(self.key, 0o700)
        self.refused(f"{self.key} is not a regular file")

    def test_a_replay_needs_none(self):
        place = os.path.join(os.path.dirname(__file__), "..", "data", "recordings", "actors")
        done = self.agent.run("--replay", place)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn("signing", done.stderr)


if __name__ == "__main__":
    main()
