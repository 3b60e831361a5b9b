#pragma once
/*
 * A text in INI form, read by libinih. libinih is lenient: it cuts long lines, takes indented lines
 * for continuations, does not say where a key stood, and tells of sections only when they have
 * keys. So the lines are handed to it one by one, counted, and what it would misread is refused.
 */
#include "core/error.h"
#include "core/slice.h"

struct ini_lines {
    const char *name;  /* of the file, for errors */
    struct slice left; /* text that is not read yet */
    struct error_text *error;
    /** Each [section], also without keys; what is wrong goes to ini_lines_refuse(). */
    void (*on_section)(struct ini_lines *lines, const char *section);
    unsigned line, fault; /* the last line that was read, and the one that was refused; from 1 */
    int result;           /* negative: refused, and nothing is read any more */
};

/** A key below its section; "" above any. Returns 1, or what ini_lines_refuse() returns. */
typedef int (*ini_lines_handler)(void *user, const char *section, const char *name,
                                 const char *value);

/** Returns 0; -EINVAL: the first fault, as "NAME:LINE: ..." in the error; -ENOMEM. */
int ini_lines_parse(struct ini_lines *lines, ini_lines_handler handler, void *user) MUST_CHECK;

/** The line that was read last is wrong. Only the first fault is told. Returns 0. */
int ini_lines_refuse(struct ini_lines *lines, const char *format, ...) PRINTF(2, 3);
