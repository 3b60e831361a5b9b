/* The directory /proc/PID is opened once and all files are reached through it: its descriptor
 * stands for the process and not for the number, so that after the pid was given to another process
 * they fail. libproc2 goes by the number: its start ticks are read again at the end. comm, exe and
 * the start of the stack are compared as well, because an exec in between would mix two programs;
 * after a few attempts the process is given without its arguments. */
#include "collectors/procfs/proc_read.h"

#include "collectors/procfs/procfs_comm.h"
#include "collectors/procfs/procfs_container.h"
#include "collectors/procfs/procfs_libproc.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    ATTEMPTS = 3,
    COMM_SIZE = 64,
    CGROUP_SIZE = 1 << 16,
    KEPT_MEMORY = 1 << 16,
    ARGUMENTS_MOST = 16 << 20 /* the kernel allows 6 MiB at most; what is beyond is not counted */
};

struct image {
    char comm[COMM_SIZE];
    char exe[PATH_MAX];
    struct slice comm_slice, exe_slice;
};

struct proc_reader {
    struct procfs_libproc *lib;
    struct image image, again;
    char cwd[PATH_MAX];
    struct buffer cgroup, arguments;
};

int proc_reader_new(struct proc_reader **readerp, struct error_text *error)
{
    struct proc_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    int r = procfs_libproc_new(&reader->lib, error);
    if (r < 0) {
        free(reader);
        return r;
    }
    reader->cgroup.limit = CGROUP_SIZE;
    reader->arguments.limit = PROC_ENTRY_ARGUMENTS + 1;
    *readerp = reader;
    return 0;
}

struct proc_reader *proc_reader_free(struct proc_reader *reader)
{
    if (reader) {
        procfs_libproc_free(reader->lib);
        buffer_deinit(&reader->cgroup);
        buffer_deinit(&reader->arguments);
        free(reader);
    }
    return NULL;
}

static bool means_gone(int error)
{
    return error == ENOENT || error == ESRCH;
}

/* One read(2) into @p to. Returns the bytes or a negative errno. */
static ssize_t read_small(int directory, const char *name, char *to, size_t size)
{
    AUTO_CLOSE int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, size);
    return n < 0 ? -errno : n;
}

static uint32_t read_id(int directory, const char *name)
{
    char text[32];
    char *end;
    ssize_t n = read_small(directory, name, text, sizeof(text) - 1);
    if (n <= 0)
        return ID_UNSET;
    text[n] = '\0';
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    return end == text || errno || value > UINT32_MAX ? ID_UNSET : (uint32_t)value;
}

static struct slice read_link(int directory, const char *name, char *to)
{
    ssize_t n = readlinkat(directory, name, to, PATH_MAX);
    return n < 0 || n == PATH_MAX ? SLICE_NULL : slice_of(to, (size_t)n);
}

static uint64_t read_namespace(int directory, const char *name)
{
    struct stat status;
    return fstatat(directory, name, &status, 0) == 0 ? status.st_ino : 0;
}

static int read_image(int directory, bool kernel_thread, struct image *image)
{
    ssize_t n = read_small(directory, "comm", image->comm, sizeof(image->comm));
    if (n < 0)
        return means_gone((int)-n) ? PROC_READ_GONE : (int)n;
    size_t length = (size_t)n;
    if (length > 0 && image->comm[length - 1] == '\n')
        length--;
    image->comm_slice = procfs_comm(slice_of(image->comm, length), kernel_thread);
    image->exe_slice = kernel_thread ? SLICE_NULL : read_link(directory, "exe", image->exe);
    return 0;
}

static struct slice read_cgroup(struct proc_reader *reader, int directory)
{
    AUTO_CLOSE int fd = openat(directory, "cgroup", O_RDONLY | O_CLOEXEC);
    struct buffer *buffer = &reader->cgroup;
    ssize_t n = 0;
    buffer_clear(buffer);
    while (fd >= 0) {
        uint8_t *to = buffer_reserve(buffer, 4096);
        n = to ? read(fd, to, 4096) : -1;
        if (n <= 0)
            break;
        buffer->length += (size_t)n;
    }
    if (fd < 0 || n < 0)
        return SLICE_NULL;
    return procfs_cgroup_path(buffer_slice(buffer));
}

/* The kernel gives the strings with a NUL behind each; a program that wrote over its own may have
 * left the last one without. */
static void read_arguments(struct proc_reader *reader, int directory, uint32_t *argc)
{
    AUTO_CLOSE int fd = openat(directory, "cmdline", O_RDONLY | O_CLOEXEC);
    struct buffer *buffer = &reader->arguments;
    size_t total = 0, count = 0;
    char last = '\0', piece[4096];
    ssize_t n = 0;
    buffer_clear(buffer);
    while (fd >= 0 && total < ARGUMENTS_MOST && (n = read(fd, piece, sizeof(piece))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            count += piece[i] == '\0';
        last = piece[n - 1];
        total += (size_t)n;
        buffer_append(buffer, piece, (size_t)n);
    }
    if (last != '\0') {
        buffer_append_byte(buffer, '\0');
        count++;
    }
    bool complete = !buffer->failed && buffer->length <= PROC_ENTRY_ARGUMENTS &&
                    count <= PROC_ENTRY_ARGUMENT_COUNT;
    if (fd < 0 || n < 0 || !complete)
        buffer_clear(buffer);
    *argc = fd < 0 || n < 0 ? 0 : (uint32_t)count;
}

static void read_details(struct proc_reader *reader, int directory,
                         struct fact_proc_process *process)
{
    process->login_uid = read_id(directory, "loginuid");
    process->session = read_id(directory, "sessionid");
    process->pid_ns = read_namespace(directory, "ns/pid");
    process->mnt_ns = read_namespace(directory, "ns/mnt");
    process->net_ns = read_namespace(directory, "ns/net");
    process->cgroup = read_cgroup(reader, directory);
    buffer_clear(&reader->arguments);
    if (process->kernel_thread)
        return;
    process->cwd = read_link(directory, "cwd", reader->cwd);
    read_arguments(reader, directory, &process->argc);
}

static bool same(const struct proc_reader *reader, const struct procfs_libproc_mark *before,
                 const struct procfs_libproc_mark *after)
{
    return before->start_ticks == after->start_ticks && before->stack_start == after->stack_start &&
           slice_equal(reader->image.comm_slice, reader->again.comm_slice) &&
           slice_equal(reader->image.exe_slice, reader->again.exe_slice);
}

/* Sets @p settled when nothing changed while it was read. */
static int read_once(struct proc_reader *reader, int directory, uint32_t pid,
                     struct fact_proc_process *process, bool *settled)
{
    struct procfs_libproc_mark before, after;
    *process = (struct fact_proc_process){0};
    uint64_t from_ns = clock_boot_ns();
    int r = procfs_libproc_read(reader->lib, pid, process, &before);
    process->threads_from_ns = from_ns;
    process->threads_until_ns = clock_boot_ns();
    if (r == PROC_READ_GONE && faccessat(directory, "stat", F_OK, 0) == 0)
        return -EIO; /* it lives, so libproc2 had another reason */
    if (r == 0)
        r = read_image(directory, process->kernel_thread, &reader->image);
    if (r != 0)
        return r;
    read_details(reader, directory, process);
    r = read_image(directory, process->kernel_thread, &reader->again);
    if (r == 0)
        r = procfs_libproc_read_mark(reader->lib, pid, &after);
    if (r != 0)
        return r;
    *settled = same(reader, &before, &after);
    process->comm = reader->again.comm_slice;
    process->exe = reader->again.exe_slice;
    return 0;
}
_Static_assert((int)PROC_READ_GONE == (int)PROCFS_LIBPROC_GONE, "passed up as it is");

int proc_reader_process(struct proc_reader *reader, uint32_t pid, struct buffer *to)
{
    char path[32];
    struct fact_proc_process process;
    bool settled = false;
    snprintf(path, sizeof(path), "/proc/%u", pid);
    AUTO_CLOSE int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return means_gone(errno) ? PROC_READ_GONE : -errno;
    for (int attempt = 0; attempt < ATTEMPTS && !settled; attempt++) {
        int r = read_once(reader, directory, pid, &process, &settled);
        if (r != 0)
            return r;
    }
    if (!settled) {
        buffer_clear(&reader->arguments);
        process.argc = 0;
    }
    proc_entry_process(to, &process,
                       reader->arguments.length ? buffer_slice(&reader->arguments) : SLICE_NULL);
    if (reader->arguments.capacity > KEPT_MEMORY)
        buffer_deinit(&reader->arguments);
    return to->failed ? -ENOMEM : 0;
}
