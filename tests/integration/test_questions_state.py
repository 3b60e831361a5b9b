"""What was so at a moment, what changed, what ran for no login user, and what the evidence itself is
worth: the canned questions of these groups about one recording.

One agent records this machine while things are made, held, and taken away again: before, during and
after are the moments that are asked about. After that only the database runs, so that answers stand
still. Accounts and the files of logins are the test's own. What ran here before, and what others do on
this machine at the time, is in the answers too: so rows are looked for by what only the test made."""

import contextlib
import datetime
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import unittest

import pymysql

from login_test import ACCT, AUTH, DEAD, END, START, USER, Speaker, append, record
from network_test import Server
from vestige_test import (ACTOR, PATIENT_WITH_FORKS, Standalone, VestigeTest, act, actor_command, assert_audit_state,
                          audit_state, main, run, wait_for)

ALICE = 4711
QUESTIONS = os.path.join(os.path.dirname(__file__), "..", "..", "sql")
NAMES = ("accounts-at", "boots", "changed-between", "containers", "coverage", "devices-at", "endpoints-at",
         "findings", "gaps", "in-container", "kernel-events", "membership", "network-at", "open-files-at",
         "processes-at", "rejected-rows", "sessions-at", "unattributed-work", "unverified-batches",
         "binary-across-hosts", "clock-offsets", "connections-between-hosts", "differs-between-hosts",
         "host-versions", "movement-between-hosts", "rare-binaries", "silent-hosts", "user-across-hosts")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:4711:4711::/home/alice:/bin/sh\n"
SHADOW = "root:*:19000:0:99999:7:::\nalice:!:19000:0:99999:7:::\n"
GROUP = "root:x:0:\nwheel:x:10:{}\nalice:x:4711:\n"
# What is in a container is told by /proc, and inherited: so its first program is born there, and is
# there for a while.
CONTAINER = """
for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
/bin/sh -c 'read line; "$0" show "$1"; "$0" show "$1"; read line; :' "$0" "$1"
:
"""


def moment():
    """Now, as questions take it; what came before is before it, what comes after is after it."""
    time.sleep(0.1)
    now = datetime.datetime.now(datetime.UTC)
    time.sleep(0.1)
    return now.strftime("%Y-%m-%d %H:%M:%S.%f")


def moment_of(text):
    return datetime.datetime.fromisoformat(text)


class Things:
    """What is there while it is held."""

    def __init__(self, instance, tag):
        self.instance, self.tag = instance, tag
        self.directory = tempfile.mkdtemp(prefix="vestige-files-")
        os.chmod(self.directory, 0o755)
        self.interface = f"vsq{os.getpid() % 100000}"
        self.container = secrets.token_hex(32)
        self.held = contextlib.ExitStack()
        self.file = self.path("kept")
        for name in ("docker", "cron", "containerd-shim"):
            shutil.copy("/bin/sh", self.path(name))

    def path(self, name):
        return os.path.join(self.directory, name)

    def etc(self, name, text):
        """As the tools of the system change such a file."""
        path = os.path.join(self.instance.directory, "etc", name)
        with open(path + ".new", "w") as stream:
            stream.write(text)
        os.rename(path + ".new", path)

    def hold(self, *words, **options):
        """A process that reads a line from us, until all is let go."""
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **options)

        def let_go():
            process.stdin.close()
            process.wait(60)
        self.held.callback(let_go)
        return process

    def make(self):
        subprocess.run([self.path("cron"), "-c", f"{ACTOR} show {self.tag}-early; :"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.etc("passwd", PASSWD + "mallory:x:0:0::/root:/bin/sh\n")
        self.etc("group", GROUP.format("alice"))
        self.make_interface()
        self.server = self.held.enter_context(Server("tcp-server", "127.0.0.1", 1))
        self.held.callback(lambda: run(*actor_command("tcp-client", "127.0.0.1", self.server.port, 1,
                                                      "-", "0")))
        self.holder = self.hold(*actor_command("login", ALICE, "/bin/sh", "-c",
                                               'exec 3>"$0"; read line; :', self.file))
        wait_for(lambda: os.path.exists(self.file), 60, "the file is made")
        self.log_in()
        subprocess.run([self.path("cron"), "-c", f"{ACTOR} show {self.tag}-cron; :"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.make_container()
        act("login", ALICE, "unshare", "--mount", "/bin/sh", "-c",
            f"mount -t tmpfs {self.tag} /mnt; {ACTOR} show")

    def make_interface(self):
        for words in (("link", "add", self.interface, "type", "veth", "peer", "name", self.interface + "b"),
                      ("address", "add", "198.18.66.1/24", "dev", self.interface),
                      ("link", "set", self.interface, "up")):
            run("ip", *words)
        self.held.callback(lambda: run("ip", "link", "del", self.interface))

    def log_in(self):
        sshd = self.held.enter_context(Speaker())
        wtmp = os.path.join(self.instance.directory, "logins", "wtmp")
        for kind, operation in ((AUTH, "authentication"), (ACCT, "accounting"), (START, "session_open")):
            sshd.pam(kind, operation, "alice")
        append(wtmp, record(USER, sshd.pid, "pts/77", "alice", "client.example", time.time()))

        def log_out():
            sshd.pam(END, "session_close", "alice")
            append(wtmp, record(DEAD, sshd.pid, "pts/77", "", "", time.time()))
        self.held.callback(log_out)
        self.sshd = sshd

    def make_container(self):
        """As an engine would: a client of the login user asks, a shim of nobody begins it."""
        roots = [root for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
                 if os.path.exists(f"{root}/cgroup.procs")]
        groups = [f"{root}/docker-{self.container}.scope" for root in roots]
        for group in groups:
            os.mkdir(group)
            self.held.callback(self.remove_group, group)
        self.docker = self.hold(*actor_command("login", ALICE, self.path("docker"), "-c", f"read line; : {self.tag}"))
        wait_for(self.docker_asks, 60, "the client asks")
        time.sleep(0.2)
        first = self.hold(self.path("containerd-shim"), "-c", '/bin/sh -c "$@"; :', "shim", CONTAINER, ACTOR,
                  f"{self.tag}-inside", env={**os.environ, "CGROUPS": " ".join(groups)})
        wait_for(self.is_seen_in_container, 60, "the first program of the container is known to be in it")
        first.stdin.write(b"\n")
        first.stdin.flush()

    def docker_asks(self):
        with open(f"/proc/{self.docker.pid}/comm") as stream:
            return stream.read() == "docker\n"

    def is_seen_in_container(self):
        self.instance.sync()
        return self.instance.value("SELECT COUNT(*) FROM process WHERE container LIKE %s",
                                   f"%{self.container[:12]}%")

    @staticmethod
    def remove_group(group):
        def empty():
            with open(f"{group}/cgroup.procs") as stream:
                return not stream.read()
        wait_for(empty, 60, "nobody is in the container")
        os.rmdir(group)

    def is_told(self, held):
        """What is read some time after it happened is in the rows, or has ended there."""
        self.instance.sync()
        n = int(held)
        return [n, n, 2 * n, n] == [self.instance.value(
            f"SELECT COUNT(*) FROM {table} WHERE destroyed_at IS NULL AND {condition}", *values)
            for table, condition, *values in (
                ("account", "username = 'mallory'"),
                ("group_member", "groupname = 'wheel' AND username = 'alice'"),
                ("device", "devpath IN (%s, %s)", *(f"/devices/virtual/net/{self.interface}{end}"
                                                    for end in ("", "b"))),
                ("session", "username = 'alice' AND tty = 'pts/77'"))]

    def unmake(self):
        self.held.close()
        self.etc("passwd", PASSWD)
        self.etc("group", GROUP.format(""))

    def close(self):
        self.held.close()
        shutil.rmtree(self.directory)


class TestState(VestigeTest):
    @classmethod
    def start_instance(cls):
        before = audit_state()
        unittest.addModuleCleanup(assert_audit_state, before)
        instance = Standalone(keys=PATIENT_WITH_FORKS)
        unittest.addModuleCleanup(instance.remove)
        instance.start()
        instance.stop()
        for name in ("etc", "logins"):
            os.mkdir(os.path.join(instance.directory, name))
        logins = {name: os.path.join(instance.directory, "logins", name)
                  for name in ("utmp", "wtmp", "btmp")}
        for path in logins.values():
            append(path)
        tag = "state-" + secrets.token_hex(8)
        things = Things(instance, tag)
        unittest.addModuleCleanup(things.close)
        for name, text in (("passwd", PASSWD), ("shadow", SHADOW), ("group", GROUP.format(""))):
            things.etc(name, text)
        instance.configure(accounts={"directory": os.path.join(instance.directory, "etc")},
                           sessions=logins, proc={"interval_ms": 50})
        instance.start()
        unittest.addModuleCleanup(instance.stop)
        instance.sync()
        cls.record(instance, things)
        instance.stop()
        instance.start("--no-agent")
        instance.things = things
        return instance

    @staticmethod
    def record(instance, things):
        wait_for(lambda: instance.value("SELECT COUNT(*) FROM account WHERE destroyed_at IS NULL") == 2, 60,
                 "the accounts are known")
        things.before = moment()
        things.make()
        wait_for(lambda: things.is_told(True), 60, "all that was made is told", 0.1)
        things.during = moment()
        things.unmake()
        wait_for(lambda: things.is_told(False), 60, "that it is gone is told", 0.1)
        things.after = moment()
        # A log that shrank, and one that is more than is read.
        os.truncate(os.path.join(instance.directory, "logins", "wtmp"), 0)
        utmp = os.path.join(instance.directory, "logins", "utmp")
        with open(utmp + ".new", "wb") as stream:
            stream.truncate(2 << 20)
        os.rename(utmp + ".new", utmp)
        instance.sync()
        instance.kill_agent()
        instance.sync()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.things = cls.vestige.things

    def ask(self, *words):
        return run(*self.vestige.client("report", *words), check=False)

    def report(self, *words, status=0):
        done = self.ask(*words, "--format", "json")
        self.assertEqual(status, done.returncode, done.stdout[:2000] + done.stderr[:2000])
        return json.loads(done.stdout)["rows"]

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]

    # At a moment

    def three(self, question, *words, status=(1, 0, 1)):
        """Its rows before, during and after."""
        return [self.report(question, *words, f"at={at}", status=status[n]) for n, at in
                enumerate((self.things.before, self.things.during, self.things.after))]

    def test_processes_at(self):
        words = ("--login-user", str(ALICE))
        before, during, after = self.three("processes-at", *words)
        self.assertEqual(([], []), (before, after))
        self.assertCountEqual(
            [("sh", "/usr/bin/dash", self.things.holder.pid, str(ALICE), "root",
              f"/bin/sh -c 'exec 3>\"$0\"; read line; :' {self.things.file}"),
             ("docker", self.things.path("docker"), self.things.docker.pid, str(ALICE), "root",
              f"{self.things.path('docker')} -c 'read line; : {self.things.tag}'")],
            self.values(during, "comm", "exe", "pid", "login_user", "user", "command"))
        for row in during:
            self.assertTrue(self.things.before < row["since"] < self.things.during < row["ended_at"]
                            < self.things.after, row)
        program = "program=" + self.things.path("docker")
        _, during, _ = self.three("processes-at", program)
        self.assertEqual(["docker"], [row["comm"] for row in during])
        self.assertEqual(during, self.report("processes-at", "program=docker", "at=" + self.things.during))

    def test_endpoints_at(self):
        _, during, _ = self.three("endpoints-at", f"port={self.things.server.port}")
        self.assertEqual([("actor", self.things.server.pid, "exact", "tcp", "listen", "listening",
                           f"127.0.0.1 {self.things.server.port}", None, "root")],
                         self.values(during, "application", "pid", "pid_source", "protocol", "direction",
                                     "status", "local", "remote", "user"))

    def test_sessions_at(self):
        _, during, _ = self.three("sessions-at")
        self.assertEqual([("alice", "sshd", "pts/77", "198.18.0.9", "client.example",
                           self.things.sshd.pid)],
                         self.values(during, "user", "service", "tty", "remote_address", "remote_name",
                                     "leader_pid"))

    def test_accounts_at(self):
        names = ("username", "uid", "gid", "group_name", "member_of", "home", "shell", "password")
        root = ("root", 0, 0, "root", None, "/root", "/bin/sh", "locked")
        mallory = ("mallory", 0, 0, "root", None, "/root", "/bin/sh", "absent")
        alice = ("alice", 4711, 4711, "alice", None, "/home/alice", "/bin/sh", "locked")
        in_wheel = alice[:4] + ("wheel",) + alice[5:]
        before, during, after = self.three("accounts-at", status=(0, 0, 0))
        self.assertEqual([root, alice], self.values(before, *names))
        self.assertEqual([mallory, root, in_wheel], self.values(during, *names))
        self.assertEqual([root, alice], self.values(after, *names))
        _, during, _ = self.three("accounts-at", "username=mallory")
        self.assertEqual([mallory], self.values(during, *names))

    def test_devices_at(self):
        rows = self.three("devices-at", "subsystem=net", status=(0, 0, 0))
        paths = [{row["devpath"] for row in one} for one in rows]
        ours = {f"/devices/virtual/net/{self.things.interface}{end}" for end in ("", "b")}
        self.assertEqual([set(), ours, set()], [one & ours for one in paths])
        self.assertEqual([], self.report("devices-at", "subsystem=none such", status=1))

    def test_network_at(self):
        _, during, _ = self.three("network-at", "address=198.18.66.1")
        self.assertEqual([("address", self.things.interface, "198.18.66.1/24")],
                         self.values(during, "kind", "interface", "subject"))
        _, during, _ = self.three("network-at", "address=198.18.66.0")
        self.assertEqual([("route", self.things.interface, "198.18.66.0/24", None)],
                         self.values(during, "kind", "interface", "subject", "gateway"))

    def test_open_files_at(self):
        for path in (self.things.file, self.things.directory):
            _, during, _ = self.three("open-files-at", "path=" + path, "--login-user", str(ALICE))
            self.assertIn((self.things.file, self.things.holder.pid, "root"),
                          self.values(during, "path", "pid", "user"))
        self.assertEqual([], self.report("open-files-at", "path=" + self.things.file[:-1],
                                         "at=" + self.things.during, status=1))

    # What changed

    def changed(self, since, until, *words):
        return {(row["kind"], row["subject"]): (row["before_it"], row["after_it"])
                for row in self.report("changed-between", "--since", since, "--until", until, *words,
                                       status=0)}

    def test_changed_between(self):
        things = self.things
        made = {("account", "mallory"): "uid 0 gid 0 /root /bin/sh password absent",
                ("member", "wheel: alice"): "member",
                ("listener", f"tcp 127.0.0.1 {things.server.port}"): "actor as root",
                ("device", f"/devices/virtual/net/{things.interface}"): "net",
                ("route", "198.18.66.0/24 table 254"): f"{things.interface} metric 0",
                ("program", f"{things.path('docker')} -c 'read line; : {things.tag}'"):
                    f"{things.path('docker')} as root"}
        there = self.changed(things.before, things.during, "long=0")
        for key, state in made.items():
            self.assertEqual((None, state), there.get(key), key)
        self.assertIn(("address", things.interface + " 198.18.66.1/24"), there)
        back = self.changed(things.during, things.after, "long=0")
        for key, state in made.items():
            self.assertEqual((state, None), back.get(key), key)
        for kind in ("account", "member", "group", "system", "boot"):
            self.assertEqual([], self.report("changed-between", "--since", things.before, "--until",
                                             things.after, "kind=" + kind, status=1))
        # Others may have routes of theirs.
        routes = self.ask("changed-between", "--since", things.before, "--until", things.after, "kind=route",
                          "--format", "json")
        self.assertIn(routes.returncode, (0, 1), routes.stderr)
        self.assertEqual([], [row for row in json.loads(routes.stdout)["rows"] if things.interface in
                              f"{row['before_it']} {row['after_it']}" or "198.18.66." in row["subject"]])
        self.assertEqual({("account", "mallory")}, set(self.changed(things.before, things.during,
                                                                    "kind=account")))

    def test_changed_to_another(self):
        """What is on both sides, and different: the accounts before and after the first start."""
        rows = self.changed("2026-01-01", self.things.before, "kind=account")
        self.assertEqual({("account", "root"), ("account", "alice")}, set(rows))

    def test_membership(self):
        rows = self.report("membership", "groupname=wheel")
        self.assertEqual([("wheel", "alice", "member")], self.values(rows, "groupname", "username", "kind"))
        self.assertTrue(self.things.before < rows[0]["since"] < self.things.during < rows[0]["until"]
                        < self.things.after, rows)
        self.assertEqual([("root", "mallory", "own")], self.values(
            self.report("membership", "username=mallory"), "groupname", "username", "kind"))
        self.assertEqual([], self.report("membership", "groupname=wheel", "--since", self.things.after,
                                         status=1))

    # For no login user

    def test_unattributed(self):
        with open("/proc/self/loginuid") as stream:
            if int(stream.read()) != 2 ** 32 - 1:
                self.skipTest("whoever runs this has logged in, so that all is theirs")
        # On a busy machine more than the usual 5 s are between client and program.
        window = ("--since", self.things.before, "--until", self.things.after, "seconds=600")
        rows = {}
        for row in self.report("unattributed-work", *window, "--limit", "100000"):
            tag = row["command"].split()[-1]
            if row["exe"] == ACTOR and tag.startswith(self.things.tag):
                rows.setdefault(tag.removeprefix(self.things.tag), []).append(row)
        names = ("kind", "started_by", "asked_by", "certainty", "user")
        self.assertEqual([("cron", "cron", None, None, "root")], self.values(rows["-early"], *names))
        self.assertEqual([("cron", "cron", "alice", "possible", "root")], self.values(rows["-cron"], *names))
        self.assertEqual(2 * [("container", "containerd-shim", str(ALICE), "probable", "root")],
                         self.values(rows["-inside"], *names))
        for row in rows["-inside"]:
            self.assertEqual(f"{self.things.path('docker')} -c 'read line; : {self.things.tag}'",
                             row["asked_with"])
        asked = self.report("unattributed-work", *window, "--login-user", str(ALICE), "asked=1",
                            "--limit", "100000")
        self.assertTrue(asked)
        self.assertLessEqual({row["certainty"] for row in asked}, {"probable", "possible"})
        self.assertEqual([], self.report("unattributed-work", *window, "asked=1", "--login-user", str(ALICE),
                                         "container_clients=podman", status=1))

    def test_containers(self):
        row, = self.report("containers", "container=" + self.things.container[:12])
        self.assertEqual((self.things.container, 0), (row["container"], row["alive"]))
        self.assertLessEqual({"actor"}, set(row["programs"].split(", ")))
        rows = self.report("in-container", self.things.container)
        shown = [row for row in rows if row["exe"] == ACTOR]
        self.assertEqual(2 * [(ACTOR, f"{ACTOR} show {self.things.tag}-inside", "root", None, 0)],
                         self.values(shown, "exe", "command", "user", "login_user", "exit_code"))
        self.assertEqual([], self.report("in-container", "x" + self.things.container[:12], status=1))

    def test_kernel_events(self):
        rows = self.report("kernel-events", "--login-user", str(ALICE))
        self.assertEqual([("unshare", "mount", "unshare"), ("remount", "/", "unshare"),
                          ("mount", "/mnt", "mount")], self.values(rows, "kind", "target", "application"))
        rows = self.report("kernel-events", "kind=mount", "--login-user", str(ALICE))
        self.assertEqual([(str(ALICE), "root", "success", f"mount -t tmpfs {self.things.tag} /mnt")],
                         self.values(rows, "login_user", "user", "result", "command"))
        self.assertEqual([], self.report("kernel-events", "kind=module_load", "--login-user", str(ALICE),
                                         status=1))

    # What the evidence is worth

    def test_coverage(self):
        rows = self.report("coverage", "source=programs")
        self.assertEqual([("on", "closed"), ("on", "reconciled"), ("on", "closed")],
                         self.values(rows, "mode", "end_cause"))
        self.assertIsNone(rows[0]["unwatched_s"])
        for before, row in zip(rows, rows[1:]):
            unwatched = moment_of(row["since"]) - moment_of(before["until"])
            self.assertGreater(unwatched, datetime.timedelta(0))
            # Rounded to milliseconds: of half a one a decimal makes more than a float does.
            error = unwatched - datetime.timedelta(microseconds=round(row["unwatched_s"] * 1000000))
            self.assertLessEqual(abs(error), datetime.timedelta(microseconds=500))
        inside = self.report("coverage", "source=programs", "--since", self.things.before, "--until",
                             self.things.during)
        self.assertEqual([rows[1]["row_id"]], [row["row_id"] for row in inside])

    def test_gaps(self):
        rows = self.report("gaps", "source=agent")
        self.assertEqual([("not_running", "process"), ("killed", "process")],
                         self.values(rows, "cause", "unit"))
        self.assertEqual([], self.report("gaps", "source=agent", "--since", self.things.before, "--until",
                                         self.things.after, status=1))
        rows = self.report("gaps", "source=utmp", "--since", self.things.after)
        self.assertIn(("unread", "record", None, 0), self.values(rows, "cause", "unit", "count",
                                                                 "count_at_least"))

    def test_findings(self):
        rows = self.report("findings", "--since", self.things.before, "--until", self.things.during)
        self.assertEqual([("uid_zero_account", "mallory"), ("duplicate_uid", "0")],
                         [found for found in self.values(rows, "class", "subject")
                          if found != ("agent-did-not-run", "vestiged")])  # as on a busy machine
        rows = self.report("findings", "class=wtmp_shrank")
        self.assertEqual([("wtmp", "768 bytes were read, now it has 0")],
                         self.values(rows, "subject", "detail"))
        self.assertEqual([], self.report("findings", "class=none such", status=1))

    def test_boots(self):
        row, = self.report("boots")
        with open("/proc/sys/kernel/random/boot_id") as stream:
            self.assertEqual((stream.read().strip(), "runs", None),
                             (row["boot_id"], row["how"], row["ended_at"]))
        self.assertEqual(self.vestige.value("SELECT MIN(created_at) FROM coverage"),
                         moment_of(row["watched_from"]))
        self.assertEqual([], self.report("boots", "--until", "2000-01-01", status=1))

    def test_batches(self):
        """One that nobody can verify, of a day on which nothing else came: it has no such host's seal."""
        window = ("--since", "2000-01-02", "--until", "2000-01-03")
        self.assertEqual([], self.report("unverified-batches", *window, status=1))
        with contextlib.closing(pymysql.connect(unix_socket=self.vestige.path("run", "mariadb.sock"),
                                                user="root", database="vestige",
                                                autocommit=True)) as root:
            cursor = root.cursor()
            cursor.execute("INSERT INTO batch (host_id, batch, hash, previous_hash, format, boot_id, first_time,"
                           " last_time, n_lines, recovered, received_at) SELECT host_id, 1, UNHEX(REPEAT('ab', 32)),"
                           " previous_hash, format, boot_id, first_time, last_time, 97, 0, '2000-01-02 01:00:00'"
                           " FROM batch ORDER BY batch LIMIT 1")
            try:
                row, = self.report("unverified-batches", *window)
                self.assertEqual((1, 1, 0, 0, 97), tuple(
                    row[name] for name in ("batches", "unverified", "doubled", "missing", "unverified_lines")))
            finally:
                cursor.execute("DELETE FROM batch WHERE hash = UNHEX(REPEAT('ab', 32))")
                cursor.execute("DELETE FROM verification_failure")

    def test_rejected(self):
        """None here; one that was made, with what would be a command of a terminal in it."""
        self.assertEqual([], self.report("rejected-rows", status=1))
        with contextlib.closing(pymysql.connect(unix_socket=self.vestige.path("run", "mariadb.sock"),
                                                user="root", database="vestige",
                                                autocommit=True)) as root:
            cursor = root.cursor()
            cursor.execute("INSERT INTO rejected (host_id, batch, line, table_name, text, error, message) "
                           "VALUES (1, 3, 4, 'process', 'insert\tprocess\t\x1b[2J', 1366, 'it is bad')")
            try:
                row, = self.report("rejected-rows")
                self.assertEqual(("process", 3, 4, 1366, "it is bad", "insert\tprocess\t\x1b[2J"), tuple(
                    row[name] for name in ("table_name", "batch", "line", "error", "message", "text")))
                self.assertNotIn("\x1b", self.ask("rejected-rows").stdout)
            finally:
                cursor.execute("DELETE FROM rejected")

    # All questions

    def headers(self):
        for name in NAMES:
            with open(os.path.join(QUESTIONS, name + ".sql")) as stream:
                text = stream.read()
            yield name, re.findall(r"^-- parameter: (\w+) (\w+)( =)?", text, re.M), text

    NEEDED = {"user-across-hosts": {"user": str(ALICE)}, "binary-across-hosts": {"program": ACTOR},
              "in-container": {"container": "none"}, "differs-between-hosts": {"host": "1", "other": "1"}}

    def words(self, name, **values):
        return [f"{key}={value}" for key, value in {**self.NEEDED.get(name, {}), **values}.items()]

    def test_hostile_text(self):
        """Text that finds nothing, whatever is in it; and the tables are as before."""
        tables = self.vestige.query("SHOW TABLES")
        for name, parameters, _ in self.headers():
            for parameter, kind, _ in parameters:
                if kind not in ("text", "path") or parameter.endswith("_clients"):
                    continue
                for text in ("%", "_", "'; DROP TABLE process; -- \"\\\x1b[2J<script>", "x" * 65536):
                    with self.subTest(name=name, parameter=parameter, text=text[:9]):
                        text = "/" + text if kind == "path" else text
                        done = self.ask(name, *self.words(name, **{parameter: text}), "--format", "json")
                        self.assertEqual(1, done.returncode, done.stderr[-500:])
                        self.assertEqual([], json.loads(done.stdout)["rows"])
                        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.assertEqual(tables, self.vestige.query("SHOW TABLES"))

    def test_ill_typed(self):
        bad = {"number": "many", "time": "someday", "host": "none such", "user": "none-such",
               "address": "300.1.1.1", "path": "not/absolute"}
        for name, parameters, _ in self.headers():
            for parameter, kind, _ in parameters:
                if kind in bad:
                    with self.subTest(name=name, parameter=parameter):
                        done = self.ask(name, *self.words(name, **{parameter: bad[kind]}))
                        self.assertEqual((2, ""), (done.returncode, done.stdout))
                        self.assertIn(bad[kind], done.stderr)

    def test_scheduled(self):
        """What makes two answers the same finding is among the columns, and so are the keys."""
        n = 0
        for name, _, text in self.headers():
            scheduled = re.search(r"^-- schedule: (\w+); subject (.*)$", text, re.M)
            described = set(re.findall(r"^-- column: (\w+);", text, re.M))
            columns = self.ask(name, *self.words(name), "--format", "csv").stdout.splitlines()[0].split(",")
            self.assertLessEqual(described, set(columns), name)
            if scheduled:
                n += 1
                needed = {"row_host_id", "row_id", "row_batch", *scheduled[2].split(", ")}
                self.assertLessEqual(needed, set(columns), name)
                self.vestige.query(f"SELECT 1 FROM {scheduled[1]} LIMIT 1")
        self.assertEqual(7, n)

    def test_alone(self):
        """Of one host there is nothing between hosts."""
        for name in ("movement-between-hosts", "connections-between-hosts", "differs-between-hosts"):
            self.assertEqual([], self.report(name, *self.words(name), status=1))
        self.assertEqual(["runs"], [row["last_boot"] for row in self.report("silent-hosts", "minutes=0")])
        self.assertEqual([], self.report("silent-hosts", status=1))


if __name__ == "__main__":
    main()
