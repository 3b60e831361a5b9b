#pragma once
/* What part of the evidence is exported, and its rows table by table, from one snapshot. */
#include "reports/database/statement.h"
#include "reports/evidence/evidence.h"
#include "reports/export/export_tables.h"

enum { EXPORT_N_VALUES = 7 };

struct export_selection {
    MYSQL *mysql;
    const struct options *options;
    struct statement_value values[EXPORT_N_VALUES];
    struct evidence_window window;
    bool by_user;
    struct buffer login_name; /* of --login-user; empty: none is known */
};

/** Look up host and user, and begin the snapshot. */
int export_selection_init(struct export_selection *selection, MYSQL *mysql,
                          const struct options *options, struct error_text *error) MUST_CHECK;
void export_selection_deinit(struct export_selection *selection);
/** Whether any row of this table is selected; @p with_context: also those that are of no user. */
bool export_selection_takes(const struct export_selection *selection,
                            const struct export_table *table, bool with_context);
/** " FROM <table> t ... WHERE ..." of the selected rows. */
void export_selection_append_from(const struct export_selection *selection, struct buffer *sql,
                                  const struct export_table *table);
/** Run SQL that export_selection_append_from() completed. */
int export_selection_run(struct export_selection *selection, struct statement **statementp,
                         struct buffer *sql, const char *table,
                         struct error_text *error) MUST_CHECK;
