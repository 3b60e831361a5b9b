#pragma once
/*
 * The mark that the journal keeps with its lines: from where a restart goes on, and by which it
 * counts what was lost while nobody listened. One line of "key=value" words:
 *
 *   boot=UUID offset=NS id=N at=NS forks=N unstored=N threads=N unstored_threads=N
 *   unheard_since=NS serial=N wtmp=INODE:OFFSET:FIRST:LAST btmp=... shutdown=US clean=0|1
 */
#include "collectors/source.h"
#include "core/buffer.h"
#include "recorder/processes/processes.h"

enum { CURSORS_CPUS = 1024 };

struct cursors {
    char boot_id[37];
    int64_t offset_ns; /* real minus boot */
    uint64_t last_id;
    uint64_t at_ns;            /* boot clock */
    uint64_t unheard_since_ns; /* what was lost since then is in no row yet; 0: nothing is open */
    struct processes_state processes;
    uint32_t audit_serial;          /* last heard; 0: none */
    struct login_cursor wtmp, btmp; /* what is before is in rows; inode 0: nothing */
    uint64_t shutdown_us;           /* the end of this boot was announced; 0: not */
    bool clean;                     /* the agent ended in order */
    bool known;                     /* there was a mark */
};

void cursors_append(struct buffer *to, const struct cursors *cursors);
/** Unknown words are skipped; what is missing is 0. */
void cursors_parse(struct cursors *cursors, const char *text);
