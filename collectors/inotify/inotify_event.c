/* A name ends with the first zero; the kernel pads it to a multiple of the header's size. */
#include "collectors/inotify/inotify_event.h"

#include "core/bounded_reader.h"

#include <sys/inotify.h>

/* A name of an entry can be neither empty nor hold a slash. */
static bool take_name(struct slice padded, struct slice *name)
{
    const uint8_t *end = padded.length ? memchr(padded.data, 0, padded.length) : NULL;
    *name = end ? slice_of(padded.data, (size_t)(end - padded.data)) : SLICE_NULL;
    if (padded.length == 0)
        return true;
    return end && name->length > 0 && !memchr(name->data, '/', name->length);
}

int inotify_record_next(struct slice *bytes, struct inotify_record *record)
{
    struct bounded_reader reader = bounded_reader_of(bytes->data, bytes->length);
    struct inotify_event event;
    if (bytes->length == 0)
        return INOTIFY_RECORDS_END;
    bounded_reader_copy(&reader, &event, sizeof(event));
    struct slice padded = bounded_reader_bytes(&reader, event.len);
    *record = (struct inotify_record){.watch = event.wd,
                                      .mask = event.mask,
                                      .cookie = event.cookie,
                                      .length = sizeof(event) + event.len};
    if (reader.failed || !take_name(padded, &record->name))
        return -EBADMSG;
    *bytes = slice_of(reader.position, reader.left);
    return INOTIFY_RECORD;
}
