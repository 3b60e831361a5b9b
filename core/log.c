/* One write(2) a line to standard error, so that lines of several threads never mix. Under systemd
 * (JOURNAL_STREAM set) each line starts with the level that sd-daemon(3) describes. The only state
 * of the process that is not owned by an object is the sink chosen at start. */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static log_function sink;
static void *sink_user;
static const char *program = "vestige";

void log_register(log_function function, void *user)
{
    sink = function;
    sink_user = user;
}

void log_set_program(const char *name)
{
    program = name;
}

static int debug_wanted(const char *subsystem)
{
    const char *mask = getenv("VESTIGE_DEBUG");
    if (!mask || !*mask)
        return 0;
    size_t length = strlen(subsystem);
    for (const char *at = mask; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, "all", 3) ||
            (!strncmp(at, subsystem, length) && (at[length] == ',' || at[length] == '\0')))
            return 1;
    }
    return 0;
}

/* Names that others gave may stand in a message: no control character of theirs reaches a terminal,
 * the second set (U+0080 to U+009F) neither. */
void log_make_safe(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c[0] = c[1] = '?';
        else if (*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

void log_message(enum log_level level, const char *subsystem, const char *format, ...)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
    static const char *const priorities[] = {"<3>", "<4>", "<5>", "<7>"};
    char text[1024], line[1200];

    if (level == LOG_LEVEL_DEBUG && !debug_wanted(subsystem))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_make_safe(text);
    if (sink) {
        sink(sink_user, level, subsystem, text);
        return;
    }
    int length = snprintf(line, sizeof(line), "%s%s: %s: %s%s\n",
                          getenv("JOURNAL_STREAM") ? priorities[level] : "", program, subsystem,
                          words[level], text);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        return;
}
