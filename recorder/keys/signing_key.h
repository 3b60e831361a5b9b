#pragma once
/*
 * The key with which a host signs its batches: Ed25519 (RFC 8032), kept in a PEM file (PKCS #8) of
 * mode 0600. The signature is over "vestige batch\n" and the 32 bytes of the batch hash, so that it
 * can be taken for nothing else.
 */
#include "core/error.h"

#include <stdint.h>

enum { PUBLIC_KEY_SIZE = 32, SIGNATURE_SIZE = 64 };

struct signing_key;

/** Make a key and write it to @p path, which must not exist. -EEXIST: it does. */
int signing_key_create(struct signing_key **keyp, const char *path,
                       struct error_text *error) MUST_CHECK;
/** -ENOENT: there is no such file; -EPERM: others may read it; -EBADMSG: it holds no Ed25519 key.
 */
int signing_key_load(struct signing_key **keyp, const char *path,
                     struct error_text *error) MUST_CHECK;
struct signing_key *signing_key_free(struct signing_key *key);

void signing_key_public(const struct signing_key *key, uint8_t public_key[PUBLIC_KEY_SIZE]);
/** Returns 0 or -EIO. */
int signing_key_sign(const struct signing_key *key, const uint8_t hash[32],
                     uint8_t signature[SIGNATURE_SIZE]) MUST_CHECK;
/** Read the public keys of a PEM file, at most @p most: *@p np is their number. -EBADMSG: it holds
 *  none, or something else. */
int public_keys_read(uint8_t (*keys)[PUBLIC_KEY_SIZE], size_t most, size_t *np, const char *path,
                     struct error_text *error) MUST_CHECK;
/** Whether @p signature is one of @p public_key over @p hash: 0, -EBADMSG, or -ENOMEM. */
int signature_check(const uint8_t public_key[PUBLIC_KEY_SIZE], const uint8_t hash[32],
                    const uint8_t signature[SIGNATURE_SIZE]) MUST_CHECK;
