/* The image of a pid at a moment: among those of the process that lives, else in the memory of
 * images that have ended. */
#include "recorder/processes_private.h"

static struct actor actor_of(const struct process_row *row)
{
    const struct process *process = row->process;
    bool current = row == process->row && !row->ended_ns;
    struct actor actor = {.pid = process->pid,
                          .process_id = row->id,
                          .from_ns = row->created_ns,
                          .until_ns = row->ended_ns ? row->ended_ns : UINT64_MAX,
                          .uid = current ? process->now.uid : row->birth.uid,
                          .login_uid = current ? process->login_uid : row->login_uid,
                          .session = current ? process->session : row->session};
    comm_set(actor.comm, current ? comm_or_image(process->comm, process->image)
                                 : comm_or_image(row->comm, row->image));
    return actor;
}

void processes_remember_actor(struct processes *p, const struct process_row *row)
{
    struct actor actor = actor_of(row);
    actors_remember(p->actors, &actor);
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
