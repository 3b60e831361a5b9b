/* Events come in the order in which things happened, and the tree is kept as it was at each of
 * them: a path is that of the moment of its event, as far as the tree was known by then.
 *
 * That a directory was moved is believed when it says so itself, by its watch: its name may be that
 * of another one by now (two directories that are exchanged, or one that replaces another). */
#include "collectors/inotify/tree_watch_private.h"

static uint32_t file_events_of(uint32_t mask)
{
    static const struct {
        uint32_t mask, event;
    } events[] = {
        {IN_OPEN,          FILE_OPENED            },
        {IN_MODIFY,        FILE_MODIFIED          },
        {IN_CLOSE_WRITE,   FILE_CLOSED_AFTER_WRITE},
        {IN_CLOSE_NOWRITE, FILE_CLOSED            },
        {IN_CREATE,        FILE_CREATED           },
        {IN_DELETE,        FILE_DELETED           },
        {IN_ATTRIB,        FILE_ATTRIBUTES_CHANGED},
    };
    const uint32_t of_directories = FILE_CREATED | FILE_DELETED | FILE_ATTRIBUTES_CHANGED;
    uint32_t set = 0;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (mask & events[i].mask)
            set |= events[i].event;
    return mask & IN_ISDIR ? set & of_directories : set;
}

/* In a new directory, a name that was there before it was watched is told first. */
static void make_known(struct tree_watch *watch, struct watched_directory *directory,
                       const struct inotify_record *record)
{
    if (watch->position > directory->known_until)
        return;
    struct arrival *arrival = arrivals_find(watch->arrivals, directory, record->name);
    if (!arrival)
        arrival = arrivals_add(watch->arrivals, directory, record->name);
    if (arrival && !arrival->told && !(record->mask & (IN_CREATE | IN_MOVED_TO)))
        tree_watch_tell_found(watch, directory, record->name, record->mask & IN_ISDIR);
    if (arrival)
        arrival->told = true;
}

void tree_watch_give_up_move(struct tree_watch *watch, struct move *move)
{
    struct fact_file fact = {.events = FILE_RENAMED,
                             .since_ns = move->since_ns,
                             .directory = move->directory,
                             .path = move->path,
                             .status.size = UINT64_MAX};
    if (!move->told)
        tree_watch_tell_path(watch, &fact, move->boot_ns);
    moves_remove(&watch->moves, move);
}

static void take_moved_from(struct tree_watch *watch, struct watched_directory *directory,
                            const struct inotify_record *record)
{
    struct slice path = tree_watch_path(watch, directory, record->name);
    if (slice_is_null(path))
        return;
    if (watch->moves.n == MOVES_MOST)
        tree_watch_give_up_move(watch, moves_first(&watch->moves));
    struct move *move =
        moves_add(&watch->moves, record->cookie, directory->watch, path, record->name);
    if (!move) {
        watch->error = -ENOMEM;
        return;
    }
    move->directory = record->mask & IN_ISDIR;
    move->since_ns = watch->since_ns;
    move->boot_ns = watch->boot_ns;
}

static void tell_rename(struct tree_watch *watch, const struct watched_directory *directory,
                        const struct inotify_record *record, const struct move *move)
{
    struct slice new_path = tree_watch_path(watch, directory, record->name);
    struct fact_file fact = {.events = FILE_RENAMED,
                             .since_ns = move ? move->since_ns : watch->since_ns,
                             .directory = record->mask & IN_ISDIR,
                             .path = move ? move->path : new_path,
                             .new_path = new_path};
    if (!slice_is_null(new_path))
        tree_watch_tell_path(watch, &fact, watch->boot_ns);
}

/* A directory that is not watched yet, though it was there, was made a moment ago, unless there are
 * more than may be watched. */
static void take_moved_to(struct tree_watch *watch, struct watched_directory *directory,
                          const struct inotify_record *record)
{
    struct move *move = moves_find(&watch->moves, record->cookie);
    tell_rename(watch, directory, record, move);
    if (record->mask & IN_ISDIR)
        tree_watch_add_entry(watch, directory, record->name,
                             move && watch->n_at_limit + watch->n_refused == 0);
    if (!move)
        return;
    if (!move->directory)
        moves_remove(&watch->moves, move);
    else if (moves_arrive(move, directory->watch, record->name) < 0)
        watch->stale = true;
}

void tree_watch_list_again(struct tree_watch *watch, struct watched_directory *top)
{
    for (struct watched_directory *d = top; d; d = watch_tree_next(top, d))
        if (d->again)
            tree_watch_enqueue(watch, d);
}

static void move_directory(struct tree_watch *watch, struct watched_directory *directory,
                           const struct move *move)
{
    struct watched_directory *parent = watch_tree_find(watch->tree, move->to_watch);
    if (!parent || watch_tree_move(watch->tree, directory, parent, move->new_name) < 0)
        watch->stale = true;
    else
        tree_watch_list_again(watch, directory);
}

static void take_move_self(struct tree_watch *watch, struct watched_directory *directory)
{
    struct move *move =
        directory->parent
            ? moves_find_place(&watch->moves, directory->parent->watch, slice_text(directory->name))
            : NULL;
    if (!directory->parent) { /* nobody says where it is now, unless it is within another tree */
        watch_tree_remove(watch->tree, directory);
        watch->stale |= watch->n_tops > 1;
    } else if (!move) {
        watch->stale = true;
    } else if (move->told) {
        move_directory(watch, directory, move);
        moves_remove(&watch->moves, move);
    } else {
        tree_watch_give_up_move(watch, move);
        watch_tree_remove(watch->tree, directory);
    }
}

/* Of the top of a tree, nobody else speaks. */
static void take_self(struct tree_watch *watch, struct watched_directory *directory,
                      const struct inotify_record *record)
{
    uint32_t events = (record->mask & IN_ATTRIB ? FILE_ATTRIBUTES_CHANGED : 0) |
                      (record->mask & IN_DELETE_SELF ? FILE_DELETED : 0);
    if (!directory->parent && events)
        tree_watch_tell(watch, directory, SLICE_NULL, events, true);
    if (record->mask & IN_MOVE_SELF) {
        take_move_self(watch, directory);
    } else if (record->mask & IN_IGNORED) {
        directory->gone = true;
        watch_tree_remove(watch->tree, directory);
    }
}

static void take_named(struct tree_watch *watch, struct watched_directory *directory,
                       const struct inotify_record *record)
{
    uint32_t events = file_events_of(record->mask);
    make_known(watch, directory, record);
    if ((record->mask & IN_CREATE) && (record->mask & IN_ISDIR))
        tree_watch_add_entry(watch, directory, record->name, true);
    if (record->mask & IN_MOVED_FROM)
        take_moved_from(watch, directory, record);
    if (record->mask & IN_MOVED_TO)
        take_moved_to(watch, directory, record);
    if (events)
        tree_watch_tell(watch, directory, record->name, events, record->mask & IN_ISDIR);
}

void tree_watch_take_event(struct tree_watch *watch, const struct inotify_record *record)
{
    if (record->mask & IN_Q_OVERFLOW) {
        watch->stale = true;
        int r = watch->options.handlers->overrun(watch->options.handlers->user);
        watch->error = r < 0 ? r : watch->error;
        return;
    }
    struct watched_directory *directory = watch_tree_find(watch->tree, record->watch);
    if (directory && slice_is_null(record->name))
        take_self(watch, directory, record);
    else if (directory)
        take_named(watch, directory, record);
}
