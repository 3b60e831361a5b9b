/* Kept until the end, because the exit status and the columns depend on all of them. */
#include "reports/evidence/findings.h"

#include <stdlib.h>

static const char *const level_words[] = {"ok", "note", "wrong"};
_Static_assert(sizeof(level_words) / sizeof(level_words[0]) == FINDING_LEVEL_N, "name each level");

void findings_add(struct findings *findings, enum finding_level level, const char *first,
                  const char *second, const char *third, const char *fourth)
{
    const char *const texts[FINDING_TEXTS] = {first, second, third, fourth};
    struct finding *array = realloc(findings->array, (findings->n + 1) * sizeof(*array));
    if (!array) {
        findings->failed = true;
        return;
    }
    findings->array = array;
    struct finding *finding = &array[findings->n++];
    *finding = (struct finding){.level = level};
    findings->n_wrong += level == FINDING_WRONG;
    for (size_t i = 0; i < FINDING_TEXTS; i++) {
        finding->texts[i] = texts[i] ? strdup(texts[i]) : NULL;
        findings->failed |= texts[i] && !finding->texts[i];
    }
}

static bool is_used(const struct findings *findings, size_t text)
{
    for (size_t i = 0; i < findings->n; i++)
        if (findings->array[i].texts[text])
            return true;
    return false;
}

struct layout {
    size_t texts[FINDING_TEXTS + 1]; /* FINDING_TEXTS: the level */
    size_t n;
};

/* A table has no column that is empty; programs find the same keys each time. */
static struct layout lay_out(const struct findings *findings, enum output_format format,
                             size_t level_at)
{
    bool all = format != OUTPUT_TABLE;
    struct layout layout = {.n = 0};
    for (size_t i = 0; i <= FINDING_TEXTS; i++) {
        if (i == level_at)
            layout.texts[layout.n++] = FINDING_TEXTS;
        if (i < FINDING_TEXTS && (all || is_used(findings, i)))
            layout.texts[layout.n++] = i;
    }
    return layout;
}

static int print_rows(const struct findings *findings, const struct layout *layout,
                      struct output *output)
{
    struct slice values[FINDING_TEXTS + 1];
    for (size_t i = 0; i < findings->n; i++) {
        const struct finding *finding = &findings->array[i];
        for (size_t j = 0; j < layout->n; j++)
            values[j] =
                slice_text(layout->texts[j] == FINDING_TEXTS ? level_words[finding->level]
                                                             : finding->texts[layout->texts[j]]);
        int error = output_row(output, values);
        if (error)
            return error;
    }
    return output_finish(output);
}

int findings_print(const struct findings *findings, enum output_format format,
                   const char *const titles[FINDING_TEXTS], size_t level_at)
{
    struct layout layout = lay_out(findings, format, level_at);
    struct output_column columns[FINDING_TEXTS + 1];
    struct output *output = NULL;
    if (findings->failed)
        return -ENOMEM;
    for (size_t i = 0; i < layout.n; i++)
        columns[i] = (struct output_column){
            .name = layout.texts[i] == FINDING_TEXTS ? "level" : titles[layout.texts[i]]};
    int error = output_new(&output, format, stdout, columns, layout.n);
    if (!error)
        output_head_columns(output, level_at + 1);
    if (!error)
        error = print_rows(findings, &layout, output);
    output_free(output);
    return error;
}

static void free_texts(struct finding *finding)
{
    for (size_t i = 0; i < FINDING_TEXTS; i++)
        free(finding->texts[i]);
}

size_t findings_drop_well(struct findings *findings)
{
    size_t n = findings->n;
    findings->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (findings->array[i].level == FINDING_OK)
            free_texts(&findings->array[i]);
        else
            findings->array[findings->n++] = findings->array[i];
    }
    return n - findings->n;
}

void findings_deinit(struct findings *findings)
{
    for (size_t i = 0; i < findings->n; i++)
        free_texts(&findings->array[i]);
    free(findings->array);
    *findings = (struct findings)FINDINGS_NULL;
}
