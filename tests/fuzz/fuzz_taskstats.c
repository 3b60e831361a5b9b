// links: vestige_taskstats
/* Any bytes as messages of taskstats: no crash, and no answer but 0 and -EBADMSG. */
#include "fuzz_messages.h"

#include "collectors/taskstats/taskstats_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_messages(&taskstats_source, data, size);
}
