#pragma once
/* What /proc/PID/mountinfo says. Pure. */
#include "core/error.h"
#include "core/slice.h"

struct mount {
    uint64_t device; /* major << 32 | minor */
    /* Terminated, without the escapes of mountinfo: */
    const char *root;  /* which directory of its filesystem it shows */
    const char *point; /* where */
    const char *type;
    const char *options; /* of the filesystem, divided by commas */
};

struct mount_list {
    struct mount *items; /* in the order in which they were mounted */
    size_t n;
    size_t n_malformed; /* lines that were left out */
    char *text;
};

int mount_list_init(struct mount_list *list, struct slice text) MUST_CHECK;
void mount_list_deinit(struct mount_list *list);
