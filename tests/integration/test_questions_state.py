"""What was so at a moment, what changed, what ran for no login user, and what the evidence itself is
worth: the canned questions of these groups about one recording.

One agent records this machine while things are made, held, and taken away again: before, during and
after are the moments that are asked about. After that only the database runs, so that answers stand
still. Accounts and the files of logins are the test's own. What ran here before, and what others do on
this machine at the time, is in the answers too: so rows are looked for by what only the test made."""

import contextlib
import datetime
import glob
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time

import pymysql

from login_test import ACCT, AUTH, DEAD, END, START, USER, Speaker, append, record
from network_test import Server
from vestige_test import (ACTOR, VESTIGE, Standalone, VestigeTest, act, actor_command, assert_audit_state,
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
CONTAINER = """
for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
"$0" show "$1"
exec "$0" as 0 /bin/sh -c 'read line'
"""


def moment():
    """Now, as questions take it; what came before is before it, what comes after is after it."""
    time.sleep(0.1)
    now = datetime.datetime.now(datetime.UTC)
    time.sleep(0.1)
    return now.strftime("%Y-%m-%d %H:%M:%S.%f")


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
            process.wait(30)
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
        wait_for(lambda: os.path.exists(self.file), 10, "the file is made")
        self.log_in()
        subprocess.run([self.path("cron"), "-c", f"{ACTOR} show {self.tag}-cron; :"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.make_container()
        act("login", ALICE, "unshare", "--mount", "/bin/sh", "-c",
            f"mount -t tmpfs {self.tag} /mnt; {ACTOR} show")

    def make_interface(self):
        for words in (("link", "add", self.interface, "type", "dummy"),
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
        self.hold(*actor_command("login", ALICE, self.path("docker"), "-c", f"read line; : {self.tag}"))
        time.sleep(0.2)
        self.hold(self.path("containerd-shim"), "-c", '/bin/sh -c "$@"; :', "shim", CONTAINER, ACTOR,
                  f"{self.tag}-inside", env={**os.environ, "CGROUPS": " ".join(groups)})

    @staticmethod
    def remove_group(group):
        def empty():
            with open(f"{group}/cgroup.procs") as stream:
                return not stream.read()
        wait_for(empty, 10, "nobody is in the container")
        os.rmdir(group)

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
        cls.enterModuleContext = None
        import unittest
        unittest.addModuleCleanup(assert_audit_state, before)
        instance = Standalone()
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
                           sessions=logins)
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
        things.before = moment()
        things.make()
        instance.sync()
        time.sleep(0.5)
        instance.sync()
        things.during = moment()
        things.unmake()
        instance.sync()
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

    def at(self, question, *words):
        """Its rows before, during and after."""
        return [self.report(question, f"at={at}", *words, status=None)
                for at in (self.things.before, self.things.during, self.things.after)]

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]

    def test_all(self):
        for q in NAMES:
            print("==", q)
            p = {"user-across-hosts": [str(ALICE)], "binary-across-hosts": [ACTOR], "in-container": [self.things.container[:12]], "differs-between-hosts": ["1", "1"]}.get(q, [])
            if q.endswith("-at"): p += ["at=" + self.things.during]
            if q == "changed-between": p += ["--since", self.things.before, "--until", self.things.during, "long=0"]
            done = self.ask(q, *p, "--format", "json")
            print(done.returncode, done.stderr[-600:])
            if done.stdout: 
                rows = json.loads(done.stdout)["rows"]
                for r in rows[-25:]: print({k: str(v)[:90] for k, v in r.items() if v is not None and not k.startswith("row_") and k != "host"})


if __name__ == "__main__":
    main()
