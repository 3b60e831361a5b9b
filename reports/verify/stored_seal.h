#pragma once
/*
 * The seal of a batch as the server has it: its header rebuilt from the row, the hash computed over
 * header and digest list, and the signature checked with the keys of its host.
 */
#include "recorder/journal/batch_digest.h"
#include "recorder/journal/batch_header.h"
#include "reports/database/database.h"

#define SEAL_MOMENT_SIZE 27 /* "2023-11-14 22:13:20.000001" and its NUL */

/** A key of a host. Moments are in the server's text form, which sorts as time does. */
struct sealing_key {
    uint32_t host_id, number;
    uint8_t public_key[PUBLIC_KEY_SIZE];
    uint64_t first_batch; /* what it may have signed; 0: all */
    char created_at[SEAL_MOMENT_SIZE], revoked_at[SEAL_MOMENT_SIZE]; /* "": not revoked */
};

struct sealing_keys {
    struct sealing_key *keys; /* sorted by host */
    size_t n;
    _Atomic unsigned *n_futile; /* searches for births that found nothing, since one did */
};

int sealing_keys_load(struct sealing_keys *keys, MYSQL *mysql, struct error_text *error) MUST_CHECK;
void sealing_keys_deinit(struct sealing_keys *keys);

enum signature_state {
    SIGNATURE_GOOD,
    SIGNATURE_NONE,    /* and none was to be expected */
    SIGNATURE_MISSING, /* though the host had a key when it arrived */
    SIGNATURE_WRONG,   /* no key of the host fits */
    SIGNATURE_REVOKED, /* a key fits that was revoked when the batch arrived */
    SIGNATURE_UNKNOWN  /* no key of the host is known */
};

enum seal_state {
    SEAL_GOOD,
    SEAL_HASH_CHANGED, /* the signature fits header and list, but not the hash beside them */
    SEAL_CHANGED,      /* header or list is not what was sealed */
    SEAL_THINNED       /* without its list, as retention leaves it */
};

struct stored_seal {
    struct batch_header header; /* hash: as stored */
    struct slice digests;       /* valid until the next row is read */
    uint8_t computed[BATCH_HASH_SIZE];
    char received_at[SEAL_MOMENT_SIZE];
    int64_t received_day; /* since 1970-01-01 */
    enum seal_state state;
    enum signature_state signature;
    bool has_signature; /* be it right or not */
    bool verified;      /* verified_at is set */
};

/** The columns that stored_seal_read() takes, in its order. */
#define SEAL_COLUMNS                                                                               \
    "host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time, n_lines,"        \
    " births, cursors, recovered, digests, signature, received_at, verified_at IS NOT NULL"
#define SEAL_COLUMN_N 16

/** Returns 0, -EIO or -ENOMEM. What cannot be a header is SEAL_CHANGED. @p text is used again. */
int stored_seal_read(struct stored_seal *seal, MYSQL_ROW row, const unsigned long *lengths,
                     const struct sealing_keys *keys, struct batch_digest *digest,
                     struct buffer *text) MUST_CHECK;
/** Whether lines may be compared with its list. */
bool stored_seal_is_trusted(const struct stored_seal *seal);
/** The hash by which the chain goes on from it: the one that was signed, if one was. */
const uint8_t *stored_seal_hash(const struct stored_seal *seal);
/** Whether it is what a key of the host, or nobody when there was no key, has signed. */
bool stored_seal_is_sound(const struct stored_seal *seal);

/** Seals of one number whose lists were taken, while seals are read in the order of numbers. */
struct seal_repeats {
    uint64_t batch;
    size_t n;
    uint8_t hashes[16][BATCH_HASH_SIZE];
};
/** Whether the same seal was there before under another hash: its lines are not there twice. */
bool stored_seal_is_repeated(struct seal_repeats *repeats, const struct stored_seal *seal);
