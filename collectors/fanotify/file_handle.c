#include "collectors/fanotify/file_handle.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct handle_buffer {
    struct file_handle head; /* ends in the bytes of the handle */
    uint8_t bytes[FILE_HANDLE_MOST];
};

int file_handle_of(struct file_id *id, struct file_handle_memory *memory, int directory_fd,
                   const char *name, uint64_t filesystem)
{
    struct handle_buffer buffer = {.head.handle_bytes = FILE_HANDLE_MOST};
    int mount_id;
    if (name_to_handle_at(directory_fd, name, &buffer.head, &mount_id, *name ? 0 : AT_EMPTY_PATH) <
        0)
        return -errno;
    memcpy(memory->bytes, buffer.head.f_handle, buffer.head.handle_bytes);
    *id = (struct file_id){.filesystem = filesystem,
                           .type = buffer.head.handle_type,
                           .handle = slice_of(memory->bytes, buffer.head.handle_bytes)};
    return 0;
}

int file_handle_open(int mount_fd, const struct file_id *id)
{
    struct handle_buffer buffer = {.head.handle_bytes = (unsigned)id->handle.length,
                                   .head.handle_type = id->type};
    if (id->handle.length > FILE_HANDLE_MOST)
        return -EINVAL;
    memcpy(buffer.head.f_handle, id->handle.data, id->handle.length);
    int fd = open_by_handle_at(mount_fd, &buffer.head, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int file_handle_path(int fd, char *to, size_t size)
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, to, size);
    if (length < 0)
        return -errno;
    return (size_t)length == size ? -ENAMETOOLONG : (int)length;
}
