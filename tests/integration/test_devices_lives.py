"""Devices over losses, restarts, a reboot, without their source, and in a recording."""

import os
import re
import signal
import subprocess

from device_test import DeviceTest, batch, net_path
from vestige_test import VESTIGED, main, now_us, run, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
N = 50


class TestDeviceLives(DeviceTest):
    # Losses

    def test_overrun(self):
        """With a small buffer an agent that does not read loses events: a gap, and all are looked
        at again."""
        self.addCleanup(self.restart)
        self.restart(reader={"receive_buffer_kib": 4})
        begin = now_us()
        os.kill(self.vestige.agent_pid, signal.SIGSTOP)
        try:
            batch([f"link add vd{i}a type veth peer vd{i}b" for i in range(N)])
            batch([f"link del vd{i}a" for i in range(1, N)])
        finally:
            end = now_us()
            os.kill(self.vestige.agent_pid, signal.SIGCONT)
        try:
            self.assert_as_listed()
            # With so small a buffer the devices of others may be too many, too, before and after.
            gaps = self.vestige.query(
                "SELECT * FROM gap WHERE source = 'udev' AND created_at <= FROM_UNIXTIME(%s / 1000000) "
                "AND destroyed_at >= FROM_UNIXTIME(%s / 1000000)", end, begin)
            gap = self.only(gaps, "udev's gap")
            self.assert_row(gap, cause="overrun", unit="event", count=None)
            self.assertLess(len(self.new_rows(net_path("vd%"))), 2 * N)
        finally:
            batch(["link del vd0a"])

    def test_killed_daemon(self):
        """A daemon that was killed, and left its socket behind, is not waited for."""
        with self.daemon() as daemon:
            self.wait_for_mode("udev")
            daemon.kill()
            self.wait_for_mode("kernel")
            with self.links("link add vda type veth peer vdb"):
                self.wait_for_rows(net_path("vd_"), 2, 0)

    # Over a restart

    def test_restart(self):
        """kill -9: what stays goes on, what went meanwhile is reconciled, what came is found."""
        with self.links("link add vda type veth peer vdb", "link add vdc type veth peer vdd"):
            before = {row["devpath"]: row for row in self.wait_for_rows(net_path("vd_"), 4, 0)}
            self.vestige.kill_all()
            batch(["link del vdc", "link add vde type veth peer vdf"])
            try:
                self.vestige.start()
                self.assert_as_listed()
                rows = {row["devpath"]: row for row in self.new_rows(net_path("vd_"))}
            finally:
                batch(["link del vde"])
        self.assertEqual(6, len(rows))
        for name in ("vda", "vdb"):
            self.assertEqual(before[net_path(name)], rows[net_path(name)])
        for name in ("vdc", "vdd"):
            self.assert_ended(rows[net_path(name)], end_cause="reconciled",
                              id=before[net_path(name)]["id"])
        for name in ("vde", "vdf"):
            self.assert_row(rows[net_path(name)], destroyed_at=None)

    def test_reboot(self):
        self.vestige.sync()
        before = self.open_rows()
        self.addCleanup(self.restart)
        self.vestige.kill_all()
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        self.assert_as_listed()
        self.assert_all_ended(before, "reboot")
        self.assertEqual([], self.rows(f"destroyed_at IS NULL AND id <= {max(row['id'] for row in before)}"))

    def test_switched_off(self):
        """Without udev nothing is claimed to be there."""
        self.vestige.sync()
        before = self.open_rows()
        self.addCleanup(self.restart)
        self.restart(devices={"mode": "off"})
        self.assertEqual("off", self.mode())
        self.assertEqual([], self.open_rows())
        self.assert_all_ended(before, "unknown")

    # Recordings

    @staticmethod
    def has_recorded(place, name):
        path = os.path.join(place, "recording.vst")
        if not os.path.exists(path):
            return False
        with open(path, "rb") as stream:
            return net_path(name).encode() in stream.read()

    def test_record_and_replay(self):
        """A recording gives the same rows as the run that made it."""
        self.vestige.stop()
        self.addCleanup(self.vestige.start)
        state, place = (os.path.join(self.vestige.directory, name) for name in ("own", "recording"))
        command = [VESTIGED, "--config", self.vestige.path("vestiged.conf"), "--state", state,
                   "--record", place]
        with open(os.path.join(self.vestige.directory, "recording.log"), "wb") as log:
            agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: self.has_recorded(place, "lo"), 60, "vestiged knows what is there")
            with self.links("link add vda type veth peer vdb"):
                batch(["link set vda name vdz", "link set vdz name vda"])
            wait_for(lambda: self.has_recorded(place, "vdz"), 60, "vestiged has heard of it")
        finally:
            agent.terminate()
            self.assertEqual(agent.wait(60), 0)
        journal = os.path.join(state, "journal")
        files = [os.path.join(journal, name) for name in os.listdir(journal)]
        shown = run("zstdcat", *(path for path in files if path.endswith(".sealed.zst"))).stdout
        replayed = run(VESTIGED, "--replay", place).stdout

        def lines(text):
            return sorted(line for line in text.splitlines() if re.match(r"\w+\tdevice\t", line))
        self.assertGreater(len(lines(shown)), 20)
        self.assertEqual(lines(shown), lines(replayed))
        self.assertIn(f"\t{net_path('vdz')}\t", replayed)


if __name__ == "__main__":
    main()
