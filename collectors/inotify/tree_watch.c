/* Events are read until there are none, then a few directories are listed, and so on. What was
 * heard when the queue of the kernel was empty last is the earliest time of what it holds now.
 *
 * After an overflow, or when a rename was missed, the paths cannot be believed any more: everything
 * is forgotten and watched anew, though not too often; until then facts say that their paths are
 * those of reading. */
#include "collectors/inotify/tree_watch_private.h"

#include "core/gulp.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTS_AT_ONCE = 64, READS_AT_ONCE = 16, ARRIVALS_MS = 10 };

#define MOVE_WAIT_NS   (100 * UINT64_C(1000000))
#define BEGIN_LEAST_NS (5 * UINT64_C(1000000000))
#define FINISH_MOST_NS (250 * UINT64_C(1000000))
#define NANOSECONDS_MS UINT64_C(1000000)

/* Telling. */

struct slice tree_watch_path(struct tree_watch *watch, const struct watched_directory *directory,
                             struct slice name)
{
    buffer_clear(&watch->path);
    watch_tree_append_path(&watch->path, directory, name);
    if (watch->path.failed)
        watch->error = -ENOMEM;
    return watch->path.failed ? SLICE_NULL : buffer_slice(&watch->path);
}

static struct file_status status_of(struct tree_watch *watch, struct slice path)
{
    struct statx status;
    struct file_status unknown = {.size = UINT64_MAX};
    buffer_clear(&watch->new_path);
    buffer_append_slice(&watch->new_path, path);
    buffer_append_byte(&watch->new_path, 0);
    if (watch->new_path.failed || statx(AT_FDCWD, (const char *)watch->new_path.data,
                                        AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                                        STATX_BASIC_STATS, &status) < 0)
        return unknown;
    return (struct file_status){.device =
                                    (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor,
                                .inode = status.stx_ino,
                                .mode = status.stx_mode,
                                .size = status.stx_size};
}

static bool is_told(const struct tree_watch *watch, const struct fact_file *fact)
{
    const struct file_selection *selection = watch->options.selection;
    return file_verdict_tells(file_selection_path(selection, fact->path), fact->events) ||
           (!slice_is_null(fact->new_path) &&
            file_verdict_tells(file_selection_path(selection, fact->new_path), fact->events));
}

static void hand_over(struct tree_watch *watch, struct fact_file *fact, uint64_t boot_ns)
{
    const struct tree_watch_handlers *handlers = watch->options.handlers;
    bool gone = (fact->events & FILE_DELETED) ||
                ((fact->events & FILE_RENAMED) && slice_is_null(fact->new_path));
    fact->path_at_read = watch->stale;
    fact->status =
        gone ? (struct file_status){.size = UINT64_MAX}
             : status_of(watch, slice_is_null(fact->new_path) ? fact->path : fact->new_path);
    fact->directory |= S_ISDIR(fact->status.mode);
    int r = watch->error < 0 ? 0 : handlers->take(handlers->user, boot_ns, fact);
    watch->error = r < 0 ? r : watch->error;
}

void tree_watch_tell_path(struct tree_watch *watch, struct fact_file *fact, uint64_t boot_ns)
{
    if (is_told(watch, fact))
        hand_over(watch, fact, boot_ns);
}

/* For most directories the verdict is the same for all that is in them. */
static enum file_verdict verdict_of(struct tree_watch *watch, struct watched_directory *directory)
{
    uint64_t generation = watch_tree_generation(watch->tree);
    if (directory->generation != generation) {
        directory->verdict = file_selection_below(watch->options.selection,
                                                  tree_watch_path(watch, directory, SLICE_NULL));
        directory->generation = generation;
    }
    return directory->verdict;
}

static void tell(struct tree_watch *watch, struct watched_directory *directory, struct slice name,
                 struct fact_file *fact, uint64_t boot_ns)
{
    enum file_verdict verdict = slice_is_null(name) ? FILE_MIXED : verdict_of(watch, directory);
    if (verdict != FILE_MIXED && !file_verdict_tells(verdict, fact->events))
        return;
    fact->path = tree_watch_path(watch, directory, name);
    if (!slice_is_null(fact->path) && (verdict != FILE_MIXED || is_told(watch, fact)))
        hand_over(watch, fact, boot_ns);
}

void tree_watch_tell(struct tree_watch *watch, struct watched_directory *directory,
                     struct slice name, uint32_t events, bool is_directory)
{
    struct fact_file fact = {
        .events = events, .since_ns = watch->since_ns, .directory = is_directory};
    tell(watch, directory, name, &fact, watch->boot_ns);
}

void tree_watch_tell_found(struct tree_watch *watch, struct watched_directory *directory,
                           struct slice name, bool is_directory)
{
    struct fact_file fact = {
        .events = FILE_CREATED, .since_ns = directory->since_ns, .directory = is_directory};
    tell(watch, directory, name, &fact, clock_boot_ns());
}

void tree_watch_tell_arrival(struct tree_watch *watch, struct arrival *arrival)
{
    if (!arrival->told)
        tree_watch_tell_found(watch, arrival->directory, arrival->name, false);
    arrivals_remove(watch->arrivals, arrival);
}

/* Life. */

static void on_leave(void *user, struct watched_directory *directory)
{
    struct tree_watch *watch = user;
    struct arrival *arrival = arrivals_first(watch->arrivals), *next;
    for (; arrival && directory->n_arrivals; arrival = next) {
        next = arrivals_next(arrival);
        if (arrival->directory == directory)
            tree_watch_tell_arrival(watch, arrival);
    }
    tree_watch_dequeue(watch, directory);
    if (!directory->gone)
        inotify_rm_watch(watch->fd, directory->watch);
    for (size_t i = 0; i < watch->n_tops && !directory->parent; i++)
        if (watch->tops[i].directory == directory)
            watch->tops[i] = (struct watched_top){.path = watch->tops[i].path, .error = ENOENT};
}

static void tell_all_that_waits(struct tree_watch *watch)
{
    while (watch->arrivals && arrivals_first(watch->arrivals))
        tree_watch_tell_arrival(watch, arrivals_first(watch->arrivals));
    while (moves_first(&watch->moves))
        tree_watch_give_up_move(watch, moves_first(&watch->moves));
}

static void forget(struct tree_watch *watch)
{
    tell_all_that_waits(watch);
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
    watch->tree = watch_tree_free(watch->tree);
    watch->arrivals = arrivals_free(watch->arrivals);
    TAILQ_INIT(&watch->queue);
    for (size_t i = 0; i < watch->n_tops; i++)
        watch->tops[i].directory = NULL;
}

static int begin(struct tree_watch *watch)
{
    watch->stale = false;
    watch->begun_ns = watch->since_ns = watch->boot_ns = clock_boot_ns();
    watch->n_read = watch->position = 0;
    watch->n_at_limit = watch->n_refused = 0;
    int r = watch_tree_new(&watch->tree, on_leave, watch);
    if (r == 0)
        r = arrivals_new(&watch->arrivals);
    if (r == 0 && watch->n_tops > 0) {
        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        watch->start_error = watch->fd < 0 ? errno : 0;
    }
    for (size_t i = 0; r == 0 && watch->fd >= 0 && i < watch->n_tops; i++)
        tree_watch_add_top(watch, &watch->tops[i]);
    return r;
}

static int tell_unheard(const struct tree_watch *watch)
{
    return watch->options.handlers->overrun(watch->options.handlers->user);
}

/* What happens until all is watched again is heard by nobody: that is told at its begin and its
 * end. */
static int begin_anew(struct tree_watch *watch)
{
    int r = tell_unheard(watch);
    forget(watch);
    watch->renewing = true;
    return r < 0 ? r : begin(watch);
}

static int take_tops(struct tree_watch *watch, const char *text)
{
    static const char blanks[] = " \t\n";
    for (text = text ? text : ""; *(text += strspn(text, blanks));) {
        size_t length = strcspn(text, blanks);
        struct watched_top *tops = realloc(watch->tops, (watch->n_tops + 1) * sizeof(*tops));
        char *path = tops ? strndup(text, length) : NULL;
        watch->tops = tops ? tops : watch->tops;
        if (!path)
            return -ENOMEM;
        watch->tops[watch->n_tops++] = (struct watched_top){.path = path};
        text += length;
    }
    return 0;
}

int tree_watch_new(struct tree_watch **watchp, const struct tree_watch_options *options,
                   struct error_text *error)
{
    struct tree_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return error_set(error, -ENOMEM, "out of memory");
    watch->options = *options;
    watch->options.trees = NULL;
    watch->fd = -1;
    moves_init(&watch->moves);
    TAILQ_INIT(&watch->queue);
    int r = take_tops(watch, options->trees);
    if (r == 0)
        r = begin(watch);
    if (r < 0) {
        tree_watch_free(watch);
        return error_set(error, r, "out of memory");
    }
    *watchp = watch;
    return 0;
}

struct tree_watch *tree_watch_free(struct tree_watch *watch)
{
    if (watch) {
        watch->error = -ECANCELED; /* nobody is told any more */
        forget(watch);
        for (size_t i = 0; i < watch->n_tops; i++)
            free(watch->tops[i].path);
        free(watch->tops);
        buffer_deinit(&watch->path);
        buffer_deinit(&watch->new_path);
        free(watch);
    }
    return NULL;
}

/* Work. */

static void take_events(struct tree_watch *watch, size_t length)
{
    struct slice bytes = slice_of(watch->events, length);
    struct inotify_record record;
    while (watch->error == 0 && inotify_record_next(&bytes, &record) == INOTIFY_RECORD) {
        watch->position += record.length;
        tree_watch_take_event(watch, &record);
    }
}

/* True when the kernel has no more events. */
static bool read_events(struct tree_watch *watch)
{
    for (unsigned i = 0; i < READS_AT_ONCE && watch->error == 0; i++) {
        uint64_t before = clock_boot_ns();
        ssize_t n = read(watch->fd, watch->events, sizeof(watch->events));
        if (n <= 0) {
            watch->since_ns = before;
            return true;
        }
        watch->boot_ns = clock_boot_ns();
        watch->n_read += (size_t)n;
        take_events(watch, (size_t)n);
    }
    return false;
}

static void tell_arrivals(struct tree_watch *watch)
{
    struct arrival *arrival = arrivals_first(watch->arrivals), *next;
    for (; arrival && watch->error == 0; arrival = next) {
        next = arrivals_next(arrival);
        if (arrival->directory->known_until <= watch->n_read)
            tree_watch_tell_arrival(watch, arrival);
    }
}

static void give_up_moves(struct tree_watch *watch)
{
    struct move *move;
    while (watch->error == 0 && (move = moves_first(&watch->moves)) &&
           move->boot_ns + MOVE_WAIT_NS < watch->since_ns)
        tree_watch_give_up_move(watch, move);
}

/* What is in it may have come since its place is watched: nobody has heard of it yet. Such ones are
 * the first of the queue. */
static bool first_is_news(const struct tree_watch *watch)
{
    const struct watched_directory *first = TAILQ_FIRST(&watch->queue);
    return first && (first->fresh || first->again);
}

int tree_watch_process(struct tree_watch *watch)
{
    bool drained = true;
    if (watch->fd < 0)
        return 0;
    for (unsigned i = 0; i < LISTS_AT_ONCE && watch->error == 0; i++) {
        drained = read_events(watch);
        tell_arrivals(watch);
        if (drained && !first_is_news(watch))
            watch->heard_until_ns = watch->since_ns;
        if (!drained || TAILQ_EMPTY(&watch->queue))
            break;
        tree_watch_list_first(watch);
    }
    if (drained)
        give_up_moves(watch);
    if (watch->stale && watch->error == 0 && clock_boot_ns() >= watch->begun_ns + BEGIN_LEAST_NS)
        watch->error = begin_anew(watch);
    if (watch->renewing && watch->error == 0 && tree_watch_settled(watch)) {
        watch->renewing = false;
        watch->error = tell_unheard(watch);
    }
    int r = watch->error;
    watch->error = 0;
    return r;
}

int tree_watch_finish(struct tree_watch *watch)
{
    uint64_t end_ns = clock_boot_ns();
    int r = 0;
    if (watch->fd < 0)
        return watch->renewing ? tell_unheard(watch) : 0;
    do /* once in any case: whatever waits was there before */
        r = tree_watch_process(watch);
    while (r == 0 && watch->fd >= 0 && watch->heard_until_ns < end_ns &&
           clock_boot_ns() < end_ns + FINISH_MOST_NS);
    tell_all_that_waits(watch);
    if (watch->renewing || watch->heard_until_ns < end_ns)
        watch->error = tell_unheard(watch);
    return r < 0 ? r : watch->error;
}

int tree_watch_retry(struct tree_watch *watch)
{
    if (watch->fd < 0 && watch->n_tops > 0) {
        forget(watch);
        return begin(watch);
    }
    for (size_t i = 0; i < watch->n_tops; i++)
        if (watch->tops[i].directory)
            tree_watch_list_again(watch, watch->tops[i].directory);
        else if (!watch->tops[i].left_out)
            tree_watch_add_top(watch, &watch->tops[i]);
    int r = watch->error;
    watch->error = 0;
    return r;
}

/* What is asked. */

int tree_watch_fd(const struct tree_watch *watch)
{
    return watch->fd;
}

static unsigned least_ms(uint64_t until_ns, unsigned most_ms)
{
    uint64_t now = clock_boot_ns();
    uint64_t left_ms = until_ns > now ? (until_ns - now) / NANOSECONDS_MS + 1 : 0;
    return left_ms < most_ms ? (unsigned)left_ms : most_ms;
}

unsigned tree_watch_timeout_ms(const struct tree_watch *watch, unsigned most_ms)
{
    const struct move *move = moves_first(&watch->moves);
    if (!TAILQ_EMPTY(&watch->queue))
        return 0;
    if (watch->arrivals && arrivals_first(watch->arrivals) && most_ms > ARRIVALS_MS)
        most_ms = ARRIVALS_MS;
    if (move)
        most_ms = least_ms(move->boot_ns + MOVE_WAIT_NS, most_ms);
    if (watch->stale)
        most_ms = least_ms(watch->begun_ns + BEGIN_LEAST_NS, most_ms);
    return most_ms;
}

uint64_t tree_watch_told_until(const struct tree_watch *watch)
{
    uint64_t until_ns = watch->heard_until_ns;
    const struct move *move;
    if (!tree_watch_active(watch))
        return UINT64_MAX;
    TAILQ_FOREACH(move, &watch->moves.list, in_list)
    if (!move->told && move->since_ns < until_ns)
        until_ns = move->since_ns;
    return until_ns;
}

bool tree_watch_settled(const struct tree_watch *watch)
{
    return TAILQ_EMPTY(&watch->queue);
}

bool tree_watch_active(const struct tree_watch *watch)
{
    for (size_t i = 0; i < watch->n_tops; i++)
        if (watch->tops[i].directory)
            return true;
    return false;
}

size_t tree_watch_count(const struct tree_watch *watch)
{
    return watch->tree ? watch_tree_count(watch->tree) : 0;
}

static void append_unwatched(struct buffer *to, size_t n, bool exact, const char *reason)
{
    if (n && exact)
        buffer_printf(to, "; %zu and what is in them not: %s", n, reason);
    else if (n)
        buffer_printf(to, "; some not: %s", reason);
}

void tree_watch_append_note(const struct tree_watch *watch, bool exact, struct buffer *to)
{
    const char *before = "; trees ";
    for (size_t i = 0; i < watch->n_tops; i++)
        if (watch->tops[i].directory) {
            buffer_printf(to, "%s%s", before, watch->tops[i].path);
            before = " ";
        }
    if (exact && tree_watch_active(watch))
        buffer_printf(to, ": %zu directories watched, processes unknown", tree_watch_count(watch));
    append_unwatched(to, watch->n_at_limit, exact, "limit of watches");
    append_unwatched(to, watch->n_refused, exact, "may not be read");
    for (size_t i = 0; i < watch->n_tops; i++)
        if (!watch->tops[i].directory && watch->tops[i].error)
            buffer_printf(to, "; %s not watched: %s", watch->tops[i].path,
                          strerror(watch->tops[i].error));
    if (watch->start_error)
        buffer_printf(to, "; no directories are watched: %s%s", strerror(watch->start_error),
                      watch->start_error == EMFILE ? " (fs.inotify.max_user_instances)" : "");
}
