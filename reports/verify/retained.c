/* A sorted array; days of all hosts come before those of one. */
#include "reports/verify/retained.h"

#include "core/cleanup.h"

#include <mysqld_error.h>

struct retained {
    struct retained_day *days;
    size_t n;
    uint64_t last; /* row of the log */
};

struct retained *retained_free(struct retained *retained)
{
    if (retained)
        free(retained->days);
    free(retained);
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const struct retained_day *a = left, *b = right;
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    return (a->host_id > b->host_id) - (a->host_id < b->host_id);
}

static int take(struct retained *retained, MYSQL_RES *result, struct error_text *error)
{
    retained->days = calloc((size_t)mysql_num_rows(result) + 1, sizeof(*retained->days));
    if (!retained->days)
        return error_set(error, -ENOMEM, "cannot read retention_log: out of memory");
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        enum table_id table = !strcmp(row[0], "batch")      ? RETAINED_BATCH
                              : !strcmp(row[0], "rejected") ? RETAINED_REJECTED
                                                            : catalogue_find(slice_text(row[0]));
        if (table == TABLE_NONE || !row[1] || !row[3])
            continue;
        retained->days[retained->n++] =
            (struct retained_day){.table = table,
                                  .day = strtoll(row[1], NULL, 10),
                                  .host_id = (uint32_t)strtoul(row[2], NULL, 10),
                                  .n_dropped = strtoull(row[3], NULL, 10),
                                  .first_id = row[4] ? strtoull(row[4], NULL, 10) : 0,
                                  .last_id = row[5] ? strtoull(row[5], NULL, 10) : UINT64_MAX,
                                  .n_kept = row[7] ? strtoull(row[7], NULL, 10) : 0};
        snprintf(retained->days[retained->n - 1].dropped_at, RETAINED_TIME, "%s",
                 row[8] ? row[8] : "");
    }
    qsort(retained->days, retained->n, sizeof(*retained->days), compare);
    return 0;
}

/* The last row of the log; 0: there is none, or no log in a schema of before. */
static int read_last(MYSQL *mysql, uint64_t *last, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(mysql, &result, error, "read retention_log",
                                 "SELECT COALESCE(MAX(id), 0) FROM retention_log");
    *last = 0;
    if (outcome == -ENOENT && mysql_errno(mysql) == ER_NO_SUCH_TABLE)
        return 0;
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (row && row[0])
        *last = strtoull(row[0], NULL, 10);
    return outcome;
}

int retained_is_older(const struct retained *retained, MYSQL *mysql, bool *older,
                      struct error_text *error)
{
    uint64_t last;
    int outcome = read_last(mysql, &last, error);
    *older = last != retained->last;
    return outcome;
}

static int load(struct retained *retained, MYSQL *mysql, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        mysql, &result, error, "read retention_log",
        "SELECT d.*, l.n_kept, CAST(l.dropped_at AS CHAR) FROM (SELECT table_name,"
        "  DATEDIFF(day, '1970-01-01'), COALESCE(host_id, 0), SUM(n_dropped),"
        "  IF(COUNT(first_id) = COUNT(*), MIN(first_id), NULL),"
        "  IF(COUNT(last_id) = COUNT(*), MAX(last_id), NULL), MAX(id) AS newest"
        "  FROM retention_log GROUP BY 1, 2, 3) d JOIN retention_log l ON l.id = d.newest");
    if (outcome == -ENOENT && mysql_errno(mysql) == ER_NO_SUCH_TABLE)
        return 0; /* a schema of before */
    return outcome ? outcome : take(retained, result, error);
}

int retained_load(struct retained **retainedp, MYSQL *mysql, struct error_text *error)
{
    struct retained *retained = calloc(1, sizeof(*retained));
    if (!retained)
        return error_set(error, -ENOMEM, "cannot read retention_log: out of memory");
    int outcome = read_last(mysql, &retained->last, error);
    if (!outcome)
        outcome = load(retained, mysql, error);
    if (outcome) {
        retained_free(retained);
        return outcome;
    }
    *retainedp = retained;
    return 0;
}

struct retained_day *retained_find(const struct retained *retained, enum table_id table,
                                   uint32_t host_id, int64_t day)
{
    struct retained_day key = {.table = table, .day = day};
    if (!retained->n)
        return NULL;
    struct retained_day *found = bsearch(&key, retained->days, retained->n, sizeof(key), compare);
    key.host_id = host_id;
    return found ? found : bsearch(&key, retained->days, retained->n, sizeof(key), compare);
}

struct retained_day *retained_row(const struct retained *retained, enum table_id table,
                                  uint32_t host_id, uint64_t id)
{
    struct retained_day *day = retained_find(retained, table, host_id, day_of_id(id));
    return day && id >= day->first_id && id <= day->last_id ? day : NULL;
}

uint64_t retained_n_refused(const struct retained *retained, uint32_t host_id)
{
    uint64_t n = 0;
    for (size_t i = 0; i < retained->n; i++)
        if (retained->days[i].table == RETAINED_REJECTED &&
            (!host_id || !retained->days[i].host_id || retained->days[i].host_id == host_id))
            n += retained->days[i].n_dropped;
    return n;
}

size_t retained_n(const struct retained *retained)
{
    return retained->n;
}

struct retained_day *retained_at(const struct retained *retained, size_t i)
{
    return &retained->days[i];
}
