/* The rows of a part are read in the order of the primary key, which is the order of the pages; no
 * other order is needed. */
#include "reports/verify/verify_private.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>

#define FIXED       8 /* columns before those of the catalogue */
#define VALUES_MOST 64

/* --- reading --- */

int rows_reading_begin(struct rows_reading *reading, MYSQL *mysql, struct error_text *error,
                       const char *doing, const char *format, ...)
{
    AUTO_FREE char *sql = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&sql, format, arguments);
    va_end(arguments);
    if (length < 0) {
        sql = NULL;
        return error_set(error, -ENOMEM, "cannot %s: out of memory", doing);
    }
    *reading = (struct rows_reading){.mysql = mysql, .doing = doing};
    if (mysql_real_query(mysql, sql, (unsigned long)length))
        return database_error(mysql, error, doing);
    reading->result = mysql_use_result(mysql);
    return reading->result ? 0 : database_error(mysql, error, doing);
}

int reading_next(struct rows_reading *reading, MYSQL_ROW *rowp, unsigned long **lengthsp,
                 struct error_text *error)
{
    MYSQL_ROW row = mysql_fetch_row(reading->result);
    if (!row)
        return mysql_errno(reading->mysql) ? database_error(reading->mysql, error, reading->doing)
                                           : READING_END;
    *rowp = row;
    *lengthsp = mysql_fetch_lengths(reading->result);
    return READING_ROW;
}

void rows_reading_end(struct rows_reading *reading)
{
    if (reading->result)
        mysql_free_result(reading->result);
    reading->result = NULL;
}

/* --- rows of a part --- */

/* Columns that the server computes from others: whoever is root can have it compute something else,
 * and it is what answers show. In no line of an agent's finding is what the server keeps there.
 * To compute a command line of each row takes half of the time, so it is done only where the
 * column's definition is not the one that is known. */
static const char *odd_of(const struct verify *verify, enum table_id id)
{
    switch ((int)id) {
    case TABLE_PROCESS:
        return verify->is_usual ? "NULL, 0"
                                : "NULL, NOT cmdline <=> CASE WHEN argv0 IS NULL THEN arguments "
                                  "WHEN arguments = ''"
                                  " THEN argv0 ELSE CONCAT_WS(' ', argv0, arguments) END";
    case TABLE_FINDING:
        return "schedule_id, last_seen IS NOT NULL OR row_keys IS NOT NULL OR complete IS NOT NULL"
               " OR NOT first_seen <=> created_at";
    default:
        return "NULL, 0";
    }
}

static void append_columns(struct buffer *sql, const struct verify *verify,
                           const struct table *table, enum table_id id)
{
    buffer_printf(sql,
                  "SELECT host_id, id, DATEDIFF(day, '1970-01-01'), batch, settle_batch, end_batch,"
                  " %s",
                  odd_of(verify, id));
    for (size_t i = 0; i < table->n_columns; i++)
        buffer_printf(sql, ", `%s`", table->columns[i].name);
}

static void append_from(struct buffer *sql, const struct unit *unit, const struct verify *verify)
{
    buffer_printf(sql, " FROM %s", catalogue_table(unit->table)->name);
    if (*unit->partition)
        buffer_printf(sql, " PARTITION (%s)", unit->partition);
    buffer_append_text(sql, " FORCE INDEX (PRIMARY)");
    const char *word = " WHERE";
    if (unit->first_host > 0 || unit->last_host < UINT32_MAX) {
        if (unit->first_host == unit->last_host)
            buffer_printf(sql, " WHERE host_id = %" PRIu32, unit->first_host);
        else
            buffer_printf(sql, " WHERE host_id BETWEEN %" PRIu32 " AND %" PRIu32, unit->first_host,
                          unit->last_host);
        word = " AND";
    }
    if (unit->first_id > 0 || unit->last_id < UINT64_MAX) {
        buffer_printf(sql, "%s id BETWEEN %" PRIu64 " AND %" PRIu64, word, unit->first_id,
                      unit->last_id);
        word = " AND";
    }
    if (unit->has_days)
        buffer_printf(sql,
                      " AND day BETWEEN '1970-01-01' + INTERVAL %" PRId64
                      " DAY AND '1970-01-01' + INTERVAL %" PRId64 " DAY",
                      day_of_id(unit->first_id), day_of_id(unit->last_id));
    if (!verify->options->since)
        return;
    buffer_printf(sql, "%s CASE host_id", word);
    for (size_t i = 0; i < verify->n_hosts; i++)
        buffer_printf(sql,
                      " WHEN %" PRIu32 " THEN GREATEST(batch, COALESCE(settle_batch, 0),"
                      " COALESCE(end_batch, 0)) >= %" PRIu64,
                      verify->hosts[i].host_id, verify->hosts[i].first);
    buffer_append_text(sql, verify->n_hosts ? " ELSE 1 END" : " WHEN NULL THEN 0 ELSE 1 END");
}

static void find_plain(const MYSQL_RES *result, bool plain[VALUES_MOST])
{
    const MYSQL_FIELD *fields = mysql_fetch_fields((MYSQL_RES *)(uintptr_t)result);
    for (unsigned i = FIXED; i < mysql_num_fields((MYSQL_RES *)(uintptr_t)result); i++)
        switch (fields[i].type) {
        case MYSQL_TYPE_TINY:
        case MYSQL_TYPE_SHORT:
        case MYSQL_TYPE_LONG:
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONGLONG:
        case MYSQL_TYPE_DATE:
        case MYSQL_TYPE_DATETIME:
            plain[i - FIXED] = true;
            break;
        default:
            plain[i - FIXED] = false;
        }
}

struct misplaced {
    uint32_t host_id; /* of the first */
    uint64_t id, n;
};

/* What no line of the row holds follows from its id and from its lines. */
static const char *find_wrong(const struct row *row, MYSQL_ROW cells)
{
    const struct table *table = catalogue_table(row->table);
    size_t settle, end;
    if (!cells[2] || strtoll(cells[2], NULL, 10) != day_of_id(row->id))
        return "day wrong";
    if (row->settled && !catalogue_line_columns(table, VERB_SETTLE, &settle))
        return "changed";
    if (catalogue_line_columns(table, VERB_END, &end) && (cells[FIXED + end] != NULL) != row->ended)
        return "changed"; /* destroyed_at without end_batch, or the other way round */
    return *cells[7] == '1' ? "changed" : NULL;
}

/* Of a day of which others were dropped. */
static void count_row(struct worker *worker, const struct row *row)
{
    struct retained_day *day =
        retained_find(worker->verify->retained, row->table, row->host_id, day_of_id(row->id));
    if (day)
        day->n_rows++;
}

static int take_row(struct worker *worker, struct row *row, struct slice *values, MYSQL_ROW cells,
                    const unsigned long *lengths, verify_row_handler handle)
{
    size_t n = catalogue_table(row->table)->n_columns;
    row->host_id = (uint32_t)database_u64(cells[0]);
    row->id = database_u64(cells[1]);
    if (!worker->verify->matcher)
        count_row(worker, row);
    if (cells[6])
        return 0; /* the server's own finding */
    row->batch = database_u64(cells[3]);
    row->settled = cells[4] != NULL;
    row->settle_batch = database_u64(cells[4]);
    row->ended = cells[5] != NULL;
    row->end_batch = database_u64(cells[5]);
    for (size_t i = 0; i < n; i++)
        values[i] = cells[FIXED + i] ? slice_of(cells[FIXED + i], lengths[FIXED + i]) : SLICE_NULL;
    return handle(worker, row, find_wrong(row, cells));
}

/* Retention makes the first partition larger now and then. */
static bool has_moved(struct worker *worker, const struct unit *unit, const char *partition,
                      int64_t end_day)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    MYSQL_RES *result AUTO_RESULT = NULL;
    const struct verify_options *options = worker->verify->options;
    struct error_text ignored;
    return !options->connect(&mysql, options->user, &ignored) &&
           !database_query(mysql, &result, &ignored, "list the partitions",
                           "SELECT 1 FROM information_schema.partitions WHERE table_schema ="
                           " DATABASE() AND table_name = '%s' AND partition_name = '%s' AND"
                           " COALESCE(DATEDIFF(NULLIF(TRIM(BOTH '''' FROM partition_description),"
                           " 'MAXVALUE'), '1970-01-01'), %" PRId64 ") = %" PRId64,
                           catalogue_table(unit->table)->name, partition, END_DAY, end_day) &&
           mysql_num_rows(result) == 0;
}

static void tell_misplaced(struct worker *worker, const struct unit *unit, const char *partition,
                           int64_t end_day, const struct misplaced *misplaced)
{
    if (has_moved(worker, unit, partition, end_day))
        return;
    struct difference told = {.host_id = misplaced->host_id,
                              .table = catalogue_table(unit->table)->name,
                              .has_id = true,
                              .id = misplaced->id,
                              .what = "in a partition of other days"};
    snprintf(told.detail, sizeof(told.detail),
             "%" PRIu64 " row%s in %.64s, which questions about their days do not find",
             misplaced->n, misplaced->n == 1 ? "" : "s", partition);
    differences_add(worker->verify->result->differences, &told);
}

static void look_at_place(struct misplaced *misplaced, const struct unit *unit, MYSQL_ROW cells)
{
    int64_t day = cells[2] ? strtoll(cells[2], NULL, 10) : FIRST_DAY - 1;
    if (unit->places || (day >= unit->first_day && day < unit->end_day))
        return;
    if (!misplaced->n++) {
        misplaced->host_id = (uint32_t)database_u64(cells[0]);
        misplaced->id = database_u64(cells[1]);
    }
}

static int look_at_places(struct worker *worker, const struct unit *unit)
{
    struct rows_reading reading;
    MYSQL_ROW cells = NULL;
    unsigned long *lengths = NULL;
    if (!unit->places || worker->verify->matcher)
        return 0;
    int outcome = rows_reading_begin(&reading, worker->mysql, &worker->error, "read a table", "%s",
                                     unit->places);
    if (outcome)
        return mysql_errno(worker->mysql) == ER_UNKNOWN_PARTITION ? 0 : outcome;
    while ((outcome = reading_next(&reading, &cells, &lengths, &worker->error)) == READING_ROW) {
        const struct misplaced misplaced = {(uint32_t)database_u64(cells[2]),
                                            database_u64(cells[3]), database_u64(cells[1])};
        if (misplaced.n)
            tell_misplaced(worker, unit, cells[0], strtoll(cells[4], NULL, 10), &misplaced);
    }
    rows_reading_end(&reading);
    return outcome;
}

static int read_unit(struct worker *worker, const struct unit *unit, const char *sql,
                     verify_row_handler handle)
{
    struct misplaced misplaced = {0};
    struct slice values[VALUES_MOST];
    bool plain[VALUES_MOST];
    struct row row = {.table = unit->table, .values = values, .plain = plain};
    struct rows_reading reading;
    MYSQL_ROW cells = NULL;
    unsigned long *lengths = NULL;
    int outcome =
        rows_reading_begin(&reading, worker->mysql, &worker->error, "read a table", "%s", sql);
    if (outcome && mysql_errno(worker->mysql) == ER_UNKNOWN_PARTITION && !worker->verify->matcher)
        return 0; /* changed since they were listed: what is missing now is looked for again */
    if (outcome)
        return outcome;
    find_plain(reading.result, plain);
    while ((outcome = reading_next(&reading, &cells, &lengths, &worker->error)) == READING_ROW) {
        outcome = take_row(worker, &row, values, cells, lengths, handle);
        if (outcome)
            break;
        look_at_place(&misplaced, unit, cells);
    }
    rows_reading_end(&reading);
    if (misplaced.n && !worker->verify->matcher)
        tell_misplaced(worker, unit, unit->partition, unit->end_day, &misplaced);
    return outcome ? outcome : look_at_places(worker, unit);
}

int verify_read_unit(struct worker *worker, const struct unit *unit, verify_row_handler handle)
{
    struct buffer sql = BUFFER_NULL;
    append_columns(&sql, worker->verify, catalogue_table(unit->table), unit->table);
    append_from(&sql, unit, worker->verify);
    buffer_append_byte(&sql, '\0');
    int outcome = sql.failed
                      ? error_set(&worker->error, -ENOMEM, "cannot read a table: out of memory")
                      : read_unit(worker, unit, (const char *)sql.data, handle);
    buffer_deinit(&sql);
    return outcome;
}
