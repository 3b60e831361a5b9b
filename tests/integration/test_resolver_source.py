"""Names of addresses, from a hosts file and a name server of the test, through the agent's reader."""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import dns_server
from dns_server import DnsServer
from network_test import own_port
from vestige_test import memory_kib, task_cpu_ns, wait_for

TOOL = os.environ.get("VESTIGE_SOURCE_TOOL") or os.path.join(os.environ.get("VESTIGE_BIN", ""),
                                                             "source_tool")
ANSWER = re.compile(r"HOST_NAME address=(\S+) answered=([01]) origin=(hosts|dns) name=(.*) "
                    r"source=resolver boot_ns=(\d+)")
BREAKER_FAILURES, UNDER_WAY, TRIES = 8, 64, 2
# Whoever is to answer has more time than a busy machine takes, and what comes soon waited for no timeout.
PATIENT_MS, SOON_NS = 60000, 30e9

Answer = collections.namedtuple("Answer", "address name answered origin boot_ns")


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Resolver:
    """The tool that asks for what it is told, and what it said."""

    def __init__(self, *options):
        self.lines, self.answers, self.notes, self.refused = [], [], [], []
        self._process = subprocess.Popen([TOOL, *options, "--ask", "resolver"], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.asked = 0

    def _read(self):
        for line in self._process.stdout:
            line = line.rstrip("\n")
            if match := ANSWER.fullmatch(line):
                address, answered, origin, name, at = match.groups()
                self.answers.append(Answer(address, None if name == "-" else name, answered == "1",
                                           origin, int(at)))
            elif line.startswith("NOTE "):
                self.notes.append(line)
            elif line.startswith("REFUSED "):
                self.refused.append(line)
            self.lines.append(line)

    def ask(self, *addresses):
        """Returns when the question went out, on the clock of answers."""
        now = boot_ns()
        self._process.stdin.write("".join(f"{address}\n" for address in addresses))
        self._process.stdin.flush()
        self.asked += len(addresses)
        return now

    def wait(self, seconds=60, more=0):
        """As many answers as questions, and more without a question."""
        wait_for(lambda: len(self.answers) >= self.asked + more, seconds,
                 f"{self.asked} + {more} answers")

    def ask_one(self, address, seconds=60):
        before = len(self.answers)
        self.ask(address)
        wait_for(lambda: len(self.answers) > before, seconds, f"the answer for {address}")
        return self.answers[before]

    def end(self):
        """The totals."""
        self._process.stdin.close()
        status = self._process.wait(60)
        self._reader.join()
        self._process.stdout.close()
        if status:
            raise AssertionError(f"source_tool: exit status {status}")
        return {key: int(value) for key, value in
                re.findall(r"(\w+)=(\d+)", self.lines[-1])}

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def cpu_ns(self):
        return task_cpu_ns([self.pid])["resolver"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def addresses(n, net="10.7"):
    return [f"{net}.{i >> 8}.{i & 255}" for i in range(n)]


class TestResolverSource(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vestige-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.hosts = os.path.join(self.directory, "hosts")
        self.write_hosts("")

    def write_hosts(self, text):
        with open(self.hosts + ".new", "w") as file:
            file.write(text)
        os.rename(self.hosts + ".new", self.hosts)

    def server(self, **options):
        server = DnsServer(**options)
        self.enterContext(server)
        return server

    def resolver(self, *options, servers=None, timeout_ms=PATIENT_MS):
        if servers:
            options += ("--servers", servers)
        resolver = Resolver("--hosts", self.hosts, "--name-timeout", str(timeout_ms), *options)
        self.addCleanup(resolver.kill)
        return resolver

    def assert_one_answer_each(self, resolver, *asked):
        self.assertEqual(collections.Counter(answer.address for answer in resolver.answers),
                         collections.Counter(asked))

    # What names are

    def test_names(self):
        server = self.server()
        cases = {
            "192.0.2.1": (dns_server.name("one.example"), "one.example"),
            "2001:db8::2": (dns_server.name("six.example"), "six.example"),
            "192.0.2.3": (dns_server.alias("3.0-31.2.0.192.in-addr.arpa", "three.example"),
                          "three.example"),
            # as LOAD DATA has it: a backslash is doubled, a newline is \n
            "192.0.2.4": (dns_server.name([b"a\0\x1b[31m\n\x7f", b"example"]),
                          "a\\\\x00\x1b[31m\\n\x7f.example"),
            "192.0.2.5": (dns_server.name([b"\xff\xfe\xc3\xa9", b"\xc0\x80"]),
                          "\\\\xff\\\\xfe\u00e9.\\\\xc0\\\\x80"),
            "192.0.2.6": (dns_server.name([b"a.b\\c", b"d"]), "a\\\\.b\\\\\\\\c.d"),
            "192.0.2.7": (dns_server.name([b"x" * 63] * 3 + [b"y" * 61]),
                          ".".join(["x" * 63] * 3 + ["y" * 61])),
            "192.0.2.8": (dns_server.name([]), "."),
            "192.0.2.9": (dns_server.name([b" ", b"-"]), " .-"),
        }
        for address, (answer, _) in cases.items():
            server.answers[address] = answer
        resolver = self.resolver(servers=server.address)
        at = resolver.ask(*cases)
        resolver.wait()
        got = {answer.address: answer for answer in resolver.answers}
        for address, (_, expected) in cases.items():
            with self.subTest(address=address):
                self.assertEqual(got[address][1:4], (expected, True, "dns"))
                self.assertLess(got[address].boot_ns - at, SOON_NS)
        slowest = max(answer.boot_ns for answer in resolver.answers) - at
        print(f"names of {len(cases)} addresses after {slowest / 1e6:.1f} ms", file=sys.stderr)
        self.assertEqual(resolver.end()["malformed"], 0)
        self.assert_one_answer_each(resolver, *cases)
        self.assertEqual(len(resolver.notes), 1)
        self.assertIn(f"NOTE mode=on detail=hosts file and dns by {server.address} ",
                      resolver.notes[0])

    def test_no_names(self):
        """What is said instead of a name, also by servers that lie."""
        server = self.server()
        real = dns_server.name("real.example")
        cases = {  # answered, name
            "192.0.2.1": (dns_server.code(dns_server.NXDOMAIN), True, None),
            "192.0.2.2": (dns_server.no_data, True, None),
            "192.0.2.3": (dns_server.code(dns_server.SERVFAIL), False, None),
            "192.0.2.4": (dns_server.code(dns_server.REFUSED), False, None),
            "192.0.2.5": (dns_server.silence, False, None),
            "192.0.2.6": (dns_server.garbage, False, None),
            "192.0.2.7": (dns_server.broken_record, False, None),
            "192.0.2.8": (dns_server.looping_name, False, None),
            "192.0.2.9": (dns_server.garbage_then(real), True, "real.example"),
            "192.0.2.10": (dns_server.stranger_then(real), True, "real.example"),
            "192.0.2.11": (dns_server.truncated(real), True, "real.example"),
            "192.0.2.12": (dns_server.truncated(dns_server.silence), False, None),
        }
        for address, (answer, _, _) in cases.items():
            server.answers[address] = answer
        for timeout_ms, kind in ((PATIENT_MS, True), (300, False)):
            resolver = self.resolver(servers=server.address, timeout_ms=timeout_ms)
            asked = {address: name for address, (_, answered, name) in cases.items() if answered == kind}
            for address, name in asked.items():
                with self.subTest(address=address):
                    answer = resolver.ask_one(address)
                    self.assertEqual(answer[:4], (address, name, kind, "dns"))
            self.assertEqual(resolver.end()["malformed"], 0)  # of the messages to the tracker
            self.assert_one_answer_each(resolver, *asked)
        wait_for(lambda: server.queries["192.0.2.5"] >= TRIES, 60, "it was asked as often as that")
        self.assertEqual(server.queries["192.0.2.5"], TRIES)

    def test_truncated_and_no_tcp(self):
        server = self.server(tcp=False)
        server.answers["192.0.2.1"] = dns_server.truncated(dns_server.silence)
        resolver = self.resolver(servers=server.address, timeout_ms=300)
        self.assertEqual(resolver.ask_one("192.0.2.1")[1:4], (None, False, "dns"))

    def test_second_server(self):
        """The first one is dead."""
        dead, alive = self.server(), self.server()
        dead.default = dns_server.silence
        alive.answers["192.0.2.1"] = dns_server.name("one.example")
        resolver = self.resolver(servers=f"{dead.address},{alive.address}", timeout_ms=3000)
        self.assertEqual(resolver.ask_one("192.0.2.1")[1:4], ("one.example", True, "dns"))

    # The hosts file

    def test_hosts_come_first_and_change(self):
        server = self.server()
        server.default = dns_server.name("dns.example")
        self.write_hosts("192.0.2.1 one\n192.0.2.2 two\n")
        resolver = self.resolver(servers=server.address)
        self.assertEqual(resolver.ask_one("192.0.2.1")[1:4], ("one", True, "hosts"))
        self.assertEqual(resolver.ask_one("192.0.2.3")[1:4], ("dns.example", True, "dns"))
        self.assertEqual(list(server.queries), ["192.0.2.3"])
        at = boot_ns()
        self.write_hosts("192.0.2.1 one\n192.0.2.3 three\n")
        resolver.wait(more=2)
        added, gone = sorted(resolver.answers[2:], key=lambda answer: answer.name is None)
        self.assertEqual(added[:4], ("192.0.2.3", "three", True, "hosts"))
        self.assertEqual(gone[:4], ("192.0.2.2", None, False, "hosts"))
        self.assertLess(added.boot_ns - at, SOON_NS)
        print(f"an entry that was added was told after {(added.boot_ns - at) / 1e6:.0f} ms",
              file=sys.stderr)
        at = boot_ns()
        with open(self.hosts, "a") as file:  # in place
            file.write("192.0.2.4 four\n")
        self.assertEqual(resolver.ask_one("192.0.2.4")[1:4], ("four", True, "hosts"))
        self.assertLess(resolver.answers[-1].boot_ns - at, SOON_NS)
        self.assertEqual(list(server.queries), ["192.0.2.3"])

    def test_the_hosts_file_of_this_host(self):
        resolver = Resolver("--servers", self.server().address)
        self.addCleanup(resolver.kill)
        self.assertEqual(resolver.ask_one("127.0.0.1")[1:4], ("localhost", True, "hosts"))

    def test_unspecified_addresses_are_nobody(self):
        server = self.server()
        resolver = self.resolver(servers=server.address)
        self.write_hosts("0.0.0.0 blocked.example\n:: blocked.example\n")
        for address in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
            self.assertEqual(resolver.ask_one(address)[1:3], (None, True))
        self.assertFalse(server.queries)

    def test_a_mapped_address_is_an_ipv4_address(self):
        server = self.server()
        server.answers["192.0.2.1"] = dns_server.name("one.example")
        resolver = self.resolver(servers=server.address)
        self.assertEqual(resolver.ask_one("::ffff:192.0.2.1")[:2], ("192.0.2.1", "one.example"))

    # The system's name servers

    def test_resolv_conf_changes(self):
        first, second = self.server(host="127.0.5.3", port=53), self.server(host="127.0.5.4", port=53)
        first.default, second.default = dns_server.name("first"), dns_server.name("second")
        path = os.path.join(self.directory, "resolv.conf")

        def write(server):
            with open(path + ".new", "w") as file:
                file.write(f"nameserver {server}\n")
            os.rename(path + ".new", path)
        write("127.0.5.3")
        resolver = self.resolver("--resolv-conf", path)
        self.assertEqual(resolver.ask_one("192.0.2.1").name, "first")
        write("127.0.5.4")
        wait_for(lambda: len(resolver.notes) == 2, 60, "the change is told")
        self.assertIn("dns by 127.0.5.3 ", resolver.notes[0])
        self.assertIn("dns by 127.0.5.4 ", resolver.notes[1])
        self.assertEqual(resolver.ask_one("192.0.2.1").name, "second")

    def test_servers_that_are_none(self):
        done = subprocess.run([TOOL, "--servers", "ns.example", "--ask", "resolver"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("[names] servers = ns.example: write addresses", done.stderr)

    # Servers that are dead

    def assert_dead_server(self, resolver, server):
        """The first requests wait for it; when nobody has answered, nobody is asked any more."""
        begin = resolver.ask(*addresses(500))
        resolver.wait()
        first = max(answer.boot_ns for answer in resolver.answers) - begin
        queries = sum(server.queries.values()) if server else 0
        begin = resolver.ask(*addresses(500, "10.8"))
        resolver.wait()
        second = max(answer.boot_ns for answer in resolver.answers) - begin
        self.assertEqual({answer[1:4] for answer in resolver.answers}, {(None, False, "dns")})
        self.assertLess(second, SOON_NS)
        print(f"500 requests to a dead server: {first / 1e6:.0f} ms, the next 500: "
              f"{second / 1e6:.1f} ms, queries {queries}", file=sys.stderr)

    def test_silent_server(self):
        server = self.server()
        server.default = dns_server.silence
        resolver = self.resolver(servers=server.address, timeout_ms=300)
        self.assert_dead_server(resolver, server)

        def asked():
            return {address for address in list(server.queries) if address != "127.0.0.1"}
        wait_for(lambda: len(asked()) >= BREAKER_FAILURES, 60, "it was asked for some")
        # Those that were asked first may give their places to others before enough of them failed.
        self.assertLess(len(asked()), UNDER_WAY + BREAKER_FAILURES)
        # The hosts file goes on to count.
        self.write_hosts("10.7.0.1 one\n")
        self.assertEqual(resolver.ask_one("10.7.0.1")[:4], ("10.7.0.1", "one", True, "hosts"))
        # It is back: the next probe finds it.
        server.default = dns_server.name("back.example")
        at = boot_ns()
        wait_for(lambda: resolver.ask_one("10.9.0.1").name == "back.example", 60,
                 "the server is asked again", 0.1)
        print(f"a server that is back is asked after {(boot_ns() - at) / 1e9:.1f} s",
              file=sys.stderr)
        resolver.end()
        self.assertFalse([address for address in asked() if address.startswith("10.8.")])

    def test_closed_port(self):
        resolver = self.resolver(servers=f"127.0.0.1:{own_port()}")
        self.assert_dead_server(resolver, None)

    def test_addresses_whose_servers_are_dead(self):
        """A zone without living servers does not take away the names of all others."""
        server = self.server()
        server.answers.update((address, dns_server.silence) for address in addresses(20, "10.6"))
        server.default = dns_server.name("alive.example")
        resolver = self.resolver(servers=server.address, timeout_ms=200)
        resolver.ask(*addresses(20, "10.6"))
        resolver.wait()
        self.assertEqual({answer[1:3] for answer in resolver.answers}, {(None, False)})
        wait_for(lambda: resolver.ask_one("10.5.0.1").name, 60, "the others are asked for", 0.1)

    # Many

    def test_one_answer_each_and_no_growth(self):
        server = self.server()
        kinds = (dns_server.name("a.example"), dns_server.code(dns_server.NXDOMAIN),
                 dns_server.code(dns_server.SERVFAIL), dns_server.broken_record)
        batch = addresses(2000)
        server.answers.update((address, kinds[i % len(kinds)]) for i, address in enumerate(batch))
        resolver = self.resolver(servers=server.address)
        resolver.ask(*batch)
        resolver.wait(60)
        memory, descriptors = memory_kib(resolver.pid, "VmRSS"), resolver.descriptors()
        cpu, begin = resolver.cpu_ns(), boot_ns()
        for _ in range(5):
            resolver.ask(*batch)
            resolver.wait(60)
        wall = boot_ns() - begin
        cpu = resolver.cpu_ns() - cpu
        grown = memory_kib(resolver.pid, "VmRSS") - memory
        self.assertEqual(resolver.descriptors(), descriptors)
        self.assertLess(grown, 512)
        resolver.end()
        self.assertFalse(resolver.refused)
        self.assert_one_answer_each(resolver, *(batch * 6))
        self.assertEqual(collections.Counter(answer[1:3] for answer in resolver.answers),
                         {("a.example", True): 3000, (None, True): 3000, (None, False): 6000})
        n = 5 * len(batch)
        print(f"{n} requests: {n / wall * 1e9:.0f}/s, {cpu / n / 1000:.1f} us of the thread each, "
              f"memory +{grown} KiB", file=sys.stderr)

    def test_idle(self):
        resolver = self.resolver(servers=self.server().address)
        resolver.ask_one("192.0.2.1")
        cpu, begin = resolver.cpu_ns(), time.monotonic()
        wait_for(lambda: time.monotonic() - begin >= 5, 10, "five seconds pass", 0.5)
        share = (resolver.cpu_ns() - cpu) / (time.monotonic() - begin) / 1e9
        print(f"idle: {share * 100:.4f} % of a core", file=sys.stderr)
        self.assertLess(share, 0.001)

    def test_recording_gives_the_same_facts(self):
        server = self.server()
        server.default = dns_server.name([b"\xff\n", b"example"])
        self.write_hosts("192.0.2.1 one\n")
        place = os.path.join(self.directory, "recording")
        resolver = self.resolver("--record", place, servers=server.address)
        resolver.ask("192.0.2.1", "192.0.2.2", "2001:db8::1", "::")
        resolver.wait()
        resolver.end()
        again = subprocess.run([TOOL, "--replay", place], text=True, capture_output=True,
                               stdin=subprocess.DEVNULL, timeout=60, check=True)
        self.assertEqual(again.stdout.splitlines()[:-1], resolver.lines[:-1])
        self.assertEqual(len(resolver.lines), 6)


if __name__ == "__main__":
    unittest.main()
