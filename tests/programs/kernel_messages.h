#pragma once
/*
 * A kernel that never was: its messages, as the sources read them, in gulps. Tests of the tracker
 * feed them, and make_recordings.c writes them down.
 *
 * Within a gulp the order is the caller's; the reader's is: connector, taskstats, audit, /proc.
 */
#include "collectors/procfs/proc_entry.h"
#include "core/fact.h"

#include <inttypes.h>
#include <linux/audit.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <stdio.h>
#include <stdlib.h>

#define MS UINT64_C(1000000)

struct kernel {
    uint64_t boot_ns;    /* CLOCK_BOOTTIME */
    int64_t wall_ns;     /* CLOCK_REALTIME minus that */
    uint32_t sequence;   /* of the connector's last message, on the only CPU */
    uint32_t serial;     /* of audit's last event */
    uint64_t fork_total; /* `processes` of /proc/stat */
    struct gulp *gulp;   /* the one that is being filled */
};

/* Padding is zero, so that the same messages are the same bytes. */
static inline struct gulp *kernel_new_gulp(void)
{
    struct gulp *gulp = gulp_new(1 << 20);
    if (!gulp)
        abort();
    memset(gulp->data, 0, gulp->capacity);
    return gulp;
}

static inline void kernel_init(struct kernel *k, uint64_t boot_ns, int64_t real_ns)
{
    *k = (struct kernel){.boot_ns = boot_ns,
                         .wall_ns = real_ns - (int64_t)boot_ns,
                         .fork_total = 70000,
                         .gulp = kernel_new_gulp()};
}

static inline void kernel_deinit(struct kernel *k)
{
    k->gulp = gulp_free(k->gulp);
}

/* Close the gulp and begin the next: the caller takes it over. */
static inline struct gulp *kernel_gulp(struct kernel *k)
{
    struct gulp *full = k->gulp;
    full->boot_ns = k->boot_ns;
    full->real_ns = k->wall_ns + (int64_t)k->boot_ns;
    full->caught_up = true;
    k->gulp = kernel_new_gulp();
    return full;
}

static inline void kernel_add(struct kernel *k, enum source_id source, enum message_kind kind,
                              const void *bytes, size_t length)
{
    if (gulp_add(k->gulp, source, kind, k->boot_ns, slice_of(bytes, length)) != 0)
        abort();
}

static inline void kernel_note(struct kernel *k, enum source_id source, const char *note)
{
    kernel_add(k, source, MESSAGE_NOTE, note, strlen(note));
}

static inline void kernel_overrun(struct kernel *k, enum source_id source)
{
    kernel_add(k, source, MESSAGE_OVERRUN, "", 0);
}

static inline void kernel_user(struct kernel *k, uint32_t uid, const char *name)
{
    uint8_t bytes[64] = {0};
    size_t length = strnlen(name, 32);
    memcpy(bytes, &uid, 4);
    bytes[4] = 1;
    memcpy(bytes + 5, name, length);
    kernel_add(k, SOURCE_NAMES, MESSAGE_DATA, bytes, 5 + length);
}

/* -- The process connector -- */

static inline void kernel_event(struct kernel *k, uint32_t what, const uint32_t words[6])
{
    struct {
        struct nlmsghdr netlink;
        struct cb_id id;
        uint32_t sequence, ack;
        uint16_t length, flags;
        uint8_t event[40];
    } __attribute__((packed)) message = {
        .netlink = {.nlmsg_len = sizeof(message), .nlmsg_type = NLMSG_DONE},
        .id = {CN_IDX_PROC,                  CN_VAL_PROC             },
        .sequence = ++k->sequence,
        .length = sizeof(message.event)
    };
    memcpy(message.event, &what, 4);
    memcpy(message.event + 8, &k->boot_ns, 8);
    memcpy(message.event + 16, words, 24);
    kernel_add(k, SOURCE_CONNECTOR, MESSAGE_DATA, &message, sizeof(message));
}

static inline void kernel_fork(struct kernel *k, uint32_t parent, uint32_t pid, uint32_t tgid)
{
    const uint32_t words[6] = {parent, parent, pid, tgid};
    k->fork_total++;
    kernel_event(k, PROC_EVENT_FORK, words);
}

static inline void kernel_exec(struct kernel *k, uint32_t tgid)
{
    const uint32_t words[6] = {tgid, tgid};
    kernel_event(k, PROC_EVENT_EXEC, words);
}

static inline void kernel_exit(struct kernel *k, uint32_t pid, uint32_t tgid, uint32_t code)
{
    const uint32_t words[6] = {pid, tgid, code, 17, 1, 1};
    kernel_event(k, PROC_EVENT_EXIT, words);
}

static inline void kernel_ids(struct kernel *k, uint32_t what, uint32_t tgid, uint32_t real,
                              uint32_t effective)
{
    const uint32_t words[6] = {tgid, tgid, real, effective};
    kernel_event(k, what, words);
}

static inline void kernel_sid(struct kernel *k, uint32_t tgid)
{
    const uint32_t words[6] = {tgid, tgid};
    kernel_event(k, PROC_EVENT_SID, words);
}

static inline void kernel_comm(struct kernel *k, uint32_t tgid, const char *name)
{
    uint32_t words[6] = {tgid, tgid};
    memcpy(words + 2, name, strnlen(name, 15));
    kernel_event(k, PROC_EVENT_COMM, words);
}

/* A message that nobody ever gets. */
static inline void kernel_lose_events(struct kernel *k, uint32_t messages, uint32_t forks)
{
    k->sequence += messages;
    k->fork_total += forks;
}

static inline void kernel_fork_total(struct kernel *k)
{
    char note[128];
    snprintf(note, sizeof(note), "fork_total=%" PRIu64 " before=%" PRIu64 " after=%" PRIu64,
             k->fork_total, k->boot_ns, k->boot_ns + 1000);
    kernel_note(k, SOURCE_CONNECTOR, note);
}

/* -- taskstats -- */

static inline void kernel_stats(struct kernel *k, uint32_t pid, uint32_t tgid, bool last,
                                const char *comm, uint64_t lived_ms, uint32_t code)
{
    struct {
        struct nlmsghdr netlink;
        struct genlmsghdr generic;
        struct nlattr nest, pid_attribute;
        uint32_t pid;
        struct nlattr stats_attribute;
        uint8_t stats[sizeof(struct taskstats)];
    } __attribute__((packed)) message = {
        .netlink = {.nlmsg_len = sizeof(message),            .nlmsg_type = 24                   },
        .generic = {.cmd = TASKSTATS_CMD_NEW,                .version = 1                       },
        .nest = {.nla_len = sizeof(message) - 20,         .nla_type = TASKSTATS_TYPE_AGGR_PID},
        .pid_attribute = {.nla_len = 8,                            .nla_type = TASKSTATS_TYPE_PID     },
        .pid = pid,
        .stats_attribute = {.nla_len = 4 + sizeof(struct taskstats),
                    .nla_type = TASKSTATS_TYPE_STATS                                            }
    };
    uint64_t real_s = (uint64_t)(k->wall_ns + (int64_t)k->boot_ns) / 1000000000;
    struct taskstats stats = {.version = TASKSTATS_VERSION,
                              .ac_flag = last ? 0x20 : 0,
                              .ac_exitcode = code,
                              .ac_pid = pid,
                              .ac_tgid = tgid,
                              .ac_ppid = 1,
                              .ac_btime = (uint32_t)(real_s - lived_ms / 1000),
                              .ac_etime = lived_ms * 1000,
                              .ac_utime = 4000,
                              .hiwater_rss = 1500};
    memcpy(stats.ac_comm, comm, strnlen(comm, 15));
    memcpy(message.stats, &stats, sizeof(stats));
    kernel_add(k, SOURCE_TASKSTATS, MESSAGE_DATA, &message, sizeof(message));
}

/* The end of a process with one thread. */
static inline void kernel_end(struct kernel *k, uint32_t pid, const char *comm, uint64_t lived_ms,
                              uint32_t code)
{
    kernel_exit(k, pid, pid, code);
    kernel_stats(k, pid, pid, true, comm, lived_ms, code);
}

/* -- audit -- */

/* A moment of the wall clock as audit stamps it: some milliseconds early. */
static inline int64_t kernel_stamp_ms(const struct kernel *k)
{
    return (k->wall_ns + (int64_t)k->boot_ns) / 1000000 / 4 * 4;
}

static inline void kernel_record(struct kernel *k, uint16_t type, int64_t stamp_ms,
                                 const char *fields)
{
    char text[8192];
    struct nlmsghdr header = {.nlmsg_type = type};
    int length =
        snprintf(text, sizeof(text), "%.*saudit(%" PRId64 ".%03d:%u): %s", 16, "                ",
                 stamp_ms / 1000, (int)(stamp_ms % 1000), k->serial, fields);
    header.nlmsg_len = (uint32_t)length - 16; /* as in the kernel, without the header */
    memcpy(text, &header, 16);
    kernel_add(k, SOURCE_AUDIT, MESSAGE_DATA, text, (size_t)length);
}

static inline void kernel_audit_exec(struct kernel *k, uint32_t pid, int64_t stamp_ms,
                                     const char *comm, const char *argument)
{
    char fields[512];
    k->serial++;
    snprintf(fields, sizeof(fields),
             "arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e a2=55f a3=8 items=2 "
             "ppid=1 pid=%u auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 "
             "tty=pts0 ses=3 comm=\"%s\" exe=\"/usr/bin/%s\" key=\"vestige\"",
             pid, comm, comm);
    kernel_record(k, AUDIT_SYSCALL, stamp_ms, fields);
    snprintf(fields, sizeof(fields), "argc=2 a0=\"%s\" a1=\"%s\"", comm, argument);
    kernel_record(k, AUDIT_EXECVE, stamp_ms, fields);
    kernel_record(k, AUDIT_CWD, stamp_ms, "cwd=\"/\"");
}

static inline void kernel_login(struct kernel *k, uint32_t pid, int64_t stamp_ms,
                                uint32_t login_uid)
{
    char fields[256];
    k->serial++;
    snprintf(fields, sizeof(fields),
             "pid=%u uid=0 subj=unconfined old-auid=4294967295 auid=%u tty=(none) "
             "old-ses=4294967295 ses=3 res=1",
             pid, login_uid);
    kernel_record(k, AUDIT_LOGIN, stamp_ms, fields);
}

/* -- /proc -- */

static inline void kernel_scan(struct kernel *k, bool begin)
{
    struct buffer message = BUFFER_NULL;
    proc_entry_scan(&message, begin);
    kernel_add(k, SOURCE_PROC, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

/* @p arguments: each ended by a NUL, or SLICE_NULL. */
static inline void kernel_entry(struct kernel *k, const struct fact_proc_process *process,
                                struct slice arguments)
{
    struct buffer message = BUFFER_NULL;
    proc_entry_process(&message, process, arguments);
    if (message.failed)
        abort();
    kernel_add(k, SOURCE_PROC, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

/* A process of root's with one thread that began at @p start_ns. */
static inline struct fact_proc_process kernel_process(uint32_t pid, uint32_t ppid,
                                                      uint64_t start_ns, const char *comm,
                                                      const char *exe)
{
    return (struct fact_proc_process){.pid = pid,
                                      .ppid = ppid,
                                      .start_ticks = start_ns / (10 * MS),
                                      .n_threads = 1,
                                      .kernel_thread = !exe,
                                      .login_uid = ID_UNSET,
                                      .session = ID_UNSET,
                                      .sid = 1,
                                      .pid_ns = 4026531836,
                                      .mnt_ns = 4026531841,
                                      .net_ns = 4026531840,
                                      .comm = slice_text(comm),
                                      .exe = exe ? slice_text(exe) : SLICE_NULL};
}
