/* `vestige client`: the credentials of the hosts, given out and taken away by the server's
 * administrator. */
#include "reports/client/client.h"
#include "reports/command.h"
#include "reports/database/host_key.h"
#include "reports/database/schema.h"
#include "reports/options/time_words.h"
#include "reports/output/output.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

enum { LIST_COLUMNS = 12, DAYS_USUAL = 730, MINUTES_USUAL = 1440 };

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

static const char *host_of(const struct client *client)
{
    return client->options.n_arguments > 1 ? client->options.arguments[1] : NULL;
}

/** Schema, place and terms; then tokens that expired are swept away. */
static int open_prepared(struct client *client, MYSQL **connectionp, enum client_action action,
                         struct error_text *error)
{
    struct enrolled before = {0};
    int r = open_database(client, connectionp, error);
    if (r == 0 && action != CLIENT_ENROLL)
        r = enrolment_find(*connectionp, host_of(client), &before, error);
    if (r == 0)
        r = client_prepare(client, *connectionp, action == CLIENT_ENROLL ? NULL : &before, error);
    return r == 0 ? token_sweep(*connectionp, error) : r;
}

static int check_targets(const struct client *client, enum client_action action,
                         struct error_text *error)
{
    int n = (client->directory != NULL) + (client->bundle != NULL) + (client->token != NULL);
    if (n > 1)
        return error_set(error, -EINVAL, "give one of --directory, --bundle and --token");
    if ((host_of(client) != NULL) == (client->from_file != NULL))
        return error_set(error, -EINVAL, "name a host, or give --from-file FILE (with enroll)");
    if (client->from_file && action != CLIENT_ENROLL)
        return error_set(error, -EINVAL, "--from-file goes with enroll alone");
    if ((client->bundle && !*client->bundle) || (client->token && !*client->token) ||
        (client->directory && !*client->directory))
        return error_set(error, -EINVAL,
                         "--directory, --bundle and --token need the name of a file");
    return 0;
}

static int give(struct client *client, enum client_action action, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    int r = check_targets(client, action, error);
    if (r == 0)
        r = open_prepared(client, &connection, action, error);
    if (r < 0)
        return r;
    if (client->from_file)
        return client_give_all(client, connection, error);
    return client_give(client, connection, action, host_of(client), NULL, error);
}

static int enroll(struct client *client, struct error_text *error)
{
    return give(client, CLIENT_ENROLL, error);
}

static int rotate(struct client *client, struct error_text *error)
{
    return give(client, CLIENT_ROTATE, error);
}

static int reinstate(struct client *client, struct error_text *error)
{
    return give(client, CLIENT_REINSTATE, error);
}

static int approve(struct client *client, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    int r = open_database(client, &connection, error);
    return r == 0 ? client_approve(client, connection, host_of(client), error) : r;
}

/** Only for the revocation list; without one the account alone is closed. */
static int find_authority(struct client *client, struct error_text *error)
{
    const char *directory = client->ca_directory ? client->ca_directory : CLIENT_CA_DIRECTORY;
    int r = authority_open(&client->authority, directory, error);
    return r == -ENOENT && !client->ca_directory ? 0 : r;
}

static int close_access(struct client *client, enum enrolment_end end, struct error_text *error)
{
    const char *name = host_of(client);
    MYSQL *connection AUTO_DATABASE = NULL;
    struct enrolled there = {0};
    unsigned n_sessions = 0;
    int r = open_database(client, &connection, error);
    if (r == 0)
        r = enrolment_find(connection, name, &there, error);
    if (r == 0)
        r = enrolment_close(connection, name, &there, end, &n_sessions, error);
    if (r < 0)
        return r;
    printf("host %s (host_id %" PRIu64
           ") may not connect any more; %u session%s ended; its evidence"
           " stays\n",
           name, there.host_id, n_sessions, n_sessions == 1 ? "" : "s");
    if (client->key_stolen) {
        r = host_key_revoke(connection, there.host_id, error);
        if (r == 0)
            r = enrolment_note(connection, there.host_id, name, "key-stolen", NULL, error);
    }
    if (r == 0 && there.serial[0])
        r = find_authority(client, error);
    return r == 0 ? client_take_back(client, connection, there.serial, error) : r;
}

static int revoke_host(struct client *client, struct error_text *error)
{
    return close_access(client, ENROLMENT_REVOKED, error);
}

static int retire_host(struct client *client, struct error_text *error)
{
    return close_access(client, ENROLMENT_RETIRED, error);
}

/* In the order of list_sql. */
static const struct output_column list_columns[LIST_COLUMNS] = {
    {"host_id",           OUTPUT_NUMBER, NULL   },
    {"name",              OUTPUT_TEXT,   NULL   },
    {"account",           OUTPUT_TEXT,   NULL   },
    {"created_at",        OUTPUT_TEXT,   NULL   },
    {"state",             OUTPUT_TEXT,   NULL   },
    {"revoked_at",        OUTPUT_TEXT,   NULL   },
    {"retired_at",        OUTPUT_TEXT,   NULL   },
    {"last_batch_at",     OUTPUT_TEXT,   "never"},
    {"certificate_until", OUTPUT_TEXT,   NULL   },
    {"key_fingerprint",   OUTPUT_TEXT,   NULL   },
    {"used_at",           OUTPUT_TEXT,   NULL   },
    {"used_from",         OUTPUT_TEXT,   NULL   },
};

/* What people look for stands first, and a line is a host: the rest goes where there is no room. */
static const unsigned list_for_people[LIST_COLUMNS] = {0, 1, 4, 7, 8, 9, 10, 11, 3, 5, 6, 2};
enum { LIST_LEAST = 3 };

/* Moments in the zone asked for, and in a table to the second. */
static struct slice list_value(const MYSQL_FIELD *field, struct slice value, bool is_table,
                               char moment[TIME_TEXT_SIZE])
{
    if (slice_is_null(value) || field->type != MYSQL_TYPE_DATETIME ||
        !time_words_convert(moment, value))
        return value;
    return slice_of(moment, is_table ? strcspn(moment, ".") : strlen(moment));
}

static int write_rows(MYSQL_RES *result, struct output *output, bool is_table)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    char moments[LIST_COLUMNS][TIME_TEXT_SIZE];
    int r = 0;
    for (MYSQL_ROW row = mysql_fetch_row(result); r == 0 && row; row = mysql_fetch_row(result)) {
        struct slice values[LIST_COLUMNS];
        unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < LIST_COLUMNS; i++) {
            unsigned from = is_table ? list_for_people[i] : i;
            values[i] = list_value(&fields[from],
                                   row[from] ? slice_of(row[from], lengths[from]) : SLICE_NULL,
                                   is_table, moments[i]);
        }
        r = output_row(output, values);
    }
    return r == 0 ? output_finish(output) : r;
}

static int write_list(MYSQL_RES *result, enum output_format format)
{
    bool is_table = format == OUTPUT_TABLE;
    struct output_column columns[LIST_COLUMNS];
    struct output *output = NULL;
    for (unsigned i = 0; i < LIST_COLUMNS; i++)
        columns[i] = list_columns[is_table ? list_for_people[i] : i];
    int r = output_new(&output, format, stdout, columns, LIST_COLUMNS);
    if (r == 0) {
        output_least_columns(output, LIST_LEAST);
        r = write_rows(result, output, is_table);
    }
    output_free(output);
    return r;
}

static const char list_sql[] =
    "SELECT host_id, name, account, created_at,"
    " CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN retired_at IS NOT NULL THEN 'retired'"
    " WHEN certificate_until < UTC_TIMESTAMP(6) THEN 'certificate expired' ELSE 'active' END,"
    " revoked_at, retired_at,"
    " (SELECT MAX(received_at) FROM batch WHERE batch.host_id = e.host_id),"
    " certificate_until,"
    " (SELECT LEFT(SHA2(public_key, 256), 16) FROM host_key k WHERE k.host_id = e.host_id"
    " ORDER BY number DESC LIMIT 1),"
    " bundle_used_at, bundle_used_from FROM enrolment AS e"
    " UNION ALL SELECT NULL, name, account, created_at,"
    " CASE WHEN expires_at < UTC_TIMESTAMP(6) THEN 'token expired'"
    " WHEN approved_at IS NOT NULL THEN 'approved' WHEN requested_at IS NULL THEN 'token not used'"
    " ELSE 'waits for approval' END,"
    " NULL, NULL, NULL, NULL, NULL, requested_at, requested_from"
    " FROM enrolment_token WHERE finished_at IS NULL"
    " ORDER BY host_id IS NULL, host_id, name";

static int list(struct client *client, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = open_database(client, &connection, error);
    if (r == 0)
        r = database_query(connection, &result, error, "list the hosts", "%s", list_sql);
    if (r < 0)
        return r;
    r = write_list(result, client->options.format);
    if (r < 0)
        return error_set(error, r, "cannot write the answer: %s", strerror(-r));
    if (!mysql_num_rows(result))
        fprintf(output_remarks(client->options.format),
                "0 hosts: vestige client enroll HOST makes one\n");
    return mysql_num_rows(result) ? STATUS_ROWS : STATUS_NO_ROWS;
}

/* What each action takes besides the options that mean the same everywhere. What says where the
 * fleet is may be given to all, so that the same words serve for all. */
#define PLACE " address host-directory ca-directory "
#define GIVEN PLACE " directory bundle token expires days without-certificate allow-cleartext "

static const struct action {
    const char *name;
    size_t least, most;
    const char *taken;
    int (*run)(struct client *client, struct error_text *error);
} actions[] = {
    {"enroll",    1, 2, GIVEN " from from-file ",   enroll     },
    {"approve",   2, 2, PLACE " fingerprint days ", approve    },
    {"rotate",    2, 2, GIVEN " signing-key ",      rotate     },
    {"revoke",    2, 2, PLACE " key-stolen ",       revoke_host},
    {"retire",    2, 2, PLACE,                      retire_host},
    {"reinstate", 2, 2, GIVEN,                      reinstate  },
    {"list",      1, 1, PLACE,                      list       },
};

static int run(struct client *client, const struct command_line *line, struct error_text *error)
{
    const struct options *options = &client->options;
    size_t found = 0;
    int r = options_find_action("client", options->arguments[0], actions, N_ELEMENTS(actions),
                                sizeof(actions[0]), &found, error);
    const struct action *action = &actions[found];
    if (r == 0)
        r = options_check_own(options, line, action->name, action->taken, error);
    if (r < 0)
        return r;
    if (options->n_arguments < action->least)
        return error_set(error, -EINVAL, "name the host: vestige client %s HOST", action->name);
    if (options->n_arguments > action->most)
        return error_set(error, -EINVAL, "\"%.60s\" is one word too many: vestige client %s",
                         options->arguments[action->most], action->name);
    return action->run(client, error);
}

static const char summary[] =
    "Gives a host the credential of its agent (enroll), a new one (rotate), takes it away\n"
    "(revoke: it is not trusted any more; retire: the host is gone, its silence is expected),\n"
    "gives one again to such a host (reinstate), lets in a host that made its keys itself\n"
    "(approve), or lists the hosts. No evidence is ever deleted. All but list are run as\n"
    "the server's administrator: whoever is that, or reads the authority's key, can let in\n"
    "anybody; what the table enrolment_log then says can be changed by them, too.";

int client_command(int argc, char **argv)
{
    struct client client = {.days = DAYS_USUAL, .minutes = MINUTES_USUAL};
    const struct option_own own[] = {
        {"directory",           OPTION_TEXT,   &client.directory,           "DIR",
         "write the host's files there (default: a directory named like the host)",                 0, 0     },
        {"bundle",              OPTION_TEXT,   &client.bundle,              "FILE",
         "write them into this one file, for `vestiged --enroll FILE` on the host",                 0, 0     },
        {"token",               OPTION_TEXT,   &client.token,               "FILE",
         "write a token: the host makes its keys itself, and waits for approve",                    0, 0     },
        {"expires",             OPTION_NUMBER, &client.minutes,             "MINUTES",
         "how long the token is good (default 1440)",                                               1, 525600},
        {"fingerprint",         OPTION_TEXT,   &client.fingerprint,         "HEX",
         "approve: what the host shows; at least the first 16 digits",                              0, 0     },
        {"from-file",           OPTION_TEXT,   &client.from_file,           "FILE",
         "enroll the hosts named there, one a line, each perhaps with its PATTERN; --directory,"
         " --bundle or --token then names a directory for all",                                     0, 0     },
        {"address",             OPTION_TEXT,   &client.address,             "HOST",
         "name by which the host reaches the server (default: as before, or as this command does)", 0, 0     },
        {"from",                OPTION_TEXT,   &client.from,                "PATTERN",
         "where the agent may connect from, as in CREATE USER (default: localhost or %)",           0, 0     },
        {"host-directory",      OPTION_TEXT,   &client.host_directory,      "DIR",
         "where the files will be on the host (default /etc/vestige)",                              0, 0     },
        {"ca-directory",        OPTION_TEXT,   &client.ca_directory,        "DIR",
         "the authority that signs agents' certificates (default " CLIENT_CA_DIRECTORY ")",         0, 0     },
        {"days",                OPTION_NUMBER, &client.days,                "NUMBER",
         "how long a certificate is good (default 730)",                                            1, 36500 },
        {"without-certificate", OPTION_FLAG,   &client.without_certificate, NULL,
         "over TCP: the password is enough; whoever has it is the host",                            0, 0     },
        {"allow-cleartext",     OPTION_FLAG,   &client.allow_cleartext,     NULL,
         "over TCP: without TLS; anybody on the way reads and changes evidence",                    0, 0     },
        {"signing-key",         OPTION_FLAG,   &client.signing_key,         NULL,
         "rotate: a new key for signing, too; its change is a row of host_key",                     0, 0     },
        {"key-stolen",          OPTION_FLAG,   &client.key_stolen,          NULL,
         "revoke: what arrives from now on and is signed with the host's keys is false",            0, 0     },
    };
    const struct command_line line = {
        .words = "client enroll HOST | approve HOST | rotate HOST | revoke HOST | retire HOST |"
                 " reinstate HOST | list",
        .summary = summary,
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
        r = run(&client, &line, &error);
    authority_free(client.authority);
    return command_end("client", r, &error);
}
