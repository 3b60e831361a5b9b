"""Two hosts whose evidence is sealed by the real journal and stored by the real shipper: rows of every
table, some of them open, ended, settled and ended later, refused by the server, of batches of the first
format, not signed, and what the server itself concludes. Values are made from a seed.

The days are the ones after today, for which there are partitions."""

import datetime
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile

from private_server import VestigeServer
from vestige_test import BIN, run

SHIP_TOOL = os.environ.get("SHIP_TOOL", os.path.join(BIN, "..", "tests", "bin", "ship_tool"))
OLD_JOURNAL = pathlib.Path(__file__).resolve().parents[1] / "data" / "journal-format-1"
WEB, MAIL = 7, 8
DAY_US = 86400 * 1000000
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
HOSTILE = ["", " ", "\\N", "\\", "a\tb", "two\nlines", "\r", "\x1b[31m", "caf\u00e9", "\u202e", "'; DROP TABLE process; --",
           "<script>", "%s", "_%", "x " * 40]


def moment(us):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M:%S.%f")


class Values:
    """A value that a column can hold, in the server's output form."""

    def __init__(self, session, chance):
        self.chance = chance
        self.types = {(table, column): (kind.lower(), length) for table, column, kind, length in session.run(
            "SELECT table_name, column_name, column_type, character_maximum_length FROM information_schema.columns"
            " WHERE table_schema = DATABASE()")}

    def value(self, table, column, id):
        kind, length = self.types[table, column]
        if kind.startswith("datetime"):
            return moment(id + self.chance.randrange(10**7))
        if kind.startswith("enum"):
            return self.chance.choice(re.findall(r"'([^']*)'", kind))
        if kind.startswith("set"):
            members = re.findall(r"'([^']*)'", kind)
            chosen = set(self.chance.sample(members, self.chance.randint(1, 3)))
            return ",".join(member for member in members if member in chosen)
        if kind.startswith("uuid"):
            return "%08x-89ab-4cde-8f01-23456789abcd" % self.chance.getrandbits(32)
        for name, bits in (("bigint", 62), ("int", 32), ("smallint", 16), ("tinyint", 8)):
            if kind.startswith(name):
                return str(self.chance.getrandbits(self.chance.choice((1, 4, bits - (0 if "unsigned" in kind else 1)))))
        text = self.chance.choice([*HOSTILE, f"text-{self.chance.getrandbits(20)}"])
        if "ascii" in column or length and length <= 64:
            text = f"{self.chance.getrandbits(24):x}"
        return text[:length]


class Host:
    def __init__(self, fleet, host_id, name):
        self.fleet, self.host_id, self.name = fleet, host_id, name
        self.directory = pathlib.Path(fleet.server.enrol(name))
        self.journal = self.directory / "journal"
        self.key = self.directory / "signing.key"
        self.signs = False
        # enrolled before there were keys
        fleet.session.run("DELETE FROM host_key WHERE host_id = %s", host_id)

    def register_key(self):
        """As enrolment does: the server gets the public half."""
        session = self.fleet.session
        if not self.key.exists():
            run("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(self.key))
            self.key.chmod(0o600)
        public = subprocess.run(["openssl", "pkey", "-in", str(self.key), "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout[-32:]
        session.run("INSERT INTO host_key (host_id, number, public_key, created_by)"
                    " SELECT %s, 1, %s, 'a test' FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM host_key"
                    " WHERE public_key = %s)", self.host_id, public, public)
        self.signs = True

    def ship(self, *options, lines=None):
        command = [SHIP_TOOL, "--journal", str(self.journal), "--defaults", str(self.directory / "agent.cnf"),
                   "--host", str(self.host_id), *map(str, options)]
        if self.signs:
            command += ["--key", str(self.key)]
        if lines is not None:
            path = self.directory / "lines"
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="")
            command += ["--lines", str(path)]
        run(*command)


class SealedFleet:
    def __init__(self, seed, rows=4, **settings):
        self.chance = random.Random(seed)
        self.server = VestigeServer(**settings)
        try:
            self.session = self.server.root("vestige")
            self.session.run("SET time_zone = '+00:00'")
            self.session.run(f"ALTER TABLE enrolment AUTO_INCREMENT = {WEB}")
            self.web, self.mail = Host(self, WEB, "web"), Host(self, MAIL, "mail")
            self.columns = self.read_catalogue()
            self.values = Values(self.session, self.chance)
            self.first = (datetime.datetime.now(datetime.timezone.utc).date() - datetime.date(1970, 1, 1)).days + 1
            self.fill(rows)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.server.close()

    def read_catalogue(self):
        """Columns of a line by table and verb, as a case bundle tells them."""
        directory = tempfile.mkdtemp(prefix="vestige-catalogue-")
        self.server.vestige("export", "--case", directory + "/case", check=False)
        with open(directory + "/case/lines.jsonl", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        shutil.rmtree(directory)
        return {(line["table"], line["verb"]): line["columns"] for line in lines}

    def tables(self):
        return sorted({table for table, _ in self.columns})

    # --- lines ---

    def line(self, verb, table, id, values):
        names = self.columns[table, verb]
        texts = ["\\N" if values.get(name) is None else values[name].translate(ESCAPES) for name in names]
        return "\t".join([verb, table, str(id), *texts])

    def birth(self, table, id):
        values = {name: self.values.value(table, name, id) for name in self.columns[table, "insert"]}
        late = self.columns.get((table, "settle"), []) + self.columns[table, "end"]
        return {name: value for name, value in values.items() if name not in late and self.chance.random() < 0.9 or
                name in ("created_at", "seen_by", "boot_id", "pid", "process_id", "kind", "name", "class", "source",
                         "mode", "cause", "unit", "username", "groupname", "address", "destination", "subsystem",
                         "devpath", "subject", "interface", "path", "result", "status", "protocol", "direction",
                         "opens", "inherited", "prefix_length", "service", "session_id", "family", "table_id")
                and name not in late} | {"created_at": moment(id)}

    def settle(self, table, id):
        names = self.columns.get((table, "settle"), [])
        return {name: self.values.value(table, name, id) for name in names}

    def end(self, table, id):
        values = {name: self.values.value(table, name, id) for name in self.columns[table, "end"]}
        return {**values, "destroyed_at": moment(id + 20000000 + self.chance.randrange(10**6))}

    def life(self, table, id, shape):
        """The lines of one row, by the batch that they go to: 0 is the first."""
        birth, settle, end = self.birth(table, id), self.settle(table, id), self.end(table, id)
        batches = {0: [], 1: [], 2: []}
        settled, ended = shape.get("settle"), shape.get("end")
        at_once = {**birth, **(settle if settled == "with" else {}), **(end if ended == "with" else {})}
        batches[0].append(self.line("insert", table, id, at_once))
        if settle and settled not in (None, "with"):
            batches[settled].append(self.line("settle", table, id, settle))
        if ended not in (None, "with"):
            batches[ended].append(self.line("end", table, id, end))
        return batches

    SHAPES = [{}, {"settle": "with", "end": "with"}, {"settle": "with", "end": 0}, {"settle": 0, "end": 0},
              {"settle": 1, "end": 2}, {"settle": 1, "end": "with"}, {"settle": "with", "end": 1}, {"settle": 1}]

    def generation(self, host, day, rows):
        """Rows of every table that are born in one batch, settled and ended in it or the two after it."""
        batches = {0: [], 1: [], 2: []}
        id = (self.first + day) * DAY_US + 3600 * 1000000 + host.host_id * 1000
        for table in self.tables():
            for n in range(rows):
                id += self.chance.randrange(1, 5000)
                for number, lines in self.life(table, id, self.SHAPES[(n + day) % len(self.SHAPES)]).items():
                    batches[number] += lines
        return batches

    def ship_generations(self, host, days, rows):
        generations = [self.generation(host, day, rows) for day in days]
        lines = []
        for number in range(len(generations) + 2):
            for behind in range(3):
                if 0 <= number - behind < len(generations):
                    lines += generations[number - behind][behind]
            lines.append("seal")
        host.ship(lines=lines)

    def fill(self, rows):
        shutil.copytree(OLD_JOURNAL, self.web.journal)
        os.chmod(self.web.journal, 0o700)
        for host in (self.web, self.mail):
            host.ship("--fill", 12, "--open", 3, "--settle", 2, "--first-id", self.first * DAY_US + 1000000)
        for host in (self.web, self.mail):
            host.register_key()
            self.ship_generations(host, range(3), rows)
            # bad rows, text that is no UTF-8, rows that are there already, ends of rows that are not
            host.ship("--fill", 60, "--bad", 5, "--not-utf8", 2, "--twice", 2, "--open", 9, "--settle", 4,
                      "--missing", 2, "--first-id", (self.first + 1) * DAY_US + 7200 * 1000000)
            self.session.run("CALL vestige_conclude('host-silent', %s, 'nothing comes', 'made by a test', NULL)",
                             host.host_id)

    # --- verification ---

    def verify(self, *words):
        """The differences, as dictionaries; what was said besides; the exit status."""
        done = self.server.vestige("verify", "--format", "json", *words, check=False)
        if done.returncode not in (0, 1):
            raise AssertionError(done.stderr)
        rows = json.loads(done.stdout)["rows"]
        if (done.returncode == 0) != (not rows):
            raise AssertionError(f"exit status {done.returncode} and {len(rows)} rows: {done.stderr}")
        return rows, done.stderr, done.returncode
