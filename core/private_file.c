/* A file is durable when its bytes and its name are: both are synced. */
#include "core/private_file.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void private_buffer_deinit(struct buffer *buffer)
{
    if (buffer->data)
        explicit_bzero(buffer->data, buffer->capacity);
    buffer_deinit(buffer);
}

static int write_all(int fd, struct slice text)
{
    for (size_t done = 0; done < text.length;) {
        ssize_t n = write(fd, text.data + done, text.length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        done += (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory AUTO_FREE = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd AUTO_CLOSE = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int private_file_write(const char *path, struct slice text, struct error_text *error)
{
    char beside[4096];
    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return error_set(error, -ENAMETOOLONG, "%.200s...: the path is too long", path);
    unlink(beside);
    int fd AUTO_CLOSE = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : write_all(fd, text);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r == 0)
        r = sync_directory_of(path);
    if (r < 0) {
        unlink(beside);
        return error_set(error, r, "cannot write %s: %s", path, strerror(-r));
    }
    return 0;
}

int private_file_move(const char *from, const char *to, bool replace, struct error_text *error)
{
    int r =
        renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r == -EINVAL && !replace) /* not every filesystem can */
        r = rename(from, to) < 0 ? -errno : 0;
    if (r == 0)
        r = sync_directory_of(to);
    return r < 0 ? error_set(error, r, "cannot write %s: %s", to, strerror(-r)) : 0;
}

static int read_all(int fd, size_t most, struct buffer *to)
{
    size_t start = to->length;
    for (;;) {
        uint8_t *room = buffer_reserve(to, 4096);
        if (!room)
            return -ENOMEM;
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        to->length += (size_t)n;
        if (to->length - start > most)
            return -EFBIG;
    }
}

int private_file_read(const char *path, size_t most, struct buffer *to, struct error_text *error)
{
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(status.st_mode))
        return error_set(error, -EINVAL, "%s is no file", path);
    if (r == 0)
        r = read_all(fd, most, to);
    if (r < 0)
        return error_set(error, r, "cannot read %s: %s", path,
                         r == -EFBIG ? "it is too large" : strerror(-r));
    return 0;
}
