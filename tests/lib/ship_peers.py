"""Peers that are no MariaDB server: a relay that loses connections at a chosen moment, a server that
asks its client for a file, and one that agrees to everything but what a test wants it to lie about."""

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


def greeting(capabilities, extended=0x1D):
    """What a server says first."""
    return packet(0, b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0"
                  + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16 & 0xFFFF)
                  + bytes([21]) + bytes(6) + struct.pack("<I", extended)
                  + b"123456789012\0" + b"mysql_native_password\0")


class AskingServer(Peer):
    """Lets anybody in, and answers the first command with a request for a file of the client's."""

    def __init__(self, path, wanted):
        self.wanted, self.received = wanted, b""
        self.asked = threading.Event()
        super().__init__(unix_listener(path))

    def serve(self, client):
        client.settimeout(60)
        client.sendall(greeting(0x81FFF7FF & ~0x0800))  # as MariaDB has them, but no TLS
        client.recv(65536)
        client.sendall(packet(2, b"\0\0\0\2\0\0\0"))
        client.recv(65536)
        client.sendall(packet(1, b"\xfb" + self.wanted.encode()))
        self.asked.set()
        client.settimeout(3)  # who got nothing hangs up
        while data := client.recv(65536):
            self.received += data


OK = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"
QUERY, PREPARE, EXECUTE, BULK_EXECUTE, CLOSE = 0x03, 0x16, 0x17, 0xfa, 0x19


def text(value):
    """A string with its length before it."""
    raw = value.encode()
    return (bytes([len(raw)]) if len(raw) < 251 else b"\xfc" + struct.pack("<H", len(raw))) + raw


COLUMN = b"".join(map(text, ("def", "", "", "", "c", "c"))) + b"\x0c" + struct.pack(
    "<HIBHBH", 45, 1024, 0xfd, 0, 0, 0)


def packets(*payloads, first=1):
    """One after the other, with their numbers."""
    return b"".join(packet((first + i) % 256, payload) for i, payload in enumerate(payloads))


def rows(n_columns, *values):
    """A whole result, each row of n_columns texts."""
    return packets(bytes([n_columns]), *[COLUMN] * n_columns, END,
                   *[b"".join(map(text, row)) for row in values], END)


def refusal(number, words):
    return packets(b"\xff" + struct.pack("<H", number) + b"#HY000" + words.encode())


def prepared(n_parameters, n_columns=0):
    return packets(b"\0" + struct.pack("<IHHBH", 1, n_columns, n_parameters, 0, 0),
                   *([COLUMN] * n_parameters + [END] if n_parameters else []),
                   *([COLUMN] * n_columns + [END] if n_columns else []))


class Impostor(Peer):
    """Lets anybody in and takes every batch. `lies`: the beginning of a text that a client sends, to
    the bytes that answer it, or to a function that is given the client. "" is the greeting."""

    SESSION = ("STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
               "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION", "+00:00", "READ-COMMITTED", "utf8mb4",
               "utf8mb4", "1", "16777216")

    def __init__(self, path, lies=None):
        self.lies = lies or {}
        self.told = []  # lies
        super().__init__(unix_listener(path))

    def serve(self, client):
        client.settimeout(60)
        # no MySQL, no end of a result without its packet, no cache of columns; arrays
        hello = greeting(0x80FFF7FE & ~0x0800, 0x05)
        if not self.lie(client, ""):
            client.sendall(hello)
        self.receive(client)
        client.sendall(packet(2, OK))
        while command := self.receive(client):
            self.answer(client, command[0], command[1:].decode(errors="replace"))

    def receive(self, client):
        """One packet; empty: the client is gone."""
        head = self.exactly(client, 4)
        return self.exactly(client, int.from_bytes(head[:3], "little")) if head else b""

    def exactly(self, client, n):
        data = b""
        while len(data) < n:
            piece = client.recv(n - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def lie(self, client, said):
        for beginning, answer in self.lies.items():
            if said.startswith(beginning) and bool(said) == bool(beginning):
                self.told.append(said)
                if callable(answer):
                    answer(client)
                else:
                    client.sendall(answer)
                return True
        return False

    def answer(self, client, kind, said):
        if kind == CLOSE or (kind in (QUERY, PREPARE) and self.lie(client, said)):
            return
        if kind == PREPARE:
            client.sendall(prepared(said.count("?")))
        elif said.startswith("SELECT @@sql_mode"):
            client.sendall(rows(len(self.SESSION), self.SESSION))
        elif said.startswith("SELECT CAST(UNIX_TIMESTAMP"):
            client.sendall(rows(1, [str(int(time.time() * 1e6))]))
        else:
            affected = b"\xfc" + struct.pack("<H", 10000) if kind in (EXECUTE, BULK_EXECUTE) else b"\0"
            client.sendall(packet(1, b"\0" + affected + b"\0\2\0\0\0"))
