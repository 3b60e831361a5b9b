#pragma once
/*
 * What verification found to be different, put together so that one change is one row of the
 * answer: a line that is missing and one that is in no seal, of the same row, are a row that was
 * changed; of two hosts, one that was moved; many rows that are missing of one day are a partition.
 */
#include "reports/verify/line_sums.h"
#include "reports/verify/retained.h"

#include <stdbool.h>

enum difference_kind {
    LINE_MISSING, /* in a seal, and no row gives it */
    LINE_EXTRA,   /* of a row, and in no seal */
    ROW_WRONG     /* what stands in no line of the row is wrong; see `what` */
};

struct line_difference {
    struct line_key line;
    enum difference_kind kind;
    bool row_exists; /* LINE_MISSING: there is a row with this key */
    bool is_refused; /* LINE_EXTRA: it stands in table rejected */
    struct retained_day
        *refused;     /* LINE_MISSING: it may be a refused line that retention dropped */
    const char *what; /* ROW_WRONG: a literal */
};

/** One row of the answer. */
struct difference {
    uint32_t host_id;
    const char *table; /* of the row; "batch", "rejected", "host_key" for what is about a seal */
    bool has_id, has_batch;
    uint64_t id, batch;
    uint64_t last_batch; /* of several that it is about; 0: of one */
    uint8_t hash[32];    /* of the seal that it is about; zeros: of all with that number */
    char verb[24];       /* which lines of the row */
    const char *what;
    char detail[200];
};

struct differences;

int differences_new(struct differences **differencesp, size_t most_lines) MUST_CHECK;
struct differences *differences_free(struct differences *differences);
/** From any thread. What is beyond the limit is only counted. */
void differences_add_line(struct differences *differences, const struct line_difference *line);
void differences_add(struct differences *differences, const struct difference *difference);

/** Whether a partition of its own is there for this day (days since 1970-01-01). */
typedef bool (*differences_partition)(void *user, const char *table, int64_t day);
/** Once, when all is found: lines to rows. What may be a refused line that retention dropped is
 *  counted as listed there, when nothing else is wrong with its row. */
int differences_conclude_lines(struct differences *differences) MUST_CHECK;
/** Then: the order of rows, and many of one day together. */
int differences_conclude(struct differences *differences, differences_partition has_partition,
                         void *user) MUST_CHECK;
size_t differences_n(const struct differences *differences);
const struct difference *differences_at(const struct differences *differences, size_t i);
/** How many lines were beyond the limit. */
uint64_t differences_n_untold(const struct differences *differences);
