/* What files in use are known by: fanotify, with the ids and names that this kernel can report. */
#include "core/cleanup.h"
#include "reports/doctor/doctor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>

/* Debian 12's C library does not know the newest. */
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x00001000
#endif

static int try_fanotify(unsigned report)
{
    AUTO_CLOSE int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_UNLIMITED_MARKS | report,
                                      O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

void doctor_check_files(struct doctor *doctor)
{
    int error = try_fanotify(FAN_REPORT_DFID_NAME | FAN_REPORT_FID | FAN_REPORT_TARGET_FID);
    if (error == 0) {
        doctor_add(doctor, FINDING_OK, "fanotify", "available, with the ids of what is renamed",
                   NULL, NULL);
    } else if (error == -EPERM) {
        doctor_add(doctor, FINDING_NOTE, "fanotify", "not allowed to look", NULL,
                   "run vestige doctor as root");
    } else if (try_fanotify(FAN_REPORT_DFID_NAME) == 0) {
        doctor_add(
            doctor, FINDING_NOTE, "fanotify", "without the ids of what is renamed",
            "the two halves of a rename are rows of their own, and paths below a directory that "
            "was renamed are looked up anew",
            "use a kernel of version 5.17 or later");
    } else {
        doctor_add(
            doctor, FINDING_WRONG, "fanotify", strerror(-error),
            "files are known in the trees of [files] trees only, by inotify, without who did it, "
            "and by looks at open descriptors",
            "use a kernel with CONFIG_FANOTIFY, of version 5.9 or later");
    }
}
