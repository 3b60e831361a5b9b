/* `vestige server check`: every setting that is looked at, with what was found and what it is for.
 */
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/evidence/findings.h"
#include "reports/evidence/reading.h"
#include "reports/server/server.h"
#include "reports/server/server_settings.h"

#include <inttypes.h>
#include <string.h>

static void add_setting(void *user, const struct server_setting *setting, const char *found,
                        bool is_right)
{
    enum finding_level wrong = setting->level == SETTING_REQUIRED ? FINDING_WRONG : FINDING_NOTE;
    findings_add(user, is_right ? FINDING_OK : wrong, setting->name, *found ? found : "empty",
                 is_right ? NULL : setting->wanted, is_right ? NULL : setting->why);
}

static int write_settings(const struct options *options, struct findings *findings,
                          struct error_text *error)
{
    static const char *const titles[FINDING_TEXTS] = {"setting", "found", "wanted",
                                                      "what it is for"};
    FILE *remarks = output_remarks(options->format);
    size_t n = findings->n_wrong;
    int r = findings_print(findings, options->format, titles, 1);
    if (r < 0)
        return error_set(error, r, "cannot write the answer: %s", strerror(-r));
    if (n)
        fprintf(remarks, "%zu thing%s wrong.\n", n, n == 1 ? " is" : "s are");
    else
        fprintf(remarks, "Nothing is wrong.\n");
    return n ? STATUS_WRONG : STATUS_ROWS;
}

/** The database may not be there yet. */
static int connect_anywhere(MYSQL **connectionp, const struct server *server,
                            struct error_text *error)
{
    struct database_options options = database_options_of(&server->options);
    options.select_no_database = true;
    int r = server->options.state_directory ? server_connect(connectionp, server, error)
                                            : database_connect(connectionp, &options, error);
    /* Without a database, what needs its tables is left out. */
    if (r == 0 && mysql_select_db(*connectionp, database_name(*connectionp)))
        log_notice("server", "there is no database %s yet: vestige server init makes it",
                   database_name(*connectionp));
    return r;
}

/* --- the log of readers --- */

struct reading_list {
    struct buffer text;
    int n;
};

static void add_row(void *user, uint64_t id, const char *what)
{
    struct reading_list *list = user;
    if (list->n++ < 5)
        buffer_printf(&list->text, "; %" PRIu64 ": %s", id, what);
}

/* The head is shown, so that it can be kept elsewhere. */
static int check_reading(MYSQL *connection, struct findings *findings, struct error_text *error)
{
    struct reading_list list = {.text = BUFFER_NULL};
    char found[700], head[65];
    uint64_t n = 0;
    int64_t n_wrong = reading_check(connection, add_row, &list, &n, head, error);
    if (n_wrong >= 0) {
        snprintf(found, sizeof(found), "%" PRIu64 " rows, head %s%.*s", n, head,
                 (int)(list.text.length < 500 ? list.text.length : 500),
                 list.text.data ? (const char *)list.text.data : "");
        findings_add(findings, n_wrong ? FINDING_WRONG : FINDING_OK, "log of readers", found,
                     n_wrong ? "each row as it was written" : NULL,
                     n_wrong ? "somebody who may change tables changed who read the evidence"
                             : NULL);
    }
    buffer_deinit(&list.text);
    return n_wrong < 0 ? (int)n_wrong : 0;
}

static bool has_reading(MYSQL *connection)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text ignored = ERROR_TEXT_NULL;
    return database_query(connection, &result, &ignored, "look for the log of readers",
                          "SELECT 1 FROM reading_head") == 0;
}

int server_check(const struct server *server, struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = NULL;
    struct findings findings = FINDINGS_NULL;
    int r = connect_anywhere(&connection, server, error);
    if (r == 0)
        r = server_settings_check(connection, add_setting, &findings, error);
    if (r >= 0 && has_reading(connection))
        r = check_reading(connection, &findings, error);
    if (r >= 0)
        r = write_settings(&server->options, &findings, error);
    findings_deinit(&findings);
    return r;
}
