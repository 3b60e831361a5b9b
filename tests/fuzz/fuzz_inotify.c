// links: vestige_inotify
/* The first byte chooses: even, a message of the source; odd, records of inotify(7). */
#include "fuzz_messages.h"

#include "collectors/inotify/inotify_event.h"
#include "collectors/inotify/inotify_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is what would have been written. */
static void take_fact(void *user, const struct fact *fact)
{
    const struct slice *message = user;
    struct buffer bytes = BUFFER_NULL;
    if (fact->kind == FACT_FILE)
        inotify_message_append_file(&bytes, &fact->file);
    else if (fact->kind == FACT_FILE_OPEN)
        inotify_message_append_open(&bytes, &fact->file_open);
    else if (fact->kind == FACT_FILE_REFUSED)
        inotify_message_append_refused(&bytes, fact->file_refused.pid);
    else
        inotify_message_append_scan(&bytes, &fact->file_scan);
    if (!bytes.failed && !slice_equal(*message, buffer_slice(&bytes)))
        abort();
    buffer_deinit(&bytes);
}

static void run_message(struct slice bytes)
{
    struct message message = {.source = SOURCE_INOTIFY, .kind = MESSAGE_DATA, .bytes = bytes};
    uint64_t n_facts = 0;
    int data = inotify_decode(NULL, &message, take_fact, &bytes);
    message.kind = MESSAGE_NOTE;
    int note = inotify_decode(NULL, &message, fuzz_read_fact, &n_facts);
    if ((data != 0 && data != -EBADMSG) || (note != 0 && note != -EBADMSG))
        abort();
}

static void run_records(struct slice bytes)
{
    struct inotify_record record;
    size_t length = bytes.length, taken = 0;
    int r;
    while ((r = inotify_record_next(&bytes, &record)) == INOTIFY_RECORD) {
        taken += record.length;
        fuzz_read(record.name);
        if (taken + bytes.length != length || record.name.length > record.length)
            abort();
    }
    if (r != INOTIFY_RECORDS_END && r != -EBADMSG)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        run_message(bytes);
    else
        run_records(bytes);
    return 0;
}
