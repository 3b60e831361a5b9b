/* Column-wise arrays, as the examples of MariaDB have it; what the shipper is compared with. */
#include "ship_bare.h"

#include "core/buffer.h"
#include "recorder/batch_reader.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define OWN_N    4 /* id, day, batch, end_batch */
#define PARAMS_N (OWN_N + PROCESS_COLUMN_N)

struct column_array {
    char **values;
    unsigned long *lengths;
    char *indicators;
};

static void give_up(const char *what)
{
    fprintf(stderr, "ship_tool: %s\n", what);
    exit(2);
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory)
        give_up("not enough memory");
    return memory;
}

static void set(struct column_array *column, size_t row, struct slice value)
{
    column->indicators[row] = slice_is_null(value) ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
    column->values[row] = allocate(value.length + 1, 1);
    if (!slice_is_null(value))
        memcpy(column->values[row], value.data, value.length);
    column->lengths[row] = value.length;
}

static void set_row(struct column_array *columns, size_t row, uint64_t batch,
                    const struct batch_line *line)
{
    char id[24], number[24], day[24];
    time_t seconds = (time_t)(line->id / 1000000);
    struct tm tm;
    snprintf(id, sizeof(id), "%llu", (unsigned long long)line->id);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)batch);
    strftime(day, sizeof(day), "%Y-%m-%d", gmtime_r(&seconds, &tm));
    set(&columns[0], row, slice_text(id));
    set(&columns[1], row, slice_text(day));
    set(&columns[2], row, slice_text(number));
    set(&columns[3], row,
        slice_is_null(line->values[PROCESS_DESTROYED_AT]) ? SLICE_NULL : slice_text(number));
    for (size_t i = 0; i < PROCESS_COLUMN_N; i++)
        set(&columns[OWN_N + i], row, line->values[i]);
}

static MYSQL *connect_to(const char *defaults_file)
{
    MYSQL *mysql = mysql_init(NULL);
    mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, defaults_file);
    mysql_options(mysql, MYSQL_READ_DEFAULT_GROUP, "vestige");
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(mysql, NULL, NULL, NULL, NULL, 0, NULL, 0) ||
        mysql_query(mysql, "SET SESSION tx_isolation = 'READ-COMMITTED', time_zone = '+00:00'"))
        give_up(mysql_error(mysql));
    return mysql;
}

static MYSQL_STMT *prepare(MYSQL *mysql, uint64_t host_id)
{
    const struct table *table = catalogue_table(TABLE_PROCESS);
    struct buffer text = BUFFER_NULL;
    buffer_append_text(&text, "INSERT INTO process_in (host_id, id, day, batch, end_batch");
    for (size_t i = 0; i < table->n_columns; i++)
        buffer_printf(&text, ", `%s`", table->columns[i].name);
    buffer_printf(&text, ") VALUES (%llu", (unsigned long long)host_id);
    for (size_t i = 0; i < PARAMS_N; i++)
        buffer_append_text(&text, ", ?");
    buffer_append_text(&text, ")");
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (mysql_stmt_prepare(statement, (const char *)text.data, text.length) != 0)
        give_up(mysql_stmt_error(statement));
    buffer_deinit(&text);
    return statement;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double insert(MYSQL *mysql, MYSQL_STMT *statement, struct column_array *columns, size_t n)
{
    MYSQL_BIND params[PARAMS_N] = {0};
    unsigned size = (unsigned)n;
    for (size_t i = 0; i < PARAMS_N; i++) {
        params[i].buffer_type = MYSQL_TYPE_STRING;
        params[i].buffer = columns[i].values;
        params[i].length = columns[i].lengths;
        params[i].u.indicator = columns[i].indicators;
    }
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &size);
    mysql_stmt_bind_param(statement, params);
    double start = seconds();
    if (mysql_query(mysql, "START TRANSACTION") || mysql_stmt_execute(statement) ||
        mysql_query(mysql, "COMMIT"))
        give_up(mysql_stmt_errno(statement) ? mysql_stmt_error(statement) : mysql_error(mysql));
    return seconds() - start;
}

/** Insert one batch. Returns the seconds that took; adds its rows to *@p n_rows. */
static double insert_batch(MYSQL *mysql, MYSQL_STMT *statement, const char *path, size_t *n_rows)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct batch_reader *reader;
    struct column_array columns[PARAMS_N];
    struct batch_line line;
    size_t n = 0;
    if (batch_reader_open(&reader, path, &error) != 0)
        give_up(error.text);
    const struct batch_header *header = batch_reader_header(reader);
    for (size_t i = 0; i < PARAMS_N; i++)
        columns[i] = (struct column_array){allocate(header->n_lines, sizeof(char *)),
                                           allocate(header->n_lines, sizeof(unsigned long)),
                                           allocate(header->n_lines, 1)};
    while (batch_reader_next(reader, &line, &error) == BATCH_READER_LINE)
        set_row(columns, n++, header->batch, &line);
    double elapsed = insert(mysql, statement, columns, n);
    for (size_t i = 0; i < PARAMS_N; i++) {
        for (size_t row = 0; row < n; row++)
            free(columns[i].values[row]);
        free(columns[i].values);
        free(columns[i].lengths);
        free(columns[i].indicators);
    }
    batch_reader_free(reader);
    *n_rows += n;
    return elapsed;
}

int ship_bare(struct journal *journal, const char *defaults_file, uint64_t host_id)
{
    struct journal_status status;
    MYSQL *mysql = connect_to(defaults_file);
    MYSQL_STMT *statement = prepare(mysql, host_id);
    uint64_t first = journal_next_to_ship(journal);
    double elapsed = 0;
    size_t n_rows = 0;
    journal_get_status(journal, &status);
    for (uint64_t batch = first; batch && batch <= status.last_batch; batch++) {
        char path[4096];
        journal_batch_path(journal, batch, path);
        elapsed += insert_batch(mysql, statement, path, &n_rows);
    }
    printf("rows %zu\nseconds %.6f\n", n_rows, elapsed);
    mysql_stmt_close(statement);
    mysql_close(mysql);
    return 0;
}
