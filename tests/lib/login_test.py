"""What the tests of logins share: files of records as login programs write them, what last(1) and
lastb(1) make of them, and programs that say to audit what a login program says."""

import collections
import datetime
import os
import random
import re
import struct
import subprocess
import sys

from vestige_test import run

RECORD = struct.Struct("=hxxi32s4s32s256shhiii16s20x")  # struct utmp of utmp(5), 384 bytes
assert RECORD.size == 384
RUN_LVL, BOOT_TIME, NEW_TIME, OLD_TIME, INIT, LOGIN, USER, DEAD = 1, 2, 3, 4, 5, 6, 7, 8
AUTH, ACCT, START, END, USER_LOGIN, CMD = 1100, 1101, 1105, 1106, 1112, 1123

SPEAKER = """
import os, socket, struct, sys
audit = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
for number, line in enumerate(sys.stdin):
    kind, _, text = line.rstrip("\\n").partition(" ")
    data = text.encode("latin1") + b"\\0"
    audit.send(struct.pack("=IHHII", 16 + len(data), int(kind), 5, number, 0) + data)
    answer = audit.recv(65536)
    status = struct.unpack_from("=i", answer, 16)[0]
    print(status, flush=True)
"""


def record(kind, pid, line, user="", host="", at=0.0, address=b""):
    """One record; `at` in seconds since 1970."""
    second = int(at)
    return RECORD.pack(kind, pid, line.encode("latin1"), line.encode("latin1")[-4:],
                       user.encode("latin1"), host.encode("latin1"), 0, 0, 0, second,
                       round((at - second) * 1e6), address)


def append(path, *records):
    """As updwtmp(3) does."""
    with open(path, "ab") as stream:
        stream.write(b"".join(records))


def history(n, begin, end, seed=1):
    """n records of logins, logouts, reboots and shutdowns between these moments."""
    chance = random.Random(seed)
    lines, records, pid = {}, [], 1000
    times = sorted(chance.sample(range(int(begin), int(end)), n))
    records.append(record(BOOT_TIME, 0, "~", "reboot", "6.1.0", times[0]))
    while len(records) < n:
        at, what = times[len(records)] + chance.randrange(1000) / 1000, chance.random()
        if what < 0.002:
            records.append(record(BOOT_TIME, 0, "~", "reboot", "6.1.0", at))
            lines.clear()
        elif what < 0.004:
            records.append(record(RUN_LVL, 0, "~~", "shutdown", "6.1.0", at))
            lines.clear()
        elif what < 0.02:
            records.append(record(LOGIN, pid, f"tty{chance.randrange(1, 7)}", "LOGIN", "", at))
        elif what < 0.51 and lines:
            line = chance.choice(sorted(lines))
            records.append(record(DEAD, lines.pop(line), line, "", "", at))
        else:
            pid += 1
            line = f"pts/{chance.randrange(30)}"
            lines[line] = pid
            host = f"198.18.{chance.randrange(4)}.{chance.randrange(1, 255)}"
            records.append(record(USER, pid, line, f"user{chance.randrange(50)}", host, at,
                                  bytes(map(int, host.split(".")))))
    return records


def failures(n, begin, end, seed=2):
    """n records of failed logins, some of which are equal but for their time."""
    chance = random.Random(seed)
    times = sorted(chance.uniform(begin, end) for _ in range(n))
    return [record(LOGIN, 100 + i // 3, "ssh:notty", f"guess{i % 40}", f"198.18.7.{i % 200 + 1}",
                   at, bytes((198, 18, 7, i % 200 + 1))) for i, at in enumerate(times)]


def moment(text):
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC).replace(tzinfo=None)


LAST = re.compile(r"(\S*)\s+(\S+)\s+(\S+)\s+(\d{4}-\S+)(?: - (\S+)|   still logged in|"
                  r"   gone - no logout)?(?:\s+\((\S+)\))?$")


def told_by_last(path, program="last"):
    """(user, line, host, begin, end), with end a time or a word of last's."""
    text = run(program, "-w", "--time-format", "iso", "-f", path,
               env={"TZ": "UTC", "PATH": os.environ["PATH"]}).stdout
    told = []
    for line in text.splitlines():
        if not line or line.startswith(("reboot ", "shutdown ", "runlevel ")) or "begins" in line:
            continue
        match = LAST.match(line.rstrip())
        if not match:
            raise AssertionError(f"{program} says: {line!r}")
        user, tty, host, begin, end, _ = match.groups()
        told.append((user, tty, host, moment(begin),
                     moment(end) if end and end[0].isdigit() else end))
    return collections.Counter(told)


class Speaker:
    """A process that says to audit what it is told: speaker.say(START, 'op=... res=success')."""

    def __init__(self, prefix=()):
        self.process = subprocess.Popen([*prefix, sys.executable, "-c", SPEAKER],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="latin1")
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)

    def say(self, kind, text):
        self.process.stdin.write(f"{kind} {text}\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        if status:
            raise OSError(-status, "audit")

    def pam(self, kind, operation, account, program="/usr/sbin/sshd", result="success",
            host="198.18.0.9", terminal="ssh"):
        self.say(kind, f'op=PAM:{operation} grantors=pam_unix acct="{account}" exe="{program}" '
                       f"hostname={host} addr={host} terminal={terminal} res={result}")
