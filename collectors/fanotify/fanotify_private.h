#pragma once
/*
 * What the files of the source share. All of it belongs to the source's thread, except for what
 * struct source says is anybody's.
 */
#include "collectors/fanotify/fanotify_source.h"

#include "collectors/fanotify/directory_finder.h"
#include "collectors/fanotify/fanotify_event.h"
#include "collectors/fanotify/passed_files.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/cleanup.h"

#include <stdatomic.h>

enum { EVENTS_BYTES = 256 << 10, ORIGINS_MOST = 1024 };

struct source {
    struct file_selection *selection;
    struct fanotify_group group;
    struct filesystems filesystems;
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    _Atomic uint64_t read_until_ns;
    /* Of the thread, once it runs: */
    struct directory_tree *tree;
    uint64_t generation; /* of verdicts */
    size_t n_ignored;
    struct passed_files passed;
    uint32_t own_pid;
    uint64_t since_ns; /* no event that waited was older at the last reading */
    uint64_t read_ns;  /* the reading that is under way */
    bool told;         /* something of it */
    bool requested;    /* somebody waits for its end */
    /* Of that reading: */
    bool unsure;                    /* a directory may be elsewhere than what was read says */
    uint64_t origins[ORIGINS_MOST]; /* hashes of directories and the places that they left */
    size_t n_origins;
    struct buffer told_note;
    struct buffer path, new_path; /* of the event */
    struct buffer real_path;      /* what is looked at: before the overlay's view */
    uint8_t message[FANOTIFY_MESSAGE_MOST];
    uint8_t events[EVENTS_BYTES] __attribute__((aligned(8)));
};

/* Where an event happened. */
struct where {
    struct directory *directory; /* NULL: nobody knows */
    enum file_verdict verdict;   /* of the path */
    bool at_read;
    bool from_work; /* it is an overlay's own business */
};

/** The event is about the directory, not about something in it. */
static inline bool fanotify_is_itself(struct slice name)
{
    return name.length == 0 || slice_is(name, ".");
}

/* fanotify_source.c */

/** A message for the reader, of the reading that is under way. Waits for room. */
void fanotify_put(struct source *source, enum message_kind kind, struct slice bytes);
void fanotify_count(const struct source *source, enum counter_id id);

/* fanotify_passing.c */

/** Nothing that happens in it is told: after the second time the kernel passes it over. */
void fanotify_ignore(struct source *source, struct directory *directory);
/** A file that is read for nothing, alone in a directory of which other files are told. */
void fanotify_ignore_file(struct source *source, const struct fanotify_event *event);
/** No longer passed over. @p user is the source. */
void fanotify_heed(void *user, struct directory *directory);
void fanotify_unpin(struct source *source, struct directory *directory);
void fanotify_heed_files(struct source *source);
/** Nothing that is known of a filesystem's directories, or of any, is certain any more. */
void fanotify_forget(struct source *source, const struct filesystem *filesystem);
void fanotify_forget_all(struct source *source);

/* fanotify_places.c */

/** NULL: it is not watched, or not any more. */
struct filesystem *fanotify_filesystem_of(const struct source *source, const struct file_id *id);
/** What all that is in a directory has in common: its verdict, and its place in an overlay. */
void fanotify_judge(struct source *source, struct directory *directory);
/** NULL: nobody knows where it is. */
struct directory *fanotify_locate(struct source *source, const struct file_id *id);
/** False: nothing in this directory is told of such events. */
bool fanotify_find_place(struct source *source, const struct fanotify_place *place, uint32_t events,
                         struct where *where);
/** Its path in @p to; in @p real the one by which it can be looked at, or nothing. */
void fanotify_build_path(struct source *source, const struct fanotify_place *place,
                         struct where *where, struct buffer *to, struct buffer *real);

/* fanotify_learning.c */

/** What an event says of directories, and of the names of files. */
void fanotify_learn(struct source *source, const struct fanotify_event *event);

/* fanotify_telling.c */

/** One fact, or none, of an event that is no overflow. */
void fanotify_tell(struct source *source, const struct fanotify_event *event);
