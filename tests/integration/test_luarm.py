"""`vestige server luarm`: LUARM's tables as views of one host, as its clients of 2011 saw them."""

import json
import os
import unittest

from private_server import Session, VestigeServer
from vestige_test import VESTIGE, main, run

BOOT = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d"
NUMBER = "int(10) unsigned"  # wide enough for each pid, port, user and group

# What DESCRIBE showed in 2011; what differs is after the `#`.
NETINFO = f"""
endpointinfo bigint(20) cyear smallint(6) cmonth tinyint(4) cday tinyint(4) chour tinyint(4)
cmin tinyint(4) csec tinyint(4) transport tinytext sourceip tinytext sourcefqdn tinytext
sourceport smallint(6) # {NUMBER}
destip tinytext
destfqdn tinytext # varchar(1024)
destport smallint(6) # {NUMBER}
ipversion tinyint(4) username tinytext
pid smallint(6) # {NUMBER}
application tinytext
dyear smallint(6) dmonth tinyint(4) dday tinyint(4) dhour tinyint(4) dmin tinyint(4)
dsec tinyint(4) md5sum text
"""
PSINFO = f"""
psentity bigint(20) md5sum text username tinytext
pid smallint(6) # {NUMBER}
ppid smallint(6) # {NUMBER}
pcpu decimal(3,1) pmem decimal(3,1) command text arguments mediumtext cyear smallint(6)
cmonth tinyint(4) cday tinyint(4) cmin tinyint(4) chour tinyint(4) csec tinyint(4)
dyear smallint(6) dmonth tinyint(4) dday tinyint(4) dhour tinyint(4) dmin tinytext
dsec tinyint(4)
"""
# As POFR has them, shasum being md5sum.
FILEINFO = f"""
fileaccessid bigint(20) md5sum char(40)
filename varchar(4096) # text
ruid mediumint(9) # {NUMBER}
euid mediumint(9) # {NUMBER}
rgid mediumint(9) # {NUMBER}
egid mediumint(9) # {NUMBER}
command text
pid mediumint(9) # {NUMBER}
ppid mediumint(9) # {NUMBER}
tzone char(6) cyear smallint(6) cmonth tinyint(4) cday tinyint(4) cmin tinyint(4)
chour tinyint(4) csec tinyint(4) cmsec mediumint(6) dyear smallint(6) dmonth tinyint(4)
dday tinyint(4) dhour tinyint(4) dmin tinyint(4) dmsec mediumint(6)
"""
GROUPINFO = f"""
groupid mediumint(9) # bigint(20)
groupname tinytext
gid mediumint(9) # {NUMBER}
md5sum char(40) groupusers text cday tinyint(4) cmin tinyint(4) chour tinyint(4)
csec tinyint(4) cyear int(11) cmonth tinyint(4) dyear int(11) dmonth tinyint(4)
dhour tinyint(4) dmin tinyint(4) dsec tinyint(4) dday tinyint(4)
"""
HOSTINFO = """
cid mediumint(9) hostname varchar(70) os tinytext osver tinytext vendor tinytext
vendormodel tinytext timezone tinytext
"""
HWINFO = """
hwdevid bigint(20)_unsigned md5sum char(40) cyear smallint(6) cmonth tinyint(4) cday tinyint(4)
chour tinyint(4) cmin tinyint(4) csec tinyint(4) devbus tinytext devstring text devvendor text
userslogged text dyear smallint(6) dmonth tinyint(4) dday tinyint(4) dhour tinyint(4)
dmin tinyint(4) dsec tinyint(4)
"""
NETINT = """
md5sum char(40) ipversion tinyint(4) ip tinytext subnet tinytext macaddr tinytext
cyear smallint(6) cmonth tinyint(4) cday tinyint(4) chour tinyint(4) cmin tinyint(4)
csec tinyint(4) dyear smallint(6) dmonth tinyint(4) dday tinyint(4) dhour tinyint(4)
dmin tinyint(4) dsec tinyint(4) intname text netintid bigint(20)
"""
NETROUTE = """
routeid bigint(20) ipversion tinyint(4) netip tinytext routenetmask tinytext defgw tinytext
cyear smallint(6) cmonth tinyint(4) cday tinyint(4) chour tinyint(4) cmin tinytext
csec tinyint(4) dyear smallint(6) dmonth tinyint(4) dday tinyint(4) dhour tinyint(4)
dmin tinyint(4) dsec tinyint(4) md5sum char(40) intname tinytext
"""
TABLES = {"fileinfo": FILEINFO, "groupinfo": GROUPINFO, "hostinfo": HOSTINFO, "hwinfo": HWINFO,
          "netinfo": NETINFO, "netint": NETINT, "netroute": NETROUTE, "psinfo": PSINFO}


def columns(text):
    """(name, type) of each, and how many differ from what they were."""
    found, n_different = [], 0
    for line in text.strip().splitlines():
        was, _, now = line.partition(" # ")
        words = was.split()
        pairs = list(zip(words[::2], words[1::2]))
        if now:
            n_different += 1
            pairs = [(pairs[0][0], now)]
        found += [(name, kind.replace("_unsigned", " unsigned")) for name, kind in pairs]
    return found, n_different


class LuarmTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not hasattr(LuarmTest, "server"):
            LuarmTest.server = VestigeServer()
            unittest.addModuleCleanup(cls.server.close)
            cls.server.enrol("web-1.example")
            cls.server.enrol("mail")
            cls.server.vestige("server", "luarm", "web-1.example")
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
        cls.luarm = cls.server.root("luarm_web_1_example")
        cls.addClassCleanup(cls.luarm.close)

    def setUp(self):
        for table in ("process", "endpoint", "file_access", "device", "account_group",
                      "group_member", "interface_address", "route", "host"):
            self.root.run(f"DELETE FROM {table}")
        self.number = 1764115199000000  # 2025-11-25 23:59:59

    def insert(self, table, ended=None, **values):
        """A row that began at 2025-11-25 23:59:59 and some microseconds; ended is a time."""
        self.number += 7
        values = {"host_id": 1, "id": self.number, "day": "2025-11-25", "created_at":
                  f"2025-11-25 23:59:59.{self.number % 1000000:06}", "destroyed_at": ended,
                  "end_cause": "closed" if ended else None, "seen_by": "agent", "batch": 1, **values}
        if table == "process":
            values.setdefault("boot_id", BOOT)
        names = ", ".join(values)
        self.root.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})",
                      *values.values())
        return values["id"]

    def rows(self, names, table, **equals):
        condition = " AND ".join(f"{name} = %s" for name in equals) or "TRUE"
        return list(self.luarm.run(f"SELECT {names} FROM {table} WHERE {condition} ORDER BY 1",
                                   *equals.values()))

    def luarm_command(self, *words, status=0):
        done = self.server.vestige("server", "luarm", *words, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refuse(self, *words):
        done = self.luarm_command(*words, status=2)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"\Avestige: server: error: [^\n]+\n\Z")
        return done.stderr.removeprefix("vestige: server: error: ").rstrip("\n")


class TestColumns(LuarmTest):
    def test_names_order_and_types(self):
        self.assertEqual(sorted(TABLES), [name for name, in self.luarm.run("SHOW TABLES")])
        for table, text in TABLES.items():
            with self.subTest(table):
                self.assertEqual(columns(text)[0],
                                 [row[:2] for row in self.luarm.run(f"DESCRIBE {table}")])

    def test_what_is_told_above_is_all_that_differs(self):
        self.assertEqual({"fileinfo": 7, "groupinfo": 2, "hostinfo": 0, "hwinfo": 0, "netinfo": 4,
                          "netint": 0, "netroute": 0, "psinfo": 2},
                         {table: columns(text)[1] for table, text in TABLES.items()})

    def test_a_name_is_found_by_its_index(self):
        self.root.run(
            "INSERT INTO endpoint (host_id, id, day, created_at, seen_by, remote_name, batch) "
            "SELECT 1, seq, '1970-01-01', '1970-01-01', 'audit', "
            "IF(seq MOD 100, CONCAT('h', seq MOD 500), 'dana.basefreak.nl'), 1 FROM seq_1_to_20000")
        self.root.run("ANALYZE TABLE endpoint")
        for name in ("dana.basefreak.nl", "dana.basefreak.nl "):
            with self.subTest(name):
                self.assertEqual(200, self.luarm.value(
                    "SELECT COUNT(*) FROM netinfo WHERE destfqdn = %s", name))
                plan, = self.luarm.run(
                    "EXPLAIN SELECT COUNT(*) FROM netinfo WHERE destfqdn = %s", name)
                self.assertEqual("remote_name", plan[5], plan)
        self.root.run("INSERT INTO file_access (host_id, id, day, created_at, seen_by, path, batch) "
                      "SELECT 1, seq, '1970-01-01', '1970-01-01', 'fanotify', CONCAT('/tmp/', seq), 1 "
                      "FROM seq_1_to_20000")
        self.root.run("ANALYZE TABLE file_access")
        plan = self.luarm.run("EXPLAIN SELECT command FROM fileinfo WHERE filename = '/tmp/7'")[0]
        self.assertEqual("path", plan[5], plan)


class TestValues(LuarmTest):
    def test_netinfo(self):
        self.insert("endpoint", "2026-01-02 03:04:05.999999", protocol="tcp", local_address="10.0.0.1",
                    local_port=61000, remote_address="192.0.2.7", remote_port=65535,
                    remote_name="Dana.example", username="alice", uid=1000, pid=4194304,
                    application="crond")
        self.insert("endpoint", protocol="udp", local_address="::1", uid=4294967294)
        self.insert("endpoint")
        self.insert("endpoint", protocol="unix", local_name="/run/x")
        self.insert("endpoint", protocol="packet")
        self.insert("endpoint", protocol="tcp", host_id=2)
        names = ", ".join(name for name, _ in columns(NETINFO)[0][1:-1])
        born = (2025, 11, 25, 23, 59, 59)
        self.assertEqual([
            (*born, "tcp", "10.0.0.1", None, 61000, "192.0.2.7", "Dana.example", 65535, 4, "alice",
             4194304, "crond", 2026, 1, 2, 3, 4, 5),
            (*born, "udp", "::1", None, 0, "", None, 0, 6, "4294967294", 0, "", *[None] * 6),
            (*born, "", "", None, 0, "", None, 0, 0, "", 0, "", *[None] * 6),
        ], [row[1:] for row in self.luarm.run(
            f"SELECT endpointinfo, {names} FROM netinfo ORDER BY endpointinfo")])
        sums = [value for value, in self.luarm.run("SELECT md5sum FROM netinfo")]
        self.assertEqual(3, len(set(sums)))
        for value in sums:
            self.assertRegex(value, r"\A[0-9a-f]{32}\Z")

    def test_psinfo(self):
        self.insert("process", "2025-11-26 00:00:09.000000", pid=4194304, ppid=4194303, uid=65534,
                    username="nobody", comm="x", exe="/usr/bin/perl", argv0="/usr/bin/perl",
                    arguments="./x 192.0.2.1 0 0", cpu_user_us=1000000, cpu_system_us=1000000)
        self.insert("process", "2025-11-25 23:59:59.900000", pid=7, cpu_user_us=10**9, cpu_system_us=0,
                    comm="seven")
        self.insert("process", pid=8, host_id=2)
        names = ", ".join(name for name, _ in columns(PSINFO)[0][2:])
        self.assertEqual([
            ("nobody", 4194304, 4194303, 20, 0, "/usr/bin/perl", "./x 192.0.2.1 0 0",
             2025, 11, 25, 59, 23, 59, 2025, 11, 26, 0, "0", 9),
            ("", 7, 0, 99.9, 0, "seven", "", 2025, 11, 25, 59, 23, 59, 2025, 11, 25, 23, "59", 59),
        ], [tuple(float(v) if n in (3, 4) else v for n, v in enumerate(row))
            for row in self.luarm.run(f"SELECT {names} FROM psinfo ORDER BY psentity")])

    def test_text_that_is_too_long_is_cut_and_no_error(self):
        self.insert("process", pid=1, username="\u00e9" * 255, exe="/" + "x" * 65534,
                    arguments="short")
        self.root.run("UPDATE process SET arguments = REPEAT('\u00e9', 8388608)")
        self.assertEqual([("\u00e9" * 63, "/" + "x" * 65534, 4194303)],
                         self.rows("username, command, CHAR_LENGTH(arguments)", "psinfo"))
        self.root.run("UPDATE process SET arguments = REPEAT('a', 16777215)")
        self.assertEqual([(16777215,)], self.rows("CHAR_LENGTH(arguments)", "psinfo"))

    def test_hostile_text_is_text(self):
        words = ["a'b", 'a"b', "%", "_", "a\\b", "x" * 65535, "caf\u00e9 \U0001f600", "\x1b[2J", " "]
        for number, word in enumerate(words):
            self.insert("process", pid=number, arguments=word)
        for number, word in enumerate(words):
            self.assertEqual([(number,)], self.rows("pid", "psinfo", arguments=word))

    def test_fileinfo(self):
        process = self.insert("process", pid=70, ppid=1, uid=1000, euid=0, gid=1001, egid=3, comm="vi",
                              exe="/usr/bin/vim")
        self.insert("file_access", "2025-11-26 01:02:03.000004", path="/etc/passwd", process_id=process,
                    pid=70, uid=1000, application="vi")
        self.insert("file_access", path="/etc/shadow", pid=71, application="cat")
        self.assertEqual([
            ("/etc/passwd", 1000, 0, 1001, 3, "/usr/bin/vim", 70, 1, "+00:00", 59, 14, 4),
            ("/etc/shadow", 4294967295, 4294967295, 4294967295, 4294967295, "cat", 71, 0, "+00:00", 59,
             21, None),
        ], self.rows("filename, ruid, euid, rgid, egid, command, pid, ppid, tzone, csec, cmsec, dmsec",
                     "fileinfo"))

    def test_groupinfo(self):
        self.insert("account_group", groupname="wheel", gid=10)
        self.insert("account_group", groupname="empty", gid=4294967294)
        self.insert("account_group", "2025-11-26 12:00:00", groupname="gone", gid=12)
        self.insert("group_member", groupname="wheel", username="carol")
        self.insert("group_member", groupname="wheel", username="alice")
        self.insert("group_member", "2025-11-26 12:00:00", groupname="wheel", username="mallory")
        self.insert("group_member", "2025-11-26 12:00:00", groupname="gone", username="bob")
        self.insert("group_member", "2025-11-26 11:00:00", groupname="gone", username="before")
        self.insert("group_member", groupname="wheel", username="elsewhere", host_id=2)
        self.assertEqual([("empty", 4294967294, "", None), ("gone", 12, "bob", 26),
                          ("wheel", 10, "alice,carol", None)],
                         self.rows("groupname, gid, groupusers, dday", "groupinfo"))

    def test_hostinfo(self):
        self.insert("host", "2025-11-26 00:00:00", name="web-1", os_name="Debian GNU/Linux",
                    os_version="11")
        self.insert("host", name="web-1", os_name="Debian GNU/Linux", os_version="12", vendor="QEMU",
                    time_zone="Europe/Oslo")
        self.assertEqual([(1, "web-1", "Debian GNU/Linux", "12", "QEMU", None, "Europe/Oslo")],
                         self.rows("*", "hostinfo"))

    def test_hwinfo(self):
        self.insert("device", "2026-01-01 00:00:00", subsystem="usb", devpath="/devices/usb1/1-1",
                    vendor="Kingston", model="Stick", serial="0815", users_logged_in="alice,bob")
        self.assertEqual([("usb", "Stick 0815 /devices/usb1/1-1", "Kingston", "alice,bob", 2025, 2026)],
                         self.rows("devbus, devstring, devvendor, userslogged, cyear, dyear", "hwinfo"))

    def test_netint_and_netroute(self):
        self.insert("interface_address", interface="eth0", mac="02:00:00:00:00:01", address="10.1.2.3",
                    prefix_length=20, family="inet")
        self.insert("interface_address", interface="eth0", mac="02:00:00:00:00:01")
        self.insert("interface_address", interface="lo", address="::1", prefix_length=128,
                    family="inet6")
        self.assertEqual([("10.1.2.3", 4, "255.255.240.0", "02:00:00:00:00:01", "eth0"),
                          ("::1", 6, "128", "", "lo")],
                         self.rows("ip, ipversion, subnet, macaddr, intname", "netint"))
        self.insert("route", destination="0.0.0.0", prefix_length=0, gateway="10.1.2.1",
                    interface="eth0", family="inet")
        self.insert("route", "2026-01-01 00:07:00", destination="fe80::", prefix_length=64,
                    interface="eth0", family="inet6")
        self.assertEqual([("0.0.0.0", 4, "0.0.0.0", "10.1.2.1", "59", None, "eth0"),
                          ("fe80::", 6, "64", None, "59", 7, "eth0")],
                         self.rows("netip, ipversion, routenetmask, defgw, cmin, dmin, intname",
                                   "netroute"))


class TestCommand(LuarmTest):
    def test_again_and_migrate_bring_the_views_up_to_date(self):
        for words in (("luarm", "web-1.example"), ("migrate",)):
            self.luarm.run("DROP VIEW psinfo")
            self.luarm.run("CREATE OR REPLACE VIEW netinfo AS SELECT 1 AS old")
            self.server.vestige("server", *words)
            self.assertEqual(columns(PSINFO)[0], [r[:2] for r in self.luarm.run("DESCRIBE psinfo")])
            self.assertEqual(columns(NETINFO)[0], [r[:2] for r in self.luarm.run("DESCRIBE netinfo")])

    def test_list(self):
        done = self.luarm_command("--format", "json")
        self.assertEqual([{"host_id": 1, "host": "web-1.example", "database": "luarm_web_1_example"}],
                         json.loads(done.stdout)["rows"])

    def test_by_number(self):
        self.assertIn("luarm_mail", self.luarm_command("2").stdout)
        self.assertIn("luarm_mail", self.luarm_command("mail", "--remove").stdout)
        self.assertIn("has no database luarm_mail", self.refuse("mail", "--remove"))

    def test_unknown_host(self):
        self.assertEqual('there is no host "mial" in the evidence; did you mean "mail"?',
                         self.refuse("mial"))
        self.assertIn("there is no host", self.refuse("' OR 1 = 1; --"))

    def test_two_hosts_of_one_name(self):
        self.server.enrol("web.1.example")
        said = self.refuse("web.1.example")
        self.assertIn("luarm_web_1_example is that of host web-1.example already", said)
        self.assertIn("is that of host web-1.example", self.refuse("web.1.example", "--remove"))

    def test_a_long_name(self):
        name = "a" * 70 + ".example"
        self.server.enrol(name)
        self.luarm_command(name)
        self.root.run(f"SELECT * FROM luarm_{'a' * 58}.psinfo")
        self.luarm_command(name, "--remove")
        name = "long." + "_" * 70
        self.server.enrol(name)
        self.luarm_command(name)
        self.root.run(f"SELECT * FROM luarm_long_{'_' * 53}.psinfo")
        self.luarm_command(name, "--remove")

    def test_what_is_not_ours_is_left_alone(self):
        self.root.run("CREATE DATABASE luarm_mail COMMENT 'mine'")
        for words in (("mail",), ("mail", "--remove")):
            self.assertIn("was not made by this command", self.refuse(*words))
        self.root.run("DROP DATABASE luarm_mail")
        self.luarm_command("mail")
        self.root.run("CREATE TABLE luarm_mail.notes (text TEXT)")
        self.assertIn("also holds notes", self.refuse("mail", "--remove"))
        self.root.run("DROP TABLE luarm_mail.notes")
        self.root.run("CREATE FUNCTION luarm_mail.mine() RETURNS INT RETURN 1")
        self.assertIn("also holds mine", self.refuse("mail", "--remove"))
        self.root.run("DROP FUNCTION luarm_mail.mine")
        self.luarm_command("mail", "--remove")

    def test_words(self):
        self.assertIn("--remove needs a host", self.refuse("--remove"))
        for words in (("init", "mail"), ("migrate", "--remove"), ("nonsense",)):
            done = self.server.vestige("server", *words, check=False)
            self.assertEqual(2, done.returncode, done.stdout)

    def test_an_older_schema(self):
        row = self.root.run("SELECT version, name, checksum FROM schema_version ORDER BY version DESC")[0]
        self.root.run("DELETE FROM schema_version WHERE version = %s", row[0])
        self.assertIn("run `vestige server migrate`", self.refuse("mail"))
        self.root.run("INSERT INTO schema_version (version, name, checksum) VALUES (%s, %s, %s)", *row)


class TestRights(LuarmTest):
    def session(self, *grants):
        """Of an account with these rights and no others."""
        self.root.run("CREATE OR REPLACE USER examiner@localhost "
                      "IDENTIFIED VIA mysql_native_password USING PASSWORD('open')")
        for grant in grants:
            self.root.run(f"GRANT {grant} TO examiner@localhost")
        session = Session(self.server, user="examiner", password="open")
        self.addCleanup(session.close)
        return session

    def test_a_reader(self):
        session = self.session("vestige_reader")
        session.run("SET ROLE vestige_reader")
        self.insert("process", pid=5, username="nobody")
        for table in TABLES:
            session.run(f"SELECT * FROM luarm_web_1_example.{table}")
            session.run(f"DESCRIBE luarm_web_1_example.{table}")
        session.run("EXPLAIN SELECT * FROM luarm_web_1_example.netinfo")
        self.assertEqual(1, session.value(
            "SELECT COUNT(*) FROM luarm_web_1_example.psinfo WHERE username = 'nobody'"))
        for sql in ("DELETE FROM luarm_web_1_example.netinfo",
                    "UPDATE luarm_web_1_example.fileinfo SET filename = 'x'",
                    "INSERT INTO luarm_web_1_example.netinfo (destfqdn) VALUES ('x')",
                    "DROP VIEW luarm_web_1_example.netinfo",
                    "CREATE TABLE luarm_web_1_example.mine (a INT)"):
            self.assertIn(session.error(sql), (1142, 1288, 1348, 1370, 1471), sql)

    def test_without_rights_on_the_evidence(self):
        session = self.session("SELECT, EXECUTE, SHOW VIEW ON `luarm\\_web\\_1\\_example`.*")
        self.insert("endpoint", protocol="tcp", remote_name="dana.example")
        self.assertEqual(1, session.value(
            "SELECT COUNT(*) FROM luarm_web_1_example.netinfo WHERE destfqdn = 'dana.example'"))
        self.assertEqual(columns(NETINFO)[0],
                         [row[:2] for row in session.run("DESCRIBE luarm_web_1_example.netinfo")])
        for table in ("vestige.endpoint", "vestige.process", "luarm_mail.netinfo"):
            self.assertEqual(1142, session.error(f"SELECT COUNT(*) FROM {table}"), table)

    def test_a_name_with_underscores_opens_no_other_database(self):
        self.root.run("CREATE OR REPLACE DATABASE luarm_webX1_example")
        self.root.run("CREATE TABLE luarm_webX1_example.secret (a INT)")
        session = self.session("vestige_reader")
        session.run("SET ROLE vestige_reader")
        self.assertEqual(1142, session.error("SELECT * FROM luarm_webX1_example.secret"))
        self.root.run("DROP DATABASE luarm_webX1_example")

    def test_nothing_stays(self):
        self.luarm_command("mail")
        self.luarm_command("mail", "--remove")
        for table in ("db", "tables_priv", "procs_priv"):
            self.assertEqual(0, self.root.value(
                f"SELECT COUNT(*) FROM mysql.{table} WHERE db LIKE 'luarm%mail'"), table)

    def test_one_who_may_not(self):
        self.session("vestige_reader")
        self.root.run("SET DEFAULT ROLE vestige_reader FOR examiner@localhost")
        done = run(VESTIGE, "server", "luarm", "mail", "--no-defaults",
                   f"--socket={self.server.socket}", "--user=examiner", check=False,
                   env={**os.environ, "MYSQL_PWD": "open"})
        self.assertEqual(2, done.returncode, done.stdout)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)
        self.root.run("DROP USER examiner@localhost")


if __name__ == "__main__":
    main()
