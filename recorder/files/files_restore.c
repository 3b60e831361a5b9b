/* What an earlier run left open: taken up again by the first fact about it, ended as `reconciled`
 * when a complete look at all descriptors has not shown it, as `reboot` when the host was started
 * anew. While the journal's lines come in, rows are known by their ids; then by process and path.
 */
#include "recorder/files/files_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

enum { KEPT_MOST = 256 };

static unsigned long id_hash(const void *item)
{
    const struct restored_file *row = item;
    return (unsigned long)(row->id * UINT64_C(0x9e3779b97f4a7c15) >> 16);
}

static int id_compare(const void *a, const void *b)
{
    return ((const struct restored_file *)a)->id != ((const struct restored_file *)b)->id;
}

static unsigned long path_hash(const void *item)
{
    const struct restored_file *row = item;
    return (unsigned long)file_hash(row->path, row->process_id ^ (uint64_t)row->pid << 40);
}

static int path_compare(const void *a, const void *b)
{
    const struct restored_file *one = a, *other = b;
    return one->process_id != other->process_id || one->pid != other->pid ||
           !slice_equal(one->path, other->path);
}

int file_restore_init(struct files *f)
{
    f->restored = OPENSSL_LH_new(id_hash, id_compare);
    f->left_open = OPENSSL_LH_new(path_hash, path_compare);
    return f->restored && f->left_open ? 0 : -ENOMEM;
}

static void forget(void *item)
{
    struct restored_file *row = item;
    shared_text_unref(row->birth);
    free(row);
}

void file_restore_deinit(struct files *f)
{
    if (f->restored)
        OPENSSL_LH_doall(f->restored, forget);
    if (f->left_open)
        OPENSSL_LH_doall(f->left_open, forget);
    OPENSSL_LH_free(f->restored);
    OPENSSL_LH_free(f->left_open);
}

/* -- lines -- */

static uint64_t value_u64(struct slice value, size_t *at)
{
    uint64_t number = 0;
    for (; *at < value.length && value.data[*at] >= '0' && value.data[*at] <= '9'; ++*at)
        number = number * 10 + (uint64_t)(value.data[*at] - '0');
    return number;
}

static uint64_t whole_u64(struct slice value)
{
    size_t at = 0;
    return value_u64(value, &at);
}

static uint64_t value_device(struct slice value)
{
    size_t at = 0;
    uint64_t major = value_u64(value, &at);
    at++;
    return major << 32 | value_u64(value, &at);
}

static struct shared_text *birth_text(const struct slice *values)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = 0; i < FILE_ACCESS_DESTROYED_AT; i++) {
        if (i > 0)
            buffer_append_byte(&text, '\t');
        evidence_field_append(&text, values[i]);
    }
    return text.failed ? NULL : shared_text_new(buffer_slice(&text));
}

static struct restored_file *restored_new(const struct slice *values)
{
    struct buffer path CLEANUP(buffer_deinit) = BUFFER_NULL;
    evidence_text_restore(&path, values[FILE_ACCESS_PATH]);
    struct restored_file *row = path.failed ? NULL : calloc(1, sizeof(*row) + path.length);
    if (!row)
        return NULL;
    if (path.length)
        memcpy(row->bytes, path.data, path.length);
    row->path = slice_of(row->bytes, path.length);
    row->birth = birth_text(values);
    if (row->birth)
        return row;
    free(row);
    return NULL;
}

static void remember(struct files *f, uint64_t id, const struct slice *values)
{
    struct restored_file *row = restored_new(values);
    if (!row)
        return;
    row->id = id;
    row->created_us = line_parse_time(values[FILE_ACCESS_CREATED_AT]);
    row->process_id = whole_u64(values[FILE_ACCESS_PROCESS_ID]);
    row->pid = (uint32_t)whole_u64(values[FILE_ACCESS_PID]);
    row->status.device = value_device(values[FILE_ACCESS_DEVICE]);
    row->status.inode = whole_u64(values[FILE_ACCESS_INODE]);
    row->operations = file_operations_parse(values[FILE_ACCESS_OPERATIONS]);
    row->counted = !slice_is_null(values[FILE_ACCESS_OPENS]);
    row->opens = (uint32_t)whole_u64(values[FILE_ACCESS_OPENS]);
    OPENSSL_LH_insert(f->restored, row);
    if (OPENSSL_LH_error(f->restored))
        forget(row);
}

void files_restore(struct files *f, enum verb verb, uint64_t id, const struct slice *values,
                   size_t n_values)
{
    struct restored_file key = {.id = id};
    struct restored_file *row = OPENSSL_LH_retrieve(f->restored, &key);
    if (verb == VERB_END && row)
        forget(OPENSSL_LH_delete(f->restored, row));
    else if (verb == VERB_INSERT && !row && n_values == FILE_ACCESS_COLUMN_N &&
             slice_is_null(values[FILE_ACCESS_DESTROYED_AT]) &&
             OPENSSL_LH_num_items(f->restored) < f->options.most)
        remember(f, id, values);
}

static void end_row(struct files *f, const struct restored_file *row, uint64_t ended_us,
                    enum end_cause cause)
{
    struct line *line = &f->output->line;
    line_begin(line, VERB_END, TABLE_FILE_ACCESS, row->id);
    line_time(line, ended_us > row->created_us ? ended_us : row->created_us);
    line_word(line, end_cause_name(cause));
    file_operations_append(line, row->operations);
    if (row->counted)
        line_u64(line, row->opens);
    else
        line_null(line);
    line_nulls(line, 2);
    int error = row_output_send(f->output);
    if (error)
        row_output_refused(f->output, false, error);
}

struct end {
    struct files *f;
    uint64_t us;
    enum end_cause cause;
};

static void end_item(void *item, void *user)
{
    const struct end *end = user;
    end_row(end->f, item, end->us, end->cause);
    forget(item);
}

void file_restore_end(struct files *f, uint64_t ended_us, enum end_cause cause)
{
    struct end end = {f, ended_us, cause};
    OPENSSL_LH_doall_arg(f->left_open, end_item, &end);
    OPENSSL_LH_flush(f->left_open);
}

/* Two that say the same: an end was lost with the journal's last lines, and the older one's. */
static void leave_open(void *item, void *user)
{
    struct files *f = user;
    struct restored_file *row = OPENSSL_LH_insert(f->left_open, item);
    if (row) {
        end_row(f, row, f->last_real_us, END_RECONCILED);
        forget(row);
    } else if (OPENSSL_LH_error(f->left_open)) {
        forget(item);
    }
}

void files_restored(struct files *f, bool same_boot, uint64_t last_real_us)
{
    f->last_real_us = last_real_us;
    OPENSSL_LH_doall_arg(f->restored, leave_open, f);
    OPENSSL_LH_flush(f->restored);
    if (!same_boot)
        file_restore_end(f, last_real_us, END_REBOOT);
}

void files_unscanned(struct files *f)
{
    file_restore_end(f, f->last_real_us, END_RECONCILED);
}

static void checkpoint_item(void *item, void *user)
{
    struct files *f = user;
    const struct restored_file *row = item;
    struct line *line = &f->output->line;
    line_begin(line, VERB_INSERT, TABLE_FILE_ACCESS, row->id);
    line_fields(line, shared_text_slice(row->birth), FILE_ACCESS_DESTROYED_AT);
    line_nulls(line, 2);
    file_operations_append(line, row->operations);
    if (row->counted)
        line_u64(line, row->opens);
    else
        line_null(line);
    line_nulls(line, 2);
    if (row_output_send(f->output) != 0)
        return;
}

void file_restore_checkpoint(struct files *f)
{
    OPENSSL_LH_doall_arg(f->left_open, checkpoint_item, f);
}

/* -- what becomes of them -- */

static struct file_row *revive(struct files *f, struct file_actor *actor,
                               const struct restored_file *left)
{
    struct file_row *row = file_row_new(left->path, SLICE_NULL);
    if (!row)
        return NULL;
    int64_t created = (int64_t)(left->created_us * 1000) - f->output->timeline->offset_ns;
    row->key.actor = actor;
    row->id = left->id;
    row->created_ns = created > 0 ? (uint64_t)created : 0;
    row->created_us = left->created_us;
    row->heard_ns = files_now(f);
    row->pid = left->pid;
    row->status.device = left->status.device;
    row->status.inode = left->status.inode;
    row->operations = left->operations;
    row->opens = left->opens;
    row->counted = left->counted;
    row->birth = shared_text_ref(left->birth);
    row->inserted = true;
    TAILQ_INSERT_TAIL(&actor->rows, row, in_actor);
    f->n_rows++;
    f->n_bytes += row->n_bytes;
    file_queue_put(&f->open, row, 0);
    return file_file(f, row) ? row : NULL;
}

struct file_row *file_restore_adopt(struct files *f, struct file_actor *actor, struct slice path)
{
    struct restored_file key = {.process_id = actor->process_id, .pid = actor->pid, .path = path};
    if (OPENSSL_LH_num_items(f->left_open) == 0)
        return NULL;
    struct restored_file *left = OPENSSL_LH_delete(f->left_open, &key);
    if (!left)
        return NULL;
    struct file_row *row = revive(f, actor, left);
    forget(left);
    return row;
}

/* -- what nobody may look at -- */

struct kept {
    uint32_t pid;
    size_t n;
    struct restored_file *rows[KEPT_MOST];
};

static void collect_kept(void *item, void *user)
{
    struct kept *kept = user;
    struct restored_file *row = item;
    if (row->pid == kept->pid && kept->n < KEPT_MOST)
        kept->rows[kept->n++] = row;
}

void file_restore_keep(struct files *f, uint32_t pid)
{
    struct kept kept = {.pid = pid};
    struct actor who;
    if (OPENSSL_LH_num_items(f->left_open) == 0 ||
        !processes_living_actor(f->options.processes, pid, &who))
        return;
    OPENSSL_LH_doall_arg(f->left_open, collect_kept, &kept);
    struct file_actor *actor = kept.n ? file_actor_get(f, &who) : NULL;
    if (!actor)
        return;
    actor->busy = true;
    for (size_t i = 0; i < kept.n; i++)
        if (kept.rows[i]->process_id == who.process_id)
            (void)file_restore_adopt(f, actor, kept.rows[i]->path);
    actor->busy = false;
    file_actor_release(f, actor);
}
