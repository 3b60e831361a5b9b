#pragma once
/* One reading of a part: passwd with shadow, or group with gshadow. */
#include "collectors/accounts/account_passwords.h"

struct account_scan_options {
    int directory; /* descriptor of the one that has the files */
    const struct account_key *key;
    /** Gets FACT_ACCOUNT, FACT_ACCOUNT_GROUP and FACT_GROUP_MEMBER; returns 0 or an error, which
     *  ends the reading. */
    int (*take)(void *user, const struct fact *fact);
    void *user;
};

struct account_scan_result {
    bool complete;      /* nothing was left out but malformed lines */
    int error;          /* why the names could not be read: a negative errno; 0 */
    int password_error; /* likewise, what belongs to passwords */
    uint64_t n, n_malformed;
};

/** Returns 0, whatever could be read, or the error of `take`. */
int account_scan_run(const struct account_scan_options *options, enum account_part part,
                     struct account_scan_result *result) MUST_CHECK;
