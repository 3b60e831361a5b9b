/*
 * Only line numbers and messages are kept: refused lines are rare, and reading the batch a second
 * time gives their text exactly as the journal has it. A text that the server does not take as
 * UTF-8 is written as evidence text.
 */
#include "recorder/shipper/ship_quarantine.h"

#include "core/array.h"
#include "core/evidence_text.h"
#include "core/hex.h"

#include <stdio.h>
#include <stdlib.h>

struct refusal {
    size_t line, message; /* message: offset */
    unsigned number;
};

struct ship_quarantine {
    struct refusal *refusals;
    size_t n, capacity;
    struct buffer messages; /* each ends with NUL */
    struct buffer text, message;
};

int ship_quarantine_new(struct ship_quarantine **quarantinep)
{
    *quarantinep = calloc(1, sizeof(**quarantinep));
    return *quarantinep ? 0 : -ENOMEM;
}

struct ship_quarantine *ship_quarantine_free(struct ship_quarantine *quarantine)
{
    if (!quarantine)
        return NULL;
    free(quarantine->refusals);
    buffer_deinit(&quarantine->messages);
    buffer_deinit(&quarantine->text);
    buffer_deinit(&quarantine->message);
    free(quarantine);
    return NULL;
}

void ship_quarantine_clear(struct ship_quarantine *quarantine)
{
    quarantine->n = 0;
    buffer_clear(&quarantine->messages);
}

int ship_quarantine_add(struct ship_quarantine *quarantine, size_t line,
                        const struct ship_error *error)
{
    struct refusal refusal = {line, quarantine->messages.length, error->number};
    if (ARRAY_GROW(quarantine->refusals, quarantine->n, quarantine->capacity) != 0)
        return -ENOMEM;
    evidence_text_append(&quarantine->messages, slice_text(error->text.text));
    buffer_append_byte(&quarantine->messages, '\0');
    if (quarantine->messages.failed)
        return -ENOMEM;
    quarantine->refusals[quarantine->n++] = refusal;
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    const struct refusal *left = a, *right = b;
    return left->line < right->line ? -1 : left->line > right->line;
}

/** The longest beginning of @p text of at most @p limit bytes that splits no character. */
static struct slice beginning(struct slice text, size_t limit)
{
    if (text.length <= limit)
        return text;
    while (limit > 0 && (text.data[limit] & 0xC0) == 0x80)
        limit--;
    return slice_of(text.data, limit);
}

static void explain(struct ship_quarantine *quarantine, const struct refusal *refusal,
                    const struct batch_line *line, size_t kept, bool as_evidence)
{
    struct buffer *message = &quarantine->message;
    buffer_clear(message);
    buffer_append_text(message, (const char *)quarantine->messages.data + refusal->message);
    if (as_evidence)
        buffer_append_text(message, "; text is given as evidence text, bytes that are not UTF-8 "
                                    "as \\xNN");
    if (kept < line->raw.length)
        buffer_printf(message, "; text holds the first %zu of the line's %zu bytes", kept,
                      line->raw.length);
    if (as_evidence || kept < line->raw.length) {
        buffer_append_text(message, "; digest of the whole line: ");
        hex_append(message, line->digest, BATCH_DIGEST_SIZE);
    }
    buffer_append_byte(message, '\0');
}

static enum ship_answer write_line(struct ship_quarantine *quarantine,
                                   struct ship_statements *statements, uint64_t batch,
                                   const struct refusal *refusal, const struct batch_line *line,
                                   size_t limit, bool as_evidence, struct ship_error *error)
{
    /* evidence text is at most four times as long as the bytes */
    struct slice kept = beginning(line->raw, as_evidence ? limit / 4 : limit), text = kept;
    explain(quarantine, refusal, line, kept.length, as_evidence);
    if (as_evidence) {
        buffer_clear(&quarantine->text);
        evidence_text_append(&quarantine->text, kept);
        text = buffer_slice(&quarantine->text);
    }
    if (quarantine->message.failed || quarantine->text.failed)
        return ship_error_set(error, SHIP_FAILED, "not enough memory for a refused line");
    struct ship_rejected rejected = {.batch = batch,
                                     .line = line->number,
                                     .table = line->table,
                                     .text = text,
                                     .error = refusal->number,
                                     .message = (const char *)quarantine->message.data};
    return ship_statement_reject(statements, &rejected, error);
}

static enum ship_answer write_refusal(struct ship_quarantine *quarantine,
                                      struct ship_statements *statements, uint64_t batch,
                                      const struct refusal *refusal, const struct batch_line *line,
                                      size_t limit, struct ship_error *error)
{
    enum ship_answer answer =
        write_line(quarantine, statements, batch, refusal, line, limit, false, error);
    if (answer == SHIP_ROW_REFUSED)
        answer = write_line(quarantine, statements, batch, refusal, line, limit, true, error);
    return answer == SHIP_ROW_REFUSED ? SHIP_FAILED : answer;
}

enum ship_answer ship_quarantine_write(struct ship_quarantine *quarantine,
                                       struct ship_statements *statements,
                                       struct batch_reader *reader, size_t max_packet,
                                       struct ship_error *error)
{
    if (quarantine->n == 0)
        return SHIP_OK;
    const struct refusal *refusal = quarantine->refusals, *end = refusal + quarantine->n;
    qsort(quarantine->refusals, quarantine->n, sizeof(*refusal), compare_lines);
    batch_reader_rewind(reader);
    while (refusal < end) {
        struct batch_line line;
        if (batch_reader_next(reader, &line, &error->text) != BATCH_READER_LINE)
            return SHIP_FAILED;
        if (line.number != refusal->line)
            continue;
        enum ship_answer answer =
            write_refusal(quarantine, statements, batch_reader_header(reader)->batch, refusal,
                          &line, max_packet - SHIP_PACKET_MARGIN, error);
        if (answer != SHIP_OK)
            return answer;
        refusal++;
    }
    return SHIP_OK;
}
