#pragma once
/* A device of libudev as properties of a message. */
#include "core/buffer.h"

#include <libudev.h>

/** Append what the row needs: udev's properties, and what sysfs says beside them. */
void udev_device_append(struct buffer *to, struct udev_device *device);
