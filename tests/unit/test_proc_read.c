// links: vestige_procfs
/* Reading one process: never half of one program and half of the next; terminals; the gone. */
#include "collectors/procfs/proc_read.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 64 << 10, READINGS = 1000, WAIT_S = 60 };

struct seen {
    unsigned n, mixed, without;
    uint32_t n_threads;
    bool tty_known;
    char tty[32];
};

static void take(void *user, const struct fact *fact)
{
    struct seen *seen = user;
    const struct fact_proc_process *process = &fact->proc_process;
    seen->n++;
    if (process->argv)
        seen->mixed += !slice_equal(process->argv[0], process->comm);
    else
        seen->without++;
    seen->n_threads = process->n_threads;
    seen->tty_known = process->tty.data != NULL;
    snprintf(seen->tty, sizeof(seen->tty), "%.*s", (int)process->tty.length,
             seen->tty_known ? (const char *)process->tty.data : "");
}

struct fixture {
    struct proc_reader *reader;
    struct decoder *decoder;
    struct buffer message;
};

static void begin(struct fixture *f)
{
    struct error_text error = ERROR_TEXT_NULL;
    *f = (struct fixture){0};
    assert_int_equal(proc_reader_new(&f->reader, &error), 0);
    assert_int_equal(proc_decoder_new(&f->decoder), 0);
}

static void end(struct fixture *f)
{
    proc_reader_free(f->reader);
    proc_decoder_free(f->decoder);
    buffer_deinit(&f->message);
}

static int read_process(struct fixture *f, pid_t pid, struct seen *seen)
{
    buffer_clear(&f->message);
    int r = proc_reader_process(f->reader, (uint32_t)pid, &f->message);
    struct message message = {
        .source = SOURCE_PROC, .kind = MESSAGE_DATA, .bytes = buffer_slice(&f->message)};
    if (r == 0)
        assert_int_equal(proc_decoder_decode(f->decoder, &message, take, seen), 0);
    return r;
}

static void kill_child(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* This program, under two names, executes itself over and over under the other name. Its last
 * argument is large, so that reading them takes long enough for an exec to come in between. */
static int play(char *const argv[])
{
    bool ping = !strcmp(argv[0], "ping");
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", argv[1], ping ? "pong" : "ping");
    char *const next[] = {ping ? (char[]){"pong"} : (char[]){"ping"}, argv[1], argv[2], NULL};
    execv(path, next);
    return 1;
}

static void link_to_self(const char *directory, const char *name, char *path, size_t size)
{
    char self[256];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(path, size, "%s/%s", directory, name);
    assert_int_equal(symlink(self, path), 0);
}

/* Once it has executed the first of them. */
static void wait_for_name(pid_t pid, const char *name)
{
    char path[32], comm[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    for (time_t limit = time(NULL) + WAIT_S;
         strncmp(comm, name, strlen(name)) != 0 && time(NULL) < limit;) {
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(comm, sizeof(comm), file));
        fclose(file);
    }
    assert_int_equal(strncmp(comm, name, strlen(name)), 0);
}

static void test_exec_is_not_mixed(void **state)
{
    (void)state;
    struct fixture f;
    struct seen seen = {0};
    char directory[] = "/tmp/vestige-exec-XXXXXX", ping[64], pong[64];
    assert_non_null(mkdtemp(directory));
    link_to_self(directory, "ping", ping, sizeof(ping));
    link_to_self(directory, "pong", pong, sizeof(pong));
    static char large[LARGE + 1];
    memset(large, 'x', LARGE);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char *const argv[] = {(char[]){"ping"}, directory, large, NULL};
        _exit(play(argv));
    }
    begin(&f);
    wait_for_name(pid, "pong");
    /* It may stand still in the middle of an exec. */
    time_t limit = time(NULL) + WAIT_S;
    while (seen.n < READINGS || (seen.without == seen.n && time(NULL) < limit))
        assert_int_equal(read_process(&f, pid, &seen), 0);
    kill_child(pid);
    assert_int_equal(seen.mixed, 0);
    assert_true(seen.without < seen.n);
    print_message("%u of %u without arguments\n", seen.without, seen.n);
    end(&f);
    assert_int_equal(unlink(ping), 0);
    assert_int_equal(unlink(pong), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_terminal_is_named_as_audit_does(void **state)
{
    (void)state;
    struct fixture f;
    struct seen seen = {0};
    char byte, name[64], expected[32];
    int ready[2], master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0)
        skip();
    unsigned number;
    assert_int_equal(ioctl(master, TIOCGPTN, &number), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setsid() < 0 || open(name, O_RDWR) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    begin(&f);
    assert_int_equal(read_process(&f, pid, &seen), 0);
    snprintf(expected, sizeof(expected), "pts%u", number);
    assert_string_equal(seen.tty, expected);
    kill_child(pid);
    assert_int_equal(read_process(&f, pid, &seen), PROC_READ_GONE);
    assert_int_equal(f.message.length, 0);
    end(&f);
    close(ready[0]);
    close(ready[1]);
    close(master);
}

/* It has ended, and nobody has waited for it yet. */
static void test_zombie_has_no_thread(void **state)
{
    (void)state;
    struct fixture f;
    struct seen seen = {.n_threads = 9};
    siginfo_t info;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    begin(&f);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(read_process(&f, pid, &seen), 0);
    assert_int_equal(seen.n_threads, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read_process(&f, getpid(), &seen), 0);
    assert_int_equal(seen.n_threads, 1);
    end(&f);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exec_is_not_mixed),
        cmocka_unit_test(test_terminal_is_named_as_audit_does),
        cmocka_unit_test(test_zombie_has_no_thread),
    };
    if (argc == 3 && argv[0][0] == 'p')
        return play(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
