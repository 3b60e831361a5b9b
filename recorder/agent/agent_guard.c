/* A fork without exec, so that nothing has to be found when the agent has ended. Its signals stay
 * blocked: what ends the agent in order is no reason for the guard to end before it. */
#include "recorder/agent/agent_guard.h"

#include "collectors/audit/audit_guard.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACE_TIMEOUT_MS = 10000 };

static _Noreturn void run(int channel, const char *state_directory, enum system_calls_mode mode,
                          uint32_t agent_pid)
{
    struct error_text error = ERROR_TEXT_NULL;
    if (privilege_drop("vestige-guard", mode, true, &error) != 0)
        log_warning("audit", "guard: %s", error.text);
    audit_guard_run(channel, state_directory, agent_pid);
    _exit(0);
}

int agent_guard_start(struct agent_guard *guard, const char *state_directory,
                      enum system_calls_mode mode, int not_kept, struct error_text *error)
{
    int pair[2];
    uint32_t agent_pid = (uint32_t)getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int r = error_set(error, -errno, "cannot start a process: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return r;
    }
    if (pid == 0) {
        close(pair[0]);
        cleanup_close(&not_kept);
        run(pair[1], state_directory, mode, agent_pid);
    }
    close(pair[1]);
    *guard = (struct agent_guard){.pid = pid, .channel = pair[0]};
    return 0;
}

int agent_guard_wait(const struct agent_guard *guard, struct error_text *error)
{
    int r = guard->pid ? audit_guard_take_place(guard->channel, PLACE_TIMEOUT_MS) : 0;
    return r < 0 ? error_set(error, r,
                             "the guard of an agent that was killed is still busy with audit, or "
                             "this one cannot begin: %s",
                             strerror(-r))
                 : 0;
}

void agent_guard_keep(const struct agent_guard *guard, int fd)
{
    if (guard->pid)
        audit_guard_keep(guard->channel, fd);
}

void agent_guard_stop(struct agent_guard *guard)
{
    if (!guard->pid)
        return;
    audit_guard_end(guard->channel);
    close(guard->channel);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *guard = (struct agent_guard){0};
}
