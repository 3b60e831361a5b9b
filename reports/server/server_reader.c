/* `vestige server reader`: an account for a person, with an option file that any MariaDB client
 * takes. The password is in that file and in no statement. Where the server's plugin server_audit
 * logs the accounts of a list, the new one is put into it. */
#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "reports/client/client.h"
#include "reports/command.h"
#include "reports/server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AUTHORITY_MOST 65536

struct reader {
    const struct server *server;
    MYSQL *connection;
    const char *name, *from;
    const char *directory; /* where the files are written */
    struct enrolment_server place;
    struct enrolment account;
    struct buffer authority; /* its certificate, PEM; empty: none is handed out */
};

/** Where the holder of the account finds the server: by the address given, else as this command
 *  did. */
static int find_place(struct reader *reader, struct error_text *error)
{
    MYSQL *connection = reader->connection;
    struct enrolment_server *place = &reader->place;
    MYSQL_RES *result AUTO_RESULT = NULL;
    const char *address = reader->server->address;
    bool by_socket = !address && strstr(mysql_get_host_info(connection), "UNIX socket");
    bool is_clear = !address && !by_socket && !mysql_get_ssl_cipher(connection);
    *place = (struct enrolment_server){.allows_cleartext = is_clear,
                                       .socket = by_socket ? connection->unix_socket : NULL,
                                       .host = address ? address : connection->host,
                                       .port = connection->port,
                                       .database = database_name(connection)};
    if (by_socket)
        return 0;
    int r =
        database_query(connection, &result, error, "ask the server for its port", "SELECT @@port");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (row && address)
        place->port = (unsigned)strtoul(row[0], NULL, 10);
    return r;
}

/** Over TCP the server's certificate is verified, so the person needs the authority's: the one by
 *  which this command verified the server, else the fleet's own. Where there is none the system's
 * are meant. */
static int find_authority(struct reader *reader, struct error_text *error)
{
    const char *directory = reader->server->ca_directory;
    const char *known = reader->server->address ? NULL : reader->connection->options.ssl_ca;
    char path[4096];
    if (reader->place.socket)
        return directory ? error_set(error, -EINVAL,
                                     "--ca-directory is for a server that is reached over TCP: "
                                     "write --address HOST, too")
                         : 0;
    if (reader->place.allows_cleartext)
        return 0;
    snprintf(path, sizeof(path), "%s/ca.pem", directory ? directory : CLIENT_CA_DIRECTORY);
    int r = private_file_read(directory || !known ? path : known, AUTHORITY_MOST,
                              &reader->authority, error);
    reader->place.has_authority = r == 0;
    return r == -ENOENT && !directory && !known ? 0 : r;
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

/** Over TCP nothing goes in clear, unless this command was told so itself: the account demands TLS.
 */
static int make_account(struct reader *reader, struct error_text *error)
{
    struct enrolment *account = &reader->account;
    bool is_local = reader->place.socket && !strcmp(reader->from, "localhost");
    account->demand = is_local || reader->place.allows_cleartext ? DEMAND_NOTHING : DEMAND_TLS;
    int r = refuse_others(reader->connection, reader->name, reader->from, error);
    if (r == 0)
        r = enrolment_reader_create(reader->connection, reader->name, reader->from, account, error);
    if (r == 0 && reader->server->admin)
        r = make_administrator(reader->connection, account, error);
    return r == 0 ? log_account(reader->connection, account->user, error) : r;
}

static int write_files(const struct reader *reader, struct error_text *error)
{
    char path[4096], beside[4096];
    int r = make_directory(reader->directory, error);
    snprintf(path, sizeof(path), "%s/%s.cnf", reader->directory, reader->name);
    snprintf(beside, sizeof(beside), "%s/ca.pem", reader->directory);
    if (r == 0)
        r = enrolment_write_options(path, &reader->account, &reader->place, error);
    if (r == 0 && reader->place.has_authority)
        r = private_file_write(beside, buffer_slice(&reader->authority), error);
    if (r < 0)
        return r;
    printf("account %s@%s with role vestige_%s: %s\nhand the file over in secret", reader->name,
           reader->from, reader->server->admin ? "admin" : "reader", path);
    if (reader->place.has_authority)
        printf(", and %s, which it expects as /etc/vestige/ca.pem", beside);
    printf("; then: vestige report --defaults-file=%s\n", path);
    return STATUS_ROWS;
}

static int give(struct reader *reader, struct error_text *error)
{
    int r = find_place(reader, error);
    if (r == 0)
        r = find_authority(reader, error);
    if (r < 0)
        return r;
    const char *from = reader->server->from;
    reader->from = from ? from : reader->place.socket ? "localhost" : "%";
    r = make_account(reader, error);
    return r < 0 ? r : write_files(reader, error);
}

int server_reader(const struct server *server, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    if (server->options.n_arguments != 2)
        return error_set(error, -EINVAL, "write whose account: vestige server reader NAME");
    const char *name = server->options.arguments[1];
    int r = server_connect(&connection, server, error);
    if (r == 0)
        r = server_check_schema(connection, error);
    if (r < 0)
        return r;
    struct reader reader = {.server = server,
                            .connection = connection,
                            .name = name,
                            .directory = server->directory ? server->directory : name,
                            .authority = BUFFER_NULL};
    r = give(&reader, error);
    enrolment_deinit(&reader.account);
    buffer_deinit(&reader.authority);
    return r;
}
