/*
 * The seals of one host in the order of their numbers. Seals of one number are a level; nearly
 * always there is one. What is wrong is told once: a seal that was named is no reason to name the
 * next one, and of a run of batches with the same fault the first and the last are told.
 *
 * Who has an agent's password, but not its key, can add seals of any number. They are named, and
 * take no part in the chain: no hole is seen before them.
 */
#include "core/array.h"
#include "reports/verify/digest_list.h"
#include "reports/verify/verify_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HASHES_MOST 16 /* of one level */
#define RUN_LEAST   4  /* so many batches with one fault are told as one */

enum fault {
    FAULT_NONE,
    FAULT_CHANGED,
    FAULT_HASH,
    FAULT_LIST,
    FAULT_UNSIGNED,
    FAULT_SIGNATURE,
    FAULT_REVOKED,
    FAULT_KEY,
    FAULT_MISSING,
    FAULT_CHAIN,
    FAULT_FORK
};

static const char *const fault_names[] = {
    [FAULT_NONE] = "",
    [FAULT_CHANGED] = "seal changed",
    [FAULT_HASH] = "hash changed",
    [FAULT_LIST] = "digest list missing",
    [FAULT_UNSIGNED] = "not signed",
    [FAULT_SIGNATURE] = "signature wrong",
    [FAULT_REVOKED] = "signed with a revoked key",
    [FAULT_KEY] = "unknown key",
    [FAULT_MISSING] = "batch missing",
    [FAULT_CHAIN] = "chain broken",
    [FAULT_FORK] = "two batches of one number",
};

/* Seals of one number. */
struct level {
    uint64_t number;
    uint8_t hashes[HASHES_MOST][BATCH_HASH_SIZE]; /* by which the chain may go on */
    uint8_t previous[HASHES_MOST][BATCH_HASH_SIZE];
    size_t n_hashes, n_previous;
    size_t n_sound; /* seals that count for the chain */
    bool named, many;
    bool trusted, thinned; /* one of its seals is */
};

struct walk {
    struct worker *worker;
    struct verify_host *host;
    struct level now, before;
    bool has_now, has_before;
    bool signed_before; /* by the host, a batch with a lower number or the same */
    uint64_t sound;     /* the last number with a sound seal */
    struct number_list unsound;
    enum fault run; /* of batches with one fault */
    uint64_t run_first, run_last;
    uint8_t run_hash[BATCH_HASH_SIZE]; /* of one seal; zeros: of none */
    uint64_t forked;                   /* a number with two sound seals, 0: none */
    struct seal_repeats repeats;
};

/* --- formats --- */

unsigned verify_format(const struct verify_host *host, uint64_t batch)
{
    unsigned format = BATCH_FORMAT;
    for (size_t i = host->n_formats; i > 0; i--)
        if (host->formats[i - 1].first <= batch)
            return host->formats[i - 1].format;
    return format;
}

static int add_format(struct verify_host *host, uint64_t batch, unsigned format)
{
    if (host->n_formats && host->formats[host->n_formats - 1].format == format)
        return 0;
    if (ARRAY_GROW(host->formats, host->n_formats, host->formats_size))
        return -ENOMEM;
    host->formats[host->n_formats] = (struct format_run){host->n_formats ? batch : 0, format};
    host->n_formats++;
    return 0;
}

/* --- what is told --- */

static void add(const struct walk *walk, const struct difference *told)
{
    if (!walk->worker->verify->later_slice)
        differences_add(walk->worker->verify->result->differences, told);
}

static void tell_batches(const struct walk *walk, uint64_t first, uint64_t last)
{
    struct difference told = {.host_id = walk->host->host_id,
                              .table = "batch",
                              .has_batch = true,
                              .batch = first,
                              .last_batch = last,
                              .what = fault_names[walk->run]};
    memcpy(told.hash, walk->run_hash, BATCH_HASH_SIZE);
    if (last > first)
        snprintf(told.detail, sizeof(told.detail), "%" PRIu64 " batches, to %" PRIu64,
                 last - first + 1, last);
    add(walk, &told);
}

static void end_run(struct walk *walk)
{
    if (walk->run == FAULT_NONE)
        return;
    uint64_t more =
        walk->run_last - walk->run_first; /* no number is beyond the greatest there is */
    if (more >= RUN_LEAST)
        tell_batches(walk, walk->run_first, walk->run_last);
    else
        for (uint64_t i = 0; i <= more; i++)
            tell_batches(walk, walk->run_first + i, walk->run_first + i);
    walk->run = FAULT_NONE;
}

static void tell(struct walk *walk, enum fault fault, uint64_t first, uint64_t last,
                 const uint8_t *hash)
{
    static const uint8_t none[BATCH_HASH_SIZE];
    if (walk->run == fault && !walk->worker->verify->only_batches && walk->run_last + 1 >= first &&
        walk->run_first <= first) {
        walk->run_last = last > walk->run_last ? last : walk->run_last;
        return;
    }
    end_run(walk);
    walk->run = fault;
    walk->run_first = first;
    walk->run_last = last;
    memcpy(walk->run_hash, hash ? hash : none, BATCH_HASH_SIZE);
}

static void tell_link(struct walk *walk, enum fault fault, uint64_t number, const char *detail)
{
    struct difference told = {.host_id = walk->host->host_id,
                              .table = "batch",
                              .has_batch = true,
                              .batch = number,
                              .last_batch = fault == FAULT_CHAIN ? number + 1 : number,
                              .what = fault_names[fault]};
    snprintf(told.detail, sizeof(told.detail), "%s", detail);
    add(walk, &told);
}

/* --- the chain --- */

static bool has_hash(const struct level *level, const uint8_t hash[BATCH_HASH_SIZE])
{
    for (size_t i = 0; i < level->n_hashes; i++)
        if (!memcmp(level->hashes[i], hash, BATCH_HASH_SIZE))
            return true;
    return false;
}

static void check_link(struct walk *walk, const uint8_t previous[BATCH_HASH_SIZE])
{
    static const uint8_t none[BATCH_HASH_SIZE];
    char detail[160];
    uint64_t number = walk->now.number;
    if (number == 1) {
        if (memcmp(previous, none, sizeof(none)) != 0)
            tell_link(walk, FAULT_CHAIN, 1, "it says that there was a batch before it");
        return;
    }
    if (!walk->has_before || walk->before.number != number - 1 || walk->before.many ||
        has_hash(&walk->before, previous) || walk->before.named)
        return;
    snprintf(detail, sizeof(detail),
             "batch %" PRIu64 " was sealed behind another one of this number", number);
    tell_link(walk, FAULT_CHAIN, number - 1, detail);
}

/* Numbers between the last sound seal and this one that are nowhere. */
static int check_hole(struct walk *walk)
{
    uint64_t next = walk->sound + 1;
    for (size_t i = 0; i <= walk->unsound.n; i++) {
        uint64_t present = i < walk->unsound.n ? walk->unsound.numbers[i] : walk->now.number;
        if (present > walk->now.number)
            present = walk->now.number;
        if (present > next) {
            tell(walk, FAULT_MISSING, next, present - 1, NULL);
            if (number_ranges_add(&walk->host->excluded, next, present - 1))
                return -ENOMEM;
        }
        next = present + 1;
    }
    return 0;
}

static void check_fork(struct walk *walk)
{
    char detail[160];
    if (!walk->forked)
        return;
    snprintf(detail, sizeof(detail), "two seals");
    for (size_t i = 0;
         walk->has_now && walk->now.number == walk->forked + 1 && i < walk->now.n_previous; i++)
        if (has_hash(&walk->before, walk->now.previous[i])) {
            const uint8_t *hash = walk->now.previous[i];
            snprintf(detail, sizeof(detail),
                     "two seals; the chain goes on from the one with hash %02x%02x%02x%02x...",
                     hash[0], hash[1], hash[2], hash[3]);
        }
    tell_link(walk, FAULT_FORK, walk->forked, detail);
    walk->forked = 0;
}

/* Lines of a number without any list that can be trusted prove nothing. */
static int exclude(struct walk *walk)
{
    const struct level *now = &walk->now;
    if (now->trusted)
        return 0;
    return number_ranges_add(now->thinned ? &walk->host->thinned : &walk->host->excluded,
                             now->number, now->number);
}

static int end_level(struct walk *walk)
{
    if (!walk->has_now)
        return 0;
    struct level *now = &walk->now;
    uint64_t last = walk->has_before ? walk->before.number : walk->sound;
    check_fork(walk);
    if (exclude(walk) || (now->number > last + 1 &&
                          number_ranges_add(&walk->host->absent, last + 1, now->number - 1)))
        return -ENOMEM;
    if (now->n_sound) {
        int outcome = check_hole(walk);
        if (outcome)
            return outcome;
        for (size_t i = 0; i < now->n_previous; i++)
            check_link(walk, now->previous[i]);
        if (now->n_sound > 1 && !(walk->has_before && walk->before.number + 1 == now->number &&
                                  walk->before.n_sound >= now->n_sound))
            walk->forked = now->number;
        walk->sound = now->number;
        walk->unsound.n = 0;
    } else if (number_list_add(&walk->unsound, now->number)) {
        return -ENOMEM;
    }
    walk->before = *now;
    walk->has_before = true;
    return 0;
}

static void add_hash(struct level *level, const uint8_t hash[BATCH_HASH_SIZE])
{
    if (level->n_hashes < HASHES_MOST)
        memcpy(level->hashes[level->n_hashes++], hash, BATCH_HASH_SIZE);
    else
        level->many = true;
}

static void add_to_level(struct walk *walk, const struct stored_seal *seal, bool named)
{
    struct level *now = &walk->now;
    bool again = has_hash(now, stored_seal_hash(seal));
    add_hash(now, stored_seal_hash(seal));
    if (seal->state == SEAL_CHANGED && seal->signature != SIGNATURE_GOOD)
        add_hash(now, seal->computed);
    now->named |= named;
    now->trusted |= stored_seal_is_trusted(seal);
    if (again || !stored_seal_is_sound(seal) || seal->state == SEAL_CHANGED)
        return; /* its number may be another one's */
    now->n_sound++;
    if ((stored_seal_is_trusted(seal) || seal->state == SEAL_THINNED) &&
        now->n_previous < HASHES_MOST)
        memcpy(now->previous[now->n_previous++], seal->header.previous_hash, BATCH_HASH_SIZE);
}

/* --- a seal --- */

static int add_list(struct walk *walk, const struct stored_seal *seal)
{
    struct verify *verify = walk->worker->verify;
    struct digest_list list;
    struct digest_entry entry;
    int outcome;
    digest_list_begin(&list, seal->digests);
    while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY) {
        if (!verify_is_in_slice(verify, entry.id))
            continue;
        struct retained_day *day =
            retained_find(verify->retained, entry.table, walk->host->host_id, day_of_id(entry.id));
        if (day && entry.verb == VERB_INSERT)
            day->n_late += strcmp(seal->received_at, day->dropped_at) > 0;
        if (retained_row(verify->retained, entry.table, walk->host->host_id, entry.id)) {
            day->n_listed += entry.verb == VERB_INSERT;
            continue;
        }
        struct line_key line = {.host_id = walk->host->host_id,
                                .table = entry.table,
                                .verb = entry.verb,
                                .id = entry.id,
                                .batch = seal->header.batch};
        memcpy(line.digest, entry.digest, BATCH_DIGEST_SIZE);
        outcome =
            line_sums_change(&walk->host->sums, walk->worker->digest, verify->secret, &line, true);
        if (outcome)
            return outcome;
    }
    return outcome;
}

/* Ids that have both lines in this list: the groups `end` and `insert` of a table are sorted by
 * id, and `end` comes first. */
static int add_pairs(const struct verify *verify, struct verify_host *host, struct slice digests)
{
    struct digest_list list, ends = {0};
    struct digest_entry entry, end = {.table = TABLE_NONE};
    bool has_ends = false;
    int outcome;
    digest_list_begin(&list, digests);
    while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY) {
        if (entry.verb == VERB_END && (!has_ends || end.table != entry.table)) {
            ends = list;
            end = entry;
            has_ends = true;
        }
        if (entry.verb != VERB_INSERT || !has_ends || end.table != entry.table)
            continue;
        while (has_ends && end.id < entry.id)
            has_ends = digest_list_next(&ends, &end) == DIGEST_LIST_ENTRY &&
                       end.table == entry.table && end.verb == VERB_END;
        if (has_ends && end.id == entry.id && verify_is_in_slice(verify, entry.id) &&
            number_list_add(&host->pairs[entry.table], entry.id))
            return -ENOMEM;
    }
    return outcome;
}

static enum fault fault_of(const struct walk *walk, const struct stored_seal *seal)
{
    const struct verify *verify = walk->worker->verify;
    if (seal->state == SEAL_CHANGED)
        return FAULT_CHANGED;
    if (seal->state == SEAL_THINNED && !verify_thinned(verify, seal))
        return FAULT_LIST;
    switch (seal->signature) {
    case SIGNATURE_WRONG:
        return FAULT_SIGNATURE;
    case SIGNATURE_REVOKED:
        return FAULT_REVOKED;
    case SIGNATURE_UNKNOWN:
        return FAULT_KEY;
    case SIGNATURE_MISSING:
        return FAULT_UNSIGNED;
    case SIGNATURE_NONE:
        if (verify->options->require_signatures)
            return FAULT_UNSIGNED;
        break;
    case SIGNATURE_GOOD:
        break;
    }
    return seal->state == SEAL_HASH_CHANGED ? FAULT_HASH : FAULT_NONE;
}

static int take_lines(struct walk *walk, const struct stored_seal *seal)
{
    uint64_t number = seal->header.batch;
    if (!stored_seal_is_trusted(seal)) {
        struct retained_day *day = verify_thinned(walk->worker->verify, seal);
        bool counts = !walk->worker->verify->later_slice;
        if (day) {
            day->n_listed += counts;
            walk->now.thinned = true;
            walk->worker->verify->result->counts.thinned_batches += counts;
        }
        return 0;
    }
    if (stored_seal_is_repeated(&walk->repeats, seal))
        return 0;
    int outcome = add_format(walk->host, number, seal->header.format);
    if (!outcome)
        outcome = add_pairs(walk->worker->verify, walk->host, seal->digests);
    return outcome ? outcome : add_list(walk, seal);
}

/* When the host got its key is what the server says. But a host that has signed once goes on. */
static struct stored_seal judge(struct walk *walk, const struct stored_seal *seal)
{
    struct stored_seal judged = *seal;
    if (judged.signature == SIGNATURE_NONE && walk->signed_before)
        judged.signature = SIGNATURE_MISSING;
    walk->signed_before |= /* of one that was changed the number may be another one's */
        stored_seal_is_trusted(&judged) && judged.signature == SIGNATURE_GOOD;
    return judged;
}

static int take_seal(void *user, const struct stored_seal *found)
{
    struct walk *walk = user;
    const struct stored_seal judged = judge(walk, found), *seal = &judged;
    struct verify_counts *counts = &walk->worker->verify->result->counts;
    uint64_t number = seal->header.batch;
    if (walk->has_now && walk->now.number != number) {
        int outcome = end_level(walk);
        if (outcome)
            return outcome;
        walk->has_now = false;
    }
    if (!walk->has_now) {
        walk->now = (struct level){.number = number};
        walk->has_now = true;
    }
    enum fault fault = fault_of(walk, seal);
    if (fault != FAULT_NONE)
        tell(walk, fault, number, number, seal->header.hash);
    if (!walk->worker->verify->later_slice) {
        counts->batches++;
        counts->signed_batches += seal->signature == SIGNATURE_GOOD;
        counts->unsigned_batches += seal->signature == SIGNATURE_NONE;
    }
    add_to_level(walk, seal, fault != FAULT_NONE);
    walk->host->newest = number;
    return take_lines(walk, seal);
}

struct retained_day *verify_thinned(const struct verify *verify, const struct stored_seal *seal)
{
    struct retained_day *day =
        seal->state == SEAL_THINNED
            ? retained_find(verify->retained, RETAINED_BATCH, (uint32_t)seal->header.host_id,
                            seal->received_day)
            : NULL;
    return day && seal->header.batch >= day->first_id && seal->header.batch <= day->last_id ? day
                                                                                            : NULL;
}

int verify_read_seals(const struct seal_reading *about)
{
    struct worker *worker = about->worker;
    struct rows_reading reading;
    struct stored_seal seal;
    MYSQL_ROW row = NULL;
    unsigned long *lengths = NULL;
    int outcome = rows_reading_begin(
        &reading, worker->mysql, &worker->error, "read the seals",
        "SELECT " SEAL_COLUMNS " FROM batch FORCE INDEX (PRIMARY) WHERE host_id = %" PRIu32
        " AND batch BETWEEN %" PRIu64 " AND %" PRIu64 " ORDER BY host_id, batch, hash",
        about->host_id, about->first, about->last);
    if (outcome)
        return outcome;
    while ((outcome = reading_next(&reading, &row, &lengths, &worker->error)) == READING_ROW) {
        outcome = stored_seal_read(&seal, row, lengths, &worker->verify->keys, worker->digest,
                                   &worker->text);
        if (!outcome)
            outcome = about->handle(about->user, &seal);
        if (outcome) {
            outcome = error_set(&worker->error, outcome, "cannot verify the seals: %s",
                                strerror(-outcome));
            break;
        }
    }
    rows_reading_end(&reading);
    return outcome;
}

int verify_seals(struct worker *worker, struct verify_host *host)
{
    struct walk walk = {
        .worker = worker, .host = host, .sound = host->first > 1 ? host->first - 1 : 0};
    struct seal_reading about = {.worker = worker,
                                 .host_id = host->host_id,
                                 .first = host->first,
                                 .last = host->last,
                                 .handle = take_seal,
                                 .user = &walk};
    int outcome = verify_read_seals(&about);
    if (!outcome && end_level(&walk))
        outcome = error_set(&worker->error, -ENOMEM, "cannot verify the seals: out of memory");
    if (!outcome) {
        walk.has_now = false;
        check_fork(&walk);
        end_run(&walk);
    }
    number_ranges_sort(&host->excluded);
    for (int table = 0; table < TABLE_N; table++)
        number_list_sort(&host->pairs[table]);
    free(walk.unsound.numbers);
    return outcome;
}
