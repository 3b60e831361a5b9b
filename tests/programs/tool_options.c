/* getopt_long(3) does the work; each option has the number of its entry in the table. */
#include "tool_options.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { OPTIONS_MOST = 64 };

static void set(void *member, enum tool_option_kind kind, const char *value)
{
    switch (kind) {
    case TOOL_TEXT:
        *(const char **)member = value;
        break;
    case TOOL_NUMBER:
        *(uint64_t *)member = strtoull(value, NULL, 10);
        break;
    case TOOL_UNSIGNED:
        *(unsigned *)member = (unsigned)strtoul(value, NULL, 10);
        break;
    case TOOL_REAL:
        *(double *)member = strtod(value, NULL);
        break;
    case TOOL_FLAG:
        *(bool *)member = true;
        break;
    }
}

int tool_options_parse(const struct tool_option *options, size_t n, void *settings, int argc,
                       char **argv)
{
    struct option known[OPTIONS_MOST + 1] = {{0}};
    if (n > OPTIONS_MOST)
        abort();
    for (size_t i = 0; i < n; i++)
        known[i] = (struct option){options[i].name,
                                   options[i].kind == TOOL_FLAG ? no_argument : required_argument,
                                   NULL, 1};
    for (int option, index; (option = getopt_long(argc, argv, "+", known, &index)) != -1;) {
        if (option != 1)
            exit(2);
        set((char *)settings + options[index].offset, options[index].kind, optarg);
    }
    return optind;
}
