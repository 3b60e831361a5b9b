/* Bytes are written at a known offset, so a write that failed half way is cut off and, if even that
 * fails, written over by its repetition. A new file gets its name when its header is in it. */
#include "recorder/journal/open_batch.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <sys/uio.h>

#define MARKS_LIMIT (64 * 1024) /* a file of marks alone begins anew beyond this */

struct open_batch {
    struct journal_directory *directory;
    struct batch_chain *chain;
    struct batch_writer *writer;
    bool writer_failed;         /* lines are missing in it: the file has them */
    bool resumed, damaged;      /* of a crash, and to be sealed as it is */
    struct batch_header header; /* of the batch that is open */
    int fd;                     /* -1: no file yet */
    uint64_t size;
};

struct open_batch *open_batch_free(struct open_batch *batch)
{
    if (batch) {
        if (batch->fd >= 0)
            close(batch->fd);
        batch_writer_free(batch->writer);
        free(batch);
    }
    return NULL;
}

int open_batch_new(struct open_batch **batchp, struct journal_directory *directory,
                   struct batch_chain *chain)
{
    struct open_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return -ENOMEM;
    batch->fd = -1;
    batch->directory = directory;
    batch->chain = chain;
    int error = batch_writer_new(&batch->writer);
    if (error) {
        open_batch_free(batch);
        return error;
    }
    *batchp = batch;
    return 0;
}

size_t open_batch_lines(const struct open_batch *batch)
{
    return batch->fd < 0 ? 0 : batch->header.n_lines;
}

uint64_t open_batch_bytes(const struct open_batch *batch)
{
    return batch->fd < 0 ? 0 : batch->size;
}

int open_batch_resume(struct open_batch *batch, struct batch_writer **writerp,
                      const struct batch_header *header, bool damaged)
{
    char name[JOURNAL_NAME_SIZE];
    journal_file_name(name, JOURNAL_FILE_OPEN, header->batch);
    int fd =
        openat(journal_directory_fd(batch->directory), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    batch->fd = fd;
    batch->size = journal_directory_bytes(batch->directory, name);
    batch->header = *header;
    batch_writer_free(batch->writer);
    batch->writer = *writerp;
    *writerp = NULL;
    batch->resumed = true;
    batch->damaged = damaged;
    return 0;
}

uint64_t open_batch_resumed(const struct open_batch *batch)
{
    return batch->resumed ? batch->header.batch : 0;
}

/* Write all pieces at the end of the file, or nothing. */
static int append(int fd, uint64_t *size, struct iovec *pieces, int n)
{
    uint64_t at = *size;
    while (n > 0) {
        if (pieces->iov_len == 0) {
            pieces++;
            n--;
            continue;
        }
        ssize_t written = pwritev(fd, pieces, n, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            int error = written < 0 ? -errno : -ENOSPC;
            if (ftruncate(fd, (off_t)*size) != 0)
                return error; /* the repetition writes over it */
            return error;
        }
        at += (uint64_t)written;
        for (size_t left = (size_t)written; left > 0;) {
            size_t part = left < pieces->iov_len ? left : pieces->iov_len;
            pieces->iov_base = (uint8_t *)pieces->iov_base + part;
            pieces->iov_len -= part;
            left -= part;
            if (pieces->iov_len == 0) {
                pieces++;
                n--;
            }
        }
    }
    *size = at;
    return 0;
}

static struct iovec piece(const void *data, size_t length)
{
    union {
        const void *from;
        void *to;
    } pointer = {data};
    return (struct iovec){pointer.to, length};
}

static void begin_header(struct open_batch *batch, uint64_t first_us)
{
    struct batch_header *header = &batch->header;
    *header = (struct batch_header){
        .kind = BATCH_OPEN,
        .format = BATCH_FORMAT,
        .host_id = batch->chain->host_id,
        .batch = batch->chain->last + 1,
        .first_us = first_us,
        .last_us = first_us,
    };
    memcpy(header->boot_id, batch->chain->boot_id, sizeof(header->boot_id));
    memcpy(header->previous_hash, batch->chain->last_hash, BATCH_HASH_SIZE);
}

/* A file with a header and the mark that is known, in place of one with the same name. */
static int create(struct open_batch *batch, uint64_t first_us)
{
    char name[JOURNAL_NAME_SIZE], temporary[JOURNAL_NAME_SIZE + 4];
    struct buffer text = BUFFER_NULL;
    uint64_t size = 0;
    begin_header(batch, first_us);
    batch_header_print(&text, &batch->header);
    if (batch->chain->marked)
        batch_mark_print(&text, &batch->chain->mark);
    journal_file_name(name, JOURNAL_FILE_OPEN, batch->header.batch);
    snprintf(temporary, sizeof(temporary), "%s.tmp", name);
    int directory = journal_directory_fd(batch->directory);
    /* a pipe in its place is not waited for, and is away at the next attempt */
    int fd = openat(directory, temporary,
                    O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = text.failed ? -ENOMEM : fd < 0 ? -errno : 0;
    struct iovec all = piece(text.data, text.length);
    if (!error)
        error = append(fd, &size, &all, 1);
    if (!error)
        error = journal_directory_rename(batch->directory, temporary, name);
    buffer_deinit(&text);
    if (error) {
        if (fd >= 0)
            close(fd);
        unlinkat(directory, temporary, 0);
        return error;
    }
    if (batch->fd >= 0)
        close(batch->fd);
    batch->fd = fd;
    batch->size = size;
    return 0;
}

static void follow_line(struct open_batch *batch, const struct journal_entry *entry,
                        struct slice line)
{
    struct batch_header *header = &batch->header;
    enum verb verb = (enum verb)entry->verb;
    enum table_id table = (enum table_id)entry->table;
    header->n_lines++;
    batch->chain->mark.births += batch_line_births(verb, table, line);
    if (verb != VERB_INSERT)
        return;
    if (entry->id < header->first_us)
        header->first_us = entry->id;
    if (entry->id > header->last_us)
        header->last_us = entry->id;
}

static void follow_mark(struct open_batch *batch, const struct batch_mark *mark)
{
    batch->chain->mark = *mark;
    batch->chain->marked = true;
    if (mark->time_us > batch->header.last_us)
        batch->header.last_us = mark->time_us;
}

/* What is in the file now goes into the sealed form, too. When memory is short that is made from
 * the file, at the end. */
static void follow(struct open_batch *batch, const struct journal_chunk *chunk, size_t from,
                   size_t to, const uint8_t *text)
{
    for (size_t i = from; i <= to; i++) {
        if (chunk->has_mark && chunk->mark_entry == i)
            follow_mark(batch, &chunk->mark);
        if (i == to)
            break;
        const struct journal_entry *entry = journal_chunk_entry(chunk, i);
        struct slice line = slice_of(text, entry->length);
        follow_line(batch, entry, slice_of(text, entry->length - 1u));
        if (!batch->writer_failed &&
            batch_writer_add(batch->writer, (enum verb)entry->verb, (enum table_id)entry->table,
                             entry->id, line) != 0)
            batch->writer_failed = true;
        text += entry->length;
    }
}

static size_t text_between(const struct journal_chunk *chunk, size_t from, size_t to)
{
    size_t length = 0;
    for (size_t i = from; i < to; i++)
        length += journal_chunk_entry(chunk, i)->length;
    return length;
}

int open_batch_write(struct open_batch *batch, const struct journal_chunk *chunk, size_t from,
                     size_t to, size_t offset)
{
    bool marked = chunk->has_mark && chunk->mark_entry >= from && chunk->mark_entry <= to;
    if (from == to && !marked)
        return 0;
    uint64_t first_us = from < to ? chunk->first_us : chunk->mark.time_us;
    bool no_lines = open_batch_lines(batch) == 0;
    int error = 0;
    if (batch->fd < 0 || (no_lines && (from < to || batch->size > MARKS_LIMIT)))
        error = create(batch, first_us);
    if (error)
        return error;
    const uint8_t *text = chunk->text.data ? chunk->text.data + offset : NULL;
    size_t before = text_between(chunk, from, marked ? chunk->mark_entry : to);
    size_t after = marked ? text_between(chunk, chunk->mark_entry, to) : 0;
    struct buffer mark = BUFFER_NULL;
    if (marked)
        batch_mark_print(&mark, &chunk->mark);
    struct iovec pieces[] = {piece(text, before), piece(mark.data, mark.length),
                             piece(text ? text + before : NULL, after)};
    error = mark.failed ? -ENOMEM : append(batch->fd, &batch->size, pieces, 3);
    buffer_deinit(&mark);
    if (!error)
        follow(batch, chunk, from, to, text);
    return error;
}

static void file_path(const struct open_batch *batch, enum journal_file file, char path[4096])
{
    char name[JOURNAL_NAME_SIZE];
    journal_file_name(name, file, batch->header.batch);
    snprintf(path, 4096, "%s/%s", journal_directory_path(batch->directory), name);
}

static int read_again(struct open_batch *batch)
{
    char path[4096];
    struct batch_reader *reader;
    file_path(batch, JOURNAL_FILE_OPEN, path);
    int error = batch_reader_open(&reader, path, NULL);
    if (error)
        return error;
    batch_writer_clear(batch->writer);
    error = batch_writer_add_all(batch->writer, reader, NULL);
    batch_reader_free(reader);
    batch->writer_failed = error != 0;
    return error;
}

static void end_header(struct open_batch *batch)
{
    struct batch_header *header = &batch->header;
    header->kind = BATCH_SEALED;
    header->births = batch->chain->mark.births;
    memcpy(header->cursors, batch->chain->mark.cursors, sizeof(header->cursors));
}

/* What cannot be removed now, the next start removes: its number is sealed. */
static void drop_file(struct open_batch *batch)
{
    char name[JOURNAL_NAME_SIZE], aside[JOURNAL_NAME_SIZE];
    uint64_t ignored;
    journal_file_name(name, JOURNAL_FILE_OPEN, batch->header.batch);
    journal_file_name(aside, JOURNAL_FILE_DAMAGED, batch->header.batch);
    int error = batch->damaged ? journal_directory_rename(batch->directory, name, aside)
                               : journal_directory_remove(batch->directory, name, &ignored);
    if (error)
        log_warning("journal", "cannot remove %s: %s", name, strerror(-error));
}

int open_batch_seal(struct open_batch *batch, uint64_t *bytes)
{
    char name[JOURNAL_NAME_SIZE];
    struct slice pieces[2];
    int error = batch->writer_failed ? read_again(batch) : 0;
    if (error)
        return error;
    end_header(batch);
    error = batch_writer_finish(batch->writer, &batch->header, batch->chain->key, pieces);
    journal_file_name(name, JOURNAL_FILE_SEALED, batch->header.batch);
    if (!error)
        error = journal_directory_save(batch->directory, name, pieces, bytes);
    if (error)
        return error;
    batch->chain->last = batch->header.batch;
    memcpy(batch->chain->last_hash, batch->header.hash, BATCH_HASH_SIZE);
    batch_writer_clear(batch->writer);
    close(batch->fd);
    batch->fd = -1;
    drop_file(batch);
    batch->resumed = batch->damaged = false;
    return 0;
}

int open_batch_close(struct open_batch *batch, uint64_t time_us)
{
    if (batch->fd < 0 &&
        !journal_directory_has(batch->directory, JOURNAL_FILE_OPEN, batch->chain->last + 1))
        return 0;
    int error = batch->fd < 0 ? create(batch, time_us) : 0;
    if (error)
        return error;
    struct buffer text = BUFFER_NULL;
    buffer_append_text(&text, "close\t");
    buffer_append_u64(&text, time_us);
    buffer_append_byte(&text, '\n');
    struct iovec all = piece(text.data, text.length);
    error = text.failed ? -ENOMEM : append(batch->fd, &batch->size, &all, 1);
    buffer_deinit(&text);
    if (!error && fsync(batch->fd) != 0)
        error = -errno;
    return error ? error : journal_directory_sync(batch->directory);
}
