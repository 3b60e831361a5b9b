"""A storm is recorded completely: 10,000 processes as fast as one process can spawn them are
10,000 rows with everything that is known of them. Three times in a row on one instance."""

import os

from vestige_test import ACTOR, VestigeTest, act, brief, main

N = 10000
TRUE = os.path.realpath("/bin/true")


def numbers_of(rows):
    return [int(row["arguments"].rpartition("-")[2]) for row in rows]


class TestComplete(VestigeTest):
    def storm(self):
        pid, reports = act("storm", N, self.tag)
        self.vestige.sync()
        spawner = self.row_of(pid)
        self.assert_ended(spawner, end_cause="exit", exit_code=0, argv0=ACTOR)
        rows = self.processes("arguments LIKE %s", f"{self.tag}-%%")
        numbers = sorted(numbers_of(rows))
        missing = sorted(set(range(N)) - set(numbers))
        self.assertEqual((N, []), (len(rows), missing[:20]))
        self.assertEqual(list(range(N)), numbers)
        expected = {
            "comm": "true", "exe": TRUE, "argv0": "true", "argc": 2,
            "uid": 0, "username": "root", "euid": 0, "effective_username": "root", "gid": 0,
            "egid": 0, "end_cause": "exit", "exit_code": 0, "exit_signal": None, "exit_uid": 0,
            "parent_id": spawner["id"], "ppid": pid, "previous_id": None, "login_uid": None,
        }
        late = self.late_execs(spawner)
        last = rows[numbers_of(rows).index(N - 1)]
        for row in rows:
            if row["previous_id"] in late:
                row["previous_id"] = None
            if any(row[name] != value for name, value in expected.items()):
                self.assert_row(row, **expected)
            # The kernel stamps an end after it has woken the parent, whose own may be before that of the last.
            ended = row["created_at"] if row is last else row["destroyed_at"]
            if not (spawner["created_at"] <= row["created_at"] <= row["destroyed_at"]
                    and ended <= spawner["destroyed_at"]):
                self.fail(f"times outside of the spawner's: {brief([spawner, row])}")
        self.assertEqual(N, reports["storm"]["count"])
        # Whatever others do with files is all the same here.
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] not in ("fanotify", "files")])

    def late_execs(self, spawner):
        """Children that a busy machine let stand still before their exec for so long that this is a row."""
        return {row["id"] for row in self.processes(
            "parent_id = %s AND end_cause = 'exec' AND NOT FIND_IN_SET('audit', seen_by) "
            "AND TIMESTAMPDIFF(MICROSECOND, created_at, destroyed_at) > 100000", spawner["id"])}

    def test_first(self):
        self.storm()

    def test_second(self):
        self.storm()

    def test_third(self):
        self.storm()


if __name__ == "__main__":
    main()
