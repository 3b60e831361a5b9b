/* Two zstd frames: the lines are compressed into the second one while the batch is open; the first
 * one, with the header that holds their number and hash, is made at the end. The window is small,
 * because an agent must stay small and a batch has 4 MiB at most. */
#include "recorder/journal/batch_writer.h"

#include "recorder/journal/batch_digest.h"

#include <stdlib.h>
#include <zstd.h>

#define LEVEL      1
#define WINDOW_LOG 19            /* 512 KiB */
#define KEEP_BYTES (1024 * 1024) /* output memory that a clear keeps */

struct batch_writer {
    struct batch_digest *digest;
    ZSTD_CCtx *context;
    struct buffer head, lines;
    bool ended; /* the frame of the lines is complete */
};

struct batch_writer *batch_writer_free(struct batch_writer *writer)
{
    if (writer) {
        batch_digest_free(writer->digest);
        ZSTD_freeCCtx(writer->context);
        buffer_deinit(&writer->head);
        buffer_deinit(&writer->lines);
        free(writer);
    }
    return NULL;
}

static int configure(ZSTD_CCtx *context)
{
    return ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL)) ||
                   ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, WINDOW_LOG)) ||
                   ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1))
               ? -EIO
               : 0;
}

int batch_writer_new(struct batch_writer **writerp)
{
    struct batch_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    writer->context = ZSTD_createCCtx();
    int error = batch_digest_new(&writer->digest);
    if (!error)
        error = writer->context ? configure(writer->context) : -ENOMEM;
    if (error) {
        batch_writer_free(writer);
        return error;
    }
    *writerp = writer;
    return 0;
}

void batch_writer_clear(struct batch_writer *writer)
{
    ZSTD_CCtx_reset(writer->context, ZSTD_reset_session_only);
    batch_digest_clear(writer->digest);
    if (writer->lines.capacity > KEEP_BYTES)
        buffer_deinit(&writer->lines);
    buffer_clear(&writer->lines);
    buffer_clear(&writer->head);
    writer->ended = false;
}

static int compress(ZSTD_CCtx *context, struct buffer *to, struct slice text, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = {text.data, text.length, 0};
    for (;;) {
        uint8_t *room = buffer_reserve(to, 64 * 1024);
        if (!room)
            return -ENOMEM;
        ZSTD_outBuffer out = {room, to->capacity - to->length, 0};
        size_t left = ZSTD_compressStream2(context, &out, &in, end);
        if (ZSTD_isError(left))
            return -EIO;
        to->length += out.pos;
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return 0;
    }
}

int batch_writer_add(struct batch_writer *writer, enum verb verb, enum table_id table, uint64_t id,
                     struct slice line)
{
    uint8_t value[BATCH_DIGEST_SIZE];
    int error = batch_digest_line(writer->digest, slice_of(line.data, line.length - 1), value);
    if (!error)
        error = batch_digest_add(writer->digest, verb, table, id, value);
    return error ? error : compress(writer->context, &writer->lines, line, ZSTD_e_continue);
}

int batch_writer_add_all(struct batch_writer *writer, struct batch_reader *reader,
                         struct error_text *error)
{
    struct batch_line line;
    int result;
    while ((result = batch_reader_next(reader, &line, error)) == BATCH_READER_LINE) {
        /* the reader's text goes on behind the line with its newline */
        struct slice whole = slice_of(line.raw.data, line.raw.length + 1);
        result = batch_writer_add(writer, line.verb, line.table, line.id, whole);
        if (result)
            return error_set(error, result, "cannot copy a batch: %s", strerror(-result));
    }
    return result == BATCH_READER_END ? 0 : result;
}

size_t batch_writer_lines(const struct batch_writer *writer)
{
    return batch_digest_count(writer->digest);
}

static int hash(struct batch_writer *writer, struct batch_header *header)
{
    struct buffer text = BUFFER_NULL, list = BUFFER_NULL;
    header->n_lines = batch_writer_lines(writer);
    batch_header_print_hashed(&text, header);
    int error = batch_digest_list(writer->digest, &list);
    if (!error)
        error = text.failed ? -ENOMEM
                            : batch_digest_hash(writer->digest, buffer_slice(&text),
                                                buffer_slice(&list), header->hash);
    buffer_deinit(&text);
    buffer_deinit(&list);
    return error;
}

static int sign(struct batch_header *header, const struct signing_key *key)
{
    memset(header->signature, 0, sizeof(header->signature));
    return key && header->format >= 2 ? signing_key_sign(key, header->hash, header->signature) : 0;
}

int batch_writer_finish(struct batch_writer *writer, struct batch_header *header,
                        const struct signing_key *key, struct slice pieces[2])
{
    struct buffer text = BUFFER_NULL;
    int error = 0;
    if (!writer->ended)
        error = compress(writer->context, &writer->lines, SLICE_NULL, ZSTD_e_end);
    writer->ended = !error;
    if (!error)
        error = hash(writer, header);
    if (!error)
        error = sign(header, key);
    buffer_clear(&writer->head);
    batch_header_print(&text, header);
    if (!error)
        error = text.failed
                    ? -ENOMEM
                    : compress(writer->context, &writer->head, buffer_slice(&text), ZSTD_e_end);
    buffer_deinit(&text);
    pieces[0] = buffer_slice(&writer->head);
    pieces[1] = buffer_slice(&writer->lines);
    return error;
}
