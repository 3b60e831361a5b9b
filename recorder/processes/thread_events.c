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

/* Messages of several processors may be out of order by much less. */
static const uint64_t order_ns = 1000000000;

/* The event before the last @p n ones, if there is one that may be from @p from_ns or later. */
static const struct thread_event *newest(const struct thread_events *events, size_t n,
                                         uint64_t from_ns)
{
    if (n >= events->n)
        return NULL;
    const struct thread_event *event =
        &events->items[(events->next + events->capacity - 1 - n) % events->capacity];
    return event->ns + order_ns >= from_ns ? event : NULL;
}

int thread_events_change(const struct thread_events *events, uint32_t tgid, uint64_t moment_ns,
                         bool after)
{
    const struct thread_event *event;
    int change = 0;
    for (size_t n = 0; (event = newest(events, n, after ? moment_ns : 0)); n++)
        if (event->tgid == tgid && (event->ns > moment_ns) == after)
            change += event->change;
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
    const struct thread_event *event;
    for (size_t n = 0; (event = newest(events, n, from_ns)); n++)
        if (event->tgid == tgid && event->ns >= from_ns && event->ns <= until_ns)
            return true;
    return false;
}

void thread_events_deinit(struct thread_events *events)
{
    free(events->items);
    *events = (struct thread_events){0};
}
