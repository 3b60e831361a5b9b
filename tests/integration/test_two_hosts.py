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
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import pymysql

from agent_alone import Agent
from private_server import VestigeServer
from vestige_test import (ACTOR, VESTIGE, Standalone, actor_command, assert_audit_state, audit_state,
                          main, run, wait_for)

LATE = 90
COPY = 1000000
LOOKED = "tolerance=30"  # so late what was found by looking may be
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
        wait_for(lambda: "Server listening" in self.said(), 60, "sshd listens")

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
        self.writer = -1

    def wait(self):
        """All wait, from here until let_go()."""
        def opened():
            if self.client.poll() is not None:
                raise AssertionError(self.said())
            with contextlib.suppress(OSError):
                self.writer = os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK)
                return True
            return False
        wait_for(opened, 60, "the innermost command waits")

    def let_go(self):
        """The innermost command ends, and with it all others; nothing may have gone wrong."""
        writer, self.writer = self.writer, -1
        os.close(writer)
        output, _ = self.client.communicate(timeout=60)
        if self.client.returncode:
            raise AssertionError(output + self.said())

    def said(self):
        return "".join(host.said() for host in self.hosts)

    def close(self):
        self.client.kill()
        self.client.wait(30)
        self.client.stdout.close()
        with contextlib.suppress(OSError):
            os.close(self.writer)  # unless it was let go
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
        cls.server = VestigeServer()
        cls.addClassCleanup(cls.server.close)
        cls.place = ("--no-defaults", f"--socket={cls.server.socket}", "--user=root")
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.web, cls.db = two_hosts(cls.addClassCleanup)
        with open(cls.db.path("passwd"), "a") as stream:
            stream.write("bob:x:4712:4712::/:/bin/sh\n")
        for host in (cls.web, cls.db):
            cls.start_agent(host)
        with cls.agents_stopped():
            cls.journey = Journey(cls.web, cls.db)
            cls.addClassCleanup(cls.journey.close)
            cls.journey.wait()
        try:
            wait_for(cls.all_seen, 60, "both agents saw all of it", 0.2)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{cls.journey.said()}") from None

    @classmethod
    def start_agent(cls, host):
        host.host_id, user, password = enrolled(cls.server, host.name)
        host.agent = Agent()
        cls.addClassCleanup(host.agent.remove)
        host.agent.sections["agent"]["host_id"] = host.host_id
        host.agent.set_server(socket=cls.server.socket, user=user, password=password)
        host.agent.sections["agent"]["user"] = ""  # the hosts have no other system user
        host.agent.set_owner("root")
        off = {"mode": "off"}
        host.agent.sections.update(
            audit=off, connector=off, taskstats=off, bpf=off, files=off, devices=off,
            names={"resolve": "off"}, kernel_events=off,
            proc={"interval_ms": 50, "full_interval_s": 1}, sock_diag={"interval_s": 1})
        host.agent.start(prefix=host.enter())

    @classmethod
    @contextlib.contextmanager
    def agents_stopped(cls):
        """Who only looks may look between fork and exec, and then does not know the program."""
        pids = [host.agent.inner_pid() for host in (cls.web, cls.db)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for host in (cls.web, cls.db):
                os.kill(host.agent.process.pid, signal.SIGCONT)  # nsenter stops with its child
                os.kill(host.agent.inner_pid(), signal.SIGCONT)

    @classmethod
    def all_seen(cls):
        """Both ends of both connections, with their processes, both sessions, and what the programs are,
        which is read from their files meanwhile."""
        return (cls.root.value("SELECT COUNT(DISTINCT host_id, direction) FROM endpoint "
                               "WHERE direction IN ('in', 'out') AND process_id IS NOT NULL "
                               "AND protocol = 'tcp' AND destroyed_at IS NULL") == 4
                and cls.root.value("SELECT COUNT(*) FROM session WHERE process_id IS NOT NULL "
                                   "AND remote_address IS NOT NULL") == 2
                and cls.root.value("SELECT COUNT(*) FROM process WHERE exe IN ('/usr/bin/ssh', '/usr/bin/su') "
                                   "AND exe_sha256 IS NOT NULL") >= 3)

    WORDS = ("hop", "from_host", "login_user", "from_user", "program", "to_host", "to_user", "tolerance_s")
    THERE = (1, "web1", "alice", "alice", "ssh", "db1", "alice", 30)
    BACK = (2, "db1", "alice", "root", "ssh", "web1", "root", 30)
    PATH = "alice on web1, by ssh, then alice on db1"
    WHOLE = PATH + ", as root, by ssh, then root on web1"

    def test_movement(self):
        rows = self.report("movement-between-hosts", LOOKED)
        self.assertEqual([self.THERE, self.BACK], self.values(rows, *self.WORDS))
        self.assertEqual([self.PATH, self.WHOLE], [row["path"] for row in rows])
        self.assertEqual(1, len({row["chain"] for row in rows}))
        self.assertEqual([self.db.host_id, self.web.host_id], [row["row_host_id"] for row in rows])
        for row in rows:
            self.assertLess(abs(row["apart_s"]), 30)
            for table, host, name in (("session", "row_host_id", "row_id"),
                                      ("endpoint", "row_host_id", "row_endpoint_id"),
                                      ("endpoint", "row_other_host_id", "row_other_endpoint_id"),
                                      ("process", "row_other_host_id", "row_other_process_id")):
                self.assertEqual(1, self.root.value(
                    f"SELECT COUNT(*) FROM {table} WHERE host_id = %s AND id = %s", row[host],
                    row[name]), (table, row))

    def test_movement_of(self):
        """A chain is shown whole, when one of its hosts or users was asked for."""
        for words in (("--on", "db1"), ("--on", "web1"), ("--login-user", "alice"),
                      ("--login-user", "root"), ("--since", "1h ago"), ("hops=2",)):
            with self.subTest(words=words):
                rows = self.report("movement-between-hosts", LOOKED, *words)
                self.assertEqual([self.THERE, self.BACK], self.values(rows, *self.WORDS))
        self.assertEqual([self.THERE], self.values(self.report("movement-between-hosts", LOOKED, "hops=1"),
                                                   *self.WORDS))
        for words in (("--login-user", "4712"), ("--until", "1h ago"), ("--login-user", "unset")):
            with self.subTest(words=words):
                self.assertEqual([], self.report("movement-between-hosts", LOOKED, *words, status=1))

    def test_connections(self):
        rows = self.report("connections-between-hosts")
        names = ("from_host", "login_user", "from_user", "from_program", "to_host", "to_address",
                 "to_program", "to_user")
        self.assertCountEqual(
            [("web1", "alice", "alice", "ssh", "db1", self.db.address + " 22", "sshd", "root"),
             ("db1", "alice", "root", "ssh", "web1", self.web.address + " 22", "sshd", "root")],
            self.values(rows, *names))
        self.assertEqual(rows, self.report("connections-between-hosts", "port=22"))
        self.assertEqual([], self.report("connections-between-hosts", "port=23", status=1))

    def test_user(self):
        rows = self.report("user-across-hosts", "alice")
        self.assertEqual([("web1", "alice"), ("db1", "alice")], self.values(rows, "host", "login_user"))
        self.assertIn("root", rows[1]["as_users"].split(", "))
        self.assertEqual([], self.report("user-across-hosts", "user=4712", status=1))
        row, = self.report("user-across-hosts", "root", "--on", "web1")
        self.assertEqual(("root", 1, self.db.address),
                         (row["as_users"], row["sessions"], row["came_from"]))

    def test_binaries(self):
        rows = self.report("binary-across-hosts", "/usr/bin/ssh")
        self.assertEqual([("web1", 1, "alice"), ("db1", 1, "alice")],
                         self.values(rows, "host", "runs", "login_users"))
        digest, = {row["sha256"] for row in rows}
        with open("/usr/bin/ssh", "rb") as stream:
            self.assertEqual(hashlib.file_digest(stream, "sha256").hexdigest(), digest)
        self.assertEqual(rows, self.report("binary-across-hosts", "program=" + digest))
        self.assertEqual([], self.report("binary-across-hosts", "%", status=1))
        rare = {row["exe"]: row for row in self.report("rare-binaries")}
        self.assertNotIn("/usr/bin/ssh", rare)
        self.assertEqual(("db1", "alice", 1), (rare["/usr/bin/su"]["host"],
                                               rare["/usr/bin/su"]["login_users"],
                                               rare["/usr/bin/su"]["runs"]))
        self.assertNotIn("/usr/bin/su", {row["exe"] for row in self.report("rare-binaries", "--on", "web1")})
        self.assertIn("/usr/bin/ssh", {row["exe"] for row in self.report("rare-binaries", "hosts=2")})

    def test_differences(self):
        names = ("kind", "subject", "on_host", "on_other")
        rows = self.report("differs-between-hosts", "web1", "db1")
        with_kind = [row for row in self.values(rows, *names) if row[0] in ("account", "group", "listener")]
        self.assertEqual([("account", "bob", None, "uid 4712 gid 4712 / /bin/sh password absent")],
                         with_kind)
        self.assertIn("/usr/bin/su", [row["subject"] for row in rows if row["kind"] == "program"])
        self.assertEqual([], self.report("differs-between-hosts", "web1", "other=web1", status=1))

    def test_fleet(self):
        system = os.uname()
        self.assertEqual([("db1", "db1", system.release), ("web1", "web1", system.release)],
                         self.values(self.report("host-versions"), "host", "name", "kernel"))
        self.assertEqual([], self.report("host-versions", "at=1h ago", status=1))
        rows = self.report("clock-offsets")
        self.assertEqual({"web1", "db1"}, {row["host"] for row in rows})
        for row in rows:
            self.assertLess(abs(row["last_offset_ms"]), 2000)
            self.assertEqual(0, row["clock_events"])
        self.assertEqual([], self.report("silent-hosts", status=1))
        self.assertEqual({("web1", "runs"), ("db1", "runs")},
                         set(self.values(self.report("silent-hosts", "minutes=0"), "host", "last_boot")))
        rows = self.report("network-at", "address=" + self.web.address)
        self.assertIn(("web1", "address", "vt0", self.web.address + "/24"),
                      self.values(rows, "host", "kind", "interface", "subject"))
        self.assertEqual({"web1"}, {row["host"] for row in rows})


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
            journey.wait()
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
        same = ("batch, hash, previous_hash, format, boot_id, first_time, last_time, n_lines, cursors, recovered, "
                "digests, received_at")
        cls.change(f"INSERT INTO batch (host_id, server_offset_us, {same}) SELECT %s, server_offset_us + %s * 1000000, "
                   f"{same} FROM batch WHERE host_id = 1", host_id, late)
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

    NAMES = ("hop", "from_host", "login_user", "from_user", "program", "to_host", "to_user", "service",
             "became", "session_by", "came_from")
    THERE = (1, "web1", str(ALICE), str(ALICE), "ssh", "db1", "alice", "sshd", "root", "exact", None)
    BACK = (2, "db1", str(ALICE), "root", "ssh", "web1", "root", "sshd", None, "exact", f"{NETWORK}.1")

    def test_movement(self):
        """All at the time of the server's clock, and over."""
        rows = self.report("movement-between-hosts")
        self.assertEqual([self.THERE, self.BACK], self.values(rows, *self.NAMES))
        self.assertEqual(f"{ALICE} on web1, by ssh, then alice on db1, as root, by ssh, then root on web1",
                         rows[1]["path"])
        self.assertLess(rows[0]["at"], rows[1]["at"])
        self.assertLess(rows[1]["at"], min(row["until"] for row in rows))
        for row in rows:
            self.assertLess(abs(row["apart_s"]), 2)

    def test_clock_that_was_not_measured(self):
        """Without the correction nothing fits, unless so much is tolerated."""
        self.change("UPDATE batch SET server_offset_us = NULL WHERE host_id = 3")
        try:
            self.assertEqual([], self.report("movement-between-hosts", status=1))
            self.assertEqual([], self.report("connections-between-hosts", status=1))
            rows = self.report("movement-between-hosts", f"tolerance={LATE + 5}")
            self.assertEqual([self.THERE, self.BACK], self.values(rows, *self.NAMES))
            self.assertEqual([-LATE, LATE], [round(row["apart_s"]) for row in rows])
        finally:
            self.change("UPDATE batch SET server_offset_us = %s WHERE host_id = 3", LATE * 1000000)

    def test_clocks(self):
        rows = {row["host"]: row for row in self.report("clock-offsets")}
        self.assertEqual(LATE, round(rows["db1"]["last_offset_ms"] / 1000))
        self.assertEqual(0, round(rows["web1"]["last_offset_ms"] / 1000))

    def test_both_saw_all(self):
        """Two agents that hear the whole machine, as in network namespaces only, record both ends each.
        It is the address that tells whose each is."""
        for n, host_id in ((1, 2), (2, 3)):
            self.change("INSERT INTO interface_address (host_id, id, day, created_at, seen_by, interface, "
                        "address, batch) VALUES (%s, 1, '1970-01-01', '1970-01-01', 'rtnetlink', 'vt0', %s, "
                        "1)", host_id, f"{NETWORK}.{n}")
        try:
            for table in ("session", "endpoint", "process"):
                self.copy(table)
            rows = self.report("movement-between-hosts")
            self.assertEqual([self.THERE, self.BACK], self.values(rows, *self.NAMES))
            rows = self.report("connections-between-hosts")
            self.assertEqual([("web1", "db1"), ("db1", "web1")],
                             self.values(rows, "from_host", "to_host"))
        finally:
            self.change("DELETE FROM interface_address WHERE host_id IN (2, 3)")
            for table in ("session", "endpoint", "process"):
                self.change(f"DELETE FROM {table} WHERE settle_batch = {COPY}")

    def copy(self, table):
        """The rows of each to the other, by its clock; a copy is known by a batch that never was."""
        with self.root.cursor() as cursor:
            cursor.execute("SELECT column_name FROM information_schema.columns WHERE table_schema = "
                           "'vestige' AND table_name = %s AND is_generated = 'NEVER'", [table])
            names = [name for name, in cursor.fetchall()]
        values = {"host_id": "5 - host_id", "settle_batch": str(COPY),
                  **{name: f"{name} + INTERVAL IF(host_id = 3, %s, -%s) SECOND"
                     for name in ("created_at", "destroyed_at")}}
        self.change(f"INSERT INTO {table} ({', '.join(names)}) SELECT "
                    f"{', '.join(values.get(name, name) for name in names)} FROM {table} "
                    f"WHERE host_id IN (2, 3)", *[LATE] * 4)

    def test_lost_end(self):
        """Of a connection of which only one end was recorded nothing is said."""
        self.change("UPDATE endpoint SET remote_port = remote_port + 1 WHERE host_id = 3 AND "
                    "direction = 'in'")
        try:
            rows = self.report("movement-between-hosts")
            self.assertEqual([(1, "db1", str(ALICE), "root", "web1", "root")], self.values(
                rows, "hop", "from_host", "login_user", "from_user", "to_host", "to_user"))
        finally:
            self.change("UPDATE endpoint SET remote_port = remote_port - 1 WHERE host_id = 3 AND "
                        "direction = 'in'")


if __name__ == "__main__":
    main()
