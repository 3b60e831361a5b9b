#pragma once
/*
 * The command line of a subcommand: options that mean the same everywhere, in groups of which a
 * subcommand takes those that it honours, and its own. The same tables make `--help`.
 */
#include "core/error.h"
#include "reports/output/output.h"

#include <stdbool.h>
#include <stdint.h>

enum options_group {
    OPTIONS_STATE = 1,    /* --state */
    OPTIONS_DATABASE = 2, /* --defaults-file and its family, --host, --user, --port, --socket */
    OPTIONS_OUTPUT = 4,   /* --format, --time-zone */
    OPTIONS_EVIDENCE = 8  /* --on, --login-user, --since, --until */
};

struct options {
    const char *state_directory; /* --state; NULL: not given */

    const char *defaults_file; /* as in every MariaDB tool; NULL: not given */
    const char *defaults_extra_file;
    const char *defaults_group_suffix;
    bool no_defaults;
    const char *host, *user, *socket;
    uint64_t port; /* 0: not given */

    enum output_format format;
    const char *time_zone; /* NULL: UTC */

    const char *on, *login_user; /* as written; NULL: not given */
    bool has_since, has_until;
    int64_t since_us, until_us; /* microseconds since 1970 */

    char **arguments; /* what is no option */
    size_t n_arguments;

    uint64_t given_own; /* bit i: the subcommand's own option i was given */

    char **words; /* all of them, the name of the subcommand first */
    int n_words;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER };

/* An option of one subcommand. The target is a bool, a const char * or a uint64_t, by kind. */
struct option_own {
    const char *name;
    enum option_kind kind;
    void *target;
    const char *value; /* how help names the value; NULL for a flag */
    const char *help;
    uint64_t least, most; /* for numbers */
};

struct command_line {
    const char *words;   /* "query SQL": the name and the arguments, for help */
    const char *summary; /* sentences for help */
    unsigned groups;     /* enum options_group */
    const struct option_own *own;
    size_t n_own;
    size_t least_arguments, most_arguments;
};

enum { OPTIONS_READ = 0, OPTIONS_HELP_SHOWN = 1 };

/** Fill @p options and the targets of the subcommand's own options. Strings point into @p argv.
 *  Sets the time zone of the process. Returns OPTIONS_READ; OPTIONS_HELP_SHOWN when --help was
 *  asked for and has been printed; or -EINVAL with the text for the user. */
int options_parse(struct options *options, const struct command_line *line, int argc, char **argv,
                  struct error_text *error) MUST_CHECK;

/** Find the action that @p word names in a table whose elements begin with their name; another word
 *  is refused with the nearest names. */
int options_find_action(const char *command, const char *word, const void *table, size_t n,
                        size_t size, size_t *found, struct error_text *error) MUST_CHECK;
/** Own options that @p action does not take are refused, because who gives one expects something of
 *  it. @p taken: their names, each between blanks (" bundle token "). */
int options_check_own(const struct options *options, const struct command_line *line,
                      const char *action, const char *taken, struct error_text *error) MUST_CHECK;
