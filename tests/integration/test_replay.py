"""A recording, replayed, gives the lines that the agent wrote while it was made."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import unittest

from vestige_test import (AGENT_USER, VESTIGED, act, assert_audit_state, audit_state, main, run,
                          test_directory, wait_for)

# Positions behind the id in a line of process, where its settle and its end columns begin, and their number.
PID, PREVIOUS_ID, SETTLE, ARGUMENTS, END, END_CAUSE, COLUMNS = 3, 7, 20, 23, 34, 35, 44

CONFIGURATION = """[agent]
user = {user}
state_directory = {directory}/state
host_id = 1
defaults_file = {directory}/nobody.cnf
"""


def run_bytes(*command):
    return subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=120).stdout


class TestReplay(unittest.TestCase):
    def setUp(self):
        self.addCleanup(assert_audit_state, audit_state())
        self.directory = test_directory()
        self.addCleanup(shutil.rmtree, self.directory)
        os.mkdir(self.path("state"))
        with open(self.path("nobody.cnf"), "w") as stream:
            stream.write(f"[vestige]\nsocket={self.directory}/nobody.sock\nuser=nobody\n")
        shutil.chown(self.path("nobody.cnf"), AGENT_USER)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, settings=""):
        """An agent whose batches stay in its journal, because there is no server."""
        with open(self.path("conf"), "w") as stream:
            stream.write(CONFIGURATION.format(directory=self.directory, user=AGENT_USER) + settings)
        with open(self.path("log"), "wb") as log:
            self.agent = subprocess.Popen([VESTIGED, "--config", self.path("conf"),
                                           "--record", self.path("recording")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end_agent)
        wait_for(lambda: "agent: recording" in self.log(), 60, "vestiged records")

    def log(self):
        with open(self.path("log"), errors="replace") as stream:
            return stream.read()

    def end_agent(self):
        if self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.send_signal(signal.SIGCONT)
        try:
            return self.agent.wait(60)
        finally:
            self.agent.kill()  # whatever happened, the next one needs audit
            self.agent.wait()

    def journal_lines(self):
        text = b""
        for batch in sorted(glob.glob(self.path("state", "journal", "*.sealed.zst"))):
            text += run_bytes("zstd", "-dcq", batch)
        for batch in glob.glob(self.path("state", "journal", "*.open")):
            with contextlib.suppress(FileNotFoundError), open(batch, "rb") as stream:
                text += stream.read()
        return [line for line in text.split(b"\n")
                if line.startswith((b"insert\t", b"settle\t", b"end\t"))]

    def assert_same(self, *needed, options=()):
        """The lines of both, of which some must begin like each of `needed`."""
        self.assertEqual(0, self.end_agent(), self.log())
        live = self.journal_lines()
        replayed = run_bytes(VESTIGED, "--replay", self.path("recording"), *options).split(b"\n")[:-1]
        for start in needed:
            self.assertTrue(any(line.startswith(start) for line in live), start)
        for number, (one, other) in enumerate(zip(live, replayed)):
            self.assertEqual(one, other, f"line {number} of {len(live)}")
        self.assertEqual(len(live), len(replayed))
        return live

    def act(self):
        for actor in (("threads", 3), ("leader-first",), ("thread-exec", "x"), ("exec-twice", "x"),
                      ("uid", 65534), ("session",), ("comm", "crond"), ("kill", 11), ("fork", 400)):
            act(*actor)
        for number in range(300):
            run("/bin/true", f"replay-{number}")

    def rows_of_spawned(self, live):
        return sum(b"\treplay-" in line for line in live)

    def test_everything(self):
        self.start()
        self.act()
        live = self.assert_same(b"insert\tprocess\t", b"insert\tprocess_change\t",
                                b"insert\tcoverage\t", b"insert\tboot\t", b"end\tprocess\t")
        self.assertEqual(300, self.rows_of_spawned(live))

    def test_losses(self):
        """Sockets that are too small while the agent is stopped."""
        self.start("[reader]\nreceive_buffer_kib = 4\n")
        self.agent.send_signal(signal.SIGSTOP)
        self.act()
        self.agent.send_signal(signal.SIGCONT)
        wait_for(lambda: any(line.startswith(b"insert\tgap\t") for line in self.journal_lines()),
                 60, "the loss is in a gap row", 0.2)
        self.assert_same(b"insert\tgap\t", b"insert\tprocess\t")

    def test_kernel_events(self):
        """Those of our own programs; other programs of the machine have theirs."""
        self.start()
        mounter = self.pid_of("unshare", "--mount", "--uts", "mount", "-t", "tmpfs", "none",
                              self.directory)
        tracer = self.pid_of("strace", "-f", "-o", "/dev/null", "true")
        live = self.assert_same(b"insert\tkernel_event\t")
        events = [line.split(b"\t") for line in live if line.startswith(b"insert\tkernel_event\t")]
        self.assertEqual([b"unshare", b"remount", b"mount"],
                         [event[12] for event in events if event[6] == b"%d" % mounter])
        self.assertIn(b"ptrace", [event[12] for event in events if event[6] == b"%d" % tracer])

    def pid_of(self, *command):
        """The pid of a command that has ended well."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            self.assertEqual(0, process.wait(120), command)
        return process.pid

    def test_without_connector(self):
        """Audit alone tells of execs: each ends the image before, in one process."""
        self.start("[connector]\nmode = off\n")
        self.act()
        run("/bin/sh", "-c", "exec /bin/sh -c 'exec /bin/true third-image'")
        live = self.assert_same(b"insert\tprocess\t", b"insert\tcoverage\t")
        self.assertEqual(300, self.rows_of_spawned(live))
        rows = self.process_rows(live)
        third, = [row for row in rows.values() if row[ARGUMENTS] == b"third-image"]
        second = rows[third[PREVIOUS_ID]]
        first = rows[second[PREVIOUS_ID]]
        self.assertEqual([third[PID]] * 2, [second[PID], first[PID]])
        for image in (first, second):
            self.assertEqual(b"exec", image[END_CAUSE], image)

    def test_masked_by_own_rules(self):
        """They are not in the recording; what they mask is."""
        with open(self.path("rules"), "w") as stream:
            stream.write("true after ^--wort$\n")
        self.start(f"[masking]\nrules = {self.path('rules')}\n")
        run("/bin/true", "--wort", "Geheimnis")
        live = self.assert_same(b"insert\tprocess\t", options=("--config", self.path("conf")))
        self.assertTrue(any(b"--wort '***'" in line for line in live))
        done = run(VESTIGED, "--replay", self.path("recording"), check=False)
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertIn("name its configuration with --config", done.stderr)

    def process_rows(self, live):
        """By id. What a row waits for in vain for 250 ms is in a later line than that of the row."""
        rows = {}
        for line in live:
            verb, table, number, *values = line.split(b"\t")
            if table != b"process":
                continue
            if verb == b"insert":
                rows[number] = values
            elif verb == b"settle":
                rows[number][SETTLE:END] = values
            else:
                rows[number][END:] = values
        self.assertEqual({COLUMNS}, {len(row) for row in rows.values()})
        return rows


if __name__ == "__main__":
    main()
