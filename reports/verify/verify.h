#pragma once
/*
 * Verification of the whole evidence, or of that of one host: rows against seals, seals against
 * each other and against the keys of their hosts.
 *
 * First every seal is read and every row, and what the two give is compared by sums
 * (line_sums.h): that costs the same for any order and any size. Where a sum is not zero, and only
 * there, the lists are kept in memory and the rows are read again, line by line.
 */
#include "reports/database/database.h"
#include "reports/verify/differences.h"

#include <stdatomic.h>

/** What a seal that was kept elsewhere says of a host. */
struct verify_kept {
    uint32_t host_id;
    uint64_t last;     /* batch that had arrived */
    uint32_t last_key; /* the greatest number of its keys then; 0: it had none */
};

struct verify_options {
    const struct verify_kept *kept; /* sorted by host */
    size_t n_kept;
    int (*connect)(MYSQL **mysqlp, void *user, struct error_text *error);
    void *user;                  /* of connect */
    bool (*goes_on)(void *user); /* asked by --arrived between batches; NULL: it does */
    void *goes_on_user;
    bool has_host;
    uint32_t host_id;
    const char *since; /* arrived from then on, in the server's form; NULL: all */
    bool require_signatures;
    unsigned jobs;
    size_t memory; /* bytes, about */
};

struct verify_counts {
    _Atomic uint64_t rows, lines, batches, hosts;
    _Atomic uint64_t unsigned_batches, signed_batches;
    _Atomic uint64_t unprovable_rows; /* lines of batches whose seal is changed or missing */
    _Atomic uint64_t dropped_rows;    /* by retention */
    _Atomic uint64_t
        unfinished_rows; /* too many to look for their ends, where others were dropped */
    _Atomic uint64_t thinned_batches; /* whose lists retention has dropped */
    _Atomic uint64_t dropped_refused; /* refused lines, by retention */
    _Atomic uint64_t rejected, rejected_partly;
    _Atomic uint64_t newer_lines;  /* of batches that arrived meanwhile */
    _Atomic uint64_t untold_lines; /* that name batches without a seal, too many to be told */
};

struct verify_result {
    struct verify_counts counts;
    struct differences *differences;
};

/** Returns 0 when it was done, whatever it found. */
int verify_run(struct verify_result *result, const struct verify_options *options,
               struct error_text *error) MUST_CHECK;
void verify_result_deinit(struct verify_result *result);
