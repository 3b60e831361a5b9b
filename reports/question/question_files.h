#pragma once
/* Where questions are: compiled into the program, and in the directory of the site. */
#include "reports/question/question.h"

#define QUESTION_DIRECTORY "/etc/vestige/sql"

/* A file that is a question, or should be. */
struct question_file {
    char *name;  /* without .sql */
    char *place; /* "/etc/vestige/sql/x.sql"; built in: "sql/x.sql" */
    bool built_in;
    struct question *question; /* NULL: it cannot be read */
    struct error_text problem; /* why not, with file and line */
};

struct question_files {
    struct question_file *files; /* by name, each name once */
    size_t n;
};

/** Read all. A file of the directory wins over a built-in one of its name. @p directory: NULL is
 *  QUESTION_DIRECTORY, which need not exist; another one must. */
int question_files_init(struct question_files *files, const char *directory,
                        struct error_text *error) MUST_CHECK;
void question_files_deinit(struct question_files *files);
/** The question of that name. -ENOENT with the nearest names, or the problem of its file. */
int question_files_find(const struct question_files *files, const char *name,
                        const struct question **questionp, struct error_text *error) MUST_CHECK;
