#pragma once
/* Digests by version of a file, a bounded number of them; the one that was not looked for the
 * longest makes room. Not thread-safe. */
#include "collectors/programs/program_file.h"

enum { PROGRAM_DIGEST_SIZE = 32 };

struct program_cache;

int program_cache_new(struct program_cache **cachep, size_t most) MUST_CHECK;
struct program_cache *program_cache_free(struct program_cache *cache);
/** The digest, valid until the next call; NULL: it is not known. */
const uint8_t *program_cache_find(struct program_cache *cache,
                                  const struct program_version *version);
/** Without memory it is not kept. */
void program_cache_put(struct program_cache *cache, const struct program_version *version,
                       const uint8_t digest[PROGRAM_DIGEST_SIZE]);
