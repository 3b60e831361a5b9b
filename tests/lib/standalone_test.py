"""What the tests of `vestige standalone` share."""

import contextlib
import shutil
import tempfile
import unittest

from vestige_test import (VESTIGE, WITHOUT_AUDIT, Standalone, assert_audit_state, audit_state,
                          processes_named, run, write_keys)


def alive(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/status") as state:
            return "State:\tZ" not in state.read()
    return False


def database_runs(instance):
    for pid in processes_named("mariadbd"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/cmdline") as words:
                if instance.state in words.read():
                    return True
    return False


def standalone(*options, status=0, **parameters):
    """A standalone that ends by itself: its standard output and error."""
    done = run(VESTIGE, "standalone", *options, check=False, **parameters)
    if done.returncode != status:
        raise AssertionError(f"standalone {options}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


class Fixture(unittest.TestCase):
    audited = True
    maxDiff = None

    def setUp(self):
        if self.audited:
            self.addCleanup(assert_audit_state, audit_state())
        else:  # options of a first start
            self.first = "--config", write_keys(self.directory(), WITHOUT_AUDIT)

    def instance(self):
        instance = Standalone(self.audited)
        self.addCleanup(instance.remove)
        return instance

    def directory(self):
        path = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, path)
        return path

    def assert_one_error(self, text, pattern):
        """One line, which says this."""
        self.assertRegex(text, rf"\Avestige: standalone: error: [^\n]*{pattern}[^\n]*\n\Z")
