#pragma once
/*
 * Messages for the operator, each with the subsystem that speaks: "vestiged: audit: text".
 * Errors, warnings and notices are always shown; debug is shown for the subsystems named in the
 * environment variable VESTIGE_DEBUG (comma separated, `all`, `help`). Not for the hot path.
 * Control characters in what is printed are shown as `?`, so that evidence cannot drive a terminal.
 */
#include "core/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };

typedef void (*log_function)(void *user, enum log_level level, const char *subsystem,
                             const char *text);

/** Send messages to @p function instead of standard error; for tests. NULL restores. Call it
 *  before threads start. */
void log_register(log_function function, void *user);
/** The program's name at the start of each line; a string that lives for ever. */
void log_set_program(const char *name);
void log_message(enum log_level level, const char *subsystem, const char *format, ...) PRINTF(3, 4);

/** Make a text that others gave fit for a terminal, and for one line: control characters become
 * `?`.
 */
void log_make_safe(char *text);

#define log_error(subsystem, ...)   log_message(LOG_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define log_warning(subsystem, ...) log_message(LOG_LEVEL_WARNING, subsystem, __VA_ARGS__)
#define log_notice(subsystem, ...)  log_message(LOG_LEVEL_NOTICE, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)   log_message(LOG_LEVEL_DEBUG, subsystem, __VA_ARGS__)
