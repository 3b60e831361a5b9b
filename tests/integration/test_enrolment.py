#!/usr/bin/python3
"""Who gets into the fleet, how, and how one is put out of it: files, bundles and tokens; rotation, revocation,
retirement; hosts from a list. No agent runs here: what one could do is done with its credential."""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from enrolment_test import FILES, SHUT_OUT, Fleet, TcpSession, public_key, start_server
from private_server import Refused
from tls_server import ADDRESS
from vestige_test import VESTIGED, run, wait_for

setUpModule = start_server


class Files(Fleet):
    def test_by_tcp(self):
        files = self.path("files")
        self.client("enroll", self.name, "--directory", files, "--host-directory", files)
        self.assert_private(files, *FILES)
        self.assertEqual(self.keys(), ((1, public_key(f"{files}/signing.key"), 0, 0),))
        session = self.login(files)
        self.addCleanup(session.close)
        host_id = self.enrolled()["host_id"]
        self.assertEqual(session.run("SELECT CURRENT_USER(), CURRENT_ROLE()"),
                         ((f"agent_{host_id}@%", "vestige_agent"),))
        create = self.root.value(f"SHOW CREATE USER agent_{host_id}@'%'")
        self.assertIn("MAX_USER_CONNECTIONS 10", create)
        self.assertIn(f"SUBJECT '/O=Vestige/CN=agent_{host_id}/serialNumber={self.enrolled()['serial']}'", create)
        self.assertRegex(create, "ISSUER '/O=Vestige/CN=Vestige authority [0-9a-f]{8}'")

    def test_by_socket(self):
        files = self.path("files")
        self.server.vestige("client", "enroll", self.name, "--directory", files)
        self.assert_private(files, "agent.cnf", "signing.key", "vestiged.conf")
        self.assertEqual(self.login_error(files), 0)
        self.assertNotIn("REQUIRE", self.root.value(f"SHOW CREATE USER `{self.enrolled()['account'][:-10]}`@localhost"))

    def test_no_authority(self):
        done = self.server.client("enroll", self.name, "--directory", self.path("x"), check=False, authority=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("make-ca", done.stderr)
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())

    def test_authority_of_no_use(self):
        broken = self.path("ca")
        for what, text, words in (("ca.key", None, "cannot read"), ("ca.key", "nonsense", "holds no key"),
                                  ("ca.pem", "nonsense", "holds no certificate"),
                                  ("ca.key", "encrypted", "holds no key that can be read without a password"),
                                  ("ca.key", "foreign", "is not the key of"),
                                  ("ca.pem", "agent", "is not the key of")):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(self.server.ca, broken)
            path = os.path.join(broken, what)
            if text is None:
                os.unlink(path)
            elif text == "foreign":
                run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
            elif text == "encrypted":
                run("openssl", "pkcs8", "-topk8", "-in", self.server.path("ca.key"), "-out", path, "-passout", "pass:x")
            elif text == "agent":
                shutil.copy(self.server.path(ADDRESS + ".pem"), path)
            else:
                with open(path, "w") as file:
                    file.write(text)
            done = self.server.vestige("client", "enroll", self.name, "--address", ADDRESS, "--ca-directory", broken,
                                       check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())

    def test_without_certificate(self):
        files = self.path("files")
        self.client("enroll", self.name, "--directory", files, "--host-directory", files, "--without-certificate")
        self.assert_private(files, "agent.cnf", "ca.pem", "signing.key", "vestiged.conf")
        self.assertEqual(self.login_error(files), 0)

    def test_twice(self):
        files = self.path("files")
        self.client("enroll", self.name, "--directory", files, "--host-directory", files)
        for more in (["--directory", files], ["--bundle", self.path("b")], ["--token", self.path("t")]):
            self.refused("enroll", self.name, *more, names=["is enrolled already", "client rotate"])
        self.assertEqual(self.login_error(files), 0)
        self.assertEqual(len(self.keys()), 1)
        self.assertEqual(os.listdir(self.directory), ["files"])

    def test_two_targets(self):
        self.refused("enroll", self.name, "--bundle", "a", "--directory", "b", names=["give one of"])
        self.refused("enroll", names=["name a host"])


class Bundles(Fleet):
    def bundle(self, name="bundle", *words):
        self.client("enroll", self.name, "--bundle", self.path(name), *words)
        self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)
        return self.path(name)

    def take(self, bundle, target="host", *words, status=0):
        return self.vestiged("--enroll", bundle, "--directory", self.path(target), *words, status=status)

    def test_used_once(self):
        bundle = self.bundle()
        self.assertEqual(os.listdir(self.directory), ["bundle"])
        shutil.copy(bundle, self.path("copy"))
        self.take(bundle)
        self.assert_private(self.path("host"), *FILES)
        self.assertFalse(os.path.exists(bundle))
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.enrolled()["used_from"], ADDRESS)
        self.assertEqual(self.keys()[0][1], public_key(self.path("host", "signing.key")))
        said = self.take(self.path("copy"), "thief", status=2).stderr
        self.assertRegex(said, rf"the bundle was used already, at 20\d\d-.* from {ADDRESS}")
        self.assertNotIn("agent.cnf", os.listdir(self.path("thief")))
        self.assertEqual(self.log(), ["enroll", "used"])
        checked = self.vestiged("--check-config", "--config", self.path("host", "vestiged.conf")).stdout
        self.assertIn("is right", checked)

    def test_the_same_host_may_try_again(self):
        bundle = self.bundle()
        os.makedirs(self.path("host", "agent.cnf"))  # a file cannot be put there
        said = self.take(bundle, status=2).stderr
        self.assertIn("cannot write", said)
        self.assertTrue(os.path.exists(bundle))
        self.assertIsNotNone(self.enrolled()["used_from"])
        os.rmdir(self.path("host", "agent.cnf"))
        self.take(bundle)
        self.assert_private(self.path("host"), *FILES)
        self.assertEqual(self.login_error(self.path("host")), 0)

    def test_server_away(self):
        bundle = self.bundle()
        self.server.stop()
        try:
            said = self.take(bundle, status=2).stderr
        finally:
            self.server.start()
        self.assertIn("is the server running", said)
        self.assertTrue(os.path.exists(bundle))
        self.root = self.server.root("vestige")
        self.addCleanup(self.root.close)
        self.take(bundle)

    def test_damaged(self):
        with open(self.bundle(), "rb") as file:
            whole = file.read()
        cases = {"of another kind": (b"[vestige]\nuser = x\n", "this is no bundle"),
                 "empty": (b"", "this is no bundle"),
                 "cut": (whole[:len(whole) // 2], "damaged at byte"),
                 "without its end": (whole[:whole.rindex(b"end ")], "its end is missing"),
                 "changed": (whole.replace(b"host = \"127.0.0.1\"", b"host = \"127.0.0.2\""), "checksum differs"),
                 "longer": (whole + b"x\n", "something follows its end"),
                 "too large": (whole + bytes(300000), "too large")}
        for name, (text, words) in cases.items():
            with self.subTest(name):
                with open(self.path("damaged"), "wb") as file:
                    file.write(text)
                self.assertIn(words, self.take(self.path("damaged"), status=2).stderr)
        self.assertIn("No such file", self.take(self.path("nowhere"), status=2).stderr)
        self.assertIsNone(self.enrolled()["used_from"])

    def test_another_identity_stays(self):
        self.take(self.bundle())
        first, self.name = self.name, self.name + "b"
        other = self.bundle("other")
        said = self.take(other, status=2).stderr
        self.assertIn(f"has the identity of host_id {self.enrolled(first)['host_id']} already", said)
        self.assertIsNone(self.enrolled()["used_from"])
        self.take(other, "host", "--replace")
        with open(self.path("host", "vestiged.conf")) as file:
            self.assertIn(f"host_id = {self.enrolled()['host_id']}\n", file.read())
        self.assertIn("vestiged.conf.before", os.listdir(self.path("host")))

    def test_a_configuration_that_is_there_gets_the_number(self):
        os.mkdir(self.path("host"))
        shutil.copy(os.path.join(ROOT, "deploy", "vestiged.conf"), self.path("host"))
        with open(self.path("host", "vestiged.conf")) as file:
            before = file.read()
        self.take(self.bundle())
        with open(self.path("host", "vestiged.conf")) as file:
            self.assertEqual(file.read(), before.replace("\nhost_id = 0\n", f"\nhost_id = {self.enrolled()['host_id']}\n"))

    def test_rotation_keeps_the_configuration(self):
        self.take(self.bundle())
        with open(self.path("host", "vestiged.conf"), "a") as file:
            file.write("# by hand\n")
        self.client("rotate", self.name, "--bundle", self.path("next"))
        self.assertIn(self.login_error(self.path("host")), SHUT_OUT)
        self.take(self.path("next"))
        self.assertEqual(self.login_error(self.path("host")), 0)
        with open(self.path("host", "vestiged.conf")) as file:
            self.assertIn("# by hand\n", file.read())
        self.assertEqual(len(self.keys()), 1)
        self.assertEqual(self.keys()[0][1], public_key(self.path("host", "signing.key")))

    def test_a_file_that_is_there_is_not_overwritten(self):
        with open(self.path("bundle"), "w") as file:
            file.write("precious")
        self.refused("enroll", self.name, "--bundle", self.path("bundle"), names=["is there already"])
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())


class Tokens(Fleet):
    def token(self, name="token", *words, verb="enroll"):
        self.client(verb, self.name, "--token", self.path(name), *words)
        self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)
        return self.path(name)

    def begin(self, token, target="host", *words):
        """vestiged that waits for the approval, and the fingerprint that it shows."""
        process = subprocess.Popen(
            [VESTIGED, "--enroll", token, "--directory", self.path(target), "--wait", "300", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertRegex(line, r"^handed in; fingerprint [0-9a-f]{64}$", process.stderr.read() if not line else line)
        return process, line.split()[-1]

    def end(self, process, status=0):
        out, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, status, out + error)
        return out + error

    def test_private_keys_never_leave_the_host(self):
        token = self.token()
        with open(token) as file:
            self.assertNotIn("PRIVATE KEY", file.read())
        copy = shutil.copy(token, self.path("copy"))
        process, fingerprint = self.begin(token)
        listed = self.server.vestige("client", "list", "--format", "csv").stdout
        self.assertRegex(listed, rf",{self.name},enrolling_\d+@%,.*,waits for approval,")
        grouped = ":".join(re.findall("....", fingerprint.upper()))
        said = self.client("approve", self.name, "--fingerprint", grouped)
        self.assertIn(fingerprint, said.stdout)
        self.assertEqual(said.stderr, "")
        self.end(process)
        self.assert_private(self.path("host"), *FILES)
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.keys(), ((1, public_key(self.path("host", "signing.key")), 0, 0),))
        self.assertEqual(self.log(), ["token", "request", "enroll", "approve", "used"])
        with open(self.path("host", "agent.key")) as file:
            key = file.read().split("\n")[1]
        everything = [self.root.run(f"SELECT * FROM {table}")
                      for table in ("enrolment", "enrolment_token", "enrolment_log", "host_key", "mysql.global_priv")]
        self.assertNotIn(key, str(everything))
        account = self.root.value("SELECT account FROM enrolment_token WHERE name = %s", self.name)
        self.assertEqual(self.root.run("SELECT 1 FROM mysql.user WHERE user = %s", account.partition("@")[0]), ())
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM enrolment_token WHERE name = %s AND password_hash"
                                         " IS NOT NULL", self.name), 0)
        said = self.vestiged("--enroll", copy, "--directory", self.path("thief"), status=2).stderr
        self.assertIn("it was used up, withdrawn, or never made there", said)
        self.refused("approve", self.name, names=["there is no token"])

    def test_fingerprint_that_differs(self):
        process, fingerprint = self.begin(self.token())
        for wrong, words in (("0" * 64, "it is not from that host"), (fingerprint[:15], "at least the first 16"),
                             (fingerprint + "0", "more than 64"), ("x" * 64, "digits")):
            self.refused("approve", self.name, "--fingerprint", wrong, names=[words])
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())
        said = self.client("approve", self.name, "--fingerprint", fingerprint[:16])
        self.end(process)
        self.assertNotIn("was not compared", said.stderr)

    def test_without_comparing_is_told(self):
        process, _ = self.begin(self.token())
        self.assertIn("was not compared", self.client("approve", self.name).stderr)
        self.end(process)

    def test_used_by_another(self):
        token = self.token()
        process, fingerprint = self.begin(token)
        copy = shutil.copy(token, self.path("copy"))
        said = self.vestiged("--enroll", copy, "--directory", self.path("thief"), status=2).stderr
        self.assertRegex(said, rf"the token was used already, at 20\d\d-.* from {ADDRESS}, with other keys")
        self.client("approve", self.name, "--fingerprint", fingerprint)
        self.end(process)

    def test_thief_is_first(self):
        """Who has the token may be first; the fingerprint tells, and a new token puts it right."""
        token = self.token()
        copy = shutil.copy(token, self.path("copy"))
        thief, stolen = self.begin(copy, "thief")
        self.assertIn("was used already", self.vestiged("--enroll", token, "--directory", self.path("host"),
                                                        status=2).stderr)
        shutil.rmtree(self.path("host"))
        process, fingerprint = self.begin(self.token("second"))
        self.assertNotEqual(stolen, fingerprint)
        self.assertIn("withdrawn", self.end(thief, 2))
        self.client("approve", self.name, "--fingerprint", fingerprint)
        self.end(process)

    def test_nobody_approves(self):
        token = self.token()
        said = self.vestiged("--enroll", token, "--directory", self.path("host"), "--wait", "1", status=2)
        self.assertIn("nobody approved within 1 s", said.stderr)
        process, fingerprint = self.begin(token)
        self.assertIn(fingerprint, said.stdout)  # the keys were kept
        self.client("approve", self.name, "--fingerprint", fingerprint)
        self.end(process)

    def test_expired(self):
        token = self.token("token", "--expires", "5")
        process, _ = self.begin(token)
        self.root.run("UPDATE enrolment_token SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE name = %s",
                      self.name)
        self.assertIn("the token expired at", self.end(process, 2))
        self.refused("approve", self.name, names=["has expired"])
        self.assertIn("token expired", self.server.vestige("client", "list").stdout)
        self.root.run("UPDATE enrolment_token SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY WHERE name = %s",
                      self.name)
        account = self.root.value("SELECT account FROM enrolment_token WHERE name = %s", self.name).partition("@")[0]
        self.client("enroll", self.name + "x", "--directory", self.path("x"))
        self.assertEqual(self.root.run("SELECT 1 FROM mysql.user WHERE user = %s", account), ())

    def test_wrong(self):
        token = self.token()
        with open(token) as file:
            text = file.read()
        body = text[:text.rindex("end ")]
        password = re.search(r"password = ([\w-]{40,})\n", body).group(1)
        body = body.replace(password, "x" * len(password))
        with open(token, "w") as file:
            file.write(f"{body}end {hashlib.sha256(body.encode()).hexdigest()}\n")
        said = self.vestiged("--enroll", token, "--directory", self.path("host"), status=2).stderr
        self.assertIn("Access denied", said)
        self.assertIn("the server does not know this token", said)

    def test_nothing_handed_in(self):
        self.token()
        self.refused("approve", self.name, names=["has not handed anything in yet"])
        self.refused("approve", "nobody", names=["there is no token for host nobody"])

    def test_by_socket(self):
        self.server.vestige("client", "enroll", self.name, "--token", self.path("token"))
        process, fingerprint = self.begin(self.path("token"))
        self.server.vestige("client", "approve", self.name, "--fingerprint", fingerprint)
        self.end(process)
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertNotIn("agent.pem", os.listdir(self.path("host")))

    def test_rotation(self):
        process, fingerprint = self.begin(self.token())
        self.client("approve", self.name, "--fingerprint", fingerprint)
        self.end(process)
        before = self.enrolled()
        session = self.login(self.path("host"))
        self.addCleanup(session.close)
        process, fingerprint = self.begin(self.token("next", verb="rotate"))
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.client("approve", self.name, "--fingerprint", fingerprint)
        self.end(process)
        self.assertNotEqual(session.error("SELECT 1"), 0)
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.enrolled()["host_id"], before["host_id"])
        self.assertNotEqual(self.enrolled()["serial"], before["serial"])
        self.assertEqual(len(self.keys()), 1)

    def test_a_request_that_is_none(self):
        """What a stolen token could hand in is checked by the server and by the administrator's program."""
        self.token()
        with open(self.path("token")) as file:
            values = dict(re.findall(r"^(user|password) = (enrolling\S+|[\w-]{40,})$", file.read(), re.M))
        session = TcpSession(host=ADDRESS, port=self.server.port, database="vestige", **values,
                             ssl={"ca": self.server.path("ca.pem")})
        self.addCleanup(session.close)
        good = ("-----BEGIN CERTIFICATE REQUEST-----\nx\n", "ab" * 32, "*" + "A" * 40)
        for place, wrong in ((0, "x"), (0, good[0] + "x" * 8000), (0, None), (1, "ab"), (1, "zz" * 32), (1, None),
                             (2, "A" * 41), (2, "*" + "'" * 40), (2, None)):
            words = [*good[:place], wrong, *good[place + 1:]]
            self.assertIn(session.error("CALL vestige_token_request(%s, %s, %s)", *words), (1644, 1406), words)
        session.run("CALL vestige_token_request(%s, %s, %s)", *good)
        self.refused("approve", self.name, names=["the request for a certificate is none"])
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())


class Access(Fleet):
    def setUp(self):
        super().setUp()
        self.files = self.path("files")
        self.client("enroll", self.name, "--directory", self.files, "--host-directory", self.files)
        self.host_id = self.enrolled()["host_id"]

    def insert(self, session, number):
        return session.error("INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
                             " last_time, n_lines, recovered) VALUES (%s, %s, 'h', 'p', 2, UUID(),"
                             " UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 0, 0)", self.host_id, number)

    def batches(self):
        return self.root.value("SELECT COUNT(*) FROM batch WHERE host_id = %s", self.host_id)

    def test_rotate(self):
        old = self.path("old")
        shutil.copytree(self.files, old)
        session = self.login(self.files)
        self.addCleanup(session.close)
        self.client("rotate", self.name, "--directory", self.files, "--host-directory", self.files)
        self.assertNotEqual(self.insert(session, 1), 0)
        self.assertEqual(self.login_error(self.files), 0)
        self.assertIn(self.login_error(old), SHUT_OUT)
        self.assertEqual(len(self.keys()), 1)
        self.client("rotate", self.name, "--directory", self.files, "--host-directory", self.files, "--signing-key")
        self.assertEqual([(number, retired, revoked) for number, _, retired, revoked in self.keys()],
                         [(1, 1, 0), (2, 0, 0)])
        self.assertEqual(self.keys()[1][1], public_key(f"{self.files}/signing.key"))
        self.assertEqual(self.log(), ["enroll", "rotate", "rotate"])

    def test_revoke_ends_sessions_and_transactions(self):
        kept, holder = self.login(self.files), self.login(self.files)
        for session in (kept, holder):
            self.addCleanup(session.close)
        self.assertEqual(self.insert(kept, 1), 0)
        holder.run("BEGIN")
        self.assertEqual(self.insert(holder, 2), 0)
        stop, results = threading.Event(), []

        def go_on():
            number = 100
            while not stop.is_set():
                results.append(self.insert(kept, number))
                number += 1
        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            wait_for(lambda: len(results) > 20, 60, "rows come")
            said = self.client("revoke", self.name, "--key-stolen").stdout
            stored = self.batches()
            self.assertIn("2 sessions ended", said)
            wait_for(lambda: any(results), 60, "the session is gone")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(self.batches(), stored)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM batch WHERE host_id = %s AND batch = 2", self.host_id), 0)
        with self.assertRaises(Refused):
            holder.run("COMMIT")
        self.assertNotEqual(self.login_error(self.files), 0)
        self.assertEqual(self.root.run("SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s",
                                       f"agent_{self.host_id}"), ((0,),))
        self.assertEqual([row[3] for row in self.keys()], [1])
        self.assertIsNotNone(self.enrolled()["revoked"])
        listed = run("openssl", "crl", "-noout", "-text", "-in", self.server.path("ca.crl")).stdout
        self.assertIn(self.enrolled()["serial"], listed)
        self.client("revoke", self.name)  # may be done again

    def test_revoked_host_comes_back(self):
        self.client("revoke", self.name, "--key-stolen")
        self.refused("enroll", self.name, "--directory", self.files,
                     names=["was revoked", f"host_id {self.host_id}", f"client reinstate {self.name}"])
        self.refused("rotate", self.name, "--directory", self.files, names=["was revoked"])
        self.client("reinstate", self.name, "--directory", self.files, "--host-directory", self.files)
        self.assertEqual(self.enrolled()["host_id"], self.host_id)
        self.assertEqual(self.login_error(self.files), 0)
        self.assertEqual([(row[0], row[3]) for row in self.keys()], [(1, 1), (2, 0)])
        self.refused("reinstate", self.name, "--directory", self.files, names=["nothing to reinstate"])
        self.assertEqual(self.log(), ["enroll", "revoke", "key-stolen", "reinstate"])

    def test_retire_keeps_the_evidence(self):
        session = self.login(self.files)
        self.addCleanup(session.close)
        self.assertEqual(self.insert(session, 1), 0)
        self.client("retire", self.name)
        self.assertNotEqual(self.insert(session, 2), 0)
        self.assertEqual(self.batches(), 1)
        self.assertIsNotNone(self.enrolled()["retired"])
        self.assertIn(",retired,", self.server.vestige("client", "list", "--format", "csv").stdout)
        self.refused("enroll", self.name, "--directory", self.files, names=["was retired"])

    def test_options_of_others(self):
        """Who gives an option expects something of it: a key that was stolen is not revoked by `rotate`."""
        for verb, option in (("rotate", "--key-stolen"), ("revoke", "--signing-key"), ("rotate", "--from=%"),
                             ("retire", "--key-stolen"), ("approve", "--bundle=x"), ("enroll", "--fingerprint=00")):
            self.refused(verb, self.name, option, names=[f"vestige client {verb} does not take {option.split('=')[0]}"])
        self.refused("list", "--token=x", names=["vestige client list does not take --token"])
        self.refused("revok", self.name, names=['there is no `vestige client revok`; did you mean "revoke"?'])
        self.refused("revoke", names=["name the host: vestige client revoke HOST"])

    def test_nobody(self):
        self.refused("revoke", self.name + "x", names=["is not enrolled; did you mean", f'"{self.name}"'])
        for verb in ("rotate", "revoke", "retire", "reinstate"):
            self.refused(verb, "nobody", names=["nobody is not enrolled"])
            self.refused(verb, self.name + "x", names=[f'did you mean "{self.name}"'])

    def test_rotation_keeps_the_way_to_the_server(self):
        """By a socket and without a word on it: not less is demanded than before."""
        self.server.vestige("client", "rotate", self.name, "--ca-directory", self.server.ca, "--directory", self.files,
                            "--host-directory", self.files)
        self.assertEqual(self.login_error(self.files), 0)
        with open(self.path("files", "agent.cnf")) as file:
            self.assertIn(f'host = "{ADDRESS}"\nport = {self.server.port}\n', file.read())
        self.assertIn("SUBJECT", self.root.value(f"SHOW CREATE USER agent_{self.host_id}@'%'"))
        self.refused("rotate", self.name, "--directory", self.path("x"), by_socket=True, names=["make-ca"])
        self.assertEqual(self.login_error(self.files), 0)
        process = self.server.vestige("client", "rotate", self.name, "--ca-directory", self.server.ca, "--token",
                                      self.path("token"))
        self.assertIn("take", process.stdout)
        with open(self.path("token")) as file:
            self.assertIn(f'host = "{ADDRESS}"', file.read())

    def test_connections_at_once(self):
        sessions = [self.login(self.files) for _ in range(10)]
        for session in sessions:
            self.addCleanup(session.close)
        self.assertEqual(self.login_error(self.files), 1226)
        sessions[0].close()
        wait_for(lambda: self.login_error(self.files) == 0, 60, "a place is free")

    def test_many_connections_do_not_lock_the_host_out(self):
        def is_let_in():
            error = self.login_error(self.files)
            self.assertIn(error, (0, 1226))  # a busy server ends the sessions of before a little later
            return error == 0
        for _ in range(300):
            wait_for(is_let_in, 60, "a place is free")

    def test_changed_behind_our_back(self):
        def changed():
            return [row[2] for row in self.root.run("CALL vestige_changed_credentials()") if row[0] == self.host_id]
        account = f"agent_{self.host_id}@'%'"
        self.assertEqual(changed(), [])
        session = self.login(self.files)
        self.addCleanup(session.close)
        session.run("SET PASSWORD = PASSWORD('thief')")
        self.assertEqual(changed(), ["its password was changed"])
        self.client("rotate", self.name, "--directory", self.files, "--host-directory", self.files)
        self.assertEqual(changed(), [])
        subject = self.enrolled()["subject"]
        string = self.root.value("SELECT JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv"
                                 " WHERE User = %s", f"agent_{self.host_id}")
        for change, what in (("REQUIRE SSL", "another certificate is demanded"),
                             (f"REQUIRE SUBJECT '{subject}'", "another certificate is demanded"),
                             (f"REQUIRE SUBJECT '{subject}' AND ISSUER '/CN=x'", "another certificate is demanded"),
                             (f"IDENTIFIED VIA mysql_native_password USING '{string}' OR unix_socket",
                              "it logs in another way")):
            self.root.run(f"ALTER USER {account} {change}")
            self.assertEqual(changed(), [what], change)
            self.client("rotate", self.name, "--directory", self.files, "--host-directory", self.files)
            self.assertEqual(changed(), [], change)
        for right in ("FILE ON *.*", "SELECT ON vestige.*", "SELECT ON vestige.process", "SELECT (id) ON vestige.process",
                      "EXECUTE ON PROCEDURE vestige.vestige_read_end", "vestige_reader"):
            self.root.run(f"GRANT {right} TO {account}")
            self.assertEqual(changed(), ["it was given rights besides its role"], right)
            self.root.run(f"REVOKE {right} FROM {account}")
            self.assertEqual(changed(), [], right)
        for right in ("FILE ON *.*", "SELECT ON vestige.*", "vestige_reader"):
            self.root.run(f"GRANT {right} TO vestige_agent")
            self.assertEqual([(0, "vestige_agent", "the role of all agents was given rights on more than their tables")],
                             [tuple(row) for row in self.root.run("CALL vestige_changed_credentials()") if row[0] == 0])
            self.root.run(f"REVOKE {right} FROM vestige_agent")
        self.assertEqual(changed(), [])
        self.root.run(f"CREATE USER agent_{self.host_id}@'198.18.0.1' IDENTIFIED BY 'x'")
        self.assertEqual(changed(), ["enrolment did not make it"])
        self.root.run(f"DROP USER agent_{self.host_id}@'198.18.0.1'")
        self.client("revoke", self.name)
        self.assertEqual(changed(), [])
        self.root.run(f"ALTER USER {account} ACCOUNT UNLOCK")
        self.assertEqual(changed(), ["it was unlocked"])
        self.root.run(f"DROP USER {account}")
        self.assertEqual(changed(), ["the account is gone"])


class Bulk(Fleet):
    def hosts(self, text):
        with open(self.path("hosts"), "w") as file:
            file.write(text)
        return self.path("hosts")

    def enroll_all(self, *words, status=0):
        done = self.client("enroll", "--from-file", self.path("hosts"), *words, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_all(self):
        one, two, three = (f"{self.name}-{n}" for n in "abc")
        self.hosts(f"# the first floor\n{one}\n\n{two} 198.18.%   # behind the gateway\n\t{three}\r\n")
        done = self.enroll_all("--directory", self.path("all"))
        self.assertIn("3 enrolled, 0 there already, 0 failed", done.stdout)
        self.assertEqual(sorted(os.listdir(self.path("all"))), [one, two, three])
        for name in (one, two, three):
            self.assert_private(self.path("all", name), *FILES)
        self.assertTrue(self.enrolled(two)["account"].endswith("@198.18.%"))
        before = self.enrolled(one)
        shutil.rmtree(self.path("all", two))
        self.hosts(f"{one}\n{two}\n{self.name}-d\n")
        done = self.enroll_all("--directory", self.path("all"))
        self.assertIn("1 enrolled, 2 there already, 0 failed", done.stdout)
        self.assertIn("hosts line 1: host", done.stderr)
        self.assertNotIn(f"client rotate {one}` makes them", done.stderr)
        self.assertIn(f"client rotate {two}` makes them", done.stderr)
        self.assertEqual(self.enrolled(one), before)

    def test_bundles_and_tokens(self):
        self.hosts(f"{self.name}-a\n{self.name}-b\n")
        self.enroll_all("--bundle", self.path("bundles"))
        self.assertEqual(sorted(os.listdir(self.path("bundles"))), [f"{self.name}-a.bundle", f"{self.name}-b.bundle"])
        self.hosts(f"{self.name}-c\n")
        self.enroll_all("--token", self.path("tokens"))
        self.assertEqual(os.listdir(self.path("tokens")), [f"{self.name}-c.token"])

    def test_nothing_is_done_when_a_line_is_wrong(self):
        self.hosts(f"{self.name}-a\nb'ad\n{self.name}-b % extra\n{self.name}-c p'x\n{self.name}-a\n")
        done = self.enroll_all("--directory", self.path("all"), status=2)
        for number, words in ((2, "is no name of a host"), (3, "perhaps where it may come from"),
                              (4, "is no host pattern"), (5, "is in line 1 already")):
            self.assertRegex(done.stderr, rf"hosts line {number}: .*{words}")
        self.assertIn("nobody was enrolled", done.stderr)
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name LIKE %s", self.name + "-%"), ())

    def test_what_fails_is_named_and_the_rest_goes_on(self):
        os.makedirs(self.path("all"))
        with open(self.path("all", self.name + "-a"), "w"):
            pass  # a file where a directory should be
        self.hosts(f"{self.name}-a\n{self.name}-b\n")
        done = self.enroll_all("--directory", self.path("all"), status=2)
        self.assertIn("1 enrolled, 0 there already, 1 failed", done.stdout)
        self.assertIn(f"{self.name}-a", done.stderr)
        self.assertEqual(self.root.run("SELECT name FROM enrolment WHERE name LIKE %s", self.name + "-%"),
                         ((self.name + "-b",),))

    def test_no_list(self):
        for text, words in (("", "names no host"), ("a\0b\n", "is no text")):
            self.hosts(text)
            self.assertIn(words, self.enroll_all("--directory", self.path("all"), status=2).stderr)
        os.unlink(self.path("hosts"))
        self.assertIn("No such file", self.enroll_all("--directory", self.path("all"), status=2).stderr)
        self.hosts("a\n")
        self.assertIn("--from-file needs", self.enroll_all(status=2).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
