"""A person of the test, whose deeds are known exactly: a user of this machine who logs in over ssh (as
audit hears of it), runs commands as that user, and uses the machine's own su and sudo on files of the
test. The user is removed at the end; nothing else of the machine is changed."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

from login_test import ACCT, AUTH, END, START
from vestige_test import ACTOR, PATIENT_WITH_FORKS, VestigeTest, run

FROM = "198.18.0.9"  # where they come from

# Tells audit of a login, runs a command as the user, and tells of the logout.
LOGIN = """
import os, socket, struct, subprocess, sys
name, uid, where, *command = sys.argv[1:]
audit = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
def say(number, kind, operation):
    text = (f'op=PAM:{operation} grantors=pam_unix acct="{name}" exe="/usr/sbin/sshd" '
            f"hostname={where} addr={where} terminal=ssh res=success").encode() + b"\\0"
    audit.send(struct.pack("=IHHII", 16 + len(text), kind, 5, number, 0) + text)
    if struct.unpack_from("=i", audit.recv(65536), 16)[0]:
        sys.exit("audit refuses")
for number, (kind, operation) in enumerate(%r):
    say(number, kind, operation)
def become():
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
status = subprocess.run(command, preexec_fn=become).returncode
say(9, %r, "session_close")
sys.exit(status)
""" % (((AUTH, "authentication"), (ACCT, "accounting"), (START, "session_open")), END)

PAM = ("auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n"
       "session required pam_permit.so\n")
DENY = "auth required pam_deny.so\naccount required pam_permit.so\n"
ENTER = """
set -e
cd "$1"
shift
mount --bind sudoers /etc/sudoers
mount --bind pam /etc/pam.d/su
mount --bind pam /etc/pam.d/sudo
exec "$@"
"""


class PersonTest(VestigeTest):
    """self.name and self.uid are the person; self.log_in() makes them do something."""

    keys = PATIENT_WITH_FORKS
    person = "p"

    _people = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.__module__ not in cls._people:
            cls._people[cls.__module__] = cls.make_person()
        cls.name, cls.uid, cls.directory = cls._people[cls.__module__]
        cls.write("pam", PAM)
        cls.write("sudoers", f"{cls.name} ALL=(ALL) NOPASSWD: ALL\n", 0o440)

    @classmethod
    def make_person(cls):
        name = f"vst{os.getpid() % 10000}-{cls.person}"
        run("useradd", "-M", "-N", "-s", "/bin/sh", name)
        unittest.addModuleCleanup(run, "userdel", name)
        directory = tempfile.mkdtemp(prefix="vestige-test-")
        unittest.addModuleCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        return name, pwd.getpwnam(name).pw_uid, directory

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.directory, *names)

    @classmethod
    def write(cls, name, text, mode=0o644):
        path = cls.path(name)
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "w") as stream:
            stream.write(text)
        os.chmod(path, mode)

    def log_in(self, *command, status=0, where=FROM, **options):
        """The command, run as the person within a session of their own."""
        done = subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-c", ENTER, "sh", self.directory, ACTOR, "login",
             str(self.uid), sys.executable, "-c", LOGIN, self.name, str(self.uid), where, *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def ask(self, command, *words, status=0):
        """`vestige COMMAND` about the instance."""
        done = subprocess.run(self.vestige.client(command, *words), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refuse(self, command, *words):
        """The one line of an error."""
        done = self.ask(command, *words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, rf"\Avestige: {command}: error: [^\n]+\n\Z")
        return done.stderr.removeprefix(f"vestige: {command}: error: ").rstrip("\n")
