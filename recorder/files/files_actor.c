/* Who did it. The facts of one reading have no time of their own, only a span, in which a pid may
 * have run several images. They come in their order, so that of two images the first one is meant
 * until the file of the next one is executed, which belongs to the next one already. Where that is
 * not told, because the program is one of those whose reading is left out, the next one is meant
 * from the beginning: what executes another program at once, a wrapper, does little else. A file is
 * executed a moment before its image begins: the reading may end between the two. */
#include "recorder/files/files_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

static const uint64_t exiting_ns = 2000000000;
/* What was executed is the file of an image that begins so soon. */
static const uint64_t executing_ns = 5000000000;

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

static bool is_unknown(const struct actor *image)
{
    return !image->comm[0] && slice_is_null(image->exe);
}

static struct file_execution execution_of(const struct fact *fact)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer field CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct file_execution execution = {.at_ns = fact->boot_ns};
    struct slice name = base_name(fact->file.path);
    size_t most = sizeof(execution.comm) - 1;
    memcpy(execution.comm, name.data, name.length < most ? name.length : most);
    evidence_text_append(&text, fact->file.path);
    evidence_field_append(&field, buffer_slice(&text));
    execution.hash = file_hash(buffer_slice(&field), 0);
    return execution;
}

/* A script is executed by its own name, which is the image's, before its interpreter is. */
static bool is_image_of(const struct actor *image, const struct file_execution *execution)
{
    return strncmp(image->comm, execution->comm, sizeof(image->comm)) == 0 ||
           (!slice_is_null(image->exe) && file_hash(image->exe, 0) == execution->hash);
}

/* The image that begins with it, behind @p at; @p at when there is none. */
static size_t begun_by(const struct file_execution *execution, const struct actor *images,
                       size_t at, size_t n)
{
    for (size_t next = at + 1; next < n; next++)
        if (is_image_of(&images[next], execution))
            return next;
    return at;
}

/* An execution of which there was no image yet. */
static size_t after_executed(struct file_span *span, const struct actor *images, size_t at,
                             size_t n)
{
    if (!span->executed.at_ns)
        return at;
    if (images[at].from_ns > span->executed.at_ns || is_image_of(&images[at], &span->executed)) {
        span->executed.at_ns = 0; /* it has begun, and may execute another one of that name */
        return at;
    }
    bool is_recent = images[n - 1].from_ns <= span->executed.at_ns + executing_ns;
    size_t next = is_recent ? begun_by(&span->executed, images, at, n) : at;
    if (next != at || !is_recent)
        span->executed.at_ns = 0;
    return next;
}

/* When no image begins with it for certain, the next one is meant if nothing is known of it. The
 * interpreter is executed behind the file, as a rule in the same reading: it is not waited for. */
static size_t executed(struct file_span *span, const struct fact *fact, const struct actor *images,
                       size_t at, size_t n)
{
    const struct file_execution execution = execution_of(fact);
    size_t next = begun_by(&execution, images, at, n);
    if (next == at && at + 1 < n && is_unknown(&images[at + 1]))
        next = at + 1;
    if (next != at || is_image_of(&images[at], &execution))
        span->executed.at_ns = 0;
    else if (span->executed.at_ns <= fact->file.since_ns)
        span->executed = execution;
    return next;
}

/* The image with this id, if it is behind @p at. */
static size_t later_of(const struct actor *images, size_t at, size_t n, uint64_t process_id)
{
    for (size_t next = at + 1; next < n; next++)
        if (images[next].process_id == process_id)
            return next;
    return at;
}

static size_t image_of(struct files *f, const struct fact *fact, const struct actor *images,
                       size_t n)
{
    const struct fact_file *file = &fact->file;
    struct file_span *span = &f->spans[file->pid % FILE_SPANS];
    size_t at = 0;
    while (at + 1 < n && file_program_matches(f->options.unread, images[at + 1].exe))
        at++;
    if (span->pid != file->pid)
        *span = (struct file_span){.pid = file->pid};
    else if (span->since_ns == file->since_ns)
        at = later_of(images, at, n, span->process_id);
    at = after_executed(span, images, at, n);
    if (file->events & FILE_EXECUTED)
        at = executed(span, fact, images, at, n);
    span->since_ns = file->since_ns;
    span->process_id = images[at].process_id;
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
        *who = images[image_of(f, fact, images, n)];
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
