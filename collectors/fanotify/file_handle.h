#pragma once
/* File handles, given to the kernel and taken from it. */
#include "collectors/fanotify/file_id.h"
#include "core/error.h"

struct file_handle_memory {
    uint8_t bytes[FILE_HANDLE_MOST];
};

/** The id of what @p name is below @p directory_fd ("": itself). Its handle is in @p memory. */
int file_handle_of(struct file_id *id, struct file_handle_memory *memory, int directory_fd,
                   const char *name, uint64_t filesystem) MUST_CHECK;
/** An O_PATH descriptor, or an error: -ESTALE when there is no such file any more. */
int file_handle_open(int mount_fd, const struct file_id *id) MUST_CHECK;
/** The path of what is open, as the kernel says; at most PATH_MAX - 1 bytes. Returns its length. */
int file_handle_path(int fd, char *to, size_t size) MUST_CHECK;
