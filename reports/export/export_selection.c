/* Rows that were alive in the window. A snapshot that begins before the first table keeps rows,
 * their ends and their seals together, although agents go on. */
#include "reports/export/export_selection.h"

#include "core/cleanup.h"

#include <stdlib.h>

#define LAST_MOMENT_US INT64_C(253402300799000000) /* 9999-12-31 23:59:59 */

enum { SINCE, UNTIL, UNTIL_DAY, HOST_ID, ANY_LOGIN, LOGIN_UID, LOGIN_NAME };

static int name_of_uid(struct export_selection *selection, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *row;
    int outcome =
        statement_run(&statement, selection->mysql,
                      "SELECT login_username FROM process WHERE login_uid = :login_uid AND "
                      "login_username IS NOT NULL ORDER BY created_at DESC LIMIT 1",
                      selection->values, EXPORT_N_VALUES, "look up the login user", error);
    if (outcome)
        return outcome;
    outcome = statement_next(statement, &row, error);
    if (outcome == STATEMENT_ROW)
        buffer_append_slice(&selection->login_name, row[0]);
    return outcome < 0 ? outcome : 0;
}

static int find_user(struct export_selection *selection, const char *word, struct error_text *error)
{
    struct statement_value *uid = &selection->values[LOGIN_UID],
                           *name = &selection->values[LOGIN_NAME];
    bool is_set = false;
    int outcome = evidence_find_login_user(
        selection->mysql, word, selection->window.has_host ? &selection->window.host_id : NULL,
        &uid->number, &is_set, error);
    if (outcome || !is_set)
        return outcome;
    uid->kind = STATEMENT_NUMBER;
    outcome = name_of_uid(selection, error);
    if (!outcome && selection->login_name.failed)
        return error_set(error, -ENOMEM, "out of memory");
    if (!outcome && selection->login_name.length) {
        name->kind = STATEMENT_TEXT;
        name->text = buffer_slice(&selection->login_name);
    }
    return outcome;
}

static void set_values(struct export_selection *selection)
{
    const struct options *options = selection->options;
    struct statement_value *values = selection->values;
    int64_t until = options->has_until ? options->until_us : LAST_MOMENT_US;
    int64_t until_day = options->has_until ? until + INT64_C(3600000000) : until;
    values[SINCE] = (struct statement_value){.name = "since",
                                             .kind = STATEMENT_MOMENT,
                                             .us = options->has_since ? options->since_us : 0};
    values[UNTIL] =
        (struct statement_value){.name = "until", .kind = STATEMENT_MOMENT, .us = until};
    values[UNTIL_DAY] =
        (struct statement_value){.name = "until_day", .kind = STATEMENT_DAY, .us = until_day};
    values[HOST_ID] = (struct statement_value){.name = "host_id"};
    values[ANY_LOGIN] = (struct statement_value){
        .name = "any_login", .kind = STATEMENT_NUMBER, .number = !selection->by_user};
    values[LOGIN_UID] = (struct statement_value){.name = "login_uid"};
    values[LOGIN_NAME] = (struct statement_value){.name = "login_name"};
}

static int begin_snapshot(MYSQL *mysql, struct error_text *error)
{
    int outcome = database_run(mysql, error, "begin a snapshot", "%s",
                               "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    return outcome ? outcome
                   : database_run(mysql, error, "begin a snapshot", "%s",
                                  "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

int export_selection_init(struct export_selection *selection, MYSQL *mysql,
                          const struct options *options, struct error_text *error)
{
    *selection = (struct export_selection){.mysql = mysql,
                                           .options = options,
                                           .window = evidence_window_of(options),
                                           .by_user = options->login_user != NULL};
    set_values(selection);
    int outcome = 0;
    if (options->on) {
        outcome = evidence_find_host(mysql, options->on, &selection->window.host_id, error);
        selection->window.has_host = true;
        selection->values[HOST_ID].kind = STATEMENT_NUMBER;
        selection->values[HOST_ID].number = selection->window.host_id;
    }
    if (!outcome && options->login_user)
        outcome = find_user(selection, options->login_user, error);
    if (!outcome)
        outcome = begin_snapshot(mysql, error);
    if (outcome)
        export_selection_deinit(selection);
    return outcome;
}

void export_selection_deinit(struct export_selection *selection)
{
    buffer_deinit(&selection->login_name);
}

bool export_selection_takes(const struct export_selection *selection,
                            const struct export_table *table, bool with_context)
{
    return !selection->by_user || table->by_user || (table->is_context && with_context);
}

void export_selection_append_from(const struct export_selection *selection, struct buffer *sql,
                                  const struct export_table *table)
{
    buffer_printf(sql,
                  " FROM %s t%s WHERE t.day <= :until_day AND t.created_at <= :until AND "
                  "(t.destroyed_at IS NULL OR t.destroyed_at >= :since)",
                  table->name, table->joins);
    if (selection->window.has_host)
        buffer_append_text(sql, " AND t.host_id = :host_id");
    if (selection->by_user && table->by_user)
        buffer_printf(sql, " AND (%s)", table->by_user);
}

int export_selection_run(struct export_selection *selection, struct statement **statementp,
                         struct buffer *sql, const char *table, struct error_text *error)
{
    char doing[100];
    snprintf(doing, sizeof(doing), "read the rows of %.60s", table);
    buffer_append_byte(sql, '\0');
    if (sql->failed)
        return error_set(error, -ENOMEM, "out of memory");
    return statement_run(statementp, selection->mysql, (const char *)sql->data, selection->values,
                         EXPORT_N_VALUES, doing, error);
}
