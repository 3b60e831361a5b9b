#pragma once
/*
 * What a read of fanotify gives: metadata of an event, and behind it records that say which
 * directory, name and file. Pure; the bytes are bounded by their length alone.
 */
#include "collectors/fanotify/file_id.h"
#include "core/bounded_reader.h"
#include "core/error.h"

struct fanotify_place {
    struct file_id directory;
    struct slice name; /* "." of the directory itself; SLICE_NULL: there is none */
};

struct fanotify_event {
    uint64_t mask; /* FAN_OPEN ... */
    uint32_t pid;
    struct fanotify_place place;     /* of a rename in pairs: where it was */
    struct fanotify_place new_place; /* of a rename in pairs; else its directory is unknown */
    struct file_id target;           /* the file itself */
};

enum {
    FANOTIFY_EVENT_END = 0, /* there is no more */
    FANOTIFY_EVENT_READ = 1,
    FANOTIFY_EVENT_MALFORMED = 2 /* this one was; the next may be read */
};

/** Returns one of these, or -EBADMSG when nothing behind can be understood either. */
int fanotify_event_next(struct bounded_reader *reader, struct fanotify_event *event) MUST_CHECK;
/** The inode number that is in a handle; 0: it is none that we know. */
uint64_t fanotify_event_inode(const struct file_id *id);
