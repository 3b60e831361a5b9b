/* The kernel lists processes in ascending order, so what was there before and what is there now are
 * two sorted lists that are walked together. With the pid goes the inode number of its directory:
 * another process under the same pid has another one (so has, rarely, the same process after the
 * kernel forgot the inode under memory pressure; it is then read once more).
 *
 * Listing costs the kernel more than a microsecond a process. /proc/loadavg ends with the number of
 * tasks and the last pid that was given out: when both are as they were before the last walk,
 * nothing was forked, and there is nothing to list. */
#include "collectors/procfs/proc_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMEMBERED_MOST = 1 << 18 }; /* 4 MiB for both lists; others are new each time */

struct seen {
    uint32_t pid, inode;
};

struct seen_list {
    struct seen *items;
    size_t n, capacity;
};

struct proc_scan {
    DIR *directory;
    int loadavg;    /* or -1 */
    char tasks[64]; /* what stood there before the last walk; "": walk in any case */
    struct seen_list before, now;
};

int proc_scan_new(struct proc_scan **scanp, struct error_text *error)
{
    struct proc_scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return -ENOMEM;
    scan->directory = opendir("/proc");
    if (!scan->directory) {
        int r = -errno;
        free(scan);
        return error_set(error, r, "cannot read /proc: %s", strerror(-r));
    }
    scan->loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    *scanp = scan;
    return 0;
}

struct proc_scan *proc_scan_free(struct proc_scan *scan)
{
    if (scan) {
        closedir(scan->directory);
        if (scan->loadavg >= 0)
            close(scan->loadavg);
        free(scan->before.items);
        free(scan->now.items);
        free(scan);
    }
    return NULL;
}

static int remember(struct seen_list *list, struct seen seen)
{
    if (list->n == REMEMBERED_MOST)
        return 0;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 512;
        struct seen *items = realloc(list->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = seen;
    return 0;
}

/* 0: the entry is no process. */
static uint32_t entry_pid(const struct dirent *entry)
{
    uint32_t pid = 0;
    if (entry->d_name[0] == '0' || strlen(entry->d_name) > 9)
        return 0;
    for (const char *c = entry->d_name; *c; c++) {
        if (*c < '0' || *c > '9')
            return 0;
        pid = pid * 10 + (uint32_t)(*c - '0');
    }
    return pid;
}

static bool known(const struct seen_list *before, size_t *position, struct seen seen)
{
    while (*position < before->n && before->items[*position].pid < seen.pid)
        ++*position;
    return *position < before->n && before->items[*position].pid == seen.pid &&
           before->items[*position].inode == seen.inode;
}

static int walk(struct proc_scan *scan, bool full, proc_scan_handler handler, void *user)
{
    const struct dirent *entry;
    size_t position = 0;
    while (errno = 0, (entry = readdir(scan->directory))) {
        struct seen seen = {.pid = entry_pid(entry), .inode = (uint32_t)entry->d_ino};
        if (seen.pid == 0)
            continue;
        int r = 0;
        if (!known(&scan->before, &position, seen) || full)
            r = handler(user, seen.pid);
        if (r != 0)
            scan->tasks[0] = '\0';
        if (r == 0)
            r = remember(&scan->now, seen);
        if (r < 0)
            return r;
    }
    return -errno;
}

/* "0.02 0.01 0.00 1/120 4711": what follows the slash. */
static void read_tasks(const struct proc_scan *scan, char *to, size_t size)
{
    char text[128];
    ssize_t n = scan->loadavg < 0 ? -1 : pread(scan->loadavg, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *slash = strchr(text, '/');
    snprintf(to, size, "%s", slash ? slash + 1 : "");
}

/* Remembers the tasks of now, and tells whether they are those of before. */
static bool nothing_forked(struct proc_scan *scan)
{
    char before[sizeof(scan->tasks)];
    memcpy(before, scan->tasks, sizeof(before));
    read_tasks(scan, scan->tasks, sizeof(scan->tasks));
    return before[0] != '\0' && !strcmp(before, scan->tasks);
}

int proc_scan_walk(struct proc_scan *scan, bool full, proc_scan_handler handler, void *user)
{
    if (nothing_forked(scan) && !full)
        return 0;
    rewinddir(scan->directory);
    scan->now.n = 0;
    int r = walk(scan, full, handler, user);
    struct seen_list list = scan->before;
    scan->before = scan->now;
    scan->now = list;
    if (r < 0)
        scan->tasks[0] = '\0';
    return r;
}
