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
import subprocess
import tempfile
import unittest

import pymysql

from agent_alone import Agent
from private_server import PrivateServer
from vestige_test import (ACTOR, VESTIGE, Standalone, actor_command, assert_audit_state, audit_state,
                          brief, main, run, wait_for)

LATE = 90
NETWORK = "198.18.7"
ALICE = 4711
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
        # Of nobody who uses it: only of one's own keys ssh demands that others cannot read them.
        os.chmod(self.path("key"), 0o644)
        os.chown(self.path("key"), 65534, 65534)
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


class Journey:
    """A login user goes from web1 to db1 and, as root, from there back; all wait at the end of it until
    they are let go."""

    def __init__(self, web, db):
        self.gate = web.path("gate")
        os.mkfifo(self.gate)
        os.chmod(self.gate, 0o666)
        back = db.ssh_to(web, "root", f"cat {self.gate}")
        there = web.ssh_to(db, "alice", f'"su root -c \'{back}\'"')
        self.client = subprocess.Popen(
            web.enter(*actor_command("login", ALICE, ACTOR, "as", ALICE, "/bin/sh", "-c",
                                     there + "; exit")),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.hosts = web, db

    def let_go(self):
        """The innermost command ends, and with it all others; nothing may have gone wrong."""
        def opened():
            with contextlib.suppress(OSError):
                os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
                return True
            if self.client.poll() is not None:
                raise AssertionError(self.said())
            return False
        wait_for(opened, 20, "the innermost command waits")
        output, _ = self.client.communicate(timeout=30)
        if self.client.returncode:
            raise AssertionError(output + self.said())

    def said(self):
        return "".join(host.said() for host in self.hosts)

    def close(self):
        self.client.kill()
        self.client.wait(30)
        self.client.stdout.close()
        os.unlink(self.gate)


def two_hosts(cleanup):
    """web1 and db1, joined, each with its sshd."""
    hosts = []
    for n, name in ((1, "web1"), (2, "db1")):
        hosts.append(Host(name, f"{NETWORK}.{n}"))
        cleanup(hosts[-1].close)
    join(*hosts)
    for host in hosts:
        host.start_sshd()
    return hosts


def enrolled(server, name):
    """Number, user and password of an agent's account."""
    options = {}
    with open(os.path.join(server.enrol(name), "agent.cnf")) as stream:
        for line in stream:
            key, _, value = line.partition("=")
            options[key.strip()] = value.strip().strip("'\"")
    return int(options["user"].removeprefix("agent_")), options["user"], options["password"]


class Asked(unittest.TestCase):
    maxDiff = None

    def report(self, *words, status=0):
        """The rows, without keys and moments unless they are asked for."""
        done = run(VESTIGE, "report", *words, "--format", "json", *self.place, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)["rows"]

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]


class TestTwoAgents(Asked):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.server = PrivateServer()
        cls.addClassCleanup(cls.server.close)
        cls.server.vestige("server", "init")
        cls.place = ("--no-defaults", f"--socket={cls.server.socket}", "--user=root")
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.web, cls.db = two_hosts(cls.addClassCleanup)
        with open(cls.db.path("passwd"), "a") as stream:
            stream.write("bob:x:4712:4712::/:/bin/sh\n")
        for host in (cls.web, cls.db):
            cls.start_agent(host)
        cls.journey = Journey(cls.web, cls.db)
        cls.addClassCleanup(cls.journey.close)
        try:
            wait_for(cls.all_seen, 20, "both agents saw all of it", 0.2)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{cls.journey.said()}") from None

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
            names={"resolve": "off"}, kernel_events=off,
            proc={"interval_ms": 50, "full_interval_s": 1}, sock_diag={"interval_s": 1})
        host.agent.start(prefix=host.enter())

    @classmethod
    def all_seen(cls):
        """Both ends of both connections, with their processes, and both sessions."""
        return (cls.root.value("SELECT COUNT(DISTINCT host_id, direction) FROM endpoint "
                               "WHERE direction IN ('in', 'out') AND process_id IS NOT NULL "
                               "AND protocol = 'tcp' AND destroyed_at IS NULL") == 4
                and cls.root.value("SELECT COUNT(*) FROM session WHERE process_id IS NOT NULL "
                                   "AND remote_address IS NOT NULL") == 2)

    def test_movement(self):
        rows = self.report("movement-between-hosts")
        print(brief(rows))


class TestHalves(Asked):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.vestige = Standalone()
        cls.addClassCleanup(cls.vestige.remove)
        cls.vestige.start()
        cls.addClassCleanup(cls.vestige.stop)
        cls.place = ("--state", cls.vestige.state)
        with contextlib.ExitStack() as stack:
            hosts = two_hosts(stack.callback)
            numbers = {host.name: os.stat(f"/proc/{host.pid}/ns/net").st_ino for host in hosts}
            journey = Journey(*hosts)
            stack.callback(journey.close)
            journey.let_go()
        cls.vestige.sync()
        cls.root = pymysql.connect(unix_socket=cls.vestige.path("run", "mariadb.sock"), user="root",
                                   database="vestige", autocommit=True)
        cls.addClassCleanup(cls.root.close)
        cls.give(2, "web1", numbers["web1"], 0)
        cls.give(3, "db1", numbers["db1"], LATE)

    @classmethod
    def give(cls, host_id, name, namespace, late):
        """Rows of this network namespace to a host whose clock is late."""
        cls.change("INSERT INTO enrolment (host_id, name, account) VALUES (%s, %s, %s)", host_id, name,
                   f"agent_{host_id}@localhost")
        cls.change("INSERT INTO batch SELECT %s, batch, hash, previous_hash, format, boot_id, first_time, "
                   "last_time, n_lines, cursors, recovered, server_offset_us + %s * 1000000, digests, "
                   "received_at, verified_at FROM batch WHERE host_id = 1", host_id, late)
        theirs = ("SET host_id = %s, created_at = created_at - INTERVAL %s SECOND, "
                  "destroyed_at = destroyed_at - INTERVAL %s SECOND WHERE host_id = 1 AND ")
        for table, condition in (
                ("session", "process_id IN (SELECT id FROM process WHERE net_ns = %s)"),
                ("endpoint", "netns = %s"), ("process", "net_ns = %s")):
            cls.change(f"UPDATE {table} {theirs} {condition}", host_id, late, late, namespace)

    @classmethod
    def change(cls, sql, *values):
        with cls.root.cursor() as cursor:
            cursor.execute(sql, values)

    def test_movement(self):
        rows = self.report("movement-between-hosts")
        print(brief(rows))


if __name__ == "__main__":
    main()
