#pragma once
/* Gives every line since the checkpoint, the checkpoint's own first; see journal_restore. */
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_shelf.h"

int journal_restore_lines(struct journal_directory *directory, struct journal_shelf *shelf,
                          journal_line_handler handler, void *user,
                          struct error_text *error) MUST_CHECK;
