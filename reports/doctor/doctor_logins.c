/* What logins, boots and devices are known by besides the kernel: the files of utmp(5), and whether
 * a udev daemon tells what its rules know. */
#include "reports/doctor/doctor.h"

#include <paths.h>
#include <unistd.h>
#include <utmp.h>

static void check_files(struct doctor *doctor)
{
    static const struct {
        const char *what, *path, *why;
    } files[] = {
        {"logins in wtmp",        _PATH_WTMP,
         "logins, and how a boot ended, are known by audit alone, and none from before the first "
         "start of the agent"                                                       },
        {"logins in utmp",        _PATH_UTMP,
         "who was logged in when the agent began is known only as far as wtmp tells"},
        {"failed logins in btmp", "/var/log/btmp",
         "failed logins are known by audit alone, and none from before the first start of the "
         "agent"                                                                    },
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (access(files[i].path, F_OK) == 0)
            doctor_add(doctor, FINDING_OK, files[i].what, files[i].path, NULL, NULL);
        else
            doctor_add(doctor, FINDING_NOTE, files[i].what, "there is no such file", files[i].why,
                       "make it, if the programs of this release still write it");
}

static void check_udev(struct doctor *doctor)
{
    if (access("/run/udev/control", F_OK) == 0)
        doctor_add(doctor, FINDING_OK, "udev", "a daemon runs", NULL, NULL);
    else
        doctor_add(doctor, FINDING_NOTE, "udev", "no daemon",
                   "vendor, model and serial of a device are those of sysfs, without what only "
                   "udev's rules find out",
                   "start systemd-udevd, where the host is no container");
}

void doctor_check_logins(struct doctor *doctor)
{
    check_files(doctor);
    check_udev(doctor);
}
