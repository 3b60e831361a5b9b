/* Entries are collected in the order of the file, then sorted by address and, for one address, by
 * their order; the first of each address stays. So two tables are compared in one pass. */
#include "collectors/resolver/hosts_table.h"

#include "collectors/resolver/resolver_message.h"
#include "core/buffer.h"
#include "core/plain_address.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct entry {
    struct inet_address address;
    uint32_t name, length; /* in the table's names */
};

struct hosts_table {
    struct entry *entries;
    size_t n, capacity;
    struct buffer names;
    uint64_t n_refused;
    bool truncated;
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The next word of the line, taken from its start; length 0: there is none. */
static struct slice take_word(struct slice *line)
{
    size_t start = 0;
    while (start < line->length && is_blank(line->data[start]))
        start++;
    size_t end = start;
    while (end < line->length && !is_blank(line->data[end]))
        end++;
    struct slice word = slice_of(line->data + start, end - start);
    *line = slice_of(line->data + end, line->length - end);
    return word;
}

static bool parse_address(struct slice word, struct inet_address *address)
{
    char text[INET6_ADDRSTRLEN];
    if (word.length >= sizeof(text) || memchr(word.data, '\0', word.length))
        return false;
    memcpy(text, word.data, word.length);
    text[word.length] = '\0';
    struct inet_address parsed = {.family = AF_INET};
    if (inet_pton(AF_INET, text, parsed.bytes) != 1) {
        parsed.family = AF_INET6;
        if (inet_pton(AF_INET6, text, parsed.bytes) != 1)
            return false;
    }
    *address = plain_address(&parsed);
    return true;
}

static int add_entry(struct hosts_table *table, const struct inet_address *address,
                     struct slice name)
{
    /* Files that block names have thousands of lines of one address. */
    if (table->n && !plain_address_compare(&table->entries[table->n - 1].address, address))
        return 0;
    if (table->n == HOSTS_ENTRIES_MOST) {
        table->truncated = true;
        return 0;
    }
    if (table->n == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 16;
        struct entry *entries = realloc(table->entries, capacity * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        table->entries = entries;
        table->capacity = capacity;
    }
    table->entries[table->n++] = (struct entry){.address = *address,
                                                .name = (uint32_t)table->names.length,
                                                .length = (uint32_t)name.length};
    buffer_append_slice(&table->names, name);
    return table->names.failed ? -ENOMEM : 0;
}

static int take_line(struct hosts_table *table, struct slice line)
{
    struct inet_address address;
    const uint8_t *comment = line.length ? memchr(line.data, '#', line.length) : NULL;
    if (comment)
        line.length = (size_t)(comment - line.data);
    struct slice word = take_word(&line), name = take_word(&line);
    if (name.length == 0 || !parse_address(word, &address) ||
        plain_address_is_unspecified(&address))
        return 0;
    if (name.length > HOST_NAME_MOST) {
        table->n_refused++;
        return 0;
    }
    return add_entry(table, &address, name);
}

static int take_text(struct hosts_table *table, struct slice text)
{
    int r = 0;
    while (text.length && r == 0) {
        const uint8_t *end = memchr(text.data, '\n', text.length);
        size_t length = end ? (size_t)(end - text.data) : text.length;
        r = take_line(table, slice_of(text.data, length));
        length += end != NULL;
        text = slice_of(text.data + length, text.length - length);
    }
    return r;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = plain_address_compare(&left->address, &right->address);
    if (order == 0)
        order = left->name < right->name ? -1 : left->name > right->name;
    return order;
}

static void sort(struct hosts_table *table)
{
    size_t kept = 0;
    if (table->n == 0)
        return;
    qsort(table->entries, table->n, sizeof(table->entries[0]), compare_entries);
    for (size_t i = 1; i < table->n; i++)
        if (plain_address_compare(&table->entries[kept].address, &table->entries[i].address))
            table->entries[++kept] = table->entries[i];
    table->n = kept + 1;
}

int hosts_table_new(struct hosts_table **tablep, struct slice text)
{
    struct hosts_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    int r = take_text(table, text);
    if (r < 0) {
        hosts_table_free(table);
        return r;
    }
    sort(table);
    *tablep = table;
    return 0;
}

struct hosts_table *hosts_table_free(struct hosts_table *table)
{
    if (table) {
        free(table->entries);
        buffer_deinit(&table->names);
        free(table);
    }
    return NULL;
}

static struct slice name_of(const struct hosts_table *table, size_t i)
{
    const struct entry *entry = &table->entries[i];
    return slice_of(table->names.data + entry->name, entry->length);
}

struct slice hosts_table_find(const struct hosts_table *table, const struct inet_address *address)
{
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = plain_address_compare(&table->entries[middle].address, address);
        if (order == 0)
            return name_of(table, middle);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SLICE_NULL;
}

bool hosts_table_truncated(const struct hosts_table *table)
{
    return table->truncated;
}

uint64_t hosts_table_refused(const struct hosts_table *table)
{
    return table->n_refused;
}

void hosts_table_compare(const struct hosts_table *before, const struct hosts_table *after,
                         hosts_change_handler handler, void *user)
{
    size_t i = 0, j = 0;
    while (i < before->n || j < after->n) {
        int order = i == before->n  ? 1
                    : j == after->n ? -1
                                    : plain_address_compare(&before->entries[i].address,
                                                            &after->entries[j].address);
        if (order < 0)
            handler(user, &before->entries[i].address, SLICE_NULL);
        else if (order > 0 || !slice_equal(name_of(before, i), name_of(after, j)))
            handler(user, &after->entries[j].address, name_of(after, j));
        i += order <= 0;
        j += order >= 0;
    }
}
