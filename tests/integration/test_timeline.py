"""`vestige timeline` on what really happened here: its lines against the rows, asked for in other words,
and its page."""

import json
import re
import socket
import subprocess
import threading

from browser import Browser
from device_test import batch
from file_test import FileTest
from login_test import END, START, Speaker
from vestige_test import PATIENT_WITH_FORKS, main, run

LOGIN_UID = 2000017
SCRIPT = """
echo hello > {0}/written
cat {0}/written
/usr/bin/python3 -c 'import socket; s = socket.create_connection(("127.0.0.1", {1})); s.send(b"hello"); s.recv(1)'
read go
mv {0}/written {0}/renamed
exec sleep 0.3
"""


def become_login_user():
    with open("/proc/self/loginuid", "w") as stream:
        stream.write(str(LOGIN_UID))


class TimelineTest(FileTest):
    """One round of activity, which all tests look at."""

    keys = PATIENT_WITH_FORKS
    done = None

    def setUp(self):
        super().setUp()
        if TimelineTest.done is None:
            TimelineTest.done = self.happen()
        self.pid, self.port, self.place, self.name, self.since, self.until = TimelineTest.done

    def happen(self):
        self.vestige.sync()
        since = self.now()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(60)
        port = listener.getsockname()[1]

        def answer():
            connection = listener.accept()[0]
            connection.recv(5)
            connection.send(b"x")
            connection.close()
        server = threading.Thread(target=answer)
        server.start()
        with Speaker() as sshd:
            sshd.pam(START, "session_open", self.tag)
            shell = subprocess.Popen(["sh", "-c", SCRIPT.format(self.directory, port)], stdin=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, preexec_fn=become_login_user)
            server.join(120)
            self.assertFalse(server.is_alive())
            self.vestige.sync()  # how large a file is, is read from the file, by the name that it had
            shell.communicate(b"\n", timeout=60)
            self.assertEqual(0, shell.returncode)
            listener.close()
            batch(["link add vtimeline type veth peer vtimeline2"])
            self.vestige.sync()
            batch(["link del vtimeline"])
            sshd.pam(END, "session_close", self.tag)
        self.vestige.sync()
        self.vestige.kill_agent()
        until = self.now()
        self.vestige.sync()  # all that happened before is there
        return shell.pid, port, self.directory, self.tag, since, until

    def now(self):
        return str(self.vestige.value("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)"))

    def ask(self, *words):
        return run(*self.vestige.client("timeline", "--since", self.since + "Z", "--until", self.until + "Z", *words),
                   check=False)

    def events(self, *words):
        done = self.ask("--format", "json", *words)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)["rows"]

    def told(self, *words):
        """(event, kind, login user, what) in order."""
        return [(row["event"], row["kind"], row["login_user"], row["what"]) for row in self.events(*words)]

    def rows(self, table, condition):
        return self.vestige.query(f"SELECT * FROM {table} WHERE created_at >= %s AND created_at <= %s AND {condition}",
                                  self.since, self.until)


class TestText(TimelineTest):
    def test_the_tree_of_the_shell(self):
        """In order, with what each program was and how it ended."""
        user = str(LOGIN_UID)
        script = SCRIPT.format(self.place, self.port)
        lines = self.told("--process", str(self.pid), "--lanes", "processes")
        self.assertEqual(["process"] * 10, [line[1] for line in lines])
        self.assertEqual({user}, {line[2] for line in lines})
        self.assertEqual([
            ("begin", "sh -c '" + script.replace("'", "'\\''") + "'"),
            ("begin", f"cat {self.place}/written"), ("end", "cat: exit 0"),
            ("begin", "/usr/bin/python3 -c 'import socket; s = socket.create_connection((\"127.0.0.1\", "
                      f"{self.port})); s.send(b\"hello\"); s.recv(1)'"),
            ("end", "python3: exit 0"),
            ("begin", f"mv {self.place}/written {self.place}/renamed"), ("end", "mv: exit 0"),
            ("end", "sh: exec"), ("begin", "sleep 0.3"), ("end", "sleep: exit 0")],
            [(line[0], line[3]) for line in lines])

    def test_endpoints_and_files_of_the_tree(self):
        lines = self.told("--process", str(self.pid), "--lanes", "endpoints,files")
        self.assertEqual([
            ("begin", f"tcp to 127.0.0.1 port {self.port} by python3"),
            ("end", f"tcp 127.0.0.1 port {self.port}: closed, sent 5, received 1")],
            [(line[0], re.sub(r"localhost \((127\.0\.0\.1)\)|localhost", r"127.0.0.1", line[3]))
             for line in lines if line[1] == "endpoint"])
        ended = [line[3] for line in lines if line[1] == "file" and self.place in line[3] and line[0] != "begin"]
        self.assertEqual([f"{self.place}/written: read, 6 bytes",
                          f"{self.place}/written: rename, now {self.place}/renamed",
                          f"{self.place}/written: write, create, 6 bytes"],
                         sorted(re.sub(r"(rename, now [^,]*), .*", r"\1", what) for what in ended))

    def moments(self, table):
        """Of the rows that began in the window, and which ended in it."""
        begun = {(str(row["created_at"]).ljust(20, ".").ljust(26, "0"), row["id"]) for row in self.rows(table, "TRUE")}
        return begun, {row["id"] for row in self.vestige.query(
            f"SELECT id FROM {table} WHERE destroyed_at >= %s AND destroyed_at <= %s", self.since, self.until)}

    def test_lines_are_the_rows(self):
        """Of each lane and in its order, each with its moment."""
        for lane, table in (("sessions", "session"), ("processes", "process"), ("endpoints", "endpoint"),
                            ("files", "file_access"), ("devices", "device"), ("gaps", "gap")):
            for _ in range(10):  # an end that is found late may come between the looks
                begun, ended = self.moments(table)
                events = self.events("--lanes", lane, "--limit", "100000")
                if (begun, ended) == self.moments(table):
                    break
            self.assertEqual(sorted(event["time"] for event in events), [event["time"] for event in events])
            self.assertGreater(len(begun), 0, lane)
            self.assertEqual(begun, {(event["time"], event["row_id"]) for event in events if event["event"] != "end"}, lane)
            self.assertEqual(ended, {event["row_id"] for event in events if event["event"] != "begin"}, lane)

    def test_session_and_device(self):
        self.assertEqual([("begin", "session", self.name, f"{self.name} by sshd from 198.18.0.9"),
                          ("end", "session", self.name, f"{self.name} by sshd: closed")],
                         [line for line in self.told("--lanes", "sessions") if self.name in line[3]])
        device = "/devices/virtual/net/vtimeline"
        lines = [line for line in self.told("--lanes", "devices") if line[3].split()[1].rstrip(":") == device]
        self.assertEqual(["begin", "end"], [line[0] for line in lines])
        self.assertEqual(f"net {device}: removed", lines[1][3])

    def test_table(self):
        done = self.ask("--process", str(self.pid), "--lanes", "processes")
        header, *lines, count, completeness = done.stdout.splitlines()
        self.assertEqual(["time", "event", "kind", "login_user", "user", "pid", "what"], header.split())
        self.assertEqual(10, len(lines))
        column = header.index("what")
        self.assertEqual({" "}, {line[column - 1] for line in lines})
        self.assertTrue(lines[1][column:].startswith("cat /"), lines[1])
        self.assertRegex(count, r"\AHost \S+: 5 rows, 10 events\Z")
        self.assertIn(" is not complete: ", completeness)


class TestPage(TimelineTest):
    def test_page(self):
        browser = Browser()
        self.addCleanup(browser.close)
        page = self.path("page.html")
        done = self.ask("--html", page, "--limit", "100000")
        self.assertEqual(0, done.returncode, done.stderr)
        n_rows = int(re.search(r": (\d+) rows", done.stdout).group(1))
        seconds = browser.open(page)
        print(f"{n_rows} rows: {seconds:.2f} s", flush=True)
        self.assertEqual([], browser.console())
        state = browser.run("return {...document.getElementById('timeline').dataset}")
        lanes = dict(pair.split(":") for pair in state["lanes"].split())
        self.assertEqual(["missed", "sessions", "processes", "endpoints", "files", "devices"], list(lanes))
        self.assertNotIn("0", lanes.values())
        self.assertEqual(done.stdout.splitlines()[-1], browser.find("#completeness").text)
        browser.find("#search").send_keys("sleep 0.3")
        browser.wait("return document.getElementById('timeline').dataset.query === 'sleep 0.3'", "searched")
        found = {row["id"] for row in self.rows("process", "arguments = '0.3'")}
        sh = {row["id"] for row in self.rows("process", "arguments LIKE '%%sleep 0.3%%'")}
        self.assertEqual(str(len(found | sh)), browser.run("return document.getElementById('timeline').dataset.matches"))


if __name__ == "__main__":
    main()
