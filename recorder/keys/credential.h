#pragma once
/*
 * What a host proves itself with: a password, of which the server gets the hash only, and a key for
 * TLS, for which an authority makes a certificate. Made by the administrator's program or by the
 * host itself.
 */
#include "core/buffer.h"

enum { PASSWORD_SIZE = 64, PASSWORD_HASH_SIZE = 42, FINGERPRINT_SIZE = 65 };

/** 32 random bytes, of letters that no option file treats specially. */
int credential_make_password(char password[PASSWORD_SIZE], struct error_text *error) MUST_CHECK;
/** As the server's PASSWORD() does: SHA-1 of SHA-1. 32 random bytes need no slow hash. */
int credential_hash_password(const char *password, char hash[PASSWORD_HASH_SIZE],
                             struct error_text *error) MUST_CHECK;
/** A key (PKCS #8, PEM) and a request for a certificate (PKCS #10, PEM); @p name is its CN. */
int credential_make_key(struct buffer *key, struct buffer *request, const char *name,
                        struct error_text *error) MUST_CHECK;
/** What two people compare, 64 digits: SHA-256 of the request, the key with which the host will
 *  sign (32 bytes) and the hash of its password. */
int credential_fingerprint(struct slice request, const uint8_t *signing_key, const char *hash,
                           char fingerprint[FINGERPRINT_SIZE], struct error_text *error) MUST_CHECK;
/** Seconds since 1970 at which the first certificate in @p pem ends to be valid. -EBADMSG: there is
 *  none. */
int credential_certificate_until(struct slice pem, int64_t *until) MUST_CHECK;
