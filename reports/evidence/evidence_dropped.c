/*
 * A row that was dropped was recorded on its day and had ended before the horizon of that run; so
 * it may have lived in the window if the window ends on that day or later and begins before the
 * horizon.
 */
#include "reports/evidence/evidence_dropped.h"
#include "reports/database/statement.h"

#include <errno.h>
#include <stdlib.h>

static const char sql[] =
    "SELECT COALESCE(SUM(n_dropped), 0), MIN(day), MAX(day) FROM retention_log"
    " WHERE table_name NOT IN ('batch', 'maintenance_run', 'schedule_run', 'notification') AND "
    "(:since IS NULL OR horizon > :since)"
    " AND (:until IS NULL OR day <= :until)"
    " AND (:host_id IS NULL OR host_id = :host_id OR host_id IS NULL)";

int evidence_tell_dropped(MYSQL *mysql, const struct evidence_window *window, struct buffer *line,
                          unsigned long long *n_rows, struct error_text *error)
{
    const struct statement_value values[] = {
        {.name = "since",
         .kind = window->has_since ? STATEMENT_MOMENT : STATEMENT_NULL,
         .us = window->since_us   },
        {.name = "until",
         .kind = window->has_until ? STATEMENT_MOMENT : STATEMENT_NULL,
         .us = window->until_us   },
        {.name = "host_id",
         .kind = window->has_host ? STATEMENT_NUMBER : STATEMENT_NULL,
         .number = window->host_id},
    };
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *row;
    *n_rows = 0;
    int outcome = statement_run(&statement, mysql, sql, values, 3, "count what was dropped", error);
    if (outcome == -ENOENT)
        return 0; /* a server from before the retention */
    if (!outcome)
        outcome = statement_next(statement, &row, error);
    if (outcome != STATEMENT_ROW)
        return outcome;
    char number[24] = "";
    snprintf(number, sizeof(number), "%.*s", (int)row[0].length, (const char *)row[0].data);
    *n_rows = strtoull(number, NULL, 10);
    if (*n_rows)
        buffer_printf(line, ", %llu row%s of %.*s to %.*s dropped by retention", *n_rows,
                      *n_rows == 1 ? "" : "s", (int)row[1].length, (const char *)row[1].data,
                      (int)row[2].length, (const char *)row[2].data);
    return 0;
}
