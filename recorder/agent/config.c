/* The defaults are the table's; a dump is a file that the parser reads. */
#include "recorder/agent/config_private.h"

#include "core/cleanup.h"

enum { LIST_LINE_MOST = 80 };

void *config_member(struct config *config, const struct config_key *key)
{
    return (uint8_t *)config + key->offset;
}

void config_set_number(struct config *config, const struct config_key *key, uint64_t value)
{
    if (key->type == KEY_U32)
        *(uint32_t *)config_member(config, key) = (uint32_t)value;
    else
        *(uint64_t *)config_member(config, key) = value;
}

static uint64_t get_number(const struct config *config, const struct config_key *key)
{
    const void *at = (const uint8_t *)config + key->offset;
    return key->type == KEY_U32 ? *(const uint32_t *)at : *(const uint64_t *)at;
}

int config_new(struct config **configp)
{
    struct config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    for (const struct config_key *key = config_keys; key->section; key++)
        if (key->type == KEY_PATH || key->type == KEY_TEXT)
            snprintf(config_member(config, key), CONFIG_PATH_SIZE, "%s", key->text);
        else if (key->type == KEY_LIST)
            snprintf(config_member(config, key), CONFIG_LIST_SIZE, "%s", key->text);
        else if (key->type == KEY_WORD)
            *(const char **)config_member(config, key) =
                config_word(key->text, strcspn(key->text, " "));
        else
            config_set_number(config, key, key->value);
    *configp = config;
    return 0;
}

struct config *config_free(struct config *config)
{
    free(config);
    return NULL;
}

static int read_file(const char *path, struct buffer *to)
{
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    uint8_t *room = buffer_reserve(to, CONFIG_FILE_MOST + 1);
    if (!room)
        return -ENOMEM;
    errno = 0;
    to->length = fread(room, 1, CONFIG_FILE_MOST + 1, file);
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

static void dump_help(const struct config_key *key, struct buffer *to)
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
static void dump_list(const struct config_key *key, const char *list, struct buffer *to)
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

static void dump_value(const struct config *config, const struct config_key *key, struct buffer *to)
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
    for (const struct config_key *key = config_keys; key->section; key++) {
        if (key == config_keys || strcmp(key->section, key[-1].section))
            buffer_printf(to, "\n[%s]\n", key->section);
        dump_help(key, to);
        dump_value(config, key, to);
    }
}
