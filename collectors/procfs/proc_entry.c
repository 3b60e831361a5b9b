/* One table says which field of the fact has which key; encoder and decoder both walk it. */
#include "collectors/procfs/proc_entry.h"

#include "collectors/procfs/procfs_container.h"
#include "core/bounded_reader.h"

#include <stdlib.h>

enum field_type { FIELD_U32, FIELD_U64, FIELD_BOOL, FIELD_SLICE };

struct field {
    uint32_t key;
    enum field_type type;
    size_t offset;
};

#define FIELD(key, type, member)                                                                   \
    {                                                                                              \
        key, type, offsetof(struct fact_proc_process, member)                                      \
    }

/* Keys are part of recorded input: never used again for something else. */
enum { KEY_PID = 1, KEY_START_TICKS = 3, KEY_ARGUMENTS = 24 };

static const struct field fields[] = {
    FIELD(KEY_PID, FIELD_U32, pid),
    FIELD(2, FIELD_U32, ppid),
    FIELD(KEY_START_TICKS, FIELD_U64, start_ticks),
    FIELD(4, FIELD_U32, n_threads),
    FIELD(5, FIELD_BOOL, kernel_thread),
    FIELD(6, FIELD_U32, uid),
    FIELD(7, FIELD_U32, euid),
    FIELD(8, FIELD_U32, gid),
    FIELD(9, FIELD_U32, egid),
    FIELD(10, FIELD_U32, login_uid),
    FIELD(11, FIELD_U32, session),
    FIELD(12, FIELD_U32, sid),
    FIELD(13, FIELD_U64, pid_ns),
    FIELD(14, FIELD_U64, mnt_ns),
    FIELD(15, FIELD_U64, net_ns),
    FIELD(16, FIELD_SLICE, comm),
    FIELD(17, FIELD_SLICE, exe),
    FIELD(18, FIELD_SLICE, cwd),
    FIELD(19, FIELD_SLICE, tty),
    FIELD(20, FIELD_SLICE, cgroup),
    FIELD(21, FIELD_U32, argc),
    FIELD(22, FIELD_U64, threads_from_ns),
    FIELD(23, FIELD_U64, threads_until_ns),
};
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

struct decoder {
    struct slice *argv;
    size_t capacity;
};

static void append_u32(struct buffer *to, uint32_t value)
{
    buffer_append(to, &value, sizeof(value));
}

static void append_bytes(struct buffer *to, uint32_t key, struct slice bytes)
{
    if (slice_is_null(bytes))
        return;
    append_u32(to, key);
    append_u32(to, (uint32_t)bytes.length);
    buffer_append_slice(to, bytes);
}

static void append_number(struct buffer *to, uint32_t key, uint64_t value)
{
    append_bytes(to, key, slice_of(&value, sizeof(value)));
}

static void append_field(struct buffer *to, const struct field *field, const void *at)
{
    switch (field->type) {
    case FIELD_U32:
        append_number(to, field->key, *(const uint32_t *)at);
        break;
    case FIELD_U64:
        append_number(to, field->key, *(const uint64_t *)at);
        break;
    case FIELD_BOOL:
        append_number(to, field->key, *(const bool *)at);
        break;
    case FIELD_SLICE:
        append_bytes(to, field->key, *(const struct slice *)at);
        break;
    }
}

void proc_entry_process(struct buffer *to, const struct fact_proc_process *process,
                        struct slice arguments)
{
    append_u32(to, PROC_ENTRY_PROCESS);
    for (size_t i = 0; i < N_FIELDS; i++)
        append_field(to, &fields[i], (const uint8_t *)process + fields[i].offset);
    append_bytes(to, KEY_ARGUMENTS, arguments);
}

void proc_entry_scan(struct buffer *to, bool begin)
{
    append_u32(to, begin ? PROC_ENTRY_SCAN_BEGIN : PROC_ENTRY_SCAN_END);
}

size_t proc_entry_without_arguments(struct slice message)
{
    struct bounded_reader reader = bounded_reader_of(message.data, message.length);
    if (bounded_reader_u32(&reader) != PROC_ENTRY_PROCESS)
        return message.length;
    while (reader.left > 0 && !reader.failed) {
        size_t length = message.length - reader.left;
        uint32_t key = bounded_reader_u32(&reader);
        bounded_reader_bytes(&reader, bounded_reader_u32(&reader));
        if (key == KEY_ARGUMENTS)
            return length;
    }
    return message.length;
}

static int decode_arguments(struct decoder *decoder, struct slice bytes,
                            struct fact_proc_process *process)
{
    size_t n = 0;
    const uint8_t *at = bytes.data, *end = bytes.data + bytes.length;
    if (bytes.length == 0 || bytes.length > PROC_ENTRY_ARGUMENTS || end[-1] != '\0')
        return -EBADMSG;
    for (const uint8_t *c = at; c < end; c++)
        n += *c == '\0';
    if (n > PROC_ENTRY_ARGUMENT_COUNT)
        return -EBADMSG;
    if (n > decoder->capacity) {
        struct slice *argv = realloc(decoder->argv, n * sizeof(*argv));
        if (!argv)
            return -ENOMEM;
        decoder->argv = argv;
        decoder->capacity = n;
    }
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen((const char *)at);
        decoder->argv[i] = slice_of(at, length);
        at += length + 1;
    }
    process->argv = decoder->argv;
    process->argc = (uint32_t)n;
    return 0;
}

static int decode_value(const struct field *field, struct slice bytes, void *to)
{
    uint64_t value;
    if (field->type == FIELD_SLICE) {
        *(struct slice *)to = bytes;
        return 0;
    }
    if (bytes.length != sizeof(value))
        return -EBADMSG;
    memcpy(&value, bytes.data, sizeof(value));
    if ((field->type == FIELD_U32 && value > UINT32_MAX) ||
        (field->type == FIELD_BOOL && value > 1))
        return -EBADMSG;
    if (field->type == FIELD_U32)
        *(uint32_t *)to = (uint32_t)value;
    else if (field->type == FIELD_U64)
        *(uint64_t *)to = value;
    else
        *(bool *)to = value == 1;
    return 0;
}

static int decode_field(struct decoder *decoder, uint32_t key, struct slice bytes,
                        struct fact_proc_process *process)
{
    if (key == KEY_ARGUMENTS)
        return decode_arguments(decoder, bytes, process);
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].key == key)
            return decode_value(&fields[i], bytes, (uint8_t *)process + fields[i].offset);
    return 0;
}

static int decode_process(struct decoder *decoder, struct bounded_reader *reader, struct fact *fact)
{
    struct fact_proc_process *process = &fact->proc_process;
    uint64_t seen = 0;
    fact->kind = FACT_PROC_PROCESS;
    *process = (struct fact_proc_process){.uid = ID_UNSET,
                                          .euid = ID_UNSET,
                                          .gid = ID_UNSET,
                                          .egid = ID_UNSET,
                                          .login_uid = ID_UNSET,
                                          .session = ID_UNSET};
    while (reader->left > 0 && !reader->failed) {
        /* They come last: an argc behind them would be another than that of argv. */
        bool complete = seen & UINT64_C(1) << KEY_ARGUMENTS;
        uint32_t key = bounded_reader_u32(reader);
        struct slice bytes = bounded_reader_bytes(reader, bounded_reader_u32(reader));
        int r = reader->failed || complete ? -EBADMSG : decode_field(decoder, key, bytes, process);
        if (r < 0)
            return r;
        seen |= key < 64 ? UINT64_C(1) << key : 0;
    }
    process->container = procfs_container_id(process->cgroup);
    uint64_t needed = UINT64_C(1) << KEY_PID | UINT64_C(1) << KEY_START_TICKS;
    return (seen & needed) == needed && process->pid != 0 ? 0 : -EBADMSG;
}

static int decode_data(struct decoder *decoder, struct bounded_reader *reader, struct fact *fact)
{
    uint32_t type = bounded_reader_u32(reader);
    switch (type) {
    case PROC_ENTRY_PROCESS:
        return decode_process(decoder, reader, fact);
    case PROC_ENTRY_SCAN_BEGIN:
    case PROC_ENTRY_SCAN_END:
        fact->kind = FACT_PROC_SCAN;
        fact->proc_scan.begin = type == PROC_ENTRY_SCAN_BEGIN;
        return 0;
    default:
        return -EBADMSG;
    }
}

static int decode_note(struct slice bytes, struct fact *fact)
{
    const uint8_t *tab = bytes.length ? memchr(bytes.data, '\t', bytes.length) : NULL;
    if (!tab)
        return -EBADMSG;
    size_t length = (size_t)(tab - bytes.data);
    fact->kind = FACT_NOTE;
    fact->note.mode = slice_of(bytes.data, length);
    fact->note.detail = slice_of(tab + 1, bytes.length - length - 1);
    return 0;
}

int proc_decoder_new(struct decoder **decoderp)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = decoder;
    return 0;
}

int proc_decoder_decode(struct decoder *decoder, const struct message *message,
                        fact_handler handler, void *user)
{
    struct fact fact = {.source = message->source, .boot_ns = message->boot_ns};
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    int r = 0;
    switch (message->kind) {
    case MESSAGE_DATA:
        r = decode_data(decoder, &reader, &fact);
        if (r == 0 && (reader.failed || reader.left > 0))
            r = -EBADMSG;
        break;
    case MESSAGE_NOTE:
        r = decode_note(message->bytes, &fact);
        break;
    case MESSAGE_OVERRUN:
        fact.kind = FACT_OVERRUN;
        break;
    default:
        return 0;
    }
    if (r == 0)
        handler(user, &fact);
    return r;
}

struct decoder *proc_decoder_free(struct decoder *decoder)
{
    if (decoder) {
        free(decoder->argv);
        free(decoder);
    }
    return NULL;
}
