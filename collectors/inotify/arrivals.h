#pragma once
/*
 * What is in a new directory. It is watched from some moment after its birth: what was made in it
 * before is found by listing it, what comes after that by events, and what comes in between by
 * both. So until the events from before the end of the listing have been read, each name that was
 * heard or listed is kept here, with whether it was told. Bounded in bytes. One thread.
 */
#include "collectors/inotify/watch_tree.h"

enum { ARRIVALS_BYTES = 4 << 20 };

struct arrival {
    struct watched_directory *directory;
    struct slice name;
    bool told;
    TAILQ_ENTRY(arrival) in_list;
    uint8_t bytes[];
};

struct arrivals;

int arrivals_new(struct arrivals **arrivalsp) MUST_CHECK;
struct arrivals *arrivals_free(struct arrivals *arrivals);
struct arrival *arrivals_find(const struct arrivals *arrivals, struct watched_directory *directory,
                              struct slice name);
/** NULL when there is no room. The name may not be there yet. */
struct arrival *arrivals_add(struct arrivals *arrivals, struct watched_directory *directory,
                             struct slice name);
void arrivals_remove(struct arrivals *arrivals, struct arrival *arrival);
/** In the order in which they were added; NULL: none. */
struct arrival *arrivals_first(const struct arrivals *arrivals);
struct arrival *arrivals_next(struct arrival *arrival);
