/* Only what inotify_message_append_... can have written is taken: every other message is malformed.
 */
#include "collectors/inotify/inotify_message.h"

#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

enum { EVENTS_KNOWN = (FILE_ATTRIBUTES_CHANGED << 1) - 1 };

static void append_header(struct buffer *to, enum inotify_type type, uint32_t flags)
{
    struct inotify_header header = {.type = type, .flags = flags};
    buffer_append(to, &header, sizeof(header));
}

static struct inotify_status status_of(const struct file_status *status)
{
    return (struct inotify_status){.device = status->device,
                                   .inode = status->inode,
                                   .size = status->size,
                                   .mode = status->mode};
}

void inotify_message_append_scan(struct buffer *to, const struct fact_file_scan *scan)
{
    append_header(to, scan->begin ? INOTIFY_SCAN_BEGIN : INOTIFY_SCAN_END,
                  scan->complete ? INOTIFY_COMPLETE : 0);
}

void inotify_message_append_refused(struct buffer *to, uint32_t pid)
{
    struct inotify_refused record = {.pid = pid};
    append_header(to, INOTIFY_REFUSED, 0);
    buffer_append(to, &record, sizeof(record));
}

void inotify_message_append_open(struct buffer *to, const struct fact_file_open *open)
{
    struct inotify_open record = {
        .status = status_of(&open->status), .pid = open->pid, .descriptors = open->descriptors};
    append_header(to, INOTIFY_OPEN,
                  (open->writable ? INOTIFY_WRITABLE : 0) | (open->deleted ? INOTIFY_DELETED : 0));
    buffer_append(to, &record, sizeof(record));
    buffer_append_slice(to, open->path);
}

void inotify_message_append_file(struct buffer *to, const struct fact_file *file)
{
    struct inotify_file record = {.status = status_of(&file->status),
                                  .since_ns = file->since_ns,
                                  .events = file->events,
                                  .path_length = (uint32_t)file->path.length};
    append_header(to, INOTIFY_FILE,
                  (file->directory ? INOTIFY_DIRECTORY : 0) |
                      (file->path_at_read ? INOTIFY_PATH_AT_READ : 0) |
                      (slice_is_null(file->new_path) ? 0 : INOTIFY_NEW_PATH));
    buffer_append(to, &record, sizeof(record));
    buffer_append_slice(to, file->path);
    if (!slice_is_null(file->new_path))
        buffer_append_slice(to, file->new_path);
}

/* Decoding. */

static bool read_status(const struct inotify_status *from, struct file_status *to)
{
    *to = (struct file_status){
        .device = from->device, .inode = from->inode, .mode = from->mode, .size = from->size};
    return from->unused == 0;
}

static bool is_path(struct slice path)
{
    return path.length > 0 && path.data[0] == '/';
}

static int decode_scan(const struct inotify_header *header, size_t more, struct fact *fact)
{
    bool begin = header->type == INOTIFY_SCAN_BEGIN;
    if (more > 0 || (header->flags & ~(uint32_t)INOTIFY_COMPLETE) || (begin && header->flags))
        return -EBADMSG;
    fact->kind = FACT_FILE_SCAN;
    fact->file_scan = (struct fact_file_scan){.begin = begin, .complete = header->flags != 0};
    return 0;
}

static int decode_refused(const struct inotify_header *header, struct bounded_reader *reader,
                          struct fact *fact)
{
    struct inotify_refused record;
    bounded_reader_copy(reader, &record, sizeof(record));
    fact->kind = FACT_FILE_REFUSED;
    fact->file_refused.pid = record.pid;
    bool good = !header->flags && record.pid && !record.unused && reader->left == 0;
    return good ? 0 : -EBADMSG;
}

static int decode_open(const struct inotify_header *header, struct bounded_reader *reader,
                       struct fact *fact)
{
    struct inotify_open record;
    const uint32_t known = INOTIFY_WRITABLE | INOTIFY_DELETED;
    bounded_reader_copy(reader, &record, sizeof(record));
    struct slice path = bounded_reader_bytes(reader, reader->left);
    fact->kind = FACT_FILE_OPEN;
    fact->file_open = (struct fact_file_open){.pid = record.pid,
                                              .descriptors = record.descriptors,
                                              .writable = header->flags & INOTIFY_WRITABLE,
                                              .deleted = header->flags & INOTIFY_DELETED,
                                              .path = path};
    bool good = read_status(&record.status, &fact->file_open.status) && is_path(path) &&
                record.pid && record.descriptors && (header->flags & ~known) == 0;
    return good ? 0 : -EBADMSG;
}

static int decode_file(const struct inotify_header *header, struct bounded_reader *reader,
                       struct fact *fact)
{
    struct inotify_file record;
    const uint32_t known = INOTIFY_DIRECTORY | INOTIFY_PATH_AT_READ | INOTIFY_NEW_PATH;
    bool renamed = header->flags & INOTIFY_NEW_PATH;
    bounded_reader_copy(reader, &record, sizeof(record));
    struct slice path = bounded_reader_bytes(reader, record.path_length);
    struct slice new_path = bounded_reader_bytes(reader, reader->left);
    fact->kind = FACT_FILE;
    fact->file = (struct fact_file){.events = record.events,
                                    .since_ns = record.since_ns,
                                    .directory = header->flags & INOTIFY_DIRECTORY,
                                    .path_at_read = header->flags & INOTIFY_PATH_AT_READ,
                                    .path = path,
                                    .new_path = renamed ? new_path : SLICE_NULL};
    bool good = read_status(&record.status, &fact->file.status) && is_path(path) && record.events &&
                (record.events & ~(uint32_t)EVENTS_KNOWN) == 0 && (header->flags & ~known) == 0;
    if (renamed ? !is_path(new_path) || !(record.events & FILE_RENAMED) : new_path.length > 0)
        good = false;
    return good ? 0 : -EBADMSG;
}

static int decode_data(struct slice bytes, struct fact *fact)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    struct inotify_header header;
    bounded_reader_copy(&reader, &header, sizeof(header));
    switch (reader.failed ? 0 : header.type) {
    case INOTIFY_SCAN_BEGIN:
    case INOTIFY_SCAN_END:
        return decode_scan(&header, reader.left, fact);
    case INOTIFY_REFUSED:
        return decode_refused(&header, &reader, fact);
    case INOTIFY_OPEN:
        return decode_open(&header, &reader, fact);
    case INOTIFY_FILE:
        return decode_file(&header, &reader, fact);
    default:
        return -EBADMSG;
    }
}

int inotify_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                   void *user)
{
    struct fact fact = {.source = message->source, .boot_ns = message->boot_ns};
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    int r = message->kind == MESSAGE_DATA ? decode_data(message->bytes, &fact) : -EBADMSG;
    if (r == 0)
        handler(user, &fact);
    return r;
}
