#pragma once
/*
 * The messages of SOURCE_INOTIFY: a header, for most a record, and for most paths. Numbers are in
 * host order. Types and flags are part of recorded input: never used again for something else.
 *
 *   INOTIFY_SCAN_BEGIN  a look at the descriptors of all processes begins
 *   INOTIFY_SCAN_END    it has ended; INOTIFY_COMPLETE: no more was left out
 *   INOTIFY_REFUSED     struct inotify_refused
 *   INOTIFY_OPEN        struct inotify_open, the path
 *   INOTIFY_FILE        struct inotify_file, the path, and with INOTIFY_NEW_PATH the new one
 */
#include "collectors/source.h"
#include "core/buffer.h"

enum inotify_type {
    INOTIFY_SCAN_BEGIN = 1,
    INOTIFY_SCAN_END,
    INOTIFY_OPEN,
    INOTIFY_FILE,
    INOTIFY_REFUSED
};

enum inotify_flag {
    INOTIFY_COMPLETE = 1 << 0,
    INOTIFY_WRITABLE = 1 << 1,
    INOTIFY_DELETED = 1 << 2,
    INOTIFY_DIRECTORY = 1 << 3,
    INOTIFY_PATH_AT_READ = 1 << 4,
    INOTIFY_NEW_PATH = 1 << 5
};

struct inotify_header {
    uint32_t type, flags;
};

struct inotify_status {
    uint64_t device, inode, size;
    uint32_t mode, unused; /* unused: 0 */
};

struct inotify_open {
    struct inotify_status status;
    uint32_t pid, descriptors;
};

struct inotify_refused {
    uint32_t pid, unused; /* unused: 0 */
};

struct inotify_file {
    struct inotify_status status;
    uint64_t since_ns;
    uint32_t events, path_length;
};

_Static_assert(sizeof(struct inotify_header) == 8, "layout of recorded messages");
_Static_assert(sizeof(struct inotify_open) == 40, "layout of recorded messages");
_Static_assert(sizeof(struct inotify_file) == 48, "layout of recorded messages");
_Static_assert(sizeof(struct inotify_refused) == 8, "layout of recorded messages");

/** Append the message of a FACT_FILE_SCAN, a FACT_FILE_REFUSED, a FACT_FILE_OPEN, or a FACT_FILE of
 *  no known process. */
void inotify_message_append_scan(struct buffer *to, const struct fact_file_scan *scan);
void inotify_message_append_refused(struct buffer *to, uint32_t pid);
void inotify_message_append_open(struct buffer *to, const struct fact_file_open *open);
void inotify_message_append_file(struct buffer *to, const struct fact_file *file);

/** As source_ops.decode; the decoder keeps nothing between messages. */
int inotify_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                   void *user) MUST_CHECK;
