// links: vestige_procfs
/* The walk through /proc: what is new is reported once, what could not be read again. */
#include "collectors/procfs/proc_scan.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    uint32_t pid;
    unsigned n_pid, n_all;
    int result; /* for pid */
};

static int look(void *user, uint32_t pid)
{
    struct seen *seen = user;
    seen->n_all++;
    seen->n_pid += pid == seen->pid;
    return pid == seen->pid ? seen->result : 0;
}

static unsigned times(struct proc_scan *scan, bool full, pid_t pid, int result, int expected)
{
    struct seen seen = {.pid = (uint32_t)pid, .result = result};
    assert_int_equal(proc_scan_walk(scan, full, look, &seen), expected);
    return seen.n_pid;
}

static pid_t child(void)
{
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) /* else it has failed already */
            pause();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_walk(void **state)
{
    (void)state;
    struct proc_scan *scan;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(proc_scan_new(&scan, &error), 0);
    pid_t first = child();
    assert_int_equal(times(scan, false, first, 0, 0), 1); /* everything is new to the first walk */
    assert_int_equal(times(scan, false, first, 0, 0), 0);
    assert_int_equal(times(scan, true, first, 0, 0), 1);
    pid_t second = child();
    assert_int_equal(times(scan, false, first, 0, 0), 0);
    assert_int_equal(times(scan, false, second, 0, 0), 0); /* the walk before has seen it */
    pid_t third = child();
    assert_int_equal(times(scan, false, third, 1, 0), 1); /* could not be read */
    assert_int_equal(times(scan, false, third, 0, 0), 1);
    assert_int_equal(times(scan, false, third, 0, 0), 0);
    pid_t fourth = child();
    assert_int_equal(times(scan, false, fourth, -EIO, -EIO), 1);
    assert_int_equal(times(scan, false, fourth, 0, 0), 1);
    assert_int_equal(times(scan, false, first, 0, 0), 0);
    end(first);
    end(second);
    end(third);
    end(fourth);
    proc_scan_free(scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
