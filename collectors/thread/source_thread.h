#pragma once
/* The thread of a source that cannot be read without waiting. All signals are blocked in it, and it
 * has no rights but those that core/thread_rights.h gives to its name. */
#include "core/error.h"

#include <poll.h>
#include <stdbool.h>

enum {
    SOURCE_THREAD_FDS_MOST = 4,
    SOURCE_THREAD_END_MS = 500 /* for what a thread has to tell when it is told to end */
};

struct source_thread;

/** Starts @p run; @p name has to live as long. It may use *@p threadp, which is set before. */
int source_thread_new(struct source_thread **threadp, const char *name, void (*run)(void *user),
                      void *user, struct error_text *error) MUST_CHECK;
/** In the thread: wait for @p timeout_ms, a request or the end; may return early. Sets
 *  *@p requested. False: the thread has to end. */
bool source_thread_wait(struct source_thread *thread, unsigned timeout_ms, bool *requested);
/** The same, and until @p fd can be read; -1: none. */
bool source_thread_wait_for(struct source_thread *thread, int fd, unsigned timeout_ms,
                            bool *requested);
/** The same, and until one of at most SOURCE_THREAD_FDS_MOST descriptors has an event. */
bool source_thread_poll(struct source_thread *thread, struct pollfd *fds, unsigned n_fds,
                        unsigned timeout_ms, bool *requested);
/** End the wait now. Any thread. */
void source_thread_request(struct source_thread *thread);
/** Tell it to end, and join it. May be called again. */
void source_thread_stop(struct source_thread *thread);
/** Tell it to end, and wait at most @p timeout_ms for that. Returns whether it has ended; it is to
 *  be stopped in any case. */
bool source_thread_end_within(struct source_thread *thread, unsigned timeout_ms);
/** As source_thread_stop, for a thread that may be in a call that does not return. False: within
 *  @p timeout_ms it has not ended and is left behind; nothing of what it uses may be freed, ever.
 */
bool source_thread_stop_within(struct source_thread *thread, unsigned timeout_ms) MUST_CHECK;
/** In the thread: it has been told to end. */
bool source_thread_is_stopped(const struct source_thread *thread);
struct source_thread *source_thread_free(struct source_thread *thread);
