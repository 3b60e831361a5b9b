"""A fleet that never was, as rows: 20 hosts and 200 users over some days, with processes in trees, their
files, connections and names, sessions, attempts to log in, devices, accounts, coverage, gaps and batches.
Skewed as real ones are: a few hosts and users do most, few programs run most, nights and Sundays are
quiet. Everything follows from a seed; each day can be made by itself.

Rows go into one file a table and day, in the order of the primary key, for LOAD DATA INFILE."""

import bisect
import datetime
import hashlib
import itertools
import os
import random
import uuid

SECOND = 1000000
DAY = 86400 * SECOND
# Jobs overlap. Each has ids of its own residue, so that hardly two rows of a host have one id.
RESIDUES = 20000

COMMON = "host_id,id,day,created_at,destroyed_at,end_cause,seen_by,batch,settle_batch,end_batch"
ACTOR = "process_id,pid,application,uid,username,login_uid,login_username"
COLUMNS = {
    "process": COMMON + ",boot_id,pid,start_ticks,ppid,parent_id,previous_id,comm,exe,exe_sha256,exe_size,argv0,"
               "arguments,argc,cwd,tty,session_id,login_uid,login_username,uid,username,euid,"
               "effective_username,gid,egid,pid_ns,mnt_ns,net_ns,cpu_user_us,cpu_system_us,max_rss_kib,"
               "read_bytes,write_bytes,exit_uid,exit_code,exit_signal,container",
    "process_change": COMMON + ",process_id,kind,old_value,new_value",
    "endpoint": COMMON + "," + ACTOR + ",pid_source,protocol,direction,remote_address,remote_port,netns,"
                "cookie,status,local_address,local_port,remote_name,bytes_sent,bytes_received",
    "file_access": COMMON + "," + ACTOR + ",path,new_path,device,inode,operations,opens,mode,size",
    "session": COMMON + ",boot_id,session_id,login_uid,username,tty,service,leader_pid,process_id,"
               "remote_address,remote_name",
    "auth_attempt": COMMON + ",username,service,result,remote_address,tty,process_id",
    "address_name": COMMON + ",address,name,source",
    "kernel_event": COMMON + "," + ACTOR + ",kind,target,result",
    "device": COMMON + ",subsystem,devpath,devnode,device,vendor,model,serial,users_logged_in",
    "finding": COMMON + ",class,subject,detail",
    "account": COMMON + ",username,uid,gid,home,shell,password_state",
    "account_group": COMMON + ",groupname,gid",
    "group_member": COMMON + ",groupname,username",
    "interface_address": COMMON + ",interface,mac,address,prefix_length,family",
    "route": COMMON + ",destination,prefix_length,gateway,interface,table_id,metric,family",
    "coverage": COMMON + ",boot_id,source,mode",
    "gap": COMMON + ",boot_id,source,cause,unit,count",
    "host": COMMON + ",name,machine_id,os_name,os_version,kernel,architecture",
    "boot": COMMON + ",boot_id,kernel",
    "batch": "host_id,batch,hash,previous_hash,format,boot_id,first_time,last_time,n_lines,cursors,"
             "recovered,server_offset_us,digests,received_at,verified_at",
}
BINARY = {"hash", "previous_hash", "digests"}

NULL = "\\N"
NAMES = ("alice bob carol dave erin frank grace heidi ivan judy kim leo mallory nina oscar peggy quentin ruth "
         "sybil trent ursula victor wendy xavier yvonne zoe anna boris clara dmitri elena felix gustav hanna "
         "igor jana karl lena maria nikos").split()
PROGRAMS = {name: f"/usr/bin/{name}" for name in
            "bash sh ls cat grep sed awk vim less git make gcc curl wget ssh scp rsync python3 perl find tar "
            "gzip sudo su id date df ps psql mysqldump crontab tail head sort cut dpkg apt-get systemctl "
            "journalctl docker nmap nc".split()}
PROGRAMS.update({"sshd": "/usr/sbin/sshd", "cron": "/usr/sbin/cron", "nginx": "/usr/sbin/nginx",
                 "php-fpm8.2": "/usr/sbin/php-fpm8.2", "systemd": "/usr/lib/systemd/systemd",
                 "mariadbd": "/usr/sbin/mariadbd", "cc1": "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
                 "as": "/usr/bin/as", "ld": "/usr/bin/ld", "master": "/usr/lib/postfix/sbin/master",
                 "smtp": "/usr/lib/postfix/sbin/smtp", "run-parts": "/usr/bin/run-parts",
                 "zabbix_agentd": "/usr/sbin/zabbix_agentd", "unattended-upgr": "/usr/bin/python3",
                 "crond": "/usr/bin/perl", "x": "/tmp/.x/x"})
SHA = {exe: hashlib.sha256(exe.encode()).hexdigest() for exe in set(PROGRAMS.values())}
# What people type, the often typed first.
COMMANDS = ["ls", "cat", "git", "grep", "vim", "ps", "less", "tail", "find", "curl", "ssh", "python3", "make",
            "df", "sed", "awk", "sudo", "id", "date", "sort", "tar", "psql", "scp", "perl", "systemctl",
            "journalctl", "docker", "wget", "rsync", "nc", "nmap"]
IRC = ("irc.example.net", "203.0.113.66")

KINDS = {"web": 6, "build": 3, "db": 3, "desk": 4, "mail": 1, "bastion": 1, "file": 2}
WEIGHTS = {"web": 9, "build": 14, "db": 3, "desk": 4, "mail": 5, "bastion": 3, "file": 3}
JOBS = {  # of 100 jobs of a host of the kind
    "web": {"request": 70, "cron": 8, "monitor": 10, "person": 2, "probe": 10},
    "build": {"build": 60, "cron": 10, "monitor": 15, "person": 13, "probe": 2},
    "db": {"request": 30, "cron": 25, "monitor": 30, "person": 10, "probe": 5},
    "desk": {"person": 50, "cron": 20, "monitor": 20, "web_visit": 10},
    "mail": {"mail": 60, "cron": 10, "monitor": 10, "person": 2, "probe": 18},
    "bastion": {"person": 25, "cron": 15, "monitor": 20, "probe": 40},
    "file": {"cron": 30, "monitor": 30, "person": 30, "probe": 10},
}


class Skewed:
    """One of some, the first far more often than the last."""

    def __init__(self, things, exponent=1.0):
        self.things = list(things)
        self.sums = list(itertools.accumulate(1 / (n + 1) ** exponent for n in range(len(self.things))))

    def pick(self, chance):
        return self.things[bisect.bisect(self.sums, chance.random() * self.sums[-1])]


class Host:
    def __init__(self, host_id, kind, number):
        self.id, self.kind, self.name = host_id, kind, f"{kind}{number}"
        self.address = f"10.1.{host_id}.10"
        self.boot = str(uuid.UUID(int=0x5eed0000000040008000000000000000 + host_id))
        self.weight = WEIGHTS[kind] * (0.6 + 0.8 / number)
        self.kernel_ns = (4026531836, 4026531841, 4026531840)


class User:
    __slots__ = ("uid", "name", "source")

    def __init__(self, uid, name, source=None):
        self.uid, self.name, self.source = uid, name, source


ROOT, DAEMON, NOBODY = User(0, "root"), User(33, "www-data"), User(65534, "nobody")
BUILDER = User(997, "builder")
UNSET = User(None, None)


class Process:
    __slots__ = ("id", "pid", "comm", "user", "login", "session", "tty", "effective", "container")


def text(value):
    return NULL if value is None else str(value)


class Fleet:
    def __init__(self, first_day, n_days, rows, seed=1):
        self.first_day, self.n_days, self.rows, self.seed = first_day, n_days, rows, seed
        self.origin = int(datetime.datetime.combine(first_day, datetime.time(), datetime.timezone.utc)
                          .timestamp()) * SECOND
        self.hosts = []
        for kind, n in KINDS.items():
            self.hosts += [Host(len(self.hosts) + i + 1, kind, i + 1) for i in range(n)]
        chance = random.Random(f"{seed} users")
        self.users = [User(1000 + n, NAMES[n % len(NAMES)] + (str(n // len(NAMES)) if n >= len(NAMES) else ""),
                           f"10.2.{n // 250}.{n % 250 + 1}") for n in range(200)]
        self.people = {host.id: Skewed(chance.sample(self.users, 60 if host.kind == "bastion" else 25)
                                       if host.kind != "desk" else chance.sample(self.users, 8))
                       for host in self.hosts}
        self.strangers = Skewed([f"198.51.{n // 250}.{n % 250 + 1}" for n in range(2000)], 0.8)
        self.names = {f"192.0.{n // 250}.{n % 250 + 1}": f"www{n}.example.com" for n in range(1500)}
        self.sites = Skewed(self.names.items(), 0.9)
        self.weights = sum(host.weight for host in self.hosts)

    def day(self, number):
        return self.first_day + datetime.timedelta(days=number)

    def share(self, host, number):
        """Rows of a host on a day: Sundays and Saturdays are quiet."""
        factors = [1.15, 1.2, 1.2, 1.15, 1.1, 0.6, 0.6]
        of_all = sum(factors[self.day(n).weekday()] for n in range(self.n_days))
        return int(self.rows * host.weight / self.weights * factors[self.day(number).weekday()] / of_all)


class HostDay:
    """The rows of one host on one day: lists of (id, line) by table."""

    def __init__(self, fleet, host, number, clock):
        self.fleet, self.host, self.number = fleet, host, number
        self.chance = random.Random(f"{fleet.seed} {host.id} {number}")
        self.clock = clock
        self.begin = fleet.origin + number * DAY
        self.rows = {table: [] for table in COLUMNS}
        self.n_rows = self.n_jobs = 0
        self.batches = {}
        self.now = self.residue = 0
        self.pid = self.chance.randrange(300, 30000)
        self.session = number * 10000
        self.daemons = {}

    # Clock and rows

    def start_job(self, at):
        self.n_jobs += 1
        # A job may go on after midnight, beside those of the next day.
        self.residue = (2 * self.n_jobs + self.number % 2) % RESIDUES
        self.now = at
        self.tick(0)

    def tick(self, us):
        """The time goes on; gives the id of the next row."""
        self.now += us
        self.now += (self.residue - self.now) % RESIDUES or RESIDUES
        return self.now

    def batch_of(self, us):
        """One a second; what goes on after midnight has batches of its own."""
        return us // SECOND * 2 + self.number % 2

    def moment(self, us):
        return f"{self.clock[us // SECOND]}.{us % SECOND:06d}"

    def row(self, table, life, cause, seen_by, values, settle=False):
        """A row that was recorded now; life in microseconds, None: it goes on."""
        us = self.tick(0)
        batch = self.batch_of(us)
        begun = us - 1 - self.residue % 900
        if life is None:
            end = f"{NULL}\t{NULL}"
            end_batch = NULL
        else:
            end = f"{self.moment(begun + life)}\t{cause}"
            # Within a second all is in one batch.
            end_batch = max(batch, self.batch_of(begun + life))
        self.batches[batch] = self.batches.get(batch, 0) + 1
        day = self.clock[us // SECOND][:10]
        self.rows[table].append((us, (
            f"{self.host.id}\t{us}\t{day}\t{self.moment(begun)}\t{end}\t{seen_by}\t{batch}\t"
            f"{batch + 2 if settle else NULL}\t{end_batch}\t{values}\n")))
        self.n_rows += 1
        return us

    def run(self, name, parent, arguments="", life=40000, user=None, login=None, comm=None, cwd="/",
            code=0, effective=None, previous=None, container=None):
        """A process; the clock goes on by a little."""
        chance = self.chance
        process = Process()
        process.comm = comm or name[:15]
        process.user = user or parent.user
        process.login = login or parent.login
        process.session, process.tty = parent.session, parent.tty
        process.effective = effective or process.user
        self.pid = self.pid + 1 if self.pid < 4194000 else 300
        process.pid = previous.pid if previous else self.pid
        exe = PROGRAMS[name]
        cpu = min(life or 0, int(chance.expovariate(1 / 4000)))
        who, other = process.user, process.effective
        process.container = container or parent.container
        values = (
            f"{self.host.boot}\t{process.pid}\t{(self.now - self.fleet.origin) // 10000 + 4242}\t{parent.pid}\t"
            f"{parent.id}\t{previous.id if previous else NULL}\t{process.comm}\t{exe}\t{SHA[exe]}\t{len(exe) * 7919}\t"
            f"{comm or name}\t{arguments}\t{arguments.count(' ') + 2 if arguments else 1}\t{cwd}\t{text(process.tty)}\t"
            f"{text(process.session)}\t{text(process.login.uid)}\t{text(process.login.name)}\t{who.uid}\t{who.name}\t"
            f"{other.uid}\t{other.name}\t{who.uid}\t{other.uid}\t4026531836\t4026531841\t4026531840\t{cpu}\t"
            f"{cpu // 3}\t{2000 + len(exe) * 300}\t{cpu * 3}\t{cpu // 2}\t{other.uid}\t"
            f"{code if life is not None else NULL}\t{NULL}\t{text(process.container)}")
        process.id = self.row("process", life, "exit", "audit,connector,taskstats", values)
        self.tick(2000 + int(chance.random() * 20000))
        return process

    def actor(self, process):
        return (f"{process.id}\t{process.pid}\t{process.comm}\t{process.user.uid}\t{process.user.name}\t"
                f"{text(process.login.uid)}\t{text(process.login.name)}")

    def file(self, process, path, operations="read", new_path=None, device="254:0"):
        self.row("file_access", 1000 + self.residue, "closed", "fanotify",
                 f"{self.actor(process)}\t{path}\t{text(new_path)}\t{device}\t{hash_of(path)}\t{operations}\t1\t33188\t"
                 f"{self.residue * 37}")

    def change(self, process, kind, old, new):
        self.row("process_change", 0, "closed", "connector", f"{process.id}\t{kind}\t{old}\t{new}")

    def connect(self, process, direction, address, port, name=None, life=300000, sent=2000, received=9000,
                status="established", protocol="tcp"):
        local_port = port if direction != "out" else 32768 + self.residue % 28000
        remote_port = port if direction == "out" else 32768 + self.residue % 28000
        if direction == "listen":
            address, remote_port = None, None
        return self.row("endpoint", life, "closed", "audit,sock_diag",
                        f"{self.actor(process)}\texact\t{protocol}\t{direction}\t{text(address)}\t{text(remote_port)}\t"
                        f"4026531840\t{self.now & 0xffffffff}\t{status}\t{self.host.address}\t{local_port}\t{text(name)}\t"
                        f"{sent}\t{received}", settle=True)

    # What happens

    def daemon(self, name, user=ROOT):
        """A process that was there before the first day, and is still."""
        if name not in self.daemons:
            process = Process()
            index = list(PROGRAMS).index(name)
            process.id = self.fleet.origin + (index + 1) * RESIDUES
            process.pid = 400 + index
            process.comm, process.user, process.effective = name[:15], user, user
            process.login, process.session, process.tty, process.container = UNSET, None, None, None
            self.daemons[name] = process
        return self.daemons[name]

    def standing(self):
        """What each host has on its first day."""
        host = self.host
        boot = self.fleet.origin
        for index, name in enumerate(PROGRAMS):
            user = DAEMON if name in ("nginx", "php-fpm8.2") else ROOT
            process = self.daemon(name, user)
            if name not in ("sshd", "cron", "nginx", "php-fpm8.2", "systemd", "mariadbd", "master",
                            "zabbix_agentd"):
                continue
            self.residue, self.now = 0, process.id
            exe = PROGRAMS[name]
            self.row("process", None, None, "proc",
                     f"{host.boot}\t{process.pid}\t{index}\t1\t{NULL}\t{NULL}\t{process.comm}\t{exe}\t{SHA[exe]}\t99999\t"
                     f"{exe}\t\t1\t/\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{user.uid}\t{user.name}\t{user.uid}\t{user.name}\t"
                     f"{user.uid}\t{user.uid}\t4026531836\t4026531841\t4026531840" + f"\t{NULL}" * 9)
            self.tick(1)
        self.start_job(boot + 1000 * SECOND)
        for name, port in (("sshd", 22), ("nginx", 443), ("mariadbd", 3306), ("master", 25)):
            self.connect(self.daemon(name), "listen", None, port, life=None, status="listening",
                         sent=NULL, received=NULL)
        for source, mode in (("audit", "owner"), ("connector", "all"), ("taskstats", "all"), ("fanotify", "all"),
                             ("sock_diag", "all"), ("utmp", "all"), ("udev", "all")):
            self.row("coverage", None, None, "agent", f"{host.boot}\t{source}\t{mode}")
        self.row("host", None, None, "agent", f"{host.name}\t{host.boot.replace('-', '')}\tDebian\t12\t6.1.0\tx86_64")
        self.row("boot", None, None, "agent", f"{host.boot}\t6.1.0")
        self.row("interface_address", None, None, "rtnetlink",
                 f"eth0\t52:54:00:00:00:{host.id:02x}\t{host.address}\t24\tinet")
        self.row("route", None, None, "rtnetlink", "0.0.0.0\t0\t10.1.0.1\teth0\t254\t100\tinet")
        for user in [ROOT, DAEMON, NOBODY, *self.fleet.users]:
            self.row("account", None, None, "inotify",
                     f"{user.name}\t{user.uid}\t{user.uid}\t/home/{user.name}\t/bin/bash\tset")
        self.row("account_group", None, None, "inotify", "sudo\t27")
        for user in self.fleet.users[:20]:
            self.row("group_member", None, None, "inotify", f"sudo\t{user.name}")

    def libraries(self, process):
        self.file(process, "/etc/ld.so.cache")
        if self.chance.random() < 0.5:
            self.file(process, "/usr/lib/x86_64-linux-gnu/libc.so.6")

    def cron(self):
        shell = self.run("cron", self.daemon("cron"), life=2 * SECOND, login=ROOT)
        self.session += 1
        shell.session = self.session
        self.row("session", 2 * SECOND, "closed", "audit",
                 f"{self.host.boot}\t{shell.session}\t0\troot\tcron\tcron\t{shell.pid}\t{shell.id}\t{NULL}\t{NULL}")
        script = self.run("sh", shell, "-c 'cd / && run-parts --report /etc/cron.hourly'", life=SECOND)
        for name in ("run-parts", "find", "gzip")[:self.chance.randrange(1, 4)]:
            process = self.run(name, script, "--report /etc/cron.hourly", life=400000)
            self.libraries(process)
            self.file(process, f"/var/log/job-{self.chance.randrange(40)}.log", "write")

    def monitor(self):
        agent = self.daemon("zabbix_agentd")
        shell = self.run("sh", agent, "-c 'df -P | tail -n 1'", life=60000)
        for name in ("df", "tail"):
            self.libraries(self.run(name, shell, "-P", life=20000))
        self.file(shell, "/proc/loadavg")

    def request(self):
        chance = self.chance
        nginx = self.daemon("nginx", DAEMON)
        for _ in range(chance.randrange(1, 4)):
            self.connect(nginx, "in", self.fleet.strangers.pick(chance), 443,
                         life=int(chance.expovariate(1 / 400000)))
            self.tick(int(chance.random() * 30000))
            self.file(nginx, f"/var/www/html/page{int(chance.paretovariate(0.8)) % 3000}.html")
            self.tick(int(chance.random() * 30000))
        php = self.daemon("php-fpm8.2", DAEMON)
        self.file(php, "/var/www/html/index.php")
        if chance.random() < 0.4:
            self.connect(php, "out", "10.1.10.10", 3306, "db1.example.org", life=50000)
        if chance.random() < 0.02:
            shell = self.run("sh", php, "-c 'convert in.png out.png'", life=200000, user=DAEMON)
            self.file(shell, f"/var/www/upload/{chance.randrange(99999)}.png", "write,create")

    def build(self):
        chance = self.chance
        make = self.run("make", self.daemon("cron"), "-j4 all", life=20 * SECOND, user=BUILDER, login=BUILDER,
                        cwd="/home/builder/src",
                        container=f"{chance.randrange(16**12):012x}" if chance.random() < 0.3 else None)
        for _ in range(chance.randrange(3, 30)):
            unit = int(chance.paretovariate(0.9)) % 2000
            shell = self.run("sh", make, f"-c 'gcc -O2 -c file{unit}.c'", life=600000, cwd="/home/builder/src")
            gcc = self.run("gcc", shell, f"-O2 -c file{unit}.c", life=590000, cwd="/home/builder/src")
            for name in ("cc1", "as"):
                process = self.run(name, gcc, f"-O2 file{unit}.c", life=250000, cwd="/home/builder/src")
                self.libraries(process)
                self.file(process, f"/home/builder/src/file{unit}.{'c' if name == 'cc1' else 's'}")
                self.file(process, f"/home/builder/src/file{unit}.o", "write,create")
        self.run("ld", make, "-o program", life=SECOND, code=int(chance.random() < 0.1))

    def mail(self):
        chance = self.chance
        smtp = self.run("smtp", self.daemon("master"), "-t unix -u", life=900000)
        self.file(smtp, f"/var/spool/postfix/active/{chance.randrange(999999):06X}", "read,write,create,delete")
        address, name = self.fleet.sites.pick(chance)
        self.connect(smtp, "out", address, 25, name, sent=20000)

    def probe(self):
        """Somebody from outside tries names and passwords."""
        chance = self.chance
        address = self.fleet.strangers.pick(chance)
        for _ in range(chance.randrange(1, 6)):
            sshd = self.run("sshd", self.daemon("sshd"), "-D -R", life=2 * SECOND, code=255)
            self.connect(sshd, "in", address, 22, life=2 * SECOND)
            name = chance.choice(("root", "admin", "oracle", "test", "pi", self.fleet.users[0].name))
            self.row("auth_attempt", 0, "closed", "audit", f"{name}\tsshd\tfailure\t{address}\tssh\t{sshd.id}")
            self.tick(SECOND)

    def web_visit(self):
        chance = self.chance
        user = self.fleet.people[self.host.id].pick(chance)
        curl = self.run("curl", self.daemon("systemd"), "https://www.example.com/", user=user, login=user)
        self.visit(curl)

    def visit(self, process):
        address, name = self.fleet.sites.pick(self.chance)
        if self.chance.random() < 0.05:
            self.row("address_name", 3600 * SECOND, "closed", "agent", f"{address}\t{name}\tdns")
        self.connect(process, "out", address, 443, name, sent=int(self.chance.paretovariate(0.7) * 500) % 10**8,
                     received=int(self.chance.paretovariate(0.7) * 3000) % 10**9)

    def person(self):
        """Comes by ssh, works and goes."""
        chance = self.chance
        user = self.fleet.people[self.host.id].pick(chance)
        life = int(60 * SECOND + chance.expovariate(1 / (1800 * SECOND)))
        life = min(life, DAY // 2)
        end = self.now + life
        self.session += 1
        sshd = self.run("sshd", self.daemon("sshd"), "-D -R", life=life)
        sshd.login, sshd.session, sshd.tty = user, self.session, f"pts/{self.session % 10}"
        self.connect(sshd, "in", user.source, 22, life=life, sent=90000, received=30000)
        self.row("auth_attempt", 0, "closed", "audit", f"{user.name}\tsshd\tsuccess\t{user.source}\tssh\t{sshd.id}")
        self.row("session", life, "closed", "audit,utmp",
                 f"{self.host.boot}\t{self.session}\t{user.uid}\t{user.name}\t{sshd.tty}\tsshd\t{sshd.pid}\t{sshd.id}\t"
                 f"{user.source}\t{NULL}")
        home = f"/home/{user.name}"
        shell = self.run("bash", sshd, "-l", life=life, user=user, cwd=home)
        self.file(shell, f"{home}/.bashrc")
        commands = Skewed(COMMANDS)
        for _ in range(min(int(chance.paretovariate(0.9) * 4), 300)):
            if self.now >= end:
                break
            self.tick(int(chance.expovariate(1 / (15 * SECOND))))
            self.command(shell, commands.pick(chance), user, home)
        self.file(shell, f"{home}/.bash_history", "write")

    def command(self, shell, name, user, home):
        chance = self.chance
        path = f"{home}/papers/file{int(chance.paretovariate(0.8)) % 500}.txt"
        if name == "sudo":
            sudo = self.run("sudo", shell, "systemctl restart nginx", life=300000, effective=ROOT, cwd=home)
            self.change(sudo, "uid", user.uid, 0)
            self.row("auth_attempt", 0, "closed", "audit",
                     f"{user.name}\tsudo\t{'success' if chance.random() < 0.95 else 'failure'}\t{NULL}\t"
                     f"{shell.tty}\t{sudo.id}")
            self.run("systemctl", sudo, "restart nginx", user=ROOT, cwd=home)
            self.file(sudo, "/etc/sudoers")
            return
        process = self.run(name, shell, f"-v {path}", life=int(chance.expovariate(1 / (200 * 1000))), cwd=home,
                           code=int(chance.random() < 0.08))
        self.libraries(process)
        if name in ("curl", "wget", "python3", "perl", "git", "nmap", "nc"):
            self.visit(process)
        elif name in ("ssh", "scp", "rsync", "psql"):
            other = self.fleet.hosts[chance.randrange(len(self.fleet.hosts))]
            self.connect(process, "out", other.address, 5432 if name == "psql" else 22, f"{other.name}.example.org")
        if name in ("vim", "sed", "git", "tar", "scp", "wget"):
            self.file(process, path, "read,write")
            if name == "vim":
                self.file(process, path + "~", "rename", path)
        elif name not in ("ls", "ps", "df", "id", "date"):
            self.file(process, path)
        if name == "docker":
            self.row("kernel_event", 0, "closed", "audit", f"{self.actor(process)}\tsetns\tnet\tsuccess")
        if chance.random() < 0.01:
            self.row("device", 600 * SECOND, "removed", "udev",
                     f"usb\t/devices/pci0000:00/usb1/1-{process.pid % 8}\t/dev/bus/usb/001/{process.pid % 100:03d}\t{NULL}\t"
                     f"Kingston\tDataTraveler\t{hash_of(path):012d}\t{user.name}")

    def bot(self):
        """A web server's script that is called crond and talks to an IRC server."""
        shell = self.run("sh", self.daemon("php-fpm8.2", DAEMON), "-c ./x", user=NOBODY, life=3600 * SECOND)
        crond = self.run("crond", shell, f"./x {IRC[1]} 0 0", life=3600 * SECOND, user=NOBODY, cwd="/tmp/.x")
        for _ in range(20):
            self.connect(crond, "out", IRC[1], 6670, IRC[0])
            self.tick(20 * SECOND)

    # A day

    def hours(self):
        """A moment of the day; people come by day, machines at all times."""
        hour = self.chance.choices(range(24), (2, 1, 1, 1, 1, 2, 3, 6, 10, 12, 12, 11, 9, 11, 12, 11, 10, 8, 6, 5, 4,
                                               4, 3, 2))[0]
        return self.begin + hour * 3600 * SECOND + int(self.chance.random() * 3600 * SECOND)

    def make(self):
        if self.number == 0:
            self.standing()
        target = self.fleet.share(self.host, self.number)
        kinds, weights = zip(*JOBS[self.host.kind].items())
        if self.host.name == "web1":
            self.start_job(self.hours())
            self.bot()
        while self.n_rows < target:
            kind = self.chance.choices(kinds, weights)[0]
            self.start_job(self.hours() if kind in ("person", "request", "build", "web_visit", "mail")
                           else self.begin + int(self.chance.random() * DAY))
            getattr(self, kind)()
        if self.chance.random() < 0.3:
            self.start_job(self.hours())
            self.row("gap", 2 * SECOND, "closed", "agent",
                     f"{self.host.boot}\tconnector\toverrun\tprocess\t{self.chance.randrange(1, 50)}")
        self.seal()
        return self

    def seal(self):
        host, zero = self.host.id, "00" * 32
        for batch in sorted(self.batches):
            n = self.batches[batch]
            us = batch // 2 * SECOND
            first, last, received = self.moment(us), self.moment(us + 999999), self.moment(us + 1200000)
            self.rows["batch"].append((batch, (
                f"{host}\t{batch}\t{batch:064x}\t{zero}\t1\t{self.host.boot}\t{first}\t{last}\t{n}\t{NULL}\t0\t0\t"
                f"{'5a' * 28 * min(n, 100)}\t{received}\t{received}\n")))


def hash_of(path):
    value = 7
    for letter in path[-12:]:
        value = (value * 31 + ord(letter)) & 0xffffffff
    return value


class Clock:
    """Moments as text, by second; remembers those of its days."""

    def __init__(self):
        self.known = {}

    def __getitem__(self, second):
        moment = self.known.get(second)
        if moment is None:
            moment = self.known[second] = str(datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=second))
            if len(self.known) > 400000:
                self.known.clear()
        return moment


def write_day(fleet, number, directory):
    """Files of one day; returns {table: (path, rows)}."""
    clock = Clock()
    files, counts = {}, {}
    try:
        for host in fleet.hosts:
            made = HostDay(fleet, host, number, clock).make()
            for table, rows in made.rows.items():
                if not rows:
                    continue
                if table not in files:
                    files[table] = open(os.path.join(directory, f"{table}.{number}"), "w", encoding="utf-8")
                    counts[table] = 0
                unique = dict(rows)
                files[table].writelines(unique[key] for key in sorted(unique))
                counts[table] += len(unique)
    finally:
        for file in files.values():
            file.close()
    return {table: (files[table].name, counts[table]) for table in files}


def load_statement(table, path):
    """LOAD DATA of one file. The path is ours and holds no quote."""
    names = COLUMNS[table].split(",")
    columns = ", ".join("@" + name if name in BINARY else f"`{name}`" for name in names)
    binary = ", ".join(f"`{name}` = UNHEX(@{name})" for name in names if name in BINARY)
    return (f"LOAD DATA INFILE '{path}' INTO TABLE {table} CHARACTER SET utf8mb4 ({columns})"
            + (f" SET {binary}" if binary else ""))
