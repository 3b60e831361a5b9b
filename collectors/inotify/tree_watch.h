#pragma once
/*
 * Watches directories and all that is below them by inotify(7), and tells what happens to the files
 * in them. New directories are watched as they come, and what is already in them is told as
 * created; of what is moved in from elsewhere, only itself is told. One thread.
 *
 * A rename from one watched place to another has both paths. One out of what is watched has no
 * `new_path`; of one into it, `path` is the new one, too. Which process it was is not known.
 */
#include "collectors/files/file_selection.h"
#include "core/buffer.h"

enum { TREE_WATCH_MOST = 65536 }; /* directories */

struct tree_watch;

/* A negative result of `take` ends the work, and is passed on. */
struct tree_watch_handlers {
    int (*take)(void *user, uint64_t boot_ns, const struct fact_file *file);
    int (*overrun)(void *user);
    void *user;
};

struct tree_watch_options {
    const char *trees;    /* directories, by blanks */
    bool unmarkable_only; /* leave out filesystems that fanotify watches */
    uint32_t most;        /* directories; 0: TREE_WATCH_MOST */
    const struct file_selection *selection;
    const struct tree_watch_handlers *handlers;
};

/** What the options point to has to outlive it, but not `trees`. */
int tree_watch_new(struct tree_watch **watchp, const struct tree_watch_options *options,
                   struct error_text *error) MUST_CHECK;
struct tree_watch *tree_watch_free(struct tree_watch *watch);
/** A descriptor that can be read when there is something for tree_watch_process; -1: there are no
 *  trees. It may be another one after each call of tree_watch_process. */
int tree_watch_fd(const struct tree_watch *watch);
/** Take what has come, and list some of the directories that wait for it. Never waits for events.
 */
int tree_watch_process(struct tree_watch *watch) MUST_CHECK;
/** What happened before this moment has been told; UINT64_MAX: no tree is watched. */
uint64_t tree_watch_told_until(const struct tree_watch *watch);
/** The last call: take what has come, and tell what waited for more of it. Of what takes too long,
 *  an overrun is told. */
int tree_watch_finish(struct tree_watch *watch) MUST_CHECK;
/** Look again for trees that were not there. */
int tree_watch_retry(struct tree_watch *watch) MUST_CHECK;
/** The time until tree_watch_process has to be called in any case, at most @p most_ms. */
unsigned tree_watch_timeout_ms(const struct tree_watch *watch, unsigned most_ms);
/** Every directory has been listed: what happens from now on is heard. */
bool tree_watch_settled(const struct tree_watch *watch);
/** Is any tree watched? */
bool tree_watch_active(const struct tree_watch *watch);
/** How many directories are. */
size_t tree_watch_count(const struct tree_watch *watch);
/** What is watched and what not; without @p exact, no numbers that change all the time. Each part
 *  begins with a semicolon. */
void tree_watch_append_note(const struct tree_watch *watch, bool exact, struct buffer *to);
