#pragma once
/*
 * Devices, from libudev: those that are there, and then each that comes, changes or goes. Where a
 * udev daemon runs it tells, when its rules are done; else the kernel does. Whether one runs is
 * looked at every three seconds; when that changes, or messages are lost, all devices are looked at
 * again.
 */
#include "collectors/udev/udev_message.h"

extern const struct source_ops udev_source_ops;

/** Ask for a FACT_DEVICES_READ, when all events until now are read. Any thread; never waits. */
void udev_source_request(struct source *source);
