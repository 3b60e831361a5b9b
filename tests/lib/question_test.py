"""What the tests of canned questions share: activity that is recorded once for a file of tests, what
`vestige report` answers about it, and what every question has to bear."""

import json
import os
import re
import subprocess

from vestige_test import PATIENT_WITH_FORKS, VestigeTest, actor_command, now_us, run

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sql")
HOSTILE = ("'", '"', "\\", "%", "_", "' OR '1'='1", "x' UNION SELECT 1 -- ", "\x1b[2J", "<script>",
           "größe", "\U0001f600", "y" * 65536)


class QuestionTest(VestigeTest):
    """The activity is in act() of the subclass, which fills `facts`; it is done once for a module."""

    keys = PATIENT_WITH_FORKS
    _facts = {}

    @classmethod
    def setUpClass(cls):
        facts = {}
        if cls.__module__ not in cls._facts:
            cls.before(facts)
        super().setUpClass()
        if cls.__module__ not in cls._facts:
            cls._facts[cls.__module__] = cls.perform(facts)
        cls.facts = cls._facts[cls.__module__]

    @classmethod
    def before(cls, facts):
        """What is done before the recorder begins."""

    @classmethod
    def perform(cls, facts):
        facts["since"] = now_us()
        cls.act(facts)
        cls.vestige.sync()
        return facts

    # Questions

    def ask(self, name, *words, status=0, **parameters):
        """What `vestige report` did."""
        words = [*words, *(f"{key}={value}" for key, value in parameters.items())]
        done = subprocess.run(
            self.vestige.client("report", name, *(() if "--format" in words else ("--format", "json")),
                                *words),
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(status, done.returncode,
                         f"{name} {str(words)[:300]}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def report(self, name, *words, **parameters):
        """The rows, of what was done by this test only."""
        return json.loads(self.ask(name, "--since", self.moment(self.facts["since"]), *words,
                                   **parameters).stdout)["rows"]

    def empty(self, name, *words, **parameters):
        """The question has no rows, and says so by its exit status."""
        done = self.ask(name, *words, status=1, **parameters)
        self.assertEqual([], json.loads(done.stdout)["rows"])

    @staticmethod
    def moment(us):
        seconds, us = divmod(us, 1000000)
        return run("date", "-u", "-d", f"@{seconds}", f"+%Y-%m-%dT%H:%M:%S.{us:06}").stdout.strip()

    def assert_answer(self, expected, rows, *columns):
        """Exactly these values of these columns, in this order."""
        self.assertEqual(expected, [tuple(row[column] for column in columns) for row in rows],
                         json.dumps(rows[:5], indent=1))

    def assert_all_of(self, expected, rows, *columns, unknown=()):
        """Exactly these rows, in any order: the kernel tells of files in the order of its reading.
        unknown: columns that are left out of rows of these applications."""
        found = []
        for row in rows:
            found.append(tuple(None if row["application"] in dict(unknown).get(column, ())
                               else row[column] for column in columns))
        self.assertEqual(sorted(expected, key=repr), sorted(found, key=repr), json.dumps(rows[:5], indent=1))

    # What every question has to bear

    def headers(self):
        """Questions of this file of tests: name, and its parameters as (name, type, default)."""
        for name in self.names:
            with open(os.path.join(SQL, name + ".sql"), encoding="utf-8") as stream:
                found = re.findall(r"^-- parameter: (\w+) (\w+)(?: = ([^;]*))?;", stream.read(), re.M)
            yield name, found

    def check_hostile_parameters(self):
        for name, parameters in self.headers():
            needed = {parameter: self.plain[kind] for parameter, kind, default in parameters
                      if not default}
            for parameter, kind, _ in parameters:
                if kind not in ("text", "path"):
                    continue
                for value in HOSTILE:
                    value = "/" + value if kind == "path" else value
                    with self.subTest(name, parameter=parameter, value=value[:30]):
                        self.empty(name, **{**needed, parameter: value})

    plain = {"text": "vestige-none", "path": "/vestige/none", "address": "198.51.100.99",
             "number": 4000000000}

    def check_nothing(self):
        """No rows of a time when nothing was recorded; and the largest number is a number."""
        for name, parameters in self.headers():
            needed = [f"{parameter}={self.plain[kind]}" for parameter, kind, default in parameters
                      if not default]
            words = (["at=2001-01-01"] if ("at", "time") in [found[:2] for found in parameters]
                     else ["--since", "2001-01-01", "--until", "2001-01-02"])
            with self.subTest(name):
                self.empty(name, *needed, *words)
            for parameter, kind, _ in parameters:
                if kind == "number":
                    largest = [word for word in needed if not word.startswith(f"{parameter}=")]
                    with self.subTest(name, parameter=parameter):
                        self.empty(name, *largest, *words, f"{parameter}={2**64 - 1}")

    def check_schedules(self):
        """A question that may be scheduled has what makes its answers findings."""
        for name, parameters in self.headers():
            with open(os.path.join(SQL, name + ".sql"), encoding="utf-8") as stream:
                found = re.search(r"^-- schedule: (\w+); subject (.*)$", stream.read(), re.M)
            if not found:
                continue
            needed = [f"{parameter}={self.plain[kind]}" for parameter, kind, default in parameters
                      if not default]
            with self.subTest(name):
                done = self.ask(name, *needed, "--format", "csv", "--since", "2001-01-01", "--until",
                                "2001-01-02", status=1)
                columns = done.stdout.strip().split(",")
                self.assertLessEqual({"row_host_id", "row_id", "row_batch", *found[2].split(", ")},
                                     set(columns))
                self.vestige.query(f"SELECT host_id, id FROM {found[1]} LIMIT 0")

    def check_examples(self):
        """The example of each header can be run, whatever it finds."""
        for name in self.names:
            with open(os.path.join(SQL, name + ".sql"), encoding="utf-8") as stream:
                example, = re.findall(r"^-- example: vestige report (.*)$", stream.read(), re.M)
            example = re.sub(r" --(on|login-user) \S+", "", example)  # who are none of this host
            with self.subTest(name):
                done = subprocess.run(
                    ["bash", "-c", f'"$0" report {example} --format json --state "$1"',
                     *self.vestige.client("report")[::3]], capture_output=True, text=True,
                    stdin=subprocess.DEVNULL, timeout=120)
                self.assertIn(done.returncode, (0, 1), done.stderr)


def login(uid, *command):
    """The command line of something that is done by a user who logged in as such; as root."""
    return [*actor_command("login", uid), *map(str, command)]


def perl(program, script, *parameters):
    return [program, "-e", script, *map(str, parameters)]


class Background:
    """A command that runs for a while, and says a line when it is ready."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.pid, self.said = self.process.pid, self.process.stdout.readline().strip()
        if not self.said:
            raise AssertionError(f"{self.command}: it says nothing")
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait(60) and not failure[0]:
            raise AssertionError(f"{self.command}: exit status {self.process.returncode}")
