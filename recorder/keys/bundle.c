/* The checksum tells a file that was cut or changed on its way from one that is no bundle; it
 * proves nothing about who made it. Everything is bounded before it is used. */
#include "recorder/keys/bundle.h"

#include "core/hex.h"

#include <openssl/evp.h>
#include <string.h>

static const char first_line[] = "Vestige bundle 1\n";

static const char *const names[BUNDLE_PART_N] = {
    [BUNDLE_HOST] = "host",
    [BUNDLE_OPTIONS] = "agent.cnf",
    [BUNDLE_CONFIGURATION] = "vestiged.conf",
    [BUNDLE_SIGNING_KEY] = "signing.key",
    [BUNDLE_AUTHORITY] = "ca.pem",
    [BUNDLE_CERTIFICATE] = "agent.pem",
    [BUNDLE_KEY] = "agent.key",
    [BUNDLE_TOKEN] = "token.cnf",
};

enum { LINE_MOST = 80, SUM_DIGITS = 64 };

const char *bundle_name(enum bundle_part part)
{
    return names[part];
}

static int checksum(const uint8_t *data, size_t length, char digits[SUM_DIGITS + 1])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(data, length, hash, &n, EVP_sha256(), NULL) || n * 2 != SUM_DIGITS)
        return -EIO;
    hex_text(digits, hash, n);
    return 0;
}

struct reader {
    struct slice text;
    size_t at;
    unsigned n_parts;
    struct error_text *error;
};

/** The next line without its newline, as text; false: there is none, or it is too long. */
static bool next_line(struct reader *reader, char line[LINE_MOST + 1])
{
    const uint8_t *start = reader->text.data + reader->at;
    size_t left = reader->text.length - reader->at;
    const uint8_t *end = left ? memchr(start, '\n', left) : NULL;
    if (!end || end - start > LINE_MOST || memchr(start, '\0', (size_t)(end - start)))
        return false;
    memcpy(line, start, (size_t)(end - start));
    line[end - start] = '\0';
    reader->at += (size_t)(end - start) + 1;
    return true;
}

static int find_part(const char *name, size_t length)
{
    for (int i = 0; i < BUNDLE_PART_N; i++)
        if (strlen(names[i]) == length && !memcmp(names[i], name, length))
            return i;
    return -ENOENT;
}

static int damaged(const struct reader *reader, const char *what)
{
    return error_set(reader->error, -EINVAL, "the bundle is damaged at byte %zu: %s", reader->at,
                     what);
}

static int read_part(struct reader *reader, struct bundle *bundle, const char *words)
{
    const char *blank = strchr(words, ' ');
    int part = blank ? find_part(words, (size_t)(blank - words)) : -ENOENT;
    if (part < 0)
        return damaged(reader, "it has a file that no bundle has");
    size_t n_digits = strspn(blank + 1, "0123456789");
    size_t length = n_digits && n_digits < 7 && !blank[1 + n_digits]
                        ? (size_t)strtoul(blank + 1, NULL, 10)
                        : BUNDLE_PART_MOST + 1;
    if (length > BUNDLE_PART_MOST)
        return damaged(reader, "the length of a file is wrong");
    if (!slice_is_null(bundle->parts[part]))
        return damaged(reader, "it has a file twice");
    if (length >= reader->text.length - reader->at ||
        reader->text.data[reader->at + length] != '\n')
        return damaged(reader, "a file ends too early");
    bundle->parts[part] = slice_of(reader->text.data + reader->at, length);
    reader->at += length + 1;
    return 0;
}

static int check_end(const struct reader *reader, size_t length, const char *said)
{
    char digits[SUM_DIGITS + 1];
    int r = checksum(reader->text.data, length, digits);
    if (r < 0)
        return error_set(reader->error, r, "libcrypto cannot compute SHA-256");
    if (strcmp(digits, said) != 0)
        return error_set(reader->error, -EINVAL, "the bundle was changed: its checksum differs");
    if (reader->at != reader->text.length)
        return damaged(reader, "something follows its end");
    return 0;
}

/* It is printed, and stands in a request for a certificate. */
static bool is_name(struct slice host)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < host.length; i++)
        if (!host.data[i] || !strchr(good, host.data[i]))
            return false;
    return host.length > 0 && host.length <= 253;
}

static int check_parts(const struct bundle *bundle, struct error_text *error)
{
    bool is_token = !slice_is_null(bundle->parts[BUNDLE_TOKEN]);
    struct slice host = bundle->parts[BUNDLE_HOST];
    if (!is_name(host))
        return error_set(error, -EINVAL, "the bundle does not name its host");
    if (slice_is_null(bundle->parts[BUNDLE_OPTIONS]) ||
        slice_is_null(bundle->parts[BUNDLE_CONFIGURATION]))
        return error_set(error, -EINVAL, "the bundle has %s",
                         is_token ? "a token, but no template of the files"
                                  : "neither credential nor token");
    return 0;
}

int bundle_parse(struct bundle *bundle, struct slice text, struct error_text *error)
{
    struct reader reader = {.text = text, .at = sizeof(first_line) - 1, .error = error};
    char line[LINE_MOST + 1];
    *bundle = (struct bundle){0};
    if (text.length > BUNDLE_MOST || text.length < reader.at ||
        memcmp(text.data, first_line, reader.at) != 0)
        return error_set(
            error, -EINVAL,
            "this is no bundle of `vestige client enroll` (or one of another version)");
    for (;;) {
        size_t start = reader.at;
        if (!next_line(&reader, line))
            return damaged(&reader, "its end is missing");
        if (!strncmp(line, "end ", 4)) {
            int r = check_end(&reader, start, line + 4);
            return r < 0 ? r : check_parts(bundle, error);
        }
        if (strncmp(line, "file ", 5) != 0)
            return damaged(&reader, "there is neither a file nor the end");
        int r = read_part(&reader, bundle, line + 5);
        if (r < 0)
            return r;
    }
}

void bundle_begin(struct buffer *to)
{
    buffer_append_text(to, first_line);
}

void bundle_append(struct buffer *to, enum bundle_part part, struct slice data)
{
    buffer_printf(to, "file %s %zu\n", names[part], data.length);
    buffer_append_slice(to, data);
    buffer_append_byte(to, '\n');
}

int bundle_end(struct buffer *to)
{
    char digits[SUM_DIGITS + 1];
    if (to->failed)
        return -ENOMEM;
    int r = checksum(to->data, to->length, digits);
    if (r < 0)
        return r;
    buffer_printf(to, "end %s\n", digits);
    return to->failed ? -ENOMEM : 0;
}

static const struct bundle_word *word_at(struct slice text, size_t at,
                                         const struct bundle_word *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++) {
        size_t length = strlen(words[i].word);
        if (text.length - at >= length && !memcmp(text.data + at, words[i].word, length))
            return &words[i];
    }
    return NULL;
}

void bundle_fill_in(struct buffer *to, struct slice text, const struct bundle_word *words,
                    size_t n_words)
{
    for (size_t at = 0; at < text.length;) {
        const struct bundle_word *found =
            text.data[at] == '@' ? word_at(text, at, words, n_words) : NULL;
        if (found)
            buffer_append_text(to, found->value);
        else
            buffer_append(to, text.data + at, 1);
        at += found ? strlen(found->word) : 1;
    }
}
