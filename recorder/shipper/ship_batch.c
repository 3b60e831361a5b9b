/*
 * Nearly all batches hold no row that a server refuses, so a batch is first sent as it is. When a
 * row is refused, all is rolled back and sent again with care: each array then stands behind a
 * savepoint; when the server refuses a row of it, the array is undone, and what the server said
 * about the row's place (or else halving) chooses the next, shorter array, down to the single row
 * that goes into quarantine; every success doubles the length again. So the work stays proportional
 * to the rows, however many of them are bad. Care lasts until a batch had no refused row.
 */
#include "recorder/shipper/ship_batch.h"

#include "recorder/shipper/ship_quarantine.h"

#include <mysqld_error.h>
#include <stdlib.h>

struct ship_batch {
    struct ship_rows rows[TABLE_N][VERB_N];
    struct buffer digests;
    uint64_t number;
    struct ship_quarantine *quarantine;
    bool careful; /* the batch before had rows that were refused, or this one has */
    /* while it is being sent */
    struct ship_connection *connection;
    struct ship_statements *statements;
    struct ship_result *result;
    struct ship_error *error;
};

int ship_batch_new(struct ship_batch **batchp)
{
    struct ship_batch *batch = calloc(1, sizeof(*batch));
    if (!batch || ship_quarantine_new(&batch->quarantine) != 0) {
        free(batch);
        return -ENOMEM;
    }
    *batchp = batch;
    return 0;
}

struct ship_batch *ship_batch_free(struct ship_batch *batch)
{
    if (!batch)
        return NULL;
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        ship_rows_deinit(&batch->rows[i / VERB_N][i % VERB_N]);
    ship_quarantine_free(batch->quarantine);
    buffer_deinit(&batch->digests);
    free(batch);
    return NULL;
}

static bool has_ended(const struct batch_line *line)
{
    size_t first, n = catalogue_line_columns(catalogue_table(line->table), VERB_END, &first);
    return line->verb == VERB_INSERT && n > 0 && !slice_is_null(line->values[first]);
}

static int keep_line(void *user, const struct batch_line *line)
{
    struct ship_batch *batch = user;
    return ship_rows_add(&batch->rows[line->table][line->verb], line->number, line->id,
                         has_ended(line), line->values, line->n_values);
}

int ship_batch_load(struct ship_batch *batch, struct batch_reader *reader, struct error_text *error)
{
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        ship_rows_clear(&batch->rows[i / VERB_N][i % VERB_N]);
    buffer_clear(&batch->digests);
    batch->number = batch_reader_header(reader)->batch;
    return batch_reader_check_each(reader, keep_line, batch, &batch->digests, error);
}

static enum ship_answer no_memory(struct ship_batch *batch)
{
    return ship_error_set(batch->error, SHIP_FAILED, "not enough memory to ship batch %llu",
                          (unsigned long long)batch->number);
}

static enum ship_answer refuse(struct ship_batch *batch, enum table_id table, enum verb verb,
                               size_t line)
{
    batch->result->rejected[table][verb]++;
    if (ship_quarantine_add(batch->quarantine, line, batch->error) != 0)
        return no_memory(batch);
    return SHIP_OK;
}

/** Why no statement can carry this row: SHIP_ROW_REFUSED, with the error set. */
static enum ship_answer check_row(struct ship_batch *batch, enum table_id table, enum verb verb,
                                  const struct ship_row *row)
{
    size_t limit = batch->connection->max_packet - SHIP_PACKET_MARGIN, first;
    if (catalogue_line_columns(catalogue_table(table), verb, &first) == 0)
        return ship_error_set(batch->error, SHIP_ROW_REFUSED, "%s has nothing to %s",
                              catalogue_table(table)->name, verb_name(verb));
    if (row->wire <= limit)
        return SHIP_OK;
    ship_error_set(batch->error, SHIP_ROW_REFUSED,
                   "the row takes %zu bytes, the server's max_allowed_packet has room for %zu",
                   row->wire, limit);
    batch->error->number = ER_NET_PACKET_TOO_LARGE;
    return SHIP_ROW_REFUSED;
}

/** Rows from @p first on that one array holds, at most @p most, at least one. */
static size_t fitting(const struct ship_batch *batch, const struct ship_rows *rows, size_t first,
                      size_t most)
{
    size_t limit = batch->connection->max_packet / 4, wire = 0, n = 0;
    while (n < most && first + n < rows->n) {
        wire += rows->rows[first + n].wire;
        if (n > 0 && wire > limit)
            break;
        n++;
    }
    return n;
}

/** Undo a refused array; where it may be told, find the bad row of it (1 is the first). */
static enum ship_answer undo(struct ship_batch *batch, const struct ship_array *array, size_t *bad)
{
    struct ship_error failure = SHIP_ERROR_NULL;
    /* an array of updates says row 1, whatever row it was */
    bool told = array->verb == VERB_INSERT && array->n > 1 && batch->error->number != 0;
    *bad = told ? ship_connection_bad_row(batch->connection) : 0;
    enum ship_answer answer =
        ship_connection_run(batch->connection, "ROLLBACK TO SAVEPOINT vestige_array", &failure);
    if (answer == SHIP_OK)
        return SHIP_ROW_REFUSED;
    *batch->error = failure;
    return answer;
}

static enum ship_answer try_array(struct ship_batch *batch, const struct ship_array *array,
                                  size_t *bad)
{
    uint64_t affected = 0;
    *bad = 0;
    enum ship_answer answer =
        check_row(batch, array->table, array->verb, &array->rows->rows[array->first]);
    if (answer != SHIP_OK)
        return answer;
    if (batch->careful)
        answer = ship_connection_run(batch->connection, "SAVEPOINT vestige_array", batch->error);
    if (answer == SHIP_OK)
        answer = ship_statement_execute(batch->statements, array, &affected, batch->error);
    if (answer == SHIP_OK && affected < array->n)
        answer = ship_error_set(batch->error, SHIP_ROW_REFUSED,
                                "no row for this line: it was never stored, or has been %s before",
                                array->verb == VERB_END ? "ended" : "settled");
    return answer == SHIP_ROW_REFUSED && batch->careful ? undo(batch, array, bad) : answer;
}

/** What to send next of a list of rows. */
struct progress {
    size_t first, most;
    size_t suspect; /* a row that the server named, SIZE_MAX: none */
};

static size_t next_length(const struct ship_batch *batch, const struct ship_rows *rows,
                          const struct progress *progress)
{
    size_t n = fitting(batch, rows, progress->first, progress->most);
    if (progress->suspect >= progress->first && progress->suspect - progress->first < n)
        n = progress->suspect > progress->first ? progress->suspect - progress->first : 1;
    return n;
}

static enum ship_answer send_rows(struct ship_batch *batch, enum table_id table, enum verb verb)
{
    const struct ship_rows *rows = &batch->rows[table][verb];
    struct progress progress = {0, SHIP_ARRAY_ROWS, SIZE_MAX};
    while (progress.first < rows->n) {
        struct ship_array array = {table, verb,           batch->number,
                                   rows,  progress.first, next_length(batch, rows, &progress)};
        size_t bad;
        enum ship_answer answer = try_array(batch, &array, &bad);
        if (answer == SHIP_OK) {
            progress.first += array.n;
            if (progress.most < SHIP_ARRAY_ROWS)
                progress.most *= 2;
            continue;
        }
        if (answer != SHIP_ROW_REFUSED || !batch->careful)
            return answer;
        if (array.n > 1) {
            progress.most = array.n / 2;
            progress.suspect = bad > 0 && bad <= array.n ? array.first + bad - 1 : SIZE_MAX;
            continue;
        }
        answer = refuse(batch, table, verb, rows->rows[array.first].line);
        if (answer != SHIP_OK)
            return answer;
        progress.first++;
    }
    return SHIP_OK;
}

static enum ship_answer send_lines(struct ship_batch *batch)
{
    for (size_t i = 0; i < VERB_N * TABLE_N; i++) {
        enum table_id table = (enum table_id)(i % TABLE_N);
        enum verb verb = (enum verb)(i / TABLE_N);
        enum ship_answer answer = send_rows(batch, table, verb);
        if (answer != SHIP_OK)
            return answer;
        batch->result->n_rows += batch->rows[table][verb].n;
    }
    return SHIP_OK;
}

static enum ship_answer send_seal(struct ship_batch *batch, struct batch_reader *reader)
{
    size_t limit = batch->connection->max_packet - SHIP_PACKET_MARGIN;
    if (batch->digests.length > limit)
        return ship_error_set(batch->error, SHIP_FAILED,
                              "the seal of batch %llu takes %zu bytes: raise the server's "
                              "max_allowed_packet",
                              (unsigned long long)batch->number, batch->digests.length);
    enum ship_answer answer =
        ship_connection_run(batch->connection, "START TRANSACTION", batch->error);
    if (answer == SHIP_OK)
        answer = ship_statement_seal(batch->statements, batch_reader_header(reader),
                                     buffer_slice(&batch->digests), batch->error);
    if (answer != SHIP_ROW_REFUSED)
        return answer;
    batch->result->already = batch->error->number == ER_DUP_ENTRY;
    return SHIP_FAILED;
}

static enum ship_answer commit(struct ship_batch *batch)
{
    enum ship_answer answer = ship_connection_run(batch->connection, "COMMIT", batch->error);
    batch->result->uncertain = answer != SHIP_OK && answer != SHIP_TRY_AGAIN;
    return answer == SHIP_ROW_REFUSED ? SHIP_FAILED : answer; /* no row is at fault here */
}

static enum ship_answer send_all(struct ship_batch *batch, struct batch_reader *reader)
{
    enum ship_answer answer = send_seal(batch, reader);
    if (answer == SHIP_OK)
        answer = send_lines(batch);
    if (answer == SHIP_OK)
        answer = ship_quarantine_write(batch->quarantine, batch->statements, reader,
                                       batch->connection->max_packet, batch->error);
    return answer == SHIP_OK ? commit(batch) : answer;
}

static uint64_t count_rejected(const struct ship_result *result)
{
    uint64_t n = 0;
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        n += result->rejected[i / VERB_N][i % VERB_N];
    return n;
}

static enum ship_answer send_with_care(struct ship_batch *batch, struct batch_reader *reader)
{
    enum ship_answer answer = ship_connection_run(batch->connection, "ROLLBACK", batch->error);
    batch->careful = true;
    *batch->result = (struct ship_result){0};
    return answer == SHIP_OK ? send_all(batch, reader) : answer;
}

enum ship_answer ship_batch_send(struct ship_batch *batch, struct ship_connection *connection,
                                 struct ship_statements *statements, struct batch_reader *reader,
                                 struct ship_result *result, struct ship_error *error)
{
    struct ship_error ignored = SHIP_ERROR_NULL;
    batch->connection = connection;
    batch->statements = statements;
    batch->result = result;
    batch->error = error;
    *result = (struct ship_result){0};
    ship_quarantine_clear(batch->quarantine);
    enum ship_answer answer = send_all(batch, reader);
    if (answer == SHIP_ROW_REFUSED)
        answer = send_with_care(batch, reader);
    if (answer == SHIP_OK && count_rejected(result) == 0)
        batch->careful = false;
    if (answer != SHIP_OK && answer != SHIP_LOST)
        ship_connection_run(connection, "ROLLBACK", &ignored);
    return result->already ? SHIP_OK : answer;
}
