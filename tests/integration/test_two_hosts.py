"""Two hosts, one server: who went from one to the other.

Real here: two agents, each with its own state directory, journal, enrolment and account at one server;
two network namespaces joined by a veth pair; sshd, ssh, PAM and the kernel's login users; logins in
utmp; processes, sockets and addresses as each agent found them. Each host is a set of namespaces
(network, processes, mounts, name) with accounts, /run and /var/log of its own, so that no agent sees
what is the other's.

Not real: there is one kernel. Audit, the process connector, taskstats and BPF speak only to, or in the
numbers of, the first namespaces, so an agent in there is without them: here it finds processes by
looking into /proc every 50 ms and sockets every second. That is why each command of these tests waits until it was
seen, and why there are no exit codes. TestHalves has what these sources see: one agent records
the machine while the same happens in it, and its rows are given to two hosts, by the network namespace
that each row names, the second with a clock that is 90 s late. Clocks that differ cannot be had
otherwise: the real clock has no namespace."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from agent_alone import Agent
from private_server import PrivateServer
from vestige_test import (ACTOR, Standalone, VestigeTest, actor_command, assert_audit_state, audit_state,
                          brief, main, run, wait_for)

NETWORK = "198.18.7"
ALICE = 1000
SSHD = """
Port 22
ListenAddress {address}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
PidFile none
UsePAM yes
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
UseDNS no
"""
PASSWD = "root:x:0:0:root:/:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n" \
         "nobody:x:65534:65534::/:/usr/sbin/nologin\n"
FILES = {
    "passwd": PASSWD + f"alice:x:{ALICE}:{ALICE}::/:/bin/sh\n",
    "group": f"root:x:0:\nnogroup:x:65534:\nutmp:x:43:\ntty:x:5:\nalice:x:{ALICE}:\n",
    "shadow": "".join(f"{name}:*:19000:0:99999:7:::\n" for name in ("root", "sshd", "nobody", "alice")),
    "su": "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n"
          "session required pam_permit.so\n",
}
ENTER = """
set -e
mount --make-rprivate /
for file in passwd group shadow; do mount --bind "$0/$file" "/etc/$file"; done
mount --bind "$0/su" /etc/pam.d/su
mount --bind "$0/run" /run
mount --bind "$0/log" /var/log
hostname "$1"
mkdir -p /run/sshd
echo ready
exec sleep infinity
"""


class Host:
    """Namespaces with a first process that does nothing."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        os.chmod(self.directory, 0o755)
        for name in ("run", "log"):
            os.mkdir(self.path(name))
        for name, text in FILES.items():
            with open(self.path(name), "w") as stream:
                stream.write(text)
        for name in ("run/utmp", "log/wtmp", "log/btmp", "log/lastlog"):
            with open(self.path(name), "w"):
                pass
        os.chmod(self.path("log/btmp"), 0o600)
        self.first = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             "/bin/sh", "-c", ENTER, self.directory, self.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.first.stdout.readline() != "ready\n":
            raise AssertionError("no namespaces")
        with open(f"/proc/{self.first.pid}/task/{self.first.pid}/children") as children:
            self.pid = int(children.read())
        self.sshd = None

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def enter(self, *words):
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--pid", *words]

    def run(self, *words):
        return run(*self.enter(*words))

    def start_sshd(self):
        for name in ("host_key", "key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name))
        shutil.copy(self.path("key.pub"), self.path("authorized_keys"))
        os.chmod(self.path("key"), 0o600)
        with open(self.path("sshd_config"), "w") as stream:
            stream.write(SSHD.format(address=self.address, directory=self.directory))
        with open(self.path("sshd.log"), "w") as log:
            self.sshd = subprocess.Popen(
                self.enter("/usr/sbin/sshd", "-D", "-e", "-f", self.path("sshd_config")),
                stdin=subprocess.DEVNULL, stderr=log)
        wait_for(lambda: "Server listening" in self.said(), 10, "sshd listens")

    def said(self):
        with open(self.path("sshd.log")) as stream:
            return stream.read()[-3000:]

    def ssh_to(self, other, user, command):
        """The words that go there, for a shell of this host; the key lies in the other's directory,
        which both can read."""
        return ("ssh -F none -tt -o BatchMode=yes -o StrictHostKeyChecking=no "
                "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes "
                f"-i {other.path('key')} {user}@{other.address} {command}")

    def close(self):
        if self.sshd is not None:
            self.sshd.terminate()
            self.sshd.wait(30)
        self.first.kill()  # and with it all that is in there
        self.first.wait(30)
        self.first.stdout.close()
        shutil.rmtree(self.directory)


def join(one, other):
    run("ip", "link", "add", "vt0", "netns", str(one.pid), "type", "veth",
        "peer", "name", "vt1", "netns", str(other.pid))
    for host, interface in ((one, "vt0"), (other, "vt1")):
        host.run("ip", "address", "add", f"{host.address}/24", "dev", interface)
        host.run("ip", "link", "set", interface, "up")
        host.run("ip", "link", "set", "lo", "up")


class Gates:
    """Commands that wait until they are let go, the innermost first."""

    def __init__(self, directory):
        self.directory = directory
        self.paths = []

    def command(self, name):
        path = os.path.join(self.directory, name)
        os.mkfifo(path)
        os.chmod(path, 0o666)
        self.paths.append(path)
        return f"cat {path}"

    @staticmethod
    def open(path):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    def waits(self):
        """Whether a command waits at the last gate; it is let go then."""
        return self.open(self.paths[-1])


def enrolled(server, name):
    """Number, user and password of an agent's account."""
    options = {}
    with open(os.path.join(server.enrol(name), "agent.cnf")) as stream:
        for line in stream:
            key, _, value = line.partition("=")
            options[key.strip()] = value.strip().strip("'\"")
    return int(options["user"].removeprefix("agent_")), options["user"], options["password"]


class TestTwoAgents(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.server = PrivateServer()
        cls.addClassCleanup(cls.server.close)
        cls.server.vestige("server", "init")
        cls.web, cls.db = (cls.start_host(name, f"{NETWORK}.{n}")
                           for n, name in ((1, "web1"), (2, "db1")))
        join(cls.web, cls.db)
        for host in (cls.web, cls.db):
            host.start_sshd()
            cls.start_agent(host)
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)

    @classmethod
    def start_host(cls, name, address):
        host = Host(name, address)
        cls.addClassCleanup(host.close)
        return host

    @classmethod
    def start_agent(cls, host):
        host.host_id, user, password = enrolled(cls.server, host.name)
        host.agent = Agent()
        cls.addClassCleanup(host.agent.remove)
        host.agent.sections["agent"]["host_id"] = host.host_id
        host.agent.set_server(socket=cls.server.socket, user=user, password=password)
        off = {"mode": "off"}
        host.agent.sections.update(
            audit=off, connector=off, taskstats=off, bpf=off, files=off, devices=off,
            names={"resolve": "off"}, programs={"hash": "off"}, kernel_events=off,
            proc={"interval_ms": 50, "full_interval_s": 1}, sock_diag={"interval_s": 1})
        host.agent.start(prefix=host.enter())

    def report(self, name, *words, status=0):
        done = self.server.vestige("report", name, *words, "--format", "json", check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)["rows"]

    def sync(self):
        for host in (self.web, self.db):
            run(os.path.join(os.environ["VESTIGE_BIN"], "vestige"), "sync", "--config",
                host.agent.path("vestiged.conf"))

    def test_there_and_back(self):
        inner = self.db.ssh_to(self.web, "root", "sleep 4")
        outer = self.web.ssh_to(self.db, "root", f"'sleep 3; {inner}'")
        client = subprocess.run(
            self.web.enter(*actor_command("login", ALICE, "/bin/sh", "-c", outer)),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        print(client, self.web.said(), self.db.said())
        time.sleep(3)
        self.sync()
        for t in ("session", "endpoint", "interface_address"):
            print(subprocess.run(["mariadb","--no-defaults","-S",self.server.socket,"-uroot","vestige","-e",f"select * from {t}\\G"],capture_output=True,text=True).stdout)
        print(subprocess.run(["mariadb","--no-defaults","-S",self.server.socket,"-uroot","vestige","-e",f"select host_id,id,created_at,destroyed_at,pid,ppid,parent_id,comm,cmdline,session_id,login_uid,login_username,username,seen_by from process;select * from coverage"],capture_output=True,text=True).stdout)
        print(self.report("movement-between-hosts"))


if __name__ == "__main__":
    main()
