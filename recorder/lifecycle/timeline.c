/* One offset a run, kept from the run before in the same boot. The wall clock is only compared with
 * it: small corrections (a few minutes by NTP) stay in the offset's error, which the server sees as
 * the batch's clock offset; a step of over an hour needs the server's word. */
#include "recorder/lifecycle/timeline.h"

static const int64_t hour_ns = INT64_C(3600) * 1000000000;
/* 2026-01-01: no host that runs this program lives before it. */
static const int64_t earliest_ns = INT64_C(1767225600) * 1000000000;

/* Between two gulps no clock discipline moves the wall clock by more; and so far may two readings
 * of it be wrong. */
static const int64_t jump_ns = 2000000;
/* The readings tremble by less: a stamp is the same moment in each gulp. */
static const int64_t tremble_ns = 500000;
/* Nothing that was stamped before a jump is heard later. */
static const uint64_t jump_memory_ns = UINT64_C(60000000000);

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

int timeline_init(struct timeline *timeline, uint64_t boot_ns, int64_t real_ns, uint64_t last_id,
                  int64_t known_offset_ns)
{
    int64_t wall = real_ns - (int64_t)boot_ns;
    int64_t last_ns = (int64_t)last_id * 1000;
    int outcome = TIMELINE_STEADY;

    *timeline = (struct timeline){.last_id = last_id,
                                  .now_boot_ns = boot_ns,
                                  .wall_ns = wall,
                                  .wall_before_ns = wall,
                                  .offset_ns = wall};
    if (known_offset_ns != INT64_MIN) {
        timeline->offset_ns = known_offset_ns;
        if (distance(wall, known_offset_ns) > hour_ns)
            outcome = TIMELINE_STEP_SEEN;
    } else if (real_ns < earliest_ns || (last_id && real_ns < last_ns - hour_ns)) {
        timeline->offset_ns = (last_ns > earliest_ns ? last_ns : earliest_ns) - (int64_t)boot_ns;
        outcome = TIMELINE_STEP_SEEN;
    }
    if (outcome == TIMELINE_STEP_SEEN)
        timeline->step_ns = timeline->refused_step_ns = wall - timeline->offset_ns;
    return outcome;
}

static void follow_wall(struct timeline *timeline, uint64_t boot_ns, int64_t wall)
{
    if (distance(wall, timeline->wall_ns) <= tremble_ns)
        return;
    if (distance(wall, timeline->wall_ns) > jump_ns) {
        timeline->wall_before_ns = timeline->wall_ns;
        timeline->wall_jump_ns = boot_ns;
    }
    timeline->wall_ns = wall;
}

int timeline_tick(struct timeline *timeline, uint64_t boot_ns, int64_t real_ns,
                  int64_t server_offset_ns)
{
    int64_t wall = real_ns - (int64_t)boot_ns;
    int64_t step = wall - timeline->offset_ns;

    follow_wall(timeline, boot_ns, wall);
    timeline->now_boot_ns = boot_ns;
    if (distance(step, 0) <= hour_ns) {
        timeline->refused_step_ns = 0;
        return TIMELINE_STEADY;
    }
    if (server_offset_ns != INT64_MIN && distance(server_offset_ns, 0) < hour_ns &&
        real_ns >= earliest_ns) {
        timeline->offset_ns = wall;
        timeline->step_ns = step;
        timeline->refused_step_ns = 0;
        if (step < 0)
            timeline->last_id = 0;
        return TIMELINE_STEP_TAKEN;
    }
    bool news = distance(step, timeline->refused_step_ns) > hour_ns;
    timeline->step_ns = timeline->refused_step_ns = step;
    return news ? TIMELINE_STEP_SEEN : TIMELINE_STEADY;
}

uint64_t timeline_id(struct timeline *timeline)
{
    uint64_t now = timeline_real_us(timeline, timeline->now_boot_ns);
    timeline->last_id = now > timeline->last_id ? now : timeline->last_id + 1;
    return timeline->last_id;
}

uint64_t timeline_real_us(const struct timeline *timeline, uint64_t boot_ns)
{
    int64_t real = (int64_t)boot_ns + timeline->offset_ns;
    return real > 0 ? (uint64_t)real / 1000 : 0;
}

static uint64_t boot_by(int64_t wall, int64_t real_ns)
{
    int64_t boot;
    if (__builtin_sub_overflow(real_ns, wall, &boot))
        return real_ns < 0 ? 0 : UINT64_MAX;
    return boot > 0 ? (uint64_t)boot : 0;
}

struct timeline_moment timeline_moment(const struct timeline *timeline, int64_t real_ns,
                                       uint64_t heard_ns)
{
    uint64_t now = boot_by(timeline->wall_ns, real_ns), before = now;
    if (timeline->wall_jump_ns && timeline->now_boot_ns - timeline->wall_jump_ns < jump_memory_ns)
        before = boot_by(timeline->wall_before_ns, real_ns);
    uint64_t latest = heard_ns + (uint64_t)jump_ns;
    bool by_now = now <= latest && (now >= before || before > latest);
    struct timeline_moment moment = {by_now ? now : before, by_now ? before : now};
    if (moment.boot_ns > heard_ns)
        moment.boot_ns = heard_ns;
    return moment;
}

/* Stamps are of a clock that stands still for a tick. While ours is corrected between two of them,
 * the second would else come before the first. */
struct timeline_moment timeline_stamp(struct timeline *timeline, int64_t real_ns, uint64_t heard_ns)
{
    struct timeline_moment moment = timeline_moment(timeline, real_ns, heard_ns);
    if (real_ns >= timeline->stamped_ns && moment.boot_ns < timeline->moment_ns &&
        timeline->moment_ns - moment.boot_ns <= (uint64_t)jump_ns &&
        timeline->moment_ns <= heard_ns) {
        if (moment.other_ns == moment.boot_ns)
            moment.other_ns = timeline->moment_ns;
        moment.boot_ns = timeline->moment_ns;
    }
    timeline->stamped_ns = real_ns;
    timeline->moment_ns = moment.boot_ns;
    return moment;
}
