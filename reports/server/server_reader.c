/* `vestige server reader`: an account for a person, with an option file that any MariaDB client
 * takes. The password is in that file and in no statement. */
#include "core/cleanup.h"
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
    *place = (struct enrolment_server){.socket = by_socket ? connection->unix_socket : NULL,
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

/** Over TCP the server's certificate is verified, so the person needs the authority's. Where there
 * is no private authority the system's are meant. */
static int find_authority(struct reader *reader, struct error_text *error)
{
    const char *directory = reader->server->ca_directory;
    char path[4096];
    if (reader->place.socket)
        return directory ? error_set(error, -EINVAL,
                                     "--ca-directory is for a server that is reached over TCP: "
                                     "write --address HOST, too")
                         : 0;
    snprintf(path, sizeof(path), "%s/ca.pem", directory ? directory : CLIENT_CA_DIRECTORY);
    int r = private_file_read(path, AUTHORITY_MOST, &reader->authority, error);
    reader->place.has_authority = r == 0;
    return r == -ENOENT && !directory ? 0 : r;
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

/** Over TCP nothing may go in clear: the account demands TLS. */
static int make_account(struct reader *reader, struct error_text *error)
{
    struct enrolment *account = &reader->account;
    account->demand =
        reader->place.socket && !strcmp(reader->from, "localhost") ? DEMAND_NOTHING : DEMAND_TLS;
    int r = refuse_others(reader->connection, reader->name, reader->from, error);
    if (r == 0)
        r = enrolment_reader_create(reader->connection, reader->name, reader->from, account, error);
    return r == 0 && reader->server->admin ? make_administrator(reader->connection, account, error)
                                           : r;
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
