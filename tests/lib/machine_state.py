#!/usr/bin/python3
"""machine_state.py save FILE | check FILE: that tests leave the machine as they found it.

Looks at audit's settings and rules, network namespaces, mounts, processes that tests have started, and
what tests leave in /tmp. Before it saves, it puts away the rules that killed tests of an earlier run
left, if nobody owns audit."""

import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vestige_test import audit_state, processes_named, put_away_leftovers, run  # noqa: E402

KINDS = ("vestige", "vestiged", "vestige-guard", "mariadbd", "actor", "auditd", "laurel", "forkstat",
         "sleep")
# What a process of a test has in its command line or its environment, and others of its name do not.
TRACES = (b"VESTIGE_BIN=", b"/vestige-")


def is_of_a_test(pid):
    """A process that has ended meanwhile is of nobody."""
    with contextlib.suppress(OSError):
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as stream:
                text = stream.read()
                if any(trace in text for trace in TRACES):
                    return True
    return False


def processes():
    return [f"{kind} {pid}" for kind in KINDS for pid in processes_named(kind) if is_of_a_test(pid)]


def mounts(lines):
    """Without what `ip netns` mounts when it is used first, and leaves."""
    return sorted(line.rstrip() for line in lines if line.split()[1] not in ("/run/netns", "/var/run/netns"))


def state():
    with open("/proc/self/mounts") as stream:
        mounted = mounts(stream)
    settings, rules = audit_state()
    return {
        "audit settings": sorted(f"{name} {value}" for name, value in settings.items()),
        "audit rules": rules.splitlines(),
        "network namespaces": sorted(run("ip", "netns", "list").stdout.splitlines()),
        "mounts": mounted,
        "processes": processes(),
        "/tmp": sorted(name for name in os.listdir("/tmp") if name.startswith("vestige-")),
    }


def main():
    if os.geteuid():
        sys.exit("machine_state.py needs root: it asks for the state of audit")
    command, path = sys.argv[1:]
    if command == "save":
        put_away_leftovers()
        with open(path, "w") as stream:
            json.dump(state(), stream, indent=1)
        return 0
    with open(path) as stream:
        before = json.load(stream)
    differences = 0
    for name, after in state().items():
        for sign, lines in (("-", set(before[name]) - set(after)),
                            ("+", set(after) - set(before[name]))):
            for line in sorted(lines):
                # What was there before and has ended by itself is not ours to judge.
                if sign == "-" and name in ("processes", "/tmp"):
                    continue
                print(f"{name}: {sign} {line}")
                differences += 1
    print("the machine is as it was before" if not differences
          else f"the tests changed the machine: {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
