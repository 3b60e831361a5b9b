#pragma once
/*
 * Names of users by uid, as this host knew them when it was asked. Filled by facts; a miss asks the
 * names source, whose answer comes back as a fact. Bounded.
 */
#include "core/error.h"
#include "core/fact.h"

struct user_names;

struct user_names_request {
    void *user;
    void (*ask)(void *user, uint32_t uid); /* must not block; NULL: nobody to ask */
};

int user_names_new(struct user_names **namesp, struct user_names_request request) MUST_CHECK;
struct user_names *user_names_free(struct user_names *names);
void user_names_learn(struct user_names *names, const struct fact_user_name *fact);

/** True when the answer is known (*@p name may still be SLICE_NULL: no such user). A miss asks once
 *  a second at most. What is not of the passwd file is asked for again in passing, every five
 *  seconds at most, and goes on being the answer: it is for the source to decide when the switch is
 *  troubled again. ID_UNSET is always known, and nobody. */
bool user_names_find(struct user_names *names, uint32_t uid, uint64_t now_ns, struct slice *name);
