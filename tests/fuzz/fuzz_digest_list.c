// links: vestige_verify
/* The digest list of a seal, as a server gives it: refused, or its entries lie within it. */
#include "recorder/journal/batch_digest.h"
#include "reports/verify/digest_list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest_list list;
    struct digest_entry entry;
    size_t n = 0;
    digest_list_begin(&list, slice_of(data, size));
    while (digest_list_next(&list, &entry) == DIGEST_LIST_ENTRY) {
        if (entry.digest < data || entry.digest + BATCH_DIGEST_SIZE > data + size)
            abort();
        if (++n > size / BATCH_DIGEST_SIZE)
            abort();
    }
    return 0;
}
