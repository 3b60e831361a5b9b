/* The library takes lines of any length; here a line that is longer than any path is passed over.
 */
#include "core/option_file.h"

#include "core/cleanup.h"

#include <ctype.h>
#include <string.h>

enum { LINE_SIZE = 8192 };

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static bool is_name(const char *text, size_t length, const char *name)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((text[i] == '_' ? '-' : text[i]) != name[i])
            return false;
    return true;
}

/** Without the quotes around it, with the escapes of option files undone. */
static int take_value(const char *text, char *value, size_t size)
{
    size_t length = strlen(text), n = 0;
    if (length >= 2 && (*text == '"' || *text == '\'') && text[length - 1] == *text) {
        text++;
        length -= 2;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && text[i + 1] == '\\')
            i++;
        if (n + 1 >= size)
            return -E2BIG;
        value[n++] = text[i];
    }
    value[n] = '\0';
    return OPTION_FILE_FOUND;
}

static int take_line(char *line, const char *name, char *value, size_t size)
{
    char *equals = strchr(line, '=');
    size_t length = equals ? (size_t)(equals - line) : strlen(line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    if (!is_name(line, length, name))
        return OPTION_FILE_MISSING;
    return take_value(equals ? trim(equals + 1) : "", value, size);
}

int option_file_get(const char *path, const char *group, const char *name, char *value, size_t size)
{
    FILE *file AUTO_FCLOSE = fopen(path, "re");
    char line[LINE_SIZE];
    bool inside = false, cut = false;
    int result = OPTION_FILE_MISSING;
    if (!file)
        return -errno;
    while (fgets(line, sizeof(line), file)) {
        bool was_cut = cut;
        cut = !strchr(line, '\n') && !feof(file);
        if (was_cut || cut)
            continue;
        char *text = trim(line);
        if (*text == '[') {
            size_t length = strcspn(text + 1, "]");
            inside = length == strlen(group) && !strncmp(text + 1, group, length);
        } else if (inside && *text != '#' && *text != ';') {
            int r = take_line(text, name, value, size);
            result = r != OPTION_FILE_MISSING ? r : result;
        }
    }
    return result;
}

bool option_file_is_set(const char *path, const char *group, const char *name)
{
    char value[16];
    int r = option_file_get(path, group, name, value, sizeof(value));
    return r == OPTION_FILE_FOUND && strcmp(value, "0") != 0 && strcasecmp(value, "off") != 0 &&
           strcasecmp(value, "false") != 0 && strcasecmp(value, "no") != 0;
}
