#pragma once
/*
 * The rows of an answer on their way from the server to the user: moments in the time zone asked
 * for, binary values as hex, and in tables without the columns named row_..., which are keys for
 * programs.
 */
#include "reports/database/database.h"
#include "reports/options/options.h"
#include "reports/output/output.h"

struct answer;

/** Write to standard output, in the format of @p options. @p fields must outlive the answer.
 * Returns 0 or -ENOMEM. */
int answer_new(struct answer **answerp, const struct options *options, const MYSQL_FIELD *fields,
               unsigned n_fields) MUST_CHECK;
/** See output_least_columns(). */
void answer_least_columns(struct answer *answer, size_t n);
/** One row of the server's text form. Returns 0 or the error of output_row(). */
int answer_row(struct answer *answer, const struct slice *values) MUST_CHECK;
int answer_finish(struct answer *answer) MUST_CHECK;
uint64_t answer_n_rows(const struct answer *answer);
/** NULL is allowed. */
struct answer *answer_free(struct answer *answer);

/** Instead of answer_finish(): say, where remarks go, that the rows written so far are not all. */
void answer_is_partial(struct answer *answer, const char *why);

static inline void cleanup_answer(struct answer **answer)
{
    answer_free(*answer);
}

#define AUTO_ANSWER CLEANUP(cleanup_answer)
