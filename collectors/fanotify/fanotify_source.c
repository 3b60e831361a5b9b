/* The thread sleeps until there are events or another mount, naps so that events gather, and reads
 * all. A new mount is watched before the nap. What is gone is forgotten after the next reading,
 * when nothing more can come of it.
 *
 * An event becomes a fact in this order: what it says of directories goes into the tree; where it
 * happened is found in the tree; what the directory's verdict excludes ends there, which costs no
 * path; the path, as the host sees it, is judged by itself when the directory's verdict is not the
 * same for all that is in it; and the file is looked at.
 *
 * The kernel merges equal events that wait unread, so of a directory that is renamed to and fro
 * within one nap nobody knows where it was last: from then until all has been read, the places are
 * those that the kernel says at that moment, and say so. A file's events that merge have the path
 * of the first of them.
 *
 * A directory whose events were dropped for nothing twice is passed over by the kernel from then
 * on, until it, or one above it, has another name. */
#include "collectors/fanotify/fanotify_source.h"

#include "collectors/fanotify/directory_finder.h"
#include "collectors/fanotify/fanotify_event.h"
#include "collectors/fanotify/passed_files.h"
#include "collectors/procfs/message_queue.h"
#include "collectors/procfs/source_thread.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
    NAP_MS = 20,
    IDLE_MS = 10000,
    READ_BYTES = 256 << 10,
    QUEUE_BYTES = 1 << 20,
    TREE_BYTES = 8 << 20,
    IGNORED_MOST = 8192,
    ORIGINS_MOST = 1024,
    DROPS_BEFORE_IGNORED = 2
};

struct source {
    struct file_selection *selection;
    struct fanotify_group group;
    struct filesystems filesystems;
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    _Atomic uint64_t read_until_ns;
    /* Of the thread, once it runs: */
    struct directory_tree *tree;
    uint64_t generation; /* of verdicts */
    size_t n_ignored;
    struct passed_files passed;
    uint32_t own_pid;
    uint64_t since_ns; /* no event that waited was older at the last reading */
    uint64_t read_ns;  /* the reading that is under way */
    /* Of that reading: */
    bool unsure;                    /* a directory may be elsewhere than what was read says */
    uint64_t origins[ORIGINS_MOST]; /* hashes of directories and the places that they left */
    size_t n_origins;
    struct buffer told_note;
    struct buffer path, new_path; /* of the event */
    struct buffer real_path;      /* what is looked at: before the overlay's view */
    uint8_t message[FANOTIFY_MESSAGE_MOST];
    uint8_t events[READ_BYTES] __attribute__((aligned(8)));
};

/* Where an event happened. */
struct where {
    struct directory *directory; /* NULL: nobody knows */
    enum file_verdict verdict;   /* of the path */
    bool at_read;
    bool from_work; /* it is an overlay's own business */
};

/* Waits for room. Fails only when the source is being stopped and nobody reads on. */
static void put(struct source *source, enum message_kind kind, struct slice bytes)
{
    int r = message_queue_put(source->queue, kind, source->read_ns, bytes);
    if (r < 0 && r != -ECANCELED)
        log_error("fanotify", "a message is lost: %s", strerror(-r));
}

static void count(const struct source *source, enum counter_id id)
{
    if (source->counters)
        counter_add(source->counters, id, 1);
}

/* ---- directories that the kernel passes over ---- */

static struct filesystem *filesystem_of(const struct source *source, const struct file_id *id)
{
    return filesystems_find(&source->filesystems, id->filesystem);
}

static int open_directory(const struct source *source, const struct directory *directory)
{
    struct filesystem *filesystem = filesystem_of(source, &directory->id);
    return filesystem ? directory_finder_open(filesystem, &directory->id) : -ENOENT;
}

/* An event that was made before the mark says nothing; one made behind it says that the kernel has
 * forgotten the mark along with the directory's inode. */
static void ignore(struct source *source, struct directory *directory)
{
    if (!source->group.ignores || ++directory->n_dropped < DROPS_BEFORE_IGNORED ||
        (directory->pinned ? directory->marked_ns >= source->since_ns
                           : source->n_ignored >= IGNORED_MOST))
        return;
    AUTO_CLOSE int fd = open_directory(source, directory);
    bool all = directory->verdict == FILE_EXCLUDED;
    if (fd < 0 || fanotify_group_ignore(&source->group, fd, all) < 0)
        return;
    source->n_ignored += !directory->pinned;
    directory->marked_ns = clock_boot_ns();
    directory_tree_pin(source->tree, directory);
}

static void unpin(struct source *source, struct directory *directory)
{
    if (!directory->pinned)
        return;
    source->n_ignored--;
    directory->n_dropped = 0;
    directory_tree_unpin(source->tree, directory);
}

static void heed(void *user, struct directory *directory)
{
    struct source *source = user;
    AUTO_CLOSE int fd = open_directory(source, directory);
    if (fd >= 0)
        fanotify_group_heed(&source->group, fd);
    unpin(source, directory);
}

static void unpin_any(void *user, struct directory *directory)
{
    unpin(user, directory);
}

static void heed_files(struct source *source)
{
    for (size_t i = 0; i < source->passed.n; i++) {
        struct file_id id = passed_file_id(&source->passed.list[i]);
        struct filesystem *filesystem = filesystem_of(source, &id);
        AUTO_CLOSE int fd = filesystem ? directory_finder_open(filesystem, &id) : -1;
        if (fd >= 0)
            fanotify_group_heed_file(&source->group, fd);
    }
    source->passed.n = 0;
}

/* A file that is read for nothing, alone in a directory of which other files are told. With another
 * name it would be another matter, so it may have but one. */
static void ignore_file(struct source *source, const struct fanotify_event *event)
{
    struct filesystem *filesystem = filesystem_of(source, &event->target);
    struct passed_file *known = passed_files_find(&source->passed, &event->target);
    struct stat status;
    if (!source->group.ignores || !filesystem || !file_id_known(&event->target) ||
        (known && known->marked_ns >= source->since_ns))
        return;
    AUTO_CLOSE int fd = directory_finder_open(filesystem, &event->target);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)
        return;
    if (!known && source->passed.n == PASSED_FILES_MOST)
        heed_files(source);
    if (!known)
        known = passed_files_add(&source->passed, &event->target);
    if (known && fanotify_group_ignore_file(&source->group, fd) == 0)
        known->marked_ns = clock_boot_ns();
}

/* It has another name, or one more, or none: what it is judged by is over. */
static void learn_file(struct source *source, const struct fanotify_event *event)
{
    const uint64_t names = FAN_RENAME | FAN_MOVE | FAN_DELETE | FAN_CREATE | FAN_ATTRIB;
    if (source->passed.n && (event->mask & names) &&
        passed_files_find(&source->passed, &event->target))
        heed_files(source);
}

/* Nothing that is known of a filesystem's directories is certain any more. */
static void forget_directories(struct source *source, const struct filesystem *filesystem)
{
    fanotify_group_heed_all(&source->group);
    directory_tree_each_pinned(source->tree, NULL, unpin_any, source);
    directory_tree_forget(source->tree, filesystem->id);
    heed_files(source);
    source->generation++;
}

static void forget_all(struct source *source)
{
    fanotify_group_heed_all(&source->group);
    directory_tree_each_pinned(source->tree, NULL, unpin_any, source);
    directory_tree_clear(source->tree);
    heed_files(source);
    source->generation++;
}

/* ---- where it happened ---- */

/* The path that the host sees at @p directory, before an overlay's view. */
static void append_real_path(const struct source *source, const struct directory *directory,
                             struct buffer *to, uint64_t *found_ns)
{
    const struct filesystem *filesystem = filesystem_of(source, &directory->id);
    if (filesystem)
        buffer_append_text(to, filesystem->point);
    directory_append_path(directory, to, found_ns);
}

static void append_view(struct buffer *to, struct slice path, const struct overlay_layer *layer)
{
    size_t left_out = 0;
    if (layer && layer->kind != OVERLAY_WORK) {
        buffer_append_text(to, layer->merged);
        left_out = layer->length;
    }
    buffer_append(to, path.data + left_out, path.length - left_out);
}

/* What all that is in a directory has in common. */
static void judge(struct source *source, struct directory *directory)
{
    struct buffer path CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer view CLEANUP(buffer_deinit) = BUFFER_NULL;
    uint64_t found_ns = 0;
    append_real_path(source, directory, &path, &found_ns);
    const struct overlay_layer *layer =
        overlay_layers_find(&source->filesystems.layers, buffer_slice(&path));
    append_view(&view, buffer_slice(&path), layer);
    directory->layer = layer;
    directory->verdict = layer && layer->kind == OVERLAY_WORK
                             ? FILE_EXCLUDED
                             : file_selection_below(source->selection, buffer_slice(&view));
    directory->generation = source->generation;
    directory->n_dropped = 0;
}

static struct directory *locate(struct source *source, const struct file_id *id)
{
    if (!file_id_known(id))
        return NULL;
    struct directory *directory = directory_tree_find(source->tree, id);
    if (!directory) {
        struct filesystem *filesystem = filesystem_of(source, id);
        directory = filesystem ? directory_finder_find(source->tree, filesystem, id) : NULL;
    }
    if (directory && directory->generation != source->generation)
        judge(source, directory);
    return directory;
}

static bool is_itself(struct slice name)
{
    return name.length == 0 || slice_is(name, ".");
}

/* Nothing is invented for a directory that is no more. */
static void append_handle(struct buffer *to, const struct fanotify_place *place)
{
    buffer_append_text(to, "handle:");
    for (size_t i = 0; i < place->directory.handle.length; i++)
        buffer_printf(to, "%02x", place->directory.handle.data[i]);
    if (!is_itself(place->name)) {
        buffer_append_byte(to, '/');
        buffer_append_slice(to, place->name);
    }
}

static void append_name(struct buffer *to, struct slice name)
{
    if (!is_itself(name)) {
        buffer_append_byte(to, '/');
        buffer_append_slice(to, name);
    } else if (to->length == 0) {
        buffer_append_byte(to, '/');
    }
}

/* Its path in @p to, and in @p real the one by which it can be looked at: nothing if there is none.
 */
static void build_path(struct source *source, const struct fanotify_place *place,
                       struct where *where, struct buffer *to, struct buffer *real)
{
    uint64_t found_ns = 0;
    buffer_clear(to);
    buffer_clear(real);
    if (where->directory) {
        const struct overlay_layer *layer = where->directory->layer;
        append_real_path(source, where->directory, real, &found_ns);
        append_name(real, place->name);
        append_view(to, buffer_slice(real), layer);
    }
    where->at_read = found_ns > source->since_ns;
    if (to->length == 0 || to->length > FILE_PATH_MOST) {
        buffer_clear(to);
        append_handle(to, place);
    }
    if (!where->directory)
        where->verdict = FILE_INCLUDED;
    else if (is_itself(place->name) || where->verdict == FILE_MIXED)
        where->verdict = file_selection_path(source->selection, buffer_slice(to));
}

/* False: nothing in this directory is told of such events. */
static bool find_place(struct source *source, const struct fanotify_place *place, uint32_t events,
                       struct where *where)
{
    *where =
        (struct where){.directory = locate(source, &place->directory), .verdict = FILE_INCLUDED};
    struct directory *directory = where->directory;
    if (!directory)
        return true;
    const struct overlay_layer *layer = directory->layer;
    where->verdict = directory->verdict;
    where->from_work = layer && layer->kind == OVERLAY_WORK;
    return where->verdict == FILE_MIXED || is_itself(place->name) ||
           file_verdict_tells(where->verdict, events);
}

/* ---- what it says of directories ---- */

static void learn_birth(struct source *source, const struct fanotify_event *event)
{
    struct directory *parent = locate(source, &event->place.directory);
    if (parent && file_id_known(&event->target) && !is_itself(event->place.name))
        (void)directory_tree_put(source->tree, &event->target, parent, event->place.name, 0);
}

static void learn_end(struct source *source, const struct fanotify_event *event)
{
    struct directory *gone =
        file_id_known(&event->target) ? directory_tree_find(source->tree, &event->target) : NULL;
    if (!gone)
        return;
    unpin(source, gone);
    gone->deleted = true;
}

static uint64_t add_to_hash(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ bytes.length;
}

static uint64_t hash_place(const struct file_id *id, const struct fanotify_place *place)
{
    uint64_t hash = add_to_hash(id->filesystem, id->handle);
    return add_to_hash(add_to_hash(hash, place->directory.handle), place->name);
}

/* Has it come back within one reading? Then another rename may have merged with the first. */
static bool may_have_come_back(struct source *source, const struct fanotify_event *event)
{
    uint64_t place = hash_place(&event->target, &event->new_place);
    for (size_t i = 0; i < source->n_origins; i++)
        if (source->origins[i] == place)
            return true;
    if (source->n_origins == ORIGINS_MOST)
        return true;
    source->origins[source->n_origins++] = hash_place(&event->target, &event->place);
    return false;
}

/* Without the directory's own id nobody knows which of those that are known it was. */
static void learn_move(struct source *source, const struct fanotify_event *event)
{
    const struct filesystem *filesystem = filesystem_of(source, &event->place.directory);
    if (!filesystem)
        return;
    if (source->unsure || !file_id_known(&event->target) ||
        !file_id_known(&event->new_place.directory)) {
        forget_directories(source, filesystem);
        return;
    }
    struct directory *moved = directory_tree_find(source->tree, &event->target);
    if (moved)
        directory_tree_each_pinned(source->tree, moved, heed, source);
    struct directory *parent = locate(source, &event->new_place.directory);
    moved = parent
                ? directory_tree_put(source->tree, &event->target, parent, event->new_place.name, 0)
                : NULL;
    heed_files(source);
    source->generation++;
    source->unsure = may_have_come_back(source, event);
    if (!moved || source->unsure)
        forget_directories(source, filesystem);
}

static void learn(struct source *source, const struct fanotify_event *event)
{
    if (!(event->mask & FAN_ONDIR)) {
        learn_file(source, event);
        return;
    }
    if (event->mask & FAN_CREATE)
        learn_birth(source, event);
    if (event->mask & (FAN_RENAME | FAN_MOVE))
        learn_move(source, event);
    if (event->mask & FAN_DELETE)
        learn_end(source, event);
}

/* ---- what is told ---- */

static uint32_t events_of(uint64_t mask)
{
    static const struct {
        uint64_t mask;
        uint32_t event;
    } all[] = {
        {FAN_OPEN,              FILE_OPENED            },
        {FAN_OPEN_EXEC,         FILE_EXECUTED          },
        {FAN_MODIFY,            FILE_MODIFIED          },
        {FAN_CLOSE_WRITE,       FILE_CLOSED_AFTER_WRITE},
        {FAN_CLOSE_NOWRITE,     FILE_CLOSED            },
        {FAN_CREATE,            FILE_CREATED           },
        {FAN_DELETE,            FILE_DELETED           },
        {FAN_RENAME | FAN_MOVE, FILE_RENAMED           },
        {FAN_ATTRIB,            FILE_ATTRIBUTES_CHANGED},
    };
    uint32_t events = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        events |= mask & all[i].mask ? all[i].event : 0;
    if (mask & FAN_ONDIR)
        events &= FILE_CREATED | FILE_DELETED | FILE_RENAMED | FILE_ATTRIBUTES_CHANGED;
    return events;
}

static bool look_by_handle(const struct source *source, const struct file_id *target,
                           struct stat *status)
{
    struct filesystem *filesystem = filesystem_of(source, target);
    if (!filesystem || !file_id_known(target))
        return false;
    AUTO_CLOSE int fd = directory_finder_open(filesystem, target);
    return fd >= 0 && fstat(fd, status) == 0;
}

/* A path that is too long for one call is looked at by its handle. */
static bool look(struct source *source, const struct fanotify_event *event, struct buffer *real,
                 struct stat *status)
{
    if (real->length == 0)
        return false;
    buffer_append_byte(real, '\0');
    if (real->failed)
        return false;
    if (fstatat(AT_FDCWD, (const char *)real->data, status, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    return errno == ENAMETOOLONG && look_by_handle(source, &event->target, status);
}

/* What is there now may be another file than the one that the event speaks of. */
static struct file_status status_of(struct source *source, const struct fanotify_event *event,
                                    struct buffer *real, struct stat *seen)
{
    const struct filesystem *filesystem = filesystem_of(source, &event->place.directory);
    struct file_status status = {.device = filesystem ? filesystem->device : 0,
                                 .inode = fanotify_event_inode(&event->target),
                                 .size = UINT64_MAX};
    if (!look(source, event, real, seen) || (status.inode && status.inode != seen->st_ino) ||
        (status.device != ((uint64_t)major(seen->st_dev) << 32 | minor(seen->st_dev)))) {
        seen->st_mode = 0;
        return status;
    }
    status.inode = seen->st_ino;
    status.mode = seen->st_mode;
    status.size = (uint64_t)seen->st_size;
    return status;
}

static void post(struct source *source, const struct fact_file *file)
{
    put(source, MESSAGE_DATA,
        slice_of(source->message, fanotify_message_write(source->message, file)));
}

static struct fact_file fact_of(const struct source *source, const struct fanotify_event *event,
                                uint32_t events)
{
    return (struct fact_file){.pid = event->pid,
                              .events = events,
                              .since_ns = source->since_ns,
                              .directory = event->mask & FAN_ONDIR,
                              .new_path = SLICE_NULL};
}

static void tell(struct source *source, const struct fanotify_event *event, uint32_t events)
{
    struct where where;
    struct stat seen;
    if (!find_place(source, &event->place, events, &where)) {
        ignore(source, where.directory);
        return;
    }
    build_path(source, &event->place, &where, &source->path, &source->real_path);
    if (source->path.failed || where.from_work)
        return;
    if (!file_verdict_tells(where.verdict, events)) {
        if (where.directory)
            ignore_file(source, event);
        return;
    }
    struct fact_file file = fact_of(source, event, events);
    file.path_at_read = where.at_read;
    file.path = buffer_slice(&source->path);
    file.status = status_of(source, event, &source->real_path, &seen);
    post(source, &file);
}

/* An overlay deletes a file of a lower layer by a character device 0:0 that takes its name, and
 * writes to one by a copy that takes it: both come from its work directory. */
static void tell_overlay(struct source *source, const struct fanotify_event *event,
                         const struct where *to)
{
    struct stat seen;
    struct fact_file file = fact_of(source, event, FILE_DELETED);
    file.status = status_of(source, event, &source->real_path, &seen);
    if (!S_ISCHR(seen.st_mode) || seen.st_rdev != 0 ||
        !file_verdict_tells(to->verdict, FILE_DELETED))
        return;
    file.path = buffer_slice(&source->new_path);
    file.path_at_read = to->at_read;
    file.status.mode = 0;
    file.status.size = UINT64_MAX;
    file.status.inode = 0;
    post(source, &file);
}

/* Looking for the second place may make the tree forget the first. */
static void tell_rename(struct source *source, const struct fanotify_event *event, uint32_t events)
{
    struct where from, to;
    struct stat seen;
    (void)find_place(source, &event->place, events, &from);
    build_path(source, &event->place, &from, &source->path, &source->real_path);
    (void)find_place(source, &event->new_place, events, &to);
    build_path(source, &event->new_place, &to, &source->new_path, &source->real_path);
    if (source->path.failed || source->new_path.failed || to.from_work)
        return;
    if (from.from_work) {
        tell_overlay(source, event, &to);
        return;
    }
    if (!file_verdict_tells(from.verdict, events) && !file_verdict_tells(to.verdict, events))
        return;
    struct fact_file file = fact_of(source, event, events);
    file.path_at_read = from.at_read || to.at_read;
    file.path = buffer_slice(&source->path);
    file.new_path = buffer_slice(&source->new_path);
    file.status = status_of(source, event, &source->real_path, &seen);
    post(source, &file);
}

/* ---- reading ---- */

static void overflowed(struct source *source)
{
    put(source, MESSAGE_OVERRUN, SLICE_NULL);
    count(source, COUNTER_RECEIVE_OVERRUNS);
    forget_all(source); /* renames may be among what was lost */
}

static void take_event(struct source *source, const struct fanotify_event *event)
{
    uint32_t events = events_of(event->mask);
    if (event->mask & FAN_Q_OVERFLOW) {
        overflowed(source);
        return;
    }
    learn(source, event);
    if (events == 0 || event->pid == source->own_pid || !file_id_known(&event->place.directory))
        return;
    if (file_id_known(&event->new_place.directory))
        tell_rename(source, event, events);
    else
        tell(source, event, events);
}

static void take_events(struct source *source, size_t length)
{
    struct bounded_reader reader = bounded_reader_of(source->events, length);
    struct fanotify_event event;
    int r;
    while ((r = fanotify_event_next(&reader, &event)) > 0) {
        if (r == FANOTIFY_EVENT_READ)
            take_event(source, &event);
        else
            count(source, COUNTER_MESSAGES_MALFORMED);
    }
    if (r < 0)
        count(source, COUNTER_MESSAGES_MALFORMED);
}

/* Until nothing waits; what comes after that moment is younger than it. */
static void read_events(struct source *source)
{
    int n;
    uint64_t empty_ns;
    do {
        empty_ns = clock_boot_ns();
        n = fanotify_group_read(&source->group, source->events, sizeof(source->events));
        source->read_ns = clock_boot_ns();
        if (n > 0)
            take_events(source, (size_t)n);
    } while (n > 0);
    if (n < 0)
        log_error("fanotify", "cannot read: %s", strerror(-n));
    source->since_ns = empty_ns;
    if (source->unsure)
        forget_all(source);
    source->unsure = false;
    source->n_origins = 0;
    atomic_store_explicit(&source->read_until_ns, empty_ns, memory_order_release);
}

/* ---- mounts ---- */

static void put_note(struct source *source)
{
    struct buffer *note = &source->told_note;
    struct buffer now CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&now, "on\t");
    buffer_append_slice(&now, buffer_slice(&source->filesystems.note));
    buffer_printf(&now, "; queue of %llu events%s%s", (unsigned long long)source->group.queue_most,
                  source->group.pairs ? "" : "; renames without pairs",
                  source->group.ignores ? "" : "; nothing is passed over by the kernel");
    if (now.failed || slice_equal(buffer_slice(note), buffer_slice(&now)))
        return;
    buffer_clear(note);
    buffer_append_slice(note, buffer_slice(&now));
    source->read_ns = clock_boot_ns();
    put(source, MESSAGE_NOTE, buffer_slice(&now));
}

/* So that what happens at the top of a filesystem is known even after it is gone. */
static void find_tops(struct source *source)
{
    struct filesystem *filesystem;
    LIST_FOREACH(filesystem, &source->filesystems.list, in_list)
    {
        if (filesystem->present && !filesystem->moved)
            (void)directory_finder_top(source->tree, filesystem);
    }
}

static void forget_filesystem(void *user, const struct filesystem *filesystem)
{
    forget_directories(user, filesystem);
}

/* An overlay may be there now that shows it, or none any more. */
static void judge_again(void *user, struct directory *directory)
{
    enum file_verdict before = directory->verdict;
    judge(user, directory);
    if (directory->verdict != before)
        heed(user, directory);
}

static void follow_mounts(struct source *source)
{
    int r = filesystems_update(&source->filesystems);
    if (r < 0)
        log_error("fanotify", "cannot follow mounts: %s", strerror(-r));
    heed_files(source);
    source->generation++;
    directory_tree_each_pinned(source->tree, NULL, judge_again, source);
    read_events(source);
    filesystems_forget_gone(&source->filesystems, forget_filesystem, source);
    find_tops(source);
    put_note(source);
}

/* ---- the source ---- */

/* False: the thread has to end. */
static bool nap(struct source *source, unsigned ms, bool for_events, bool *mounts_changed)
{
    struct pollfd fds[] = {
        {.fd = source->filesystems.mounts_fd,      .events = POLLPRI},
        {.fd = for_events ? source->group.fd : -1, .events = POLLIN },
    };
    bool requested;
    bool on = source_thread_poll(source->thread, fds, 2, ms, &requested);
    *mounts_changed = fds[0].revents & (POLLPRI | POLLERR);
    return on;
}

static void run(void *user)
{
    struct source *source = user;
    bool mounts_changed = true, on = true;
    while (on) {
        if (mounts_changed)
            follow_mounts(source);
        else
            read_events(source);
        on = nap(source, IDLE_MS, true, &mounts_changed);
        if (on && !mounts_changed)
            on = nap(source, NAP_MS, false, &mounts_changed);
    }
    read_events(source);
}

static int open_all(struct source *source, const struct source_options *options,
                    struct error_text *error)
{
    const struct message_queue_options queue_options = {.source = SOURCE_FANOTIFY,
                                                        .capacity = QUEUE_BYTES,
                                                        .wake_fd = options->wake_fd,
                                                        .counters = options->counters};
    int r = file_selection_new(&source->selection, options, error);
    if (r == 0)
        r = fanotify_group_init(&source->group, error);
    if (r == 0)
        r = filesystems_init(&source->filesystems, &source->group, source->selection, error);
    if (r < 0)
        return r;
    r = filesystems_update(&source->filesystems);
    if (r == 0)
        r = directory_tree_new(&source->tree, TREE_BYTES);
    if (r == 0)
        r = message_queue_new(&source->queue, &queue_options);
    if (r < 0)
        return error_set(error, r, "fanotify: %s", strerror(-r));
    if (LIST_EMPTY(&source->filesystems.list))
        return error_set(error, -EOPNOTSUPP, "fanotify: no filesystem can be watched: %.*s",
                         (int)source->filesystems.note.length,
                         (const char *)source->filesystems.note.data);
    return source_thread_new(&source->thread, "fanotify", run, source, error);
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        message_queue_free(source->queue);
        directory_tree_free(source->tree);
        filesystems_deinit(&source->filesystems);
        fanotify_group_deinit(&source->group);
        file_selection_free(source->selection);
        buffer_deinit(&source->told_note);
        buffer_deinit(&source->path);
        buffer_deinit(&source->new_path);
        buffer_deinit(&source->real_path);
        free(source);
    }
    return NULL;
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->group = (struct fanotify_group)FANOTIFY_GROUP_NULL;
    source->filesystems.mounts_fd = -1;
    source->counters = options->counters;
    source->own_pid = (uint32_t)getpid();
    source->generation = 1;
    source->since_ns = clock_boot_ns();
    int r = open_all(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

void fanotify_source_request(struct source *source)
{
    source_thread_request(source->thread);
}

uint64_t fanotify_source_read_until(const struct source *source)
{
    return atomic_load_explicit(&source->read_until_ns, memory_order_acquire);
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

static void source_stop(struct source *source)
{
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

static int decoder_new(struct decoder **decoderp)
{
    *decoderp = NULL;
    return 0;
}

static struct decoder *decoder_free(struct decoder *decoder)
{
    (void)decoder;
    return NULL;
}

const struct source_ops fanotify_source_ops = {
    .id = SOURCE_FANOTIFY,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_new,
    .decode = fanotify_decode,
    .decoder_free = decoder_free,
};
