/*
 * An answer is as good as the evidence under it. Four questions, each asked of the server:
 *   gap       rows whose span overlaps the window, with what they count, by unit;
 *   coverage  for each host and source that was ever watched: the spans of the window (from the
 *             host's first coverage if the window begins before it, up to now at the most) in which
 *             no coverage row of it is open;
 *   batch     batches of the window whose seal nobody has verified yet;
 *   retention what was dropped of the window (evidence_dropped.c).
 */
#include "reports/evidence/evidence.h"
#include "reports/evidence/evidence_dropped.h"
#include "reports/options/time_words.h"
#include "reports/output/safe_text.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 12

struct question {
    MYSQL *mysql;
    const struct evidence_window *window;
    struct buffer sql;
    struct error_text *error;
};

static void append_moment(struct buffer *sql, int64_t us)
{
    buffer_printf(sql, "TIMESTAMP'1970-01-01 00:00:00' + INTERVAL %lld MICROSECOND", (long long)us);
}

/* " AND <first> <= until AND <last> >= since AND host_id = n" */
static void append_overlap(struct question *question, const char *first, const char *last)
{
    const struct evidence_window *window = question->window;
    if (window->has_until) {
        buffer_printf(&question->sql, " AND %s <= ", first);
        append_moment(&question->sql, window->until_us);
    }
    if (window->has_since) {
        buffer_printf(&question->sql, " AND %s >= ", last);
        append_moment(&question->sql, window->since_us);
    }
    if (window->has_host)
        buffer_printf(&question->sql, " AND host_id = %llu", (unsigned long long)window->host_id);
}

static int ask(struct question *question, MYSQL_RES **resultp)
{
    buffer_append_byte(&question->sql, '\0');
    int error = question->sql.failed ? error_set(question->error, -ENOMEM, "out of memory")
                                     : database_query(question->mysql, resultp, question->error,
                                                      "count what is missing", "%s",
                                                      (const char *)question->sql.data);
    buffer_clear(&question->sql);
    return error;
}

static const char *plural(unsigned long long n)
{
    return n == 1 ? "" : "s";
}

/* "3 gaps (at least 120 processes, 1 of unknown size)"; returns the number of gaps. */
static int tell_gaps(struct question *question, struct buffer *line, unsigned long long *n_gaps)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    buffer_append_text(&question->sql,
                       "SELECT unit, COUNT(*), SUM(COALESCE(`count`, count_at_least, 0)),"
                       " SUM(`count` IS NULL) FROM gap WHERE TRUE");
    append_overlap(question, "created_at", "COALESCE(destroyed_at, UTC_TIMESTAMP(6))");
    buffer_append_text(&question->sql, " GROUP BY unit ORDER BY unit");
    int error = ask(question, &result);
    if (error)
        return error;
    struct buffer units = {.limit = 512};
    unsigned long long inexact = 0;
    *n_gaps = 0;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        *n_gaps += database_u64(row[1]);
        inexact += database_u64(row[3]);
        if (database_u64(row[2]))
            buffer_printf(&units, "%s%s %s%s", units.length ? ", " : "", row[2], row[0],
                          !strcmp(row[0], "process") ? (database_u64(row[2]) == 1 ? "" : "es")
                                                     : plural(database_u64(row[2])));
    }
    buffer_printf(line, "%llu gap%s", *n_gaps, plural(*n_gaps));
    if (units.length)
        buffer_printf(line, " (%s%.*s not seen)", inexact ? "at least " : "", (int)units.length,
                      (const char *)units.data);
    else if (*n_gaps)
        buffer_append_text(line, " (of unknown size)");
    buffer_deinit(&units);
    return 0;
}

static void append_bound(struct question *question, bool has, int64_t us, const char *otherwise)
{
    if (has)
        append_moment(&question->sql, us);
    else
        buffer_append_text(&question->sql, otherwise);
}

/*
 * `span` is each coverage row with the end of all that began before it; a hole lies between the
 * two. The row of the present (begin: the window's end) closes the last one. A hole counts when it
 * is longer than the millisecond that ending one row and beginning the next may take.
 */
static void append_holes(struct question *question)
{
    const struct evidence_window *window = question->window;
    struct buffer *sql = &question->sql;
    buffer_append_text(sql, "WITH range_ AS (SELECT ");
    append_bound(question, window->has_since, window->since_us, "NULL");
    buffer_append_text(sql, " AS since_, LEAST(UTC_TIMESTAMP(6), ");
    append_bound(question, window->has_until, window->until_us, "UTC_TIMESTAMP(6)");
    buffer_append_text(sql,
                       ") AS until_),"
                       " watched AS (SELECT host_id, source, created_at AS begin_,"
                       " COALESCE(destroyed_at, UTC_TIMESTAMP(6)) AS end_ FROM coverage"
                       " WHERE COALESCE(mode, '') NOT IN ('off', 'none', 'unavailable', 'failed')");
    if (window->has_host)
        buffer_printf(sql, " AND host_id = %llu", (unsigned long long)window->host_id);
    buffer_append_text(sql,
                       "), host_begin AS (SELECT host_id, MIN(created_at) AS first_ FROM coverage"
                       " GROUP BY host_id),"
                       " known AS (SELECT host_id, source FROM coverage");
    if (window->has_host)
        buffer_printf(sql, " WHERE host_id = %llu", (unsigned long long)window->host_id);
    buffer_append_text(
        sql,
        " GROUP BY host_id, source),"
        " edges AS (SELECT host_id, source, begin_, end_ FROM watched"
        " UNION ALL SELECT host_id, source, COALESCE(since_, first_),"
        " COALESCE(since_, first_ + INTERVAL 1 SECOND)"
        " FROM known JOIN host_begin USING (host_id) JOIN range_"
        " UNION ALL SELECT host_id, source, until_, until_ FROM known JOIN range_),"
        " span AS (SELECT host_id, source, begin_, MAX(end_) OVER (PARTITION BY host_id, source"
        " ORDER BY begin_, end_ ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_"
        " FROM edges)"
        " SELECT source, COUNT(*), COUNT(DISTINCT host_id) FROM span JOIN range_"
        " WHERE before_ + INTERVAL 1000 MICROSECOND < begin_ AND before_ < until_"
        " AND (since_ IS NULL OR begin_ > since_)"
        " GROUP BY source ORDER BY source");
}

static int tell_holes(struct question *question, struct buffer *line, unsigned long long *n_holes)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    append_holes(question);
    int error = ask(question, &result);
    if (error)
        return error;
    struct buffer names = {.limit = 512};
    size_t n = 0;
    *n_holes = 0;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)); n++) {
        *n_holes += database_u64(row[1]);
        if (n < NAMES_SHOWN)
            buffer_printf(&names, "%s%s", n ? ", " : "", row[0]);
    }
    buffer_printf(line, ", %llu unwatched span%s", *n_holes, plural(*n_holes));
    if (n > NAMES_SHOWN)
        buffer_printf(&names, " and %zu more", n - NAMES_SHOWN);
    if (names.length) {
        buffer_append_text(line, " (");
        safe_text_append(line, buffer_slice(&names));
        buffer_append_byte(line, ')');
    }
    buffer_deinit(&names);
    return 0;
}

/*
 * The row of what is watched stays open when an agent ends, because it may go on; that it is silent
 * is seen only by what arrived. A host of which nothing came for the last minute of the window may
 * be idle or unwatched: the answer says since when, or that nothing ever came. A host that was
 * revoked goes on living and is no exception; of one that was retired silence is expected, from
 * then on, unless it is the one that is asked about. The newest batch is the last one of the key;
 * MAX() in a subquery would read them all.
 */
static void append_silence(struct question *question)
{
    const struct evidence_window *window = question->window;
    struct buffer *sql = &question->sql;
    buffer_append_text(sql, "SELECT name, last_ FROM (SELECT e.host_id, e.name, e.created_at,"
                            " (SELECT b.last_time FROM batch b WHERE b.host_id = e.host_id"
                            " ORDER BY b.batch DESC LIMIT 1) AS last_, LEAST(UTC_TIMESTAMP(6), ");
    append_bound(question, window->has_until, window->until_us, "UTC_TIMESTAMP(6)");
    if (window->has_host) {
        buffer_printf(sql, ") AS until_ FROM enrolment e WHERE e.host_id = %llu",
                      (unsigned long long)window->host_id);
    } else {
        buffer_append_text(sql, ", COALESCE(e.retired_at, UTC_TIMESTAMP(6))) AS until_"
                                " FROM enrolment e WHERE e.retired_at IS NULL OR e.retired_at > ");
        append_bound(question, window->has_since, window->since_us, "'1970-01-01'");
    }
    buffer_append_text(sql, ") h WHERE last_ < until_ - INTERVAL 60 SECOND OR last_ IS NULL"
                            " AND created_at < until_ - INTERVAL 60 SECOND AND NOT EXISTS"
                            " (SELECT 1 FROM coverage c WHERE c.host_id = h.host_id)"
                            " ORDER BY last_ IS NULL, last_, name");
}

static int tell_silence(struct question *question, struct buffer *line,
                        unsigned long long *n_silent)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    append_silence(question);
    int error = ask(question, &result);
    if (error)
        return error;
    *n_silent = mysql_num_rows(result);
    MYSQL_ROW row = mysql_fetch_row(result);
    char moment[TIME_TEXT_SIZE];
    if (!row)
        return 0;
    if (row[1] && time_words_convert(moment, slice_text(row[1])))
        buffer_printf(line, ", nothing from host %s after %s", row[0], moment);
    else
        buffer_printf(line, ", nothing ever from host %s", row[0]);
    if (*n_silent > 1)
        buffer_printf(line, " and from %llu more", *n_silent - 1);
    return 0;
}

static int count_coverage(struct question *question, unsigned long long *n)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    buffer_append_text(&question->sql, "SELECT COUNT(*) FROM coverage WHERE TRUE");
    append_overlap(question, "created_at", "COALESCE(destroyed_at, UTC_TIMESTAMP(6))");
    int error = ask(question, &result);
    MYSQL_ROW row = error ? NULL : mysql_fetch_row(result);
    *n = row ? database_u64(row[0]) : 0;
    return error;
}

static int tell_unverified(struct question *question, struct buffer *line)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    buffer_append_text(&question->sql, "SELECT COUNT(*), COALESCE(SUM(n_lines), 0) FROM batch"
                                       " WHERE verified_at IS NULL");
    append_overlap(question, "first_time", "last_time");
    int error = ask(question, &result);
    if (error)
        return error;
    MYSQL_ROW row = mysql_fetch_row(result);
    unsigned long long n = row ? database_u64(row[0]) : 0;
    if (n)
        buffer_printf(line, "; %s line%s in %llu batch%s not verified", row[1],
                      plural(database_u64(row[1])), n, n == 1 ? "" : "es");
    else
        buffer_append_text(line, "; all verified");
    return 0;
}

static void tell_window(const struct evidence_window *window, struct buffer *line)
{
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
    time_words_format(since, window->since_us);
    time_words_format(until, window->until_us);
    if (window->has_since && window->has_until)
        buffer_printf(line, "Evidence from %s to %s", since, until);
    else if (window->has_since)
        buffer_printf(line, "Evidence since %s", since);
    else if (window->has_until)
        buffer_printf(line, "Evidence until %s", until);
    else
        buffer_append_text(line, "Evidence of all time");
}

int evidence_completeness(MYSQL *mysql, const struct evidence_window *window, struct buffer *line,
                          struct error_text *error)
{
    struct question question = {.mysql = mysql, .window = window, .error = error};
    struct buffer gaps = BUFFER_NULL, holes = BUFFER_NULL, seals = BUFFER_NULL;
    unsigned long long n_gaps = 0, n_holes = 0, n_silent = 0, n_coverage = 0, n_dropped = 0;
    int outcome = tell_gaps(&question, &gaps, &n_gaps);
    if (!outcome)
        outcome = tell_holes(&question, &holes, &n_holes);
    if (!outcome)
        outcome = tell_silence(&question, &holes, &n_silent);
    if (!outcome)
        outcome = evidence_tell_dropped(mysql, window, &holes, &n_dropped, error);
    if (!outcome)
        outcome = count_coverage(&question, &n_coverage);
    if (!outcome)
        outcome = tell_unverified(&question, &seals);
    if (!outcome) {
        tell_window(window, line);
        bool is_whole = n_gaps + n_holes + n_silent + n_dropped == 0;
        buffer_append_text(line, n_coverage == 0 && n_dropped == 0 ? ": nothing was watched: "
                                 : is_whole                        ? " is complete: "
                                                                   : " is not complete: ");
        buffer_append_slice(line, buffer_slice(&gaps));
        buffer_append_slice(line, buffer_slice(&holes));
        buffer_append_slice(line, buffer_slice(&seals));
    }
    buffer_deinit(&gaps);
    buffer_deinit(&holes);
    buffer_deinit(&seals);
    buffer_deinit(&question.sql);
    return outcome;
}

int evidence_tell_completeness(MYSQL *mysql, const struct evidence_window *window, FILE *to,
                               struct error_text *error)
{
    struct buffer line = BUFFER_NULL;
    int outcome = evidence_completeness(mysql, window, &line, error);
    if (!outcome)
        fprintf(to, "%.*s\n", (int)line.length, (const char *)line.data);
    buffer_deinit(&line);
    return outcome;
}
