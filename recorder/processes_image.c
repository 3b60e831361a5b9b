/* What an exec brought, as the text of seven columns: exe, its hash, argv0, arguments, argc, cwd,
 * tty. It is rendered once and shared by the rows that need it. */
#include "recorder/processes_private.h"

#include "core/evidence_text.h"

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

/* The arguments behind argv0, each quoted where a shell needs it; NULL when pieces were lost. */
static void append_arguments(struct processes *p, const struct slice *argv, uint32_t n_argv,
                             uint32_t argc)
{
    struct buffer quoted CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!argv || n_argv < argc) {
        append_evidence(p, SLICE_NULL);
        return;
    }
    for (uint32_t i = 1; i < n_argv; i++) {
        if (i > 1)
            buffer_append_byte(&quoted, ' ');
        evidence_quote_append(&quoted, argv[i]);
    }
    append_evidence(p, quoted.failed ? SLICE_NULL : buffer_slice(&quoted));
}

static void render(struct processes *p, struct slice exe, const struct slice *argv, uint32_t n_argv,
                   uint32_t argc, struct slice cwd, struct slice tty)
{
    buffer_clear(&p->fields);
    append_evidence(p, exe);
    append_evidence(p, SLICE_NULL);
    append_evidence(p, argv && n_argv ? argv[0] : SLICE_NULL);
    append_arguments(p, argv, n_argv, argc);
    if (argv)
        buffer_append_u64(&p->fields, argc);
    else
        buffer_append_text(&p->fields, "\\N");
    buffer_append_byte(&p->fields, '\t');
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
