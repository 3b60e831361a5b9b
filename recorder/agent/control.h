#pragma once
/*
 * The agent answers on a unix stream socket (mode 0600): one request a connection, one line:
 *
 *   status               how the agent is doing
 *   sync MILLISECONDS    return once everything that was seen before can be queried
 *
 * The answer is a line "ok" or "error TEXT", then lines "key value", then the end of the stream.
 * Who connects must be root or the agent's own user. A client that sends no request, or does not
 * take its answer, is cut after 5 s; no client makes another one wait.
 */
#include "core/buffer.h"

enum {
    CONTROL_SYNC_MOST_MS = 3600000,
    CONTROL_SYNCS_MOST = 16,      /* that wait at the same time */
    CONTROL_CONNECTIONS_MOST = 64 /* further ones wait in the kernel's queue */
};

struct control;

struct control_ops {
    void *user;
    /** Append lines "key value\n". Called on the control thread; must not block. */
    void (*status)(void *user, struct buffer *out);
    /** May block for @p timeout_ms; called on a thread of its own, several at a time. Returns 0,
     * with lines in @p out, or a negative errno, with one line of text for a person in @p out (or
     * none).
     */
    int (*sync)(void *user, unsigned timeout_ms, struct buffer *out);
};

/** Whether @p path can be a socket's name. */
int control_check_path(const char *path, struct error_text *error) MUST_CHECK;
/** Make the socket and start the thread; without room for the socket it is made when there is some.
 * -EADDRINUSE: somebody answers there already; -EEXIST:
 * there is something at @p path that is no socket. A socket that nobody listens on is replaced. @p
 * ops is copied. */
int control_start(struct control **controlp, const char *path, const struct control_ops *ops,
                  struct error_text *error) MUST_CHECK;
/** Removes the socket and waits for the syncs that still run; make them return first. */
struct control *control_free(struct control *control);
