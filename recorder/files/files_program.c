/* Programs by their path, or by the name of the task while nobody knows it. One noisy program must
 * not drown the evidence of the others: each may begin so many rows a second, and ten times as many
 * after a quiet time; what is beyond is counted, into one gap a second. */
#include "recorder/files/files_private.h"

#include "core/evidence_text.h"
#include "recorder/lifecycle/gap.h"

#include <fnmatch.h>
#include <stdlib.h>

enum { PROGRAMS_MOST = 4096, BURST_S = 10, GLOB_SIZE = 4096 };

static const uint64_t summary_ns = UINT64_C(1000000000);

static unsigned long program_hash(const void *item)
{
    return (unsigned long)file_hash(shared_text_slice(((const struct file_program *)item)->name),
                                    0);
}

static int program_compare(const void *a, const void *b)
{
    return !slice_equal(shared_text_slice(((const struct file_program *)a)->name),
                        shared_text_slice(((const struct file_program *)b)->name));
}

int file_program_init(struct files *f)
{
    f->programs = OPENSSL_LH_new(program_hash, program_compare);
    return f->programs ? 0 : -ENOMEM;
}

static void forget(struct files *f, struct file_program *program)
{
    if (program->n_dropped)
        TAILQ_REMOVE(&f->limited, program, in_limited);
    TAILQ_REMOVE(&f->all_programs, program, in_programs);
    OPENSSL_LH_delete(f->programs, program);
    shared_text_unref(program->name);
    free(program);
}

void file_program_deinit(struct files *f)
{
    struct file_program *program;
    while ((program = TAILQ_FIRST(&f->all_programs)))
        forget(f, program);
    OPENSSL_LH_free(f->programs);
}

/* -- which programs are left out -- */

static bool matches(const char *globs, const char *path)
{
    char glob[GLOB_SIZE];
    while (globs && *globs) {
        size_t length = strcspn(globs, " ");
        if (length && length < sizeof(glob)) {
            memcpy(glob, globs, length);
            glob[length] = '\0';
            if (fnmatch(glob, path, 0) == 0)
                return true;
        }
        globs += length + strspn(globs + length, " ");
    }
    return false;
}

bool file_program_matches(const char *globs, struct slice exe)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer path CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!globs || !*globs || slice_is_null(exe) || evidence_field_unescape(&text, exe) < 0)
        return false;
    evidence_text_restore(&path, buffer_slice(&text));
    buffer_append_byte(&path, '\0');
    return !path.failed && matches(globs, (const char *)path.data);
}

bool file_program_is_excluded(const struct file_actor *actor)
{
    return actor->program && actor->program->excluded;
}

/* -- names -- */

static uint64_t full_credit(const struct files *f)
{
    return (uint64_t)f->options.rate * BURST_S * 1000;
}

static struct file_program *find(const struct files *f, struct slice name)
{
    struct shared_text *text = shared_text_new(name);
    const struct file_program key = {.name = text};
    struct file_program *program = text ? OPENSSL_LH_retrieve(f->programs, &key) : NULL;
    shared_text_unref(text);
    return program;
}

/* A program that nobody runs, and of which there is nothing to tell, can begin anew with full
 * credit. */
static void make_room(struct files *f)
{
    struct file_program *program, *next;
    for (program = TAILQ_FIRST(&f->all_programs); program; program = next) {
        next = TAILQ_NEXT(program, in_programs);
        if (program->n_actors == 0 && program->n_dropped == 0)
            forget(f, program);
    }
}

static struct file_program *add(struct files *f, struct slice name)
{
    if (OPENSSL_LH_num_items(f->programs) >= PROGRAMS_MOST)
        make_room(f);
    struct file_program *program = calloc(1, sizeof(*program));
    if (!program)
        return NULL;
    program->name = shared_text_new(name);
    if (program->name)
        OPENSSL_LH_insert(f->programs, program);
    if (!program->name || OPENSSL_LH_error(f->programs)) {
        shared_text_unref(program->name);
        free(program);
        return NULL;
    }
    program->credit = full_credit(f);
    program->credit_ns = files_now(f);
    TAILQ_INSERT_TAIL(&f->all_programs, program, in_programs);
    return program;
}

void file_program_leave(struct file_actor *actor)
{
    if (actor->program)
        actor->program->n_actors--;
    actor->program = NULL;
}

void file_program_name(struct files *f, struct file_actor *actor, const struct actor *who)
{
    bool certain = !slice_is_null(who->exe);
    if (actor->program_certain || (actor->program && !certain))
        return;
    struct slice comm = slice_of(who->comm, strnlen(who->comm, sizeof(who->comm)));
    struct slice name = certain ? who->exe : comm.length ? comm : slice_text("unknown");
    struct file_program *program = find(f, name);
    if (!program)
        program = add(f, name);
    if (!program)
        return;
    file_program_leave(actor);
    actor->program = program;
    actor->program_certain = certain;
    program->n_actors++;
    program->excluded = certain && file_program_matches(f->options.excluded, who->exe);
}

/* -- how much -- */

static void refill(const struct files *f, struct file_program *program, uint64_t at_ns)
{
    if (at_ns <= program->credit_ns)
        return;
    uint64_t elapsed_ms = (at_ns - program->credit_ns) / 1000000;
    uint64_t full = full_credit(f);
    if (elapsed_ms > (uint64_t)BURST_S * 1000)
        elapsed_ms = (uint64_t)BURST_S * 1000;
    program->credit += elapsed_ms * f->options.rate;
    if (program->credit > full)
        program->credit = full;
    program->credit_ns = at_ns - (at_ns - program->credit_ns) % 1000000;
}

bool file_program_allows(struct files *f, const struct file_actor *actor, uint64_t at_ns)
{
    struct file_program *program = actor->program;
    if (!program || !f->options.rate)
        return true;
    refill(f, program, files_now(f));
    if (program->credit >= 1000) {
        program->credit -= 1000;
        return true;
    }
    if (program->n_dropped++ == 0) {
        program->first_ns = program->last_ns = at_ns;
        TAILQ_INSERT_TAIL(&f->limited, program, in_limited);
    }
    program->first_ns = at_ns < program->first_ns ? at_ns : program->first_ns;
    program->last_ns = at_ns > program->last_ns ? at_ns : program->last_ns;
    return false;
}

static int summarize(struct files *f, const struct file_program *program)
{
    struct buffer detail CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&detail, "files used by ");
    buffer_append_slice(&detail, shared_text_slice(program->name));
    buffer_append_byte(&detail, '\0');
    struct gap gap = {.source = "fanotify",
                      .cause = "rate_limit",
                      .unit = "event",
                      .from_ns = program->first_ns,
                      .until_ns = program->last_ns,
                      .count = (int64_t)program->n_dropped,
                      .at_least = GAP_UNKNOWN,
                      .at_most = GAP_UNKNOWN,
                      .detail = detail.failed ? NULL : (const char *)detail.data};
    return gap_write(f->output, &gap);
}

void file_program_tick(struct files *f, bool all)
{
    struct file_program *program;
    while ((program = TAILQ_FIRST(&f->limited)) &&
           (all || files_now(f) >= program->first_ns + summary_ns) && summarize(f, program) == 0) {
        program->n_dropped = 0;
        TAILQ_REMOVE(&f->limited, program, in_limited);
    }
}
