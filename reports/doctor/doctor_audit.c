/* The audit subsystem: who owns it, how it was started, what its rules keep from us. */
#include "collectors/audit/audit_inspect.h"
#include "core/cleanup.h"
#include "reports/doctor/doctor.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#define BACKLOG_LEAST 1024

static void read_comm(uint32_t pid, char comm[32])
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/%" PRIu32 "/comm", pid);
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    if (!file || !fgets(comm, 32, file))
        snprintf(comm, 32, "?");
    comm[strcspn(comm, "\n")] = '\0';
}

/* Whether it runs a program, as kernel threads do not. */
static bool has_program(const char *pid)
{
    char path[300], target[8];
    snprintf(path, sizeof(path), "/proc/%.200s/exe", pid);
    return readlink(path, target, sizeof(target)) > 0;
}

static size_t count_programs(void)
{
    DIR *proc = opendir("/proc");
    size_t n = 0;
    for (struct dirent *entry; proc && (entry = readdir(proc));)
        n += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_program(entry->d_name);
    if (proc)
        closedir(proc);
    return n;
}

static void check_start(struct doctor *doctor, const struct audit_inspection *audit)
{
    char found[120];
    if (audit->off_at_boot) {
        doctor_add(doctor, FINDING_WRONG, "audit at boot",
                   "switched off on the kernel's command line",
                   "the kernel makes no audit records: arguments and login users are missing",
                   "write audit=1 in the boot loader's configuration and start again");
        return;
    }
    if (audit->on_at_boot) {
        doctor_add(doctor, FINDING_OK, "audit at boot", "audit=1", NULL, NULL);
        return;
    }
    snprintf(found, sizeof(found), "no audit=1 on the kernel's command line; %zu programs run now",
             count_programs());
    doctor_add(doctor, FINDING_WRONG, "audit at boot", found,
               "a process that is older than the first use of audit is never audited: what it "
               "executes itself has no arguments from audit and its rows say unaudited",
               "add audit=1 to the kernel's command line; until then restart old servers after the "
               "agent's first start");
}

static void check_boot_backlog(struct doctor *doctor, const struct audit_inspection *audit)
{
    if (strstr(doctor->command_line, "audit_backlog_limit="))
        doctor_add(doctor, FINDING_OK, "audit backlog at boot", "audit_backlog_limit is given",
                   NULL, NULL);
    else if (audit->on_at_boot)
        doctor_add(doctor, FINDING_WRONG, "audit backlog at boot", "64 records",
                   "what happens before the agent starts does not fit and is lost",
                   "add audit_backlog_limit=8192 to the kernel's command line");
}

static void check_owner(struct doctor *doctor, const struct audit_inspection *audit)
{
    char found[100], comm[32];
    if (audit->owner_pid == 0) {
        doctor_add(doctor, FINDING_OK, "owner of audit", "nobody: the agent will own it", NULL,
                   NULL);
        return;
    }
    read_comm(audit->owner_pid, comm);
    snprintf(found, sizeof(found), "%s (pid %" PRIu32 ")", comm, audit->owner_pid);
    if (!strcmp(comm, "vestiged")) {
        doctor_add(doctor, FINDING_OK, "owner of audit", found, NULL, NULL);
        return;
    }
    doctor_add(
        doctor, FINDING_NOTE, "owner of audit", found,
        "the agent is a guest beside it; our rules add about 1.3 kB an exec to the owner's "
        "log, which may rotate its other evidence away sooner",
        "give the owner's log more room, or set rules = none in section [audit] if its rules "
        "watch execve already");
}

static void check_counters(struct doctor *doctor, const struct audit_inspection *audit)
{
    char found[100];
    snprintf(found, sizeof(found), "%" PRIu32 " records", audit->backlog_limit);
    bool small = audit->owner_pid && audit->backlog_limit < BACKLOG_LEAST;
    doctor_add(doctor, small ? FINDING_WRONG : FINDING_OK, "audit backlog limit", found,
               small ? "a storm of execs overflows it and records are lost" : NULL,
               small ? "auditctl -b 8192, and -b 8192 in /etc/audit/rules.d" : NULL);
    snprintf(found, sizeof(found), "%" PRIu32 " records since boot", audit->lost);
    doctor_add(doctor, audit->lost ? FINDING_NOTE : FINDING_OK, "audit records lost", found,
               audit->lost ? "the kernel dropped them; what the agent missed is in the table gap"
                           : NULL,
               NULL);
}

static void check_rules(struct doctor *doctor, const struct audit_inspection *audit)
{
    char found[100];
    snprintf(found, sizeof(found), "%zu, %zu of them ours", audit->n_rules, audit->n_own_rules);
    doctor_add(doctor, FINDING_OK, "audit rules", found, NULL, NULL);
    if (audit->enabled == 2)
        doctor_add(doctor, FINDING_NOTE, "audit rules", "immutable (enabled 2)",
                   "rules cannot be added before the next boot",
                   "put -S execve -S execveat -F success=1 into the rules that are loaded at boot");
    if (audit->task_never)
        doctor_add(doctor, FINDING_WRONG, "audit rules", "-a task,never",
                   "no task that was forked since then is ever audited",
                   "remove that rule from /etc/audit/rules.d and start the host again");
}

void doctor_check_audit(struct doctor *doctor)
{
    struct audit_inspection audit;
    struct error_text error = ERROR_TEXT_NULL;
    int outcome = audit_inspect(&audit, &error);
    check_start(doctor, &audit);
    check_boot_backlog(doctor, &audit);
    if (outcome == -EPERM || outcome == -EACCES) {
        doctor_add(doctor, FINDING_NOTE, "audit", "not allowed to look", NULL,
                   "run vestige doctor as root");
    } else if (outcome) {
        doctor_add(doctor, FINDING_WRONG, "audit", *error.text ? error.text : strerror(-outcome),
                   "the kernel gives no audit records: arguments and login users are missing",
                   "use a kernel with CONFIG_AUDITSYSCALL, outside of a container");
    } else {
        check_owner(doctor, &audit);
        check_counters(doctor, &audit);
        check_rules(doctor, &audit);
    }
}
