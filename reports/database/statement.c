/* The binary protocol, row by row. Each column is asked for as text, so that a value looks as it
 * does at the mariadb prompt; a value that is longer than its cell is fetched again with enough
 * room. */
#include "reports/database/statement.h"
#include "core/cleanup.h"
#include "reports/database/statement_text.h"

#include <time.h>

#define CELL_SIZE      256
#define PARAMETERS_MAX 1000
#define SECOND_US      INT64_C(1000000)

struct statement {
    MYSQL_STMT *handle;
    MYSQL_RES *metadata;
    unsigned n_columns;
    MYSQL_BIND *columns;
    unsigned long *lengths;
    my_bool *nulls;
    struct buffer *cells;
    struct slice *values;
    bool at_end;
    char doing[128];
};

/* What is bound, and the values that the binds point to. */
struct binding {
    const struct statement_value *values;
    size_t n_values, n;
    MYSQL_BIND binds[PARAMETERS_MAX];
    MYSQL_TIME moments[PARAMETERS_MAX];
    struct error_text *error;
    const char *doing;
};

static MYSQL_TIME calendar_of(int64_t us)
{
    int64_t second = us / SECOND_US, rest = us % SECOND_US;
    if (rest < 0) {
        second--;
        rest += SECOND_US;
    }
    time_t moment = (time_t)second;
    struct tm tm;
    gmtime_r(&moment, &tm);
    return (MYSQL_TIME){.year = (unsigned)tm.tm_year + 1900,
                        .month = (unsigned)tm.tm_mon + 1,
                        .day = (unsigned)tm.tm_mday,
                        .hour = (unsigned)tm.tm_hour,
                        .minute = (unsigned)tm.tm_min,
                        .second = (unsigned)tm.tm_sec,
                        .second_part = (unsigned long)rest,
                        .time_type = MYSQL_TIMESTAMP_DATETIME};
}

static void bind_value(MYSQL_BIND *bind, MYSQL_TIME *moment, const struct statement_value *value)
{
    *bind = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_NULL};
    switch (value->kind) {
    case STATEMENT_NULL:
        return;
    case STATEMENT_TEXT:
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = (void *)(uintptr_t)value->text.data;
        bind->buffer_length = value->text.length;
        return;
    case STATEMENT_NUMBER:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = (void *)(uintptr_t)&value->number;
        bind->is_unsigned = 1;
        return;
    case STATEMENT_MOMENT:
    case STATEMENT_DAY:
        *moment = calendar_of(value->us);
        bind->buffer_type = value->kind == STATEMENT_DAY ? MYSQL_TYPE_DATE : MYSQL_TYPE_DATETIME;
        if (value->kind == STATEMENT_DAY)
            moment->time_type = MYSQL_TIMESTAMP_DATE;
        bind->buffer = moment;
        return;
    }
}

static int bind_name(void *user, struct slice name)
{
    struct binding *binding = user;
    if (binding->n == PARAMETERS_MAX)
        return error_set(binding->error, -E2BIG, "cannot %s: more than %d values", binding->doing,
                         PARAMETERS_MAX);
    for (size_t i = 0; i < binding->n_values; i++) {
        if (!slice_is(name, binding->values[i].name))
            continue;
        bind_value(&binding->binds[binding->n], &binding->moments[binding->n], &binding->values[i]);
        binding->n++;
        return 0;
    }
    return error_set(binding->error, -ENOKEY, "cannot %s: its SQL has :%.*s, which is no parameter",
                     binding->doing, (int)name.length, (const char *)name.data);
}

static int prepare(struct statement *statement, struct slice text, struct binding *binding)
{
    MYSQL_STMT *handle = statement->handle;
    if (mysql_stmt_prepare(handle, (const char *)text.data, text.length))
        return database_statement_error(handle, binding->error, binding->doing);
    if (mysql_stmt_param_count(handle) != binding->n)
        return error_set(binding->error, -EINVAL,
                         "cannot %s: its SQL has a `?`; values are written as :name",
                         binding->doing);
    if ((binding->n && mysql_stmt_bind_param(handle, binding->binds)) || mysql_stmt_execute(handle))
        return database_statement_error(handle, binding->error, binding->doing);
    return 0;
}

static int allocate(struct statement *statement)
{
    size_t n = statement->n_columns = mysql_num_fields(statement->metadata);
    statement->columns = calloc(n, sizeof(*statement->columns));
    statement->lengths = calloc(n, sizeof(*statement->lengths));
    statement->nulls = calloc(n, sizeof(*statement->nulls));
    statement->cells = calloc(n, sizeof(*statement->cells));
    statement->values = calloc(n, sizeof(*statement->values));
    if (!statement->columns || !statement->lengths || !statement->nulls || !statement->cells ||
        !statement->values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!buffer_reserve(&statement->cells[i], CELL_SIZE))
            return -ENOMEM;
        statement->columns[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                             .buffer = statement->cells[i].data,
                                             .buffer_length = statement->cells[i].capacity,
                                             .length = &statement->lengths[i],
                                             .is_null = &statement->nulls[i]};
    }
    return 0;
}

static int receive(struct statement *statement, struct error_text *error)
{
    statement->metadata = mysql_stmt_result_metadata(statement->handle);
    if (!statement->metadata)
        return error_set(error, -EINVAL, "cannot %s: its SQL gives no rows", statement->doing);
    if (allocate(statement))
        return error_set(error, -ENOMEM, "cannot %s: out of memory", statement->doing);
    if (mysql_stmt_bind_result(statement->handle, statement->columns))
        return database_statement_error(statement->handle, error, statement->doing);
    return 0;
}

static int run(struct statement *statement, struct slice sql, struct binding *binding)
{
    struct buffer text = BUFFER_NULL;
    int outcome = statement_text_translate(&text, sql, bind_name, binding);
    if (outcome == -EINVAL)
        error_set(binding->error, outcome,
                  "cannot %s: a string or comment of its SQL is not closed", binding->doing);
    if (!outcome && text.failed)
        outcome = error_set(binding->error, -ENOMEM, "cannot %s: out of memory", binding->doing);
    if (!outcome)
        outcome = prepare(statement, buffer_slice(&text), binding);
    buffer_deinit(&text);
    return outcome;
}

static int execute(struct statement **statementp, MYSQL *mysql, const char *sql,
                   const struct statement_value *values, size_t n_values, const char *doing,
                   struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = calloc(1, sizeof(*statement));
    AUTO_FREE struct binding *binding = calloc(1, sizeof(*binding));
    if (!statement || !binding || !(statement->handle = mysql_stmt_init(mysql)))
        return error_set(error, -ENOMEM, "cannot %s: out of memory", doing);
    snprintf(statement->doing, sizeof(statement->doing), "%s", doing);
    binding->values = values;
    binding->n_values = n_values;
    binding->error = error;
    binding->doing = doing;
    int outcome = run(statement, slice_text(sql), binding);
    if (outcome)
        return outcome;
    *statementp = statement;
    statement = NULL;
    return 0;
}

int statement_run(struct statement **statementp, MYSQL *mysql, const char *sql,
                  const struct statement_value *values, size_t n_values, const char *doing,
                  struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    int outcome = execute(&statement, mysql, sql, values, n_values, doing, error);
    if (!outcome)
        outcome = receive(statement, error);
    if (outcome)
        return outcome;
    *statementp = statement;
    statement = NULL;
    return 0;
}

int statement_do(MYSQL *mysql, const char *sql, const struct statement_value *values,
                 size_t n_values, const char *doing, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    int outcome = execute(&statement, mysql, sql, values, n_values, doing, error);
    if (outcome)
        return outcome;
    int more;
    while ((more = mysql_stmt_next_result(statement->handle)) == 0)
        continue;
    return more > 0 ? database_statement_error(statement->handle, error, doing) : 0;
}

unsigned statement_n_columns(const struct statement *statement)
{
    return statement->n_columns;
}

const MYSQL_FIELD *statement_fields(const struct statement *statement)
{
    return mysql_fetch_fields(statement->metadata);
}

/* A value that did not fit: make room, here and for the rows to come. */
static int fetch_again(struct statement *statement, unsigned i)
{
    struct buffer *cell = &statement->cells[i];
    if (!buffer_reserve(cell, statement->lengths[i] + 1))
        return -ENOMEM;
    statement->columns[i].buffer = cell->data;
    statement->columns[i].buffer_length = cell->capacity;
    if (mysql_stmt_fetch_column(statement->handle, &statement->columns[i], i, 0))
        return -EIO;
    return 0;
}

static int take_values(struct statement *statement)
{
    bool grew = false;
    for (unsigned i = 0; i < statement->n_columns; i++) {
        bool is_null = statement->nulls[i];
        if (!is_null && statement->lengths[i] > statement->columns[i].buffer_length) {
            int outcome = fetch_again(statement, i);
            if (outcome)
                return outcome;
            grew = true;
        }
        statement->values[i] =
            is_null ? SLICE_NULL : slice_of(statement->cells[i].data, statement->lengths[i]);
    }
    return grew && mysql_stmt_bind_result(statement->handle, statement->columns) ? -EIO : 0;
}

int statement_next(struct statement *statement, const struct slice **valuesp,
                   struct error_text *error)
{
    if (statement->at_end)
        return STATEMENT_END;
    int fetched = mysql_stmt_fetch(statement->handle);
    if (fetched == MYSQL_NO_DATA) {
        statement->at_end = true;
        return STATEMENT_END;
    }
    if (fetched != 0 && fetched != MYSQL_DATA_TRUNCATED)
        return database_statement_error(statement->handle, error, statement->doing);
    int outcome = take_values(statement);
    if (outcome == -ENOMEM)
        return error_set(error, outcome, "cannot %s: out of memory", statement->doing);
    if (outcome)
        return database_statement_error(statement->handle, error, statement->doing);
    *valuesp = statement->values;
    return STATEMENT_ROW;
}

struct statement *statement_free(struct statement *statement)
{
    if (!statement)
        return NULL;
    for (unsigned i = 0; statement->cells && i < statement->n_columns; i++)
        buffer_deinit(&statement->cells[i]);
    if (statement->metadata)
        mysql_free_result(statement->metadata);
    if (statement->handle)
        mysql_stmt_close(statement->handle);
    free(statement->columns);
    free(statement->lengths);
    free(statement->nulls);
    free(statement->cells);
    free(statement->values);
    free(statement);
    return NULL;
}
