// links: vestige_procfs
/* The /proc source against the real /proc: children of this test with known properties. */
#include "collectors/procfs/proc_source.h"
#include "core/buffer.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { WAIT_MS = 60000, ARGUMENTS_MOST = 8192 };

/* Collects facts of one pid, and the scans. */
struct watch {
    struct source *source;
    struct decoder *decoder;
    struct gulp *gulp;
    uint32_t pid;
    unsigned n_begins, n_ends, n_found, n_notes, n_bad;
    struct fact_proc_process process; /* the last of `pid`; its slices are copied */
    uint64_t boot_ns;
    struct buffer bytes;
    size_t argument_length[ARGUMENTS_MOST];
};

static struct slice keep(struct buffer *to, struct slice s)
{
    size_t offset = to->length;
    if (slice_is_null(s))
        return s;
    buffer_append_slice(to, s);
    buffer_append_byte(to, '\0');
    return slice_of(to->data + offset, s.length);
}

static void keep_process(struct watch *watch, const struct fact *fact)
{
    struct buffer *bytes = &watch->bytes;
    buffer_clear(bytes);
    assert_non_null(buffer_reserve(bytes, 4 << 20)); /* so that nothing moves below */
    watch->process = fact->proc_process;
    watch->boot_ns = fact->boot_ns;
    watch->process.comm = keep(bytes, fact->proc_process.comm);
    watch->process.exe = keep(bytes, fact->proc_process.exe);
    watch->process.cwd = keep(bytes, fact->proc_process.cwd);
    watch->process.tty = keep(bytes, fact->proc_process.tty);
    watch->process.cgroup = keep(bytes, fact->proc_process.cgroup);
    struct slice joined = slice_of(bytes->data + bytes->length, 0);
    for (uint32_t i = 0; fact->proc_process.argv && i < fact->proc_process.argc; i++) {
        struct slice argument = keep(bytes, fact->proc_process.argv[i]);
        if (i < ARGUMENTS_MOST)
            watch->argument_length[i] = argument.length;
        joined.length += argument.length + 1;
    }
    watch->process.container = joined; /* all arguments, each with its NUL */
    watch->n_found++;
}

static void take(void *user, const struct fact *fact)
{
    struct watch *watch = user;
    if (fact->kind == FACT_PROC_SCAN && fact->proc_scan.begin)
        watch->n_begins++;
    if (fact->kind == FACT_PROC_SCAN && !fact->proc_scan.begin)
        watch->n_ends++;
    if (fact->kind == FACT_NOTE)
        watch->n_notes++;
    if (fact->kind == FACT_PROC_PROCESS && fact->proc_process.pid == watch->pid)
        keep_process(watch, fact);
}

static void drain(struct watch *watch)
{
    int r;
    do {
        struct message message;
        size_t offset = 0;
        watch->gulp->used = 0;
        r = proc_source_ops.drain(watch->source, watch->gulp);
        while (gulp_next(watch->gulp, &offset, &message))
            watch->n_bad += proc_source_ops.decode(watch->decoder, &message, take, watch) != 0;
    } while (r == SOURCE_MORE);
}

/* Drains until *counter is at least @p n. */
static void wait_for(struct watch *watch, const unsigned *counter, unsigned n)
{
    for (int waited = 0; waited < WAIT_MS && *counter < n; waited += 5) {
        drain(watch);
        poll(NULL, 0, *counter < n ? 5 : 0);
    }
    assert_true(*counter >= n);
}

static void open_watch(struct watch *watch, uint32_t interval_ms, size_t gulp_bytes)
{
    struct source_options options = {
        .proc_interval_ms = interval_ms, .proc_full_interval_s = 3600, .wake_fd = -1};
    struct error_text error = ERROR_TEXT_NULL;
    *watch = (struct watch){.gulp = gulp_new(gulp_bytes)};
    assert_non_null(watch->gulp);
    assert_int_equal(proc_source_ops.decoder_new(&watch->decoder), 0);
    assert_int_equal(proc_source_ops.open(&watch->source, &options, &error), 0);
}

static void close_watch(struct watch *watch)
{
    proc_source_ops.stop(watch->source);
    proc_source_ops.free(watch->source);
    proc_source_ops.decoder_free(watch->decoder);
    gulp_free(watch->gulp);
    buffer_deinit(&watch->bytes);
    assert_int_equal(watch->n_bad, 0);
}

/* A child that has executed @p exe when this returns, and lives until it is killed. */
static pid_t spawn(const char *exe, char *const argv[], const char *cwd)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!cwd || chdir(cwd) == 0)
            execv(exe, argv);
        if (write(ready[1], "x", 1) < 0)
            _exit(126);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* closed by the exec */
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void assert_slice(struct slice s, const char *bytes, size_t length)
{
    assert_non_null(s.data);
    assert_int_equal(s.length, length);
    assert_memory_equal(s.data, bytes, length);
}

static uint64_t link_inode(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_ino;
}

/* Found by the snapshot at the start, with all that is known. */
static void test_snapshot(void **state)
{
    (void)state;
    struct watch watch;
    char directory[] = "/tmp/vestige-proc-\xff\n-XXXXXX", exe[64], expected[64];
    assert_non_null(mkdtemp(directory));
    snprintf(exe, sizeof(exe), "%s/sl\teep\\x", directory);
    snprintf(expected, sizeof(expected), "cp /bin/sleep \"$0\"");
    char *const copy[] = {(char[]){"sh"}, (char[]){"-c"}, expected, exe, NULL};
    pid_t copier = fork();
    if (copier == 0)
        execv("/bin/sh", copy);
    int status;
    assert_int_equal(waitpid(copier, &status, 0), copier);
    assert_int_equal(status, 0);
    char *const argv[] = {(char[]){"s\n\xff"}, (char[]){"1000"}, (char[]){"0"}, NULL};
    pid_t pid = spawn(exe, argv, directory);
    assert_int_equal(unlink(exe), 0);
    open_watch(&watch, 60000, 256 << 10);
    watch.pid = (uint32_t)pid;
    wait_for(&watch, &watch.n_ends, 1);
    assert_int_equal(watch.n_begins, 1);
    assert_int_equal(watch.n_ends, 1);
    assert_int_equal(watch.n_notes, 1);
    assert_int_equal(watch.n_found, 1);
    const struct fact_proc_process *process = &watch.process;
    char deleted[80];
    snprintf(deleted, sizeof(deleted), "%s (deleted)", exe);
    assert_slice(process->exe, deleted, strlen(deleted));
    assert_slice(process->cwd, directory, strlen(directory));
    assert_slice(process->comm, "sl\teep\\x", 8);
    assert_slice(process->container,
                 "s\n\xff\0"
                 "1000\0"
                 "0",
                 11);
    assert_int_equal(process->argc, 3);
    assert_int_equal(process->ppid, getpid());
    assert_int_equal(process->sid, getsid(0));
    assert_int_equal(process->uid, getuid());
    assert_int_equal(process->euid, geteuid());
    assert_int_equal(process->gid, getgid());
    assert_int_equal(process->egid, getegid());
    assert_int_equal(process->n_threads, 1);
    assert_false(process->kernel_thread);
    assert_int_equal(process->pid_ns, link_inode("/proc/self/ns/pid"));
    assert_int_equal(process->mnt_ns, link_inode("/proc/self/ns/mnt"));
    assert_int_equal(process->net_ns, link_inode("/proc/self/ns/net"));
    assert_non_null(process->cgroup.data);
    uint64_t born_ns = process->start_ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
    assert_true(born_ns <= watch.boot_ns && watch.boot_ns - born_ns < 60 * UINT64_C(1000000000));
    end(pid);
    close_watch(&watch);
    assert_int_equal(rmdir(directory), 0);
}

static void test_new_processes_only(void **state)
{
    (void)state;
    struct watch watch;
    char *const argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
    open_watch(&watch, 50, 256 << 10);
    wait_for(&watch, &watch.n_ends, 1);
    pid_t pid = spawn("/bin/sleep", argv, NULL);
    watch.pid = (uint32_t)pid;
    wait_for(&watch, &watch.n_found, 1); /* perhaps before its exec */
    /* not again by itself: a second child is found, while the first is not reported once more */
    pid_t second = spawn("/bin/sleep", argv, NULL);
    unsigned found = watch.n_found;
    watch.pid = (uint32_t)second;
    watch.n_found = 0;
    wait_for(&watch, &watch.n_found, 1);
    assert_int_equal(found, 1);
    watch.pid = (uint32_t)pid;
    watch.n_found = 0;
    pid_t third = spawn("/bin/sleep", argv, NULL);
    unsigned begins = watch.n_begins;
    proc_source_request_full(watch.source);
    wait_for(&watch, &watch.n_ends, 2);
    assert_int_equal(watch.n_begins, begins + 1);
    assert_int_equal(watch.n_found, 1); /* the full scan has it, and nothing else did */
    end(third);
    end(second);
    end(pid);
    close_watch(&watch);
}

static void test_zombie(void **state)
{
    (void)state;
    struct watch watch;
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    open_watch(&watch, 60000, 256 << 10);
    watch.pid = (uint32_t)pid;
    wait_for(&watch, &watch.n_ends, 1);
    assert_int_equal(watch.n_found, 1);
    assert_slice(watch.process.comm, "test_proc_sourc", 15);
    assert_null(watch.process.exe.data);
    assert_null(watch.process.cwd.data);
    assert_null(watch.process.argv);
    assert_int_equal(watch.process.argc, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close_watch(&watch);
}

static void test_kernel_thread(void **state)
{
    (void)state;
    struct watch watch;
    open_watch(&watch, 60000, 256 << 10);
    watch.pid = 2;
    wait_for(&watch, &watch.n_ends, 1);
    if (watch.n_found == 0 || !watch.process.kernel_thread) {
        close_watch(&watch);
        skip(); /* in a pid namespace there is none */
    }
    assert_slice(watch.process.comm, "kthreadd", 8);
    assert_int_equal(watch.process.ppid, 0);
    assert_null(watch.process.exe.data);
    assert_null(watch.process.argv);
    assert_slice(watch.process.tty, "", 0);
    close_watch(&watch);
}

/* 100 KiB in one argument and 5,000 of them come whole; 300 KiB do not fit into a gulp of 256 KiB,
 * so that only their number is left. */
static void test_large_arguments(void **state)
{
    (void)state;
    enum { LARGE = 100 << 10, MANY = 5000, TOO_LARGE = 100 << 10 };
    struct watch watch;
    static char *argv[MANY + 3], empty[] = "";
    char *large = malloc(LARGE + 1);
    assert_non_null(large);
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    argv[0] = (char[]){"sh"};
    argv[1] = (char[]){"-c"};
    argv[2] = (char[]){"kill -STOP $$"};
    argv[3] = large;
    for (size_t i = 4; i < MANY; i++)
        argv[i] = empty;
    argv[MANY] = NULL;
    pid_t pid = spawn("/bin/sh", argv, NULL);
    argv[4] = argv[5] = large;
    argv[6] = NULL;
    pid_t second = spawn("/bin/sh", argv, NULL);
    open_watch(&watch, 60000, 256 << 10);
    watch.pid = (uint32_t)pid;
    wait_for(&watch, &watch.n_ends, 1);
    assert_int_equal(watch.process.argc, MANY);
    assert_non_null(watch.process.argv);
    assert_int_equal(watch.argument_length[3], LARGE);
    for (size_t i = 4; i < MANY; i++)
        assert_int_equal(watch.argument_length[i], 0);
    watch.pid = (uint32_t)second;
    proc_source_request_full(watch.source);
    wait_for(&watch, &watch.n_ends, 2);
    assert_int_equal(watch.process.argc, 6);
    assert_null(watch.process.argv);
    end(pid);
    end(second);
    close_watch(&watch);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot),        cmocka_unit_test(test_new_processes_only),
        cmocka_unit_test(test_zombie),          cmocka_unit_test(test_kernel_thread),
        cmocka_unit_test(test_large_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
