/* `vestige server`: sets up and keeps the schema of a MariaDB, and LUARM's tables as views. The
 * server's settings are looked at before anything is changed. */
#include "reports/client/client.h"
#include "reports/command.h"
#include "reports/database/schema.h"
#include "reports/evidence/evidence.h"
#include "reports/options/options.h"
#include "reports/private_server/private_directory.h"
#include "reports/server/luarm.h"
#include "reports/server/server.h"
#include "reports/server/server_hold.h"
#include "reports/server/server_retention.h"
#include "reports/server/server_settings.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

static void report_setting(void *user, const struct server_setting *setting, const char *found,
                           bool is_right)
{
    (void)user;
    if (is_right)
        return;
    if (setting->level == SETTING_REQUIRED)
        log_error("server", "%s is %s: %s; set in the server's option file: %s", setting->name,
                  *found ? found : "empty", setting->why, setting->wanted);
    else
        log_notice("server", "%s: %s: %s; better: %s", setting->name, *found ? found : "empty",
                   setting->why, setting->wanted);
}

static int check_settings(MYSQL *connection, struct error_text *error)
{
    int n_wrong = server_settings_check(connection, report_setting, NULL, error);
    if (n_wrong > 0)
        return error_set(error, -EINVAL,
                         "%d setting%s of the server must be changed first; nothing was done",
                         n_wrong, n_wrong == 1 ? "" : "s");
    return n_wrong;
}

static int bring_up_to_date(MYSQL *connection, struct error_text *error)
{
    unsigned n_applied = 0;
    int r = schema_apply(connection, &n_applied, error);
    if (r < 0)
        return r;
    printf("database %s: schema version %u, %u file%s applied, partitions made ahead\n",
           database_name(connection), schema_latest(), n_applied, n_applied == 1 ? "" : "s");
    return 0;
}

static int renew_luarm(MYSQL *connection, struct error_text *error)
{
    unsigned n = 0;
    int r = luarm_renew(connection, &n, error);
    if (r == 0 && n > 0)
        printf("LUARM's tables of %u host%s brought up to date\n", n, n == 1 ? "" : "s");
    return r;
}

static int init(const struct server *server, struct error_text *error)
{
    struct database_options options = database_options_of(&server->options);
    options.select_no_database = true;
    MYSQL *connection AUTO_DATABASE = NULL;
    int r = database_connect(&connection, &options, error);
    if (r == 0)
        r = check_settings(connection, error);
    if (r == 0)
        r = schema_create_database(connection, error);
    if (r == 0)
        r = bring_up_to_date(connection, error);
    return r;
}

static int migrate(const struct server *server, struct error_text *error)
{
    struct database_options target = database_options_of(&server->options);
    MYSQL *connection AUTO_DATABASE = NULL;
    unsigned version;
    int r = database_connect(&connection, &target, error);
    if (r == 0)
        r = schema_check(connection, &version, error);
    if (r >= 0)
        r = version == 0
                ? error_set(error, -ENOENT,
                            "database %s has no schema; set it up with `vestige server init`",
                            database_name(connection))
                : check_settings(connection, error);
    if (r == 0)
        r = bring_up_to_date(connection, error);
    return r == 0 ? renew_luarm(connection, error) : r;
}

int server_connect(MYSQL **connectionp, const struct server *server, struct error_text *error)
{
    const char *state = server->options.state_directory;
    const struct passwd *user = getpwuid(geteuid());
    char socket[4096];
    if (!state) {
        struct database_options target = database_options_of(&server->options);
        return database_connect(connectionp, &target, error);
    }
    if (!private_directory_is_instance(state))
        return error_set(error, -ENOENT,
                         "%.200s holds no standalone instance that can be read here", state);
    snprintf(socket, sizeof(socket), "%s/mariadb.sock", state);
    struct database_options target = {.no_defaults = true,
                                      .socket = socket,
                                      .user = geteuid() == 0 || !user ? "root" : user->pw_name};
    return database_connect(connectionp, &target, error);
}

int server_check_schema(MYSQL *connection, struct error_text *error)
{
    unsigned version;
    int r = schema_check(connection, &version, error);
    if (r == SCHEMA_OLDER)
        return error_set(error, -EPROTO,
                         "the schema of database %s is of version %u, this program needs %u: run"
                         " `vestige server %s`",
                         database_name(connection), version, schema_latest(),
                         version ? "migrate" : "init");
    return r;
}

static int write_list(MYSQL *connection, const struct options *options, struct error_text *error)
{
    static const struct output_column columns[] = {
        {"host_id",  OUTPUT_NUMBER, NULL},
        {"host",     OUTPUT_TEXT,   NULL},
        {"database", OUTPUT_TEXT,   NULL},
    };
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct output *output = NULL;
    int r = luarm_list(connection, &result, error);
    if (r < 0)
        return r;
    r = output_new(&output, options->format, stdout, columns, 3);
    for (MYSQL_ROW row; r == 0 && (row = mysql_fetch_row(result));) {
        const struct slice values[] = {slice_text(row[0]), slice_text(row[1]), slice_text(row[2])};
        r = output_row(output, values);
    }
    if (r == 0)
        r = output_finish(output);
    output_free(output);
    if (r < 0)
        return error_set(error, r, "cannot write the answer: %s", strerror(-r));
    if (!mysql_num_rows(result))
        fprintf(output_remarks(options->format), "0 databases\n");
    return mysql_num_rows(result) ? STATUS_ROWS : STATUS_NO_ROWS;
}

/** By its name, not by what the user wrote: the database is named after it. */
static int find_host(MYSQL *connection, const char *word, struct luarm_host *host,
                     struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = evidence_find_host(connection, word, &host->host_id, error);
    if (r == 0)
        r = database_query(connection, &result, error, "look the host up",
                           "SELECT name FROM enrolment WHERE host_id = %" PRIu64, host->host_id);
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (r == 0 && !row)
        r = error_set(error, -ENOENT, "host %.40s is gone", word);
    if (r == 0)
        snprintf(host->name, sizeof(host->name), "%s", row[0]);
    return r;
}

static void tell_database(const struct options *options, const struct luarm_host *host,
                          const char *name)
{
    const char *state = options->state_directory;
    printf("database %s has LUARM's tables of host %s; to ask it: mariadb %s%s%s%s\n", name,
           host->name, state ? "--defaults-file=" : "", state ? state : "",
           state ? "/client.cnf " : "", name);
}

static int change_luarm(MYSQL *connection, const struct server *server, struct error_text *error)
{
    struct luarm_host host = {0};
    char name[LUARM_NAME_SIZE];
    int r = find_host(connection, server->options.arguments[1], &host, error);
    if (r == 0)
        r = server->remove ? luarm_remove(connection, &host, error)
                           : luarm_make(connection, &host, error);
    if (r < 0)
        return r;
    luarm_database_name(host.name, name);
    if (server->remove)
        printf("database %s was removed; the evidence is untouched\n", name);
    else
        tell_database(&server->options, &host, name);
    return STATUS_ROWS;
}

static int luarm(const struct server *server, struct error_text *error)
{
    bool has_host = server->options.n_arguments == 2;
    MYSQL *connection AUTO_DATABASE = NULL;
    if (server->remove && !has_host)
        return error_set(error, -EINVAL,
                         "--remove needs a host: vestige server luarm HOST --remove");
    int r = server_connect(&connection, server, error);
    if (r == 0)
        r = server_check_schema(connection, error);
    if (r < 0)
        return r;
    return has_host ? change_luarm(connection, server, error)
                    : write_list(connection, &server->options, error);
}

/* What an action takes besides the options of the database. Those without a function have options
 * of their own (find_part()), so that their name has to stand before any. */
static const struct action {
    const char *name;
    size_t most_arguments;
    bool takes_state;
    const char *taken;
    int (*run)(const struct server *server, struct error_text *error);
} actions[] = {
    {"init",      1, false, "",                                            init         },
    {"migrate",   1, false, "",                                            migrate      },
    {"check",     1, true,  "",                                            server_check },
    {"reader",    2, true,  " admin from address ca-directory directory ", server_reader},
    {"luarm",     2, true,  " remove ",                                    luarm        },
    {"retention", 1, true,  "",                                            NULL         },
    {"hold",      1, true,  "",                                            NULL         },
};

static int run(const struct server *server, const struct command_line *line,
               struct error_text *error)
{
    const struct options *options = &server->options;
    size_t found = 0;
    int r = options_find_action("server", options->arguments[0], actions,
                                sizeof(actions) / sizeof(actions[0]), sizeof(actions[0]), &found,
                                error);
    const struct action *action = &actions[found];
    if (r == 0 && !action->run)
        return error_set(error, -EINVAL, "write its options behind it: vestige server %s ...",
                         action->name);
    if (r == 0)
        r = options_check_own(options, line, action->name, action->taken, error);
    if (r < 0)
        return r;
    if (options->n_arguments > action->most_arguments)
        return error_set(error, -EINVAL, "\"%.60s\" is one word too many: vestige server %s",
                         options->arguments[action->most_arguments], action->name);
    if (options->state_directory && !action->takes_state)
        return error_set(error, -EINVAL, "vestige server %s does not take --state", action->name);
    return action->run(server, error);
}

/* Those with options of their own. */
static int (*find_part(const char *word))(int argc, char **argv)
{
    return !strcmp(word, "retention") ? server_retention_command
           : !strcmp(word, "hold")    ? server_hold_command
                                      : NULL;
}

int server_command(int argc, char **argv)
{
    int (*part)(int argc, char **argv) = argc > 1 ? find_part(argv[1]) : NULL;
    if (part)
        return part(argc - 1, argv + 1);
    struct server server = {0};
    const struct option_own own[] = {
        {"admin",        OPTION_FLAG, &server.admin,        NULL,
         "reader: one who may also schedule, and set the limits of the watch",                                     0, 0},
        {"from",         OPTION_TEXT, &server.from,         "PATTERN",
         "reader: where the person may connect from, as in CREATE USER",                                           0, 0},
        {"address",      OPTION_TEXT, &server.address,      "HOST",
         "reader: name by which the person reaches the server (default: as this command does)",                    0,
         0                                                                                                             },
        {"ca-directory", OPTION_TEXT, &server.ca_directory, "DIR",
         "reader: whose ca.pem is handed out, too (default " CLIENT_CA_DIRECTORY ")",                              0, 0},
        {"directory",    OPTION_TEXT, &server.directory,    "DIR",
         "reader: write the option file there (default: named like it)",                                           0, 0},
        {"remove",       OPTION_FLAG, &server.remove,       NULL,      "luarm: drop the host's database of views", 0,
         0                                                                                                             },
    };
    const struct command_line line = {
        .words = "server init | migrate | check | reader NAME | luarm [HOST] | retention | hold",
        .summary =
            "init makes the database on a central MariaDB and checks the server's settings;\n"
            "migrate brings an older schema up to this program's version. check shows every\n"
            "setting that is looked at: what was found, and what is lost otherwise; exit status 1\n"
            "when a required one is wrong. reader gives a person an account that may read all\n"
            "evidence and change none, and an option file, mode 0600. luarm makes the database\n"
            "luarm_HOST, in which the evidence of that host is in LUARM's tables, for its queries\n"
            "of 2011; without a host it lists such databases. retention is how long evidence is\n"
            "kept, hold what is kept whatever that is: see their own --help. All may be run again\n"
            "at any time; run them as the server's administrator.",
        .groups = OPTIONS_DATABASE | OPTIONS_STATE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
        .least_arguments = 1,
        .most_arguments = 2,
    };
    struct error_text error = ERROR_TEXT_NULL;
    int r = options_parse(&server.options, &line, argc, argv, &error);
    if (r == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (r == OPTIONS_READ)
        r = run(&server, &line, &error);
    return command_end("server", r, &error);
}
