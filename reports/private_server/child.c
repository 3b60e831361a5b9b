/* fork(2) and execve(2), with a pipe that carries the error of whatever fails between the two; a
 * pidfd tells of the end without SIGCHLD. The user is changed here and not by the program itself,
 * because a change of user after PR_SET_PDEATHSIG would cancel it. */
#include "reports/private_server/child.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct start {
    const struct child_options *options;
    const struct passwd *user;
    pid_t parent;
    int input, output, status; /* status: write end of the pipe for errors */
};

static int become_user(const struct passwd *user)
{
    if (!user)
        return 0;
    if (initgroups(user->pw_name, user->pw_gid) || setgid(user->pw_gid) || setuid(user->pw_uid))
        return -errno;
    return 0;
}

static int move_descriptors(const struct start *start)
{
    if (dup2(start->input, STDIN_FILENO) < 0)
        return -errno;
    int output = start->options->output_file >= 0 ? start->options->output_file : start->output;
    if (output >= 0 && dup2(output, STDOUT_FILENO) < 0)
        return -errno;
    int errors = start->options->error_file >= 0 ? start->options->error_file : start->output;
    if (errors >= 0 && dup2(errors, STDERR_FILENO) < 0)
        return -errno;
    int inherit = start->options->inherit;
    if (inherit >= 0 && fcntl(inherit, F_SETFD, 0) < 0)
        return -errno;
    return 0;
}

static int prepare_child(const struct start *start)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    int error = move_descriptors(start);
    if (!error)
        error = become_user(start->user);
    if (!error && start->options->directory && chdir(start->options->directory))
        error = -errno;
    for (const char *const *one = start->options->environment; !error && one && *one; one++)
        if (putenv((char *)(uintptr_t)*one))
            error = -errno;
    if (!error && prctl(PR_SET_PDEATHSIG, SIGTERM))
        error = -errno;
    if (!error && getppid() != start->parent)
        error = -ESRCH; /* we died before the kernel knew */
    return error;
}

__attribute__((noreturn)) static void run_child(const struct start *start)
{
    int error = prepare_child(start);
    if (!error) {
        execv(start->options->path, (char *const *)(uintptr_t)start->options->argv);
        error = -errno;
    }
    if (write(start->status, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

/* 0 when the program runs, else what failed before it did. */
static int read_start_error(int status)
{
    int error = 0;
    ssize_t n;
    do {
        n = read(status, &error, sizeof(error));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(error) ? error : 0;
}

static int find_user(const struct child_options *options, const struct passwd **userp)
{
    if (!options->user)
        return 0;
    errno = 0;
    *userp = getpwnam(options->user);
    return *userp ? 0 : -ENOENT;
}

static int fork_child(struct child *child, struct start *start)
{
    AUTO_CLOSE int status_in = -1;
    AUTO_CLOSE int status_out = -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    status_in = ends[0];
    status_out = start->status = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        run_child(start);
    close(status_out);
    status_out = -1;
    int error = read_start_error(status_in);
    if (error) {
        waitpid(pid, NULL, 0);
        return error;
    }
    child->pid = pid;
    child->pidfd = pidfd_open(pid, 0);
    if (child->pidfd < 0) {
        error = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return error;
}

int child_start(struct child *child, const struct child_options *options, struct error_text *error)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int read_end = -1;
    AUTO_CLOSE int write_end = -1;
    struct start start = {.options = options, .parent = getpid(), .output = -1};
    *child = (struct child)CHILD_NULL;
    child->name = options->name;
    int outcome = find_user(options, &start.user), ends[2];
    if (!outcome && options->capture) {
        if (pipe2(ends, O_CLOEXEC))
            return error_set(error, -errno, "%s: no pipe: %s", options->name, strerror(errno));
        read_end = ends[0];
        write_end = ends[1];
        fcntl(read_end, F_SETFL, O_NONBLOCK);
    }
    start.input = options->input >= 0 ? options->input : null;
    start.output = options->capture ? write_end : null;
    if (!outcome)
        outcome = fork_child(child, &start);
    if (outcome)
        return error_set(error, outcome, "%s: %s cannot be started: %s", options->name,
                         options->path, strerror(-outcome));
    child->output = read_end;
    read_end = -1;
    return 0;
}

int child_wait(struct child *child, int timeout_ms)
{
    if (child->pid == 0)
        return 0;
    struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};
    int ready = poll(&ended, 1, timeout_ms);
    if (ready <= 0 || waitpid(child->pid, &child->wait_status, WNOHANG) != child->pid)
        return -ETIMEDOUT;
    child->pid = 0;
    close(child->pidfd);
    child->pidfd = -1;
    return 0;
}

void child_signal(const struct child *child, int signal)
{
    if (child->pid > 0)
        kill(child->pid, signal);
}

void child_describe_end(const struct child *child, char text[64])
{
    if (WIFSIGNALED(child->wait_status))
        snprintf(text, 64, "was killed by signal %d", WTERMSIG(child->wait_status));
    else
        snprintf(text, 64, "ended with status %d", WEXITSTATUS(child->wait_status));
}

static void keep_last_line(char line[256], const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        size_t used = strlen(line);
        if (data[i] == '\n' && i + 1 < length)
            line[0] = '\0';
        else if (data[i] != '\n' && data[i] != '\0' && used < 255) {
            line[used] = data[i];
            line[used + 1] = '\0';
        }
    }
}

/* Its output until it ends; only the last line is kept. */
static void drain_until_end(struct child *child, char line[256])
{
    char data[4096];
    while (child_wait(child, 20)) {
        ssize_t n = child->output >= 0 ? read(child->output, data, sizeof(data)) : 0;
        if (n > 0)
            keep_last_line(line, data, (size_t)n);
    }
    ssize_t n;
    while (child->output >= 0 && (n = read(child->output, data, sizeof(data))) > 0)
        keep_last_line(line, data, (size_t)n);
}

int child_run(const struct child_options *options, struct error_text *error)
{
    struct child child;
    char line[256] = "", end[64];
    int outcome = child_start(&child, options, error);
    if (outcome)
        return outcome;
    drain_until_end(&child, line);
    if (child.wait_status) {
        child_describe_end(&child, end);
        outcome =
            error_set(error, -ECHILD, "%s %s%s%s", options->name, end, *line ? ": " : "", line);
    }
    child_deinit(&child);
    return outcome;
}

void child_deinit(struct child *child)
{
    if (child->output >= 0)
        close(child->output);
    if (child->pidfd >= 0)
        close(child->pidfd);
    *child = (struct child)CHILD_NULL;
}

static bool is_program(char path[4096], const char *directory, size_t length, const char *name)
{
    int n = snprintf(path, 4096, "%.*s/%s", (int)length, directory, name);
    return length > 0 && n > 0 && n < 4096 && access(path, X_OK) == 0;
}

static bool find_beside_us(char path[4096], const char *name)
{
    char own[4096];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own));
    while (length > 0 && own[length - 1] != '/')
        length--;
    return length > 1 && is_program(path, own, (size_t)length - 1, name);
}

int child_find_program(char path[4096], const char *name, bool beside_us)
{
    if (beside_us && find_beside_us(path, name))
        return 0;
    static const char system_directories[] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec";
    const char *const lists[] = {getenv("PATH"), system_directories};
    for (size_t i = 0; i < 2; i++)
        for (const char *at = lists[i]; at && *at;) {
            size_t length = strcspn(at, ":");
            if (is_program(path, at, length, name))
                return 0;
            at += length + (at[length] == ':');
        }
    return -ENOENT;
}
