"""Data directories of mariadbd that tests copy, because making one anew takes seconds and each test
begins with one.

VESTIGE_TEMPLATES names the folder where they are kept: ctest gives it, empties it before a run and
removes it afterwards. Without it everything is made anew each time. A template is of the programs that
made it and of one day, because the schema makes the partitions of the days ahead; the first test that
asks for it makes it, while others that want the same wait."""

import contextlib
import datetime
import fcntl
import hashlib
import os
import shutil
import subprocess

FOLDER = os.environ.get("VESTIGE_TEMPLATES")


def fingerprint(files):
    """Of their contents, of the server that is installed, and of the day."""
    server = os.stat(shutil.which("mariadbd"))
    today = datetime.datetime.now(datetime.UTC).date()
    digest = hashlib.sha256(f"{today} {server.st_size} {server.st_mtime_ns}".encode())
    for path in sorted(files):
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def fill(data, kind, files, make):
    """Make the directory `data`, which must not exist. make() makes it where there is no template of
    this kind yet, and leaves no server running in it; `files` are what it depends on."""
    if not FOLDER:
        make()
        return
    template = os.path.join(FOLDER, f"{kind}-{fingerprint(files)}")
    os.makedirs(FOLDER, exist_ok=True)
    with locked(template + ".lock"):
        if not os.path.isdir(template):
            make()
            shutil.rmtree(template + ".new", ignore_errors=True)
            copy(data, template + ".new")
            os.rename(template + ".new", template)
            return
    copy(template, data)
    if os.path.isdir(os.path.join(data, "vestige")):
        renew(data)


SETTING = "UPDATE vestige.server_setting SET value = '{}/' WHERE name = 'datadir';"
RENEW = """
UPDATE mysql.event SET starts = UTC_TIMESTAMP() WHERE starts < UTC_TIMESTAMP();
UPDATE mysql.event SET starts = UTC_TIMESTAMP() + INTERVAL 1 HOUR WHERE name = 'vestige_partitions';
UPDATE vestige.maintenance_run SET started_at = UTC_TIMESTAMP(6), finished_at = UTC_TIMESTAMP(6);
"""


def renew(data):
    """As if it had been made here, and the events had been created, and had run, now: none is overdue."""
    sql = RENEW
    if os.path.exists(os.path.join(data, "vestige", "server_setting.frm")):  # older schemas have none
        sql += SETTING.format(os.path.realpath(data))
    size = os.path.getsize(os.path.join(data, "ib_logfile0"))  # else another would be made, here and at the start
    subprocess.run(["mariadbd", "--no-defaults", "--bootstrap", "--user=root", f"--datadir={data}",
                    f"--tmpdir={os.path.dirname(data)}", f"--innodb-log-file-size={size}",
                    "--innodb-buffer-pool-size=16M"],
                   input=sql, text=True, check=True, capture_output=True, timeout=120)


@contextlib.contextmanager
def locked(path):
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def copy(source, target):
    """Owners and modes too; the log of InnoDB is mostly a hole, and stays one."""
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True,
                   stdin=subprocess.DEVNULL, timeout=120)
