"""What all integration tests share: a standalone instance in a directory of its own, questions to
its database, actors, and oracles that share no code with Vestige.

Each test file gets one instance, and ends with the check that the machine's audit state is what it
was before. Nothing here waits by time alone: each
wait is for a condition, with a bound, and says what did not happen.

VESTIGE_BIN names the directory of the programs under test, VESTIGE_ACTOR the actor program."""

import collections
import configparser
import contextlib
import ctypes
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import pymysql
import pymysql.cursors

import data_template

BIN = os.environ.get("VESTIGE_BIN", "")
ACTOR = os.environ.get("VESTIGE_ACTOR", "")
VESTIGE = os.path.join(BIN, "vestige")
VESTIGED = os.path.join(BIN, "vestiged")
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
# Whom the agents of tests become: a user of every Debian, who owns nothing.
AGENT_USER = os.environ.get("VESTIGE_TEST_USER", "games")


class Timeout(AssertionError):
    pass


def wait_for(condition, seconds, what, interval=0.02):
    """The first true value of condition(), or Timeout saying what did not happen."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {seconds} s")
        time.sleep(interval)


def end_with_parent():
    """For preexec_fn of what owns audit or serves for long: a test that is killed leaves it not behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def test_directory():
    """A new directory of root's, which the agent's user can pass through, and nobody else."""
    directory = tempfile.mkdtemp(prefix="vestige-test-")
    if AGENT_USER:
        os.chown(directory, 0, pwd.getpwnam(AGENT_USER).pw_gid)
        os.chmod(directory, 0o710)
    return directory


def unmount(place):
    """The recorder looks into a filesystem that is new, and then it is busy for moments."""
    wait_for(lambda: run("umount", place, check=False).returncode == 0 or not os.path.ismount(place), 60,
             f"{place} is unmounted", 0.1)


def run(*command, check=True, **options):
    """The finished command; a failure shows what it wrote."""
    options.setdefault("timeout", 120)
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


# The machine


AUDIT_COUNTERS = ("lost", "backlog", "backlog_wait_time_actual")


def audit_status():
    """`auditctl -s` by name, numbers as numbers."""
    status = {}
    for line in run("auditctl", "-s").stdout.splitlines():
        name, _, value = line.partition(" ")
        status[name] = int(value) if value.lstrip("-").isdigit() else value
    return status


def audit_rules():
    return run("auditctl", "-l").stdout


def speaks_to_audit(pid):
    """A process with a netlink socket of this kind; the first one has the number of the process."""
    with open("/proc/net/netlink") as sockets:
        next(sockets)
        return any(line.split()[1:3] == ["9", str(pid)] for line in sockets)


def audit_state():
    """Settings and rules, without what only counts. The kernel may still name an owner that is gone, whose
    pid another process has by now."""
    status = audit_status()
    if not speaks_to_audit(status["pid"]):
        status["pid"] = 0
    return {name: status[name] for name in status if name not in AUDIT_COUNTERS}, audit_rules()


def put_away_leftovers():
    """Of a test that was killed, so that its failure does not become that of all later tests."""
    settings, rules = audit_state()
    keys = {line.rpartition("key=")[2] for line in rules.splitlines() if "key=" in line}
    if keys != {"vestige"} or settings["pid"] or processes_named("vestiged"):
        return
    print("audit has rules of a recorder that is gone: they are put away", flush=True)
    of_a_fresh_boot = {"enabled": 0, "backlog_limit": 64, "backlog_wait_time": 15000}
    restore_audit(settings | of_a_fresh_boot, "")


def forks_total():
    """Tasks forked since boot, threads included."""
    with open("/proc/stat") as stat:
        return int(re.search(r"^processes (\d+)$", stat.read(), re.M).group(1))


def task_cpu_ns(pids):
    """Time on a CPU in nanoseconds, of the threads of these processes, by the threads' names."""
    times = collections.Counter()
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/task/{task}/comm") as comm, \
                        open(f"/proc/{pid}/task/{task}/schedstat") as schedstat:
                    times[comm.read().rstrip("\n")] += int(schedstat.read().split()[0])
    return times


def processes_named(comm, parent=None):
    """Pids of the living processes with this name, of this parent if one is given."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat") as stat:
                text = stat.read()
            name = text[text.index("(") + 1:text.rindex(")")]
            state, ppid = text[text.rindex(")") + 2:].split()[:2]
            if name == comm and state != "Z" and parent in (None, int(ppid)):
                found.append(int(entry))
    return found


def memory_kib(pid, field):
    """VmHWM or VmRSS of a process."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"^{field}:\s+(\d+) kB$", status.read(), re.M).group(1))


# Actors


def actor_command(*parameters):
    return [ACTOR, *map(str, parameters)]


def act(*parameters, status=0, prefix=(), **options):
    """Run an actor, below the command in prefix. Returns the pid and what it reported, by role."""
    with subprocess.Popen([*prefix, *actor_command(*parameters)], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, **options) as process:
        output, _ = process.communicate(timeout=600)
    if process.returncode != status:
        raise AssertionError(f"actor {parameters}: exit status {process.returncode}\n{output}")
    reports = [json.loads(line) for line in output.splitlines()]
    return process.pid, {report["role"]: report for report in reports}


def quoted(argument):
    """An argument as `arguments` holds it: bare when a POSIX shell takes it as it is."""
    if argument and re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]*", argument):
        return argument
    return "'" + argument.replace("'", "'\\''") + "'"


class ForkListener:
    """All forks as a listener of ours saw them; complete by comparison with /proc/stat.

    with ForkListener() as forks: ...
    forks.processes is a list of (pid, parent's pid), forks.threads one of (process, nanoseconds of
    CLOCK_MONOTONIC), both in order."""

    def __enter__(self):
        self._output = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(actor_command("forks"), stdin=subprocess.PIPE,
                                         stdout=self._output, text=True)
        self.pid = self._process.pid
        wait_for(lambda: os.fstat(self._output.fileno()).st_size, 60, "the fork listener is ready")
        self._before = forks_total()
        return self

    def __exit__(self, *failure):
        after = forks_total()
        self._process.stdin.close()
        self._process.wait(60)
        self._output.seek(0)
        lines = self._output.read().splitlines()
        self._output.close()
        if failure[0]:
            return
        forks = [tuple(map(int, line.split()[1:])) for line in lines if line.startswith("F ")]
        self.processes = [(pid, parent) for pid, tgid, parent, _ in forks if pid == tgid]
        self.threads = [(tgid, ns) for pid, tgid, _, ns in forks if pid != tgid]
        # What forked between the subscription and the first reading, or after the last one, is
        # heard and not counted; never the other way round.
        if "L" in lines or len(forks) < after - self._before:
            raise AssertionError(f"the fork listener heard {len(forks)} of "
                                 f"{after - self._before} forks: the machine is too busy")

    def between(self, first_pid, last_pid):
        """How many processes were forked after the process first_pid and before last_pid."""
        pids = [pid for pid, _ in self.processes]
        first = pids.index(first_pid)
        last = len(pids) - 1 - pids[::-1].index(last_pid)  # in a storm others may have had this pid before
        return last - first - 1


ACCT = struct.Struct("<BBHIIIIIIf8H16s")
AccountingRecord = collections.namedtuple(
    "AccountingRecord", "flag version tty exit_code uid gid pid ppid begin elapsed user system "
    "memory io rw minor_faults major_faults swaps comm")


def accounting_records(path):
    """Kernel process accounting records, version 3 (acct(5)), in the order they were written."""
    with open(path, "rb") as stream:
        data = stream.read()
    if len(data) % ACCT.size:
        raise AssertionError(f"{path}: {len(data)} bytes are not records of {ACCT.size}")
    records = [AccountingRecord(*fields) for fields in ACCT.iter_unpack(data)]
    for record in records:
        if record.version != 3:
            raise AssertionError(f"{path}: record version {record.version}, expected 3")
    return [record._replace(comm=record.comm.split(b"\0")[0]) for record in records]


@contextlib.contextmanager
def process_accounting(path):
    """Kernel process accounting into path, which must exist."""
    def account(target):
        if LIBC.acct(target):
            raise OSError(ctypes.get_errno(), "acct", path)
    account(path.encode())
    try:
        yield
    finally:
        account(None)


# The instance under test


WITHOUT_AUDIT = {"audit": {"mode": "off"}}
# A child that a busy machine lets stand still before its exec is no process more in an answer.
PATIENT_WITH_FORKS = {"process": {"fork_ms": 1000}}


def write_keys(directory, sections):
    """A file for --config."""
    path = os.path.join(directory, "keys.conf")
    with open(path, "w") as stream:
        for section, keys in sections.items():
            stream.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    return path


class Standalone:
    """`vestige standalone` in a directory of its own. Without audit it may run beside another one.
    keys: what its agent begins with, by section."""

    def __init__(self, audited=True, keys=None):
        self.directory = test_directory()
        self.state = os.path.join(self.directory, "state")
        self.log = os.path.join(self.directory, "standalone.log")
        self.process = None
        self.agent_pid = self.database_pid = None
        self._connection = None
        self._first_configuration = None
        self._keys = (keys or {}) | ({} if audited else WITHOUT_AUDIT)

    def path(self, *names):
        return os.path.join(self.state, *names)

    # Start and stop

    def copy_data(self):
        """Begin with the data that a first start makes, where mariadbd runs as root."""
        if os.path.exists(self.state) or os.stat(self.directory).st_mode & 0o007:
            return
        os.mkdir(self.state, 0o700)
        open(self.path("lock"), "w").close()
        data_template.fill(self.path("mariadb"), "standalone", (VESTIGE,), self.make_data)

    def make_data(self):
        """A first start that ends when all is there but this host: the agent is to become nobody."""
        done = run(*self.client("standalone", "--user", "no-such-user"), check=False)
        if "there is no user no-such-user" not in done.stderr:
            raise AssertionError(f"the data are not made:\n{done.stdout}{done.stderr}")

    def start(self, *options, prefix=(), seconds=120):
        """Start, and return when it records (or serves, with --no-agent)."""
        records = "--no-agent" not in options
        if AGENT_USER and records and "--user" not in options:
            options = ("--user", AGENT_USER, *options)
        if self._keys and records and not os.path.exists(self.path("vestiged.conf")):
            options = ("--config", write_keys(self.directory, self._keys), *options)
        if data_template.FOLDER:
            self.copy_data()
        with open(self.log, "ab") as log:
            offset = log.tell()
            self.process = subprocess.Popen(
                [*prefix, *self.client("standalone", *options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=end_with_parent)
        self.wait_for_line("recording this host" if records else "without recording", offset, seconds)
        if AGENT_USER and not records: # an agent alone is to reach the server
            group = pwd.getpwnam(AGENT_USER).pw_gid
            for path, mode in ((self.state, 0o711), (self.path("run"), 0o750)):
                os.chown(path, -1, group)
                os.chmod(path, mode)
        self.agent_pid = self.child("vestiged") if records else None
        self.database_pid = self.child("mariadbd")

    def wait_for_line(self, text, offset, seconds):
        def found():
            with open(self.log, "rb") as log:
                log.seek(offset)
                if text.encode() in log.read():
                    return True
            if self.process.poll() is not None:
                raise AssertionError(f"vestige standalone ended with {self.process.returncode}:\n"
                                     + self.log_text())
            return False
        try:
            wait_for(found, seconds, f"'{text}' in {self.log}")
        except Timeout as timeout:
            raise Timeout(f"{timeout}\n{self.log_text()}") from None

    def child(self, comm):
        """The pid of the one child with this name."""
        found = processes_named(comm, self.process.pid)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} processes {comm} below vestige standalone:\n"
                                 + self.log_text())
        return found[0]

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-8000:]

    def configure(self, **sections):
        """Set keys of vestiged.conf for the next start: configure(reader={"interval_ms": 10}).
        Keys that an earlier call set are as they were at the first start."""
        path = self.path("vestiged.conf")
        if self._first_configuration is None:
            with open(path) as stream:
                self._first_configuration = stream.read()
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self._first_configuration)
        for section, keys in sections.items():
            if not parser.has_section(section):
                parser.add_section(section)
            for key, value in keys.items():
                parser.set(section, key, str(value))
        with open(path, "w") as stream:
            parser.write(stream)

    def stop(self, seconds=180):
        """End it as Ctrl-C does; it must end with 0."""
        self.disconnect()
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process = process
            self.kill_all()
            raise Timeout(f"vestige standalone did not end within {seconds} s:\n"
                          + self.log_text()) from None
        if status:
            raise AssertionError(f"vestige standalone ended with {status}:\n" + self.log_text())

    def kill_all(self):
        """kill -9 of everything, as a power cut would; the directory stays."""
        self.disconnect()
        process, self.process = self.process, None
        if process is None:
            return
        # Whoever ends first would have the others end in order, or be started again: it stands still.
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
        for pid, comm in ((self.agent_pid, "vestiged"), (self.database_pid, "mariadbd")):
            if pid in processes_named(comm):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid, comm=comm: pid not in processes_named(comm), 60,
                     f"{comm} is gone")
        process.kill()
        process.wait()

    def remove(self):
        self.kill_all()
        shutil.rmtree(self.directory)

    def kill_agent(self):
        """kill -9 of the agent alone; returns when the instance has started another."""
        old, offset = self.agent_pid, os.path.getsize(self.log)
        os.kill(old, signal.SIGKILL)
        self.wait_for_line("agent: recording", offset, 60)
        self.agent_pid = self.child("vestiged")
        if self.agent_pid == old:
            raise AssertionError("the agent was not killed")

    def kill_database(self):
        """kill -9 of mariadbd; the instance starts another by itself."""
        os.kill(self.database_pid, signal.SIGKILL)

    def wait_for_database(self):
        """Another mariadbd than the one that was killed answers."""
        def answers():
            found = [pid for pid in processes_named("mariadbd", self.process.pid)
                     if pid != self.database_pid]
            if not found:
                return False
            with contextlib.suppress(pymysql.Error):
                self.disconnect()
                self.value("SELECT 1")
                self.database_pid = found[0]
                return True
            return False
        wait_for(answers, 60, "the database answers again", 0.2)

    # The agent alone, beside the database of a standalone instance

    def start_agent(self, seconds=60):
        """Start vestiged itself; the instance must run with --no-agent, or have lost its agent."""
        self.agent_log = os.path.join(self.directory, "vestiged.log")
        with open(self.agent_log, "ab") as log:
            offset = log.tell()
            self.agent = subprocess.Popen(
                [VESTIGED, "--config", self.path("vestiged.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent)
        self.agent_pid = self.agent.pid

        def records():
            with open(self.agent_log) as log:
                log.seek(offset)
                text = log.read()
            if self.agent.poll() is not None:
                raise AssertionError(f"vestiged ended with {self.agent.returncode}:\n"
                                     + text[-4000:])
            return "agent: recording" in text
        wait_for(records, seconds, "vestiged records")

    def stop_agent(self, seconds=90):
        self.agent.send_signal(signal.SIGTERM)
        status = self.agent.wait(seconds)
        if status:
            raise AssertionError(f"vestiged ended with {status}")

    # Questions

    def client(self, command, *parameters):
        """A command of `vestige` about this instance."""
        return [VESTIGE, command, "--state", self.state, *map(str, parameters)]

    def try_sync(self, seconds=120):
        """None, or what `vestige sync` said."""
        done = subprocess.run(self.client("sync", "--timeout", seconds), capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=seconds + 60)
        return None if done.returncode == 0 else done.stdout + done.stderr

    def sync(self):
        """Return once all that happened before the call can be queried."""
        problem = self.try_sync()
        if problem is not None:
            raise AssertionError(f"vestige sync: {problem}\n{self.log_text()}")

    def status(self):
        """What the agent answers on its socket, by name."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(self.path("agent", "vestiged.sock"))
            client.sendall(b"status\n")
            answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        first, *lines = answer.splitlines()
        if first != "ok":
            raise AssertionError(f"the agent answers: {answer}")
        return dict(line.partition(" ")[::2] for line in lines)

    def connect(self):
        options = configparser.ConfigParser(interpolation=None, allow_no_value=True)
        options.read(self.path("client.cnf"))
        values = {}
        for section in options.sections():
            values.update(options[section])
        unquoted = {name: value.strip("'\"") for name, value in values.items() if value}
        return pymysql.connect(unix_socket=unquoted["socket"], user=unquoted["user"],
                               password=unquoted.get("password", ""), database="vestige",
                               charset="utf8mb4", autocommit=True,
                               init_command="SET time_zone='+00:00'",
                               cursorclass=pymysql.cursors.DictCursor)

    def disconnect(self):
        if self._connection is not None:
            with contextlib.suppress(pymysql.Error):
                self._connection.close()
        self._connection = None

    def query(self, sql, *parameters):
        """The rows as dictionaries."""
        if self._connection is None:
            self._connection = self.connect()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return list(cursor.fetchall())
        except pymysql.Error:
            self.disconnect()
            raise

    def value(self, sql, *parameters):
        """The one value of the one row."""
        rows = self.query(sql, *parameters)
        if len(rows) != 1 or len(rows[0]) != 1:
            raise AssertionError(f"{sql}: {rows}")
        return next(iter(rows[0].values()))


def now_us():
    """The time as ids hold it."""
    return time.time_ns() // 1000


class VestigeTest(unittest.TestCase):
    """One instance a file; tests see only rows that were recorded after they began."""

    audited = True  # a file all of whose tests do without audit runs beside others
    keys = None  # see Standalone
    maxDiff = None
    _instances = {}

    @classmethod
    def setUpClass(cls):
        if cls.__module__ not in cls._instances:
            cls._instances[cls.__module__] = cls.start_instance()
        cls.vestige = cls._instances[cls.__module__]

    @classmethod
    def start_instance(cls):
        if os.geteuid():
            raise AssertionError("integration tests need root")
        for program in (VESTIGE, VESTIGED, ACTOR):
            if not os.access(program, os.X_OK):
                raise AssertionError(f"{program} cannot be executed: set VESTIGE_BIN and "
                                     "VESTIGE_ACTOR, or run tests/run")
        if cls.audited:
            put_away_leftovers()
            unittest.addModuleCleanup(assert_audit_state, audit_state())
        instance = Standalone(cls.audited, cls.keys)
        unittest.addModuleCleanup(instance.remove)
        instance.start()
        unittest.addModuleCleanup(instance.stop)
        return instance

    def setUp(self):
        self.since = now_us()
        self.tag = f"{self.id().split('.')[-1]}-{self.since}"

    def processes(self, condition, *parameters):
        """Process rows of this test that meet the condition, oldest first."""
        return self.vestige.query(
            f"SELECT * FROM process WHERE id >= {self.since} AND ({condition}) ORDER BY id",
            *parameters)

    def gaps(self):
        """Gaps of which a part is in the time of this test."""
        return self.vestige.query(
            f"SELECT * FROM gap WHERE destroyed_at >= FROM_UNIXTIME({self.since} / 1000000)")

    def rows_of(self, pid):
        """Those of images that were executed, or never came to an exec. On a busy machine a child may stand
        still before its exec for so long that this is a row, too: see test_late_exec."""
        rows = self.processes("pid = %s", pid)
        late = {row["id"] for row, after in zip(rows, rows[1:]) if after["previous_id"] == row["id"]
                and row["previous_id"] is None and "audit" not in row["seen_by"].split(",")
                and (row["destroyed_at"] - row["created_at"]).total_seconds() > 0.1}
        return [{**row, "previous_id": None} if row["previous_id"] in late else row
                for row in rows if row["id"] not in late]

    def row_of(self, pid):
        return self.only(self.rows_of(pid), f"pid {pid}")

    def only(self, rows, what):
        """The one row."""
        self.assertEqual(1, len(rows), f"rows of {what}: {brief(rows)}")
        return rows[0]

    def assert_row(self, row, **expected):
        """These columns have exactly these values."""
        self.assertEqual(expected, {name: row[name] for name in expected}, brief([row]))

    def assert_ended(self, row, **expected):
        self.assertIsNotNone(row["destroyed_at"], brief([row]))
        self.assertGreaterEqual(row["destroyed_at"], row["created_at"])
        self.assert_row(row, **expected)


MARGIN_NS = 250_000_000


class Accounts:
    """Process lifecycles of a span: generated = stored + counted as lost.

    The span is between two processes that are recorded for certain. Generated is what a listener of
    ours heard, which itself agrees with /proc/stat; threads are no processes.

    The kernel's total counts threads too, and one that is born and gone while the agent does not
    hear cannot be told from a process. So what is not heard is done within unheard(), where no
    program of the test makes a thread that ends; that is checked. Only programs that have nothing to
    do with the test may have made some, on a machine that others use too."""

    def __init__(self, test):
        self.test = test
        self.vestige = test.vestige
        self.deaf = []
        self.agents = set()  # that were started while nothing was heard

    def __enter__(self):
        self._forks = ForkListener()
        self._forks.__enter__()
        self.first = self.marker()
        return self

    def __exit__(self, *failure):
        if failure[0]:
            self._forks.__exit__(*failure)
            return
        self.last = self.marker()
        self._forks.__exit__(None, None, None)
        self.generated = self._forks.between(self.first["pid"], self.last["pid"])
        self.threads = self.threads_within(0)
        self.n_threads_near = len(self.threads_within(MARGIN_NS)) - len(self.threads)

    def threads_within(self, margin_ns):
        return [process for process, ns in self._forks.threads
                if any(begin - margin_ns <= ns <= end + margin_ns for begin, end in self.deaf)]

    @contextlib.contextmanager
    def unheard(self):
        """The agent does not hear in this time, or not all. The database is stopped: it makes and
        ends threads when it likes, and the agent does not need it."""
        os.kill(self.vestige.database_pid, signal.SIGSTOP)
        begin = time.monotonic_ns()
        try:
            yield
        finally:
            self.deaf.append((begin, time.monotonic_ns()))
            self.agents.add(self.vestige.agent_pid)
            os.kill(self.vestige.database_pid, signal.SIGCONT)

    def strangers_threads(self):
        """How many threads programs made that are none of the test's, while the agent did not hear, and
        any program's shortly before and after: what had not been read then was not heard, either.
        Those of agents that were started then live on, and are known by that."""
        ours = {os.getpid(), self.vestige.process.pid, self.vestige.database_pid}
        for pid, parent in self._forks.processes:
            (ours.add if parent in ours else ours.discard)(pid)
        ours -= self.agents
        self.test.assertEqual([], [process for process in self.threads if process in ours],
                              "a program of the test made threads")
        return (sum(process not in self.agents for process in self.threads)
                + self.n_threads_near)

    def marker(self):
        """A process with a row; the agent has caught up with everything before it."""
        self.vestige.sync()
        since = now_us()  # pids are used again
        pid, _ = act("show", self.test.tag)
        self.vestige.sync()
        # One that stood still before its exec has a row from its fork on, and another of its program.
        return self.test.only(self.test.processes("pid = %s AND id >= %s AND previous_id IS NULL", pid, since),
                              "a marker")

    def stored(self):
        return self.vestige.value(
            "SELECT COUNT(*) FROM process WHERE previous_id IS NULL AND created_at > %s "
            "AND created_at < %s", self.first["created_at"], self.last["created_at"])

    def gaps(self):
        """Those whose span overlaps ours; when they were written does not matter."""
        return self.vestige.query(
            "SELECT * FROM gap WHERE destroyed_at > %s AND created_at < %s ORDER BY id",
            self.first["created_at"], self.last["created_at"])

    def counted(self):
        return sum(int(gap["count"] or 0) for gap in self.gaps() if gap["unit"] == "process")

    def assert_exact(self, seconds=60):
        """The sum is right, and stays so."""
        most = self.generated + self.strangers_threads()

        def balance():
            self.vestige.sync()
            return self.generated <= self.stored() + self.counted() <= most
        with contextlib.suppress(Timeout):
            wait_for(balance, seconds, "the accounts balance", 0.5)
        time.sleep(1)
        balance()
        stored, counted = self.stored(), self.counted()
        self.test.assertTrue(
            self.generated <= stored + counted <= most,
            f"generated {self.generated} (at most {most}), stored {stored}, counted {counted}; "
            "gaps:\n" + brief(self.gaps()))
        surplus = stored + counted - self.generated
        print(f"generated {self.generated} = stored {stored} + counted {counted}"
              + (f" - {surplus}, which are threads of other programs" if surplus else ""), flush=True)


def assert_audit_state(before):
    """What differs is put back, so that one failure does not become that of all later tests."""
    after = audit_state()
    if after != before:
        restore_audit(*before)
        raise AssertionError(f"audit is not as it was before:\n{before}\n{after}")


def restore_audit(settings, rules):
    run("auditctl", "-D")
    for rule in rules.splitlines():
        if rule.startswith("-"):
            run("auditctl", *shlex.split(rule))
    run("auditctl", "-b", str(settings["backlog_limit"]), "-f", str(settings["failure"]),
        "-r", str(settings["rate_limit"]), "-e", str(settings["enabled"]),
        "--backlog_wait_time", str(settings["backlog_wait_time"]))


def brief(rows):
    """Rows for a message of failure: what is set, long values cut."""
    return "\n".join(
        ", ".join(f"{name}={str(value)[:80]}" for name, value in row.items() if value is not None)
        for row in rows) or "none"


class TimedResult(unittest.TextTestResult):
    """Says how long each test took, with what it prepared for itself."""

    def startTest(self, test):
        self.begin = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.stream.writeln(f"ok, {time.monotonic() - self.begin:.1f} s")


def main():
    runner = unittest.TextTestRunner(verbosity=2, resultclass=TimedResult)
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], module="__main__", testRunner=runner)
