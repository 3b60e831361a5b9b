#pragma once
/*
 * The lines of passwd, shadow, group and gshadow. Pure. As lenient as the C library is: blanks
 * before a line do not count, fields behind the numbers may be missing, and a name that begins with
 * + or - stands for NIS and needs no numbers. What the C library would pass over is malformed.
 */
#include "core/slice.h"

enum {
    ACCOUNT_LINES_MOST = 1000000, /* of a file */
    ACCOUNT_LINE_MOST = 16 << 10, /* bytes of a line, but of one with members */
    ACCOUNT_NAME_MOST = 255       /* bytes */
};

struct account_lines {
    struct slice left;
    uint64_t n, n_malformed;
    bool beyond; /* there are more lines than may be */
};

struct account_lines account_lines_of(struct slice text);
/** The next line that is neither empty nor a comment; false: there is none. The caller adds to
 *  n_malformed what it cannot use. */
bool account_lines_next(struct account_lines *lines, struct slice *line);

struct passwd_line {
    struct slice name, password;
    uint32_t uid, gid;               /* ID_UNSET: there is none */
    struct slice gecos, home, shell; /* SLICE_NULL: missing */
};
bool passwd_line_parse(struct slice line, struct passwd_line *to);

struct group_line {
    struct slice name, password;
    uint32_t gid;         /* ID_UNSET: there is none */
    struct slice members; /* separated by commas */
};
bool group_line_parse(struct slice line, struct group_line *to);
/** The next member. Names that are too long are counted in *@p n_malformed and left out. */
bool group_member_next(struct slice *members, struct slice *name, uint64_t *n_malformed);

/** Of shadow and gshadow the first two fields. */
struct shadow_line {
    struct slice name, password;
};
bool shadow_line_parse(struct slice line, struct shadow_line *to);
