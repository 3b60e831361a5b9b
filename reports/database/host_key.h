#pragma once
/*
 * The keys with which hosts sign their batches: rows of `host_key`, which enrolment alone may
 * write. A new key retires the one before, whose signatures stay good; a revoked one was stolen,
 * and what arrives later with its signature is false.
 */
#include "core/buffer.h"
#include "recorder/keys/signing_key.h"
#include "reports/database/database.h"

struct host_key {
    uint64_t number; /* 1: the one of the enrolment */
    uint8_t public_key[PUBLIC_KEY_SIZE];
    bool retired, revoked;
};

/** Make @p public_key the key of the host from now on. Also 0 when it is that already. -EEXIST: it
 *  was used before, by this host or another one. */
int host_key_add(MYSQL *connection, uint64_t host_id, const uint8_t public_key[PUBLIC_KEY_SIZE],
                 struct error_text *error) MUST_CHECK;
/** Mark all keys of the host as stolen that are not marked yet. */
int host_key_revoke(MYSQL *connection, uint64_t host_id, struct error_text *error) MUST_CHECK;
/** Append every key of the host, struct host_key, by number. */
int host_key_list(MYSQL *connection, uint64_t host_id, struct buffer *keys,
                  struct error_text *error) MUST_CHECK;

/** @p hex has room for 64 digits and the terminator. */
void host_key_hex(const uint8_t public_key[PUBLIC_KEY_SIZE], char hex[2 * PUBLIC_KEY_SIZE + 1]);
