/* Each value is passed on as it came, but for those kinds that are shown in another form; what a
 * table leaves out is left out before the output sees it. */
#include "reports/evidence/answer.h"
#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/hex.h"
#include "reports/options/time_words.h"

#include <inttypes.h>

#define CHARSET_BINARY 63
#define KEY_PREFIX     "row_"

struct answer {
    const struct options *options;
    const MYSQL_FIELD *fields;
    unsigned n_fields;
    unsigned *shown; /* indexes of the fields that are written */
    unsigned n_shown;
    struct output *output;
    struct buffer *cells; /* for values that are shown in another form */
    struct slice *values;
    uint64_t n_rows;
};

static enum output_kind kind_of(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return OUTPUT_NUMBER;
    default:
        return OUTPUT_TEXT;
    }
}

static bool is_binary(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_BIT:
        return true;
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_VAR_STRING:
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
    case MYSQL_TYPE_BLOB:
        return field->charsetnr == CHARSET_BINARY;
    default:
        return false;
    }
}

static bool is_moment(const MYSQL_FIELD *field)
{
    return field->type == MYSQL_TYPE_DATETIME || field->type == MYSQL_TYPE_TIMESTAMP;
}

/* Nobody logged in: a table says so, because an empty cell could also be a missing record. */
static const char *null_word_of(const MYSQL_FIELD *field)
{
    return !strcmp(field->org_name, "login_uid") || !strcmp(field->name, "login_user") ? "unset"
                                                                                       : NULL;
}

static bool is_shown(const struct answer *answer, unsigned i)
{
    return answer->options->format != OUTPUT_TABLE ||
           strncmp(answer->fields[i].name, KEY_PREFIX, strlen(KEY_PREFIX)) != 0;
}

static int open_output(struct answer *answer)
{
    AUTO_FREE struct output_column *columns = calloc(answer->n_fields, sizeof(*columns));
    answer->cells = calloc(answer->n_fields, sizeof(*answer->cells));
    answer->values = calloc(answer->n_fields, sizeof(*answer->values));
    answer->shown = calloc(answer->n_fields, sizeof(*answer->shown));
    if (!columns || !answer->cells || !answer->values || !answer->shown)
        return -ENOMEM;
    for (unsigned i = 0; i < answer->n_fields; i++) {
        const MYSQL_FIELD *field = &answer->fields[i];
        if (!is_shown(answer, i))
            continue;
        columns[answer->n_shown] =
            (struct output_column){field->name, kind_of(field), null_word_of(field)};
        answer->shown[answer->n_shown++] = i;
    }
    return output_new(&answer->output, answer->options->format, stdout, columns, answer->n_shown);
}

int answer_new(struct answer **answerp, const struct options *options, const MYSQL_FIELD *fields,
               unsigned n_fields)
{
    struct answer *answer AUTO_ANSWER = calloc(1, sizeof(*answer));
    if (!answer)
        return -ENOMEM;
    answer->options = options;
    answer->fields = fields;
    answer->n_fields = n_fields;
    int outcome = open_output(answer);
    if (outcome)
        return outcome;
    *answerp = answer;
    answer = NULL;
    return 0;
}

void answer_least_columns(struct answer *answer, size_t n)
{
    output_least_columns(answer->output, n);
}

static struct slice show(struct answer *answer, unsigned i, struct slice value)
{
    const MYSQL_FIELD *field = &answer->fields[i];
    struct buffer *cell = &answer->cells[i];
    char moment[TIME_TEXT_SIZE];
    if (slice_is_null(value))
        return value;
    buffer_clear(cell);
    if (is_binary(field))
        hex_append(cell, value.data, value.length);
    else if (is_moment(field) && answer->options->time_zone && time_words_convert(moment, value))
        buffer_append_text(cell, moment);
    else
        return value;
    return buffer_slice(cell);
}

int answer_row(struct answer *answer, const struct slice *values)
{
    for (unsigned i = 0; i < answer->n_shown; i++) {
        answer->values[i] = show(answer, answer->shown[i], values[answer->shown[i]]);
        if (answer->cells[answer->shown[i]].failed)
            return -ENOMEM;
    }
    int outcome = output_row(answer->output, answer->values);
    answer->n_rows += outcome == 0;
    return outcome;
}

int answer_finish(struct answer *answer)
{
    return output_finish(answer->output);
}

uint64_t answer_n_rows(const struct answer *answer)
{
    return answer->n_rows;
}

/* A JSON document is left open: whoever reads it must not take it for whole. */
void answer_is_partial(struct answer *answer, const char *why)
{
    if (answer->options->format == OUTPUT_TABLE && output_finish(answer->output))
        return;
    fprintf(output_remarks(answer->options->format),
            "Not the whole answer: %s after %" PRIu64 " row%s\n", why, answer->n_rows,
            answer->n_rows == 1 ? "" : "s");
}

struct answer *answer_free(struct answer *answer)
{
    if (!answer)
        return NULL;
    output_free(answer->output);
    for (unsigned i = 0; answer->cells && i < answer->n_fields; i++)
        buffer_deinit(&answer->cells[i]);
    free(answer->cells);
    free(answer->values);
    free(answer->shown);
    free(answer);
    return NULL;
}
