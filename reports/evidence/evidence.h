#pragma once
/*
 * A reader's connection to the evidence, and what must be said about every answer: whether the
 * evidence it rests on is complete.
 */
#include "core/buffer.h"
#include "reports/database/database.h"
#include "reports/options/options.h"

/** Connect as the options say: the standalone instance of --state, else MariaDB option files (group
 *  [vestige]) and --host, --user and their like. The session is UTC and utf8mb4. */
int evidence_connect(MYSQL **mysqlp, const struct options *options,
                     struct error_text *error) MUST_CHECK;

/** The same of the standalone instance in @p state, as @p database says; the error of one that does
 * not run says how to run it. */
int evidence_connect_standalone(MYSQL **mysqlp, const struct database_options *database,
                                const char *state, struct error_text *error) MUST_CHECK;

/* What part of the evidence an answer rests on. */
struct evidence_window {
    bool has_since, has_until;
    int64_t since_us, until_us; /* microseconds since 1970 */
    bool has_host;
    uint64_t host_id;
};

struct evidence_window evidence_window_of(const struct options *options);

/** The host of --on (name or number). The error names the nearest ones. */
int evidence_find_host(MYSQL *mysql, const char *word, uint64_t *host_id,
                       struct error_text *error) MUST_CHECK;
/** Number and name of each host, by name; of those only that have this row of process, if it is not
 *  0. */
int evidence_hosts(MYSQL *mysql, uint64_t process_row, MYSQL_RES **resultp,
                   struct error_text *error) MUST_CHECK;
/** The one of them that a question about one host is about; several or none are an error that says
 *  what to give. */
int evidence_one_host(MYSQL_RES *hosts, uint64_t process_row, uint64_t *host_id,
                      struct error_text *error) MUST_CHECK;
/** The login uid of --login-user (name, number; `unset` gives *is_set false), on the host of --on,
 * NULL: on any. A name with several numbers there is refused, a number that others have there
 * warned of. */
int evidence_find_login_user(MYSQL *mysql, const char *word, const uint64_t *host_id,
                             uint64_t *login_uid, bool *is_set,
                             struct error_text *error) MUST_CHECK;

/** Append one line (without a newline): gaps, unwatched spans and unverified rows that overlap the
 *  window. */
int evidence_completeness(MYSQL *mysql, const struct evidence_window *window, struct buffer *line,
                          struct error_text *error) MUST_CHECK;
/** Print that line, the last of an answer. */
int evidence_tell_completeness(MYSQL *mysql, const struct evidence_window *window, FILE *to,
                               struct error_text *error) MUST_CHECK;
