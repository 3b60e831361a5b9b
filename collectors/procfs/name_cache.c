/* A sorted array: 4096 entries are searched in 12 steps and rarely inserted. */
#include "collectors/procfs/name_cache.h"

#include <stdlib.h>
#include <string.h>

struct name_cache {
    size_t n;
    struct name_cache_item items[NAME_CACHE_MOST];
};

int name_cache_new(struct name_cache **cachep)
{
    struct name_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    *cachep = cache;
    return 0;
}

struct name_cache *name_cache_free(struct name_cache *cache)
{
    if (cache) {
        for (size_t i = 0; i < cache->n; i++)
            free(cache->items[i].name);
        free(cache);
    }
    return NULL;
}

/* The position of the uid, or the one where it belongs. */
static size_t lower_bound(const struct name_cache *cache, uint32_t uid)
{
    size_t low = 0, high = cache->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const struct name_cache *cache, size_t at, uint32_t uid)
{
    return at < cache->n && cache->items[at].uid == uid;
}

const struct name_cache_item *name_cache_find(const struct name_cache *cache, uint32_t uid,
                                              uint64_t now_ns)
{
    size_t at = lower_bound(cache, uid);
    return holds(cache, at, uid) && cache->items[at].expires_ns > now_ns ? &cache->items[at] : NULL;
}

static void take_out(struct name_cache *cache, size_t at)
{
    free(cache->items[at].name);
    cache->n--;
    memmove(&cache->items[at], &cache->items[at + 1], (cache->n - at) * sizeof(cache->items[0]));
}

static void make_room(struct name_cache *cache)
{
    size_t first = 0;
    for (size_t i = 1; i < cache->n; i++)
        if (cache->items[i].expires_ns < cache->items[first].expires_ns)
            first = i;
    if (cache->items[first].expires_ns != UINT64_MAX)
        take_out(cache, first);
}

int name_cache_put(struct name_cache *cache, uint32_t uid, const char *name, uint64_t expires_ns)
{
    char *copy = name ? strdup(name) : NULL;
    if (name && !copy)
        return -ENOMEM;
    if (cache->n == NAME_CACHE_MOST && !holds(cache, lower_bound(cache, uid), uid))
        make_room(cache);
    size_t at = lower_bound(cache, uid);
    struct name_cache_item *item = &cache->items[at];
    if (holds(cache, at, uid)) {
        free(item->name);
    } else if (cache->n == NAME_CACHE_MOST) {
        free(copy);
        return 0;
    } else {
        memmove(item + 1, item, (cache->n - at) * sizeof(*item));
        cache->n++;
    }
    *item = (struct name_cache_item){uid, copy, expires_ns, true};
    return 0;
}

void name_cache_age(struct name_cache *cache)
{
    for (size_t i = 0; i < cache->n; i++)
        cache->items[i].fresh = cache->items[i].expires_ns != UINT64_MAX;
}

bool name_cache_take_old(struct name_cache *cache, uint32_t *uid)
{
    for (size_t i = 0; i < cache->n; i++)
        if (!cache->items[i].fresh) {
            *uid = cache->items[i].uid;
            take_out(cache, i);
            return true;
        }
    return false;
}
