#pragma once
/*
 * What a start finds in a journal's directory: where the chain stands, and an open batch that a
 * crash has left, which is sealed.
 */
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_shelf.h"
#include "recorder/journal/open_batch.h"

/** Fill @p chain (host_id, boot_id and key are set by the caller) and @p recovery, seal what is
 * open. For what there is no room now, or what the disk does not take, @p batch is resumed: it is
 * to be sealed later. Damaged files are named in the log and do not keep the journal from opening;
 * another host's journal does (-EINVAL). */
int journal_start(struct journal_directory *directory, struct journal_shelf *shelf,
                  struct batch_chain *chain, struct open_batch *batch,
                  struct journal_recovery *recovery, struct error_text *error) MUST_CHECK;
