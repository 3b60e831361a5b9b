#pragma once
/* Opens a sealed batch of a journal by its number, shipped or not. */
#include "recorder/journal/batch_reader.h"
#include "recorder/journal/journal_directory.h"

/** Returns 0, -ENOENT when there is none, -EBADMSG when it is damaged or holds another number, or a
 *  negative errno; @p error (may be NULL) says which file. */
int sealed_batch_open(struct journal_directory *directory, uint64_t batch,
                      struct batch_reader **readerp, struct error_text *error) MUST_CHECK;
