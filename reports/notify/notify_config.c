/* libinih splits the lines (core/ini_lines.c); a table says what each key is, and who checks it. */
#include "reports/notify/notify_config.h"
#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/ini_lines.h"
#include "reports/options/nearest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define FILE_MOST         (64 << 10)

struct parser {
    struct ini_lines lines;
    struct notify_config *config;
    unsigned seen; /* a bit a key */
};

typedef int (*check_function)(struct parser *parser, const char *name, const char *value);

static int check_mail(struct parser *parser, const char *name, const char *value);
static int check_path(struct parser *parser, const char *name, const char *value);
static int check_command(struct parser *parser, const char *name, const char *value);
static int check_webhook(struct parser *parser, const char *name, const char *value);
static int check_header(struct parser *parser, const char *name, const char *value);

enum key_type { KEY_TEXT, KEY_LINES, KEY_NUMBER };

static const struct key {
    const char *name;
    enum key_type type;
    size_t offset;
    check_function check;
    unsigned least, most;
} keys[] = {
#define TEXT(name, check)                                                                          \
    {                                                                                              \
#name, KEY_TEXT, offsetof(struct notify_config, name), check, 0, 0                         \
    }
#define NUMBER(name, least, most)                                                                  \
    {                                                                                              \
#name, KEY_NUMBER, offsetof(struct notify_config, name), NULL, least, most                 \
    }
    TEXT(mail, check_mail),
    TEXT(mail_from, check_mail),
    TEXT(sendmail, check_path),
    TEXT(command, check_command),
    TEXT(webhook, check_webhook),
    {"webhook_header", KEY_LINES, offsetof(struct notify_config, webhook_header), check_header, 0,
                             0},
    TEXT(webhook_headers, check_path),
    NUMBER(attempts, 1, 10),
    NUMBER(retry_seconds, 0, 300),
    NUMBER(timeout_seconds, 1, 600),
    NUMBER(most, 1, 1000),
};

/* Only what cannot be anything else in a header of a mail. */
static bool is_mail(const char *value, bool several)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               ".!#$%&'*+/=?^_`{|}~@-";
    for (const char *at = value;;) {
        at += strspn(at, " \t");
        size_t length = strspn(at, good);
        const char *behind = at + length + strspn(at + length, " \t");
        if (!length || *at == '-' || (*behind && (*behind != ',' || !several)))
            return false;
        if (!*behind)
            return true;
        at = behind + 1;
    }
}

static int check_mail(struct parser *parser, const char *name, const char *value)
{
    bool several = !strcmp(name, "mail");
    return is_mail(value, several)
               ? 1
               : ini_lines_refuse(&parser->lines, "%s = %.60s: write a mail address%s", name, value,
                                  several ? ", or several with commas between" : "");
}

static int check_path(struct parser *parser, const char *name, const char *value)
{
    return value[0] == '/' ? 1
                           : ini_lines_refuse(&parser->lines, "%s = %.60s: write an absolute path",
                                              name, value);
}

static int check_command(struct parser *parser, const char *name, const char *value)
{
    size_t n = 0;
    for (const char *at = value; *at; n++) {
        at += strcspn(at, " \t");
        at += strspn(at, " \t");
    }
    return n <= NOTIFY_WORDS_MOST ? check_path(parser, name, value)
                                  : ini_lines_refuse(&parser->lines, "%s has more than %d words",
                                                     name, NOTIFY_WORDS_MOST);
}

/* The rest of the address may be a secret, so no message has it. */
static int check_webhook(struct parser *parser, const char *name, const char *value)
{
    const char *host = strstr(value, "://");
    if ((strncmp(value, "https://", 8) && strncmp(value, "http://", 7)) || !host[3])
        return ini_lines_refuse(&parser->lines,
                                "%s: write an address that begins with https:// or http://", name);
    return 1;
}

static int check_header(struct parser *parser, const char *name, const char *value)
{
    const char *colon = strchr(value, ':');
    return colon && colon > value && colon[1]
               ? 1
               : ini_lines_refuse(&parser->lines,
                                  "%s: write NAME: VALUE, for example Authorization: Bearer ...",
                                  name);
}

static int take_number(struct parser *parser, const struct key *key, const char *value)
{
    char *end = NULL;
    unsigned long number = *value >= '0' && *value <= '9' ? strtoul(value, &end, 10) : 0;
    if (!end || *end || number < key->least || number > key->most)
        return ini_lines_refuse(&parser->lines, "%s = %.40s: write a number from %u to %u",
                                key->name, value, key->least, key->most);
    *(unsigned *)(void *)((char *)parser->config + key->offset) = (unsigned)number;
    return 1;
}

static int take_text(struct parser *parser, const struct key *key, const char *value, bool first)
{
    char *text = (char *)parser->config + key->offset;
    size_t used = first ? 0 : strlen(text);
    if (!*value)
        return ini_lines_refuse(&parser->lines, "%s has no value; leave the line out", key->name);
    if (used + strlen(value) + 2 > NOTIFY_TEXT_SIZE)
        return ini_lines_refuse(&parser->lines, "%s has more than %d bytes", key->name,
                                NOTIFY_TEXT_SIZE - 2);
    if (!key->check(parser, key->name, value))
        return 0;
    snprintf(text + used, NOTIFY_TEXT_SIZE - used, "%s%s", used ? "\n" : "", value);
    return 1;
}

static int refuse_key(struct parser *parser, const char *name)
{
    const char *names[N_ELEMENTS(keys)];
    struct buffer hint = {.limit = 200};
    for (size_t i = 0; i < N_ELEMENTS(keys); i++)
        names[i] = keys[i].name;
    nearest_append(&hint, name, names, N_ELEMENTS(keys));
    ini_lines_refuse(&parser->lines, "there is no key \"%.60s\" in [notify]%.*s", name,
                     (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return 0;
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *parser = user;
    if (parser->lines.result < 0)
        return 0;
    if (!*section)
        return ini_lines_refuse(&parser->lines,
                                "%.60s stands before any [section]; write [notify] above it", name);
    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        const struct key *key = &keys[i];
        if (strcmp(key->name, name))
            continue;
        bool first = !(parser->seen & 1U << i);
        if (!first && key->type != KEY_LINES)
            return ini_lines_refuse(&parser->lines, "%s is given twice; remove one", name);
        parser->seen |= 1U << i;
        return key->type == KEY_NUMBER ? take_number(parser, key, value)
                                       : take_text(parser, key, value, first);
    }
    return refuse_key(parser, name);
}

static void check_section(struct ini_lines *lines, const char *section)
{
    if (strcmp(section, "notify") != 0)
        ini_lines_refuse(lines, "there is no section [%.58s]; write [notify]", section);
}

static int check_whole(const struct notify_config *config, const char *name,
                       struct error_text *error)
{
    if (!config->mail[0] && !config->command[0] && !config->webhook[0])
        return error_set(error, -EINVAL,
                         "%s: nobody is to be told: write mail, command or webhook in [notify]",
                         name);
    if (!config->webhook[0] && (config->webhook_header[0] || config->webhook_headers[0]))
        return error_set(error, -EINVAL, "%s: webhook headers without a webhook", name);
    return 0;
}

void notify_config_init(struct notify_config *config)
{
    *config = (struct notify_config){
        .attempts = 3, .retry_seconds = 5, .timeout_seconds = 30, .most = 100};
}

int notify_config_set_mail(struct notify_config *config, const char *addresses,
                           struct error_text *error)
{
    if (strlen(addresses) >= NOTIFY_TEXT_SIZE || !is_mail(addresses, true))
        return error_set(error, -EINVAL,
                         "%.60s: write a mail address, or several with commas between", addresses);
    snprintf(config->mail, sizeof(config->mail), "%s", addresses);
    return 0;
}

int notify_config_parse(struct notify_config *config, const char *name, struct slice text,
                        struct error_text *error)
{
    notify_config_init(config);
    struct parser parser = {
        .lines = {.name = name, .left = text, .error = error, .on_section = check_section},
        .config = config
    };
    int result = ini_lines_parse(&parser.lines, take_key, &parser);
    return result < 0 ? result : check_whole(config, name, error);
}

static int check_mode(const struct notify_config *config, const char *path,
                      const struct stat *status, struct error_text *error)
{
    if (!config->webhook[0] || !(status->st_mode & (S_IROTH | S_IWOTH)))
        return 0;
    return error_set(error, -EACCES,
                     "%s has the address of a webhook, which is a secret, and everybody may read "
                     "it: chmod o-rwx %s",
                     path, path);
}

int notify_config_read(struct notify_config *config, const char *path, struct error_text *error)
{
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    AUTO_FREE char *text = malloc(FILE_MOST + 1);
    struct stat status;
    if (!text)
        return error_set(error, -ENOMEM, "out of memory");
    if (!file || fstat(fileno(file), &status))
        return error_set(error, -errno, "%s cannot be read: %s", path, strerror(errno));
    size_t length = fread(text, 1, FILE_MOST + 1, file);
    if (ferror(file))
        return error_set(error, -EIO, "%s cannot be read", path);
    if (length > FILE_MOST)
        return error_set(error, -EINVAL, "%s is larger than %d KiB", path, FILE_MOST >> 10);
    int outcome = notify_config_parse(config, path, slice_of(text, length), error);
    return outcome ? outcome : check_mode(config, path, &status, error);
}
