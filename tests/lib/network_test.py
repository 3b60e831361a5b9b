"""What the tests of connections share: servers and clients of the actor program, and tcpdump as an
oracle that shares no code with Vestige."""

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile

from vestige_test import actor_command, run, wait_for

REQUEST, ANSWER = 100, 200  # bytes of each exchange of the actors


_held = []


def own_port():
    """A port that nobody listens on: below those that the kernel gives to whoever wants any, and by a lock no
    other test's meanwhile."""
    while True:
        port = random.randrange(20000, 32768)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0vestige-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port


class Server:
    """An actor that serves n connections or exchanges; `port` is where, of its own if none is named.

    with Server("tcp-server", "127.0.0.1", n) as server: ..."""

    def __init__(self, kind, host, n, *options, port=None, prefix=()):
        self.command = [*prefix, *actor_command(kind, host, port or own_port(), n, *options)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        said = json.loads(self.process.stdout.readline())
        self.port, self.pid = said["port"], said["pid"]
        return self

    def __exit__(self, *failure):
        if failure[0]:
            self.process.kill()
        rest = self.process.stdout.read()
        self.process.stdout.close()
        self.report = json.loads(rest) if rest else None
        status = self.process.wait(120)
        if status and not failure[0]:
            raise AssertionError(f"{self.command}: exit status {status}")


def client(kind, host, port, n, *options, prefix=()):
    """Start a client actor."""
    return subprocess.Popen([*prefix, *actor_command(kind, host, port, n, *options)],
                            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def finished(process):
    """What it reported."""
    output, _ = process.communicate(timeout=300)
    if process.returncode:
        raise AssertionError(f"{process.args}: exit status {process.returncode}\n{output}")
    return json.loads(output)


class Capture:
    """The tuples of all TCP connections that were asked for on the loopback interface, by tcpdump.

    with Capture(port, n) as capture: ...  # n connections
    capture.tuples is a list of (source address, port, destination address, port)."""

    def __init__(self, port, n, prefix=()):
        self.port = port
        self.n = n
        self.prefix = prefix

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="vestige-test-")
        self.path = os.path.join(self.directory.name, "capture")
        self.errors = open(os.path.join(self.directory.name, "errors"), "w+")
        self.process = subprocess.Popen(
            [*self.prefix, "tcpdump", "-i", "lo", "-n", "-U", "-s", "96", "-B", "65536", "-Z", "root",
             "--immediate-mode",
             "-w", self.path, f"tcp and dst port {self.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)

        def listens():
            self.errors.seek(0)
            return "listening on" in self.errors.read()
        wait_for(listens, 60, "tcpdump listens")
        return self

    def __exit__(self, *failure):
        sizes = [-1]

        def has_written():
            with open(self.path, "rb") as stream:
                captured = stream.read()
            sizes.append(len(captured))
            return sizes[-1] == sizes[-2] and sum(1 for _ in requested(captured)) >= self.n
        if not failure[0]:
            wait_for(has_written, 60, "tcpdump has written what it captured", 0.3)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        with self.errors:
            self.errors.seek(0)
            said = self.errors.read()
        if not failure[0] and "0 packets dropped by kernel" not in said:
            raise AssertionError(f"tcpdump lost packets: {said}")
        with open(self.path, "rb") as stream:
            self.tuples = list(requested(stream.read()))
        self.directory.cleanup()


def requested(capture):
    """The tuples of the SYN packets in a capture of an Ethernet interface."""
    offset = 24
    while offset + 16 <= len(capture):
        length, = struct.unpack_from("<I", capture, offset + 8)
        packet = capture[offset + 16:offset + 16 + length]
        if len(packet) < length:  # it is being written
            return
        offset += 16 + length
        kind, = struct.unpack_from(">H", packet, 12)
        if kind == 0x0800:
            source, destination = packet[26:30], packet[30:34]
            tcp = 14 + (packet[14] & 15) * 4
        elif kind == 0x86dd:
            source, destination = packet[22:38], packet[38:54]
            tcp = 54
        else:
            continue
        from_port, to_port = struct.unpack_from(">HH", packet, tcp)
        if packet[tcp + 13] & 0x12 == 0x02:
            yield text_of(source), from_port, text_of(destination), to_port


def text_of(address):
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


@contextlib.contextmanager
def network_namespace(name):
    """A network namespace with its loopback interface up; the prefix of commands in it."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield ["ip", "netns", "exec", name]
    finally:
        run("ip", "netns", "del", name)


@contextlib.contextmanager
def black_hole(interface="vestige-hole"):
    """An address that swallows everything that is sent to it: behind a pair of interfaces of which
    nobody listens on the other one."""
    run("ip", "link", "add", interface, "type", "veth", "peer", "name", "vestige-nobody")
    try:
        for name in (interface, "vestige-nobody"):
            run("ip", "link", "set", name, "up")
        run("ip", "addr", "add", "198.18.0.1/24", "dev", interface)
        run("ip", "neigh", "add", "198.18.0.77", "lladdr", "02:00:00:00:00:77", "dev", interface)
        yield "198.18.0.77"
    finally:
        run("ip", "link", "del", interface)
