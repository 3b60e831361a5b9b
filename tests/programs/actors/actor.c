/* The table of all actors, and what they share: waiting, reporting, giving up. */
#include "actor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct actor *const families[] = {
    life_actors,    identity_actors, image_actors, storm_actors,      listener_actors,
    network_actors, compat_actors,   files_actors, file_storm_actors,
};
static const size_t n_families = sizeof(families) / sizeof(families[0]);

static void report_number(const char *name, bool known, int value)
{
    if (known)
        printf(",\"%s\":%d", name, value);
    else
        printf(",\"%s\":null", name);
}

void actor_report(const char *role, pid_t pid, pid_t ppid, int status)
{
    printf("{\"role\":\"%s\",\"pid\":%d,\"ppid\":%d", role, pid, ppid);
    report_number("exit_code", WIFEXITED(status), WEXITSTATUS(status));
    report_number("exit_signal", WIFSIGNALED(status), WTERMSIG(status));
    printf("}\n");
    fflush(stdout);
}

int actor_finish(const char *role, pid_t pid)
{
    int status;
    actor_require(waitpid(pid, &status, 0) == pid, "waitpid");
    actor_report(role, pid, getpid(), status);
    return status;
}

pid_t actor_fork(void)
{
    fflush(stdout);
    pid_t pid = fork();
    actor_require(pid >= 0, "fork");
    return pid;
}

void actor_become_true(const char *tag)
{
    execl("/bin/true", "true", tag, (char *)NULL);
    _exit(127);
}

void actor_require(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    _exit(126);
}

void actor_sleep_ms(unsigned milliseconds)
{
    struct timespec rest = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&rest, &rest) && errno == EINTR)
        ;
}

unsigned long actor_number(const char *text, unsigned long most)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno || end == text || *end || number > most) {
        fprintf(stderr, "actor: '%s' is not a number up to %lu\n", text, most);
        exit(2);
    }
    return number;
}

static const struct actor *find(const char *name)
{
    for (size_t i = 0; i < n_families; i++)
        for (const struct actor *actor = families[i]; actor->name; actor++)
            if (!strcmp(actor->name, name))
                return actor;
    return NULL;
}

static int usage(void)
{
    fprintf(stderr, "Usage: actor NAME [PARAMETER...]\n");
    for (size_t i = 0; i < n_families; i++)
        for (const struct actor *actor = families[i]; actor->name; actor++)
            fprintf(stderr, "  %s %s\n", actor->name, actor->parameters);
    return 2;
}

int main(int argc, char **argv)
{
    const struct actor *actor = argc > 1 ? find(argv[1]) : NULL;
    if (!actor || argc - 2 < actor->min_parameters)
        return usage();
    return actor->run(argc - 2, argv + 2);
}
