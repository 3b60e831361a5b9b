/*
 * One object has all programs. Which of them this kernel takes is found by trying, from the best
 * choice down: an accept hook or none, with datagrams or without. Attached programs are links; the
 * kernel takes them away with the last descriptor.
 */
#include "collectors/bpf/bpf_programs.h"

#include "collectors/bpf/bpf_objects.h"
#include "collectors/bpf/bpf_record.h"
#include "collectors/bpf/cgroup_root.h"
#include "core/capabilities.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#define ACTIVE_LSMS   "/sys/kernel/security/lsm"
#define STATE         "state_"
#define DATAGRAM      "datagram_"
#define SIGNAL        "signal_"
#define AGENT         "agent_"
#define PROGRAMS_MOST 24

static const struct accept_hook {
    const char *program, *name;
} accept_hooks[] = {
    {"accept_fexit",     "fexit of inet_csk_accept"                                       },
    {"accept_fexit_old", "fexit of inet_csk_accept"                                       },
    {"accept_lsm",       "LSM hook sock_graft"                                            },
    {"accept_sys_exit",  "exit of system calls, which sees none of io_uring or the kernel"},
    {"",                 "nothing"                                                        },
};
#define ACCEPT_HOOKS_N (sizeof(accept_hooks) / sizeof(accept_hooks[0]))

struct bpf_programs {
    size_t ring_size;
    uint32_t guard_pid;
    int cgroup_fd; /* a negative errno: there is none */
    size_t accept_hook;
    const char *datagram_name;
    struct bpf_object *object;
    struct bpf_link *links[PROGRAMS_MOST];
    size_t n_links;
    struct bpf_counts *counts; /* the programs' memory, as is this: */
    struct bpf_signals *signals;
};

static int print_debug(enum libbpf_print_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* The verifier's reasons are many lines in one message. */
static int print_debug(enum libbpf_print_level level, const char *format, va_list arguments)
{
    char *text AUTO_FREE = NULL, *rest = NULL;
    (void)level;
    int length = vasprintf(&text, format, arguments);
    if (length < 0) {
        text = NULL;
        return length;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        log_debug("bpf", "%s", line);
    return length;
}

static bool is_permitted(cap_t have, cap_value_t capability)
{
    cap_flag_value_t value = CAP_CLEAR;
    return have && cap_get_flag(have, capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

static int explain(int r, struct error_text *error)
{
    cap_t have AUTO_CAPABILITIES = cap_get_proc();
    bool admin = is_permitted(have, CAP_SYS_ADMIN);
    bool bpf = admin || is_permitted(have, CAP_BPF);
    bool perfmon = admin || is_permitted(have, CAP_PERFMON);
    const char *reason = "";
    if (r == -EPERM && bpf && perfmon)
        reason = "; a security module or lockdown may forbid it";
    else if (r == -EPERM)
        reason = bpf       ? "; run as root or give it CAP_PERFMON"
                 : perfmon ? "; run as root or give it CAP_BPF"
                           : "; run as root or give it CAP_BPF and CAP_PERFMON";
    else if (r == -ESRCH)
        reason = "; the kernel has no description of itself, it needs CONFIG_DEBUG_INFO_BTF";
    return error_set(error, r, "bpf: the kernel does not take the programs: %s%s", strerror(-r),
                     reason);
}

/* Where the module is not active its hooks can be attached, and are never called. */
static bool is_lsm_active(void)
{
    char text[1024], *rest = NULL;
    AUTO_FCLOSE FILE *file = fopen(ACTIVE_LSMS, "re");
    if (!file || !fgets(text, sizeof(text), file))
        return false;
    for (char *name = strtok_r(text, ",\n", &rest); name; name = strtok_r(NULL, ",\n", &rest))
        if (strcmp(name, "bpf") == 0)
            return true;
    return false;
}

static bool is_of(const struct bpf_program *program, const char *family)
{
    return strncmp(bpf_program__name(program), family, strlen(family)) == 0;
}

static bool is_chosen(const struct bpf_programs *self, const struct bpf_program *program)
{
    const char *name = bpf_program__name(program);
    return is_of(program, DATAGRAM)
               ? self->cgroup_fd >= 0
               : is_of(program, STATE) || is_of(program, SIGNAL) || is_of(program, AGENT) ||
                     strcmp(name, accept_hooks[self->accept_hook].program) == 0;
}

static int attach(struct bpf_programs *self, struct bpf_program *program)
{
    if (self->n_links == PROGRAMS_MOST)
        return -E2BIG;
    struct bpf_link *link = is_of(program, DATAGRAM)
                                ? bpf_program__attach_cgroup(program, self->cgroup_fd)
                                : bpf_program__attach(program);
    if (!link)
        return -errno;
    self->links[self->n_links++] = link;
    return 0;
}

static void unload(struct bpf_programs *self)
{
    bpf_programs_detach(self);
    if (self->counts)
        munmap(self->counts, sizeof(*self->counts));
    if (self->signals)
        munmap(self->signals, sizeof(*self->signals));
    self->counts = NULL;
    self->signals = NULL;
    bpf_object__close(self->object);
    self->object = NULL;
}

static int map_memory(struct bpf_programs *self)
{
    void *counts = mmap(NULL, sizeof(*self->counts), PROT_READ, MAP_SHARED,
                        bpf_object__find_map_fd_by_name(self->object, "counts"), 0);
    if (counts == MAP_FAILED)
        return -errno;
    self->counts = counts;
    void *signals = mmap(NULL, sizeof(*self->signals), PROT_READ | PROT_WRITE, MAP_SHARED,
                         bpf_object__find_map_fd_by_name(self->object, "signals"), 0);
    if (signals == MAP_FAILED)
        return -errno;
    self->signals = signals;
    self->signals->agent_pid = (unsigned)getpid();
    self->signals->guard_pid = self->guard_pid;
    self->signals->size = sizeof(*self->signals);
    return 0;
}

static int load(struct bpf_programs *self)
{
    struct bpf_program *program;
    struct bpf_map *ring;
    int r;
    self->object = bpf_object__open_mem(bpf_objects[0].text, bpf_objects[0].length, NULL);
    if (!self->object)
        return -errno;
    bpf_object__for_each_program(program, self->object)
        bpf_program__set_autoload(program, is_chosen(self, program));
    ring = bpf_object__find_map_by_name(self->object, "ring");
    if (!ring)
        return -ENOENT;
    if ((r = bpf_map__set_max_entries(ring, (uint32_t)self->ring_size)) < 0 ||
        (r = bpf_object__load(self->object)) < 0 || (r = map_memory(self)) < 0)
        return r;
    bpf_object__for_each_program(program,
                                 self->object) if (is_chosen(self, program) &&
                                                   (r = attach(self, program)) < 0) return r;
    return 0;
}

/* The best accept hook with which everything else that is chosen can be loaded. */
static int load_best(struct bpf_programs *self)
{
    int r = -ENOENT;
    for (size_t i = 0; i < ACCEPT_HOOKS_N; i++) {
        self->accept_hook = i;
        if (strcmp(accept_hooks[i].program, "accept_lsm") == 0 && !is_lsm_active())
            continue;
        if ((r = load(self)) == 0)
            return 0;
        unload(self);
    }
    return r;
}

int bpf_programs_new(struct bpf_programs **programsp, size_t ring_size, uint32_t guard_pid,
                     struct error_text *error)
{
    struct bpf_programs *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "bpf: out of memory");
    libbpf_set_print((libbpf_print_fn_t)print_debug);
    self->ring_size = ring_size;
    self->guard_pid = guard_pid;
    self->datagram_name = "cgroup";
    self->cgroup_fd = cgroup_root_open();
    if (self->cgroup_fd < 0)
        self->datagram_name = "nothing, cgroup2 is not mounted";
    int r = load_best(self);
    if (r < 0 && self->cgroup_fd >= 0) {
        close(self->cgroup_fd);
        self->cgroup_fd = -ENOENT;
        self->datagram_name = r == -EPERM ? "nothing, it is not permitted (CAP_NET_ADMIN)"
                                          : "nothing, the kernel does not take its programs";
        r = load_best(self);
    }
    if (r < 0) {
        bpf_programs_free(self);
        return explain(r, error);
    }
    *programsp = self;
    return 0;
}

void bpf_programs_detach(struct bpf_programs *self)
{
    while (self->n_links)
        bpf_link__destroy(self->links[--self->n_links]);
}

struct bpf_programs *bpf_programs_free(struct bpf_programs *self)
{
    if (!self)
        return NULL;
    unload(self);
    if (self->cgroup_fd >= 0)
        close(self->cgroup_fd);
    free(self);
    return NULL;
}

int bpf_programs_ring(const struct bpf_programs *self)
{
    return bpf_object__find_map_fd_by_name(self->object, "ring");
}

const char *bpf_programs_accept_name(const struct bpf_programs *self)
{
    return accept_hooks[self->accept_hook].name;
}

const char *bpf_programs_datagram_name(const struct bpf_programs *self)
{
    return self->datagram_name;
}

struct bpf_signals *bpf_programs_signals(const struct bpf_programs *self, int *fd)
{
    *fd = bpf_object__find_map_fd_by_name(self->object, "signals");
    return self->signals;
}

uint64_t bpf_programs_lost(const struct bpf_programs *self)
{
    return __atomic_load_n(&self->counts->lost, __ATOMIC_RELAXED);
}

bool bpf_programs_missed(const struct bpf_programs *self, uint64_t *n)
{
    struct bpf_prog_info info = {.type = 0};
    uint32_t size = sizeof(info);
    const struct bpf_program *accept =
        bpf_object__find_program_by_name(self->object, accept_hooks[self->accept_hook].program);
    if (!accept || bpf_obj_get_info_by_fd(bpf_program__fd(accept), &info, &size) < 0)
        return false;
    *n = info.recursion_misses;
    return true;
}
