#pragma once
/* The job of the server: batches that nobody has verified yet, against the rows that they name. */
#include "reports/verify/verify.h"

struct arrived {
    uint64_t n_verified, n_failed; /* batches */
};

/** Until nothing is left that was not tried. Sets verified_at, or leaves a row in
 *  verification_failure and a finding. The account needs the role vestige_verifier. */
int verify_arrived(struct arrived *arrived, const struct verify_options *options,
                   struct error_text *error) MUST_CHECK;
