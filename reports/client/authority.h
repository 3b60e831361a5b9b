#pragma once
/*
 * The private authority of a fleet: DIR/ca.pem, ca.key and ca.crl, as deploy/fleet/make-ca makes
 * them. It signs the certificates of agents, which are good for clients only, and takes them back.
 */
#include "core/buffer.h"

struct authority;

enum { AUTHORITY_NAME_SIZE = 256, AUTHORITY_SERIAL_SIZE = 41 };

struct certificate {
    char subject[AUTHORITY_NAME_SIZE], issuer[AUTHORITY_NAME_SIZE]; /* as REQUIRE has them */
    char serial[AUTHORITY_SERIAL_SIZE];                             /* hexadecimal */
    int64_t until;                                                  /* seconds since 1970 */
    struct buffer pem;
};

/** -ENOENT: there is none. -EBADMSG: key and certificate do not fit, or are of no use. */
int authority_open(struct authority **authorityp, const char *directory,
                   struct error_text *error) MUST_CHECK;
struct authority *authority_free(struct authority *authority);
/** The authority's own certificate, PEM. */
struct slice authority_pem(const struct authority *authority);
/** Where the revocation list is. */
const char *authority_revocation_list(const struct authority *authority);

/** A certificate for the key in @p request (PKCS #10, PEM), whose signature is checked. The subject
 *  is @p account and the serial number, so it differs from that of any other certificate. */
int authority_sign(struct authority *authority, struct slice request, const char *account,
                   unsigned days, struct certificate *certificate,
                   struct error_text *error) MUST_CHECK;
void certificate_deinit(struct certificate *certificate);
/** Put a certificate on the revocation list; it may be there already. */
int authority_revoke(struct authority *authority, const char *serial,
                     struct error_text *error) MUST_CHECK;

static inline void cleanup_authority(struct authority **authority)
{
    authority_free(*authority);
}
#define AUTO_AUTHORITY CLEANUP(cleanup_authority)
