/* An exec begins an image. What it brought is the text of seven columns: exe, argv0,
 * arguments, argc, masked, cwd, tty. It is rendered once and shared by the rows that need it. */
#include "recorder/processes/processes_private.h"

#include "core/evidence_text.h"
#include "recorder/masking/masking.h"

/* One exec with megabytes of arguments must not leave them allocated for ever. */
static const size_t scratch_keep_bytes = 65536;

static void append_evidence(struct processes *p, struct slice bytes)
{
    if (!slice_is_null(bytes)) {
        buffer_clear(&p->words);
        evidence_text_append(&p->words, bytes);
        bytes = buffer_slice(&p->words);
    }
    evidence_field_append(&p->fields, bytes);
    buffer_append_byte(&p->fields, '\t');
}

/* What a command line is written as: its secrets are masked, and what cannot be looked at for want
 * of memory is not known. */
struct command_line {
    const struct slice *argv;
    uint32_t n_argv, argc;
    bool masked;
};

static struct command_line mask(struct processes *p, struct slice exe, const struct slice *argv,
                                uint32_t n_argv, uint32_t argc)
{
    struct command_line line = {argv, n_argv, argc, false};
    const struct slice *masked;
    if (!p->options.masking || !argv)
        return line;
    int outcome = masking_apply(p->options.masking, exe, argv, n_argv, &masked);
    line.masked = outcome != 0;
    if (outcome > 0)
        line.argv = masked;
    else if (outcome < 0)
        line.n_argv = 0;
    return line;
}

/* The arguments behind argv0, each quoted where a shell needs it; NULL when pieces were lost. */
static void append_arguments(struct processes *p, const struct command_line *line)
{
    struct buffer quoted CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!line->argv || line->n_argv < line->argc) {
        append_evidence(p, SLICE_NULL);
        return;
    }
    for (uint32_t i = 1; i < line->n_argv; i++) {
        if (i > 1)
            buffer_append_byte(&quoted, ' ');
        evidence_quote_append(&quoted, line->argv[i]);
    }
    append_evidence(p, quoted.failed ? SLICE_NULL : buffer_slice(&quoted));
}

static void render(struct processes *p, struct slice exe, const struct slice *argv, uint32_t n_argv,
                   uint32_t argc, struct slice cwd, struct slice tty)
{
    struct command_line line = mask(p, exe, argv, n_argv, argc);
    buffer_clear(&p->fields);
    append_evidence(p, exe);
    append_evidence(p, argv && line.n_argv ? line.argv[0] : SLICE_NULL);
    append_arguments(p, &line);
    if (argv)
        buffer_append_u64(&p->fields, argc);
    else
        buffer_append_text(&p->fields, "\\N");
    buffer_append_text(&p->fields, line.masked ? "\t1\t" : "\t\\N\t");
    append_evidence(p, cwd);
    append_evidence(p, tty.length ? tty : SLICE_NULL);
    p->fields.length -= p->fields.length ? 1 : 0;
}

void image_fill(struct processes *p, struct image *image, struct slice exe,
                const struct slice *argv, uint32_t n_argv, uint32_t argc, struct slice cwd,
                struct slice tty)
{
    render(p, exe, argv, n_argv, argc, cwd, tty);
    if (p->image_bytes + p->fields.length > p->options.image_bytes_most) {
        render(p, exe, argv, argc ? 1 : 0, argc ? argc : 1, cwd, tty);
        p->n_arguments_dropped++;
    }
    image_consume_fields(image,
                         p->fields.failed ? NULL : shared_text_new(buffer_slice(&p->fields)));
    if (p->fields.capacity > scratch_keep_bytes)
        buffer_deinit(&p->fields);
    if (p->words.capacity > scratch_keep_bytes)
        buffer_deinit(&p->words);
}

bool image_is_another(struct processes *p, const struct image *image, struct slice exe)
{
    static const char unknown[] = "\\N\t";
    if (!image || !image->fields || slice_is_null(exe))
        return false;
    buffer_clear(&p->fields);
    append_evidence(p, exe);
    struct slice told = buffer_slice(&p->fields), fields = shared_text_slice(image->fields);
    if (p->fields.failed || (fields.length >= sizeof(unknown) - 1 &&
                             !memcmp(fields.data, unknown, sizeof(unknown) - 1)))
        return false;
    return fields.length < told.length || memcmp(fields.data, told.data, told.length) != 0;
}

/* The row of the new image: the fork's own row when it was only on its way to exec, else a new one.
 */
static struct process_row *row_of(struct processes *p, struct process *process, uint64_t ns,
                                  unsigned seen_by)
{
    struct process_row *row = process->row;
    if (row && !row->exec_ns && !row->inserted && ns <= row->created_ns + p->options.fork_ns) {
        row->birth = process->now;
        process_row_set_image(row, process->image);
        return row;
    }
    uint64_t previous_id = process->current_id;
    uint64_t parent_id = row ? row->parent_id : 0;
    bool parent_open = row && row->parent_open;
    struct process_row *next = rows_begin(p, process, ns);
    if (row)
        rows_end(p, row, ns, END_EXEC);
    if (next) {
        next->previous_id = previous_id;
        next->parent_id = parent_id;
        next->parent_open = parent_open;
        next->seen_by = seen_by;
    }
    return next;
}

struct process_row *image_begin(struct processes *p, struct process *process, uint64_t ns,
                                unsigned seen_by)
{
    image_unref(process->image);
    process->image = image_new(&p->image_bytes);
    process->kernel_thread = false;
    process->restored_exe = shared_text_unref(process->restored_exe);
    struct process_row *row = row_of(p, process, ns, seen_by);
    process->image_ns = ns;
    if (!row)
        return NULL;
    row->exec_ns = ns;
    row->audit_expected = p->options.audit_active && !process->unaudited;
    memset(row->comm, 0, sizeof(row->comm));
    memset(process->comm, 0, sizeof(process->comm));
    row_queue_put(&p->waiting, row, ns + p->options.settle_ns);
    if (process->ended)
        rows_end(p, row, process->end.ns, END_EXIT);
    return row;
}
