#pragma once
/*
 * Directories that are layers of an overlay, and where what is in them can be seen: an overlay
 * itself cannot be watched, but the filesystems of its layers can. Pure.
 */
#include "collectors/fanotify/mount_list.h"

enum overlay_kind {
    OVERLAY_UPPER, /* what was written */
    OVERLAY_LOWER,
    OVERLAY_WORK /* files on their way to the upper one */
};

struct overlay_layer {
    enum overlay_kind kind;
    char *directory, *merged; /* without a slash at their ends; of OVERLAY_WORK merged is nothing */
    size_t length;            /* of directory */
    bool shared;              /* a lower one of several overlays: nobody knows which it was */
};

struct overlay_layers {
    struct overlay_layer *items;
    size_t n;
};

/** For each layer that the options of an overlay's mount name, its path as it is there. */
typedef int (*overlay_handler)(void *user, enum overlay_kind kind, const char *directory);
int overlay_options(const char *options, overlay_handler handler, void *user) MUST_CHECK;

int overlay_layers_add(struct overlay_layers *layers, enum overlay_kind kind, const char *directory,
                       const char *merged) MUST_CHECK;
void overlay_layers_deinit(struct overlay_layers *layers);
/** The innermost layer that the path is in; NULL: none, or a shared one. */
const struct overlay_layer *overlay_layers_find(const struct overlay_layers *layers,
                                                struct slice path);
