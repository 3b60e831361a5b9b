#pragma once
/* A case bundle: a directory with the selected rows, their seals, and all that is needed to check
 * it. */
#include "reports/export/export_selection.h"

/** Write it into @p directory, which must be empty or not there. */
int export_case(struct export_selection *selection, const char *directory, uint64_t *n_rows,
                struct error_text *error) MUST_CHECK;
