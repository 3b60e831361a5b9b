/* The buffer is as large as the file before it is read, so that no other copy of a hash stays
 * behind in memory that was given back. */
#include "collectors/accounts/account_file.h"

#include "core/cleanup.h"
#include "core/file_state.h"

#include <fcntl.h>

static int read_bytes(int fd, struct buffer *text, size_t size)
{
    uint8_t *to = buffer_reserve(text, size + 1);
    if (!to)
        return -ENOMEM;
    while (text->length < size) {
        ssize_t n = read(fd, to + text->length, size - text->length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EAGAIN;
        text->length += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Never waits: what is not a file (a pipe) is not read. */
int account_file_read(int directory, const char *name, struct buffer *text)
{
    AUTO_CLOSE int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat before, after;
    if (fd < 0 || fstat(fd, &before) < 0)
        return -errno;
    if (!S_ISREG(before.st_mode))
        return -EINVAL;
    size_t size = before.st_size < ACCOUNT_FILE_MOST ? (size_t)before.st_size : ACCOUNT_FILE_MOST;
    account_file_forget(text);
    int r = read_bytes(fd, text, size);
    if (r < 0)
        return r;
    if (fstat(fd, &after) < 0)
        return -errno;
    if (!file_state_equal(&before, &after))
        return -EAGAIN;
    return before.st_size > ACCOUNT_FILE_MOST ? -EFBIG : 0;
}

void account_file_forget(struct buffer *text)
{
    if (text->data)
        explicit_bzero(text->data, text->capacity);
    buffer_clear(text);
}

bool account_file_changed(struct account_file_look *look, int directory, const char *name)
{
    struct stat status = {0};
    if (fstatat(directory, name, &status, 0) < 0)
        status = (struct stat){0};
    if (look->looked && file_state_equal(&look->status, &status))
        return false;
    look->looked = true;
    look->status = status;
    return true;
}
