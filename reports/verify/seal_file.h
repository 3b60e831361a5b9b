#pragma once
/*
 * The seal that is kept elsewhere: where the chain of each host's batches ended at a moment, as a
 * text that may be mailed, printed on paper and typed in again.
 *
 *   # sentences for people
 *   vestige seal 1
 *   at 2026-11-26 07:33:49.123456        the server's clock, UTC
 *   hosts 1
 *   check 1a2b3c4d
 *
 *   host 7 web1
 *   batches 1234                         how many there are
 *   last 1234                            the highest number; 0: none, then no received and no hash
 *   received 2026-11-26 07:33:48.000000
 *   hash 00112233 44556677 8899aabb ccddeeff
 *   hash 00112233 44556677 8899aabb ccddeeff
 *   key 1 00112233 44556677 8899aabb ccddeeff
 *   key 1 00112233 44556677 8899aabb ccddeeff
 *   check 5e6f7081
 *
 *   end 92a3b4c5
 *
 * A check is the beginning of SHA-256 over what the lines since the one before say, and `end` over
 * all, so that a typing error is found, and where. It protects from nothing else: whoever changes
 * the text can make it anew. Blanks, empty lines, capitals and lines that begin with # do not
 * matter, nor what stands before the first line and behind the last, as in a mail.
 */
#include "core/buffer.h"
#include "core/error.h"

enum { SEAL_HASH_SIZE = 32, SEAL_KEY_SIZE = 32, SEAL_NAME_SIZE = 254, SEAL_KEYS_MOST = 8 };

struct seal_key {
    uint64_t number; /* of the host's keys */
    uint8_t public_key[SEAL_KEY_SIZE];
};

struct seal_host {
    uint64_t host_id;
    char name[SEAL_NAME_SIZE];
    uint64_t n_batches, last;
    int64_t received_us; /* of the last one; microseconds since 1970 */
    uint8_t hash[SEAL_HASH_SIZE];
    size_t n_keys;
    struct seal_key keys[SEAL_KEYS_MOST]; /* in force at that moment */
};

struct seal {
    int64_t at_us;
    size_t n_hosts;
    struct buffer hosts; /* of struct seal_host; see seal_host_at */
};

#define SEAL_NULL                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

void seal_deinit(struct seal *seal);
/** Add one behind the others; to be filled by the caller. NULL: out of memory. Moves the others. */
struct seal_host *seal_add(struct seal *seal);
/** In the order of host_id, @p index below n_hosts. */
const struct seal_host *seal_host_at(const struct seal *seal, size_t index);

/** Whether @p name can stand in a seal, as every name that enrolment gives can. */
bool seal_name_valid(struct slice name);

/** Append the text. Hosts must be in the order of their numbers, each once. */
void seal_print(struct buffer *to, const struct seal *seal);
/** Read such a text; @p name is for messages. -EINVAL: @p error says line and what to do. Pure. */
int seal_parse(struct seal *seal, const char *name, struct slice text,
               struct error_text *error) MUST_CHECK;
/** The same of a file. */
int seal_read(struct seal *seal, const char *path, struct error_text *error) MUST_CHECK;
