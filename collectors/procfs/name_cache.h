#pragma once
/* User names by uid, at most 4096 of them. Not thread-safe. Times are of any clock that only goes
 * forward, in nanoseconds. */
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_CACHE_MOST = 4096 };

struct name_cache_item {
    uint32_t uid;
    char *name;          /* NULL: there is none */
    uint64_t expires_ns; /* UINT64_MAX: never */
    bool fresh;          /* put or renewed since name_cache_age */
};

struct name_cache;

int name_cache_new(struct name_cache **cachep) MUST_CHECK;
struct name_cache *name_cache_free(struct name_cache *cache);
/** NULL when it is not known, or no longer. */
const struct name_cache_item *name_cache_find(const struct name_cache *cache, uint32_t uid,
                                              uint64_t now_ns);
/** Keep a copy. When it is full, the one that expires first makes room, and when none ever expires
 *  the new one is not kept. Returns 0 or -ENOMEM. */
int name_cache_put(struct name_cache *cache, uint32_t uid, const char *name,
                   uint64_t expires_ns) MUST_CHECK;
/** From now on no name that never expires is fresh. */
void name_cache_age(struct name_cache *cache);
/** Takes out one name that never expires and is not fresh. False: there is none. */
bool name_cache_take_old(struct name_cache *cache, uint32_t *uid);
