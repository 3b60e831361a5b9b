#pragma once
/*
 * Dumps of all sockets in the network namespace of the calling thread: by sock_diag, or, of the
 * kinds that this kernel's sock_diag does not know, from /proc/net. One thread an object.
 */
#include "core/error.h"
#include "core/slice.h"

struct buffer;
struct sock_dump;

/** Takes a message as in sock_diag_message.h. @p boot_ns: a moment before which all that it says
 * was not yet asked for. A negative result ends the dump. */
typedef int (*sock_dump_handler)(void *user, uint64_t boot_ns, struct slice message);

enum { SOCK_DUMP_INCOMPLETE = 1 }; /* some could not be dumped, or the kernel was interrupted */

int sock_dump_new(struct sock_dump **dumpp) MUST_CHECK;
struct sock_dump *sock_dump_free(struct sock_dump *dump);

/** Returns 0, SOCK_DUMP_INCOMPLETE, or the error of the handler. */
int sock_dump_run(struct sock_dump *dump, uint64_t netns, sock_dump_handler handler,
                  void *user) MUST_CHECK;

/** Whether TCP sockets come from /proc/net. */
bool sock_dump_without_tcp(const struct sock_dump *dump);
/** The names of all kinds that come from /proc/net, with commas. */
void sock_dump_append_missing(const struct sock_dump *dump, struct buffer *to);
