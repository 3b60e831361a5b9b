/*
 * Rows may name batches that arrived after the seals were read, or such as never had a seal. Which,
 * is asked when all rows are read: a seal comes in one transaction with its rows. A batch that
 * there is not is told once, however many rows name it.
 */
#include "reports/verify/verify_private.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 65536 /* batches; what is beyond is counted */

struct claimed {
    struct line_key first;
    uint64_t n;
};

struct unsealed {
    struct claimed *batches; /* a hash table by host and batch; n 0: free */
    size_t n;
};

int unsealed_new(struct unsealed **unsealedp)
{
    struct unsealed *unsealed = calloc(1, sizeof(*unsealed));
    if (unsealed)
        unsealed->batches = calloc(2 * MOST, sizeof(*unsealed->batches));
    if (!unsealed || !unsealed->batches) {
        free(unsealed);
        return -ENOMEM;
    }
    *unsealedp = unsealed;
    return 0;
}

struct unsealed *unsealed_free(struct unsealed *unsealed)
{
    if (unsealed)
        free(unsealed->batches);
    free(unsealed);
    return NULL;
}

static struct claimed *find(struct unsealed *unsealed, const struct line_key *line)
{
    uint64_t hash = (line->batch ^ (uint64_t)line->host_id << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 40) % (2 * MOST);
    while (unsealed->batches[at].n && (unsealed->batches[at].first.batch != line->batch ||
                                       unsealed->batches[at].first.host_id != line->host_id))
        at = (at + 1) % (2 * MOST);
    return &unsealed->batches[at];
}

int unsealed_add(struct worker *worker, const struct line_key *line)
{
    struct verify *verify = worker->verify;
    pthread_mutex_lock(&verify->mutex);
    struct claimed *claimed = find(verify->unsealed, line);
    if (claimed->n) {
        claimed->n++;
    } else if (verify->unsealed->n < MOST) {
        *claimed = (struct claimed){*line, 1};
        verify->unsealed->n++;
    } else {
        verify->result->counts.untold_lines++;
    }
    pthread_mutex_unlock(&verify->mutex);
    return 0;
}

static void tell(struct verify *verify, const struct claimed *claimed)
{
    const struct line_key *line = &claimed->first;
    struct difference told = {.host_id = line->host_id,
                              .table = catalogue_table(line->table)->name,
                              .has_id = true,
                              .id = line->id,
                              .has_batch = true,
                              .batch = line->batch,
                              .what = "batch without a seal"};
    snprintf(told.verb, sizeof(told.verb), "%s", verb_name(line->verb));
    if (claimed->n > 1)
        snprintf(told.detail, sizeof(told.detail), "%" PRIu64 " lines name it; this is one",
                 claimed->n);
    differences_add(verify->result->differences, &told);
}

static int ask(struct verify *verify, const struct claimed *claimed, MYSQL *mysql,
               struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(mysql, &result, error, "look for a seal",
                                 "SELECT 1 FROM batch WHERE host_id = %" PRIu32
                                 " AND batch = %" PRIu64 " LIMIT 1",
                                 claimed->first.host_id, claimed->first.batch);
    if (outcome)
        return outcome;
    const struct line_difference extra = {
        .line = claimed->first, .kind = LINE_EXTRA, .row_exists = true};
    if (mysql_num_rows(result))
        verify->result->counts.newer_lines += claimed->n;
    else if (claimed->n == 1) /* what else is known of the row is told with it */
        differences_add_line(verify->result->differences, &extra);
    else
        tell(verify, claimed);
    return 0;
}

int unsealed_tell(struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    struct unsealed *unsealed = verify->unsealed;
    int outcome = 0;
    for (size_t i = 0; i < 2 * MOST && !outcome; i++)
        if (unsealed->batches[i].n)
            outcome = ask(verify, &unsealed->batches[i], mysql, error);
    memset(unsealed->batches, 0, 2 * MOST * sizeof(*unsealed->batches));
    unsealed->n = 0;
    return outcome;
}
