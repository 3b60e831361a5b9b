/* A copy of the text is cut into words in place: unescaped words are never longer. */
#include "collectors/fanotify/mount_list.h"

#include <stdlib.h>

static bool is_octal(const char *text)
{
    for (size_t i = 0; i < 3; i++)
        if (text[i] < '0' || text[i] > (i ? '7' : '3'))
            return false;
    return true;
}

static char *unescape(char *word)
{
    char *to = word;
    for (const char *from = word; *from; from++) {
        if (from[0] == '\\' && is_octal(from + 1)) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return word;
}

static bool take_number(const char **text, uint64_t *number)
{
    char *end;
    *number = strtoul(*text, &end, 10);
    bool taken = end != *text && **text != '-' && *number <= UINT32_MAX;
    *text = end;
    return taken;
}

static bool parse_device(const char *text, uint64_t *device)
{
    uint64_t major, minor;
    if (!take_number(&text, &major) || *text++ != ':' || !take_number(&text, &minor) || *text)
        return false;
    *device = major << 32 | minor;
    return true;
}

static const char *next_word(char **rest)
{
    char *word;
    while ((word = strsep(rest, " ")) && !*word)
        ;
    return word ? word : "";
}

/* id parent major:minor root point options [tags] - type source options */
static bool parse_line(char *line, struct mount *mount)
{
    char *rest = line;
    (void)next_word(&rest);
    (void)next_word(&rest);
    bool good = parse_device(next_word(&rest), &mount->device);
    char *root = strsep(&rest, " "), *point = strsep(&rest, " ");
    char *separator = rest ? strstr(rest, " - ") : NULL;
    if (!good || !separator)
        return false;
    rest = separator + 3;
    char *type = strsep(&rest, " ");
    (void)strsep(&rest, " ");
    mount->root = unescape(root);
    mount->point = unescape(point);
    mount->type = unescape(type);
    mount->options = rest ? unescape(rest) : "";
    return mount->root[0] == '/' && mount->point[0] == '/';
}

static size_t count_lines(const char *text)
{
    size_t n = 1;
    while ((text = strchr(text, '\n'))) {
        n++;
        text++;
    }
    return n;
}

int mount_list_init(struct mount_list *list, struct slice text)
{
    *list = (struct mount_list){
        .text = strndup(text.length ? (const char *)text.data : "", text.length)};
    if (list->text)
        list->items = calloc(count_lines(list->text), sizeof(*list->items));
    if (!list->items) {
        mount_list_deinit(list);
        return -ENOMEM;
    }
    char *rest = list->text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (!*line)
            continue;
        if (parse_line(line, &list->items[list->n]))
            list->n++;
        else
            list->n_malformed++;
    }
    return 0;
}

void mount_list_deinit(struct mount_list *list)
{
    free(list->items);
    free(list->text);
    *list = (struct mount_list){0};
}
