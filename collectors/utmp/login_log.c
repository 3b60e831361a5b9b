/* The file is held open, so that after a rotation the old one can be read to its end. Which file it
 * is tells the inode; while the agent did not run, the old one is looked for among its neighbours,
 * whose names begin like its own.
 *
 * A file that shrank, or that was put in the place of another, may hold records that were read
 * before: those are known by their digests and passed over. So that this works after a restart,
 * too, what stands before the offset is read once more for its digests only.
 *
 * A rotation renames the file before it makes the next one. So a file that has no name here, but
 * one elsewhere, is read on; one that has no name at all is gone. */
#include "collectors/utmp/login_log.h"

#include "collectors/utmp/record_memory.h"
#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>

struct login_log {
    struct login_log_options options;
    char *path, *directory, *name;
    int fd; /* -1: not open */
    uint64_t inode, offset;
    uint64_t last; /* digest of the record before the offset; 0: unknown */
    bool old;      /* what is read now was there before the first look */
    bool again;    /* it was written anew: records that are known are passed over */
    bool away;     /* it was renamed, and there is no other yet */
    bool started, caught_up;
    struct record_memory *memory;
    uint8_t block[UTMP_RECORDS_MOST * UTMP_RECORD_SIZE];
};

int login_log_new(struct login_log **logp, const struct login_log_options *options)
{
    struct login_log *log = calloc(1, sizeof(*log));
    if (!log)
        return -ENOMEM;
    log->fd = -1;
    log->options = *options;
    log->path = strdup(options->path);
    log->directory = strdup(options->path);
    log->name = strdup(options->path);
    if (!log->path || !log->directory || !log->name || record_memory_new(&log->memory) < 0) {
        login_log_free(log);
        return -ENOMEM;
    }
    log->inode = options->cursor.inode;
    log->offset = options->cursor.offset - options->cursor.offset % UTMP_RECORD_SIZE;
    log->last = options->cursor.last;
    log->old = true;
    *logp = log;
    return 0;
}

struct login_log *login_log_free(struct login_log *log)
{
    if (!log)
        return NULL;
    if (log->fd >= 0)
        close(log->fd);
    record_memory_free(log->memory);
    free(log->path);
    free(log->directory);
    free(log->name);
    free(log);
    return NULL;
}

bool login_log_there(const struct login_log *log)
{
    return log->fd >= 0;
}

static int tell(const struct login_log *log, enum login_log_event event, uint64_t before,
                uint64_t now)
{
    const struct fact_login_log fact = {.event = event,
                                        .file = log->options.file,
                                        .inode = log->inode,
                                        .before = before,
                                        .now = now};
    return log->options.handlers->event(log->options.handlers->user, &fact);
}

static int give(struct login_log *log, uint64_t begin, size_t n)
{
    const struct login_log_handlers *handlers = log->options.handlers;
    if (n == 0)
        return 0;
    return handlers->records(handlers->user, log->options.file, log->inode, begin, log->old,
                             slice_of(log->block + (begin - log->offset), n * UTMP_RECORD_SIZE));
}

/* The block holds @p n whole records from the offset on. */
static int take_block(struct login_log *log, size_t n)
{
    size_t first = 0;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct slice record = slice_of(log->block + i * UTMP_RECORD_SIZE, UTMP_RECORD_SIZE);
        bool known = log->again && record_memory_has(log->memory, record);
        if (known) {
            r = give(log, log->offset + first * UTMP_RECORD_SIZE, i - first);
            first = i + 1;
        } else {
            record_memory_add(log->memory, record);
        }
    }
    if (r == 0)
        r = give(log, log->offset + first * UTMP_RECORD_SIZE, n - first);
    log->offset += n * UTMP_RECORD_SIZE;
    log->last = record_digest(slice_of(log->block + (n - 1) * UTMP_RECORD_SIZE, UTMP_RECORD_SIZE));
    return r;
}

static size_t read_block(const struct login_log *log, uint8_t *to, size_t size, uint64_t offset)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = pread(log->fd, to + length, size - length, (off_t)(offset + length));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return length / UTMP_RECORD_SIZE;
}

static int read_on(struct login_log *log)
{
    size_t n;
    while ((n = read_block(log, log->block, sizeof(log->block), log->offset))) {
        int r = take_block(log, n);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The record that ends at @p end is still the one with this digest. */
static bool is_record(const struct login_log *log, uint64_t end, uint64_t digest)
{
    uint8_t record[UTMP_RECORD_SIZE];
    return end < UTMP_RECORD_SIZE ||
           (read_block(log, record, sizeof(record), end - UTMP_RECORD_SIZE) == 1 &&
            (digest == 0 || record_digest(slice_of(record, sizeof(record))) == digest));
}

/* What an earlier run has read, as far as it still stands there: all of it, or, when the end was
 * cut off, what begins with the same record. */
static void remember_before(struct login_log *log)
{
    uint64_t first = log->options.cursor.first;
    if (!is_record(log, log->offset, log->last) &&
        (first == 0 || !is_record(log, UTMP_RECORD_SIZE, first)))
        return;
    for (uint64_t at = 0; at < log->offset;) {
        uint64_t left = log->offset - at;
        size_t size = left < sizeof(log->block) ? (size_t)left : sizeof(log->block);
        size_t n = read_block(log, log->block, size, at);
        for (size_t i = 0; i < n; i++)
            record_memory_add(log->memory,
                              slice_of(log->block + i * UTMP_RECORD_SIZE, UTMP_RECORD_SIZE));
        if (n == 0)
            return;
        at += n * UTMP_RECORD_SIZE;
    }
}

/* Opens it only when it is a regular file; else -ENOENT. */
static int open_file(int directory, const char *path, struct stat *status)
{
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, status) < 0 || !S_ISREG(status->st_mode)) {
        close(fd);
        return -ENOENT;
    }
    return fd;
}

/* The file with the inode that was read last, under whatever name that begins like the path's. */
static int open_former(const struct login_log *log)
{
    char parent[PATH_MAX], last[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", log->directory);
    snprintf(last, sizeof(last), "%s", log->name);
    const char *name = basename(last);
    DIR *directory = opendir(dirname(parent));
    int fd = -1;
    if (!directory)
        return -1;
    for (const struct dirent *entry = readdir(directory); entry && fd < 0;
         entry = readdir(directory)) {
        struct stat status;
        if (entry->d_ino != log->inode || strncmp(entry->d_name, name, strlen(name)) != 0)
            continue;
        fd = open_file(dirfd(directory), entry->d_name, &status);
        if (fd >= 0 && status.st_ino != log->inode) {
            close(fd);
            fd = -1;
        }
    }
    closedir(directory);
    return fd;
}

static bool has_name(const struct login_log *log)
{
    struct stat status;
    return log->fd >= 0 && fstat(log->fd, &status) == 0 && status.st_nlink > 0;
}

/* The path leads to another file than the one that was read. */
static int change_file(struct login_log *log, int fd, const struct stat *status)
{
    uint64_t before = log->inode;
    int r = 0;
    if (log->fd < 0 && before)
        log->fd = open_former(log);
    bool found = log->fd >= 0, renamed = has_name(log);
    if (found) {
        if (!log->started)
            remember_before(log);
        r = read_on(log);
        close(log->fd);
    }
    log->fd = fd;
    log->inode = status->st_ino;
    log->offset = log->last = 0;
    log->again |= before != 0;
    log->away = false;
    if (r == 0 && before)
        r = tell(log, renamed ? LOGIN_LOG_ROTATED : LOGIN_LOG_REPLACED, before, log->inode);
    if (r == 0 && before && !found)
        r = log->options.handlers->missing(log->options.handlers->user, log->options.file);
    return r;
}

/* It shrank, and may have grown again since. */
static int check_contents(struct login_log *log, const struct stat *status)
{
    uint64_t before = log->offset, now = (uint64_t)status->st_size;
    if (now >= before && is_record(log, before, log->last))
        return 0;
    log->offset = log->last = 0;
    log->again = true;
    return tell(log, LOGIN_LOG_SHRANK, before, now);
}

/* There is no file any more. Of one that nobody held, the end was not read. */
static int forget_file(struct login_log *log)
{
    uint64_t before = log->inode;
    bool held = log->fd >= 0;
    if (held)
        close(log->fd);
    log->fd = -1;
    log->inode = log->offset = log->last = 0;
    log->again = true;
    int r = tell(log, log->away ? LOGIN_LOG_ROTATED : LOGIN_LOG_REPLACED, before, 0);
    log->away = false;
    if (r == 0 && !held)
        r = log->options.handlers->missing(log->options.handlers->user, log->options.file);
    return r;
}

/* The path leads to no file, or to one that cannot be opened now. */
static int read_former(struct login_log *log, int error)
{
    int r = 0;
    if (log->fd < 0 && log->inode && error == -ENOENT) {
        log->fd = open_former(log);
        if (log->fd < 0)
            return forget_file(log);
        if (!log->started)
            remember_before(log);
    }
    if (log->fd >= 0)
        r = read_on(log);
    if (r < 0 || log->fd < 0)
        return r;
    if (!has_name(log))
        return forget_file(log);
    log->away |= error == -ENOENT;
    return 0;
}

static int open_path(struct login_log *log)
{
    struct stat status;
    int fd = open_file(AT_FDCWD, log->path, &status), r;
    if (fd < 0)
        return read_former(log, fd);
    if (log->inode != status.st_ino) {
        r = change_file(log, fd, &status);
    } else {
        log->away = false;
        if (log->fd >= 0) {
            close(fd);
        } else {
            log->fd = fd;
            if (!log->started)
                remember_before(log);
        }
        r = check_contents(log, &status);
    }
    return r < 0 ? r : read_on(log);
}

int login_log_look(struct login_log *log)
{
    int r = open_path(log);
    if (r < 0)
        return r;
    log->started = true;
    log->old = false;
    if (log->caught_up)
        return 0;
    log->caught_up = true;
    return tell(log, LOGIN_LOG_CAUGHT_UP, 0, 0);
}
