#pragma once
/* All selected rows as events, into an output. */
#include "reports/export/export_output.h"
#include "reports/export/export_selection.h"

/** On an error after the first event, the output gets a last line that says that it is not
 * complete. */
int export_events(struct export_selection *selection, struct export_output *output,
                  struct error_text *error) MUST_CHECK;
