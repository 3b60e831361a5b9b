#pragma once
/*
 * What was heard of threads lately, births and ends. /proc is read earlier than what was read
 * arrives, and a reading says what was there at some moment between its begin and its end: to
 * compare a number of threads with what was heard, the moments are needed. Bounded; says how far
 * back it reaches.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { THREAD_EVENTS_FIRST = 512, THREAD_EVENTS_MOST = 65536 };

struct thread_event {
    uint32_t tgid;
    int change;  /* born: 1, ended: -1 */
    uint64_t ns; /* CLOCK_BOOTTIME, as all moments here; events come roughly in order */
};

/* A ring. All zero is a valid, empty one. */
struct thread_events {
    struct thread_event *items; /* owned */
    size_t capacity, n, next;
    uint64_t forgotten_ns; /* of the youngest one that had no place; 0: all are there */
};

/** One more; the oldest are forgotten, those younger than @p needed_ns as late as memory allows. */
void thread_events_note(struct thread_events *events, struct thread_event event,
                        uint64_t needed_ns);
/** By how many the threads of @p tgid have grown up to a moment, inclusive, or after it. */
int thread_events_change(const struct thread_events *events, uint32_t tgid, uint64_t moment_ns,
                         bool after);
/** By how many all threads have grown, as far as remembered, without those of @p tgid. */
int thread_events_change_of_others(const struct thread_events *events, uint32_t tgid);
/** Whether a thread of @p tgid was born or ended between these moments, inclusive. */
bool thread_events_between(const struct thread_events *events, uint32_t tgid, uint64_t from_ns,
                           uint64_t until_ns);
/** Frees the items; it is empty then. */
void thread_events_deinit(struct thread_events *events);
