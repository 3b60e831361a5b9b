/* An event becomes a fact: where it happened is found; what the directory's verdict excludes ends
 * there, which costs no path; the path, as the host sees it, is judged by itself when the
 * directory's verdict is not the same for all that is in it; and the file is looked at. A file's
 * events that merged have the path of the first of them. */
#include "collectors/fanotify/fanotify_private.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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
    struct filesystem *filesystem = fanotify_filesystem_of(source, target);
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
    const struct filesystem *filesystem = fanotify_filesystem_of(source, &event->place.directory);
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
    fanotify_put(source, MESSAGE_DATA,
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
    if (!fanotify_find_place(source, &event->place, events, &where)) {
        fanotify_ignore(source, where.directory);
        return;
    }
    fanotify_build_path(source, &event->place, &where, &source->path, &source->real_path);
    if (source->path.failed || where.from_work)
        return;
    if (!file_verdict_tells(where.verdict, events)) {
        if (where.directory)
            fanotify_ignore_file(source, event);
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
    (void)fanotify_find_place(source, &event->place, events, &from);
    fanotify_build_path(source, &event->place, &from, &source->path, &source->real_path);
    (void)fanotify_find_place(source, &event->new_place, events, &to);
    fanotify_build_path(source, &event->new_place, &to, &source->new_path, &source->real_path);
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

void fanotify_tell(struct source *source, const struct fanotify_event *event)
{
    uint32_t events = events_of(event->mask);
    if (events == 0 || event->pid == source->own_pid || !file_id_known(&event->place.directory))
        return;
    if (file_id_known(&event->new_place.directory))
        tell_rename(source, event, events);
    else
        tell(source, event, events);
}
