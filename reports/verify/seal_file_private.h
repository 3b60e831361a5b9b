#pragma once
/* What writing (seal_file.c) and reading (seal_file_read.c) of a seal share. */
#include "reports/verify/seal_file.h"

enum { SEAL_CHECK_SIZE = 4, SEAL_SECOND_US = 1000000 };

/** The lines that a check is over. */
void seal_print_head(struct buffer *to, const struct seal *seal);
void seal_print_host(struct buffer *to, const struct seal_host *host);
/** Of the text from @p from on; false: it could not be computed. */
bool seal_compute_check(const struct buffer *text, size_t from, uint8_t check[SEAL_CHECK_SIZE]);
