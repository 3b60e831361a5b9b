#pragma once
/* The key of the digests of passwords, made once and kept in the state directory, so that a change
 * while nobody looked is noticed. */
#include "collectors/accounts/account_passwords.h"

/** Reads the key, or makes one and keeps it. When it cannot be kept (@p directory NULL: nowhere to)
 *  it is one for this run: 0 is returned all the same, and *@p kept is false. */
int account_key_get(struct account_key *key, const char *directory, bool *kept) MUST_CHECK;
