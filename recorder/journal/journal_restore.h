#pragma once
/* Gives every line since the checkpoint, the checkpoint's own first; see journal_restore. @p
 * resumed: the batch of a crash that may be sealed meanwhile; 0: none. */
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_shelf.h"

int journal_restore_lines(struct journal_directory *directory, struct journal_shelf *shelf,
                          uint64_t resumed, journal_line_handler handler, void *user,
                          struct error_text *error) MUST_CHECK;
