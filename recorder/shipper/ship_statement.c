/*
 * Arrays are bound by a callback of libmariadb, which is asked for one row after the other while
 * the packet is built, so that the packed rows are copied once and no arrays of pointers are made.
 * Everything is bound as text, as it stands in the journal, except numbers of our own.
 *
 * A statement takes 100 KiB of the server's memory, and the server has a limit for all agents
 * together (max_prepared_stmt_count). So only those are kept that were used last.
 */
#include "recorder/shipper/ship_statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TIME_SIZE 40
#define SECOND_US UINT64_C(1000000)
#define DAY_US    (UINT64_C(86400) * SECOND_US)
#define KEPT_N    12 /* statements for rows; a busy host uses eight all the time */

struct ship_statements {
    struct ship_connection *connection;
    uint64_t host_id;
    MYSQL_STMT *rows[TABLE_N][VERB_N];
    uint64_t used[TABLE_N][VERB_N], n_used; /* when each was used last, by number */
    size_t n_kept;
    MYSQL_STMT *seal, *reject;
};

/** What the callback needs to bind the next row. */
struct binding {
    const struct ship_array *array;
    size_t n_columns;
    uint64_t id, batch, day_number;
    char day[TIME_SIZE];
    unsigned long day_length;
    char is_value, is_null, end_batch;
};

int ship_statement_new(struct ship_statements **statementsp, struct ship_connection *connection,
                       uint64_t host_id)
{
    struct ship_statements *statements = calloc(1, sizeof(*statements));
    if (!statements)
        return -ENOMEM;
    statements->connection = connection;
    statements->host_id = host_id;
    *statementsp = statements;
    return 0;
}

static void close_statement(MYSQL_STMT *statement)
{
    if (statement)
        mysql_stmt_close(statement);
}

struct ship_statements *ship_statement_free(struct ship_statements *statements)
{
    if (!statements)
        return NULL;
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        close_statement(statements->rows[i / VERB_N][i % VERB_N]);
    close_statement(statements->seal);
    close_statement(statements->reject);
    free(statements);
    return NULL;
}

static void insert_text(struct buffer *to, const struct table *table, uint64_t host_id)
{
    buffer_printf(to, "INSERT INTO %s_in (host_id, id, day, batch, end_batch", table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        buffer_printf(to, ", `%s`", table->columns[i].name);
    buffer_printf(to, ") VALUES (%llu, ?, ?, ?, ?", (unsigned long long)host_id);
    for (size_t i = 0; i < table->n_columns; i++)
        buffer_append_text(to, ", ?");
    buffer_append_text(to, ")");
}

static void update_text(struct buffer *to, const struct table *table, enum verb verb,
                        uint64_t host_id)
{
    size_t first, n = catalogue_line_columns(table, verb, &first);
    buffer_printf(to, "UPDATE %s_%s SET ", table->name, verb_name(verb));
    for (size_t i = first; i < first + n; i++)
        buffer_printf(to, "`%s` = ?, ", table->columns[i].name);
    buffer_printf(to, "%s_batch = ? WHERE host_id = %llu AND id = ? AND day = ?", verb_name(verb),
                  (unsigned long long)host_id);
}

void ship_statement_text(struct buffer *to, enum table_id table, enum verb verb, uint64_t host_id)
{
    if (verb == VERB_INSERT)
        insert_text(to, catalogue_table(table), host_id);
    else
        update_text(to, catalogue_table(table), verb, host_id);
}

/** Prepare @p text into *@p statementp, unless that was done before. */
static enum ship_answer prepare(struct ship_statements *statements, struct slice text,
                                MYSQL_STMT **statementp, struct ship_error *error)
{
    if (*statementp)
        return SHIP_OK;
    enum ship_answer answer =
        ship_connection_prepare(statements->connection, text, statementp, error);
    return answer == SHIP_ROW_REFUSED ? SHIP_FAILED : answer;
}

static void bind_bytes(MYSQL_BIND *bind, struct slice bytes)
{
    bind->buffer_type = MYSQL_TYPE_STRING;
    bind->buffer = (void *)(uintptr_t)bytes.data;
    bind->buffer_length = bytes.length;
}

static void bind_number(MYSQL_BIND *bind, uint64_t *number)
{
    bind->buffer_type = MYSQL_TYPE_LONGLONG;
    bind->is_unsigned = 1;
    bind->buffer = number;
}

/** `day` of an id; nearly all rows of an array have the same. */
static void set_day(struct binding *binding, uint64_t id)
{
    time_t seconds = (time_t)(id / SECOND_US);
    struct tm tm;
    if (binding->day_length && id / DAY_US == binding->day_number)
        return;
    binding->day_number = id / DAY_US;
    binding->day_length =
        gmtime_r(&seconds, &tm) ? strftime(binding->day, TIME_SIZE, "%Y-%m-%d", &tm) : 0;
}

/** Position of the parameters in an array's statement. */
struct places {
    size_t columns, id, day, batch, end_batch;
};

static struct places places_of(enum verb verb, size_t n_columns)
{
    if (verb == VERB_INSERT)
        return (struct places){.id = 0, .day = 1, .batch = 2, .end_batch = 3, .columns = 4};
    return (struct places){
        .columns = 0, .batch = n_columns, .id = n_columns + 1, .day = n_columns + 2};
}

/** libmariadb asks for the parameters of the next row. Non-zero would be a failure. */
static my_bool bind_row(void *user, MYSQL_BIND *params, unsigned int number)
{
    struct binding *binding = user;
    const struct ship_array *array = binding->array;
    const struct ship_row *row = &array->rows->rows[array->first + number];
    struct places places = places_of(array->verb, binding->n_columns);
    size_t offset = row->offset;
    binding->id = row->id;
    set_day(binding, row->id);
    params[places.day].buffer_length = binding->day_length;
    if (array->verb == VERB_INSERT)
        binding->end_batch = row->ended ? STMT_INDICATOR_NONE : STMT_INDICATOR_NULL;
    for (MYSQL_BIND *bind = params + places.columns, *end = bind + binding->n_columns; bind < end;
         bind++) {
        struct slice value = ship_rows_value(array->rows, &offset);
        bind->buffer = (void *)(uintptr_t)value.data;
        bind->buffer_length = value.length;
        bind->u.indicator = value.data ? &binding->is_value : &binding->is_null;
    }
    return 0;
}

static void bind_array(struct binding *binding, MYSQL_BIND *params)
{
    enum verb verb = binding->array->verb;
    struct places places = places_of(verb, binding->n_columns);
    binding->is_value = STMT_INDICATOR_NONE;
    binding->is_null = STMT_INDICATOR_NULL;
    binding->batch = binding->array->batch;
    for (size_t i = 0; i < binding->n_columns; i++)
        bind_bytes(&params[places.columns + i], slice_text(""));
    bind_number(&params[places.id], &binding->id);
    bind_bytes(&params[places.day], slice_of(binding->day, 0));
    bind_number(&params[places.batch], &binding->batch);
    if (verb == VERB_INSERT) {
        bind_number(&params[places.end_batch], &binding->batch);
        params[places.end_batch].u.indicator = &binding->end_batch;
    }
}

static void close_unused(struct ship_statements *statements)
{
    MYSQL_STMT **oldest = NULL;
    uint64_t used = UINT64_MAX;
    for (size_t i = 0; i < TABLE_N * VERB_N; i++) {
        size_t table = i / VERB_N, verb = i % VERB_N;
        if (!statements->rows[table][verb] || statements->used[table][verb] > used)
            continue;
        oldest = &statements->rows[table][verb];
        used = statements->used[table][verb];
    }
    if (!oldest)
        return;
    close_statement(*oldest);
    *oldest = NULL;
    statements->n_kept--;
}

static enum ship_answer prepare_rows(struct ship_statements *statements,
                                     const struct ship_array *array, struct ship_error *error)
{
    MYSQL_STMT **statementp = &statements->rows[array->table][array->verb];
    statements->used[array->table][array->verb] = ++statements->n_used;
    if (*statementp)
        return SHIP_OK;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    ship_statement_text(&text, array->table, array->verb, statements->host_id);
    if (text.failed)
        return ship_error_set(error, SHIP_FAILED, "not enough memory for a statement");
    if (statements->n_kept == KEPT_N)
        close_unused(statements);
    enum ship_answer answer = prepare(statements, buffer_slice(&text), statementp, error);
    statements->n_kept += answer == SHIP_OK;
    return answer;
}

enum ship_answer ship_statement_execute(struct ship_statements *statements,
                                        const struct ship_array *array, uint64_t *affected,
                                        struct ship_error *error)
{
    enum ship_answer answer = prepare_rows(statements, array, error);
    if (answer != SHIP_OK)
        return answer;
    MYSQL_STMT *statement = statements->rows[array->table][array->verb];
    size_t first;
    struct binding binding = {.array = array};
    binding.n_columns = catalogue_line_columns(catalogue_table(array->table), array->verb, &first);
    MYSQL_BIND params[SHIP_PARAMETERS_MAX] = {0};
    unsigned size = (unsigned)array->n;
    bind_array(&binding, params);
    mysql_stmt_attr_set(statement, STMT_ATTR_CB_USER_DATA, &binding);
    mysql_stmt_attr_set(statement, STMT_ATTR_CB_PARAM, (const void *)(uintptr_t)bind_row);
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &size);
    if (mysql_stmt_bind_param(statement, params) != 0 || mysql_stmt_execute(statement) != 0)
        return ship_connection_statement_error(statement, error);
    *affected = mysql_stmt_affected_rows(statement);
    return mysql_warning_count(statements->connection->mysql)
               ? ship_connection_warnings(statements->connection, error)
               : SHIP_OK;
}

static struct slice time_text(uint64_t real_us, char text[TIME_SIZE])
{
    time_t seconds = (time_t)(real_us / SECOND_US);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return slice_text("");
    size_t length = strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
    int more =
        snprintf(text + length, TIME_SIZE - length, ".%06u", (unsigned)(real_us % SECOND_US));
    return slice_of(text, length + (size_t)more);
}

static enum ship_answer execute_single(MYSQL_STMT *statement, MYSQL_BIND *params,
                                       struct ship_error *error)
{
    if (mysql_stmt_bind_param(statement, params) != 0 || mysql_stmt_execute(statement) != 0)
        return ship_connection_statement_error(statement, error);
    return SHIP_OK;
}

enum ship_answer ship_statement_seal(struct ship_statements *statements,
                                     const struct batch_header *header, struct slice digests,
                                     struct ship_error *error)
{
    static const char text[] =
        "INSERT INTO batch_in (host_id, batch, hash, previous_hash, format, boot_id, first_time, "
        "last_time, n_lines, births, cursors, recovered, server_offset_us, digests, signature) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    enum ship_answer answer =
        prepare(statements, slice_of(text, sizeof(text) - 1), &statements->seal, error);
    if (answer != SHIP_OK)
        return answer;
    char first[TIME_SIZE], last[TIME_SIZE];
    uint64_t host_id = header->host_id, batch = header->batch, format = header->format;
    uint64_t n_lines = header->n_lines, births = header->births, recovered = header->recovered;
    uint64_t offset = (uint64_t)ship_connection_offset(statements->connection->server_boot_us);
    MYSQL_BIND params[15] = {0};
    bind_number(&params[0], &host_id);
    bind_number(&params[1], &batch);
    bind_bytes(&params[2], slice_of(header->hash, BATCH_HASH_SIZE));
    bind_bytes(&params[3], slice_of(header->previous_hash, BATCH_HASH_SIZE));
    bind_number(&params[4], &format);
    bind_bytes(&params[5], slice_text(header->boot_id));
    bind_bytes(&params[6], time_text(header->first_us, first));
    bind_bytes(&params[7], time_text(header->last_us, last));
    bind_number(&params[8], &n_lines);
    bind_number(&params[9], &births);
    bind_bytes(&params[10], slice_text(header->cursors));
    bind_number(&params[11], &recovered);
    bind_number(&params[12], &offset);
    params[12].is_unsigned = 0;
    bind_bytes(&params[13], digests);
    bind_bytes(&params[14], slice_of(header->signature, SIGNATURE_SIZE));
    params[2].buffer_type = params[3].buffer_type = params[13].buffer_type = MYSQL_TYPE_BLOB;
    params[14].buffer_type = batch_header_signed(header) ? MYSQL_TYPE_BLOB : MYSQL_TYPE_NULL;
    return execute_single(statements->seal, params, error);
}

enum ship_answer ship_statement_reject(struct ship_statements *statements,
                                       const struct ship_rejected *rejected,
                                       struct ship_error *error)
{
    static const char text[] = "INSERT INTO rejected_in (host_id, batch, line, table_name, text, "
                               "error, message) VALUES (?, ?, ?, ?, ?, ?, ?)";
    enum ship_answer answer =
        prepare(statements, slice_of(text, sizeof(text) - 1), &statements->reject, error);
    if (answer != SHIP_OK)
        return answer;
    uint64_t host_id = statements->host_id, batch = rejected->batch, line = rejected->line;
    uint64_t number = rejected->error;
    MYSQL_BIND params[7] = {0};
    bind_number(&params[0], &host_id);
    bind_number(&params[1], &batch);
    bind_number(&params[2], &line);
    bind_bytes(&params[3], slice_text(catalogue_table(rejected->table)->name));
    bind_bytes(&params[4], rejected->text);
    bind_number(&params[5], &number);
    bind_bytes(&params[6], slice_text(rejected->message));
    return execute_single(statements->reject, params, error);
}
