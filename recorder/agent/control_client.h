#pragma once
/* Asks the agent on this host. */
#include "core/buffer.h"

enum {
    CONTROL_OK = 0,
    CONTROL_REFUSED = 1 /* the agent answered, with an error, which is in the error text */
};

/** Send one request line (without newline) and wait at most @p timeout_ms for the whole answer. On
 *  CONTROL_OK @p answer has the lines behind "ok". Returns an outcome, or a negative errno with
 *  @p error set (-ENOENT, -ECONNREFUSED: no agent; -EACCES: not allowed; -ETIMEDOUT). */
int control_ask(const char *path, const char *request, unsigned timeout_ms, struct buffer *answer,
                struct error_text *error) MUST_CHECK;
