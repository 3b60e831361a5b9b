/*
 * The lists of the batches in question, sorted by row, in memory; every row is read again and its
 * lines are looked for. What no row has taken in the end is missing, what is nowhere is extra. When
 * the batches in question are too many for the memory, they are taken in rounds.
 */
#include "reports/verify/digest_list.h"
#include "reports/verify/verify_private.h"

#include "core/array.h"
#include "core/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define UNSOUND_MOST 100 /* lines missing that are told */

struct entry {
    struct line_key line;
    struct retained_day *refused; /* refused lines of its batch's day were dropped */
    bool is_unsound;              /* whoever made its seal had no key of the host */
    _Atomic bool found, row_exists;
};

struct matcher {
    struct entry *entries;
    size_t n, size;
    uint8_t *in_round; /* per host and bucket: to be looked at now */
    size_t *offsets;   /* of the buckets of each host */
};

static bool is_in_round(const struct verify *verify, const struct verify_host *host, uint64_t batch)
{
    size_t at = verify->matcher->offsets[host - verify->hosts];
    return verify->matcher->in_round[at + line_sums_bucket(&host->sums, batch)];
}

/* --- the lists --- */

static int add_entry(struct matcher *matcher, const struct line_key *line,
                     struct retained_day *refused, bool is_unsound)
{
    if (ARRAY_GROW(matcher->entries, matcher->n, matcher->size))
        return -ENOMEM;
    matcher->entries[matcher->n++] =
        (struct entry){.line = *line, .refused = refused, .is_unsound = is_unsound};
    return 0;
}

struct loading {
    struct worker *worker;
    struct verify_host *host;
    struct seal_repeats repeats;
};

/* Of batches that arrived, those of one number are taken together, however many somebody without
 * the key has added. */
static bool is_flood(const struct verify *verify, const struct stored_seal *seal)
{
    return verify->only_batches && !stored_seal_is_sound(seal) &&
           verify->matcher->n > verify->options->memory / 2 / sizeof(struct entry);
}

static int load_list(void *user, const struct stored_seal *seal)
{
    struct loading *loading = user;
    const struct verify *verify = loading->worker->verify;
    struct digest_list list;
    struct digest_entry entry;
    int outcome;
    if (!stored_seal_is_trusted(seal) || !is_in_round(verify, loading->host, seal->header.batch) ||
        stored_seal_is_repeated(&loading->repeats, seal) || is_flood(verify, seal))
        return 0;
    struct retained_day *refused = retained_find(verify->retained, RETAINED_REJECTED,
                                                 loading->host->host_id, seal->received_day);
    digest_list_begin(&list, seal->digests);
    while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY) {
        struct line_key line = {.host_id = loading->host->host_id,
                                .table = entry.table,
                                .verb = entry.verb,
                                .id = entry.id,
                                .batch = seal->header.batch};
        memcpy(line.digest, entry.digest, BATCH_DIGEST_SIZE);
        if (verify_is_in_slice(verify, line.id) &&
            !retained_row(verify->retained, entry.table, line.host_id, line.id) &&
            add_entry(verify->matcher, &line, refused, !stored_seal_is_sound(seal)))
            return -ENOMEM;
    }
    return outcome;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_rows(const struct line_key *a, const struct line_key *b)
{
    int order = compare_numbers(a->host_id, b->host_id);
    if (!order)
        order = compare_numbers((uint64_t)a->table, (uint64_t)b->table);
    return order ? order : compare_numbers(a->id, b->id);
}

static int compare_entries(const void *left, const void *right)
{
    const struct line_key *a = &((const struct entry *)left)->line;
    const struct line_key *b = &((const struct entry *)right)->line;
    int order = compare_rows(a, b);
    if (!order)
        order = compare_numbers((uint64_t)a->verb, (uint64_t)b->verb);
    if (!order)
        order = compare_numbers(a->batch, b->batch);
    return order ? order : memcmp(a->digest, b->digest, BATCH_DIGEST_SIZE);
}

/* --- the rows --- */

static struct entry *first_of_row(const struct matcher *matcher, const struct line_key *key)
{
    size_t low = 0, high = matcher->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_rows(&matcher->entries[middle].line, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &matcher->entries[low];
}

/* An entry that is this line and was not taken yet; @p take: take it. */
static struct entry *find(const struct matcher *matcher, const struct line_key *line, bool take)
{
    const struct entry *end = matcher->entries + matcher->n;
    for (struct entry *entry = first_of_row(matcher, line);
         entry < end && compare_rows(&entry->line, line) == 0; entry++)
        if (entry->line.verb == line->verb && entry->line.batch == line->batch &&
            !memcmp(entry->line.digest, line->digest, BATCH_DIGEST_SIZE) &&
            !(take ? atomic_exchange(&entry->found, true) : entry->found))
            return entry;
    return NULL;
}

static int set_digest(struct worker *worker, const struct row *row, enum row_line which,
                      unsigned format, struct line_key *line)
{
    int outcome = row_line_digest(worker->lines, row, which, format, line->digest);
    return outcome
               ? error_set(&worker->error, outcome, "cannot rebuild a line: %s", strerror(-outcome))
               : 0;
}

/* Two batches of one number may be of two formats. */
static int find_line(struct worker *worker, const struct row *row, enum row_line which, bool take,
                     struct line_key *line, struct entry **entryp)
{
    unsigned usual = verify_format(worker->host, line->batch);
    int outcome = 0;
    *entryp = NULL;
    for (unsigned format = 1; format <= BATCH_FORMAT && !outcome && !*entryp; format++) {
        outcome = set_digest(worker, row, which, format, line);
        if (!outcome)
            *entryp = find(worker->verify->matcher, line, take);
    }
    return outcome || *entryp ? outcome : set_digest(worker, row, which, usual, line);
}

static int match_line(struct worker *worker, const struct row *row, enum row_line which,
                      uint64_t batch)
{
    struct line_difference extra = {
        .line = {.host_id = row->host_id,
                 .table = row->table,
                 .verb = which == ROW_END      ? VERB_END
                         : which == ROW_SETTLE ? VERB_SETTLE
                                               : VERB_INSERT,
                 .id = row->id,
                 .batch = batch},
        .kind = LINE_EXTRA
    };
    struct entry *entry;
    if (verify_claim(worker->host, batch) != CLAIM_VERIFIED ||
        !is_in_round(worker->verify, worker->host, batch))
        return 0;
    int outcome = find_line(worker, row, which, true, &extra.line, &entry);
    if (outcome)
        return outcome;
    if (!entry)
        differences_add_line(worker->verify->result->differences, &extra);
    return 0;
}

/* Of a row that ended in the batch in which it began: whether its end has a line of its own. */
static int is_pair(struct worker *worker, const struct row *row, bool *pair)
{
    struct line_key line = {.host_id = row->host_id,
                            .table = row->table,
                            .verb = VERB_INSERT,
                            .id = row->id,
                            .batch = row->batch};
    struct entry *entry;
    int outcome = find_line(worker, row, ROW_INSERT, false, &line, &entry);
    const struct number_list *pairs = &worker->host->pairs[row->table];
    *pair = !outcome && !entry && number_list_has(pairs, row->id);
    return outcome;
}

static void mark_row(const struct matcher *matcher, const struct row *row)
{
    const struct line_key key = {.host_id = row->host_id, .table = row->table, .id = row->id};
    const struct entry *end = matcher->entries + matcher->n;
    for (struct entry *entry = first_of_row(matcher, &key);
         entry < end && compare_rows(&entry->line, &key) == 0; entry++)
        entry->row_exists = true;
}

static int match_row(struct worker *worker, const struct row *row, const char *wrong)
{
    if (wrong && worker->verify->only_batches) /* else the first pass has told it */
        verify_tell_wrong(worker, row, wrong);
    if (!worker->host || worker->host->host_id != row->host_id)
        worker->host = verify_find_host(worker->verify, row->host_id);
    if (!worker->host || retained_row(worker->verify->retained, row->table, row->host_id, row->id))
        return 0;
    bool is_open = row->ended && row->end_batch != row->batch;
    int outcome = 0;
    mark_row(worker->verify->matcher, row);
    if (row->ended && !is_open)
        outcome = is_pair(worker, row, &is_open);
    if (!outcome)
        outcome = match_line(worker, row, is_open ? ROW_INSERT_OPEN : ROW_INSERT, row->batch);
    if (!outcome && row->settled)
        outcome = match_line(worker, row, ROW_SETTLE, row->settle_batch);
    if (!outcome && is_open)
        outcome = match_line(worker, row, ROW_END, row->end_batch);
    return outcome;
}

static int match_rejected(struct worker *worker, const struct rejected_line *line)
{
    worker->host = verify_find_host(worker->verify, line->line.host_id);
    if (!line->is_known || !verify_is_in_slice(worker->verify, line->line.id) ||
        verify_claim(worker->host, line->line.batch) != CLAIM_VERIFIED ||
        !is_in_round(worker->verify, worker->host, line->line.batch) ||
        retained_row(worker->verify->retained, line->line.table, line->line.host_id, line->line.id))
        return 0;
    if (find(worker->verify->matcher, &line->line, true))
        return 0;
    const struct line_difference extra = {
        .line = line->line, .kind = LINE_EXTRA, .is_refused = true};
    differences_add_line(worker->verify->result->differences, &extra);
    return 0;
}

static int match_unit(struct worker *worker, size_t i)
{
    const struct units *units = worker->verify->units;
    worker->host = NULL;
    return i == units->n ? verify_read_rejected(worker, match_rejected)
                         : verify_read_unit(worker, verify_unit(units, i), match_row);
}

/* --- a round --- */

/* A row that is told to be missing is not missing a second time from those that retention kept. */
static void count_named(const struct verify *verify, const struct line_difference *told)
{
    const struct line_key *line = &told->line;
    if (line->verb != VERB_INSERT || told->row_exists || told->refused)
        return;
    struct retained_day *day =
        retained_find(verify->retained, line->table, line->host_id, day_of_id(line->id));
    if (day)
        day->n_named++;
}

/* A seal of somebody else can have any lines, and must not hide those that are the host's. */
static void tell_missing(const struct verify *verify)
{
    const struct matcher *matcher = verify->matcher;
    size_t n_unsound = 0;
    for (size_t i = 0; i < matcher->n; i++) {
        if (!matcher->entries[i].found && matcher->entries[i].is_unsound &&
            ++n_unsound > UNSOUND_MOST) {
            verify->result->counts.untold_lines++;
            continue;
        }
        struct line_difference told = {.line = matcher->entries[i].line,
                                       .kind = LINE_MISSING,
                                       .refused = matcher->entries[i].refused,
                                       .row_exists = matcher->entries[i].row_exists};
        if (matcher->entries[i].found)
            continue;
        differences_add_line(verify->result->differences, &told);
        count_named(verify, &told);
    }
}

static int load(struct verify *verify, struct error_text *error)
{
    struct worker *worker = &verify->workers[0];
    struct matcher *matcher = verify->matcher;
    matcher->n = 0;
    for (size_t i = 0; i < verify->n_hosts; i++) {
        struct verify_host *host = &verify->hosts[i];
        struct loading loading = {.worker = worker, .host = host};
        struct seal_reading about = {.worker = worker,
                                     .host_id = host->host_id,
                                     .first = host->first,
                                     .last = host->newest,
                                     .handle = load_list,
                                     .user = &loading};
        bool any = false;
        for (size_t j = 0; j < host->sums.n; j++)
            any |= matcher->in_round[matcher->offsets[i] + j];
        if (any && verify_read_seals(&about))
            return error_set(error, -EIO, "%s", worker->error.text);
    }
    if (matcher->n)
        qsort(matcher->entries, matcher->n, sizeof(*matcher->entries), compare_entries);
    return 0;
}

static int run_round(struct verify *verify, struct error_text *error)
{
    int outcome = load(verify, error);
    if (!outcome)
        outcome = verify_parallel(verify, verify->units->n + 1, match_unit, error);
    if (!outcome)
        tell_missing(verify);
    return outcome;
}

/* How many buckets hold as many lines as fit, about. */
static size_t buckets_a_round(const struct verify *verify, size_t n_buckets)
{
    uint64_t n_lines = verify->result->counts.lines + 1;
    uint64_t fit = verify->options->memory / 2 / sizeof(struct entry);
    uint64_t buckets = fit / (n_lines / (n_buckets ? n_buckets : 1) + 1);
    return buckets ? (size_t)buckets : 1;
}

/* From bucket @p next on; where it stopped. */
static size_t choose_round(struct verify *verify, size_t next, size_t n_buckets)
{
    struct matcher *matcher = verify->matcher;
    size_t left = buckets_a_round(verify, n_buckets), at = 0;
    memset(matcher->in_round, 0, n_buckets);
    for (size_t i = 0; i < verify->n_hosts; i++)
        for (size_t j = 0; j < verify->hosts[i].sums.n; j++, at++) {
            if (at < next || line_sums_is_zero(&verify->hosts[i].sums, j))
                continue;
            if (!left--)
                return at;
            matcher->in_round[at] = 1;
        }
    return at;
}

static bool has_round(const struct matcher *matcher, size_t n_buckets)
{
    return memchr(matcher->in_round, 1, n_buckets) != NULL;
}

/* Partitions may have changed since the first pass. */
static int list_again(struct verify *verify, struct error_text *error)
{
    verify_units_deinit(verify->units);
    return verify_units_list(verify->units, verify, verify->workers[0].mysql, error);
}

static int run_rounds(struct verify *verify, size_t n_buckets, struct error_text *error)
{
    int outcome = 0;
    for (size_t next = 0; next < n_buckets && !outcome;) {
        next = choose_round(verify, next, n_buckets);
        if (!has_round(verify->matcher, n_buckets))
            continue;
        outcome = list_again(verify, error);
        if (!outcome)
            outcome = run_round(verify, error);
    }
    return outcome;
}

/* --- what arrives --- */

#define TOGETHER_US 2000000 /* ids so near are read with what is between them */

/* The parts of tables that the lists name. Entries are sorted by table and id. */
static int add_units(struct units *units, const struct matcher *matcher)
{
    for (size_t from = 0, to; from < matcher->n; from = to) {
        const struct line_key *first = &matcher->entries[from].line;
        for (to = from + 1;
             to < matcher->n && matcher->entries[to].line.table == first->table &&
             matcher->entries[to].line.id - matcher->entries[to - 1].line.id <= TOGETHER_US;
             to++)
            continue;
        if (verify_units_add(units, first->table, first->host_id, first->id,
                             matcher->entries[to - 1].line.id))
            return -ENOMEM;
    }
    return 0;
}

int verify_match_lists(struct verify *verify, struct error_text *error)
{
    size_t offsets[1] = {0}, n = verify->hosts->sums.n;
    AUTO_FREE uint8_t *in_round = malloc(n);
    struct matcher matcher = {.in_round = in_round, .offsets = offsets};
    struct units units = {0};
    if (!in_round)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    memset(in_round, 1, n);
    verify->matcher = &matcher;
    verify->units = &units;
    int outcome = load(verify, error);
    if (!outcome && add_units(&units, &matcher))
        outcome = error_set(error, -ENOMEM, "cannot verify: out of memory");
    if (!outcome)
        outcome = verify_parallel(verify, units.n + 1, match_unit, error);
    if (!outcome)
        tell_missing(verify);
    verify_units_deinit(&units);
    verify->matcher = NULL;
    free(matcher.entries);
    return outcome;
}

int verify_match_rows(struct verify *verify, struct error_text *error)
{
    struct matcher matcher = {0};
    size_t n_buckets = 0;
    AUTO_FREE size_t *offsets = calloc(verify->n_hosts + 1, sizeof(*offsets));
    for (size_t i = 0; offsets && i < verify->n_hosts; i++) {
        offsets[i] = n_buckets;
        n_buckets += verify->hosts[i].sums.n;
    }
    AUTO_FREE uint8_t *in_round = calloc(n_buckets + 1, 1);
    if (!offsets || !in_round)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    matcher.in_round = in_round;
    matcher.offsets = offsets;
    verify->matcher = &matcher;
    int outcome = run_rounds(verify, n_buckets, error);
    verify->matcher = NULL;
    free(matcher.entries);
    return outcome;
}
