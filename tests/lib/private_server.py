"""A private mariadbd for tests of the server side: own data directory, unix socket only, reading no
option file of the machine. It is ended by its pid."""

import os
import shutil
import subprocess
import tempfile

import pymysql

import data_template
from vestige_test import VESTIGE, end_with_parent, run, wait_for

SETTINGS = {
    "secure-timestamp": "YES",
    "event-scheduler": "ON",
    "local-infile": "0",
    "sql-mode": "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
                "NO_ENGINE_SUBSTITUTION",
    "innodb-flush-log-at-trx-commit": "1",
}


class Refused(Exception):
    """An error of the server, with its number."""

    def __init__(self, error):
        super().__init__(*error.args)
        self.number = error.args[0]


class Session:
    """One connection; rows are tuples, errors are Refused."""

    def __init__(self, server, **options):
        try:
            self.connection = pymysql.connect(unix_socket=server.socket, autocommit=True,
                                              charset="utf8mb4", **options)
        except pymysql.MySQLError as error:
            raise Refused(error) from None

    def run(self, sql, *values):
        """The rows of a statement, or the number of rows that it changed."""
        try:
            with self.connection.cursor() as cursor:
                changed = cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else changed
        except (pymysql.MySQLError, OSError) as error:
            raise Refused(error) from None

    def value(self, sql, *values):
        return self.run(sql, *values)[0][0]

    def error(self, sql, *values):
        """The number of the error that a statement gives; 0 when it succeeds."""
        try:
            self.run(sql, *values)
        except Refused as refused:
            return refused.number
        return 0

    def stay_within_a_day(self, seconds=120):
        """What is one a day is two when midnight is in a test: if it comes that soon, it is waited for."""
        wait_for(lambda: self.value("SELECT TIME_TO_SEC(UTC_TIME())") < 86400 - seconds, seconds + 60,
                 "midnight is over", 0.5)

    def wait_for_events(self):
        """An event that is at work goes on when it is disabled, and one that is about to be has no user yet."""
        wait_for(lambda: not self.run(
            "SELECT 1 FROM information_schema.processlist WHERE user LIKE 'vestige\\_%' OR"
            " (user = 'event_scheduler' AND COALESCE(state, '') NOT LIKE 'Waiting%')"), 60, "no event is at work")

    def close(self):
        try:
            self.connection.close()
        except pymysql.MySQLError:
            pass


class PrivateServer:
    environment = None  # of mariadbd; None: ours
    kind = "bare"       # of its data at the first start, see prepare()
    made_of = ()        # the files that these depend on

    def __init__(self, directory=None, **settings):
        """In a directory of its own, or in one that stays and may hold the data of before."""
        self.directory = directory or tempfile.mkdtemp(prefix="vestige-server-")
        self.socket = os.path.join(self.directory, "socket")
        self.settings = {**SETTINGS, **{k.replace("_", "-"): v for k, v in settings.items()}}
        self.process = None
        # A server that starts deletes temporary tables there, also those of another one.
        os.makedirs(os.path.join(self.directory, "tmp"), exist_ok=True)
        os.chmod(self.directory, 0o711) # agents of other users reach the socket
        data = os.path.join(self.directory, "data")
        if not os.path.isdir(os.path.join(data, "mysql")):
            data_template.fill(data, self.kind, self.made_of, self.install)
        self.start()

    def install(self):
        run("mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data",
            f"--tmpdir={self.directory}/tmp", "--auth-root-authentication-method=socket", "--skip-test-db", "--user=root")
        if self.kind != PrivateServer.kind:
            self.prepare_with_defaults()

    def prepare_with_defaults(self):
        """Others may copy the data, so these are of the settings that all have."""
        settings, self.settings = self.settings, SETTINGS
        PrivateServer.start(self)
        try:
            self.prepare()
        finally:
            self.stop()
            self.settings = settings

    def prepare(self):
        """What all servers of this kind begin with, besides what mariadb-install-db makes."""

    def start(self):
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        if "port" not in self.settings:
            options.append("--skip-networking")
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", "--user=root", f"--datadir={self.directory}/data",
             f"--socket={self.socket}", f"--pid-file={self.directory}/pid",
             f"--tmpdir={self.directory}/tmp",
             "--innodb-buffer-pool-size=64M", *options],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=end_with_parent)
        wait_for(self.answers, 120, "mariadbd answers")

    def answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.directory, "log")) as log:
                raise AssertionError("mariadbd ended:\n" + log.read()[-3000:])
        try:
            self.root().close()
        except Refused:
            return False
        return True

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(120)
        self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def root(self, database=None):
        return Session(self, user="root", database=database)

    def vestige(self, *words, check=True, **options):
        """`vestige WORDS` as the server's administrator."""
        return run(VESTIGE, *words, "--no-defaults", f"--socket={self.socket}", "--user=root",
                   check=check, **options)

    def enrol(self, name):
        """Enrol a host; the directory with its files."""
        directory = os.path.join(self.directory, "enrolled-" + name)
        self.vestige("client", "enroll", name, "--directory", directory)
        return directory


class VestigeServer(PrivateServer):
    """With the schema, as `vestige server init` makes it."""
    kind = "schema"
    made_of = (VESTIGE,)

    def prepare(self):
        self.vestige("server", "init")
