#pragma once
/*
 * Renames of which not all has been heard. The kernel says that a name went away, then, with the
 * same cookie, that one came, unless that is where nobody watches, and at last the directory that
 * was moved, if it is one and is watched, says so itself. Bounded. Pure. One thread.
 */
#include "core/error.h"
#include "core/slice.h"

#include <sys/queue.h>

enum { MOVES_MOST = 1024 };

struct move {
    uint32_t cookie;
    bool directory, told; /* told: its new place has been heard, too */
    uint64_t since_ns, boot_ns;
    int32_t from_watch, to_watch; /* of the directories that held it, and hold it */
    struct slice path;            /* the old one, with the name at its end */
    struct slice name, new_name;
    TAILQ_ENTRY(move) in_list;
    uint8_t *new_bytes;
    uint8_t bytes[];
};

TAILQ_HEAD(move_list, move);

struct moves {
    struct move_list list; /* oldest first */
    size_t n;
};

void moves_init(struct moves *moves);
void moves_deinit(struct moves *moves);
/** A name went away; @p path ends in @p name. NULL: out of memory, or MOVES_MOST wait. */
struct move *moves_add(struct moves *moves, uint32_t cookie, int32_t from_watch, struct slice path,
                       struct slice name);
/** It came to a place. Returns 0 or -ENOMEM. */
int moves_arrive(struct move *move, int32_t to_watch, struct slice new_name) MUST_CHECK;
/** The one with this cookie whose new place is not known yet, or NULL. */
struct move *moves_find(const struct moves *moves, uint32_t cookie);
/** The oldest move of a directory from that place, or NULL. */
struct move *moves_find_place(const struct moves *moves, int32_t from_watch, struct slice name);
struct move *moves_first(const struct moves *moves);
void moves_remove(struct moves *moves, struct move *move);
