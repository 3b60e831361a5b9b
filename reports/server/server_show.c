/* From the server to the output a row at a time; when the rows end early, the answer says so. */
#include "reports/server/server_show.h"
#include "reports/evidence/answer.h"

#include <string.h>

static int write_error(int outcome, struct error_text *error)
{
    return outcome ? error_set(error, outcome, "the rows cannot be written: %s", strerror(-outcome))
                   : 0;
}

int server_show(const struct server_question *question, uint64_t *n_rows, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct answer *answer AUTO_ANSWER = NULL;
    const struct slice *row;
    int outcome = statement_run(&statement, question->mysql, question->sql, question->values,
                                question->n_values, question->doing, error);
    if (outcome)
        return outcome;
    if (answer_new(&answer, question->options, statement_fields(statement),
                   statement_n_columns(statement)))
        return error_set(error, -ENOMEM, "out of memory");
    answer_least_columns(answer, question->least_columns);
    while ((outcome = statement_next(statement, &row, error)) == STATEMENT_ROW) {
        outcome = write_error(answer_row(answer, row), error);
        if (outcome)
            return outcome;
    }
    if (outcome)
        answer_is_partial(answer, "the server's rows ended");
    else
        outcome = write_error(answer_finish(answer), error);
    *n_rows = answer_n_rows(answer);
    return outcome;
}
