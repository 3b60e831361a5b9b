"""Boots: those that wtmp tells of, against last(1); and those of an agent that comes up again in
another boot, which the kernel's boot id and a time namespace make it see: after a shutdown, a crash,
with wtmp cut off, and with a clock that was set back."""

import datetime
import os
import re
import shutil
import tempfile
import time
import unittest

from login_test import BOOT_TIME, DEAD, RUN_LVL, USER, append, moment, record
from vestige_test import Standalone, VestigeTest, brief, main, run

BOOT_ID = "/proc/sys/kernel/random/boot_id"
DAY = 86400
N_BOOTS = 97
UPTIME = 30  # of a boot that is made up, seconds
SLACK = 600  # BOOT_SLACK_S of recorder/sessions/boots.h
REBOOT = re.compile(r"(reboot|shutdown) .*? (\d\S+T\S+) +(?:- (\S+T\S+)|still running)")


def history(n, begin):
    """n boots, two days apart: each third one ends without a shutdown. [(begin, end, clean)] too."""
    records, boots = [], []
    for number in range(n):
        at = begin + number * 2 * DAY
        end, clean = at + DAY + number, number % 3 != 0
        records += [record(BOOT_TIME, 0, "~", "reboot", f"6.1.{number}", at),
                    record(USER, 100 + number, "pts/1", "anna", "", at + 60)]
        if clean:
            records += [record(DEAD, 100 + number, "pts/1", "", "", end - 60),
                        record(RUN_LVL, 0, "~~", "shutdown", "6.1", end)]
        boots.append((at, end if clean else at + 60, clean))
    return records, boots


def told_by_last(path):
    """[(begin, clean)] of the boots: clean when the line of a shutdown stands behind."""
    text = run("last", "-x", "-w", "--time-format", "iso", "-f", path, "reboot", "shutdown",
               env={"TZ": "UTC", "PATH": os.environ["PATH"]}).stdout
    lines = [match.groups() for match in map(REBOOT.match, reversed(text.splitlines())) if match]
    return [(moment(begin), at + 1 < len(lines) and lines[at + 1][:2] == ("shutdown", end))
            for at, (name, begin, end) in enumerate(lines) if name == "reboot"]


def utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


class TestBoots(VestigeTest):
    n_boots = 0

    @classmethod
    def start_instance(cls):
        directory = tempfile.mkdtemp(prefix="vestige-test-")
        instance = Standalone(audited=False)
        for cleanup, *parameters in ((instance.remove,), (shutil.rmtree, directory), (instance.stop,)):
            unittest.addModuleCleanup(cleanup, *parameters)
        cls.wtmp = os.path.join(directory, "wtmp")
        records, cls.history = history(N_BOOTS, int(time.time()) - 300 * DAY)
        append(cls.wtmp, *records)
        instance.start(prefix=("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                               'mount --bind "$0" /var/log/wtmp && exec "$@"', cls.wtmp))
        instance.sync()
        instance.stop()
        off = {"mode": "off"}
        instance.configure(
            audit=off, connector=off, taskstats=off, sock_diag=off, bpf=off, rtnetlink=off,
            files=off, programs={"hash": "off"}, devices=off, accounts=off,
            sessions={"utmp": os.path.join(directory, "utmp"), "wtmp": cls.wtmp,
                      "btmp": os.path.join(directory, "btmp")})
        instance.start()
        return instance

    def boots(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM boot WHERE {condition} ORDER BY created_at, id",
                                  *parameters)

    def findings(self, name):
        return self.vestige.query("SELECT * FROM finding WHERE class = %s ORDER BY id", name)

    def now(self):
        """The row of the boot at hand."""
        self.vestige.sync()
        return self.only(self.boots("destroyed_at IS NULL"), "the boot at hand")

    def in_another_boot(self, set_back=False):
        """Started so that the kernel says that this is another boot, since UPTIME seconds; or, with
        the clock set back, since as long as it really is."""
        TestBoots.n_boots += 1
        name = f"11111111-2222-4333-8444-{self.n_boots:012}"
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(name + "\n")
        offset = round(UPTIME - time.clock_gettime(time.CLOCK_BOOTTIME))
        self.vestige.start(prefix=(
            "unshare", *(() if set_back else ("--time", "--boottime", str(offset))), "--mount",
            "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        return name

    def ended(self, row):
        return self.only(self.boots("id = %s", row["id"]), "the boot of before")

    def test_1_history(self):
        self.vestige.sync()
        rows = self.boots("seen_by = 'utmp'")
        self.assertEqual([(utc(begin), utc(end), int(clean)) for begin, end, clean in self.history],
                         [(row["created_at"], row["destroyed_at"], row["ended_clean"])
                          for row in rows])
        self.assertEqual(told_by_last(self.wtmp),
                         [(row["created_at"], bool(row["ended_clean"])) for row in rows])
        self.assertEqual([f"6.1.{number}" for number in range(N_BOOTS)],
                         [row["kernel"] for row in rows])
        for row in rows:
            self.assert_row(row, end_cause="reboot", boot_id=None, command_line=None)
        self.assertEqual(N_BOOTS + 1, len(self.boots()))
        self.assert_row(self.now(), seen_by="agent", ended_clean=None)

    def test_2_shutdown(self):
        """Announced in wtmp when the agent was gone."""
        before = self.now()
        self.vestige.stop()
        at = int(time.time()) - UPTIME - 5
        append(self.wtmp, record(RUN_LVL, 0, "~~", "shutdown", "6.1", at + 2),
               record(BOOT_TIME, 0, "~", "reboot", "6.1", at + 9))
        name = self.in_another_boot()
        self.assert_row(self.now(), boot_id=name, ended_clean=None)
        old = self.ended(before)
        self.assert_ended(old, end_cause="reboot", ended_clean=1)
        self.assertGreaterEqual(old["destroyed_at"], utc(at + 2))

    def test_3_crash(self):
        since = utc(time.time() - 2)
        before = self.now()
        self.vestige.kill_all()
        begun = utc(time.time() - UPTIME)
        name = self.in_another_boot()
        now = self.now()
        self.assert_row(now, boot_id=name)
        self.assertLess(abs(now["created_at"] - begun), datetime.timedelta(seconds=UPTIME // 2))
        old = self.ended(before)
        self.assert_ended(old, end_cause="reboot", ended_clean=0)
        self.assertTrue(since <= old["destroyed_at"] <= utc(time.time()), brief([old]))

    def test_4_wtmp_cut_off(self):
        """What stood there may have told of a shutdown."""
        before = self.now()
        self.vestige.stop()
        os.truncate(self.wtmp, 0)
        self.in_another_boot()
        self.now()
        self.assert_ended(self.ended(before), end_cause="reboot", ended_clean=None)

    def test_5_clock_set_back(self):
        """The next boot seems to begin before what was recorded in this one."""
        self.now()
        self.assertEqual((), tuple(self.findings("boot_time_backwards")))
        self.vestige.stop()
        self.in_another_boot(set_back=True)
        self.now()
        found = self.only(self.findings("boot_time_backwards"), "finding")
        self.assert_ended(found, end_cause="closed", subject="boot")
        self.assertIn("this boot began at ", found["detail"])

    def test_6_a_boot_that_was_not(self):
        """Told of too long after this one began to be the same."""
        self.now()
        append(self.wtmp, record(BOOT_TIME, 0, "~", "reboot", "6.1", time.time() + SLACK + 1))
        self.vestige.sync()
        found = self.only(self.findings("boot_record_without_boot"), "finding")
        self.assert_ended(found, end_cause="closed", subject="wtmp")
        self.assertEqual([], self.boots("seen_by = 'utmp' AND created_at > "
                                        "UTC_TIMESTAMP() - INTERVAL 1 HOUR"))


if __name__ == "__main__":
    main()
