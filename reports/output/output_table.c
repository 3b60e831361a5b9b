/* libsmartcols lays out what it has been given, so rows are given to it in portions: a long answer
 * is printed as several tables, each with its header, and memory stays bounded. Our own escapes
 * are made before, and the backslash is declared safe so that they are not escaped again. Where the
 * wide columns would get too little of a terminal to be read, the last columns are left out if they
 * may be, else each row is printed as lines of its own, one a column. */
#include "output_writer.h"
#include "reports/output/safe_text.h"

#include <libsmartcols.h>

#define PORTION_ROWS  5000
#define PORTION_BYTES (32u << 20)
#define NARROW        36 /* bytes: a UUID; a column of such cells is never folded */
#define FOLDED_LEAST  16 /* characters that a folded column needs to be readable */
#define FOLDED_SHARE  24 /* the same, for each of several: libsmartcols shares unevenly */

struct table_state {
    struct libscols_table *table;
    size_t rows, bytes;
    size_t *widest;  /* cell of each column in this portion */
    size_t n_shown;  /* columns; those behind are left out of all that follows */
    bool as_records; /* once a portion was, all that follow are */
    bool has_record; /* one was printed, so that the next needs a line between */
};

static int add_column(struct libscols_table *table, const struct output_column *column)
{
    int flags = column->kind == OUTPUT_NUMBER ? SCOLS_FL_RIGHT : 0;
    struct libscols_column *added = scols_table_new_column(table, column->name, 0.1, flags);
    if (!added)
        return -ENOMEM;
    return scols_column_set_safechars(added, "\\");
}

static int table_begin(struct output *output)
{
    struct table_state *state = calloc(1, sizeof(*state));
    if (!state)
        return -ENOMEM;
    output->state = state;
    state->n_shown = output->n_columns;
    state->table = scols_new_table();
    state->widest = calloc(output->n_columns + 1, sizeof(*state->widest));
    if (!state->table || !state->widest)
        return -ENOMEM;
    scols_table_set_stream(state->table, output->stream);
    if (output->keep_lines)
        scols_table_set_termforce(state->table, SCOLS_TERMFORCE_NEVER);
    for (size_t i = 0; i < output->n_columns; i++) {
        int error = add_column(state->table, &output->columns[i]);
        if (error)
            return error;
    }
    return 0;
}

/* Narrow columns stay whole; the wide ones share what is left of the line. */
static int fold_wide_columns(struct output *output)
{
    struct table_state *state = output->state;
    for (size_t i = 0; !output->keep_lines && i < output->n_columns; i++) {
        bool is_hidden = i >= state->n_shown;
        if (output->columns[i].kind == OUTPUT_NUMBER && !is_hidden)
            continue;
        struct libscols_column *column = scols_table_get_column(state->table, i);
        int error = scols_column_set_flags(column, is_hidden                   ? SCOLS_FL_HIDDEN
                                                   : state->widest[i] > NARROW ? SCOLS_FL_WRAP
                                                                               : 0);
        if (error)
            return error;
        state->widest[i] = 0;
    }
    return 0;
}

/* Whether the first n columns fit into the terminal, with the wide ones folded to what can be read.
 */
static bool fits(const struct output *output, size_t n)
{
    const struct table_state *state = output->state;
    size_t needed = 0, n_folded = 0;
    for (size_t i = 0; i < n; i++) {
        size_t header = strlen(output->columns[i].name);
        bool folds = output->columns[i].kind != OUTPUT_NUMBER && state->widest[i] > NARROW;
        size_t cell = state->widest[i] > header ? state->widest[i] : header;
        n_folded += folds;
        needed += folds ? 1 : cell + 1;
    }
    needed += n_folded * (n_folded > 1 ? FOLDED_SHARE : FOLDED_LEAST);
    return needed <= scols_table_get_termwidth(state->table) + 1;
}

static bool make_fit(struct output *output)
{
    struct table_state *state = output->state;
    size_t n = state->n_shown, least = output->least_columns ? output->least_columns : n;
    while (n > least && !fits(output, n))
        n--;
    if (!fits(output, n))
        return false;
    state->n_shown = n;
    return true;
}

static const char *cell_text(struct libscols_line *line, size_t i)
{
    const char *text = scols_cell_get_data(scols_line_get_cell(line, i));
    return text ? text : "";
}

/* One row; what its cells hold was made safe for a terminal when they were set. */
static void print_record(struct output *output, struct libscols_line *line, int name_width)
{
    struct table_state *state = output->state;
    if (state->has_record)
        fputc('\n', output->stream);
    state->has_record = true;
    for (size_t i = 0; i < output->n_columns; i++) {
        const char *text = cell_text(line, i);
        bool is_empty = !*text;
        fprintf(output->stream, "%-*s%s%s\n", is_empty ? 0 : name_width, output->columns[i].name,
                is_empty ? "" : " ", is_empty ? "" : text);
    }
}

/* "agent  journal_full  wrong  yes", and below it what there is more to say. */
static void print_brief(struct output *output, struct libscols_line *line)
{
    struct table_state *state = output->state;
    size_t width = 0, next = output->head_columns;
    for (size_t i = 0; i < output->head_columns; i++) {
        const char *text = cell_text(line, i);
        bool is_last = i + 1 == output->head_columns && !*cell_text(line, next);
        fprintf(output->stream, "%-*s%s", is_last ? 0 : (int)state->widest[i], text,
                is_last ? "" : " ");
        width += state->widest[i] + 1;
    }
    if (*cell_text(line, next) &&
        width + strlen(cell_text(line, next)) <= scols_table_get_termwidth(state->table))
        fputs(cell_text(line, next++), output->stream);
    fputc('\n', output->stream);
    for (; next < output->n_columns; next++)
        if (*cell_text(line, next))
            fprintf(output->stream, "    %s: %s\n", output->columns[next].name,
                    cell_text(line, next));
}

static int print_all_brief(struct output *output)
{
    struct table_state *state = output->state;
    for (size_t i = 0; i < state->rows; i++)
        print_brief(output, scols_table_get_line(state->table, i));
    return 0;
}

static int print_records(struct output *output)
{
    struct table_state *state = output->state;
    int name_width = 0;
    if (output->head_columns && output->head_columns < output->n_columns)
        return print_all_brief(output);
    for (size_t i = 0; i < output->n_columns; i++) {
        int width = (int)strlen(output->columns[i].name);
        name_width = width > name_width ? width : name_width;
        state->widest[i] = 0;
    }
    for (size_t i = 0; i < state->rows; i++)
        print_record(output, scols_table_get_line(state->table, i), name_width);
    return 0;
}

static int print_table(struct output *output)
{
    struct table_state *state = output->state;
    int error = fold_wide_columns(output);
    return error ? error : scols_print_table(state->table);
}

static int print_portion(struct output *output)
{
    struct table_state *state = output->state;
    if (state->rows == 0)
        return 0;
    if (output->terminal && !output->keep_lines && !make_fit(output))
        state->as_records = true;
    int error = state->as_records ? print_records(output) : print_table(output);
    scols_table_remove_lines(state->table);
    state->rows = state->bytes = 0;
    return error ? error : output_stream_error(output);
}

static int end_table(struct output *output)
{
    struct table_state *state = output->state;
    int error = print_portion(output);
    if (error || state->as_records || state->n_shown == output->n_columns)
        return error;
    fputs("Too narrow for ", output->stream);
    for (size_t i = state->n_shown; i < output->n_columns; i++)
        fprintf(output->stream, "%s%s", i > state->n_shown ? ", " : "", output->columns[i].name);
    fputs(": see --format json\n", output->stream);
    return output_stream_error(output);
}

static int set_cell(struct output *output, struct libscols_line *line, size_t column,
                    struct slice value)
{
    struct table_state *state = output->state;
    const char *word = output->columns[column].null_word;
    buffer_clear(&output->scratch);
    if (slice_is_null(value))
        buffer_append_text(&output->scratch, word ? word : "");
    else
        safe_text_append(&output->scratch, value);
    buffer_append_byte(&output->scratch, '\0');
    if (output->scratch.failed)
        return -ENOMEM;
    state->bytes += output->scratch.length;
    if (output->scratch.length - 1 > state->widest[column])
        state->widest[column] = output->scratch.length - 1;
    return scols_line_set_data(line, column, (const char *)output->scratch.data);
}

static int table_row(struct output *output, const struct slice *values)
{
    struct table_state *state = output->state;
    struct libscols_line *line = scols_table_new_line(state->table, NULL);
    if (!line)
        return -ENOMEM;
    state->rows++;
    for (size_t i = 0; i < output->n_columns; i++) {
        int error = set_cell(output, line, i, values[i]);
        if (error)
            return error;
    }
    if (state->rows < PORTION_ROWS && state->bytes < PORTION_BYTES)
        return 0;
    return print_portion(output);
}

static void table_deinit(struct output *output)
{
    struct table_state *state = output->state;
    scols_unref_table(state->table);
    free(state->widest);
    free(state);
    output->state = NULL;
}

const struct output_writer output_writer_table = {table_begin, table_row, end_table, table_deinit};
