"""A systemd that boots as process 1 of namespaces of its own: this machine's programs below an overlay, with
what the test puts over them. Its kernel is this one, so audit and the process connector, which belong to the
first pid namespace, are away in it, and nothing outside is changed: /sys and /proc/sys are read-only."""

import os
import shutil
import subprocess
import tempfile

from vestige_test import Timeout, run, wait_for

# What would look for hardware, or change what is not the machine's own.
MASKED = ("auditd.service", "systemd-journald-audit.socket", "systemd-modules-load.service", "systemd-sysctl.service",
          "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
          "systemd-udev-trigger.service", "systemd-random-seed.service", "systemd-remount-fs.service",
          "systemd-timesyncd.service", "systemd-update-utmp.service", "kmod-static-nodes.service",
          "proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
          "systemd-firstboot.service", "systemd-machine-id-commit.service", "apt-daily.timer", "apt-daily-upgrade.timer",
          "man-db.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "modprobe@.service")
BOOT = """
set -e
mount --make-rprivate /
cd "$1"
mount -t tmpfs -o mode=755 tmpfs over
mkdir over/upper over/work
cp -a stage over # layers of one filesystem must not be in each other
mount -t overlay -o lowerdir=over/stage:/,upperdir=over/upper,workdir=over/work overlay root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mkdir -p run/host
mount --bind "$1" run/host
hostname vestige-test
pivot_root . mnt
cd /
umount -l /mnt
exec env -i container=vestige-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
    /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=no
"""


class CannotBoot(Exception):
    pass


class Machine:
    """stage(NAME) is a file below / of the machine; what is there before boot() is in it."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-machine-")
        os.chmod(self.directory, 0o755)
        for name in ("stage", "over", "root"):
            os.mkdir(os.path.join(self.directory, name))
        self.process = self.pid = None
        self.group = None
        for unit in MASKED:
            self.write(f"etc/systemd/system/{unit}", None)
        self.write("etc/fstab", "")

    def stage(self, name):
        path = os.path.join(self.directory, "stage", name.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text):
        """A file; None: one that masks a unit."""
        if text is None:
            os.symlink("/dev/null", self.stage(name))
            return
        with open(self.stage(name), "w") as file:
            file.write(text)

    # Life

    def boot(self, seconds=90):
        self.group = self.make_group()
        self.log = open(os.path.join(self.directory, "console"), "wb")
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec unshare --pid --fork --kill-child --mount --cgroup'
             ' --uts --ipc --net /bin/sh -c "$1" sh "$2"', self.group, BOOT, self.directory],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            wait_for(self.is_up, seconds, "systemd is up")
        except Timeout as timeout:
            raise CannotBoot(f"{timeout}: {self.console()}") from None

    @staticmethod
    def make_group():
        """Of the second version, where systemd can make its own below it."""
        for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            if os.path.exists(f"{root}/cgroup.controllers"):
                return tempfile.mkdtemp(prefix="vestige-machine-", dir=root)
        raise CannotBoot("there is no cgroup2 file system")

    def is_up(self):
        if self.process.poll() is not None:
            raise CannotBoot(f"ended with {self.process.returncode}: {self.console()}")
        if self.pid is None:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
                pids = children.read().split()
            self.pid = int(pids[0]) if pids else None
        if self.pid is None or not os.path.exists(f"/proc/{self.pid}/root/run/systemd/private"):
            return False
        return self.run("systemctl", "is-active", "basic.target", check=False).stdout == "active\n"

    def console(self):
        with open(os.path.join(self.directory, "console"), errors="replace") as file:
            return file.read()[-2000:]

    def run(self, *command, check=True, **options):
        """In the machine."""
        return run("nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--",
                   *command, check=check, **options)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def show(self, unit, *properties):
        """Properties of a unit, in this order."""
        shown = self.run("systemctl", "show", unit, *[f"--property={name}" for name in properties]).stdout
        values = dict(line.split("=", 1) for line in shown.splitlines())
        return tuple(values[name] for name in properties)

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait(60)
            self.log.close()
        if self.group:
            wait_for(self.is_empty, 60, "the machine is gone")
            for root, _, _ in os.walk(self.group, topdown=False):
                os.rmdir(root)
        shutil.rmtree(self.directory)

    def is_empty(self):
        with open(f"{self.group}/cgroup.events") as events:
            return "populated 0" in events.read()
