#pragma once
/* Events as inotify(7) gives them: struct inotify_event, its name, zeros behind it. Pure. */
#include "core/error.h"
#include "core/slice.h"

struct inotify_record {
    int32_t watch; /* -1: of none, as IN_Q_OVERFLOW */
    uint32_t mask, cookie;
    struct slice name; /* of an entry of the directory; SLICE_NULL: the directory itself */
    size_t length;     /* bytes of the whole record */
};

enum { INOTIFY_RECORD = 0, INOTIFY_RECORDS_END = 1 };

/** Take the first record off @p bytes. INOTIFY_RECORD, INOTIFY_RECORDS_END, or -EBADMSG. */
int inotify_record_next(struct slice *bytes, struct inotify_record *record) MUST_CHECK;
