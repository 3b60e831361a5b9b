/* What the rest of the host's set-up does to evidence: who logged in, when it was, and whether it
 * fits. */
#include "core/cleanup.h"
#include "recorder/agent/privilege.h"
#include "reports/doctor/doctor.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>

#define YEAR_FIRST      2024
#define YEAR_LAST       2100
#define SPACE_LEAST_MIB 1024

static void check_privilege(struct doctor *doctor)
{
    struct error_text error = ERROR_TEXT_NULL;
    if (privilege_check(true, &error) == 0)
        doctor_add(doctor, FINDING_OK, "capabilities", "as the agent needs them", NULL, NULL);
    else
        doctor_add(doctor, doctor->agent_runs ? FINDING_NOTE : FINDING_WRONG, "capabilities",
                   error.text, "an agent started like this cannot open its sources",
                   "start the agent as root or by its systemd unit");
}

/* A line that is no comment and names the module; files that it includes are not followed. */
static bool names_module(const char *path, const char *module)
{
    char line[1024];
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (line[strspn(line, " \t")] != '#' && strstr(line, module))
            return true;
    return false;
}

static void check_pam(struct doctor *doctor)
{
    static const char *const services[] = {"sshd", "login", "cron", "systemd-user"};
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        char path[64], what[64];
        snprintf(path, sizeof(path), "/etc/pam.d/%s", services[i]);
        snprintf(what, sizeof(what), "login user through %s", services[i]);
        if (access(path, F_OK))
            continue;
        if (names_module(path, "pam_loginuid"))
            doctor_add(doctor, FINDING_OK, what, "pam_loginuid is there", NULL, NULL);
        else
            doctor_add(doctor, FINDING_WRONG, what, "no pam_loginuid in its PAM file",
                       "whoever comes in this way has no login user: nobody is accountable",
                       "add to that file: session required pam_loginuid.so");
    }
}

static void check_journald(struct doctor *doctor)
{
    static const char *const wanted[] = {
        "/etc/systemd/system/sockets.target.wants/systemd-journald-audit.socket",
        "/lib/systemd/system/sockets.target.wants/systemd-journald-audit.socket"};
    char target[16];
    ssize_t length =
        readlink("/etc/systemd/system/systemd-journald-audit.socket", target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = '\0';
    bool is_wanted = !access(wanted[0], F_OK) || !access(wanted[1], F_OK);
    if (access("/run/systemd/system", F_OK) || !is_wanted || !strcmp(target, "/dev/null"))
        return;
    doctor_add(doctor, FINDING_NOTE, "systemd-journald-audit.socket", "enabled",
               "journald takes every audit record too: twice the work, and its journal rotates "
               "sooner",
               "systemctl mask --now systemd-journald-audit.socket, if nobody reads audit there");
}

static void check_clock(struct doctor *doctor)
{
    struct timex state = {0};
    struct tm parts;
    time_t now = time(NULL);
    gmtime_r(&now, &parts);
    if (parts.tm_year + 1900 < YEAR_FIRST || parts.tm_year + 1900 > YEAR_LAST)
        doctor_add(doctor, FINDING_WRONG, "clock", "the year cannot be right",
                   "rows get times that nobody will look for", "set the clock");
    else if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC))
        doctor_add(doctor, FINDING_NOTE, "clock", "not synchronised",
                   "times cannot be compared with those of other hosts better than its error",
                   "run chrony, systemd-timesyncd or ntpd");
    else
        doctor_add(doctor, FINDING_OK, "clock", "synchronised", NULL, NULL);
}

/* Of the directory, or of the nearest one above it that exists. */
static int read_space(const char *path, struct statvfs *space)
{
    char part[256];
    snprintf(part, sizeof(part), "%s", path);
    while (statvfs(part, space)) {
        char *slash = strrchr(part, '/');
        if (!slash || slash == part)
            return statvfs("/", space);
        *slash = '\0';
    }
    return 0;
}

static void check_space(struct doctor *doctor)
{
    struct statvfs space;
    char found[340];
    if (read_space(doctor->state_directory, &space))
        return;
    unsigned long long free_mib = (unsigned long long)space.f_bavail * space.f_frsize >> 20;
    bool small = free_mib < SPACE_LEAST_MIB;
    snprintf(found, sizeof(found), "%llu MiB free below %s", free_mib, doctor->state_directory);
    doctor_add(doctor, small ? FINDING_WRONG : FINDING_OK, "room for the journal", found,
               small ? "while the server cannot be reached rows have to wait there; what does not "
                       "fit is lost"
                     : NULL,
               small ? "make room, or set state_directory in section [agent]" : NULL);
}

void doctor_check_host(struct doctor *doctor)
{
    check_privilege(doctor);
    check_pam(doctor);
    check_journald(doctor);
    check_clock(doctor);
    check_space(doctor);
}
