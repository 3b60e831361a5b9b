/* The shipper may rename the file at any moment, so the second name is tried after the first. */
#include "recorder/journal/sealed_batch.h"

#include <stdio.h>

static int open_file(struct journal_directory *directory, enum journal_file file, uint64_t batch,
                     struct batch_reader **readerp, struct error_text *error)
{
    char name[JOURNAL_NAME_SIZE], path[4096];
    struct batch_reader *reader;
    journal_file_name(name, file, batch);
    snprintf(path, sizeof(path), "%s/%s", journal_directory_path(directory), name);
    int result = batch_reader_open(&reader, path, error);
    if (result)
        return result;
    const struct batch_header *header = batch_reader_header(reader);
    if (header->kind != BATCH_SEALED || header->batch != batch) {
        batch_reader_free(reader);
        return error_set(error, -EBADMSG, "%s: not the sealed batch of that number", path);
    }
    *readerp = reader;
    return 0;
}

int sealed_batch_open(struct journal_directory *directory, uint64_t batch,
                      struct batch_reader **readerp, struct error_text *error)
{
    int result = open_file(directory, JOURNAL_FILE_SEALED, batch, readerp, error);
    if (result == -ENOENT)
        result = open_file(directory, JOURNAL_FILE_SHIPPED, batch, readerp, error);
    return result;
}
