/* A filesystem is watched once, through one of its mounts: the first that shows all of it, else the
 * one that shows the most. The others are bind mounts, which show what is in it under other names.
 * A mount that another one covers cannot be reached by its path; st_dev tells. */
#include "collectors/fanotify/filesystems.h"

#include "core/cleanup.h"
#include "core/evidence_text.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

enum { READ_SIZE = 16 << 10, TEXT_MOST = 16 << 20, NOTE_MOST = 4 << 10 };

int filesystems_init(struct filesystems *filesystems, struct fanotify_group *group,
                     const struct file_selection *selection, struct error_text *error)
{
    *filesystems =
        (struct filesystems){.selection = selection,
                             .group = group,
                             .text = {.limit = TEXT_MOST},
                             .mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)};
    LIST_INIT(&filesystems->list);
    if (filesystems->mounts_fd < 0)
        return error_set(error, -errno, "/proc/self/mountinfo: %s", strerror(errno));
    return 0;
}

static void release(struct filesystem *filesystem)
{
    free(filesystem->point);
    free(filesystem->root);
    free(filesystem->type);
    if (filesystem->root_fd >= 0)
        close(filesystem->root_fd);
    free(filesystem);
}

void filesystems_deinit(struct filesystems *filesystems)
{
    struct filesystem *filesystem;
    while ((filesystem = LIST_FIRST(&filesystems->list))) {
        LIST_REMOVE(filesystem, in_list);
        release(filesystem);
    }
    overlay_layers_deinit(&filesystems->layers);
    buffer_deinit(&filesystems->text);
    buffer_deinit(&filesystems->note);
    buffer_deinit(&filesystems->other);
    if (filesystems->mounts_fd >= 0)
        close(filesystems->mounts_fd);
    filesystems->mounts_fd = -1;
}

static int read_mounts(struct filesystems *filesystems)
{
    struct buffer *text = &filesystems->text;
    ssize_t n;
    buffer_clear(text);
    if (lseek(filesystems->mounts_fd, 0, SEEK_SET) < 0)
        return -errno;
    do {
        uint8_t *to = buffer_reserve(text, READ_SIZE);
        if (!to)
            return -ENOMEM;
        n = read(filesystems->mounts_fd, to, READ_SIZE);
        text->length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return n < 0 ? -errno : 0;
}

static void name_mount(struct buffer *to, size_t *n, const struct mount *mount, const char *reason)
{
    ++*n;
    if (to->length > NOTE_MOST)
        return;
    buffer_append_text(to, to->length ? ", " : "");
    evidence_text_append(to, slice_text(mount->type));
    buffer_append_byte(to, ' ');
    evidence_text_append(to, slice_text(mount->point));
    if (reason)
        buffer_printf(to, " (%s)", reason);
}

static void name_other(struct filesystems *filesystems, const struct mount *mount,
                       const char *reason)
{
    name_mount(&filesystems->other, &filesystems->n_other, mount, reason);
}

static const char *reason_of(int error)
{
    switch (error) {
    case -EOPNOTSUPP:
    case -ENODEV:
    case -EXDEV:
        return "no file handles";
    case -EINVAL:
        return "the kernel refuses it";
    default:
        return strerror(-error);
    }
}

static bool is_shown_at(const struct mount *mount)
{
    struct stat status;
    return stat(mount->point, &status) == 0 &&
           (mount->device == ((uint64_t)major(status.st_dev) << 32 | minor(status.st_dev)) ||
            strcmp(mount->type, "btrfs") == 0);
}

static int id_of(const struct mount *mount, uint64_t *id)
{
    struct statfs status;
    if (statfs(mount->point, &status) < 0)
        return -errno;
    _Static_assert(sizeof(status.f_fsid) == sizeof(*id), "two words");
    memcpy(id, &status.f_fsid, sizeof(*id));
    return *id ? 0 : -ENODEV;
}

static struct filesystem *find(const struct filesystems *filesystems, uint64_t id)
{
    struct filesystem *filesystem;
    LIST_FOREACH(filesystem, &filesystems->list, in_list)
    {
        if (filesystem->id == id)
            return filesystem;
    }
    return NULL;
}

struct filesystem *filesystems_find(const struct filesystems *filesystems, uint64_t id)
{
    return find(filesystems, id);
}

static int set_text(char **to, const char *text)
{
    if (*to && strcmp(*to, text) == 0)
        return 0;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*to);
    *to = copy;
    return 0;
}

static const char *path_of_point(const struct mount *mount)
{
    return strcmp(mount->point, "/") == 0 ? "" : mount->point;
}

/* It is found where it was, or now at another place. */
static int place(struct filesystem *filesystem, const struct mount *mount)
{
    int r = set_text(&filesystem->point, path_of_point(mount));
    filesystem->moved |= filesystem->root && strcmp(filesystem->root, mount->root) != 0;
    if (r == 0)
        r = set_text(&filesystem->root, mount->root);
    if (r == 0)
        r = set_text(&filesystem->type, mount->type);
    filesystem->present = true;
    return r;
}

static int add(struct filesystems *filesystems, const struct mount *mount, uint64_t id)
{
    struct filesystem *filesystem = calloc(1, sizeof(*filesystem));
    if (!filesystem)
        return -ENOMEM;
    filesystem->root_fd = -1;
    filesystem->id = id;
    filesystem->device = mount->device;
    int r = place(filesystem, mount);
    if (r == 0)
        r = fanotify_group_watch(filesystems->group, mount->point);
    if (r < 0)
        release(filesystem);
    else
        LIST_INSERT_HEAD(&filesystems->list, filesystem, in_list);
    return r;
}

/* Returns 0 when its filesystem is watched. One that has gone and come has lost its mark. */
static int watch(struct filesystems *filesystems, const struct mount *mount)
{
    uint64_t id = 0;
    int r = id_of(mount, &id);
    if (r < 0)
        return r;
    struct filesystem *filesystem = find(filesystems, id);
    if (!filesystem)
        return add(filesystems, mount, id);
    if (filesystem->device != mount->device)
        return -EEXIST;
    if (filesystem->present)
        return 0;
    r = fanotify_group_watch(filesystems->group, mount->point);
    return r < 0 ? r : place(filesystem, mount);
}

/* To look at one of these may mount it, or wait for another host or a process for ever. */
static bool may_hang(const char *type)
{
    static const char *const types[] = {"autofs", "nfs",    "nfs4",  "cifs",    "smb3",
                                        "ceph",   "fuse",   "9p",    "afs",     "coda",
                                        "gfs2",   "lustre", "ocfs2", "orangefs"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return strncmp(type, "fuse.", strlen("fuse.")) == 0;
}

static void consider(struct filesystems *filesystems, const struct mount *mount)
{
    if (strcmp(mount->type, "overlay") == 0) {
        name_other(filesystems, mount, "through its layers");
    } else if (may_hang(mount->type)) {
        name_other(filesystems, mount, "not a local one");
    } else if (file_selection_excludes_type(filesystems->selection, slice_text(mount->type))) {
        name_other(filesystems, mount, "excluded type");
    } else if (!is_shown_at(mount)) {
        name_other(filesystems, mount, "covered by another mount");
    } else {
        int r = watch(filesystems, mount);
        if (r < 0)
            name_other(filesystems, mount, r == -EEXIST ? "two with one id" : reason_of(r));
        else
            name_mount(&filesystems->note, &filesystems->n_watched, mount, NULL);
    }
}

/* Of two mounts of one filesystem, the one that shows more of it. */
static bool shows_more(const struct mount *mount, const struct mount *than)
{
    return strcmp(mount->root, than->root) != 0 && strlen(mount->root) < strlen(than->root);
}

static bool is_btrfs(const struct mount *mount)
{
    return strcmp(mount->type, "btrfs") == 0; /* each subvolume has an id of its own */
}

/* Is there a mount by which the same filesystem had better be watched? The first of equals is
 * taken; one that is covered is none. */
static bool is_second(const struct mount_list *list, const struct mount *mount)
{
    for (const struct mount *other = list->items; other < list->items + list->n; other++) {
        if (other == mount || other->device != mount->device ||
            (is_btrfs(mount) && strcmp(other->root, mount->root) != 0))
            continue;
        bool better = shows_more(other, mount) || (other < mount && !shows_more(mount, other));
        if (better && (is_shown_at(other) || !is_shown_at(mount)))
            return true;
    }
    return false;
}

struct overlay {
    struct overlay_layers *layers;
    const char *merged;
};

static int add_layer(void *user, enum overlay_kind kind, const char *directory)
{
    const struct overlay *overlay = user;
    AUTO_FREE char *path = realpath(directory, NULL);
    if (!path)
        return errno == ENOMEM ? -ENOMEM : 0;
    return overlay_layers_add(overlay->layers, kind, path, overlay->merged);
}

static int find_layers(struct filesystems *filesystems, const struct mount_list *list)
{
    int r = 0;
    overlay_layers_deinit(&filesystems->layers);
    for (size_t i = 0; i < list->n && r == 0; i++) {
        const struct mount *mount = &list->items[i];
        struct overlay overlay = {.layers = &filesystems->layers, .merged = mount->point};
        if (strcmp(mount->type, "overlay") == 0 && !is_second(list, mount))
            r = overlay_options(mount->options, add_layer, &overlay);
    }
    return r;
}

static void finish_note(struct filesystems *filesystems)
{
    struct buffer *note = &filesystems->note;
    if (note->length > NOTE_MOST)
        buffer_printf(note, " ... of %zu", filesystems->n_watched);
    if (filesystems->n_other) {
        buffer_append_text(note, note->length ? "; not watched: " : "not watched: ");
        buffer_append_slice(note, buffer_slice(&filesystems->other));
    }
    if (filesystems->other.length > NOTE_MOST)
        buffer_printf(note, " ... of %zu", filesystems->n_other);
}

int filesystems_update(struct filesystems *filesystems)
{
    struct mount_list list;
    struct filesystem *filesystem;
    int r = read_mounts(filesystems);
    if (r == 0)
        r = mount_list_init(&list, buffer_slice(&filesystems->text));
    if (r < 0)
        return r;
    buffer_clear(&filesystems->note);
    buffer_clear(&filesystems->other);
    filesystems->n_watched = filesystems->n_other = 0;
    LIST_FOREACH(filesystem, &filesystems->list, in_list)
    {
        filesystem->present = false;
    }
    for (size_t i = 0; i < list.n; i++)
        if (!is_second(&list, &list.items[i]))
            consider(filesystems, &list.items[i]);
    r = find_layers(filesystems, &list);
    mount_list_deinit(&list);
    finish_note(filesystems);
    return r < 0 ? r : filesystems->note.failed ? -ENOMEM : 0;
}

void filesystems_forget_gone(struct filesystems *filesystems,
                             void (*handler)(void *user, const struct filesystem *gone), void *user)
{
    struct filesystem *filesystem = LIST_FIRST(&filesystems->list), *next;
    for (; filesystem; filesystem = next) {
        next = LIST_NEXT(filesystem, in_list);
        if (filesystem->present && !filesystem->moved)
            continue;
        handler(user, filesystem);
        filesystem->moved = false;
        if (filesystem->present)
            continue;
        LIST_REMOVE(filesystem, in_list);
        release(filesystem);
    }
}

/* Whose it is not may not ask for O_NOATIME; opening alone changes no time. */
static int open_directory(const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(path, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

/* The kernel takes no O_PATH here; so this is an event of our own, but for / it happens once. */
int filesystem_open(struct filesystem *filesystem)
{
    bool root = filesystem->point[0] == '\0';
    if (!root || filesystem->root_fd < 0) {
        int fd = open_directory(root ? "/" : filesystem->point);
        if (fd < 0)
            return -errno;
        if (!root)
            return fd;
        filesystem->root_fd = fd;
    }
    int fd = fcntl(filesystem->root_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}
