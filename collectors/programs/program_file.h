#pragma once
/*
 * Finds the file that a process executed, by evidence that can be told: the process still runs it,
 * or it stands at the path that the process had for it. Nothing but a regular file is ever opened,
 * and nothing of a filesystem that another host, or a program, stands behind.
 */
#include "core/error.h"
#include "core/fact.h"

/* A file's contents as they were: another version has another of these. */
struct program_version {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns; /* wall clock */
};

struct program_file {
    int fd; /* of no use but for stat; -1: none */
    unsigned evidence;
    uint64_t looked_ns; /* boot clock: behind the look at the process, before that at the path */
    bool local;         /* its times are of this host's clock, and reading it does not hang */
    /* Nobody but root could have it mapped for writing at the look. Such a mapping sets the times
     * when it is written to first, and not again. */
    bool guarded;
    struct program_version version;
};

#define PROGRAM_FILE_NULL                                                                          \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/** @p pid executed @p path; @p root_pid is a process with the same root, 0: nobody knows one.
 *  Returns 0, or -ENOENT; looked_ns is set in any case. */
int program_file_look(struct program_file *file, uint32_t pid, uint32_t root_pid,
                      const char *path) MUST_CHECK;
/** A descriptor to read the contents by, or a negative errno. */
int program_file_open(const struct program_file *file) MUST_CHECK;
/** The version that can be read by @p fd now. Returns 0 or a negative errno. */
int program_version_of(int fd, struct program_version *version) MUST_CHECK;
void program_file_deinit(struct program_file *file);

static inline bool program_version_equal(const struct program_version *a,
                                         const struct program_version *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}
