#pragma once
/* The hosts file as it is now: read again when it is another one. Not thread-safe. */
#include "collectors/resolver/hosts_table.h"

struct hosts_file;

int hosts_file_new(struct hosts_file **filep, const char *path) MUST_CHECK;
struct hosts_file *hosts_file_free(struct hosts_file *file);

enum { HOSTS_FILE_SAME = 0, HOSTS_FILE_READ = 1 };

/** Look whether it has changed. A file that is not there has no names; one that cannot be read is
 *  tried again at the next look. @p handler gets what is other than before, but nothing of the
 * first reading. Returns HOSTS_FILE_SAME or HOSTS_FILE_READ. */
int hosts_file_refresh(struct hosts_file *file, hosts_change_handler handler, void *user);
/** The name of a plain address, or SLICE_NULL. */
struct slice hosts_file_find(const struct hosts_file *file, const struct inet_address *address);
/** It is too large: the lines at its end are left out. */
bool hosts_file_truncated(const struct hosts_file *file);
/** Lines of the last reading that were left out because their name is too long. */
uint64_t hosts_file_refused(const struct hosts_file *file);
