// links: vestige_utmp
/* Any bytes as messages of the utmp source: no crash, and no answer but 0 and -EBADMSG. */
#include "fuzz_messages.h"

#include "collectors/utmp/utmp_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_messages(&utmp_source_ops, data, size);
}
