/* A window of text slides over the input: a line is complete when its newline is in the window,
 * which grows only as far as the longest legal line. Fields are unescaped into a second buffer;
 * as that may move while it grows, they are kept as offsets until the line is done. */
#include "recorder/journal/batch_reader.h"

#include "core/evidence_text.h"
#include "recorder/journal/batch_input.h"

#include <stdlib.h>

#define LINE_LIMIT   (64u * 1024 * 1024)
#define HEADER_LIMIT (8u * 1024) /* the longest legal header line is shorter than 2 KiB */
#define READ_SIZE    (64u * 1024)
#define KEEP_BYTES   (1024u * 1024)
#define MAX_VALUES   64

struct batch_reader {
    struct batch_input *input;
    struct batch_header first; /* as in the file */
    struct batch_header header;
    struct batch_digest *digest;
    struct buffer window;
    size_t start, scanned; /* of the line in the window; how far no newline was found */
    bool at_end, closed, marked;
    size_t text_line, header_lines;
    struct buffer unescaped;
    struct slice values[MAX_VALUES];
};

struct batch_reader *batch_reader_free(struct batch_reader *reader)
{
    if (reader) {
        batch_input_free(reader->input);
        batch_digest_free(reader->digest);
        buffer_deinit(&reader->window);
        buffer_deinit(&reader->unescaped);
        free(reader);
    }
    return NULL;
}

static int damaged(const struct batch_reader *reader, const char *reason, struct error_text *error)
{
    return error_set(error, -EBADMSG, "%s: line %zu: %s", batch_input_name(reader->input),
                     reader->text_line, reason);
}

static int fill(struct batch_reader *reader, struct error_text *error)
{
    struct buffer *window = &reader->window;
    if (reader->start) {
        window->length -= reader->start;
        memmove(window->data, window->data + reader->start, window->length);
        reader->scanned -= reader->start;
        reader->start = 0;
    }
    if (window->length == 0 && window->capacity > KEEP_BYTES)
        buffer_deinit(window);
    uint8_t *room = buffer_reserve(window, READ_SIZE);
    if (!room)
        return error_set(error, -ENOMEM, "%s: out of memory", batch_input_name(reader->input));
    const char *reason = NULL;
    ssize_t n = batch_input_read(reader->input, room, READ_SIZE, &reason);
    if (n == -EBADMSG)
        return damaged(reader, reason, error);
    if (n < 0)
        return error_set(error, (int)n, "%s: %s: %s", batch_input_name(reader->input), reason,
                         strerror((int)-n));
    window->length += (size_t)n;
    reader->at_end = n == 0;
    return 0;
}

/* The next line of text without its newline. */
static int next_text(struct batch_reader *reader, size_t limit, struct slice *line,
                     struct error_text *error)
{
    struct buffer *window = &reader->window;
    for (;;) {
        size_t unscanned = window->length - reader->scanned;
        const uint8_t *newline =
            unscanned ? memchr(window->data + reader->scanned, '\n', unscanned) : NULL;
        size_t length =
            (newline ? (size_t)(newline - window->data) : window->length) - reader->start;
        if (length > limit)
            return damaged(reader, "the line is too long", error);
        if (newline) {
            *line = slice_of(window->data + reader->start, length);
            reader->start += length + 1;
            reader->scanned = reader->start;
            reader->text_line++;
            return BATCH_READER_LINE;
        }
        reader->scanned = window->length;
        if (reader->at_end && length && reader->first.kind != BATCH_OPEN)
            return damaged(reader, "the last line has no newline", error);
        if (reader->at_end)
            return BATCH_READER_END;
        int result = fill(reader, error);
        if (result)
            return result;
    }
}

static int read_header(struct batch_reader *reader, struct error_text *error)
{
    int result;
    do {
        struct slice line;
        const char *reason;
        result = next_text(reader, HEADER_LIMIT, &line, error);
        if (result < 0)
            return result;
        if (result == BATCH_READER_END)
            return damaged(reader, "the header is not complete", error);
        result = batch_header_parse_line(&reader->first, reader->text_line, line, &reason);
        if (result < 0)
            return damaged(reader, reason, error);
    } while (result == BATCH_HEADER_MORE);
    reader->header_lines = reader->text_line;
    reader->header = reader->first;
    if (reader->header.kind == BATCH_OPEN)
        reader->header.last_us = reader->header.first_us;
    return 0;
}

static int reader_new(struct batch_reader **readerp, struct batch_input *input,
                      struct error_text *error)
{
    struct batch_reader *reader = calloc(1, sizeof(*reader));
    int result = reader ? batch_digest_new(&reader->digest) : -ENOMEM;
    if (result) {
        error_set(error, result, "%s: out of memory", batch_input_name(input));
        batch_input_free(input);
        free(reader);
        return result;
    }
    reader->input = input;
    reader->window.limit = LINE_LIMIT + 2 * READ_SIZE;
    result = read_header(reader, error);
    if (result) {
        batch_reader_free(reader);
        return result;
    }
    *readerp = reader;
    return 0;
}

int batch_reader_open(struct batch_reader **readerp, const char *path, struct error_text *error)
{
    struct batch_input *input;
    int result = batch_input_open(&input, path, error);
    return result ? result : reader_new(readerp, input, error);
}

int batch_reader_open_memory(struct batch_reader **readerp, struct slice text,
                             struct error_text *error)
{
    struct batch_input *input;
    int result = batch_input_open_memory(&input, text);
    if (result)
        return error_set(error, result, "cannot read a batch: %s", strerror(-result));
    return reader_new(readerp, input, error);
}

const struct batch_header *batch_reader_header(const struct batch_reader *reader)
{
    return &reader->header;
}

bool batch_reader_closed(const struct batch_reader *reader)
{
    return reader->closed;
}

bool batch_reader_marked(const struct batch_reader *reader)
{
    return reader->marked;
}

/* The text up to the next tab, or the rest; false when there is nothing left. */
static bool next_field(struct slice *rest, struct slice *field)
{
    if (slice_is_null(*rest))
        return false;
    const uint8_t *tab = rest->length ? memchr(rest->data, '\t', rest->length) : NULL;
    *field = *rest;
    if (tab) {
        field->length = (size_t)(tab - rest->data);
        *rest = slice_of(tab + 1, rest->length - field->length - 1);
    } else {
        *rest = SLICE_NULL;
    }
    return true;
}

/* Values are unescaped one behind the other; the buffer has room for all, so it does not move. A
 * column that an older format does not have is NULL. */
static const char *parse_values(struct batch_reader *reader, struct slice rest,
                                struct batch_line *line)
{
    struct buffer *to = &reader->unescaped;
    const struct table *table = catalogue_table(line->table);
    struct slice field;
    size_t first, expected = catalogue_line_columns(table, line->verb, &first);
    if (expected > MAX_VALUES)
        return "more values than this program can hold";
    if (to->capacity > KEEP_BYTES)
        buffer_deinit(to);
    buffer_clear(to);
    if (!buffer_reserve(to, rest.length + 1))
        return "out of memory";
    for (size_t i = 0; i < expected; i++) {
        reader->values[i] = SLICE_NULL;
        if (table->columns[first + i].since > reader->first.format)
            continue;
        if (!next_field(&rest, &field))
            return "too few values for its table and verb";
        size_t at = to->length;
        if (slice_is(field, "\\N"))
            continue;
        if (evidence_field_unescape(to, field) != 0)
            return "an escape that is never written";
        reader->values[i] = slice_of(to->data + at, to->length - at);
    }
    line->values = reader->values;
    line->n_values = expected;
    return slice_is_null(rest) ? NULL : "too many values for its table and verb";
}

static const char *parse_line(struct batch_reader *reader, struct slice text,
                              struct batch_line *line)
{
    struct slice rest = text, verb, table, id;
    if (memchr(text.data, 0, text.length))
        return "a NUL byte";
    if (!next_field(&rest, &verb) || (line->verb = verb_find(verb)) == VERB_N)
        return "an unknown verb";
    if (!next_field(&rest, &table) || (line->table = catalogue_find(table)) == TABLE_NONE)
        return "an unknown table";
    if (!next_field(&rest, &id) || !batch_parse_u64(id, &line->id))
        return "the id is not a number";
    line->raw = text;
    return parse_values(reader, rest, line);
}

/* An open batch has marks between its lines. Returns whether @p text was one. */
static bool take_mark(struct batch_reader *reader, struct slice text)
{
    struct batch_header *header = &reader->header;
    struct batch_mark mark;
    struct slice time_us;
    uint64_t number;
    if (text.length > 6 && memcmp(text.data, "close\t", 6) == 0) {
        time_us = slice_of(text.data + 6, text.length - 6);
        reader->closed = batch_parse_u64(time_us, &number);
        if (reader->closed && number > header->last_us)
            header->last_us = number;
        return reader->closed;
    }
    if (batch_mark_parse(&mark, text) != 0)
        return false;
    reader->marked = true;
    header->births = mark.births;
    memcpy(header->cursors, mark.cursors, sizeof(header->cursors));
    if (mark.time_us > header->last_us)
        header->last_us = mark.time_us;
    return true;
}

static void follow_open(struct batch_reader *reader, const struct batch_line *line)
{
    struct batch_header *header = &reader->header;
    header->n_lines++;
    header->births += batch_line_births(line->verb, line->table, line->raw);
    reader->closed = false;
    if (line->verb != VERB_INSERT)
        return;
    if (line->id < header->first_us)
        header->first_us = line->id;
    if (line->id > header->last_us)
        header->last_us = line->id;
}

static int at_end(struct batch_reader *reader, size_t n_lines, struct error_text *error)
{
    if (reader->first.kind != BATCH_OPEN && n_lines != reader->first.n_lines)
        return error_set(error, -EBADMSG, "%s: line %zu: has %zu lines, its header says %llu",
                         batch_input_name(reader->input), reader->text_line, n_lines,
                         (unsigned long long)reader->first.n_lines);
    return BATCH_READER_END;
}

int batch_reader_next(struct batch_reader *reader, struct batch_line *line,
                      struct error_text *error)
{
    bool open = reader->first.kind == BATCH_OPEN;
    struct slice text;
    int result;
    do
        result = next_text(reader, LINE_LIMIT, &text, error);
    while (result == BATCH_READER_LINE && open && take_mark(reader, text));
    size_t number = reader->text_line - reader->header_lines;
    if (result == BATCH_READER_END)
        return at_end(reader, number, error);
    if (result < 0)
        return result;
    const char *reason = parse_line(reader, text, line);
    if (reason)
        return damaged(reader, reason, error);
    line->number = number;
    if (open)
        follow_open(reader, line);
    result = batch_digest_line(reader->digest, line->raw, line->digest);
    return result ? error_set(error, result, "%s: cannot compute SHA-256",
                              batch_input_name(reader->input))
                  : BATCH_READER_LINE;
}

void batch_reader_rewind(struct batch_reader *reader)
{
    batch_input_rewind(reader->input);
    buffer_clear(&reader->window);
    reader->start = reader->scanned = reader->text_line = 0;
    reader->at_end = reader->closed = reader->marked = false;
    struct error_text ignored;
    struct batch_header first = reader->first;
    /* It was read before; if the file changed meanwhile, reading its lines will say so. */
    if (read_header(reader, &ignored) != 0)
        reader->header = reader->first = first;
}

static int add_all(struct batch_reader *reader, batch_reader_handler handler, void *user,
                   struct error_text *error)
{
    struct batch_line line;
    int result;
    batch_digest_clear(reader->digest);
    while ((result = batch_reader_next(reader, &line, error)) == BATCH_READER_LINE) {
        result = batch_digest_add(reader->digest, line.verb, line.table, line.id, line.digest);
        if (!result && handler)
            result = handler(user, &line);
        if (result)
            return error_set(error, result, "%s: out of memory", batch_input_name(reader->input));
    }
    return result == BATCH_READER_END ? 0 : result;
}

static int compare_hash(struct batch_reader *reader, struct slice list, struct error_text *error)
{
    uint8_t hash[BATCH_HASH_SIZE];
    struct buffer text = BUFFER_NULL;
    batch_header_print_hashed(&text, &reader->first);
    int result =
        text.failed ? -ENOMEM : batch_digest_hash(reader->digest, buffer_slice(&text), list, hash);
    buffer_deinit(&text);
    if (result)
        return error_set(error, result, "%s: cannot compute its hash",
                         batch_input_name(reader->input));
    if (memcmp(hash, reader->first.hash, sizeof(hash)) != 0)
        return error_set(error, -EBADMSG,
                         "%s: line %zu: the hash does not match: header or lines were changed",
                         batch_input_name(reader->input),
                         reader->header_lines - (reader->first.format >= 2 ? 2 : 1));
    return 0;
}

int batch_reader_check(struct batch_reader *reader, struct buffer *digests,
                       struct error_text *error)
{
    return batch_reader_check_each(reader, NULL, NULL, digests, error);
}

int batch_reader_check_each(struct batch_reader *reader, batch_reader_handler handler, void *user,
                            struct buffer *digests, struct error_text *error)
{
    struct buffer list = BUFFER_NULL;
    batch_reader_rewind(reader);
    int result = add_all(reader, handler, user, error);
    if (!result && batch_digest_list(reader->digest, &list) != 0)
        result = error_set(error, -ENOMEM, "%s: out of memory", batch_input_name(reader->input));
    if (!result && reader->first.kind != BATCH_OPEN)
        result = compare_hash(reader, buffer_slice(&list), error);
    if (!result && digests)
        buffer_append_slice(digests, buffer_slice(&list));
    if (!result && digests && digests->failed)
        result = error_set(error, -ENOMEM, "%s: out of memory", batch_input_name(reader->input));
    buffer_deinit(&list);
    batch_reader_rewind(reader);
    return result;
}
