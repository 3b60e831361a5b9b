/* Open rows are what the inserts say minus what the ends say, so the order is that of recording.
 * Damage in one file costs its lines, not the restart. */
#include "recorder/journal/journal_restore.h"

#include "core/log.h"
#include "recorder/journal/sealed_batch.h"

#include <stdio.h>

static int give(struct batch_reader *reader, journal_line_handler handler, void *user,
                struct error_text *error)
{
    struct batch_line line;
    int result;
    while ((result = batch_reader_next(reader, &line, error)) == BATCH_READER_LINE)
        handler(user, line.verb, line.table, line.id, line.values, line.n_values);
    return result == BATCH_READER_END ? 0 : result;
}

/* Read one file to its end. -ENOENT and damage are no reason to stop. */
static int give_file(struct batch_reader *reader, int result, journal_line_handler handler,
                     void *user, struct error_text *error)
{
    if (!result) {
        result = give(reader, handler, user, error);
        batch_reader_free(reader);
    }
    if (result == -ENOMEM)
        return result;
    if (result && result != -ENOENT)
        log_error("journal", "%s; rows of it may stay open", error->text);
    return 0;
}

/* The name changes when it is sealed, and the open file stays readable. */
static int open_resumed(struct journal_directory *directory, uint64_t batch,
                        struct batch_reader **readerp, struct error_text *error)
{
    char name[JOURNAL_NAME_SIZE], path[4096];
    journal_file_name(name, JOURNAL_FILE_OPEN, batch);
    snprintf(path, sizeof(path), "%s/%s", journal_directory_path(directory), name);
    int result = batch_reader_open(readerp, path, error);
    return result == -ENOENT ? sealed_batch_open(directory, batch, readerp, error) : result;
}

int journal_restore_lines(struct journal_directory *directory, struct journal_shelf *shelf,
                          uint64_t resumed, journal_line_handler handler, void *user,
                          struct error_text *error)
{
    struct journal_shelf_status status;
    struct error_text text;
    struct batch_reader *reader;
    char path[4096];
    if (!error)
        error = &text;
    journal_shelf_get_status(shelf, &status);
    snprintf(path, sizeof(path), "%s/%s", journal_directory_path(directory), JOURNAL_CHECKPOINT);
    int result = batch_reader_open(&reader, path, error);
    result = give_file(reader, result, handler, user, error);
    uint64_t first = journal_shelf_first(shelf);
    if (first <= status.covered)
        first = status.covered + 1;
    for (uint64_t batch = first; !result && batch && batch <= status.last; batch++) {
        result = sealed_batch_open(directory, batch, &reader, error);
        result = give_file(reader, result, handler, user, error);
    }
    if (!result && resumed > status.last) {
        result = open_resumed(directory, resumed, &reader, error);
        result = give_file(reader, result, handler, user, error);
    }
    return result;
}
