#pragma once
/*
 * A canned question: a file of `sql/`, read. The form is described in sql/README.md.
 */
#include "core/buffer.h"

#include <stdbool.h>
#include <stdint.h>

enum parameter_type {
    PARAMETER_TEXT,
    PARAMETER_NUMBER,
    PARAMETER_ADDRESS,
    PARAMETER_PATH,
    PARAMETER_TIME,
    PARAMETER_HOST,
    PARAMETER_USER
};

struct question_parameter {
    const char *name;
    enum parameter_type type;
    bool has_default;
    const char *default_text; /* NULL: none */
    const char *help;
};

struct question_column {
    const char *name, *help;
};

enum { QUESTION_PARAMETERS_MAX = 16, QUESTION_COLUMNS_MAX = 64, QUESTION_SIZE_MAX = 1 << 20 };

struct question {
    char *name;           /* of the file, without .sql */
    const char *file;     /* for messages */
    char *text;           /* the file; all other strings point into it */
    const char *question; /* the sentence */
    const char *tags;
    const char *example; /* NULL: none */
    bool has_window;     /* the next two mean something */
    bool window_all;
    int64_t window_us;    /* length; 0 for all */
    const char *schedule; /* "TABLE; subject COLUMN, COLUMN"; NULL: cannot be scheduled */
    const char *sql;
    struct question_parameter parameters[QUESTION_PARAMETERS_MAX];
    size_t n_parameters;
    struct question_column columns[QUESTION_COLUMNS_MAX];
    size_t n_columns;
};

/** Read @p text, which is copied. @p name is that of the file ("who-listens"), @p file its place
 * for messages and must outlive the question. Returns 0, -ENOMEM, or -EINVAL with "FILE:LINE: what
 * and what to do". Pure. */
int question_new(struct question **questionp, const char *name, const char *file, struct slice text,
                 struct error_text *error) MUST_CHECK;
struct question *question_free(struct question *question);

/** "text", "number", ... */
const char *question_type_name(enum parameter_type type);
/** Whether the question's SQL uses `:name`. */
bool question_uses(const struct question *question, const char *name);

static inline void cleanup_question(struct question **question)
{
    question_free(*question);
}

#define AUTO_QUESTION CLEANUP(cleanup_question)
