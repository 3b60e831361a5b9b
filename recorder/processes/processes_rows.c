/* When a row is written.
 *
 *   waiting   not inserted. Inserted when ended and all its sources have spoken (one complete line:
 *             the fast path), or when its time is up, with what is known.
 *   ending    inserted and ended; the end line waits for the numbers of taskstats.
 *   late      inserted without settle columns, because the audit record is still missing. Settled
 *             when it comes, or as it is when an audit event from a second later has been heard
 *             (records come in order: this one is lost), or when the time is up.
 *   unnamed   inserted likewise, because nobody has said the name of a kernel thread. Settled when
 *             /proc or taskstats have, or when the time is up.
 *   undigested inserted likewise, because the digest of its program is still being computed.
 * Settled when it is told, which it is in any case. refused   the sink did not take it; tried again
 * at each tick, counted when there are too many.
 */
#include "recorder/processes/processes_private.h"

#include "core/log.h"

enum {
    IMAGE_FIELDS = PROCESS_TTY - PROCESS_EXE + 1,
    PROGRAM_FIELDS = PROCESS_EXE_MODIFIED_AT - PROCESS_EXE_SHA256 + 1,
    SETTLE_FIELDS = PROCESS_DESTROYED_AT - PROCESS_COMM
};

static const size_t image_keep_bytes = 16384;
static const uint64_t audit_order_ns = 1000000000;
/* For so long a row waits for the first scan, which may never end, to name its parent. */
static const uint64_t scan_patience_ns = 5000000000;

static void append_user(struct processes *p, uint32_t uid, bool with_uid)
{
    struct slice name;
    user_names_find(p->names, uid, processes_now(p), &name);
    if (with_uid)
        line_id32(&p->output->line, uid);
    line_evidence(&p->output->line, name);
}

static void append_id64(struct line *line, uint64_t id)
{
    if (id)
        line_u64(line, id);
    else
        line_null(line);
}

static uint64_t created_us(const struct processes *p, const struct process_row *row)
{
    return row->inserted ? row->created_us : timeline_real_us(p->output->timeline, row->created_ns);
}

static void append_birth(struct processes *p, const struct process_row *row)
{
    const struct process *process = row->process;
    struct line *line = &p->output->line;
    line_time(line, created_us(p, row));
    row_output_seen_by(p->output, row->seen_by);
    line_word(line, p->output->boot_id);
    line_u64(line, process->pid);
    line_u64(line, process->start_ticks);
    line_u64(line, row->ppid);
    append_id64(line, row->parent_id);
    append_id64(line, row->previous_id);
    append_user(p, row->birth.uid, true);
    append_user(p, row->birth.euid, true);
    line_id32(line, row->birth.gid);
    line_id32(line, row->birth.egid);
    line_evidence(line, shared_text_slice(process->container));
    append_id64(line, process->pid_ns);
    append_id64(line, process->mnt_ns);
    append_id64(line, process->net_ns);
    line_u64(line, process->own);
    line_u64(line, process->unaudited);
}

/* What taskstats calls the process in the end is the name of its last image. */
static struct slice row_comm(const struct process_row *row)
{
    struct slice comm = comm_or_image(row->comm, row->image);
    bool last = row->end_cause == END_EXIT;
    return slice_is_null(comm) && last ? comm_slice(row->process->end.comm) : comm;
}

static void append_settle(struct processes *p, const struct process_row *row)
{
    struct line *line = &p->output->line;
    line_evidence(line, row_comm(row));
    if (row->image && row->image->fields && !row->image->guessed)
        line_fields(line, shared_text_slice(row->image->fields), IMAGE_FIELDS);
    else
        line_nulls(line, IMAGE_FIELDS);
    if (row->image && row->image->program)
        line_fields(line, shared_text_slice(row->image->program), PROGRAM_FIELDS);
    else
        line_nulls(line, PROGRAM_FIELDS);
    line_id32(line, row->session);
    append_user(p, row->login_uid, true);
}

/* wait(2) gives what the last task said that began to exit, or all said the same. EXITs are told in
 * the order in which the ends were over: of a thread that ended by itself it may come behind those
 * that exit_group(2) ended after it. The last one of taskstats is nearly always the one. */
static void append_exit_code(struct line *line, const struct process_end *end)
{
    bool by_stats = end->seen_stats && (end->threaded || !end->code_known);
    bool known = end->code_known || end->seen_stats;
    uint32_t code = by_stats ? end->last_code : end->code;
    unsigned signal = code & 0x7f;
    if (!known || signal)
        line_null(line);
    else
        line_u64(line, code >> 8 & 0xff);
    if (!known || !signal)
        line_null(line);
    else
        line_u64(line, signal);
}

static void append_bytes(struct line *line, uint64_t bytes)
{
    if (bytes == UINT64_MAX)
        line_null(line);
    else
        line_u64(line, bytes);
}

/* A clock that was set back and followed does not put an end before the beginning. */
static uint64_t ended_us(const struct processes *p, const struct process_row *row)
{
    uint64_t us = timeline_real_us(p->output->timeline, row->ended_ns);
    return us > row->created_us ? us : row->created_us;
}

static void append_end(struct processes *p, const struct process_row *row)
{
    const struct process_end *end = &row->process->end;
    struct line *line = &p->output->line;
    line_time(line, ended_us(p, row));
    line_word(line, end_cause_name(row->end_cause));
    if (row->end_cause != END_EXIT || !end->seen_stats) {
        line_nulls(line, 5);
    } else {
        line_u64(line, end->user_us);
        line_u64(line, end->system_us);
        line_u64(line, end->max_rss_kib);
        append_bytes(line, end->read_bytes);
        append_bytes(line, end->write_bytes);
    }
    if (row->end_cause != END_EXIT) {
        line_nulls(line, 3);
        return;
    }
    line_id32(line, end->uid != ID_UNSET ? end->uid : row->process->now.uid);
    append_exit_code(line, end);
}

static bool end_spoken(const struct processes *p, const struct process_row *row)
{
    const struct process_end *end = &row->process->end;
    return row->end_cause != END_EXIT || ((end->seen_exit || !p->options.connector_active) &&
                                          (end->seen_stats || !p->options.taskstats_active));
}

static bool names_known(struct processes *p, const struct process_row *row)
{
    struct slice name;
    uint64_t now = processes_now(p);
    bool known = user_names_find(p->names, row->birth.uid, now, &name);
    if (row->birth.euid != row->birth.uid)
        known &= user_names_find(p->names, row->birth.euid, now, &name);
    return user_names_find(p->names, row->login_uid, now, &name) && known;
}

/* Nobody tells of the name that a kernel thread is given; it is seen, at its end at the latest. */
static bool name_spoken(const struct process_row *row)
{
    return !row->process->kernel_thread || !slice_is_null(row_comm(row));
}

static bool program_pending(const struct process_row *row)
{
    return row->image && row->image->program_state == PROGRAM_PENDING;
}

static bool settle_spoken(const struct process_row *row)
{
    return (row->audit_expected ? row->audit_joined : name_spoken(row)) && !program_pending(row);
}

/* The login user is its parent's, unless that one had logged in just before and audit has yet to
 * say so. Records come in order: one from after the row's beginning says that there is none. */
static bool login_spoken(const struct processes *p, const struct process_row *row)
{
    return row->audit_joined || !p->options.audit_active || p->audit_horizon_ns >= row->created_ns;
}

/* Without the connector a word of audit may tell of one more image, also after the end. */
static bool images_spoken(const struct processes *p, const struct process_row *row)
{
    return p->options.connector_active || !p->options.audit_active || row->end_cause == END_EXEC;
}

static bool parent_open(const struct processes *p, const struct process_row *row)
{
    return row->parent_open && !p->initial_scan_done;
}

static bool birth_spoken(struct processes *p, const struct process_row *row)
{
    return settle_spoken(row) && login_spoken(p, row) && images_spoken(p, row) &&
           !parent_open(p, row) && names_known(p, row);
}

static void row_finish(struct processes *p, struct process_row *row)
{
    struct process *process = process_ref(row->process);
    processes_refresh_actor(p, row);
    process_row_finish(row);
    processes_release(p, process);
    process_unref(process);
}

/* A row that has said all it can say leaves; one that has not goes to the queue it belongs to. */
static void row_requeue(struct processes *p, struct process_row *row)
{
    row_queue_remove(row);
    if (row->inserted && row->settled && row->image && row->image->fields &&
        row->image->fields->length > image_keep_bytes)
        image_consume_fields(row->image, NULL);
    if (row->inserted && row->settled && row->end_written)
        row_finish(p, row);
    else if (row->ended_ns && !row->end_written)
        row_queue_put(&p->ending, row, row->ended_ns + p->options.settle_ns);
    else if (!row->settled && row->audit_expected && !row->audit_joined)
        row_queue_put(&p->late, row, row->exec_ns + p->options.late_ns);
    else if (!row->settled && program_pending(row))
        row_queue_put(&p->undigested, row, UINT64_MAX);
    else if (!row->settled)
        row_queue_put(&p->unnamed, row, row->created_ns + p->options.late_ns);
}

/* The sink took nothing: wait for room, or count. The oldest is given up first. */
static void row_refuse(struct processes *p, struct process_row *row, int error)
{
    row_queue_put(&p->refused, row, processes_now(p));
    while (p->refused.n > p->options.late_most) {
        struct process_row *oldest = TAILQ_FIRST(&p->refused.rows);
        bool whole = !oldest->inserted && !oldest->previous_id;
        row_output_refused(p->output, whole, error);
        if (whole) {
            oldest->process->stored = true;
            p->n_unstored--;
        }
        if (oldest->ended_ns) {
            row_finish(p, oldest);
        } else {
            /* It lives, and nothing more will be said of it. */
            row_queue_remove(oldest);
            oldest->inserted = oldest->settled = oldest->end_written = true;
        }
    }
}

static int row_insert(struct processes *p, struct process_row *row, bool with_end)
{
    struct line *line = &p->output->line;
    bool settle = settle_spoken(row);
    line_begin(line, VERB_INSERT, TABLE_PROCESS, row->id);
    append_birth(p, row);
    if (settle)
        append_settle(p, row);
    else
        line_nulls(line, SETTLE_FIELDS);
    if (with_end)
        append_end(p, row);
    else
        line_nulls(line, PROCESS_COLUMN_N - PROCESS_DESTROYED_AT);
    int error = row_output_send(p->output);
    if (error) {
        row_refuse(p, row, error);
        return error;
    }
    if (row == row->process->row)
        connector_flush_comm(p, row->process);
    row->created_us = created_us(p, row);
    row->inserted = true;
    row->settled = settle;
    row->end_written = with_end;
    if (!row->previous_id && !row->process->stored) {
        row->process->stored = true;
        p->n_unstored--;
    }
    row_requeue(p, row);
    return 0;
}

static int row_write_end(struct processes *p, struct process_row *row)
{
    line_begin(&p->output->line, VERB_END, TABLE_PROCESS, row->id);
    append_end(p, row);
    int error = row_output_send(p->output);
    if (error) {
        row_refuse(p, row, error);
        return error;
    }
    row->end_written = true;
    row_requeue(p, row);
    return 0;
}

static int row_settle(struct processes *p, struct process_row *row)
{
    audit_forget_guess(row);
    if (program_pending(row))
        counter_add(p->output->counters, COUNTER_PROGRAMS_LATE, 1);
    line_begin(&p->output->line, VERB_SETTLE, TABLE_PROCESS, row->id);
    append_settle(p, row);
    int error = row_output_send(p->output);
    if (error) {
        row_refuse(p, row, error);
        return error;
    }
    counter_add(p->output->counters, COUNTER_LINES_LATE, 1);
    row->settled = true;
    row_requeue(p, row);
    return 0;
}

struct process_row *rows_begin(struct processes *p, struct process *process, uint64_t created_ns)
{
    struct process_row *row =
        process_add_row(process, timeline_id(p->output->timeline), created_ns);
    if (row)
        row_queue_put(&p->waiting, row, created_ns + p->options.settle_ns);
    return row;
}

void rows_end(struct processes *p, struct process_row *row, uint64_t ns, enum end_cause cause)
{
    row->ended_ns = ns > row->created_ns ? ns : row->created_ns;
    row->end_cause = cause;
    processes_remember_actor(p, row);
    if (row->inserted && row->end_written) {
        row_finish(p, row);
        return;
    }
    if (row->inserted)
        row_requeue(p, row);
    rows_evaluate(p, row);
}

void rows_evaluate(struct processes *p, struct process_row *row)
{
    bool end_due =
        row->ended_ns && !row->end_written && end_spoken(p, row) && images_spoken(p, row);
    int error = 0;
    if (!row->inserted) {
        if (end_due && birth_spoken(p, row))
            error = row_insert(p, row, true);
    } else {
        if (!row->settled && settle_spoken(row))
            error = row_settle(p, row);
        else if (row->queue == &p->late && row->audit_joined)
            row_requeue(p, row);
        if (end_due && !error)
            error = row_write_end(p, row);
    }
    if (error)
        log_debug("tracker", "a row waits for room in the journal");
}

static void tick_waiting(struct processes *p, uint64_t now)
{
    struct process_row *row;
    while ((row = TAILQ_FIRST(&p->waiting.rows)) && row->deadline_ns <= now) {
        if (parent_open(p, row) && now < row->created_ns + scan_patience_ns) {
            row_queue_put(&p->waiting, row, now + p->options.settle_ns);
            continue;
        }
        bool end_may_come = (!end_spoken(p, row) || !images_spoken(p, row)) &&
                            row->ended_ns + p->options.settle_ns > now;
        if (row_insert(p, row, row->ended_ns && !end_may_come) != 0)
            continue; /* it stands in the queue of refused rows now */
    }
}

static void tick_ending(struct processes *p, uint64_t now)
{
    struct process_row *row;
    while ((row = TAILQ_FIRST(&p->ending.rows)) && row->deadline_ns <= now)
        if (row_write_end(p, row) != 0)
            continue;
}

static bool late_is_lost(const struct processes *p, const struct process_row *row, uint64_t now)
{
    return row->deadline_ns <= now || p->late.n > p->options.late_most ||
           p->audit_horizon_ns > row->exec_ns + audit_order_ns;
}

static void tick_late(struct processes *p, uint64_t now)
{
    struct process_row *row;
    while ((row = TAILQ_FIRST(&p->late.rows)) && late_is_lost(p, row, now)) {
        counter_add(p->output->counters, COUNTER_AUDIT_UNJOINED, 1);
        if (row_settle(p, row) != 0)
            continue;
    }
}

static void tick_unnamed(struct processes *p, uint64_t now)
{
    struct process_row *row;
    while ((row = TAILQ_FIRST(&p->unnamed.rows)) &&
           (row->deadline_ns <= now || p->unnamed.n > p->options.late_most))
        if (row_settle(p, row) != 0)
            continue;
}

static void tick_undigested(struct processes *p)
{
    while (p->undigested.n > p->options.late_most)
        if (row_settle(p, TAILQ_FIRST(&p->undigested.rows)) != 0)
            continue;
}

/* When the sink still refuses one, nothing behind it will fare better. */
static void tick_refused(struct processes *p)
{
    for (size_t n = p->refused.n; n; n--) {
        struct process_row *row = TAILQ_FIRST(&p->refused.rows);
        int error;
        if (!row->inserted)
            error = row_insert(p, row, row->ended_ns != 0);
        else if (row->ended_ns && !row->end_written)
            error = row_write_end(p, row);
        else
            error = row_settle(p, row);
        if (error)
            return;
    }
}

void rows_tick(struct processes *p)
{
    uint64_t now = processes_now(p);
    tick_refused(p);
    tick_waiting(p, now);
    tick_ending(p, now);
    tick_late(p, now);
    tick_unnamed(p, now);
    tick_undigested(p);
}

void rows_flush(struct processes *p)
{
    tick_refused(p);
    tick_waiting(p, UINT64_MAX);
    tick_ending(p, UINT64_MAX);
    tick_late(p, UINT64_MAX);
    tick_unnamed(p, UINT64_MAX);
}

void rows_checkpoint(struct processes *p, struct process_row *row)
{
    line_begin(&p->output->line, VERB_INSERT, TABLE_PROCESS, row->id);
    append_birth(p, row);
    if (row->settled)
        append_settle(p, row);
    else
        line_nulls(&p->output->line, SETTLE_FIELDS);
    line_nulls(&p->output->line, PROCESS_COLUMN_N - PROCESS_DESTROYED_AT);
    if (row_output_send(p->output) != 0)
        return;
}

void rows_change(struct processes *p, uint64_t process_id, unsigned seen_by, uint64_t boot_ns,
                 const char *kind, struct slice old_value, struct slice new_value)
{
    struct line *line = &p->output->line;
    line_begin(line, VERB_INSERT, TABLE_PROCESS_CHANGE, timeline_id(p->output->timeline));
    row_output_time(p->output, boot_ns);
    row_output_seen_by(p->output, seen_by);
    line_u64(line, process_id);
    line_word(line, kind);
    line_evidence(line, old_value);
    line_evidence(line, new_value);
    row_output_time(p->output, boot_ns);
    line_word(line, end_cause_name(END_CLOSED));
    int error = row_output_send(p->output);
    if (error)
        row_output_refused(p->output, false, error);
}
