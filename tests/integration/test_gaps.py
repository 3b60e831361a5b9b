"""Gaps of losses that are rare: what the row says, and that the server takes it."""

import subprocess

from vestige_test import Timeout, VestigeTest, brief, main, wait_for

BOUND = 1 << 20  # bytes of programs and arguments, at [process] remember_mib = 1
LONG = 120000


class TestGaps(VestigeTest):
    def start_shell(self, number):
        """A process that lives until its input ends, with a long argument."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", "read line", self.tag, f"{number:06}" + "x" * LONG],
            stdin=subprocess.PIPE)

        def end():
            process.stdin.close()
            process.wait(60)
        self.addCleanup(end)
        return process.pid

    def test_arguments_over_the_bound_of_memory(self):
        """More arguments are alive at once than fit: rows without them, and a gap that counts."""
        self.vestige.stop()
        self.vestige.configure(process={"remember_mib": 1})
        self.vestige.start()
        pids = [self.start_shell(number) for number in range(BOUND // LONG + 5)]
        self.vestige.sync()
        rows = [self.row_of(pid) for pid in pids]
        without = [row for row in rows if row["arguments"] is None]
        self.assertGreaterEqual(len(without), 5, "everything did fit")
        for row in rows:
            self.assert_row(row, argv0="/bin/sh", comm="sh")

        def counted():
            """What is started meanwhile does not fit either, and is counted a moment later."""
            self.vestige.sync()
            gaps = self.vestige.query(
                "SELECT * FROM gap WHERE id >= %s AND unit = 'record' ORDER BY id", self.since)
            of_all = self.vestige.value("SELECT COUNT(*) FROM process WHERE id >= %s AND argv0 IS NOT NULL "
                                        "AND arguments IS NULL", self.since)
            self.last = f"{of_all} rows:\n{brief(gaps)}"
            return of_all == sum(gap["count"] for gap in gaps) and gaps
        try:
            gaps = wait_for(counted, 60, "each row without arguments is counted", 0.1)
        except Timeout as timeout:
            raise Timeout(f"{timeout}: {self.last}") from None
        for gap in gaps:
            self.assert_ended(gap, source="agent", cause="arguments_dropped", end_cause="closed",
                              count_at_least=None, count_at_most=None, boot_id=rows[0]["boot_id"])
            self.assertGreaterEqual(gap["destroyed_at"], rows[0]["created_at"])
        self.assertEqual(0, self.vestige.value("SELECT COUNT(*) FROM rejected"))


if __name__ == "__main__":
    main()
