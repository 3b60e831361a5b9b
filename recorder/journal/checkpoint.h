#pragma once
/* The insert lines of the rows that are open, gathered in memory, and then a file of the journal.
 */
#include "core/error.h"
#include "recorder/journal/batch_writer.h"
#include "recorder/journal/journal_directory.h"
#include "recorder/journal/journal_shelf.h"
#include "recorder/journal/open_batch.h"
#include "recorder/row/line.h"

struct checkpoint {
    struct batch_writer *writer; /* NULL: out of memory, nothing will come of it */
    uint64_t covers, time_us;    /* the last batch that it stands for; when it was ended */
    bool active;
};

/** What was gathered before is forgotten. */
void checkpoint_begin(struct checkpoint *checkpoint);
/** -ENOMEM: nothing will come of it. */
int checkpoint_add(struct checkpoint *checkpoint, const struct line *line) MUST_CHECK;
/** Write it, in place of the former one, and let the shelf know what it covers. */
int checkpoint_write(const struct checkpoint *checkpoint, struct journal_directory *directory,
                     struct journal_shelf *shelf, const struct batch_chain *chain) MUST_CHECK;
void checkpoint_deinit(struct checkpoint *checkpoint);
