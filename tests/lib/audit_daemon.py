"""auditd as somebody else's owner of audit: with a configuration, a log and rules of its own, in a
directory of its own, in the foreground. What it changed in the kernel is put back at its end."""

import os
import re
import signal
import subprocess
import time

from vestige_test import Timeout, audit_rules, audit_status, end_with_parent, run, wait_for

CONFIGURATION = """
log_file = {directory}/audit.log
log_format = {log_format}
log_group = root
write_logs = yes
local_events = yes
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 2048
max_log_file_action = IGNORE
num_logs = 2
priority_boost = 4
name_format = NONE
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
q_depth = 99999
overflow_action = IGNORE
plugin_dir = {directory}/plugins.d
"""
EXEC_RULE = ("-a", "always,exit", "-F", "arch=b64", "-S", "execve,execveat", "-F", "success=1")


class AuditDaemon:
    def __init__(self, directory, log_format="ENRICHED", rules=(), plugins=None):
        """rules: lists of arguments of auditctl. plugins: texts of plugins.d files by name."""
        self.directory = directory
        self.rules = rules
        os.makedirs(os.path.join(directory, "plugins.d"), exist_ok=True)
        with open(os.path.join(directory, "auditd.conf"), "w") as stream:
            stream.write(CONFIGURATION.format(directory=directory, log_format=log_format))
        for name, text in (plugins or {}).items():
            path = os.path.join(directory, "plugins.d", name + ".conf")
            with open(path, "w") as stream:
                stream.write(text)
            os.chmod(path, 0o640)
        self.log = os.path.join(directory, "audit.log")
        self.before = audit_status()
        self.process = None

    def start(self, attempts=1, taking_over=False):
        """Start, with the rules. An owner of audit steps aside only when it is asked to, so that
        taking over may need more attempts than one."""
        if audit_rules() != "No rules\n" and not taking_over:
            raise AssertionError("audit has rules, which the end of this auditd would delete")
        if not any(self._try_start() for _ in range(attempts)):
            raise AssertionError(f"auditd did not start in {attempts} attempts")
        run("auditctl", "-b", "8192")
        for rule in self.rules:
            run("auditctl", *rule)

    def _try_start(self):
        self.process = subprocess.Popen(
            ["/usr/sbin/auditd", "-n", "-c", self.directory], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
        owned = wait_for(lambda: self.process.poll() is not None
                         or audit_status()["pid"] == self.process.pid, 60, "auditd owns audit")
        if self.process.poll() is None and owned:
            return True
        time.sleep(0.2)
        return False

    def pids(self):
        """auditd and its plugins."""
        children = run("ps", "-o", "pid=", "--ppid", str(self.process.pid), check=False)
        return [self.process.pid, *map(int, children.stdout.split())]

    def records(self):
        """How many records of each type its log has."""
        counts = {}
        with open(self.log, errors="replace") as log:
            for kind in re.findall(r"^(?:node=\S+ )?type=(\w+)", log.read(), re.M):
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def settled(self):
        """Wait until its log has all that audit heard of until now: until a mark is in it that is made now."""
        mark = f"mark-{time.monotonic_ns()}"
        with open(self.log, errors="replace") as log:
            log.seek(0, os.SEEK_END)
            run("auditctl", "-m", mark)
            read = [""]

            def has_mark():
                read[0] = read[0][-len(mark):] + log.read()
                return mark in read[0]
            try:
                wait_for(has_mark, 60, "auditd's log has the mark", 0.1)
            except Timeout as timeout:
                raise Timeout(f"{timeout}; it ends with\n{self.log_text()[-3000:]}") from None

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def stop(self):
        """End it, delete its rules, put back what it set in the kernel."""
        if self.process is None:
            return
        # An agent that deletes its own rules at the same time makes this one fail.
        if run("auditctl", "-D", check=False).returncode:
            run("auditctl", "-D", check=False)
        run("auditctl", "-e", str(self.before["enabled"]))
        # While it still owns audit: whoever owns it next has settings of its own.
        run("auditctl", "-b", str(self.before["backlog_limit"]))
        run("auditctl", "--backlog_wait_time", str(self.before["backlog_wait_time"]))
        run("auditctl", "-f", str(self.before["failure"]))
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None
