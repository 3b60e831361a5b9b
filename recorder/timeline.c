/* One offset a run, kept from the run before in the same boot. The wall clock is only compared with
 * it: small corrections (a few minutes by NTP) stay in the offset's error, which the server sees as
 * the batch's clock offset; a step of over an hour needs the server's word. */
#include "recorder/timeline.h"

static const int64_t hour_ns = INT64_C(3600) * 1000000000;
/* 2026-01-01: no host that runs this program lives before it. */
static const int64_t earliest_ns = INT64_C(1767225600) * 1000000000;

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

    *timeline = (struct timeline){
        .last_id = last_id, .now_boot_ns = boot_ns, .now_real_ns = real_ns, .offset_ns = wall};
    if (known_offset_ns != INT64_MIN) {
        timeline->offset_ns = known_offset_ns;
        if (distance(wall, known_offset_ns) > hour_ns)
            outcome = TIMELINE_STEP_SEEN;
    } else if (real_ns < earliest_ns || (last_id && real_ns < last_ns - hour_ns)) {
        timeline->offset_ns = (last_ns > earliest_ns ? last_ns : earliest_ns) - (int64_t)boot_ns;
        outcome = TIMELINE_STEP_SEEN;
    }
    if (outcome == TIMELINE_STEP_SEEN)
        timeline->refused_step_ns = wall - timeline->offset_ns;
    return outcome;
}

int timeline_tick(struct timeline *timeline, uint64_t boot_ns, int64_t real_ns,
                  int64_t server_offset_ns)
{
    int64_t wall = real_ns - (int64_t)boot_ns;
    int64_t step = wall - timeline->offset_ns;

    timeline->now_boot_ns = boot_ns;
    timeline->now_real_ns = real_ns;
    if (distance(step, 0) <= hour_ns) {
        timeline->refused_step_ns = 0;
        return TIMELINE_STEADY;
    }
    if (server_offset_ns != INT64_MIN && distance(server_offset_ns, 0) < hour_ns &&
        real_ns >= earliest_ns) {
        timeline->offset_ns = wall;
        timeline->refused_step_ns = 0;
        if (step < 0)
            timeline->last_id = 0;
        return TIMELINE_STEP_TAKEN;
    }
    bool news = distance(step, timeline->refused_step_ns) > hour_ns;
    timeline->refused_step_ns = step;
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

uint64_t timeline_boot_ns(const struct timeline *timeline, int64_t real_ns)
{
    int64_t boot = real_ns - (timeline->now_real_ns - (int64_t)timeline->now_boot_ns);
    return boot > 0 ? (uint64_t)boot : 0;
}
