/* Who did it. The facts of one reading have no time of their own, only a span, in which a pid may
 * have run several images. They come in their order, so that of two images the first one is meant
 * until the file of the next one is executed, which belongs to the next one already. Where that is
 * not told, because the program is one of those whose reading is left out, the next one is meant
 * from the beginning: what executes another program at once, a wrapper, does little else. */
#include "recorder/files/files_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

static const uint64_t exiting_ns = 2000000000;

static unsigned long actor_hash(const void *item)
{
    const struct file_actor *actor = item;
    return (unsigned long)((actor->process_id ^ (uint64_t)actor->pid << 40) *
                               UINT64_C(0x9e3779b97f4a7c15) >>
                           16);
}

static int actor_compare(const void *a, const void *b)
{
    const struct file_actor *one = a, *other = b;
    return one->process_id != other->process_id || one->pid != other->pid;
}

int file_actor_init(struct files *f)
{
    f->actors = OPENSSL_LH_new(actor_hash, actor_compare);
    return f->actors ? 0 : -ENOMEM;
}

/* -- which image -- */

static struct slice base_name(struct slice path)
{
    for (size_t at = path.length; at > 0; at--)
        if (path.data[at - 1] == '/')
            return slice_of(path.data + at, path.length - at);
    return path;
}

static bool is_exe(const struct actor *image, struct slice path)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer field CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (slice_is_null(image->exe))
        return false;
    evidence_text_append(&text, path);
    evidence_field_append(&field, buffer_slice(&text));
    return !text.failed && !field.failed && slice_equal(buffer_slice(&field), image->exe);
}

static bool is_unknown(const struct actor *image)
{
    return !image->comm[0] && slice_is_null(image->exe);
}

/* A script is executed by its own name, which is the image's, before its interpreter is. */
static bool is_file_of(const struct actor *image, struct slice path)
{
    struct slice comm = slice_of(image->comm, strnlen(image->comm, sizeof(image->comm)));
    struct slice name = base_name(path);
    if (name.length > sizeof(image->comm) - 1)
        name.length = sizeof(image->comm) - 1;
    return slice_equal(name, comm) || is_exe(image, path);
}

/* The image that begins with this execution; when none does for certain, the next one if nothing is
 * known of it; else @p at. */
static size_t executed(const struct actor *images, size_t at, size_t n, struct slice path)
{
    for (size_t next = at + 1; next < n; next++)
        if (is_file_of(&images[next], path))
            return next;
    return at + 1 < n && is_unknown(&images[at + 1]) ? at + 1 : at;
}

static size_t image_of(struct files *f, const struct fact *fact, const struct actor *images,
                       size_t n)
{
    const struct fact_file *file = &fact->file;
    struct file_span *span = &f->spans[file->pid % FILE_SPANS];
    size_t at = 0;
    while (at + 1 < n && file_program_matches(f->options.unread, images[at + 1].exe))
        at++;
    if (span->pid == file->pid && span->since_ns == file->since_ns)
        while (at + 1 < n && images[at].process_id != span->process_id)
            at++;
    if (file->events & FILE_EXECUTED)
        at = executed(images, at, n, file->path);
    *span = (struct file_span){file->pid, file->since_ns, images[at].process_id};
    return at;
}

/* The kernel tells the end of a process before it closes the process's files. Whatever else is done
 * after that end is another process's that nobody knows. */
static size_t exiting(struct files *f, const struct fact *fact, struct actor *images)
{
    const struct fact_file *file = &fact->file;
    uint64_t since_ns = file->since_ns > exiting_ns ? file->since_ns - exiting_ns : 0;
    if (file->events & ~(uint32_t)(FILE_CLOSED | FILE_CLOSED_AFTER_WRITE))
        return 0;
    size_t n = processes_actors(f->options.processes, file->pid, since_ns, fact->boot_ns, images);
    if (n > 1)
        images[0] = images[n - 1];
    return n > 0;
}

void file_who(struct files *f, const struct fact *fact, struct actor *who)
{
    struct actor images[PROCESSES_ACTORS_MOST];
    const struct fact_file *file = &fact->file;
    size_t n = file->pid ? processes_actors(f->options.processes, file->pid, file->since_ns,
                                            fact->boot_ns, images)
                         : 0;
    if (n == 0 && file->pid)
        n = exiting(f, fact, images);
    *who = (struct actor){
        .pid = file->pid, .until_ns = UINT64_MAX, .uid = ID_UNSET, .login_uid = ID_UNSET};
    if (n)
        *who = images[n > 1 ? image_of(f, fact, images, n) : 0];
}

bool file_who_is_open(struct files *f, const struct fact *fact)
{
    struct actor images[PROCESSES_ACTORS_MOST];
    const struct fact_file *file = &fact->file;
    bool open = false;
    if (fact->kind != FACT_FILE || !file->pid)
        return false;
    size_t n =
        processes_actors(f->options.processes, file->pid, file->since_ns, fact->boot_ns, images);
    for (size_t i = 0; i < n; i++)
        open |= is_unknown(&images[i]);
    return n > 1 && open;
}

/* -- images with rows -- */

static struct file_actor *find(const struct files *f, const struct actor *who)
{
    const struct file_actor key = {.process_id = who->process_id, .pid = who->pid};
    return OPENSSL_LH_retrieve(f->actors, &key);
}

static void note_end(struct files *f, struct file_actor *actor, const struct actor *image)
{
    actor->ended_ns = image->until_ns;
    actor->end_cause = (enum end_cause)image->end_cause;
    if (actor->in_ended_list)
        return;
    actor->noticed_ns = files_now(f);
    actor->in_ended_list = true;
    TAILQ_INSERT_TAIL(&f->ended, actor, in_ended);
}

static struct file_actor *new_actor(struct files *f, const struct actor *who)
{
    struct file_actor *actor = calloc(1, sizeof(*actor));
    if (!actor)
        return NULL;
    actor->process_id = who->process_id;
    actor->pid = who->pid;
    TAILQ_INIT(&actor->rows);
    OPENSSL_LH_insert(f->actors, actor);
    if (OPENSSL_LH_error(f->actors)) {
        free(actor);
        return NULL;
    }
    if (!who->pid)
        f->nobody = actor;
    return actor;
}

struct file_actor *file_actor_get(struct files *f, const struct actor *who)
{
    struct file_actor *actor = find(f, who);
    if (!actor)
        actor = new_actor(f, who);
    if (!actor)
        return NULL;
    file_program_name(f, actor, who);
    if (who->until_ns != UINT64_MAX)
        note_end(f, actor, who);
    return actor;
}

void file_actor_release(struct files *f, struct file_actor *actor)
{
    if (actor->busy || !TAILQ_EMPTY(&actor->rows))
        return;
    if (actor->in_ended_list)
        TAILQ_REMOVE(&f->ended, actor, in_ended);
    if (f->nobody == actor)
        f->nobody = NULL;
    file_program_leave(actor);
    OPENSSL_LH_delete(f->actors, actor);
    free(actor);
}

void files_image_ended(struct files *f, const struct actor *image)
{
    struct file_actor *actor = find(f, image);
    if (actor)
        note_end(f, actor, image);
}
