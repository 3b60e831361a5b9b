/* Each row is two events, its beginning and its end, where these lie in the window; a row that
 * ended as it began is one. At the same moment ends come before beginnings: an exec ends one
 * program and begins the next. */
#include "core/buffer.h"
#include "core/cleanup.h"
#include "reports/options/time_words.h"
#include "reports/timeline/timeline.h"

#include <stdlib.h>

enum event_kind { EVENT_END, EVENT_MOMENT, EVENT_BEGIN };

struct event {
    int64_t us;
    enum event_kind kind;
    const struct timeline_row *row;
};

enum column {
    COLUMN_TIME,
    COLUMN_EVENT,
    COLUMN_KIND,
    COLUMN_LOGIN_USER,
    COLUMN_USER,
    COLUMN_PID,
    COLUMN_WHAT,
    COLUMN_HOST,
    COLUMN_HOST_ID,
    COLUMN_ID,
    N_COLUMNS
};

/* In the order of enum column. */
static const struct output_column columns[N_COLUMNS] = {
    {"time",        OUTPUT_TEXT,   NULL},
    {"event",       OUTPUT_TEXT,   NULL},
    {"kind",        OUTPUT_TEXT,   NULL},
    {"login_user",  OUTPUT_TEXT,   "-" },
    {"user",        OUTPUT_TEXT,   "-" },
    {"pid",         OUTPUT_NUMBER, NULL},
    {"what",        OUTPUT_TEXT,   NULL},
    {"host",        OUTPUT_TEXT,   NULL},
    {"row_host_id", OUTPUT_NUMBER, NULL},
    {"row_id",      OUTPUT_NUMBER, NULL},
};

/* Keys are for programs. The host stands in a table when it is not the same in all lines, and
 * before what may be long. */
static const enum column shown_of_one[] = {COLUMN_TIME,       COLUMN_EVENT, COLUMN_KIND,
                                           COLUMN_LOGIN_USER, COLUMN_USER,  COLUMN_PID,
                                           COLUMN_WHAT};
static const enum column shown_of_several[] = {COLUMN_TIME, COLUMN_HOST,       COLUMN_EVENT,
                                               COLUMN_KIND, COLUMN_LOGIN_USER, COLUMN_USER,
                                               COLUMN_PID,  COLUMN_WHAT};

struct layout {
    enum column columns[N_COLUMNS];
    size_t n;
};

static struct layout lay_out(const struct timeline_question *question, enum output_format format)
{
    struct layout layout = {.n = N_COLUMNS};
    for (size_t i = 0; i < N_COLUMNS; i++)
        layout.columns[i] = (enum column)i;
    if (format != OUTPUT_TABLE)
        return layout;
    bool several = question->of_several;
    const enum column *shown = several ? shown_of_several : shown_of_one;
    layout.n = (several ? sizeof(shown_of_several) : sizeof(shown_of_one)) / sizeof(*shown);
    memcpy(layout.columns, shown, layout.n * sizeof(*shown));
    return layout;
}

static int compare(const void *left, const void *right)
{
    const struct event *a = left, *b = right;
    if (a->us != b->us)
        return a->us < b->us ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static size_t collect(struct event *events, const struct timeline *timeline,
                      const struct timeline_question *question)
{
    size_t n = 0;
    for (size_t i = 0; i < timeline->n_rows; i++) {
        const struct timeline_row *row = &timeline->rows[i];
        bool begins = row->begin_us >= question->since_us;
        if (row->lane == TIMELINE_UNWATCHED) /* cut to the window: that is no event */
            begins = row->begin_us > question->since_us;
        bool ends = row->has_end && row->end_us <= question->until_us &&
                    (row->lane != TIMELINE_UNWATCHED || row->end_us < question->until_us);
        if (begins && ends && row->begin_us == row->end_us) {
            events[n++] = (struct event){row->begin_us, EVENT_MOMENT, row};
            continue;
        }
        if (begins)
            events[n++] = (struct event){row->begin_us, EVENT_BEGIN, row};
        if (ends)
            events[n++] = (struct event){row->end_us, EVENT_END, row};
    }
    if (n)
        qsort(events, n, sizeof(*events), compare);
    return n;
}

/* The column of the row with this name; SLICE_NULL: it has none. */
static struct slice detail(const struct timeline *timeline, const struct timeline_row *row,
                           const char *name)
{
    for (size_t i = TIMELINE_DETAILS; i < timeline->n_columns[row->lane]; i++)
        if (!strcmp(timeline->columns[row->lane][i], name))
            return row->values[i];
    return SLICE_NULL;
}

static int write_event(struct output *output, const struct layout *layout,
                       const struct timeline *timeline, const struct event *event)
{
    static const char *const words[] = {
        [EVENT_END] = "end", [EVENT_MOMENT] = "moment", [EVENT_BEGIN] = "begin"};
    const struct timeline_row *row = event->row;
    char time[TIME_TEXT_SIZE];
    struct slice text =
        row->values[event->kind == EVENT_BEGIN ? TIMELINE_BEGIN_TEXT : TIMELINE_END_TEXT];
    time_words_format(time, event->us);
    const struct slice values[N_COLUMNS] = {
        [COLUMN_TIME] = slice_text(time),
        [COLUMN_EVENT] = slice_text(words[event->kind]),
        [COLUMN_KIND] = slice_text(timeline_row_kind(row->lane)),
        [COLUMN_LOGIN_USER] = row->values[TIMELINE_LOGIN_USER],
        [COLUMN_USER] = row->values[TIMELINE_USER],
        [COLUMN_PID] = row->values[TIMELINE_PID],
        [COLUMN_WHAT] = slice_is_null(text) ? row->values[TIMELINE_BEGIN_TEXT] : text,
        [COLUMN_HOST] = slice_text(row->host),
        [COLUMN_HOST_ID] = detail(timeline, row, "host_id"),
        [COLUMN_ID] = detail(timeline, row, "id"),
    };
    struct slice shown[N_COLUMNS];
    for (size_t i = 0; i < layout->n; i++)
        shown[i] = values[layout->columns[i]];
    return output_row(output, shown);
}

static int write_events(struct output *output, const struct layout *layout,
                        const struct timeline *timeline, const struct event *events,
                        size_t n_events)
{
    int outcome = 0;
    for (size_t i = 0; !outcome && i < n_events; i++)
        outcome = write_event(output, layout, timeline, &events[i]);
    return outcome ? outcome : output_finish(output);
}

int timeline_write_text(const struct timeline *timeline, const struct timeline_question *question,
                        enum output_format format, uint64_t *n_events, struct error_text *error)
{
    AUTO_FREE struct event *events = calloc(2 * timeline->n_rows + 1, sizeof(*events));
    const struct layout layout = lay_out(question, format);
    struct output_column shown[N_COLUMNS];
    struct output *output = NULL;
    for (size_t i = 0; i < layout.n; i++)
        shown[i] = columns[layout.columns[i]];
    if (!events || output_new(&output, format, stdout, shown, layout.n))
        return error_set(error, -ENOMEM, "out of memory");
    output_keep_lines(output);
    *n_events = collect(events, timeline, question);
    int outcome = write_events(output, &layout, timeline, events, (size_t)*n_events);
    output_free(output);
    return outcome ? error_set(error, outcome, "the rows cannot be written: %s", strerror(-outcome))
                   : 0;
}
