#pragma once
/* Rows of `process` as a busy host makes them, all different, with known faults where asked for. */
#include "recorder/row/row_sink.h"

#define MADE_BOOT_ID         "01234567-89ab-4cde-8f01-23456789abcd"
#define MADE_EXE_SHA256      "3b1f0a8d5c6e4f7092a1b4c3d8e7f6051a2b3c4d5e6f708192a3b4c5d6e7f809"
#define MADE_EXE_MODIFIED_US UINT64_C(1663667890123456)
#define MADE_SPAN_US         UINT64_C(60000000) /* no call makes ids over more than this */
#define MADE_FIRST_ID        UINT64_C(1700000000000000)

struct made_rows {
    uint64_t first_id;
    uint64_t n_bad;      /* exit_code 300, spread evenly */
    uint64_t n_not_utf8; /* so many of the bad ones also have bytes that are no UTF-8 */
    uint64_t n_twice;    /* at the end: rows with the ids of the first ones again */
    uint64_t n_open;     /* the first rows are inserted open, and ended by a line of their own */
    uint64_t n_settle;   /* the first of these are also settled by a line of their own */
    uint64_t n_missing;  /* end lines of ids that no row has */
    uint64_t huge;       /* bytes of `arguments` of one more row; 0: no such row */
};

/** One row as a process that has ended; returns what the sink says. */
int made_row_append(struct line *line, uint64_t id, uint64_t number, const struct row_sink *sink);

/** Append @p n rows, and what the faults ask for beside them. Waits while the journal's buffer is
 *  full; ends the program when the journal refuses a line for another reason. */
void made_rows_append(const struct made_rows *made, uint64_t n, const struct row_sink *sink);
