/* The rows go into the page as one JSON document, which is data for the browser and not script;
 * drawing them is up to the page's own script (timeline.js). It is written in pieces, so that the
 * page is never in memory as a whole. */
#include "core/cleanup.h"
#include "reports/options/time_words.h"
#include "reports/output/html.h"
#include "reports/timeline/timeline.h"
#include "reports/timeline/timeline_files.h"

#include <inttypes.h>

#define PIECE (1u << 20)

struct page {
    const struct timeline *timeline;
    const struct timeline_question *question;
    struct buffer text;
    struct html_file file;
    struct error_text *error;
};

static struct slice file_slice(const char *name)
{
    const struct embedded_file *file = timeline_file(name);
    return slice_of(file->text, file->length);
}

static void append_value(struct buffer *to, struct slice value)
{
    if (slice_is_null(value))
        buffer_append_text(to, "null");
    else
        html_append_json(to, value);
}

static void append_member(struct buffer *to, const char *name, struct slice value)
{
    buffer_printf(to, "\"%s\":", name);
    append_value(to, value);
    buffer_append_text(to, ",\n");
}

static void append_moment(struct buffer *to, const char *name, bool has, int64_t us)
{
    if (has)
        buffer_printf(to, "\"%s\":%" PRId64 ",\n", name, us);
    else
        buffer_printf(to, "\"%s\":null,\n", name);
}

static void append_process(struct buffer *to, const struct timeline_question *question)
{
    char text[64] = "";
    if (question->process)
        snprintf(text, sizeof(text), "pid %" PRIu64, question->process);
    if (question->process_row)
        snprintf(text, sizeof(text), "row %" PRIu64, question->process_row);
    append_member(to, "process", *text ? slice_text(text) : SLICE_NULL);
}

static void append_question(struct page *page, const char *zone, struct slice completeness)
{
    const struct timeline_question *question = page->question;
    struct buffer *to = &page->text;
    buffer_append_text(to, "{\n");
    append_member(to, "host", slice_text(question->host));
    append_member(to, "zone", slice_text(zone ? zone : "UTC"));
    append_member(to, "completeness", completeness);
    append_process(to, question);
    append_member(to, "loginUser",
                  question->any_login       ? SLICE_NULL
                  : question->login_name    ? slice_text(question->login_name)
                  : question->has_login_uid ? slice_text("by number")
                                            : slice_text("unset"));
    append_moment(to, "since", true, question->since_us);
    append_moment(to, "until", true, question->until_us);
    append_moment(to, "now", true, time_reference_now().now_us);
    append_moment(to, "cut", page->timeline->is_cut, page->timeline->cut_us);
    buffer_append_text(to, "\"lanes\":{");
    unsigned n = 0;
    for (enum timeline_lane lane = 0; lane < TIMELINE_N_LANES; lane++) {
        if (!page->timeline->columns[lane])
            continue;
        buffer_printf(to, "%s\n\"%s\":[", n++ ? "," : "", timeline_lane_name(lane));
        for (size_t i = TIMELINE_DETAILS; i < page->timeline->n_columns[lane]; i++) {
            buffer_append_text(to, i > TIMELINE_DETAILS ? "," : "");
            html_append_json(to, slice_text(page->timeline->columns[lane][i]));
        }
        buffer_append_byte(to, ']');
    }
    buffer_append_text(to, "},\n\"rows\":[");
}

/* [lane, begin, end, login user, user, pid, process row, label, text, details...] */
static void append_row(struct page *page, const struct timeline_row *row, bool first)
{
    struct buffer *to = &page->text;
    buffer_printf(to, "%s\n[\"%s\",%" PRId64 ",", first ? "" : ",", timeline_lane_name(row->lane),
                  row->begin_us);
    if (row->has_end)
        buffer_printf(to, "%" PRId64, row->end_us);
    else
        buffer_append_text(to, "null");
    for (size_t i = TIMELINE_LOGIN_USER; i < page->timeline->n_columns[row->lane]; i++) {
        if (i == TIMELINE_END_TEXT)
            continue;
        buffer_append_byte(to, ',');
        append_value(to, row->values[i]);
    }
    buffer_append_byte(to, ']');
}

static int put_when_full(struct page *page, size_t least)
{
    if (page->text.length < least && !page->text.failed)
        return 0;
    return html_file_put(&page->file, &page->text, page->error);
}

static int put_rows(struct page *page)
{
    int outcome = 0;
    for (size_t i = 0; !outcome && i < page->timeline->n_rows; i++) {
        append_row(page, &page->timeline->rows[i], i == 0);
        outcome = put_when_full(page, PIECE);
    }
    return outcome;
}

/* Names of sources in the line are evidence: they may take the word away, but not give it. */
static bool is_complete(struct slice line)
{
    static const char *const others[] = {" is not complete: ", ": nothing was watched: "};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (memmem(line.data, line.length, others[i], strlen(others[i])))
            return false;
    return true;
}

/* What is there without the script, and for whoever looks at the source: the answer's first lines.
 */
static void append_head(struct page *page, struct slice completeness)
{
    struct buffer *to = &page->text;
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
    time_words_format(since, page->question->since_us);
    time_words_format(until, page->question->until_us);
    buffer_append_text(to, "<header id=\"head\">\n<h1>Timeline of ");
    html_append_text(to, slice_text(page->question->host));
    buffer_printf(to,
                  "</h1>\n<p class=\"window\"><span>%s</span> <span class=\"faint\">to</span> "
                  "<span>%s</span></p>\n",
                  since, until);
    buffer_append_text(to, "<p id=\"completeness\" class=\"");
    buffer_append_text(to, is_complete(completeness) ? "faint\">" : "warn\">");
    html_append_text(to, completeness);
    buffer_append_text(to,
                       "</p>\n</header>\n<noscript><p>The rows are drawn by a script in this page, "
                       "which asks for nothing from elsewhere.</p></noscript>\n"
                       "<main id=\"timeline\"></main>\n"
                       "<script type=\"application/json\" id=\"rows\">");
}

static int write_page(struct page *page, const char *zone, struct slice completeness)
{
    struct buffer title = BUFFER_NULL;
    buffer_printf(&title, "Timeline of %s", page->question->host);
    const struct html_page html = {.title = buffer_slice(&title),
                                   .style = file_slice("timeline.css"),
                                   .script = file_slice("timeline.js")};
    int outcome = html_begin(&page->text, &html);
    if (outcome)
        error_set(page->error, outcome, "the page cannot be made: %s", strerror(-outcome));
    buffer_deinit(&title);
    if (outcome)
        return outcome;
    append_head(page, completeness);
    append_question(page, zone, completeness);
    outcome = put_rows(page);
    if (outcome)
        return outcome;
    buffer_append_text(&page->text, "\n]}</script>\n");
    html_end(&page->text, &html);
    outcome = html_file_put(&page->file, &page->text, page->error);
    return outcome ? outcome : html_file_finish(&page->file, page->error);
}

int timeline_write_page(const struct timeline *timeline, const struct timeline_question *question,
                        const char *path, const char *zone, struct slice completeness,
                        struct error_text *error)
{
    struct page page = {
        .timeline = timeline, .question = question, .file = HTML_FILE_NULL, .error = error};
    int outcome = html_file_open(&page.file, path, error);
    if (!outcome)
        outcome = write_page(&page, zone, completeness);
    html_file_deinit(&page.file);
    buffer_deinit(&page.text);
    return outcome;
}
