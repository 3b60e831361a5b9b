#pragma once
/* Reading one of the files: whole, bounded, and not while somebody writes it. */
#include "core/buffer.h"

#include <sys/stat.h>

enum { ACCOUNT_FILE_MOST = 32 << 20 };

/** Returns 0; -ENOENT, -EACCES ...; -EFBIG: it is larger, and @p text has its beginning; -EAGAIN:
 * it changed while it was read; -EINVAL: it is no file. */
int account_file_read(int directory, const char *name, struct buffer *text) MUST_CHECK;
/** Wipes what was read. */
void account_file_forget(struct buffer *text);

/* Has a file become another one since it was looked at last? */
struct account_file_look {
    bool looked;
    struct stat status; /* zeros: it is not there */
};
bool account_file_changed(struct account_file_look *look, int directory, const char *name);
