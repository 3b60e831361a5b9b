/* Directory entries are read with getdents64(2), and each link by the handler with readlinkat(2):
 * about a microsecond a descriptor, nearly all of it in the kernel. */
#include "collectors/procfs/proc_descriptors.h"

#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

static int look_at_entries(const struct proc_descriptors *descriptors, size_t length, int directory,
                           proc_descriptor_handler handler, void *user)
{
    const struct dirent64 *entry;
    int r = 0;
    for (size_t at = 0; r >= 0 && at < length; at += entry->d_reclen) {
        entry = (const void *)(descriptors->entries + at);
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            r = handler(user, directory, entry->d_name);
    }
    return r < 0 ? r : 0;
}

static int outcome_of(int error)
{
    return error == ENOENT || error == ESRCH ? PROC_DESCRIPTORS_VANISHED : PROC_DESCRIPTORS_REFUSED;
}

int proc_descriptors_walk(struct proc_descriptors *descriptors, uint32_t pid,
                          proc_descriptor_handler handler, void *user)
{
    char path[32];
    long n;
    int r = 0;
    snprintf(path, sizeof(path), "/proc/%u/fd", pid);
    AUTO_CLOSE int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return outcome_of(errno);
    while (r == 0 && (n = syscall(SYS_getdents64, directory, descriptors->entries,
                                  sizeof(descriptors->entries))) != 0)
        r = n < 0 ? outcome_of(errno)
                  : look_at_entries(descriptors, (size_t)n, directory, handler, user);
    return r;
}
