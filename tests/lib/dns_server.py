"""A name server that says what a test wants, also what no honest one would.

    with DnsServer() as server:
        server.answers["192.0.2.1"] = name("one.example")
        ... ask server.address ("127.0.0.1:PORT"), over UDP or TCP
        server.queries["192.0.2.1"]     # how often it was asked

An answer is a function of a Query that gives the datagrams (bytes) to send, over TCP one message."""

import collections
import ipaddress
import socket
import socketserver
import struct
import threading

PTR, CNAME, ANY_TTL = 12, 5, 60
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5


def wire(labels):
    """A name as in a message; labels are bytes, of any bytes."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def split(text):
    return text.encode().split(b".")


class Query:
    def __init__(self, message, over_tcp):
        self.id, self.over_tcp = message[:2], over_tcp
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]])
            at += 1 + message[at]
        self.question = message[12:at + 5]
        self.type, = struct.unpack(">H", message[at + 1:at + 3])
        self.name = b".".join(labels).decode()
        self.subject = str(ipaddress.ip_address(self._address(labels)))

    @staticmethod
    def _address(labels):
        if labels[-2].lower() == b"in-addr":
            return b".".join(labels[-3::-1]).decode()
        digits = b"".join(labels[-3::-1]).decode()
        return ":".join(digits[i:i + 4] for i in range(0, 32, 4))

    def reply(self, *records, code=0, flags=0x8180, question=None):
        return (self.id + struct.pack(">HHHHH", flags | code, 1, len(records), 0, 0) +
                (self.question if question is None else question) + b"".join(records))

    @staticmethod
    def record(kind, data, owner=b"\xc0\x0c", length=None):
        return owner + struct.pack(">HHIH", kind, 1, ANY_TTL,
                                   len(data) if length is None else length) + data


def name(labels):
    """PTR: of a text, or of labels of bytes."""
    data = wire(split(labels) if isinstance(labels, str) else labels)
    return lambda query: [query.reply(query.record(PTR, data))]


def alias(target, final):
    """RFC 2317: the question is an alias, whose PTR is the name."""
    target = wire(split(target))
    return lambda query: [query.reply(query.record(CNAME, target),
                                      query.record(PTR, wire(split(final)), owner=target))]


def code(number):
    return lambda query: [query.reply(code=number)]


def silence(_):
    return []


def no_data(query):
    return [query.reply()]


def garbage(query):
    """Nothing that could be a reply to anything."""
    return [b"", b"\xff", query.id, query.id + b"\xff" * 400, bytes(4096)]


def garbage_then(answer):
    return lambda query: garbage(query) + answer(query)


def stranger_then(answer):
    """First a reply to another question, and one with another id."""
    def send(query):
        other = query.reply(query.record(PTR, wire(split("stranger.example"))),
                            question=wire(split("other.example")) + b"\0\x0c\0\1")
        first = bytes([query.id[0] ^ 0x55]) + query.reply(
            query.record(PTR, wire(split("stranger.example"))))[1:]
        return [other, first] + answer(query)
    return send


def broken_record(query):
    """The right question, and a record that is longer than the message."""
    return [query.reply(query.record(PTR, b"\3one\0", length=400))]


def looping_name(query):
    start = 12 + len(query.question) + 12
    return [query.reply(query.record(PTR, struct.pack(">H", 0xc000 | start)))]


def truncated(answer):
    """Over UDP only that it does not fit."""
    return lambda query: answer(query) if query.over_tcp else [query.reply(flags=0x8380)]


class _Udp(socketserver.BaseRequestHandler):
    def handle(self):
        message, sock = self.request
        for datagram in self.server.owner.answer(Query(message, False)):
            sock.sendto(datagram, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while len(length := self.rfile.read(2)) == 2:
            query = Query(self.rfile.read(*struct.unpack(">H", length)), True)
            for message in self.server.owner.answer(query):
                self.wfile.write(struct.pack(">H", len(message)) + message)


class _UdpServer(socketserver.UDPServer):
    max_packet_size = 4096


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class DnsServer:
    """What has no entry in answers does not exist."""

    def __init__(self, host="127.0.0.1", port=0, tcp=True):
        self.answers, self.queries = {}, collections.Counter()
        self.default = code(NXDOMAIN)
        self._udp = self._tcp = None
        while not self._udp:
            udp = _UdpServer((host, port), _Udp)
            try:
                self._tcp = tcp and _TcpServer(udp.server_address, _Tcp)
                self._udp = udp
            except OSError:
                udp.server_close()
                if port:
                    raise
        self._udp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.host, self.port = self._udp.server_address
        self.address = f"{self.host}:{self.port}"
        self._threads = []

    def answer(self, query):
        self.queries[query.subject] += 1
        return self.answers.get(query.subject, self.default)(query)

    def __enter__(self):
        for server in filter(None, (self._udp, self._tcp)):
            server.owner = self
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self._threads.append((server, thread))
        return self

    def __exit__(self, *_):
        for server, thread in self._threads:
            server.shutdown()
            thread.join()
            server.server_close()
        self._threads = []
