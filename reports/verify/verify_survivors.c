/* Lines are kept until there are many, then sorted by batch and looked for: each list is read once
 * for all lines of its batch. */
#include "reports/verify/digest_list.h"
#include "reports/verify/verify_private.h"

#include <stdlib.h>

struct survivor {
    struct line_key line;
    struct retained_day *day;
    bool found;
};

struct survivors {
    struct survivor *lines;
    size_t n, most;
};

int survivors_new(struct survivors **survivorsp, size_t most)
{
    struct survivors *survivors = calloc(1, sizeof(*survivors));
    if (!survivors)
        return -ENOMEM;
    survivors->most = most;
    *survivorsp = survivors;
    return 0;
}

struct survivors *survivors_free(struct survivors *survivors)
{
    if (survivors)
        free(survivors->lines);
    free(survivors);
    return NULL;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
    const struct line_key *a = &((const struct survivor *)left)->line;
    const struct line_key *b = &((const struct survivor *)right)->line;
    int order = compare_numbers(a->host_id, b->host_id);
    if (!order)
        order = compare_numbers(a->batch, b->batch);
    if (!order)
        order = compare_numbers(a->id, b->id);
    if (!order)
        order = compare_numbers((uint64_t)a->table, (uint64_t)b->table);
    return order ? order : compare_numbers((uint64_t)a->verb, (uint64_t)b->verb);
}

/* Of one batch: all its lines. */
struct lookup {
    struct survivor *lines;
    size_t n;
};

static void mark(struct lookup *lookup, const struct digest_entry *entry)
{
    size_t low = 0, high = lookup->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lookup->lines[middle].line.id < entry->id)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < lookup->n && lookup->lines[low].line.id == entry->id; low++) {
        struct line_key *line = &lookup->lines[low].line;
        if (!lookup->lines[low].found && line->table == entry->table && line->verb == entry->verb &&
            !memcmp(line->digest, entry->digest, BATCH_DIGEST_SIZE)) {
            lookup->lines[low].found = true;
            return;
        }
    }
}

static int look_up(void *user, const struct stored_seal *seal)
{
    struct digest_list list;
    struct digest_entry entry;
    int outcome;
    if (!stored_seal_is_trusted(seal))
        return 0;
    digest_list_begin(&list, seal->digests);
    while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY)
        mark(user, &entry);
    return outcome;
}

static int check_batch(struct worker *worker, struct survivor *lines, size_t n)
{
    struct lookup lookup = {lines, n};
    struct seal_reading about = {.worker = worker,
                                 .host_id = lines->line.host_id,
                                 .first = lines->line.batch,
                                 .last = lines->line.batch,
                                 .handle = look_up,
                                 .user = &lookup};
    int outcome = verify_read_seals(&about);
    for (size_t i = 0; i < n && !outcome; i++) {
        const struct line_difference told = {
            .line = lines[i].line, .kind = LINE_EXTRA, .row_exists = true};
        if (!lines[i].found)
            differences_add_line(worker->verify->result->differences, &told);
        lines[i].day->n_found += lines[i].line.verb == VERB_INSERT;
    }
    return outcome;
}

static int check_all(struct worker *worker)
{
    struct survivors *survivors = worker->survivors;
    int outcome = 0;
    if (survivors->n)
        qsort(survivors->lines, survivors->n, sizeof(*survivors->lines), compare);
    for (size_t from = 0, to; from < survivors->n && !outcome; from = to) {
        const struct line_key *line = &survivors->lines[from].line;
        for (to = from; to < survivors->n && survivors->lines[to].line.host_id == line->host_id &&
                        survivors->lines[to].line.batch == line->batch;
             to++)
            continue;
        outcome = check_batch(worker, survivors->lines + from, to - from);
    }
    survivors->n = 0;
    return outcome;
}

/* The worker's own connection may be in the middle of a table. */
int survivors_check(struct worker *worker)
{
    MYSQL *own = worker->mysql;
    worker->mysql = worker->aside;
    int outcome = check_all(worker);
    worker->mysql = own;
    return outcome;
}

int survivors_add(struct worker *worker, const struct line_key *line, struct retained_day *day)
{
    struct survivors *survivors = worker->survivors;
    if (!survivors->lines)
        survivors->lines = calloc(survivors->most, sizeof(*survivors->lines));
    if (!survivors->lines)
        return error_set(&worker->error, -ENOMEM, "cannot verify: out of memory");
    survivors->lines[survivors->n++] = (struct survivor){*line, day, false};
    return survivors->n == survivors->most ? survivors_check(worker) : 0;
}
