// links: vestige_question vestige_server
/* A file of a question: it is refused with file, line and reason, or all that was read of it lies
 * within it and its SQL can be translated. */
#include "reports/database/statement_text.h"
#include "reports/question/question.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct question *question)
{
    struct buffer sql = BUFFER_NULL;
    if (!*question->question || !*question->tags || !*question->sql ||
        (question->has_window && !question->window_all && question->window_us <= 0))
        abort();
    for (size_t i = 0; i < question->n_parameters; i++)
        if (!question_uses(question, question->parameters[i].name) ||
            !*question->parameters[i].help)
            abort();
    if (statement_text_translate(&sql, slice_text(question->sql), NULL, NULL) || sql.failed)
        abort();
    buffer_deinit(&sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct question *question = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    int outcome = question_new(&question, "fuzz", "fuzz.sql", slice_of(data, size), &error);
    if (outcome == 0)
        check(question);
    else if (strncmp(error.text, "fuzz.sql:", 9) != 0)
        abort();
    question_free(question);
    return 0;
}
