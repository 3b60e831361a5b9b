/* Container engines are recognised by how they name their control groups; the path is walked from
 * its end, so that a container in a container is called by its own name. */
#include "collectors/procfs/procfs_container.h"

enum { ID_LENGTH = 64 };

static bool begins(struct slice s, const char *prefix)
{
    size_t length = strlen(prefix);
    return s.length >= length && memcmp(s.data, prefix, length) == 0;
}

static bool ends(struct slice s, const char *suffix)
{
    size_t length = strlen(suffix);
    return s.length >= length && memcmp(s.data + s.length - length, suffix, length) == 0;
}

/* What stands between prefix and suffix; SLICE_NULL when it is nothing, or they are not there. */
static struct slice between(struct slice s, const char *prefix, const char *suffix)
{
    size_t cut = strlen(prefix) + strlen(suffix);
    if (s.length <= cut || !begins(s, prefix) || !ends(s, suffix))
        return SLICE_NULL;
    return slice_of(s.data + strlen(prefix), s.length - cut);
}

static struct slice next_line(struct slice *text)
{
    const uint8_t *newline = text->length ? memchr(text->data, '\n', text->length) : NULL;
    size_t length = newline ? (size_t)(newline - text->data) : text->length;
    struct slice line = slice_of(text->data, length);
    size_t step = length + (newline ? 1 : 0);
    *text = slice_of(text->data + step, text->length - step);
    return line;
}

/* A line is "number:controllers:path". */
static struct slice line_path(struct slice line, bool *unified)
{
    const uint8_t *first = line.length ? memchr(line.data, ':', line.length) : NULL;
    if (!first)
        return SLICE_NULL;
    size_t left = line.length - (size_t)(first + 1 - line.data);
    const uint8_t *second = left ? memchr(first + 1, ':', left) : NULL;
    if (!second)
        return SLICE_NULL;
    *unified = begins(line, "0::");
    return slice_of(second + 1, line.length - (size_t)(second + 1 - line.data));
}

struct slice procfs_cgroup_path(struct slice contents)
{
    struct slice longest = SLICE_NULL;
    while (contents.length > 0) {
        bool unified = false;
        struct slice path = line_path(next_line(&contents), &unified);
        if (slice_is_null(path))
            continue;
        if (unified && path.length > 1)
            return path;
        if (slice_is_null(longest) || path.length > longest.length)
            longest = path;
    }
    return longest;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static struct slice hex_id(struct slice component)
{
    for (size_t i = 0, run = 0; i < component.length; i++) {
        run = is_hex(component.data[i]) ? run + 1 : 0;
        bool at_end = i + 1 == component.length || !is_hex(component.data[i + 1]);
        if (run == ID_LENGTH && at_end)
            return slice_of(component.data + i + 1 - ID_LENGTH, ID_LENGTH);
    }
    return SLICE_NULL;
}

static struct slice machine_name(struct slice component)
{
    struct slice name = between(component, "machine-", ".scope");
    return slice_is_null(name) ? between(component, "systemd-nspawn@", ".service") : name;
}

/* The monitors of a container (conmon, lxc) run outside of it. */
static bool is_monitor(struct slice component)
{
    return begins(component, "libpod-conmon-") || begins(component, "crio-conmon-") ||
           begins(component, "lxc.monitor.");
}

static struct slice component_id(struct slice component, struct slice parent)
{
    if (is_monitor(component))
        return SLICE_NULL;
    struct slice id = hex_id(component);
    if (slice_is_null(id))
        id = between(component, "lxc.payload.", "");
    if (slice_is_null(id) && slice_is(parent, "lxc") && component.length > 0)
        id = component;
    if (slice_is_null(id) && slice_is(parent, "machine.slice"))
        id = machine_name(component);
    return id;
}

static struct slice last_component(struct slice path)
{
    size_t start = path.length;
    while (start > 0 && path.data[start - 1] != '/')
        start--;
    return slice_of(path.data + start, path.length - start);
}

struct slice procfs_container_id(struct slice cgroup)
{
    while (cgroup.length > 0) {
        struct slice component = last_component(cgroup);
        cgroup.length -= component.length;
        cgroup.length -= cgroup.length > 0;
        struct slice id = component_id(component, last_component(cgroup));
        if (!slice_is_null(id))
            return id;
    }
    return SLICE_NULL;
}
