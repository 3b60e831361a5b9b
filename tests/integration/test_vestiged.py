"""Bad days of vestiged itself: each is one line that says what, where and what to do; what was
recorded stays, and audit is as it was. And its own options, run for real."""

import contextlib
import datetime
import filecmp
import os
import shutil
import unittest

from agent_alone import Agent
from vestige_test import (AGENT_USER, VESTIGED, Standalone, assert_audit_state, audit_rules, audit_state,
                          audit_status, brief, main, run, unmount, wait_for)

NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
FILL_BYTES = 16384


class Fixture(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.machine = audit_state()
        self.addCleanup(assert_audit_state, self.machine)

    def agent(self):
        agent = Agent()
        self.addCleanup(agent.remove)
        return agent

    def assert_refused(self, done, pattern):
        """Exit status 2, one line, nothing changed in the kernel."""
        self.assertEqual(2, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stderr, rf"\Avestiged: agent: error: [^\n]*{pattern}[^\n]*\n\Z")
        assert_audit_state(self.machine)


@contextlib.contextmanager
def small_disk(path, options):
    os.makedirs(path, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
    try:
        yield
    finally:
        unmount(path)


class TestRefused(Fixture):
    """Starts that must end at once."""

    def test_rights(self):
        agent = self.agent()
        os.chmod(agent.directory, 0o777)
        agent.write_configuration()
        for name, prefix, pattern in (
                ("nobody", NOBODY, "missing capabilities: cap_net_admin, cap_audit_control, "
                                   "cap_audit_read; run it as root"),
                ("no AUDIT_CONTROL", ("setpriv", "--bounding-set", "-audit_control"),
                 "missing capabilities: cap_audit_control; run it as root"),
                ("no NET_ADMIN", ("setpriv", "--bounding-set", "-net_admin"),
                 "missing capabilities: cap_net_admin; run it as root")):
            with self.subTest(name):
                self.assert_refused(agent.run(prefix=prefix), pattern)
                self.assertFalse(os.path.exists(agent.state))

    def test_configuration(self):
        agent = self.agent()
        conf = agent.path("vestiged.conf")
        for name, text, pattern in (
                ("unknown key", "[agent]\nhost_id = 1\nhostid = 1\n",
                 rf"{conf}:3: unknown key hostid; in \[agent\] there are: state_directory"),
                ("doubled key", "[agent]\nhost_id = 1\n\nhost_id = 2\n",
                 rf"{conf}:4: host_id is given twice in \[agent\]; remove one"),
                ("doubled in two sections", "[audit]\nmode = off\n[agent]\n[audit]\nmode = off\n",
                 rf"{conf}:5: mode is given twice in \[audit\]"),
                ("unknown section", "[agents]\nhost_id = 1\n",
                 rf"{conf}:1: unknown section \[agents\]; there are: agent, reader"),
                ("not a number", "[agent]\nhost_id = one\n", rf"{conf}:2: .*host_id"),
                ("out of range", "[reader]\ninterval_ms = 21\n", rf"{conf}:2: .*interval_ms"),
                ("not a word of it", "[audit]\nmode = maybe\n", rf"{conf}:2: .*auto"),
                ("no host", "[audit]\nmode = auto\n", "host_id is not set: enroll this host")):
            with self.subTest(name):
                agent.write_configuration(text)
                self.assert_refused(agent.run(), pattern)
                if name != "no host":
                    self.assert_refused(agent.run("--check-config"), pattern)
                    self.assert_refused(agent.run("--dump-config"), pattern)
        os.remove(conf)
        self.assert_refused(agent.run(), rf"{conf}: cannot read it: No such file")

    def test_paths(self):
        """After each of these audit is as it was, although some are met with when it is in use."""
        agent = self.agent()
        a_file, read_only = agent.path("file"), agent.path("read-only")
        open(a_file, "w").close()
        with small_disk(read_only, "ro"):
            for name, pattern, keys in (
                    ("cannot be made", "cannot make the state directory /proc/x: .*; name another "
                                       "with state_directory", {"state_directory": "/proc/x"}),
                    ("is a file", f"cannot write in the state directory {a_file}: Not a directory",
                     {"state_directory": a_file}),
                    ("read-only", f"{read_only}: Read-only file system; name another",
                     {"state_directory": read_only}),
                    ("below read-only", f"{read_only}/sub: Read-only file system; name another",
                     {"state_directory": os.path.join(read_only, "sub")}),
                    ("too long for a socket", "vestiged.sock: longer than a socket's name may be",
                     {"state_directory": agent.path("x" * 90)}),
                    ("no option file", "cannot read the option file /none.cnf: No such file or "
                                       "directory; `vestige client enroll` makes it",
                     {"defaults_file": "/none.cnf"})):
                with self.subTest(name):
                    sections = {**agent.sections, "agent": {**agent.sections["agent"], **keys}}
                    agent.sections, before = sections, agent.sections
                    agent.write_configuration()
                    agent.sections = before
                    self.assert_refused(agent.run(), pattern)
        agent.write_configuration()
        os.makedirs(agent.path("recording"))
        open(agent.path("recording", "recording.vst"), "w").close()
        for name, pattern in (("recording", "recording.vst: File exists; remove it or name another"),
                              ("no/where", "record: cannot make the directory .*No such file")):
            with self.subTest("--record " + name):
                self.assert_refused(agent.run("--record", agent.path(name)), pattern)
        self.assert_refused(agent.run("--replay", agent.path("nothing")),
                            "replay: cannot open .*nothing: No such file")


class TestOptions(Fixture):
    def test_dump_and_check(self):
        """What is dumped is the configuration in effect, and is accepted."""
        agent = self.agent()
        agent.sections["audit"] = {"backlog_limit": 4321}
        agent.write_configuration()
        dump = agent.run("--dump-config", "--state", "/elsewhere")
        self.assertEqual((0, ""), (dump.returncode, dump.stderr))
        self.assertIn("\nbacklog_limit = 4321\n", dump.stdout)
        self.assertIn("\nstate_directory = /elsewhere\n", dump.stdout)
        self.assertIn("\nmode = auto\n", dump.stdout)
        agent.write_configuration(dump.stdout)
        check = agent.run("--check-config")
        self.assertEqual((0, "the configuration is right\n", ""),
                         (check.returncode, check.stdout, check.stderr))
        self.assertEqual(dump.stdout, agent.run("--dump-config").stdout)
        self.assertEqual(2, agent.run("--no-such-option").returncode)
        self.assertEqual(2, agent.run("word").returncode)

    def test_without_the_rights_for_audit(self):
        """Who does without audit needs no rights for it."""
        agent = self.agent()
        agent.sections["audit"] = {"mode": "off"}
        agent.start(prefix=("setpriv", "--bounding-set", "-audit_control,-audit_read"))
        self.assertEqual(("note", "switched off by configuration"), agent.status()["source_audit_off"])
        agent.process.kill()
        agent.process.wait()
        agent.process = None


class TestWithoutServer(Fixture):
    """One run that nobody takes anything from, and what can be said of its journal."""

    def test_run(self):
        agent = self.agent()
        agent.start("--record", agent.path("recording"))
        agent.wait_for_line("shipper: warning: ")  # a thread of its own says it
        said, = agent.lines("shipper: warning")
        self.assertRegex(said, r"batches stay in the journal: cannot connect to MariaDB by socket "
                         rf"{agent.path('no-server')} as 'agent_1': .*\(error 2002\); is the server "
                         "running, and is this its address\\?")
        for i in range(23):
            run("/bin/true", f"number-{i}")
        wait_for(lambda: int(agent.status()["batches_waiting"][1]) >= 2, 60, "batches wait")
        self.assertEqual("wrong", agent.status()["ship_error"][0])
        self.second_agent(agent)
        agent.stop()
        self.assertEqual(1, len(agent.lines("shipper: warning")), "the cause is told once")
        self.assertIn("the server cannot be reached: the last batches stay in the journal until the next start",
                      agent.lines("agent"), "its end waited for a server that is not there")
        agent.check_journal()
        lines = agent.journal_lines()
        self.each_once(lines)
        self.replayed(agent, lines)
        self.untouched_by_failed_starts(agent)

    def second_agent(self, agent):
        """It is told who has the directory, and takes nothing from it."""
        during = audit_state()
        done = agent.run()
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, rf"\Avestiged: agent: error: journal {agent.state}/journal: in "
                         rf"use by another agent \(process {agent.process.pid}\); stop it first\n\Z")
        self.assertEqual(during, audit_state())
        self.assertEqual(agent.process.pid, audit_status()["pid"])

    def each_once(self, lines):
        found = sorted(int(field[len("number-"):]) for line in lines for field in line.split("\t")
                       if field.startswith("number-"))
        self.assertEqual(list(range(23)), found)

    def replayed(self, agent, lines):
        """The recording gives the same lines, as anybody, in the same order."""
        os.chmod(agent.directory, 0o755)
        run("chmod", "-R", "a+rX", agent.path("recording"))
        done = run(*NOBODY, VESTIGED, "--replay", agent.path("recording"))
        self.assertEqual(lines, done.stdout.splitlines())

    def untouched_by_failed_starts(self, agent):
        copy = agent.path("copy")
        shutil.copytree(os.path.join(agent.state, "journal"), copy)
        agent.sections["agent"]["defaults_file"] = "/none.cnf"
        agent.write_configuration()
        self.assert_refused(agent.run(), "none.cnf")
        agent.sections["agent"]["defaults_file"] = agent.path("agent.cnf")
        agent.write_configuration()
        self.assert_refused(agent.run("--record", agent.path("recording")), "File exists")
        names = [os.path.basename(path) for path in agent.batches()]
        _, differ, missing = filecmp.cmpfiles(copy, os.path.join(agent.state, "journal"),
                                              [n for n in os.listdir(copy) if ".sealed" in n], False)
        self.assertEqual(([], []), (differ, missing))
        self.assertTrue(set(names) >= {n for n in os.listdir(copy) if ".sealed" in n})
        agent.check_journal()


class TestFullDisk(Fixture):
    def test_room_comes_later(self):
        """Without room for audit's former state audit is left alone. When there is room it is used,
        and what waited in memory is written."""
        agent = self.agent()
        self.enterContext(small_disk(agent.state, f"size={FILL_BYTES}"))
        self.addCleanup(agent.stop)
        shutil.chown(agent.state, AGENT_USER)
        with open(os.path.join(agent.state, "fill"), "wb") as fill:
            fill.write(bytes(FILL_BYTES))
        agent.sections["journal"] = {"limit_mib": 10}  # else it would be a tenth of this disk
        agent.start()
        agent.wait_for_line("journal: warning: ")
        self.assertRegex(agent.lines("audit: warning")[0], "audit_state cannot be written: No space "
                         "left on device; .*nothing was changed; tried again until there is room")
        self.assertRegex(agent.lines("journal: warning")[0], "cannot be written: No space left on "
                         "device; lines wait in memory, .*make room")
        assert_audit_state(self.machine)
        self.assertEqual("wrong", agent.status()["journal_error"][0])
        program = agent.path(f"true-{os.getpid()}")  # which nobody else runs
        shutil.copy("/bin/true", program)
        run(program, "without-room")
        run("mount", "-o", "remount,size=50m", agent.state)
        agent.wait_for_line("written again")
        wait_for(lambda: audit_status()["pid"] == agent.process.pid and
                 audit_status()["enabled"] and audit_rules().count("execve,") == 2, 60,
                 "audit is used")
        wait_for(lambda: any(line.split("\t")[6:8] == ["audit", "owner"]
                             for line in agent.journal_lines()), 60, "it is in the coverage")
        run(program, "with-room")
        agent.stop()
        assert_audit_state(self.machine)
        self.assertEqual(1, len(agent.lines("journal: warning")), agent.log())
        self.assertEqual(1, len(agent.lines("audit: warning")), agent.log())
        agent.check_journal()
        rows = [line.split("\t") for line in agent.journal_lines()]
        modes = [row[7] for row in rows if row[:2] == ["insert", "coverage"] and row[6] == "audit"]
        self.assertEqual(["off", "owner"], modes)
        self.assertEqual(1, sum("with-room" in row for row in rows))
        # Its name is in the line of the row, or in that of what audit told of it later.
        named = {row[2] for row in rows
                 if row[0] in ("insert", "settle") and row[1] == "process" and os.path.basename(program) in row}
        self.assertEqual(2, len(named), "a process of the time without room is missing")


class TestServer(Fixture):
    """A server that does not take it: the agent records on, and everything arrives once, when that
    has been mended."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(assert_audit_state, audit_state())
        cls.instance = Standalone()
        cls.addClassCleanup(cls.instance.remove)
        cls.instance.start()
        cls.instance.stop()
        cls.instance.start("--no-agent")
        cls.addClassCleanup(cls.instance.stop)

    def as_root(self, sql):
        return run("mariadb", "--no-defaults", f"--socket={self.instance.path('mariadb.sock')}",
                   "--user=root", "-N", "-e", sql, "vestige").stdout

    def server(self, **changed):
        """The option file of the instance's own agent, with changes."""
        options = {}
        with open(self.instance.path("agent.cnf")) as stream:
            for line in stream:
                name, equals, value = line.partition("=")
                if equals:
                    options[name.strip()] = value.strip()
        return {**options, **changed}

    def records_and_ships_later(self, said, mend):
        agent = self.shipping_agent
        agent.start()
        recording = datetime.datetime.now(datetime.UTC)
        agent.wait_for_line("shipper: warning: ")
        warning, = agent.lines("shipper: warning")
        self.assertRegex(warning, said)
        tag = self.id().split(".")[-1]
        for i in range(11):
            run("/bin/true", f"{tag}-{i}")
        wait_for(lambda: int(agent.status()["batches_waiting"][1]) >= 2, 60, "batches wait")
        self.assertEqual("wrong", agent.status()["ship_error"][0])
        self.assertEqual(0, self.stored(tag))
        mend(agent)
        agent.wait_for_line("shipping again, from batch ")
        wait_for(lambda: self.stored(tag) == 11, 60, "everything has arrived")
        agent.stop()
        self.assertEqual([warning], agent.lines("shipper: warning"), "the cause is told once")
        if agent.left_batches():
            agent.start()
            agent.stop_shipped()
        self.assertEqual(11, self.stored(tag))
        self.assertEqual([], agent.batches())
        self.assertEqual(0, self.instance.value("SELECT COUNT(*) FROM rejected"))
        gaps = self.instance.query("SELECT * FROM gap WHERE unit = 'process' AND cause <> 'not_running' AND"
                                   " destroyed_at > %s", recording)
        self.assertEqual([], gaps, brief(gaps))

    def stored(self, tag):
        return self.instance.value("SELECT COUNT(*) FROM process WHERE arguments LIKE %s", tag + "-%")

    def make_agent(self, **changed):
        """With the journal of the instance, so that batches go on where they ended."""
        self.shipping_agent = self.agent()
        self.shipping_agent.state = self.instance.path("agent")
        self.shipping_agent.sections["agent"]["state_directory"] = self.shipping_agent.state
        self.shipping_agent.set_server(**self.server(**changed))

    def right_server(self, agent):
        agent.set_server(**self.server())

    def test_wrong_password(self):
        self.make_agent(password="wrong")
        self.records_and_ships_later(
            r"batches stay in the journal: cannot connect to MariaDB by socket \S+ as 'agent_1': Access "
            r"denied .*\(error 1045\); is the option file this host's newest\?", self.right_server)

    def test_no_server(self):
        self.make_agent(socket="/nowhere/mariadb.sock")
        self.records_and_ships_later(
            r"cannot connect to MariaDB by socket /nowhere/mariadb.sock as 'agent_1': .*\(error 2002\); "
            "is the server running", self.right_server)

    def test_newer_schema(self):
        self.make_agent()
        self.as_root("INSERT INTO schema_version (version, name, checksum) VALUES (99, '0099_x', '')")
        self.as_root("INSERT INTO schema_agents VALUES (99, 98, 'a test')")
        self.addCleanup(self.as_root, "DELETE FROM schema_version WHERE version = 99")
        self.addCleanup(self.as_root, "DELETE FROM schema_agents WHERE version = 99")
        self.records_and_ships_later(
            "the server's schema is version 99 and takes agents from version 98 on, this agent writes "
            "version [0-9]+: install the newer vestiged on this host",
            lambda agent: self.as_root("DELETE FROM schema_agents WHERE version = 99"))


if __name__ == "__main__":
    main()
