#pragma once
/*
 * Conclusions as rows of `finding`: a class of thing that should not be, the subject that it is
 * true of, and a detail for people. A row lives for as long as it is true: created_at is when it
 * was first seen, destroyed_at when it was seen no more. Of one class and subject at most one row
 * is open. Findings outlive the agent and the boot; who makes them says what has become of them.
 *
 * Texts are evidence text (core/evidence_text.h); a class is a word of ours. Times are microseconds
 * since 1970. One thread; no system calls.
 */
#include "recorder/lifecycle/row_output.h"

struct findings;

struct findings_options {
    struct row_output *output;
    size_t most; /* rows in memory; what is beyond is counted */
};

int findings_new(struct findings **findingsp, const struct findings_options *options) MUST_CHECK;
struct findings *findings_free(struct findings *findings);

/** It is true from @p at_us on, or still is. With another detail (SLICE_NULL: none) than before the
 *  row ends as closed and begins anew. */
void findings_open(struct findings *findings, const char *class, struct slice subject,
                   struct slice detail, uint64_t at_us);
/** It is true no more; nothing when it is not open. */
void findings_close(struct findings *findings, const char *class, struct slice subject,
                    uint64_t at_us);
/** Something that happened at a moment: a row with both ends. */
void findings_note(struct findings *findings, const char *class, struct slice subject,
                   struct slice detail, uint64_t at_us);

/** All that is true of a class is said between these two: what findings_open did not name in
 *  between ends as removed, or, of an earlier run, as reconciled. */
void findings_review_begin(struct findings *findings);
void findings_review_end(struct findings *findings, const char *class, uint64_t at_us);
/** Nobody looks any more: all rows of a class end as unknown. */
void findings_unwatched(struct findings *findings, const char *class, uint64_t at_us);

/** All sockets have been read: what the sink refused is tried again. */
void findings_tick(struct findings *findings);
/** A last attempt to write what the sink refused; what it refuses again is counted. */
void findings_flush(struct findings *findings);
/** Lines of an earlier run, in the order of the journal. */
void findings_restore(struct findings *findings, enum verb verb, uint64_t id,
                      const struct slice *values, size_t n_values);
/** Insert lines of all rows that are open now, for a checkpoint. */
void findings_checkpoint(struct findings *findings);
/** Rows for which there was no room, since the last call. */
uint64_t findings_take_beyond(struct findings *findings);
size_t findings_rows(const struct findings *findings);
