/* In a list of lower directories colons divide them, and a backslash quotes. */
#include "collectors/fanotify/overlay_layers.h"

#include <stdlib.h>

static const char *value_of(const char *option, const char *key)
{
    size_t length = strlen(key);
    return strncmp(option, key, length) == 0 ? option + length : NULL;
}

/* Cuts off the first of a list, without its quotes. */
static char *take_directory(char **list, char separator)
{
    char *from = *list, *to = *list, *start = *list;
    while (*from && *from != separator) {
        from += from[0] == '\\' && from[1];
        *to++ = *from++;
    }
    *list = *from ? from + 1 : from;
    *to = '\0';
    return start;
}

static int take_list(char *list, char separator, overlay_handler handler, void *user)
{
    int r = 0;
    while (r == 0 && *list) {
        const char *directory = take_directory(&list, separator);
        if (*directory)
            r = handler(user, OVERLAY_LOWER, directory);
    }
    return r;
}

static int take_option(char *option, overlay_handler handler, void *user)
{
    static const struct {
        const char *key;
        enum overlay_kind kind;
        char separator;
    } keys[] = {
        {"upperdir=",  OVERLAY_UPPER, '\0'},
        {"workdir=",   OVERLAY_WORK,  '\0'},
        {"lowerdir=",  OVERLAY_LOWER, ':' },
        {"lowerdir+=", OVERLAY_LOWER, '\0'},
        {"datadir+=",  OVERLAY_LOWER, '\0'},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = value_of(option, keys[i].key);
        if (!value)
            continue;
        char *list = option + (value - option);
        return keys[i].kind == OVERLAY_LOWER
                   ? take_list(list, keys[i].separator, handler, user)
                   : handler(user, keys[i].kind, take_directory(&list, '\0'));
    }
    return 0;
}

/* A comma that belongs to a path is quoted, too. */
static char *take_word(char **rest)
{
    char *word = *rest, *end = *rest;
    if (!*word)
        return NULL;
    while (*end && *end != ',')
        end += end[0] == '\\' && end[1] ? 2 : 1;
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

int overlay_options(const char *options, overlay_handler handler, void *user)
{
    char *copy = strdup(options), *rest = copy, *option;
    int r = copy ? 0 : -ENOMEM;
    while (r == 0 && (option = take_word(&rest)))
        r = take_option(option, handler, user);
    free(copy);
    return r;
}

static char *without_slash(const char *path)
{
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        length--;
    return strndup(path, length);
}

static void find_shared(struct overlay_layers *layers, struct overlay_layer *layer)
{
    for (size_t i = 0; i < layers->n; i++)
        if (strcmp(layers->items[i].directory, layer->directory) == 0)
            layers->items[i].shared = layer->shared = true;
}

int overlay_layers_add(struct overlay_layers *layers, enum overlay_kind kind, const char *directory,
                       const char *merged)
{
    struct overlay_layer *items = realloc(layers->items, (layers->n + 1) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    layers->items = items;
    struct overlay_layer layer = {
        .kind = kind, .directory = without_slash(directory), .merged = without_slash(merged)};
    if (!layer.directory || !layer.merged) {
        free(layer.directory);
        free(layer.merged);
        return -ENOMEM;
    }
    layer.length = strlen(layer.directory);
    find_shared(layers, &layer);
    items[layers->n++] = layer;
    return 0;
}

void overlay_layers_deinit(struct overlay_layers *layers)
{
    for (size_t i = 0; i < layers->n; i++) {
        free(layers->items[i].directory);
        free(layers->items[i].merged);
    }
    free(layers->items);
    *layers = (struct overlay_layers){0};
}

static bool holds(const struct overlay_layer *layer, struct slice path)
{
    return layer->length && path.length >= layer->length &&
           memcmp(path.data, layer->directory, layer->length) == 0 &&
           (path.length == layer->length || path.data[layer->length] == '/');
}

const struct overlay_layer *overlay_layers_find(const struct overlay_layers *layers,
                                                struct slice path)
{
    const struct overlay_layer *found = NULL;
    for (size_t i = 0; i < layers->n; i++) {
        const struct overlay_layer *layer = &layers->items[i];
        if (holds(layer, path) && (!found || layer->length > found->length))
            found = layer;
    }
    return found && found->shared ? NULL : found;
}
