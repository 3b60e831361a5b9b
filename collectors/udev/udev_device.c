/* udev's own properties come from rules, which need a daemon, and which not every device has. So
 * sysfs is asked, too: the device, and for a disk or a partition what it is on: a SCSI device says
 * who made it, an NVMe controller too, and a USB device has a serial number. A device that is gone
 * has no attributes any more. */
#include "collectors/udev/udev_device.h"

#include "collectors/udev/udev_message.h"

/* Attributes by which the kinds of devices tell the same; NULL: nothing. */
struct attributes {
    const char *vendor, *model, *serial, *vendor_id, *model_id;
};

static const struct attributes plain = {"vendor", "model", "serial", NULL, NULL};
static const struct attributes usb = {"manufacturer", "product", "serial", "idVendor", "idProduct"};
static const struct attributes pci = {NULL, NULL, NULL, "vendor", "device"};

static const struct attributes *attributes_of(const char *subsystem)
{
    if (!subsystem)
        return NULL;
    if (!strcmp(subsystem, "usb"))
        return &usb;
    if (!strcmp(subsystem, "pci"))
        return &pci;
    bool has_plain = !strcmp(subsystem, "scsi") || !strcmp(subsystem, "nvme") ||
                     !strcmp(subsystem, "mmc") || !strcmp(subsystem, "block");
    return has_plain ? &plain : NULL;
}

static void append_attribute(struct buffer *to, struct udev_device *device, const char *name,
                             const char *attribute)
{
    if (attribute)
        udev_message_append_property(to, name, udev_device_get_sysattr_value(device, attribute));
}

/* The first of several with one name counts, so the nearest device comes first. */
static void append_attributes(struct buffer *to, struct udev_device *device)
{
    const struct attributes *attributes =
        device ? attributes_of(udev_device_get_subsystem(device)) : NULL;
    if (!attributes)
        return;
    append_attribute(to, device, "@vendor", attributes->vendor);
    append_attribute(to, device, "@model", attributes->model);
    append_attribute(to, device, "@serial", attributes->serial);
    append_attribute(to, device, "@vendor_id", attributes->vendor_id);
    append_attribute(to, device, "@model_id", attributes->model_id);
}

/* Parents belong to the device and are not released. */
static void append_what_it_is_on(struct buffer *to, struct udev_device *device)
{
    append_attributes(to,
                      udev_device_get_parent_with_subsystem_devtype(device, "scsi", "scsi_device"));
    append_attributes(to, udev_device_get_parent_with_subsystem_devtype(device, "nvme", NULL));
    append_attributes(to, udev_device_get_parent_with_subsystem_devtype(device, "mmc", NULL));
    append_attributes(to,
                      udev_device_get_parent_with_subsystem_devtype(device, "usb", "usb_device"));
}

void udev_device_append(struct buffer *to, struct udev_device *device)
{
    static const char *const wanted[] = {"DEVPATH_OLD",  "MAJOR",      "MINOR",
                                         "ID_VENDOR",    "ID_MODEL",   "ID_SERIAL_SHORT",
                                         "ID_VENDOR_ID", "ID_MODEL_ID"};
    const char *subsystem = udev_device_get_subsystem(device);
    const char *action = udev_device_get_action(device);
    udev_message_append_property(to, "ACTION", action);
    udev_message_append_property(to, "SUBSYSTEM", subsystem);
    udev_message_append_property(to, "DEVPATH", udev_device_get_devpath(device));
    udev_message_append_property(to, "DEVNAME", udev_device_get_devnode(device));
    udev_message_append_property(to, "DRIVER", udev_device_get_driver(device));
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        udev_message_append_property(to, wanted[i],
                                     udev_device_get_property_value(device, wanted[i]));
    if (action && !strcmp(action, "remove"))
        return;
    append_attributes(to, device);
    if (subsystem && !strcmp(subsystem, "block"))
        append_what_it_is_on(to, device);
}
