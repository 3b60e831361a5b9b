/* A row and its paths are one piece of memory: most live for a second only. */
#include "recorder/files/file_row.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const operations[] = {"read",   "write",  "execute",   "create",
                                         "delete", "rename", "attributes"};
enum { N_OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

void file_queue_init(struct file_queue *queue)
{
    TAILQ_INIT(&queue->rows);
    queue->n = 0;
}

void file_queue_remove(struct file_row *row)
{
    if (!row->queue)
        return;
    TAILQ_REMOVE(&row->queue->rows, row, in_queue);
    row->queue->n--;
    row->queue = NULL;
}

void file_queue_put(struct file_queue *queue, struct file_row *row, uint64_t deadline_ns)
{
    file_queue_remove(row);
    row->queue = queue;
    row->deadline_ns = deadline_ns;
    TAILQ_INSERT_TAIL(&queue->rows, row, in_queue);
    queue->n++;
}

static struct slice keep(struct file_row *row, size_t at, struct slice text)
{
    if (slice_is_null(text))
        return SLICE_NULL;
    if (text.length)
        memcpy(row->bytes + at, text.data, text.length);
    return slice_of(row->bytes + at, text.length);
}

struct file_row *file_row_new(struct slice path, struct slice new_path)
{
    size_t n_bytes = sizeof(struct file_row) + path.length + new_path.length;
    struct file_row *row = calloc(1, n_bytes);
    if (!row)
        return NULL;
    row->n_bytes = n_bytes;
    row->key.path = keep(row, 0, path);
    row->new_path = keep(row, path.length, new_path);
    row->uid = row->login_uid = ID_UNSET;
    row->status.size = UINT64_MAX;
    return row;
}

void file_operations_append(struct line *line, unsigned set)
{
    char text[64] = "";
    size_t length = 0;
    for (size_t bit = 0; bit < N_OPERATIONS; bit++)
        if (set & 1U << bit)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                       length ? "," : "", operations[bit]);
    line_word(line, *text ? text : NULL);
}

unsigned file_operations_parse(struct slice value)
{
    unsigned set = 0;
    for (size_t at = 0, end; at < value.length; at = end + 1) {
        const uint8_t *comma = memchr(value.data + at, ',', value.length - at);
        end = comma ? (size_t)(comma - value.data) : value.length;
        for (size_t bit = 0; bit < N_OPERATIONS; bit++)
            if (slice_is(slice_of(value.data + at, end - at), operations[bit]))
                set |= 1U << bit;
    }
    return set;
}
