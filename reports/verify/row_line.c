/* One buffer that is filled anew for each line; values that cannot hold an escape are copied. */
#include "reports/verify/row_line.h"

#include "core/evidence_text.h"

#include <stdlib.h>

struct row_lines {
    struct batch_digest *digest;
    struct buffer text;
};

int row_lines_new(struct row_lines **linesp)
{
    struct row_lines *lines = calloc(1, sizeof(*lines));
    if (!lines || batch_digest_new(&lines->digest)) {
        free(lines);
        return -ENOMEM;
    }
    *linesp = lines;
    return 0;
}

struct row_lines *row_lines_free(struct row_lines *lines)
{
    if (lines) {
        batch_digest_free(lines->digest);
        buffer_deinit(&lines->text);
        free(lines);
    }
    return NULL;
}

static bool is_null_in(const struct row *row, enum row_line which, enum column_line line)
{
    if (which == ROW_SETTLE || which == ROW_END)
        return false;
    return (line == COLUMN_SETTLE && row->settled) ||
           (line == COLUMN_END && which == ROW_INSERT_OPEN);
}

static void append_values(struct buffer *text, const struct row *row, enum row_line which,
                          unsigned format)
{
    static const enum verb verbs[] = {[ROW_INSERT] = VERB_INSERT,
                                      [ROW_INSERT_OPEN] = VERB_INSERT,
                                      [ROW_SETTLE] = VERB_SETTLE,
                                      [ROW_END] = VERB_END};
    const struct table *table = catalogue_table(row->table);
    size_t first, n = catalogue_line_columns(table, verbs[which], &first);
    buffer_append_text(text, verb_name(verbs[which]));
    buffer_append_byte(text, '\t');
    buffer_append_text(text, table->name);
    buffer_append_byte(text, '\t');
    buffer_append_u64(text, row->id);
    for (size_t i = first; i < first + n; i++) {
        const struct column *column = &table->columns[i];
        bool is_null = slice_is_null(row->values[i]) || is_null_in(row, which, column->line);
        if (column->since > format && is_null) /* else it is more than the host can have said */
            continue;
        buffer_append_byte(text, '\t');
        if (is_null)
            buffer_append(text, "\\N", 2);
        else if (row->plain[i])
            buffer_append_slice(text, row->values[i]);
        else
            evidence_field_append(text, row->values[i]);
    }
}

int row_line_digest(struct row_lines *lines, const struct row *row, enum row_line which,
                    unsigned format, uint8_t digest[BATCH_DIGEST_SIZE])
{
    buffer_clear(&lines->text);
    append_values(&lines->text, row, which, format);
    if (lines->text.failed)
        return -ENOMEM;
    return batch_digest_line(lines->digest, buffer_slice(&lines->text), digest);
}

int row_line_digest_text(struct row_lines *lines, struct slice text,
                         uint8_t digest[BATCH_DIGEST_SIZE])
{
    return batch_digest_line(lines->digest, text, digest);
}
