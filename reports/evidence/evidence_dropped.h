#pragma once
/* What retention has dropped of the evidence that an answer rests on. */
#include "reports/evidence/evidence.h"

/** Append ", 1234 rows of 2026-08-01 to 2026-08-27 dropped by retention" when rows that lived in
 * the window were dropped; @p n_rows is their number. */
int evidence_tell_dropped(MYSQL *mysql, const struct evidence_window *window, struct buffer *line,
                          unsigned long long *n_rows, struct error_text *error) MUST_CHECK;
