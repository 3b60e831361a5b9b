/* The ring doubles while the oldest event is still needed, and never shrinks. */
#include "recorder/processes/thread_events.h"

#include <stdlib.h>
#include <string.h>

/* Nothing is changed when memory is exhausted. */
static void grow(struct thread_events *events)
{
    size_t capacity = events->capacity ? events->capacity * 2 : THREAD_EVENTS_FIRST;
    struct thread_event *items = reallocarray(NULL, capacity, sizeof(*items));
    if (!items)
        return;
    size_t behind = events->n - events->next;
    if (events->n) {
        memcpy(items, events->items + events->next, behind * sizeof(*items));
        memcpy(items + behind, events->items, events->next * sizeof(*items));
    }
    free(events->items);
    events->items = items;
    events->capacity = capacity;
    events->next = events->n;
}

static void forget(struct thread_events *events, uint64_t ns)
{
    if (ns > events->forgotten_ns)
        events->forgotten_ns = ns;
}

void thread_events_note(struct thread_events *events, struct thread_event event, uint64_t needed_ns)
{
    bool full = events->n == events->capacity;
    if (full && (!events->n || (events->items[events->next].ns >= needed_ns &&
                                events->capacity < THREAD_EVENTS_MOST)))
        grow(events);
    if (events->capacity == 0) {
        forget(events, event.ns);
        return;
    }
    if (events->n == events->capacity)
        forget(events, events->items[events->next].ns);
    else
        events->n++;
    events->items[events->next] = event;
    events->next = (events->next + 1) % events->capacity;
}

int thread_events_change(const struct thread_events *events, uint32_t tgid, uint64_t moment_ns,
                         bool after)
{
    int change = 0;
    for (size_t i = 0; i < events->n; i++)
        if (events->items[i].tgid == tgid && (events->items[i].ns > moment_ns) == after)
            change += events->items[i].change;
    return change;
}

int thread_events_change_of_others(const struct thread_events *events, uint32_t tgid)
{
    int change = 0;
    for (size_t i = 0; i < events->n; i++)
        if (events->items[i].tgid != tgid)
            change += events->items[i].change;
    return change;
}

bool thread_events_between(const struct thread_events *events, uint32_t tgid, uint64_t from_ns,
                           uint64_t until_ns)
{
    for (size_t i = 0; i < events->n; i++)
        if (events->items[i].tgid == tgid && events->items[i].ns >= from_ns &&
            events->items[i].ns <= until_ns)
            return true;
    return false;
}

void thread_events_deinit(struct thread_events *events)
{
    free(events->items);
    *events = (struct thread_events){0};
}
