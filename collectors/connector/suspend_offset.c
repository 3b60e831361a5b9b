/* The two clocks are read in a row, so that being scheduled away between them would look like a
 * suspend; such a reading is recognised by a second monotonic one, and taken again next time. */
#include "collectors/connector/suspend_offset.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define WORTH_A_NOTE_NS   1000000
#define SCHEDULED_AWAY_NS 100000

static uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int suspend_offset_note(struct suspend_offset *self, struct gulp *gulp)
{
    uint64_t before = clock_monotonic_ns(), boot = clock_boot_ns(), after = clock_monotonic_ns();
    /* The readings do not go backwards, but boot is not told apart from before within 1 ns. */
    uint64_t now = boot > before ? boot - before : 0;
    uint64_t moved = now > self->nanoseconds ? now - self->nanoseconds : self->nanoseconds - now;
    if (self->known && (moved <= WORTH_A_NOTE_NS || after - before > SCHEDULED_AWAY_NS))
        return 0;
    char text[64];
    int length = snprintf(text, sizeof(text), "suspend_offset=%" PRIu64, now);
    int r = gulp_add(gulp, SOURCE_CONNECTOR, MESSAGE_NOTE, boot, slice_of(text, (size_t)length));
    if (r < 0)
        return r;
    self->nanoseconds = now;
    self->known = true;
    return 0;
}

bool suspend_offset_parse(struct slice note, uint64_t *nanoseconds)
{
    char text[64];
    if (note.length >= sizeof(text))
        return false;
    memcpy(text, note.data, note.length);
    text[note.length] = 0;
    int end = 0;
    uint64_t value;
    if (sscanf(text, "suspend_offset=%" SCNu64 "%n", &value, &end) != 1 ||
        (size_t)end != note.length)
        return false;
    *nanoseconds = value;
    return true;
}
