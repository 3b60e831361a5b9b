"""Interface addresses and routes: rows of what was there, came and went, compared with what
`ip monitor` said meanwhile and with what `ip` lists. Everything happens on veth pairs that the test
makes and removes, with addresses of 198.18.0.0/15 and 2001:db8::/32."""

import collections
import datetime
import json
import os
import re
import signal
import subprocess
import tempfile

from vestige_test import VESTIGED, VestigeTest, main, now_us, run, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
IMPLIED = ("local", "broadcast", "multicast", "anycast")
TABLES = {"main": 254, "default": 253, "local": 255}

# A row as `ip` and `ip monitor` tell it.
Interface = collections.namedtuple("Interface", "interface mac address prefix_length family")
Route = collections.namedtuple(
    "Route", "destination prefix_length gateway interface table_id metric family")


def ip(*words):
    return run("ip", *words).stdout


def batch(lines):
    """Many commands of `ip` by one process, as fast as it can."""
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"ip -batch: {done.stderr}")


def listed(*words):
    return json.loads(ip("-j", *words) or "[]")


def split_prefix(text, family):
    """Destination and prefix length of a route, or of an address."""
    if text == "default":
        return ("0.0.0.0" if family == "inet" else "::"), 0
    address, _, length = text.partition("/")
    return address, int(length) if length else (32 if family == "inet" else 128)


def gateway_of(hop):
    return hop.get("gateway") or hop.get("via", {}).get("host")


def listed_interfaces():
    """What the rows of interface_address have to say, as `ip` lists it now."""
    for link in listed("addr", "show"):
        name, mac = link["ifname"], link.get("address")
        yield Interface(name, mac, None, None, None)
        for address in link["addr_info"]:
            yield Interface(name, mac, address["local"], address["prefixlen"], address["family"])


def listed_routes():
    """Likewise of route: one for each next hop, without what follows from the addresses."""
    for option, family in (("-4", "inet"), ("-6", "inet6")):
        for route in listed(option, "route", "show", "table", "all"):
            table = route.get("table", "main")
            if route.get("type", "unicast") in IMPLIED and table == "local":
                continue
            destination, length = split_prefix(route["dst"], family)
            for hop in route.get("nexthops", [route]):
                yield Route(destination, length, gateway_of(hop), hop.get("dev"),
                            TABLES.get(table) or int(table), route.get("metric", 0), family)


def is_settled(*names):
    """The kernel tells of an IPv6 address of its own making when nobody else was found to have it; these
    interfaces have one, which it gives them some time after they are up."""
    found = {link.get("ifname"): link["addr_info"] for link in listed("-6", "addr", "show") if link}
    return (all(found.get(name) for name in names) and
            not any(address.get("tentative") for own in found.values() for address in own))


class Monitor:
    """`ip monitor` beside the agent: what came and went, in its order."""

    LINE = re.compile(r"^\[(?P<label>\w+)\](?P<end>Deleted )?(?P<rest>.*)$")

    def __enter__(self):
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["ip", "-o", "-rcvbuf", "67108864", "monitor", "label", "link", "address", "route"],
            stdout=self.output, stdin=subprocess.DEVNULL)
        self.n_marks = 0
        wait_for(lambda: self.hears(1), 60, "ip monitor hears", 0.1)
        self.start = len(self.text())
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        self.process.wait(60)
        self.output.close()

    def hears(self, seconds=60):
        """A mark, which nothing but this makes, has come through; all before it has, too."""
        self.n_marks += 1
        mark = f"198.19.255.{self.n_marks}/32"
        ip("addr", "add", mark, "dev", "lo")
        ip("addr", "del", mark, "dev", "lo")
        try:
            wait_for(lambda: f"inet {mark[:-3]}/32" in self.text(), seconds, "the mark", 0.01)
        except AssertionError:
            return False
        return True

    def text(self):
        with open(f"/proc/self/fd/{self.output.fileno()}") as copy:
            return copy.read()

    def events(self):
        """(label, end, words) of all since the start; the marks are left out."""
        assert self.hears()
        for line in self.text()[self.start:].splitlines():
            match = self.LINE.match(line)
            if match and "198.19.255." not in line:
                yield match["label"], bool(match["end"]), match["rest"].split()

    def lives(self, label, parse):
        """The lives whose births were heard, in their order, and those that have not ended. Ends
        without a birth are those of IPv6 addresses that the kernel had not yet told of."""
        lives, open_lives = [], set()
        for of, end, words in self.events():
            for key in parse(words) if of == label else ():
                if end:
                    open_lives.discard(key)
                elif key not in open_lives:
                    open_lives.add(key)
                    lives.append(key)
        return lives, open_lives


def parse_address(words):
    """'5: v0 inet 198.18.0.1/24 scope ...'; not those of the kernel's own making, which come when they like."""
    address, length = split_prefix(words[3], words[2])
    if not address.startswith("fe80:"):
        yield words[1], address, length


def parse_link(words):
    """'5: v0@v1: <UP> mtu ... link/ether 02:00:00:00:00:01 brd ...'"""
    mac = next(words[i + 1] for i, word in enumerate(words) if word.startswith("link/"))
    yield words[1].rstrip(":").partition("@")[0], mac


def after(words, name, default=None):
    return words[words.index(name) + 1] if name in words else default


def parse_route(words):
    """'198.18.5.0/24 via 198.18.0.2 dev v0 table 100 metric 7', or with 'nexthop ...' behind it."""
    if words[0] in IMPLIED:
        return
    words = [word for word in words if word not in ("unicast", "blackhole", "unreachable", "\\")]
    family = "inet6" if ":" in words[0] or ":" in after(words, "via", "") else "inet"
    destination, length = split_prefix(words[0], family)
    hops = " ".join(words).split(" nexthop ")
    for hop in (part.split() for part in (hops[1:] or hops)):
        yield Route(destination, length, after(hop, "via"), after(hop, "dev"),
                    int(after(words, "table", 254)), int(after(words, "metric", 0)), family)


class NetworkTest(VestigeTest):
    audited = False

    def setUp(self):
        super().setUp()
        self.vestige.sync()
        self.names = []
        self.addCleanup(self.remove_pairs)
        self.began = datetime.datetime.utcnow()

    def remove_pairs(self):
        for name in self.names:
            run("ip", "link", "del", name, check=False)

    def pair(self, name="vsa", peer="vsb", *, up=True, probe=False):
        """A veth pair, whose own addresses are settled: at once, unless they probe for others first."""
        self.names.append(name)
        ip("link", "add", name, "type", "veth", "peer", "name", peer)
        if up:
            for one in (name, peer):
                if not probe:
                    with open(f"/proc/sys/net/ipv6/conf/{one}/dad_transmits", "w") as stream:
                        stream.write("0")
                ip("link", "set", one, "up")
            wait_for(lambda: is_settled(name, peer), 60, "IPv6 addresses are settled", 0.1)
        return name

    # Rows

    def rows(self, table, condition="TRUE"):
        return self.vestige.query(
            f"SELECT * FROM {table} WHERE id >= {self.since} AND {condition} ORDER BY id")

    def open_rows(self, table):
        return self.vestige.query(f"SELECT * FROM {table} WHERE destroyed_at IS NULL ORDER BY id")

    def told(self, table, kind):
        return collections.Counter(kind(*(row[name] for name in kind._fields))
                                   for row in self.open_rows(table))

    def assert_as_listed(self):
        """The open rows are exactly what `ip` lists."""
        def compare():
            wait_for(is_settled, 60, "IPv6 addresses are settled", 0.1)
            self.vestige.sync()
            pairs = [(self.told("interface_address", Interface),
                      collections.Counter(listed_interfaces())),
                     (self.told("route", Route), collections.Counter(listed_routes()))]
            self.differences = [(rows - list_, list_ - rows) for rows, list_ in pairs
                                if rows != list_]
            return not self.differences
        # Something may change between the two looks, hardly each time.
        if not any(compare() for _ in range(10)):
            self.fail(f"in rows and not listed, listed and not in rows: {self.differences}")

    def assert_lives(self, rows, names, lives):
        """These lives, in this order, each ended, within the time of the test."""
        self.assertEqual(lives, [tuple(row[name] for name in names) for row in rows])
        now, slack = datetime.datetime.utcnow(), datetime.timedelta(seconds=0.2)
        for row in rows:
            self.assert_ended(row, end_cause="removed", seen_by="rtnetlink")
            self.assertGreater(row["created_at"], self.began - slack)
            self.assertLess(row["destroyed_at"], now + slack)

    # Storms

    def test_addresses(self):
        """200 addresses come and go: each once or, one of them, twenty times."""
        name = self.pair(probe=True)
        distinct = [f"198.18.{i}.1/24" for i in range(90)] + \
                   [f"2001:db8:{i:x}::1/64" for i in range(90)]

        def command(verb, address):
            nodad = " nodad" if verb == "add" and ":" in address else ""
            return f"addr {verb} {address} dev {name}{nodad}"
        lines = [command("add", address) for address in distinct]
        lines += [command(verb, "198.19.7.7/32") for _ in range(20) for verb in ("add", "del")]
        with Monitor() as monitor:
            batch(lines)
            # The kernel tells of IPv6 addresses a little later, and never if they are gone by then.
            wait_for(lambda: monitor.text().count(" inet6 2001:db8:") >= 90, 60, "all are told of")
            batch([command("del", address) for address in reversed(distinct)])
            lives, still_open = monitor.lives("ADDR", parse_address)
        self.assertEqual((len(lives), still_open), (200, set()))
        self.vestige.sync()
        rows = self.rows("interface_address", f"interface = '{name}' AND address IS NOT NULL"
                                              " AND address NOT LIKE 'fe80:%'")
        self.assert_lives(rows, ("interface", "address", "prefix_length"), lives)
        mac = listed("link", "show", name)[0]["address"]
        self.assertEqual({(row["mac"], row["family"]) for row in rows},
                         {(mac, "inet"), (mac, "inet6")})
        self.assert_as_listed()

    def test_routes(self):
        """200 routes come and go, of both families, in several tables, with metrics, through
        gateways and without, through several next hops."""
        name = self.pair()
        batch([f"addr add 198.18.0.1/24 dev {name}", f"addr add 2001:db8::1/64 dev {name} nodad"])
        routes = [f"198.18.{i}.0/24 via 198.18.0.2" for i in range(1, 41)]
        routes += [f"198.18.1.0/24 via 198.18.0.3 metric {i}" for i in range(1, 31)]
        routes += [f"198.19.{i}.0/24 dev {name} table {1000 + i}" for i in range(20)]
        routes += [f"198.19.{i}.0/24 nexthop via 198.18.0.2 nexthop via 198.18.0.3 dev {name}"
                   for i in range(100, 110)]
        routes += [f"2001:db8:{i:x}::/48 via 2001:db8::2" for i in range(1, 41)]
        routes += [f"2001:db8:1::/48 via 2001:db8::3 metric {i}" for i in range(1, 31)]
        routes += [f"2001:db8:{i:x}::/48 dev {name} table {1000 + i}" for i in range(20)]
        routes += [f"2001:db8:{i:x}::/48 nexthop via 2001:db8::2 dev {name} nexthop via"
                   f" 2001:db8::3 dev {name}" for i in range(256, 266)]
        self.assertEqual(len(routes), 200)
        self.vestige.sync()
        self.since = self.vestige.value("SELECT MAX(id) + 1 FROM route")
        with Monitor() as monitor:
            batch([f"route add {route}" for route in routes]
                  + [f"route del {route}" for route in routes])
            lives, still_open = monitor.lives("ROUTE", lambda words: (
                route for route in parse_route(words) if route.interface == name))
        self.assertEqual((len(lives), still_open), (220, set()))
        self.vestige.sync()
        self.assert_lives(self.rows("route", f"interface = '{name}'"), Route._fields, lives)
        self.assert_as_listed()

    def test_pairs(self):
        """200 veth pairs come and go, up, with an address and a route."""
        lines = []
        for i in range(200):
            lines += [f"link add vta{i} type veth peer name vtb{i}", f"link set vta{i} up",
                      f"link set vtb{i} up", f"addr add 198.18.{i}.1/24 dev vta{i}",
                      f"route add 198.19.{i}.0/24 via 198.18.{i}.2", f"link del vta{i}"]
        with Monitor() as monitor:
            batch(lines)
            links = monitor.lives("LINK", lambda words: (
                link for link in parse_link(words) if link[0].startswith("vt")))
            addresses = monitor.lives("ADDR", parse_address)
        self.assertEqual((len(links[0]), links[1]), (400, set()))
        self.assertEqual((len(addresses[0]), addresses[1]), (200, set()))
        self.vestige.sync()
        pairs = "interface LIKE 'vt%'"
        self.assert_lives(self.rows("interface_address", f"{pairs} AND address IS NULL"),
                          ("interface", "mac"), links[0])
        self.assert_lives(self.rows("interface_address", f"{pairs} AND address IS NOT NULL"
                                                         " AND address NOT LIKE 'fe80:%'"),
                          ("interface", "address", "prefix_length"), addresses[0])
        # The kernel says nothing of the ends of these routes.
        expected = [route for i in range(200) for route in (
            (f"198.18.{i}.0", None, f"vta{i}"), (f"198.19.{i}.0", f"198.18.{i}.2", f"vta{i}"))]
        self.assert_lives(self.rows("route", f"{pairs} AND family = 'inet'"),
                          ("destination", "gateway", "interface"), expected)
        self.assert_as_listed()

    # What stands

    def test_what_ip_lists(self):
        """Every kind of address and route that there is, and what happens to them."""
        self.assert_as_listed()
        name = self.pair(probe=True)
        batch([f"addr add 198.18.0.1/24 dev {name}", f"addr add 2001:db8::1/64 dev {name} nodad",
               f"addr add 198.18.1.1 peer 198.18.1.2/32 dev {name}",
               f"addr add 198.18.1.1 peer 198.18.1.3/32 dev {name}",
               "route add 198.18.5.0/24 via 198.18.0.2",
               "route add 198.18.6.0/24 nexthop via 198.18.0.2 nexthop via 198.18.0.3",
               f"route add 198.18.7.0/24 nexthop via 198.18.0.2 dev {name} nexthop dev vsb",
               "route add blackhole 198.18.8.0/24", "route add unreachable 2001:db8:8::/48",
               f"route add 198.18.9.0/24 via inet6 fe80::1 dev {name}",
               f"route add 198.18.10.1 dev {name} tos 0x10", f"route add 198.18.10.1 dev {name}",
               "route add 2001:db8:a::/48 from 2001:db8::/64 via 2001:db8::2 metric 5",
               "route add default via 198.18.0.2 table 4000",
               "route add local 198.18.11.0/24 dev lo table 4000",
               "route add default via 2001:db8::2 table 4000"])
        self.addCleanup(run, "ip", "route", "del", "blackhole", "198.18.8.0/24")
        self.addCleanup(run, "ip", "route", "del", "unreachable", "2001:db8:8::/48")
        self.addCleanup(run, "ip", "route", "flush", "table", "4000", check=False)
        self.assert_as_listed()
        for words in (
                "route replace 198.18.5.0/24 via 198.18.0.3",
                "route append 198.18.5.0/24 via 198.18.0.4",
                "route replace 198.18.5.0/24 via 198.18.0.5",
                "route replace 198.18.6.0/24 nexthop via 198.18.0.3 nexthop via 198.18.0.4",
                "-6 route append 2001:db8:a::/48 via 2001:db8::3 metric 5",
                f"link set {name} address 02:00:00:00:00:05", "link set vsb down",
                "link set vsb up", f"link set {name} down", f"link set {name} name vsc",
                "link set vsc up", "link del vsc"):
            ip(*words.split())
            self.assert_as_listed()

    def test_silent_ends(self):
        """Routes that end without a word of the kernel end with their cause, not much later."""
        name = self.pair()
        batch([f"addr add 198.18.0.1/24 dev {name}", f"addr add 198.18.2.1/24 dev {name}",
               "route add 198.18.5.0/24 via 198.18.0.2 src 198.18.2.1",
               "nexthop add id 4711 via 198.18.0.2 dev " + name, "route add 198.18.6.0/24 nhid 4711",
               "route add 198.18.7.0/24 via 198.18.0.2"])
        for words, destination in ((f"addr del 198.18.2.1/24 dev {name}", "198.18.5.0"),
                                   ("nexthop del id 4711", "198.18.6.0"),
                                   (f"link set {name} down", "198.18.7.0")):
            self.vestige.sync()
            condition = f"destination = '{destination}'"
            self.assert_row(self.only(self.rows("route", condition), condition), destroyed_at=None,
                            interface=name)
            before = datetime.datetime.utcnow()
            ip(*words.split())
            self.vestige.sync()
            row = self.only(self.rows("route", condition), condition)
            self.assert_ended(row, end_cause="removed")
            self.assertGreater(row["destroyed_at"], before - datetime.timedelta(seconds=0.2))
        self.assert_as_listed()

    def test_two_routes_of_one_row(self):
        """They differ in what no fact says: the row ends with one, and begins anew with the other."""
        name = self.pair()
        batch([f"addr add 198.18.0.1/24 dev {name}", f"addr add 198.18.2.1/24 dev {name}",
               f"route add 198.18.5.0/24 dev {name} src 198.18.0.1",
               f"route append 198.18.5.0/24 dev {name} src 198.18.2.1"])
        self.vestige.sync()
        condition = "destination = '198.18.5.0'"
        self.assert_row(self.only(self.rows("route", condition), condition), destroyed_at=None)
        ip("route", "del", "198.18.5.0/24")
        self.vestige.sync()
        rows = self.rows("route", condition)
        self.assertEqual(2, len(rows))
        self.assert_ended(rows[0], end_cause="removed")
        self.assert_row(rows[1], destroyed_at=None)
        ip("route", "del", "198.18.5.0/24")
        self.vestige.sync()
        rows = self.rows("route", condition)
        self.assertEqual(2, len(rows))
        self.assert_ended(rows[1], end_cause="removed")

    def test_rename_and_new_mac(self):
        name = self.pair(up=False)
        ip("link", "set", name, "address", "02:00:00:00:00:01")
        batch([f"addr add 198.18.0.1/24 dev {name}", f"link set {name} address 02:00:00:00:00:02",
               f"link set {name} name vsc", "addr del 198.18.0.1/24 dev vsc"])
        self.names.append("vsc")
        self.vestige.sync()
        rows = self.rows("interface_address", "interface IN ('vsa', 'vsc')")
        first, *rows = rows
        self.assert_ended(first, interface="vsa", address=None, end_cause="removed")
        described = [(row["interface"], row["mac"][-1], row["address"], row["end_cause"])
                     for row in rows]
        self.assertEqual(described, [
            ("vsa", "1", None, "removed"), ("vsa", "1", "198.18.0.1", "removed"),
            ("vsa", "2", None, "removed"), ("vsa", "2", "198.18.0.1", "removed"),
            ("vsc", "2", None, None), ("vsc", "2", "198.18.0.1", "removed")])
        for before, now in ((0, 2), (2, 4), (1, 3), (3, 5)):
            self.assertEqual(rows[before]["destroyed_at"], rows[now]["created_at"])

    def test_coverage(self):
        row = self.only(self.vestige.query("SELECT * FROM coverage WHERE source = 'rtnetlink'"
                                           " AND destroyed_at IS NULL"), "coverage")
        self.assert_row(row, mode="on",
                        detail="links, addresses and routes of the agent's network namespace")

    # Restarts

    def stand(self):
        """Some rows, by what will happen to them."""
        name = self.pair()
        batch([f"addr add 198.18.{i}.1/24 dev {name}" for i in range(3)]
              + ["route add 198.19.1.0/24 via 198.18.0.2", "route add 198.19.2.0/24 via 198.18.0.2"])
        self.assert_as_listed()
        return name

    def all_open(self):
        return [(table, self.open_rows(table)) for table in ("interface_address", "route")]

    def assert_all_ended(self, rows_of_tables, cause):
        for table, rows in rows_of_tables:
            ids = ",".join(str(row["id"]) for row in rows)
            causes = self.vestige.query(f"SELECT end_cause, COUNT(*) AS n FROM {table}"
                                        f" WHERE id IN ({ids}) GROUP BY end_cause")
            self.assertEqual(causes, [{"end_cause": cause, "n": len(rows)}])

    def assert_go_on(self, restart):
        """What is still true goes on as the same row, over a restart, and another one."""
        self.stand()
        before = self.all_open()
        for _ in range(2):
            restart()
            self.vestige.sync()
            self.assertEqual(before, self.all_open())
        self.assert_as_listed()

    def test_clean_restart(self):
        def restart():
            self.vestige.stop()
            self.vestige.start()
        self.assert_go_on(restart)

    def test_killed_agent(self):
        self.assert_go_on(self.vestige.kill_agent)

    def assert_reconciled(self, end):
        """Changes while nobody watches: a row for each thing that is so now, the old ones ended."""
        name = self.stand()
        before = {table: {row["id"]: row for row in rows} for table, rows in self.all_open()}
        end()
        batch([f"addr del 198.18.1.1/24 dev {name}", f"addr add 198.18.9.1/24 dev {name}",
               "route del 198.19.1.0/24", "route add 198.19.9.0/24 via 198.18.0.2"])
        self.since = now_us()
        self.vestige.start()
        self.vestige.sync()
        ends = {}
        for table, rows in before.items():
            for row in self.vestige.query(
                    f"SELECT * FROM {table} WHERE id IN ({','.join(map(str, rows))})"):
                if row["destroyed_at"] is None:
                    self.assertEqual(row, rows[row["id"]])
                    continue
                self.assert_ended(row, end_cause="reconciled", created_at=rows[row["id"]]["created_at"])
                ends[row.get("address") or row["destination"], row.get("prefix_length")] = row
        # The connected route of the address went with it.
        self.assertEqual(sorted(ends), [("198.18.1.0", 24), ("198.18.1.1", 24), ("198.19.1.0", 24)])
        new = [(row["address"], row["destroyed_at"]) for row in self.rows("interface_address")]
        self.assertEqual(new, [("198.18.9.1", None)])
        new = {(row["destination"], row["destroyed_at"]) for row in self.rows("route")}
        self.assertEqual(new, {("198.18.9.0", None), ("198.19.9.0", None)})
        self.assert_as_listed()

    def test_changes_while_stopped(self):
        self.assert_reconciled(self.vestige.stop)

    def test_changes_while_killed(self):
        self.assert_reconciled(self.vestige.kill_all)

    def test_reboot(self):
        """The kernel says that this is another boot: everything ended with the one before."""
        self.stand()
        before = self.all_open()
        self.vestige.stop()
        with open(self.vestige.path("boot_id"), "w") as stream:
            stream.write(OTHER_BOOT + "\n")
        self.vestige.start(prefix=(
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
            f'mount --bind "$0" {BOOT_ID} && exec "$@"', self.vestige.path("boot_id")))
        self.vestige.sync()
        self.assert_all_ended(before, "reboot")
        self.assert_as_listed()
        self.vestige.stop()
        self.vestige.start()
        self.vestige.sync()

    # Bad days

    def restart(self, **sections):
        self.vestige.stop()
        self.vestige.configure(**sections)
        self.vestige.start()
        self.vestige.sync()

    def test_overrun(self):
        """What does not fit into the socket is a gap, and afterwards the rows are right again."""
        self.restart(reader={"receive_buffer_kib": 64})
        self.addCleanup(self.restart)
        name = self.pair()
        lines = [f"addr {verb} 198.18.{i}.1/24 dev {name}" for i in range(250)
                 for verb in ("add", "del")]
        os.kill(self.vestige.agent_pid, signal.SIGSTOP)
        try:
            batch(lines + [f"addr add 198.18.0.1/24 dev {name}", "link add vsx type veth peer vsy",
                           "link set vsx up"])
            self.names.append("vsx")
        finally:
            os.kill(self.vestige.agent_pid, signal.SIGCONT)
        self.vestige.sync()
        gaps = [gap for gap in self.gaps() if gap["source"] == "rtnetlink"]
        gap = self.only(gaps, "rtnetlink's gap")
        self.assert_row(gap, cause="overrun", unit="event", count=None)
        self.assertLess(len(self.rows("interface_address", f"interface = '{name}'")), 250)
        self.assert_as_listed()

    def test_switched_off(self):
        """Without rtnetlink nothing is claimed to be so."""
        before = self.all_open()
        self.restart(rtnetlink={"mode": "off"})
        self.addCleanup(self.restart)
        self.assertEqual([(table, []) for table, _ in before], self.all_open())
        self.assert_all_ended(before, "unknown")
        self.assertEqual("off", self.vestige.value(
            "SELECT mode FROM coverage WHERE source = 'rtnetlink' AND destroyed_at IS NULL"))
        self.restart()
        self.assert_as_listed()

    # Recordings

    def lines(self, text):
        """Those of the two tables."""
        return sorted(line for line in text.splitlines()
                      if re.match(r"\w+\t(interface_address|route)\t", line))

    def test_record_and_replay(self):
        """A recording gives the same rows as the run that made it."""
        self.vestige.stop()
        self.addCleanup(self.vestige.start)
        state, place = (os.path.join(self.vestige.directory, name) for name in ("own", "recording"))
        command = [VESTIGED, "--config", self.vestige.path("vestiged.conf"), "--state", state,
                   "--record", place]
        said = os.path.join(self.vestige.directory, "recording.log")
        with open(said, "wb") as log:
            agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def records():
            with open(said) as log:
                return "agent: recording" in log.read()
        try:
            wait_for(records, 60, "vestiged records")
            name = self.pair()
            batch([f"addr add 198.18.0.1/24 dev {name}", "route add 198.18.5.0/24 via 198.18.0.2",
                   "route replace 198.18.5.0/24 via 198.18.0.3", f"link set {name} down",
                   f"link del {name}"])
        finally:
            agent.terminate()
            self.assertEqual(agent.wait(60), 0)
        journal = os.path.join(state, "journal")
        files = [os.path.join(journal, name) for name in os.listdir(journal)]
        shown = run("zstdcat", *(path for path in files if path.endswith(".sealed.zst"))).stdout
        replayed = run(VESTIGED, "--replay", place).stdout
        self.assertGreater(len(self.lines(shown)), 20)
        self.assertEqual(self.lines(shown), self.lines(replayed))
        self.assertIn("\t198.18.5.0\t24\t198.18.0.3\t", replayed)


if __name__ == "__main__":
    main()
