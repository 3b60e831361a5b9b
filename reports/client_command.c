/* `vestige client`: the credentials of the hosts, given out by the server's administrator. The
 * files that it writes are what the host needs in /etc/vestige. */
#include "reports/command.h"
#include "reports/enrolment.h"
#include "reports/options.h"
#include "reports/output.h"
#include "reports/schema.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

struct client {
    struct options options;
    const char *directory; /* where the files are written */
    const char *address;   /* of the server, for agents; NULL: as we reach it */
    const char *from;      /* NULL: localhost for a socket, else anywhere */
};

static int open_database(const struct client *client, MYSQL **connectionp, struct error_text *error)
{
    struct database_options target = database_options_of(&client->options);
    MYSQL *connection AUTO_DATABASE = NULL;
    unsigned version;
    int r = database_connect(&connection, &target, error);
    if (r == 0)
        r = schema_check(connection, &version, error);
    if (r == SCHEMA_OLDER)
        return error_set(error, -EPROTO,
                         "the schema of database %s is of version %u, this program needs %u: run"
                         " `vestige server %s`",
                         database_name(connection), version, schema_latest(),
                         version ? "migrate" : "init");
    if (r < 0)
        return r;
    *connectionp = connection;
    connection = NULL;
    return 0;
}

/** How the agent reaches the server: by the address given, else as this connection does. */
static int find_server(MYSQL *connection, const struct client *client,
                       struct enrolment_server *server, char place[4096], struct error_text *error)
{
    *server = (struct enrolment_server){.database = database_name(connection)};
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "ask the server for its place",
                           "SELECT @@socket, @@port");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return r < 0 ? r : error_set(error, -EIO, "the server does not say where it is");
    bool by_socket =
        !client->address && !strcmp(mysql_get_host_info(connection), "Localhost via UNIX socket");
    const char *host = client->address ? client->address : client->options.host;
    snprintf(place, 4096, "%s", by_socket ? row[0] : host ? host : connection->host);
    if (by_socket) {
        server->socket = place;
    } else {
        server->host = place;
        server->port = client->options.port ? (unsigned)client->options.port
                                            : (unsigned)strtoul(row[1], NULL, 10);
    }
    return 0;
}

static int write_files(const struct client *client, const char *name,
                       const struct enrolment *enrolment, const struct enrolment_server *server,
                       struct error_text *error)
{
    char options_path[4096], configuration_path[4096];
    snprintf(options_path, sizeof(options_path), "%s/agent.cnf", client->directory);
    snprintf(configuration_path, sizeof(configuration_path), "%s/vestiged.conf", client->directory);
    int r = enrolment_write_options(options_path, enrolment, server, error);
    if (r == 0)
        r = enrolment_write_configuration(configuration_path, name, enrolment, error);
    if (r < 0)
        return r;
    printf("host %s is host_id %" PRIu64 ", account %s@%s\n"
           "copy %s and %s to /etc/vestige on the host; the first holds the password\n",
           name, enrolment->host_id, enrolment->user, enrolment->from, options_path,
           configuration_path);
    return 0;
}

/** A directory that is not there or not writable must be found before a password is given out. */
static int prepare_directory(const char *directory, struct error_text *error)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the directory %s: %s", directory,
                         strerror(errno));
    if (access(directory, W_OK | X_OK) < 0)
        return error_set(error, -errno, "cannot write to the directory %s: %s", directory,
                         strerror(errno));
    return 0;
}

static int give_credential(struct client *client, bool is_new, struct error_text *error)
{
    const char *name = client->options.arguments[1];
    MYSQL *connection AUTO_DATABASE = NULL;
    struct enrolment enrolment AUTO_ENROLMENT = {0};
    struct enrolment_server server;
    char place[4096];
    if (!client->directory)
        client->directory = name;
    int r = open_database(client, &connection, error);
    if (r == 0)
        r = find_server(connection, client, &server, place, error);
    if (r == 0 && is_new && strchr(name, '/'))
        r = error_set(error, -EINVAL, "%.40s is no name of a host", name);
    if (r == 0)
        r = prepare_directory(client->directory, error);
    if (r == 0 && is_new)
        r = enrolment_create(connection, name,
                             client->from    ? client->from
                             : server.socket ? "localhost"
                                             : "%",
                             &enrolment, error);
    else if (r == 0)
        r = enrolment_renew(connection, name, &enrolment, error);
    return r == 0 ? write_files(client, name, &enrolment, &server, error) : r;
}

static int enroll(struct client *client, struct error_text *error)
{
    return give_credential(client, true, error);
}

static int rotate(struct client *client, struct error_text *error)
{
    return give_credential(client, false, error);
}

static int write_rows(MYSQL_RES *result, struct output *output)
{
    int r = 0;
    for (MYSQL_ROW row = mysql_fetch_row(result); r == 0 && row; row = mysql_fetch_row(result)) {
        struct slice values[8];
        unsigned n = mysql_num_fields(result);
        unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < n && i < N_ELEMENTS(values); i++)
            values[i] = row[i] ? slice_of(row[i], lengths[i]) : SLICE_NULL;
        r = output_row(output, values);
    }
    return r == 0 ? output_finish(output) : r;
}

static int list(struct client *client, struct error_text *error)
{
    static const struct output_column columns[] = {
        {"host_id",       OUTPUT_NUMBER, NULL   },
        {"name",          OUTPUT_TEXT,   NULL   },
        {"account",       OUTPUT_TEXT,   NULL   },
        {"created_at",    OUTPUT_TEXT,   NULL   },
        {"revoked_at",    OUTPUT_TEXT,   NULL   },
        {"retired_at",    OUTPUT_TEXT,   NULL   },
        {"last_batch_at", OUTPUT_TEXT,   "never"},
    };
    MYSQL *connection AUTO_DATABASE = NULL;
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct output *output = NULL;
    int r = open_database(client, &connection, error);
    if (r == 0)
        r = database_query(connection, &result, error, "list the hosts",
                           "SELECT host_id, name, account, created_at, revoked_at, retired_at,"
                           " (SELECT MAX(received_at) FROM batch WHERE batch.host_id = e.host_id)"
                           " FROM enrolment AS e ORDER BY host_id");
    if (r < 0)
        return r;
    r = output_new(&output, client->options.format, stdout, columns, N_ELEMENTS(columns));
    if (r == 0)
        r = write_rows(result, output);
    output_free(output);
    if (r < 0)
        return error_set(error, r, "cannot write the answer: %s", strerror(-r));
    return mysql_num_rows(result) ? STATUS_ROWS : STATUS_NO_ROWS;
}

static int run(struct client *client, struct error_text *error)
{
    static const struct {
        const char *name;
        size_t n_arguments;
        int (*run)(struct client *client, struct error_text *error);
    } actions[] = {
        {"enroll", 2, enroll},
        {"rotate", 2, rotate},
        {"list",   1, list  }
    };
    for (size_t i = 0; i < N_ELEMENTS(actions); i++)
        if (!strcmp(client->options.arguments[0], actions[i].name) &&
            client->options.n_arguments == actions[i].n_arguments)
            return actions[i].run(client, error);
    return error_set(error, -EINVAL,
                     "write `vestige client enroll HOST`, `vestige client rotate HOST` or"
                     " `vestige client list`");
}

int client_command(int argc, char **argv)
{
    struct client client = {0};
    const struct option_own own[] = {
        {"directory", OPTION_TEXT, &client.directory, "DIR",
         "write the host's files there (default: a directory named like the host)",       0, 0},
        {"address",   OPTION_TEXT, &client.address,   "HOST",
         "name by which the host reaches the server (default: as this command does)",     0, 0},
        {"from",      OPTION_TEXT, &client.from,      "PATTERN",
         "where the agent may connect from, as in CREATE USER (default: localhost or %)", 0, 0},
    };
    const struct command_line line = {
        .words = "client enroll HOST | rotate HOST | list",
        .summary =
            "Gives a host the credential of its agent (enroll), a new one (rotate), or lists\n"
            "the hosts. Run enroll and rotate as the server's administrator.",
        .groups = OPTIONS_DATABASE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = N_ELEMENTS(own),
        .least_arguments = 1,
        .most_arguments = 2,
    };
    struct error_text error = ERROR_TEXT_NULL;
    int r = options_parse(&client.options, &line, argc, argv, &error);
    if (r == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (r == OPTIONS_READ)
        r = run(&client, &error);
    if (r >= 0)
        return r;
    log_error("client", "%s", error.text);
    return STATUS_ERROR;
}
