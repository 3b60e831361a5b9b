/* The newest header that can be read says where the chain stands; the checkpoint's header stands
 * in when batches were taken away by hand. Open batches follow, normally one or none; one that the
 * disk does not take now is left to the journal's thread. */
#include "recorder/journal/journal_start.h"

#include "core/log.h"
#include "recorder/journal/batch_reader.h"
#include "recorder/journal/sealed_batch.h"

#include <stdio.h>

struct start {
    struct journal_directory *directory;
    struct journal_shelf *shelf;
    struct batch_chain *chain;
    struct open_batch *batch;
    struct journal_recovery *recovery;
    struct error_text *error;
};

static int open_reader(const struct start *start, enum journal_file file, uint64_t batch,
                       struct batch_reader **readerp)
{
    char name[JOURNAL_NAME_SIZE], path[4096];
    struct error_text error = ERROR_TEXT_NULL;
    journal_file_name(name, file, batch);
    snprintf(path, sizeof(path), "%s/%s", journal_directory_path(start->directory), name);
    int result = batch_reader_open(readerp, path, &error);
    if (result && result != -ENOENT)
        log_warning("journal", "%s", error.text);
    return result;
}

static int check_host(const struct start *start, const struct batch_header *header)
{
    if (header->host_id == start->chain->host_id)
        return 0;
    return error_set(start->error, -EINVAL,
                     "journal %s: belongs to host %llu, this agent is host %llu; "
                     "ship it with that host's configuration or use another directory",
                     journal_directory_path(start->directory), (unsigned long long)header->host_id,
                     (unsigned long long)start->chain->host_id);
}

static void follow(struct start *start, const struct batch_header *header)
{
    struct batch_chain *chain = start->chain;
    chain->mark.births = header->births;
    chain->mark.time_us = header->last_us;
    memcpy(chain->mark.cursors, header->cursors, sizeof(header->cursors));
    chain->marked = header->cursors[0] != 0;
    if (header->last_us > start->recovery->last_time_us)
        start->recovery->last_time_us = header->last_us;
}

static int take_checkpoint(struct start *start)
{
    struct batch_reader *reader;
    int result = open_reader(start, JOURNAL_FILE_CHECKPOINT, 0, &reader);
    if (result)
        return 0;
    const struct batch_header *header = batch_reader_header(reader);
    result = check_host(start, header);
    if (!result && header->kind == BATCH_CHECKPOINT) {
        start->chain->last = header->batch;
        memcpy(start->chain->last_hash, header->previous_hash, BATCH_HASH_SIZE);
        follow(start, header);
        journal_shelf_covered(start->shelf, header->batch, 0, 0);
    }
    batch_reader_free(reader);
    return result;
}

static bool open_sealed(const struct start *start, uint64_t batch, struct batch_reader **readerp)
{
    struct error_text error = ERROR_TEXT_NULL;
    int result = sealed_batch_open(start->directory, batch, readerp, &error);
    if (result && result != -ENOENT)
        log_warning("journal", "%s", error.text);
    return result == 0;
}

static int take_newest(struct start *start)
{
    struct journal_shelf_status status;
    journal_shelf_get_status(start->shelf, &status);
    uint64_t first = journal_shelf_first(start->shelf), batch = status.last;
    struct batch_reader *reader = NULL;
    while (batch && batch >= first && batch >= start->chain->last &&
           !open_sealed(start, batch, &reader))
        batch--;
    int result = 0;
    if (reader) {
        const struct batch_header *header = batch_reader_header(reader);
        result = check_host(start, header);
        memcpy(start->chain->last_hash, header->hash, BATCH_HASH_SIZE);
        follow(start, header);
        batch_reader_free(reader);
    }
    if (status.last > start->chain->last)
        start->chain->last = status.last;
    return result;
}

struct search {
    uint64_t above, found;
};

static int find_open(void *user, const char *name, enum journal_file file, uint64_t batch,
                     uint64_t bytes)
{
    struct search *search = user;
    (void)name;
    (void)bytes;
    if (file == JOURNAL_FILE_OPEN && batch > search->above && batch < search->found)
        search->found = batch;
    return 0;
}

static int remove_open(const struct start *start, uint64_t batch)
{
    char name[JOURNAL_NAME_SIZE];
    uint64_t bytes;
    journal_file_name(name, JOURNAL_FILE_OPEN, batch);
    int result = journal_directory_remove(start->directory, name, &bytes);
    return result ? error_set(start->error, result, "journal %s: cannot remove %s: %s",
                              journal_directory_path(start->directory), name, strerror(-result))
                  : 0;
}

/* An open batch that is not text to its end is kept for a person to look at. */
static int set_aside(const struct start *start, uint64_t batch)
{
    char from[JOURNAL_NAME_SIZE], to[JOURNAL_NAME_SIZE];
    journal_file_name(from, JOURNAL_FILE_OPEN, batch);
    journal_file_name(to, JOURNAL_FILE_DAMAGED, batch);
    int result = journal_directory_rename(start->directory, from, to);
    return result ? error_set(start->error, result, "journal %s: cannot rename %s: %s",
                              journal_directory_path(start->directory), from, strerror(-result))
                  : 0;
}

static int seal(struct start *start, struct batch_writer *writer, struct batch_header *header)
{
    char name[JOURNAL_NAME_SIZE];
    struct slice pieces[2];
    uint64_t bytes;
    header->kind = BATCH_SEALED;
    header->recovered = true;
    int result = batch_writer_finish(writer, header, start->chain->key, pieces);
    journal_file_name(name, JOURNAL_FILE_SEALED, header->batch);
    if (!result)
        result = journal_directory_save(start->directory, name, pieces, &bytes);
    if (result)
        return error_set(start->error, result, "journal %s: cannot seal the batch of a crash: %s",
                         journal_directory_path(start->directory), strerror(-result));
    start->chain->last = header->batch;
    memcpy(start->chain->last_hash, header->hash, BATCH_HASH_SIZE);
    journal_shelf_sealed(start->shelf, header->batch, bytes);
    return 0;
}

/* A disk that is full, or fails, and may have room again or work again. */
static bool may_pass(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EIO;
}

/* Seal the lines of an open batch, up to the first that is damaged. */
static int recover_lines(struct start *start, struct batch_reader *reader,
                         struct batch_writer **writerp)
{
    struct error_text text = ERROR_TEXT_NULL;
    struct batch_writer *writer = *writerp;
    int damage = batch_writer_add_all(writer, reader, &text);
    if (damage && damage != -EBADMSG)
        return error_set(start->error, damage, "%s", text.text);
    if (damage)
        log_error("journal", "%s; the lines before it are kept", text.text);
    struct batch_header header = *batch_reader_header(reader);
    uint64_t batch = header.batch;
    if (!batch_reader_marked(reader)) {
        header.births += start->chain->mark.births;
        memcpy(header.cursors, start->chain->mark.cursors, sizeof(header.cursors));
    }
    follow(start, &header);
    start->recovery->crashed |= !batch_reader_closed(reader);
    if (batch_writer_lines(writer) == 0)
        return damage ? set_aside(start, batch) : 0;
    int result = seal(start, writer, &header);
    if (may_pass(result))
        return open_batch_resume(start->batch, writerp, &header, damage != 0) == 0 ? 0 : result;
    if (result)
        return result;
    return damage ? set_aside(start, batch) : remove_open(start, batch);
}

static int recover_file(struct start *start, uint64_t batch)
{
    struct batch_reader *reader;
    struct batch_writer *writer;
    int result = open_reader(start, JOURNAL_FILE_OPEN, batch, &reader);
    if (result) {
        start->recovery->crashed = true;
        return set_aside(start, batch);
    }
    const struct batch_header *header = batch_reader_header(reader);
    result = check_host(start, header);
    if (!result && (header->kind != BATCH_OPEN || header->batch != batch)) {
        log_error("journal", "%012llu.open is not the open batch of that number",
                  (unsigned long long)batch);
        batch_reader_free(reader);
        start->recovery->crashed = true;
        return set_aside(start, batch);
    }
    if (!result && batch_writer_new(&writer) != 0)
        result = error_set(start->error, -ENOMEM, "journal: out of memory");
    if (!result) {
        result = recover_lines(start, reader, &writer);
        batch_writer_free(writer);
    }
    batch_reader_free(reader);
    return result;
}

/* In order. One that is resumed has to be sealed before another. */
static int recover(struct start *start)
{
    for (uint64_t former = 0;;) {
        struct search search = {.above = former, .found = UINT64_MAX};
        int result = journal_directory_walk(start->directory, find_open, &search);
        if (result || search.found == UINT64_MAX)
            return result;
        if (open_batch_resumed(start->batch))
            return error_set(start->error, -ENOSPC,
                             "journal %s: two batches of crashes cannot be sealed: make room",
                             journal_directory_path(start->directory));
        if (search.found <= start->chain->last) {
            start->recovery->crashed = true;
            result = remove_open(start, search.found);
        } else {
            result = recover_file(start, search.found);
        }
        if (result)
            return result;
        former = search.found;
    }
}

int journal_start(struct journal_directory *directory, struct journal_shelf *shelf,
                  struct batch_chain *chain, struct open_batch *batch,
                  struct journal_recovery *recovery, struct error_text *error)
{
    struct start start = {directory, shelf, chain, batch, recovery, error};
    int result = take_checkpoint(&start);
    if (!result)
        result = take_newest(&start);
    if (!result)
        result = recover(&start);
    memcpy(recovery->cursors, chain->mark.cursors, sizeof(recovery->cursors));
    recovery->births_after_mark = chain->mark.births;
    return result;
}
