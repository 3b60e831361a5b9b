#pragma once
/*
 * Which serials came, and which never will. Events of several processors overtake each other, so a
 * missing serial is a hole only when it has been waited for. Pure; the state is of fixed size.
 */
#include <stdbool.h>
#include <stdint.h>

#define AUDIT_SERIAL_WINDOW  4096          /* serials that may overtake one */
#define AUDIT_SERIAL_WAIT_NS 2000000000ull /* how long a missing one is waited for */

struct audit_serial {
    bool started, resumed;
    uint32_t settled; /* all up to this one were decided on */
    uint32_t newest;  /* settled <= newest, modulo 2^32 */
    uint32_t mark;    /* the newest one at mark_ns */
    uint64_t mark_ns;
    bool hole_open; /* serials from hole_first to `settled` are missing */
    uint32_t hole_first;
    uint64_t seen[AUDIT_SERIAL_WINDOW / 64]; /* bits of (settled, newest] */
};

/** Serials from @p first to @p last, modulo 2^32, are missing. */
typedef void (*audit_serial_report)(void *user, uint32_t first, uint32_t last);

/** An earlier run saw everything up to @p last. */
void audit_serial_resume(struct audit_serial *self, uint32_t last);
/** A record with this serial was read at @p boot_ns. */
void audit_serial_see(struct audit_serial *self, uint32_t serial, uint64_t boot_ns,
                      audit_serial_report report, void *user);
/** Time went on. */
void audit_serial_tick(struct audit_serial *self, uint64_t boot_ns, audit_serial_report report,
                       void *user);
