/* The report for a terminal, as JSON and as CSV. */
#include "reports/output/json_text.h"
#include "reports/output/output.h"
#include "reports/output/safe_text.h"
#include "reports/user/user_report.h"

#include <inttypes.h>

static int flushed(struct user_report *report, int outcome)
{
    return outcome ? outcome : inquiry_flush("the report", report->inquiry->error);
}

static int put(struct user_report *report, struct buffer *text)
{
    int outcome = 0;
    if (text->failed)
        outcome = error_set(report->inquiry->error, -ENOMEM, "out of memory");
    else if (fwrite(text->data, 1, text->length, stdout) != text->length)
        outcome = inquiry_flush("the report", report->inquiry->error);
    buffer_clear(text);
    return outcome;
}

/* Text */

static int text_section(void *state, const struct user_section *section,
                        const struct user_fact *facts, size_t n, bool is_cut)
{
    struct user_report *report = state;
    struct buffer line = BUFFER_NULL;
    buffer_printf(&line, "\n%s\n", section->title);
    for (size_t i = 0; i < n; i++) {
        buffer_append_text(&line, "  ");
        safe_text_append(&line, buffer_slice(&facts[i].text));
        buffer_append_text(&line, ".  [");
        user_fact_append_keys(&line, &facts[i], USER_IDS_MOST);
        buffer_append_text(&line, "]\n");
    }
    if (!n)
        buffer_printf(&line, "  %s.\n", section->none);
    if (is_cut)
        buffer_printf(&line, "  Cut after %" PRIu64 ": more with --limit.\n", report->limit);
    int outcome = put(report, &line);
    buffer_deinit(&line);
    return outcome;
}

int user_write_text(struct user_report *report)
{
    struct buffer head = BUFFER_NULL;
    struct user_writer writer = {text_section, report};
    safe_text_append(&head, buffer_slice(&report->who));
    buffer_append_byte(&head, '\n');
    user_report_append_window(&head, report);
    buffer_append_byte(&head, '\n');
    int outcome = put(report, &head);
    if (!outcome)
        outcome = user_report_run(report, &writer);
    buffer_deinit(&head);
    printf("\n%s", outcome ? "Not the whole report: an error ended it here\n" : "");
    return flushed(report, outcome);
}

/* JSON */

struct json_state {
    struct user_report *report;
    bool is_first;
};

static void append_member(struct buffer *to, const char *before, const char *name,
                          struct slice value)
{
    buffer_printf(to, "%s\"%s\": ", before, name);
    json_append_value(to, false, value);
}

static void append_column(struct buffer *to, const struct user_report *report,
                          const struct user_fact *fact, size_t i)
{
    struct slice value = fact->columns[i].value;
    struct buffer moment = BUFFER_NULL;
    buffer_printf(to, ", \"%s\": ", fact->columns[i].name);
    if (fact->columns[i].is_moment && !slice_is_null(value)) {
        inquiry_append_moment(&moment, report->options, value);
        value = buffer_slice(&moment);
    }
    json_append_value(to, fact->columns[i].is_number, value);
    buffer_deinit(&moment);
}

static void append_fact(struct buffer *to, const struct user_report *report,
                        const struct user_fact *fact)
{
    append_member(to, "\n    {", "sentence", buffer_slice(&fact->text));
    for (size_t i = 0; i < fact->n_columns; i++)
        append_column(to, report, fact, i);
    append_member(to, ", ", "row_table", slice_text(fact->section->table));
    buffer_printf(to, ", \"row_host_id\": %" PRIu64 ", \"row_ids\": [", fact->host_id);
    for (size_t i = 0; i < fact->n_ids; i++)
        buffer_printf(to, "%s%" PRIu64, i ? ", " : "", fact->ids[i]);
    buffer_append_text(to, "]}");
}

static int json_section(void *state, const struct user_section *section,
                        const struct user_fact *facts, size_t n, bool is_cut)
{
    struct json_state *json = state;
    struct buffer text = BUFFER_NULL;
    append_member(&text, json->is_first ? "\n  {" : ",\n  {", "title", slice_text(section->title));
    buffer_printf(&text, ", \"is_cut\": %s, \"facts\": [", is_cut ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        buffer_append_text(&text, i ? "," : "");
        append_fact(&text, json->report, &facts[i]);
    }
    buffer_append_text(&text, "]}");
    json->is_first = false;
    int outcome = put(json->report, &text);
    buffer_deinit(&text);
    return outcome;
}

int user_write_json(struct user_report *report)
{
    struct buffer text = BUFFER_NULL, window = BUFFER_NULL;
    struct json_state state = {report, true};
    struct user_writer writer = {json_section, &state};
    user_report_append_window(&window, report);
    append_member(&text, "{", "user", slice_text(report->name));
    append_member(&text, ", ", "who", buffer_slice(&report->who));
    append_member(&text, ", ", "window", buffer_slice(&window));
    buffer_append_text(&text, ", \"sections\": [");
    int outcome = put(report, &text);
    if (!outcome)
        outcome = user_report_run(report, &writer);
    if (!outcome)
        fputs("\n]}\n", stdout);
    buffer_deinit(&text);
    buffer_deinit(&window);
    return flushed(report, outcome);
}

/* CSV */

static const struct output_column csv_columns[] = {
    {"section",     OUTPUT_TEXT,   NULL},
    {"sentence",    OUTPUT_TEXT,   NULL},
    {"n",           OUTPUT_NUMBER, NULL},
    {"row_table",   OUTPUT_TEXT,   NULL},
    {"row_host_id", OUTPUT_NUMBER, NULL},
    {"row_ids",     OUTPUT_TEXT,   NULL},
};

struct csv_state {
    struct user_report *report;
    struct output *output;
};

static int write_error(struct user_report *report, int outcome)
{
    return outcome ? error_set(report->inquiry->error, outcome, "the report cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

static int csv_section(void *state, const struct user_section *section,
                       const struct user_fact *facts, size_t n, bool is_cut)
{
    const struct csv_state *csv = state;
    int outcome = 0;
    for (size_t i = 0; i < n && !outcome; i++) {
        struct buffer numbers[3] = {0};
        buffer_append_u64(&numbers[0], facts[i].n);
        buffer_append_u64(&numbers[1], facts[i].host_id);
        for (size_t j = 0; j < facts[i].n_ids; j++)
            buffer_printf(&numbers[2], "%s%" PRIu64, j ? "," : "", facts[i].ids[j]);
        struct slice values[] = {slice_text(section->title), buffer_slice(&facts[i].text),
                                 buffer_slice(&numbers[0]),  slice_text(facts[i].section->table),
                                 buffer_slice(&numbers[1]),  buffer_slice(&numbers[2])};
        outcome = write_error(csv->report, output_row(csv->output, values));
        for (size_t j = 0; j < 3; j++)
            buffer_deinit(&numbers[j]);
    }
    if (is_cut)
        fprintf(stderr, "%s: cut after %zu: more with --limit\n", section->title, n);
    return outcome;
}

int user_write_csv(struct user_report *report)
{
    struct output *output;
    if (output_new(&output, OUTPUT_CSV, stdout, csv_columns,
                   sizeof(csv_columns) / sizeof(csv_columns[0])))
        return error_set(report->inquiry->error, -ENOMEM, "out of memory");
    struct csv_state state = {report, output};
    struct user_writer writer = {csv_section, &state};
    int outcome = user_report_run(report, &writer);
    if (!outcome)
        outcome = write_error(report, output_finish(output));
    output_free(output);
    struct buffer window = BUFFER_NULL;
    user_report_append_window(&window, report);
    fprintf(stderr, "%.*s\n", (int)window.length, (const char *)window.data);
    buffer_deinit(&window);
    return flushed(report, outcome);
}
