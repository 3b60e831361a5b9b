// links: vestige_credential
/* A certificate from a server or a bundle: it is none, or it has an end. */
#include "recorder/keys/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t until;
    return credential_certificate_until(slice_of(data, size), &until) == 0 && until == INT64_MIN;
}
