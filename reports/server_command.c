/* `vestige server`: sets up and keeps the schema of a MariaDB. The server's settings are looked at
 * before anything is changed. */
#include "reports/command.h"
#include "reports/options.h"
#include "reports/schema.h"
#include "reports/server_settings.h"

#include "core/log.h"

#include <stdio.h>
#include <string.h>

static void report_setting(void *user, const struct server_setting *setting, const char *found)
{
    (void)user;
    if (setting->required)
        log_error("server", "%s is %s: %s; set in the server's option file: %s", setting->name,
                  *found ? found : "empty", setting->why, setting->wanted);
    else
        log_notice("server", "%s: %s: %s; load them: %s", setting->name, found, setting->why,
                   setting->wanted);
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

static int init(const struct database_options *target, struct error_text *error)
{
    struct database_options options = *target;
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

static int migrate(const struct database_options *target, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    unsigned version;
    int r = database_connect(&connection, target, error);
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
    return r;
}

static int run(const struct options *options, struct error_text *error)
{
    static const struct {
        const char *name;
        int (*run)(const struct database_options *target, struct error_text *error);
    } actions[] = {
        {"init",    init   },
        {"migrate", migrate}
    };
    struct database_options target = database_options_of(options);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (!strcmp(options->arguments[0], actions[i].name))
            return actions[i].run(&target, error);
    return error_set(error, -EINVAL,
                     "%.40s: write `vestige server init` or `vestige server migrate`",
                     options->arguments[0]);
}

int server_command(int argc, char **argv)
{
    static const struct command_line line = {
        .words = "server init|migrate",
        .summary =
            "init makes the database on a central MariaDB and checks the server's settings;\n"
            "migrate brings an older schema up to this program's version. Both may be run\n"
            "again at any time; run them as the server's administrator.",
        .groups = OPTIONS_DATABASE,
        .least_arguments = 1,
        .most_arguments = 1,
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    int r = options_parse(&options, &line, argc, argv, &error);
    if (r == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (r == OPTIONS_READ)
        r = run(&options, &error);
    if (r == 0)
        return STATUS_ROWS;
    log_error("server", "%s", error.text);
    return STATUS_ERROR;
}
