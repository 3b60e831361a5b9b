// links: vestige_recording
/* Any bytes as a recording: gulps or a clear error. What is read must be whole messages. */
#include "recorder/reader/recording.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum;

static void read_messages(const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    while (gulp_next(gulp, &offset, &message))
        for (size_t i = 0; i < message.bytes.length; i++)
            sum += message.bytes.data[i];
    if (offset != gulp->used)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    const struct gulp *gulp;
    int r = recording_reader_open_memory(&reader, slice_of(data, size), &error);
    if (r == 0) {
        while ((r = recording_reader_next(reader, &gulp, &error)) == RECORDING_GULP)
            read_messages(gulp);
        recording_reader_free(reader);
    }
    if (r < 0 && !error.text[0])
        abort();
    return 0;
}
