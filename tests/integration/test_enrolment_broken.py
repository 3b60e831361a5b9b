#!/usr/bin/python3
"""What goes wrong while a host is enrolled: hostile names, files that are in the way, a full disk, Ctrl-C, a
connection that is lost, two at once. All or nothing is made, or the next try goes on."""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from enrolment_test import FILES, Fleet, public_key, start_server
from tls_server import ADDRESS
from vestige_test import VESTIGE, VESTIGED, run, wait_for

setUpModule = start_server

HOSTILE = ("", ".", "..", "...", ".hidden", "-x", "a/b", "../x", "a'b", 'a"b', "a`b", "a;b", "a b", "a\\b", "ä", "a\nb",
           "a%b", "a#b", "a@b", "n" * 254, "x" * 5000)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heed_signals():
    """Whoever started the tests may have them ignored, as nohup does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Broken(Fleet):
    def command(self, *words):
        return [VESTIGE, "client", *words, "--no-defaults", f"--socket={self.server.socket}", "--user=root",
                "--address", ADDRESS, "--ca-directory", self.server.ca]

    def begin(self, *words):
        process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, preexec_fn=heed_signals)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def take(self, bundle, target="host", *words, status=0):
        return self.vestiged("--enroll", self.path(bundle), "--directory", self.path(target), *words, status=status)

    def is_nothing(self, *files):
        """Neither host nor account nor token is there, and of files these alone."""
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment WHERE name = %s", self.name), ())
        self.assertEqual(self.root.run("SELECT User FROM mysql.global_priv WHERE User LIKE 'agent\\_%' AND NOT EXISTS"
                                       " (SELECT 1 FROM enrolment WHERE account = CONCAT(User, '@', Host))"), ())
        self.assertEqual(self.root.run("SELECT 1 FROM enrolment_token WHERE name = %s AND finished_at IS NULL",
                                       self.name), ())
        self.assertEqual(sorted(os.listdir(self.directory)), sorted(files))

    def small_disk(self):
        """A directory in which a file of a byte can be made, and none of a page more."""
        os.mkdir(self.path("disk"))
        run("mount", "-t", "tmpfs", "-o", "size=8k", "none", self.path("disk"))
        self.addCleanup(run, "umount", "-l", self.path("disk"))
        with open(self.path("disk", "full"), "wb") as file:
            file.write(bytes(8192))


class Names(Broken):
    def test_hostile(self):
        count = self.root.value("SELECT COUNT(*) FROM enrolment")
        for name in HOSTILE:
            for words in (["enroll", "--bundle", self.path("b")], ["enroll", "--token", self.path("t")], ["revoke"]):
                done = run(*self.command(*words), "--", name, check=False, cwd=self.directory)
                self.assertEqual(done.returncode, 2, (name, words, done.stdout))
                self.assertLess(len(done.stderr), 1000)
            self.assertEqual(os.listdir(self.directory), [], name)
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM enrolment"), count)

    def test_longest(self):
        self.name = f"{self.name}-" + "n" * (252 - len(self.name))
        self.client("enroll", self.name, "--bundle", self.path("b"))
        self.take("b")
        self.assertEqual(self.login_error(self.path("host")), 0)

    def test_in_a_list(self):
        for text in ("..\n", "good\n.\n", "-x\n"):
            with open(self.path("hosts"), "w") as file:
                file.write(text)
            self.refused("enroll", "--from-file", self.path("hosts"), "--bundle", self.path("out"),
                         names=["nobody was enrolled"])
        self.is_nothing("hosts")


class InTheWay(Broken):
    def test_directory_of_another_host(self):
        self.client("enroll", self.name + "a", "--directory", self.path("files"))
        with open(self.path("files", "agent.cnf")) as file:
            before = file.read()
        for directory in (self.path("files"), self.server.ca):
            self.refused("enroll", self.name, "--directory", directory, names=["has the files of another host"])
        self.is_nothing("files")
        self.client("enroll", self.name, "--directory", self.path("own"))
        for verb in ("rotate", "reinstate"):
            if verb == "reinstate":
                self.client("revoke", self.name)
            self.refused(verb, self.name, "--directory", self.path("files"), names=["has the files of another host"])
        with open(self.path("files", "agent.cnf")) as file:
            self.assertEqual(file.read(), before)

    def test_token_over_a_file(self):
        with open(self.path("file"), "w") as file:
            file.write("precious")
        os.symlink(self.path("nowhere"), self.path("link"))
        for name in ("file", "link"):
            self.refused("enroll", self.name, "--token", self.path(name), names=["is there already"])
            self.refused("enroll", self.name, "--bundle", self.path(name), names=["is there already"])
        with open(self.path("file")) as file:
            self.assertEqual(file.read(), "precious")
        self.is_nothing("file", "link")

    def test_disk_full(self):
        self.small_disk()
        for words in (["--bundle", "b"], ["--directory", "d"], ["--token", "t"]):
            self.refused("enroll", self.name, words[0], self.path("disk", words[1]), names=["No space left"])
            self.is_nothing("disk")
            self.assertEqual(os.listdir(self.path("disk")), ["full"], words)

    def test_disk_full_at_rotation(self):
        """What the host has works until it gets something else."""
        self.client("enroll", self.name, "--directory", self.path("files"), "--host-directory", self.path("files"))
        self.small_disk()
        for words in (["--bundle", "b"], ["--directory", "d"]):
            self.refused("rotate", self.name, words[0], self.path("disk", words[1]), names=["No space left"])
        self.assertEqual(self.login_error(self.path("files")), 0)
        self.assertEqual(self.root.run("CALL vestige_changed_credentials()"), ())

    def test_disk_full_on_the_host(self):
        self.client("enroll", self.name, "--bundle", self.path("b"))
        self.small_disk()
        said = self.take("b", "disk/host", status=2).stderr
        self.assertIn("No space left", said)
        self.assertIsNone(self.enrolled()["used_from"])
        self.take("b")
        self.assertEqual(self.login_error(self.path("host")), 0)


class Interrupted(Broken):
    def hold(self, process):
        """The command waits for a table, when the account is made and the key is not yet there."""
        holder = self.server.root("vestige")
        self.addCleanup(holder.close)
        holder.run("LOCK TABLES host_key WRITE")
        started = process()
        number = wait_for(lambda: holder.run(
            "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%%'"
            " AND info LIKE '%%host_key%%'"), 60, "the command waits")[0][0]
        return holder, started, number

    def test_by_a_signal(self):
        for number in SIGNALS:
            bundle = f"b{int(number)}"
            holder, process, _ = self.hold(lambda: self.begin("enroll", self.name + bundle, "--bundle",
                                                              self.path(bundle)))
            process.send_signal(number)
            holder.run("UNLOCK TABLES")
            self.assertEqual(process.wait(60), -number)
            self.assertEqual([name for name in os.listdir(self.directory) if name.startswith(bundle)], [bundle])
            self.take(bundle, "host" + bundle)
            self.assertEqual(self.login_error(self.path("host" + bundle)), 0)

    def test_connection_is_lost(self):
        """Nothing can be undone then; the same command goes on, under the same number."""
        holder, process, number = self.hold(lambda: self.begin("enroll", self.name, "--bundle", self.path("b")))
        holder.run(f"KILL CONNECTION {number}")
        self.assertEqual(process.wait(60), 2)
        holder.run("UNLOCK TABLES")
        self.assertEqual(os.listdir(self.directory), [])
        host_id = self.enrolled()["host_id"]
        self.client("enroll", self.name, "--bundle", self.path("b"))
        self.assertEqual(self.enrolled()["host_id"], host_id)
        self.take("b")
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.keys()[0][1], public_key(self.path("host", "signing.key")))
        self.assertEqual(self.root.run("CALL vestige_changed_credentials()"), ())

    def test_rotation_of_what_a_crash_left(self):
        """It has no key for signing yet, so it gets one."""
        self.root.run("INSERT INTO enrolment (name, account) VALUES (%s, '')", self.name)
        host_id = self.enrolled()["host_id"]
        self.root.run("UPDATE enrolment SET account = %s WHERE host_id = %s", f"agent_{host_id}@%", host_id)
        self.client("rotate", self.name, "--bundle", self.path("b"))
        self.take("b")
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.keys()[0][1], public_key(self.path("host", "signing.key")))

    def test_approval(self):
        """The account was made, and the token does not know of it."""
        self.client("enroll", self.name, "--token", self.path("t"))
        said = self.take("t", "host", "--wait", "0", status=2)
        self.assertIn("nobody approved", said.stderr)
        digest = self.root.value("SELECT password_hash FROM enrolment_token WHERE name = %s", self.name)
        self.client("approve", self.name)
        first = self.enrolled()
        self.root.run("UPDATE enrolment_token SET approved_at = NULL, host_id = NULL, certificate = NULL,"
                      " password_hash = %s WHERE name = %s", digest, self.name)
        self.client("approve", self.name)
        self.take("t")
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assertEqual(self.enrolled()["host_id"], first["host_id"])
        self.assertEqual(len(self.keys()), 1)


class AtOnce(Broken):
    def run_all(self, commands):
        started = [self.begin(*words) for words in commands]
        outputs = [process.communicate(timeout=120)[0] for process in started]
        return sorted(process.returncode for process in started), outputs

    def test_one_name(self):
        statuses, outputs = self.run_all([["enroll", self.name, "--bundle", self.path(f"b{i}")] for i in range(4)])
        self.assertEqual(statuses, [0, 2, 2, 2], outputs)
        bundle, = os.listdir(self.directory)
        self.take(bundle)
        self.assertEqual(self.login_error(self.path("host")), 0)

    def test_rotation(self):
        """The last one is good, and the server knows it as that."""
        self.client("enroll", self.name, "--bundle", self.path("b"))
        statuses, outputs = self.run_all([["rotate", self.name, "--bundle", self.path(f"r{i}")] for i in range(4)])
        self.assertEqual(statuses, [0, 0, 0, 0], outputs)
        self.assertEqual(self.root.run("CALL vestige_changed_credentials()"), ())
        taken = [run(VESTIGED, "--enroll", self.path(f"r{i}"), "--directory", self.path(f"host{i}"), check=False)
                 for i in range(4)]
        self.assertEqual(sorted(done.returncode for done in taken), [0, 2, 2, 2])


class OnTheHost(Broken):
    def test_a_bundle_that_is_refused_leaves_nothing(self):
        self.client("enroll", self.name, "--bundle", self.path("b"))
        shutil.copy(self.path("b"), self.path("copy"))
        self.take("b")
        for target in ("thief", "host"):
            self.assertIn("used already", self.take("copy", target, status=2).stderr)
        self.assertEqual(os.listdir(self.path("thief")), [])
        self.assert_private(self.path("host"), *FILES)

    def test_a_bundle_that_was_begun_gives_way_to_the_next(self):
        self.client("enroll", self.name, "--bundle", self.path("b"))
        os.makedirs(self.path("host", "agent.cnf"))  # a file cannot be put there
        self.take("b", status=2)
        os.rmdir(self.path("host", "agent.cnf"))
        self.client("rotate", self.name, "--bundle", self.path("next"))
        self.take("next")
        self.assertEqual(self.login_error(self.path("host")), 0)
        self.assert_private(self.path("host"), *FILES)

    def test_two_in_one_directory(self):
        self.client("enroll", self.name, "--bundle", self.path("b"))
        os.mkdir(self.path("host"))
        directory = os.open(self.path("host"), os.O_RDONLY)
        self.addCleanup(os.close, directory)
        fcntl.flock(directory, fcntl.LOCK_EX)
        self.assertIn("another vestiged --enroll is at work", self.take("b", status=2).stderr)
        fcntl.flock(directory, fcntl.LOCK_UN)
        self.take("b")

    def owners(self, name):
        with open(self.path("host", "vestiged.conf"), "w") as file:
            file.write(f"[agent]\nhost_id = 0\nuser = {name}\n")
        self.client("enroll", self.name, "--bundle", self.path("b"))
        said = self.take("b").stderr
        return said, {pwd.getpwuid(os.stat(self.path("host", file)).st_uid).pw_name
                      for file in FILES if file != "vestiged.conf"}

    def test_files_are_of_the_user_that_the_configuration_names(self):
        os.mkdir(self.path("host"))
        for name, owner in (("daemon", "daemon"), ("", "root"), ("no-such-user", "root")):
            said, owners = self.owners(name)
            self.assertEqual(owners, {owner}, said)
            self.assertEqual("there is no user no-such-user" in said, name == "no-such-user", said)
            shutil.rmtree(self.path("host"))
            os.mkdir(self.path("host"))
            self.name += "x"


if __name__ == "__main__":
    unittest.main(verbosity=2)
