"""Devices: rows of what was there, came and went, compared with what /sys lists; first without a udev
daemon, as the kernel tells, then with a real one that is started for the test and stopped again."""

import contextlib
import os
import struct
import subprocess
import time

from device_test import (LOOP_CTL_ADD, LOOP_CTL_REMOVE, DeviceTest, batch, loop_control, net_path)
from vestige_test import VESTIGED, main, run, unmount, wait_for

UTMP = "/run/utmp"
STICK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "usb_stick.py")
USER_PROCESS, DEAD_PROCESS = 7, 8
UTMP_RECORD = struct.Struct("<hxxi32s4s32s256shhiii4i20x")
N = 50


class TestDevices(DeviceTest):
    # Without a daemon, and with one

    def come_and_go(self):
        """50 loop devices, 50 veth pairs and 50 tun devices, each with exactly one life."""
        loops = range(100, 100 + N)
        lines = [f"link add vd{i}a type veth peer vd{i}b" for i in range(N)]
        lines += [f"tuntap add dev vtun{i} mode tun" for i in range(N)]
        for number in loops:
            loop_control(LOOP_CTL_ADD, number)
        with self.links(*lines):
            pass
        for number in loops:
            loop_control(LOOP_CTL_REMOVE, number)
        # A row for each of the paths, and no other.
        for subsystem, pattern, paths in (
                ("block", "/devices/virtual/block/loop1__", [f"/devices/virtual/block/loop{i}"
                                                             for i in loops]),
                ("bdi", "/devices/virtual/bdi/7:1__", [f"/devices/virtual/bdi/7:{i}"
                                                       for i in loops]),
                ("net", net_path("vd%"), [net_path(f"vd{i}{end}") for i in range(N)
                                          for end in "ab"]),
                ("net", net_path("vtun%"), [net_path(f"vtun{i}") for i in range(N)])):
            rows = self.wait_for_rows(pattern, len(paths), len(paths))
            self.assertEqual(sorted(paths), sorted(row["devpath"] for row in rows))
            for row in rows:
                number = row["devpath"].rpartition("loop")[2] if subsystem == "block" else None
                self.assert_ended(row, end_cause="removed", subsystem=subsystem, seen_by="udev",
                                  devnode=number and f"/dev/loop{number}",
                                  device=number and f"7:{number}", vendor=None, model=None,
                                  serial=None, vendor_id=None, model_id=None, driver=None)
        self.assertEqual([], [gap for gap in self.gaps() if gap["source"] == "udev"])

    def test_kernel(self):
        self.wait_for_mode("kernel")
        self.come_and_go()
        self.assert_as_listed()

    def test_udev(self):
        """The daemon comes while the agent runs, tells of 250 devices, and goes."""
        self.wait_for_mode("kernel")
        with self.daemon() as daemon:
            self.wait_for_mode("udev")
            self.come_and_go()
            self.assert_as_listed()
            # What only its rules know, and sysfs does not: another row.
            path = next(row["devpath"] for row in self.open_rows() if row["subsystem"] == "mem")
            before = self.only(self.rows("destroyed_at IS NULL AND devpath = %s", path), path)
            run("udevadm", "trigger", "--action=change", "/sys" + path)
            run("udevadm", "settle", "--timeout=60")
            self.vestige.sync()
            self.assertEqual([before], self.rows("devpath = %s AND id >= %s", path, before["id"]))
            daemon.terminate()
            self.assertEqual(0, daemon.wait(60))
            self.wait_for_mode("kernel")
        self.assert_as_listed()

    # What a row says

    @contextlib.contextmanager
    def utmp(self, *records):
        """These records (type, name, pid), each of a terminal of its own, are in the utmp file, and
        the agent knows it."""
        before = None
        with contextlib.suppress(FileNotFoundError), open(UTMP, "rb") as stream:
            before = stream.read()
        with open(UTMP, "wb") as stream:
            for number, (kind, name, pid) in enumerate(records, 70):
                line = f"pts/{number}".encode()
                stream.write(UTMP_RECORD.pack(kind, pid, line, line[-4:], name.encode(), b"",
                                              0, 0, 0, int(time.time()), *[0] * 5))
        try:
            self.vestige.sync()
            yield
        finally:
            if before is None:
                os.unlink(UTMP)
            else:
                with open(UTMP, "wb") as stream:
                    stream.write(before)

    def test_users_logged_in(self):
        with self.utmp((USER_PROCESS, "vbob", os.getpid()), (USER_PROCESS, "valice", os.getpid()),
                       (DEAD_PROCESS, "vcarol", 2), (USER_PROCESS, "vbob", 1)), \
                self.links("link add vda type veth peer vdb"):
            rows = self.wait_for_rows(net_path("vd_"), 2, 0)
            self.assertEqual({"valice,vbob"}, {row["users_logged_in"] for row in rows})
        gone = [(DEAD_PROCESS, "", pid) for pid in (os.getpid(), os.getpid(), 2, 1)]
        with self.utmp(*gone), self.links("link add vdc type veth peer vdd"):
            self.wait_for_rows(net_path("vd_"), 4, 2)
            self.assertEqual(["valice,vbob"] * 2 + [""] * 2,
                             [row["users_logged_in"] for row in self.found])

    def deed(self, word):
        self.stick.stdin.write(word + "\n")
        self.stick.stdin.flush()
        self.assertEqual("done\n", self.stick.stdout.readline())

    @contextlib.contextmanager
    def agent_with_stick(self):
        """The agent alone, in whose /sys there is nothing but what usb_stick.py makes."""
        self.addCleanup(self.restart)
        self.vestige.stop()
        self.vestige.configure(taskstats={"mode": "off"})
        self.vestige.start("--no-agent")
        # The testbed is root's alone, and so is the agent.
        run("chown", "-R", "root:root", self.vestige.path("agent"), self.vestige.path("agent.cnf"))
        path = os.path.join(self.vestige.directory, "stick.log")
        with open(path, "wb") as log:
            self.stick = subprocess.Popen(
                ["umockdev-wrapper", "/usr/bin/python3", "-B", STICK, VESTIGED, "--config",
                 self.vestige.path("vestiged.conf"), "--user", ""],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

        def records():
            with open(path) as stream:
                return "agent: recording" in stream.read()
        try:
            wait_for(records, 60, f"the agent records: {path}")
            yield
        finally:
            self.stick.stdin.close()
            status = self.stick.wait(70)
            self.stick.stdout.close()
        self.assertEqual(0, status)

    def test_usb_stick(self):
        """Plugged and pulled while two users are logged in: one row with both, and both ends."""
        users = (USER_PROCESS, "vbob", os.getpid()), (USER_PROCESS, "valice", os.getpid())
        with self.agent_with_stick():
            with self.utmp(*users):
                self.deed("plug")
                self.wait_for_rows("/devices/usb1/%", 3, 0)
                self.deed("change")
            self.wait_for_rows("/devices/usb1/1-1", 1, 0)
            self.deed("pull")
            stick, disk, partition = self.wait_for_rows("/devices/usb1/%", 3, 3)
            self.assert_row(self.only(self.rows("devpath = '/devices/usb1'"), "the hub"),
                            destroyed_at=None, vendor_id="1d6b", driver="usb")
        names = {"vendor": "Example_Corp", "model": "Flash_Stick", "serial": "0123456789",
                 "vendor_id": "0951", "model_id": "1666", "users_logged_in": "valice,vbob",
                 "end_cause": "removed", "seen_by": "udev"}
        self.assert_ended(stick, subsystem="usb", devpath="/devices/usb1/1-1", driver="usb",
                          devnode="/dev/bus/usb/001/002", device=None, **names)
        self.assert_ended(disk, subsystem="block", devnode="/dev/sdz", device="65:144", **names)
        # What only the USB device knows, by sysfs.
        names.update(vendor="Example Corp.", model="Flash Stick")
        self.assert_ended(partition, subsystem="block", devnode="/dev/sdz1", device="65:145",
                          **names)
        joined = self.vestige.query(
            "SELECT part.devnode FROM device stick JOIN device part"
            "   ON part.host_id = stick.host_id AND part.subsystem = 'block'"
            r"  AND part.devpath LIKE CONCAT(REPLACE(stick.devpath, '_', '\_'), '/%')"
            "  AND part.created_at >= stick.created_at AND part.created_at <= stick.destroyed_at"
            " WHERE stick.subsystem = 'usb' AND stick.serial = '0123456789' ORDER BY 1")
        self.assertEqual(["/dev/sdz", "/dev/sdz1"], [row["devnode"] for row in joined])

    @contextlib.contextmanager
    def mounted_loop(self):
        """A filesystem on a loop device that is made for it; where it is mounted."""
        image, place = (os.path.join(self.vestige.directory, name) for name in ("image", "place"))
        run("truncate", "--size", "16M", image)
        run("mkfs.ext4", "-q", image)
        os.mkdir(place)
        loop_control(LOOP_CTL_ADD, 100)
        try:
            run("losetup", "/dev/loop100", image)
            try:
                run("mount", "/dev/loop100", place)
                try:
                    yield place
                finally:
                    unmount(place)
            finally:
                run("losetup", "--detach", "/dev/loop100")
        finally:
            loop_control(LOOP_CTL_REMOVE, 100)

    def paths_on(self, node):
        self.vestige.sync()
        return [row["path"] for row in self.vestige.query(
            "SELECT f.path FROM device d"
            "  JOIN file_access f ON f.host_id = d.host_id AND f.device = d.device"
            "   AND f.created_at <= COALESCE(d.destroyed_at, UTC_TIMESTAMP(6))"
            "   AND COALESCE(f.destroyed_at, UTC_TIMESTAMP(6)) >= d.created_at"
            f" WHERE d.id >= {self.since} AND d.devnode = %s", node)]

    def test_files_of_a_device(self):
        """What was done on a filesystem is found by the number of its device."""
        with self.mounted_loop() as place:
            def is_found():
                with open(os.path.join(place, "evidence"), "w") as stream:
                    stream.write("x")
                return os.path.join(place, "evidence") in self.paths_on("/dev/loop100")
            wait_for(is_found, 60, "a file on the new mount", 0.1)
        self.vestige.sync()
        rows = self.rows(f"id >= {self.since} AND device = '7:100'")
        self.assertEqual("removed", self.only(rows, "loop100")["end_cause"])

    def test_rename(self):
        with self.links("link add vda type veth peer vdb"):
            batch(["link set vda name vdz"])
            rows = {row["devpath"]: row for row in self.wait_for_rows(net_path("vd_"), 3, 1)}
            batch(["link set vdz name vda"])
        old, new = rows[net_path("vda")], rows[net_path("vdz")]
        self.assert_ended(old, end_cause="removed")
        self.assert_row(new, created_at=old["destroyed_at"])

if __name__ == "__main__":
    main()
