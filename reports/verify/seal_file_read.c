/* Reading is by keywords: each line is cut into words and must be the one that can come next. What
 * was read is printed anew for the checks, so that they are of the meaning and not of the blanks.
 */
#include "reports/verify/seal_file_private.h"

#include "core/cleanup.h"
#include "core/hex.h"

#include <ctype.h>
#include <inttypes.h>
#include <time.h>

#define FILE_MOST  (16u << 20)
#define LINE_MOST  1024
#define WORDS_MOST 8

struct reading {
    const char *name;
    struct slice left;
    unsigned line, since; /* since: the first line that the next check is of */
    char text[LINE_MOST + 1];
    char *words[WORDS_MOST];
    size_t n_words;
    struct buffer plain;
    struct seal *seal;
    struct error_text *error;
};

static int refuse(const struct reading *reading, const char *what)
{
    return error_set(reading->error, -EINVAL, "%s:%u: %s", reading->name, reading->line, what);
}

static int cut_words(struct reading *reading)
{
    char *rest = NULL;
    reading->n_words = 0;
    for (char *word = strtok_r(reading->text, " \t\r", &rest); word;
         word = strtok_r(NULL, " \t\r", &rest)) {
        if (reading->n_words == WORDS_MOST)
            return refuse(reading, "more words than any line of a seal has");
        reading->words[reading->n_words++] = word;
    }
    return 0;
}

/* The next line that is not empty and no remark, in words. -ENODATA: there is none. */
static int next_line(struct reading *reading)
{
    while (reading->left.length) {
        const uint8_t *newline = memchr(reading->left.data, '\n', reading->left.length);
        size_t length = newline ? (size_t)(newline - reading->left.data) : reading->left.length;
        struct slice line = slice_of(reading->left.data, length);
        size_t step = length + (newline ? 1 : 0);
        reading->left = slice_of(reading->left.data + step, reading->left.length - step);
        reading->line++;
        if (line.length && line.data[0] == '#')
            continue;
        if (line.length > LINE_MOST || (line.length && memchr(line.data, 0, line.length)))
            return refuse(reading, "no line of a seal");
        memcpy(reading->text, line.data ? line.data : (const uint8_t *)"", line.length);
        reading->text[line.length] = '\0';
        int outcome = cut_words(reading);
        if (outcome || reading->n_words)
            return outcome;
    }
    return -ENODATA;
}

static bool is_line(const struct reading *reading, const char *key, size_t n_words)
{
    return reading->n_words == n_words && !strcmp(reading->words[0], key);
}

/* The next line, which has to be that one. */
static int expect(struct reading *reading, const char *key, size_t n_words)
{
    char text[120];
    int outcome = next_line(reading);
    if (outcome && outcome != -ENODATA)
        return outcome;
    if (!outcome && is_line(reading, key, n_words))
        return 0;
    snprintf(text, sizeof(text), "%s: there has to be a line \"%s\" with %zu word%s behind it",
             outcome ? "the seal ends before its end" : "a word is mistyped or a line is missing",
             key, n_words - 1, n_words == 2 ? "" : "s");
    return refuse(reading, text);
}

static bool parse_number(const char *text, uint64_t *value)
{
    uint64_t number = 0;
    if (!*text || (*text == '0' && text[1]))
        return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(*text - '0'), &number))
            return false;
    *value = number;
    return true;
}

/* Words of eight digits each. */
static bool parse_hex(char *const *words, size_t n_words, uint8_t *bytes)
{
    for (size_t i = 0; i < n_words; i++, bytes += 4) {
        for (char *c = words[i]; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        if (!hex_parse(slice_text(words[i]), bytes, 4))
            return false;
    }
    return true;
}

static bool parse_digits(const char **text, size_t n, char end, int *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *value = *value * 10 + (**text - '0');
    }
    if (**text != end)
        return false;
    *text += end ? 1 : 0;
    return true;
}

static bool parse_moment(const char *day, const char *time, int64_t *us)
{
    struct tm tm = {0}, again;
    int micro;
    if (!parse_digits(&day, 4, '-', &tm.tm_year) || !parse_digits(&day, 2, '-', &tm.tm_mon) ||
        !parse_digits(&day, 2, '\0', &tm.tm_mday) || !parse_digits(&time, 2, ':', &tm.tm_hour) ||
        !parse_digits(&time, 2, ':', &tm.tm_min) || !parse_digits(&time, 2, '.', &tm.tm_sec) ||
        !parse_digits(&time, 6, '\0', &micro))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    again = tm;
    time_t seconds = timegm(&again);
    if (seconds < 0 || again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour ||
        again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
        return false;
    *us = (int64_t)seconds * SEAL_SECOND_US + micro;
    return true;
}

static int take_number(struct reading *reading, const char *key, uint64_t *value)
{
    int outcome = expect(reading, key, 2);
    if (outcome || parse_number(reading->words[1], value))
        return outcome;
    return refuse(reading, "no number");
}

static int take_moment(struct reading *reading, const char *key, int64_t *us)
{
    int outcome = expect(reading, key, 3);
    if (outcome || parse_moment(reading->words[1], reading->words[2], us))
        return outcome;
    return refuse(reading, "no moment like 2026-11-26 07:33:49.123456");
}

static int take_check(struct reading *reading, const char *key, size_t from)
{
    uint8_t said[SEAL_CHECK_SIZE], found[SEAL_CHECK_SIZE];
    char text[120];
    int outcome = expect(reading, key, 2);
    if (outcome)
        return outcome;
    if (!parse_hex(reading->words + 1, 1, said))
        return refuse(reading, "no eight hexadecimal digits");
    if (!seal_compute_check(&reading->plain, from, found))
        return error_set(reading->error, -ENOMEM, "%s: out of memory", reading->name);
    if (!memcmp(said, found, sizeof(said)))
        return 0;
    snprintf(text, sizeof(text),
             "the check does not fit: something is mistyped or missing since line %u",
             reading->since);
    return refuse(reading, text);
}

static int take_hash(struct reading *reading, uint8_t hash[SEAL_HASH_SIZE])
{
    for (size_t half = 0; half < 2; half++) {
        int outcome = expect(reading, "hash", 5);
        if (outcome)
            return outcome;
        if (!parse_hex(reading->words + 1, 4, hash + 16 * half))
            return refuse(reading, "no four words of eight hexadecimal digits");
    }
    return 0;
}

/* The line of a first half is there already. */
static int take_key(struct reading *reading, struct seal_host *host)
{
    struct seal_key *key = &host->keys[host->n_keys];
    uint64_t number;
    if (host->n_keys == SEAL_KEYS_MOST)
        return refuse(reading, "more keys than a host can have");
    for (size_t half = 0; half < 2; half++) {
        int outcome = half ? expect(reading, "key", 6) : 0;
        if (outcome)
            return outcome;
        if (!parse_number(reading->words[1], &number) || (half && number != key->number))
            return refuse(reading, "not the number of that key");
        if (!parse_hex(reading->words + 2, 4, key->public_key + 16 * half))
            return refuse(reading, "no four words of eight hexadecimal digits");
        key->number = number;
    }
    host->n_keys++;
    return 0;
}

/* Whether a line "key" comes next; if not it is left where it is. */
static int comes_key(struct reading *reading, bool *comes)
{
    struct reading ahead = *reading;
    int outcome = next_line(&ahead);
    *comes = !outcome && is_line(&ahead, "key", 6);
    if (!*comes)
        return outcome == -ENODATA ? 0 : outcome;
    return next_line(reading);
}

static int take_keys(struct reading *reading, struct seal_host *host)
{
    bool comes;
    int outcome = comes_key(reading, &comes);
    while (!outcome && comes) {
        outcome = take_key(reading, host);
        if (!outcome)
            outcome = comes_key(reading, &comes);
    }
    return outcome;
}

static int take_name(struct reading *reading, struct seal_host *host)
{
    size_t n = reading->seal->n_hosts;
    int outcome = expect(reading, "host", 3);
    reading->since = reading->line;
    if (outcome)
        return outcome;
    if (!parse_number(reading->words[1], &host->host_id) || host->host_id == 0 ||
        host->host_id > UINT32_MAX)
        return refuse(reading, "no number of a host");
    if (n > 1 && seal_host_at(reading->seal, n - 2)->host_id >= host->host_id)
        return refuse(reading, "hosts stand in the order of their numbers, each once");
    if (!seal_name_valid(slice_text(reading->words[2])))
        return refuse(reading, "no name of a host");
    snprintf(host->name, sizeof(host->name), "%s", reading->words[2]);
    return 0;
}

static int take_host(struct reading *reading)
{
    size_t from = reading->plain.length;
    struct seal_host *host = seal_add(reading->seal);
    if (!host)
        return error_set(reading->error, -ENOMEM, "%s: out of memory", reading->name);
    int outcome = take_name(reading, host);
    if (!outcome)
        outcome = take_number(reading, "batches", &host->n_batches);
    if (!outcome)
        outcome = take_number(reading, "last", &host->last);
    if (!outcome && host->last)
        outcome = take_moment(reading, "received", &host->received_us);
    if (!outcome && host->last)
        outcome = take_hash(reading, host->hash);
    if (!outcome)
        outcome = take_keys(reading, host);
    if (outcome)
        return outcome;
    seal_print_host(&reading->plain, host);
    return take_check(reading, "check", from);
}

/* Headers of a mail may stand before it. */
static int find_begin(struct reading *reading)
{
    int outcome;
    do
        outcome = next_line(reading);
    while (outcome == -EINVAL ||
           (!outcome && !(is_line(reading, "vestige", 3) && !strcmp(reading->words[1], "seal"))));
    if (outcome)
        return error_set(
            reading->error, -EINVAL,
            "%s: no line \"vestige seal 1\": not a seal, or a mail that is not decoded",
            reading->name);
    reading->since = reading->line;
    if (strcmp(reading->words[2], "1") != 0)
        return refuse(reading, "a form of seal that this program does not know (it knows 1)");
    return 0;
}

static int take_all(struct reading *reading)
{
    uint64_t n_hosts = 0;
    int outcome = find_begin(reading);
    unsigned begin = reading->since;
    if (!outcome)
        outcome = take_moment(reading, "at", &reading->seal->at_us);
    if (!outcome)
        outcome = take_number(reading, "hosts", &n_hosts);
    if (outcome)
        return outcome;
    struct seal head = {.at_us = reading->seal->at_us, .n_hosts = (size_t)n_hosts};
    seal_print_head(&reading->plain, &head);
    outcome = take_check(reading, "check", 0);
    for (uint64_t i = 0; !outcome && i < n_hosts; i++)
        outcome = take_host(reading);
    if (outcome)
        return outcome;
    reading->since = begin;
    return take_check(reading, "end", 0);
}

int seal_parse(struct seal *seal, const char *name, struct slice text, struct error_text *error)
{
    struct reading reading = {.name = name, .left = text, .seal = seal, .error = error};
    *seal = (struct seal)SEAL_NULL;
    int outcome = take_all(&reading);
    buffer_deinit(&reading.plain);
    if (outcome)
        seal_deinit(seal);
    return outcome;
}

static int read_file(struct buffer *text, const char *path, struct error_text *error)
{
    FILE *file AUTO_FCLOSE = fopen(path, "re");
    while (file && !feof(file) && !ferror(file) && text->length <= FILE_MOST) {
        uint8_t *room = buffer_reserve(text, 65536);
        if (!room)
            return error_set(error, -ENOMEM, "%s: out of memory", path);
        text->length += fread(room, 1, 65536, file);
    }
    if (!file || ferror(file))
        return error_set(error, errno ? -errno : -EIO, "%s cannot be read: %s", path,
                         strerror(errno));
    if (text->length > FILE_MOST)
        return error_set(error, -EINVAL, "%s is larger than %u MiB", path, FILE_MOST >> 20);
    return 0;
}

int seal_read(struct seal *seal, const char *path, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    *seal = (struct seal)SEAL_NULL;
    int outcome = read_file(&text, path, error);
    return outcome ? outcome : seal_parse(seal, path, buffer_slice(&text), error);
}
