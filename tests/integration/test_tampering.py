#!/usr/bin/python3
"""`vestige verify` against the server's root: random edits of rows, seals, refused lines and keys. Each edit
alone, and several at once: verify names what was edited and nothing else; when it is undone, the evidence is
clean again. VESTIGE_SEED repeats a run, VESTIGE_EDITS says how many edits.

Not edited is what no seal covers, as the manual page says: when a batch arrived, the server's clock against
the agent's, what the server said of a line that it refused, who registered a key."""

import collections
import os
import random
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from private_server import Refused  # noqa: E402  (the path above comes first)
from sealed_fleet import DAY_US, MAIL, WEB, SealedFleet, moment  # noqa: E402

SEED = int(os.environ.get("VESTIGE_SEED", random.SystemRandom().randrange(10**6)))
N_EDITS = int(os.environ.get("VESTIGE_EDITS", 500))
AT_ONCE = 12
NAMES = {WEB: "web", MAIL: "mail"}
SEALED = ("hash", "previous_hash", "format", "boot_id", "first_time", "last_time", "n_lines", "births", "cursors",
          "recovered", "digests", "signature")

# host, table, id and batch of a row of the answer; None: any
Name = collections.namedtuple("Name", "host table id batch", defaults=(None, None))


class Edit:
    """What was done, what has to be named, and what it must not share with another edit."""

    def __init__(self, what, names, rows=(), touches=(), seals=(), batches=(), undo=()):
        self.what, self.names, self.rows, self.undo = what, names, list(rows), list(undo)
        self.touches = set(touches)    # rows, by table and id
        self.seals = set(seals)        # seals that are edited, or looked at because of it
        self.batches = set(batches)    # batches that the rows are of

    def meets(self, other):
        return bool(self.touches & other.touches or self.seals & other.seals or
                    self.seals & other.batches or other.seals & self.batches)


class Skip(Exception):
    """This edit would change nothing, or the server does not take it."""


class Tamperer:
    def __init__(self, fleet, chance):
        self.fleet, self.chance, self.session = fleet, chance, fleet.session
        self.tables = fleet.tables()
        self.columns, self.types, self.keys = {}, {}, {}
        self.session.run("CREATE DATABASE pristine")
        for table in [*self.tables, "batch", "rejected", "host_key"]:
            self.learn(table)

    def learn(self, table):
        found = self.session.run(
            "SELECT column_name, column_type, is_nullable = 'YES', column_key = 'PRI' FROM information_schema.columns"
            " WHERE table_schema = 'vestige' AND table_name = %s AND generation_expression IS NULL"
            " ORDER BY ordinal_position", table)
        self.columns[table] = [name for name, *_ in found]
        self.keys[table] = [name for name, _, _, key in found if key]
        self.types[table] = {name: (kind.lower(), nullable) for name, kind, nullable, _ in found}
        self.session.run(f"CREATE TABLE pristine.{table} LIKE vestige.{table}")
        if table in self.tables or table == "batch":
            self.session.run(f"ALTER TABLE pristine.{table} {'REMOVE PARTITIONING' if self.parted(table) else 'FORCE'}")
        names = self.list(table)
        self.session.run(f"INSERT INTO pristine.{table} ({names}) SELECT {names} FROM vestige.{table}")

    def parted(self, table):
        return self.session.value("SELECT COUNT(partition_name) FROM information_schema.partitions"
                                  " WHERE table_schema = 'vestige' AND table_name = %s", table) > 0

    def list(self, table):
        return ", ".join(f"`{name}`" for name in self.columns[table])

    # --- rows of the database ---

    def pick(self, table, n=1, where="1"):
        found = self.session.run(f"SELECT {self.list(table)} FROM pristine.{table} WHERE {where} ORDER BY RAND(%s)"
                                 " LIMIT %s", self.chance.randrange(2**31), n)
        if len(found) < n:
            raise Skip
        rows = [dict(zip(self.columns[table], row)) for row in found]
        return rows[0] if n == 1 else rows

    def key(self, table, row):
        return tuple(row[name] for name in self.keys[table])

    def where(self, table):
        return " AND ".join(f"`{name}` = %s" for name in self.keys[table])

    def update(self, table, row, **values):
        sets = ", ".join(f"`{name}` = %s" for name in values)
        try:
            changed = self.session.run(f"UPDATE {table} SET {sets} WHERE {self.where(table)}", *values.values(),
                                       *self.key(table, row))
        except Refused as refused:
            raise Skip from refused
        if not changed:
            raise Skip

    def insert(self, table, row):
        try:
            self.session.run(f"INSERT INTO {table} ({self.list(table)}) VALUES"
                             f" ({', '.join(['%s'] * len(self.columns[table]))})",
                             *(row[name] for name in self.columns[table]))
        except Refused as refused:
            raise Skip from refused

    def delete(self, table, row):
        self.session.run(f"DELETE FROM {table} WHERE {self.where(table)}", *self.key(table, row))

    def restore(self, edit):
        for sql in edit.undo:
            self.session.run(sql)
        for table, key in edit.rows:
            self.session.run(f"DELETE FROM {table} WHERE {self.where(table)}", *key)
        for table, key in edit.rows:
            names = self.list(table)
            self.session.run(f"INSERT IGNORE INTO {table} ({names}) SELECT {names} FROM pristine.{table}"
                             f" WHERE {self.where(table)}", *key)

    # --- other values ---

    def other(self, table, column, value):
        """A value that the column may have, and that is another one."""
        kind, nullable = self.types[table][column]
        if value is not None and nullable and self.chance.random() < 0.2:
            return None
        if kind.startswith(("datetime", "enum", "set", "uuid", "date")):
            others = [found for found, in self.session.run(
                f"SELECT DISTINCT `{column}` FROM pristine.{table} WHERE NOT `{column}` <=> %s", value)]
            if kind.startswith("datetime") and value is not None and self.chance.random() < 0.5:
                return self.session.value("SELECT %s + INTERVAL 1 MICROSECOND", value)
            return self.chance.choice(others) if others else None
        if "int" in kind:
            return 1 if value is None else value ^ (1 << self.chance.randrange(7))
        if value is None:
            return "" if self.chance.random() < 0.5 else "x"
        if isinstance(value, bytes):
            at = self.chance.randrange(len(value)) if value else 0
            return value[:at] + bytes([value[at] ^ 1 << self.chance.randrange(8)]) + value[at + 1:] if value else b"x"
        return self.chance.choice([value + " ", value + "x", value[:-1], value.swapcase()])

    # --- edits of rows ---

    def name(self, table, row, id=None):
        return Name(NAMES.get(row["host_id"], str(row["host_id"])), table, row["id"] if id is None else id)

    def row_edit(self, what, table, names, rows, *after):
        """An edit of rows; `after` are rows as they are now, where their keys are new."""
        days = {row["day"] for row in [*rows, *after]}
        return Edit(what, names, [(table, self.key(table, row)) for row in [*rows, *after]],
                    {(table, row["id"]) for row in [*rows, *after]} | {(table, day) for day in days if len(days) > 1},
                    batches={(row["host_id"], row[number]) for row in [*rows, *after]
                             for number in ("batch", "settle_batch", "end_batch")})

    def honest(self, table, n=1, where="1"):
        return self.pick(table, n, where + (" AND schedule_id IS NULL" if table == "finding" else ""))

    def change(self):
        table, column = self.chance.choice([(table, name) for table in self.tables for name in self.columns[table]
                                            if name not in ("host_id", "id", "day")])
        row = self.honest(table)
        value = self.other(table, column, row[column])
        self.update(table, row, **{column: value})
        after = {**row, column: value}
        return self.row_edit(f"{table}.{column} of {row['id']}: {row[column]!r} to {value!r}", table,
                             [self.name(table, row)], [row], after)

    def change_key(self):
        table = self.chance.choice(self.tables)
        row = self.honest(table)
        column = self.chance.choice(["host_id", "id", "day"])
        after = {**row}
        if column == "host_id":
            after["host_id"] = self.chance.choice([WEB + MAIL - row["host_id"], 99])
        elif column == "id":
            after["id"] += self.chance.choice([-3, 1, 777])
        else:
            after["day"] = self.session.value("SELECT %s + INTERVAL %s DAY", row["day"], self.chance.choice([-1, 1, 400]))
        self.update(table, row, **{column: after[column]})
        names = [self.name(table, row)] + ([self.name(table, after)] if column == "id" else [])
        return self.row_edit(f"{table}.{column} of {row['id']}: {row[column]} to {after[column]}", table, names, [row],
                             after)

    def delete_row(self):
        table = self.chance.choice(self.tables)
        row = self.honest(table)
        self.delete(table, row)
        return self.row_edit(f"{table} {row['id']} deleted", table, [self.name(table, row)], [row])

    def insert_row(self):
        table = self.chance.choice(self.tables)
        row = self.honest(table)
        after = {**row}
        way = self.chance.choice(["id", "host", "day", "batch"])
        if way == "id":
            after["id"] += 5
        elif way == "host":
            after["host_id"] = WEB + MAIL - row["host_id"]
        elif way == "day":
            after["day"] = self.session.value("SELECT %s + INTERVAL 1 DAY", row["day"])
        else:
            after.update(id=row["id"] + 6, batch=4000 + self.chance.randrange(1000), settle_batch=None)
            after["end_batch"] = after["batch"] if row["end_batch"] is not None else None
        self.insert(table, after)
        return self.row_edit(f"{table}: a copy of {row['id']} with another {way}", table, [self.name(table, after)],
                             [], after)

    def swap(self):
        """Two rows get each other's ids, batch numbers or hosts."""
        table = self.chance.choice(self.tables)
        way = self.chance.choice(["id", "batch", "host_id"])
        if way == "host_id":
            one, two = (self.honest(table, where=f"host_id = {host}") for host in (WEB, MAIL))
        else:
            one, two = self.honest(table, 2, f"host_id = {self.chance.choice([WEB, MAIL])}")
        if one[way] == two[way]:
            raise Skip
        after = [{**one, way: two[way]}, {**two, way: one[way]}]
        if way == "id":
            after[0]["day"], after[1]["day"] = two["day"], one["day"]
        self.delete(table, one)
        self.delete(table, two)
        for row in after:
            self.insert(table, row)
        return self.row_edit(f"{table}: {one['id']} and {two['id']} swap {way}", table,
                             [self.name(table, one), self.name(table, two)], [one, two], *after)

    # --- edits of seals ---

    def seal_edit(self, what, names, rows, *after):
        """The seals beside it are looked at, too; of its own lines nothing can be proved then."""
        near = {(row["host_id"], row["batch"] + step) for row in [*rows, *after] for step in (-1, 0, 1)}
        return Edit(what, names, [("batch", self.key("batch", row)) for row in [*rows, *after]], seals=near)

    def seal_name(self, row):
        return Name(NAMES[row["host_id"]], "batch", None, row["batch"])

    def change_seal(self):
        row = self.pick("batch")
        column = self.chance.choice(SEALED)
        value = self.other("batch", column, row[column])
        if column == "births" and value is None and row["format"] == 1:
            raise Skip  # as an older server has it
        self.update("batch", row, **{column: value})
        return self.seal_edit(f"seal {row['host_id']}/{row['batch']}: {column}", [self.seal_name(row)], [row],
                              {**row, column: value})

    def thin_seal(self):
        """An entry of the list taken out, in its form."""
        row = self.pick("batch")
        digests = row["digests"]
        end = digests.index(b"\n")
        table, verb, n = digests[:end].split(b"\t")
        if n == b"1":
            raise Skip
        value = b"%s\t%s\t%d\n" % (table, verb, int(n) - 1) + digests[end + 1 + 24:]
        self.update("batch", row, digests=value)
        return self.seal_edit(f"seal {row['host_id']}/{row['batch']}: an entry less", [self.seal_name(row)], [row])

    def renumber_seal(self):
        row = self.pick("batch")
        after = {**row, "batch": 5000 + self.chance.randrange(1000)}
        self.update("batch", row, batch=after["batch"])
        return self.seal_edit(f"seal {row['host_id']}/{row['batch']} gets number {after['batch']}",
                              [self.seal_name(after)], [row], after)

    def delete_seal(self):
        row = self.pick("batch")
        newest = self.session.value("SELECT MAX(batch) FROM pristine.batch WHERE host_id = %s", row["host_id"])
        self.delete("batch", row)
        name = self.seal_name(row)
        if row["batch"] == newest:
            name = name._replace(table=None)
        return self.seal_edit(f"seal {row['host_id']}/{row['batch']} deleted", [name], [row])

    def copy_seal(self):
        row = self.pick("batch")
        after = {**row}
        way = self.chance.choice(["hash", "host", "number"])
        if way == "hash":
            after["hash"] = self.chance.randbytes(32)
        elif way == "host":
            after["host_id"] = WEB + MAIL - row["host_id"]
        else:
            after["batch"] = 6000 + self.chance.randrange(1000)
        self.insert("batch", after)
        return self.seal_edit(f"a copy of seal {row['host_id']}/{row['batch']} with another {way}",
                              [self.seal_name(after)], [], after)

    def swap_seals(self):
        one, two = self.pick("batch", 2)
        column = self.chance.choice(["signature", "digests", "batch", "cursors", "previous_hash"])
        if one[column] == two[column] or column == "batch" and one["host_id"] != two["host_id"]:
            raise Skip
        after = [{**one, column: two[column]}, {**two, column: one[column]}]
        for row in (one, two):
            self.delete("batch", row)
        for row in after:
            self.insert("batch", row)
        return self.seal_edit(f"seals {one['host_id']}/{one['batch']} and {two['host_id']}/{two['batch']}"
                              f" swap {column}", [self.seal_name(one), self.seal_name(two)], [one, two], *after)

    # --- refused lines, keys, partitions ---

    def change_rejected(self):
        row = self.pick("rejected")
        words = row["text"].split("\t")
        table, id = words[1], int(words[2])
        host = NAMES[row["host_id"]]
        touches = {(table, id), ("rejected", row["id"])}
        batches = {(row["host_id"], row["batch"])}
        way = self.chance.choice(["delete", "text", "batch", "host_id", "table_name", "copy"])
        names = [Name(host, None, id)]
        rows = [("rejected", (row["id"],))]
        if way == "delete":
            self.delete("rejected", row)
        elif way == "text":
            at = self.chance.randrange(3, len(words))
            words[at] += "x"
            self.update("rejected", row, text="\t".join(words))
        elif way == "copy":
            after = {**row, "id": self.session.value("SELECT UUID()")}
            self.insert("rejected", after)
            rows = [("rejected", (after["id"],))]
        else:
            value = {"batch": row["batch"] + 1, "host_id": WEB + MAIL - row["host_id"],
                     "table_name": "endpoint" if table == "process" else "process"}[way]
            self.update("rejected", row, **{way: value})
            if way == "host_id":
                names = [Name(None, None, id)]
                batches.add((value, row["batch"]))
            if way == "batch":
                batches.add((row["host_id"], value))
        return Edit(f"rejected {host} {id}: {way}", names, rows, touches, batches=batches)

    def change_key_of_host(self):
        row = self.pick("host_key")
        host = row["host_id"]
        way = self.chance.choice(["public_key", "delete", "revoked_at", "host_id"])
        after = {**row}
        if way == "delete":
            self.delete("host_key", row)
        else:
            after[way] = {"public_key": self.chance.randbytes(32), "revoked_at": "2001-01-01", "host_id": 99}[way]
            self.update("host_key", row, **{way: after[way]})
        seals = {(host, number) for number in range(7000)}
        return Edit(f"key of {host}: {way}", [Name(NAMES[host], "batch")],
                    [("host_key", self.key("host_key", row)), ("host_key", self.key("host_key", after))], seals=seals)

    def drop_partition(self):
        table = self.chance.choice([table for table in self.tables if self.parted(table)])
        day = self.fleet.first + self.chance.randrange(3)
        name = "p" + moment(day * DAY_US)[:10].replace("-", "")
        found = self.session.run(
            "SELECT partition_name, partition_description FROM information_schema.partitions WHERE table_schema ="
            " 'vestige' AND table_name = %s ORDER BY partition_ordinal_position", table)
        at = [one for one, _ in found].index(name)
        rows = [dict(zip(self.columns[table], row)) for row in self.session.run(
            f"SELECT {self.list(table)} FROM pristine.{table} WHERE day = %s", moment(day * DAY_US)[:10])]
        honest = [row for row in rows if row.get("schedule_id") is None]
        if not honest:
            raise Skip
        way = self.chance.choice(["DROP", "TRUNCATE"])
        self.session.run(f"ALTER TABLE {table} {way} PARTITION {name}")
        undo = []
        if way == "DROP":
            undo = [f"ALTER TABLE {table} REORGANIZE PARTITION {found[at + 1][0]} INTO (PARTITION {name} VALUES LESS"
                    f" THAN ({found[at][1]}), PARTITION {found[at + 1][0]} VALUES LESS THAN ({found[at + 1][1]}))"]
        names = [Name(NAMES[host], table) for host in {row["host_id"] for row in honest}]
        edit = self.row_edit(f"{way} PARTITION {name} of {table}", table, names, rows)
        edit.undo, edit.touches = undo, edit.touches | {(table, row["day"]) for row in rows}
        return edit

    KINDS = [(change, 40), (change_key, 10), (delete_row, 10), (insert_row, 8), (swap, 10), (change_seal, 14),
             (thin_seal, 2), (renumber_seal, 2), (delete_seal, 3), (copy_seal, 3), (swap_seals, 3),
             (change_rejected, 8), (change_key_of_host, 3), (drop_partition, 2)]

    def edit(self):
        """One edit that is done."""
        while True:
            kind = self.chance.choices([kind for kind, _ in self.KINDS], [weight for _, weight in self.KINDS])[0]
            self.session.run("START TRANSACTION")
            try:
                return kind(self)
            except Skip:
                self.session.run("ROLLBACK")
            finally:
                self.session.run("COMMIT")


def is_named(name, row):
    return all(wanted is None or wanted == found
               for wanted, found in zip(name, (row["host"], row["table"], row["id"], row["batch"])))


class TestTampering(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        print(f"VESTIGE_SEED={SEED}", file=sys.stderr)
        cls.fleet = SealedFleet(SEED)
        cls.addClassCleanup(cls.fleet.close)
        cls.tamperer = Tamperer(cls.fleet, random.Random(SEED))

    def check(self, edits):
        """Each is named, and nothing else is."""
        rows, said, _ = self.fleet.verify()
        told = "\n".join([f"seed {SEED}", *(edit.what for edit in edits), *map(str, rows), said])
        for edit in edits:
            for name in edit.names:
                self.assertTrue(any(is_named(name, row) for row in rows), f"not named: {edit.what}\n{told}")
        for row in rows:
            self.assertTrue(any(self.is_about(edit, row) for edit in edits), f"nothing of it was edited: {row}\n{told}")

    def is_about(self, edit, row):
        """Named; or a row or a seal that the edit touched."""
        return (any(is_named(name, row) for name in edit.names) or (row["table"], row["id"]) in edit.touches or
                (row["table"] == "batch" or row["what"] == "batch without a seal") and
                any(NAMES.get(host) == row["host"] and number == row["batch"] for host, number in edit.seals))

    def check_clean(self, what):
        rows, said, _ = self.fleet.verify()
        self.assertEqual([], rows, f"seed {SEED}: {what}\n{said}")

    def do(self, number):
        """Edit `number` of this seed: the same whenever it is done."""
        self.tamperer.chance = random.Random(f"{SEED} {number}")
        return self.tamperer.edit()

    def undo(self, edits):
        for edit in edits:
            self.tamperer.restore(edit)

    def alone(self, number):
        edit = self.do(number)
        self.check([edit])
        self.undo([edit])
        return edit

    def together(self, numbers):
        edits = [self.do(number) for number in numbers]
        self.check(edits)
        self.undo(edits)
        self.check_clean("undone: " + "; ".join(edit.what for edit in edits))

    def test_edits(self):
        self.check_clean("before the first edit")
        round = {}
        for number in range(N_EDITS):
            edit = self.alone(number)
            if len(round) == AT_ONCE or any(edit.meets(other) for other in round.values()):
                self.together(round)
                round = {}
            round[number] = edit
        self.together(round)


if __name__ == "__main__":
    unittest.main()
