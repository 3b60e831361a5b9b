// links: vestige_connector
/* Any bytes as messages of the process connector: no crash, and no answer but 0 and -EBADMSG. */
#include "fuzz_messages.h"

#include "collectors/connector/connector_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_messages(&connector_source, data, size);
}
