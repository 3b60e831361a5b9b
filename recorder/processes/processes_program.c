/* The file that an image executes, once an image: what its owner's look finds is true of all who
 * share the image.
 *
 * A path means something only together with a root, and nobody tells of unshare, setns, chroot or
 * pivot_root. A living process that the root was inherited from is asked for it: the parent, or,
 * when it is gone, the parent's, as long as each that stands between ran nothing but programs which
 * are known not to change their root. Otherwise only the process itself can show its file, while it
 * lives. What remains: a process that was forked, changed its root and executed, all without being
 * seen, is taken to have the root of its parent. */
#include "recorder/processes/processes_private.h"

#include "core/evidence_text.h"

static const uint64_t interval_ns = 100000000;

enum { ANCESTORS_MOST = 4, ROOTS = 2 };

static bool is_keeper(struct slice exe)
{
    static const char *const keepers[] = {
        "/usr/bin/dash",  "/usr/bin/bash",   "/usr/bin/env",    "/usr/bin/nice",
        "/usr/bin/nohup", "/usr/bin/make",   "/usr/bin/xargs",  "/usr/bin/timeout",
        "/usr/bin/time",  "/usr/bin/setsid", "/bin/dash",       "/bin/bash",
        "/usr/bin/find",  "/bin/nice",       "/usr/bin/ionice", "/usr/bin/stdbuf"};
    for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++)
        if (slice_is(exe, keepers[i]))
            return true;
    return false;
}

/* The field as it stands in a line. */
static struct slice exe_field(const struct image *image)
{
    struct slice fields = shared_text_slice(image->fields);
    const uint8_t *end = memchr(fields.data, '\t', fields.length);
    return slice_of(fields.data, end ? (size_t)(end - fields.data) : fields.length);
}

static bool keeps_root(const struct process_row *row)
{
    return row->image && row->image->fields && !row->image->guessed &&
           is_keeper(exe_field(row->image));
}

/* Whether the images that ran in this pid before @p row's have left its root as it was. */
static bool images_before_kept_root(const struct process_row *row)
{
    for (; row->previous_id; row = row->older)
        if (!row->older || row->older->id != row->previous_id || !keeps_root(row->older))
            return false;
    return true;
}

/* A parent that has ended. */
static struct process *ended_parent(struct processes *p, const struct process *child)
{
    struct process *life = processes_find_ended(p, child->ppid);
    while (life && life->birth_id != child->parent_birth_id)
        life = life->older_life;
    return life;
}

/* The nearest first: they may be gone when the file is looked for. */
static void find_roots(struct processes *p, const struct process_row *row, uint32_t pids[ROOTS])
{
    size_t n = 0;
    for (unsigned i = 0; row && n < ROOTS && i < ANCESTORS_MOST; i++) {
        const struct process *child = row->process;
        if (!images_before_kept_root(row) || !child->parent_birth_id)
            return;
        const struct process *parent = processes_find(p, child->ppid);
        if (parent && parent->birth_id == child->parent_birth_id)
            pids[n++] = parent->pid;
        else
            parent = ended_parent(p, child);
        row = parent && parent->row && keeps_root(parent->row) ? parent->row : NULL;
    }
}

/* Of a field of a line, the bytes that it was made of; those are in @p buffer where they differ. */
static struct slice raw_path(struct processes *p, struct slice field)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!memchr(field.data, '\\', field.length))
        return field;
    buffer_clear(&p->words);
    if (slice_is(field, "\\N") || evidence_field_unescape(&text, field) < 0)
        return SLICE_NULL;
    evidence_text_restore(&p->words, buffer_slice(&text));
    return text.failed || p->words.failed ? SLICE_NULL : buffer_slice(&p->words);
}

void program_ask(struct processes *p, struct process_row *row)
{
    struct image *image = row->image;
    if (!p->programs || !image || !image->fields || image->guessed ||
        image->program_state != PROGRAM_NOT_ASKED)
        return;
    uint32_t roots[ROOTS] = {0};
    if (row->audit_joined)
        find_roots(p, row, roots);
    struct programs_exec exec = {
        .subject = image,
        .pid = row->process->pid,
        .root_pid = roots[0],
        .other_root_pid = roots[1],
        .path = raw_path(p, exe_field(image)),
        .executed_ns = row->exec_ns ? row->exec_ns : row->created_ns,
        .began_real_ns = row->audit_joined ? row->word.real_ms * 1000000 : INT64_MIN,
    };
    if (slice_is_null(exec.path) || !exec.path.length)
        return;
    image->program_pid = exec.pid;
    image->program_state = PROGRAM_PENDING;
    if (programs_want(p->programs, &exec, processes_now(p)))
        image_ref(image);
    else
        image->program_state = PROGRAM_TOLD;
}

static bool still_runs(void *user, const void *subject, uint64_t at_ns)
{
    const struct image *image = subject;
    const struct process_row *row;
    (void)user;
    LIST_FOREACH(row, &image->rows, in_image)
    if (row->process->pid == image->program_pid && (!row->ended_ns || row->ended_ns > at_ns))
        return true;
    return false;
}

/* Rows may be freed while others are written. */
static void evaluate_rows(struct processes *p, struct image *image)
{
    struct row_refs done = LIST_HEAD_INITIALIZER(done);
    struct process_row *row;
    while ((row = LIST_FIRST(&image->rows))) {
        LIST_REMOVE(row, in_image);
        LIST_INSERT_HEAD(&done, row, in_image);
        rows_evaluate(p, row);
    }
    while ((row = LIST_FIRST(&done))) {
        LIST_REMOVE(row, in_image);
        LIST_INSERT_HEAD(&image->rows, row, in_image);
    }
}

static void told(void *user, void *subject, struct shared_text *program)
{
    struct image *image = subject;
    image->program = shared_text_ref(program);
    image->program_state = PROGRAM_TOLD;
    evaluate_rows(user, image);
    image_unref(image);
}

int program_begin(struct processes *p)
{
    struct programs_options options = {.interval_ns = interval_ns,
                                       .patience_ns = p->options.late_ns,
                                       .counters = p->output->counters,
                                       .user = p,
                                       .still_runs = still_runs,
                                       .told = told};
    if (!p->options.ask_program)
        return 0;
    options.ask = p->options.ask_program;
    options.ask_user = p->options.user;
    return programs_new(&p->programs, &options);
}
