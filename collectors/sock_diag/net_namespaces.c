/* The kernel gives an inode number that became free to the next namespace. So at each look the nsid
 * of what was found is asked for: one without ours is another namespace under an old number.
 *
 * No descriptor of a namespace is kept, for it would keep the namespace. What is kept is a process
 * or a name that leads to it. Our nsids are counted upwards from a high number and not given twice,
 * so that what the kernel sent of one namespace is never taken for another's. */
#include "collectors/sock_diag/net_namespaces.h"

#include "collectors/netlink/netlink_socket.h"
#include "collectors/procfs/proc_scan.h"
#include "collectors/sock_diag/diag_attributes.h"
#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/stat.h>

enum {
    NSID_FIRST = 1 << 24,
    NSID_ATTEMPTS = NET_NAMESPACES_MOST + 1,
    MESSAGE_SIZE = 4096,
    TIMEOUT_MS = 1000
};

static const char names_directory[] = "/run/netns";

struct entry {
    struct net_namespace public;
    uint32_t pid; /* of a process in it; 0: none */
    char *name;   /* in names_directory; NULL: none */
    bool seen;    /* by this look */
};

struct net_namespaces {
    struct nsid_map *map;
    struct netlink_socket socket;
    struct proc_scan *scan;
    int own;   /* descriptor of the own namespace */
    bool away; /* the thread is in another one */
    dev_t device;
    struct entry *entries;
    size_t n, capacity, n_left_out;
    int32_t next_nsid;
};

static void close_all(struct net_namespaces *self)
{
    netlink_socket_close(&self->socket);
    proc_scan_free(self->scan);
    for (size_t i = 0; i < self->n; i++)
        free(self->entries[i].name);
    free(self->entries);
    if (self->own >= 0)
        close(self->own);
    free(self);
}

struct net_namespaces *net_namespaces_free(struct net_namespaces *self)
{
    if (self)
        close_all(self);
    return NULL;
}

/* Asking and giving nsids. */

struct answer {
    bool came;
    int32_t nsid;
};

static void take_answer(void *user, const struct nlmsghdr *header)
{
    struct answer *answer = user;
    struct slice values[NETNSA_MAX + 1];
    size_t fixed = NLMSG_ALIGN(sizeof(struct rtgenmsg)), length = mnl_nlmsg_get_payload_len(header);
    if (header->nlmsg_type != RTM_NEWNSID || length < fixed ||
        !diag_attributes(slice_of(mnl_nlmsg_get_payload_offset(header, fixed), length - fixed),
                         values, NETNSA_MAX + 1) ||
        values[NETNSA_NSID].length != sizeof(answer->nsid))
        return;
    memcpy(&answer->nsid, values[NETNSA_NSID].data, sizeof(answer->nsid));
    answer->came = true;
}

static struct nlmsghdr *put_request(char *buffer, uint16_t type)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = type;
    struct rtgenmsg *fixed = mnl_nlmsg_put_extra_header(header, sizeof(*fixed));
    fixed->rtgen_family = AF_UNSPEC;
    return header;
}

/* Sets *@p nsid, to -1 if it has none. @p attribute: NETNSA_FD or NETNSA_NSID. */
static int ask(struct net_namespaces *self, uint16_t attribute, int32_t value, int32_t *nsid)
{
    char buffer[256];
    struct answer answer = {.nsid = NETNSA_NSID_NOT_ASSIGNED};
    if (!self->socket.mnl)
        return -ENOTCONN;
    struct nlmsghdr *header = put_request(buffer, RTM_GETNSID);
    mnl_attr_put_u32(header, attribute, (uint32_t)value);
    int r = netlink_socket_request(&self->socket, header, TIMEOUT_MS, take_answer, &answer);
    if (r == 0 && !answer.came)
        r = -EBADMSG;
    *nsid = answer.nsid;
    return r;
}

/* From the moment when it is given the kernel sends under it: the reader is to know it before. */
static int give(struct net_namespaces *self, int fd, uint64_t inode, int32_t nsid)
{
    char buffer[256];
    struct nlmsghdr *header = put_request(buffer, RTM_NEWNSID);
    mnl_attr_put_u32(header, NETNSA_FD, (uint32_t)fd);
    mnl_attr_put_u32(header, NETNSA_NSID, (uint32_t)nsid);
    int r = nsid_map_set(self->map, nsid, inode);
    if (r < 0)
        return r;
    r = netlink_socket_request(&self->socket, header, TIMEOUT_MS, NULL, NULL);
    if (r < 0)
        nsid_map_remove(self->map, nsid);
    return r;
}

/* The namespace's nsid, given now if it has none; -1 when it cannot have one. */
static int32_t nsid_of(struct net_namespaces *self, int fd, uint64_t inode)
{
    int32_t nsid;
    for (int attempt = 0; attempt < NSID_ATTEMPTS; attempt++) {
        if (ask(self, NETNSA_FD, fd, &nsid) < 0)
            return NETNSA_NSID_NOT_ASSIGNED;
        if (nsid >= self->next_nsid && nsid < INT32_MAX)
            self->next_nsid = nsid + 1;
        if (nsid >= 0)
            return nsid;
        int32_t number = self->next_nsid++;
        int r = ask(self, NETNSA_NSID, number, &nsid);
        if (r == -ENOENT) /* else it is another one's, whom it must not be taken for */
            r = give(self, fd, inode, number);
        if (r < 0 && r != -EEXIST)
            return NETNSA_NSID_NOT_ASSIGNED;
    }
    return NETNSA_NSID_NOT_ASSIGNED;
}

/* The entries. */

static struct entry *find(struct net_namespaces *self, uint64_t inode)
{
    for (size_t i = 0; i < self->n; i++)
        if (self->entries[i].public.inode == inode)
            return &self->entries[i];
    return NULL;
}

static struct entry *add(struct net_namespaces *self, uint64_t inode)
{
    if (self->n == self->capacity) {
        size_t capacity = self->capacity ? self->capacity * 2 : 16;
        struct entry *entries = realloc(self->entries, capacity * sizeof(*entries));
        if (!entries)
            return NULL;
        self->entries = entries;
        self->capacity = capacity;
    }
    struct entry *entry = &self->entries[self->n++];
    *entry = (struct entry){
        .public = {.inode = inode, .nsid = NETNSA_NSID_NOT_ASSIGNED}
    };
    return entry;
}

static void forget_nsid(struct net_namespaces *self, struct entry *entry)
{
    if (entry->public.nsid >= 0)
        nsid_map_remove(self->map, entry->public.nsid);
    entry->public.nsid = NETNSA_NSID_NOT_ASSIGNED;
}

static void take_nsid(struct net_namespaces *self, struct entry *entry, int fd)
{
    int32_t nsid = nsid_of(self, fd, entry->public.inode);
    if (nsid == entry->public.nsid)
        return;
    forget_nsid(self, entry);
    if (nsid >= 0 && nsid_map_set(self->map, nsid, entry->public.inode) == 0)
        entry->public.nsid = nsid;
    entry->public.fresh = true;
}

/* Where a namespace was found. */
struct place {
    uint32_t pid;
    const char *name; /* or NULL */
};

static int open_place(const struct place *place, uint64_t inode)
{
    char path[sizeof(names_directory) + NAME_MAX + 32];
    struct stat status;
    if (place->name)
        snprintf(path, sizeof(path), "%s/%s", names_directory, place->name);
    else
        snprintf(path, sizeof(path), "/proc/%u/ns/net", place->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && status.st_ino == inode)
        return fd;
    close(fd);
    return -ENOENT;
}

static int remember_place(struct entry *entry, const struct place *place)
{
    if (!place->name) {
        entry->pid = place->pid;
        return 0;
    }
    if (entry->name && !strcmp(entry->name, place->name))
        return 0;
    char *name = strdup(place->name);
    if (!name)
        return -ENOMEM;
    free(entry->name);
    entry->name = name;
    return 0;
}

/* A namespace was found. Only the first place of a look is looked at closely. */
static int found(struct net_namespaces *self, uint64_t inode, const struct place *place)
{
    struct entry *entry = find(self, inode);
    if (entry && entry->seen)
        return 0;
    AUTO_CLOSE int fd = open_place(place, inode);
    if (fd < 0)
        return 0; /* it is gone, or another place leads to it */
    if (!entry && self->n == NET_NAMESPACES_MOST) {
        self->n_left_out++;
        return 0;
    }
    bool known = entry != NULL;
    if (!entry && !(entry = add(self, inode)))
        return -ENOMEM;
    entry->seen = true;
    entry->public.fresh = !known;
    entry->public.state = NET_NAMESPACE_PRESENT;
    take_nsid(self, entry, fd);
    return remember_place(entry, place);
}

static int look_at_process(void *user, uint32_t pid)
{
    struct net_namespaces *self = user;
    char path[48];
    struct stat status;
    snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ESRCH; /* gone, or not ours to see */
    if (status.st_ino == self->entries[0].public.inode)
        return 0;
    return found(self, status.st_ino, &(struct place){.pid = pid});
}

static inline void close_directory(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int look_at_names(struct net_namespaces *self)
{
    DIR *directory CLEANUP(close_directory) = opendir(names_directory);
    const struct dirent *file;
    struct stat status;
    int r = 0;
    while (directory && r == 0 && (file = readdir(directory)))
        if (fstatat(dirfd(directory), file->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) && status.st_dev == self->device &&
            status.st_ino != self->entries[0].public.inode)
            r = found(self, status.st_ino, &(struct place){.name = file->d_name});
    return r;
}

static void drop_entry(struct net_namespaces *self, size_t i)
{
    forget_nsid(self, &self->entries[i]);
    free(self->entries[i].name);
    self->n--;
    memmove(&self->entries[i], &self->entries[i + 1], (self->n - i) * sizeof(self->entries[0]));
}

/* Before a full look. */
static void age(struct net_namespaces *self)
{
    for (size_t i = self->n; i-- > 1;)
        if (self->entries[i].public.state == NET_NAMESPACE_GONE)
            drop_entry(self, i);
        else if (self->entries[i].public.state == NET_NAMESPACE_ENDED)
            self->entries[i].public.state = NET_NAMESPACE_GONE;
}

/* After a full look: what was not found has ended if the kernel knows its nsid no more. */
static void judge(struct net_namespaces *self)
{
    for (size_t i = self->n; i-- > 1;) {
        struct entry *entry = &self->entries[i];
        int32_t nsid;
        if (entry->seen || entry->public.state >= NET_NAMESPACE_ENDED)
            continue;
        if (entry->public.nsid < 0)
            drop_entry(self, i);
        else if (ask(self, NETNSA_NSID, entry->public.nsid, &nsid) == -ENOENT)
            entry->public.state = NET_NAMESPACE_ENDED;
        else
            entry->public.state = NET_NAMESPACE_MISSING;
    }
}

int net_namespaces_look(struct net_namespaces *self, bool full)
{
    for (size_t i = 0; i < self->n; i++)
        self->entries[i].seen = self->entries[i].public.fresh = false;
    if (full) {
        self->n_left_out = 0;
        age(self);
    }
    int r = proc_scan_walk(self->scan, full, look_at_process, self);
    if (r == 0)
        r = look_at_names(self);
    if (r == 0 && full)
        judge(self);
    return r;
}

size_t net_namespaces_count(const struct net_namespaces *self)
{
    return self->n;
}

const struct net_namespace *net_namespaces_at(const struct net_namespaces *self, size_t i)
{
    return &self->entries[i].public;
}

size_t net_namespaces_left_out(const struct net_namespaces *self)
{
    return self->n_left_out;
}

int net_namespaces_enter(struct net_namespaces *self, size_t i)
{
    const struct entry *entry = &self->entries[i];
    if (i == 0)
        return 0;
    int fd = -ENOENT;
    if (entry->pid)
        fd = open_place(&(struct place){.pid = entry->pid}, entry->public.inode);
    if (fd < 0 && entry->name)
        fd = open_place(&(struct place){.name = entry->name}, entry->public.inode);
    if (fd < 0)
        return NET_NAMESPACES_VANISHED;
    int r = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
    self->away = r == 0;
    close(fd);
    return r;
}

int net_namespaces_leave(struct net_namespaces *self)
{
    if (self->away && setns(self->own, CLONE_NEWNET) < 0)
        return -errno;
    self->away = false;
    return 0;
}

static int open_own(struct net_namespaces *self, struct error_text *error)
{
    struct stat status;
    self->own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (self->own < 0 || fstat(self->own, &status) < 0)
        return error_set(error, -errno, "sock_diag: cannot open /proc/thread-self/ns/net: %s",
                         strerror(errno));
    self->device = status.st_dev;
    struct entry *entry = add(self, status.st_ino);
    if (!entry)
        return error_set(error, -ENOMEM, "sock_diag: out of memory");
    int32_t nsid;
    if (ask(self, NETNSA_FD, self->own, &nsid) == 0 && nsid >= 0 &&
        nsid_map_set(self->map, nsid, status.st_ino) == 0)
        entry->public.nsid = nsid;
    return 0;
}

int net_namespaces_new(struct net_namespaces **namespacesp, struct nsid_map *map,
                       struct counters *counters, struct error_text *error)
{
    struct net_namespaces *self = calloc(1, sizeof(*self));
    struct error_text ignored;
    if (!self)
        return error_set(error, -ENOMEM, "sock_diag: out of memory");
    *self = (struct net_namespaces){.map = map, .own = -1, .next_nsid = NSID_FIRST};
    const struct netlink_socket_options options = {.protocol = NETLINK_ROUTE,
                                                   .source = SOURCE_SOCK_DIAG,
                                                   .name = "sock_diag",
                                                   .message_size = MESSAGE_SIZE,
                                                   .counters = counters};
    int r = proc_scan_new(&self->scan, error);
    /* Without it no namespace has an nsid. */
    if (r == 0 && netlink_socket_open(&self->socket, &options, &ignored) < 0)
        self->socket = (struct netlink_socket)NETLINK_SOCKET_NULL;
    if (r == 0)
        r = open_own(self, error);
    if (r < 0) {
        net_namespaces_free(self);
        return r;
    }
    *namespacesp = self;
    return 0;
}
