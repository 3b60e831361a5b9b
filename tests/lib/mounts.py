"""Filesystems that a test takes away again."""

import os

from vestige_test import run, wait_for


def unmount(path):
    """A recorder, also that of another test, looks into what is mounted, for moments in which it is busy."""
    def tried():
        return run("umount", str(path), check=False).returncode == 0 or not os.path.ismount(path)
    wait_for(tried, 60, f"{path} is unmounted", 0.05)
