"""The canned questions of sql/ as programs of the tests need them: the header (sql/README.md), and the SQL
with `?` for its named values. Shares no code with the command."""

import datetime
import os
import re
import shlex

# What is no name of a value: strings, quoted names, comments.
TOKENS = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--[ \t][^\n]*|\#[^\n]*|/\*.*?\*/|:([a-z_]\w*)""",
                    re.S)


class Parameter:
    def __init__(self, text):
        head, _, self.help = text.partition(";")
        match = re.fullmatch(r"(\w+) (\w+)(?:\s*=\s*(.*?))?\s*", head)
        if not match:
            raise ValueError(f"no parameter: {text}")
        self.name, self.kind, self.default = match.groups()
        self.needed = self.default is None

    def default_value(self):
        return self.value_of(self.default)

    def value_of(self, text):
        if text is None or text == "none":
            return None
        if self.kind == "number":
            return int(text)
        if self.kind == "time":
            return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        return text


class Question:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".sql")]
        self.keys = []
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        n = 0
        while n < len(lines) and lines[n].startswith("--"):
            match = re.fullmatch(r"-- (\w+): (.*)", lines[n])
            if match:
                self.keys.append([match.group(1), match.group(2).strip()])
            elif self.keys and re.match(r"--   ", lines[n]):
                self.keys[-1][1] += " " + lines[n][2:].strip()
            n += 1
        self.sql = "\n".join(lines[n:])
        self.parameters = [Parameter(value) for key, value in self.keys if key == "parameter"]

    def all(self, key):
        return [value for name, value in self.keys if name == key]

    def one(self, key):
        return (self.all(key) or [None])[0]

    def example_value(self, parameter):
        for example in self.all("example"):
            for word in shlex.split(example):
                if word.startswith(parameter.name + "="):
                    return parameter.value_of(word.partition("=")[2])
        return None

    def prepared(self):
        """The SQL with `?`, and the names in their order."""
        names = []

        def replace(match):
            if match.group(1) is None:
                return match.group(0)
            names.append(match.group(1))
            return "?"
        return TOKENS.sub(replace, self.sql), names


def read_questions(directory):
    return [Question(os.path.join(directory, name)) for name in sorted(os.listdir(directory))
            if name.endswith(".sql")]
