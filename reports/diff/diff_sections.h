#pragma once
/* What `vestige diff` compares: a question for each section about the state of :host_id at :at. Its
 * columns are item (what is compared, once each), detail (what may have changed), row_host_id and
 * row_id; the order is that of the bytes of item. :one_host is 1 when both states are of one host.
 */
#include <stddef.h>

struct diff_section {
    const char *name;
    const char *table; /* of the rows behind it */
    const char *sql;
};

enum { DIFF_SECTIONS_MAX = 16 };

extern const struct diff_section diff_sections[];
extern const size_t diff_sections_n;
