"""Paired measurements: a storm without a subject, a storm with it; slow-down is the ratio of the storm's
own CPU time in a pair, cost the time on a CPU (schedstat) of all threads of the subject and of the
kernel's kauditd, from the start of the storm until the subject rests."""

import statistics
import sys
import time

from vestige_test import memory_kib, processes_named, task_cpu_ns

REST_SECONDS = 1.5


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def one_pair(subject, storm, n):
    """(own cost of the storm alone, with the subject, the subject's cost, what it recorded), each in
    microseconds for one of the n."""
    plain = storm() / n
    subject.start()
    try:
        storm()  # warm
        mark = subject.mark()
        pids = [*subject.pids(), *processes_named("kauditd")]
        before = task_cpu_ns(pids)
        slow = storm() / n
        time.sleep(REST_SECONDS)
        after = task_cpu_ns(pids)
        memory = sum(memory_kib(pid, "VmHWM") for pid in subject.pids() if subject.runs())
        recorded = subject.recorded_since(mark)
    finally:
        subject.stop()
    cost = sum(after[name] - before[name] for name in after) / 1000 / n
    return plain, slow, cost, recorded, memory


def measure(subject, storm, n, pairs):
    ratios, costs, recorded, memory = [], [], 0, 0
    subject.prepare()
    try:
        for pair in range(pairs):
            plain, slow, cost, found, most = one_pair(subject, storm, n)
            ratios.append(slow / plain)
            costs.append(cost)
            recorded += found
            memory = max(memory, most)
            print(f"  {subject.name}, pair {pair + 1}: {plain:.1f} us, with it {slow:.1f} us, its own "
                  f"{cost:.1f} us, {found} recorded", file=sys.stderr, flush=True)
    finally:
        subject.finish()
    return {"name": subject.name, "complete": recorded / (pairs * n), "missed": pairs * n - recorded,
            "cpu_us": statistics.median(costs), "slow_down": statistics.median(ratios),
            "quartiles": quartiles(ratios), "memory_kib": memory}


def print_table(results, unit, reference_name):
    reference = next((result["cpu_us"] for result in results if result["name"] == reference_name),
                     None)
    row = "{:24} {:>9} {:>8} {:>14} {:>10} {:>18} {:>8}"
    print(row.format("subject", "complete", "missed", f"CPU us/{unit}", "of auditd", "slow-down",
                     "MiB"))
    for result in results:
        low, high = result["quartiles"]
        print(row.format(result["name"], f"{100 * result['complete']:.2f} %", result["missed"],
                         f"{result['cpu_us']:.1f}",
                         f"{result['cpu_us'] / reference:.2f} x" if reference else "",
                         f"{result['slow_down']:.3f} ({low:.3f}..{high:.3f})",
                         f"{result['memory_kib'] / 1024:.1f}"))


class Goals:
    """What is judged. In a smoke test only completeness is: a small run says nothing of speed."""

    def __init__(self, smoke):
        self.smoke = smoke
        self.judged = []

    def complete(self, what, missed):
        self._judge(what, missed, 0, missed <= 0, f"{missed} missed")

    def at_most(self, what, value, limit, text):
        if not self.smoke:
            self._judge(what, value, limit, value <= limit, text)

    def at_least(self, what, value, limit, text):
        if not self.smoke:
            self._judge(what, value, limit, value >= limit, text)

    def equal(self, what, value, expected, text):
        self._judge(what, value, expected, value == expected, text)

    def _judge(self, what, value, limit, met, text):
        goal = {"what": what, "value": value, "limit": limit, "met": met, "text": text}
        self.judged.append(goal)
        print(f"{'met   ' if goal['met'] else 'MISSED'} {what}: {text}", flush=True)

    def met(self):
        return all(goal["met"] for goal in self.judged)
