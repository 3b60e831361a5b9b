/* A checkpoint is a batch that is not shipped: same format, same hash of the batch before. */
#include "recorder/journal/checkpoint.h"

#include "core/log.h"
#include "recorder/journal/sealed_batch.h"

#include <string.h>

void checkpoint_begin(struct checkpoint *checkpoint)
{
    checkpoint_deinit(checkpoint);
    checkpoint->active = true;
    if (batch_writer_new(&checkpoint->writer) != 0)
        log_warning("journal", "out of memory, no checkpoint is written");
}

int checkpoint_add(struct checkpoint *checkpoint, const struct line *line)
{
    if (!checkpoint->writer)
        return -ENOMEM;
    int error = batch_writer_add(checkpoint->writer, line->verb, line->table, line->id,
                                 buffer_slice(&line->text));
    if (error)
        checkpoint->writer = batch_writer_free(checkpoint->writer);
    return error;
}

/* The header says what that of the last covered batch says, so that the chain can go on from it. */
static void checkpoint_header(const struct checkpoint *checkpoint,
                              struct journal_directory *directory, const struct batch_chain *chain,
                              struct batch_header *header)
{
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    if (checkpoint->covers == 0) {
        *header = (struct batch_header){0};
    } else if (sealed_batch_open(directory, checkpoint->covers, &reader, &error) == 0) {
        *header = *batch_reader_header(reader);
        batch_reader_free(reader);
    } else {
        log_warning("journal", "%s", error.text);
        *header = (struct batch_header){0};
    }
    memcpy(header->previous_hash, header->hash, BATCH_HASH_SIZE);
    header->kind = BATCH_CHECKPOINT;
    header->format = BATCH_FORMAT;
    header->host_id = chain->host_id;
    header->batch = checkpoint->covers;
    header->recovered = false;
    header->first_us = header->last_us = checkpoint->time_us;
    memcpy(header->boot_id, chain->boot_id, sizeof(header->boot_id));
}

int checkpoint_write(const struct checkpoint *checkpoint, struct journal_directory *directory,
                     struct journal_shelf *shelf, const struct batch_chain *chain)
{
    struct batch_header header;
    struct slice pieces[2];
    uint64_t bytes, former = journal_directory_bytes(directory, JOURNAL_CHECKPOINT);
    checkpoint_header(checkpoint, directory, chain, &header);
    int error = batch_writer_finish(checkpoint->writer, &header, NULL, pieces);
    if (!error)
        error = journal_directory_save(directory, JOURNAL_CHECKPOINT, pieces, &bytes);
    if (!error)
        journal_shelf_covered(shelf, checkpoint->covers, bytes, former);
    return error;
}

void checkpoint_deinit(struct checkpoint *checkpoint)
{
    batch_writer_free(checkpoint->writer);
    *checkpoint = (struct checkpoint){0};
}
