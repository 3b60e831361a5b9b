/* Taking access away. A locked account is shut out at its next connection, but what is connected
 * already goes on, with all its privileges: so its sessions are ended, after the lock, until none
 * is left. A killed session's open transaction is rolled back. */
#include "reports/client/enrolment.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOKS_MOST = 300, LOOK_MS = 100, QUIET_LOOKS = 3 };

static int kill_all(MYSQL *connection, MYSQL_RES *sessions, unsigned *n, struct error_text *error)
{
    for (MYSQL_ROW row = mysql_fetch_row(sessions); row; row = mysql_fetch_row(sessions)) {
        int r = database_run(connection, error, "end a session", "KILL CONNECTION %s", row[0]);
        if (r < 0 && mysql_errno(connection) != ER_NO_SUCH_THREAD)
            return r;
        if (r == 0 && n)
            ++*n;
    }
    return 0;
}

/* Whoever was let in just before the lock shows up a moment later, and a killed session needs a
 * moment to go: so several looks in a row must find none. */
int enrolment_end_sessions(MYSQL *connection, const char *user, unsigned *n_sessions,
                           struct error_text *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    for (unsigned i = 0, quiet = 0; i < LOOKS_MOST; i++) {
        MYSQL_RES *sessions AUTO_RESULT = NULL;
        int r = database_query(connection, &sessions, error, "find the sessions of the host",
                               "SELECT id, command FROM information_schema.processlist"
                               " WHERE user = '%s'",
                               user);
        bool some = r == 0 && mysql_num_rows(sessions) > 0;
        /* The first time only, so that each is counted once; then those that came since. */
        if (r == 0 && some)
            r = kill_all(connection, sessions, i == 0 ? n_sessions : NULL, error);
        if (r < 0)
            return r;
        quiet = some ? 0 : quiet + 1;
        if (quiet >= QUIET_LOOKS)
            return 0;
        nanosleep(&pause, NULL);
    }
    return error_set(error, -EBUSY,
                     "sessions of %s are still there after %d s: look at SHOW PROCESSLIST", user,
                     LOOKS_MOST * LOOK_MS / 1000);
}

static int exists(MYSQL *connection, const char *from_where, const struct enrolled *enrolled,
                  const char *condition, bool *found, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "look at the account of the host",
                           "SELECT 1 FROM %s WHERE User = '%s' AND Host = '%s' %s", from_where,
                           enrolled->user, enrolled->from, condition);
    if (r == 0)
        *found = mysql_num_rows(result) > 0;
    return r;
}

static int lock_account(MYSQL *connection, const struct enrolled *enrolled,
                        struct error_text *error)
{
    bool has_account = false, has_role = false;
    int r = exists(connection, "mysql.global_priv", enrolled, "", &has_account, error);
    if (r == 0)
        r = exists(connection, "mysql.roles_mapping", enrolled, "AND Role = 'vestige_agent'",
                   &has_role, error);
    if (r == 0 && has_account)
        r = database_run(connection, error, "lock the account of the host",
                         "ALTER USER `%s`@`%s` ACCOUNT LOCK", enrolled->user, enrolled->from);
    if (r == 0 && has_role)
        r = database_run(connection, error, "take the role of the host away",
                         "SET DEFAULT ROLE NONE FOR `%s`@`%s`", enrolled->user, enrolled->from);
    if (r == 0 && has_role)
        r = database_run(connection, error, "take the role of the host away",
                         "REVOKE vestige_agent FROM `%s`@`%s`", enrolled->user, enrolled->from);
    if (r == 0 && has_account)
        r = database_run(connection, error, "take the privileges of the host away",
                         "REVOKE ALL PRIVILEGES, GRANT OPTION FROM `%s`@`%s`", enrolled->user,
                         enrolled->from);
    return r;
}

int enrolment_close(MYSQL *connection, const char *name, const struct enrolled *enrolled,
                    enum enrolment_end end, unsigned *n_sessions, struct error_text *error)
{
    const char *column = end == ENROLMENT_REVOKED ? "revoked_at" : "retired_at";
    int r = lock_account(connection, enrolled, error);
    if (r == 0)
        r = database_run(connection, error, "take the access of the host away",
                         "UPDATE enrolment SET %s = COALESCE(%s, UTC_TIMESTAMP(6))"
                         " WHERE host_id = %" PRIu64,
                         column, column, enrolled->host_id);
    if (r == 0)
        r = enrolment_note(connection, enrolled->host_id, name,
                           end == ENROLMENT_REVOKED ? "revoke" : "retire", NULL, error);
    return r == 0 ? enrolment_end_sessions(connection, enrolled->user, n_sessions, error) : r;
}
