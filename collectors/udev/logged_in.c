/* The file is read in one go, so that a record is not seen in two versions. A record whose process
 * is gone was left behind by a crash: nobody is logged in there. */
#include "collectors/udev/logged_in.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <signal.h>

enum { NAME_MOST = sizeof(((struct utmp *)NULL)->ut_user) };

struct name {
    char text[NAME_MOST + 1];
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static bool is_user(const struct utmp *record, bool (*is_alive)(int32_t pid))
{
    return record->ut_type == USER_PROCESS && record->ut_user[0] &&
           (!is_alive || is_alive(record->ut_pid));
}

void logged_in_append(struct buffer *to, const struct utmp *records, size_t n_records,
                      bool (*is_alive)(int32_t pid))
{
    struct name names[LOGGED_IN_MOST];
    size_t n = 0;
    for (size_t i = 0; i < n_records && i < LOGGED_IN_MOST; i++) {
        if (!is_user(&records[i], is_alive))
            continue;
        memset(&names[n], 0, sizeof(names[n]));
        memcpy(names[n].text, records[i].ut_user, strnlen(records[i].ut_user, NAME_MOST));
        n++;
    }
    qsort(names, n, sizeof(names[0]), compare);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare(&names[i - 1], &names[i]) == 0)
            continue;
        if (i > 0)
            buffer_append_byte(to, ',');
        buffer_append_text(to, names[i].text);
    }
    buffer_append_byte(to, '\0');
}

static bool is_alive(int32_t pid)
{
    return pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH;
}

int logged_in_read(struct buffer *to, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const size_t most = LOGGED_IN_MOST * sizeof(struct utmp);
    struct utmp *records AUTO_FREE = fd < 0 ? NULL : malloc(most);
    if (fd < 0)
        return -errno;
    if (!records)
        return -ENOMEM;
    ssize_t n = read(fd, records, most);
    if (n < 0)
        return -errno;
    logged_in_append(to, records, (size_t)n / sizeof(*records), is_alive);
    return to->failed ? -ENOMEM : 0;
}
