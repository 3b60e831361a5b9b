"""What `cmake --install` installs, and the units of deploy/systemd in a systemd that boots with them: users,
directories, start, stop and restart of the agent, the jobs of the server and what of them is a failure.

The machine that boots has this kernel, but is not in the first pid namespace: audit, the process connector and
taskstats are not there, and the agent records without them."""

import os
import re
import unittest

from private_server import PrivateServer
from systemd_machine import CannotBoot, Machine
from vestige_test import BIN, main, run, wait_for

BUILD = os.path.dirname(os.path.abspath(BIN))
UNITS = ("vestiged.service", *(f"vestige-{job}.{kind}" for job in ("notify", "retention", "seal", "verify")
                               for kind in ("service", "timer")))
CONFIGURATION = "/etc/vestige"
SENDMAIL = "#!/bin/sh\ncat >>/run/mail\n"
JOBS = {"verify": ("vestige-verify", "vestige_verifier"), "seal": ("vestige-notify", "vestige_reader"),
        "notify": ("vestige-notify", "vestige_notifier")}


class Shared(unittest.TestCase):
    """One machine and one server for all."""

    @classmethod
    def addClassCleanup(cls, *words):
        unittest.addModuleCleanup(*words)

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.close)
        run("cmake", "--install", BUILD, "--prefix", "/usr",
            env={**os.environ, "DESTDIR": cls.machine.stage("")})
        cls.server = PrivateServer(directory=os.path.join(cls.machine.directory, "server"))
        cls.addClassCleanup(cls.server.stop)
        cls.server.vestige("server", "init")
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.configure()
        cls.boot()
        cls.machine.run("systemd-sysusers")
        cls.machine.run("systemd-tmpfiles", "--create", "--prefix=/etc/vestige", "--prefix=/var/lib/vestige")
        for name, (user, _) in JOBS.items():
            cls.machine.run("chown", f"root:{user}", f"{CONFIGURATION}/{name}.cnf")
        cls.machine.run("chown", "root:vestige-notify", f"{CONFIGURATION}/vestige.conf")

    @classmethod
    def boot(cls):
        try:
            cls.machine.boot()
        except CannotBoot as error:
            raise unittest.SkipTest(f"systemd cannot boot here: {error}") from None

    @classmethod
    def configure(cls):
        """The server is out here; the machine sees its directory as /run/host."""
        cls.server.vestige("client", "enroll", "web", "--directory", cls.machine.stage(CONFIGURATION),
                           "--host-directory", CONFIGURATION)
        path = cls.machine.stage(f"{CONFIGURATION}/agent.cnf")
        with open(path) as file:
            text = file.read().replace(cls.machine.directory, "/run/host")
        with open(path, "w") as file:
            file.write(text)
        for name, (_, role) in JOBS.items():
            cls.root.run(f"CREATE USER {name}_job@localhost IDENTIFIED BY 'secret'")
            cls.root.run(f"GRANT {role} TO {name}_job@localhost")
            cls.root.run(f"SET DEFAULT ROLE {role} FOR {name}_job@localhost")
            cls.machine.write(f"{CONFIGURATION}/{name}.cnf", f"[vestige]\nsocket = /run/host/server/socket\n"
                              f"user = {name}_job\npassword = secret\n")
            os.chmod(cls.machine.stage(f"{CONFIGURATION}/{name}.cnf"), 0o640)
        cls.machine.write(f"{CONFIGURATION}/vestige.conf", "[notify]\nmail = duty@example.net\n")
        cls.machine.write("usr/sbin/sendmail", SENDMAIL)
        os.chmod(cls.machine.stage("usr/sbin/sendmail"), 0o755)


def setUpModule():
    Shared.setUpClass()


class Units(Shared):
    @classmethod
    def setUpClass(cls):
        pass

    def start(self, unit, status=0):
        done = self.machine.run("systemctl", "start", unit, check=False)
        self.assertEqual(done.returncode, status, done.stderr + self.machine.journal(unit))

    def wait_for_line(self, unit, text):
        """The journal takes its time, of which the unit knows nothing."""
        wait_for(lambda: text in self.machine.journal(unit), 60, f"'{text}' in the journal of {unit}", 0.2)

    def stop(self, unit):
        self.machine.run("systemctl", "stop", unit)


class Installed(Units):
    def test_files(self):
        for name in (*[f"lib/systemd/system/{unit}" for unit in UNITS], "bin/vestige", "sbin/vestiged",
                     "share/man/man8/vestiged.8", "share/man/man1/vestige.1", "lib/tmpfiles.d/vestige.conf",
                     *[f"lib/sysusers.d/{name}.conf" for name in ("vestige", "vestige-notify", "vestige-verify")]):
            self.assertTrue(os.path.exists(self.machine.stage(f"usr/{name}")), name)

    def test_verified(self):
        """With all that they refer to: programs, users, manual pages."""
        done = self.machine.run("systemd-analyze", "verify", *UNITS)
        self.assertEqual(done.stdout + done.stderr, "")

    def test_another_place(self):
        """The units name the programs where they are."""
        place = os.path.join(self.machine.directory, "another")
        run("cmake", "--install", BUILD, "--prefix", "/usr/local", env={**os.environ, "DESTDIR": place})
        for unit in UNITS:
            with open(os.path.join(place, "usr/local/lib/systemd/system", unit)) as file:
                programs = re.findall(r"^ExecStart=(\S+)", file.read(), re.M)
            for program in programs:
                self.assertTrue(os.access(place + program, os.X_OK), program)

    def test_users_and_directories(self):
        shown = self.machine.run("stat", "--format=%U %G %a", "/var/lib/vestige", "/var/lib/vestige/agent",
                                 CONFIGURATION, f"{CONFIGURATION}/agent.cnf").stdout
        self.assertEqual(shown.splitlines(), ["root root 755", "vestige vestige 700", "root root 755",
                                              "vestige vestige 600"])

    def test_timers(self):
        timers = [unit for unit in UNITS if unit.endswith(".timer")]
        self.machine.run("systemctl", "enable", "--now", *timers)
        self.addCleanup(self.machine.run, "systemctl", "disable", "--now", *timers)
        for timer in timers:
            state, monotonic, calendar = self.machine.show(timer, "ActiveState", "NextElapseUSecMonotonic",
                                                           "NextElapseUSecRealtime")
            self.assertEqual(state, "active", timer)
            self.assertTrue(monotonic not in ("", "infinity") or calendar, timer)


class Agent(Units):
    def agent(self):
        """Its pid in the machine."""
        return int(self.machine.show("vestiged", "MainPID")[0])

    def owner(self, path):
        return self.machine.run("stat", "--format=%U", path).stdout.strip()

    def batches(self):
        return self.root.value("SELECT COUNT(*) FROM batch")

    def test_life(self):
        self.addCleanup(self.stop, "vestiged")
        self.start("vestiged")
        first = self.agent()
        self.assertEqual(self.machine.show("vestiged", "ActiveState", "SubState", "StatusErrno"),
                         ("active", "running", "0"))
        self.wait_for_line("vestiged", "recording this host")
        self.assertEqual(self.machine.run("ps", "-o", "user=", "-p", str(first)).stdout.strip(), "vestige")
        self.assertEqual(self.owner("/var/lib/vestige/agent"), "vestige")
        wait_for(self.batches, 60, "a batch arrives")
        # What is in a directory of the agent's user is given away neither by systemd nor by the agent.
        self.machine.run("touch", "/var/lib/vestige/agent/of-root")

        self.machine.run("kill", "-9", str(first))
        wait_for(lambda: self.machine.show("vestiged", "NRestarts", "ActiveState") == ("1", "active"), 60,
                 "it is started again")
        second = self.agent()
        self.assertNotIn(second, (0, first))
        self.assertEqual((self.owner("/var/lib/vestige/agent"), self.owner("/var/lib/vestige/agent/of-root")),
                         ("vestige", "root"))
        before = self.batches()
        wait_for(lambda: self.batches() > before, 60, "a batch of the second arrives")

        self.stop("vestiged")
        self.assertEqual(self.machine.show("vestiged", "ActiveState", "Result", "ExecMainStatus"),
                         ("inactive", "success", "0"))
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM coverage WHERE destroyed_at IS NULL"), 0)

    def test_watchdog(self):
        """One that does nothing any more is ended and started again."""
        self.machine.run("mkdir", "-p", "/run/systemd/system/vestiged.service.d")
        self.machine.run("sh", "-c", "printf '[Service]\\nWatchdogSec=8s\\n'"
                         " >/run/systemd/system/vestiged.service.d/soon.conf; systemctl daemon-reload")
        self.addCleanup(self.machine.run, "sh", "-c", "rm -r /run/systemd/system/vestiged.service.d;"
                        " systemctl daemon-reload")
        self.addCleanup(self.stop, "vestiged")
        self.start("vestiged")
        before, = self.machine.show("vestiged", "NRestarts")
        self.machine.run("kill", "-STOP", str(self.agent()))
        def started_again():
            restarts, state = self.machine.show("vestiged", "NRestarts", "ActiveState")
            return int(restarts) > int(before) and state == "active"
        wait_for(started_again, 90, "it is started again")
        self.wait_for_line("vestiged", "Watchdog timeout")


class Jobs(Units):
    def outcome(self, job):
        return self.machine.show(f"vestige-{job}", "ActiveState", "Result", "ExecMainStatus")

    def test_verify(self):
        self.start("vestiged")
        self.addCleanup(self.stop, "vestiged")
        wait_for(lambda: self.root.value("SELECT COUNT(*) FROM batch"), 60, "a batch arrives")
        self.stop("vestiged")
        self.start("vestige-verify")
        self.assertEqual(self.outcome("verify"), ("inactive", "success", "0"))
        self.assertEqual(self.root.value("SELECT COUNT(*) FROM batch WHERE verified_at IS NULL"), 0)

        self.root.run("UPDATE batch SET verified_at = NULL ORDER BY batch DESC LIMIT 1")
        self.root.run("UPDATE boot SET kernel = 'another'")
        self.root.run("UPDATE batch SET verified_at = NULL")
        self.start("vestige-verify", status=1)
        self.assertEqual(self.outcome("verify"), ("failed", "exit-code", "1"))
        self.start("vestige-verify")  # it was told
        self.assertEqual(self.outcome("verify"), ("inactive", "success", "0"))

        self.machine.run("chown", "root:root", f"{CONFIGURATION}/verify.cnf")
        self.addCleanup(self.machine.run, "chown", "root:vestige-verify", f"{CONFIGURATION}/verify.cnf")
        self.start("vestige-verify", status=1)
        self.assertEqual(self.outcome("verify"), ("failed", "exit-code", "2"))
        self.machine.run("systemctl", "reset-failed", "vestige-verify")

    def test_hardened(self):
        for unit, most in (("vestiged", 55), ("vestige-verify", 20), ("vestige-retention", 30)):
            self.machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={most}", "--offline=yes",
                             f"/lib/systemd/system/{unit}.service")

    def test_seal_and_notify(self):
        self.machine.run("install", "-m", "666", "/dev/null", "/run/mail")
        self.start("vestige-notify")  # tells what comes from now on
        self.root.run("CALL vestige_conclude('host-silent', 1, 'nothing of web', 'for a test', NULL)")
        for job in ("seal", "notify"):
            self.start(f"vestige-{job}")
            self.assertEqual(self.outcome(job), ("inactive", "success", "0"))
        mail = self.machine.run("cat", "/run/mail").stdout
        self.assertEqual(re.findall(r"(?m)^To: (.*)$", mail), ["root", "duty@example.net"])
        self.assertIn("Subject: Vestige: 1 new finding", mail)

    def test_retention(self):
        """As the administrator, by the server's usual socket."""
        self.machine.run("mkdir", "-p", "/run/mysqld")
        self.machine.run("ln", "-sf", "/run/host/server/socket", "/run/mysqld/mysqld.sock")
        self.server.vestige("server", "retention", "--keep", "3650d")
        self.start("vestige-retention")
        self.assertEqual(self.outcome("retention"), ("inactive", "success", "0"))

    def test_not_set_up(self):
        """Without its option file a job is left out; without its server it fails."""
        for job in JOBS:
            path = f"{CONFIGURATION}/{job}.cnf"
            self.machine.run("mv", path, path + ".away")
            self.addCleanup(self.machine.run, "mv", path + ".away", path)
        for job in JOBS:
            self.start(f"vestige-{job}")
            self.assertEqual(self.machine.show(f"vestige-{job}", "ActiveState", "ConditionResult"),
                             ("inactive", "no"), job)


if __name__ == "__main__":
    main()
