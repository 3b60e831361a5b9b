"""Checked by the kernel itself: under mixed load every record of kernel process accounting has
exactly one row that ended by `exit`, with the same pid, uid at exit and code, and every such row
of that time has a record. VESTIGE_ACCOUNTING_SECONDS sets how long (15)."""

import collections
import os
import subprocess
import time

from vestige_test import (VestigeTest, accounting_records, act, actor_command, main,
                          process_accounting)

SECONDS = float(os.environ.get("VESTIGE_ACCOUNTING_SECONDS", "15"))
COMPILE = r"""
cd "$1"
i=0
while [ $i -lt 60 ]; do
    echo "int function_$i(int a); int function_$i(int a) { return a * $i; }" >part$i.c
    i=$((i + 1))
done
while :; do
    ls part*.c | xargs -P 2 -I @ gcc -O1 -c -o @.o @
    (exit 3); (kill -9 $BASHPID); sh -c 'kill -15 $$'
    rm -f *.o
done 2>/dev/null
"""

CORE = 0x80  # in the code when a core was dumped, which a row does not say
Record = collections.namedtuple("Record", "pid uid code")


class TestAccounting(VestigeTest):
    def mixed_load(self):
        directory = os.path.join(self.vestige.directory, "compile")
        os.mkdir(directory)
        compile_loop = subprocess.Popen(["/bin/bash", "-c", COMPILE, "bash", directory],
                                        start_new_session=True)
        deadline = time.monotonic() + SECONDS
        try:
            while time.monotonic() < deadline:
                act("storm", 500, self.tag)
                act("fork", 0)
                act("fork", 120, 8)
                act("kill", 11)
                act("uid", 65534)
                act("threads", 10)
        finally:
            os.killpg(compile_loop.pid, 9)
            compile_loop.wait()

    def test_accounting(self):
        path = os.path.join(self.vestige.directory, "acct")
        open(path, "w").close()
        with process_accounting(path):
            first = self.marker()
            self.mixed_load()
            last = self.marker()
        self.vestige.sync()
        records = self.between_markers(accounting_records(path), first, last)
        first_row, last_row = self.marker_row(first), self.marker_row(last)
        rows = self.vestige.query(
            "SELECT * FROM process WHERE end_cause = 'exit' AND destroyed_at > %s "
            "AND destroyed_at <= %s", first_row["destroyed_at"], last_row["destroyed_at"])
        accounted = collections.Counter(
            Record(record.pid, record.uid, record.exit_code & ~CORE) for record in records)
        stored = collections.Counter(
            Record(row["pid"], row["exit_uid"], self.wait_code(row)) for row in rows)
        self.assertGreater(len(records), 100 * SECONDS)
        self.assertEqual({}, dict(accounted - stored), "accounted by the kernel, not in a row")
        self.assertEqual({}, dict(stored - accounted), "in a row, not accounted by the kernel")
        print(f"{len(records)} records of kernel accounting, {len(rows)} rows", flush=True)

    def marker(self):
        """A process at whose end nothing else ends: the machine rests around it."""
        time.sleep(0.5)
        with subprocess.Popen(actor_command("show", self.tag), stdout=subprocess.DEVNULL) as shown:
            shown.wait()
        time.sleep(0.5)
        return shown.pid

    def marker_row(self, pid):
        """In a minute of storm pids are used again."""
        return self.only(self.vestige.query(
            "SELECT * FROM process WHERE pid = %s AND arguments = %s", pid, f"show {self.tag}"),
            f"marker {pid}")

    def between_markers(self, records, first, last):
        pids = [record.pid for record in records]
        begin = pids.index(first) + 1
        end = len(pids) - pids[::-1].index(last)
        return records[begin:end]

    @staticmethod
    def wait_code(row):
        if row["exit_signal"] is not None:
            return row["exit_signal"]
        return None if row["exit_code"] is None else row["exit_code"] << 8


if __name__ == "__main__":
    main()
