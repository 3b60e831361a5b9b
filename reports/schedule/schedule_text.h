#pragma once
/*
 * A canned question in the form in which the server keeps it for its runs: the SQL with a `?` for
 * each value, typed by a CAST, because the server binds all of them as text; and lists of names.
 */
#include "reports/question/question.h"
#include "reports/question/question_values.h"

enum { SCHEDULE_PLACES_MAX = 64 }; /* as vestige_ask has */

struct schedule_text {
    struct buffer sql;
    struct buffer value_names;     /* JSON: the names of the places, in order */
    struct buffer parameters;      /* SQL: JSON_OBJECT('remote', :remote, ...) */
    struct buffer row_table;       /* of the header's `schedule` */
    struct buffer subject_columns; /* JSON, likewise */
    struct buffer answer_columns;  /* JSON; see schedule_text_columns() */
};

#define SCHEDULE_TEXT_NULL                                                                         \
    {                                                                                              \
        0                                                                                          \
    }

/** @p server_us: the server's time before and after the values were read; a moment between them was
 *  written as `now`, and is of each run anew. -EINVAL: it cannot be scheduled, and why. */
int schedule_text_init(struct schedule_text *text, const struct question *question,
                       const struct question_values *values, const int64_t server_us[2],
                       struct error_text *error) MUST_CHECK;
/** Check the columns of the question's answer against its header, and keep their names. */
int schedule_text_columns(struct schedule_text *text, const struct question *question,
                          const struct statement *statement, struct error_text *error) MUST_CHECK;
void schedule_text_deinit(struct schedule_text *text);
