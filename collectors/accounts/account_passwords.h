#pragma once
/*
 * What may be told of passwords: whether there is one, and a digest that says no more than whether
 * it is another one than before. The digest is HMAC-SHA-256 over the name and what stands in the
 * field, without the ! that locks it, with a key that never leaves this host.
 */
#include "collectors/accounts/account_lines.h"
#include "core/error.h"
#include "core/fact.h"

enum { ACCOUNT_KEY_BYTES = 32 };

struct account_key {
    uint8_t bytes[ACCOUNT_KEY_BYTES];
};

struct account_passwords;

/** The lines of shadow or gshadow. @p text and @p key must outlive it; SLICE_NULL: the file cannot
 *  be read, and what refers to it is unknown. Of two lines with one name the first counts. */
int account_passwords_new(struct account_passwords **passwordsp, struct slice text,
                          const struct account_key *key) MUST_CHECK;
struct account_passwords *account_passwords_free(struct account_passwords *passwords);
/** Of an account (or group) with this password field of passwd (or group); SLICE_NULL: it has none.
 */
struct account_password account_passwords_find(const struct account_passwords *passwords,
                                               struct slice name, struct slice field);
/** There may be more lines than those: who has none is unknown. */
void account_passwords_are_cut(struct account_passwords *passwords);
uint64_t account_passwords_malformed(const struct account_passwords *passwords);
