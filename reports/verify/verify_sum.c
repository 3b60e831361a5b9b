/* Each row takes its lines away from what the lists have added. Rows of days of which retention
 * dropped others are not summed, because lines are missing there: each is looked for in its list.
 */
#include "reports/verify/verify_private.h"

#include <inttypes.h>
#include <stdio.h>

enum claim verify_claim(const struct verify_host *host, uint64_t batch)
{
    if (!host || batch > host->newest)
        return CLAIM_UNSEALED;
    if (batch < host->first)
        return CLAIM_OLDER;
    if (host->excluded.n && number_ranges_has(&host->excluded, batch))
        return CLAIM_EXCLUDED;
    if (host->thinned.n && number_ranges_has(&host->thinned, batch))
        return CLAIM_THINNED;
    if (host->absent.n && number_ranges_has(&host->absent, batch))
        return CLAIM_UNSEALED;
    return CLAIM_VERIFIED;
}

static int take_line(struct worker *worker, const struct line_key *line, struct retained_day *day)
{
    struct verify *verify = worker->verify;
    if (day)
        return survivors_add(worker, line, day);
    int outcome =
        line_sums_change(&worker->host->sums, worker->digest, verify->secret, line, false);
    return outcome
               ? error_set(&worker->error, outcome, "cannot verify a row: %s", strerror(-outcome))
               : 0;
}

static void tell_extra(struct worker *worker, const struct line_key *line)
{
    const struct line_difference told = {.line = *line, .kind = LINE_EXTRA, .row_exists = true};
    differences_add_line(worker->verify->result->differences, &told);
}

static int sum_line(struct worker *worker, const struct row *row, enum row_line which,
                    uint64_t batch, struct retained_day *day)
{
    struct verify_counts *counts = &worker->verify->result->counts;
    struct line_key line = {.host_id = row->host_id,
                            .table = row->table,
                            .verb = which == ROW_END      ? VERB_END
                                    : which == ROW_SETTLE ? VERB_SETTLE
                                                          : VERB_INSERT,
                            .id = row->id,
                            .batch = batch};
    int outcome;
    switch (verify_claim(worker->host, batch)) {
    case CLAIM_OLDER:
        return 0;
    case CLAIM_EXCLUDED:
        counts->unprovable_rows += which != ROW_SETTLE && which != ROW_END;
        return 0;
    case CLAIM_THINNED: /* a list goes when no row names it any more */
        tell_extra(worker, &line);
        return 0;
    case CLAIM_UNSEALED:
        return unsealed_add(worker, &line);
    case CLAIM_VERIFIED:
        break;
    }
    outcome =
        row_line_digest(worker->lines, row, which, verify_format(worker->host, batch), line.digest);
    if (outcome)
        return error_set(&worker->error, outcome, "cannot rebuild a line: %s", strerror(-outcome));
    counts->lines++;
    return take_line(worker, &line, day);
}

void verify_tell_wrong(struct worker *worker, const struct row *row, const char *wrong)
{
    const struct line_difference told = {
        .line = {.host_id = row->host_id, .table = row->table, .id = row->id, .batch = row->batch},
        .kind = ROW_WRONG,
        .what = wrong
    };
    differences_add_line(worker->verify->result->differences, &told);
}

static int sum_row(struct worker *worker, const struct row *row, const char *wrong)
{
    if (!worker->host || worker->host->host_id != row->host_id)
        worker->host = verify_find_host(worker->verify, row->host_id);
    struct verify_host *host = worker->host;
    struct retained_day *day =
        retained_row(worker->verify->retained, row->table, row->host_id, row->id);
    bool is_open = !row->ended || row->end_batch != row->batch ||
                   (host && number_list_has(&host->pairs[row->table], row->id));
    worker->verify->result->counts.rows++;
    if (wrong)
        verify_tell_wrong(worker, row, wrong);
    int outcome = sum_line(worker, row, row->ended && is_open ? ROW_INSERT_OPEN : ROW_INSERT,
                           row->batch, day);
    if (!outcome && row->settled)
        outcome = sum_line(worker, row, ROW_SETTLE, row->settle_batch, day);
    if (!outcome && row->ended && is_open)
        outcome = sum_line(worker, row, ROW_END, row->end_batch, day);
    return outcome || !day ? outcome : unfinished_add(worker, row);
}

static void tell_rejected(struct worker *worker, const struct rejected_line *line)
{
    struct difference told = {.host_id = line->line.host_id,
                              .table = "rejected",
                              .has_id = line->is_known,
                              .id = line->line.id,
                              .has_batch = true,
                              .batch = line->line.batch,
                              .what = "changed"};
    if (line->is_known)
        snprintf(told.verb, sizeof(told.verb), "%s", verb_name(line->line.verb));
    differences_add(worker->verify->result->differences, &told);
}

static int sum_rejected(struct worker *worker, const struct rejected_line *line)
{
    struct verify_counts *counts = &worker->verify->result->counts;
    if (line->is_known ? !verify_is_in_slice(worker->verify, line->line.id)
                       : worker->verify->later_slice)
        return 0;
    worker->host = verify_find_host(worker->verify, line->line.host_id);
    enum claim claim = verify_claim(worker->host, line->line.batch);
    counts->unprovable_rows += claim == CLAIM_EXCLUDED;
    if (claim == CLAIM_OLDER || claim == CLAIM_EXCLUDED || claim == CLAIM_THINNED)
        return 0;
    counts->rejected++;
    counts->rejected_partly += line->is_partly;
    if (line->is_wrong)
        tell_rejected(worker, line);
    if (!line->is_known)
        return 0;
    if (claim == CLAIM_UNSEALED)
        return unsealed_add(worker, &line->line);
    const struct line_key *key = &line->line;
    const struct retained *retained = worker->verify->retained;
    struct retained_day *day =
        retained_find(retained, key->table, key->host_id, day_of_id(key->id));
    if (day)
        day->n_refused += key->verb == VERB_INSERT;
    day = retained_row(retained, key->table, key->host_id, key->id);
    int outcome = take_line(worker, key, day);
    return outcome || !day ? outcome : unfinished_add_refused(worker, key);
}

static int sum_unit(struct worker *worker, size_t i)
{
    const struct units *units = worker->verify->units;
    worker->host = NULL;
    return i == units->n ? verify_read_rejected(worker, sum_rejected)
                         : verify_read_unit(worker, verify_unit(units, i), sum_row);
}

static int check_survivors(struct worker *worker, size_t i)
{
    (void)i;
    return survivors_check(worker);
}

int verify_sum_rows(struct verify *verify, struct error_text *error)
{
    int outcome = verify_parallel(verify, verify->units->n + 1, sum_unit, error);
    for (unsigned i = 0; !outcome && i < verify->options->jobs; i++)
        if (check_survivors(&verify->workers[i], i))
            outcome = error_set(error, -EIO, "%s", verify->workers[i].error.text);
    return outcome;
}
