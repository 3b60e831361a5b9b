"""Files in use on the real kernel: each is a row, with its process and login user, and the questions
that are asked of them are answered by SQL alone."""

import collections
import datetime
import os
import re
import shutil
import subprocess
import time

from file_test import FileTest
from vestige_test import ACTOR, act, brief, main, now_us

N, GLANCES = 997, 1000
READER, LOGIN = 1001, 1000


def as_reader(program, *parameters):
    """A user who logged in as another one."""
    return act("login", LOGIN, "setpriv", f"--reuid={READER}", f"--regid={READER}",
               "--clear-groups", program, *parameters)


class TestDeeds(FileTest):
    def setUp(self):
        super().setUp()
        for name in ("here", "there"):
            os.mkdir(self.path(name))
        self.program = shutil.copy(ACTOR, self.path("deeds"))
        os.chmod(self.program, 0o755)

    def expected_paths(self, name, n=N):
        return [self.path(name, f"file-{i:04}") for i in range(n)]

    def test_made_read_changed(self):
        maker, _ = act("login", LOGIN, self.program, "files-make", self.path("here"), N)
        reader, _ = as_reader(self.program, "files-read", self.path("here"), N)
        self.vestige.sync()  # how large a file is, is read from the file
        changer, _ = act("login", LOGIN, self.program, "files-change", self.path("here"),
                         self.path("there"), N)
        self.vestige.sync()
        self.assert_nothing_lost()
        here, there = self.expected_paths("here"), self.expected_paths("there")

        made = self.of(maker)
        self.assertEqual(here, [row["path"] for row in made if row["path"] != self.program])
        self.check(made, maker, 0, "write,create", opens=1, inherited=0, new_path=None, size=7)

        read = self.of(reader)
        self.assertEqual(here, [row["path"] for row in read if row["path"] != self.program])
        self.check(read, reader, READER, "read", opens=1, inherited=0, new_path=None, size=7)

        changed = {}
        for row in self.of(changer):
            changed.setdefault(row["operations"], []).append(row)
        self.assertEqual({"attributes", "rename", "delete", "execute"}, set(changed))
        for operation, paths in (("attributes", here), ("rename", here), ("delete", there)):
            rows = changed[operation]
            self.assertEqual(paths, [row["path"] for row in rows])
            self.check(rows, changer, 0, operation, opens=None)
        self.assertEqual(there, [row["new_path"] for row in changed["rename"]])
        self.assertEqual({None}, {row["new_path"] for row in changed["attributes"]
                                  + changed["delete"]})

    def test_as_strace_saw_it(self):
        """Each call of the actors that did something to a file of theirs, and nothing else."""
        output = self.path("strace")
        for deed in (("files-make", self.path("here")), ("files-read", self.path("here")),
                     ("files-change", self.path("here"), self.path("there"))):
            act("login", LOGIN, "strace", "-f", "-qq", "-A", "-o", output, "-e",
                "trace=openat,open,creat,rename,renameat,renameat2,unlink,unlinkat,chmod,fchmodat,"
                "?fchmodat2", "-s", "4096", self.program, *deed, N)
        self.vestige.sync()
        self.assert_nothing_lost()
        with open(output) as stream:
            seen = collections.Counter(self.deeds_of_strace(stream.read()))
        rows = self.accesses("path LIKE %s OR path LIKE %s", self.path("here/%"),
                             self.path("there/%"))
        stored = collections.Counter((row["pid"], row["operations"].split(",")[-1], row["path"],
                                      row["new_path"]) for row in rows)
        self.assertEqual(5 * N, len(rows))
        self.assertEqual(seen, stored)

    def deeds_of_strace(self, text):
        """Process, last of its operations in the order of the column, path, new path."""
        for line in text.splitlines():
            pid, call, arguments = re.match(r"(\d+) +(\w+)\((.*)\) += [0-9]", line).groups()
            paths = [path for path in re.findall(r'"([^"]*)"', arguments)
                     if path.startswith((self.path("here/"), self.path("there/")))]
            if not paths:
                continue
            if call.startswith("open"):
                operation = "create" if "O_CREAT" in arguments else "read"
            else:
                operation = {"r": "rename", "u": "delete"}.get(call[0], "attributes")
            yield int(pid), operation, paths[0], paths[1] if len(paths) > 1 else None

    def check(self, rows, pid, uid, operations, **expected):
        """All are of the program of that process, which ended them by itself."""
        image = self.image(pid, "deeds")
        rows = [row for row in rows if row["path"] != self.program]
        self.assertEqual(N, len(rows))
        self.assert_all(rows, process_id=image["id"], pid=pid, application="deeds", uid=uid,
                        login_uid=LOGIN, operations=operations, end_cause="closed",
                        seen_by="fanotify", path_at_read=0, **expected)
        for row in rows:
            self.assertGreaterEqual(row["created_at"], image["created_at"], brief([row]))
            self.assertLessEqual(row["destroyed_at"], image["destroyed_at"], brief([row]))

    def test_glances(self):
        path = self.path("glanced at")
        with open(path, "w") as stream:
            stream.write("x")
        self.vestige.sync()
        self.since = now_us()
        parent, _ = act("login", LOGIN, self.program, "files-glance", path, GLANCES)
        self.vestige.sync()
        self.assert_nothing_lost()
        rows = self.accesses("path = %s", path)
        self.assertEqual(GLANCES, len(rows))
        self.assert_all(rows, operations="read", opens=1, inherited=0, uid=0, login_uid=LOGIN,
                        application="deeds", end_cause="closed", seen_by="fanotify")
        children = self.processes("ppid = %s", parent)
        self.assertEqual(sorted(child["id"] for child in children),
                         sorted(row["process_id"] for row in rows))
        self.assertEqual(GLANCES, len(children))

    def test_held_open(self):
        path = self.path("held")
        open(path, "w").close()
        holder = subprocess.Popen([self.program, "files-hold", path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        try:
            holder.stdout.readline()
            self.vestige.sync()
            row = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "the holder")
            self.assert_row(row, destroyed_at=None, operations=None, opens=None, application="deeds",
                            process_id=self.image(holder.pid, "deeds")["id"])
        finally:
            holder.communicate()
        self.vestige.sync()
        row = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "the holder")
        self.assert_ended(row, operations="read", opens=1, end_cause="closed")


class TestNames(FileTest):
    def test_odd_names(self):
        names = [b"with\nnewline", b"with\ttab", b"with\\backslash", b"\\x41", b"\xff\xfe latin",
                 "größe".encode(), b"%s %d 'quoted' \"twice\"", b" blank ", b"l" * 255]
        for name in names:
            with open(os.path.join(self.directory.encode(), name), "wb") as stream:
                stream.write(b"x")
        self.vestige.sync()
        self.assert_nothing_lost()
        found = [self.raw(row["path"]) for row in self.of(os.getpid())]
        self.assertEqual(sorted(names), sorted(os.path.basename(path) for path in found))

    def test_long_path(self):
        """A path of 4,095 bytes."""
        at = os.open(self.directory, os.O_RDONLY)
        expected = self.directory.encode()
        while (left := 4095 - len(expected) - 1) > 255:
            part = b"d" * min(250, left - 2)
            os.mkdir(part, dir_fd=at)
            below = os.open(part, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at, expected = below, expected + b"/" + part
        name = b"f" * left
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=at))
        os.close(at)
        self.vestige.sync()
        rows = self.accesses("pid = %s AND LENGTH(path) = 4095", os.getpid())
        row = self.only(rows, "the long path")
        self.assertEqual(expected + b"/" + name, row["path"].encode())
        self.assert_ended(row, operations="write,create", opens=1)

    @staticmethod
    def raw(text):
        """The bytes that evidence text stands for."""
        data, out, i = text.encode(), bytearray(), 0
        while i < len(data):
            if data[i:i + 2] == b"\\x" and len(data) >= i + 4:
                try:
                    out.append(int(data[i + 2:i + 4], 16))
                    i += 4
                    continue
                except ValueError:
                    pass
            out.append(data[i])
            i += 1
        return bytes(out)


class TestQuestions(FileTest):
    """What an investigator asks; the answers are what a shell did a moment ago."""

    def setUp(self):
        super().setUp()
        self.work = self.path("work")
        os.mkdir(self.work)
        self.script = self.path("script")
        with open(self.script, "w") as script:
            script.write(f"cd {self.work}\n"
                         "echo one > first\n"
                         "( echo two > second; sh -c 'echo three > third' )\n"
                         "cat first second > /dev/null\n"
                         "cat /etc/shadow > /dev/null\n")
        self.shell, _ = act("login", LOGIN, "bash", self.script)
        self.vestige.sync()

    def test_who_read_shadow_today(self):
        rows = self.vestige.query(
            "SELECT f.login_uid, f.username, p.comm, p.exe FROM file_access f"
            " JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id"
            " WHERE f.path = '/etc/shadow' AND f.created_at >= %s"
            "   AND (FIND_IN_SET('read', f.operations) OR f.operations IS NULL)"
            f"  AND f.id >= {self.since} AND f.login_uid = {LOGIN}",
            datetime.datetime.fromtimestamp(self.since / 1e6, datetime.UTC).date())
        row = self.only(rows, "who read it")
        self.assertEqual((LOGIN, "root", "cat"), (row["login_uid"], row["username"], row["comm"]))
        self.assertTrue(row["exe"].endswith("/bin/cat"), row)

    def test_what_a_process_and_its_descendants_wrote(self):
        shell = self.image(self.shell, "bash")
        rows = self.vestige.query(
            "WITH RECURSIVE family (host_id, id) AS ("
            " SELECT host_id, id FROM process WHERE id = %s UNION"
            " SELECT p.host_id, p.id FROM process p JOIN family f"
            "   ON p.host_id = f.host_id AND f.id IN (p.parent_id, p.previous_id))"
            "SELECT DISTINCT path FROM file_access a JOIN family f"
            "  ON f.host_id = a.host_id AND f.id = a.process_id"
            " WHERE FIND_IN_SET('write', a.operations) ORDER BY path", shell["id"])
        self.assertEqual([os.path.join(self.work, name) for name in ("first", "second", "third")],
                         [row["path"] for row in rows if row["path"].startswith(self.directory)])

    def test_what_a_login_user_touched_below_a_path(self):
        rows = self.vestige.query(
            "SELECT path, GROUP_CONCAT(DISTINCT operations ORDER BY operations) AS done"
            " FROM file_access WHERE login_uid = %s AND path LIKE CONCAT(%s, '/%%') AND id >= %s"
            " GROUP BY path ORDER BY path", LOGIN, self.work, self.since)
        self.assertEqual({"first": "read,write,create", "second": "read,write,create",
                          "third": "write,create"},
                         {os.path.basename(row["path"]): row["done"] for row in rows})

    def test_what_a_program_opened_in_order(self):
        cat = self.processes("comm = 'cat' AND login_uid = %s AND argc = 3", LOGIN)
        rows = self.vestige.query(
            "SELECT path FROM file_access WHERE process_id = %s AND opens > 0"
            " ORDER BY created_at, id", self.only(cat, "cat first second")["id"])
        self.assertEqual([os.path.join(self.work, name) for name in ("first", "second")],
                         [row["path"] for row in rows])


class TestRestart(FileTest):
    def test_open_over_a_restart(self):
        """A row goes on after kill -9 of the agent, and ends with the close that the next one hears."""
        path = self.path("held")
        open(path, "w").close()
        with subprocess.Popen([ACTOR, "files-hold", path], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as holder:
            holder.stdout.readline()
            self.vestige.sync()
            before = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "it")
            self.assertIsNone(before["destroyed_at"])
            self.vestige.kill_agent()
            self.vestige.sync()
            again = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "it")
            self.assert_row(again, id=before["id"], destroyed_at=None)
            holder.stdin.close()
            holder.wait(60)
        self.vestige.sync()
        after = self.only(self.accesses("pid = %s AND path = %s", holder.pid, path), "it")
        self.assert_ended(after, id=before["id"], end_cause="closed")


class TestLimits(FileTest):
    def test_programs(self):
        """One program is left out, another one may begin ten rows a second, and a hundred at once."""
        programs = {name: shutil.copy(ACTOR, self.path(name)) for name in ("quiet", "noisy")}
        self.vestige.stop()
        self.vestige.configure(files={"rate_per_program": 10,
                                      "exclude_programs": programs["quiet"]})
        self.addCleanup(self.vestige.start)
        self.addCleanup(self.vestige.configure)
        self.addCleanup(self.vestige.stop)
        self.vestige.start()
        begin = time.monotonic()
        for name, program in programs.items():
            os.mkdir(self.path(name + ".d"))
            subprocess.run([program, "files-make", self.path(name + ".d"), str(N)], check=True)
        self.vestige.sync()
        most = 100 + 10 * (time.monotonic() - begin + 1)
        of = {name: self.accesses("path LIKE CONCAT(%s, '/%%')", self.path(name + ".d"))
              for name in programs}
        self.assertEqual([], of["quiet"])
        self.assertGreaterEqual(len(of["noisy"]), 99)
        self.assertLessEqual(len(of["noisy"]), most)
        gaps = [gap for gap in self.gaps() if gap["cause"] == "rate_limit"
                and gap["detail"] == f"files used by {programs['noisy']}"]
        self.assertEqual({("fanotify", "event")}, {(gap["source"], gap["unit"]) for gap in gaps})
        self.assertGreaterEqual(sum(gap["count"] for gap in gaps), N - len(of["noisy"]))
        detail = self.vestige.value("SELECT detail FROM coverage WHERE source = 'fanotify' "
                                    "AND destroyed_at IS NULL")
        self.assertIn(f"programs left out: {programs['quiet']}; at most 10 rows a second", detail)

    def test_own_files(self):
        """The recorder's own writing feeds nothing back."""
        self.vestige.sync()
        own = self.accesses("path LIKE CONCAT(%s, '/%%')", self.vestige.state)
        self.assertEqual([], own, brief(own[:3]))

    def test_coverage_says_what_is_left_out(self):
        rows = self.vestige.query("SELECT source, mode, detail FROM coverage WHERE source IN "
                                  "('fanotify', 'inotify') AND destroyed_at IS NULL")
        self.assertEqual({"fanotify", "inotify"}, {row["source"] for row in rows})
        for row in rows:
            self.assertNotIn(row["mode"], ("off", "failed"), row)


if __name__ == "__main__":
    main()
