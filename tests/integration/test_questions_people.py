"""Canned questions about people and programs: what each answers of activity that was really recorded,
what it answers of nothing, and of parameters that would be SQL if they were not values.

Two accounts, alice and bob, are in files that only the instance under test sees. What happens is in
two parts, of which the first is the baseline for what is unusual in the second."""

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from device_test import LOOP_CTL_ADD, LOOP_CTL_REMOVE, loop_control
from login_test import ACCT, AUTH, END, START, Speaker
from network_test import Server
from test_process_login import ENTER, FILES
from vestige_test import (ACTOR, Standalone, act, assert_audit_state, audit_state, main, run, wait_for)

ALICE, BOB, NOBODY = 61001, 61002, 65534
BOT, NAME = "127.66.7.1", "irc.bots.example"
LOOP = 171
UNDER_OUR_FILES = """
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/hosts" /etc/hosts
exec "$@"
"""

# Talks REQUEST and ANSWER with the actors' server, under another name.
BOT_SCRIPT = """#!/usr/bin/perl
use Socket;
$0 = 'crond';
my ($address, $port, $n) = @ARGV;
for (1 .. $n) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
    connect($s, sockaddr_in($port, inet_aton($address))) or die;
    syswrite($s, 'x' x 100) == 100 or die;
    for (my $got = 0; $got < 200; ) { $got += sysread($s, my $bytes, 200) || die; }
    close $s;
}
"""
# A thread with a name of its own has a connection: no disguise.
THREAD_SCRIPT = """
import ctypes, socket, sys, threading
def work():
    ctypes.CDLL(None).prctl(15, b"resolver-pool", 0, 0, 0)
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"x" * 100)
        while s.recv(200):
            pass
t = threading.Thread(target=work)
t.start()
t.join()
"""


def utc_now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Activity:
    """What happens, and the pids of it."""

    def __init__(self, vestige, directory):
        self.vestige = vestige
        self.directory = directory
        self.hidden = self.path("here", ".hidden")
        os.makedirs(self.hidden)
        for name in ("usual", "other", "work"):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), 0o777)
        self.memory = tempfile.mkdtemp(prefix="vestige-q-", dir="/dev/shm")
        os.chmod(self.memory, 0o755)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, path, text, mode=0o644):
        with open(path, "w") as stream:
            stream.write(text)
        os.chmod(path, mode)
        return path

    def as_user(self, uid, *command, prefix=()):
        """Log in as uid, and as that user run the command. The pid of all images of it."""
        with subprocess.Popen([*prefix, ACTOR, "login", str(uid), ACTOR, "as", str(uid), *command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            if process.wait(60):
                raise AssertionError(f"{command}: exit status {process.returncode}")
        return process.pid

    def script(self, uid, text, name):
        return self.as_user(uid, "/bin/sh", self.write(self.path(name), text, 0o755))

    def run(self):
        self.sshd = Speaker()
        with self.sshd:
            self.first_part()
            self.vestige.sync()
            time.sleep(0.05)
            self.since = utc_now()
            self.second_part()
        self.vestige.sync()
        self.until = utc_now()

    def log_in(self, uid, name, host):
        """A session of sshd, until log_out(), by a process of that login user."""
        speaker = Speaker(prefix=(ACTOR, "login", str(uid)))
        speaker.pam(AUTH, "authentication", name, host=host)
        speaker.pam(ACCT, "accounting", name, host=host)
        speaker.pam(START, "session_open", name, host=host)
        return speaker

    def log_out(self, speaker, name):
        speaker.pam(END, "session_close", name)
        speaker.__exit__()

    def first_part(self):
        self.log_out(self.log_in(ALICE, "alice", "198.18.0.9"), "alice")
        self.script(ALICE, f"/bin/cat {self.write(self.path('usual', 'a'), 'a')}\n", "first.sh")

    def second_part(self):
        self.session = self.log_in(ALICE, "alice", "198.18.0.10")
        self.vestige.sync()
        self.plug()
        self.work = self.script(ALICE, f"""
/bin/cat {self.write(self.path('usual', 'b'), 'b')}
cd {self.path('work')}
/usr/bin/touch new
/bin/mv new moved
/bin/rm moved
/usr/bin/unshare --user /bin/true
""", "second.sh")
        self.bob = self.as_user(BOB, "/bin/cat", self.write(self.path("other", "c"), "c"))
        self.bot()
        self.disguises()
        self.places()
        self.deleted()
        self.transitions()
        self.failures()
        self.log_out(self.session, "alice")

    def plug(self):
        loop_control(LOOP_CTL_ADD, LOOP)
        self.vestige.sync()
        loop_control(LOOP_CTL_REMOVE, LOOP)

    def bot(self):
        self.write(self.path("x"), BOT_SCRIPT, 0o755)
        with Server("tcp-server", BOT, 3) as server:
            self.port = server.port
            self.web = act("as", NOBODY, "/bin/sh", "-c",
                           f"cd {self.directory}; /usr/bin/perl ./x {BOT} {self.port} 3; true")[0]
        self.server = server.pid
        with Server("tcp-server", "127.0.0.1", 1) as server:
            self.thread_port = server.port
            self.thread = subprocess.Popen([sys.executable, "-c", THREAD_SCRIPT, "127.0.0.1",
                                            str(server.port)])
            self.thread.wait(60)

    def disguises(self):
        os.symlink("/usr/bin/perl", self.path("sshd"))
        run(self.path("sshd"), "-e", "1")
        run("/bin/bash", "-c", "exec -a '[kworker/0:1]' /bin/true disguised")
        run("/bin/bash", "-c", "exec -l /bin/bash -c /bin/true")
        run("/bin/sh", "-c", "/bin/true plain")
        self.long = self.path("a-name-of-more-than-15-bytes")
        shutil.copy(ACTOR, self.long)
        run(self.long, "show")

    def places(self):
        for place in (self.directory, self.memory):
            run(self.write(os.path.join(place, "placed.pl"), "#!/usr/bin/perl\n1;\n", 0o755))
            run("/bin/sh", "-c", "cd $0; /bin/sh ./relative.sh", self.directory) \
                if os.path.exists(os.path.join(place, "relative.sh")) else None
        self.write(self.path("relative.sh"), "true\n")
        run("/bin/sh", "relative.sh", cwd=self.directory)
        shutil.copy("/bin/true", os.path.join(self.hidden, "prog"))
        run(os.path.join(self.hidden, "prog"))

    def deleted(self):
        gone = self.path("gone")
        shutil.copy("/bin/sleep", gone)
        self.gone = subprocess.Popen([gone, "60"])
        self.vestige.sync()
        run("/bin/rm", gone)
        self.vestige.sync()
        self.gone.kill()
        self.gone.wait()
        self.unnamed = act("deleted-exe", "unnamed")[1]["child"]["pid"]

    def transitions(self):
        setuid = self.path("setuid")
        shutil.copy(ACTOR, setuid)
        os.chmod(setuid, 0o4755)
        files = self.path("files")
        os.mkdir(files)
        for name, text in FILES.items():
            self.write(os.path.join(files, name), text.replace("ordinary", "alice").replace(
                "1000:1000", f"{ALICE}:{ALICE}"))
        os.chmod(os.path.join(files, "sudoers"), 0o440)
        enter = ("unshare", "--mount", "/bin/sh", "-c", ENTER, "sh", files)
        self.su = self.as_user(ALICE, "su", "root", "-c", "/bin/true by-su", prefix=enter)
        self.sudo = self.as_user(ALICE, "sudo", "/bin/true", "by-sudo", prefix=enter)
        self.setuid = self.as_user(ALICE, setuid, "show", "by-setuid")
        self.dropped = act("uid", str(NOBODY))[1]["child"]["pid"]

    def failures(self):
        for name in ("root", "admin", "root", "test", "root", "admin"):
            self.sshd.pam(AUTH, "authentication", name, result="failed", host="198.18.66.6")
        self.sshd.pam(AUTH, "authentication", "alice", result="failed", host="198.18.0.9")
        self.sshd.pam(AUTH, "authentication", "alice", "/usr/bin/sudo", "failed", "?", "/dev/pts/5")


class QuestionsTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        before = audit_state()
        cls.addClassCleanup(assert_audit_state, before)
        cls.directory = tempfile.mkdtemp(prefix="vestige-q-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        cls.vestige = Standalone()
        cls.addClassCleanup(cls.vestige.remove)
        cls.start()
        cls.addClassCleanup(cls.vestige.stop)
        cls.activity = Activity(cls.vestige, cls.directory)
        cls.addClassCleanup(shutil.rmtree, cls.activity.memory)
        cls.activity.run()

    @classmethod
    def start(cls):
        """The machine's accounts and two more; no logins but those of the test."""
        shutil.copy("/etc/passwd", cls.directory)
        with open(os.path.join(cls.directory, "passwd"), "a") as stream:
            stream.write(f"alice:x:{ALICE}:{ALICE}::/:/bin/sh\nbob:x:{BOB}:{BOB}::/:/bin/sh\n")
        with open(os.path.join(cls.directory, "hosts"), "w") as stream:
            stream.write(f"127.0.0.1 localhost\n{BOT} {NAME}\n")
        prefix = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-e", "-c",
                  UNDER_OUR_FILES, cls.directory)
        cls.vestige.start("--for", "1", prefix=prefix)
        cls.vestige.process.wait(60)
        cls.vestige.stop()
        cls.vestige.configure(sessions={name: os.path.join(cls.directory, name)
                                        for name in ("utmp", "wtmp", "btmp")})
        cls.vestige.start(prefix=prefix)


if __name__ == "__main__":
    main()
