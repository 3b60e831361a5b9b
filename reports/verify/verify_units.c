/*
 * Tables are read in parts: a partition, of a large one the rows of one host, of many of these a
 * range of ids. All parts together are all rows, whatever the estimates say that choose them.
 */
#include "reports/verify/verify_private.h"

#include "core/array.h"
#include "core/cleanup.h"

#include <inttypes.h>
#include <stdio.h>

#define LARGE      300000 /* rows, about: more are read in parts */
#define SMALL      2000   /* so many and less are read together with others, and looked at twice */
#define PARTS_MOST 64

static int add_unit(struct units *units, const struct unit *unit)
{
    int error = ARRAY_GROW(units->units, units->n, units->size);
    if (!error)
        units->units[units->n++] = *unit;
    return error;
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
    uint64_t first = row ? database_u64(row[0]) : 0, last = row ? database_u64(row[1]) : 0;
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
    uint64_t n_rows = database_u64(row[2]);
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
