/*
 * Tables are read in parts: a partition, of a large one the rows of one host, of many of these a
 * range of ids. All parts together are all rows, whatever the estimates say that choose them. The
 * primary key is read in its order, which is the order of the pages; no other order is needed.
 */
#include "reports/verify/verify_private.h"

#include "core/cleanup.h"
#include "core/evidence_text.h"
#include "core/hex.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>

#define LARGE       300000 /* rows, about: more are read in parts */
#define SMALL       2000   /* so many and less are read together with others, and looked at twice */
#define PARTS_MOST  64
#define FIXED       8 /* columns before those of the catalogue */
#define VALUES_MOST 64
#define FIRST_DAY   INT64_C(-1000000) /* before and behind all days that the server knows */
#define END_DAY     INT64_C(10000000)

struct unit {
    enum table_id table;
    char partition[1024]; /* one or more; "": the table has none */
    uint32_t first_host, last_host;
    uint64_t first_id, last_id;
    bool has_days;              /* and only of the days of these ids */
    int64_t first_day, end_day; /* of one partition: days that belong there */
    char *places;               /* of several: the statement that counts rows of other days */
};

static uint64_t number(const char *text)
{
    return text ? strtoull(text, NULL, 10) : 0;
}

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

/* --- parts --- */

static int add_unit(struct units *units, const struct unit *unit)
{
    if (units->n == units->size) {
        size_t larger = units->size ? 2 * units->size : 64;
        void *more = reallocarray(units->units, larger, sizeof(*units->units));
        if (!more)
            return -ENOMEM;
        units->units = more;
        units->size = larger;
    }
    units->units[units->n++] = *unit;
    return 0;
}

/* Split what a host has in a partition by ids: the least and the greatest are known by the key. */
static int split_ids(struct units *units, const struct unit *of, uint64_t n_parts, MYSQL *mysql,
                     struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct unit unit = *of;
    if (n_parts == 1)
        return add_unit(units, of);
    int outcome = database_query(
        mysql, &result, error, "read a table",
        "SELECT MIN(id), MAX(id) FROM %s%s%s%s FORCE INDEX (PRIMARY) WHERE host_id = %" PRIu32,
        catalogue_table(of->table)->name, *of->partition ? " PARTITION (" : "", of->partition,
        *of->partition ? ")" : "", of->last_host);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (outcome)
        return outcome;
    uint64_t first = row ? number(row[0]) : 0, last = row ? number(row[1]) : 0;
    first = first < of->first_id ? of->first_id : first;
    last = last > of->last_id ? of->last_id : last;
    if (first >= last)
        return add_unit(units, of);
    uint64_t step = (last - first) / n_parts + 1;
    for (uint64_t i = 0; i < n_parts; i++) {
        unit.first_id = i == 0 ? of->first_id : unit.last_id + 1;
        unit.last_id = i + 1 == n_parts ? of->last_id : first + (i + 1) * step - 1;
        if (add_unit(units, &unit))
            return error_set(error, -ENOMEM, "cannot read a table: out of memory");
    }
    return 0;
}

static int add_hosts(struct units *units, const struct unit *of, uint64_t first, uint64_t last)
{
    struct unit unit = *of;
    unit.first_host = (uint32_t)first;
    unit.last_host = (uint32_t)last;
    return first <= last ? add_unit(units, &unit) : 0;
}

static int split_hosts(struct units *units, const struct unit *of, uint64_t n_rows,
                       const struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    uint64_t n_parts = n_rows / verify->n_hosts / LARGE + 1, next = of->first_host;
    int outcome = 0;
    if (n_parts > PARTS_MOST)
        n_parts = PARTS_MOST;
    for (size_t i = 0; i < verify->n_hosts && !outcome; i++) {
        struct unit unit = *of;
        unit.first_host = unit.last_host = verify->hosts[i].host_id;
        if (unit.first_host > next) /* hosts without a seal */
            outcome = add_hosts(units, of, next, unit.first_host - 1);
        if (!outcome)
            outcome = split_ids(units, &unit, n_parts, mysql, error);
        next = (uint64_t)unit.last_host + 1;
    }
    return outcome ? outcome : add_hosts(units, of, next, of->last_host);
}

static bool is_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return length > 0 && length <= 64 && !text[length];
}

/* Small partitions of one table, to be read together. */
struct small {
    struct unit unit;
    uint64_t n_rows;
    bool any;
};

static int flush_small(struct units *units, struct small *small)
{
    int outcome = small->any ? add_unit(units, &small->unit) : 0;
    *small = (struct small){0};
    return outcome;
}

/* Rows that stand in a partition of other days are there for who reads all, and are not for who
 * asks for a day. DATEDIFF, because the server must not know beforehand that there are none. */
static int append_place(struct unit *to, const struct unit *unit)
{
    char *text = NULL;
    int length = asprintf(
        &text,
        "%s%sSELECT '%s', COUNT(*), MIN(host_id), MIN(id), %" PRId64 " FROM %s PARTITION (%s)"
        " FORCE INDEX (PRIMARY) WHERE host_id BETWEEN %" PRIu32 " AND %" PRIu32
        " AND id BETWEEN %" PRIu64 " AND %" PRIu64
        " AND DATEDIFF(day, '1970-01-01') NOT BETWEEN %" PRId64 " AND %" PRId64,
        to->places ? to->places : "", to->places ? " UNION ALL " : "", unit->partition,
        unit->end_day, catalogue_table(unit->table)->name, unit->partition, unit->first_host,
        unit->last_host, unit->first_id, unit->last_id, unit->first_day, unit->end_day - 1);
    if (length < 0)
        return -ENOMEM;
    free(to->places);
    to->places = text;
    return 0;
}

static int add_small(struct units *units, struct small *small, const struct unit *unit,
                     uint64_t n_rows)
{
    size_t length = strlen(small->unit.partition);
    bool joins = small->any && small->unit.table == unit->table && length &&
                 small->n_rows + n_rows <= LARGE &&
                 length + strlen(unit->partition) + 3 < sizeof(unit->partition);
    int outcome = joins ? 0 : flush_small(units, small);
    if (joins)
        snprintf(small->unit.partition + length, sizeof(small->unit.partition) - length, ", %s",
                 unit->partition);
    else
        small->unit = *unit;
    small->any = true;
    small->n_rows += n_rows;
    if (*unit->partition && append_place(&small->unit, unit))
        outcome = -ENOMEM;
    return outcome;
}

static int add_partition(struct units *units, struct small *small, MYSQL_ROW row,
                         const struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    struct unit unit = {.table = catalogue_find(slice_text(row[0])),
                        .first_host = verify->first_host,
                        .last_host = verify->last_host,
                        .first_id = verify->first_id,
                        .last_id = verify->last_id,
                        .first_day = row[3] ? strtoll(row[3], NULL, 10) : FIRST_DAY,
                        .end_day = row[4] ? strtoll(row[4], NULL, 10) : END_DAY};
    uint64_t n_rows = number(row[2]);
    if (unit.table == TABLE_NONE)
        return 0;
    if (row[1] && !is_name(row[1]))
        return error_set(error, -EINVAL, "table %.64s has a partition with an odd name", row[0]);
    snprintf(unit.partition, sizeof(unit.partition), "%s", row[1] ? row[1] : "");
    if (n_rows > LARGE && verify->n_hosts)
        return split_hosts(units, &unit, n_rows, verify, mysql, error);
    return n_rows > SMALL ? add_unit(units, &unit) : add_small(units, small, &unit, n_rows);
}

/* Where its rows should be cannot be said then. */
static void tell_odd(const struct verify *verify, const char *table)
{
    enum table_id id = catalogue_find(slice_text(table));
    if (id == TABLE_NONE || verify->matcher || verify->later_slice || verify->hosts != verify->all)
        return;
    const struct difference told = {.table = catalogue_table(id)->name,
                                    .what = "not partitioned by days"};
    differences_add(verify->result->differences, &told);
}

/* Blanks and the like are left out: servers write them in different ways. */
static int look_at_definition(struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        mysql, &result, error, "look at the columns",
        "SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name ="
        " 'process' AND column_name = 'cmdline' AND REGEXP_REPLACE(LOWER(generation_expression),"
        " '[` \n()]', '') = 'casewhenargv0isnullthenargumentswhenarguments=''''"
        "thenargv0elseconcat_ws'''',argv0,argumentsend'");
    verify->is_usual = !outcome && mysql_num_rows(result) == 1;
    return outcome;
}

/* A day with an hour, or a number with a letter, reads as the same and is found by no question. */
static int check_types(struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    if (verify->matcher || verify->later_slice || verify->hosts != verify->all)
        return 0;
    int outcome = database_query(
        mysql, &result, error, "look at the columns",
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema ="
        " DATABASE() AND column_name IN ('host_id', 'id', 'day', 'batch', 'settle_batch',"
        " 'end_batch') AND NOT IF(column_name = 'day', data_type = 'date',"
        " data_type IN ('int', 'bigint') AND column_type LIKE '%%unsigned')");
    for (MYSQL_ROW row; !outcome && (row = mysql_fetch_row(result));) {
        enum table_id id = catalogue_find(slice_text(row[0]));
        if (id == TABLE_NONE)
            continue;
        struct difference told = {.table = catalogue_table(id)->name,
                                  .what = "column of another type"};
        snprintf(told.detail, sizeof(told.detail), "column %.64s", row[1]);
        differences_add(verify->result->differences, &told);
    }
    return outcome;
}

int verify_units_list(struct units *units, struct verify *verify, MYSQL *mysql,
                      struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct small small = {0};
    *units = (struct units){0};
    int outcome = database_query(
        mysql, &result, error, "list the partitions",
        "SELECT table_name, partition_name, table_rows, LAG(end_day) OVER (PARTITION BY table_name"
        "  ORDER BY partition_ordinal_position) AS first_day, end_day, is_odd FROM"
        " (SELECT table_name, partition_name, table_rows, partition_ordinal_position,"
        "   DATEDIFF(NULLIF(TRIM(BOTH '''' FROM partition_description), 'MAXVALUE'), '1970-01-01')"
        "   AS end_day, partition_ordinal_position = 1 AND NOT (partition_method = 'RANGE COLUMNS'"
        "   AND partition_expression = '`day`') AS is_odd"
        "   FROM information_schema.partitions WHERE table_schema = DATABASE()) parts"
        " ORDER BY IF(table_rows > %d, table_rows, 0) DESC, table_name,"
        " partition_ordinal_position",
        LARGE);
    for (MYSQL_ROW row; !outcome && (row = mysql_fetch_row(result));) {
        outcome = add_partition(units, &small, row, verify, mysql, error);
        if (row[5] && *row[5] == '1')
            tell_odd(verify, row[0]);
    }
    if (!outcome)
        outcome = check_types(verify, mysql, error);
    if (!outcome)
        outcome = look_at_definition(verify, mysql, error);
    if (!outcome)
        outcome = flush_small(units, &small);
    if (outcome)
        free(small.unit.places);
    return outcome == -ENOMEM ? error_set(error, outcome, "cannot read the tables: out of memory")
                              : outcome;
}

int verify_units_add(struct units *units, enum table_id table, uint32_t host_id, uint64_t first_id,
                     uint64_t last_id)
{
    const struct unit unit = {.table = table,
                              .first_host = host_id,
                              .last_host = host_id,
                              .first_id = first_id,
                              .last_id = last_id,
                              .has_days = true,
                              .first_day = FIRST_DAY,
                              .end_day = END_DAY};
    return add_unit(units, &unit);
}

void verify_units_deinit(struct units *units)
{
    for (size_t i = 0; i < units->n; i++)
        free(units->units[i].places);
    free(units->units);
    *units = (struct units){0};
}

const struct unit *verify_unit(const struct units *units, size_t i)
{
    return &units->units[i];
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
    row->host_id = (uint32_t)number(cells[0]);
    row->id = number(cells[1]);
    if (!worker->verify->matcher)
        count_row(worker, row);
    if (cells[6])
        return 0; /* the server's own finding */
    row->batch = number(cells[3]);
    row->settled = cells[4] != NULL;
    row->settle_batch = number(cells[4]);
    row->ended = cells[5] != NULL;
    row->end_batch = number(cells[5]);
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
        misplaced->host_id = (uint32_t)number(cells[0]);
        misplaced->id = number(cells[1]);
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
        const struct misplaced misplaced = {(uint32_t)number(cells[2]), number(cells[3]),
                                            number(cells[1])};
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

/* --- refused lines --- */

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
        .line = {
                 .host_id = (uint32_t)number(row[0]), .table = TABLE_NONE, .batch = number(row[1])}
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
