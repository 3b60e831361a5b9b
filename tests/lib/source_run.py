"""Runs of source_tool, and the facts that it prints."""

import os
import subprocess
import sys

TOOL = os.environ.get("VESTIGE_SOURCE_TOOL") or os.path.join(os.environ.get("VESTIGE_BIN", ""),
                                                             "source_tool")


class Fact(dict):
    """One line "KIND key=value ...", numbers as numbers."""

    def __init__(self, line):
        kind, *words = line.split(" ")
        super().__init__(kind=kind)
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                digits = value.removeprefix("0x")
                self[name] = int(value, 0) if digits.isdigit() or value != digits else value


class Run:
    """What the tool printed: facts in their order, totals, what the command wrote."""

    def __init__(self, *arguments, prefix=(), **options):
        done = subprocess.run([*prefix, TOOL, *arguments], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=120, **options)
        self.status, self.error = done.returncode, done.stderr
        self.lines = done.stdout.splitlines()
        self.facts = [Fact(line) for line in self.lines]
        self.totals = next((f for f in self.facts if f["kind"] == "READ"), None)
        self.command = next((f["pid"] for f in self.facts if f["kind"] == "COMMAND"), None)

    def of(self, kind, **values):
        return [fact for fact in self.facts if fact["kind"] == kind
                and all(fact.get(name) == value for name, value in values.items())]


def python(source, *arguments):
    return ["--", sys.executable, "-c", source, *map(str, arguments)]
