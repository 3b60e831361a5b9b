/* A later mark replaces an earlier one of the same chunk: it covers more, and all of a chunk is
 * written in one go. So marks take the same memory however many there are. */
#include "recorder/journal/journal_chunk.h"

#define KEEP_BYTES (1024 * 1024)

void journal_chunk_deinit(struct journal_chunk *chunk)
{
    buffer_deinit(&chunk->text);
    buffer_deinit(&chunk->entries);
}

void journal_chunk_clear(struct journal_chunk *chunk)
{
    if (chunk->text.capacity > KEEP_BYTES)
        buffer_deinit(&chunk->text);
    if (chunk->entries.capacity > KEEP_BYTES)
        buffer_deinit(&chunk->entries);
    buffer_clear(&chunk->text);
    buffer_clear(&chunk->entries);
    chunk->has_mark = false;
}

static int add_entry(struct journal_chunk *chunk, const struct journal_entry *entry)
{
    buffer_append(&chunk->entries, entry, sizeof(*entry));
    if (!chunk->entries.failed)
        return 0;
    chunk->entries.failed = false;
    return -ENOMEM;
}

int journal_chunk_add(struct journal_chunk *chunk, const struct line *line)
{
    const struct journal_entry entry = {
        .id = line->id,
        .length = (uint32_t)line->text.length,
        .verb = (uint8_t)line->verb,
        .table = (uint8_t)line->table,
    };
    if (!buffer_reserve(&chunk->text, line->text.length)) {
        chunk->text.failed = false;
        return -ENOMEM;
    }
    int error = add_entry(chunk, &entry);
    if (!error)
        buffer_append_slice(&chunk->text, buffer_slice(&line->text));
    return error;
}

int journal_chunk_end_batch(struct journal_chunk *chunk)
{
    const struct journal_entry entry = {.length = 0};
    return add_entry(chunk, &entry);
}

void journal_chunk_set_mark(struct journal_chunk *chunk, struct slice cursors, uint64_t time_us)
{
    chunk->has_mark = true;
    chunk->mark_entry = journal_chunk_entries(chunk);
    chunk->mark.time_us = time_us;
    chunk->mark.births = 0;
    memcpy(chunk->mark.cursors, cursors.data, cursors.length);
    chunk->mark.cursors[cursors.length] = 0;
}

size_t journal_chunk_entries(const struct journal_chunk *chunk)
{
    return chunk->entries.length / sizeof(struct journal_entry);
}

const struct journal_entry *journal_chunk_entry(const struct journal_chunk *chunk, size_t index)
{
    return (const struct journal_entry *)(const void *)chunk->entries.data + index;
}

size_t journal_chunk_bytes(const struct journal_chunk *chunk)
{
    return chunk->text.length + chunk->entries.length;
}

bool journal_chunk_is_empty(const struct journal_chunk *chunk)
{
    return chunk->entries.length == 0 && !chunk->has_mark;
}
