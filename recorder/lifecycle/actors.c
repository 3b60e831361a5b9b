/* Sets of four images, chosen by the pid; in each set the oldest is overwritten. Pids are given out
 * in order, so that an image stays for some 16,000 forks even when its pid is used again at once.
 */
#include "recorder/lifecycle/actors.h"

#include "recorder/lifecycle/shared_text.h"

#include <stdlib.h>

enum { SETS = 4096, WAYS = 4 };

struct actor_set {
    struct actor actors[WAYS];
    struct shared_text *exe[WAYS];
    unsigned next;
};

struct actors {
    struct actor_set sets[SETS];
};

int actors_new(struct actors **actorsp)
{
    *actorsp = calloc(1, sizeof(**actorsp)); /* its pages are taken when they are used */
    return *actorsp ? 0 : -ENOMEM;
}

struct actors *actors_free(struct actors *actors)
{
    for (size_t i = 0; actors && i < SETS; i++)
        for (size_t way = 0; way < WAYS; way++)
            shared_text_unref(actors->sets[i].exe[way]);
    free(actors);
    return NULL;
}

static void keep(struct actor_set *set, unsigned way, const struct actor *actor)
{
    shared_text_unref(set->exe[way]);
    set->exe[way] = slice_is_null(actor->exe) ? NULL : shared_text_new(actor->exe);
    set->actors[way] = *actor;
    set->actors[way].exe = shared_text_slice(set->exe[way]);
}

void actors_remember(struct actors *actors, const struct actor *actor)
{
    struct actor_set *set = &actors->sets[actor->pid % SETS];
    keep(set, set->next, actor);
    set->next = (set->next + 1) % WAYS;
}

void actors_refresh(struct actors *actors, const struct actor *actor)
{
    struct actor_set *set = &actors->sets[actor->pid % SETS];
    for (unsigned way = 0; way < WAYS; way++)
        if (set->actors[way].process_id == actor->process_id && !set->actors[way].comm[0])
            keep(set, way, actor);
}

const struct actor *actors_find(const struct actors *actors, uint32_t pid, uint64_t from_ns,
                                uint64_t until_ns)
{
    const struct actor_set *set = &actors->sets[pid % SETS];
    const struct actor *found = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        const struct actor *actor = &set->actors[i];
        if (actor->pid == pid && actor->process_id && actor->from_ns <= until_ns &&
            from_ns <= actor->until_ns && (!found || actor->from_ns > found->from_ns))
            found = actor;
    }
    return found;
}

size_t actors_between(const struct actors *actors, uint32_t pid, uint64_t since_ns,
                      uint64_t until_ns, struct actor *found, size_t most)
{
    const struct actor_set *set = &actors->sets[pid % SETS];
    size_t n = 0;
    for (unsigned i = 0; i < WAYS && n < most; i++) {
        const struct actor *actor = &set->actors[i];
        if (actor->pid == pid && actor->process_id && actor->from_ns <= until_ns &&
            since_ns <= actor->until_ns)
            found[n++] = *actor;
    }
    return n;
}
