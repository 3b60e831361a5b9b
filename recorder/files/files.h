#pragma once
/*
 * The lifecycle of files in use: facts of fanotify, inotify and of looks at /proc/PID/fd become
 * rows of `file_access`. One thread; no system calls; the same facts give the same rows.
 *
 * A row is one path in the hands of one program image, from the first open to the last close that
 * was seen, at the latest until the image ends. What has no open (a deletion, a rename, a change of
 * attributes, a directory that is made) is a row of one moment.
 */
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/user_names.h"
#include "recorder/processes/processes.h"

struct files;

struct files_options {
    struct row_output *output;
    struct user_names *names;
    struct processes *processes;
    uint64_t settle_ns; /* how long a new row waits for its end, to be written in one line */
    uint64_t quiet_ns;  /* how long nothing comes of a file that is closed, before its row ends */
    size_t most;        /* rows in memory, and their bytes; what is beyond is counted */
    size_t bytes_most;
    uint32_t rate;         /* rows a second of one program; 0: no limit */
    const char *excluded;  /* globs of programs by blanks, as in fnmatch(3); NULL: none */
    const char *unread;    /* globs of files whose executions nobody tells; NULL: none */
    uint64_t processes_ns; /* how long the first facts wait for the first look at /proc */
    void *user;
    void (*ask_read)(void *user); /* for a FACT_FILES_READ; may be NULL, and may not block */
};

int files_new(struct files **filesp, const struct files_options *options) MUST_CHECK;
struct files *files_free(struct files *files);

/** FACT_FILE, FACT_FILE_OPEN, FACT_FILE_SCAN, FACT_FILE_REFUSED, FACT_FILES_READ; others are
 * ignored. */
void files_fact(struct files *files, const struct fact *fact);
/** An image has ended; see processes_options. */
void files_image_ended(struct files *files, const struct actor *image);
/** Nobody looks at /proc/PID/fd: what an earlier run left open cannot be confirmed. */
void files_unscanned(struct files *files);
/** All sockets have been read: run what is due. */
void files_tick(struct files *files);
/** Write what was seen before @p boot_ns without waiting for more: what is closed has ended. */
void files_hurry(struct files *files, uint64_t boot_ns);
/** Nothing that was born or ended before @p boot_ns waits for being written. */
bool files_settled_until(const struct files *files, uint64_t boot_ns);
/** Write every row that waits, as it is. Ends nothing that lives. */
void files_flush(struct files *files);

/** Lines of an earlier run, in the order of the journal. */
void files_restore(struct files *files, enum verb verb, uint64_t id, const struct slice *values,
                   size_t n_values);
/** All lines have been restored. Rows of another boot end as `reboot` at @p last_real_us. */
void files_restored(struct files *files, bool same_boot, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void files_checkpoint(struct files *files);

/** Events for which there was no room, since the last call. */
uint64_t files_take_beyond(struct files *files);
/** Rows in memory. */
size_t files_rows(const struct files *files);
