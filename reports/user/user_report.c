/* The facts of one title are in memory at a time: a writer may ask for whole rows between them. */
#include "reports/user/user_report.h"

#include "core/array.h"
#include "reports/options/time_words.h"
#include "reports/user/sentence.h"

#include <inttypes.h>
#include <stdlib.h>

struct facts {
    struct user_fact *array;
    size_t n, capacity;
};

static void facts_clear(struct facts *facts)
{
    for (size_t i = 0; i < facts->n; i++) {
        buffer_deinit(&facts->array[i].text);
        buffer_deinit(&facts->array[i].values);
    }
    facts->n = 0;
}

static struct user_fact *facts_add(struct facts *facts)
{
    if (ARRAY_GROW(facts->array, facts->n, facts->capacity))
        return NULL;
    struct user_fact *fact = &facts->array[facts->n++];
    memset(fact, 0, sizeof(*fact));
    return fact;
}

static bool is_number(const MYSQL_FIELD *field)
{
    return IS_NUM(field->type) && field->type != MYSQL_TYPE_TIMESTAMP;
}

static void read_ids(struct user_fact *fact, struct slice ids)
{
    for (size_t at = 0; at < ids.length && fact->n_ids < USER_IDS_MOST; at++) {
        struct slice rest = slice_of(ids.data + at, ids.length - at);
        fact->ids[fact->n_ids++] = inquiry_u64(rest);
        while (at < ids.length && ids.data[at] != ',')
            at++;
    }
}

static void keep_special(struct user_fact *fact, const char *name, struct slice value)
{
    if (!strcmp(name, "row_host_id"))
        fact->host_id = inquiry_u64(value);
    else if (!strcmp(name, "row_ids"))
        read_ids(fact, value);
    else if (!strcmp(name, "n"))
        fact->n = inquiry_u64(value);
}

/* The values are copied first, so that what points to them does not move. */
static void keep_values(struct user_fact *fact, const MYSQL_FIELD *fields, unsigned n_fields,
                        const struct slice *values)
{
    size_t at = 0;
    for (unsigned i = 0; i < n_fields; i++)
        buffer_append_slice(&fact->values, values[i]);
    buffer_append_byte(&fact->values, '\0');
    if (fact->values.failed)
        return;
    for (unsigned i = 0; i < n_fields && fact->n_columns < USER_COLUMNS_MAX; i++) {
        struct slice value = slice_is_null(values[i])
                                 ? SLICE_NULL
                                 : slice_of(fact->values.data + at, values[i].length);
        size_t k = fact->n_columns;
        at += values[i].length;
        keep_special(fact, fields[i].name, value);
        if (!strncmp(fields[i].name, "row_", 4))
            continue;
        snprintf(fact->columns[k].name, sizeof(fact->columns[k].name), "%s", fields[i].name);
        fact->columns[k].is_number = is_number(&fields[i]);
        fact->columns[k].is_moment = fields[i].type == MYSQL_TYPE_DATETIME;
        fact->columns[k].value = value;
        fact->n_columns++;
    }
}

static void make_sentence(struct user_fact *fact, const char *who)
{
    struct sentence_value values[USER_COLUMNS_MAX + 1] = {
        {"who", slice_text(who)}
    };
    for (size_t i = 0; i < fact->n_columns; i++)
        values[i + 1] = (struct sentence_value){fact->columns[i].name, fact->columns[i].value};
    sentence_append(&fact->text, fact->section->form, values, fact->n_columns + 1);
}

static int ask_section(struct user_report *report, const struct user_section *section,
                       struct facts *facts)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct inquiry *inquiry = report->inquiry;
    const struct slice *values;
    char doing[100];
    size_t before = facts->n;
    snprintf(doing, sizeof(doing), "ask for \"%s\"", section->title);
    inquiry_set_number(inquiry, "row_limit", report->limit + 1);
    int outcome = inquiry_ask(inquiry, &statement, section->sql, doing);
    if (outcome)
        return outcome;
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW) {
        if (facts->n - before == report->limit) {
            report->is_cut = true;
            return 0;
        }
        struct user_fact *fact = facts_add(facts);
        if (!fact)
            return error_set(inquiry->error, -ENOMEM, "out of memory");
        fact->section = section;
        keep_values(fact, statement_fields(statement), statement_n_columns(statement), values);
        make_sentence(fact, report->name);
        if (fact->values.failed || fact->text.failed)
            return error_set(inquiry->error, -ENOMEM, "out of memory");
        report->n_facts += !section->is_remark;
    }
    return outcome;
}

int user_report_run(struct user_report *report, const struct user_writer *writer)
{
    struct facts facts = {0};
    int outcome = 0;
    for (size_t i = 0; i < user_sections_n && !outcome; i++) {
        const char *title = user_sections[i].title;
        outcome = ask_section(report, &user_sections[i], &facts);
        if (outcome || (i + 1 < user_sections_n && !strcmp(title, user_sections[i + 1].title)))
            continue;
        outcome =
            writer->section(writer->state, &user_sections[i], facts.array, facts.n, report->is_cut);
        report->is_cut = false;
        facts_clear(&facts);
    }
    facts_clear(&facts);
    free(facts.array);
    return outcome;
}

void user_fact_append_keys(struct buffer *to, const struct user_fact *fact, size_t most)
{
    buffer_printf(to, "%s ", fact->section->table);
    for (size_t i = 0; i < fact->n_ids && i < most; i++)
        buffer_printf(to, "%s%" PRIu64 "/%" PRIu64, i ? ", " : "", fact->host_id, fact->ids[i]);
    if (most > fact->n_ids)
        most = fact->n_ids;
    if (fact->n > most)
        buffer_printf(to, " and %" PRIu64 " more", fact->n - most);
}

void user_report_append_window(struct buffer *to, const struct user_report *report)
{
    const struct evidence_window *window = &report->inquiry->window;
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
    time_words_format(since, window->since_us);
    time_words_format(until, window->until_us);
    buffer_printf(to, "From %s to %s%s; ", since, until,
                  report->is_default_window ? " (default window)" : "");
    if (window->has_host)
        buffer_printf(to, "host %s", report->options->on);
    else
        buffer_append_text(to, "all hosts");
}
