/* A socket's link in /proc/PID/fd is "socket:[INODE]". */
#include "collectors/sock_diag/socket_owners.h"

#include "collectors/procfs/proc_descriptors.h"
#include "collectors/procfs/proc_scan.h"
#include "core/gulp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static const char prefix[] = "socket:[";

struct socket_owners {
    struct proc_scan *scan;
    /* Of the search. */
    const struct inode_set *wanted;
    socket_owners_handler handler;
    void *user;
    uint64_t boot_ns; /* before the first of `found` was read */
    uint32_t pid;
    size_t n_found;
    struct sock_diag_owner found[SOCKET_OWNERS_MOST];
    struct proc_descriptors descriptors;
};

int socket_owners_new(struct socket_owners **ownersp, struct error_text *error)
{
    struct socket_owners *owners = calloc(1, sizeof(*owners));
    if (!owners)
        return error_set(error, -ENOMEM, "sock_diag: out of memory");
    int r = proc_scan_new(&owners->scan, error);
    if (r < 0) {
        free(owners);
        return r;
    }
    *ownersp = owners;
    return 0;
}

struct socket_owners *socket_owners_free(struct socket_owners *owners)
{
    if (owners)
        proc_scan_free(owners->scan);
    free(owners);
    return NULL;
}

static int hand_over(struct socket_owners *owners)
{
    size_t n = owners->n_found;
    owners->n_found = 0;
    return n ? owners->handler(owners->user, owners->boot_ns, owners->found, n) : 0;
}

static bool parse_number(const char *digits, char end, uint64_t *to)
{
    char *behind;
    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    *to = strtoull(digits, &behind, 10);
    return errno == 0 && *behind == end;
}

/* True when the descriptor is of a wanted socket. */
static bool is_wanted(const struct socket_owners *owners, int directory, const char *name,
                      struct sock_diag_owner *owner)
{
    char link[64];
    uint64_t descriptor;
    if (!parse_number(name, '\0', &descriptor) || descriptor > INT32_MAX)
        return false;
    ssize_t n = readlinkat(directory, name, link, sizeof(link) - 1);
    if (n < (ssize_t)sizeof(prefix) || memcmp(link, prefix, sizeof(prefix) - 1) != 0)
        return false;
    link[n] = '\0';
    owner->descriptor = (int32_t)descriptor;
    return parse_number(link + sizeof(prefix) - 1, ']', &owner->inode) &&
           inode_set_has(owners->wanted, owner->inode);
}

static int look_at_descriptor(void *user, int directory, const char *name)
{
    struct socket_owners *owners = user;
    struct sock_diag_owner owner = {.pid = owners->pid};
    if (!is_wanted(owners, directory, name, &owner))
        return 0;
    owners->found[owners->n_found++] = owner;
    return owners->n_found == SOCKET_OWNERS_MOST ? hand_over(owners) : 0;
}

static int look_at_process(void *user, uint32_t pid)
{
    struct socket_owners *owners = user;
    owners->pid = pid;
    if (owners->n_found == 0)
        owners->boot_ns = clock_boot_ns();
    int r = proc_descriptors_walk(&owners->descriptors, pid, look_at_descriptor, owners);
    return r < 0 ? r : 0;
}

int socket_owners_find(struct socket_owners *owners, const struct inode_set *wanted,
                       socket_owners_handler handler, void *user)
{
    owners->wanted = wanted;
    owners->handler = handler;
    owners->user = user;
    owners->n_found = 0;
    int r = proc_scan_walk(owners->scan, true, look_at_process, owners);
    return r < 0 ? r : hand_over(owners);
}
