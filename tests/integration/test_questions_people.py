"""Canned questions about people and programs: what each answers of activity that was really recorded,
what it answers of nothing, and of parameters that would be SQL if they were not values.

Two accounts, alice and bob, are in files that only the instance under test sees. What happens is in
two parts, of which the first is the baseline for what is unusual in the second."""

import datetime
import errno
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from device_test import LOOP_CTL_ADD, LOOP_CTL_REMOVE, loop_control
from login_test import ACCT, AUTH, END, START, Speaker
from network_test import Server, client, finished
from test_process_login import ENTER, FILES
from vestige_test import (ACTOR, PATIENT_WITH_FORKS, Standalone, act, assert_audit_state, audit_state, brief,
                          main, run, wait_for)

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sql")
ALICE, BOB, NOBODY = 61001, 61002, 65534
BOT, NAME = "127.66.7.1", "irc.bots.example"
LOOP = 171
UNDER_OUR_FILES = """
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/hosts" /etc/hosts
for file in /run/utmp /var/log/wtmp /var/log/btmp; do
    if test -e $file; then mount --bind "$0/nothing" $file; fi
done
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


def moment():
    """Now; what came before is before it, what comes after is after it."""
    time.sleep(0.1)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    time.sleep(0.1)
    return now


class Activity:
    """What happens, and the pids of it."""

    def __init__(self, vestige, directory):
        self.vestige = vestige
        self.directory = directory
        self.memory = tempfile.mkdtemp(prefix="vestige-q-", dir="/dev/shm")
        os.chmod(self.memory, 0o755)
        self.hidden = self.path("here", ".hidden")
        os.makedirs(self.hidden)
        for name in ("usual", "other", "work"):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), 0o777)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, path, text="text", mode=0o644):
        with open(path, "w") as stream:
            stream.write(text)
        os.chmod(path, mode)
        return path

    def copy(self, program, path, mode=0o755):
        shutil.copy(program, path)
        os.chmod(path, mode)
        return path

    def run(self):
        self.begin = moment()
        with Speaker() as self.sshd:
            self.first_part()
            self.vestige.sync()
            self.since = moment()
            self.second_part()
        self.vestige.sync()
        self.until = moment()

    # Processes; each returns its pid.

    def start(self, *command, **options):
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              **options) as process:
            if process.wait(120):
                raise AssertionError(f"{command}: exit status {process.returncode}")
        return process.pid

    def as_user(self, uid, *command, prefix=()):
        """Log in as uid, and as that user run the command, all in one process."""
        return self.start(*prefix, ACTOR, "login", str(uid), ACTOR, "as", str(uid), *command)

    def log_in(self, uid, name, host):
        """A session of sshd, until log_out(), of a process with that login user."""
        speaker = Speaker(prefix=(ACTOR, "login", str(uid)))
        speaker.pam(AUTH, "authentication", name, host=host)
        speaker.pam(ACCT, "accounting", name, host=host)
        speaker.pam(START, "session_open", name, host=host)
        return speaker

    def log_out(self, speaker, name):
        speaker.pam(END, "session_close", name)
        speaker.__exit__()

    # What happens

    def first_part(self):
        self.log_out(self.log_in(ALICE, "alice", "198.18.0.9"), "alice")
        path = self.write(self.path("usual", "a"))

        def is_known():
            """That she read it; a file that is read at once after the start may be nobody's."""
            self.as_user(ALICE, "/bin/cat", path)
            self.vestige.sync()
            return self.vestige.value("SELECT COUNT(*) FROM file_access WHERE path = %s AND login_uid = %s",
                                      path, ALICE)
        wait_for(is_known, 60, "alice's first file")

    def second_part(self):
        session = self.log_in(ALICE, "alice", "198.18.0.10")
        self.session = session.pid
        self.vestige.sync()
        self.plug()
        self.work()
        self.bot()
        self.disguises()
        self.places()
        self.deleted()
        self.transitions()
        self.failures()
        self.log_out(session, "alice")

    def plug(self):
        loop_control(LOOP_CTL_ADD, LOOP)
        try:
            wait_for(self.has_device, 60, "the device is known")
        finally:
            wait_for(self.removes_device, 60, "the device is removed", 0.1)

    def has_device(self):
        self.vestige.sync()
        return self.vestige.value("SELECT COUNT(*) FROM device WHERE devnode = %s", f"/dev/loop{LOOP}")

    @staticmethod
    def removes_device():
        """Nobody looks into it."""
        try:
            loop_control(LOOP_CTL_REMOVE, LOOP)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def work(self):
        script = self.write(self.path("work.sh"), f"""
/bin/cat {self.write(self.path("usual", "b"))}
cd {self.path("work")}
/usr/bin/touch new
/bin/mv new moved
/bin/rm moved
/usr/bin/unshare --user /bin/true
""")
        self.shell = self.as_user(ALICE, "/bin/sh", script)
        self.bob = self.as_user(BOB, "/bin/cat", self.write(self.path("other", "c")))
        with Server("tcp-server", "::1", 1) as server:
            self.alices_port = server.port
            self.client = finished(client("tcp-client", "::1", server.port, 1, "worker",
                                          ALICE))["pid"]

    def bot(self):
        self.write(self.path("x"), BOT_SCRIPT)
        with Server("tcp-server", BOT, 3) as server:
            self.port = server.port
            self.command = f"./x {BOT} {self.port} 3"
            self.shell_command = f"cd {self.directory}; /usr/bin/perl {self.command}; true"
            self.web = self.start(ACTOR, "as", str(NOBODY), "/bin/sh", "-c", self.shell_command)
        with Server("tcp-server", "127.0.0.1", 1) as server:
            self.threads = self.start("/usr/bin/python3", "-c", THREAD_SCRIPT, "127.0.0.1", str(server.port))

    def disguises(self):
        os.symlink("/usr/bin/perl", self.path("sshd"))
        self.linked = self.start(self.path("sshd"), "-e", "1")
        self.kernel_thread = self.start("/bin/bash", "-c", "exec -a '[kworker/0:1]' /bin/true")
        # No disguise: a login shell, another name of a shell, a name longer than comm.
        self.plain = [
            self.start("/bin/bash", "-c", "exec -a -bash /bin/bash --norc -c 'exec /bin/true'"),
            self.start("/bin/sh", "-c", "exec /bin/true"),
            self.start(self.copy(ACTOR, self.path("a-name-of-more-than-15-bytes")), "show")]

    def places(self):
        text = "#!/usr/bin/perl\n1;\n"
        self.placed = [
            self.start(self.write(self.path("placed.pl"), text, 0o755)),
            self.start(self.write(os.path.join(self.memory, "placed.pl"), text, 0o755)),
            self.start("/bin/sh", "-e", self.write(self.path("relative.sh"), "true\n")[
                len(self.directory) + 1:], cwd=self.directory),
            self.start(self.copy("/bin/true", os.path.join(self.hidden, "prog")))]

    def deleted(self):
        path = self.copy("/bin/sleep", self.path("gone"))
        with subprocess.Popen([path, "600"]) as process:
            self.gone = process.pid
            self.vestige.sync()
            run("/bin/rm", path)
            self.vestige.sync()
            process.kill()
        reports = act("deleted-exe", "unnamed")[1]
        self.unnamed, self.unnamed_path = reports["child"]["pid"], reports["file"]["path"]

    def transitions(self):
        setuid = self.copy(ACTOR, self.path("setuid"), 0o4755)
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


# All questions of this file, with parameters of which there is nothing.
QUESTIONS = {
    "ancestry": ["pid=4194304"], "brute-force": [], "commands-of-account": ["account=no-such-account"],
    "commands-of-user": ["user=alice"], "deleted-program": [], "descendants": ["pid=4194304"],
    "devices-while-user": ["user=alice"], "endpoints-of-process": ["pid=4194304"],
    "endpoints-of-row": ["process=1"], "everything-of-user": ["user=alice"], "failed-logins": [],
    "files-of-user": ["user=alice"], "identity-changes": [], "interpreter-connections": [],
    "name-mismatch": [], "processes-in-contact": ["remote=no-such-host.example"],
    "program-in-odd-place": [], "sessions": [], "unusual-hours": [], "unusual-paths": [],
    "unusual-programs": [], "unusual-sources": [], "who-contacted": ["remote=no-such-host.example"],
}
HOSTILE = ["'", '"', "`", "%", "_", "\\", "' OR '1' = '1", "x'; DROP TABLE process; -- ", ":since", "?",
           "\x1b[2J", "\xff", "'" * 65536]


def header(name):
    """(key, value) of each line."""
    found = []
    with open(os.path.join(SQL, name + ".sql")) as stream:
        for line in stream:
            match = re.match(r"-- ([a-z]+): (.*)$", line)
            if not match:
                break
            found.append(match.groups())
    return found


def parameters(name):
    """{name: type}."""
    return dict(value.split(";")[0].split("=")[0].split() for key, value in header(name) if key == "parameter")


class QuestionsTest(unittest.TestCase):
    maxDiff = None
    vestige = activity = None

    @classmethod
    def setUpClass(cls):
        if QuestionsTest.vestige is None:
            QuestionsTest.record()

    @classmethod
    def record(cls):
        before = audit_state()
        unittest.addModuleCleanup(assert_audit_state, before)
        directory = tempfile.mkdtemp(prefix="vestige-q-")
        unittest.addModuleCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        QuestionsTest.vestige = vestige = Standalone(keys=PATIENT_WITH_FORKS)
        unittest.addModuleCleanup(vestige.remove)
        unittest.addModuleCleanup(vestige.stop)
        cls.start(vestige, directory)
        activity = Activity(vestige, directory)
        unittest.addModuleCleanup(shutil.rmtree, activity.memory)
        activity.run()
        QuestionsTest.activity = activity

    @staticmethod
    def start(vestige, directory):
        """The machine's accounts and two more; no logins but those of the test."""
        shutil.copy("/etc/passwd", directory)
        with open(os.path.join(directory, "passwd"), "a") as stream:
            stream.write(f"alice:x:{ALICE}:{ALICE}::/:/bin/sh\nbob:x:{BOB}:{BOB}::/:/bin/sh\n")
        with open(os.path.join(directory, "hosts"), "w") as stream:
            stream.write(f"127.0.0.1 localhost\n::1 localhost\n{BOT} {NAME}\n")
        with open(os.path.join(directory, "nothing"), "w"):
            pass
        prefix = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-e", "-c",
                  UNDER_OUR_FILES, directory)
        vestige.start(prefix=prefix)

    # Asking

    def finish(self, name, *words, status=0):
        done = run(*self.vestige.client("report", name, *words, "--format", "json"), check=False)
        self.assertEqual(status, done.returncode, f"{name} {str(words)[:300]}\n{done.stdout[:3000]}{done.stderr}")
        return done

    def ask(self, name, *words, status=0, since=None, until=None):
        """The rows of the second part, or of another window."""
        if "window" in dict(header(name)) and since is not False:
            words += ("--since", str(since or self.activity.since),
                      "--until", str(until or self.activity.until))
        return json.loads(self.finish(name, *words, status=status).stdout)["rows"]

    def values(self, rows, *names):
        return [tuple(row[name] for name in names) for row in rows]

    def ours(self, rows, *pids):
        """Without those of other programs of the machine."""
        return [row for row in rows if row["pid"] in pids]

    def logged_in(self, rows, column):
        """Without the program that logged in: it becomes known late, with that user or without."""
        return [row for row in rows if not re.match(re.escape(ACTOR) + " login ", row[column])]

    def row(self, pid, comm):
        """The row of process."""
        rows = self.vestige.query("SELECT * FROM process WHERE pid = %s AND comm = %s AND created_at >= %s",
                                  pid, comm, self.activity.since - datetime.timedelta(seconds=30))
        self.assertEqual(1, len(rows), brief(rows))
        return rows[0]

    def bot_pid(self):
        parent = self.row(self.activity.web, "sh")
        rows = self.vestige.query("SELECT DISTINCT pid FROM process WHERE parent_id = %s", parent["id"])
        self.assertEqual(1, len(rows), brief(rows))
        return rows[0]["pid"]


class TestAll(QuestionsTest):
    """What is true of each question."""

    def test_headers(self):
        listed = json.loads(run(*self.vestige.client("report", "--format", "json")).stdout)["rows"]
        listed = self.values(listed, "name", "question")
        for name in QUESTIONS:
            with self.subTest(name):
                said = header(name)
                keys = [key for key, _ in said]
                self.assertLessEqual({"question", "tags", "column", "example"}, set(keys))
                self.assertTrue(dict(said)["example"].startswith(f"vestige report {name}"))
                self.assertIn((name, dict(said)["question"]), listed)

    def test_nothing(self):
        """Nothing was recorded then, of that, or of these."""
        for name, words in QUESTIONS.items():
            with self.subTest(name):
                self.assertEqual([], self.ask(name, *words, status=1, since="2020-01-01", until="2020-01-02"))

    def test_hostile(self):
        """A value is a value: nothing is found, and nothing happens."""
        before = self.vestige.value("SELECT COUNT(*) FROM process WHERE created_at < %s", self.activity.until)
        n = 0
        for name, words in QUESTIONS.items():
            for parameter, kind in parameters(name).items():
                if kind not in ("text", "path"):
                    continue
                others = [word for word in words if not word.startswith(parameter + "=")]
                for value in HOSTILE:
                    n += 1
                    with self.subTest(f"{name} {parameter}={value[:30]}"):
                        value = ("/" if kind == "path" else "") + value
                        self.assertEqual([], self.ask(name, *others, f"{parameter}={value}", status=1))
        self.assertEqual(9 * len(HOSTILE), n)
        self.assertLessEqual(before, self.vestige.value(
            "SELECT COUNT(*) FROM process WHERE created_at < %s", self.activity.until))

    def test_hostile_typed(self):
        """What is no number, no user and no address is refused, and says so in one line."""
        for name, words in QUESTIONS.items():
            for parameter, kind in parameters(name).items():
                if kind in ("text", "path"):
                    continue
                others = [word for word in words if not word.startswith(parameter + "=")]
                for value in ("' OR '1' = '1", "%", "1; DROP TABLE process", "\x1b[2J"):
                    with self.subTest(f"{name} {parameter}={value[:30]}"):
                        done = self.finish(name, *others, f"{parameter}={value}", status=2)
                        self.assertEqual("", done.stdout)
                        self.assertRegex(done.stderr, r"\Avestige: report: error: [^\n\x1b]+\n\Z")

    def test_keys_for_scheduling(self):
        """Questions that may be scheduled give the keys of their rows, and of the right table."""
        for name, words in QUESTIONS.items():
            schedule = dict(header(name)).get("schedule")
            if not schedule:
                continue
            with self.subTest(name):
                table, _, subject = schedule.partition("; subject ")
                words = [f"remote={NAME}" if word.startswith("remote=") else word for word in words]
                last = self.vestige.value("SELECT MAX(batch) FROM batch")  # what lives on may end after the answer
                rows = self.ask(name, *words)
                for row in rows:
                    self.assertLessEqual(set(subject.split(", ")), set(row))
                    found = self.vestige.query(f"SELECT GREATEST(IF(batch <= {last}, batch, 0), "
                                               f"IF(settle_batch <= {last}, settle_batch, 0), "
                                               f"IF(end_batch <= {last}, end_batch, 0)) AS newest FROM {table} "
                                               "WHERE host_id = %s AND id = %s",
                                               row["row_host_id"], row["row_id"])
                    self.assertEqual(1, len(found), row)
                    self.assertLessEqual(found[0]["newest"], row["row_batch"])


class TestSeed(QuestionsTest):
    """From a remote name to the program, its arguments, its user and what led to it."""

    def test_who_contacted(self):
        first, last = self.vestige.query("SELECT MIN(created_at) AS a, MAX(created_at) AS b FROM endpoint "
                                         "WHERE remote_address = %s", BOT)[0].values()
        expected = [{"host": os.uname().nodename, "login_user": None, "username": "nobody",
                     "application": "crond", "program": "/usr/bin/perl", "connections": 3,
                     "first_seen": str(first), "last_seen": str(last)}]
        for words in ([f"remote={NAME}"], [f"remote={BOT}"], [NAME, str(self.activity.port)],
                      [f"remote={NAME} "]):
            rows = self.ask("who-contacted", *words)
            self.assertEqual(expected, [{key: row[key] for key in expected[0]} for row in rows])
        self.ask("who-contacted", f"remote={NAME}", "port=1", status=1)
        self.ask("who-contacted", f"remote={NAME}", "--login-user", "alice", status=1)

    def test_who_contacted_ipv6(self):
        """Written in another way than it is stored; the login user is known."""
        rows = self.ask("who-contacted", "remote=0:0:0:0:0:0:0:1", f"port={self.activity.alices_port}")
        self.assertEqual([("alice", "alice", "worker", os.path.realpath(ACTOR), 1)], self.values(
            rows, "login_user", "username", "application", "program", "connections"))

    def test_processes_in_contact(self):
        rows = self.ask("processes-in-contact", f"remote={NAME}")
        self.assertEqual(
            [(None, "nobody", self.bot_pid(), self.activity.web, "crond", "/usr/bin/perl",
              "/usr/bin/perl " + self.activity.command, f"/bin/sh -c '{self.activity.shell_command}'", 3)],
            self.values(rows, "login_user", "username", "pid", "ppid", "application", "program", "command",
                        "parent", "connections"))
        self.ask("processes-in-contact", f"remote={BOT}", "port=1", status=1)

    def test_commands_of_account(self):
        expected = [(self.activity.web, "/usr/bin/dash", f"/bin/sh -c '{self.activity.shell_command}'", 0),
                    (self.bot_pid(), "/usr/bin/perl", "/usr/bin/perl " + self.activity.command, 0)]
        pids = {pid for pid, *_ in expected}  # other tests let nobody run something, too
        rows = [row for row in self.ask("commands-of-account", "account=nobody") if row["pid"] in pids]
        self.assertEqual(expected, self.values(rows, "pid", "program", "command", "exit_code"))
        self.assertEqual({("nobody", "nobody", None, "exit")},
                         set(self.values(rows, "username", "effective_user", "login_user", "end_cause")))

    def test_endpoints_of_process(self):
        pid = self.bot_pid()
        process = self.row(pid, "perl")
        ports = [row["local_port"] for row in self.vestige.query(
            "SELECT local_port FROM endpoint WHERE process_id = %s ORDER BY id", process["id"])]
        expected = [("crond", "nobody", "tcp", "out", "established", "127.0.0.1", port, BOT,
                     self.activity.port, NAME, 100, 200) for port in ports]
        self.assertEqual(3, len(expected))
        names = ("application", "username", "protocol", "direction", "status", "local_address", "local_port",
                 "remote_address", "remote_port", "remote_name", "bytes_sent", "bytes_received")
        before = process["created_at"] - datetime.timedelta(microseconds=1)
        for words, status in (([f"pid={pid}"], 0), ([f"pid={pid}", f"at={process['created_at']}"], 0),
                              ([f"pid={pid}", f"at={before}"], 1)):
            rows = self.ask("endpoints-of-process", *words, status=status)
            self.assertEqual(expected if not status else [], self.values(rows, *names))
        rows = self.ask("endpoints-of-row", f"process={process['id']}", since=False)
        self.assertEqual(expected, self.values(rows, *names))
        self.assertEqual({(pid, "/usr/bin/perl " + self.activity.command)},
                         set(self.values(rows, "pid", "command")))
        self.ask("endpoints-of-row", f"process={process['id'] + 10**12}", since=False, status=1)

    def test_ancestry(self):
        pid = self.bot_pid()
        at = self.row(pid, "perl")["created_at"]
        rows = self.ask("ancestry", f"pid={pid}", f"at={at}")
        self.assertEqual([(0, "itself", pid, "perl", "nobody"),
                          (1, "parent", self.activity.web, "sh", "nobody"),
                          (2, "was before", self.activity.web, "actor", "root"),
                          (3, "parent", os.getpid())],
                         self.values(rows[:3], "step", "relation", "pid", "comm", "username")
                         + self.values(rows[3:4], "step", "relation", "pid"))
        self.assertEqual(list(range(len(rows))), [row["step"] for row in rows])
        self.assertEqual(1, rows[-1]["pid"])
        self.ask("ancestry", f"pid={pid}", f"at={at - datetime.timedelta(microseconds=1)}", status=1)

    def test_descendants(self):
        mine = [(0, "actor", "alice"), (0, "dash", "alice"), (1, "cat", "alice"),
                (1, "touch", "alice"), (1, "mv", "alice"), (1, "rm", "alice"), (1, "unshare", "alice"),
                (1, "true", "alice")]
        for words, expected in ((), mine), (["depth=0"], mine[:2]):
            rows = self.logged_in(self.ask("descendants", f"pid={self.activity.shell}", *words), "command")
            self.assertEqual(expected, [(row["generation"], os.path.basename(row["program"]),
                                         row["login_user"]) for row in rows])
        rows = self.ask("descendants", f"pid={os.getpid()}", "--limit", "10000")
        self.assertIn((2, self.bot_pid()), self.values(rows, "generation", "pid"))
        self.assertEqual(len(rows), len({row["row_id"] for row in rows}))


class TestDisguise(QuestionsTest):
    def test_name_mismatch(self):
        here = self.activity
        candidates = (self.bot_pid(), here.linked, here.kernel_thread, here.threads, here.client, here.session,
                      here.shell, *here.plain, *here.placed)
        rows = self.ours(self.ask("name-mismatch", "--limit", "100000"), *candidates)
        self.assertCountEqual(
            [(self.bot_pid(), "crond", "endpoint, renamed", "/usr/bin/perl", "nobody"),
             (here.client, "worker", "renamed", os.path.realpath(ACTOR), "root"),
             (here.linked, here.path("sshd"), "argv0, comm", "/usr/bin/perl", "root"),
             (here.kernel_thread, "[kworker/0:1]", "argv0", "/usr/bin/true", "root")],
            self.values(rows, "pid", "name", "seen_in", "program", "username"))

    def test_deleted_program(self):
        here = self.activity
        rows = self.ours(self.ask("deleted-program", "--limit", "100000"), here.gone, here.unnamed, *here.placed)
        self.assertEqual(
            [(here.gone, "deleted", f"/bin/rm {here.path('gone')}", here.path("gone"), f"{here.path('gone')} 600"),
             (here.unnamed, "deleted before", None, here.unnamed_path + " (deleted)", "true unnamed")],
            self.values(rows, "pid", "what", "deleted_by", "program", "command"))
        self.assertTrue(rows[0]["created_at"] < rows[0]["deleted_at"] < rows[0]["ended_at"], rows[0])

    def test_program_in_odd_place(self):
        here = self.activity
        rows = self.ours(self.ask("program-in-odd-place", "--limit", "100000"), *here.placed, self.bot_pid(),
                         here.shell, here.kernel_thread, here.threads, here.session)
        self.assertEqual(
            [(here.shell, "temporary", here.path("work.sh"), "/usr/bin/dash"),
             (self.bot_pid(), "temporary", here.path("x"), "/usr/bin/perl"),
             (here.placed[0], "temporary", here.path("placed.pl"), "/usr/bin/perl"),
             (here.placed[1], "memory", os.path.join(here.memory, "placed.pl"), "/usr/bin/perl"),
             (here.placed[2], "temporary", here.path("relative.sh"), "/usr/bin/dash"),
             (here.placed[3], "temporary, hidden", os.path.join(here.hidden, "prog"),
              os.path.join(here.hidden, "prog"))],
            self.values(rows, "pid", "place", "file", "program"))

    def test_interpreter_connections(self):
        here = self.activity
        rows = self.ours(self.ask("interpreter-connections"), self.bot_pid(), here.threads, here.client)
        self.assertEqual(
            [(self.bot_pid(), "crond", "/usr/bin/perl", "nobody", "out", "tcp", BOT, here.port, NAME, 3, 300, 600),
             (here.threads, "resolver-pool", os.path.realpath("/usr/bin/python3"), "root", "out", "tcp",
              "127.0.0.1", self.port_of(here.threads), "localhost", 1, 100, 200)],
            self.values(rows, "pid", "application", "program", "username", "direction", "protocol",
                        "remote_address", "remote_port", "remote_name", "connections", "bytes_sent",
                        "bytes_received"))

    def port_of(self, pid):
        return self.vestige.value("SELECT remote_port FROM endpoint WHERE pid = %s AND created_at >= %s",
                                  pid, self.activity.since)


class TestAccountability(QuestionsTest):
    def test_everything_of_user(self):
        """Every row of each table that is hers, once, in order."""
        rows = self.ask("everything-of-user", "user=alice")
        expected = {}
        for table, condition in (("session", f"login_uid = {ALICE}"), ("process", f"login_uid = {ALICE}"),
                                 ("endpoint", f"login_uid = {ALICE}"), ("file_access", f"login_uid = {ALICE}"),
                                 ("kernel_event", f"login_uid = {ALICE}"),
                                 ("auth_attempt", "username = 'alice'")):
            expected[table] = [row["id"] for row in self.vestige.query(
                f"SELECT id FROM {table} WHERE {condition} AND created_at >= %s AND created_at <= %s "
                f"ORDER BY id", self.activity.since, self.activity.until)]
        self.assertEqual(expected, {table: sorted(row["row_id"] for row in rows if row["row_table"] == table)
                                    for table in expected})
        self.assertEqual(sorted(row["created_at"] for row in rows), [row["created_at"] for row in rows])
        work = self.activity.path("work")
        wanted = {
            ("session", "alice", "sshd", "from 198.18.0.10", "closed"),
            ("login", "alice", "sshd", "from 198.18.0.10", "success"),
            ("login", "alice", "sshd", "from 198.18.0.9", "failure"),
            ("program", "alice", "/usr/bin/mv", "/bin/mv new moved", "exit status 0"),
            ("program", "alice/root", self.activity.path("setuid"),
             f"{self.activity.path('setuid')} show by-setuid", "exit status 0"),
            ("program", "root", "/usr/bin/true", "/bin/true by-su", "exit status 0"),
            ("connection", "alice", "worker", f"tcp out ::1 {self.activity.alices_port} localhost", "established"),
            ("file", "alice", "mv", f"{work}/new -> {work}/moved", "rename"),
            ("file", "alice", "rm", f"{work}/moved", "delete"),
            ("unshare", "alice", "unshare", "user", "success"),
        }
        said = set(self.values(rows, "what", "username", "application", "detail", "result"))
        self.assertEqual(set(), wanted - said, sorted(said, key=str))

    def test_everything_of_another(self):
        rows = self.ask("everything-of-user", f"user={BOB}")
        self.assertEqual(["actor", "cat"], [os.path.basename(row["application"])
                                            for row in self.logged_in(rows, "detail") if row["what"] == "program"])
        self.assertEqual([self.activity.path("other", "c")],
                         [row["detail"] for row in rows
                          if row["what"] == "file" and row["detail"].startswith(self.activity.directory)])
        self.assertEqual({"program", "file"}, {row["what"] for row in rows})

    def test_commands_of_user(self):
        rows = self.logged_in(self.ask("commands-of-user", "user=alice"), "command")
        here = self.activity
        shell = [row for row in rows if row["pid"] == here.shell or row["ppid"] == here.shell]
        self.assertEqual([("/usr/bin/dash", "alice"), ("/usr/bin/cat", "alice"), ("/usr/bin/touch", "alice"),
                          ("/usr/bin/mv", "alice"), ("/usr/bin/rm", "alice"), ("/usr/bin/unshare", "alice"),
                          ("/usr/bin/true", "alice")], self.values(shell[1:], "program", "username"))
        self.assertEqual(1, len({row["session"] for row in shell}))
        self.assertEqual(1, len([row for row in rows if row["command"] == "/bin/true by-su"]))
        self.assertEqual([], self.ours(rows, here.bob, here.web))
        rows = self.logged_in(self.ask("commands-of-user", "user=bob"), "command")
        self.assertEqual(["actor", "cat"], [os.path.basename(row["program"]) for row in rows])

    def test_identity_changes(self):
        here = self.activity
        rows = self.ask("identity-changes", "--login-user", "alice")
        tail = [row for row in rows if row["pid"] not in (here.shell, here.client)]
        self.assertEqual(
            [("setuid program", "root", "alice/root", "/usr/bin/su", here.su),
             ("su", "alice/root", "root", os.path.realpath("/bin/sh")),
             ("setuid program", "root", "alice/root", "/usr/bin/sudo", here.sudo),
             ("sudo", "alice/root", "root", "/usr/bin/true"),
             ("setuid program", "root", "alice/root", here.path("setuid"), here.setuid)],
            [tuple(row[name] for name in ("how", "from_user", "to_user", "program", "pid")[
                :5 if row["how"] == "setuid program" else 4]) for row in tail])
        self.assertEqual([("by actor", "root", "alice", "/usr/bin/dash")], self.values(
            self.ours(rows, here.shell), "how", "from_user", "to_user", "program"))
        rows = self.ours(self.ask("identity-changes", "--login-user", "unset"), here.dropped, here.web, here.bob)
        self.assertEqual([(here.web, "by actor", "root", "nobody"),
                          (here.dropped, "by actor", "0", str(NOBODY))],
                         self.values(rows, "pid", "how", "from_user", "to_user"))

    def test_files_of_user(self):
        work = self.activity.path("work")
        names = ("application", "operations", "path", "new_path", "command")
        everything = [("touch", "write,create", f"{work}/new", None, "/usr/bin/touch new"),
                      ("touch", "attributes", f"{work}/new", None, "/usr/bin/touch new"),
                      ("mv", "rename", f"{work}/new", f"{work}/moved", "/bin/mv new moved"),
                      ("rm", "delete", f"{work}/moved", None, "/bin/rm moved")]
        for words, expected in (([f"under={work}"], everything), (["operation=delete"], everything[3:]),
                                (["operation=rename"], everything[2:3]), (["operation=create", f"under={work}/"],
                                                                          everything[:1])):
            self.assertEqual(expected, self.values(self.ask("files-of-user", "user=alice", *words), *names))
        self.ask("files-of-user", "user=alice", f"under={work[:-1]}", status=1)
        self.ask("files-of-user", "user=bob", f"under={work}", status=1)

    def test_devices_while_user(self):
        # Other tests may have loop devices, too.
        rows = [row for row in self.ask("devices-while-user", "user=alice")
                if row["subsystem"] == "block" and row["devpath"].endswith(f"/loop{LOOP}")]
        self.assertEqual([(f"/dev/loop{LOOP}", f"/devices/virtual/block/loop{LOOP}", "alice", "198.18.0.10")],
                         self.values(rows, "devnode", "devpath", "users_logged_in", "session_from"))
        self.assertTrue(rows[0]["session_since"] < rows[0]["created_at"] < rows[0]["removed_at"])
        self.ask("devices-while-user", "user=bob", status=1)

    def test_sessions(self):
        names = ("login_user", "username", "service", "remote_address", "leader_pid", "end_cause")
        rows = self.ask("sessions", "--login-user", "alice")
        self.assertEqual([("alice", "alice", "sshd", "198.18.0.10", self.activity.session, "closed"),
                          ("alice", "root", "su", None, self.activity.su, "closed"),
                          ("alice", "root", "sudo", None, self.activity.sudo, "closed")],
                         self.values(rows, *names))
        for words in (["service=sshd"], ["remote=198.18.0.10"]):  # others may log in, too
            found = [row for row in self.ask("sessions", *words) if row["login_user"] == "alice"]
            self.assertEqual(self.values(rows[:1], *names), self.values(found, *names))
        self.ask("sessions", "--login-user", "bob", status=1)

    def test_failed_logins(self):
        names = ("name", "service", "remote_address", "tty", "pid")
        pid = self.activity.sshd.pid
        guesses = [(name, "sshd", "198.18.66.6", "ssh", pid) for name in
                   ("root", "admin", "root", "test", "root", "admin")]
        alice = [("alice", "sshd", "198.18.0.9", "ssh", pid), ("alice", "sudo", None, "pts/5", pid)]
        rows = self.values(self.ours(self.ask("failed-logins"), pid), *names)
        rows = [(name, service, address, tty and tty.removeprefix("ssh") or ("ssh" if service == "sshd" else None),
                 of) for name, service, address, tty, of in rows]
        self.assertEqual(guesses + alice, rows)
        for words, n in ((["name=root"], 3), (["address=198.18.66.6"], 6), (["service=sudo"], 1),
                         (["name=alice", "service=sshd"], 1), (["name=Root"], 0)):
            self.assertEqual(n, len(self.ours(self.ask("failed-logins", *words, status=0 if n else 1), pid)), words)

    def test_brute_force(self):
        first, last = self.vestige.query(
            "SELECT MIN(created_at) AS a, MAX(created_at) AS b FROM auth_attempt WHERE remote_address = %s",
            "198.18.66.6")[0].values()
        expected = [("198.18.66.6", 6, 3, "admin root test", 1, str(first), str(last), 0, None)]

        def ours(rows):
            return [row for row in rows if row["remote_address"] in ("198.18.66.6", "198.18.0.9")]
        self.assertEqual(expected, self.values(
            ours(self.ask("brute-force")), "remote_address", "failures", "names", "tried", "hosts", "first_seen",
            "last_seen", "succeeded", "success_at"))
        self.ask("brute-force", "least=7", status=1)
        # All attempts: the first part's success, too.
        rows = ours(self.ask("brute-force", "least=1", since=self.activity.begin))
        self.assertEqual([("198.18.66.6", 6, 0), ("198.18.0.9", 1, 1)],
                         self.values(rows, "remote_address", "failures", "succeeded"))


class TestUnusual(QuestionsTest):
    """The first part is the baseline: hers is quiet, or good where one day is enough; his is none."""

    def days(self, table):
        """On how many days the first part was in this table: two at midnight."""
        return self.vestige.value(f"SELECT COUNT(DISTINCT DATE(created_at)) FROM {table} WHERE login_uid = %s "
                                  "AND created_at < %s", ALICE, self.activity.since)

    def assert_marks(self, name, *words, table, key):
        """What is unusual of alice, with her baseline said to be quiet or good."""
        rows = self.ask(name, *words, "--login-user", "alice")
        self.assertEqual({("quiet", self.days(table))}, set(self.values(rows, "baseline", "baseline_days")))
        good = self.ask(name, *words, "quiet=1", "--login-user", "alice")
        self.assertEqual({"good"}, {row["baseline"] for row in good})
        self.assertEqual(self.values(rows, *key), self.values(good, *key))
        none = self.ask(name, *words, "baseline=0", "--login-user", "alice")
        self.assertEqual({("none", 0)}, set(self.values(none, "baseline", "baseline_days")))
        self.assertLess(len(rows), len(none))
        return self.values(rows, *key)

    def test_programs(self):
        here = self.activity
        self.assertEqual(
            [(program, runs) for program, runs in (
                (os.path.realpath("/usr/bin/python3"), None), ("/usr/bin/touch", 1), ("/usr/bin/mv", 1),
                ("/usr/bin/rm", 1), ("/usr/bin/unshare", 1), ("/usr/bin/true", 3), ("/usr/bin/su", 1),
                ("/usr/bin/sudo", 1), (here.path("setuid"), 1)) if runs],
            [one for one in self.assert_marks("unusual-programs", table="process", key=("program", "runs"))
             if one[0] != os.path.realpath("/bin/sh")])
        self.assertEqual([(os.path.realpath(ACTOR), "none", 0), ("/usr/bin/cat", "none", 0)], self.values(
            self.ask("unusual-programs", "--login-user", "bob"), "program", "baseline", "baseline_days"))

    def test_paths(self):
        here = self.activity
        found = [one for one in self.assert_marks("unusual-paths", table="file_access", key=("directory",))]
        self.assertIn((here.path("work"),), found)
        self.assertNotIn((here.path("usual"),), found, brief(self.vestige.query(
            "SELECT created_at, pid, application, login_uid, path, operations FROM file_access "
            "WHERE path LIKE CONCAT(%s, '/%%')", here.path("usual"))) + str(here.since))
        row, = [row for row in self.ask("unusual-paths") if row["directory"] == here.path("work")]
        self.assertEqual((4, "write,create,delete,rename,attributes"), (row["files"], row["operations"]))
        found = self.values(self.ask("unusual-paths", "--login-user", "bob"), "directory", "baseline")
        self.assertIn((here.path("other"), "none"), found)
        self.assertIn(("/" + here.directory.split("/")[1], "none"), self.values(
            self.ask("unusual-paths", "depth=1", "--login-user", "bob"), "directory", "baseline"))

    def test_sources(self):
        self.assertEqual([("alice", "198.18.0.10", 1)], self.assert_sources())
        self.ask("unusual-sources", "--login-user", "bob", status=1)

    def assert_sources(self):
        rows = [row for row in self.ask("unusual-sources") if row["username"] == "alice"]
        self.assertEqual({("quiet", 1)}, set(self.values(rows, "baseline", "baseline_days")))
        return self.values(rows, "username", "remote_address", "sessions")

    def test_hours(self):
        """Of the hours of the second part, those of the first are usual: all but at a full hour."""
        def hours(uid, since, until):
            return [row["hour"] for row in self.vestige.query(
                "SELECT HOUR(created_at) AS hour FROM process WHERE login_uid = %s AND created_at >= %s "
                "AND created_at < %s GROUP BY hour ORDER BY MIN(created_at)", uid, since, until)]
        here = self.activity
        usual = hours(ALICE, "2020-01-01", here.since)
        fresh = [hour for hour in hours(ALICE, here.since, here.until) if hour not in usual]
        rows = self.ask("unusual-hours", "--login-user", "alice", status=0 if fresh else 1)
        self.assertEqual(fresh, [row["hour"] for row in rows])
        rows = self.ask("unusual-hours", "baseline=0", "--login-user", "alice")
        self.assertEqual(hours(ALICE, here.since, here.until), [row["hour"] for row in rows])
        rows = self.ask("unusual-hours", "--login-user", "bob")
        self.assertEqual([(hour, "none", 0) for hour in hours(BOB, here.since, here.until)],
                         self.values(rows, "hour", "baseline", "baseline_days"))
        self.assertIn(sum(row["programs"] for row in rows), (2, 3))  # see logged_in()


if __name__ == "__main__":
    main()
