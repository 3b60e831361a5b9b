"""`vestige seal`: where the chain of each host ends, as a text for paper and mail; checked by a reader that
shares no code with Vestige."""

import csv
import hashlib
import json
import os
import re
import shutil
import tempfile

from private_server import Refused, Session
from server_test import ServerTest
from vestige_test import main

BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" > {directory}/words
cat > {directory}/mail
{then}
"""


def check_of(lines):
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()[:8]


def read_seal(text):
    """{"at": ..., "hosts": {host_id: {...}}}; each check and each rule of the form is tested."""
    if not text.isascii() or any(len(line) > 78 for line in text.split("\n") if not line.startswith("host ")):
        raise AssertionError("a line is too long, or not ASCII:\n" + text)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if lines[0] != "vestige seal 1" or check_of(
            line for line in lines[:-1] if not line.startswith("check ")) != lines[-1].removeprefix("end "):
        raise AssertionError("the last check is wrong:\n" + text)
    parts, part = [], []
    for line in lines[:-1]:
        if not line.startswith("check "):
            part.append(line)
            continue
        if check_of(part) != line.removeprefix("check "):
            raise AssertionError(f"the check of {part} is wrong")
        parts.append(part)
        part = []
    if part or lines[2] != f"hosts {len(parts) - 1}":
        raise AssertionError("not as many hosts as it says:\n" + text)
    hosts = {}
    for part in parts[1:]:
        word, number, name = part[0].split(" ")
        host = {"name": name, "hash": "", "received": None, "keys": {}}
        for line in part[1:]:
            word, _, value = line.partition(" ")
            if word == "hash":
                host["hash"] += value.replace(" ", "")
            elif word == "key":
                key, _, digits = value.partition(" ")
                host["keys"][int(key)] = host["keys"].get(int(key), "") + digits.replace(" ", "")
            else:
                host[word] = int(value) if value.isdigit() else value
        hosts[int(number)] = host
    return {"at": lines[1].removeprefix("at "), "hosts": hosts}


class SealTest(ServerTest):
    hosts = ("web", "mail")

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-seal-")
        self.addCleanup(shutil.rmtree, self.directory)
        for table in ("batch", "host_key"):
            self.root.run(f"DELETE FROM {table}")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def batch(self, host, number, at="2026-11-20 10:00:00.000001", hash=None):
        """Returns its hash."""
        hash = hash or hashlib.sha256(f"{host} {number}".encode()).hexdigest()
        self.root.run("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time,"
                      " n_lines, cursors, recovered, digests, received_at)"
                      " VALUES (%s, %s, UNHEX(%s), REPEAT(CHAR(0), 32), 2, %s, %s, %s, 1, '', 0, '', %s)",
                      host, number, hash, BOOT, at, at, at)
        return hash

    def key(self, host, number, **moments):
        """Returns its digits."""
        digits = hashlib.sha256(f"key {host} {number}".encode()).hexdigest()
        self.root.run("INSERT INTO host_key (host_id, number, public_key, created_by, retired_at, revoked_at)"
                      " VALUES (%s, %s, UNHEX(%s), 'root@localhost', %s, %s)", host, number, digits,
                      moments.get("retired_at"), moments.get("revoked_at"))
        return digits

    def seal(self, *words, status=0, **options):
        done = self.server.vestige("seal", *words, check=False, **options)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refuse(self, *words):
        done = self.seal(*words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: seal: [^\n]*\n\Z")
        return done.stderr


class TestText(SealTest):
    def test_what_it_says(self):
        for number in (1, 2, 10):
            hash = self.batch(1, number, f"2026-11-20 10:00:00.0000{number:02}")
        self.key(1, 1, retired_at="2026-01-01")
        self.key(1, 2, revoked_at="2026-01-01")
        third, fourth = self.key(1, 3), self.key(1, 4)
        before, = self.root.run("SELECT UTC_TIMESTAMP(6)")[0]
        text = self.seal().stdout
        after, = self.root.run("SELECT UTC_TIMESTAMP(6)")[0]
        seal = read_seal(text)
        self.assertEqual({1: {"name": "web", "batches": 3, "last": 10, "received": "2026-11-20 10:00:00.000010",
                              "hash": hash, "keys": {3: third, 4: fourth}},
                          2: {"name": "mail", "batches": 0, "last": 0, "received": None, "hash": "", "keys": {}}},
                         seal["hosts"])
        self.assertTrue(before.isoformat(" ") <= seal["at"] <= after.isoformat(" "), seal["at"])
        remarks = " ".join(line[2:] for line in text.splitlines() if line.startswith("#"))
        self.assertIn("it proves with `vestige verify --against` that nobody, root of the server included, changed",
                      remarks)
        self.assertIn("It does not prove that what a host sealed was true", remarks)

    def test_of_a_host(self):
        hash = self.batch(2, 5)
        self.batch(1, 7)
        seals = [read_seal(self.seal("--on", word).stdout) for word in ("mail", "2")]
        self.assertEqual([2], list(seals[0]["hosts"]))
        self.assertEqual(hash, seals[0]["hosts"][2]["hash"])
        self.assertEqual(seals[0]["hosts"], seals[1]["hosts"])

    def test_hosts_that_are_none(self):
        self.assertIn("mail", self.refuse("--on", "mial"))
        for word in ("x' OR '1'='1", "%", "_eb", "web\n", "\x1b[31m", "9", "-1", "x" * 65536):
            self.assertNotIn("\x1b", self.refuse("--on", word))

    def test_two_with_the_last_number(self):
        """The one that came first; the other may be a forgery."""
        self.batch(1, 3, "2026-11-20 10:00:05", hash="00" * 32)
        self.batch(1, 3, "2026-11-20 10:00:04", hash="ff" * 32)
        host = read_seal(self.seal().stdout)["hosts"][1]
        self.assertEqual(("ff" * 32, 2, 3, "2026-11-20 10:00:04.000000"),
                         (host["hash"], host["batches"], host["last"], host["received"]))

    def test_the_largest_number(self):
        self.batch(1, 2**64 - 1)
        self.assertEqual(2**64 - 1, read_seal(self.seal().stdout)["hosts"][1]["last"])

    def test_hostile_names(self):
        """Root of the server can write anything into `enrolment`; the text stays one that can be read."""
        self.addCleanup(self.root.run, "UPDATE enrolment SET name = 'web' WHERE host_id = 1")
        for name in ("a\nend 00000000", "\x1b]0;x\x07", "b c", "caf\u00e9", "#x", "'\"<script>", "y" * 253):
            self.root.run("UPDATE enrolment SET name = %s WHERE host_id = 1", name)
            shown = read_seal(self.seal().stdout)["hosts"][1]["name"]
            self.assertEqual("".join(c if re.match(r"[A-Za-z0-9._-]\Z", c) else "_" * len(c.encode()) for c in name),
                             shown)

    def test_a_host_whose_enrolment_is_gone(self):
        """Its evidence is there; who took the row away does not get the host out of the seal."""
        hash = self.batch(4000000000, 9)
        host = read_seal(self.seal().stdout)["hosts"][4000000000]
        self.assertEqual(("-", hash), (host["name"], host["hash"]))

    def test_who_may_ask(self):
        self.batch(1, 1)
        self.root.run("CREATE USER reader1@localhost")
        self.addCleanup(self.root.run, "DROP USER reader1@localhost")
        self.root.run("GRANT vestige_reader TO reader1@localhost")
        self.root.run("SET DEFAULT ROLE vestige_reader FOR reader1@localhost")
        done = self.seal("--user=reader1")
        self.assertEqual([1, 2], list(read_seal(done.stdout)["hosts"]))
        agent = Session(self.server, read_default_file=self.server.directory + "/enrolled-web/agent.cnf",
                        read_default_group="vestige", database="vestige")
        self.addCleanup(agent.close)
        for table in ("batch", "host_key", "enrolment"):
            with self.assertRaises(Refused):
                agent.run(f"SELECT * FROM {table}")

    def test_nothing_is_changed(self):
        self.batch(1, 1)
        before = self.root.run("SELECT * FROM batch")
        self.seal()
        self.assertEqual(before, self.root.run("SELECT * FROM batch"))


class TestFormats(SealTest):
    def test_json_and_csv(self):
        hash, key = self.batch(1, 7), self.key(1, 1)
        rows = json.loads(self.seal("--format", "json").stdout)["rows"]
        expected = {"host_id": 1, "name": "web", "last_batch": 7, "hash": hash, "batches": 1, "public_keys": key,
                    "received_at": "2026-11-20 10:00:00.000001"}
        self.assertEqual(expected, rows[0])
        self.assertEqual({"host_id": 2, "name": "mail", "last_batch": None, "hash": None, "batches": 0,
                          "public_keys": None, "received_at": None}, rows[1])
        done = self.seal("--format", "csv", "--time-zone", "Asia/Kolkata")
        row = next(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual((hash, "2026-11-20 15:30:00.000001+05:30"), (row["hash"], row["received_at"]))
        self.assertRegex(done.stderr, r"\AAs the server had it at \S+ \S+\.\n\Z")


class TestMail(SealTest):
    def configure(self, *lines, then="exit 0"):
        with open(self.path("sendmail"), "w") as file:
            file.write(PROGRAM.format(directory=self.directory, then=then))
        os.chmod(self.path("sendmail"), 0o755)
        with open(self.path("vestige.conf"), "w") as file:
            file.write(f"[notify]\nmail = others@example.net\nsendmail = {self.path('sendmail')}\n" +
                       "".join(line + "\n" for line in lines))

    def send(self, address, status=0):
        return self.seal("--config", self.path("vestige.conf"), "--mail", address, status=status)

    def test_mail(self):
        self.batch(1, 7)
        self.configure("mail_from = vestige@example.net")
        done = self.send("keeper@example.org, other@example.org")
        self.assertEqual("", done.stdout)
        self.assertIn("sent to keeper@example.org, other@example.org", done.stderr)
        with open(self.path("words")) as file:
            self.assertEqual("-t\n-i\n", file.read())
        with open(self.path("mail")) as file:
            head, _, body = file.read().partition("\n\n")
        self.assertRegex(head, r"\AFrom: vestige@example.net\nTo: keeper@example.org, other@example.org\n"
                               r"Subject: Vestige: seal of 2 hosts, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\n")
        self.assertIn("Content-Transfer-Encoding: 7bit", head)
        self.assertEqual(read_seal(self.seal().stdout)["hosts"], read_seal(body)["hosts"])

    def test_addresses_that_are_none(self):
        self.configure()
        for address in ("", "-oQ/tmp", "a@b\nBcc: c@d", "a b@c", "a@b;c", "a@b,", "a@" + "b" * 3000):
            self.assertIn("write a mail address", self.send(address, status=2).stderr)
        self.assertFalse(os.path.exists(self.path("mail")))

    def test_not_sent(self):
        self.configure(then="echo no such user >&2; exit 67")
        self.assertIn("no such user", self.send("a@example.net", status=2).stderr)
        with open(self.path("vestige.conf"), "w") as file:
            file.write("[notify]\nmail = a@b\nsendmail = /nonexistent/sendmail\n")
        self.assertIn("/nonexistent/sendmail", self.send("a@example.net", status=2).stderr)
        self.assertIn("cannot be read", self.refuse("--config", "/nonexistent/vestige.conf", "--mail", "a@b"))
        self.assertIn("leave --format away", self.refuse("--mail", "a@b", "--format", "json"))

    def test_units(self):
        """What the timer begins is a command that there is."""
        place = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "systemd")
        with open(os.path.join(place, "vestige-seal.service")) as file:
            service = file.read()
        command, = re.findall(r"^ExecStart=/usr/bin/vestige (.*)$", service, re.M)
        known = self.seal("--help").stdout
        for option in re.findall(r"--[a-z-]+", command):
            self.assertIn(option, known)
        with open(os.path.join(place, "vestige-seal.timer")) as file:
            self.assertIn("OnCalendar=weekly", file.read())


class TestNobody(ServerTest):
    def test_no_hosts(self):
        done = self.server.vestige("seal", check=False)
        self.assertEqual(1, done.returncode)
        self.assertEqual({}, read_seal(done.stdout)["hosts"])


if __name__ == "__main__":
    main()
