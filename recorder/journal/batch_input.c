/* One read fills a fixed buffer; what is in it is copied (plain) or decompressed (zstd). Frames
 * follow one another; the end of the file inside a frame is damage. */
#include "recorder/journal/batch_input.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define CHUNK          (64 * 1024)
#define WINDOW_LOG_MAX 21 /* 2 MiB: what the writer may use, and no hostile gigabytes */

struct batch_input {
    char *name;
    int fd; /* -1: memory */
    struct slice memory;
    ZSTD_DCtx *context; /* NULL: plain */
    bool in_frame;
    ZSTD_inBuffer in;
    uint64_t given; /* bytes of text so far */
    uint8_t chunk[CHUNK];
};

struct batch_input *batch_input_free(struct batch_input *input)
{
    if (input) {
        if (input->fd >= 0)
            close(input->fd);
        ZSTD_freeDCtx(input->context);
        free(input->name);
        free(input);
    }
    return NULL;
}

static struct batch_input *input_new(const char *name)
{
    struct batch_input *input = calloc(1, sizeof(*input));
    if (!input)
        return NULL;
    input->fd = -1;
    input->name = strdup(name);
    return input->name ? input : batch_input_free(input);
}

void batch_input_rewind(struct batch_input *input)
{
    input->given = 0;
    input->in_frame = false;
    input->in = (ZSTD_inBuffer){input->chunk, 0, 0};
    if (input->context)
        ZSTD_DCtx_reset(input->context, ZSTD_reset_session_only);
    if (input->fd >= 0)
        lseek(input->fd, 0, SEEK_SET);
    else
        input->in = (ZSTD_inBuffer){input->memory.data, input->memory.length, 0};
}

/* Fill the chunk when all of it is used. Returns the number of bytes that wait in it. */
static ssize_t fill(struct batch_input *input)
{
    if (input->in.pos < input->in.size || input->fd < 0)
        return (ssize_t)(input->in.size - input->in.pos);
    ssize_t n;
    do
        n = read(input->fd, input->chunk, sizeof(input->chunk));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    input->in = (ZSTD_inBuffer){input->chunk, (size_t)n, 0};
    return n;
}

static int detect(struct batch_input *input)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    ssize_t n = fill(input);
    if (n < 0)
        return (int)n;
    if ((size_t)n < sizeof(magic) || memcmp(input->in.src, magic, sizeof(magic)) != 0)
        return 0;
    input->context = ZSTD_createDCtx();
    if (!input->context ||
        ZSTD_isError(ZSTD_DCtx_setParameter(input->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return -ENOMEM;
    return 0;
}

static int open_file(struct batch_input *input, const char *path, struct error_text *error)
{
    struct stat status;
    input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (input->fd < 0 || fstat(input->fd, &status) != 0)
        return error_set(error, -errno, "cannot read batch %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EBADMSG, "%s: not a batch: not a regular file", path);
    input->in = (ZSTD_inBuffer){input->chunk, 0, 0};
    int result = detect(input);
    if (result)
        error_set(error, result, "cannot read batch %s: %s", path, strerror(-result));
    return result;
}

int batch_input_open(struct batch_input **inputp, const char *path, struct error_text *error)
{
    struct batch_input *input = input_new(path);
    if (!input)
        return error_set(error, -ENOMEM, "cannot read batch %s: out of memory", path);
    int result = open_file(input, path, error);
    if (result) {
        batch_input_free(input);
        return result;
    }
    *inputp = input;
    return 0;
}

int batch_input_open_memory(struct batch_input **inputp, struct slice text)
{
    struct batch_input *input = input_new("(memory)");
    if (!input)
        return -ENOMEM;
    input->memory = text;
    batch_input_rewind(input);
    int result = detect(input);
    if (result) {
        batch_input_free(input);
        return result;
    }
    *inputp = input;
    return 0;
}

const char *batch_input_name(const struct batch_input *input)
{
    return input->name;
}

static size_t read_plain(struct batch_input *input, void *to, size_t room)
{
    size_t waiting = input->in.size - input->in.pos;
    size_t n = waiting < room ? waiting : room;
    memcpy(to, (const uint8_t *)input->in.src + input->in.pos, n);
    input->in.pos += n;
    return n;
}

static ssize_t read_frame(struct batch_input *input, void *to, size_t room, const char **reason)
{
    ZSTD_outBuffer out = {to, room, 0};
    while (out.pos == 0) {
        ssize_t waiting = fill(input);
        if (waiting < 0)
            return waiting;
        size_t before = input->in.pos;
        if (waiting == 0 && !input->in_frame)
            return 0;
        size_t left = ZSTD_decompressStream(input->context, &out, &input->in);
        *reason = "the compressed data are damaged";
        if (ZSTD_isError(left))
            return -EBADMSG;
        input->in_frame = left != 0;
        *reason = "the compressed data end too early";
        if (waiting == 0 && out.pos == 0 && left != 0 && input->in.pos == before)
            return -EBADMSG;
    }
    return (ssize_t)out.pos;
}

ssize_t batch_input_read(struct batch_input *input, void *to, size_t room, const char **reason)
{
    *reason = "the file cannot be read";
    ssize_t n;
    if (input->context) {
        n = read_frame(input, to, room, reason);
    } else {
        n = fill(input);
        if (n > 0)
            n = (ssize_t)read_plain(input, to, room);
    }
    if (n > 0 && (input->given += (uint64_t)n) > BATCH_TEXT_LIMIT) {
        *reason = "more than 72 MiB of text";
        return -EBADMSG;
    }
    return n;
}
