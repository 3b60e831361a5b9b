/* Values are written straight into the text, each behind a tab; text from outside goes through a
 * scratch buffer first, because it is made valid UTF-8 before it is made a field. */
#include "recorder/row/line.h"

#include "core/evidence_text.h"
#include "core/fact.h"

#include <stdlib.h>
#include <time.h>

void line_deinit(struct line *line)
{
    buffer_deinit(&line->text);
    buffer_deinit(&line->scratch);
}

void line_begin(struct line *line, enum verb verb, enum table_id table, uint64_t id)
{
    size_t first;
    line->table = table;
    line->verb = verb;
    line->id = id;
    line->n_values = 0;
    line->n_expected = catalogue_line_columns(catalogue_table(table), verb, &first);
    buffer_clear(&line->text);
    buffer_append_text(&line->text, verb_name(verb));
    buffer_append_byte(&line->text, '\t');
    buffer_append_text(&line->text, catalogue_table(table)->name);
    buffer_append_byte(&line->text, '\t');
    buffer_append_u64(&line->text, id);
}

static void value_begin(struct line *line)
{
    line->n_values++;
    buffer_append_byte(&line->text, '\t');
}

void line_null(struct line *line)
{
    value_begin(line);
    buffer_append(&line->text, "\\N", 2);
}

void line_u64(struct line *line, uint64_t value)
{
    value_begin(line);
    buffer_append_u64(&line->text, value);
}

void line_id32(struct line *line, uint32_t value)
{
    if (value == ID_UNSET)
        line_null(line);
    else
        line_u64(line, value);
}

void line_word(struct line *line, const char *word)
{
    if (word) {
        value_begin(line);
        buffer_append_text(&line->text, word);
    } else {
        line_null(line);
    }
}

void line_text(struct line *line, struct slice text)
{
    value_begin(line);
    evidence_field_append(&line->text, text);
}

void line_evidence(struct line *line, struct slice bytes)
{
    if (slice_is_null(bytes)) {
        line_null(line);
        return;
    }
    buffer_clear(&line->scratch);
    evidence_text_append(&line->scratch, bytes);
    if (line->scratch.failed)
        line->text.failed = true;
    line_text(line, buffer_slice(&line->scratch));
}

void line_fields(struct line *line, struct slice fields, size_t n)
{
    value_begin(line);
    buffer_append_slice(&line->text, fields);
    line->n_values += n - 1;
}

void line_nulls(struct line *line, size_t n)
{
    while (n--)
        line_null(line);
}

static void two_digits(char *to, unsigned value)
{
    to[0] = (char)('0' + value / 10 % 10);
    to[1] = (char)('0' + value % 10);
}

void line_time(struct line *line, uint64_t real_us)
{
    static const uint64_t last_year_us = UINT64_C(253402300799999999); /* 9999-12-31 */
    if (real_us > last_year_us)
        real_us = last_year_us;
    time_t seconds = (time_t)(real_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[] = "0000-00-00 00:00:00.000000";
    two_digits(text, (unsigned)(tm.tm_year + 1900) / 100);
    two_digits(text + 2, (unsigned)(tm.tm_year + 1900) % 100);
    two_digits(text + 5, (unsigned)tm.tm_mon + 1);
    two_digits(text + 8, (unsigned)tm.tm_mday);
    two_digits(text + 11, (unsigned)tm.tm_hour);
    two_digits(text + 14, (unsigned)tm.tm_min);
    two_digits(text + 17, (unsigned)tm.tm_sec);
    unsigned micro = (unsigned)(real_us % 1000000);
    two_digits(text + 20, micro / 10000);
    two_digits(text + 22, micro / 100 % 100);
    two_digits(text + 24, micro % 100);
    value_begin(line);
    buffer_append(&line->text, text, sizeof(text) - 1);
}

int line_finish(struct line *line)
{
    buffer_append_byte(&line->text, '\n');
    if (line->text.failed)
        return -ENOMEM;
    return line->n_values == line->n_expected ? 0 : -EINVAL;
}

uint64_t line_parse_time(struct slice value)
{
    static const char form[] = "0000-00-00 00:00:00.000000";
    char text[sizeof(form)];
    struct tm tm = {0};
    if (value.length != sizeof(form) - 1)
        return 0;
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    const char *rest = strptime(text, "%Y-%m-%d %H:%M:%S.", &tm);
    if (!rest)
        return 0;
    return (uint64_t)timegm(&tm) * 1000000 + strtoul(rest, NULL, 10);
}
