// links: vestige_sock_diag
/* Any bytes as messages of sock_diag: no crash, and no answer but 0 and -EBADMSG. */
#include "fuzz_messages.h"

#include "collectors/sock_diag/sock_diag_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_messages(&sock_diag_source_ops, data, size);
}
