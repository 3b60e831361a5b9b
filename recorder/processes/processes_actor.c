/* The image of a pid at a moment: among those of the process that lives, else in the memory of
 * images that have ended. */
#include "recorder/processes/processes_private.h"

#include <stdlib.h>

static struct slice exe_of(const struct image *image)
{
    struct slice fields = image && !image->guessed ? shared_text_slice(image->fields) : SLICE_NULL;
    const uint8_t *tab = fields.length ? memchr(fields.data, '\t', fields.length) : NULL;
    struct slice exe = tab ? slice_of(fields.data, (size_t)(tab - fields.data)) : SLICE_NULL;
    return slice_is(exe, "\\N") ? SLICE_NULL : exe;
}

static struct actor actor_of(const struct process_row *row)
{
    const struct process *process = row->process;
    bool current = row == process->row && !row->ended_ns;
    struct actor actor = {.pid = process->pid,
                          .process_id = row->id,
                          .began_ns = process->birth_guessed ? 0 : process->fork_ns,
                          .from_ns = row->created_ns,
                          .until_ns = row->ended_ns ? row->ended_ns : UINT64_MAX,
                          .uid = current ? process->now.uid : row->birth.uid,
                          .login_uid = current ? process->login_uid : row->login_uid,
                          .session = current ? process->session : row->session,
                          .exe = exe_of(row->image),
                          .own = process->own,
                          .end_cause = (int)row->end_cause};
    comm_set(actor.comm, current ? comm_or_image(process->comm, process->image)
                                 : comm_or_image(row->comm, row->image));
    return actor;
}

void processes_remember_actor(struct processes *p, const struct process_row *row)
{
    struct actor actor = actor_of(row);
    actors_remember(p->actors, &actor);
    if (p->options.image_ended)
        p->options.image_ended(p->options.user, &actor);
}

void processes_refresh_actor(struct processes *p, const struct process_row *row)
{
    struct actor actor = actor_of(row);
    if (row->ended_ns)
        actors_refresh(p->actors, &actor);
}

static const struct process_row *row_of(const struct process *process, uint64_t id)
{
    const struct process_row *row = process ? process->row : NULL;
    while (row && row->id != id)
        row = row->older;
    return row;
}

/* What it was called may have been said after its end, while its row waited for that. */
static void look_again(struct processes *p, struct actor *actor)
{
    const struct process_row *row = row_of(processes_find(p, actor->pid), actor->process_id);
    const struct process *life = row ? NULL : processes_find_ended(p, actor->pid);
    for (; !row && life; life = life->older_life)
        row = row_of(life, actor->process_id);
    if (row)
        *actor = actor_of(row);
}

bool processes_actor_between(struct processes *p, uint32_t pid, uint64_t from_ns, uint64_t until_ns,
                             struct actor *actor)
{
    const struct process *process = processes_find(p, pid);
    for (const struct process_row *row = process ? process->row : NULL; row; row = row->older) {
        if (row->created_ns > until_ns)
            continue;
        *actor = actor_of(row);
        return true;
    }
    const struct actor *past = actors_find(p->actors, pid, from_ns, until_ns);
    if (past)
        *actor = *past;
    return past != NULL;
}

bool processes_actor(struct processes *p, uint32_t pid, uint64_t at_ns, struct actor *actor)
{
    return processes_actor_between(p, pid, at_ns, at_ns, actor);
}

bool processes_living_actor(struct processes *p, uint32_t pid, struct actor *actor)
{
    return processes_find(p, pid) && processes_actor(p, pid, UINT64_MAX, actor);
}

static int compare_begin(const void *a, const void *b)
{
    const struct actor *one = a, *other = b;
    return (one->from_ns > other->from_ns) - (one->from_ns < other->from_ns);
}

size_t processes_actors(struct processes *p, uint32_t pid, uint64_t since_ns, uint64_t until_ns,
                        struct actor actors[PROCESSES_ACTORS_MOST])
{
    const struct process *process = processes_find(p, pid);
    size_t n =
        actors_between(p->actors, pid, since_ns, until_ns, actors, PROCESSES_ACTORS_MOST - 1);
    for (size_t i = 0; i < n; i++)
        if (!actors[i].comm[0])
            look_again(p, &actors[i]);
    if (process && process->row && !process->row->ended_ns && process->row->created_ns <= until_ns)
        actors[n++] = actor_of(process->row);
    qsort(actors, n, sizeof(*actors), compare_begin);
    return n;
}
