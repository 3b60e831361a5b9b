#pragma once
/*
 * Follows one file of records that grows at its end (wtmp, btmp): from an offset on, over rotation,
 * truncation and replacement. Blocks only for the disk. A record that is not whole waits for its
 * rest.
 */
#include "collectors/utmp/utmp_message.h"

struct login_log;

/* Who takes what was found; each returns 0 or an error that ends the look. */
struct login_log_handlers {
    /** @p records: whole ones, @p begin: where the first stands, bytes. */
    int (*records)(void *user, enum login_file file, uint64_t inode, uint64_t begin, bool old,
                   struct slice records);
    int (*event)(void *user, const struct fact_login_log *event);
    /** Records were not read, nobody knows how many. */
    int (*missing)(void *user, enum login_file file);
    void *user;
};

struct login_log_options {
    enum login_file file; /* wtmp or btmp */
    const char *path;
    struct login_cursor cursor; /* from where to go on */
    const struct login_log_handlers *handlers;
};

int login_log_new(struct login_log **logp, const struct login_log_options *options) MUST_CHECK;
struct login_log *login_log_free(struct login_log *log);
/** Read what is new. Returns 0 or a handler's error. */
int login_log_look(struct login_log *log) MUST_CHECK;
/** Whether there is such a file. */
bool login_log_there(const struct login_log *log);
