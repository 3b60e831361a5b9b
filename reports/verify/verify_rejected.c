/* Refused lines stand as they came, or, where the server could not take their bytes, as a digest
 * and as much of the text as it took. */
#include "reports/verify/verify_private.h"

#include "core/evidence_text.h"
#include "core/hex.h"

#include <inttypes.h>

#define DIGEST_WORDS "; digest of the whole line: "
#define PARTLY_WORDS "; text holds the first "

/* What the shipper has said of a line that is not kept as it was. */
static bool read_digest(const char *message, uint8_t digest[BATCH_DIGEST_SIZE])
{
    const char *words = NULL;
    for (const char *at = message; (at = strstr(at, DIGEST_WORDS)); at++)
        words = at; /* the last: the server's words before may quote anything */
    if (!words)
        return false;
    words += strlen(DIGEST_WORDS);
    size_t length = strnlen(words, 2 * (size_t)BATCH_DIGEST_SIZE);
    return hex_parse(slice_of(words, length), digest, BATCH_DIGEST_SIZE);
}

static bool cut_word(struct slice *rest, struct slice *word)
{
    const uint8_t *tab = rest->length ? memchr(rest->data, '\t', rest->length) : NULL;
    size_t length = tab ? (size_t)(tab - rest->data) : rest->length;
    *word = slice_of(rest->data, length);
    *rest = slice_of(rest->data + length + (tab != NULL), rest->length - length - (tab != NULL));
    return length > 0;
}

static bool read_key(struct line_key *key, struct slice text)
{
    struct slice verb, table, id;
    return cut_word(&text, &verb) && cut_word(&text, &table) && cut_word(&text, &id) &&
           (key->verb = verb_find(verb)) != VERB_N &&
           (key->table = catalogue_find(table)) != TABLE_NONE && batch_parse_u64(id, &key->id);
}

/* A text that was not UTF-8 was written as evidence text, which can be turned back. */
static int digest_rejected(struct worker *worker, struct rejected_line *line, struct slice text,
                           const char *message)
{
    uint8_t told[BATCH_DIGEST_SIZE], found[BATCH_DIGEST_SIZE];
    struct buffer whole = BUFFER_NULL;
    if (!read_digest(message, told))
        return row_line_digest_text(worker->lines, text, line->line.digest);
    memcpy(line->line.digest, told, BATCH_DIGEST_SIZE);
    line->is_partly = strstr(message, PARTLY_WORDS) != NULL;
    if (line->is_partly)
        return 0;
    evidence_text_restore(&whole, text);
    int outcome =
        whole.failed ? -ENOMEM : row_line_digest_text(worker->lines, buffer_slice(&whole), found);
    buffer_deinit(&whole);
    line->is_wrong = !outcome && memcmp(told, found, BATCH_DIGEST_SIZE) != 0;
    return outcome;
}

static int take_rejected(struct worker *worker, MYSQL_ROW row, const unsigned long *lengths,
                         verify_rejected_handler handle)
{
    struct rejected_line line = {
        .line = {.host_id = (uint32_t)database_u64(row[0]),
                 .table = TABLE_NONE,
                 .batch = database_u64(row[1])}
    };
    struct slice text = slice_of(row[3], lengths[3]);
    if (!row[2] || !row[3] || !row[4])
        return error_set(&worker->error, -EIO, "table rejected has a row without text");
    line.is_known = read_key(&line.line, text);
    int outcome = digest_rejected(worker, &line, text, row[4]);
    if (outcome)
        return error_set(&worker->error, outcome, "cannot verify a refused line: %s",
                         strerror(-outcome));
    line.is_wrong |= !line.is_known || !slice_is(slice_of(row[2], lengths[2]),
                                                 catalogue_table(line.line.table)->name);
    return handle(worker, &line);
}

int verify_read_rejected(struct worker *worker, verify_rejected_handler handle)
{
    const struct verify *verify = worker->verify;
    struct rows_reading reading;
    MYSQL_ROW row = NULL;
    unsigned long *lengths = NULL;
    const struct verify_host *host = verify->hosts;
    int outcome = rows_reading_begin(
        &reading, worker->mysql, &worker->error, "read the refused lines",
        "SELECT host_id, batch, table_name, text, message FROM rejected"
        " WHERE host_id BETWEEN %" PRIu32 " AND %" PRIu32 " AND batch BETWEEN %" PRIu64
        " AND %" PRIu64,
        verify->first_host, verify->last_host, verify->only_batches ? host->first : 0,
        verify->only_batches ? host->last : UINT64_MAX);
    if (outcome)
        return outcome;
    while ((outcome = reading_next(&reading, &row, &lengths, &worker->error)) == READING_ROW) {
        outcome = take_rejected(worker, row, lengths, handle);
        if (outcome)
            break;
    }
    rows_reading_end(&reading);
    return outcome;
}
