"""Files that have no path any more, that are held over a restart, too many of them, and all of it
without fanotify. Each test has an instance with a configuration of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from vestige_test import (Standalone, VestigeTest, act, actor_command, assert_audit_state,
                          audit_state, brief, main, memory_kib, now_us, put_away_leftovers,
                          wait_for)

HELD = 23
FLOOD_SECONDS = 10
MEMORY_MOST_KIB = 64 << 10

# Holds N files of each kind that has no name, until its input ends.
HOLDER = """
import os, sys
directory, n = sys.argv[1], int(sys.argv[2])
held = [os.memfd_create(f"held-{i}") for i in range(n)]
held += [os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600) for i in range(n)]
for i in range(n):
    path = f"{directory}/deleted-{i}"
    held.append(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    os.unlink(path)
print("ready", flush=True)
sys.stdin.read()
"""


class OwnInstance(VestigeTest):
    @classmethod
    def setUpClass(cls):
        """None is shared."""
        put_away_leftovers()

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="vestige-files-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.directory)
        self.vestige = Standalone()
        self.addCleanup(assert_audit_state, audit_state())
        self.addCleanup(self.vestige.remove)
        self.addCleanup(self.vestige.stop)

    def start(self, **files):
        self.vestige.start()
        self.vestige.stop()
        self.vestige.configure(files=files)
        self.vestige.start()
        self.vestige.sync()
        self.since = now_us()

    def path(self, name):
        return os.path.join(self.directory, name)

    def accesses(self, condition, *parameters):
        return self.vestige.query(
            f"SELECT * FROM file_access WHERE {condition} ORDER BY id", *parameters)

    def holder(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        process.stdout.readline()
        return process


class TestWithoutName(OwnInstance):
    def test_held(self):
        self.start(scan_interval_s=1)
        holder = self.holder(sys.executable, "-c", HOLDER, self.directory, str(HELD))
        mine = f"pid = {holder.pid} AND opens IS NULL AND destroyed_at IS NULL AND "
        kinds = {"memfd": "path LIKE '/memfd:held-%%'",
                 "O_TMPFILE": f"path LIKE '{self.directory}/#%%'",
                 "deleted": f"path LIKE '{self.directory}/deleted-%%'"}

        def shown():
            self.vestige.sync()
            self.counts = {kind: len(self.accesses(mine + condition))
                           for kind, condition in kinds.items()}
            return set(self.counts.values()) == {HELD}
        wait_for(shown, 60, "all are shown", 0.2)
        deletions = self.accesses("pid = %s AND operations = 'delete' AND path LIKE %s", holder.pid,
                                  self.path("deleted-%"))
        self.assertEqual(HELD, len(deletions))
        holder.stdin.close()
        holder.wait(60)
        self.vestige.sync()
        for kind, condition in kinds.items():
            rows = self.accesses(f"pid = {holder.pid} AND {condition} "
                                 "AND NOT operations <=> 'delete'")
            rows.sort(key=lambda row: (row["path"], row["id"]))
            self.assertEqual(HELD, len(rows), kind + "\n" + "\n".join(
                f"{row['id']} {row['created_at']} {row['destroyed_at']} {row['end_cause']} "
                f"{row['seen_by']} {row['path']} {row['operations']} {row['opens']} {row['mode']} "
                f"{row['inherited']}" for row in rows))
            for row in rows:
                self.assertIsNotNone(row["destroyed_at"], brief([row]))


class TestOverRestart(OwnInstance):
    def test_one_row(self):
        self.start(scan_interval_s=1)
        path = self.path("held")
        open(path, "w").close()
        holder = self.holder(*actor_command("files-hold", path))
        self.vestige.sync()
        row = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "the holder")
        self.vestige.stop()
        self.vestige.start()
        self.vestige.sync()
        self.vestige.kill_agent()
        self.vestige.sync()
        self.assert_row(self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "it"),
                        id=row["id"], destroyed_at=None)
        holder.stdin.close()
        holder.wait(60)
        self.vestige.sync()
        row = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "the holder")
        self.assert_ended(row, end_cause="closed")

    def test_closed_while_nobody_listened(self):
        self.start(scan_interval_s=1)
        path = self.path("held")
        open(path, "w").close()
        holder = self.holder(*actor_command("files-hold", path))
        self.vestige.sync()
        self.vestige.stop()
        holder.stdin.close()
        holder.wait(60)
        self.vestige.start()

        def ended():
            self.vestige.sync()
            row = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "it")
            return row if row["destroyed_at"] else None
        row = wait_for(ended, 60, "its row ends", 0.2)
        self.assertIn(row["end_cause"], ("reconciled", "exit"))


class TestFlood(OwnInstance):
    def test_flood(self):
        """As many opens as two processes can: what is no row is in a gap with its span."""
        self.start()
        for name in ("one", "two"):
            os.mkdir(self.path(name))
            act("file-keep", self.path(name), 2000)
        self.vestige.sync()
        begin = self.vestige.value("SELECT UTC_TIMESTAMP(6)")
        deadline = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < deadline:
            storms = [subprocess.Popen(actor_command("file-reads", self.path(name), 2000),
                                       stdout=subprocess.DEVNULL) for name in ("one", "two")]
            self.assertEqual([0, 0], [storm.wait(120) for storm in storms])
        self.vestige.sync()
        end = self.vestige.value("SELECT UTC_TIMESTAMP(6)")
        gaps = self.vestige.query("SELECT * FROM gap WHERE source IN ('fanotify', 'files') "
                                  "AND destroyed_at >= %s AND created_at <= %s", begin, end)
        self.assertGreater(len(gaps), 0, "a flood of one program is more than it may have")
        for gap in gaps:
            self.assertIn(gap["cause"], ("rate_limit", "overrun", "memory_bound"), brief([gap]))
            self.assertLess((gap["destroyed_at"] - gap["created_at"]).total_seconds(), 30)
        stored = self.vestige.value("SELECT COUNT(*) FROM file_access WHERE created_at >= %s "
                                    "AND path LIKE %s", begin, self.path("%"))
        self.assertGreater(stored, 2000)
        self.assertLess(memory_kib(self.vestige.agent_pid, "VmHWM"), MEMORY_MOST_KIB)
        own = self.accesses("path LIKE %s", self.vestige.state + "/%")
        self.assertEqual([], own, brief(own[:3]))
        print(f"{stored} rows, {len(gaps)} gaps, "
              f"{sum(int(gap['count'] or 0) for gap in gaps)} events counted, "
              f"{memory_kib(self.vestige.agent_pid, 'VmHWM')} KiB", flush=True)


class TestInotify(OwnInstance):
    def test_trees(self):
        """Without fanotify: what happens in the trees, by nobody, and it is said that it is so."""
        self.start(mode="inotify", trees=self.directory, scan_interval_s=1)
        for i in range(HELD):
            with open(self.path(f"file-{i}"), "w") as stream:
                stream.write("x")
            os.rename(self.path(f"file-{i}"), self.path(f"moved-{i}"))
            os.unlink(self.path(f"moved-{i}"))

        def all_there():
            self.vestige.sync()
            self.done = {operation: self.accesses(
                "FIND_IN_SET(%s, operations) AND path LIKE %s", operation, self.path("%"))
                for operation in ("write", "rename", "delete")}
            return {len(rows) for rows in self.done.values()} == {HELD}
        wait_for(all_there, 60, "all is there", 0.2)
        for rows in self.done.values():
            for row in rows:
                self.assert_ended(row, pid=None, process_id=None, seen_by="inotify")

        def covered():  # it is said after the first look
            self.vestige.sync()
            return self.vestige.query("SELECT * FROM coverage WHERE source = 'inotify' AND destroyed_at IS NULL")
        row = self.only(wait_for(covered, 60, "coverage", 0.1), "coverage")
        self.assertEqual("inotify", row["mode"])
        self.assertIn(self.directory, row["detail"])
        off = self.vestige.query("SELECT * FROM coverage WHERE source = 'fanotify' "
                                 "AND destroyed_at IS NULL")
        self.assertEqual("off", self.only(off, "coverage")["mode"])


if __name__ == "__main__":
    main()
