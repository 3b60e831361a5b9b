#pragma once
/*
 * A connection to MariaDB for the vestige command. Where and who come from MariaDB's own option
 * files, group [vestige], and from the options that all MariaDB tools share. Over TCP the server's
 * certificate is always verified; LOCAL INFILE is always off. The session is UTC, strict, utf8mb4
 * and READ COMMITTED.
 *
 * What a server refuses is -EACCES (login or privilege), -ENOENT (no such database, table or
 * account), -EEXIST (is there already), -ECONNREFUSED (unreachable, or the connection is lost) or
 * -EIO, with a text that has the server's words and what to do.
 */
#include "core/error.h"

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define DATABASE_NAME "vestige" /* where no option file names another */

struct database_options {
    const char *defaults_file;       /* only this option file; NULL: the usual ones */
    const char *defaults_extra_file; /* read after the others; may be NULL */
    const char
        *defaults_group_suffix;       /* read [vestige<suffix>] instead of [vestige]; may be NULL */
    bool no_defaults;                 /* read no option file */
    const char *host, *user, *socket; /* NULL: as the option files say */
    unsigned port;                    /* 0: as the option files say */
    const char *database;             /* NULL: as the option files say, or DATABASE_NAME */
    bool select_no_database;          /* it may not exist yet; see database_name */
};

struct options;
/** The options of a command line with OPTIONS_DATABASE. */
struct database_options database_options_of(const struct options *options);

int database_connect(MYSQL **connectionp, const struct database_options *options,
                     struct error_text *error) MUST_CHECK;
MYSQL *database_close(MYSQL *connection);
/** The database that was selected, or is to be. Owned by the connection. */
const char *database_name(const MYSQL *connection);
/** "socket /run/mysqld/mysqld.sock" or "host db1 port 3306". Owned by the connection's options and
 *  @p text. */
void database_place(const MYSQL *connection, char text[300]);

/** The error of the last statement; @p doing says what failed: "create the account agent_1". */
int database_error(MYSQL *connection, struct error_text *error, const char *doing) MUST_CHECK;
/** The same of a prepared statement. */
int database_statement_error(MYSQL_STMT *statement, struct error_text *error,
                             const char *doing) MUST_CHECK;
/** Run one statement and discard its results. */
int database_run(MYSQL *connection, struct error_text *error, const char *doing, const char *format,
                 ...) PRINTF(4, 5) MUST_CHECK;
/** Run one statement and keep its rows, which the caller frees (AUTO_RESULT). */
int database_query(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error,
                   const char *doing, const char *format, ...) PRINTF(5, 6) MUST_CHECK;
/** Run one statement for the number in the first column of its first row; 0: NULL, no row, or an
 * error. */
int database_query_number(MYSQL *connection, uint64_t *number, struct error_text *error,
                          const char *doing, const char *format, ...) PRINTF(5, 6) MUST_CHECK;
/** Take the lock of a job that must not run twice at once, until the connection ends; -EBUSY:
 * another one has it. Its name is known to who may read when the schema was made: agents cannot
 * hold it. */
int database_lock_job(MYSQL *connection, const char *job, struct error_text *error) MUST_CHECK;
/** @p text as a string literal with its quotes, for a statement. The caller frees. NULL: no memory.
 */
char *database_quote(MYSQL *connection, const char *text) MUST_CHECK;

/** The number in a cell of a result; 0: NULL. */
static inline uint64_t database_u64(const char *cell)
{
    return cell ? strtoull(cell, NULL, 10) : 0;
}

static inline int64_t database_i64(const char *cell)
{
    return cell ? strtoll(cell, NULL, 10) : 0;
}

static inline void cleanup_database_result(MYSQL_RES **result)
{
    if (*result)
        mysql_free_result(*result);
}

static inline void cleanup_database(MYSQL **connection)
{
    if (*connection)
        database_close(*connection);
}

#define AUTO_RESULT   CLEANUP(cleanup_database_result)
#define AUTO_DATABASE CLEANUP(cleanup_database)
