"""What is done to the kernel, or to another process: exact rows with who did it.

Calls that this kernel does not have, modules for one, are failures, and rows all the same."""

import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from audit_daemon import AuditDaemon
from vestige_test import (ACTOR, Standalone, Timeout, VestigeTest, assert_audit_state, audit_rules,
                          audit_state, brief, main, run, wait_for)

CALLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib",
                     "kernel_calls.py")
LOGIN_UID = 1000
N_MOUNTS, N_UNSHARES = 23, 5000
RATE, BURST_S = 200, 10  # recorder/kernel_events/kernel_events.h

# What each call of kernel_calls.py is, in their order; (): it only reads.
EXPECTED = {
    "bpf": ("bpf_load", r"program \d+"), "bpf_other": (),
    "bpf_high": ("bpf_load", r"program \d+"),
    "io_uring_setup": ("io_uring_setup", "4 entries"),
    "clock_settime": ("clock_set", r"[+-]\d+\.\d{6} s"),
    "settimeofday": ("clock_set", r"[+-]\d+\.\d{6} s"), "adjtimex_read": (),
    "init_module": ("module_load", None), "delete_module": ("module_unload", "(no_such_module)?"),
    "kexec_load": ("kexec_load", None),
    "ptrace_attach": ("ptrace", r"pid CHILD \(sleep\)"),
    "ptrace_seize": ("ptrace", r"pid CHILD \(sleep\)"),
    "ptrace_nobody": ("ptrace", "pid 4194303"), "setns_own": ("setns", "uts"),
}


def name_of(pid):
    with open(f"/proc/{pid}/comm") as stream:
        return stream.read().rstrip("\n")


class KernelEvents(VestigeTest):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.mkdir(os.path.join(self.directory, "relative"))

    def rows(self, condition, *parameters):
        """With the program, the arguments and the login user that the process row has."""
        return self.vestige.query(
            "SELECT kernel_event.*, process.exe, process.arguments, process.pid AS process_pid, "
            "process.login_uid AS process_login_uid FROM kernel_event "
            "LEFT JOIN process ON process.host_id = kernel_event.host_id "
            "AND process.id = kernel_event.process_id "
            f"WHERE kernel_event.id >= {self.since} AND ({condition}) ORDER BY kernel_event.id",
            *parameters)

    def run_logged_in(self, *calls):
        """The calls by a process of which the login user is LOGIN_UID. Returns its pid and what it
        said of each."""
        command = [ACTOR, "login", str(LOGIN_UID), sys.executable, CALLS, *calls]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, cwd=self.directory) as process:
            output = process.communicate(timeout=300)[0]
        self.assertEqual(0, process.returncode, output)
        self.vestige.sync()
        return process.pid, [line.split() for line in output.splitlines()]

    def run_program(self, *command):
        """Run it, and return its pid."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:
            error = process.communicate(timeout=300)[1]
        self.assertEqual(0, process.returncode, error)
        return process.pid

    def unmount(self, path):
        """The pid of the umount(8) that found nobody looking into it."""
        def unmounted():
            with subprocess.Popen(["umount", path], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as process:
                error = process.communicate(timeout=300)[1]
            self.assertTrue(process.returncode == 0 or "busy" in error, error)
            return process.returncode == 0 and process.pid
        return wait_for(unmounted, 60, f"{path} is unmounted", 0.05)

    def assert_program(self, row, program):
        self.assertEqual(os.path.realpath(shutil.which(program)), row["exe"], brief([row]))
        self.assertEqual(row["pid"], row["process_pid"], brief([row]))

    def kinds(self, rows):
        return [(row["kind"], row["target"], row["result"]) for row in rows]

    def without_busy(self, kinds):
        """Unmounting was tried again where the recorder just looked into the filesystem."""
        return [kind for kind in kinds if (kind[0], kind[2]) != ("umount", "failure")]


class TestKernelEvents(KernelEvents):
    def test_calls(self):
        pid, said = self.run_logged_in(*EXPECTED)
        rows = self.rows("kernel_event.pid = %s", pid)
        expected, child = [], None
        for name, outcome in said:
            if name == "child":
                child = outcome
            elif EXPECTED[name]:
                kind, target = EXPECTED[name]
                expected.append((kind, target and target.replace("CHILD", child or ""),
                                 "success" if outcome == "0" else "failure"))
        self.assertEqual(sum(bool(kind) for kind in EXPECTED.values()), len(expected), said)
        self.assertEqual([(kind, result) for kind, _, result in expected],
                         [(row["kind"], row["result"]) for row in rows], brief(rows))
        for row, (kind, target, result) in zip(rows, expected):
            if target is None:
                self.assertIsNone(row["target"], brief([row]))
            elif row["target"] is not None or result == "success":
                self.assertRegex(row["target"], f"^{target}$", brief([row]))
            self.assert_row(row, application=os.path.basename(sys.executable), uid=0,
                            username="root", login_uid=LOGIN_UID, process_login_uid=LOGIN_UID,
                            end_cause="closed", seen_by="audit", destroyed_at=row["created_at"])
            self.assertIn("kernel_calls.py", row["arguments"], kind)
            self.assert_program(row, sys.executable)

    def test_mounts(self):
        pid, said = self.run_logged_in("mounts")
        self.assertEqual([["mounts", "0"]], said)
        rows = self.rows("kernel_event.pid = %s", pid)
        path = os.path.join(self.directory, "relative")
        self.assertEqual([("mount", path, "success"), ("umount", path, "success")] * N_MOUNTS,
                         self.without_busy(self.kinds(rows)))
        self.assertEqual({LOGIN_UID}, {row["login_uid"] for row in rows})
        self.assertEqual({True}, {"kernel_calls.py" in row["arguments"] for row in rows})

    def test_below_a_descriptor(self):
        """A path below a descriptor is not made absolute by another directory; of a move with two
        paths there are both, in the kernel's order."""
        pid, said = self.run_logged_in("descriptor_mounts")
        self.assertEqual([["descriptor_mounts", "0"]], said)
        path = os.path.join(self.directory, "relative")
        rows = self.rows("kernel_event.pid = %s", pid)
        self.assertEqual([("mount", "relative", "success"), ("remount", "relative", "success"),
                          ("umount", path, "success")], self.without_busy(self.kinds(rows))[:3])
        kind, target, result = self.kinds(rows[-1:])[0]
        self.assertEqual(("mount", "failure"), (kind, result))
        self.assertIn(target, (f"/; {path}", f"{path}; /"))

    def test_programs(self):
        """Each becomes another program, or ends, within a tick of audit's clock."""
        path = self.directory
        mount, remount, private, bind, umount = (
            self.run_program("mount", *options) for options in (
                ("-t", "tmpfs", "none", path), ("-o", "remount,ro", path),
                ("--make-private", path), ("--bind", "/usr", path), ("--make-slave", path)))
        away = [self.unmount(path) for _ in range(2)]
        unshare = self.run_program("unshare", "-m", "-u", "true")
        enter = self.run_program("nsenter", "-t", str(os.getpid()), "-u", "-m", "true")
        with subprocess.Popen(["sleep", "600"]) as sleeper:
            wait_for(lambda: name_of(sleeper.pid) == "sleep", 60, "its name")
            with subprocess.Popen(["strace", "-o", "/dev/null", "-p", str(sleeper.pid)],
                                  stderr=subprocess.PIPE, text=True) as strace:
                self.assertIn("attached", strace.stderr.readline())
                strace.send_signal(signal.SIGINT)
            sleeper.kill()
        self.vestige.sync()
        ok = "success"
        for pid, program, expected in (
                (mount, "mount", [("mount", path, ok)]),
                (remount, "mount", [("remount", path, ok)]),
                (private, "mount", [("remount", path, ok)]),
                (bind, "mount", [("mount", path, ok)]),
                (umount, "mount", [("remount", path, ok)]),
                (away[0], "umount", [("umount", path, ok)]),
                (away[1], "umount", [("umount", path, ok)]),
                (unshare, "unshare", [("unshare", "mount,uts", ok), ("remount", "/", ok)]),
                (enter, "nsenter", [("setns", "uts", ok), ("setns", "mount", ok)])):
            rows = self.rows("kernel_event.pid = %s", pid)
            self.assertEqual(expected, self.kinds(rows), program)
            for row in rows:
                self.assert_row(row, application=program, login_uid=row["process_login_uid"])
                self.assert_program(row, program)
        attached = self.rows("kernel_event.pid = %s AND target = %s", strace.pid,
                             f"pid {sleeper.pid} (sleep)")
        self.assert_program(self.only(attached, "strace"), "strace")

    def test_as_strace_sees_them(self):
        """The same calls of the same processes, and no others."""
        log = os.path.join(self.directory, "strace.log")
        path = os.path.join(self.directory, "relative")
        self.run_program(
            "strace", "-f", "-o", log, "-e",
            "trace=mount,umount2,unshare,setns,ptrace,bpf,io_uring_setup,settimeofday",
            "/bin/sh", "-c",
            # The recorder looks into what is new: then it is tried again.
            f"for i in 1 2 3 4 5; do mount -t tmpfs none {path}; until umount {path}; do sleep 0.05; done; "
            "done; "
            f"umount {path}; unshare -n -i true; unshare -m mount --bind /usr {path}; "
            f"{sys.executable} {CALLS} bpf io_uring_setup; true")
        names = {"umount2": "umount", "bpf": "bpf_load"}
        seen = collections.Counter()
        with open(log) as stream:
            for line in stream:
                match = re.match(r"(\d+) +(\w+)\((.*)\) += (-?\d+)", line)
                if not match:
                    continue
                pid, name, arguments, result = match.groups()
                if name == "mount" and re.search(r"MS_(REMOUNT|PRIVATE)", arguments):
                    name = "remount"
                seen[int(pid), names.get(name, name),
                     "failure" if result.startswith("-") else "success"] += 1
        self.assertEqual(5 + 1, sum(n for call, n in seen.items() if call[1] == "mount"), seen)
        self.vestige.sync()
        pids = ",".join(sorted({str(pid) for pid, _, _ in seen}))
        rows = collections.Counter((row["pid"], row["kind"], row["result"]) for row in
                                   self.rows(f"kernel_event.pid IN ({pids})"))
        self.assertEqual(seen, rows)

    def test_storm_is_bounded_and_counted(self):
        pid, _ = self.run_logged_in("unshares")
        rows = self.rows("kernel_event.pid = %s", pid)
        self.assertGreaterEqual(len(rows), RATE * BURST_S)
        self.assertLess(len(rows), N_UNSHARES)

        def n_lost():
            """By this limit: files have one of their own."""
            self.vestige.sync()
            return sum(gap["count"] for gap in self.gaps()
                       if (gap["source"], gap["cause"]) == ("audit", "rate_limit"))
        with contextlib.suppress(Timeout):
            wait_for(lambda: len(rows) + n_lost() == N_UNSHARES, 60, "all are counted", 0.1)
        self.assertEqual(N_UNSHARES, len(rows) + n_lost(), brief(self.gaps()))

    def test_own_is_left_out(self):
        """The database sets up an io_uring, and the agent looks into namespaces and loads BPF."""
        self.run_program("unshare", "-n", "true")
        self.vestige.sync()
        own = f"{self.vestige.agent_pid}, {self.vestige.database_pid}"
        self.assertEqual(0, self.vestige.value(
            f"SELECT COUNT(*) FROM kernel_event WHERE pid IN ({own}) OR process_id IN "
            "(SELECT id FROM process WHERE own)"))


class TestOtherModes(KernelEvents):
    """Here each test has an instance of its own."""

    @classmethod
    def setUpClass(cls):
        for instance in cls._instances.values():
            instance.stop()
        cls.machine = audit_state()
        cls.vestige = Standalone()
        cls.addClassCleanup(cls.vestige.remove)

    def setUp(self):
        super().setUp()
        self.addCleanup(assert_audit_state, self.machine)
        self.addCleanup(self.vestige.kill_all)

    def restart(self, **sections):
        if not os.path.exists(self.vestige.path("vestiged.conf")):
            self.vestige.start()
            self.vestige.stop()
        self.vestige.configure(**sections)
        self.vestige.start()

    def coverage(self):
        return self.vestige.value("SELECT detail FROM coverage WHERE source = 'audit' "
                                  "AND destroyed_at IS NULL")

    def test_off_and_without_paths(self):
        self.restart(kernel_events={"paths": "off"})
        pid, _ = self.run_logged_in("mounts")
        self.assertEqual([("mount", None, "success"), ("umount", None, "success")] * N_MOUNTS,
                         self.without_busy(self.kinds(self.rows("kernel_event.pid = %s", pid))))
        self.assertIn("excluded PATH ", self.coverage())
        self.vestige.stop()
        self.restart(kernel_events={"mode": "off"})
        self.since = self.vestige.value("SELECT MAX(id) + 1 FROM process")
        self.run_logged_in("mounts", "bpf")
        self.assertEqual([], self.rows("kernel_event.kind <> 'signal'"))
        self.assertIn("kernel events left out", self.coverage())
        self.assertNotIn("umount2", audit_rules())
        self.vestige.stop()

    def test_beside_another_owner(self):
        """What ausearch finds in the owner's log is what we have."""
        owner = AuditDaemon(self.directory, rules=())
        self.addCleanup(owner.stop)
        owner.start()
        self.restart()
        pid, _ = self.run_logged_in("mounts")
        path = os.path.join(self.directory, "relative")
        self.assertEqual([("mount", path, "success"), ("umount", path, "success")] * N_MOUNTS,
                         self.without_busy(self.kinds(self.rows("kernel_event.pid = %s", pid))))
        self.vestige.stop()

        def events():
            found = run("ausearch", "-if", owner.log, "--pid", str(pid), "-sc", "mount", "--raw",
                        check=False).stdout
            return sum(line.startswith("type=SYSCALL") for line in found.splitlines())
        wait_for(lambda: events() == N_MOUNTS, 60, "ausearch has them")


if __name__ == "__main__":
    main()
