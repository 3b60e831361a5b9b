#pragma once
/*
 * From what the user wrote to the values that a question's SQL is bound to.
 */
#include "reports/database/statement.h"
#include "reports/evidence/evidence.h"
#include "reports/question/question.h"

enum { QUESTION_COMMON_VALUES = 9, QUESTION_ROWS_DEFAULT = 1000 };

struct question_values {
    struct statement_value values[QUESTION_PARAMETERS_MAX + QUESTION_COMMON_VALUES];
    size_t n;
    struct buffer texts[QUESTION_PARAMETERS_MAX]; /* what was brought to the stored form */
    struct evidence_window window;                /* for evidence_completeness() */
    bool until_now;                               /* no --until: the window ends now */
    uint64_t row_limit;                           /* rows to show; one more is asked for */
};

/** Read the options and the words (NAME=VALUE, or values alone in the order of the parameters) for
 *  @p question. Asks @p mysql for the server's time, and for hosts and users by name. @p row_limit:
 * 0 for the default. The values point into @p options, @p question and itself. */
int question_values_init(struct question_values *values, MYSQL *mysql,
                         const struct question *question, const struct options *options,
                         char *const *words, size_t n_words, uint64_t row_limit,
                         struct error_text *error) MUST_CHECK;
void question_values_deinit(struct question_values *values);
