#pragma once
/*
 * The digests of a batch's lines, and the hash of the batch that is made of them. The forms are in
 * recorder/journal.md. One object belongs to one thread; its memory is used again after a clear.
 */
#include "core/buffer.h"
#include "core/error.h"
#include "recorder/row/catalogue.h"

#define BATCH_DIGEST_SIZE 16

struct batch_digest;

int batch_digest_new(struct batch_digest **digestp) MUST_CHECK;
struct batch_digest *batch_digest_free(struct batch_digest *digest);
void batch_digest_clear(struct batch_digest *digest);

/** The digest of a line, given without its newline. Returns 0 or -EIO. */
int batch_digest_line(struct batch_digest *digest, struct slice raw,
                      uint8_t value[BATCH_DIGEST_SIZE]) MUST_CHECK;
/** Put a digest into the list. Returns 0 or -ENOMEM. */
int batch_digest_add(struct batch_digest *digest, enum verb verb, enum table_id table, uint64_t id,
                     const uint8_t value[BATCH_DIGEST_SIZE]) MUST_CHECK;
size_t batch_digest_count(const struct batch_digest *digest);

/** Append the digest list to @p list, sorted. Returns 0 or -ENOMEM. */
int batch_digest_list(struct batch_digest *digest, struct buffer *list) MUST_CHECK;
/** SHA-256 over @p header (its hashed part) and @p list. Returns 0 or -EIO. */
int batch_digest_hash(struct batch_digest *digest, struct slice header, struct slice list,
                      uint8_t hash[32]) MUST_CHECK;
