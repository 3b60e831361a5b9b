#pragma once
/* Which records of a file were read: by their digests, for when the file is written anew. The last
 * 32,768 at least are remembered. */
#include "core/error.h"
#include "core/slice.h"

#include <stdbool.h>

struct record_memory;

/** Never 0. */
uint64_t record_digest(struct slice record);
int record_memory_new(struct record_memory **memoryp) MUST_CHECK;
struct record_memory *record_memory_free(struct record_memory *memory);
bool record_memory_has(const struct record_memory *memory, struct slice record);
void record_memory_add(struct record_memory *memory, struct slice record);
