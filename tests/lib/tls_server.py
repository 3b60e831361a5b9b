"""A private server on TCP with TLS: its authority and certificates are made by deploy/fleet/make-ca, those of
agents by `vestige client enroll`. And a proxy that ends TLS, as somebody in the middle would."""

import os
import pathlib
import shutil
import socket
import ssl
import threading

from network_test import own_port
from private_server import VestigeServer
from ship_peers import Peer
from vestige_test import run

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MAKE_CA = str(SOURCE / "deploy" / "fleet" / "make-ca")
ADDRESS = "127.0.0.1"


def make_ca(directory, *words):
    return run("sh", MAKE_CA, "--directory", directory, *words)


def openssl(*words):
    run("openssl", *words)


class TlsServer(VestigeServer):
    """With the schema, reached at 127.0.0.1; `ca` is the directory of its authority."""

    def __init__(self, **settings):
        self.ca = None
        super().__init__(port=str(own_port()), bind_address=ADDRESS, skip_name_resolve="1", **settings)

    def start(self):
        if self.ca is None:
            self.ca = os.path.join(self.directory, "ca")
            make_ca(self.ca, ADDRESS, "localhost")
            self.use(ADDRESS)
        super().start()

    def use(self, name):
        """The certificate to show at the next start; None: no TLS at all."""
        for key in [key for key in self.settings if key.startswith("ssl")]:
            del self.settings[key]
        if name:
            self.settings.update({"ssl-ca": self.path("ca.pem"), "ssl-crl": self.path("ca.crl"),
                                  "ssl-cert": self.path(name + ".pem"), "ssl-key": self.path(name + ".key")})

    def path(self, name):
        return os.path.join(self.ca, name)

    @property
    def port(self):
        return int(self.settings["port"])

    def restart(self, name):
        self.stop()
        self.use(name)
        self.start()

    def client(self, *words, check=True, authority=True):
        """`vestige client WORDS` for hosts that come by TCP."""
        more = ["--ca-directory", self.ca] if authority else []
        return self.vestige("client", *words, "--address", ADDRESS, *more, check=check)

    def enrol(self, name, *words):
        directory = os.path.join(self.directory, "enrolled-" + name)
        self.client("enroll", name, "--directory", directory, "--host-directory", directory, *words)
        return directory

    def sign(self, name, subject, usage, days="2", start=None, authority=None, address=ADDRESS):
        """A certificate that none of our programs would make: files NAME.pem and NAME.key in ca/."""
        ca = authority or self.ca
        path = self.path(name)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                "-keyout", path + ".key", "-out", path + ".csr")
        with open(path + ".ext", "w") as file:
            file.write(f"basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\nsubjectAltName=IP:{address}\n")
        times = ["-days", days]
        openssl("x509", "-req", "-in", path + ".csr", "-CA", os.path.join(ca, "ca.pem"), "-CAkey",
                os.path.join(ca, "ca.key"), "-set_serial", str(int.from_bytes(os.urandom(8), "big") | 1),
                "-extfile", path + ".ext", *times, "-out", path + ".pem")
        return path


def foreign_authority(directory):
    """Another authority with a certificate for the same address."""
    make_ca(directory, ADDRESS)
    return directory


class Middle(Peer):
    """Ends the client's TLS with a certificate of its own, and has its own connection to the server.
    `seen` is what a client sent after TLS was up: it must stay empty."""

    def __init__(self, port, certificate):
        self.port, self.certificate = port, certificate
        self.seen = b""
        self.tried = threading.Event()
        super().__init__(socket.create_server((ADDRESS, 0)))

    def serve(self, client):
        with socket.create_connection((ADDRESS, self.port)) as server:
            client.settimeout(60)
            server.settimeout(60)
            client.sendall(server.recv(4096))  # the greeting, in clear in this protocol
            self.read_packet(client)           # the wish for TLS
            self.tried.set()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate + ".pem", self.certificate + ".key")
            with context.wrap_socket(client, server_side=True) as secure:
                self.seen += secure.recv(4096)

    @staticmethod
    def read_packet(client):
        head = client.recv(4, socket.MSG_WAITALL)
        client.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL)


def copy_identity(source, target):
    """The files of a host, for a thief who has read them."""
    shutil.copytree(source, target)
    for name in ("agent.cnf", "vestiged.conf"):
        path = os.path.join(target, name)
        with open(path) as file:
            text = file.read().replace(source, target)
        with open(path, "w") as file:
            file.write(text)
    return target
