/*
 * Two hashes may differ: the one that stands in the row, and the one that is computed over its
 * header and list. The signature tells which of them the host had. Without a signature only their
 * being equal says anything.
 *
 * Servers of before did not keep `births`, which the hash covers: it is a small number, so it is
 * looked for.
 */
#include "reports/verify/stored_seal.h"

#include "core/cleanup.h"
#include "recorder/row/line.h"

#define FUTILE_MOST  64 /* one after the other: who adds such seals must not stop verification */
#define SEARCH_BYTES (UINT64_C(256) << 20) /* at most, for the births of one batch */

void sealing_keys_deinit(struct sealing_keys *keys)
{
    free(keys->keys);
    free(keys->n_futile);
    *keys = (struct sealing_keys){0};
}

int sealing_keys_load(struct sealing_keys *keys, MYSQL *mysql, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        mysql, &result, error, "read the keys of hosts",
        "SELECT host_id, number, public_key, CAST(created_at AS CHAR),"
        " COALESCE(CAST(revoked_at AS CHAR), '') FROM host_key ORDER BY host_id, number");
    if (outcome)
        return outcome;
    keys->keys = calloc((size_t)mysql_num_rows(result) + 1, sizeof(*keys->keys));
    keys->n_futile = calloc(1, sizeof(*keys->n_futile));
    if (!keys->keys || !keys->n_futile)
        return error_set(error, -ENOMEM, "cannot read the keys of hosts: out of memory");
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        struct sealing_key *key = &keys->keys[keys->n++];
        if (mysql_fetch_lengths(result)[2] != PUBLIC_KEY_SIZE || !row[3])
            return error_set(error, -EIO, "table host_key has a key that is none, of host %.10s",
                             row[0]);
        key->host_id = (uint32_t)strtoul(row[0], NULL, 10);
        key->number = (uint32_t)strtoul(row[1], NULL, 10);
        memcpy(key->public_key, row[2], PUBLIC_KEY_SIZE);
        snprintf(key->created_at, SEAL_MOMENT_SIZE, "%s", row[3]);
        snprintf(key->revoked_at, SEAL_MOMENT_SIZE, "%s", row[4]);
    }
    return 0;
}

static struct slice cell(MYSQL_ROW row, const unsigned long *lengths, unsigned i)
{
    return row[i] ? slice_of(row[i], lengths[i]) : SLICE_NULL;
}

static bool copy_bytes(uint8_t *to, struct slice from, size_t length)
{
    if (from.length != length)
        return false;
    memcpy(to, from.data, length);
    return true;
}

static bool copy_text(char *to, struct slice from, size_t size)
{
    if (slice_is_null(from) || from.length >= size || memchr(from.data, 0, from.length))
        return false;
    memcpy(to, from.data, from.length);
    to[from.length] = '\0';
    return true;
}

static bool read_number(struct slice text, uint64_t *number)
{
    return !slice_is_null(text) && batch_parse_u64(text, number);
}

/* Whether the row can be a header at all. */
static bool read_header(struct batch_header *header, MYSQL_ROW row, const unsigned long *lengths)
{
    uint64_t format = 0, recovered = 0;
    header->kind = BATCH_SEALED;
    bool is_one = read_number(cell(row, lengths, 0), &header->host_id) &&
                  read_number(cell(row, lengths, 1), &header->batch) &&
                  copy_bytes(header->hash, cell(row, lengths, 2), BATCH_HASH_SIZE) &&
                  copy_bytes(header->previous_hash, cell(row, lengths, 3), BATCH_HASH_SIZE) &&
                  read_number(cell(row, lengths, 4), &format) && format >= 1 &&
                  format <= BATCH_FORMAT &&
                  copy_text(header->boot_id, cell(row, lengths, 5), sizeof(header->boot_id)) &&
                  read_number(cell(row, lengths, 8), &header->n_lines) &&
                  copy_text(header->cursors, cell(row, lengths, 10), sizeof(header->cursors)) &&
                  read_number(cell(row, lengths, 11), &recovered) && recovered <= 1;
    header->format = (uint32_t)format;
    header->recovered = recovered == 1;
    header->first_us = line_parse_time(cell(row, lengths, 6));
    header->last_us = line_parse_time(cell(row, lengths, 7));
    return is_one;
}

static int compute(struct stored_seal *seal, struct batch_digest *digest, struct buffer *text)
{
    buffer_clear(text);
    batch_header_print_hashed(text, &seal->header);
    if (text->failed)
        return -ENOMEM;
    return batch_digest_hash(digest, buffer_slice(text), seal->digests, seal->computed);
}

static bool is_as_stored(const struct stored_seal *seal)
{
    return memcmp(seal->computed, seal->header.hash, BATCH_HASH_SIZE) == 0;
}

static int search_births(struct stored_seal *seal, const struct sealing_keys *keys,
                         struct batch_digest *digest, struct buffer *text)
{
    uint64_t left = *keys->n_futile < FUTILE_MOST ? SEARCH_BYTES : 0;
    for (seal->header.births = 0; left > seal->digests.length + 1024; seal->header.births++) {
        int outcome = compute(seal, digest, text);
        if (!outcome && is_as_stored(seal))
            *keys->n_futile = 0;
        if (outcome || is_as_stored(seal))
            return outcome;
        left -= seal->digests.length + 1024;
    }
    ++*keys->n_futile;
    return 0;
}

static const struct sealing_key *first_key(const struct sealing_keys *keys, uint64_t host_id)
{
    size_t low = 0, high = keys->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (keys->keys[middle].host_id < host_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < keys->n && keys->keys[low].host_id == host_id ? &keys->keys[low] : NULL;
}

static int check_signature(const struct stored_seal *seal, const struct sealing_keys *keys,
                           const uint8_t hash[BATCH_HASH_SIZE], enum signature_state *state)
{
    const struct sealing_key *key = first_key(keys, seal->header.host_id);
    const struct sealing_key *end = keys->keys + keys->n;
    *state = key ? SIGNATURE_WRONG : SIGNATURE_UNKNOWN;
    for (; key && key < end && key->host_id == seal->header.host_id; key++) {
        int outcome = signature_check(key->public_key, hash, seal->header.signature);
        if (outcome == -EBADMSG || (!outcome && seal->header.batch < key->first_batch))
            continue;
        if (outcome)
            return outcome;
        bool revoked = *key->revoked_at && strcmp(key->revoked_at, seal->received_at) <= 0;
        *state = revoked ? SIGNATURE_REVOKED : SIGNATURE_GOOD;
        if (!revoked)
            return 0;
    }
    return 0;
}

static enum signature_state without_signature(const struct stored_seal *seal,
                                              const struct sealing_keys *keys)
{
    const struct sealing_key *key = first_key(keys, seal->header.host_id);
    const struct sealing_key *end = keys->keys + keys->n;
    for (; key && key < end && key->host_id == seal->header.host_id; key++)
        if (strcmp(key->created_at, seal->received_at) <= 0)
            return SIGNATURE_MISSING;
    return SIGNATURE_NONE;
}

static bool fits(enum signature_state state)
{
    return state == SIGNATURE_GOOD || state == SIGNATURE_REVOKED;
}

static int judge(struct stored_seal *seal, const struct sealing_keys *keys, bool is_header)
{
    seal->state = is_header && is_as_stored(seal) ? SEAL_GOOD : SEAL_CHANGED;
    seal->signature = without_signature(seal, keys);
    if (!seal->has_signature)
        return 0;
    int outcome = check_signature(seal, keys, seal->header.hash, &seal->signature);
    if (outcome || seal->state == SEAL_GOOD || !is_header || fits(seal->signature))
        return outcome;
    enum signature_state computed;
    outcome = check_signature(seal, keys, seal->computed, &computed);
    if (!outcome && fits(computed)) {
        seal->state = SEAL_HASH_CHANGED;
        seal->signature = computed;
    }
    return outcome;
}

int stored_seal_read(struct stored_seal *seal, MYSQL_ROW row, const unsigned long *lengths,
                     const struct sealing_keys *keys, struct batch_digest *digest,
                     struct buffer *text)
{
    *seal = (struct stored_seal){.digests = cell(row, lengths, 12), .verified = *row[15] == '1'};
    bool is_header = read_header(&seal->header, row, lengths), has_list = row[12] != NULL;
    struct slice signature = cell(row, lengths, 13), births = cell(row, lengths, 9);
    int outcome = 0;
    copy_text(seal->received_at, cell(row, lengths, 14), SEAL_MOMENT_SIZE);
    seal->received_day = (int64_t)(line_parse_time(cell(row, lengths, 14)) / UINT64_C(86400000000));
    seal->has_signature = !slice_is_null(signature);
    if (seal->has_signature)
        is_header &= copy_bytes(seal->header.signature, signature, SIGNATURE_SIZE);
    if (is_header && has_list && slice_is_null(births) && seal->header.format == 1) {
        outcome = search_births(seal, keys, digest, text);
    } else if (has_list) {
        is_header &= read_number(births, &seal->header.births);
        if (is_header)
            outcome = compute(seal, digest, text);
    }
    if (!outcome)
        outcome = judge(seal, keys, is_header && has_list);
    if (!outcome && !has_list)
        seal->state = SEAL_THINNED;
    return outcome;
}

bool stored_seal_is_trusted(const struct stored_seal *seal)
{
    return seal->state == SEAL_GOOD || seal->state == SEAL_HASH_CHANGED;
}

const uint8_t *stored_seal_hash(const struct stored_seal *seal)
{
    return seal->state == SEAL_HASH_CHANGED ? seal->computed : seal->header.hash;
}

bool stored_seal_is_sound(const struct stored_seal *seal)
{
    return seal->signature == SIGNATURE_GOOD || seal->signature == SIGNATURE_NONE;
}

bool stored_seal_is_repeated(struct seal_repeats *repeats, const struct stored_seal *seal)
{
    if (repeats->batch != seal->header.batch)
        *repeats = (struct seal_repeats){.batch = seal->header.batch};
    for (size_t i = 0; i < repeats->n; i++)
        if (!memcmp(repeats->hashes[i], seal->computed, BATCH_HASH_SIZE))
            return true;
    if (repeats->n < sizeof(repeats->hashes) / sizeof(repeats->hashes[0]))
        memcpy(repeats->hashes[repeats->n++], seal->computed, BATCH_HASH_SIZE);
    return false;
}
