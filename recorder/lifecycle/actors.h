#pragma once
/*
 * Who a pid was at a moment, also after its process or program has gone: for sources whose messages
 * come behind the process connector's. A bounded memory of the last images that ended.
 */
#include "core/error.h"
#include "core/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct actor {
    uint32_t pid;
    uint64_t process_id;              /* id of the row of the image */
    uint64_t began_ns;                /* boot clock; of the process, not of the image; 0: unknown */
    uint64_t from_ns, until_ns;       /* of the image; until_ns UINT64_MAX: it runs */
    uint32_t uid, login_uid, session; /* ID_UNSET: unset, or unknown */
    char comm[16];                    /* filled up with zeros; "": unknown */
    struct slice exe; /* as the field of a line; SLICE_NULL: unknown. Until the next fact */
    bool own;         /* it is the recorder's */
    int end_cause;    /* when it has ended: enum end_cause */
};

struct actors;

int actors_new(struct actors **actorsp) MUST_CHECK;
struct actors *actors_free(struct actors *actors);
/** Keeps a copy, also of the text. */
void actors_remember(struct actors *actors, const struct actor *actor);
/** Something more is known of an image that is remembered. */
void actors_refresh(struct actors *actors, const struct actor *actor);
/** The last image of @p pid that ran at some moment between these two, inclusive, or NULL. */
const struct actor *actors_find(const struct actors *actors, uint32_t pid, uint64_t from_ns,
                                uint64_t until_ns);
/** The images of @p pid that ran at some moment between, in no order; at most @p most. */
size_t actors_between(const struct actors *actors, uint32_t pid, uint64_t since_ns,
                      uint64_t until_ns, struct actor *found, size_t most);
