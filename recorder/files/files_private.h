#pragma once
/* What the files of this lifecycle share; nobody else includes it. */
#include "recorder/files/file_row.h"
#include "recorder/files/files.h"
#include "recorder/lifecycle/shared_text.h"

#include <openssl/lhash.h>

enum { FILE_RECENT_ENDS = 16384, FILE_SPANS = 256, FILE_PIDS = 1024, FILE_REFUSED_MOST = 64 };

/* A direct-mapped memory of the last ends: what a look at /proc says may be older than the end. */
struct file_recent_end {
    uint64_t hash, ended_ns;
};

struct file_execution {
    uint64_t at_ns; /* 0: none */
    char comm[16];  /* that its image will have */
    uint64_t hash;  /* of the path, as the field of a line */
};

/* A direct-mapped memory of how far in the images of a pid the facts of one reading have come, and
 * of the file that it executed last, if no image of it was there then. */
struct file_span {
    uint32_t pid;
    uint64_t since_ns, process_id;
    struct file_execution executed;
};

/* A fact that waits until it is known whose it is. */
struct file_held_fact {
    STAILQ_ENTRY(file_held_fact) in_list;
    struct fact fact;
    size_t n_bytes;
    uint8_t bytes[];
};

struct file_program {
    TAILQ_ENTRY(file_program) in_programs;
    TAILQ_ENTRY(file_program) in_limited;
    struct shared_text *name;
    bool excluded;
    uint64_t credit, credit_ns; /* thousandths of rows, as of when */
    uint64_t n_dropped;         /* events, not yet in a gap; then it stands in `limited` */
    uint64_t first_ns, last_ns; /* of them */
    size_t n_actors;
};

struct restored_file {
    uint64_t id, created_us, process_id;
    uint32_t pid, opens;
    unsigned operations;
    bool counted;
    struct file_status status;
    struct shared_text *birth; /* birth values as text of a line */
    struct slice path;
    uint8_t bytes[];
};

struct files {
    struct files_options options;
    struct row_output *output;
    OPENSSL_LHASH *by_key;          /* struct file_row: those of use that live */
    OPENSSL_LHASH *actors;          /* struct file_actor */
    struct file_actor *nobody;      /* of what no pid is known; NULL: it has no rows */
    OPENSSL_LHASH *programs;        /* struct file_program by name */
    OPENSSL_LHASH *restored;        /* struct restored_file by id, while lines are restored */
    OPENSSL_LHASH *left_open;       /* and then by process and path */
    struct file_queue waiting;      /* not inserted, open or a moment */
    struct file_queue quiet;        /* closed, not ended: an open may follow */
    struct file_queue refused;      /* the sink did not take a line */
    struct file_queue open;         /* inserted, and lives */
    TAILQ_HEAD(, file_actor) ended; /* images that have ended, the first one first */
    TAILQ_HEAD(, file_program) all_programs, limited;
    STAILQ_HEAD(file_held_facts, file_held_fact) held;
    size_t held_bytes;
    uint64_t early_until_ns;    /* the end of waiting for the first look at /proc; 0: no fact yet */
    uint64_t read_until_ns;     /* what was done before has been told; 0: nobody says how far */
    uint16_t n_held[FILE_PIDS]; /* facts, by a part of the pid: later ones stay behind them */
    size_t n_rows, n_bytes;
    int refused_error;      /* why the last of the refused ones waits */
    uint64_t last_real_us;  /* of the earlier run */
    uint64_t beyond;        /* events for which there was no room, not yet in a gap */
    uint32_t generation;    /* of the look at all descriptors that is under way */
    uint64_t scan_begin_ns; /* 0: none is */
    bool scan_passed_over;  /* it showed something that had to be passed over */
    uint32_t refused_pids[FILE_REFUSED_MOST]; /* into which it may not look */
    size_t n_refused_pids;
    struct file_recent_end recent[FILE_RECENT_ENDS];
    struct file_span spans[FILE_SPANS];
};

static inline uint64_t files_now(const struct files *f)
{
    return f->output->timeline->now_boot_ns;
}

uint64_t file_hash(struct slice bytes, uint64_t seed);

/* files.c */
/** How many facts of such pids wait. */
uint16_t *file_n_held(struct files *f, uint32_t pid);
/** A row that lives, of this image and path; one of an earlier run is taken up. NULL: none. */
struct file_row *file_find(struct files *f, struct file_actor *actor, struct slice path);
/** A row of the image that is about this file under another name, or NULL. */
struct file_row *file_find_inode(const struct file_actor *actor, const struct file_status *status);
/** A new row, in no table yet; NULL when there is no room, or too many of the program (counted). */
struct file_row *file_begin(struct files *f, struct file_actor *actor, const struct actor *who,
                            struct slice path, struct slice new_path, uint64_t at_ns);
/** From now on file_find finds it; false, and freed, when memory is exhausted (counted). */
bool file_file(struct files *f, struct file_row *row);
/** It has ended: what comes now is another row. */
void file_unfile(struct files *f, struct file_row *row);
/** Take in what is known of the file; device and inode stay as they were inserted. */
void file_describe(struct file_row *row, const struct file_status *status);
/** Out of all tables and free it. */
void file_release(struct files *f, struct file_row *row);
/** What a look at /proc between then and now says of it may be older than its end. */
bool file_had_ended(struct files *f, const struct file_actor *actor, struct slice path,
                    uint64_t at_ns);

/* files_actor.c */
int file_actor_init(struct files *f) MUST_CHECK;
/** Who did it, as far as anybody knows; the pid alone when nobody does. */
void file_who(struct files *f, const struct fact *fact, struct actor *who);
/** One of several images did it, and which ones they are has not been said yet. */
bool file_who_is_open(struct files *f, const struct fact *fact);
/** The image's entry; NULL when memory is exhausted. */
struct file_actor *file_actor_get(struct files *f, const struct actor *who);
/** Forget it when it has no rows. */
void file_actor_release(struct files *f, struct file_actor *actor);

/* files_program.c */
int file_program_init(struct files *f) MUST_CHECK;
void file_program_deinit(struct files *f);
/** The image's program is called so; what is known already stays. */
void file_program_name(struct files *f, struct file_actor *actor, const struct actor *who);
/** A row of the program may begin at @p at_ns; else the event is counted, or nothing. */
bool file_program_allows(struct files *f, const struct file_actor *actor, uint64_t at_ns);
/** Whether a program, as the field of a line, matches one of the globs; false: nobody knows it. */
bool file_program_matches(const char *globs, struct slice exe);
/** Nothing that it does is told. */
bool file_program_is_excluded(const struct file_actor *actor);
/** The image is forgotten. */
void file_program_leave(struct file_actor *actor);
void file_program_tick(struct files *f, bool all);

/* files_rows.c */
/** The row's situation changed: put it where it belongs now. It may be written and freed. */
void file_rows_place(struct files *f, struct file_row *row);
void file_rows_end(struct files *f, struct file_row *row, uint64_t ended_ns, enum end_cause cause);
void file_rows_tick(struct files *f, uint64_t now_ns);
void file_rows_hurry(struct files *f, uint64_t until_ns);
void file_rows_flush(struct files *f);
void file_rows_checkpoint(struct files *f);

/* files_scan.c */
void file_scan_fact(struct files *f, const struct fact *fact);

/* files_restore.c */
int file_restore_init(struct files *f) MUST_CHECK;
void file_restore_deinit(struct files *f);
/** A row that an earlier run left open, of this image and path, or NULL. */
struct file_row *file_restore_adopt(struct files *f, struct file_actor *actor, struct slice path);
/** What this process had open stays open: nobody may look whether it still is. */
void file_restore_keep(struct files *f, uint32_t pid);
/** End what is left. */
void file_restore_end(struct files *f, uint64_t ended_us, enum end_cause cause);
void file_restore_checkpoint(struct files *f);
