/* Two tables: the one that is being filled and the one before it. When the one is full, the other
 * is dropped. Digests are kept in one piece of memory for each table. */
#include "collectors/utmp/record_memory.h"

#include "core/hash.h"

#include <openssl/lhash.h>
#include <stdlib.h>

enum { TABLE_MOST = 32768 };

struct table {
    OPENSSL_LHASH *hash; /* of what is in digests */
    uint64_t *digests;
    size_t n;
};

struct record_memory {
    struct table now, before;
};

static unsigned long digest_hash(const void *item)
{
    return (unsigned long)*(const uint64_t *)item;
}

static int digest_compare(const void *a, const void *b)
{
    return *(const uint64_t *)a != *(const uint64_t *)b;
}

uint64_t record_digest(struct slice record)
{
    uint64_t hash = hash_slice(HASH_START, record);
    return hash ? hash : 1;
}

static void table_deinit(struct table *table)
{
    OPENSSL_LH_free(table->hash);
    free(table->digests);
    *table = (struct table){0};
}

static int table_init(struct table *table)
{
    *table = (struct table){.hash = OPENSSL_LH_new(digest_hash, digest_compare),
                            .digests = calloc(TABLE_MOST, sizeof(uint64_t))};
    if (table->hash && table->digests)
        return 0;
    table_deinit(table);
    return -ENOMEM;
}

int record_memory_new(struct record_memory **memoryp)
{
    struct record_memory *memory = calloc(1, sizeof(*memory));
    if (!memory || table_init(&memory->now) < 0) {
        free(memory);
        return -ENOMEM;
    }
    *memoryp = memory;
    return 0;
}

struct record_memory *record_memory_free(struct record_memory *memory)
{
    if (memory) {
        table_deinit(&memory->now);
        table_deinit(&memory->before);
    }
    free(memory);
    return NULL;
}

static bool table_has(const struct table *table, uint64_t key)
{
    return table->hash && OPENSSL_LH_retrieve(table->hash, &key) != NULL;
}

bool record_memory_has(const struct record_memory *memory, struct slice record)
{
    uint64_t key = record_digest(record);
    return table_has(&memory->now, key) || table_has(&memory->before, key);
}

void record_memory_add(struct record_memory *memory, struct slice record)
{
    struct table fresh;
    if (memory->now.n == TABLE_MOST && table_init(&fresh) == 0) {
        table_deinit(&memory->before);
        memory->before = memory->now;
        memory->now = fresh;
    }
    if (memory->now.n == TABLE_MOST)
        return;
    uint64_t *key = &memory->now.digests[memory->now.n++];
    *key = record_digest(record);
    OPENSSL_LH_insert(memory->now.hash, key);
}
