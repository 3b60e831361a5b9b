/* An event's length bounds its records, and a record's length its handle and name. */
#include "collectors/fanotify/fanotify_event.h"

#include <sys/fanotify.h>

/* Types of handles, from the kernel's exportfs.h. */
enum {
    HANDLE_INO32_GEN = 1, /* ext4 and others, 8 bytes; with 12 it is tmpfs's own form */
    HANDLE_INO32_GEN_PARENT = 2,
    HANDLE_BTRFS = 0x4d,
    HANDLE_BTRFS_PARENT = 0x4e,
    HANDLE_INO64_GEN = 0x81, /* xfs */
    HANDLE_INO64_GEN_PARENT = 0x82,
    HANDLE_KERNFS = 0xfe
};

static struct file_id read_id(struct bounded_reader *record)
{
    struct file_id id = {.filesystem = bounded_reader_u64(record)};
    uint32_t length = bounded_reader_u32(record);
    bounded_reader_copy(record, &id.type, sizeof(id.type));
    if (length > FILE_HANDLE_MOST)
        record->failed = true;
    struct slice handle = bounded_reader_bytes(record, length);
    id.handle = length && !record->failed ? handle : SLICE_NULL;
    return id;
}

/* The name ends with a 0, and is padded behind it. */
static struct slice read_name(struct bounded_reader *record)
{
    const uint8_t *end = record->left ? memchr(record->position, 0, record->left) : NULL;
    if (!end || end == record->position) {
        record->failed = true;
        return SLICE_NULL;
    }
    return bounded_reader_bytes(record, (size_t)(end - record->position));
}

static void read_place(struct bounded_reader *record, struct fanotify_place *place, bool named)
{
    place->directory = read_id(record);
    place->name = named ? read_name(record) : SLICE_NULL;
}

static void read_record(struct fanotify_event *event, uint8_t type, struct bounded_reader *record)
{
    switch (type) {
    case FAN_EVENT_INFO_TYPE_FID:
        event->target = read_id(record);
        break;
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
    case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
        read_place(record, &event->place, true);
        break;
    case FAN_EVENT_INFO_TYPE_DFID:
        read_place(record, &event->place, false);
        break;
    case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
        read_place(record, &event->new_place, true);
        break;
    default: /* nothing that was asked for */
        break;
    }
}

static bool read_records(struct fanotify_event *event, struct bounded_reader *records)
{
    while (records->left) {
        uint8_t type = bounded_reader_u8(records);
        (void)bounded_reader_u8(records);
        uint16_t length = bounded_reader_u16(records);
        const size_t header = sizeof(struct fanotify_event_info_header);
        if (records->failed || length < header)
            return false;
        struct slice bytes = bounded_reader_bytes(records, length - header);
        struct bounded_reader record = bounded_reader_of(bytes.data, bytes.length);
        read_record(event, type, &record);
        if (records->failed || record.failed)
            return false;
    }
    return true;
}

int fanotify_event_next(struct bounded_reader *reader, struct fanotify_event *event)
{
    struct fanotify_event_metadata metadata;
    *event = (struct fanotify_event){0};
    if (reader->left == 0)
        return FANOTIFY_EVENT_END;
    bounded_reader_copy(reader, &metadata, sizeof(metadata));
    if (reader->failed || metadata.vers != FANOTIFY_METADATA_VERSION ||
        metadata.metadata_len < sizeof(metadata) || metadata.event_len < metadata.metadata_len)
        return -EBADMSG;
    (void)bounded_reader_bytes(reader, metadata.metadata_len - sizeof(metadata));
    struct slice bytes = bounded_reader_bytes(reader, metadata.event_len - metadata.metadata_len);
    if (reader->failed)
        return -EBADMSG;
    event->mask = metadata.mask;
    event->pid = metadata.pid > 0 ? (uint32_t)metadata.pid : 0;
    struct bounded_reader records = bounded_reader_of(bytes.data, bytes.length);
    return read_records(event, &records) ? FANOTIFY_EVENT_READ : FANOTIFY_EVENT_MALFORMED;
}

static uint64_t inode32(struct bounded_reader *handle, bool tmpfs)
{
    uint32_t first = bounded_reader_u32(handle);
    if (!tmpfs)
        return first;
    uint32_t low = bounded_reader_u32(handle);
    return low | (uint64_t)bounded_reader_u32(handle) << 32;
}

uint64_t fanotify_event_inode(const struct file_id *id)
{
    struct bounded_reader handle = bounded_reader_of(id->handle.data, id->handle.length);
    uint64_t inode = 0;
    switch (id->type) {
    case HANDLE_INO32_GEN:
    case HANDLE_INO32_GEN_PARENT:
        inode = inode32(&handle, id->type == HANDLE_INO32_GEN && id->handle.length == 12);
        break;
    case HANDLE_BTRFS:
    case HANDLE_BTRFS_PARENT:
    case HANDLE_INO64_GEN:
    case HANDLE_INO64_GEN_PARENT:
    case HANDLE_KERNFS:
        inode = bounded_reader_u64(&handle);
        break;
    default:
        break;
    }
    return handle.failed ? 0 : inode;
}
