/* What an earlier run left open: taken up again when the process still lives (same pid, same
 * start), ended as `reconciled` when it is gone, as `reboot` when the host was started anew. */
#include "recorder/processes/processes_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

static void write_end(struct processes *p, const struct restored_row *row, uint64_t ended_us,
                      enum end_cause cause)
{
    struct line *line = &p->output->line;
    line_begin(line, VERB_END, TABLE_PROCESS, row->id);
    line_time(line, ended_us > row->created_us ? ended_us : row->created_us);
    line_word(line, end_cause_name(cause));
    line_nulls(line, PROCESS_COLUMN_N - PROCESS_CPU_USER_US);
    int error = row_output_send(p->output);
    if (error)
        row_output_refused(p->output, false, error);
}

struct collection {
    struct restored_row *rows[64];
    size_t n;
    bool same_boot;
    uint32_t pid; /* 0: any */
};

enum { COLLECTION_MOST = 64 };

static void collect(void *item, void *user)
{
    struct collection *collection = user;
    struct restored_row *row = item;
    if (row->same_boot == collection->same_boot &&
        (!collection->pid || row->pid == collection->pid) && collection->n < COLLECTION_MOST)
        collection->rows[collection->n++] = row;
}

static void drop(struct processes *p, struct restored_row *row)
{
    OPENSSL_LH_delete(p->restored, row);
    shared_text_unref(row->exe);
    free(row);
}

void restore_end(struct processes *p, bool same_boot, uint64_t ended_us, enum end_cause cause)
{
    struct collection collection = {.same_boot = same_boot};
    do {
        collection.n = 0;
        OPENSSL_LH_doall_arg(p->restored, collect, &collection);
        for (size_t i = 0; i < collection.n; i++) {
            write_end(p, collection.rows[i], ended_us, cause);
            drop(p, collection.rows[i]);
        }
    } while (collection.n == COLLECTION_MOST);
}

/* The file of a running program may be deleted, or replaced by an upgrade. */
static struct slice without_deleted(struct slice exe)
{
    static const char mark[] = " (deleted)";
    const size_t length = sizeof(mark) - 1;
    bool marked = exe.length > length && !memcmp(exe.data + exe.length - length, mark, length);
    return marked ? slice_of(exe.data, exe.length - length) : exe;
}

bool restored_image_differs(struct processes *p, const struct shared_text *restored_exe,
                            const struct fact_proc_process *entry)
{
    if (slice_is_null(entry->exe))
        return false;
    buffer_clear(&p->words);
    evidence_text_append(&p->words, entry->exe);
    return !slice_equal(without_deleted(buffer_slice(&p->words)),
                        without_deleted(shared_text_slice(restored_exe)));
}

static struct process *revive(struct processes *p, struct restored_row *row)
{
    struct process *process = processes_add(p, row->pid, row->start_ticks * 10000000);
    if (!process)
        return NULL;
    p->n_unstored--;
    process->stored = true;
    process->threads_uncertain = true;
    process->unaudited = row->unaudited;
    process->unseen = true;
    process->restored_exe = row->exe;
    row->exe = NULL;
    struct process_row *living = rows_begin(p, process, 0);
    if (!living)
        return process;
    int64_t created = (int64_t)(row->created_us * 1000) - p->output->timeline->offset_ns;
    living->created_ns = created > 0 ? (uint64_t)created : 0;
    living->id = process->current_id = process->birth_id = row->id;
    living->created_us = row->created_us;
    living->parent_id = row->parent_id;
    living->inserted = living->settled = true;
    row_queue_remove(living);
    return process;
}

struct process *proc_adopt(struct processes *p, uint32_t pid, uint64_t start_ticks)
{
    struct collection collection = {.same_boot = true, .pid = pid};
    struct restored_row *row = NULL;
    if (p->initial_scan_done || OPENSSL_LH_num_items(p->restored) == 0)
        return NULL;
    OPENSSL_LH_doall_arg(p->restored, collect, &collection);
    for (size_t i = 0; i < collection.n; i++) {
        struct restored_row *one = collection.rows[i];
        if (process_began_by(start_ticks, one->start_ticks) && (!row || one->id > row->id))
            row = one;
    }
    if (!row)
        return NULL;
    struct process *process = revive(p, row);
    drop(p, row);
    return process;
}

static uint64_t value_u64(struct slice value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.length && value.data[i] >= '0' && value.data[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    return number;
}

static void learn_exe(struct restored_row *row, struct slice exe)
{
    shared_text_unref(row->exe);
    row->exe = slice_is_null(exe) ? NULL : shared_text_new(exe);
}

static void remember(struct processes *p, uint64_t id, const struct slice *values)
{
    struct restored_row *row = calloc(1, sizeof(*row));
    if (!row)
        return;
    row->id = id;
    row->pid = (uint32_t)value_u64(values[PROCESS_PID]);
    row->start_ticks = value_u64(values[PROCESS_START_TICKS]);
    row->parent_id = value_u64(values[PROCESS_PARENT_ID]);
    row->same_boot = slice_is(values[PROCESS_BOOT_ID], p->output->boot_id);
    row->created_us = line_parse_time(values[PROCESS_CREATED_AT]);
    row->unaudited = slice_is(values[PROCESS_UNAUDITED], "1");
    learn_exe(row, values[PROCESS_EXE]);
    OPENSSL_LH_insert(p->restored, row);
    if (OPENSSL_LH_error(p->restored)) {
        shared_text_unref(row->exe);
        free(row);
    }
}

void processes_restore(struct processes *p, enum verb verb, uint64_t id, const struct slice *values,
                       size_t n_values)
{
    struct restored_row key = {.id = id}, *row = OPENSSL_LH_retrieve(p->restored, &key);
    if (verb == VERB_END && row)
        drop(p, row);
    else if (verb == VERB_SETTLE && row && n_values > PROCESS_EXE - PROCESS_COMM)
        learn_exe(row, values[PROCESS_EXE - PROCESS_COMM]);
    else if (verb == VERB_INSERT && !row && n_values == PROCESS_COLUMN_N &&
             slice_is_null(values[PROCESS_DESTROYED_AT]))
        remember(p, id, values);
}

void processes_restored(struct processes *p, uint64_t last_real_us)
{
    int64_t last_ns = (int64_t)(last_real_us * 1000) - p->output->timeline->offset_ns;
    if (last_ns > 0 && (uint64_t)last_ns <= processes_now(p))
        p->unheard_since_ns = (uint64_t)last_ns;
    restore_end(p, false, last_real_us, END_REBOOT);
}
