/* One descriptor is kept open. The file is read in one piece into memory that grows to the file's
 * size once, and stays. */
#include "collectors/connector/fork_total.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>

/* At most a thousandth of a core goes into it. */
#define INTERVAL_FIRST_NS 100000000
#define INTERVAL_MOST_NS  1000000000
#define COST_SHARE        1000
#define START_CAPACITY    16384
#define MOST_CAPACITY     (4 * 1024 * 1024)

struct fork_total {
    int fd;
    uint64_t next_ns; /* CLOCK_BOOTTIME */
    size_t capacity;
    char *text;
};

DEFINE_CLEANUP(cleanup_fork_total, struct fork_total, fork_total_free);

int fork_total_open(struct fork_total **totalp)
{
    CLEANUP(cleanup_fork_total) struct fork_total *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    self->fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (self->fd < 0)
        return -errno;
    self->capacity = START_CAPACITY;
    self->text = malloc(self->capacity);
    if (!self->text)
        return -ENOMEM;
    *totalp = self;
    self = NULL;
    return 0;
}

struct fork_total *fork_total_free(struct fork_total *self)
{
    if (!self)
        return NULL;
    cleanup_close(&self->fd);
    free(self->text);
    free(self);
    return NULL;
}

void fork_total_demand(struct fork_total *self)
{
    if (self)
        self->next_ns = 0;
}

/* Returns the length read, or a negative errno. */
static ssize_t read_file(struct fork_total *self)
{
    for (;;) {
        ssize_t n = pread(self->fd, self->text, self->capacity, 0);
        if (n < 0)
            return -errno;
        if ((size_t)n < self->capacity || self->capacity >= MOST_CAPACITY)
            return n;
        char *larger = realloc(self->text, self->capacity * 2);
        if (!larger)
            return -ENOMEM;
        self->text = larger;
        self->capacity *= 2;
    }
}

static uint64_t interval_ns(uint64_t cost_ns)
{
    uint64_t interval = cost_ns * COST_SHARE;
    if (interval < INTERVAL_FIRST_NS)
        return INTERVAL_FIRST_NS;
    return interval > INTERVAL_MOST_NS ? INTERVAL_MOST_NS : interval;
}

int fork_total_note(struct fork_total *self, struct gulp *gulp)
{
    uint64_t before = clock_boot_ns();
    if (!self || before < self->next_ns)
        return 0;
    ssize_t length = read_file(self);
    uint64_t after = clock_boot_ns(), number;
    self->next_ns = after + interval_ns(after - before);
    if (length < 0 || !fork_total_find(slice_of(self->text, (size_t)length), &number))
        return 0;
    char note[128];
    int written =
        snprintf(note, sizeof(note), "fork_total=%" PRIu64 " before=%" PRIu64 " after=%" PRIu64,
                 number, before, after);
    int r = gulp_add(gulp, SOURCE_CONNECTOR, MESSAGE_NOTE, after, slice_of(note, (size_t)written));
    if (r < 0)
        self->next_ns = 0;
    return r;
}

bool fork_total_find(struct slice text, uint64_t *number)
{
    static const char key[] = "\nprocesses ";
    const uint8_t *at = memmem(text.data, text.length, key, sizeof(key) - 1);
    if (!at)
        return false;
    const uint8_t *end = text.data + text.length;
    uint64_t value = 0;
    size_t digits = 0;
    for (at += sizeof(key) - 1; at < end && *at >= '0' && *at <= '9' && digits < 20; at++, digits++)
        value = value * 10 + (uint64_t)(*at - '0');
    *number = value;
    return digits > 0 && at < end && *at == '\n';
}

bool fork_total_parse(struct slice note, struct fact_fork_total *fact)
{
    char text[128];
    if (note.length >= sizeof(text))
        return false;
    memcpy(text, note.data, note.length);
    text[note.length] = 0;
    int end = 0;
    return sscanf(text, "fork_total=%" SCNu64 " before=%" SCNu64 " after=%" SCNu64 "%n",
                  &fact->total, &fact->before_ns, &fact->after_ns, &end) == 3 &&
           (size_t)end == note.length;
}
