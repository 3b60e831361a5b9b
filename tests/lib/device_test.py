"""What the tests of devices share: devices that come and go, and what /sys lists."""

import collections
import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import time
import unittest

from vestige_test import VestigeTest, run, wait_for

UDEVD = "/lib/systemd/systemd-udevd"
RUN_UDEV = "/run/udev"
LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81

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
    """Who looks at a device, as a udev daemon does, keeps it from going for a moment."""
    def done():
        try:
            fcntl.ioctl(control, command, number)
        except OSError as error:
            if command != LOOP_CTL_REMOVE or error.errno != errno.EBUSY:
                raise
            return False
        return True
    with open("/dev/loop-control", "rb") as control:
        wait_for(done, 60, f"loop device {number} is free")


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


class DeviceTest(VestigeTest):
    audited = False

    @classmethod
    def setUpClass(cls):
        if os.path.exists(f"{RUN_UDEV}/control"):
            raise unittest.SkipTest("a udev daemon runs here: these tests start one and end it")
        super().setUpClass()

    def setUp(self):
        self.vestige.sync()  # what the test before has left is written
        super().setUp()

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
        wait_for(is_so, 60, f"devices by {mode}", 0.1)

    def wait_for_rows(self, path, n_rows, n_ended):
        """Until so many rows are there, and so many of them ended; where the kernel tells, at once:
        what it has told before a sync can be queried after it."""
        def is_so():
            self.vestige.sync()
            self.found = self.new_rows(path)
            return (len(self.found), sum(row["destroyed_at"] is not None for row in self.found)) \
                == (n_rows, n_ended)
        try:
            wait_for(is_so, 60 if os.path.exists(RUN_UDEV) else 0, f"{n_rows} rows of {path}, {n_ended} ended", 0.1)
        except AssertionError as failure:
            found = [(row["devpath"], row["destroyed_at"]) for row in self.found]
            raise AssertionError(f"{failure}: there are {found}") from None
        return self.found

    def assert_as_listed(self):
        """The open rows are exactly what /sys lists."""
        def compare():
            self.vestige.sync()
            found = sorted(Device(*(row[name] or "" for name in Device._fields)) for row in self.open_rows())
            try:
                expected = sorted(Device(*(value or "" for value in device)) for device in listed())
            except OSError as error:  # it has just gone
                expected = error
            return expected, found
        # Something else of the machine may change between the two looks, hardly each time.
        for attempt in range(10):
            time.sleep(0.3 * min(attempt, 3))
            expected, found = compare()
            if expected == found:
                break
        self.assertEqual(expected, found)
        self.assertGreater(len(found), 20)

    def assert_all_ended(self, before, cause):
        """These rows ended so, but for those of what went away by itself just before; and no other did."""
        ids = [row["id"] for row in before]
        ended = self.rows(f"id BETWEEN {min(ids)} AND {max(ids)} AND (end_cause = %s OR end_cause = 'removed'"
                          f" AND id IN ({', '.join(map(str, ids))}))", cause)
        self.assertEqual(ids, [row["id"] for row in ended])
        self.assertIn(cause, {row["end_cause"] for row in ended})

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

    @contextlib.contextmanager
    def daemon(self):
        """The real udev daemon, killed unless somebody ends it better."""
        self.assertFalse(os.path.exists(RUN_UDEV), "a udev daemon runs, or has left its files")
        with open(os.path.join(self.vestige.directory, "udevd.log"), "wb") as log:
            daemon = subprocess.Popen([UDEVD], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: os.path.exists(f"{RUN_UDEV}/control"), 60, "the udev daemon runs")
            run("udevadm", "control", "--ping", timeout=60)
            yield daemon
        finally:
            daemon.kill()
            daemon.wait(60)

            def is_away():  # its workers end a moment later, and may write until then
                shutil.rmtree(RUN_UDEV, ignore_errors=True)
                return not os.path.exists(RUN_UDEV)
            wait_for(is_away, 60, f"{RUN_UDEV} is away", 0.1)
