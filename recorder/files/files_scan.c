/* Looks at all descriptors, /proc/PID/fd. They find what was opened before the recorder began, or
 * while events were lost, and what has no path: memfd, O_TMPFILE, deleted files. Closes that waited
 * unread are merged; a complete look that does not show a file which was closed at least once, and
 * with which nothing was done since, says that all its opens have been closed. */
#include "recorder/files/files_private.h"

static void show(struct file_row *row, const struct fact *fact, uint32_t generation)
{
    row->generation = generation;
    row->seen_ns = fact->boot_ns;
    if (row->closed_ns >= fact->boot_ns)
        return;
    if (row->opens && row->closes >= row->opens)
        row->closes = row->opens - 1;
    else if (!row->opens)
        row->closed_ns = 0;
}

static void begin_found(struct files *f, struct file_actor *actor, const struct actor *who,
                        const struct fact *fact)
{
    const struct fact_file_open *open = &fact->file_open;
    if (file_had_ended(f, actor, open->path, fact->boot_ns))
        return;
    struct file_row *row = file_begin(f, actor, who, open->path, SLICE_NULL, fact->boot_ns);
    if (!row || !file_file(f, row))
        return;
    row->seen_by = SEEN_BY_PROC;
    row->inherited = true;
    show(row, fact, f->generation);
    file_describe(row, &open->status);
    file_rows_place(f, row);
}

/* Events of inotify are nobody's; their rows are confirmed too. */
static void show_unowned(struct files *f, const struct fact *fact)
{
    struct file_key key = {.actor = f->nobody, .path = fact->file_open.path};
    struct file_row *row = f->nobody ? OPENSSL_LH_retrieve(f->by_key, &key) : NULL;
    if (row)
        show(row, fact, f->generation);
}

static void find_owner(struct files *f, const struct fact *fact, struct actor *who)
{
    if (processes_actor(f->options.processes, fact->file_open.pid, fact->boot_ns, who))
        return;
    *who = (struct actor){
        .pid = fact->file_open.pid, .until_ns = UINT64_MAX, .uid = ID_UNSET, .login_uid = ID_UNSET};
}

static void on_open(struct files *f, const struct fact *fact)
{
    const struct fact_file_open *open = &fact->file_open;
    struct actor who;
    find_owner(f, fact, &who);
    struct file_actor *actor = file_actor_get(f, &who);
    if (!actor) {
        f->beyond++;
        return;
    }
    actor->busy = true;
    show_unowned(f, fact);
    struct file_row *row = file_find(f, actor, open->path);
    if (!row)
        row = file_find_inode(actor, &open->status);
    if (row) {
        show(row, fact, f->generation);
        file_describe(row, &open->status);
        file_rows_place(f, row);
    } else if (!file_program_is_excluded(actor)) {
        begin_found(f, actor, &who, fact);
    }
    actor->busy = false;
    file_actor_release(f, actor);
}

/* -- the end of a look -- */

/* A look says nothing of a process into which it may not look, nor of what is nobody's, which may
 * be such a process's. */
static bool is_refused(const struct files *f, const struct file_row *row)
{
    for (size_t i = 0; i < f->n_refused_pids; i++)
        if (row->pid == f->refused_pids[i] || !row->pid)
            return true;
    return false;
}

static void on_refused(struct files *f, const struct fact *fact)
{
    uint32_t pid = fact->file_refused.pid;
    if (f->n_refused_pids == FILE_REFUSED_MOST) {
        f->scan_passed_over = true;
        return;
    }
    f->refused_pids[f->n_refused_pids++] = pid;
    file_restore_keep(f, pid);
}

/* Nothing was heard of it since the look began, which did not show it. */
static bool has_gone(const struct files *f, const struct file_row *row)
{
    bool told = row->counted && row->key.actor->process_id;
    return row->generation != f->generation && row->heard_ns < f->scan_begin_ns &&
           (!told || row->closed_ns);
}

static uint64_t last_sign(const struct file_row *row)
{
    uint64_t sign_ns = row->seen_ns > row->closed_ns ? row->seen_ns : row->closed_ns;
    return sign_ns ? sign_ns : row->heard_ns;
}

static void sweep(struct files *f, struct file_queue *queue)
{
    struct file_row *row, *next;
    for (row = TAILQ_FIRST(&queue->rows); row; row = next) {
        next = TAILQ_NEXT(row, in_queue);
        if (!row->ended_ns && !is_refused(f, row) && has_gone(f, row))
            file_rows_end(f, row, last_sign(row), row->closed_ns ? END_CLOSED : END_REMOVED);
    }
}

static void on_scan(struct files *f, const struct fact *fact)
{
    const struct fact_file_scan *scan = &fact->file_scan;
    if (scan->begin) {
        f->generation++;
        f->scan_begin_ns = fact->boot_ns;
        f->scan_passed_over = false;
        f->n_refused_pids = 0;
    } else if (f->scan_begin_ns) {
        if (scan->complete && !f->scan_passed_over) {
            sweep(f, &f->open);
            file_restore_end(f, timeline_real_us(f->output->timeline, f->scan_begin_ns),
                             END_RECONCILED);
        }
        f->scan_begin_ns = 0;
    }
}

void file_scan_fact(struct files *f, const struct fact *fact)
{
    if (fact->kind == FACT_FILE_SCAN)
        on_scan(f, fact);
    else if (fact->kind == FACT_FILE_REFUSED)
        on_refused(f, fact);
    else
        on_open(f, fact);
}
