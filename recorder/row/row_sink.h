#pragma once
/*
 * Where the tracker's lines go: the journal, or memory in tests, or standard output in --replay.
 */
#include "recorder/row/line.h"

struct row_sink {
    void *user;
    /** Take a copy of a finished line. Returns 0; -ENOSPC: the journal is full; -ENOBUFS: its
     *  buffer is full. After an error the line is not kept, and the tracker counts it. */
    int (*append)(void *user, const struct line *line);
    /** The state from which a restart can count what was lost: one line of "key=value" words,
     *  without a newline. It covers all lines appended before it. Never fails. */
    void (*mark)(void *user, struct slice cursors);
};
