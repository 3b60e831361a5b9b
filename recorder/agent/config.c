/* libinih splits the lines; one table says what each key is. libinih is lenient: it cuts long
 * lines, takes indented lines for continuations, and does not say where a key stood. So the lines
 * are handed to it by a reader of ours, which counts them and refuses what libinih would misread.
 */
#include "recorder/agent/config.h"

#include "core/cleanup.h"
#include "core/slice.h"

#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>

enum { FILE_MOST = 64 << 10, LIST_LINE_MOST = 80 };

enum key_type { KEY_U32, KEY_U64, KEY_PATH, KEY_WORD, KEY_TEXT, KEY_LIST };

struct key {
    const char *section, *name;
    enum key_type type;
    size_t offset;
    uint64_t least, most, value; /* numbers, with the default */
    const char *text; /* paths, texts, lists: the default. Words: all, the default first */
    const char *unit;
    const char *help;
};

#define NUMBER(type, section, name, member, least, most, value, unit, help)                        \
    {                                                                                              \
        section, name, type, offsetof(struct config, member), least, most, value, NULL, unit, help \
    }
#define PATH(section, name, member, path, help)                                                    \
    {                                                                                              \
        section, name, KEY_PATH, offsetof(struct config, member), 0, 0, 0, path, NULL, help        \
    }
#define TEXT(section, name, member, text, help)                                                    \
    {                                                                                              \
        section, name, KEY_TEXT, offsetof(struct config, member), 0, 0, 0, text, NULL, help        \
    }
#define LIST(section, name, member, words, help)                                                   \
    {                                                                                              \
        section, name, KEY_LIST, offsetof(struct config, member), 0, 0, 0, words, NULL, help       \
    }
#define WORD(section, name, member, words, help)                                                   \
    {                                                                                              \
        section, name, KEY_WORD, offsetof(struct config, member), 0, 0, 0, words, NULL, help       \
    }

/* clang-format off */
static const struct key keys[] = {
    PATH("agent", "state_directory", state_directory, "/var/lib/vestige/agent",
         "Where the agent keeps its journal, its state and its socket"),
    NUMBER(KEY_U64, "agent", "host_id", host_id, 0, INT64_MAX, 0, NULL,
           "Number of this host, given by `vestige client enroll`; 0: not enrolled"),
    PATH("agent", "defaults_file", defaults_file, "/etc/vestige/agent.cnf",
         "MariaDB option file with group [vestige]: where the server is, and the agent's account"),
    PATH("agent", "signing_key", signing_key, SIGNING_KEY_DEFAULT,
         "The key that signs this host's batches; without the file they are not signed"),
    TEXT("agent", "user", user, "vestige",
         "The system user that the agent becomes when it has started; empty: it stays who starts it"),
    WORD("agent", "seccomp", seccomp, "on log off",
         "System calls that it never makes: on: refused; log: only written to audit; off: allowed"),

    NUMBER(KEY_U32, "reader", "interval_ms", reader_interval_ms, 10, 20, 20, "milliseconds",
           "Time between two readings of all sockets"),
    NUMBER(KEY_U32, "reader", "receive_buffer_kib", receive_buffer_kib, 4, 1048576, 65536, "KiB",
           "Receive buffer of each socket; it has to hold what comes while the agent cannot run"),
    NUMBER(KEY_U32, "reader", "queue_mib", queue_mib, 1, 1024, 16, "MiB",
           "Most memory for messages that are read but not yet followed up"),

    WORD("audit", "mode", audit_mode, "auto guest off",
         "auto: own audit when nobody does; guest: only listen; off: do not use it"),
    WORD("audit", "rules", audit_rules, "own none",
         "own: add the rules that are needed; none: this host has such rules already"),
    NUMBER(KEY_U32, "audit", "backlog_limit", audit_backlog_limit, 1, 1048576, 8192, "records",
           "Most records that wait in the kernel while the agent owns audit"),

    WORD("connector", "mode", connector_mode, "on off",
         "Births, execs and deaths of processes, from the process connector"),
    WORD("taskstats", "mode", taskstats_mode, "on off",
         "Ends and resource use of processes, from taskstats"),

    NUMBER(KEY_U32, "proc", "interval_ms", proc_interval_ms, 50, 60000, 250, "milliseconds",
           "Time between two looks for new processes in /proc"),
    NUMBER(KEY_U32, "proc", "full_interval_s", proc_full_interval_s, 1, 3600, 10, "seconds",
           "Time between two looks at all processes in /proc"),

    WORD("sock_diag", "mode", sock_diag_mode, "on off",
         "Sockets that exist, and their ends, from sock_diag"),
    NUMBER(KEY_U32, "sock_diag", "interval_s", sock_diag_interval_s, 1, 3600, 30, "seconds",
           "Time between two looks at all sockets"),
    WORD("bpf", "mode", bpf_mode, "on off",
         "Which process opened or accepted a connection, from BPF programs where they load"),
    WORD("rtnetlink", "mode", rtnetlink_mode, "on off",
         "Interface addresses and routes, from rtnetlink"),

    WORD("names", "resolve", resolve_mode, "on off",
         "Look up the names of remote addresses, in /etc/hosts and by DNS"),
    TEXT("names", "servers", name_servers, "",
         "Name servers, ADDRESS or ADDRESS:PORT, separated by commas; empty: those of the system"),
    NUMBER(KEY_U32, "names", "timeout_ms", name_timeout_ms, 100, 30000, 2000, "milliseconds",
           "How long a name server may take to answer"),
    NUMBER(KEY_U32, "names", "cache_entries", name_cache_entries, 64, 1048576, 16384, "addresses",
           "Most addresses whose names, or the lack of one, are remembered"),
    NUMBER(KEY_U32, "names", "user_keep_s", user_keep_s, 1, 86400, 600, "seconds",
           "How long the name service switch (LDAP, sssd ...) is believed about a user"),
    NUMBER(KEY_U32, "names", "user_absent_s", user_absent_s, 1, 86400, 60, "seconds",
           "And that it knows no such user, or cannot tell"),

    WORD("programs", "hash", programs_hash, "on off",
         "Size, time and SHA-256 of the programs that are executed"),
    NUMBER(KEY_U32, "programs", "largest_mib", programs_largest_mib, 1, 1048576, 256, "MiB",
           "Largest program that is read for its SHA-256"),

    WORD("files", "mode", files_mode, "auto inotify off",
         "Files in use. auto: by fanotify where it can; inotify: the trees only; off: not at all"),
    LIST("files", "include", files_include, "",
         "Paths to record; empty: all"),
    LIST("files", "exclude", files_exclude,
         "/proc/* /sys/* /dev/pts/* /dev/null /dev/zero /dev/full /dev/tty /dev/random /dev/urandom",
         "Paths of which nothing is recorded"),
    LIST("files", "exclude_reads", files_exclude_reads,
         "/usr/* /lib/* /lib32/* /lib64/* /libx32/* /bin/* /sbin/* /etc/ld.so.cache "
         "/etc/ld.so.conf /etc/ld.so.conf.d/* /etc/locale.alias /etc/localtime /etc/nsswitch.conf "
         "/var/cache/fontconfig/*",
         "Paths of which changes only are recorded, not who read or executed them"),
    LIST("files", "exclude_types", files_exclude_types,
         "proc sysfs devpts cgroup cgroup2 debugfs tracefs securityfs bpf configfs pstore efivarfs "
         "hugetlbfs mqueue fusectl binfmt_misc nsfs autofs rpc_pipefs",
         "Types of filesystems that are not watched"),
    LIST("files", "exclude_programs", files_exclude_programs, "",
         "Programs whose use of files is not recorded"),
    LIST("files", "trees", files_trees, "/etc /root /home /tmp /var/tmp /opt /srv",
         "Directories that are watched by inotify, where fanotify cannot"),
    NUMBER(KEY_U32, "files", "rate_per_program", files_rate_per_program, 0, 1000000, 1000,
           "rows a second",
           "Most rows of one program, ten times as many after a quiet time; 0: no limit"),
    NUMBER(KEY_U32, "files", "scan_interval_s", files_scan_interval_s, 1, 3600, 30, "seconds",
           "Time between two looks at all open files in /proc"),

    WORD("devices", "mode", devices_mode, "on off",
         "Devices that are there, come and go, from udev or the kernel"),
    WORD("accounts", "mode", accounts_mode, "on off",
         "Accounts, groups and members, from passwd, shadow, group and gshadow"),
    PATH("accounts", "directory", accounts_directory, "/etc",
         "Where these files are"),
    WORD("sessions", "mode", sessions_mode, "on off",
         "Logins and failed logins that are written down in the files below"),
    PATH("sessions", "utmp", sessions_utmp, "/var/run/utmp",
         "Who is logged in"),
    PATH("sessions", "wtmp", sessions_wtmp, "/var/log/wtmp",
         "Who was logged in; read from its beginning at the first start"),
    PATH("sessions", "btmp", sessions_btmp, "/var/log/btmp",
         "Who could not log in; likewise"),
    NUMBER(KEY_U32, "sessions", "merge_ms", sessions_merge_ms, 50, 10000, 2000, "milliseconds",
           "What audit and these files say of one login comes within this time"),
    WORD("kernel_events", "mode", kernel_events_mode, "on off",
         "Modules, mounts, ptrace, namespaces, BPF, io_uring, kexec and the clock, from audit"),
    WORD("kernel_events", "paths", kernel_events_paths, "on off",
         "Where is mounted and unmounted; as owner of audit this costs two records more an exec"),

    WORD("masking", "mode", masking_mode, "on off",
         "Mask passwords and tokens in command lines before they are written anywhere"),
    TEXT("masking", "rules", masking_rules, "",
         "A file with more rules than the usual ones, which vestiged --dump-masking shows"),

    NUMBER(KEY_U32, "journal", "limit_mib", journal_limit_mib, 0, 1048576, 0, "MiB",
           "Most disk space; 0: 8192 or a tenth of the filesystem, whichever is less"),

    NUMBER(KEY_U32, "process", "settle_ms", settle_ms, 50, 1000, 250, "milliseconds",
           "How long a new process waits for all sources before its row is written"),
    NUMBER(KEY_U32, "process", "remember_s", remember_s, 1, 600, 60, "seconds",
           "How long an ended process is remembered for what comes late"),
    NUMBER(KEY_U32, "process", "remember_mib", remember_mib, 1, 1024, 8, "MiB",
           "Most memory for ended processes"),
    NUMBER(KEY_U32, "process", "fork_ms", fork_ms, 10, 1000, 100, "milliseconds",
           "A process that has not executed a program after this time gets a row of its own"),

    NUMBER(KEY_U32, "database", "retry_first_ms", retry_first_ms, 10, 60000, 200, "milliseconds",
           "Longest wait after the first failure to ship, any time up to it; it doubles with each further one"),
    NUMBER(KEY_U32, "database", "retry_most_ms", retry_most_ms, 10, 3600000, 30000, "milliseconds",
           "Longest wait between two attempts to ship"),
};
/* clang-format on */
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };
_Static_assert(N_KEYS <= 64, "one bit a key");

/* Words of a configuration live as long as the program: this is all of them. */
static const char *const words[] = {"auto", "guest", "off", "own", "none", "on", "log", "inotify"};

struct parser {
    struct config *config;
    const char *name;
    struct slice left; /* text not yet read */
    unsigned line;     /* of the last line that was read */
    unsigned fault;    /* the line that was refused */
    uint64_t seen;     /* a bit a key */
    int result;
    struct error_text *error;
};

static const char *find_word(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i]) == length && !memcmp(words[i], word, length))
            return words[i];
    return NULL;
}

/* The word of a list that equals @p value; NULL: none. */
static const char *choose(const char *list, const char *value)
{
    size_t length = strlen(value);
    while (*list && length > 0) {
        size_t n = strcspn(list, " ");
        if (n == length && !memcmp(list, value, n))
            return find_word(list, n);
        list += n + strspn(list + n, " ");
    }
    return NULL;
}

static void *member(struct config *config, const struct key *key)
{
    return (uint8_t *)config + key->offset;
}

static void set_number(struct config *config, const struct key *key, uint64_t value)
{
    if (key->type == KEY_U32)
        *(uint32_t *)member(config, key) = (uint32_t)value;
    else
        *(uint64_t *)member(config, key) = value;
}

static uint64_t get_number(const struct config *config, const struct key *key)
{
    const void *at = (const uint8_t *)config + key->offset;
    return key->type == KEY_U32 ? *(const uint32_t *)at : *(const uint64_t *)at;
}

int config_new(struct config **configp)
{
    struct config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    for (const struct key *key = keys; key < keys + N_KEYS; key++)
        if (key->type == KEY_PATH || key->type == KEY_TEXT)
            snprintf(member(config, key), CONFIG_PATH_SIZE, "%s", key->text);
        else if (key->type == KEY_LIST)
            snprintf(member(config, key), CONFIG_LIST_SIZE, "%s", key->text);
        else if (key->type == KEY_WORD)
            *(const char **)member(config, key) = find_word(key->text, strcspn(key->text, " "));
        else
            set_number(config, key, key->value);
    *configp = config;
    return 0;
}

struct config *config_free(struct config *config)
{
    free(config);
    return NULL;
}

/* Only the first fault is told. Returns what a handler of libinih returns for a fault. */
static int refuse(struct parser *parser, const char *format, ...) PRINTF(2, 3);

static int refuse(struct parser *parser, const char *format, ...)
{
    char text[320];
    va_list arguments;
    if (parser->result < 0)
        return 0;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    parser->fault = parser->line;
    parser->result =
        error_set(parser->error, -EINVAL, "%s:%u: %s", parser->name, parser->line, text);
    return 0;
}

/* A list of what is allowed, for the error: sections, or the keys of one section. */
static const char *known_names(const char *section, char *to, size_t size)
{
    size_t length = 0;
    to[0] = '\0';
    for (size_t i = 0; i < N_KEYS && length < size; i++) {
        if (section ? strcmp(keys[i].section, section) != 0
                    : i > 0 && !strcmp(keys[i].section, keys[i - 1].section))
            continue;
        int n = snprintf(to + length, size - length, "%s%s", length ? ", " : "",
                         section ? keys[i].name : keys[i].section);
        length += n > 0 ? (size_t)n : 0;
    }
    return to;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (!strcmp(keys[i].section, name))
            return true;
    return false;
}

static int refuse_section(struct parser *parser, const char *section)
{
    char list[256];
    return refuse(parser, "unknown section [%.50s]; there are: %s", section,
                  known_names(NULL, list, sizeof(list)));
}

static int refuse_key(struct parser *parser, const char *section, const char *name)
{
    char list[256];
    if (section[0] == '\0')
        return refuse(parser, "%.50s stands before any [section]; put it below one", name);
    if (!is_section(section))
        return refuse_section(parser, section);
    return refuse(parser, "unknown key %.50s; in [%s] there are: %s", name, section,
                  known_names(section, list, sizeof(list)));
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    *value = number;
    return *end == '\0' && errno == 0;
}

static int take_number(struct parser *parser, const struct key *key, const char *value)
{
    uint64_t number;
    if (!parse_number(value, &number) || number < key->least || number > key->most)
        return refuse(parser, "%s = %.40s: write a number from %llu to %llu%s%s", key->name, value,
                      (unsigned long long)key->least, (unsigned long long)key->most,
                      key->unit ? ", in " : "", key->unit ? key->unit : "");
    set_number(parser->config, key, number);
    return 1;
}

static int take_path(struct parser *parser, const struct key *key, const char *value)
{
    if (value[0] != '/' || strlen(value) >= CONFIG_PATH_SIZE)
        return refuse(parser, "%s = %.40s: write an absolute path of at most %d bytes", key->name,
                      value, CONFIG_PATH_SIZE - 1);
    snprintf(member(parser->config, key), CONFIG_PATH_SIZE, "%s", value);
    return 1;
}

static int take_text(struct parser *parser, const struct key *key, const char *value)
{
    if (strlen(value) >= CONFIG_PATH_SIZE)
        return refuse(parser, "%s = %.40s...: write at most %d bytes", key->name, value,
                      CONFIG_PATH_SIZE - 1);
    snprintf(member(parser->config, key), CONFIG_PATH_SIZE, "%s", value);
    return 1;
}

/* Lines are short, so a list may have several; the first one takes the place of the default. */
static int take_list(struct parser *parser, const struct key *key, const char *value, bool first)
{
    char *list = member(parser->config, key);
    if (first)
        list[0] = '\0';
    size_t used = strlen(list);
    const char *blank = used && *value ? " " : "";
    int length = snprintf(list + used, CONFIG_LIST_SIZE - used, "%s%s", blank, value);
    if (used + (size_t)length < CONFIG_LIST_SIZE)
        return 1;
    list[used] = '\0';
    return refuse(parser, "%s has more than %d bytes in all; shorten it", key->name,
                  CONFIG_LIST_SIZE - 1);
}

static int take_word(struct parser *parser, const struct key *key, const char *value)
{
    const char *word = choose(key->text, value);
    if (!word)
        return refuse(parser, "%s = %.40s: write one of: %s", key->name, value, key->text);
    *(const char **)member(parser->config, key) = word;
    return 1;
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *parser = user;
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *key = &keys[i];
        if (strcmp(key->section, section) || strcmp(key->name, name))
            continue;
        bool first = !(parser->seen & UINT64_C(1) << i);
        if (!first && key->type != KEY_LIST)
            return refuse(parser, "%s is given twice in [%s]; remove one", name, section);
        parser->seen |= UINT64_C(1) << i;
        if (key->type == KEY_PATH)
            return take_path(parser, key, value);
        if (key->type == KEY_TEXT)
            return take_text(parser, key, value);
        if (key->type == KEY_LIST)
            return take_list(parser, key, value, first);
        if (key->type == KEY_WORD)
            return take_word(parser, key, value);
        return take_number(parser, key, value);
    }
    return refuse_key(parser, section, name);
}

/* What libinih would take for something else than it looks like. */
static bool acceptable(struct parser *parser, struct slice line, size_t most)
{
    if (line.length > most)
        refuse(parser, "the line is longer than %zu bytes; shorten it", most);
    for (size_t i = 0; i < line.length && parser->result == 0; i++)
        if (line.data[i] < ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            refuse(parser, "byte %zu is a control character; remove it", i + 1);
    size_t start = 0;
    while (start < line.length && memchr(" \t\r", line.data[start], 3))
        start++;
    bool content = start < line.length && line.data[start] != '#' && line.data[start] != ';';
    if (parser->result == 0 && content && start > 0)
        refuse(parser, "the line begins with a blank; remove it");
    return parser->result == 0;
}

/* libinih tells of sections only when they have keys. */
static void check_section(struct parser *parser, const char *line)
{
    char section[CONFIG_PATH_SIZE];
    size_t length = strcspn(line, "]");
    if (line[0] != '[' || line[length] == '\0' || length >= sizeof(section))
        return;
    snprintf(section, sizeof(section), "%.*s", (int)length - 1, line + 1);
    if (!is_section(section))
        refuse_section(parser, section);
}

/* The ini_reader: works as fgets(3). After a fault there is no more to read. */
static char *next_line(char *to, int size, void *stream)
{
    struct parser *parser = stream;
    struct slice *left = &parser->left;
    if (left->length == 0 || parser->result < 0)
        return NULL;
    const uint8_t *newline = memchr(left->data, '\n', left->length);
    size_t length = newline ? (size_t)(newline - left->data) : left->length;
    parser->line++;
    if (!acceptable(parser, slice_of(left->data, length), (size_t)size - 3))
        return NULL;
    memcpy(to, left->data, length);
    to[length] = '\0';
    check_section(parser, to);
    size_t step = length + (newline ? 1 : 0);
    *left = slice_of(left->data + step, left->length - step);
    return parser->result == 0 ? to : NULL;
}

static void parse_lines(struct parser *parser)
{
    struct slice byte_order_mark = slice_text("\xef\xbb\xbf");
    if (parser->left.length >= byte_order_mark.length &&
        slice_equal(slice_of(parser->left.data, byte_order_mark.length), byte_order_mark))
        parser->left = slice_of(parser->left.data + byte_order_mark.length,
                                parser->left.length - byte_order_mark.length);
    int r = ini_parse_stream(next_line, parser, take_key, parser);
    if (parser->result == 0 && r == -2)
        parser->result = error_set(parser->error, -ENOMEM, "%s: out of memory", parser->name);
    /* libinih tells its own faults at the end: this one may have come before ours */
    if (r > 0 && (parser->result == 0 || (unsigned)r < parser->fault)) {
        parser->line = (unsigned)r;
        parser->result = 0;
        refuse(parser, "neither a [section] nor `key = value`");
    }
}

int config_parse(struct config *config, const char *name, struct slice text,
                 struct error_text *error)
{
    struct parser parser = {.config = config, .name = name, .left = text, .error = error};
    if (text.length > FILE_MOST)
        return error_set(error, -EINVAL,
                         "%s: larger than %d KiB; this is no configuration of "
                         "vestiged",
                         name, FILE_MOST >> 10);
    parse_lines(&parser);
    if (parser.result == 0 && config->retry_first_ms > config->retry_most_ms)
        return error_set(error, -EINVAL,
                         "%s: retry_first_ms (%u) is more than retry_most_ms (%u); "
                         "lower it",
                         name, config->retry_first_ms, config->retry_most_ms);
    return parser.result;
}

static int read_file(const char *path, struct buffer *to)
{
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    uint8_t *room = buffer_reserve(to, FILE_MOST + 1);
    if (!room)
        return -ENOMEM;
    errno = 0;
    to->length = fread(room, 1, FILE_MOST + 1, file);
    return ferror(file) ? (errno ? -errno : -EIO) : 0;
}

int config_load(struct config **configp, const char *path, struct error_text *error)
{
    struct config *config = NULL;
    struct buffer text = BUFFER_NULL;
    int r = read_file(path, &text);
    if (r < 0)
        error_set(error, r, "%s: cannot read it: %s", path, strerror(-r));
    if (r == 0)
        r = config_new(&config);
    if (r == 0)
        r = config_parse(config, path, buffer_slice(&text), error);
    buffer_deinit(&text);
    if (r < 0) {
        config_free(config);
        return r;
    }
    *configp = config;
    return 0;
}

static void dump_help(const struct key *key, struct buffer *to)
{
    buffer_printf(to, "# %s.\n", key->help);
    if (key->type == KEY_WORD)
        buffer_printf(to, "# One of: %s.\n", key->text);
    else if (key->type == KEY_PATH)
        buffer_printf(to, "# An absolute path.\n");
    else if (key->type == KEY_LIST)
        buffer_append_text(to, "# Words by blanks; several lines add up.\n");
    else if (key->type == KEY_TEXT)
        buffer_printf(to, "# At most %d bytes.\n", CONFIG_PATH_SIZE - 1);
    else
        buffer_printf(to, "# %llu to %llu%s%s.\n", (unsigned long long)key->least,
                      (unsigned long long)key->most, key->unit ? " " : "",
                      key->unit ? key->unit : "");
}

/* As many words a line as libinih takes. */
static void dump_list(const struct key *key, const char *list, struct buffer *to)
{
    size_t room = 0;
    buffer_printf(to, "%s =", key->name);
    for (size_t length; *list; list += length + strspn(list + length, " ")) {
        length = strcspn(list, " ");
        room += length + 1;
        if (room > LIST_LINE_MOST && room > length + 1) {
            buffer_printf(to, "\n%s =", key->name);
            room = length + 1;
        }
        buffer_printf(to, " %.*s", (int)length, list);
    }
    buffer_append_text(to, room ? "\n" : " \n");
}

static void dump_value(const struct config *config, const struct key *key, struct buffer *to)
{
    const void *at = (const uint8_t *)config + key->offset;
    if (key->type == KEY_LIST) {
        dump_list(key, at, to);
        return;
    }
    buffer_printf(to, "%s = ", key->name);
    if (key->type == KEY_PATH || key->type == KEY_TEXT)
        buffer_append_text(to, at);
    else if (key->type == KEY_WORD)
        buffer_append_text(to, *(const char *const *)at);
    else
        buffer_append_u64(to, get_number(config, key));
    buffer_append_byte(to, '\n');
}

void config_dump(const struct config *config, struct buffer *to)
{
    buffer_append_text(to,
                       "# The configuration of vestiged. What is left out here has the default.\n");
    for (size_t i = 0; i < N_KEYS; i++) {
        if (i == 0 || strcmp(keys[i].section, keys[i - 1].section))
            buffer_printf(to, "\n[%s]\n", keys[i].section);
        dump_help(&keys[i], to);
        dump_value(config, &keys[i], to);
    }
}
