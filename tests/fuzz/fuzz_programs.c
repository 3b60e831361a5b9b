// links: vestige_programs
/* A message of the source of programs, or a note of it. */
#include "fuzz_messages.h"

#include "collectors/programs/programs_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is what would have been written. */
static void take_answer(void *user, const struct fact *fact)
{
    const struct slice *message = user;
    uint8_t bytes[PROGRAMS_MESSAGE_MOST];
    size_t length = programs_message_write(bytes, &fact->program);
    if (fact->kind != FACT_PROGRAM || !slice_equal(*message, slice_of(bytes, length)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    struct slice bytes = slice_of(copy, size);
    struct message message = {.source = SOURCE_PROGRAMS, .kind = MESSAGE_DATA, .bytes = bytes};
    uint64_t n_facts = 0;
    int answer = programs_decode(NULL, &message, take_answer, &bytes);
    message.kind = MESSAGE_NOTE;
    int note = programs_decode(NULL, &message, fuzz_read_fact, &n_facts);
    free(copy);
    if ((answer != 0 && answer != -EBADMSG) || (note != 0 && note != -EBADMSG))
        abort();
    return 0;
}
