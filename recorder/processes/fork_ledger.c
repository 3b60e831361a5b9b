/* A reading is taken between `before` and `after`. A FORK message is stamped some microseconds
 * after the kernel counted the fork, so that a message from just before `before` until a
 * millisecond behind `after` makes the reading ambiguous, and it is thrown away. Two ticks after
 * the reading all messages from before it have been handed over. */
#include "recorder/processes/fork_ledger.h"

static const uint64_t guard_before_ns = 50000;
static const uint64_t guard_after_ns = 1000000;

void fork_ledger_heard(struct fork_ledger *ledger, uint64_t boot_ns)
{
    ledger->heard++;
    if (boot_ns > ledger->newest_fork_ns)
        ledger->newest_fork_ns = boot_ns;
    if (!ledger->sample.open)
        return;
    if (boot_ns + guard_before_ns < ledger->sample.before_ns)
        ledger->sample.heard++;
    else if (boot_ns < ledger->sample.after_ns + guard_after_ns)
        ledger->sample.clean = false;
}

void fork_ledger_implied(struct fork_ledger *ledger, int64_t n)
{
    if (ledger->hole)
        ledger->implied += (uint64_t)n;
}

void fork_ledger_hole(struct fork_ledger *ledger, uint64_t messages)
{
    ledger->hole = true;
    ledger->hole_messages += messages;
    ledger->candidate_known = false;
    ledger->sample.open = false;
}

void fork_ledger_reading(struct fork_ledger *ledger, const struct fact_fork_total *total)
{
    if (ledger->sample.open)
        return;
    ledger->sample.open = true;
    ledger->sample.ticks = 0;
    ledger->sample.total = total->total;
    ledger->sample.before_ns = total->before_ns;
    ledger->sample.after_ns = total->after_ns;
    ledger->sample.heard = ledger->heard;
    ledger->sample.clean = ledger->newest_fork_ns + guard_before_ns < total->before_ns;
}

int fork_ledger_tick(struct fork_ledger *ledger, int64_t *missing)
{
    if (!ledger->sample.open || ++ledger->sample.ticks < 2)
        return FORK_LEDGER_OPEN;
    ledger->sample.open = false;
    if (!ledger->sample.clean)
        return FORK_LEDGER_OPEN;
    int64_t difference = (int64_t)(ledger->sample.total - ledger->sample.heard - ledger->implied);
    bool agrees = ledger->candidate_known && ledger->candidate == difference;
    ledger->candidate_known = true;
    ledger->candidate = difference;
    if (!agrees)
        return FORK_LEDGER_OPEN;
    if (!ledger->calibrated) {
        ledger->calibrated = true;
        ledger->offset = difference;
        ledger->balanced_ns = ledger->sample.before_ns;
        return FORK_LEDGER_CALIBRATED;
    }
    if (!ledger->hole) {
        ledger->balanced_ns = ledger->sample.before_ns;
        return FORK_LEDGER_BALANCED;
    }
    *missing = difference - ledger->offset;
    return FORK_LEDGER_MISSING;
}

void fork_ledger_close(struct fork_ledger *ledger, int64_t missing, uint64_t now_ns)
{
    ledger->offset += missing;
    ledger->hole = false;
    ledger->hole_messages = 0;
    ledger->balanced_ns = now_ns;
}

uint64_t fork_ledger_accounted(const struct fork_ledger *ledger)
{
    return ledger->calibrated ? (uint64_t)ledger->offset + ledger->heard + ledger->implied : 0;
}
