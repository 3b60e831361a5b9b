#pragma once
/* The command lines of the test programs: a table of long options, each a member of a structure. */
#include <stddef.h>

enum tool_option_kind {
    TOOL_TEXT,     /* const char * */
    TOOL_NUMBER,   /* uint64_t */
    TOOL_UNSIGNED, /* unsigned */
    TOOL_REAL,     /* double */
    TOOL_FLAG      /* bool, without a value */
};

struct tool_option {
    const char *name;
    enum tool_option_kind kind;
    size_t offset;
};

/** Sets members of @p settings. Words behind the first one that is no option are left alone.
 * Returns the index of that one in @p argv; ends the program with status 2 for an option that is
 * not there. */
int tool_options_parse(const struct tool_option *options, size_t n, void *settings, int argc,
                       char **argv);
