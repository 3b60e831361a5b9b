/* Two handles, because the items of a handle decide which files libproc2 opens: one reads stat and
 * status, the other only stat. Not taken from libproc2, because it replaces or cuts bytes there:
 * comm (escaped), cmdline (blanks between arguments), exe and cwd (escaped, "-" for unknown),
 * cgroup (joined, controllers cut). Those are read from their files by proc_read.c, and so are the
 * login uid and the audit session, which libproc2 gives as signed or not at all, and the
 * namespaces, for each of which libproc2 looks at all eight. */
#include "collectors/procfs/procfs_libproc.h"

#include <libproc2/pids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

enum { KERNEL_THREAD_FLAG = 0x00200000 }; /* PF_KTHREAD */
enum { PTY_MAJOR = 136 };

enum full_item {
    FULL_START,
    FULL_STACK,
    FULL_PPID,
    FULL_THREADS,
    FULL_STATE,
    FULL_FLAGS,
    FULL_SESSION,
    FULL_TTY,
    FULL_TTY_NAME,
    FULL_RUID,
    FULL_EUID,
    FULL_RGID,
    FULL_EGID,
    FULL_N
};
static const enum pids_item full_items[] = {
    PIDS_TICS_BEGAN, PIDS_ADDR_STACK_START, PIDS_ID_PPID, PIDS_NLWP,     PIDS_STATE,
    PIDS_FLAGS,      PIDS_ID_SESSION,       PIDS_TTY,     PIDS_TTY_NAME, PIDS_ID_RUID,
    PIDS_ID_EUID,    PIDS_ID_RGID,          PIDS_ID_EGID};
_Static_assert(sizeof(full_items) / sizeof(full_items[0]) == FULL_N, "one item each");

enum { MARK_START, MARK_STACK, MARK_N };
static const enum pids_item mark_items[] = {PIDS_TICS_BEGAN, PIDS_ADDR_STACK_START};

/* libproc2 keeps two buffers of 128 KiB for each thread that used it and never frees them; the
 * agent has one such thread. The leak sanitizer asks here what it should not report. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libproc2";
}
#endif

struct procfs_libproc {
    struct pids_info *full, *mark;
    char tty[64];
};

static int open_pids(struct pids_info **infop, const enum pids_item *items, int n)
{
    enum pids_item copy[FULL_N]; /* the library wants them writable */
    memcpy(copy, items, (size_t)n * sizeof(*items));
    return procps_pids_new(infop, copy, n);
}

int procfs_libproc_new(struct procfs_libproc **libp, struct error_text *error)
{
    struct procfs_libproc *lib = calloc(1, sizeof(*lib));
    if (!lib)
        return -ENOMEM;
    int r = open_pids(&lib->full, full_items, FULL_N);
    if (r == 0)
        r = open_pids(&lib->mark, mark_items, MARK_N);
    if (r < 0) {
        procfs_libproc_free(lib);
        return error_set(error, r,
                         "libproc2 cannot read /proc (%s): mount it with `mount -t proc "
                         "proc /proc`",
                         strerror(-r));
    }
    *libp = lib;
    return 0;
}

struct procfs_libproc *procfs_libproc_free(struct procfs_libproc *lib)
{
    if (lib) {
        if (lib->full)
            procps_pids_unref(&lib->full);
        if (lib->mark)
            procps_pids_unref(&lib->mark);
        free(lib);
    }
    return NULL;
}

static int select_pid(struct pids_info *info, uint32_t pid, struct pids_stack **stackp)
{
    unsigned pids[] = {pid};
    errno = 0;
    struct pids_fetch *fetch = procps_pids_select(info, pids, 1, PIDS_SELECT_PID);
    if (!fetch)
        return errno == 0 || errno == ENOENT || errno == ESRCH ? PROCFS_LIBPROC_GONE : -errno;
    if (fetch->counts->total < 1)
        return PROCFS_LIBPROC_GONE;
    *stackp = fetch->stacks[0];
    return 0;
}

static void fill_mark(struct procfs_libproc_mark *mark, const struct pids_result *start,
                      const struct pids_result *stack)
{
    mark->start_ticks = start->result.ull_int;
    mark->stack_start = stack->result.ul_int;
}

/* The name as the kernel prints it in audit records: /dev/pts/0 is pts0. */
static struct slice tty_name(struct procfs_libproc *lib, uint32_t number, const char *name)
{
    if (number == 0)
        return slice_text("");
    if (major(number) == PTY_MAJOR)
        snprintf(lib->tty, sizeof(lib->tty), "pts%u", minor(number));
    else if (name && name[0] && strcmp(name, "?"))
        snprintf(lib->tty, sizeof(lib->tty), "%s", name);
    else
        return SLICE_NULL;
    return slice_text(lib->tty);
}

int procfs_libproc_read(struct procfs_libproc *lib, uint32_t pid, struct fact_proc_process *process,
                        struct procfs_libproc_mark *mark)
{
    struct pids_stack *stack;
    int r = select_pid(lib->full, pid, &stack);
    if (r != 0)
        return r;
    const struct pids_result *value = stack->head;
    fill_mark(mark, &value[FULL_START], &value[FULL_STACK]);
    process->pid = pid;
    process->start_ticks = mark->start_ticks;
    process->ppid = (uint32_t)value[FULL_PPID].result.s_int;
    process->n_threads = (uint32_t)value[FULL_THREADS].result.s_int;
    /* A zombie counts as its own thread; one with more is a leader that ended before the others. */
    if (value[FULL_STATE].result.s_ch == 'Z' && process->n_threads <= 1)
        process->n_threads = 0;
    process->kernel_thread = value[FULL_FLAGS].result.ul_int & KERNEL_THREAD_FLAG;
    process->sid = (uint32_t)value[FULL_SESSION].result.s_int;
    process->uid = value[FULL_RUID].result.u_int;
    process->euid = value[FULL_EUID].result.u_int;
    process->gid = value[FULL_RGID].result.u_int;
    process->egid = value[FULL_EGID].result.u_int;
    process->tty =
        tty_name(lib, (uint32_t)value[FULL_TTY].result.s_int, value[FULL_TTY_NAME].result.str);
    return 0;
}

int procfs_libproc_read_mark(struct procfs_libproc *lib, uint32_t pid,
                             struct procfs_libproc_mark *mark)
{
    struct pids_stack *stack;
    int r = select_pid(lib->mark, pid, &stack);
    if (r == 0)
        fill_mark(mark, &stack->head[MARK_START], &stack->head[MARK_STACK]);
    return r;
}
