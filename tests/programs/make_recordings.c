/*
 * Writes recordings of a kernel that never was, for tests/replay:
 *
 *   make_recordings DIR     DIR/threads, DIR/changes, DIR/late, DIR/loss, DIR/devices, DIR/logins;
 *                           each is made if missing
 *
 * They hold what a recording of a real kernel has only by chance. The same program gives the same
 * bytes, but those that the headers of its system decide: so the recordings are kept, and this says
 * what is in them. */
#include "collectors/udev/udev_message.h"
#include "kernel_messages.h"

#include "collectors/utmp/utmp_message.h"
#include "recorder/reader/recording.h"

#include <limits.h>

struct story {
    struct kernel kernel;
    struct recording_writer *writer;
};

static void fail(const char *what)
{
    fprintf(stderr, "make_recordings: %s\n", what);
    exit(1);
}

/* What has happened so far is read @p after_ms later. */
static void turn(struct story *story, uint64_t after_ms)
{
    story->kernel.boot_ns += after_ms * MS;
    struct gulp *gulp = kernel_gulp(&story->kernel);
    if (recording_writer_add(story->writer, gulp) != 0)
        fail("cannot write");
    gulp_free(gulp);
}

static void quiet(struct story *story, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++)
        turn(story, 100);
}

static void begin(struct story *story, const char *directory, const char *name)
{
    struct error_text error = ERROR_TEXT_NULL;
    char path[PATH_MAX];
    struct recording_header header = {.host_id = 1,
                                      .boot_id = "9ef5ba15-e1b3-47bd-a95f-8eee5155396d",
                                      .boot_ns = UINT64_C(1000000) * MS,
                                      .real_ns = INT64_C(1795218407000000000),
                                      .ticks_per_second = 100,
                                      .own_pid = 4000,
                                      .hostname = "example",
                                      .kernel = "6.18.0",
                                      .settings = "connector=1 taskstats=1 audit=1 settle_ms=250 "
                                                  "fork_ms=100 unaudited_before=0 remember_s=60 "
                                                  "remember_mib=8"};
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (recording_writer_open(&story->writer, path, &header, &error) != 0)
        fail(error.text);
    kernel_init(&story->kernel, header.boot_ns, header.real_ns);
    kernel_note(&story->kernel, SOURCE_CONNECTOR, "suspend_offset=0");
    kernel_fork_total(&story->kernel);
    kernel_user(&story->kernel, 0, "root");
    kernel_user(&story->kernel, 1000, "alice");
    turn(story, 10);
}

static void end(struct story *story)
{
    struct error_text error = ERROR_TEXT_NULL;
    quiet(story, 5);
    if (recording_writer_close(story->writer, &error) != 0)
        fail(error.text);
    kernel_deinit(&story->kernel);
}

/* Pid 1, kthreadd, and a shell from before with two threads. */
static void scan_entries(struct kernel *k)
{
    struct fact_proc_process init = kernel_process(1, 0, 10 * MS, "init", "/sbin/init");
    struct fact_proc_process kthreadd = kernel_process(2, 0, 10 * MS, "kthreadd", NULL);
    struct fact_proc_process shell = kernel_process(500, 1, 900000 * MS, "sh", "/usr/bin/dash");
    shell.n_threads = 2;
    kernel_entry(k, &init, slice_of("/sbin/init", 11));
    kernel_entry(k, &kthreadd, SLICE_NULL);
    kernel_entry(k, &shell, slice_of("sh\0-c\0it's", 11));
}

static void first_scan(struct story *story)
{
    struct kernel *k = &story->kernel;
    kernel_scan(k, true);
    scan_entries(k);
    kernel_scan(k, false);
    kernel_fork_total(k);
    turn(story, 100);
    kernel_fork_total(k);
    quiet(story, 5);
}

/* fork, exec; the record of the exec waits for the caller. Returns its stamp. */
static int64_t start(struct kernel *k, uint32_t parent, uint32_t pid)
{
    kernel_fork(k, parent, pid, pid);
    k->boot_ns += 300000;
    int64_t stamp = kernel_stamp_ms(k);
    k->boot_ns += 500000;
    kernel_exec(k, pid);
    return stamp;
}

/* Threads: a leader that ends first; an exec by a thread; threads of a process that was there. */
static void tell_threads(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "threads");
    first_scan(&story);
    int64_t stamp = start(k, 500, 601);
    kernel_fork(k, 601, 602, 601);
    kernel_fork(k, 601, 603, 601);
    kernel_audit_exec(k, 601, stamp, "leader", "first");
    turn(&story, 20);
    kernel_exit(k, 601, 601, 0);
    kernel_stats(k, 601, 601, false, "leader", 20, 0);
    turn(&story, 20);
    kernel_exit(k, 603, 601, 0);
    kernel_stats(k, 603, 601, false, "leader", 40, 0);
    turn(&story, 20);
    kernel_exit(k, 602, 601, 7 << 8);
    kernel_stats(k, 602, 601, true, "leader", 60, 7 << 8);
    turn(&story, 20);

    stamp = start(k, 500, 611);
    kernel_fork(k, 611, 612, 611);
    kernel_audit_exec(k, 611, stamp, "before", "thread");
    turn(&story, 20);
    kernel_exit(k, 611, 611, 0);
    stamp = kernel_stamp_ms(k);
    kernel_exec(k, 611);
    kernel_stats(k, 611, 611, false, "before", 20, 0);
    kernel_audit_exec(k, 611, stamp, "after", "thread");
    turn(&story, 20);
    kernel_end(k, 611, "after", 40, 9);
    turn(&story, 20);

    kernel_exit(k, 501, 500, 0);
    kernel_stats(k, 501, 500, false, "sh", 100000, 0);
    turn(&story, 20);
    kernel_end(k, 500, "sh", 100800, 0);
    turn(&story, 20);
    end(&story);
}

/* Every kind of process_change, a setuid exec, a login with descendants. */
static void tell_changes(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "changes");
    first_scan(&story);
    int64_t stamp = start(k, 500, 601);
    kernel_audit_exec(k, 601, stamp, "daemon", "x");
    turn(&story, 20);
    kernel_sid(k, 601);
    kernel_ids(k, PROC_EVENT_GID, 601, 1000, 1000);
    k->boot_ns += 60 * MS;
    kernel_ids(k, PROC_EVENT_UID, 601, 1000, 0);
    k->boot_ns += 60 * MS;
    kernel_comm(k, 601, "crond");
    turn(&story, 20);
    kernel_ids(k, PROC_EVENT_UID, 601, 1000, 1000);
    stamp = kernel_stamp_ms(k);
    k->boot_ns += 1 * MS;
    kernel_exec(k, 601); /* the change of ids was this program's */
    kernel_comm(k, 601, "renamed");
    kernel_audit_exec(k, 601, stamp, "setuid", "y");
    turn(&story, 300);
    kernel_end(k, 601, "renamed", 460, 0);
    turn(&story, 20);

    stamp = kernel_stamp_ms(k);
    k->boot_ns += 5 * MS;
    kernel_fork(k, 500, 701, 701);
    kernel_fork(k, 701, 702, 702);
    kernel_exit(k, 701, 701, 0);
    kernel_stats(k, 701, 701, true, "sh", 0, 0);
    kernel_login(k, 500, stamp, 1000);
    turn(&story, 20);
    kernel_end(k, 702, "sh", 20, 0);
    turn(&story, 400);
    end(&story);
}

/* Records, numbers and names that come late, or that may be of either of two. */
static void tell_late(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "late");
    first_scan(&story);
    int64_t first = start(k, 500, 601), second = start(k, 500, 602);
    kernel_end(k, 601, "ends", 1, 0);
    turn(&story, 20);
    turn(&story, 300);
    kernel_audit_exec(k, 601, first, "ends", "late");
    kernel_audit_exec(k, 602, second, "lives", "late");
    turn(&story, 20);

    start(k, 500, 611); /* its record is lost */
    kernel_exit(k, 611, 611, 0);
    turn(&story, 300);
    kernel_stats(k, 611, 611, true, "lost", 1, 0);
    quiet(&story, 11);
    first = start(k, 500, 621);
    kernel_audit_exec(k, 621, first, "horizon", "x");
    turn(&story, 20);

    first = start(k, 500, 631);
    k->boot_ns += 1 * MS;
    second = kernel_stamp_ms(k);
    kernel_exec(k, 631);
    kernel_audit_exec(k, 631, first, "sh", "both");
    kernel_audit_exec(k, 631, second, "cat", "both");
    kernel_end(k, 631, "cat", 2, 0);
    turn(&story, 20);
    first = start(k, 500, 641);
    k->boot_ns += 1 * MS;
    kernel_exec(k, 641);
    kernel_audit_exec(k, 641, first, "either", "either");
    kernel_end(k, 641, "cat", 2, 0);
    turn(&story, 20);

    kernel_fork(k, 2, 651, 651);
    uint64_t born = k->boot_ns;
    turn(&story, 300);
    struct fact_proc_process worker = kernel_process(651, 2, born, "kworker/0:1", NULL);
    kernel_entry(k, &worker, SLICE_NULL);
    kernel_fork(k, 2, 652, 652);
    turn(&story, 20);
    kernel_end(k, 652, "jbd2/loop0-8", 20, 0);
    turn(&story, 20);
    kernel_end(k, 602, "lives", 2000, 0);
    quiet(&story, 11);
    first = start(k, 500, 661);
    kernel_audit_exec(k, 661, first, "horizon", "y");
    turn(&story, 300);
    end(&story);
}

/* Connector messages, audit records and taskstats messages that nobody got. */
static void tell_loss(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "loss");
    first_scan(&story);
    int64_t stamp = start(k, 500, 601);
    kernel_audit_exec(k, 601, stamp, "known", "x");
    turn(&story, 20);
    /* Of three whole lives nothing is heard; of a fourth only its record, and then its end. */
    kernel_lose_events(k, 9 + 2, 3 + 1);
    k->serial += 2;
    stamp = kernel_stamp_ms(k);
    kernel_overrun(k, SOURCE_CONNECTOR);
    kernel_comm(k, 601, "renamed");
    kernel_audit_exec(k, 610, stamp, "implied", "x");
    turn(&story, 20);
    uint64_t born = k->boot_ns - 20 * MS;
    struct fact_proc_process known =
        kernel_process(601, 500, born - 20 * MS, "known", "/bin/known");
    struct fact_proc_process implied = kernel_process(610, 500, born, "implied", "/bin/implied");
    k->boot_ns += 1 * MS;
    kernel_scan(k, true);
    scan_entries(k);
    kernel_entry(k, &known, slice_of("known\0x", 8));
    kernel_entry(k, &implied, slice_of("implied\0x", 10));
    kernel_scan(k, false);
    turn(&story, 20);
    kernel_fork_total(k);
    quiet(&story, 2);
    kernel_fork_total(k);
    quiet(&story, 3);
    kernel_overrun(k, SOURCE_TASKSTATS);
    kernel_overrun(k, SOURCE_AUDIT);
    kernel_note(k, SOURCE_AUDIT, "lost=17");
    kernel_exit(k, 601, 601, 0);
    kernel_end(k, 610, "implied", 500, 0);
    turn(&story, 300);
    /* The numbers of 601 are among what is lost; that it has ended, the next scan finds. */
    kernel_scan(k, true);
    scan_entries(k);
    kernel_scan(k, false);
    turn(&story, 20);
    for (uint32_t pid = 620; pid < 624; pid++) {
        quiet(&story, 25);
        stamp = start(k, 500, pid);
        kernel_end(k, pid, "after", 1, 0);
        kernel_audit_exec(k, pid, stamp, "after", "x");
        turn(&story, 20);
    }
    quiet(&story, 12);
    end(&story);
}

/* A look or an event at one device; properties in pairs of name and value. */
static void device(struct kernel *k, bool present, const char *const *properties)
{
    struct buffer message = BUFFER_NULL;
    udev_message_append_device(&message, present);
    for (; *properties; properties += 2)
        udev_message_append_property(&message, properties[0], properties[1]);
    kernel_add(k, SOURCE_UDEV, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

#define DEVICE(k, present, ...) device(k, present, (const char *const[]){__VA_ARGS__, NULL})

static void device_scan(struct kernel *k, bool begin, bool complete)
{
    struct fact_device_scan scan = {.begin = begin, .complete = complete};
    struct buffer message = BUFFER_NULL;
    udev_message_append_scan(&message, &scan);
    kernel_add(k, SOURCE_UDEV, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

static void look_at_devices(struct kernel *k, bool loop)
{
    device_scan(k, true, false);
    DEVICE(k, true, "SUBSYSTEM", "usb", "DEVPATH", "/devices/usb1", "DRIVER", "usb", "@vendor_id",
           "1d6b", "@users", "");
    if (loop)
        DEVICE(k, true, "SUBSYSTEM", "block", "DEVPATH", "/devices/virtual/block/loop0", "DEVNAME",
               "/dev/loop0", "MAJOR", "7", "MINOR", "0", "@users", "");
    device_scan(k, false, true);
}

/* A stick is plugged, bound, and pulled; an interface is renamed; one whose end was lost is not
 * found any more; what is no device, or malformed, is passed over. */
static void tell_devices(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "devices");
    first_scan(&story);
    look_at_devices(k, true);
    kernel_note(k, SOURCE_UDEV, "kernel\tno udev daemon runs: by the kernel and sysfs");
    turn(&story, 20);
    DEVICE(k, false, "ACTION", "add", "SUBSYSTEM", "usb", "DEVPATH", "/devices/usb1/1-1", "DEVNAME",
           "/dev/bus/usb/001/002", "@vendor", "Example Corp.", "@serial", "S\x80\xff", "@vendor_id",
           "0951", "@users", "alice,root");
    DEVICE(k, false, "ACTION", "add", "SUBSYSTEM", "net", "DEVPATH", "/devices/virtual/net/v0",
           "@users", "alice,root");
    DEVICE(k, false, "ACTION", "add", "SUBSYSTEM", "queues", "DEVPATH",
           "/devices/virtual/net/v0/queues/rx-0");
    DEVICE(k, false, "ACTION", "add", "SUBSYSTEM", "net");
    turn(&story, 20);
    DEVICE(k, false, "ACTION", "bind", "SUBSYSTEM", "usb", "DEVPATH", "/devices/usb1/1-1", "DRIVER",
           "usb", "@serial", "S\x80\xff");
    DEVICE(k, false, "ACTION", "move", "SUBSYSTEM", "net", "DEVPATH", "/devices/virtual/net/wan",
           "DEVPATH_OLD", "/devices/virtual/net/v0", "@users", "root");
    turn(&story, 1000);
    DEVICE(k, false, "ACTION", "remove", "SUBSYSTEM", "usb", "DEVPATH", "/devices/usb1/1-1");
    kernel_overrun(k, SOURCE_UDEV);
    look_at_devices(k, false);
    turn(&story, 20);
    quiet(&story, 12);
}

static void say(struct kernel *k, uint16_t type, uint32_t pid, const char *operation,
                const char *program, const char *result)
{
    char fields[512];
    k->serial++;
    snprintf(fields, sizeof(fields),
             "pid=%u uid=0 auid=1000 ses=3 subj=unconfined msg='op=PAM:%s grantors=pam_unix "
             "acct=\"alice\" exe=\"%s\" hostname=198.18.0.7 addr=198.18.0.7 terminal=ssh res=%s'",
             pid, operation, program, result);
    kernel_record(k, type, kernel_stamp_ms(k), fields);
}

static void write_down(struct kernel *k, enum login_file file, int16_t type, int32_t pid,
                       const char *line, const char *user, int64_t ago_s, uint64_t at)
{
    struct buffer message = BUFFER_NULL;
    int64_t real_us = (k->wall_ns + (int64_t)k->boot_ns) / 1000 - ago_s * 1000000;
    struct utmp record = {.ut_type = type, .ut_pid = pid};
    const struct utmp_message_header header = {
        .file = (uint8_t)file, .old = ago_s != 0, .inode = 7, .before = at * UTMP_RECORD_SIZE};
    memcpy(record.ut_line, line, strlen(line));
    memcpy(record.ut_user, user, strlen(user));
    record.ut_tv.tv_sec = (int32_t)(real_us / 1000000);
    record.ut_tv.tv_usec = (int32_t)(real_us % 1000000);
    utmp_message_append_records(&message, &header, slice_of(&record, sizeof(record)));
    kernel_add(k, SOURCE_UTMP, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

static void tell_event(struct kernel *k, enum login_log_event event, enum login_file file)
{
    struct buffer message = BUFFER_NULL;
    const struct fact_login_log log = {.event = event, .file = file, .inode = 8};
    utmp_message_append_log(&message, &log);
    kernel_add(k, SOURCE_UTMP, MESSAGE_DATA, message.data, message.length);
    buffer_deinit(&message);
}

enum { USER_AUTH = 1100, USER_ACCT, USER_START = 1105, USER_END };

/* What was there before; a login by all sources; failures; su without an end. */
static void tell_logins(const char *directory)
{
    struct story story;
    struct kernel *k = &story.kernel;
    begin(&story, directory, "logins");
    write_down(k, LOGIN_FILE_WTMP, BOOT_TIME, 0, "~", "reboot", 7000, 0);
    write_down(k, LOGIN_FILE_WTMP, USER_PROCESS, 91, "pts/0", "bob", 6000, 1);
    write_down(k, LOGIN_FILE_WTMP, DEAD_PROCESS, 91, "pts/0", "", 5000, 2);
    write_down(k, LOGIN_FILE_WTMP, USER_PROCESS, 92, "pts/1", "carol", 4000, 3);
    write_down(k, LOGIN_FILE_WTMP, USER_PROCESS, 500, "tty1", "alice", 60, 4);
    write_down(k, LOGIN_FILE_WTMP, USER_PROCESS, 93, "tty2", "dave", 60, 5);
    tell_event(k, LOGIN_LOG_CAUGHT_UP, LOGIN_FILE_WTMP);
    write_down(k, LOGIN_FILE_BTMP, USER_PROCESS, 94, "ssh:notty", "guess", 3000, 0);
    first_scan(&story);
    int64_t stamp = start(k, 500, 601);
    kernel_audit_exec(k, 601, stamp, "sshd", "x");
    turn(&story, 20);
    say(k, USER_AUTH, 601, "authentication", "/usr/sbin/sshd", "failed");
    write_down(k, LOGIN_FILE_BTMP, LOGIN_PROCESS, 601, "ssh:notty", "alice", 0, 1);
    turn(&story, 20);
    say(k, USER_AUTH, 601, "authentication", "/usr/sbin/sshd", "success");
    say(k, USER_ACCT, 601, "accounting", "/usr/sbin/sshd", "success");
    kernel_login(k, 601, kernel_stamp_ms(k), 1000);
    say(k, USER_START, 601, "session_open", "/usr/sbin/sshd", "success");
    turn(&story, 20);
    write_down(k, LOGIN_FILE_WTMP, USER_PROCESS, 601, "pts/3", "alice", 0, 6);
    quiet(&story, 25);
    stamp = start(k, 601, 602);
    kernel_audit_exec(k, 602, stamp, "su", "x");
    say(k, USER_START, 602, "session_open", "/usr/bin/su", "success");
    quiet(&story, 25);
    kernel_end(k, 602, "su", 2500, 9);
    say(k, USER_END, 601, "session_close", "/usr/sbin/sshd", "success");
    write_down(k, LOGIN_FILE_WTMP, DEAD_PROCESS, 601, "pts/3", "", 0, 7);
    kernel_end(k, 601, "sshd", 5000, 0);
    quiet(&story, 25);
    tell_event(k, LOGIN_LOG_ROTATED, LOGIN_FILE_WTMP);
    end(&story);
}

int main(int argc, char *argv[])
{
    if (argc != 2)
        fail("usage: make_recordings DIR");
    tell_threads(argv[1]);
    tell_changes(argv[1]);
    tell_late(argv[1]);
    tell_loss(argv[1]);
    tell_devices(argv[1]);
    tell_logins(argv[1]);
    return 0;
}
