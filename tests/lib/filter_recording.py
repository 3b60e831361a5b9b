#!/usr/bin/python3
"""Keep of a recording (recorder/reader/recording.h) what concerns one process, its first children, and all
that comes of them.

    filter_recording.py FROM.vst TO.vst PID CHILDREN

What is kept looks as if nothing else had happened: sequence numbers and audit serials are counted
anew, and what tells of the machine (its name, kernel and command line) is replaced. So a recording
of a real kernel becomes small enough, and private enough, to be a test's data."""

import re
import struct
import sys

AGENT, CONNECTOR, TASKSTATS, AUDIT, PROC, NAMES = range(6)
DATA = 0
GULP = struct.Struct("<IIQqQ")
MESSAGE = struct.Struct("<IBBHQ")
FORK = 1


def read(path):
    with open(path, "rb") as stream:
        data = stream.read()
    start = data.index(b"\n\n") + 2
    gulps, at = [], start
    while at + GULP.size <= len(data):
        magic, flags, boot, real, length = GULP.unpack_from(data, at)
        at += GULP.size
        gulps.append((magic, flags, boot, real, list(messages(data[at:at + length]))))
        at += length
    return data[:start], gulps


def messages(body):
    at = 0
    while at + MESSAGE.size <= len(body):
        length, source, kind, _, boot = MESSAGE.unpack_from(body, at)
        at += MESSAGE.size
        yield source, kind, boot, body[at:at + length]
        at += (length + 7) & ~7


def connector_event(message):
    """What, CPU, the process ids of all tasks that the event names, and the last one's task id."""
    what, cpu = struct.unpack_from("<II", message, 36)
    words = struct.unpack_from("<4I", message, 52)
    if what == FORK:
        return what, cpu, [words[1], words[3]], words[2]
    return what, cpu, [words[1]], words[0]


class Filter:
    def __init__(self, gulps, root, children):
        self.pids, self.tasks = {root}, {root}
        for _, _, _, _, parts in gulps:
            for source, kind, _, message in parts:
                if source == CONNECTOR and kind == DATA:
                    what, _, pids, task = connector_event(message)
                    if what != FORK or pids[0] not in self.pids:
                        continue
                    if pids[0] == root and pids[1] != root:
                        children -= 1
                    if pids[0] != root or pids[1] == root or children >= 0:
                        self.pids.add(pids[1])
                        self.tasks.add(task)
        self.sequence, self.serials = {}, {}
        self.kept_serials = set()

    def connector(self, message):
        what, cpu, pids, _ = connector_event(message)
        if what and not self.pids.intersection(pids[-1:]):
            return None
        self.sequence[cpu] = self.sequence.get(cpu, 0) + 1
        return message[:24] + struct.pack("<I", self.sequence[cpu]) + message[28:]

    def taskstats(self, message):
        return message if struct.unpack_from("<I", message, 28)[0] in self.tasks else None

    def audit(self, message):
        match = re.search(rb"^audit\((\d+\.\d+):(\d+)\)", message[16:])
        if not match:
            return None
        serial = match[2]
        pid = re.search(rb" pid=(\d+) ", message)
        if pid and int(pid[1]) in self.pids:
            self.kept_serials.add(serial)
        if serial not in self.kept_serials:
            return None
        number = self.serials.setdefault(serial, len(self.serials) + 1)
        text = b"audit(%s:%d)" % (match[1], number) + message[16 + match.end():]
        return struct.pack("<I", 16 + len(text)) + message[4:16] + text

    def agent(self, message):
        fields = message.split(b"\t")
        if fields[0] == b"boot":
            return b"\t".join([b"boot", fields[1], b"6.18.0", b"quiet"])
        if fields[0] == b"host":
            return b"host\texample\t\\N\tDebian GNU/Linux\t12\t6.18.0\tx86_64\t\\N\t\\N\tEtc/UTC"
        return message

    def keep(self, source, kind, message):
        if kind != DATA:
            return message
        if source == PROC:
            return message if len(message) == 4 else None  # begin and end of a scan
        if source == NAMES:
            return message if message[:4] == b"\0\0\0\0" else None
        by_source = {CONNECTOR: self.connector, TASKSTATS: self.taskstats, AUDIT: self.audit,
                     AGENT: self.agent}
        return by_source[source](message)


def main():
    source, target, root, children = sys.argv[1:]
    header, gulps = read(source)
    header = re.sub(rb"hostname=.*", b"hostname=example", header)
    header = re.sub(rb"kernel=.*", b"kernel=6.18.0", header)
    kept = Filter(gulps, int(root), int(children))
    with open(target, "wb") as stream:
        stream.write(header)
        for magic, flags, boot, real, parts in gulps:
            body = b""
            for origin, kind, when, message in parts:
                message = kept.keep(origin, kind, message)
                if message is not None:
                    body += MESSAGE.pack(len(message), origin, kind, 0, when)
                    body += message + bytes(-len(message) % 8)
            if body or flags:
                stream.write(GULP.pack(magic, flags, boot, real, len(body)) + body)


if __name__ == "__main__":
    main()
