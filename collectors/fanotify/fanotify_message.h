#pragma once
/*
 * One event as a message, host byte order:
 *
 *   uint32_t pid, events, flags, mode | uint64_t since_ns, device, inode, size
 *   uint16_t length of path, of new path | path | new path
 *
 * or, alone, uint64_t: all that was done before this moment of the boot clock has been told.
 */
#include "collectors/files/file_selection.h"

enum { FANOTIFY_MESSAGE_MOST = 4 * 4 + 4 * 8 + 2 * 2 + 2 * FILE_PATH_MOST, FANOTIFY_READ_SIZE = 8 };

/** Returns the length of the message. Paths have at most FILE_PATH_MOST bytes. */
size_t fanotify_message_write(uint8_t to[FANOTIFY_MESSAGE_MOST], const struct fact_file *file);

/** As source_ops.decode; the decoder keeps nothing between messages. */
int fanotify_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user) MUST_CHECK;
