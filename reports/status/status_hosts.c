/* One statement reads all hosts; what is wrong with each is decided here, in one place, for the
 * table and for the long form. A host is heard by a batch or by a sign of life, whichever is later:
 * one that has nothing to record still lives. */
#include "reports/status/status_hosts.h"

#include "core/cleanup.h"
#include "reports/options/time_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LAG_LIMIT_S   60
#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

/* Limits are those of the watch (0030). A number that came with two hashes must not make two rows
 * of a host. */
static const char sql_first[] =
    "SELECT h.name, h.gone, h.batch_at, TIMESTAMPDIFF(SECOND, h.batch_at, UTC_TIMESTAMP(6)),"
    " ROUND(GREATEST(0, TIMESTAMPDIFF(MICROSECOND, h.last_time, h.batch_at)) / 1e6, 1),"
    " s.seen_at, TIMESTAMPDIFF(SECOND, s.seen_at, UTC_TIMESTAMP(6)), s.address, s.agent_version,"
    " s.batches_waiting, s.journal_bytes, s.journal_limit_bytes, s.waiting_us, s.journal_full,"
    " COALESCE(s.server_offset_us, h.offset_us),"
    " IF(s.cloned_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY, s.cloned_at, NULL),"
    " (SELECT COUNT(*) FROM gap g WHERE g.host_id = h.host_id"
    "   AND g.created_at >= UTC_TIMESTAMP(6) - INTERVAL 1 DAY),"
    " (SELECT COUNT(*) FROM rejected r WHERE r.host_id = h.host_id"
    "   AND r.received_at >= UTC_TIMESTAMP(6) - INTERVAL 1 DAY),"
    " IF(v.job IS NULL, NULL, COALESCE(u.n, 0)),"
    " (SELECT value FROM watch_setting w WHERE w.name = 'silent_seconds'"
    "   AND w.host_id IN (0, h.host_id) ORDER BY w.host_id DESC LIMIT 1),"
    " (SELECT value FROM watch_setting w WHERE w.name = 'clock_offset_ms'"
    "   AND w.host_id IN (0, h.host_id) ORDER BY w.host_id DESC LIMIT 1)"
    " FROM (SELECT e.host_id, e.name, CASE WHEN e.retired_at IS NOT NULL THEN 'retired'"
    "        WHEN e.revoked_at IS NOT NULL THEN 'revoked' END AS gone,"
    "       (SELECT received_at FROM batch b WHERE b.host_id = e.host_id"
    "         ORDER BY b.batch DESC, b.hash DESC LIMIT 1) AS batch_at,"
    "       (SELECT last_time FROM batch b WHERE b.host_id = e.host_id"
    "         ORDER BY b.batch DESC, b.hash DESC LIMIT 1) AS last_time,"
    "       (SELECT server_offset_us FROM batch b WHERE b.host_id = e.host_id"
    "         ORDER BY b.batch DESC, b.hash DESC LIMIT 1) AS offset_us"
    "       FROM enrolment e";
static const char sql_last[] =
    ") h LEFT JOIN host_state s ON s.host_id = h.host_id"
    " LEFT JOIN (SELECT MAX(id) AS job FROM maintenance_run WHERE name = 'verify') v ON TRUE"
    " LEFT JOIN (SELECT host_id, COUNT(*) AS n FROM batch WHERE verified_at IS NULL"
    "   AND last_time >= UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
    "   AND EXISTS (SELECT 1 FROM maintenance_run WHERE name = 'verify') GROUP BY host_id) u"
    " ON u.host_id = h.host_id ORDER BY h.name";

enum {
    C_NAME,
    C_GONE,
    C_BATCH_AT,
    C_BATCH_SILENT,
    C_BATCH_LAG,
    C_SEEN_AT,
    C_SEEN,
    C_ADDRESS,
    C_VERSION,
    C_WAITING,
    C_JOURNAL,
    C_JOURNAL_LIMIT,
    C_WAITING_US,
    C_FULL,
    C_OFFSET,
    C_CLONED,
    C_GAPS,
    C_REFUSED,
    C_UNVERIFIED,
    C_SILENT_LIMIT,
    C_OFFSET_LIMIT
};

static double real(const char *text)
{
    return text ? strtod(text, NULL) : 0;
}

/* --- what is wrong --- */

static const struct {
    enum status_problem problem;
    const char *word;
} problem_words[] = {
    {PROBLEM_CLONED,  "cloned"      },
    {PROBLEM_SILENT,  "silent"      },
    {PROBLEM_FULL,    "journal full"},
    {PROBLEM_BEHIND,  "behind"      },
    {PROBLEM_CLOCK,   "clock off"   },
    {PROBLEM_REFUSED, "refused rows"},
    {PROBLEM_NEVER,   "never seen"  },
    {PROBLEM_GAPS,    "gaps"        },
};

static unsigned problems_of(const struct status_host *host)
{
    unsigned problems = 0;
    if (host->end)
        return 0;
    problems |= host->cloned_at ? PROBLEM_CLONED : 0;
    problems |= !host->heard_at ? PROBLEM_NEVER : 0;
    problems |= host->heard_at && host->silent_s > host->silent_limit_s ? PROBLEM_SILENT : 0;
    problems |= host->journal_full ? PROBLEM_FULL : 0;
    problems |= host->lag_s > LAG_LIMIT_S && !(problems & PROBLEM_SILENT) ? PROBLEM_BEHIND : 0;
    problems |= host->has_offset && llabs(host->offset_us) > host->offset_limit_ms * 1000
                    ? PROBLEM_CLOCK
                    : 0;
    problems |= host->refused ? PROBLEM_REFUSED : 0;
    problems |= host->gaps ? PROBLEM_GAPS : 0;
    return problems;
}

/* "silent, clock off" */
static void append_state(struct buffer *to, const struct status_host *host)
{
    if (host->end) {
        buffer_append_text(to, host->end);
        return;
    }
    for (size_t i = 0; i < N_ELEMENTS(problem_words); i++)
        if (host->problems & problem_words[i].problem)
            buffer_printf(to, "%s%s", to->length ? ", " : "", problem_words[i].word);
    if (!to->length)
        buffer_append_text(to, "ok");
}

/* --- reading --- */

static char *copy(const char *text, bool *failed)
{
    char *copied = text ? strdup(text) : NULL;
    *failed |= text && !copied;
    return copied;
}

/* In the zone asked for. */
static char *copy_moment(const char *text, bool *failed)
{
    char moment[TIME_TEXT_SIZE];
    bool is_moment = text && time_words_convert(moment, slice_text(text));
    return copy(is_moment ? moment : text, failed);
}

static void take_times(struct status_host *host, MYSQL_ROW row)
{
    host->batch_silent_s = database_i64(row[C_BATCH_SILENT]);
    host->seen_s = database_i64(row[C_SEEN]);
    bool by_batch = host->batch_at && (!host->seen_at || host->batch_silent_s <= host->seen_s);
    host->silent_s = by_batch ? host->batch_silent_s : host->seen_s;
    host->silent_limit_s = database_i64(row[C_SILENT_LIMIT]);
    host->batch_lag_s = real(row[C_BATCH_LAG]);
    /* What the agent says of its journal is newer than its last batch, unless that came since. What
     * a silent host has recorded since it was heard is not here. */
    host->lag_s = host->silent_s > host->silent_limit_s ? (double)host->silent_s
                  : host->seen_at && host->seen_s <= host->silent_limit_s
                      ? (double)database_i64(row[C_WAITING_US]) / 1e6
                      : host->batch_lag_s;
}

static bool take_host(struct status_host *host, MYSQL_ROW row)
{
    bool failed = false;
    *host = (struct status_host){
        .name = copy(row[C_NAME], &failed),
        .version = copy(row[C_VERSION], &failed),
        .address = copy(row[C_ADDRESS], &failed),
        .batch_at = copy_moment(row[C_BATCH_AT], &failed),
        .seen_at = copy_moment(row[C_SEEN_AT], &failed),
        .end = copy(row[C_GONE], &failed),
        .cloned_at = copy_moment(row[C_CLONED], &failed),
        .waiting = (uint64_t)database_i64(row[C_WAITING]),
        .journal_bytes = (uint64_t)database_i64(row[C_JOURNAL]),
        .journal_limit_bytes = (uint64_t)database_i64(row[C_JOURNAL_LIMIT]),
        .journal_full = database_i64(row[C_FULL]) != 0,
        .has_offset = row[C_OFFSET] != NULL,
        .offset_us = database_i64(row[C_OFFSET]),
        .offset_limit_ms = database_i64(row[C_OFFSET_LIMIT]),
        .gaps = (uint64_t)database_i64(row[C_GAPS]),
        .refused = (uint64_t)database_i64(row[C_REFUSED]),
        .has_unverified = row[C_UNVERIFIED] != NULL,
        .unverified = (uint64_t)database_i64(row[C_UNVERIFIED]),
    };
    take_times(host, row);
    host->heard_at = host->batch_at && (!host->seen_at || host->batch_silent_s <= host->seen_s)
                         ? host->batch_at
                         : host->seen_at;
    host->problems = problems_of(host);
    return !failed;
}

/* Wrong, worth a note, well, gone. */
static int rank(const struct status_host *host)
{
    return host->end ? 3 : host->problems & PROBLEMS_WRONG ? 0 : host->problems ? 1 : 2;
}

static int compare(const void *a, const void *b)
{
    const struct status_host *first = a, *second = b;
    int ranks = rank(first) - rank(second);
    return ranks ? ranks : strcmp(first->name, second->name);
}

int status_hosts_read(struct status_hosts *hosts, MYSQL *mysql,
                      const struct evidence_window *window, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char one[64] = "";
    if (window->has_host)
        snprintf(one, sizeof(one), " WHERE e.host_id = %" PRIu64, window->host_id);
    int outcome = database_query(mysql, &result, error, "read the state of the hosts", "%s%s%s",
                                 sql_first, one, sql_last);
    if (outcome)
        return outcome;
    *hosts = (struct status_hosts){
        .array = calloc((size_t)mysql_num_rows(result) + 1, sizeof(*hosts->array))};
    if (!hosts->array)
        return error_set(error, -ENOMEM, "out of memory");
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
        if (!take_host(&hosts->array[hosts->n++], row))
            return error_set(error, -ENOMEM, "out of memory");
    qsort(hosts->array, hosts->n, sizeof(*hosts->array), compare);
    return 0;
}

void status_hosts_deinit(struct status_hosts *hosts)
{
    for (size_t i = 0; i < hosts->n; i++) {
        struct status_host *host = &hosts->array[i];
        free(host->name);
        free(host->version);
        free(host->address);
        free(host->batch_at);
        free(host->seen_at);
        free(host->end);
        free(host->cloned_at);
    }
    free(hosts->array);
    *hosts = (struct status_hosts){0};
}

size_t status_hosts_n_wrong(const struct status_hosts *hosts)
{
    size_t n = 0;
    for (size_t i = 0; i < hosts->n; i++)
        n += (hosts->array[i].problems & PROBLEMS_WRONG) != 0;
    return n;
}

/* --- the long form --- */

struct telling {
    struct findings *findings;
    const struct status_host *host;
    char part[300];
};

static void add(struct telling *telling, enum status_problem problem, const char *name,
                const char *value, const char *advice)
{
    bool is = (telling->host->problems & problem) != 0;
    enum finding_level level = !is                        ? FINDING_OK
                               : problem & PROBLEMS_WRONG ? FINDING_WRONG
                                                          : FINDING_NOTE;
    findings_add(telling->findings, level, telling->part, name, value, is ? advice : NULL);
}

static void tell_signs(struct telling *telling)
{
    const struct status_host *host = telling->host;
    char value[200], from[300];
    snprintf(from, sizeof(from), "%s, from %.255s", host->seen_at, host->address);
    add(telling, PROBLEM_SILENT, "sign of life", from,
        "its agent, its network or the host is gone: see vestige status on that host. If it is "
        "gone "
        "for good, retire or revoke it");
    snprintf(value, sizeof(value), "%" PRIu64 " batches, %.1f s, %.1f of %.0f MiB", host->waiting,
             host->lag_s, (double)host->journal_bytes / 1048576,
             (double)host->journal_limit_bytes / 1048576);
    add(telling, PROBLEM_FULL | PROBLEM_BEHIND, "waiting in its journal", value,
        host->journal_full
            ? "its journal is full, or its disk takes nothing: what does not fit into "
              "memory is lost, and counted in gaps"
            : "see vestige status on that host why it does not ship");
    findings_add(telling->findings, FINDING_OK, telling->part, "agent", host->version, NULL);
}

static void tell_batch(struct telling *telling)
{
    const struct status_host *host = telling->host;
    char value[80], advice[160];
    snprintf(advice, sizeof(advice),
             "nothing for over %" PRId64 " minutes: is its agent running? If the host is gone for "
             "good, retire or revoke it",
             host->silent_limit_s / 60);
    add(telling, host->seen_at ? 0 : PROBLEM_SILENT, "last batch", host->batch_at, advice);
    snprintf(value, sizeof(value), "%.1f s", host->batch_lag_s);
    add(telling, host->seen_at ? 0 : PROBLEM_BEHIND, "lag of the last batch", value,
        "it arrived late: see vestige status on that host");
}

static void tell_rest(struct telling *telling)
{
    const struct status_host *host = telling->host;
    char value[80];
    if (host->has_offset && (host->seen_at || host->problems & PROBLEM_CLOCK)) {
        snprintf(value, sizeof(value), "%+.3f s", (double)host->offset_us / 1e6);
        add(telling, PROBLEM_CLOCK, "server's clock minus its own", value,
            "set its clock (chrony, ntpd): its times are off by so much");
    }
    if (host->cloned_at)
        add(telling, PROBLEM_CLONED, "two machines", host->cloned_at,
            "two agents use this host's identity: see the findings host-cloned");
    snprintf(value, sizeof(value), "%" PRIu64, host->gaps);
    if (host->gaps)
        add(telling, PROBLEM_GAPS, "gaps of the last 24 hours", value,
            "see SELECT * FROM gap for what was not seen and why");
    snprintf(value, sizeof(value), "%" PRIu64, host->refused);
    if (host->refused)
        add(telling, PROBLEM_REFUSED, "rows refused in the last 24 hours", value,
            "they are in the table rejected, with the reason");
    snprintf(value, sizeof(value), "%" PRIu64, host->unverified);
    if (host->has_unverified)
        add(telling, 0, "batches of the last 24 hours not verified", value, NULL);
}

static void tell_host(struct telling *telling)
{
    const struct status_host *host = telling->host;
    snprintf(telling->part, sizeof(telling->part), "host %.280s", host->name);
    if (host->end) {
        findings_add(telling->findings, FINDING_OK, telling->part, "last batch", host->batch_at,
                     host->end);
        return;
    }
    if (host->batch_at)
        tell_batch(telling);
    else
        findings_add(telling->findings, FINDING_NOTE, telling->part, "last batch", "none ever",
                     "its agent never shipped");
    if (host->seen_at)
        tell_signs(telling);
    tell_rest(telling);
}

void status_hosts_tell(const struct status_hosts *hosts, struct findings *findings)
{
    for (size_t i = 0; i < hosts->n; i++) {
        struct telling telling = {.findings = findings, .host = &hosts->array[i]};
        tell_host(&telling);
    }
}

/* --- the table --- */

enum { N_COLUMNS = 11, LEAST_COLUMNS = 3, CELL_SIZE = 40 };

static const struct output_column columns[N_COLUMNS] = {
    {"host",       OUTPUT_TEXT,   NULL   },
    {"state",      OUTPUT_TEXT,   NULL   },
    {"last_seen",  OUTPUT_TEXT,   "never"},
    {"lag_s",      OUTPUT_NUMBER, NULL   },
    {"waiting",    OUTPUT_NUMBER, NULL   },
    {"spool_mib",  OUTPUT_NUMBER, NULL   },
    {"offset_s",   OUTPUT_NUMBER, NULL   },
    {"gaps_24h",   OUTPUT_NUMBER, NULL   },
    {"refused",    OUTPUT_NUMBER, NULL   },
    {"unverified", OUTPUT_NUMBER, NULL   },
    {"agent",      OUTPUT_TEXT,   NULL   },
};

static struct slice cell_of(char cell[CELL_SIZE], bool is_known, int digits, double value)
{
    if (!is_known)
        return SLICE_NULL;
    snprintf(cell, CELL_SIZE, "%.*f", digits, value);
    return slice_text(cell);
}

static int print_host(struct output *output, const struct status_host *host)
{
    struct buffer state = BUFFER_NULL;
    char cells[N_COLUMNS][CELL_SIZE];
    bool seen = host->seen_at != NULL;
    append_state(&state, host);
    const struct slice values[N_COLUMNS] = {
        slice_text(host->name),
        buffer_slice(&state),
        host->heard_at ? slice_of(host->heard_at, strcspn(host->heard_at, ".")) : SLICE_NULL,
        cell_of(cells[3], host->heard_at != NULL, 1, host->lag_s),
        cell_of(cells[4], seen, 0, (double)host->waiting),
        cell_of(cells[5], seen, 1, (double)host->journal_bytes / 1048576),
        cell_of(cells[6], host->has_offset, 3, (double)host->offset_us / 1e6),
        cell_of(cells[7], true, 0, (double)host->gaps),
        cell_of(cells[8], true, 0, (double)host->refused),
        cell_of(cells[9], host->has_unverified, 0, (double)host->unverified),
        seen ? slice_text(host->version) : SLICE_NULL,
    };
    int outcome = state.failed ? -ENOMEM : output_row(output, values);
    buffer_deinit(&state);
    return outcome;
}

int status_hosts_print(const struct status_hosts *hosts, enum output_format format)
{
    struct output *output = NULL;
    int outcome = output_new(&output, format, stdout, columns, N_COLUMNS);
    if (!outcome)
        output_least_columns(output, LEAST_COLUMNS);
    for (size_t i = 0; i < hosts->n && !outcome; i++)
        outcome = print_host(output, &hosts->array[i]);
    if (!outcome)
        outcome = output_finish(output);
    output_free(output);
    return outcome;
}
