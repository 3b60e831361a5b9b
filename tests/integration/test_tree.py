"""`vestige tree`: the processes of a person of the test, at a time and around one of them, against what
the rows say; what they listen on and talk to; arguments that would drive a terminal."""

import csv
import io
import json
import re
import subprocess

from network_test import Server
from person_test import PersonTest
from vestige_test import ACTOR, main, quoted

SCRIPT = '<script>alert("1")</script>'
ESCAPE = "\x1b[2J\u202e"
N = 3


def walk(nodes, parent=None):
    """(node, parent) of all of a JSON answer, in its order."""
    for node in nodes:
        yield node, parent
        yield from walk(node["children"], node)


class TreeTest(PersonTest):
    person = "t"
    deeds = None

    def setUp(self):
        super().setUp()
        if not TreeTest.deeds:
            TreeTest.deeds = self.do_deeds()
        self.shell, self.server, self.at = TreeTest.deeds

    def do_deeds(self):
        """Once for all tests of this file: the person's shell, the server, and a moment between."""
        self.write("deeds", f"""
{ACTOR} show "$2" "$3"
/bin/sh -c 'exit 7'
/bin/sh -c 'kill -9 $$'
/bin/sh -c 'sleep 6 & exec sleep 7'
exec sudo {ACTOR} tcp-client 127.0.0.1 $1 {N} talker 0
""")
        with Server("tcp-server", "127.0.0.1", N) as server:
            self.command = TreeTest.command = ["/bin/sh", self.path("deeds"), str(server.port),
                                               SCRIPT, ESCAPE]
            self.log_in(*self.command)
        self.vestige.sync()
        shell = self.only(self.processes("login_uid = %s AND exe = '/usr/bin/dash' AND uid = %s "
                                         "AND arguments LIKE %s", self.uid, self.uid,
                                         self.path("deeds") + "%"), "the shell")
        sleeps = [self.only(self.processes("login_uid = %s AND comm = 'sleep' AND arguments = %s", self.uid, seconds),
                            "sleep") for seconds in ("6", "7")]  # longer than the shell may stand still between
        begin, end = max(row["created_at"] for row in sleeps), min(row["destroyed_at"] for row in sleeps)
        self.assertLess(begin, end)
        at = begin + (end - begin) / 2
        return shell, self.row_of(server.pid), at.isoformat(" ")

    def document(self, *words, status=0):
        """The nodes of a JSON answer."""
        return json.loads(self.ask("tree", "--format", "json", *words, status=status).stdout)[
            "processes"]

    def find(self, nodes, row_id):
        found = [node for node, _ in walk(nodes) if node["row_id"] == row_id]
        self.assertEqual(1, len(found))
        return found[0]

    def drawn(self, *words):
        """The lines of a table from the shell on: (pid, login user, user, exit, program)."""
        lines = self.ask("tree", *words).stdout.splitlines()
        begins = {name: re.search(rf"\b{name}\b", lines[0]).start() for name in
                  ("login_user", "begin", "exit", "program")}
        rows = []
        for line in lines[1:]:
            login_user, _, user = line[begins["login_user"]:begins["begin"]].strip().partition(" ")
            rows.append((line[:begins["login_user"]].strip(), login_user, user.strip(),
                         line[begins["exit"]:begins["program"]].strip(), line[begins["program"]:]))
        first = next(i for i, row in enumerate(rows) if "* " in row[4])
        indent = re.search("└─|├─", rows[first][4]).start()
        return [(*row[:4], row[4][indent + 2:]) for row in rows[first:]
                if not row[4].startswith("rocesses")]


class TestAround(TreeTest):
    def test_drawn(self):
        """All of it, line by line; what it became by exec is below it."""
        me, port = self.name, self.command[2]
        shell = f"/bin/sh {self.path('deeds')} {port} {quoted(SCRIPT)} '\\x1b[2J\\u202e'"
        show = f"{ACTOR} show {quoted(SCRIPT)} '\\x1b[2J\\u202e'"
        client = f"{ACTOR} tcp-client 127.0.0.1 {port} {N} talker 0"
        lines = self.drawn("--process-row", str(self.shell["id"]))
        self.assertEqual([
            (me, me, "exec", "* " + shell),
            (me, me, "0", "├─" + show),
            (me, me, "7", "├─/bin/sh -c 'exit 7'"),
            (me, me, "signal 9", "├─/bin/sh -c 'kill -9 $$'"),
            (me, me, "exec", "├─/bin/sh -c 'sleep 6 & exec sleep 7'"),
            (me, me, "0", "│ ├─sleep 6"),
            (me, me, "0", "│ └─sleep 7"),
            (me, f"{me} as root", "0", f"└─sudo {client}"),
            (me, "root", "0", f"  └─{client}"),
            ("", "", "", f"    └─to tcp 127.0.0.1:{port} localhost, {N} times, sent {100 * N} bytes, "
                         f"received {200 * N} bytes"),
        ], [line[1:] for line in lines[:10]])

    def test_links(self):
        """Each is below the image that it replaced, else below the row that forked it."""
        nodes = list(walk(self.document("--process-row", str(self.shell["id"]))))
        for node, parent in nodes:
            row = self.only(self.vestige.query("SELECT * FROM process WHERE id = %s",
                                               node["row_id"]), "process")
            if parent:
                self.assertEqual(row["previous_id"] or row["parent_id"], parent["row_id"])
            self.assertEqual(row["pid"], node["pid"])
        self.assertEqual(1, sum(parent is None for _, parent in nodes))
        # Complete: all that the person's login left.
        below = {node["row_id"] for node, _ in walk(
            [self.find([node for node, _ in nodes][:1], self.shell["id"])])}
        self.assertEqual({row["id"] for row in self.vestige.query(
            "SELECT id FROM process WHERE login_uid = %s AND id >= %s", self.uid, self.shell["id"])},
            below)

    def test_by_pid(self):
        """An image in the middle leads to the whole process."""
        by_row = self.document("--process-row", str(self.shell["id"]))
        by_pid = self.document("--process", str(self.shell["pid"]))
        self.assertEqual([node["row_id"] for node, _ in walk(by_row)],
                         [node["row_id"] for node, _ in walk(by_pid)])
        at = self.document("--process", str(self.shell["pid"]), "--at", self.at)
        self.assertEqual([node["row_id"] for node, _ in walk(by_row)],
                         [node["row_id"] for node, _ in walk(at)])

    def test_window(self):
        """What ended before --since is left out, unless something that is left is below it."""
        words = ("--process-row", str(self.shell["id"]), "--since", self.at)
        commands = [node["command"] for node, _ in
                    walk([self.find(self.document(*words), self.shell["id"])])]
        self.assertEqual(["sleep 6", "sleep 7"], commands[2:4])
        self.assertEqual(6, len(commands))
        words = ("--process-row", str(self.shell["id"]), "--until", self.at)
        self.assertEqual([], [node for node, _ in walk(self.document(*words))
                              if node["command"].startswith("sudo")])

    def test_csv(self):
        done = self.ask("tree", "--format", "csv", "--process-row", str(self.shell["id"]))
        rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
        first = next(i for i, row in enumerate(rows) if row["row_id"] == str(self.shell["id"]))
        depth = int(rows[first]["depth"])
        self.assertEqual([0, 1, 1, 1, 1, 2, 2, 1, 2, 3],
                         [int(row["depth"]) - depth for row in rows[first:]])
        self.assertEqual(("endpoint", rows[-2]["row_id"], str(N)),
                         (rows[-1]["kind"], rows[-1]["process_id"], rows[-1]["count"]))
        self.assertIn(ESCAPE, rows[first]["command"])

    def test_terminal(self):
        done = self.ask("tree", "--process-row", str(self.shell["id"]))
        self.assertNotIn("\x1b", done.stdout)
        self.assertNotIn("\u202e", done.stdout)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[-2], r"\A\d+ processes; from 2.* to 2.* \(default\)\Z")
        self.assertRegex(lines[-1], r"\AEvidence from 2.* to 2.* is ")


    def test_long_command(self):
        """A table says that it shows a part; JSON has it all, up to a limit that it names."""
        begin = self.vestige.value("SELECT UTC_TIMESTAMP(6)").isoformat(" ")
        text = "\u00e9" * 5000
        subprocess.run(["/bin/true", text], check=True)
        self.vestige.sync()
        row = self.only(self.processes("exe = '/usr/bin/true' AND arguments = %s", quoted(text)),
                        "the command")
        self.assertGreater(row["created_at"].isoformat(" "), begin)
        node = self.find(self.document("--process-row", str(row["id"])), row["id"])
        command = "/bin/true " + quoted(text)
        self.assertEqual((command[:4096], len(command)), (node["command"], node["command_length"]))
        line = [line for line in self.ask("tree", "--process-row", str(row["id"])).stdout.splitlines()
                if "* /bin/true" in line][0]
        self.assertIn(f"* {command.encode()[:400].decode(errors='ignore')} ... (more with "
                      "--format json)", line)


class TestAlive(TreeTest):
    def test_all(self):
        """Exactly what was alive, each once; and whoever was below an image that is gone by exec is
        below what came of it."""
        nodes = list(walk(self.document("--at", self.at)))
        alive = self.vestige.query("SELECT id FROM process WHERE created_at <= %s AND (destroyed_at "
                                   "IS NULL OR destroyed_at > %s)", self.at, self.at)
        self.assertEqual(sorted(row["id"] for row in alive),
                         sorted(node["row_id"] for node, _ in nodes))
        parents = {node["command"]: parent["command"] for node, parent in nodes
                   if node["login_uid"] == self.uid}
        self.assertEqual("sleep 7", parents["sleep 6"])
        self.assertEqual(f"/bin/sh {self.path('deeds')}", parents["sleep 7"][:len(
            f"/bin/sh {self.path('deeds')}")])

    def test_listens(self):
        node = self.find(self.document("--at", self.at), self.server["id"])
        self.assertEqual([("tcp", "listen", "127.0.0.1:" + self.command[2], None)],
                         [(one["protocol"], one["direction"], one["local"], one["remote"])
                          for one in node["endpoints"]])

    def test_login_user(self):
        """Only the person's, and what is above."""
        nodes = list(walk(self.document("--at", self.at, "--login-user", self.name)))
        theirs = {node["row_id"] for node, _ in nodes if node["login_uid"] == self.uid}
        self.assertEqual(4, len(theirs))
        for node, _ in nodes:
            self.assertTrue(theirs & {below["row_id"] for below, _ in walk([node])})
        self.assertEqual({None}, {node["login_uid"] for node, _ in walk(
            self.document("--at", self.at, "--login-user", "unset"))})

    def test_limit(self):
        done = self.ask("tree", "--at", self.at, "--limit", "3")
        self.assertIn("\n3 processes alive at ", done.stdout)
        self.assertIn("\nCut after 3 processes, the oldest: more with --limit (at most 20000)\n",
                      done.stdout)

    def test_nothing(self):
        done = self.ask("tree", "--at", "2001-01-01", status=1)
        self.assertRegex(done.stdout, r"\A0 processes alive at 2001-01-01 00:00:00.000000\n"
                                      r"Evidence from [^\n]+ nothing was watched[^\n]+\n\Z")
        self.assertEqual([], self.document("--at", "2001-01-01", status=1))
        self.assertEqual([], self.document("--process", "4294967295", status=1))
        self.assertEqual([], self.document("--process-row", "1", status=1))

    def test_errors(self):
        self.assertEqual("give --process or --process-row, not both",
                         self.refuse("tree", "--process", "1", "--process-row", "1"))
        self.assertRegex(self.refuse("tree", "--at", "noonish"), r"\A--at: ")
        self.assertRegex(self.refuse("tree", "--process", "x"), r"\A--process x: write a whole ")
        self.assertRegex(self.refuse("tree", "--on", "%"), r'\Athere is no host "%" in the evidence')
        self.assertRegex(self.refuse("tree", "--login-user", self.name + "x"),
                         rf'\Athere is no login user .*; did you mean "{self.name}"')
        self.assertRegex(self.refuse("tree", "--since", "1h ago"), r"\A--since and --until are for ")

    def test_closed_pipe(self):
        for name in ("table", "json", "csv"):
            done = subprocess.run(["sh", "-c", '"$@" | head -c 10', "sh", *self.vestige.client(
                "tree", "--at", self.at, "--format", name)], capture_output=True, timeout=60)
            self.assertNotIn(b"error", done.stderr)


if __name__ == "__main__":
    main()
