/* Three calls a descriptor: readlinkat(2) for the path, lstat of the link, whose mode says how it
 * was opened (fdinfo says no more and costs four times as much), and statx(2) through it. statx is
 * told not to ask a server, so that a dead one stops nobody.
 *
 * The files of a process are collected, sorted and merged before they are told. */
#include "collectors/inotify/descriptor_scan.h"

#include "collectors/inotify/filesystem_type.h"
#include "collectors/procfs/proc_descriptors.h"
#include "collectors/procfs/proc_scan.h"
#include "core/buffer.h"
#include "core/gulp.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TEXT_MOST = 2 << 20, PAUSE_DESCRIPTORS = 1024 };

static const char deleted_suffix[] = " (deleted)";
enum { SUFFIX_LENGTH = sizeof(deleted_suffix) - 1 };

struct open_file {
    struct file_status status;
    size_t path; /* where it begins in `text` */
    uint32_t length, descriptors;
    bool writable, deleted;
};

struct descriptor_scan {
    struct proc_scan *processes;
    const struct file_selection *selection;
    uint32_t own_pid;
    /* Of the look: */
    const struct descriptor_scan_handlers *handlers;
    struct descriptor_scan_result *result;
    uint64_t until_ns;
    /* Of the process: */
    uint32_t pid;
    uint64_t boot_ns; /* before the first of `files` was looked at */
    uint32_t n_looked;
    bool denied; /* a descriptor of it could not be read */
    size_t n_files;
    struct buffer text;
    struct open_file files[DESCRIPTOR_SCAN_FILES];
    struct proc_descriptors descriptors;
};

int descriptor_scan_new(struct descriptor_scan **scanp, const struct file_selection *selection,
                        struct error_text *error)
{
    struct descriptor_scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return error_set(error, -ENOMEM, "out of memory");
    scan->selection = selection;
    scan->own_pid = (uint32_t)getpid();
    scan->text.limit = TEXT_MOST;
    int r = proc_scan_new(&scan->processes, error);
    if (r < 0) {
        free(scan);
        return r;
    }
    *scanp = scan;
    return 0;
}

struct descriptor_scan *descriptor_scan_free(struct descriptor_scan *scan)
{
    if (scan) {
        proc_scan_free(scan->processes);
        buffer_deinit(&scan->text);
        free(scan);
    }
    return NULL;
}

static struct slice path_of(const struct descriptor_scan *scan, const struct open_file *file)
{
    return slice_of(scan->text.data + file->path, file->length);
}

static int compare(const void *a, const void *b, void *user)
{
    const struct open_file *x = a, *y = b;
    const struct descriptor_scan *scan = user;
    if (x->status.device != y->status.device)
        return x->status.device < y->status.device ? -1 : 1;
    if (x->status.inode != y->status.inode)
        return x->status.inode < y->status.inode ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return memcmp(scan->text.data + x->path, scan->text.data + y->path, x->length);
}

/* Of descriptors of one file, the last one seen says how it is now. */
static void merge(struct descriptor_scan *scan)
{
    size_t n = 0;
    qsort_r(scan->files, scan->n_files, sizeof(scan->files[0]), compare, scan);
    for (size_t i = 0; i < scan->n_files; i++) {
        struct open_file *file = &scan->files[i], *last = &scan->files[n ? n - 1 : 0];
        if (n == 0 || compare(last, file, scan) != 0) {
            scan->files[n++] = *file;
            continue;
        }
        last->descriptors += file->descriptors;
        last->writable |= file->writable;
        last->deleted |= file->deleted;
    }
    scan->n_files = n;
}

static int tell_files(struct descriptor_scan *scan)
{
    int r = 0;
    merge(scan);
    for (size_t i = 0; r >= 0 && i < scan->n_files; i++) {
        const struct open_file *file = &scan->files[i];
        struct fact_file_open fact = {.pid = scan->pid,
                                      .descriptors = file->descriptors,
                                      .writable = file->writable,
                                      .deleted = file->deleted,
                                      .path = path_of(scan, file),
                                      .status = file->status};
        r = scan->handlers->take(scan->handlers->user, scan->boot_ns, &fact);
    }
    scan->n_files = 0;
    buffer_clear(&scan->text);
    return r < 0 ? r : 0;
}

static int remember(struct descriptor_scan *scan, const struct open_file *file, struct slice path)
{
    if (scan->n_files == DESCRIPTOR_SCAN_FILES || scan->text.length + path.length > TEXT_MOST) {
        int r = tell_files(scan);
        if (r < 0)
            return r;
    }
    if (scan->n_files == 0)
        scan->boot_ns = clock_boot_ns();
    struct open_file *to = &scan->files[scan->n_files];
    *to = *file;
    to->path = scan->text.length;
    to->length = (uint32_t)path.length;
    buffer_append_slice(&scan->text, path);
    scan->n_files += !scan->text.failed;
    return scan->text.failed ? -ENOMEM : 0;
}

/* A file may be called "x (deleted)" in earnest: then it is found under this name. */
static bool has_this_name(const struct descriptor_scan *scan, const char *path,
                          const struct statx *status)
{
    char place[PATH_MAX + 32];
    struct statx named;
    snprintf(place, sizeof(place), "/proc/%u/root%s", scan->pid, path);
    return statx(AT_FDCWD, place, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &named) ==
               0 &&
           named.stx_ino == status->stx_ino && named.stx_dev_major == status->stx_dev_major &&
           named.stx_dev_minor == status->stx_dev_minor;
}

static bool is_deleted(const struct descriptor_scan *scan, const char *path, size_t length,
                       const struct statx *status)
{
    return length > SUFFIX_LENGTH &&
           memcmp(path + length - SUFFIX_LENGTH, deleted_suffix, SUFFIX_LENGTH) == 0 &&
           (status->stx_nlink == 0 || !has_this_name(scan, path, status));
}

static bool may_be_kernel(const char *path)
{
    return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0;
}

static bool is_kernel(const struct descriptor_scan *scan, const char *name)
{
    char place[64];
    struct statfs filesystem;
    snprintf(place, sizeof(place), "/proc/%u/fd/%s", scan->pid, name);
    return statfs(place, &filesystem) == 0 && filesystem_type_is_kernel(filesystem.f_type);
}

static struct file_status status_of(const struct statx *status)
{
    return (struct file_status){.device =
                                    (uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor,
                                .inode = status->stx_ino,
                                .mode = status->stx_mode,
                                .size = status->stx_size};
}

/* Closed in the meantime is none of ours; all else is a file that is not told of. */
static int pass_over(struct descriptor_scan *scan)
{
    if (errno == ENAMETOOLONG)
        scan->result->n_nameless++;
    else if (errno != ENOENT && errno != ESRCH)
        scan->denied = true;
    return 0;
}

static int take_file(struct descriptor_scan *scan, int directory, const char *name,
                     const char *path, size_t length)
{
    struct stat link;
    struct statx status;
    if (fstatat(directory, name, &link, AT_SYMLINK_NOFOLLOW) < 0 ||
        statx(directory, name, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) < 0)
        return pass_over(scan);
    if (!S_ISREG(status.stx_mode) || (may_be_kernel(path) && is_kernel(scan, name)))
        return 0;
    struct open_file file = {.status = status_of(&status),
                             .descriptors = 1,
                             .writable = link.st_mode & S_IWUSR,
                             .deleted = is_deleted(scan, path, length, &status)};
    struct slice told = slice_of(path, length - (file.deleted ? SUFFIX_LENGTH : 0));
    if (!file_verdict_tells(file_selection_path(scan->selection, told),
                            file.writable ? FILE_MODIFIED : FILE_OPENED))
        return 0;
    return remember(scan, &file, told);
}

static int look_at_descriptor(void *user, int directory, const char *name)
{
    struct descriptor_scan *scan = user;
    char path[PATH_MAX + 1];
    if (++scan->n_looked % PAUSE_DESCRIPTORS == 0) {
        int r = scan->handlers->pause(scan->handlers->user);
        if (r < 0)
            return r;
    }
    ssize_t n = readlinkat(directory, name, path, PATH_MAX);
    if (n < 0)
        return pass_over(scan);
    path[n] = '\0';
    return path[0] == '/' ? take_file(scan, directory, name, path, (size_t)n) : 0;
}

static int look_at_process(void *user, uint32_t pid)
{
    struct descriptor_scan *scan = user;
    if (!scan->result->late)
        scan->result->late = clock_boot_ns() > scan->until_ns;
    if (pid == scan->own_pid || scan->result->late)
        return 0;
    scan->pid = pid;
    scan->denied = false;
    int r = proc_descriptors_walk(&scan->descriptors, pid, look_at_descriptor, scan);
    bool refused = r == PROC_DESCRIPTORS_REFUSED || scan->denied;
    scan->result->n_refused += refused;
    if (r >= 0)
        r = tell_files(scan);
    if (r >= 0 && refused)
        r = scan->handlers->refuse(scan->handlers->user, pid);
    if (r == 0)
        r = scan->handlers->pause(scan->handlers->user);
    return r < 0 ? r : 0;
}

int descriptor_scan_run(struct descriptor_scan *scan, uint64_t most_ns,
                        const struct descriptor_scan_handlers *handlers,
                        struct descriptor_scan_result *result)
{
    *result = (struct descriptor_scan_result){0};
    scan->handlers = handlers;
    scan->result = result;
    scan->until_ns = clock_boot_ns() + most_ns;
    scan->n_files = 0;
    buffer_clear(&scan->text);
    return proc_scan_walk(scan->processes, true, look_at_process, scan);
}
