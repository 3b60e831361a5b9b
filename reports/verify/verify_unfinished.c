/*
 * Of a day of which retention has dropped rows, ends and settlements that no row gives say nothing:
 * their rows may be gone. But a row that is there must have them. So the rows that have none are
 * remembered, and the lists are read once more, where there are such rows.
 */
#include "reports/verify/digest_list.h"
#include "reports/verify/verify_private.h"

#include <stdlib.h>

enum { WITHOUT_END, WITHOUT_SETTLE, REFUSED_END, REFUSED_SETTLE, LISTS };

struct unfinished {
    struct number_list ids[TABLE_N][LISTS];
    size_t n;
};

static int add(struct worker *worker, enum table_id table, int list, uint64_t id)
{
    struct verify *verify = worker->verify;
    struct verify_host *host = worker->host;
    int outcome = 0;
    pthread_mutex_lock(&verify->mutex);
    if (!host->unfinished)
        host->unfinished = calloc(1, sizeof(*host->unfinished));
    if (!host->unfinished)
        outcome = -ENOMEM;
    else if (host->unfinished->n >= verify->options->memory / 4 / sizeof(uint64_t))
        verify->result->counts.unfinished_rows++;
    else
        outcome = number_list_add(&host->unfinished->ids[table][list], id);
    if (!outcome)
        host->unfinished->n++;
    pthread_mutex_unlock(&verify->mutex);
    return outcome ? error_set(&worker->error, outcome, "cannot verify: out of memory") : 0;
}

/* A row that had such values when it was born is never settled. */
static bool may_be_settled(const struct row *row)
{
    size_t first, n = catalogue_line_columns(catalogue_table(row->table), VERB_SETTLE, &first);
    for (size_t i = first; i < first + n; i++)
        if (!slice_is_null(row->values[i]))
            return false;
    return n > 0 && !row->settled;
}

int unfinished_add(struct worker *worker, const struct row *row)
{
    if (!worker->host)
        return 0;
    int outcome = row->ended ? 0 : add(worker, row->table, WITHOUT_END, row->id);
    if (!outcome && may_be_settled(row))
        outcome = add(worker, row->table, WITHOUT_SETTLE, row->id);
    return outcome;
}

int unfinished_add_refused(struct worker *worker, const struct line_key *line)
{
    if (!worker->host || line->verb == VERB_INSERT)
        return 0;
    return add(worker, line->table, line->verb == VERB_END ? REFUSED_END : REFUSED_SETTLE,
               line->id);
}

struct looking {
    struct worker *worker;
    struct verify_host *host;
};

static bool is_lacking(const struct unfinished *unfinished, const struct digest_entry *entry)
{
    const struct number_list *lists = unfinished->ids[entry->table];
    bool is_end = entry->verb == VERB_END;
    return entry->verb != VERB_INSERT &&
           number_list_has(&lists[is_end ? WITHOUT_END : WITHOUT_SETTLE], entry->id) &&
           !number_list_has(&lists[is_end ? REFUSED_END : REFUSED_SETTLE], entry->id);
}

static void tell(const struct looking *looking, const struct stored_seal *seal,
                 const struct digest_entry *entry)
{
    struct verify *verify = looking->worker->verify;
    struct line_difference told = {
        .line = {.host_id = looking->host->host_id,
                 .table = entry->table,
                 .verb = entry->verb,
                 .id = entry->id,
                 .batch = seal->header.batch},
        .kind = LINE_MISSING,
        .refused = retained_find(verify->retained, RETAINED_REJECTED, looking->host->host_id,
                                 seal->received_day),
        .row_exists = true
    };
    memcpy(told.line.digest, entry->digest, BATCH_DIGEST_SIZE);
    differences_add_line(verify->result->differences, &told);
}

static int look(void *user, const struct stored_seal *seal)
{
    const struct looking *looking = user;
    const struct verify *verify = looking->worker->verify;
    struct digest_list list;
    struct digest_entry entry;
    int outcome;
    if (!stored_seal_is_trusted(seal))
        return 0;
    digest_list_begin(&list, seal->digests);
    while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY)
        if (retained_row(verify->retained, entry.table, looking->host->host_id, entry.id) &&
            is_lacking(looking->host->unfinished, &entry))
            tell(looking, seal, &entry);
    return outcome;
}

int unfinished_check(struct worker *worker, size_t i)
{
    struct verify_host *host = &worker->verify->hosts[i];
    struct looking looking = {worker, host};
    struct seal_reading about = {.worker = worker,
                                 .host_id = host->host_id,
                                 .first = host->first,
                                 .last = host->newest,
                                 .handle = look,
                                 .user = &looking};
    if (!host->unfinished)
        return 0;
    for (int table = 0; table < TABLE_N; table++)
        for (int list = 0; list < LISTS; list++)
            number_list_sort(&host->unfinished->ids[table][list]);
    return verify_read_seals(&about);
}

void unfinished_deinit(struct verify_host *host)
{
    for (int table = 0; host->unfinished && table < TABLE_N; table++)
        for (int list = 0; list < LISTS; list++)
            free(host->unfinished->ids[table][list].numbers);
    free(host->unfinished);
    host->unfinished = NULL;
}
