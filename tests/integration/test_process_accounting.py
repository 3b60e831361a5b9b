"""Checked by the kernel itself: under mixed load every record of kernel process accounting has
exactly one row that ended by `exit`, with the same pid, uid at exit and code, and every such row
of that time has a record. VESTIGE_ACCOUNTING_SECONDS sets how long (60)."""

import collections
import contextlib
import datetime
import os
import shutil
import stat
import subprocess
import time

from vestige_test import (ACCT, ACTOR, VestigeTest, accounting_records, act, actor_command, main,
                          process_accounting, run, unmount)

SECONDS = float(os.environ.get("VESTIGE_ACCOUNTING_SECONDS", "60"))
LEAST = 100 * SECONDS  # records
FILES = 24
MAKEFILE = """
objects := $(patsubst %.c,%.o,$(wildcard part*.c))
program: $(objects)
\t$(CC) -o $@ $^
part%.o: part%.c
\t$(CC) -O1 -c -o $@ $<
"""
ODD_ENDS = "(exit 3); (kill -9 $BASHPID); sh -c 'kill -15 $$'; true | false"

CORE = 0x80  # in the code when a core was dumped, which a row does not say
SIGNAL = 0x7f
FORKED_ONLY = 0x01  # flag of a record: no exec since the fork
KERNEL_THREADS = 2  # the pid of their parent
# The code of a leader that is not its process's: the kernel accounts the leader's.
LEADERS_CODES = {"leader-first": 0, "leader-first-exit": 0}
# So long one may stand still between what its row has as its end and its record.
EDGE = datetime.timedelta(seconds=2)
QUIET_S = 0.2
Record = collections.namedtuple("Record", "pid uid code")


class TestAccounting(VestigeTest):
    def setUp(self):
        super().setUp()
        self.directory = os.path.join(self.vestige.directory, "load")
        os.mkdir(self.directory)
        os.chmod(self.vestige.directory, 0o755)
        self.setuid = os.path.join(self.directory, "setuid")
        shutil.copy(ACTOR, self.setuid)
        os.chmod(self.setuid, 0o755 | stat.S_ISUID)
        self.write_sources()

    def write_sources(self):
        for i in range(FILES):
            with open(os.path.join(self.directory, f"part{i}.c"), "w") as stream:
                stream.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n")
                stream.writelines(f"int function_{i}_{j}(int a);\nint function_{i}_{j}(int a)\n"
                                  f"{{ return a * {i} + (int)strlen(getenv(\"PATH\")) % {j + 1}; }}\n"
                                  for j in range(20))
                if i == 0:
                    stream.write('int main(void) { printf("%d\\n", function_0_0(1)); return 0; }\n')
        with open(os.path.join(self.directory, "Makefile"), "w") as stream:
            stream.write(MAKEFILE)

    @contextlib.contextmanager
    def compiling(self):
        """A parallel build, again and again, and ends of all kinds."""
        loop = subprocess.Popen(
            ["/bin/bash", "-c", f'cd "$1"; while make -s -j 4 && {{ {ODD_ENDS}; rm -f *.o program; : > built; }} '
             '|| rm -f *.o; do :; done', "bash", self.directory],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(loop.pid, 9)
            loop.wait()

    def kernel_threads(self):
        """A journalling filesystem in a file: mounting starts kernel threads, unmounting ends them."""
        image, mount = os.path.join(self.directory, "image"), os.path.join(self.directory, "mount")
        os.makedirs(mount, exist_ok=True)
        with open(image, "wb") as stream:
            stream.truncate(16 << 20)
        run("mkfs.ext4", "-q", "-F", "-J", "size=4", image)
        run("mount", "-o", "loop", image, mount)
        unmount(mount)

    def deeds(self):
        act("storm", 500, self.tag)
        act("fork", 0)
        act("fork", 120, 8)
        act("vfork", self.tag)
        act("double-fork", self.tag)
        act("clone-parent", self.tag)
        act("thread-exec", self.tag)
        act("exec-thread-exec", self.tag)
        act("leader-first")
        act("leader-first-exit")
        act("threads", 10)
        act("kill", 11)
        act("uid", 65534)
        act("as", 65534, self.setuid, "show", "setuid-" + self.tag)

    def mixed_load(self, path):
        """For so long, and on a busy machine until all of it has been."""
        begin = time.monotonic()

        def is_enough():
            return (time.monotonic() - begin >= SECONDS and os.path.exists(os.path.join(self.directory, "built"))
                    and os.path.getsize(path) > (LEAST + 100) * ACCT.size)
        with self.compiling():
            while not is_enough() and time.monotonic() - begin < SECONDS + 180:
                self.kernel_threads()
                self.deeds()

    def test_accounting(self):
        path = os.path.join(self.directory, "acct")
        open(path, "w").close()
        with process_accounting(path):
            first = self.marker(path)
            time.sleep(EDGE.total_seconds())
            self.mixed_load(path)
            time.sleep(EDGE.total_seconds())
            last = self.marker(path)
            time.sleep(EDGE.total_seconds())
        self.vestige.sync()
        records = accounting_records(path)
        between = self.between_markers(records, first, last)
        begin, end = (self.marker_row(pid)["destroyed_at"] for pid in (first, last))
        rows = self.ended_rows(begin - EDGE, end + EDGE)
        leaders = self.leaders_codes()
        # Who else ends on this machine in the moment of a marker may be on either side of it.
        inner = [row for row in rows if begin + EDGE < row["destroyed_at"] <= end - EDGE]
        accounted, all_accounted = self.counted(between), self.counted(records)
        stored, all_stored = (
            collections.Counter(Record(row["pid"], row["exit_uid"], self.code(row, leaders))
                                for row in some) for some in (inner, rows))
        self.assertGreater(len(between), LEAST)
        self.assertEqual({}, dict(accounted - all_stored), "accounted by the kernel, not in a row")
        self.assertEqual({}, dict(stored - all_accounted), "in a row, not accounted by the kernel")
        self.assert_every_kind(between, inner)
        print(f"{len(between)} records of kernel accounting, {len(inner)} rows", flush=True)

    @staticmethod
    def counted(records):
        """By what a row says of the end: the signal, if there was one. A kernel thread that is
        stopped before it ran ends with a negative errno, of which the rest is no exit code."""
        return collections.Counter(
            Record(record.pid, record.uid, record.exit_code & SIGNAL or record.exit_code & ~CORE)
            for record in records)

    def ended_rows(self, begin, end):
        return self.vestige.query(
            "SELECT id, pid, ppid, comm, argv0, arguments, exit_uid, exit_code, exit_signal, "
            "previous_id, parent_id, destroyed_at FROM process "
            "WHERE end_cause = 'exit' AND destroyed_at > %s AND destroyed_at <= %s", begin, end)

    def leaders_codes(self):
        """The leader's code, by the id of the row, where it is not what wait() gave."""
        rows = self.processes(
            f"parent_id IN (SELECT id FROM process WHERE id >= {self.since} "
            "AND arguments IN ('leader-first', 'leader-first-exit'))")
        how = {row["id"]: row["arguments"] for row in
               self.processes("arguments IN ('leader-first', 'leader-first-exit')")}
        return {row["id"]: LEADERS_CODES[how[row["parent_id"]]] << 8 for row in rows}

    @staticmethod
    def code(row, leaders):
        """As a record of kernel accounting has it."""
        if row["id"] in leaders:
            return leaders[row["id"]]
        if row["exit_signal"] is not None:
            return row["exit_signal"]
        return None if row["exit_code"] is None else row["exit_code"] << 8

    def assert_every_kind(self, records, rows):
        """The load was what it is meant to be: a minute without one of these would show nothing."""
        commands = collections.Counter(record.comm for record in records)
        for command in (b"make", b"cc1", b"as", b"ld", b"true", b"sh", b"bash"):
            self.assertGreater(commands[command], 0, command)
        kinds = {
            "fork without exec": lambda record: record.flag & FORKED_ONLY
            and record.ppid != KERNEL_THREADS,
            "kernel thread": lambda record: record.ppid == KERNEL_THREADS
            and record.comm.startswith(b"jbd2/loop"),
            "killed by 9": lambda record: record.exit_code & 0x7f == 9,
            "killed by 11": lambda record: record.exit_code & 0x7f == 11,
            "killed by 15": lambda record: record.exit_code & 0x7f == 15,
            "setuid program": lambda record: record.comm == b"setuid" and record.uid == 65534,
            "ordinary user": lambda record: record.comm == b"actor" and record.uid == 65534,
        }
        for kind, is_of in kinds.items():
            self.assertTrue(any(map(is_of, records)), kind)
        parents = {row["id"]: row["arguments"] for row in self.processes(
            "arguments IN ('double-fork %s', 'clone-parent %s', 'thread-exec %s', 'vfork %s', "
            "'exec-thread-exec %s', 'leader-first', 'leader-first-exit')"
            .replace("%s", self.tag))}
        children = collections.Counter(parents[row["parent_id"]].split()[0] for row in rows
                                       if row["parent_id"] in parents)
        for actor in ("double-fork", "clone-parent", "thread-exec", "vfork", "exec-thread-exec",
                      "leader-first", "leader-first-exit"):
            self.assertGreater(children[actor], 0, actor)

    @staticmethod
    def wait_for_quiet(path):
        """Nothing has ended for a while. Somebody else's may: not for ever."""
        deadline, size, since = time.monotonic() + 1, -1, 0
        while (now := time.monotonic()) < deadline and now - since < QUIET_S:
            if os.path.getsize(path) != size:
                size, since = os.path.getsize(path), now
            time.sleep(0.01)

    def marker(self, path):
        """A process at whose end nothing else of the test ends."""
        self.wait_for_quiet(path)
        with subprocess.Popen(actor_command("show", self.tag), stdout=subprocess.DEVNULL) as shown:
            shown.wait()
        self.wait_for_quiet(path)
        return shown.pid

    def marker_row(self, pid):
        """In a minute of storm pids are used again."""
        return self.only(self.vestige.query(
            "SELECT * FROM process WHERE pid = %s AND arguments = %s", pid, f"show {self.tag}"),
            f"marker {pid}")

    def between_markers(self, records, first, last):
        pids = [record.pid for record in records]
        begin = pids.index(first) + 1
        end = len(pids) - pids[::-1].index(last)
        return records[begin:end]


if __name__ == "__main__":
    main()
