"""Canned questions about files, on what was really done with them: by two users who logged in, as root
and as themselves, by programs with connections, and on a medium of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading

from network_test import Server
from question_test import QuestionTest, login, perl
from vestige_test import ACTOR, main, run, wait_for

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


class TestFiles(QuestionTest):
    names = ()

    @classmethod
    def act(cls, facts):
        cls.root = tempfile.mkdtemp(prefix="vestige-files-")
        cls.addClassCleanup(shutil.rmtree, cls.root)
        os.chmod(cls.root, 0o755)
        facts["root"] = cls.root
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
        return os.path.join(cls.root, *names)

    @classmethod
    def by(cls, facts, who, uid, *command):
        """Somebody does something, as root, and it is known who it was."""
        with subprocess.Popen(login(uid, *command), stdin=subprocess.DEVNULL) as process:
            facts[who] = process.pid
        if process.returncode:
            raise AssertionError(f"{command}: exit status {process.returncode}")

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
        cls.by(facts, "reader", ALICE, "setpriv", f"--reuid={BOB}", f"--regid={BOB}",
               "--clear-groups", "cat", cls.at("secret"))
        cls.by(facts, "reader again", ALICE, "setpriv", f"--reuid={BOB}", f"--regid={BOB}",
               "--clear-groups", "cat", cls.at("secret"))

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
            wait_for(is_watched, 20, "the medium is watched", 0.1)
            cls.by(facts, "taker", BOB, "cp", cls.at("secret"), os.path.join(mounted, "taken"))
            cls.vestige.sync()
        finally:
            run("umount", mounted)


if __name__ == "__main__":
    main()
