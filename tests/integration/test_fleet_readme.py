#!/usr/bin/python3
"""The commands of deploy/fleet/README.md, as they stand there, in a mount namespace of their own: with /etc/vestige,
/etc/mysql and /run/mysqld that are empty, and with systemctl, which here starts a mariadbd."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from network_test import own_port
from vestige_test import BIN

README = ROOT / "deploy" / "fleet" / "README.md"
SYSTEMCTL = """#!/bin/sh
[ "$*" = "restart mariadb" ] || exit 1
exec mariadbd --defaults-file=/etc/mysql/mariadb.conf.d/60-vestige.cnf --user=root --datadir={directory}/data \\
  --tmpdir={directory}/tmp --socket=/run/mysqld/mysqld.sock --port={port} --pid-file={directory}/pid \\
  --innodb-buffer-pool-size=64M </dev/null >{directory}/log 2>&1 &
for i in $(seq 600); do mariadb -e 'DO 0' 2>/dev/null && exit 0; sleep 0.1; done
cat {directory}/log >&2
exit 1
"""
# What README leaves to the administrator: the port is another one here.
MARIADB = "#!/bin/sh\nexec /usr/bin/mariadb --no-defaults --socket=/run/mysqld/mysqld.sock \"$@\"\n"


class Readme(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-readme-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.port = own_port()
        for name in ("bin", "vestige", "vestige2", "mysql/mariadb.conf.d", "mysqld", "tmp", "work"):
            os.makedirs(self.path(name))
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.path('data')}", "--user=root",
                        f"--tmpdir={self.path('tmp')}", "--auth-root-authentication-method=socket", "--skip-test-db"],
                       check=True, capture_output=True, stdin=subprocess.DEVNULL)
        self.script("systemctl", SYSTEMCTL.format(directory=self.directory, port=self.port))
        self.script("mariadb", MARIADB)
        self.write("hosts", "127.0.0.1 localhost db1.example.net\n")
        with open("/etc/passwd") as passwd, open("/etc/group") as group:
            self.write("passwd", passwd.read() + "\nmysql:x:64999:64999::/nonexistent:/bin/false\n")
            self.write("group", group.read() + "\nmysql:x:64999:\n")
        os.symlink(ROOT / "deploy", self.path("work", "deploy"))
        self.first = self.hold()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def script(self, name, text):
        self.write(f"bin/{name}", text)
        os.chmod(self.path("bin", name), 0o755)

    def hold(self):
        """A process in the namespace, for as long as the test lasts."""
        mounts = {"vestige": "/etc/vestige", "mysql": "/etc/mysql", "mysqld": "/run/mysqld", "hosts": "/etc/hosts",
                  "passwd": "/etc/passwd", "group": "/etc/group"}
        missing = [target for name, target in mounts.items() if not os.path.exists(target)]
        for target in missing:
            os.makedirs(target)
            self.addCleanup(os.rmdir, target)
        text = "mount --make-rprivate /; " + "; ".join(
            f"mount --bind {self.path(name)} {target}" for name, target in mounts.items())
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-ec",
             text + "; echo ready; exec sleep infinity"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def command(self, text, second=False):
        with open(f"/proc/{self.first.pid}/task/{self.first.pid}/children") as children:
            inner = children.read().split()[0]
        environment = f"export PATH={self.path('bin')}:{os.path.abspath(BIN)}:$PATH HOME=/nonexistent MYSQL_TCP_PORT={self.port}; "
        if second:  # another host has another /etc/vestige
            environment += f"mount --bind {self.path('vestige2')} /etc/vestige; "
        return ["nsenter", "--target", inner, "--mount", "--pid", *(["unshare", "--mount"] if second else []),
                "/bin/bash", "-ec", f"cd {self.path('work')}; {environment}{text}"]

    def run_block(self, text, second=False):
        done = subprocess.run(self.command(text, second), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=180)
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}{done.stderr}")
        return done.stdout

    def enroll(self, text):
        process = subprocess.Popen(self.command(text), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertIn("fingerprint", line)
        return process, line.split()[-1]

    def test_commands(self):
        blocks = re.findall(r"^```(sh|ini) (\S+)\n(.*?)^```$", README.read_text(), re.M | re.S)
        self.assertGreater(len(blocks), 12)
        waiting = fingerprint = None
        for kind, where, text in blocks:
            if kind == "ini":
                path = where.replace("/etc/mysql", self.path("mysql")) if where[0] == "/" else self.path("work", where)
                with open(path, "w") as file:
                    file.write(text)
            elif where == "host":
                waiting, fingerprint = self.enroll(text)
            elif where == "host2":
                self.run_block(text, second=True)
            else:
                said = self.run_block(text.replace("FINGERPRINT", fingerprint or "FINGERPRINT"))
                if "approve" in text:
                    rest = waiting.stdout.read()
                    self.assertEqual(waiting.wait(60), 0, rest)
                if where == "reader":
                    self.assertIn("web1", said)
        names = ["agent.cnf", "agent.key", "agent.pem", "ca.pem", "signing.key", "vestiged.conf"]
        self.assertEqual(sorted(os.listdir(self.path("vestige"))), sorted([*names, "ca"]))
        self.assertEqual(sorted(os.listdir(self.path("vestige2"))), names)
        self.assertEqual(sorted(os.listdir(self.path("work", "bundles"))), ["web3.bundle", "web4.bundle"])
        states = dict(re.findall(r"^\d+,(\w+),.*?,.*?,(\w+),", self.run_block("vestige client list --format csv"), re.M))
        self.assertEqual(states, {"web1": "active", "web2": "active", "web3": "retired", "web4": "revoked"})

    def test_help(self):
        said = self.run_block("deploy/fleet/make-ca --help")
        self.assertIn("Usage: make-ca", said)
        for words, reason in (("", "name the server"), ("--days x db", "whole number"), ("--nothing", "no option"),
                              ("'a b'", "no name and no address"), ("--directory", "needs a value"),
                              ("--directory /etc/vestige/none --revoke-server x", "no authority")):
            done = subprocess.run(self.command(f"deploy/fleet/make-ca {words}"), capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=60)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(reason, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
