/* getopt_long(3) does the reading; its table is built from ours, in which each option names the
 * group it belongs to and the function that keeps its value. Help is printed from the same table,
 * so that it cannot differ from what is accepted. */
#include "reports/options/options.h"
#include "reports/options/nearest.h"
#include "reports/options/time_words.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define OPTIONS_MAX       40
#define ACTIONS_MAX       16
#define NAME_COLUMN       28
#define INDENT_ROOM       20 /* of a terminal that is too narrow for it text stays as it is */

struct parse {
    struct options *options;
    const struct command_line *line;
    struct error_text *error;
    const char *since, *until;
};

struct common_option {
    const char *name;
    char letter; /* 0: none */
    enum options_group group;
    const char *value;
    const char *help;
    int (*keep)(struct parse *parse, const char *value);
};

static int keep_format(struct parse *parse, const char *value)
{
    static const char *const names[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_CSV] = "csv"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (!strcmp(value, names[i])) {
            parse->options->format = (enum output_format)i;
            return 0;
        }
    return error_set(parse->error, -EINVAL,
                     "--format %.40s: there is no such format; write table, json or csv", value);
}

static int parse_number(const char *name, const char *value, uint64_t least, uint64_t most,
                        uint64_t *number, struct error_text *error)
{
    char *end;
    errno = 0;
    *number = *value >= '0' && *value <= '9' ? strtoull(value, &end, 10) : 0;
    if (*value < '0' || *value > '9' || *end || errno || *number < least || *number > most)
        return error_set(error, -EINVAL,
                         "--%s %.40s: write a whole number from %" PRIu64 " to %" PRIu64, name,
                         value, least, most);
    return 0;
}

static int keep_port(struct parse *parse, const char *value)
{
    return parse_number("port", value, 1, 65535, &parse->options->port, parse->error);
}

static int keep_no_defaults(struct parse *parse, const char *value)
{
    (void)value;
    parse->options->no_defaults = true;
    return 0;
}

#define KEEP_TEXT(function, target)                                                                \
    static int function(struct parse *parse, const char *value)                                    \
    {                                                                                              \
        parse->target = value;                                                                     \
        return 0;                                                                                  \
    }

KEEP_TEXT(keep_state, options->state_directory)
KEEP_TEXT(keep_defaults_file, options->defaults_file)
KEEP_TEXT(keep_defaults_extra_file, options->defaults_extra_file)
KEEP_TEXT(keep_defaults_group_suffix, options->defaults_group_suffix)
KEEP_TEXT(keep_host, options->host)
KEEP_TEXT(keep_user, options->user)
KEEP_TEXT(keep_socket, options->socket)
KEEP_TEXT(keep_time_zone, options->time_zone)
KEEP_TEXT(keep_on, options->on)
KEEP_TEXT(keep_login_user, options->login_user)
KEEP_TEXT(keep_since, since)
KEEP_TEXT(keep_until, until)

static const struct common_option common[] = {
    {"on",                    0,   OPTIONS_EVIDENCE, "HOST",   "only evidence of this host (name or id)", keep_on         },
    {"login-user",            0,   OPTIONS_EVIDENCE, "USER",
     "only what this login user did (name, number or unset)",                                             keep_login_user },
    {"since",                 0,   OPTIONS_EVIDENCE, "TIME",
     "from then on: ISO 8601, \"2h ago\", now, recent, boot, today, ...",                                 keep_since      },
    {"until",                 0,   OPTIONS_EVIDENCE, "TIME",   "up to then; written as for --since",      keep_until      },
    {"format",                0,   OPTIONS_OUTPUT,   "FORMAT", "table (default), json or csv",            keep_format     },
    {"time-zone",             0,   OPTIONS_OUTPUT,   "ZONE",
     "read and show times in this zone, such as Europe/Athens (default UTC)",                             keep_time_zone  },
    {"state",                 0,   OPTIONS_STATE,    "DIR",    "the standalone instance in DIR",          keep_state      },
    {"defaults-file",         0,   OPTIONS_DATABASE, "FILE",   "read only this MariaDB option file",
     keep_defaults_file                                                                                                   },
    {"defaults-extra-file",   0,   OPTIONS_DATABASE, "FILE",   "read this option file after the others",
     keep_defaults_extra_file                                                                                             },
    {"defaults-group-suffix", 0,   OPTIONS_DATABASE, "SUFFIX", "read the groups with this suffix too",
     keep_defaults_group_suffix                                                                                           },
    {"no-defaults",           0,   OPTIONS_DATABASE, NULL,     "read no option file",                     keep_no_defaults},
    {"host",                  'h', OPTIONS_DATABASE, "NAME",   "the database server's name",              keep_host       },
    {"user",                  'u', OPTIONS_DATABASE, "NAME",   "the database account",                    keep_user       },
    {"port",                  'P', OPTIONS_DATABASE, "NUMBER", "the database server's port",              keep_port       },
    {"socket",                'S', OPTIONS_DATABASE, "PATH",   "the database server's unix socket",       keep_socket     },
};

static bool is_taken(const struct command_line *line, const struct common_option *option)
{
    return (line->groups & option->group) != 0;
}

static int keep_own(struct parse *parse, const struct option_own *own, const char *value)
{
    switch (own->kind) {
    case OPTION_FLAG:
        *(bool *)own->target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)own->target = value;
        return 0;
    case OPTION_NUMBER:
        return parse_number(own->name, value, own->least, own->most, own->target, parse->error);
    }
    return -EINVAL;
}

/* Columns of the terminal; 0: it is none, and lines stay as they are. */
static size_t terminal_width(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col;
}

/* An option stays behind the word before it: no line of a help that is none begins with one. */
static size_t word_length(const char *text)
{
    size_t length = strcspn(text, " \n");
    while (text[length] == ' ' && text[length + 1] == '-')
        length += 1 + strcspn(text + length + 1, " \n");
    return length;
}

/* Words from column @p at on, in lines that begin at @p indent. */
static void print_words(const char *text, size_t at, size_t indent, size_t width)
{
    if (width <= indent + INDENT_ROOM) {
        printf("%s\n", text);
        return;
    }
    for (bool first = true; *text; first = false) {
        size_t length = word_length(text);
        if (!first && at + 1 + length > width) {
            printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)length, text);
        at += length;
        text += length;
        text += strspn(text, " \n");
    }
    putchar('\n');
}

static void print_option(char letter, const char *name, const char *value, const char *help,
                         size_t width)
{
    char left[64];
    int length =
        snprintf(left, sizeof(left), "%s%c%s--%s%s%s", letter ? "-" : " ", letter ? letter : ' ',
                 letter ? ", " : "  ", name, value ? " " : "", value ? value : "");
    if (length > NAME_COLUMN)
        printf("  %s\n  %-*s ", left, NAME_COLUMN, "");
    else
        printf("  %-*s ", NAME_COLUMN, left);
    print_words(help, NAME_COLUMN + 3, NAME_COLUMN + 3, width);
}

static void print_help(const struct command_line *line)
{
    char usage[300];
    size_t width = terminal_width();
    snprintf(usage, sizeof(usage), "Usage: vestige %s [options]", line->words);
    print_words(usage, 0, strlen("Usage: "), width);
    putchar('\n');
    print_words(line->summary, 0, 0, width);
    printf("\nOptions:\n");
    for (size_t i = 0; i < line->n_own; i++)
        print_option(0, line->own[i].name, line->own[i].value, line->own[i].help, width);
    for (size_t i = 0; i < N_ELEMENTS(common); i++)
        if (is_taken(line, &common[i]))
            print_option(common[i].letter, common[i].name, common[i].value, common[i].help, width);
    print_option(0, "help", NULL, "show this", width);
}

enum { CODE_HELP = 1000, CODE_COMMON = 2000, CODE_OWN = 3000 };

struct long_options {
    struct option table[OPTIONS_MAX];
    char dashed[OPTIONS_MAX][40];   /* "--name" */
    const char *names[OPTIONS_MAX]; /* the same, as a list */
    size_t n;
    char letters[32];
};

static void add_long(struct long_options *all, const char *name, bool has_value, int code)
{
    if (all->n + 1 >= OPTIONS_MAX)
        return;
    snprintf(all->dashed[all->n], sizeof(all->dashed[0]), "--%s", name);
    all->names[all->n] = all->dashed[all->n];
    all->table[all->n++] =
        (struct option){name, has_value ? required_argument : no_argument, NULL, code};
}

static void collect(struct long_options *all, const struct command_line *line)
{
    char *letter = all->letters;
    *letter++ = ':';
    for (size_t i = 0; i < line->n_own; i++)
        add_long(all, line->own[i].name, line->own[i].kind != OPTION_FLAG, CODE_OWN + (int)i);
    for (size_t i = 0; i < N_ELEMENTS(common); i++) {
        if (!is_taken(line, &common[i]))
            continue;
        add_long(all, common[i].name, common[i].value != NULL, CODE_COMMON + (int)i);
        if (common[i].letter) {
            *letter++ = common[i].letter;
            *letter++ = ':';
        }
    }
    add_long(all, "help", false, CODE_HELP);
    *letter = '\0';
}

static int refuse_unknown(const struct parse *parse, const struct long_options *all,
                          const char *word)
{
    struct buffer hint = {.limit = 256};
    char name[64] = "";
    if (!strncmp(word, "--", 2)) {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
        nearest_append(&hint, name, all->names, all->n);
    }
    error_set(parse->error, 0, "unknown option %.80s%.*s%s see vestige %.*s --help", word,
              (int)hint.length, hint.data ? (const char *)hint.data : "", hint.length ? "" : ";",
              (int)strcspn(parse->line->words, " "), parse->line->words);
    buffer_deinit(&hint);
    return -EINVAL;
}

static int keep_code(struct parse *parse, int code, const char *value)
{
    if (code >= CODE_OWN) {
        parse->options->given_own |= UINT64_C(1) << (code - CODE_OWN);
        return keep_own(parse, &parse->line->own[code - CODE_OWN], value);
    }
    if (code >= CODE_COMMON)
        return common[code - CODE_COMMON].keep(parse, value);
    for (size_t i = 0; i < N_ELEMENTS(common); i++)
        if (common[i].letter == code)
            return common[i].keep(parse, value);
    return -EINVAL;
}

static int read_options(struct parse *parse, int argc, char **argv)
{
    struct long_options all = {.n = 0};
    collect(&all, parse->line);
    opterr = 0;
    optind = 0;
    for (;;) {
        int place = optind ? optind : 1;
        int code = getopt_long(argc, argv, all.letters, all.table, NULL);
        if (code == -1)
            return OPTIONS_READ;
        if (code == CODE_HELP) {
            print_help(parse->line);
            return OPTIONS_HELP_SHOWN;
        }
        if (code == ':')
            return error_set(parse->error, -EINVAL, "%.80s needs a value", argv[optind - 1]);
        if (code == '?')
            return refuse_unknown(parse, &all, argv[optind > place ? optind - 1 : place]);
        int error = keep_code(parse, code, optarg);
        if (error)
            return error;
    }
}

static int check_arguments(const struct parse *parse)
{
    const struct command_line *line = parse->line;
    size_t n = parse->options->n_arguments;
    if (n < line->least_arguments)
        return error_set(parse->error, -EINVAL, "too few words; usage: vestige %s", line->words);
    if (n > line->most_arguments)
        return error_set(parse->error, -EINVAL, "\"%.60s\" is one word too many; usage: vestige %s",
                         parse->options->arguments[line->most_arguments], line->words);
    return 0;
}

static int parse_moment(struct parse *parse, const char *name, const char *text, int64_t *us,
                        bool *has)
{
    struct error_text reason = ERROR_TEXT_NULL;
    struct time_reference reference = time_reference_now();
    if (!text)
        return 0;
    int error = time_words_parse(us, text, &reference, &reason);
    if (error)
        return error_set(parse->error, error, "--%s: %.480s", name, reason.text);
    *has = true;
    return 0;
}

/* Times are read last: the zone may be given after them. */
static int parse_times(struct parse *parse)
{
    struct options *options = parse->options;
    int error = time_zone_use(options->time_zone ? options->time_zone : "UTC", parse->error);
    if (!error)
        error = parse_moment(parse, "since", parse->since, &options->since_us, &options->has_since);
    if (!error)
        error = parse_moment(parse, "until", parse->until, &options->until_us, &options->has_until);
    if (!error && options->has_since && options->has_until && options->since_us > options->until_us)
        error = error_set(parse->error, -EINVAL, "--since is after --until");
    return error;
}

int options_parse(struct options *options, const struct command_line *line, int argc, char **argv,
                  struct error_text *error)
{
    struct parse parse = {.options = options, .line = line, .error = error};
    *options = (struct options){.format = OUTPUT_TABLE, .words = argv, .n_words = argc};
    int outcome = read_options(&parse, argc, argv);
    if (outcome)
        return outcome;
    options->arguments = argv + optind;
    options->n_arguments = (size_t)(argc - optind);
    outcome = check_arguments(&parse);
    return outcome ? outcome : parse_times(&parse);
}

int options_find_action(const char *command, const char *word, const void *table, size_t n,
                        size_t size, size_t *found, struct error_text *error)
{
    const char *names[ACTIONS_MAX];
    struct buffer hint = {.limit = 256};
    n = n < ACTIONS_MAX ? n : ACTIONS_MAX;
    for (size_t i = 0; i < n; i++) {
        memcpy(&names[i], (const char *)table + i * size, sizeof(names[i]));
        if (!strcmp(word, names[i])) {
            *found = i;
            return 0;
        }
    }
    nearest_append(&hint, word, names, n);
    error_set(error, 0, "there is no `vestige %s %.60s`%.*s (see vestige %s --help)", command, word,
              (int)hint.length, hint.data ? (const char *)hint.data : "", command);
    buffer_deinit(&hint);
    return -EINVAL;
}

int options_check_own(const struct options *options, const struct command_line *line,
                      const char *action, const char *taken, struct error_text *error)
{
    char word[64];
    for (size_t i = 0; i < line->n_own; i++) {
        snprintf(word, sizeof(word), " %s ", line->own[i].name);
        if (options->given_own >> i & 1 && !strstr(taken, word))
            return error_set(error, -EINVAL, "vestige %.*s %s does not take --%s",
                             (int)strcspn(line->words, " "), line->words, action,
                             line->own[i].name);
    }
    return 0;
}
