#pragma once
/*
 * A gulp is what the reader thread found in one go: raw messages of all sources, in the order in
 * which they were received, with one clock reading. Gulps travel through the bounded queue to the
 * tracker, and are what `--record` writes and `--replay` feeds: the same bytes give the same rows.
 *
 *   struct gulp | message header | bytes, padded to 8 | message header | bytes ...
 */
#include "core/error.h"
#include "core/slice.h"

enum source_id {
    SOURCE_AGENT, /* the recorder itself: clock, configuration, what was restored */
    SOURCE_CONNECTOR,
    SOURCE_TASKSTATS,
    SOURCE_AUDIT,
    SOURCE_PROC,
    SOURCE_NAMES, /* user names, from NSS */
    SOURCE_SOCK_DIAG,
    SOURCE_BPF,
    SOURCE_RTNETLINK,
    SOURCE_RESOLVER, /* names of addresses */
    SOURCE_FANOTIFY,
    SOURCE_INOTIFY,  /* files of filesystems that fanotify does not watch, and open descriptors */
    SOURCE_PROGRAMS, /* digests of the files that were executed */
    SOURCE_UDEV,     /* devices */
    SOURCE_ACCOUNTS, /* passwd, shadow, group and gshadow */
    SOURCE_UTMP,     /* logins: utmp, wtmp, btmp */
    SOURCE_N
};

enum message_kind {
    MESSAGE_DATA,    /* raw bytes as the kernel (or the /proc reader) gave them */
    MESSAGE_OVERRUN, /* the socket lost messages (ENOBUFS); no bytes. boot_ns: when it was noticed
                      */
    MESSAGE_NOTE,    /* the source's state changed; bytes: "mode\tdetail", for `coverage` */
    MESSAGE_MARK,    /* a token of `vestige sync`: bytes are a uint64_t */
    MESSAGE_KIND_N
};

struct message {
    enum source_id source;
    enum message_kind kind;
    uint64_t boot_ns; /* CLOCK_BOOTTIME when it was read from its source */
    struct slice bytes;
};

struct gulp {
    struct gulp *next;
    uint64_t boot_ns; /* CLOCK_BOOTTIME, nanoseconds, when the gulp was closed */
    int64_t real_ns;  /* CLOCK_REALTIME at the same moment; may be anything, even negative */
    bool caught_up;   /* every socket was read until EAGAIN: timers may run */
    size_t used, capacity;
    uint8_t data[] __attribute__((aligned(8)));
};

struct gulp *gulp_new(size_t capacity) MUST_CHECK;
struct gulp *gulp_free(struct gulp *gulp);

/** Room for a message of up to @p size bytes, or NULL when the gulp is full. */
uint8_t *gulp_reserve(struct gulp *gulp, size_t size);
/** Keep the first @p length of the bytes reserved last. */
void gulp_commit(struct gulp *gulp, enum source_id source, enum message_kind kind, uint64_t boot_ns,
                 size_t length);
/** Reserve, copy, commit. Returns 0 or -ENOBUFS. */
int gulp_add(struct gulp *gulp, enum source_id source, enum message_kind kind, uint64_t boot_ns,
             struct slice bytes) MUST_CHECK;
/** The message at *@p offset (0 at first), which is moved on; false at the end. The slice points
 *  into the gulp. A gulp read from a file is hostile: what does not fit ends the walk. */
bool gulp_next(const struct gulp *gulp, size_t *offset, struct message *message);

/** CLOCK_BOOTTIME in nanoseconds. */
uint64_t clock_boot_ns(void);
/** CLOCK_REALTIME in nanoseconds. */
int64_t clock_real_ns(void);
/** CLOCK_BOOTTIME, and in *@p real_ns CLOCK_REALTIME at the same moment: within some microseconds,
 *  unless the thread is stopped between the two each time that they are read. */
uint64_t clock_both_ns(int64_t *real_ns);
const char *source_name(enum source_id id);
