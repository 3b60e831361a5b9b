/* Reference counts say who still needs a process: the table while it lives, its rows until they
 * are written. Nothing here knows a source or a table of the database. */
#include "recorder/processes/process.h"

#include <stdlib.h>

struct process *process_new(uint32_t pid, uint64_t fork_ns)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process)
        return NULL;
    process->owners = 1;
    process->pid = pid;
    process->fork_ns = fork_ns;
    process->image_ns = fork_ns;
    process->start_ticks = fork_ns / 10000000;
    process->n_threads = 1;
    process->now = (struct credentials){ID_UNSET, ID_UNSET, ID_UNSET, ID_UNSET};
    process->login_uid = process->session = process->sid = ID_UNSET;
    process->end.uid = ID_UNSET;
    return process;
}

struct process *process_ref(struct process *process)
{
    process->owners++;
    return process;
}

struct process *process_unref(struct process *process)
{
    if (process && --process->owners == 0) {
        shared_text_unref(process->container);
        shared_text_unref(process->restored_exe);
        image_unref(process->image);
        free(process);
    }
    return NULL;
}

struct process_row *process_add_row(struct process *process, uint64_t id, uint64_t created_ns)
{
    struct process_row *row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->id = process->current_id = id;
    if (!process->birth_id)
        process->birth_id = id;
    row->created_ns = created_ns;
    row->before_ns = process->image_ns;
    row->process = process_ref(process);
    row->older = process->row;
    process_row_set_image(row, process->image);
    row->birth = process->now;
    row->login_uid = process->login_uid;
    row->session = process->session;
    row->ppid = process->ppid;
    memcpy(row->comm, process->comm, sizeof(row->comm));
    process->row = row;
    return row;
}

void process_row_set_image(struct process_row *row, struct image *image)
{
    image_ref(image);
    if (row->image)
        LIST_REMOVE(row, in_image);
    image_unref(row->image);
    row->image = image;
    if (image)
        LIST_INSERT_HEAD(&image->rows, row, in_image);
}

void process_row_finish(struct process_row *row)
{
    struct process *process = row->process;
    row_queue_remove(row);
    for (struct process_row **link = &process->row; *link; link = &(*link)->older) {
        if (*link == row) {
            *link = row->older;
            break;
        }
    }
    process_row_set_image(row, NULL);
    free(row);
    process_unref(process);
}

struct image *image_new(size_t *total_bytes)
{
    struct image *image = calloc(1, sizeof(*image));
    if (image) {
        image->owners = 1;
        image->total_bytes = total_bytes;
        LIST_INIT(&image->rows);
    }
    return image;
}

void image_consume_fields(struct image *image, struct shared_text *fields)
{
    if (image->fields)
        *image->total_bytes -= image->fields->length;
    shared_text_unref(image->fields);
    image->fields = fields;
    if (fields)
        *image->total_bytes += fields->length;
}

struct image *image_ref(struct image *image)
{
    if (image)
        image->owners++;
    return image;
}

struct image *image_unref(struct image *image)
{
    if (image && --image->owners == 0) {
        image_consume_fields(image, NULL);
        shared_text_unref(image->program);
        free(image);
    }
    return NULL;
}

void row_queue_init(struct row_queue *queue)
{
    TAILQ_INIT(&queue->rows);
    queue->n = 0;
}

void row_queue_put(struct row_queue *queue, struct process_row *row, uint64_t deadline_ns)
{
    row_queue_remove(row);
    row->queue = queue;
    row->deadline_ns = deadline_ns;
    TAILQ_INSERT_TAIL(&queue->rows, row, in_queue);
    queue->n++;
}

void row_queue_remove(struct process_row *row)
{
    if (!row->queue)
        return;
    TAILQ_REMOVE(&row->queue->rows, row, in_queue);
    row->queue->n--;
    row->queue = NULL;
}
