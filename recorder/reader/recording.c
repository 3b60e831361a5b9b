/* One stdio stream each way. The header is a table of keys, so that writing and reading cannot
 * differ; the gulps' bytes go through unchanged. */
#include "recorder/reader/recording.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#define MAGIC           "vestige recording 1\n"
#define MAGIC_LENGTH    (sizeof(MAGIC) - 1)
#define HEADER_LIMIT    8192
#define GULP_MAGIC      0x504c5547u
#define FLAG_CAUGHT_UP  1u
#define STREAM_BUFFER   (256 * 1024)
#define FLUSH_EVERY_NS  1000000000
#define BYTE_ORDER_NAME (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "little" : "big")

struct gulp_header {
    uint32_t magic, flags;
    uint64_t boot_ns;
    int64_t real_ns;
    uint64_t length;
};
_Static_assert(sizeof(struct gulp_header) == 32, "layout of the file");

enum key_kind { KEY_U64, KEY_I64, KEY_U32, KEY_TEXT };

static const struct key {
    const char *name;
    enum key_kind kind;
    size_t offset, size;
} keys[] = {
#define KEY(name, kind)                                                                            \
    {                                                                                              \
#name, kind, offsetof(struct recording_header, name),                                      \
            sizeof(((struct recording_header *)0)->name)                                           \
    }
    KEY(host_id, KEY_U64),   KEY(boot_id, KEY_TEXT),         KEY(boot_ns, KEY_U64),
    KEY(real_ns, KEY_I64),   KEY(ticks_per_second, KEY_U32), KEY(own_pid, KEY_U32),
    KEY(hostname, KEY_TEXT), KEY(kernel, KEY_TEXT),          KEY(settings, KEY_TEXT),
#undef KEY
};
#define KEY_N (sizeof(keys) / sizeof(keys[0]))

struct recording_writer {
    FILE *stream;
    char *buffer;
    char path[PATH_MAX];
    uint64_t flushed_ns; /* of the gulps' clock */
    int error;
};

struct recording_reader {
    FILE *stream;
    char name[PATH_MAX];
    struct recording_header header;
    struct gulp *gulp;
};

static void write_key(FILE *stream, const struct key *key, const struct recording_header *header)
{
    const void *field = (const char *)header + key->offset;
    fprintf(stream, "%s=", key->name);
    switch (key->kind) {
    case KEY_U64:
        fprintf(stream, "%" PRIu64 "\n", *(const uint64_t *)field);
        break;
    case KEY_I64:
        fprintf(stream, "%" PRId64 "\n", *(const int64_t *)field);
        break;
    case KEY_U32:
        fprintf(stream, "%" PRIu32 "\n", *(const uint32_t *)field);
        break;
    case KEY_TEXT:
        for (const char *c = field; *c; c++)
            fputc(*c == '\n' ? ' ' : *c, stream);
        fputc('\n', stream);
        break;
    }
}

static void write_header(FILE *stream, const struct recording_header *header)
{
    fputs(MAGIC, stream);
    fprintf(stream, "byte_order=%s\n", BYTE_ORDER_NAME);
    for (size_t i = 0; i < KEY_N; i++)
        write_key(stream, &keys[i], header);
    fputc('\n', stream);
}

static int open_new_file(struct recording_writer *self, const char *directory,
                         struct error_text *error)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "record: cannot make the directory %s: %s", directory,
                         strerror(errno));
    int n = snprintf(self->path, sizeof(self->path), "%s/" RECORDING_FILE, directory);
    if (n < 0 || (size_t)n >= sizeof(self->path))
        return error_set(error, -ENAMETOOLONG, "record: the directory's name is too long");
    AUTO_CLOSE int fd = open(self->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(error, -errno, "record: cannot make %s: %s%s", self->path, strerror(errno),
                         errno == EEXIST ? "; remove it or name another directory" : "");
    self->buffer = malloc(STREAM_BUFFER);
    self->stream = fdopen(fd, "w");
    if (!self->stream || !self->buffer)
        return error_set(error, -ENOMEM, "record: out of memory");
    fd = -1;
    setvbuf(self->stream, self->buffer, _IOFBF, STREAM_BUFFER);
    return 0;
}

static void writer_free(struct recording_writer *self)
{
    if (self->stream && fclose(self->stream) != 0 && self->error == 0)
        self->error = -errno;
    free(self->buffer);
    free(self);
}

int recording_writer_open(struct recording_writer **writerp, const char *directory,
                          const struct recording_header *header, struct error_text *error)
{
    struct recording_writer *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "record: out of memory");
    int r = open_new_file(self, directory, error);
    if (r == 0) {
        write_header(self->stream, header);
        if (fflush(self->stream) != 0)
            r = error_set(error, -errno, "record: cannot write %s: %s", self->path,
                          strerror(errno));
    }
    if (r < 0) {
        writer_free(self);
        return r;
    }
    *writerp = self;
    return 0;
}

int recording_writer_add(struct recording_writer *self, const struct gulp *gulp)
{
    const struct gulp_header header = {.magic = GULP_MAGIC,
                                       .flags = gulp->caught_up ? FLAG_CAUGHT_UP : 0,
                                       .boot_ns = gulp->boot_ns,
                                       .real_ns = gulp->real_ns,
                                       .length = gulp->used};
    if (self->error < 0)
        return self->error; /* the file ends before the hole */
    if (gulp->used > RECORDING_GULP_LIMIT)
        return self->error = -EMSGSIZE;
    if (fwrite(&header, sizeof(header), 1, self->stream) != 1 ||
        fwrite(gulp->data, 1, gulp->used, self->stream) != gulp->used)
        return self->error = errno ? -errno : -EIO;
    if (gulp->boot_ns - self->flushed_ns >= FLUSH_EVERY_NS) {
        self->flushed_ns = gulp->boot_ns;
        if (fflush(self->stream) != 0)
            return self->error = -errno;
    }
    return 0;
}

int recording_writer_close(struct recording_writer *self, struct error_text *error)
{
    if (!self)
        return 0;
    if (fflush(self->stream) != 0 && self->error == 0)
        self->error = -errno;
    int r = self->error;
    if (r < 0)
        error_set(error, r, "record: cannot write %s: %s; the recording is not complete",
                  self->path, strerror(-r));
    writer_free(self);
    return r;
}

static bool parse_number(const char *text, enum key_kind kind, void *field)
{
    char *end;
    errno = 0;
    if (kind == KEY_I64) {
        intmax_t value = strtoimax(text, &end, 10);
        *(int64_t *)field = value;
    } else {
        uintmax_t value = strtoumax(text, &end, 10);
        if (*text == '-' || (kind == KEY_U32 && value > UINT32_MAX))
            return false;
        if (kind == KEY_U32)
            *(uint32_t *)field = (uint32_t)value;
        else
            *(uint64_t *)field = value;
    }
    return errno == 0 && end != text && *end == 0;
}

static bool parse_value(const struct key *key, const char *value, struct recording_header *header)
{
    void *field = (char *)header + key->offset;
    if (key->kind != KEY_TEXT)
        return parse_number(value, key->kind, field);
    size_t length = strlen(value);
    if (length >= key->size)
        return false;
    memcpy(field, value, length + 1);
    return true;
}

/* One line "key=value" without its newline. Returns the bit of the key, 0 for a foreign one, or
 * negative when it is wrong. */
static int parse_line(char *line, struct recording_header *header)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return -EBADMSG;
    *equals = 0;
    if (strcmp(line, "byte_order") == 0)
        return strcmp(equals + 1, BYTE_ORDER_NAME) == 0 ? 1 << KEY_N : -EPROTONOSUPPORT;
    for (size_t i = 0; i < KEY_N; i++)
        if (strcmp(line, keys[i].name) == 0)
            return parse_value(&keys[i], equals + 1, header) ? 1 << i : -EBADMSG;
    return 0;
}

static int read_magic(struct recording_reader *self, struct error_text *error)
{
    char magic[MAGIC_LENGTH];
    if (fread(magic, 1, sizeof(magic), self->stream) != sizeof(magic) ||
        memcmp(magic, MAGIC, sizeof(magic)) != 0)
        return error_set(error, -EBADMSG,
                         "replay: %s is not a recording that this version reads; it does not begin "
                         "with \"%.*s\"",
                         self->name, (int)MAGIC_LENGTH - 1, MAGIC);
    return 0;
}

static int read_header(struct recording_reader *self, struct error_text *error)
{
    char line[HEADER_LIMIT];
    unsigned seen = 0;
    size_t total = 0;
    while (fgets(line, (int)(sizeof(line) - total), self->stream)) {
        size_t length = strlen(line);
        total += length;
        if (length == 0 || line[length - 1] != '\n' || total + 2 > sizeof(line))
            break;
        line[length - 1] = 0;
        if (length == 1) {
            if (seen == (2u << KEY_N) - 1)
                return 0;
            return error_set(error, -EBADMSG, "replay: %s: its header lacks a key", self->name);
        }
        int r = parse_line(line, &self->header);
        if (r == -EPROTONOSUPPORT)
            return error_set(error, r, "replay: %s was recorded on a host of the other byte order",
                             self->name);
        if (r < 0)
            return error_set(error, r,
                             "replay: %s: offset %zu: a header line that is not understood",
                             self->name, MAGIC_LENGTH + total - length);
        seen |= (unsigned)r;
    }
    return error_set(error, -EBADMSG, "replay: %s: offset %zu: the header does not end", self->name,
                     MAGIC_LENGTH + total);
}

static int open_stream(struct recording_reader **readerp, struct recording_reader *self,
                       struct error_text *error)
{
    int r = read_magic(self, error);
    if (r == 0)
        r = read_header(self, error);
    if (r < 0) {
        recording_reader_free(self);
        return r;
    }
    *readerp = self;
    return 0;
}

int recording_reader_open(struct recording_reader **readerp, const char *path,
                          struct error_text *error)
{
    struct stat status;
    bool directory = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    struct recording_reader *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "replay: out of memory");
    int n =
        snprintf(self->name, sizeof(self->name), "%s%s", path, directory ? "/" RECORDING_FILE : "");
    int r = n < 0 || (size_t)n >= sizeof(self->name) ? -ENAMETOOLONG : 0;
    if (r == 0 && !(self->stream = fopen(self->name, "re")))
        r = -errno;
    if (r < 0) {
        recording_reader_free(self);
        return error_set(error, r, "replay: cannot open %s: %s", path, strerror(-r));
    }
    return open_stream(readerp, self, error);
}

int recording_reader_open_memory(struct recording_reader **readerp, struct slice bytes,
                                 struct error_text *error)
{
    struct recording_reader *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "replay: out of memory");
    snprintf(self->name, sizeof(self->name), "memory");
    self->stream = fmemopen((void *)(uintptr_t)bytes.data, bytes.length, "r");
    if (!self->stream) {
        int r = -errno;
        recording_reader_free(self);
        return error_set(error, r, "replay: cannot read memory: %s", strerror(-r));
    }
    return open_stream(readerp, self, error);
}

struct recording_reader *recording_reader_free(struct recording_reader *self)
{
    if (!self)
        return NULL;
    cleanup_fclose(&self->stream);
    gulp_free(self->gulp);
    free(self);
    return NULL;
}

const struct recording_header *recording_reader_header(const struct recording_reader *self)
{
    return &self->header;
}

static int fault(struct recording_reader *self, struct error_text *error, long offset,
                 const char *what)
{
    return error_set(error, -EBADMSG, "replay: %s: offset %ld: %s", self->name, offset, what);
}

static int make_room(struct recording_reader *self, size_t length)
{
    if (self->gulp && self->gulp->capacity >= length)
        return 0;
    self->gulp = gulp_free(self->gulp);
    self->gulp = gulp_new(length);
    return self->gulp ? 0 : -ENOMEM;
}

static bool messages_are_whole(const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    while (gulp_next(gulp, &offset, &message))
        ;
    return offset == gulp->used;
}

int recording_reader_next(struct recording_reader *self, const struct gulp **gulpp,
                          struct error_text *error)
{
    struct gulp_header header;
    long offset = ftell(self->stream);
    size_t n = fread(&header, 1, sizeof(header), self->stream);
    if (n == 0 && feof(self->stream))
        return RECORDING_END;
    if (n != sizeof(header))
        return fault(self, error, offset, "the recording ends inside of a gulp's header");
    if (header.magic != GULP_MAGIC || (header.flags & ~FLAG_CAUGHT_UP) ||
        header.length > RECORDING_GULP_LIMIT)
        return fault(self, error, offset, "this is no gulp");
    int r = make_room(self, header.length);
    if (r < 0)
        return error_set(error, r, "replay: out of memory");
    struct gulp *gulp = self->gulp;
    gulp->boot_ns = header.boot_ns;
    gulp->real_ns = header.real_ns;
    gulp->caught_up = header.flags & FLAG_CAUGHT_UP;
    gulp->used = header.length;
    if (fread(gulp->data, 1, gulp->used, self->stream) != gulp->used)
        return fault(self, error, offset, "the recording ends inside of a gulp");
    if (!messages_are_whole(gulp))
        return fault(self, error, offset, "a message in this gulp does not fit");
    *gulpp = gulp;
    return RECORDING_GULP;
}
