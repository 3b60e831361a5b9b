/* Only what fanotify_message_write can have written is taken: every other message is malformed. */
#include "collectors/fanotify/fanotify_message.h"

#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

enum { FLAG_DIRECTORY = 1 << 0, FLAG_PATH_AT_READ = 1 << 1, FLAG_NEW_PATH = 1 << 2, FLAGS = 7 };

/* All of enum file_event. */
#define EVENTS ((uint32_t)FILE_ATTRIBUTES_CHANGED * 2 - 1)

struct header {
    uint32_t pid, events, flags, mode;
    uint64_t since_ns, device, inode, size;
    uint16_t path_length, new_path_length;
};

enum { HEADER_SIZE = offsetof(struct header, new_path_length) + sizeof(uint16_t) };
_Static_assert(HEADER_SIZE + 2 * FILE_PATH_MOST == FANOTIFY_MESSAGE_MOST, "no padding before that");

size_t fanotify_message_write(uint8_t to[FANOTIFY_MESSAGE_MOST], const struct fact_file *file)
{
    const struct header header = {
        .pid = file->pid,
        .events = file->events,
        .flags = (file->directory ? FLAG_DIRECTORY : 0u) |
                 (file->path_at_read ? FLAG_PATH_AT_READ : 0u) |
                 (slice_is_null(file->new_path) ? 0u : FLAG_NEW_PATH),
        .mode = file->status.mode,
        .since_ns = file->since_ns,
        .device = file->status.device,
        .inode = file->status.inode,
        .size = file->status.size,
        .path_length = (uint16_t)file->path.length,
        .new_path_length = (uint16_t)file->new_path.length,
    };
    memcpy(to, &header, HEADER_SIZE);
    memcpy(to + HEADER_SIZE, file->path.data, file->path.length);
    if (file->new_path.length)
        memcpy(to + HEADER_SIZE + file->path.length, file->new_path.data, file->new_path.length);
    return HEADER_SIZE + file->path.length + file->new_path.length;
}

static bool is_path(struct slice path)
{
    static const char handle[] = "handle:";
    return path.length > 0 && path.length <= FILE_PATH_MOST && !memchr(path.data, 0, path.length) &&
           (path.data[0] == '/' || (path.length > sizeof(handle) - 1 &&
                                    memcmp(path.data, handle, sizeof(handle) - 1) == 0));
}

static bool is_plausible(const struct fact_file *file, uint32_t flags)
{
    bool moved = flags & FLAG_NEW_PATH;
    return file->events && (file->events & ~EVENTS) == 0 && (flags & ~(uint32_t)FLAGS) == 0 &&
           is_path(file->path) && (!moved || ((file->events & FILE_RENAMED) != 0)) &&
           (moved ? is_path(file->new_path) : file->new_path.length == 0);
}

static int decode_event(struct slice bytes, struct fact_file *file)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    struct header header = {0};
    bounded_reader_copy(&reader, &header, HEADER_SIZE);
    *file = (struct fact_file){
        .pid = header.pid,
        .events = header.events,
        .directory = header.flags & FLAG_DIRECTORY,
        .path_at_read = header.flags & FLAG_PATH_AT_READ,
        .since_ns = header.since_ns,
        .status = {.device = header.device,
                   .inode = header.inode,
                   .mode = header.mode,
                   .size = header.size},
    };
    file->path = bounded_reader_bytes(&reader, header.path_length);
    file->new_path = bounded_reader_bytes(&reader, header.new_path_length);
    if (reader.failed || reader.left || !is_plausible(file, header.flags))
        return -EBADMSG;
    if (!(header.flags & FLAG_NEW_PATH))
        file->new_path = SLICE_NULL;
    return 0;
}

/* False: the message is another one. */
static bool decode_read(const struct message *message, fact_handler handler, void *user)
{
    struct fact fact = {
        .kind = FACT_FILES_READ, .source = message->source, .boot_ns = message->boot_ns};
    if (message->bytes.length != FANOTIFY_READ_SIZE)
        return false;
    memcpy(&fact.files_read.until_ns, message->bytes.data, FANOTIFY_READ_SIZE);
    if (fact.files_read.until_ns > message->boot_ns)
        return false;
    handler(user, &fact);
    return true;
}

int fanotify_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user)
{
    struct fact fact = {.kind = FACT_FILE, .source = message->source, .boot_ns = message->boot_ns};
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    if (decode_read(message, handler, user))
        return 0;
    int r = decode_event(message->bytes, &fact.file);
    if (r == 0)
        handler(user, &fact);
    return r;
}
