#pragma once
/* What the files of tree_watch share; see tree_watch.h. */
#include "collectors/inotify/arrivals.h"
#include "collectors/inotify/inotify_event.h"
#include "collectors/inotify/moves.h"
#include "collectors/inotify/tree_watch.h"

#include <sys/inotify.h>

enum { TREE_WATCH_READ_BYTES = 64 << 10 };

struct watched_top {
    char *path;                          /* as configured */
    struct watched_directory *directory; /* NULL: not watched, because ... */
    int error;                           /* ... of this errno, or 0: */
    bool left_out;                       /* ... it is left to fanotify, or within another tree */
};

TAILQ_HEAD(watched_queue, watched_directory);

struct tree_watch {
    struct tree_watch_options options;
    struct watched_top *tops;
    size_t n_tops;
    int fd;
    struct watch_tree *tree;
    struct arrivals *arrivals;
    struct moves moves;
    struct watched_queue queue;   /* directories that wait to be listed */
    uint64_t n_read;              /* bytes of events, since the descriptor was opened */
    uint64_t position;            /* of the end of the event at hand */
    uint64_t since_ns, boot_ns;   /* the events at hand came between */
    uint64_t heard_until_ns;      /* what happened before is told, or one of the moves */
    size_t n_at_limit, n_refused; /* directories that are not watched */
    bool stale;                   /* a rename may have been missed: begin anew */
    bool renewing;                /* it has begun anew, and not all is watched yet */
    uint64_t begun_ns;            /* when it began last */
    int error;                    /* of a handler, or of memory */
    int start_error;              /* why there is no descriptor */
    struct buffer path, new_path;
    uint8_t events[TREE_WATCH_READ_BYTES] __attribute__((aligned(8)));
};

/* tree_watch.c */

/** Tell what happened to an entry of a directory. */
void tree_watch_tell(struct tree_watch *watch, struct watched_directory *directory,
                     struct slice name, uint32_t events, bool is_directory);
/** Tell that it was made at some time since nobody watched yet. */
void tree_watch_tell_found(struct tree_watch *watch, struct watched_directory *directory,
                           struct slice name, bool is_directory);
/** Tell a fact with its paths, and find out what else it says. */
void tree_watch_tell_path(struct tree_watch *watch, struct fact_file *fact, uint64_t boot_ns);
/** An arrival that no event has told. */
void tree_watch_tell_arrival(struct tree_watch *watch, struct arrival *arrival);
/** The path of an entry, in watch->path; SLICE_NULL: out of memory. */
struct slice tree_watch_path(struct tree_watch *watch, const struct watched_directory *directory,
                             struct slice name);

/* tree_watch_places.c: watching and listing */

/** Watch the top of a tree. */
void tree_watch_add_top(struct tree_watch *watch, struct watched_top *top);
/** Watch an entry of a directory, if it is one, and have it listed. */
void tree_watch_add_entry(struct tree_watch *watch, struct watched_directory *parent,
                          struct slice name, bool fresh);
/** List the first directory of the queue. */
void tree_watch_list_first(struct tree_watch *watch);
void tree_watch_enqueue(struct tree_watch *watch, struct watched_directory *directory);
void tree_watch_dequeue(struct tree_watch *watch, struct watched_directory *directory);

/* tree_watch_events.c */

void tree_watch_take_event(struct tree_watch *watch, const struct inotify_record *record);
/** List once more what could not be found in its place. */
void tree_watch_list_again(struct tree_watch *watch, struct watched_directory *top);
/** A move whose other half is not coming any more. */
void tree_watch_give_up_move(struct tree_watch *watch, struct move *move);
