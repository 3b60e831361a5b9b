"""The case of 2011 once more: a web server's child, as nobody, runs a Perl script which calls itself
crond and talks to its masters abroad, again and again.

with TheCase(directory) as case: ...
case.httpd is the pid of the web server; case.bots has the pid of the script by the master's name."""

import contextlib
import json
import os
import pwd
import subprocess
import sys
import urllib.parse
import urllib.request

from vestige_test import run

PORT = 6670
MASTERS = {"undernet.irc.justedge.net": "79.125.109.171", "dana.basefreak.nl": "85.121.125.74"}
NAMESPACE, WIRE, FAR_END = "vestige-abroad", "vestige-wire", "vestige-far"

BOT = """#!/usr/bin/perl
use strict;
use IO::Socket::INET;
$0 = 'crond';
my ($master) = @ARGV;
for (my $said = ''; $said ne "QUIT\\n";) {
    my $link = IO::Socket::INET->new(PeerAddr => $master, PeerPort => 6670, Proto => 'tcp') or die;
    print $link "NICK crond\\n";
    $said = <$link> // '';
}
"""

# A page of it has a hole: it runs what it is asked for, as old pages did.
HTTPD = """#!/usr/bin/python3
import http.server, json, subprocess, urllib.parse
children = []
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        words = json.loads(urllib.parse.unquote(self.path[1:]))
        if words:
            children.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))
            answer = str(children[-1].pid)
        else:
            answer = str([child.wait() for child in children])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

# Each address ends its bot after so many connections.
MASTER = """
import socket, sys
left = {word.split("=")[0]: int(word.split("=")[1]) for word in sys.argv[1:]}
server = socket.create_server(("0.0.0.0", 6670), backlog=128)
print("ready", flush=True)
while any(left.values()):
    link, _ = server.accept()
    with link:
        link.recv(100)
        address = link.getsockname()[0]
        left[address] -= 1
        link.sendall(b"PING\\n" if left[address] else b"QUIT\\n")
"""


class TheCase:
    def __init__(self, directory, hits):
        self.directory = directory
        self.hits = hits
        self.bots = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack:
            self._build_wire()
            self._add_names()
            self._write_programs()
            self._start_masters()
            self._start_httpd()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *failure):
        self._stack.close()

    def _build_wire(self):
        def inside(*words):
            run("ip", "-n", NAMESPACE, *words)
        run("ip", "netns", "add", NAMESPACE)
        self._stack.callback(run, "ip", "netns", "del", NAMESPACE)
        run("ip", "link", "add", WIRE, "type", "veth", "peer", "name", FAR_END, "netns", NAMESPACE)
        self._stack.callback(run, "ip", "link", "del", WIRE, check=False)
        run("ip", "addr", "add", "198.18.70.1/24", "dev", WIRE)
        run("ip", "link", "set", WIRE, "up")
        inside("link", "set", "lo", "up")
        inside("addr", "add", "198.18.70.2/24", "dev", FAR_END)
        inside("link", "set", FAR_END, "up")
        for address in MASTERS.values():
            inside("addr", "add", f"{address}/32", "dev", FAR_END)
            run("ip", "route", "add", address, "via", "198.18.70.2")

    def _add_names(self):
        """Behind what is there, which at no time is missing: others read it."""
        self._stack.callback(os.truncate, "/etc/hosts", os.path.getsize("/etc/hosts"))
        with open("/etc/hosts", "a") as hosts:
            hosts.write("".join(f"{address} {name}\n" for name, address in MASTERS.items()))

    def _write_programs(self):
        os.chmod(self.directory, 0o755)
        for name, text in (("x", BOT), ("httpd", HTTPD)):
            path = os.path.join(self.directory, name)
            with open(path, "w") as program:
                program.write(text)
            os.chmod(path, 0o755)

    def _start(self, *command, **options):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   text=True, **options)
        self._stack.callback(process.wait)
        self._stack.callback(process.stdout.close)
        self._stack.callback(process.kill)
        return process, process.stdout.readline().strip()

    def _start_masters(self):
        counts = [f"{MASTERS[name]}={n}" for name, n in self.hits.items()]
        self._start("ip", "netns", "exec", NAMESPACE, sys.executable, "-c", MASTER, *counts)

    def _start_httpd(self):
        nobody = pwd.getpwnam("nobody")
        process, port = self._start("./httpd", cwd=self.directory,
                                    user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
        self.httpd, self._url = process.pid, f"http://127.0.0.1:{port}/"

    def ask_page(self, *words):
        """What the page runs; the pid of it. Without words: wait for all of it to end."""
        with urllib.request.urlopen(self._url + urllib.parse.quote(json.dumps(words)),
                                    timeout=300) as answer:
            return answer.read().decode()

    def intrude(self):
        """Both bots run, and end, among what a web server has to do besides."""
        for name, address in MASTERS.items():
            self.ask_page("/usr/bin/id")
            for _ in range(13):
                self.ask_page("/bin/sh", "-c", "date; true")
            self.bots[name] = int(self.ask_page("./x", address, "0", "0"))
        ended = self.ask_page()
        if ended.strip("[]0, "):
            raise AssertionError(f"programs of the web server ended with {ended}")
