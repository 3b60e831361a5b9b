#!/usr/bin/python3
"""A USB stick that never was, for a program that is started here:

    umockdev-wrapper usb_stick.py COMMAND [ARGUMENT...]

The command sees a /sys with one USB root hub in it. Each line of standard input is a deed: `plug`,
`change` and `pull`; it is answered by a line when the events are on their way. At the end of the input
the command is terminated; the exit status is its own."""

import signal
import subprocess
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev

NAMES = ["ID_VENDOR", "Example_Corp", "ID_MODEL", "Flash_Stick", "ID_SERIAL_SHORT", "0123456789",
         "ID_VENDOR_ID", "0951", "ID_MODEL_ID", "1666"]


class Stick:
    def __init__(self):
        self.testbed = UMockdev.Testbed.new()
        self.hub = self.testbed.add_device("usb", "usb1", None, ["idVendor", "1d6b"],
                                           ["DEVTYPE", "usb_device"])
        self.testbed.set_attribute_link(self.hub, "driver", "../../bus/usb/drivers/usb")
        self.devices = []

    def add(self, subsystem, name, parent, attributes, properties):
        self.devices.append(self.testbed.add_device(subsystem, name, parent, attributes, properties))
        return self.devices[-1]

    def plug(self):
        """The device, its disk and a partition; of the partition only the kernel's properties."""
        stick = self.add("usb", "1-1", self.hub,
                         ["idVendor", "0951", "idProduct", "1666", "manufacturer", "Example Corp.",
                          "product", "Flash Stick", "serial", "0123456789"],
                         ["DEVTYPE", "usb_device", "DEVNAME", "/dev/bus/usb/001/002", *NAMES])
        disk = self.add("block", "sdz", stick, ["dev", "65:144"],
                        ["DEVTYPE", "disk", "DEVNAME", "/dev/sdz", "MAJOR", "65", "MINOR", "144",
                         *NAMES])
        self.add("block", "sdz1", disk, ["dev", "65:145"],
                 ["DEVTYPE", "partition", "DEVNAME", "/dev/sdz1", "MAJOR", "65", "MINOR", "145"])

    def change(self):
        """What a driver that is bound says, and a medium that is looked at."""
        self.testbed.set_property(self.devices[0], "DRIVER", "usb")
        self.testbed.uevent(self.devices[0], "bind")
        self.testbed.uevent(self.devices[1], "change")

    def pull(self):
        while self.devices:
            device = self.devices.pop()
            self.testbed.uevent(device, "remove")
            self.testbed.remove_device(device)


def main():
    stick = Stick()
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    for line in sys.stdin:
        getattr(stick, line.strip())()
        print("done", flush=True)
    if command.poll() is None:
        command.send_signal(signal.SIGTERM)
    sys.exit(command.wait(60))


if __name__ == "__main__":
    main()
