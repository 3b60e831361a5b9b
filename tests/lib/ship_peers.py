"""Peers that are no MariaDB server: a relay that loses connections at a chosen moment, and a server
that asks its client for a file."""

import contextlib
import os
import socket
import struct
import threading
import time


class Peer:
    """Listens, and serves each client on a thread of its own."""

    def __init__(self, listener):
        self.listener = listener
        self.address = listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_until_lost, args=(client,), daemon=True).start()

    def serve_until_lost(self, client):
        with contextlib.suppress(OSError), client:
            self.serve(client)

    def serve(self, client):
        raise NotImplementedError

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if isinstance(self.address, str): # a unix socket
            os.unlink(self.address)


def unix_listener(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)
    return listener


def shut_down(*ends):
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Relay(Peer):
    """Between client and server on unix sockets. The first `times` connections that send COMMIT lose
    their client then: after the server has answered (`after`), or before it was asked."""

    def __init__(self, path, server, times=1, after=True):
        self.server, self.times, self.after = server, times, after
        self.cut = 0
        self.withheld = []
        self.lock = threading.Lock()
        super().__init__(unix_listener(path))

    def serve(self, client):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.server)
            answers = threading.Thread(target=self.pass_on, args=(server, client, False), daemon=True)
            answers.start()
            self.pass_on(client, server, True)
            answers.join()

    def take(self):
        with self.lock:
            if self.cut == self.times:
                return False
            self.cut += 1
            return True

    def pass_on(self, source, target, from_client):
        """One direction of one connection; answers are withheld from the moment of the cut on."""
        pair = {source, target}
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                # a command packet of its own: length, sequence 0, COM_QUERY, text
                if from_client and data[4:] == b"\x03COMMIT" and self.take():
                    if not self.after:
                        break
                    self.withheld.append(pair)
                elif pair in self.withheld:
                    break
                target.sendall(data)
        shut_down(*pair)


class SlowRelay(Peer):
    """Between client and server on unix sockets, as a thin and long line: each answer is late, and so
    many bytes a second go to the server (None: all). Both may be changed at any time."""

    def __init__(self, path, server, delay=0.0, rate=None):
        self.server, self.delay, self.rate = server, delay, rate
        super().__init__(unix_listener(path))

    def serve(self, client):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.server)
            answers = threading.Thread(target=self.pass_on, args=(server, client, False), daemon=True)
            answers.start()
            self.pass_on(client, server, True)
            answers.join()

    def pass_on(self, source, target, from_client):
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                rate = self.rate
                if from_client and rate:
                    time.sleep(len(data) / rate)
                elif not from_client:
                    time.sleep(self.delay)
                target.sendall(data)
        shut_down(source, target)


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def greeting(capabilities):
    """What a server says first."""
    return packet(0, b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0"
                  + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16 & 0xFFFF)
                  + bytes([21]) + bytes(6) + struct.pack("<I", 0x1D)
                  + b"123456789012\0" + b"mysql_native_password\0")


class AskingServer(Peer):
    """Lets anybody in, and answers the first command with a request for a file of the client's."""

    def __init__(self, path, wanted):
        self.wanted, self.received = wanted, b""
        self.asked = threading.Event()
        super().__init__(unix_listener(path))

    def serve(self, client):
        client.settimeout(10)
        client.sendall(greeting(0x81FFF7FF & ~0x0800))  # as MariaDB has them, but no TLS
        client.recv(65536)
        client.sendall(packet(2, b"\0\0\0\2\0\0\0"))
        client.recv(65536)
        client.sendall(packet(1, b"\xfb" + self.wanted.encode()))
        self.asked.set()
        while data := client.recv(65536):
            self.received += data
