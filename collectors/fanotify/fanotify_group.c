/* The kernel bounds the queue of a group by a number of events that it takes from a file of /proc
 * when the group is made, 16384 as a rule, of which a storm makes more in 0.1 s. There is no other
 * way to choose it, but to have no bound. So another number is in the file for as long as that
 * takes; groups of others that are made at the same moment may hold more, too. */
#include "collectors/fanotify/fanotify_group.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

/* Since Linux 6.0; older headers have none. */
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif

#define QUEUE_EVENTS UINT64_C(131072) /* 200 to 300 bytes each, in the kernel */
#define QUEUE_FILE   "/proc/sys/fs/fanotify/max_queued_events"

#define READS           ((uint64_t)(FAN_OPEN | FAN_OPEN_EXEC | FAN_CLOSE_NOWRITE))
#define CONTENT_CHANGES ((uint64_t)(FAN_CLOSE_WRITE | FAN_MODIFY | FAN_ATTRIB))
#define NAME_CHANGES    ((uint64_t)(FAN_CREATE | FAN_DELETE))

static bool read_number(const char *path, uint64_t *number)
{
    char text[32];
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *number = strtoull(text, NULL, 10);
    return true;
}

static bool write_number(const char *path, uint64_t number)
{
    char text[32];
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", number);
    return fd >= 0 && write(fd, text, (size_t)n) == n;
}

static int try_init(struct fanotify_group *group)
{
    static const struct {
        unsigned flags;
        bool pairs;
    } ways[] = {
        {FAN_REPORT_DFID_NAME_TARGET,           true }, /* 5.17 */
        {FAN_REPORT_DFID_NAME | FAN_REPORT_FID, false},
        {FAN_REPORT_DFID_NAME,                  false}, /* 5.9 */
    };
    const unsigned common = FAN_CLASS_NOTIF | FAN_UNLIMITED_MARKS | FAN_NONBLOCK | FAN_CLOEXEC;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        group->pairs = ways[i].pairs;
        group->fd = fanotify_init(common | ways[i].flags, O_RDONLY | O_CLOEXEC);
        if (group->fd >= 0 || errno != EINVAL)
            break;
    }
    return group->fd < 0 ? -errno : 0;
}

static int init_with_queue(struct fanotify_group *group)
{
    uint64_t before;
    if (!read_number(QUEUE_FILE, &before))
        return try_init(group);
    bool raised = before < QUEUE_EVENTS && write_number(QUEUE_FILE, QUEUE_EVENTS);
    int r = try_init(group);
    group->queue_most = raised ? QUEUE_EVENTS : before;
    if (raised && !write_number(QUEUE_FILE, before) && r == 0)
        r = -errno;
    return r;
}

int fanotify_group_init(struct fanotify_group *group, struct error_text *error)
{
    *group = (struct fanotify_group)FANOTIFY_GROUP_NULL;
    int r = init_with_queue(group);
    if (r == -EPERM)
        return error_set(error, r,
                         "fanotify: not permitted: watching whole filesystems needs CAP_SYS_ADMIN");
    if (r == -ENOSYS || r == -EINVAL)
        return error_set(error, r,
                         "fanotify: this kernel does not report names (Linux 5.9, with "
                         "CONFIG_FANOTIFY)");
    if (r < 0)
        return error_set(error, r, "fanotify: %s", strerror(-r));
    group->mask = READS | CONTENT_CHANGES | NAME_CHANGES | FAN_ONDIR |
                  (group->pairs ? FAN_RENAME : (uint64_t)FAN_MOVE);
    group->ignores = group->evictable = true;
    return 0;
}

void fanotify_group_deinit(struct fanotify_group *group)
{
    if (group->fd >= 0)
        close(group->fd);
    group->fd = -1;
}

int fanotify_group_read(struct fanotify_group *group, void *to, size_t size)
{
    ssize_t n = read(group->fd, to, size);
    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int fanotify_group_watch(struct fanotify_group *group, const char *point)
{
    return fanotify_mark(group->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, group->mask, AT_FDCWD,
                         point) < 0
               ? -errno
               : 0;
}

/* Changes of directories are never passed over: their names must be known. */
int fanotify_group_ignore(struct fanotify_group *group, int directory_fd, bool all)
{
    const uint64_t mask = READS | (all ? CONTENT_CHANGES | NAME_CHANGES : 0) | FAN_EVENT_ON_CHILD;
    const unsigned flags = FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY |
                           (group->evictable ? FAN_MARK_EVICTABLE : 0);
    if (!group->ignores)
        return -EOPNOTSUPP;
    if (fanotify_mark(group->fd, flags, mask, directory_fd, ".") == 0)
        return 0;
    int r = -errno;
    if (r == -EINVAL && group->evictable) {
        group->evictable = false;
        return fanotify_group_ignore(group, directory_fd, all);
    }
    group->ignores = r != -EINVAL;
    return r;
}

/* A mark takes no O_PATH descriptor of a file, but its name. */
static int mark_file(struct fanotify_group *group, unsigned flags, int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return fanotify_mark(group->fd, flags, READS, AT_FDCWD, path) < 0 ? -errno : 0;
}

int fanotify_group_ignore_file(struct fanotify_group *group, int fd)
{
    if (!group->ignores)
        return -EOPNOTSUPP;
    return mark_file(group,
                     FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY |
                         (group->evictable ? FAN_MARK_EVICTABLE : 0),
                     fd);
}

void fanotify_group_heed_file(struct fanotify_group *group, int fd)
{
    (void)mark_file(group, FAN_MARK_REMOVE | FAN_MARK_IGNORE, fd);
}

void fanotify_group_heed(struct fanotify_group *group, int directory_fd)
{
    const uint64_t mask = READS | CONTENT_CHANGES | NAME_CHANGES | FAN_EVENT_ON_CHILD;
    fanotify_mark(group->fd, FAN_MARK_REMOVE | FAN_MARK_IGNORE, mask, directory_fd, ".");
}

void fanotify_group_heed_all(struct fanotify_group *group)
{
    fanotify_mark(group->fd, FAN_MARK_FLUSH, 0, AT_FDCWD, "/");
}
