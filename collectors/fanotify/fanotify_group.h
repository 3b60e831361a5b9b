#pragma once
/*
 * The kernel's side: what is reported, of which filesystems, and which directories of them are
 * passed over. What the kernel does not know yet is left out.
 */
#include "core/error.h"
#include "core/slice.h"

struct fanotify_group {
    int fd;        /* -1: none */
    uint64_t mask; /* of whole filesystems */
    bool pairs;    /* a rename is one event, with the id of what was renamed */
    bool ignores;  /* directories can be passed over */
    bool evictable;
    uint64_t queue_most; /* events; 0: unknown */
};

#define FANOTIFY_GROUP_NULL                                                                        \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/** Only root (uid 0) can have the kernel keep more events than its default, and only at this
 * moment. */
int fanotify_group_init(struct fanotify_group *group, struct error_text *error) MUST_CHECK;
void fanotify_group_deinit(struct fanotify_group *group);
/** Reads events. Returns the number of bytes, 0: none wait. */
int fanotify_group_read(struct fanotify_group *group, void *to, size_t size) MUST_CHECK;
/** Watch the filesystem that is mounted at @p point. */
int fanotify_group_watch(struct fanotify_group *group, const char *point) MUST_CHECK;
/** Pass over what is done with files directly in a directory: reads, or all but renames.
 *  @p directory_fd may be O_PATH. */
int fanotify_group_ignore(struct fanotify_group *group, int directory_fd, bool all) MUST_CHECK;
/** Pass over the reads of one file. @p fd may be O_PATH. */
int fanotify_group_ignore_file(struct fanotify_group *group, int fd) MUST_CHECK;
void fanotify_group_heed_file(struct fanotify_group *group, int fd);
void fanotify_group_heed(struct fanotify_group *group, int directory_fd);
/** No directory is passed over any more. */
void fanotify_group_heed_all(struct fanotify_group *group);
