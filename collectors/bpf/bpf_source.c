/*
 * The ring is read from its end of the last time until it is empty. The programs wake nobody. A
 * record that finds no room in the gulp is kept here and goes first into the next: the library
 * counts it as read.
 *
 * Losses are looked at when the ring is empty, so that they stand behind what came before them.
 */
#include "collectors/bpf/bpf_source.h"

#include "collectors/bpf/bpf_decode.h"
#include "collectors/bpf/bpf_programs.h"
#include "collectors/bpf/bpf_record.h"
#include "collectors/bpf/bpf_signals.h"

#include <bpf/libbpf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_DEFAULT (4u << 20)
#define RING_LEAST   (256u << 10)
#define RING_MOST    (64u << 20)
/* Of a socket's buffer: the ring holds more messages in its bytes, and is mapped twice, which
 * counts double in the resident memory. */
#define RING_SHARE      16
#define MISSED_CHECK_NS 100000000ull

struct bpf_collector {
    struct bpf_programs *programs;
    struct ring_buffer *ring;
    size_t ring_size;
    struct bpf_signal_list signals;
    struct counters *counters;
    bool noted;
    uint64_t lost_seen, missed_seen, overwritten_seen; /* reported already */
    uint64_t next_missed_check_ns;
    struct bpf_record left_over; /* read from the ring, and in no gulp yet */
    size_t left_over_size;       /* 0: there is none */
    /* Of one drain. */
    struct gulp *gulp;
    uint64_t now_ns;
    uint64_t n_records;
};

static size_t ring_size_for(size_t receive_buffer)
{
    size_t wanted = receive_buffer ? receive_buffer / RING_SHARE : RING_DEFAULT, size = RING_LEAST;
    while (size * 2 <= wanted && size < RING_MOST)
        size *= 2;
    return size;
}

/* Called by the library for each record; an error ends the reading behind it. */
static int take_record(void *user, void *data, size_t size)
{
    struct bpf_collector *self = user;
    if (size > sizeof(self->left_over)) {
        counter_add(self->counters, COUNTER_MESSAGES_MALFORMED, 1);
        return 0;
    }
    self->n_records++;
    if (gulp_add(self->gulp, SOURCE_BPF, MESSAGE_DATA, self->now_ns, slice_of(data, size)) == 0)
        return 0;
    memcpy(&self->left_over, data, size);
    self->left_over_size = size;
    return -ENOBUFS;
}

static int flush_left_over(struct bpf_collector *self)
{
    if (self->left_over_size == 0)
        return 0;
    int r = gulp_add(self->gulp, SOURCE_BPF, MESSAGE_DATA, self->now_ns,
                     slice_of(&self->left_over, self->left_over_size));
    if (r == 0)
        self->left_over_size = 0;
    return r;
}

static int add_text(struct bpf_collector *self, const char *text)
{
    return gulp_add(self->gulp, SOURCE_BPF, MESSAGE_NOTE, self->now_ns, slice_text(text));
}

static int add_mode_note(struct bpf_collector *self)
{
    char text[256];
    if (self->noted)
        return 0;
    snprintf(text, sizeof(text), "on\taccept by %s; udp by %s; ring %zu bytes",
             bpf_programs_accept_name(self->programs), bpf_programs_datagram_name(self->programs),
             self->ring_size);
    int r = add_text(self, text);
    self->noted = r == 0;
    return r;
}

static uint64_t missed(struct bpf_collector *self)
{
    uint64_t n;
    if (self->now_ns < self->next_missed_check_ns)
        return self->missed_seen;
    self->next_missed_check_ns = self->now_ns + MISSED_CHECK_NS;
    return bpf_programs_missed(self->programs, &n) ? n : self->missed_seen;
}

static int add_losses(struct bpf_collector *self)
{
    char text[32];
    uint64_t lost = bpf_programs_lost(self->programs), n_missed = missed(self);
    uint64_t n_overwritten = self->signals.n_overwritten;
    uint64_t n = lost - self->lost_seen + n_missed - self->missed_seen + n_overwritten -
                 self->overwritten_seen;
    size_t used = self->gulp->used;
    if (n == 0)
        return 0;
    snprintf(text, sizeof(text), "lost=%" PRIu64, n);
    int r = gulp_add(self->gulp, SOURCE_BPF, MESSAGE_OVERRUN, self->now_ns, SLICE_NULL);
    if (r == 0)
        r = add_text(self, text);
    if (r < 0) {
        self->gulp->used = used;
        return r;
    }
    counter_add(self->counters, COUNTER_RECEIVE_OVERRUNS, 1);
    self->lost_seen = lost;
    self->missed_seen = n_missed;
    self->overwritten_seen = n_overwritten;
    return 0;
}

static int read_ring(struct bpf_collector *self)
{
    self->n_records = 0;
    int r = ring_buffer__consume(self->ring);
    counter_add(self->counters, COUNTER_MESSAGES_RECEIVED, self->n_records);
    counter_add(self->counters, COUNTER_BYTES_RECEIVED,
                self->n_records * sizeof(struct bpf_record));
    return r < 0 ? r : 0;
}

static int bpf_drain(struct source *source, struct gulp *gulp)
{
    struct bpf_collector *self = (struct bpf_collector *)source;
    self->gulp = gulp;
    self->now_ns = clock_boot_ns();
    int r = add_mode_note(self);
    if (r == 0)
        r = flush_left_over(self);
    if (r == 0)
        r = read_ring(self);
    if (r == 0)
        r = bpf_signals_drain(&self->signals, gulp, self->now_ns);
    if (r == 0)
        r = add_losses(self);
    return r == -ENOBUFS ? SOURCE_MORE : r < 0 ? r : SOURCE_DRAINED;
}

static void bpf_stop(struct source *source)
{
    struct bpf_collector *self = (struct bpf_collector *)source;
    bpf_programs_detach(self->programs);
    self->next_missed_check_ns = 0;
}

static struct source *bpf_free(struct source *source)
{
    struct bpf_collector *self = (struct bpf_collector *)source;
    if (!self)
        return NULL;
    ring_buffer__free(self->ring);
    bpf_programs_free(self->programs);
    free(self);
    return NULL;
}

static int bpf_open(struct source **sourcep, const struct source_options *options,
                    struct error_text *error)
{
    struct bpf_collector *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "bpf: out of memory");
    self->counters = options->counters;
    self->ring_size = ring_size_for(options->receive_buffer);
    int r = bpf_programs_new(&self->programs, self->ring_size, options->guard_pid, error);
    if (r == 0) {
        self->ring = ring_buffer__new(bpf_programs_ring(self->programs), take_record, self, NULL);
        if (!self->ring)
            r = error_set(error, -errno, "bpf: cannot map the ring: %s", strerror(errno));
    }
    if (r < 0) {
        bpf_free((struct source *)self);
        return r;
    }
    int fd;
    bpf_signals_init(&self->signals, bpf_programs_signals(self->programs, &fd),
                     options->state_directory);
    *sourcep = (struct source *)self;
    return 0;
}

int bpf_source_signals(const struct source *source)
{
    int fd = -1;
    if (source)
        bpf_programs_signals(((const struct bpf_collector *)source)->programs, &fd);
    return fd;
}

const struct source_ops bpf_source = {
    .id = SOURCE_BPF,
    .open = bpf_open,
    .drain = bpf_drain,
    .stop = bpf_stop,
    .free = bpf_free,
    .decoder_new = bpf_decoder_new,
    .decode = bpf_decode,
    .decoder_free = bpf_decoder_free,
};
