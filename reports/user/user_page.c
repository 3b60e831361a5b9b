/* The report as one page. Behind each sentence its rows fold out, whole; there is no script. Rows
 * are asked for one by one, by their keys, and how many of them a page holds is bounded. */
#include "reports/output/html.h"
#include "reports/user/user_page_files.h"
#include "reports/user/user_report.h"

#include <inttypes.h>

enum {
    ROWS_PER_FACT = 5,
    ROWS_PER_PAGE = 1000,
    VALUE_MOST = 4096, /* bytes of one value that are shown */
    PIECE = 1 << 16
};

struct page {
    struct user_report *report;
    struct html_file file;
    struct buffer text;
    unsigned n_rows, n_sections;
};

static void add(struct page *page, const char *markup)
{
    buffer_append_text(&page->text, markup);
}

static int flush(struct page *page, size_t least)
{
    if (page->text.length < least && !page->text.failed)
        return 0;
    return html_file_put(&page->file, &page->text, page->report->inquiry->error);
}

static void append_value(struct buffer *to, struct slice value)
{
    size_t shown = value.length < VALUE_MOST ? value.length : VALUE_MOST;
    while (shown < value.length && shown && (value.data[shown] & 0xc0) == 0x80)
        shown--; /* not within a character */
    if (slice_is_null(value))
        buffer_append_text(to, "<td class=\"faint\">unknown</td>");
    else {
        buffer_append_text(to, "<td>");
        html_append_text(to, slice_of(value.data, shown));
        if (shown < value.length)
            buffer_printf(to, " <b>... the first %zu of %zu bytes</b>", shown, value.length);
        buffer_append_text(to, "</td>");
    }
}

/* NULL columns say nothing about what was done, and are many: they are named in one line. */
static void append_row(struct page *page, const MYSQL_FIELD *fields, unsigned n,
                       const struct slice *values)
{
    struct buffer *to = &page->text;
    struct buffer moment = BUFFER_NULL, unknown = BUFFER_NULL;
    add(page, "<table>");
    for (unsigned i = 0; i < n; i++) {
        struct slice value = values[i];
        if (slice_is_null(value)) {
            buffer_printf(&unknown, "%s%s", unknown.length ? ", " : "", fields[i].name);
            continue;
        }
        buffer_clear(&moment);
        if (fields[i].type == MYSQL_TYPE_DATETIME) {
            inquiry_append_moment(&moment, page->report->options, value);
            value = buffer_slice(&moment);
        }
        add(page, "<tr><th>");
        html_append_text(to, slice_text(fields[i].name));
        add(page, "</th>");
        append_value(to, value);
        add(page, "</tr>\n");
    }
    if (unknown.length) {
        add(page, "<tr><th class=\"faint\">not known</th><td class=\"faint\">");
        html_append_text(to, buffer_slice(&unknown));
        add(page, "</td></tr>\n");
    }
    add(page, "</table>\n");
    buffer_deinit(&moment);
    buffer_deinit(&unknown);
}

static int add_row(struct page *page, const struct user_fact *fact, uint64_t id)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct inquiry *inquiry = page->report->inquiry;
    const struct slice *values;
    char sql[200];
    snprintf(sql, sizeof(sql),
             "SELECT * FROM %s WHERE host_id = :row_host_id AND id = :id AND day = :id_day",
             fact->section->table);
    inquiry_set_number(inquiry, "row_host_id", fact->host_id);
    inquiry_set_number(inquiry, "id", id);
    inquiry_set_day(inquiry, "id_day", (int64_t)id);
    int outcome = inquiry_ask(inquiry, &statement, sql, "ask for a row");
    if (outcome)
        return outcome;
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW) {
        append_row(page, statement_fields(statement), statement_n_columns(statement), values);
        page->n_rows++;
    }
    return outcome;
}

static int add_rows(struct page *page, const struct user_fact *fact)
{
    size_t n = 0;
    int outcome = 0;
    add(page, "<details><summary>");
    user_fact_append_keys(&page->text, fact, 3);
    add(page, "</summary>\n");
    while (n < fact->n_ids && n < ROWS_PER_FACT && page->n_rows < ROWS_PER_PAGE && !outcome)
        outcome = add_row(page, fact, fact->ids[n++]);
    if (n < fact->n)
        buffer_printf(&page->text,
                      "<p class=\"faint\">%zu of %" PRIu64 " rows are on this page; the others are "
                      "in table %s.</p>\n",
                      n, fact->n, fact->section->table);
    add(page, "</details>");
    return outcome;
}

static int page_section(void *state, const struct user_section *section,
                        const struct user_fact *facts, size_t n, bool is_cut)
{
    struct page *page = state;
    int outcome = 0;
    buffer_printf(&page->text, "<section id=\"s%u\"><h2>%s</h2>\n", ++page->n_sections,
                  section->title);
    if (n)
        add(page, "<ul>\n");
    else
        buffer_printf(&page->text, "<p class=\"faint\">%s.</p>\n", section->none);
    for (size_t i = 0; i < n && !outcome; i++) {
        add(page, "<li>");
        html_append_text(&page->text, buffer_slice(&facts[i].text));
        add(page, ".");
        outcome = add_rows(page, &facts[i]);
        add(page, "</li>\n");
        if (!outcome)
            outcome = flush(page, PIECE);
    }
    add(page, n ? "</ul>\n" : "");
    if (is_cut)
        buffer_printf(&page->text,
                      "<p class=\"warn\">Cut after %" PRIu64 ": more with --limit.</p>\n",
                      page->report->limit);
    add(page, "</section>\n");
    return outcome;
}

static void add_head(struct page *page)
{
    struct buffer window = BUFFER_NULL;
    user_report_append_window(&window, page->report);
    add(page, "<header><h1>");
    html_append_text(&page->text, slice_text(page->report->name));
    add(page, "</h1>\n<p>What was recorded of this login user, whatever su, sudo or setuid came "
              "later. Each sentence opens to the rows that it rests on.</p>\n<p class=\"faint\">");
    html_append_text(&page->text, buffer_slice(&page->report->who));
    add(page, "<br>\n");
    html_append_text(&page->text, buffer_slice(&window));
    add(page, "</p></header>\n<main>\n");
    buffer_deinit(&window);
}

static int write_all(struct page *page, const struct html_page *frame)
{
    struct user_writer writer = {page_section, page};
    struct buffer line = BUFFER_NULL;
    struct error_text *error = page->report->inquiry->error;
    int outcome = html_begin(&page->text, frame);
    if (outcome)
        return error_set(error, outcome, "the page cannot be made: %s", strerror(-outcome));
    add_head(page);
    outcome = user_report_run(page->report, &writer);
    if (!outcome)
        outcome = inquiry_completeness(page->report->inquiry, &line);
    if (!outcome) {
        add(page, "</main>\n<footer><p>");
        html_append_text(&page->text, buffer_slice(&line));
        add(page, ".</p></footer>\n");
        html_end(&page->text, frame);
        outcome = flush(page, 0);
    }
    buffer_deinit(&line);
    return outcome ? outcome : html_file_finish(&page->file, error);
}

int user_write_page(struct user_report *report, const char *path)
{
    struct page page = {.report = report, .file = HTML_FILE_NULL};
    struct buffer title = BUFFER_NULL;
    buffer_printf(&title, "%s: what was recorded", report->name);
    struct html_page frame = {.title = buffer_slice(&title),
                              .style =
                                  slice_of(user_page_files[0].text, user_page_files[0].length)};
    int outcome = html_file_open(&page.file, path, report->inquiry->error);
    if (!outcome)
        outcome = write_all(&page, &frame);
    html_file_deinit(&page.file);
    buffer_deinit(&page.text);
    buffer_deinit(&title);
    return outcome;
}
