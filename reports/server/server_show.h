#pragma once
/* Rows of one statement on standard output, in the format of the options. */
#include "reports/database/statement.h"
#include "reports/options/options.h"

struct server_question {
    MYSQL *mysql;
    const struct options *options;
    const char *sql;
    const struct statement_value *values;
    size_t n_values;
    const char *doing;    /* for the error: "read the holds" */
    size_t least_columns; /* see output_least_columns(); 0: all */
};

int server_show(const struct server_question *question, uint64_t *n_rows,
                struct error_text *error) MUST_CHECK;
