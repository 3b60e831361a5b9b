/* When a row is written.
 *
 *   waiting   not inserted: the file is open, or all is said but for a name. Written when its time
 *             is up. A creation that no open followed by then is a row of one moment.
 *   quiet     closed: another open may follow. When nothing has come for a while it has ended, and
 *             is one complete line if it was not inserted before.
 *   open      inserted, and lives.
 *   refused   the sink did not take it; tried again at each tick.
 */
#include "recorder/files/files_private.h"

#include <stdio.h>

/* A file that is opened and closed again and again is never quiet. */
enum { BUSY_TIMES = 4 };

/* How long the end of an image waits for the reader of files. */
static const uint64_t reader_ns = UINT64_C(5000000000);

/* -- values -- */

static void append_id64(struct line *line, uint64_t value)
{
    if (value)
        line_u64(line, value);
    else
        line_null(line);
}

static void append_user(struct files *f, uint32_t uid)
{
    struct slice name;
    user_names_find(f->options.names, uid, files_now(f), &name);
    line_id32(&f->output->line, uid);
    line_evidence(&f->output->line, name);
}

static void append_device(struct line *line, const struct file_status *status)
{
    char text[24];
    snprintf(text, sizeof(text), "%u:%u", (unsigned)(status->device >> 32),
             (unsigned)(status->device & UINT32_MAX));
    line_word(line, status->inode ? text : NULL);
    append_id64(line, status->inode);
}

static void append_birth(struct files *f, const struct file_row *row)
{
    struct line *line = &f->output->line;
    if (row->birth) {
        line_fields(line, shared_text_slice(row->birth), FILE_ACCESS_DESTROYED_AT);
        return;
    }
    line_time(line, row->created_us);
    row_output_seen_by(f->output, row->seen_by);
    append_id64(line, row->key.actor->process_id);
    append_id64(line, row->pid);
    line_evidence(line, row->comm[0] ? slice_of(row->comm, strnlen(row->comm, sizeof(row->comm)))
                                     : SLICE_NULL);
    append_user(f, row->uid);
    append_user(f, row->login_uid);
    line_evidence(line, row->key.path);
    line_evidence(line, row->new_path);
    line_u64(line, row->inherited);
    line_u64(line, row->path_at_read);
    append_device(line, &row->status);
}

/* Opened, and nothing else is known: it was to read. */
static unsigned operations_of(const struct file_row *row)
{
    const unsigned use = OPERATION_READ | OPERATION_WRITE | OPERATION_EXECUTE;
    bool read = row->opens > row->executions && !(row->operations & use);
    return row->operations | (read ? OPERATION_READ : 0U);
}

static void append_use(struct line *line, const struct file_row *row)
{
    file_operations_append(line, row->ended_ns ? operations_of(row) : row->operations);
    if (row->counted && (row->opens || row->inherited))
        line_u64(line, row->opens);
    else
        line_null(line);
}

static void append_end(struct files *f, const struct file_row *row)
{
    struct line *line = &f->output->line;
    uint64_t ended_us = timeline_real_us(f->output->timeline, row->ended_ns);
    line_time(line, ended_us > row->created_us ? ended_us : row->created_us);
    line_word(line, end_cause_name(row->end_cause));
    append_use(line, row);
    append_id64(line, row->status.mode);
    if (row->status.size == UINT64_MAX)
        line_null(line);
    else
        line_u64(line, row->status.size);
}

/* -- lines -- */

static int send_line(struct files *f, struct file_row *row)
{
    int error = row_output_send(f->output);
    if (error) {
        f->refused_error = error;
        if (row->queue != &f->refused)
            file_queue_put(&f->refused, row, 0);
    }
    return error;
}

static int insert(struct files *f, struct file_row *row)
{
    line_begin(&f->output->line, VERB_INSERT, TABLE_FILE_ACCESS, row->id);
    append_birth(f, row);
    if (row->ended_ns)
        append_end(f, row);
    else
        line_nulls(&f->output->line, FILE_ACCESS_COLUMN_N - FILE_ACCESS_DESTROYED_AT);
    int error = send_line(f, row);
    if (!error)
        counter_add(f->output->counters, COUNTER_FILES_BORN, 1);
    return error;
}

static int write_end(struct files *f, struct file_row *row)
{
    line_begin(&f->output->line, VERB_END, TABLE_FILE_ACCESS, row->id);
    append_end(f, row);
    return send_line(f, row);
}

/* What was not known of the image when the row began. */
static void recall(struct files *f, struct file_row *row)
{
    struct file_actor *actor = row->key.actor;
    struct actor images[PROCESSES_ACTORS_MOST];
    bool all_known = actor->program_certain && row->comm[0] && row->login_uid != ID_UNSET &&
                     row->uid != ID_UNSET;
    if (row->inserted || !actor->process_id || all_known)
        return;
    size_t n =
        processes_actors(f->options.processes, row->pid, row->created_ns, row->created_ns, images);
    for (size_t i = 0; i < n; i++) {
        if (images[i].process_id != actor->process_id)
            continue;
        file_program_name(f, actor, &images[i]);
        if (!row->comm[0])
            memcpy(row->comm, images[i].comm, sizeof(row->comm));
        if (row->login_uid == ID_UNSET) /* audit speaks later than fanotify */
            row->login_uid = images[i].login_uid;
        if (row->uid == ID_UNSET) /* the fork was heard, and /proc had not been read */
            row->uid = images[i].uid;
    }
}

/* Returns the sink's error; then the row waits among the refused ones. */
static int write_row(struct files *f, struct file_row *row)
{
    recall(f, row);
    if (!row->inserted && file_program_is_excluded(row->key.actor)) {
        file_release(f, row);
        return 0;
    }
    int error = row->inserted ? write_end(f, row) : insert(f, row);
    if (error)
        return error;
    row->inserted = true;
    if (row->ended_ns) {
        counter_add(f->output->counters, COUNTER_FILES_ENDED, 1);
        file_release(f, row);
    } else if (!file_row_is_closed(row)) {
        file_queue_put(&f->open, row, 0);
    } else if (row->queue != &f->quiet) {
        file_queue_put(&f->quiet, row, files_now(f) + f->options.quiet_ns);
    }
    return 0;
}

/* -- when -- */

/* Whoever asks is told later what a user is called. */
static bool names_known(struct files *f, struct file_row *row)
{
    struct slice name;
    if (!row->comm[0] || row->login_uid == ID_UNSET || row->uid == ID_UNSET)
        recall(f, row);
    bool user = user_names_find(f->options.names, row->uid, files_now(f), &name);
    return user_names_find(f->options.names, row->login_uid, files_now(f), &name) && user &&
           (row->comm[0] || !row->key.actor->process_id);
}

static bool is_creation_only(const struct file_row *row)
{
    return row->counted && !row->opens && !row->closed_ns && row->operations == OPERATION_CREATE;
}

static void wait(struct files *f, struct file_row *row)
{
    if (row->queue != &f->waiting)
        file_queue_put(&f->waiting, row, row->heard_ns + f->options.settle_ns);
}

void file_rows_end(struct files *f, struct file_row *row, uint64_t ended_ns, enum end_cause cause)
{
    row->ended_ns = ended_ns > row->created_ns ? ended_ns : row->created_ns;
    row->end_cause = cause;
    file_unfile(f, row);
    if (row->queue == &f->refused)
        return;
    if (row->inserted || names_known(f, row))
        (void)write_row(f, row);
    else
        wait(f, row);
}

void file_rows_place(struct files *f, struct file_row *row)
{
    if (row->queue == &f->refused)
        return;
    if (file_row_is_closed(row)) {
        file_queue_put(&f->quiet, row, files_now(f) + f->options.quiet_ns);
        if (!row->inserted && files_now(f) > row->created_ns + BUSY_TIMES * f->options.quiet_ns)
            (void)write_row(f, row);
    } else if (!row->inserted) {
        wait(f, row);
    } else if (row->queue != &f->open) {
        file_queue_put(&f->open, row, 0);
    }
}

static void end_by_itself(struct files *f, struct file_row *row)
{
    if (is_creation_only(row))
        file_rows_end(f, row, row->created_ns, END_CLOSED);
    else if (file_row_is_closed(row))
        file_rows_end(f, row, row->closed_ns, END_CLOSED);
}

/* Its time is up. Returns the sink's error. */
static int write_waiting(struct files *f, struct file_row *row)
{
    if (!row->ended_ns && is_creation_only(row)) {
        row->ended_ns = row->created_ns;
        row->end_cause = END_CLOSED;
        file_unfile(f, row);
    }
    return write_row(f, row);
}

static void end_with_image(struct files *f, struct file_actor *actor)
{
    struct file_row *row = TAILQ_FIRST(&actor->rows), *next;
    TAILQ_REMOVE(&f->ended, actor, in_ended);
    actor->in_ended_list = false;
    actor->busy = true;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_actor);
        if (row->ended_ns)
            continue;
        if (is_creation_only(row) || file_row_is_closed(row))
            end_by_itself(f, row);
        else
            file_rows_end(f, row, actor->ended_ns, actor->end_cause);
    }
    actor->busy = false;
    file_actor_release(f, actor);
}

static void tick_refused(struct files *f)
{
    for (size_t n = f->refused.n; n; n--) {
        struct file_row *row = TAILQ_FIRST(&f->refused.rows);
        if (write_row(f, row) != 0)
            return;
    }
}

static void tick_waiting(struct files *f, uint64_t now_ns)
{
    struct file_row *row;
    while ((row = TAILQ_FIRST(&f->waiting.rows)) && row->deadline_ns <= now_ns)
        (void)write_waiting(f, row);
}

static void tick_quiet(struct files *f, uint64_t now_ns)
{
    struct file_row *row;
    while ((row = TAILQ_FIRST(&f->quiet.rows)) && row->deadline_ns <= now_ns)
        file_rows_end(f, row, row->closed_ns, END_CLOSED);
}

/* Of this image, or of an earlier one of its pid. */
static bool is_held(struct files *f, const struct file_actor *actor)
{
    const struct file_held_fact *held;
    if (!*file_n_held(f, actor->pid))
        return false;
    STAILQ_FOREACH(held, &f->held, in_list)
    if (held->fact.kind == FACT_FILE && held->fact.file.pid == actor->pid &&
        held->fact.file.since_ns <= actor->noticed_ns)
        return true;
    return false;
}

/* A close decides how the row ends. It is told later than the end of the image when the reader of
 * files is behind, and waits when it is not known yet whose it is. */
static bool was_read(struct files *f, const struct file_actor *actor, uint64_t now_ns)
{
    if (!f->read_until_ns || now_ns - actor->noticed_ns > reader_ns)
        return true;
    if (is_held(f, actor))
        return false;
    if (f->read_until_ns >= actor->noticed_ns)
        return true;
    if (f->options.ask_read)
        f->options.ask_read(f->options.user);
    return false;
}

void file_rows_tick(struct files *f, uint64_t now_ns)
{
    struct file_actor *actor;
    tick_refused(f);
    while ((actor = TAILQ_FIRST(&f->ended)) && actor->noticed_ns + f->options.settle_ns <= now_ns &&
           was_read(f, actor, now_ns))
        end_with_image(f, actor);
    tick_quiet(f, now_ns);
    tick_waiting(f, now_ns);
}

void file_rows_hurry(struct files *f, uint64_t until_ns)
{
    struct file_actor *actor;
    struct file_row *row, *next;
    while ((actor = TAILQ_FIRST(&f->ended)) && actor->noticed_ns <= until_ns &&
           was_read(f, actor, files_now(f)))
        end_with_image(f, actor);
    tick_quiet(f, until_ns + f->options.quiet_ns);
    for (row = TAILQ_FIRST(&f->waiting.rows); row; row = next) {
        next = TAILQ_NEXT(row, in_queue);
        if (row->deadline_ns <= until_ns + f->options.settle_ns && names_known(f, row))
            (void)write_waiting(f, row);
    }
}

static bool has_waited(const struct file_queue *queue, uint64_t wait_ns, uint64_t until_ns)
{
    const struct file_row *row;
    TAILQ_FOREACH(row, &queue->rows, in_queue)
    if (row->deadline_ns <= until_ns + wait_ns)
        return true;
    return false;
}

static bool facts_wait(const struct files *f, uint64_t until_ns)
{
    const struct file_held_fact *held;
    STAILQ_FOREACH(held, &f->held, in_list)
    if (held->fact.boot_ns <= until_ns)
        return true;
    return false;
}

bool files_settled_until(const struct files *f, uint64_t boot_ns)
{
    const struct file_actor *actor = TAILQ_FIRST(&f->ended);
    return !facts_wait(f, boot_ns) && TAILQ_EMPTY(&f->refused.rows) && TAILQ_EMPTY(&f->limited) &&
           !(actor && actor->noticed_ns <= boot_ns) &&
           !has_waited(&f->waiting, f->options.settle_ns, boot_ns) &&
           !has_waited(&f->quiet, f->options.quiet_ns, boot_ns);
}

void file_rows_flush(struct files *f)
{
    const struct file_row *row;
    file_rows_tick(f, UINT64_MAX);
    TAILQ_FOREACH(row, &f->refused.rows, in_queue)
    row_output_refused(f->output, false, f->refused_error);
}

/* What a file was used for so far stands in columns of the end: a line that is still open tells it
 * to the next run. */
static void checkpoint_row(struct files *f, struct file_row *row)
{
    struct line *line = &f->output->line;
    line_begin(line, VERB_INSERT, TABLE_FILE_ACCESS, row->id);
    append_birth(f, row);
    line_nulls(line, 2);
    append_use(line, row);
    line_nulls(line, 2);
    if (row_output_send(f->output) != 0)
        return; /* the one before stays */
}

static void checkpoint_queue(struct files *f, struct file_queue *queue)
{
    struct file_row *row;
    TAILQ_FOREACH(row, &queue->rows, in_queue)
    if (row->inserted)
        checkpoint_row(f, row);
}

void file_rows_checkpoint(struct files *f)
{
    checkpoint_queue(f, &f->open);
    checkpoint_queue(f, &f->quiet);
    checkpoint_queue(f, &f->refused);
}
