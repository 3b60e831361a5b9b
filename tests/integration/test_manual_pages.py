"""The manual pages say what the programs take: each subcommand and option, each key of the configuration,
each canned question; and they are read without a warning."""

import json
import os
import re
import subprocess
import tempfile
import unittest

from vestige_test import BIN, VESTIGE, VESTIGED, main, run

PAGES = os.path.join(BIN, "..", "deploy", "man")
NAMES = ("vestige.1", "vestiged.8", "vestiged.conf.5", "vestige-questions.7", "vestige-schema.7")


def page(name):
    return os.path.join(PAGES, name)


def rendered(name):
    """The page as plain text; lines are not broken."""
    return run("groff", "-man", "-Tutf8", "-rLL=2000n", "-P-cbou", page(name)).stdout.replace("\u2010", "-")


def sections(text, indent):
    """{heading: text below it}; headings stand at this column."""
    found, heading = {}, None
    for line in text.splitlines():
        match = re.fullmatch(r" {%d}(\S.*)" % indent, line)
        if match:
            heading = match.group(1)
            found[heading] = ""
        elif heading:
            found[heading] += line + "\n"
    return found


def help_options(text):
    """The long options that a help shows, with the names of their values."""
    return re.findall(r"^ +(?:-\w, +)?--([a-z][a-z-]*)(?:[ =]([A-Z]+))?", text, re.M)


class TestPages(unittest.TestCase):
    maxDiff = None

    def test_no_warnings(self):
        for name in NAMES:
            with self.subTest(name):
                done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", page(name)], capture_output=True,
                                      text=True, timeout=60, check=True)
                self.assertEqual("", done.stderr)
                done = subprocess.run(["man", "--warnings=w", "-l", page(name)], capture_output=True, text=True,
                                      timeout=60, check=True, env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
                self.assertEqual("", done.stderr)
                self.assertTrue(done.stdout.startswith(name.rpartition(".")[0] + "("))

    def test_every_page_says_what_it_is(self):
        for name in NAMES:
            heads = sections(rendered(name), 0)
            self.assertLessEqual({"NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"}, set(heads), name)
            self.assertRegex(heads["NAME"], r"\A +" + re.escape(name.rpartition(".")[0]) + " - ")

    def test_pages_that_are_pointed_to(self):
        for name in NAMES:
            for other, section in re.findall(r"\b(vestige[\w.-]*)\((\d)\)", rendered(name)):
                self.assertIn(f"{other}.{section}", NAMES)


class TestCommands(unittest.TestCase):
    def setUp(self):
        heads = sections(rendered("vestige.1"), 0)
        self.commands = sections(heads["COMMANDS"], 3)
        self.common = heads["OPTIONS"]

    def test_each_subcommand_and_each_option(self):
        names = re.findall(r"^  ([a-z]+) ", run(VESTIGE, "--help").stdout.partition("Commands:\n")[2], re.M)
        self.assertIn("export", names)
        for name in names:
            with self.subTest(name):
                self.assertIn(name, self.commands)
                text = run(VESTIGE, name, "--help").stdout
                # Words of the synopsis, such as `client enroll HOST`.
                for word in re.findall(r"(?:^| \| )(?:vestige )?(?:%s )?([a-z]+)(?= |\||$)" % name,
                                       text.partition("\n")[0].removeprefix("Usage: ").removesuffix(" [options]")):
                    self.assertRegex(self.commands[name], rf"\b{word}\b")
                options = help_options(text)
                self.assertTrue(options)
                for option, _ in options:
                    self.assertRegex(self.commands[name] + self.common, rf"--{option}(?![a-z-])")

    def test_an_options_value_has_the_name_of_the_help(self):
        for option, value in help_options(run(VESTIGE, "export", "--help").stdout):
            if value and option != "format":
                self.assertRegex(self.commands["export"] + self.common, rf"--{option} {value}(?!\w)")

    def test_vestiged(self):
        text = rendered("vestiged.8")
        options = help_options(run(VESTIGED, "--help").stdout)
        self.assertIn(("dump-config", ""), options)
        for option, value in options:
            self.assertIn(f"--{option}" + ("=" + value if value else ""), text)


class TestConfiguration(unittest.TestCase):
    def test_each_key(self):
        keys = sections(sections(rendered("vestiged.conf.5"), 0)["KEYS"], 3)
        section, said, values = None, [], {}
        for line in run(VESTIGED, "--dump-config", "--config", "/dev/null").stdout.splitlines():
            head, key = re.fullmatch(r"\[(.*)\]", line), re.fullmatch(r"(\w+) = (.*)", line)
            if head:
                section = line
                said = []
            elif line.startswith("# "):
                said.append(line[2:])
            elif key:
                previous = values.setdefault((section, key.group(1)), [[], ""])
                previous[0] += said
                previous[1] = (previous[1] + " " + key.group(2)).strip()
                said = []
        self.assertGreater(len(values), 50)
        for (section, key), (said, value) in values.items():
            with self.subTest(f"{section} {key}"):
                entry = sections(keys[section], 7)[key]
                words = " ".join(entry.split())
                self.assertEqual(" ".join([*said, "Default:", value or "empty"]), words)


class TestQuestions(unittest.TestCase):
    def test_each_question(self):
        text = sections(rendered("vestige-questions.7"), 0)["QUESTIONS"]
        pages = sections(text, 3)
        empty = tempfile.mkdtemp(prefix="vestige-empty-")
        self.addCleanup(os.rmdir, empty)
        reports = json.loads(run(VESTIGE, "report", "--directory", empty, "--format", "json").stdout)["rows"]
        self.assertTrue(reports)
        self.assertEqual(sorted(report["name"] for report in reports), sorted(pages))
        for report in reports:
            with self.subTest(report["name"]):
                words = " ".join(pages[report["name"]].split())
                self.assertIn(report["question"], words)
                self.assertIn(f"Tags: {report['tags']}.", words)
                about = run(VESTIGE, "report", report["name"], "--about", "--directory", empty).stdout
                for name, kind in re.findall(r"^  (\w+)=(\w+) \(", about, re.M):
                    self.assertRegex(words, rf"\b{name} {kind}\b")


if __name__ == "__main__":
    main()
