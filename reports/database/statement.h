#pragma once
/*
 * One prepared statement with named values. `:name` in the SQL, outside of strings, quoted names
 * and comments, becomes a bound parameter; the value of each name is given in a list. A value is
 * never part of the SQL text.
 *
 * https://mariadb.com/kb/en/mariadb-connector-c-prepared-statement-functions/
 */
#include "core/buffer.h"
#include "reports/database/database.h"

enum statement_kind {
    STATEMENT_NULL,
    STATEMENT_TEXT,
    STATEMENT_NUMBER,
    STATEMENT_MOMENT,
    STATEMENT_DAY
};

struct statement_value {
    const char *name;
    enum statement_kind kind;
    struct slice text; /* TEXT */
    uint64_t number;   /* NUMBER */
    int64_t us;        /* MOMENT: microseconds since 1970. DAY: a moment of that UTC day */
};

struct statement;

/** Prepare, bind and execute. Rows are read as the server sends them, so nothing else can be asked
 * of
 *  @p mysql until statement_next() gave 0 or an error, or the statement is freed. @p doing says for
 * the error what failed: "run the report x". -ENOKEY: the SQL has a name that no value has. */
int statement_run(struct statement **statementp, MYSQL *mysql, const char *sql,
                  const struct statement_value *values, size_t n_values, const char *doing,
                  struct error_text *error) MUST_CHECK;

/** The same for SQL that gives no rows, as a CALL: it is done when this returns. */
int statement_do(MYSQL *mysql, const char *sql, const struct statement_value *values,
                 size_t n_values, const char *doing, struct error_text *error) MUST_CHECK;

unsigned statement_n_columns(const struct statement *statement);
/** n_columns of them. Owned by the statement. */
const MYSQL_FIELD *statement_fields(const struct statement *statement);

enum { STATEMENT_END = 0, STATEMENT_ROW = 1 };

/** The next row in the server's text form: n_columns values, SLICE_NULL for NULL. They are valid
 * until the next call. Returns STATEMENT_ROW, STATEMENT_END, or a negative error. */
int statement_next(struct statement *statement, const struct slice **valuesp,
                   struct error_text *error) MUST_CHECK;

struct statement *statement_free(struct statement *statement);

static inline void cleanup_statement(struct statement **statement)
{
    statement_free(*statement);
}

#define AUTO_STATEMENT CLEANUP(cleanup_statement)
