#pragma once
/*
 * The messages of SOURCE_UDEV: a header in host order, and, of a device, its properties: each
 * "NAME=value" with a zero byte behind it, as in a uevent. Besides those of udev there are those
 * that the source adds, whose names begin with "@": what sysfs says where udev may say nothing, and
 * who is logged in. Types and names are part of recorded input: never used again for something
 * else.
 *
 *   UDEV_SCAN_BEGIN  a look at all devices begins
 *   UDEV_SCAN_END    it has ended; UDEV_COMPLETE: nothing was passed over
 *   UDEV_READ        all events until now were read, as it was asked for
 *   UDEV_DEVICE      properties; UDEV_PRESENT: of a look, else of an event, with its ACTION
 */
#include "collectors/source.h"
#include "core/buffer.h"

enum udev_type { UDEV_SCAN_BEGIN = 1, UDEV_SCAN_END, UDEV_DEVICE, UDEV_READ };

enum udev_flag { UDEV_COMPLETE = 1 << 0, UDEV_PRESENT = 1 << 1 };

struct udev_header {
    uint32_t type, flags;
};
_Static_assert(sizeof(struct udev_header) == 8, "layout of recorded messages");

enum { UDEV_MESSAGE_MOST = 32 << 10 }; /* bytes; a longer one is left out, and counted */

void udev_message_append_scan(struct buffer *to, const struct fact_device_scan *scan);
void udev_message_append_read(struct buffer *to);
/** The header of a device; its properties follow. */
void udev_message_append_device(struct buffer *to, bool present);
/** @p value NULL: nothing is appended. */
void udev_message_append_property(struct buffer *to, const char *name, const char *value);

/** As source_ops.decode; the decoder keeps nothing between messages. What is no device (a module, a
 *  driver, a queue of a network interface) gives no fact. */
int udev_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                void *user) MUST_CHECK;
