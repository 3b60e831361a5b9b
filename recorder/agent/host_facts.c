/* One small file each; a table says which. */
#include "recorder/agent/host_facts.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/utsname.h>

enum { FILE_MOST = 1 << 20, TEXT_MOST = 1 << 16 };

struct text_file {
    size_t offset;
    const char *path;
};

static const struct text_file text_files[] = {
    {offsetof(struct host_facts, hostname),            "/proc/sys/kernel/hostname"      },
    {offsetof(struct host_facts, machine_id),          "/etc/machine-id"                },
    {offsetof(struct host_facts, kernel),              "/proc/sys/kernel/osrelease"     },
    {offsetof(struct host_facts, kernel_version),      "/proc/sys/kernel/version"       },
    {offsetof(struct host_facts, architecture),        "/proc/sys/kernel/arch"          },
    {offsetof(struct host_facts, vendor),              "/sys/class/dmi/id/sys_vendor"   },
    {offsetof(struct host_facts, model),               "/sys/class/dmi/id/product_name" },
    {offsetof(struct host_facts, time_zone),           "/etc/timezone"                  },
    {offsetof(struct host_facts, boot_id),             "/proc/sys/kernel/random/boot_id"},
    {offsetof(struct host_facts, kernel_command_line), "/proc/cmdline"                  },
};

static FILE *open_below(const char *root, const char *path)
{
    char name[PATH_MAX];
    int n = snprintf(name, sizeof(name), "%s%s", strcmp(root, "/") ? root : "", path);
    return n > 0 && (size_t)n < sizeof(name) ? fopen(name, "re") : NULL;
}

/* At most @p most bytes. Sets *textp to NULL when it cannot be read. */
static int read_all(const char *root, const char *path, size_t most, char **textp)
{
    AUTO_FCLOSE FILE *file = open_below(root, path);
    *textp = NULL;
    if (!file)
        return 0;
    AUTO_FREE char *text = malloc(most + 1);
    if (!text)
        return -ENOMEM;
    size_t length = fread(text, 1, most, file);
    if (ferror(file))
        return 0;
    text[length] = '\0';
    *textp = strdup(text);
    return *textp ? 0 : -ENOMEM;
}

/* The text without the blanks and newlines around it; nothing left: NULL. */
static int read_text(const char *root, const char *path, char **textp)
{
    AUTO_FREE char *text = NULL;
    int r = read_all(root, path, TEXT_MOST, &text);
    *textp = NULL;
    if (r < 0 || !text)
        return r;
    char *start = text + strspn(text, " \t\r\n");
    size_t length = strlen(start);
    while (length > 0 && strchr(" \t\r\n", start[length - 1]))
        length--;
    if (length == 0)
        return 0;
    *textp = strndup(start, length);
    return *textp ? 0 : -ENOMEM;
}

/* os-release(5): a value may be quoted as for a shell; a backslash takes the next as it is. */
static char *unquote(const char *value)
{
    char *text = malloc(strlen(value) + 1), *to = text;
    char quote = *value == '"' || *value == '\'' ? *value++ : '\0';
    if (!text)
        return NULL;
    for (; *value && *value != '\n' && *value != '\r' && *value != quote; value++) {
        if (*value == '\\' && quote != '\'' && value[1] && value[1] != '\n')
            value++;
        *to++ = *value;
    }
    *to = '\0';
    return text;
}

/* The last line that sets the key counts, as for a shell. */
static int os_value(const char *text, const char *key, char **valuep)
{
    size_t length = strlen(key);
    while (text) {
        if (!strncmp(text, key, length) && text[length] == '=') {
            free(*valuep);
            *valuep = unquote(text + length + 1);
            if (!*valuep)
                return -ENOMEM;
        }
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    return 0;
}

static int read_os(struct host_facts *facts, const char *root)
{
    AUTO_FREE char *text = NULL;
    int r = read_all(root, "/etc/os-release", TEXT_MOST, &text);
    if (r == 0 && !text)
        r = read_all(root, "/usr/lib/os-release", TEXT_MOST, &text);
    if (r < 0 || !text)
        return r;
    r = os_value(text, "NAME", &facts->os_name);
    return r < 0 ? r : os_value(text, "VERSION_ID", &facts->os_version);
}

static int read_boot_time(struct host_facts *facts, const char *root)
{
    AUTO_FREE char *text = NULL;
    int r = read_all(root, "/proc/stat", FILE_MOST, &text);
    if (r < 0 || !text)
        return r;
    const char *line = !strncmp(text, "btime ", 6) ? text : strstr(text, "\nbtime ");
    if (line)
        facts->boot_time_s = strtoull(strchr(line, ' '), NULL, 10);
    return 0;
}

/* Where there is no /etc/timezone: what /etc/localtime points to. */
static int read_time_zone(struct host_facts *facts, const char *root)
{
    static const char mark[] = "/zoneinfo/";
    char name[PATH_MAX], target[PATH_MAX];
    if (facts->time_zone)
        return 0;
    int n = snprintf(name, sizeof(name), "%s/etc/localtime", strcmp(root, "/") ? root : "");
    if (n < 0 || (size_t)n >= sizeof(name))
        return 0;
    ssize_t length = readlink(name, target, sizeof(target) - 1);
    if (length < 0)
        return 0;
    target[length] = '\0';
    const char *zone = strstr(target, mark);
    if (!zone || !zone[sizeof(mark) - 1])
        return 0;
    facts->time_zone = strdup(zone + sizeof(mark) - 1);
    return facts->time_zone ? 0 : -ENOMEM;
}

/* /proc/sys/kernel/arch came with Linux 6.1. */
static int read_architecture(struct host_facts *facts)
{
    struct utsname name;
    if (facts->architecture || uname(&name) < 0)
        return 0;
    facts->architecture = strdup(name.machine);
    return facts->architecture ? 0 : -ENOMEM;
}

static char **text_of(struct host_facts *facts, const struct text_file *file)
{
    void *at = (char *)facts + file->offset;
    return at;
}

int host_facts_init(struct host_facts *facts, const char *root)
{
    int r = 0;
    long ticks = sysconf(_SC_CLK_TCK);
    *facts = (struct host_facts){.ticks_per_second = ticks > 0 ? (uint32_t)ticks : 0};
    for (size_t i = 0; i < sizeof(text_files) / sizeof(text_files[0]) && r == 0; i++)
        r = read_text(root, text_files[i].path, text_of(facts, &text_files[i]));
    if (r == 0)
        r = read_os(facts, root);
    if (r == 0)
        r = read_boot_time(facts, root);
    if (r == 0)
        r = read_time_zone(facts, root);
    if (r == 0)
        r = read_architecture(facts);
    if (r < 0)
        host_facts_deinit(facts);
    return r;
}

void host_facts_deinit(struct host_facts *facts)
{
    for (size_t i = 0; i < sizeof(text_files) / sizeof(text_files[0]); i++)
        free(*text_of(facts, &text_files[i]));
    free(facts->os_name);
    free(facts->os_version);
    *facts = (struct host_facts){0};
}
