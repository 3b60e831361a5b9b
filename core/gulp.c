/* Messages are laid out back to back, so that recv(2) writes straight into the gulp and nothing is
 * copied before decoding. */
#include "core/gulp.h"

#include <stdlib.h>
#include <time.h>

struct message_header {
    uint32_t length;
    uint8_t source, kind;
    uint16_t reserved;
    uint64_t boot_ns;
};
_Static_assert(sizeof(struct message_header) == 16, "layout of recorded gulps");

static size_t padded(size_t length)
{
    return (length + 7) & ~(size_t)7;
}

struct gulp *gulp_new(size_t capacity)
{
    struct gulp *gulp = malloc(sizeof(*gulp) + capacity);
    if (gulp)
        *gulp = (struct gulp){.capacity = capacity};
    return gulp;
}

struct gulp *gulp_free(struct gulp *gulp)
{
    free(gulp);
    return NULL;
}

uint8_t *gulp_reserve(struct gulp *gulp, size_t size)
{
    size_t left = gulp->capacity - gulp->used;
    if (left < sizeof(struct message_header) || padded(size) > left - sizeof(struct message_header))
        return NULL;
    return gulp->data + gulp->used + sizeof(struct message_header);
}

void gulp_commit(struct gulp *gulp, enum source_id source, enum message_kind kind, uint64_t boot_ns,
                 size_t length)
{
    struct message_header header = {.length = (uint32_t)length,
                                    .source = (uint8_t)source,
                                    .kind = (uint8_t)kind,
                                    .boot_ns = boot_ns};
    memcpy(gulp->data + gulp->used, &header, sizeof(header));
    gulp->used += sizeof(header) + padded(length);
}

int gulp_add(struct gulp *gulp, enum source_id source, enum message_kind kind, uint64_t boot_ns,
             struct slice bytes)
{
    uint8_t *to = gulp_reserve(gulp, bytes.length);
    if (!to)
        return -ENOBUFS;
    if (bytes.length)
        memcpy(to, bytes.data, bytes.length);
    gulp_commit(gulp, source, kind, boot_ns, bytes.length);
    return 0;
}

bool gulp_next(const struct gulp *gulp, size_t *offset, struct message *message)
{
    struct message_header header;
    if (*offset > gulp->used || gulp->used - *offset < sizeof(header))
        return false;
    memcpy(&header, gulp->data + *offset, sizeof(header));
    size_t left = gulp->used - *offset - sizeof(header);
    if (header.length > left || header.source >= SOURCE_N || header.kind >= MESSAGE_KIND_N)
        return false;
    *message =
        (struct message){.source = (enum source_id)header.source,
                         .kind = (enum message_kind)header.kind,
                         .boot_ns = header.boot_ns,
                         .bytes = slice_of(gulp->data + *offset + sizeof(header), header.length)};
    size_t step = padded(header.length);
    *offset += sizeof(header) + (step > left ? left : step);
    return true;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_BOOTTIME);
}

int64_t clock_real_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t clock_both_ns(int64_t *real_ns)
{
    enum { ATTEMPTS = 8, NEAR_NS = 20000 };
    uint64_t best = UINT64_MAX, boot_ns = 0;
    for (int i = 0; i < ATTEMPTS && best > NEAR_NS; i++) {
        uint64_t before = clock_boot_ns();
        int64_t real = clock_real_ns();
        uint64_t between = clock_boot_ns() - before;
        if (between < best) {
            best = between;
            boot_ns = before + between / 2;
            *real_ns = real;
        }
    }
    return boot_ns;
}

const char *source_name(enum source_id id)
{
    static const char *const names[] = {
        "agent",     "connector", "taskstats", "audit",   "proc",     "names", "sock_diag", "bpf",
        "rtnetlink", "resolver",  "fanotify",  "inotify", "programs", "udev",  "accounts",  "utmp"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == SOURCE_N, "name each source");
    return names[id];
}
