/* Who a process is: user ids, names, login user. */
#include "actor.h"

#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Root, then UID, with a pause before and after; ends with 0. No exec. */
static int identity_uid(int argc, char **argv)
{
    (void)argc;
    uid_t uid = (uid_t)actor_number(argv[0], 4294967294UL);
    pid_t child = actor_fork();
    if (!child) {
        actor_sleep_ms(30);
        actor_require(!setresgid(uid, uid, uid), "setresgid");
        actor_sleep_ms(30);
        actor_require(!setresuid(uid, uid, uid), "setresuid");
        actor_sleep_ms(30);
        _exit(0);
    }
    actor_finish("child", child);
    return 0;
}

/* Only the effective user changes, and back again. */
static int identity_effective(int argc, char **argv)
{
    (void)argc;
    uid_t uid = (uid_t)actor_number(argv[0], 4294967294UL);
    pid_t child = actor_fork();
    if (!child) {
        actor_sleep_ms(30);
        actor_require(!seteuid(uid), "seteuid");
        actor_sleep_ms(30);
        actor_require(!seteuid(0), "seteuid");
        actor_sleep_ms(30);
        _exit(0);
    }
    actor_finish("child", child);
    return 0;
}

/* An image that gives itself another name, as a bot does that wants to look like a daemon. */
static int identity_comm(int argc, char **argv)
{
    (void)argc;
    pid_t child = actor_fork();
    if (!child) {
        actor_sleep_ms(30);
        actor_require(!prctl(PR_SET_NAME, argv[0]), "PR_SET_NAME");
        actor_sleep_ms(30);
        _exit(0);
    }
    actor_finish("child", child);
    return 0;
}

static int identity_session(int argc, char **argv)
{
    (void)argc, (void)argv;
    pid_t child = actor_fork();
    if (!child) {
        actor_sleep_ms(30);
        actor_require(setsid() > 0, "setsid");
        actor_sleep_ms(30);
        _exit(0);
    }
    actor_finish("child", child);
    return 0;
}

static int become(char **argv)
{
    fflush(stdout);
    execvp(argv[0], argv);
    perror(argv[0]);
    return 127;
}

static void log_in(const char *uid)
{
    actor_number(uid, 4294967294UL);
    AUTO_CLOSE int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    actor_require(fd >= 0, "/proc/self/loginuid");
    size_t length = strlen(uid);
    actor_require(write(fd, uid, length) == (ssize_t)length, "/proc/self/loginuid");
}

/* Log in as UID, as sshd or login would, and become COMMAND. */
static int identity_login(int argc, char **argv)
{
    (void)argc;
    log_in(argv[0]);
    actor_sleep_ms(50);
    return become(argv + 1);
}

/* Log in as UID and fork at once: children and grandchildren that end without an exec, one whose
 * parent is gone before it, and /bin/true TAG-0, TAG-1 and so on; at last become COMMAND. */
static int identity_login_forks(int argc, char **argv)
{
    (void)argc;
    enum { N = 5 };
    actor_require(!prctl(PR_SET_CHILD_SUBREAPER, 1), "PR_SET_CHILD_SUBREAPER");
    log_in(argv[0]);
    pid_t plain = actor_fork();
    if (!plain)
        _exit(5);
    pid_t middle = actor_fork();
    if (!middle)
        _exit(actor_fork() ? 3 : 4);
    pid_t programs[N];
    for (int i = 0; i < N; i++) {
        programs[i] = actor_fork();
        if (!programs[i]) {
            char tag[256];
            snprintf(tag, sizeof tag, "%s-%d", argv[1], i);
            actor_become_true(tag);
        }
    }
    actor_finish("plain", plain);
    actor_finish("middle", middle);
    for (int i = 0; i < N; i++) {
        char role[32];
        snprintf(role, sizeof role, "program-%d", i);
        actor_finish(role, programs[i]);
    }
    int status;
    pid_t orphan = wait(&status);
    actor_require(orphan > 0, "wait");
    actor_report("orphan", orphan, middle, status);
    return become(argv + 2);
}

/* Become COMMAND as an ordinary user. */
static int identity_as(int argc, char **argv)
{
    (void)argc;
    uid_t uid = (uid_t)actor_number(argv[0], 4294967294UL);
    actor_require(!setgroups(0, NULL), "setgroups");
    actor_require(!setresgid(uid, uid, uid), "setresgid");
    actor_require(!setresuid(uid, uid, uid), "setresuid");
    return become(argv + 1);
}

/* Says who this image is; its parameters only make it recognisable. */
static int identity_show(int argc, char **argv)
{
    (void)argc, (void)argv;
    char login[16] = "";
    AUTO_CLOSE int fd = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, login, sizeof login - 1) < 0)
        return 1;
    char session[16] = "";
    AUTO_CLOSE int session_fd = open("/proc/self/sessionid", O_RDONLY | O_CLOEXEC);
    if (session_fd >= 0 && read(session_fd, session, sizeof session - 1) < 0)
        return 1;
    printf("{\"role\":\"self\",\"pid\":%d,\"ppid\":%d,\"uid\":%u,\"euid\":%u,\"login_uid\":%s,"
           "\"session\":%s}\n",
           getpid(), getppid(), getuid(), geteuid(), login, session);
    return 0;
}

const struct actor identity_actors[] = {
    {"uid",               "UID", 1, identity_uid},
    {"effective",                  "UID", 1, identity_effective},
    {"comm",                   "NAME", 1, identity_comm},
    {"session","", 0, identity_session},
    {"login", "UID COMMAND...", 2, identity_login},
    {"login-forks",              "UID TAG COMMAND...", 3, identity_login_forks},
    {"as",                  "UID COMMAND...", 2, identity_as},
    {"show",                   "[TAG...]", 0, identity_show},
    {0                    },
};
