/* One question a lane (timeline_*.sql), which gives the rows that were alive in the window, oldest
 * first and one more than the limit. The rows of all lanes are put in the order of their
 * beginnings, and what is over the limit is cut off there: up to that moment the timeline is whole.
 */
#include "reports/timeline/timeline.h"
#include "core/array.h"
#include "core/cleanup.h"
#include "reports/database/statement.h"
#include "reports/timeline/timeline_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MOST (UINT64_C(256) << 20)
#define VALUE_MOST 16384 /* bytes of one value; the rest is said, not shown */
#define N_VALUES   16

static const struct {
    const char *name, *kind, *file;
} lanes[TIMELINE_N_LANES] = {
    [TIMELINE_GAPS] = {"gaps",      "gap",       "timeline_gaps.sql"     },
    [TIMELINE_UNWATCHED] = {"unwatched", "unwatched", "timeline_unwatched.sql"},
    [TIMELINE_SESSIONS] = {"sessions",  "session",   "timeline_sessions.sql" },
    [TIMELINE_PROCESSES] = {"processes", "process",   "timeline_processes.sql"},
    [TIMELINE_ENDPOINTS] = {"endpoints", "endpoint",  "timeline_endpoints.sql"},
    [TIMELINE_FILES] = {"files",     "file",      "timeline_files.sql"    },
    [TIMELINE_DEVICES] = {"devices",   "device",    "timeline_devices.sql"  },
};

const char *timeline_lane_name(enum timeline_lane lane)
{
    return lanes[lane].name;
}

const char *timeline_row_kind(enum timeline_lane lane)
{
    return lanes[lane].kind;
}

const struct embedded_file *timeline_file(const char *name)
{
    for (size_t i = 0; i < timeline_files_n; i++)
        if (!strcmp(timeline_files[i].name, name))
            return &timeline_files[i];
    return NULL;
}

static struct statement_value number(const char *name, bool has, uint64_t value)
{
    return (struct statement_value){
        .name = name, .kind = has ? STATEMENT_NUMBER : STATEMENT_NULL, .number = value};
}

static struct statement_value moment(const char *name, enum statement_kind kind, int64_t us)
{
    return (struct statement_value){.name = name, .kind = kind, .us = us};
}

static void fill_values(struct statement_value values[N_VALUES],
                        const struct timeline_question *question)
{
    const struct timeline_question *q = question;
    const int64_t hour = INT64_C(3600000000);
    const int64_t late = (q->any_login ? q->until_us : q->since_us) + hour / 6;
    const struct statement_value filled[N_VALUES] = {
        number("host_id", true, q->host_id),
        number("row_limit", true, q->limit + 1),
        number("any_login", true, q->any_login),
        number("login_uid", q->has_login_uid, q->login_uid),
        {.name = "login_name",
                                                       .kind = q->login_name ? STATEMENT_TEXT : STATEMENT_NULL,
                                                       .text = slice_text(q->login_name)},
        number("any_process", true, !q->process && !q->process_row),
        number("process", q->process != 0, q->process),
        number("process_row", q->process_row != 0, q->process_row),
        moment("process_day", STATEMENT_DAY, (int64_t)q->process_row),
        moment("since", STATEMENT_MOMENT, q->since_us),
        moment("until", STATEMENT_MOMENT, q->until_us),
        moment("since_day", STATEMENT_DAY, q->since_us > hour ? q->since_us - hour : 0),
        moment("until_day", STATEMENT_DAY, q->until_us + hour),
        moment("late_day", STATEMENT_DAY, late),
        number("late_id", true, (uint64_t)late),
    };
    memcpy(values, filled, sizeof(filled));
}

/* The tree of a process stands before the questions that ask for it. */
static int ask(struct statement **statementp, MYSQL *mysql, const char *file,
               const struct timeline_question *question, struct error_text *error)
{
    struct statement_value values[N_VALUES] = {{0}};
    struct buffer sql = BUFFER_NULL;
    const char *text = timeline_file(file)->text;
    fill_values(values, question);
    size_t n = 0;
    while (n < N_VALUES && values[n].name)
        n++;
    if ((question->process || question->process_row) && strstr(text, "tree"))
        buffer_printf(&sql, "WITH RECURSIVE %s", timeline_file("timeline_tree.sql")->text);
    else if (strstr(text, "FROM tree"))
        buffer_append_text(&sql, "WITH tree AS (SELECT NULL AS id, NULL AS boot_id, NULL AS"
                                 " session_id)\n");
    buffer_append_text(&sql, text);
    buffer_append_byte(&sql, '\0');
    int outcome = sql.failed ? error_set(error, -ENOMEM, "out of memory")
                             : statement_run(statementp, mysql, (const char *)sql.data, values, n,
                                             "read the timeline", error);
    buffer_deinit(&sql);
    return outcome;
}

/* --- rows in memory --- */

static int keep_columns(struct timeline *timeline, enum timeline_lane lane,
                        const struct statement *statement)
{
    if (timeline->columns[lane]) /* of the host before */
        return 0;
    unsigned n = statement_n_columns(statement);
    const MYSQL_FIELD *fields = statement_fields(statement);
    char **names = calloc(n, sizeof(*names));
    timeline->columns[lane] = names;
    if (!names)
        return -ENOMEM;
    timeline->n_columns[lane] = n;
    for (unsigned i = 0; i < n; i++)
        if (!(names[i] = strdup(fields[i].name)))
            return -ENOMEM;
    return 0;
}

static size_t kept_length(struct slice value)
{
    return value.length <= VALUE_MOST ? value.length : VALUE_MOST + 64;
}

/* A character is not cut in two. */
static size_t whole_characters(struct slice value, size_t most)
{
    while (most && (value.data[most] & 0xc0) == 0x80)
        most--;
    return most;
}

static struct slice keep_value(uint8_t **at, struct slice value)
{
    uint8_t *begin = *at;
    if (slice_is_null(value))
        return SLICE_NULL;
    if (value.length <= VALUE_MOST) {
        memcpy(begin, value.data, value.length);
        *at += value.length;
    } else {
        size_t length = whole_characters(value, VALUE_MOST);
        memcpy(begin, value.data, length);
        int more = snprintf((char *)begin + length, 64, " [cut: %zu bytes in all]", value.length);
        *at += length + (size_t)more;
    }
    return slice_of(begin, (size_t)(*at - begin));
}

static int64_t microseconds(struct slice text)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%.*s", (int)text.length, (const char *)text.data);
    return strtoll(digits, NULL, 10);
}

static int keep_row(struct timeline *timeline, enum timeline_lane lane, const char *host,
                    const struct slice *values, struct error_text *error)
{
    size_t n = timeline->n_columns[lane], size = n * sizeof(struct slice) + 1;
    for (size_t i = 0; i < n; i++)
        size += kept_length(values[i]);
    timeline->bytes += size;
    if (timeline->bytes > BYTES_MOST)
        return error_set(
            error, -EFBIG,
            "these rows need more than 256 MiB: ask for a shorter window, fewer --lanes "
            "or a smaller --limit");
    struct slice *kept = malloc(size);
    if (!kept || ARRAY_GROW(timeline->rows, timeline->n_rows, timeline->capacity)) {
        free(kept);
        return error_set(error, -ENOMEM, "out of memory");
    }
    uint8_t *at = (uint8_t *)(kept + n);
    for (size_t i = 0; i < n; i++)
        kept[i] = keep_value(&at, values[i]);
    timeline->rows[timeline->n_rows] = (struct timeline_row){
        .lane = lane,
        .host = host,
        .order = timeline->n_read++,
        .size = size,
        .begin_us = microseconds(kept[TIMELINE_BEGIN_US]),
        .end_us = slice_is_null(kept[TIMELINE_END_US]) ? 0 : microseconds(kept[TIMELINE_END_US]),
        .has_end = !slice_is_null(kept[TIMELINE_END_US]),
        .values = kept};
    timeline->n_rows++;
    return 0;
}

static int read_lane(struct timeline *timeline, MYSQL *mysql, enum timeline_lane lane,
                     const struct timeline_question *question, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    int outcome = ask(&statement, mysql, lanes[lane].file, question, error);
    if (!outcome && keep_columns(timeline, lane, statement))
        outcome = error_set(error, -ENOMEM, "out of memory");
    while (!outcome && (outcome = statement_next(statement, &values, error)) == STATEMENT_ROW)
        outcome = keep_row(timeline, lane, question->host, values, error);
    return outcome;
}

/* --- order and limit --- */

static int compare(const void *left, const void *right)
{
    const struct timeline_row *a = left, *b = right;
    if (a->begin_us != b->begin_us)
        return a->begin_us < b->begin_us ? -1 : 1;
    if (a->lane != b->lane)
        return a->lane < b->lane ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* What was not seen is kept whole: it is not the answer, but what the answer lacks. */
static bool is_missed(const struct timeline_row *row)
{
    return row->lane == TIMELINE_GAPS || row->lane == TIMELINE_UNWATCHED;
}

static void cut(struct timeline *timeline, uint64_t limit)
{
    size_t n_kept = 0;
    timeline->n_seen = 0;
    for (size_t i = 0; i < timeline->n_rows; i++) {
        struct timeline_row *row = &timeline->rows[i];
        if (is_missed(row) || timeline->n_seen < limit) {
            timeline->n_seen += !is_missed(row);
            timeline->rows[n_kept++] = *row;
            continue;
        }
        if (!timeline->is_cut || row->begin_us < timeline->cut_us)
            timeline->cut_us = row->begin_us;
        timeline->is_cut = true;
        timeline->bytes -= row->size;
        free(row->values);
    }
    timeline->n_rows = n_kept;
}

int timeline_read(struct timeline *timeline, MYSQL *mysql, const struct timeline_question *question,
                  struct error_text *error)
{
    int outcome = 0;
    for (enum timeline_lane lane = 0; !outcome && lane < TIMELINE_N_LANES; lane++)
        if (question->lanes[lane])
            outcome = read_lane(timeline, mysql, lane, question, error);
    if (outcome)
        return outcome;
    if (timeline->n_rows)
        qsort(timeline->rows, timeline->n_rows, sizeof(*timeline->rows), compare);
    cut(timeline, question->limit);
    return 0;
}

int timeline_extent(MYSQL *mysql, const struct timeline_question *question, int64_t *since_us,
                    int64_t *until_us, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    int outcome = ask(&statement, mysql, "timeline_extent.sql", question, error);
    if (!outcome)
        outcome = statement_next(statement, &values, error);
    if (outcome < 0)
        return outcome;
    if (outcome != STATEMENT_ROW || slice_is_null(values[0]))
        return error_set(error, -ENOENT, "there is no process row %" PRIu64 " on host %s",
                         question->process_row, question->host);
    *since_us = microseconds(values[0]);
    *until_us = microseconds(values[1]);
    return 0;
}

void timeline_deinit(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->n_rows; i++)
        free(timeline->rows[i].values);
    free(timeline->rows);
    for (size_t lane = 0; lane < TIMELINE_N_LANES; lane++) {
        for (size_t i = 0; i < timeline->n_columns[lane]; i++)
            free(timeline->columns[lane][i]);
        free(timeline->columns[lane]);
    }
    *timeline = (struct timeline)TIMELINE_NULL;
}
