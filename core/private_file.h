#pragma once
/* Small files that hold secrets: written whole, mode 0600, read whole. */
#include "core/buffer.h"

/** Written beside its place and renamed, so that a reader never sees half of it. */
int private_file_write(const char *path, struct slice text, struct error_text *error) MUST_CHECK;
/** Rename, durably. @p replace: what is at @p to goes; else -EEXIST. */
int private_file_move(const char *from, const char *to, bool replace,
                      struct error_text *error) MUST_CHECK;
/** Append the file at @p path to @p to. -ENOENT; -EFBIG: it has more than @p most bytes. */
int private_file_read(const char *path, size_t most, struct buffer *to,
                      struct error_text *error) MUST_CHECK;
/** Release a buffer, and overwrite what it held. */
void private_buffer_deinit(struct buffer *buffer);
