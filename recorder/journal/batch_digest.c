/* The algorithm is fetched once and the context used again: a fetch for each line would cost more
 * than the hash of the line. Entries have a fixed size and are sorted once, when the list is made.
 */
#include "recorder/journal/batch_digest.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct entry {
    uint64_t id;
    uint8_t value[BATCH_DIGEST_SIZE];
    uint8_t table, verb;
};

struct batch_digest {
    EVP_MD *algorithm;
    EVP_MD_CTX *context;
    struct buffer entries; /* of struct entry */
};

struct batch_digest *batch_digest_free(struct batch_digest *digest)
{
    if (digest) {
        EVP_MD_CTX_free(digest->context);
        EVP_MD_free(digest->algorithm);
        buffer_deinit(&digest->entries);
        free(digest);
    }
    return NULL;
}

int batch_digest_new(struct batch_digest **digestp)
{
    struct batch_digest *digest = calloc(1, sizeof(*digest));
    if (!digest)
        return -ENOMEM;
    digest->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    digest->context = EVP_MD_CTX_new();
    if (!digest->algorithm || !digest->context ||
        EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL) != 1) {
        batch_digest_free(digest);
        return -ENOMEM;
    }
    *digestp = digest;
    return 0;
}

void batch_digest_clear(struct batch_digest *digest)
{
    buffer_clear(&digest->entries);
}

int batch_digest_line(struct batch_digest *digest, struct slice raw,
                      uint8_t value[BATCH_DIGEST_SIZE])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    if (EVP_DigestInit_ex2(digest->context, NULL, NULL) != 1 ||
        EVP_DigestUpdate(digest->context, raw.data, raw.length) != 1 ||
        EVP_DigestFinal_ex(digest->context, full, NULL) != 1)
        return -EIO;
    memcpy(value, full, BATCH_DIGEST_SIZE);
    return 0;
}

int batch_digest_add(struct batch_digest *digest, enum verb verb, enum table_id table, uint64_t id,
                     const uint8_t value[BATCH_DIGEST_SIZE])
{
    struct entry entry = {.id = id, .table = (uint8_t)table, .verb = (uint8_t)verb};
    memcpy(entry.value, value, BATCH_DIGEST_SIZE);
    buffer_append(&digest->entries, &entry, sizeof(entry));
    return digest->entries.failed ? -ENOMEM : 0;
}

size_t batch_digest_count(const struct batch_digest *digest)
{
    return digest->entries.length / sizeof(struct entry);
}

static int compare_groups(const struct entry *a, const struct entry *b)
{
    if (a->table != b->table)
        return strcmp(catalogue_table((enum table_id)a->table)->name,
                      catalogue_table((enum table_id)b->table)->name);
    if (a->verb != b->verb)
        return strcmp(verb_name((enum verb)a->verb), verb_name((enum verb)b->verb));
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = compare_groups(a, b);
    if (order == 0)
        order = (a->id > b->id) - (a->id < b->id);
    return order ? order : memcmp(a->value, b->value, BATCH_DIGEST_SIZE);
}

static void append_group(struct buffer *list, const struct entry *entries, size_t n)
{
    buffer_append_text(list, catalogue_table((enum table_id)entries->table)->name);
    buffer_append_byte(list, '\t');
    buffer_append_text(list, verb_name((enum verb)entries->verb));
    buffer_append_byte(list, '\t');
    buffer_append_u64(list, n);
    buffer_append_byte(list, '\n');
    for (size_t i = 0; i < n; i++) {
        uint64_t id = htobe64(entries[i].id);
        buffer_append(list, &id, sizeof(id));
        buffer_append(list, entries[i].value, BATCH_DIGEST_SIZE);
    }
}

int batch_digest_list(struct batch_digest *digest, struct buffer *list)
{
    size_t n = batch_digest_count(digest);
    struct entry *entries = (struct entry *)(void *)digest->entries.data;
    if (n)
        qsort(entries, n, sizeof(*entries), compare);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && compare_groups(&entries[from], &entries[to]) == 0; to++)
            continue;
        append_group(list, &entries[from], to - from);
    }
    return list->failed ? -ENOMEM : 0;
}

int batch_digest_hash(struct batch_digest *digest, struct slice header, struct slice list,
                      uint8_t hash[32])
{
    if (EVP_DigestInit_ex2(digest->context, NULL, NULL) != 1 ||
        EVP_DigestUpdate(digest->context, header.data, header.length) != 1 ||
        EVP_DigestUpdate(digest->context, list.data, list.length) != 1 ||
        EVP_DigestFinal_ex(digest->context, hash, NULL) != 1)
        return -EIO;
    return 0;
}
