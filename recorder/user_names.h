#pragma once
/*
 * Names of users by uid, as this host knew them when it was asked. Filled by facts; a miss asks the
 * names source, whose answer comes back as a fact. Bounded.
 */
#include "core/error.h"
#include "core/slice.h"

struct user_names;

struct user_names_request {
    void *user;
    void (*ask)(void *user, uint32_t uid); /* must not block; NULL: nobody to ask */
};

int user_names_new(struct user_names **namesp, struct user_names_request request) MUST_CHECK;
struct user_names *user_names_free(struct user_names *names);
/** @p name SLICE_NULL: there is no such user. */
void user_names_learn(struct user_names *names, uint32_t uid, struct slice name);

/** True when the answer is known (*@p name may still be SLICE_NULL: no such user). A miss asks once
 *  a second at most. ID_UNSET is always known, and nobody. */
bool user_names_find(struct user_names *names, uint32_t uid, uint64_t now_ns, struct slice *name);
