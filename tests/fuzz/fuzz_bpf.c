// links: vestige_bpf
/* Any bytes as messages of the BPF source: no crash, and no answer but 0 and -EBADMSG. */
#include "fuzz_messages.h"

#include "collectors/bpf/bpf_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_messages(&bpf_source, data, size);
}
