"""What the tests of files in use share: a directory that is recorded, and questions about its rows."""

import os
import shutil
import tempfile

from vestige_test import ACTOR, VestigeTest, brief


class FileTest(VestigeTest):
    """Questions about rows of file_access."""

    def setUp(self):
        super().setUp()
        # Not below the instance's directory: what is in there is the recorder's own.
        self.directory = tempfile.mkdtemp(prefix="vestige-files-")
        os.chmod(self.directory, 0o755)
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def accesses(self, condition, *parameters):
        return self.vestige.query(
            f"SELECT * FROM file_access WHERE id >= {self.since} AND ({condition}) ORDER BY id",
            *parameters)

    def of(self, pid):
        return self.accesses("pid = %s AND path LIKE CONCAT(%s, '/%%')", pid, self.directory)

    def image(self, pid, comm):
        """The one row of the program in this process."""
        return self.only(self.processes("pid = %s AND comm = %s", pid, comm), f"{comm} in {pid}")

    def assert_all(self, rows, **expected):
        for row in rows:
            self.assert_ended(row, **expected)

    def assert_nothing_lost(self):
        """What others use more of in a second than is recorded of a program is theirs."""
        own = tuple(f"files used by {path}" for path in (self.directory, os.path.realpath(ACTOR)))
        lost = [gap for gap in self.gaps() if gap["source"] in ("fanotify", "inotify", "files")
                and (gap["cause"] != "rate_limit" or gap["detail"].startswith(own))]
        self.assertEqual([], lost, brief(lost))
