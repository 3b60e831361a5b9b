#pragma once
/*
 * Real time for one boot: the boot clock plus one offset, so that an end is never before its
 * beginning, whatever the wall clock does. Ids are microseconds since 1970 at the moment of
 * recording, unique, normally increasing, also across restarts.
 *
 * A wall clock that moves away by more than an hour, or that is before the day this program was
 * made, is not followed before the server's time confirms it.
 */
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

struct timeline {
    int64_t offset_ns; /* real minus boot */
    uint64_t last_id;
    uint64_t now_boot_ns;    /* of the gulp at hand */
    int64_t wall_ns;         /* the wall clock, as it is, minus the boot clock */
    int64_t wall_before_ns;  /* the same before it last jumped */
    uint64_t wall_jump_ns;   /* when that jump was noticed; 0: there was none */
    int64_t stamped_ns;      /* the stamp that was asked about last, */
    uint64_t moment_ns;      /* and its moment */
    int64_t step_ns;         /* the last step that was seen or taken */
    int64_t refused_step_ns; /* a step that was not followed, 0: none */
};

enum {
    TIMELINE_STEADY = 0,
    TIMELINE_STEP_SEEN = 1, /* the wall clock moved by over an hour; not followed */
    TIMELINE_STEP_TAKEN = 2 /* followed, because the server's clock agrees */
};

/** @p last_id: of an earlier run, 0: none. @p known_offset_ns: of an earlier run in this boot,
 *  INT64_MIN: none. Returns TIMELINE_STEADY, or TIMELINE_STEP_SEEN when the wall clock is
 *  implausible: then time goes on from @p last_id or from the day this program was made. */
int timeline_init(struct timeline *timeline, uint64_t boot_ns, int64_t real_ns, uint64_t last_id,
                  int64_t known_offset_ns);
/** A new gulp: look at the wall clock. @p server_offset_ns is the server's time minus the wall
 *  clock's; INT64_MIN: unknown. */
int timeline_tick(struct timeline *timeline, uint64_t boot_ns, int64_t real_ns,
                  int64_t server_offset_ns);
/** A new id. */
uint64_t timeline_id(struct timeline *timeline);
/** Microseconds since 1970 of a moment of the boot clock. */
uint64_t timeline_real_us(const struct timeline *timeline, uint64_t boot_ns);

/* A moment of the wall clock, by the boot clock. Around a jump of the wall clock nobody knows by
 * which of the two clocks it was stamped. */
struct timeline_moment {
    uint64_t boot_ns;  /* by the clock that makes it the later, but not in the future */
    uint64_t other_ns; /* by the other clock; without a jump the same */
};
/** @p real_ns: stamped by the wall clock, as it was then. @p heard_ns: the boot clock when it was
 *  heard of; boot_ns is never after it. */
struct timeline_moment timeline_moment(const struct timeline *timeline, int64_t real_ns,
                                       uint64_t heard_ns);
/** The same for stamps of audit, which come in the order of time: of two that are asked about one
 *  after the other, the later or equal one is not before the other, except around a jump. */
struct timeline_moment timeline_stamp(struct timeline *timeline, int64_t real_ns,
                                      uint64_t heard_ns);
