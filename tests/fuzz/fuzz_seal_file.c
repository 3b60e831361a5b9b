// links: vestige_seal_file
/* Any bytes as a seal: bounded, no crash, and what was read is printed and read as the same. */
#include "reports/verify/seal_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seal seal, again;
    struct error_text error;
    struct buffer text = BUFFER_NULL, second = BUFFER_NULL;
    if (seal_parse(&seal, "seal", slice_of(data, size), &error) != 0)
        return 0;
    seal_print(&text, &seal);
    if (text.failed || seal_parse(&again, "seal", buffer_slice(&text), &error) != 0)
        abort();
    seal_print(&second, &again);
    if (!slice_equal(buffer_slice(&text), buffer_slice(&second)))
        abort();
    buffer_deinit(&text);
    buffer_deinit(&second);
    seal_deinit(&seal);
    seal_deinit(&again);
    return 0;
}
