#pragma once
/*
 * What a start finds in a journal's directory: where the chain stands, and an open batch that a
 * crash has left, which is sealed.
 */
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_shelf.h"
#include "recorder/journal/open_batch.h"

/** Fill @p chain (host_id, boot_id and key are set by the caller) and @p recovery, seal what is
 * open. Damaged files are named in the log and do not keep the journal from opening; another host's
 *  journal does (-EINVAL). */
int journal_start(struct journal_directory *directory, struct journal_shelf *shelf,
                  struct batch_chain *chain, struct journal_recovery *recovery,
                  struct error_text *error) MUST_CHECK;
