// links: vestige_tracker
/* The mark in a journal that somebody else wrote: what is read is written and read as the same. */
#include "recorder/tracker/cursors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer first CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer second CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct cursors cursors, again;
    buffer_append(&text, data, size);
    buffer_append_byte(&text, '\0');
    cursors_parse(&cursors, (const char *)text.data);
    cursors_append(&first, &cursors);
    buffer_append_byte(&first, '\0');
    cursors_parse(&again, (const char *)first.data);
    cursors_append(&second, &again);
    buffer_append_byte(&second, '\0');
    if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
        abort();
    return 0;
}
