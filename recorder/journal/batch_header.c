/* The keys stand in one table in the order of the file. An open batch leaves some of them out; the
 * order of the others stays, so a header is parsed by walking the table once. */
#include "recorder/journal/batch_header.h"

#include "core/hex.h"

enum key {
    KEY_HOST,
    KEY_BOOT,
    KEY_BATCH,
    KEY_FIRST,
    KEY_LAST,
    KEY_LINES,
    KEY_RECOVERED,
    KEY_BIRTHS,
    KEY_CURSORS,
    KEY_PREVIOUS,
    KEY_HASH,
    KEY_SIGNATURE,
    KEY_N
};

static const char *const kinds[] = {"batch", "open", "checkpoint"};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == BATCH_KIND_N, "name each kind");

static const struct {
    const char *name;
    bool open;      /* an open batch has it too */
    unsigned since; /* the format that has it first */
} keys[] = {
    [KEY_HOST] = {"host",      true,  1},
    [KEY_BOOT] = {"boot",      true,  1},
    [KEY_BATCH] = {"batch",     true,  1},
    [KEY_FIRST] = {"first",     true,  1},
    [KEY_LAST] = {"last",      false, 1},
    [KEY_LINES] = {"lines",     false, 1},
    [KEY_RECOVERED] = {"recovered", false, 1},
    [KEY_BIRTHS] = {"births",    false, 1},
    [KEY_CURSORS] = {"cursors",   false, 1},
    [KEY_PREVIOUS] = {"previous",  true,  1},
    [KEY_HASH] = {"hash",      false, 1},
    [KEY_SIGNATURE] = {"signature", false, 2},
};
_Static_assert(sizeof(keys) / sizeof(keys[0]) == KEY_N, "name each key");

/* Kind and format are known from the first line on. */
static bool has_key(const struct batch_header *header, enum key key)
{
    return header->format >= keys[key].since && (header->kind != BATCH_OPEN || keys[key].open);
}

static void print_value(struct buffer *to, const struct batch_header *header, enum key key)
{
    switch (key) {
    case KEY_HOST:
        buffer_append_u64(to, header->host_id);
        break;
    case KEY_BOOT:
        buffer_append_text(to, header->boot_id);
        break;
    case KEY_BATCH:
        buffer_append_u64(to, header->batch);
        break;
    case KEY_FIRST:
        buffer_append_u64(to, header->first_us);
        break;
    case KEY_LAST:
        buffer_append_u64(to, header->last_us);
        break;
    case KEY_LINES:
        buffer_append_u64(to, header->n_lines);
        break;
    case KEY_RECOVERED:
        buffer_append_u64(to, header->recovered);
        break;
    case KEY_BIRTHS:
        buffer_append_u64(to, header->births);
        break;
    case KEY_CURSORS:
        buffer_append_text(to, header->cursors);
        break;
    case KEY_PREVIOUS:
        hex_append(to, header->previous_hash, BATCH_HASH_SIZE);
        break;
    case KEY_HASH:
        hex_append(to, header->hash, BATCH_HASH_SIZE);
        break;
    case KEY_SIGNATURE:
        hex_append(to, header->signature, SIGNATURE_SIZE);
        break;
    case KEY_N:
        break;
    }
}

static void print_keys(struct buffer *to, const struct batch_header *header, int end)
{
    buffer_append_text(to, "vestige ");
    buffer_append_text(to, kinds[header->kind]);
    buffer_append_byte(to, ' ');
    buffer_append_u64(to, header->format);
    buffer_append_byte(to, '\n');
    for (int key = 0; key < end; key++) {
        if (!has_key(header, (enum key)key))
            continue;
        buffer_append_text(to, keys[key].name);
        buffer_append_byte(to, '\t');
        print_value(to, header, (enum key)key);
        buffer_append_byte(to, '\n');
    }
}

void batch_header_print_hashed(struct buffer *to, const struct batch_header *header)
{
    print_keys(to, header, KEY_HASH);
}

void batch_header_print(struct buffer *to, const struct batch_header *header)
{
    print_keys(to, header, KEY_N);
    buffer_append_byte(to, '\n');
}

bool batch_header_signed(const struct batch_header *header)
{
    static const uint8_t none[SIGNATURE_SIZE];
    return memcmp(header->signature, none, sizeof(none)) != 0;
}

bool batch_parse_u64(struct slice text, uint64_t *value)
{
    uint64_t number = 0;
    if (text.length == 0 || (text.data[0] == '0' && text.length > 1))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(text.data[i] - '0'), &number))
            return false;
    }
    *value = number;
    return true;
}

static bool parse_boot(struct slice text, char boot_id[37])
{
    if (text.length != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : hex_digit(text.data[i]) < 0)
            return false;
    }
    memcpy(boot_id, text.data, 36);
    boot_id[36] = 0;
    return true;
}

static bool parse_bool(struct slice text, bool *value)
{
    *value = slice_is(text, "1");
    return *value || slice_is(text, "0");
}

bool batch_cursors_valid(struct slice cursors)
{
    if (cursors.length >= BATCH_CURSORS_SIZE)
        return false;
    for (size_t i = 0; i < cursors.length; i++)
        if (cursors.data[i] < ' ' || cursors.data[i] == 0x7f)
            return false;
    return true;
}

static bool parse_cursors(struct slice text, char cursors[BATCH_CURSORS_SIZE])
{
    if (!batch_cursors_valid(text))
        return false;
    memcpy(cursors, text.data, text.length);
    cursors[text.length] = 0;
    return true;
}

static bool parse_value(struct batch_header *header, enum key key, struct slice text)
{
    switch (key) {
    case KEY_HOST:
        return batch_parse_u64(text, &header->host_id);
    case KEY_BOOT:
        return parse_boot(text, header->boot_id);
    case KEY_BATCH:
        return batch_parse_u64(text, &header->batch);
    case KEY_FIRST:
        return batch_parse_u64(text, &header->first_us);
    case KEY_LAST:
        return batch_parse_u64(text, &header->last_us);
    case KEY_LINES:
        return batch_parse_u64(text, &header->n_lines);
    case KEY_RECOVERED:
        return parse_bool(text, &header->recovered);
    case KEY_BIRTHS:
        return batch_parse_u64(text, &header->births);
    case KEY_CURSORS:
        return parse_cursors(text, header->cursors);
    case KEY_PREVIOUS:
        return hex_parse(text, header->previous_hash, BATCH_HASH_SIZE);
    case KEY_HASH:
        return hex_parse(text, header->hash, BATCH_HASH_SIZE);
    case KEY_SIGNATURE:
        return hex_parse(text, header->signature, SIGNATURE_SIZE);
    case KEY_N:
        break;
    }
    return false;
}

static int parse_first_line(struct batch_header *header, struct slice line, const char **reason)
{
    static const char word[] = "vestige ";
    size_t length = sizeof(word) - 1;
    *reason = "not a batch: it does not begin with \"vestige batch\"";
    if (line.length < length || memcmp(line.data, word, length) != 0)
        return -EBADMSG;
    line = slice_of(line.data + length, line.length - length);
    const uint8_t *space = memchr(line.data, ' ', line.length);
    if (!space)
        return -EBADMSG;
    struct slice kind = slice_of(line.data, (size_t)(space - line.data));
    int found = 0;
    while (found < BATCH_KIND_N && !slice_is(kind, kinds[found]))
        found++;
    if (found == BATCH_KIND_N)
        return -EBADMSG;
    uint64_t format;
    *reason = "a format that this program does not know (it knows 1 and 2); use the one that wrote "
              "it";
    if (!batch_parse_u64(slice_of(space + 1, line.length - kind.length - 1), &format) ||
        format < 1 || format > BATCH_FORMAT)
        return -EBADMSG;
    header->kind = (enum batch_kind)found;
    header->format = (uint32_t)format;
    return BATCH_HEADER_MORE;
}

/* The key that stands on line @p number (2 and up); KEY_N: the empty line. */
static enum key key_at(const struct batch_header *header, size_t number)
{
    int key = 0;
    for (size_t at = 2; key < KEY_N; key++) {
        if (!has_key(header, (enum key)key))
            continue;
        if (at++ == number)
            break;
    }
    return (enum key)key;
}

int batch_header_parse_line(struct batch_header *header, size_t number, struct slice line,
                            const char **reason)
{
    if (number == 1)
        return parse_first_line(header, line, reason);
    enum key key = key_at(header, number);
    *reason = "the header does not end with an empty line";
    if (key == KEY_N)
        return line.length == 0 ? BATCH_HEADER_END : -EBADMSG;
    *reason = "not the header line that belongs here";
    size_t length = strlen(keys[key].name);
    if (line.length <= length || memcmp(line.data, keys[key].name, length) != 0 ||
        line.data[length] != '\t')
        return -EBADMSG;
    *reason = "a header value that cannot be";
    struct slice value = slice_of(line.data + length + 1, line.length - length - 1);
    return parse_value(header, key, value) ? BATCH_HEADER_MORE : -EBADMSG;
}

void batch_mark_print(struct buffer *to, const struct batch_mark *mark)
{
    buffer_append_text(to, "mark\t");
    buffer_append_u64(to, mark->time_us);
    buffer_append_byte(to, '\t');
    buffer_append_u64(to, mark->births);
    buffer_append_byte(to, '\t');
    buffer_append_text(to, mark->cursors);
    buffer_append_byte(to, '\n');
}

/* Cut the text before the next tab off @p rest. */
static bool cut(struct slice *rest, struct slice *field)
{
    const uint8_t *tab = rest->length ? memchr(rest->data, '\t', rest->length) : NULL;
    if (!tab)
        return false;
    *field = slice_of(rest->data, (size_t)(tab - rest->data));
    *rest = slice_of(tab + 1, rest->length - field->length - 1);
    return true;
}

int batch_mark_parse(struct batch_mark *mark, struct slice line)
{
    struct slice word, time_us, births;
    struct batch_mark found;
    if (!cut(&line, &word) || !slice_is(word, "mark") || !cut(&line, &time_us) ||
        !cut(&line, &births) || !batch_parse_u64(time_us, &found.time_us) ||
        !batch_parse_u64(births, &found.births) || !parse_cursors(line, found.cursors))
        return -EBADMSG;
    *mark = found;
    return 0;
}

/* The value at this place, behind verb, table and id. */
static bool find_value(struct slice raw, unsigned column, struct slice *value)
{
    for (unsigned i = 0; i < 3 + column; i++)
        if (!cut(&raw, value))
            return false;
    return cut(&raw, value);
}

uint64_t batch_line_births(enum verb verb, enum table_id table, struct slice raw)
{
    struct slice value;
    uint64_t n = 0;
    if (verb != VERB_INSERT)
        return 0;
    if (table == TABLE_PROCESS)
        return find_value(raw, PROCESS_PREVIOUS_ID, &value) && slice_is(value, "\\N");
    if (table != TABLE_GAP || !find_value(raw, GAP_UNIT, &value) || !slice_is(value, "process"))
        return 0;
    return find_value(raw, GAP_COUNT, &value) && batch_parse_u64(value, &n) ? n : 0;
}
