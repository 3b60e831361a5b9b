/* The chain behind a head is what verification looks at; here it is only said whether it still
 * leads there, and whether the keys of then are still known. */
#include "reports/verify/verify_against.h"

#include "core/cleanup.h"
#include "core/hex.h"
#include "recorder/journal/batch_header.h"
#include "reports/database/statement.h"

#include <inttypes.h>
#include <stdlib.h>

struct comparison {
    struct differences *differences;
    MYSQL *mysql;
    struct error_text *error;
};

/* The number that a question gives. */
static int count(struct comparison *comparison, uint64_t *n, const char *sql, uint64_t host_id,
                 uint64_t number, const char *hex)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *row;
    const struct statement_value values[] = {
        {.name = "host_id", .kind = STATEMENT_NUMBER, .number = host_id      },
        {.name = "number",  .kind = STATEMENT_NUMBER, .number = number       },
        {.name = "hex",     .kind = STATEMENT_TEXT,   .text = slice_text(hex)},
    };
    int outcome = statement_run(&statement, comparison->mysql, sql, values, 3,
                                "compare with the kept seal", comparison->error);
    if (!outcome)
        outcome = statement_next(statement, &row, comparison->error);
    *n = 0;
    if (outcome == STATEMENT_ROW && !slice_is_null(row[0]))
        batch_parse_u64(row[0], n);
    return outcome < 0 ? outcome : 0;
}

static int compare_head(struct comparison *comparison, const struct seal_host *host)
{
    char hash[2 * SEAL_HASH_SIZE + 1];
    uint64_t n = 0, newest = 0;
    hex_text(hash, host->hash, SEAL_HASH_SIZE);
    int outcome = count(comparison, &n,
                        "SELECT COUNT(*) FROM batch WHERE host_id = :host_id AND batch = :number"
                        " AND hash = UNHEX(:hex)",
                        host->host_id, host->last, hash);
    if (!outcome && !n)
        outcome =
            count(comparison, &newest, "SELECT MAX(batch) FROM batch WHERE host_id = :host_id",
                  host->host_id, 0, "");
    if (outcome || n)
        return outcome;
    struct difference told = {.host_id = (uint32_t)host->host_id,
                              .table = "batch",
                              .has_batch = true,
                              .batch = host->last,
                              .what =
                                  newest < host->last ? "cut off" : "not the one that was kept"};
    if (newest < host->last)
        snprintf(told.detail, sizeof(told.detail),
                 "this batch was there when the seal was kept; the newest one now is %" PRIu64,
                 newest);
    differences_add(comparison->differences, &told);
    return 0;
}

static int compare_keys(struct comparison *comparison, const struct seal_host *host)
{
    char key[2 * SEAL_KEY_SIZE + 1];
    int outcome = 0;
    for (size_t i = 0; i < host->n_keys && !outcome; i++) {
        uint64_t n = 0;
        hex_text(key, host->keys[i].public_key, SEAL_KEY_SIZE);
        outcome = count(comparison, &n,
                        "SELECT COUNT(*) FROM host_key WHERE host_id = :host_id AND number = "
                        ":number AND public_key = UNHEX(:hex)",
                        host->host_id, host->keys[i].number, key);
        struct difference told = {.host_id = (uint32_t)host->host_id,
                                  .table = "host_key",
                                  .what = "key changed since the seal was kept"};
        snprintf(told.detail, sizeof(told.detail), "key %" PRIu64, host->keys[i].number);
        if (!outcome && !n)
            differences_add(comparison->differences, &told);
    }
    return outcome;
}

static uint64_t last_key(const struct seal_host *host)
{
    uint64_t last = 0;
    for (size_t i = 0; i < host->n_keys; i++)
        last = host->keys[i].number > last ? host->keys[i].number : last;
    return last;
}

/* A host keeps the name that it was enrolled with. */
static int compare_name(struct comparison *comparison, const struct seal_host *host)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *row;
    const struct statement_value values[] = {
        {.name = "host_id", .kind = STATEMENT_NUMBER, .number = host->host_id}
    };
    int outcome = statement_run(&statement, comparison->mysql,
                                "SELECT name FROM enrolment WHERE host_id = :host_id", values, 1,
                                "compare with the kept seal", comparison->error);
    if (!outcome)
        outcome = statement_next(statement, &row, comparison->error);
    if (outcome < 0 || (outcome == STATEMENT_ROW && !slice_is_null(row[0]) &&
                        slice_equal(row[0], slice_text(host->name))))
        return outcome < 0 ? outcome : 0;
    struct difference told = {.host_id = (uint32_t)host->host_id,
                              .table = "enrolment",
                              .what = "name changed since the seal was kept"};
    snprintf(told.detail, sizeof(told.detail), "it was %.150s", host->name);
    differences_add(comparison->differences, &told);
    return 0;
}

static int compare_host(struct comparison *comparison, const struct seal_host *host,
                        uint64_t *n_newer)
{
    int outcome = host->last ? compare_head(comparison, host) : 0;
    if (!outcome)
        outcome = compare_name(comparison, host);
    if (!outcome)
        outcome = compare_keys(comparison, host);
    return outcome ? outcome
                   : count(comparison, n_newer,
                           "SELECT COUNT(*) FROM host_key WHERE host_id = :host_id AND number >"
                           " :number",
                           host->host_id, last_key(host), "");
}

int verify_against_prepare(struct verify_kept **keptp, const struct seal *seal,
                           struct error_text *error)
{
    struct verify_kept *kept = calloc(seal->n_hosts + 1, sizeof(*kept));
    if (!kept)
        return error_set(error, -ENOMEM, "cannot read the kept seal: out of memory");
    for (size_t i = 0; i < seal->n_hosts; i++) {
        const struct seal_host *host = seal_host_at(seal, i);
        kept[i] = (struct verify_kept){.host_id = (uint32_t)host->host_id,
                                       .last = host->last,
                                       .last_key = (uint32_t)last_key(host)};
    }
    *keptp = kept;
    return 0;
}

int verify_against(struct verify_against *against, struct differences *differences, MYSQL *mysql,
                   const struct seal *seal, const uint32_t *host_id, struct error_text *error)
{
    struct comparison comparison = {differences, mysql, error};
    int outcome = 0;
    *against = (struct verify_against){0};
    for (size_t i = 0; i < seal->n_hosts && !outcome; i++) {
        const struct seal_host *host = seal_host_at(seal, i);
        uint64_t n_newer = 0;
        if (host_id && host->host_id != *host_id)
            continue;
        against->n_hosts++;
        outcome = compare_host(&comparison, host, &n_newer);
        against->n_newer += n_newer;
    }
    if (!outcome && host_id && !against->n_hosts)
        outcome = error_set(error, -ENOENT, "the kept seal has nothing of this host");
    return outcome;
}
