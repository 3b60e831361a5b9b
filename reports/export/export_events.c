/* One statement a table: the fields that all documents have, then those of the table. Rows are
 * taken from the server as they are written, in the order of host, begin and id. */
#include "reports/export/export_events.h"

#include "core/cleanup.h"

#define US(moment) "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', " moment ")"

static void append_select(struct buffer *sql, const struct export_table *table)
{
    buffer_printf(
        sql,
        "SELECT %s AS `-message_end`, %s AS `-user`, "
        "IF(t.created_at >= :since, " US(
            "t.created_at") ", NULL) AS `-begin`, "
                            "IF(%s AND t.destroyed_at > t.created_at AND t.destroyed_at <= "
                            ":until, " US(
                                "t.destroyed_at") ", NULL) AS `-end`, "
                                                  "(SELECT h.name FROM enrolment h WHERE h.host_id "
                                                  "= t.host_id) AS `host.name`, "
                                                  "COALESCE(%s, '%s') AS message, ",
        table->message_end ? table->message_end : "NULL", table->user,
        table->message_end ? "TRUE" : "FALSE", table->message, table->name);
    buffer_printf(
        sql,
        "t.created_at AS `@timestamp`, '9.0.0' AS `ecs.version`, 'vestige' AS `event.module`, "
        "'vestige.%s' AS `event.dataset`, CONCAT(t.host_id, '-%s-', t.id) AS `event.id`, "
        "t.created_at AS `event.start`, t.destroyed_at AS `event.end`, "
        "TIMESTAMPDIFF(MICROSECOND, t.created_at, t.destroyed_at) * 1000 AS `event.duration`, "
        "CAST(t.host_id AS CHAR) AS `host.id`, %s, '%s' AS `vestige.table`, t.id AS "
        "`vestige.id`, t.batch AS `vestige.batch`, t.end_batch AS `vestige.end_batch`, "
        "t.end_cause AS `vestige.end_cause`, t.seen_by AS `vestige.seen_by[]`",
        table->name, table->name, table->columns, table->name);
}

static int write_rows(struct statement *statement, struct export_output *output,
                      struct error_text *error)
{
    const struct slice *values;
    for (;;) {
        int outcome = statement_next(statement, &values, error);
        if (outcome != STATEMENT_ROW)
            return outcome;
        outcome = output->writer->row(output, values);
        if (outcome)
            return error_set(error, outcome, "the events cannot be written: %s",
                             strerror(-outcome));
    }
}

static int export_table_events(struct export_selection *selection, struct export_output *output,
                               const struct export_table *table, struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct buffer sql = BUFFER_NULL;
    append_select(&sql, table);
    export_selection_append_from(selection, &sql, table);
    buffer_append_text(&sql, " ORDER BY t.host_id, t.created_at, t.id");
    int outcome = export_selection_run(selection, &statement, &sql, table->name, error);
    buffer_deinit(&sql);
    if (outcome)
        return outcome;
    outcome = export_output_table(output, table, statement_fields(statement),
                                  statement_n_columns(statement));
    if (outcome)
        return error_set(error, outcome, "too many columns of %s", table->name);
    return write_rows(statement, output, error);
}

int export_events(struct export_selection *selection, struct export_output *output,
                  struct error_text *error)
{
    int outcome = 0;
    for (size_t i = 0; i < export_tables_n && !outcome; i++)
        if (export_selection_takes(selection, &export_tables[i], false))
            outcome = export_table_events(selection, output, &export_tables[i], error);
    /* The output itself may be what failed; then nobody reads the line. */
    if (outcome && outcome != -EPIPE && output->writer->partial(output, error->text))
        clearerr(output->stream);
    if (fflush(output->stream) && !outcome)
        outcome = error_set(error, -errno, "the events cannot be written: %s", strerror(errno));
    return outcome;
}
