/*
 * A window of bits behind the newest serial. A serial is decided on when it falls out of the
 * window, or when the newest one of two seconds ago has passed it. Neighbouring missing serials
 * become one hole, reported when a seen one follows. Serials wrap at 2^32: only differences are
 * compared.
 */
#include "collectors/audit/audit_serial.h"

/* So far behind is not late: the kernel counts anew, or the serial that was handed over was of
 * another boot. */
#define FAR_BEHIND (1u << 20)

static bool bit_take(struct audit_serial *self, uint32_t serial)
{
    uint64_t *word = &self->seen[serial % AUDIT_SERIAL_WINDOW / 64];
    uint64_t bit = UINT64_C(1) << serial % 64;
    bool was_set = *word & bit;
    *word &= ~bit;
    return was_set;
}

static void bit_set(struct audit_serial *self, uint32_t serial)
{
    self->seen[serial % AUDIT_SERIAL_WINDOW / 64] |= UINT64_C(1) << serial % 64;
}

static void open_hole(struct audit_serial *self, uint32_t first)
{
    if (!self->hole_open)
        self->hole_first = first;
    self->hole_open = true;
}

static void close_hole(struct audit_serial *self, uint32_t last, audit_serial_report report,
                       void *user)
{
    if (self->hole_open)
        report(user, self->hole_first, last);
    self->hole_open = false;
}

/* Decide on all serials up to and including @p last. */
static void settle(struct audit_serial *self, uint32_t last, audit_serial_report report, void *user)
{
    if ((int32_t)(last - self->settled) <= 0)
        return;
    while (self->settled != last && self->settled != self->newest) {
        uint32_t serial = self->settled + 1;
        if (bit_take(self, serial))
            close_hole(self, self->settled, report, user);
        else
            open_hole(self, serial);
        self->settled = serial;
    }
    if (self->settled != last) { /* a jump: nothing between newest and last was seen */
        open_hole(self, self->settled + 1);
        self->settled = last;
        self->newest = last;
    }
}

static void start(struct audit_serial *self, uint32_t settled)
{
    *self = (struct audit_serial){
        .started = true, .settled = settled, .newest = settled, .mark = settled};
}

void audit_serial_resume(struct audit_serial *self, uint32_t last)
{
    start(self, last);
    self->resumed = true;
}

void audit_serial_tick(struct audit_serial *self, uint64_t boot_ns, audit_serial_report report,
                       void *user)
{
    if (!self->started || boot_ns < self->mark_ns || boot_ns - self->mark_ns < AUDIT_SERIAL_WAIT_NS)
        return;
    settle(self, self->mark, report, user);
    self->mark = self->newest;
    self->mark_ns = boot_ns;
}

void audit_serial_see(struct audit_serial *self, uint32_t serial, uint64_t boot_ns,
                      audit_serial_report report, void *user)
{
    uint32_t behind = self->newest - serial;
    bool counts_anew = (int32_t)behind >= 0 && (self->resumed || behind > FAR_BEHIND);
    if (!self->started || (counts_anew && behind)) {
        if (self->started)
            close_hole(self, self->settled, report, user);
        start(self, serial - 1);
    }
    self->resumed = false;
    if ((int32_t)(serial - self->newest) > 0) {
        settle(self, serial - AUDIT_SERIAL_WINDOW, report, user);
        self->newest = serial;
        bit_set(self, serial);
    } else if ((int32_t)(serial - self->settled) > 0) {
        bit_set(self, serial);
    }
    audit_serial_tick(self, boot_ns, report, user);
}
