/*
 * A module of the name service switch, for tests of who asks it: libnss_vestigetest.so.2, named
 * `vestigetest` in nsswitch.conf. It knows no user. In the directory that VESTIGE_TEST_SWITCH names
 * it appends each uid that it is asked for, as a line, to the file `asked`; and where there is a
 * file `hang`, it never answers. */
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum nss_status _nss_vestigetest_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer,
                                            size_t size, int *error);

static void note(const char *directory, uid_t uid)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/asked", directory);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        dprintf(fd, "%u\n", uid);
        close(fd);
    }
}

static int hangs(const char *directory)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/hang", directory);
    return access(path, F_OK) == 0;
}

enum nss_status _nss_vestigetest_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer,
                                            size_t size, int *error)
{
    const char *directory = getenv("VESTIGE_TEST_SWITCH");
    (void)entry, (void)buffer, (void)size;
    if (directory) {
        note(directory, uid);
        while (hangs(directory))
            pause();
    }
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}
