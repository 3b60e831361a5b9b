/* One table says which property tells what; of two that tell the same, the first one is taken,
 * whatever their order in the message. Names that are not in it are passed over: udev's rules may
 * set any. */
#include "collectors/udev/udev_message.h"

#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

#include <limits.h>

enum property {
    PROPERTY_ACTION,
    PROPERTY_SUBSYSTEM,
    PROPERTY_DEVPATH,
    PROPERTY_OLD_DEVPATH,
    PROPERTY_DEVNAME,
    PROPERTY_MAJOR,
    PROPERTY_MINOR,
    PROPERTY_DRIVER,
    PROPERTY_VENDOR,
    PROPERTY_MODEL,
    PROPERTY_SERIAL,
    PROPERTY_VENDOR_ID,
    PROPERTY_MODEL_ID,
    PROPERTY_SYS_VENDOR,
    PROPERTY_SYS_MODEL,
    PROPERTY_SYS_SERIAL,
    PROPERTY_SYS_VENDOR_ID,
    PROPERTY_SYS_MODEL_ID,
    PROPERTY_USERS,
    PROPERTY_N
};

static const char *const names[PROPERTY_N] = {
    [PROPERTY_ACTION] = "ACTION",
    [PROPERTY_SUBSYSTEM] = "SUBSYSTEM",
    [PROPERTY_DEVPATH] = "DEVPATH",
    [PROPERTY_OLD_DEVPATH] = "DEVPATH_OLD",
    [PROPERTY_DEVNAME] = "DEVNAME",
    [PROPERTY_MAJOR] = "MAJOR",
    [PROPERTY_MINOR] = "MINOR",
    [PROPERTY_DRIVER] = "DRIVER",
    [PROPERTY_VENDOR] = "ID_VENDOR",
    [PROPERTY_MODEL] = "ID_MODEL",
    [PROPERTY_SERIAL] = "ID_SERIAL_SHORT",
    [PROPERTY_VENDOR_ID] = "ID_VENDOR_ID",
    [PROPERTY_MODEL_ID] = "ID_MODEL_ID",
    [PROPERTY_SYS_VENDOR] = "@vendor",
    [PROPERTY_SYS_MODEL] = "@model",
    [PROPERTY_SYS_SERIAL] = "@serial",
    [PROPERTY_SYS_VENDOR_ID] = "@vendor_id",
    [PROPERTY_SYS_MODEL_ID] = "@model_id",
    [PROPERTY_USERS] = "@users",
};

static void append_header(struct buffer *to, enum udev_type type, uint32_t flags)
{
    struct udev_header header = {.type = type, .flags = flags};
    buffer_append(to, &header, sizeof(header));
}

void udev_message_append_scan(struct buffer *to, const struct fact_device_scan *scan)
{
    append_header(to, scan->begin ? UDEV_SCAN_BEGIN : UDEV_SCAN_END,
                  scan->complete ? UDEV_COMPLETE : 0);
}

void udev_message_append_read(struct buffer *to)
{
    append_header(to, UDEV_READ, 0);
}

void udev_message_append_device(struct buffer *to, bool present)
{
    append_header(to, UDEV_DEVICE, present ? UDEV_PRESENT : 0);
}

void udev_message_append_property(struct buffer *to, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_append_text(to, name);
    buffer_append_byte(to, '=');
    buffer_append(to, value, strlen(value) + 1);
}

/* Decoding. */

static enum property find_property(struct slice name)
{
    int property = 0;
    while (property < PROPERTY_N && !slice_is(name, names[property]))
        property++;
    return (enum property)property;
}

/* Without the blanks around it, with which SCSI fills its fields; empty is as good as nothing. */
static struct slice bare(struct slice text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\n'))
        text = slice_of(text.data + 1, text.length - 1);
    while (text.length > 0 &&
           (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\n'))
        text.length--;
    return text.length > 0 ? text : SLICE_NULL;
}

/* False: not a list of properties. The first of several with one name that says something counts.
 */
static bool read_properties(struct slice bytes, struct slice values[PROPERTY_N])
{
    while (bytes.length > 0) {
        const uint8_t *end = memchr(bytes.data, '\0', bytes.length);
        const uint8_t *equal = end ? memchr(bytes.data, '=', (size_t)(end - bytes.data)) : NULL;
        if (!equal || equal == bytes.data)
            return false;
        enum property property = find_property(slice_of(bytes.data, (size_t)(equal - bytes.data)));
        if (property < PROPERTY_N && slice_is_null(bare(values[property])))
            values[property] = slice_of(equal + 1, (size_t)(end - equal - 1));
        bytes.length -= (size_t)(end + 1 - bytes.data);
        bytes.data = end + 1;
    }
    return true;
}

static bool read_number(struct slice text, uint32_t *number)
{
    uint64_t value = 0;
    if (text.length == 0 || text.length > 10)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *number = (uint32_t)value;
    return value <= UINT32_MAX;
}

static bool starts_with(struct slice text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length > length && memcmp(text.data, prefix, length) == 0;
}

static struct slice first_of(const struct slice values[PROPERTY_N], enum property property,
                             enum property otherwise)
{
    struct slice value = bare(values[property]);
    return slice_is_null(value) ? bare(values[otherwise]) : value;
}

/* Modules, drivers, buses and classes stand elsewhere; a queue of a network interface is no device
 * of a bus or a class, but has events. */
static bool is_device(const struct slice values[PROPERTY_N])
{
    return starts_with(values[PROPERTY_DEVPATH], "/devices/") &&
           !slice_is(values[PROPERTY_SUBSYSTEM], "queues");
}

static bool is_plausible(const struct slice values[PROPERTY_N], bool present)
{
    struct slice path = values[PROPERTY_DEVPATH], old = values[PROPERTY_OLD_DEVPATH];
    return path.length > 1 && path.length < PATH_MAX && path.data[0] == '/' &&
           (slice_is_null(old) ||
            (old.length > 1 && old.length < PATH_MAX && old.data[0] == '/')) &&
           present == slice_is_null(values[PROPERTY_ACTION]);
}

static void fill(struct fact_device *device, const struct slice values[PROPERTY_N])
{
    bool moved = slice_is(values[PROPERTY_ACTION], "move");
    *device = (struct fact_device){
        .end = slice_is(values[PROPERTY_ACTION], "remove"),
        .subsystem = bare(values[PROPERTY_SUBSYSTEM]),
        .devpath = values[PROPERTY_DEVPATH],
        .old_devpath = moved ? values[PROPERTY_OLD_DEVPATH] : SLICE_NULL,
        .devnode = bare(values[PROPERTY_DEVNAME]),
        .vendor = first_of(values, PROPERTY_VENDOR, PROPERTY_SYS_VENDOR),
        .model = first_of(values, PROPERTY_MODEL, PROPERTY_SYS_MODEL),
        .serial = first_of(values, PROPERTY_SERIAL, PROPERTY_SYS_SERIAL),
        .vendor_id = first_of(values, PROPERTY_VENDOR_ID, PROPERTY_SYS_VENDOR_ID),
        .model_id = first_of(values, PROPERTY_MODEL_ID, PROPERTY_SYS_MODEL_ID),
        .driver = bare(values[PROPERTY_DRIVER]),
        .users = values[PROPERTY_USERS],
    };
    device->block = slice_is(device->subsystem, "block") &&
                    read_number(values[PROPERTY_MAJOR], &device->device_major) &&
                    read_number(values[PROPERTY_MINOR], &device->device_minor);
}

static int decode_device(const struct udev_header *header, struct slice bytes, struct fact *fact,
                         fact_handler handler, void *user)
{
    struct slice values[PROPERTY_N] = {SLICE_NULL};
    bool present = header->flags & UDEV_PRESENT;
    if ((header->flags & ~(uint32_t)UDEV_PRESENT) || bytes.length > UDEV_MESSAGE_MOST ||
        !read_properties(bytes, values) || !is_plausible(values, present))
        return -EBADMSG;
    if (!is_device(values))
        return 0;
    fact->kind = FACT_DEVICE;
    fill(&fact->device, values);
    handler(user, fact);
    return 0;
}

static int decode_scan(const struct udev_header *header, size_t more, struct fact *fact,
                       fact_handler handler, void *user)
{
    bool begin = header->type == UDEV_SCAN_BEGIN;
    if (more > 0 || (header->flags & ~(uint32_t)UDEV_COMPLETE) || (begin && header->flags))
        return -EBADMSG;
    fact->kind = FACT_DEVICE_SCAN;
    fact->device_scan = (struct fact_device_scan){.begin = begin, .complete = header->flags != 0};
    handler(user, fact);
    return 0;
}

static int decode_read(const struct udev_header *header, size_t more, struct fact *fact,
                       fact_handler handler, void *user)
{
    if (more > 0 || header->flags)
        return -EBADMSG;
    fact->kind = FACT_DEVICES_READ;
    handler(user, fact);
    return 0;
}

int udev_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                void *user)
{
    struct fact fact = {.source = message->source, .boot_ns = message->boot_ns};
    struct udev_header header;
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    bounded_reader_copy(&reader, &header, sizeof(header));
    struct slice bytes = bounded_reader_bytes(&reader, reader.left);
    if (message->kind != MESSAGE_DATA || reader.failed)
        return -EBADMSG;
    switch (header.type) {
    case UDEV_SCAN_BEGIN:
    case UDEV_SCAN_END:
        return decode_scan(&header, bytes.length, &fact, handler, user);
    case UDEV_READ:
        return decode_read(&header, bytes.length, &fact, handler, user);
    case UDEV_DEVICE:
        return decode_device(&header, bytes, &fact, handler, user);
    default:
        return -EBADMSG;
    }
}
