/* `vestige server reader`: an account for a person, with an option file that any MariaDB client
 * takes. The password is in that file and in no statement. */
#include "core/cleanup.h"
#include "reports/client/enrolment.h"
#include "reports/command.h"
#include "reports/server/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/** Where the holder of the account finds the server: as this command did. */
static struct enrolment_server place_of(MYSQL *connection)
{
    bool by_socket = strstr(mysql_get_host_info(connection), "UNIX socket") != NULL;
    return (struct enrolment_server){.socket = by_socket ? connection->unix_socket : NULL,
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

int server_reader(const struct server *server, struct error_text *error)
{
    struct enrolment account AUTO_ENROLMENT = {0};
    MYSQL *connection AUTO_DATABASE = NULL;
    char path[4096];
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
    r = refuse_others(connection, name, from, error);
    if (r == 0)
        r = enrolment_reader_create(connection, name, from, &account, error);
    if (r == 0 && server->admin)
        r = make_administrator(connection, &account, error);
    if (r == 0)
        r = make_directory(server->directory ? server->directory : name, error);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s.cnf", server->directory ? server->directory : name, name);
    r = enrolment_write_options(path, &account, &place, error);
    if (r < 0)
        return r;
    printf("account %s@%s with role vestige_%s: %s\nhand the file over in secret; then: vestige "
           "report --defaults-file=%s\n",
           account.user, account.from, server->admin ? "admin" : "reader", path, path);
    return STATUS_ROWS;
}
