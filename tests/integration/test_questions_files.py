"""Canned questions about files, on what was really done with them: by two users who logged in, as root
and as themselves, by programs with connections, and on a medium of its own."""

import os
import shutil
import socket
import tempfile
import threading
import unittest

from network_test import Server
from question_test import QuestionTest, login, perl
from vestige_test import ACTOR, main, run, unmount, wait_for

ALICE, BOB = 4242, 4343  # who have no account: rows have their numbers
SENT = 5000

# Its answer goes to a file while the connection is open; the file then gets its name.
FETCH = """
use IO::Socket::INET;
my ($host, $port, $part, $file) = @ARGV;
my $server = IO::Socket::INET->new("$host:$port") or die "connect: $!";
open my $to, ">", $part or die "$part: $!";
print $server "x" x 100;
$server->flush;
read $server, my $answer, 200;
print $to $answer;
close $to;
close $server;
rename $part, $file or die "rename: $!";
"""

# Reads files, then sends so many bytes.
UPLOAD = """
use IO::Socket::INET;
my ($host, $port, $bytes, @files) = @ARGV;
for (@files) { open my $from, "<", $_ or die "$_: $!"; my @lines = <$from>; close $from; }
my $server = IO::Socket::INET->new("$host:$port") or die "connect: $!";
print $server "x" x $bytes;
shutdown $server, 1;
read $server, my $end, 1;
close $server;
"""


class Sink:
    """A server within this process that reads everything from so many connections."""

    def __init__(self, n):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, args=(n,))

    def serve(self, n):
        for _ in range(n):
            connection, _ = self.listener.accept()
            with connection:
                while connection.recv(65536):
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *failure):
        self.thread.join(60)
        self.listener.close()


NAMES = ("deleted-files", "files-of-device", "files-of-program", "files-under",
         "files-written-by-process", "history-of-program", "origin-of-file", "read-then-sent", "who-read", "who-touched",
         "written-then-executed", "written-while-connected")


class FileQuestions(QuestionTest):
    names = NAMES

    @classmethod
    def act(cls, facts):
        cls.directory = tempfile.mkdtemp(prefix="vestige-files-")
        unittest.addModuleCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        facts["root"] = cls.directory
        os.mkdir(cls.at("work"))
        with open(cls.at("secret"), "w") as stream:
            stream.write("secret\n")
        for name in ("fetch", "upload"):
            shutil.copy(shutil.which("perl"), cls.at(name))
        cls.vestige.sync()
        cls.shell(facts)
        cls.connections(facts)
        cls.programs(facts)
        cls.medium(facts)

    @classmethod
    def at(cls, *names):
        return os.path.join(cls.directory, *names)

    @classmethod
    def by(cls, facts, who, uid, *command, prefix=()):
        """Somebody who logged in does something. A shell forks for it: what is told at one reading of a
        process that was several programs, one after the other, may be of either."""
        done = run(*login(uid, *prefix, "bash", "-c", '"$@" > /dev/null & echo $!; wait $!', "-", *command))
        facts[who] = int(done.stdout)

    @classmethod
    def shell(cls, facts):
        script = cls.at("script")
        with open(script, "w") as stream:
            stream.write(f"cd {cls.at('work')}\n"
                         "echo one > first\n"
                         "( echo two > second; sh -c 'echo three > third' )\n"
                         "cat first second > /dev/null\n"
                         f"cat {cls.at('secret')} > /dev/null\n"
                         "mv second moved\n"
                         "chmod 600 first\n"
                         "rm third\n")
        cls.by(facts, "shell", ALICE, "bash", script)
        as_bob = "setpriv", f"--reuid={BOB}", f"--regid={BOB}", "--clear-groups"
        cls.by(facts, "reader", ALICE, "cat", cls.at("secret"), prefix=as_bob)
        cls.by(facts, "reader again", ALICE, "cat", cls.at("secret"), prefix=as_bob)

    @classmethod
    def connections(cls, facts):
        with Server("tcp-server", "127.0.0.1", 1) as server:
            facts["download port"] = server.port
            cls.by(facts, "fetch", ALICE,
                   *perl(cls.at("fetch"), FETCH, "127.0.0.1", server.port, cls.at("work", "image.part"),
                         cls.at("work", "image")))
        cls.by(facts, "eraser", BOB, "rm", cls.at("work", "image"))
        with Sink(2) as sink:
            facts["upload port"] = sink.port
            cls.by(facts, "upload", BOB, *perl(cls.at("upload"), UPLOAD, "127.0.0.1", sink.port, SENT,
                                               cls.at("secret"), cls.at("script")))
            cls.by(facts, "small upload", BOB, *perl(cls.at("upload"), UPLOAD, "127.0.0.1", sink.port,
                                                     10, cls.at("script")))

    @classmethod
    def programs(cls, facts):
        hidden, tool, part = (cls.at("work", name) for name in (".hidden", "tool", "tool.part"))
        cls.by(facts, "copier", ALICE, "cp", ACTOR, hidden)
        cls.by(facts, "hidden", BOB, hidden, "show", "dropped")
        cls.by(facts, "copier again", BOB, "cp", ACTOR, hidden)
        cls.by(facts, "hidden again", BOB, hidden, "show", "dropped")
        cls.by(facts, "other copier", ALICE, "cp", ACTOR, part)
        cls.by(facts, "mover", BOB, "mv", part, tool)
        cls.by(facts, "tool", ALICE, tool, "show", "renamed")

    @classmethod
    def medium(cls, facts):
        image, mounted = cls.at("medium"), cls.at("mounted")
        os.mkdir(mounted)
        with open(image, "wb") as stream:
            stream.truncate(16 << 20)
        run("mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, mounted)
        try:
            facts["node"] = run("findmnt", "-n", "-o", "SOURCE", mounted).stdout.strip()

            def is_watched():
                cls.vestige.sync()
                return f"ext4 {mounted}" in cls.vestige.value(
                    "SELECT detail FROM coverage WHERE source = 'fanotify' AND destroyed_at IS NULL")
            wait_for(is_watched, 60, "the medium is watched", 0.1)
            cls.by(facts, "taker", BOB, "cp", cls.at("secret"), os.path.join(mounted, "taken"))
            cls.vestige.sync()
        finally:
            unmount(mounted)

    def path(self, *names):
        return os.path.join(self.facts["root"], *names)

    def work(self, *names):
        return self.path("work", *names)


class TestOneFile(FileQuestions):
    def test_who_touched(self):
        """All that was done by programs which have ended long ago, by one login user."""
        rows = self.report("who-touched", self.work("first"))
        self.assert_all_of([("4242", "root", "bash", self.facts["shell"], "write,create", None),
                            ("4242", "root", "cat", None, "read", "cat first second"),
                            ("4242", "root", "chmod", None, "attributes", "chmod 600 first")],
                           rows, "login_user", "username", "application", "pid", "operations", "command",
                           unknown={"pid": {"cat", "chmod"}, "command": {"bash"}})

    def test_who_touched_by_another_name(self):
        """What it was renamed from and to."""
        columns = "login_user", "application", "operations", "path", "new_path"
        self.assert_answer([("4242", "fetch", "rename", self.work("image.part"), self.work("image")),
                            ("4343", "rm", "delete", self.work("image"), None)],
                           self.report("who-touched", self.work("image")), *columns)
        self.assert_all_of([("4242", "fetch", "write,create", self.work("image.part"), None),
                            ("4242", "fetch", "rename", self.work("image.part"), self.work("image"))],
                           self.report("who-touched", self.work("image.part")), *columns)
        self.assert_answer([("4343", "rm", "delete", self.work("image"), None)],
                           self.report("who-touched", self.work("image"), "--login-user", BOB), *columns)

    def test_who_read(self):
        rows = self.report("who-read", self.path("secret"))
        self.assert_all_of([("4242", "root", "cat", 1), ("4242", "4343", "cat", 2),
                            ("4343", "root", "upload", 1), ("4343", "root", "cp", 1)],
                           rows, "login_user", "username", "application", "times")
        again, = (row for row in rows if row["times"] == 2)
        self.assertLess(again["first_read"], again["last_read"])
        self.assertRegex(again["program"], "/cat$")

    def test_origin_of_file(self):
        """The image that is no more: who made it, from where, and who erased it."""
        columns = ("login_user", "application", "operations", "path", "new_path", "direction",
                   "remote_port", "bytes_received")
        port = self.facts["download port"]
        rows = self.report("origin-of-file", self.work("image"))
        self.assert_all_of([("4242", "fetch", "write,create", self.work("image.part"), None, "out", port,
                             200),
                            ("4242", "fetch", "rename", self.work("image.part"), self.work("image"),
                             "out", port, 200),
                            ("4343", "rm", "delete", self.work("image"), None, None, None, None)],
                           rows, *columns)
        self.assertEqual("rm", rows[-1]["application"])
        self.assertEqual([f"rm {self.work('image')}"],
                         [row["command"] for row in rows if row["application"] == "rm"])
        self.assert_all_of([("4242", "cp", "write,create", self.work("tool.part"), None),
                            ("4343", "mv", "rename", self.work("tool.part"), self.work("tool"))],
                           self.report("origin-of-file", self.work("tool")), *columns[:5])


class TestManyFiles(FileQuestions):
    def test_files_of_program(self):
        columns = "application", "operations", "path"
        expected = [("cat", "read", self.work("first")), ("cat", "read", self.work("second"))]
        self.assert_all_of(expected, self.report("files-of-program", "cat", self.work()), *columns)
        whole = self.report("files-of-program", self.path("fetch"), under=self.work())
        self.assert_all_of([("fetch", "write,create", self.work("image.part")),
                            ("fetch", "rename", self.work("image.part"))], whole, *columns)
        everywhere = self.report("files-of-program", "cat")
        self.assertEqual(sorted(everywhere, key=lambda row: (row["created_at"], row["row_id"])),
                         everywhere)
        self.assert_all_of([*expected, *[("cat", "read", self.path("secret"))] * 3],
                           [row for row in everywhere if row["path"].startswith(self.path())], *columns)

    def test_files_written_by_process(self):
        """Also by what its children started, and by what it was executed from."""
        expected = [(0, "bash", "write,create", self.work("first")),
                    (1, "sh", "write,create", self.work("second")),
                    (1, "sh", "write,create", self.work("third")),
                    (1, "mv", "rename", self.work("second")),
                    (1, "rm", "delete", self.work("third"))]
        columns = "depth", "application", "operations", "path"
        rows = self.report("files-written-by-process", self.facts["shell"], self.path())
        self.assert_all_of(expected, rows, *columns)
        self.assert_all_of(expected[2:3] + expected[4:], self.report(
            "files-written-by-process", self.facts["shell"], under=self.work("third")), *columns)

    def test_files_under(self):
        columns = "path", "login_user", "operations", "times", "programs"
        alice = [(self.work(".hidden"), "4242", "write,create", 1, "cp"),
                 (self.work("first"), "4242", "read,write,create,attributes", 3, "bash,cat,chmod"),
                 (self.work("image"), "4242", "rename", 1, "fetch"),
                 (self.work("image.part"), "4242", "write,create,rename", 2, "fetch"),
                 (self.work("moved"), "4242", "rename", 1, "mv"),
                 (self.work("second"), "4242", "read,write,create,rename", 3, "cat,mv,sh"),
                 (self.work("third"), "4242", "write,create,delete", 2, "rm,sh"),
                 (self.work("tool"), "4242", "execute", 1, "tool"),
                 (self.work("tool.part"), "4242", "write,create", 1, "cp")]
        bob = [(self.work(".hidden"), "4343", "write,execute", 3, ".hidden,cp"),
               (self.work("image"), "4343", "delete", 1, "rm"),
               (self.work("tool"), "4343", "rename", 1, "mv"),
               (self.work("tool.part"), "4343", "rename", 1, "mv")]
        self.assert_answer(alice, self.report("files-under", self.work(), "--login-user", ALICE),
                           *columns)
        self.assert_answer(bob, self.report("files-under", self.work(), "--login-user", BOB), *columns)

    def test_deleted_files(self):
        rows = self.report("deleted-files", self.work())
        self.assert_all_of([("4242", "mv", "rename", self.work("second"), self.work("moved")),
                            ("4242", "rm", "delete", self.work("third"), None),
                            ("4242", "fetch", "rename", self.work("image.part"), self.work("image")),
                            ("4343", "rm", "delete", self.work("image"), None),
                            ("4343", "mv", "rename", self.work("tool.part"), self.work("tool"))],
                           rows, "login_user", "application", "operations", "path", "new_path")
        self.assertEqual(["rm third"], [row["command"] for row in rows
                                        if row["path"] == self.work("third")])

    def test_files_of_device(self):
        """The medium is a loop device: known by its node, its number and its path in /sys. Whoever makes one
        besides, before it or after it, is given the same number."""
        node = self.facts["node"]
        number = self.vestige.value("SELECT device FROM device WHERE devnode = %s AND destroyed_at "
                                    "IS NULL", node)
        for device in node, number, f"/devices/virtual/block/{os.path.basename(node)}":
            rows = [row for row in self.report("files-of-device", device)
                    if row["path"].startswith(self.path("mounted"))]
            self.assert_answer([("4343", "cp", "write,create", self.path("mounted", "taken"), 7, node)], rows,
                               "login_user", "application", "operations", "path", "size", "node")


class TestFilesAndPrograms(FileQuestions):
    def test_written_while_connected(self):
        rows = self.report("written-while-connected", self.work(), "loopback=1")
        row, = rows
        self.assert_answer([("4242", "root", "fetch", self.facts["fetch"], self.work("image.part"), "out",
                             self.facts["download port"], 200, "127.0.0.1")], rows,
                           "login_user", "username", "application", "pid", "path", "direction",
                           "remote_port", "bytes_received", "row_remote_address")
        self.assertGreater(row["row_batch"], 0)
        self.empty("written-while-connected", self.work())

    def test_read_then_sent(self):
        """Not the one who sent less."""
        rows = self.report("read-then-sent", f"bytes={SENT - 1}", f"under={self.path()}", "loopback=1")
        self.assert_all_of([("4343", "upload", self.facts["upload"], self.path("secret"), SENT, 1),
                            ("4343", "upload", self.facts["upload"], self.path("script"), SENT, 1)],
                           rows, "login_user", "application", "pid", "path", "bytes_sent", "connections")
        self.assertEqual(3, len(self.report("read-then-sent", "bytes=9", f"under={self.path()}",
                                            "loopback=1")))
        self.empty("read-then-sent", f"bytes={SENT}", f"under={self.path()}", "loopback=1")

    def test_written_then_executed(self):
        rows = [row for row in self.report("written-then-executed") if row["exe"].startswith(self.work())]
        self.assert_answer(
            [("4343", self.facts["hidden"], self.work(".hidden"), "cp", "4242", "write,create"),
             ("4343", self.facts["hidden again"], self.work(".hidden"), "cp", "4343", "write"),
             ("4242", self.facts["tool"], self.work("tool"), "mv", "4343", "rename")],
            rows, "login_user", "pid", "exe", "writer", "writer_login_user", "how")

    def test_history_of_program(self):
        """Files are told some milliseconds late, but within the life of the program."""
        rows = self.report("history-of-program", "fetch")
        self.assertEqual({self.facts["fetch"]}, {row["pid"] for row in rows})
        command = rows[0]["object"]
        self.assertTrue(command.startswith(self.path("fetch")), command)
        peer = f"tcp 127.0.0.1 {self.facts['download port']} "
        mine = [(row["what"], row["deed"], row["object"]) for row in rows if row["what"] != "file"
                or row["object"].startswith(self.work())]
        mine = [(*deed, peer if thing.startswith(peer) else thing) for *deed, thing in mine]
        image = [("file", "write,create", self.work("image.part")),
                 ("file", "rename", f"{self.work('image.part')} -> {self.work('image')}")]
        self.assertEqual([("began", None, command), ("connection", "out established", peer)], mine[:2])
        self.assertEqual(sorted(image), sorted(mine[2:4]))
        self.assertEqual([("ended", "exit 0", command)], mine[4:])


class TestAll(FileQuestions):
    def test_hostile_parameters(self):
        self.check_hostile_parameters()

    def test_nothing(self):
        self.check_nothing()

    def test_examples(self):
        self.check_examples()

    def test_schedules(self):
        self.check_schedules()


if __name__ == "__main__":
    main()
