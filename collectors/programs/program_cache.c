/* A table of libcrypto's, and a list in the order of use. */
#include "collectors/programs/program_cache.h"

#include <openssl/lhash.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct item {
    TAILQ_ENTRY(item) in_order;
    struct program_version version;
    uint8_t digest[PROGRAM_DIGEST_SIZE];
};

TAILQ_HEAD(item_list, item);

struct program_cache {
    OPENSSL_LHASH *by_version;
    struct item_list items; /* the one that was used last is the last */
    size_t n, most;
};

static unsigned long item_hash(const void *item)
{
    const struct program_version *version = &((const struct item *)item)->version;
    return (
        unsigned long)((version->inode ^ version->device << 20 ^ (uint64_t)version->changed_ns) *
                       UINT64_C(0x9e3779b97f4a7c15));
}

static int item_compare(const void *a, const void *b)
{
    return !program_version_equal(&((const struct item *)a)->version,
                                  &((const struct item *)b)->version);
}

int program_cache_new(struct program_cache **cachep, size_t most)
{
    struct program_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    TAILQ_INIT(&cache->items);
    cache->most = most;
    cache->by_version = OPENSSL_LH_new(item_hash, item_compare);
    if (!cache->by_version) {
        free(cache);
        return -ENOMEM;
    }
    *cachep = cache;
    return 0;
}

static void drop(struct program_cache *cache, struct item *item)
{
    OPENSSL_LH_delete(cache->by_version, item);
    TAILQ_REMOVE(&cache->items, item, in_order);
    cache->n--;
    free(item);
}

struct program_cache *program_cache_free(struct program_cache *cache)
{
    if (cache) {
        while (!TAILQ_EMPTY(&cache->items))
            drop(cache, TAILQ_FIRST(&cache->items));
        OPENSSL_LH_free(cache->by_version);
        free(cache);
    }
    return NULL;
}

const uint8_t *program_cache_find(struct program_cache *cache,
                                  const struct program_version *version)
{
    struct item key = {.version = *version};
    struct item *item = OPENSSL_LH_retrieve(cache->by_version, &key);
    if (!item)
        return NULL;
    TAILQ_REMOVE(&cache->items, item, in_order);
    TAILQ_INSERT_TAIL(&cache->items, item, in_order);
    return item->digest;
}

void program_cache_put(struct program_cache *cache, const struct program_version *version,
                       const uint8_t digest[PROGRAM_DIGEST_SIZE])
{
    if (program_cache_find(cache, version))
        return;
    if (cache->n == cache->most)
        drop(cache, TAILQ_FIRST(&cache->items));
    struct item *item = calloc(1, sizeof(*item));
    if (!item)
        return;
    item->version = *version;
    memcpy(item->digest, digest, PROGRAM_DIGEST_SIZE);
    OPENSSL_LH_insert(cache->by_version, item);
    if (OPENSSL_LH_error(cache->by_version)) {
        free(item);
        return;
    }
    TAILQ_INSERT_TAIL(&cache->items, item, in_order);
    cache->n++;
}
