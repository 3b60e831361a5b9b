"""host, boot and coverage: what they say against the system's own files, and how they end after a
stop, a restart, kill -9, a reboot, and when the host is another."""

import datetime
import os
import platform
import time

from vestige_test import VestigeTest, brief, main, run, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
BUFFER = 2 * 65536 * 1024  # as the kernel gives it: twice what was asked for


def content(path):
    """Without the blanks around it; None: nothing."""
    try:
        with open(path) as stream:
            return stream.read().strip() or None
    except FileNotFoundError:
        return None


def time_zone():
    return content("/etc/timezone") or os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]


def utc_now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def others():
    """Modes of the sources that see no processes, as the machine is just now."""
    return {"udev": "udev" if os.path.exists("/run/udev/control") else "kernel",
            "bpf": "on", "resolver": "on", "rtnetlink": "on", "sock_diag": "on",
            "fanotify": "on", "inotify": "descriptors", "programs": "on",
            "accounts": "on", "utmp": "on"}


class TestStandingRows(VestigeTest):
    @classmethod
    def setUpClass(cls):
        cls.begin = utc_now()
        super().setUpClass()

    def setUp(self):
        if self.vestige.process is None or self.vestige.process.poll() is not None:
            self.vestige.disconnect()  # a test before has failed while nothing ran
            self.vestige.start()
        super().setUp()

    def rows(self, table, condition="TRUE"):
        return self.vestige.query(f"SELECT * FROM {table} WHERE {condition} ORDER BY id")

    def open_rows(self, table):
        return self.rows(table, "destroyed_at IS NULL")

    def assert_common(self, row):
        """What every open row has."""
        second = datetime.datetime.fromtimestamp(row["id"] / 1e6, datetime.UTC)
        self.assert_row(row, host_id=1, day=second.date(), destroyed_at=None, end_cause=None,
                        seen_by="agent", settle_batch=None, end_batch=None)
        self.assertGreater(row["batch"], 0)

    def restart(self, **options):
        self.vestige.start(**options)
        self.vestige.sync()

    def test_values(self):
        self.vestige.sync()
        system = os.uname()
        release = platform.freedesktop_os_release()
        host = self.only(self.open_rows("host"), "host")
        self.assert_common(host)
        self.assert_row(host, name=system.nodename, machine_id=content("/etc/machine-id"),
                        os_name=release["NAME"], os_version=release.get("VERSION_ID"),
                        kernel=system.release, architecture=system.machine,
                        vendor=content("/sys/class/dmi/id/sys_vendor"),
                        model=content("/sys/class/dmi/id/product_name"), time_zone=time_zone())
        self.assertTrue(self.begin <= host["created_at"] <= utc_now(), brief([host]))
        boot = self.only(self.open_rows("boot"), "boot")
        self.assert_common(boot)
        self.assert_row(boot, boot_id=content(BOOT_ID), kernel=system.release,
                        command_line=content("/proc/cmdline"))
        # Between the two readings this process may stand still.
        booted = max(utc_now() - datetime.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))
                     for _ in range(20))
        self.assertLess(abs(boot["created_at"] - booted), datetime.timedelta(seconds=1))

    def assert_watched(self):
        """All sources, each in one open row; those of processes with all that they say."""
        cpus = content("/sys/devices/system/cpu/possible")
        expected = others()
        rows = self.open_rows("coverage")
        for row in rows:
            self.assert_common(row)
            self.assertEqual(content(BOOT_ID), row["boot_id"])
        self.assertEqual({
            "connector": ("all", f"receive buffer {BUFFER} bytes"),
            "taskstats": ("all", f"CPUs {cpus}, receive buffer {BUFFER} bytes"),
            "audit": ("owner", "excluded PROCTITLE EOE BPRM_FCAPS; 12 rules; backlog 8192; "
                               f"receive buffer {BUFFER} bytes"),
            "proc": ("on", "new processes every 250 ms, all every 10 s")},
            {row["source"]: (row["mode"], row["detail"]) for row in rows
             if row["source"] not in expected})
        self.assertEqual(expected, {row["source"]: row["mode"] for row in rows
                                    if row["source"] in expected})
        self.assertEqual(4 + len(expected), len(rows), brief(rows))
        return rows

    def stand(self):
        """What is open, by table."""
        self.vestige.sync()
        self.coverage = self.assert_watched()
        self.host = self.only(self.open_rows("host"), "host")
        self.boot = self.only(self.open_rows("boot"), "boot")

    def assert_coverage_ended(self, cause, before, after):
        for row in self.coverage:
            ended = self.only(self.rows("coverage", f"id = {row['id']}"), "coverage")
            self.assert_ended(ended, end_cause=cause, **{
                name: row[name] for name in row
                if name not in ("destroyed_at", "end_cause", "end_batch")})
            self.assertIsNotNone(ended["end_batch"])
            self.assertTrue(before <= ended["destroyed_at"] <= after, brief([ended]))
            self.assertNotIn(row["id"], {now["id"] for now in self.open_rows("coverage")})

    def assert_same_host_and_boot(self):
        self.assertEqual([self.host], self.open_rows("host"))
        self.assertEqual([self.boot], self.open_rows("boot"))

    def test_stop_and_restart(self):
        """Nothing is watched between, and the same host in the same boot goes on."""
        self.stand()
        before, offset = utc_now(), os.path.getsize(self.vestige.log)
        self.vestige.stop()
        after = utc_now()
        self.vestige.start("--no-agent")
        with open(self.vestige.log) as log:
            log.seek(offset)
            left = "the last batches stay in the journal" in log.read()
        if not left:  # else the database was slow for seconds, and has them from the next run
            self.assertEqual([], self.open_rows("coverage"))
            self.assert_coverage_ended("closed", before, after)
        self.assert_same_host_and_boot()
        self.vestige.stop()
        self.restart()
        self.assert_coverage_ended("closed", before, after)
        self.assert_watched()
        self.assert_same_host_and_boot()

    def test_killed(self):
        """What was watched ended at the last moment that is known of."""
        before = utc_now() - datetime.timedelta(seconds=2)
        self.stand()
        self.vestige.kill_all()
        after = utc_now()
        self.restart()
        self.assert_watched()
        self.assert_same_host_and_boot()
        self.assert_coverage_ended("reconciled", before, after)

    def in_another_boot(self):
        """Started so that the kernel says that this is another boot."""
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.restart(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))

    def test_reboot(self):
        before = utc_now() - datetime.timedelta(seconds=2)
        self.stand()
        self.vestige.kill_all()
        after = utc_now()
        self.in_another_boot()
        self.assertEqual([self.host], self.open_rows("host"))
        old = self.only(self.rows("boot", f"id = {self.boot['id']}"), "the boot of before")
        self.assert_ended(old, end_cause="reboot", boot_id=self.boot["boot_id"])
        self.assertTrue(before <= old["destroyed_at"] <= after, brief([old]))
        new = self.only(self.open_rows("boot"), "the boot of now")
        self.assert_common(new)
        self.assert_row(new, boot_id=OTHER_BOOT, kernel=self.boot["kernel"],
                        command_line=self.boot["command_line"])
        self.assert_coverage_ended("reconciled", before, after)
        self.assertEqual({OTHER_BOOT}, {row["boot_id"] for row in self.open_rows("coverage")})
        self.vestige.stop()
        self.restart()
        self.assert_ended(self.only(self.rows("boot", f"id = {new['id']}"), "it"), end_cause="reboot")
        self.assertEqual(self.boot["boot_id"], self.only(self.open_rows("boot"), "boot")["boot_id"])

    def test_another_name(self):
        """The host gets another name: its row ends, and the next begins."""
        self.stand()
        self.vestige.stop()
        self.restart(prefix=("unshare", "--uts", "/bin/sh", "-c",
                             'hostname another-name && exec "$@"', "sh"))
        old = self.only(self.rows("host", f"id = {self.host['id']}"), "the host of before")
        new = self.only(self.open_rows("host"), "the host of now")
        self.assert_ended(old, end_cause="removed", name=os.uname().nodename)
        self.assert_row(new, name="another-name", machine_id=old["machine_id"],
                        created_at=old["destroyed_at"])
        self.assertEqual([self.boot], self.open_rows("boot"))
        # And once more, while it runs.
        run("nsenter", "--uts", "--target", str(self.vestige.agent_pid), "hostname", "third-name")
        third = wait_for(lambda: self.rows("host", "name = 'third-name'"), 60, "the third name")
        self.vestige.sync()
        self.assertEqual(third, self.open_rows("host"))
        self.assert_ended(self.only(self.rows("host", f"id = {new['id']}"), "the second"),
                          end_cause="removed", destroyed_at=third[0]["created_at"])
        self.vestige.stop()
        self.restart()


if __name__ == "__main__":
    main()
