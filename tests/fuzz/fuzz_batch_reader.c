// links: vestige_journal
/* Any bytes as a batch, plain or compressed: bounded, no crash, and a second reading gives the same
 * lines as the first. */
#include "recorder/journal/batch_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t read_all(struct batch_reader *reader)
{
    struct batch_line line;
    struct error_text error;
    uint64_t sum = 0;
    while (batch_reader_next(reader, &line, &error) == BATCH_READER_LINE) {
        sum = sum * 31 + line.digest[0] + line.n_values + line.id;
        for (size_t i = 0; i < line.n_values; i++)
            for (size_t at = 0; at < line.values[i].length; at++)
                sum += line.values[i].data[at];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_reader *reader;
    struct error_text error;
    if (batch_reader_open_memory(&reader, slice_of(data, size), &error) != 0)
        return 0;
    uint64_t first = read_all(reader);
    struct buffer digests = BUFFER_NULL;
    if (batch_reader_check(reader, &digests, &error) == 0 &&
        digests.length < BATCH_DIGEST_SIZE * (size_t)batch_reader_header(reader)->n_lines)
        abort();
    buffer_deinit(&digests);
    if (read_all(reader) != first)
        abort();
    batch_reader_free(reader);
    return 0;
}
