"""vestige-schema(7) tells the tables as a server has them, and of each what it is for."""

import re
import subprocess
import unittest

from schema_page import PAGE, renewed_page
from vestige_test import main


class TestSchemaPage(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.page, cls.renewed = renewed_page()

    def test_as_the_server_has_it(self):
        self.assertEqual(self.renewed, self.page,
                         "run tests/lib/schema_page.py, with VESTIGE_BIN set, to bring it up to date")

    def test_each_table_is_explained(self):
        for section in re.split(r"^## ", self.renewed, flags=re.M)[1:]:
            name, _, rest = section.partition("\n")
            words = rest.partition("; made:")[0].split()
            self.assertGreater(len(words), 4, f"a sentence about {name}")
            self.assertIn(f"; made: {name.replace(chr(92), '')}\n- *", section)

    def test_scdoc_takes_it(self):
        with open(PAGE) as page:
            done = subprocess.run(["scdoc"], stdin=page, capture_output=True, text=True, timeout=60)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn(".TH \"vestige-schema\" \"7\"", done.stdout)


if __name__ == "__main__":
    main()
