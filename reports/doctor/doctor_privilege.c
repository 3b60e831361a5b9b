/* What the running agent may do, as the kernel says of each of its threads, beside what it is
 * expected to; and whose the files are by which it is trusted. */
#include "core/cleanup.h"
#include "core/thread_rights.h"
#include "recorder/agent/system_calls.h"
#include "reports/doctor/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>

#define CONFIGURATION "/etc/vestige"
#define GUARD         "vestige-guard"
#define LONG          600

DEFINE_CLEANUP(cleanup_directory, DIR, closedir);

struct task {
    char name[32];
    unsigned parent, uid, seccomp, no_new_privileges;
    uint64_t permitted, effective, inheritable, ambient, bounding;
};

static bool is_number(const char *text)
{
    return isdigit((unsigned char)text[0]) != 0;
}

static uint64_t number_of(const char *value, int base)
{
    return strtoull(value, NULL, base);
}

static void take_line(struct task *task, const char *key, char *value)
{
    value[strcspn(value, "\n")] = '\0';
    if (!strcmp(key, "Name"))
        snprintf(task->name, sizeof(task->name), "%s", value);
    else if (!strcmp(key, "PPid"))
        task->parent = (unsigned)number_of(value, 10);
    else if (!strcmp(key, "Uid"))
        task->uid = (unsigned)number_of(value, 10);
    else if (!strcmp(key, "Seccomp"))
        task->seccomp = (unsigned)number_of(value, 10);
    else if (!strcmp(key, "NoNewPrivs"))
        task->no_new_privileges = (unsigned)number_of(value, 10);
    else if (!strcmp(key, "CapPrm"))
        task->permitted = number_of(value, 16);
    else if (!strcmp(key, "CapEff"))
        task->effective = number_of(value, 16);
    else if (!strcmp(key, "CapInh"))
        task->inheritable = number_of(value, 16);
    else if (!strcmp(key, "CapAmb"))
        task->ambient = number_of(value, 16);
    else if (!strcmp(key, "CapBnd"))
        task->bounding = number_of(value, 16);
}

static bool read_task(struct task *task, const char *path)
{
    char line[1024];
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    *task = (struct task){0};
    while (file && fgets(line, sizeof(line), file)) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        *value++ = '\0';
        take_line(task, line, value + strspn(value, " \t"));
    }
    return task->name[0] != '\0';
}

/* "none", or names with blanks between. */
static const char *name_capabilities(uint64_t mask, char text[LONG])
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < 64 && length < LONG; i++) {
        char *name = mask >> i & 1 ? cap_to_name(i) : NULL;
        if (name)
            length +=
                (size_t)snprintf(text + length, LONG - length, "%s%s", length ? " " : "", name);
        cap_free(name);
    }
    if (mask == 0)
        snprintf(text, LONG, "no capability");
    return text;
}

static const struct thread_rights *find_rights(const char *name)
{
    size_t n;
    const struct thread_rights *all = thread_rights_all(&n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].thread, name))
            return &all[i];
    return NULL;
}

static uint64_t bounding_most(void)
{
    return thread_rights_mask(~0U);
}

static void check_task(struct doctor *doctor, const struct task *task, unsigned agent_uid)
{
    const struct thread_rights *rights = find_rights(task->name);
    uint64_t expected = rights ? thread_rights_mask(rights->rights) : 0;
    char what[64], found[LONG], wanted[LONG], advice[LONG + 32];
    snprintf(what, sizeof(what), "thread %s", task->name);
    name_capabilities(task->permitted | task->effective | task->inheritable | task->ambient, found);
    bool exact = task->permitted == expected && task->effective == expected && !task->inheritable &&
                 !task->ambient && !(task->bounding & ~bounding_most()) && task->uid == agent_uid;
    bool shut = task->no_new_privileges == 1 && (SYSTEM_CALLS_SANITIZED || task->seccomp == 2);
    if (exact && shut) {
        doctor_add(doctor, FINDING_OK, what, found, NULL, NULL);
        return;
    }
    bool less = (expected & ~task->effective) != 0;
    snprintf(advice, sizeof(advice), "expected: %s", name_capabilities(expected, wanted));
    if (!exact)
        doctor_add(doctor, less ? FINDING_WRONG : FINDING_NOTE, what, found,
                   less ? "what it cannot read is not recorded"
                        : "who takes the agent over can do more than recording needs",
                   advice);
    else
        doctor_add(doctor, FINDING_NOTE, what,
                   task->no_new_privileges ? "its system calls are not filtered"
                                           : "programs it executes may gain privileges",
                   "who takes the agent over can do more than recording needs",
                   "set seccomp = on in section [agent], and start the agent again");
}

/* A thread may end while it is looked at, or have no name of its own yet. */
static void check_tasks(struct doctor *doctor, unsigned pid, unsigned agent_uid)
{
    char path[300];
    struct task task;
    snprintf(path, sizeof(path), "/proc/%u/task", pid);
    DIR *tasks CLEANUP(cleanup_directory) = opendir(path);
    for (struct dirent *entry = tasks ? readdir(tasks) : NULL; entry; entry = readdir(tasks)) {
        snprintf(path, sizeof(path), "/proc/%u/task/%.32s/status", pid, entry->d_name);
        if (is_number(entry->d_name) && read_task(&task, path))
            check_task(doctor, &task, agent_uid);
    }
}

static void check_guard(struct doctor *doctor, unsigned agent_uid)
{
    char path[300];
    struct task task;
    DIR *processes CLEANUP(cleanup_directory) = opendir("/proc");
    for (struct dirent *entry = processes ? readdir(processes) : NULL; entry;
         entry = readdir(processes)) {
        snprintf(path, sizeof(path), "/proc/%.32s/status", entry->d_name);
        if (is_number(entry->d_name) && read_task(&task, path) && !strcmp(task.name, GUARD) &&
            task.parent == doctor->agent_pid)
            check_task(doctor, &task, agent_uid);
    }
}

static void check_user(struct doctor *doctor, unsigned uid)
{
    char found[128];
    const struct passwd *user = getpwuid(uid);
    snprintf(found, sizeof(found), "%s (uid %u)", user ? user->pw_name : "without a name", uid);
    if (uid != 0)
        doctor_add(doctor, FINDING_OK, "agent's user", found, NULL, NULL);
    else
        doctor_add(doctor, FINDING_NOTE, "agent's user", found,
                   "who takes the agent over can change the files of root",
                   "set user in section [agent], and start the agent again");
}

static void check_calls(struct doctor *doctor)
{
    const char *mode = doctor->agent_calls;
    if (!strcmp(mode, "on"))
        doctor_add(doctor, FINDING_OK, "agent's system calls", "filtered", NULL, NULL);
    else
        doctor_add(doctor, FINDING_NOTE, "agent's system calls",
                   !strcmp(mode, "log") ? "written to audit when unusual, and not refused"
                                        : "not filtered",
                   "who takes the agent over can make any",
                   "set seccomp = on in section [agent], and start the agent again");
}

/* What others may read or write, and what belongs to neither root nor the agent. */
static void check_file(struct doctor *doctor, const char *path, bool secret, unsigned agent_uid)
{
    struct stat status;
    char found[LONG];
    if (lstat(path, &status))
        return;
    bool stranger = status.st_uid != 0 && status.st_uid != agent_uid;
    bool open = status.st_mode & (secret ? 0077 : 0022) && !S_ISLNK(status.st_mode);
    snprintf(found, sizeof(found), "uid %u, mode %04o", status.st_uid,
             (unsigned)status.st_mode & 07777);
    if (!stranger && !open)
        doctor_add(doctor, FINDING_OK, path, found, NULL, NULL);
    else
        doctor_add(doctor, FINDING_WRONG, path, found,
                   secret ? "others can read or change what the server trusts this host by"
                          : "others can change what is recorded, and where it goes",
                   secret ? "chmod 600, and chown to the agent's user" : "chmod go-w, and chown");
}

static bool is_secret(const char *name)
{
    static const char *const endings[] = {".cnf", ".key"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (length > 4 && !strcmp(name + length - 4, endings[i]))
            return true;
    return false;
}

static void check_files(struct doctor *doctor, unsigned agent_uid)
{
    char path[600];
    check_file(doctor, doctor->state_directory, true, agent_uid);
    snprintf(path, sizeof(path), "%s/journal", doctor->state_directory);
    check_file(doctor, path, true, agent_uid);
    snprintf(path, sizeof(path), "%s/accounts.key", doctor->state_directory);
    check_file(doctor, path, true, agent_uid);
    check_file(doctor, CONFIGURATION, false, 0);
    DIR *files CLEANUP(cleanup_directory) = opendir(CONFIGURATION);
    for (struct dirent *entry = files ? readdir(files) : NULL; entry; entry = readdir(files)) {
        snprintf(path, sizeof(path), CONFIGURATION "/%s", entry->d_name);
        bool theirs =
            !strncmp(entry->d_name, "notify", 6) || !strcmp(entry->d_name, "webhook-headers");
        if (entry->d_name[0] != '.' && !theirs) /* of vestige notify, which is another user */
            check_file(doctor, path, is_secret(entry->d_name), agent_uid);
    }
}

void doctor_check_agent(struct doctor *doctor)
{
    char path[64];
    struct task agent = {0};
    snprintf(path, sizeof(path), "/proc/%u/status", doctor->agent_pid);
    if (doctor->agent_pid && read_task(&agent, path)) {
        check_user(doctor, agent.uid);
        check_calls(doctor);
        check_tasks(doctor, doctor->agent_pid, agent.uid);
        check_guard(doctor, agent.uid);
    }
    check_files(doctor, agent.uid);
}
