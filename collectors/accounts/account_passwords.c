/* The lines are sorted by name once, and then looked up. They point into the text, so that no other
 * copy of a hash is made than the one that the caller wipes. */
#include "collectors/accounts/account_passwords.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct account_passwords {
    const struct account_key *key;
    bool known; /* who has no line here has none */
    uint64_t n_malformed;
    size_t n;
    struct shadow_line lines[];
};

static int compare_names(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Of the same name in the order of the file, in which they point into the text. */
static int compare_lines(const void *a, const void *b)
{
    const struct shadow_line *one = a, *other = b;
    int order = compare_names(one->name, other->name);
    return order ? order
                 : (one->name.data > other->name.data) - (one->name.data < other->name.data);
}

static size_t count_lines(struct slice text)
{
    struct account_lines lines = account_lines_of(text);
    struct slice line;
    while (account_lines_next(&lines, &line))
        ;
    return lines.n;
}

int account_passwords_new(struct account_passwords **passwordsp, struct slice text,
                          const struct account_key *key)
{
    size_t most = count_lines(text);
    struct account_passwords *passwords =
        calloc(1, sizeof(*passwords) + most * sizeof(passwords->lines[0]));
    struct account_lines lines = account_lines_of(text);
    struct slice line;
    if (!passwords)
        return -ENOMEM;
    passwords->key = key;
    passwords->known = !slice_is_null(text);
    while (account_lines_next(&lines, &line))
        if (shadow_line_parse(line, &passwords->lines[passwords->n]))
            passwords->n++;
        else
            passwords->n_malformed++;
    qsort(passwords->lines, passwords->n, sizeof(passwords->lines[0]), compare_lines);
    *passwordsp = passwords;
    return 0;
}

struct account_passwords *account_passwords_free(struct account_passwords *passwords)
{
    free(passwords);
    return NULL;
}

static const struct shadow_line *find_line(const struct account_passwords *passwords,
                                           struct slice name)
{
    size_t first = 0, end = passwords->n;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (compare_names(passwords->lines[middle].name, name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    bool found = first < passwords->n && slice_equal(passwords->lines[first].name, name);
    return found ? &passwords->lines[first] : NULL;
}

/* The name tells where the field begins: its length stands before it. */
static void digest(const struct account_key *key, struct slice name, struct slice field,
                   struct account_password *to)
{
    uint8_t text[1 + ACCOUNT_NAME_MOST + ACCOUNT_LINE_MOST], whole[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    text[0] = (uint8_t)name.length;
    memcpy(text + 1, name.data, name.length);
    memcpy(text + 1 + name.length, field.data, field.length);
    to->has_digest = HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), text,
                          1 + name.length + field.length, whole, &length) != NULL;
    if (to->has_digest)
        memcpy(to->digest, whole, sizeof(to->digest));
    OPENSSL_cleanse(text, 1 + name.length + field.length);
}

/* A ! before a hash locks it; what is no hash opens nothing either. */
static struct account_password judge(const struct account_passwords *passwords, struct slice name,
                                     struct slice field)
{
    struct account_password password = {.state = PASSWORD_EMPTY};
    if (field.length == 0)
        return password;
    bool locked = field.data[0] == '!' || field.data[0] == '*';
    while (field.length && (field.data[0] == '!' || field.data[0] == '*'))
        field = slice_of(field.data + 1, field.length - 1);
    password.state = locked ? PASSWORD_LOCKED : PASSWORD_SET;
    if (field.length && field.length <= ACCOUNT_LINE_MOST && name.length <= ACCOUNT_NAME_MOST)
        digest(passwords->key, name, field, &password);
    return password;
}

struct account_password account_passwords_find(const struct account_passwords *passwords,
                                               struct slice name, struct slice field)
{
    if (slice_is_null(field))
        return (struct account_password){.state = PASSWORD_UNKNOWN};
    if (!slice_is(field, "x"))
        return judge(passwords, name, field);
    const struct shadow_line *line = find_line(passwords, name);
    if (!line)
        return (struct account_password){.state =
                                             passwords->known ? PASSWORD_ABSENT : PASSWORD_UNKNOWN};
    return judge(passwords, name, line->password);
}

void account_passwords_are_cut(struct account_passwords *passwords)
{
    passwords->known = false;
}

uint64_t account_passwords_malformed(const struct account_passwords *passwords)
{
    return passwords->n_malformed;
}
