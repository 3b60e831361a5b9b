/* `vestige server reader`: an account for a person, with an option file that any MariaDB client
 * takes. The password is in that file and in no statement. Where this command reached the server
 * over TLS, the account demands it, and the file verifies the server by the same authority. Where
 * the server's plugin server_audit logs the accounts of a list, the new one is put into it. */
#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/keys/bundle.h"
#include "reports/client/enrolment.h"
#include "reports/command.h"
#include "reports/server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { AUTHORITY_MOST = 1 << 20 };

/** Where the holder of the account finds the server: as this command did. */
static struct enrolment_server place_of(MYSQL *connection)
{
    bool by_socket = strstr(mysql_get_host_info(connection), "UNIX socket") != NULL;
    bool is_clear = !by_socket && !mysql_get_ssl_cipher(connection);
    return (struct enrolment_server){.has_authority = !by_socket && !is_clear &&
                                                      connection->options.ssl_ca != NULL,
                                     .allows_cleartext = is_clear,
                                     .socket = by_socket ? connection->unix_socket : NULL,
                                     .host = connection->host,
                                     .port = connection->port,
                                     .database = database_name(connection)};
}

/** An account that is there for something else is not to get a password. (Whoever made the roles
 * may give them away, and is no reader.) The name goes into the statement as a value; what it may
 * hold is checked where the account is made. */
static int refuse_others(MYSQL *connection, const char *name, const char *from,
                         struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    AUTO_FREE char *user = database_quote(connection, name);
    AUTO_FREE char *host = database_quote(connection, from);
    if (!user || !host)
        return error_set(error, -ENOMEM, "out of memory");
    int r = database_query(connection, &result, error, "look the account up",
                           "SELECT 1 FROM mysql.global_priv g WHERE g.User = %s AND g.Host = %s"
                           " AND NOT EXISTS (SELECT 1 FROM mysql.roles_mapping m"
                           " WHERE m.User = g.User AND m.Host = g.Host"
                           " AND m.Role IN ('vestige_reader', 'vestige_admin')"
                           " AND m.Admin_option = 'N')",
                           user, host);
    if (r == 0 && mysql_num_rows(result))
        r = error_set(error, -EEXIST, "%.80s is there already and is no account of a reader", name);
    return r;
}

static int make_directory(const char *directory, struct error_text *error)
{
    if (mkdir(directory, 0700) == 0 || errno == EEXIST)
        return 0;
    int r = -errno;
    return error_set(error, r, "%.200s cannot be made: %s", directory, strerror(-r));
}

/** The authority by which the server was verified, beside the file that names it. */
static int copy_authority(MYSQL *connection, const char *directory, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    char path[4400];
    snprintf(path, sizeof(path), "%.4000s/%s", directory, bundle_name(BUNDLE_AUTHORITY));
    int r = private_file_read(connection->options.ssl_ca, AUTHORITY_MOST, &text, error);
    return r == 0 ? private_file_write(path, buffer_slice(&text), error) : r;
}

/** The role of an administrator holds that of a reader. */
static int make_administrator(MYSQL *connection, const struct enrolment *account,
                              struct error_text *error)
{
    static const char doing[] = "give the role vestige_admin";
    int r = database_run(connection, error, doing, "GRANT vestige_admin TO `%s`@`%s`",
                         account->user, account->from);
    return r < 0 ? r
                 : database_run(connection, error, doing,
                                "SET DEFAULT ROLE vestige_admin FOR `%s`@`%s`", account->user,
                                account->from);
}

/* A list that is longer is cut by the plugin, in the middle of a name. */
enum { LOG_LIST_MOST = 1023 };

/** The list with this account in it; NULL: there is no list, or it is in it. The caller frees. */
static int extend_log_list(MYSQL *connection, const char *user, char **listp,
                           struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r =
        database_query(connection, &result, error, "look whether server_audit logs the account",
                       "SELECT CONCAT(variable_value, ',%s')"
                       " FROM information_schema.global_variables"
                       " WHERE variable_name = 'server_audit_incl_users' AND variable_value <> ''"
                       " AND NOT FIND_IN_SET('%s', REPLACE(variable_value, ' ', ''))",
                       user, user);
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    *listp = row ? strdup(row[0]) : NULL;
    return row && !*listp ? error_set(error, -ENOMEM, "out of memory") : r;
}

/* An administrator who may not change it is told: the account is good without it. */
static int log_account(MYSQL *connection, const char *user, struct error_text *error)
{
    struct error_text reason = ERROR_TEXT_NULL;
    AUTO_FREE char *list = NULL;
    int r = extend_log_list(connection, user, &list, error);
    if (r < 0 || !list)
        return r;
    AUTO_FREE char *value = database_quote(connection, list);
    if (!value)
        return error_set(error, -ENOMEM, "out of memory");
    if (strlen(list) > LOG_LIST_MOST)
        r = error_set(&reason, -E2BIG, "the list has at most %d bytes", LOG_LIST_MOST);
    else
        r = database_run(connection, &reason, "have server_audit log the account",
                         "SET GLOBAL server_audit_incl_users = %s", value);
    if (r < 0)
        log_warning("server", "what %s asks by other programs than vestige will not be kept: %s",
                    user, reason.text);
    else
        printf("server_audit logs what it asks; for the next start of the server, write into its "
               "option file: server_audit_incl_users = %s\n",
               list);
    return 0;
}

int server_reader(const struct server *server, struct error_text *error)
{
    struct enrolment account AUTO_ENROLMENT = {0};
    MYSQL *connection AUTO_DATABASE = NULL;
    char path[4400], *real AUTO_FREE = NULL;
    if (server->options.n_arguments != 2)
        return error_set(error, -EINVAL, "write whose account: vestige server reader NAME");
    const char *name = server->options.arguments[1];
    int r = server_connect(&connection, server, error);
    if (r == 0)
        r = server_check_schema(connection, error);
    if (r < 0)
        return r;
    struct enrolment_server place = place_of(connection);
    const char *from = server->from ? server->from : place.socket ? "localhost" : "%";
    const char *directory = server->directory ? server->directory : name;
    account.demand = place.socket || place.allows_cleartext ? DEMAND_NOTHING : DEMAND_TLS;
    r = refuse_others(connection, name, from, error);
    if (r == 0)
        r = enrolment_reader_create(connection, name, from, &account, error);
    if (r == 0 && server->admin)
        r = make_administrator(connection, &account, error);
    if (r == 0)
        r = log_account(connection, account.user, error);
    if (r == 0)
        r = make_directory(directory, error);
    if (r == 0 && !(real = realpath(directory, NULL)))
        r = error_set(error, -errno, "cannot use %.200s: %s", directory, strerror(errno));
    place.directory = real;
    if (r == 0 && place.has_authority)
        r = copy_authority(connection, real, error);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%.4000s/%s.cnf", directory, name);
    r = enrolment_write_options(path, &account, &place, error);
    if (r < 0)
        return r;
    printf("account %s@%s with role vestige_%s: %s\nhand the file over in secret; then: vestige "
           "report --defaults-file=%s\n",
           account.user, account.from, server->admin ? "admin" : "reader", path, path);
    if (place.has_authority)
        printf("it names %s/%s: hand that over, too, and name there where it is (ssl-ca)\n", real,
               bundle_name(BUNDLE_AUTHORITY));
    return STATUS_ROWS;
}
