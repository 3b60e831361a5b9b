/* Column-wise arrays, as the examples of MariaDB have it; what the shipper is compared with. */
#include "ship_bare.h"

#include "core/buffer.h"
#include "recorder/journal/batch_reader.h"

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

static MYSQL_STMT *prepare(MYSQL *mysql, uint64_t host_id, const char *name)
{
    const struct table *table = catalogue_table(TABLE_PROCESS);
    struct buffer text = BUFFER_NULL;
    buffer_printf(&text, "INSERT INTO %s (host_id, id, day, batch, end_batch", name);
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

struct bare_batch {
    struct column_array columns[PARAMS_N];
    size_t n;
};

struct bare {
    MYSQL *mysql;
    MYSQL_STMT *statement;
    struct bare_batch *batches;
    size_t n_batches, n_rows;
};

static double insert(struct bare *bare, struct bare_batch *batch)
{
    MYSQL *mysql = bare->mysql;
    MYSQL_STMT *statement = bare->statement;
    MYSQL_BIND params[PARAMS_N] = {0};
    unsigned size = (unsigned)batch->n;
    for (size_t i = 0; i < PARAMS_N; i++) {
        params[i].buffer_type = MYSQL_TYPE_STRING;
        params[i].buffer = batch->columns[i].values;
        params[i].length = batch->columns[i].lengths;
        params[i].u.indicator = batch->columns[i].indicators;
    }
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &size);
    mysql_stmt_bind_param(statement, params);
    double start = seconds();
    if (mysql_query(mysql, "START TRANSACTION") || mysql_stmt_execute(statement) ||
        mysql_query(mysql, "COMMIT"))
        give_up(mysql_stmt_errno(statement) ? mysql_stmt_error(statement) : mysql_error(mysql));
    return seconds() - start;
}

static void load_batch(struct bare *bare, struct bare_batch *batch, const char *path)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct batch_reader *reader;
    struct batch_line line;
    if (batch_reader_open(&reader, path, &error) != 0)
        give_up(error.text);
    const struct batch_header *header = batch_reader_header(reader);
    for (size_t i = 0; i < PARAMS_N; i++)
        batch->columns[i] = (struct column_array){allocate(header->n_lines, sizeof(char *)),
                                                  allocate(header->n_lines, sizeof(unsigned long)),
                                                  allocate(header->n_lines, 1)};
    while (batch_reader_next(reader, &line, &error) == BATCH_READER_LINE)
        set_row(batch->columns, batch->n++, header->batch, &line);
    batch_reader_free(reader);
    bare->n_rows += batch->n;
}

static void free_batch(struct bare_batch *batch)
{
    for (size_t i = 0; i < PARAMS_N; i++) {
        for (size_t row = 0; row < batch->n; row++)
            free(batch->columns[i].values[row]);
        free(batch->columns[i].values);
        free(batch->columns[i].lengths);
        free(batch->columns[i].indicators);
    }
}

struct bare *ship_bare_load(struct journal *journal, const char *defaults_file, uint64_t host_id,
                            const char *table)
{
    struct journal_status status;
    struct bare *bare = allocate(1, sizeof(*bare));
    bare->mysql = connect_to(defaults_file);
    bare->statement = prepare(bare->mysql, host_id, table);
    journal_get_status(journal, &status);
    bare->batches = allocate(status.n_batches, sizeof(*bare->batches));
    for (uint64_t batch = journal_next_to_ship(journal); batch && batch <= status.last_batch;
         batch++) {
        char path[4096];
        journal_batch_path(journal, batch, path);
        load_batch(bare, &bare->batches[bare->n_batches++], path);
    }
    return bare;
}

double ship_bare_insert(struct bare *bare)
{
    double elapsed = 0;
    for (size_t i = 0; i < bare->n_batches; i++)
        elapsed += insert(bare, &bare->batches[i]);
    return elapsed;
}

void ship_bare_free(struct bare *bare)
{
    for (size_t i = 0; i < bare->n_batches; i++)
        free_batch(&bare->batches[i]);
    mysql_stmt_close(bare->statement);
    mysql_close(bare->mysql);
    free(bare->batches);
    free(bare);
}

int ship_bare(struct journal *journal, const char *defaults_file, uint64_t host_id)
{
    struct bare *bare = ship_bare_load(journal, defaults_file, host_id, "process_in");
    double elapsed = ship_bare_insert(bare);
    printf("rows %zu\nseconds %.6f\n", bare->n_rows, elapsed);
    ship_bare_free(bare);
    return 0;
}
