"""Devices: rows of what was there, came and went, compared with what /sys lists; first without a udev
daemon, as the kernel tells, then with a real one that is started for the test and stopped again."""

import collections
import contextlib
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess

from vestige_test import VESTIGED, VestigeTest, main, run, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
UDEVD = "/lib/systemd/systemd-udevd"
RUN_UDEV = "/run/udev"
UTMP = "/run/utmp"
STICK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "usb_stick.py")
LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81
USER_PROCESS, DEAD_PROCESS = 7, 8
UTMP_RECORD = struct.Struct("<hxxi32s4s32s256shhiii4i20x")
N = 50

Device = collections.namedtuple("Device", "subsystem devpath devnode device driver")


def batch(lines):
    """Many commands of `ip` by one process, as fast as it can."""
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"ip -batch: {done.stderr}")


def net_path(name):
    return f"/devices/virtual/net/{name}"


def loop_control(command, number):
    with open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, command, number)


def link_name(path):
    """The last part of where a link points to; None: there is no such link."""
    try:
        return os.path.basename(os.readlink(path))
    except FileNotFoundError:
        return None


def listed():
    """What the open rows have to say, as /sys lists it now."""
    places = [f"/sys/{of}/{name}" for of in ("class", "bus") for name in os.listdir(f"/sys/{of}")]
    paths = set()
    for place in places:
        place = os.path.join(place, "devices") if place.startswith("/sys/bus") else place
        paths |= {os.path.realpath(os.path.join(place, name)) for name in os.listdir(place)
                  if os.path.isdir(os.path.join(place, name))}
    for path in paths:
        if not os.path.exists(os.path.join(path, "uevent")):
            continue
        with open(os.path.join(path, "uevent")) as stream:
            words = dict(line.partition("=")[::2] for line in stream.read().splitlines())
        node = words.get("DEVNAME")
        subsystem = link_name(os.path.join(path, "subsystem"))
        number = f"{words['MAJOR']}:{words['MINOR']}" if subsystem == "block" else None
        yield Device(subsystem, path.removeprefix("/sys"), node and f"/dev/{node}", number,
                     link_name(os.path.join(path, "driver")))


class TestDevices(VestigeTest):
    def rows(self, condition="TRUE", *parameters):
        return self.vestige.query(f"SELECT * FROM device WHERE {condition} ORDER BY id", *parameters)

    def new_rows(self, path):
        """Of one path or a pattern of paths, since the test began."""
        return self.rows(f"id >= {self.since} AND devpath LIKE %s", path)

    def open_rows(self):
        return self.rows("destroyed_at IS NULL")

    def mode(self):
        return self.vestige.value(
            "SELECT mode FROM coverage WHERE source = 'udev' AND destroyed_at IS NULL")

    def wait_for_mode(self, mode):
        def is_so():
            self.vestige.sync()
            found = self.vestige.query(
                "SELECT mode FROM coverage WHERE source = 'udev' AND destroyed_at IS NULL")
            return [row["mode"] for row in found] == [mode]
        wait_for(is_so, 20, f"devices by {mode}", 0.1)

    def wait_for_rows(self, path, n_rows, n_ended):
        """Until so many rows are there, and so many of them ended."""
        def is_so():
            self.vestige.sync()
            self.found = self.new_rows(path)
            return (len(self.found), sum(row["destroyed_at"] is not None for row in self.found)) \
                == (n_rows, n_ended)
        try:
            wait_for(is_so, 10, f"{n_rows} rows of {path}, {n_ended} ended", 0.1)
        except AssertionError as failure:
            found = [(row["devpath"], row["destroyed_at"]) for row in self.found]
            raise AssertionError(f"{failure}: there are {found}") from None
        return self.found

    def assert_as_listed(self):
        self.vestige.sync()
        found = sorted(Device(*(row[name] for name in Device._fields)) for row in map(
            lambda row: {name: row[name] or "" for name in row}, self.open_rows()))
        expected = sorted(Device(*(value or "" for value in device)) for device in listed())
        self.assertEqual(expected, found)
        self.assertGreater(len(found), 20)

    def restart(self, **sections):
        self.vestige.stop()
        self.vestige.configure(**sections)
        self.vestige.start()
        self.vestige.sync()

    @contextlib.contextmanager
    def links(self, *lines):
        """Network interfaces that are made by these commands, and are gone afterwards."""
        names = [line.split()[2] if line.startswith("link add") else line.split()[3]
                 for line in lines]
        batch(lines)
        try:
            yield
        finally:
            batch([f"link del {name}" for name in names if os.path.exists(f"/sys/class/net/{name}")])

    # Without a daemon, and with one

    def come_and_go(self):
        """50 loop devices, 50 veth pairs and 50 tun devices, each with exactly one life."""
        loops = range(100, 100 + N)
        lines = [f"link add vd{i}a type veth peer vd{i}b" for i in range(N)]
        lines += [f"tuntap add dev vt{i} mode tun" for i in range(N)]
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
                ("net", net_path("vt%"), [net_path(f"vt{i}") for i in range(N)])):
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

    @contextlib.contextmanager
    def daemon(self):
        self.assertFalse(os.path.exists(RUN_UDEV), "a udev daemon runs, or has left its files")
        with open(os.path.join(self.vestige.directory, "udevd.log"), "wb") as log:
            daemon = subprocess.Popen([UDEVD], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: os.path.exists(f"{RUN_UDEV}/control"), 10, "the udev daemon runs")
            run("udevadm", "control", "--ping", timeout=20)
            yield
        finally:
            daemon.terminate()
            daemon.wait(30)
            shutil.rmtree(RUN_UDEV)

    def test_udev(self):
        """The daemon comes while the agent runs, tells of 250 devices, and goes."""
        self.wait_for_mode("kernel")
        with self.daemon():
            self.wait_for_mode("udev")
            self.come_and_go()
            self.assert_as_listed()
            # What only its rules know, and sysfs does not: another row.
            path = next(row["devpath"] for row in self.open_rows() if row["subsystem"] == "mem")
            before = self.only(self.rows("destroyed_at IS NULL AND devpath = %s", path), path)
            run("udevadm", "trigger", "--action=change", "/sys" + path)
            run("udevadm", "settle", "--timeout=20")
            self.vestige.sync()
            self.assertEqual([before], self.rows("devpath = %s AND id >= %s", path, before["id"]))
        self.wait_for_mode("kernel")
        self.assert_as_listed()

    # What a row says

    @contextlib.contextmanager
    def utmp(self, *records):
        """These records (type, name, pid) are in the utmp file."""
        before = None
        with contextlib.suppress(FileNotFoundError), open(UTMP, "rb") as stream:
            before = stream.read()
        with open(UTMP, "wb") as stream:
            for kind, name, pid in records:
                stream.write(UTMP_RECORD.pack(kind, pid, b"pts/9", b"9", name.encode(), b"",
                                              *[0] * 9))
        try:
            yield
        finally:
            if before is None:
                os.unlink(UTMP)
            else:
                with open(UTMP, "wb") as stream:
                    stream.write(before)

    def test_users_logged_in(self):
        with self.utmp((USER_PROCESS, "vbob", os.getpid()), (USER_PROCESS, "valice", os.getpid()),
                       (DEAD_PROCESS, "vcarol", os.getpid()), (USER_PROCESS, "vbob", 1)), \
                self.links("link add vda type veth peer vdb"):
            rows = self.wait_for_rows(net_path("vd_"), 2, 0)
            self.assertEqual({"valice,vbob"}, {row["users_logged_in"] for row in rows})
        with self.utmp(), self.links("link add vdc type veth peer vdd"):
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
        self.vestige.stop()
        self.vestige.configure(taskstats={"mode": "off"})
        self.vestige.start("--no-agent")
        self.addCleanup(self.restart)
        path = os.path.join(self.vestige.directory, "stick.log")
        with open(path, "wb") as log:
            self.stick = subprocess.Popen(
                ["umockdev-wrapper", "/usr/bin/python3", "-B", STICK, VESTIGED, "--config",
                 self.vestige.path("vestiged.conf")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

        def records():
            with open(path) as stream:
                return "agent: recording" in stream.read()
        try:
            wait_for(records, 20, f"the agent records: {path}")
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

    def test_rename(self):
        with self.links("link add vda type veth peer vdb"):
            batch(["link set vda name vdz"])
            rows = {row["devpath"]: row for row in self.wait_for_rows(net_path("vd_"), 3, 1)}
            batch(["link set vdz name vda"])
        old, new = rows[net_path("vda")], rows[net_path("vdz")]
        self.assert_ended(old, end_cause="removed")
        self.assert_row(new, created_at=old["destroyed_at"])

    # Losses

    def test_overrun(self):
        """With a small buffer an agent that does not read loses events: a gap, and all are looked
        at again."""
        self.restart(reader={"receive_buffer_kib": 4})
        self.addCleanup(self.restart)
        os.kill(self.vestige.agent_pid, signal.SIGSTOP)
        try:
            batch([f"link add vd{i}a type veth peer vd{i}b" for i in range(N)])
            batch([f"link del vd{i}a" for i in range(1, N)])
        finally:
            os.kill(self.vestige.agent_pid, signal.SIGCONT)
        try:
            self.assert_as_listed()
            gap = self.only([gap for gap in self.gaps() if gap["source"] == "udev"], "udev's gap")
            self.assert_row(gap, cause="overrun", unit="event", count=None)
            self.assertLess(len(self.new_rows(net_path("vd%"))), 2 * N)
        finally:
            batch(["link del vd0a"])

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
        self.vestige.kill_all()
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        self.addCleanup(self.restart)
        self.assert_as_listed()
        ids = [row["id"] for row in before]
        ended = self.rows(f"id <= {max(ids)} AND id >= {min(ids)} AND end_cause = 'reboot'")
        self.assertEqual(ids, [row["id"] for row in ended])
        self.assertEqual([], self.rows(f"destroyed_at IS NULL AND id <= {max(ids)}"))

    def test_switched_off(self):
        """Without udev nothing is claimed to be there."""
        self.vestige.sync()
        before = self.open_rows()
        self.restart(devices={"mode": "off"})
        self.addCleanup(self.restart)
        self.assertEqual("off", self.mode())
        self.assertEqual([], self.open_rows())
        ids = [row["id"] for row in before]
        ended = self.rows(f"id <= {max(ids)} AND id >= {min(ids)} AND end_cause = 'unknown'")
        self.assertEqual(ids, [row["id"] for row in ended])

    # Recordings

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
            wait_for(lambda: os.path.exists(os.path.join(state, "vestiged.sock")), 30,
                     "vestiged records")
            with self.links("link add vda type veth peer vdb"):
                batch(["link set vda name vdz", "link set vdz name vda"])
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
