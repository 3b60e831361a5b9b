"""`vestige export` on what was really recorded."""

import os
import shutil
import tempfile
import time

from test_export import Case, json_lines
from vestige_test import PATIENT_WITH_FORKS, VestigeTest, main, run


class TestRecorded(VestigeTest):
    """What was really recorded: the rows are those of the database, and each line is in its seal."""

    keys = PATIENT_WITH_FORKS

    def test_a_case_is_proved_by_its_seals(self):
        marker = f"/tmp/vestige-export-{self.since}"
        done = run("/bin/sh", "-c", f"printf 'a b\\n' > {marker}; /bin/cat {marker} | /usr/bin/wc -c; exec /bin/rm {marker}")
        self.assertEqual("4", done.stdout.strip())
        self.vestige.sync()
        directory = tempfile.mkdtemp(prefix="vestige-export-")
        self.addCleanup(shutil.rmtree, directory)
        run(*self.vestige.client("export", "--case", os.path.join(directory, "case")))
        case = Case(os.path.join(directory, "case"))
        self.assertEqual("", case.check_sums().stderr)
        rows = [row for row in case.rows("process") if row["id"] >= self.since]
        # A child that stood still before its exec has a row as what it was then: see VestigeTest.rows_of.
        late = {row["previous_id"] for row in rows}
        commands = [row["cmdline"] for row in rows if marker in (row["cmdline"] or "")
                    and (row["id"] not in late or "audit" in row["seen_by"].split(","))]
        self.assertEqual(3, len(commands), commands)
        self.assertIn(f"/bin/cat {marker}", commands)
        # What goes on is sealed a second later at the most; what the case has is sealed.
        for table in case.tables():
            self.assertEqual([], case.unsealed(table), table)
        for seal in case.seals.values():
            self.assertTrue(case.is_signed(seal, {"host_id": 1, "number": 1}), seal["batch"])
        row = next(row for row in case.rows("process") if row["cmdline"] == f"/bin/cat {marker}")
        case.rows = lambda table: [{**row, "uid": 4711}]
        self.assertEqual([row["id"]], [number for verb, number, _ in case.unsealed("process") if verb == "insert"])

    def test_events(self):
        marker = f"/tmp/vestige-export-events-{self.since}"
        run("/usr/bin/env", "true", marker)
        self.vestige.sync()
        since = ("--since", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.since / 1e6)))
        documents = json_lines(run(*self.vestige.client("export", "--format", "ecs", *since)).stdout)
        found = [d for d in documents if d["vestige"]["table"] == "process"
                 and d["process"].get("command_line", "").endswith(f"true {marker}")]
        self.assertEqual(2, len(found), found)
        for document in found:
            row = self.vestige.query("SELECT * FROM process WHERE id = %s", document["vestige"]["id"])[0]
            self.assertEqual((row["pid"], row["exe"], row["uid"], row["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
                             (document["process"]["pid"], document["process"]["executable"],
                              int(document["user"]["id"]), document["@timestamp"]))
        for format_ in ("timesketch", "timesketch-csv", "tln"):
            text = run(*self.vestige.client("export", "--format", format_, *since)).stdout
            self.assertIn(marker, text)


if __name__ == "__main__":
    main()
