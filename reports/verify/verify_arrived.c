/*
 * Batches of one host are taken together, so many as have some ten thousand lines, and the one
 * before them for the chain. Their lists are in memory; of the tables only those rows are read that
 * the lists name, and what has an id between these. A row that claims a batch from anywhere else is
 * found by the verification of everything.
 *
 * A batch that failed is not tried again: verification_failure has it.
 */
#include "reports/verify/verify_arrived.h"

#include "core/cleanup.h"
#include "core/hex.h"
#include "reports/database/statement.h"
#include "reports/verify/verify_private.h"

#include <inttypes.h>
#include <stdio.h>

#define LINES_MOST    50000 /* of batches that are taken together, about */
#define BATCHES_MOST  1000
#define FINDINGS_MOST 100 /* of a host in a day */

#define NOT_TRIED                                                                                  \
    "b.verified_at IS NULL AND NOT EXISTS (SELECT 1 FROM verification_failure f WHERE"             \
    " f.host_id = b.host_id AND f.batch = b.batch AND f.hash = b.hash)"

/* A batch that is waiting. */
struct waiting {
    uint64_t batch;
    uint8_t hash[BATCH_HASH_SIZE];
    const struct difference *difference; /* why it failed; NULL: it did not */
};

struct job {
    const struct verify_options *options;
    struct arrived *arrived;
    MYSQL *mysql;
    uint32_t host_id;
    struct waiting waiting[BATCHES_MOST];
    size_t n;
    struct error_text *error;
};

/* --- what is waiting --- */

/* Numbers that follow each other: all that is between is read, and who adds batches of far numbers
 * must not make the job read all evidence of the host again. */
static void take(struct job *job, MYSQL_RES *result)
{
    uint64_t n_lines = 0;
    job->n = 0;
    for (MYSQL_ROW row;
         job->n < BATCHES_MOST && n_lines <= LINES_MOST && (row = mysql_fetch_row(result));) {
        uint64_t number = strtoull(row[0], NULL, 10);
        if (job->n && number - job->waiting[job->n - 1].batch > 1)
            return;
        struct waiting *waiting = &job->waiting[job->n++];
        *waiting = (struct waiting){.batch = number};
        memcpy(waiting->hash, row[1], BATCH_HASH_SIZE);
        n_lines += strtoull(row[2], NULL, 10);
    }
}

static int list_waiting(struct job *job)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(job->mysql, &result, job->error, "list what is not verified",
                                 "SELECT b.batch, b.hash, COALESCE(LENGTH(b.digests), 0) DIV 24"
                                 " FROM batch b WHERE b.host_id = %" PRIu32 " AND " NOT_TRIED
                                 " ORDER BY b.batch, b.hash LIMIT %d",
                                 job->host_id, BATCHES_MOST);
    if (!outcome)
        take(job, result);
    return outcome;
}

/* --- one round --- */

static void prepare_host(struct job *job, struct verify *verify, struct verify_host *host)
{
    uint64_t first = job->waiting[0].batch;
    *host = (struct verify_host){.host_id = job->host_id,
                                 .first = first > 0 ? first - 1 : 0,
                                 .last = job->waiting[job->n - 1].batch};
    verify->hosts = host;
    verify->n_hosts = 1;
    verify->first_host = verify->last_host = job->host_id;
    verify->only_batches = true;
}

static bool is_about(const struct difference *difference, const struct waiting *waiting)
{
    static const uint8_t all[BATCH_HASH_SIZE];
    uint64_t last = difference->last_batch ? difference->last_batch : difference->batch;
    return difference->has_batch && waiting->batch >= difference->batch && waiting->batch <= last &&
           (!memcmp(difference->hash, all, sizeof(all)) ||
            !memcmp(difference->hash, waiting->hash, sizeof(all)));
}

static void find_failures(struct job *job, const struct differences *differences)
{
    for (size_t i = 0; i < differences_n(differences); i++)
        for (size_t j = 0; j < job->n; j++)
            if (is_about(differences_at(differences, i), &job->waiting[j]) &&
                !job->waiting[j].difference)
                job->waiting[j].difference = differences_at(differences, i);
}

static int verify_waiting(struct job *job, struct verify *verify)
{
    struct verify_host host;
    prepare_host(job, verify, &host);
    int outcome = line_sums_init(&host.sums, 1)
                      ? error_set(job->error, -ENOMEM, "cannot verify: out of memory")
                      : 0;
    if (!outcome && verify_seals(&verify->workers[0], &host))
        outcome = error_set(job->error, -EIO, "%s", verify->workers[0].error.text);
    if (!outcome)
        outcome = verify_match_lists(verify, job->error);
    if (!outcome && (differences_conclude_lines(verify->result->differences) ||
                     differences_conclude(verify->result->differences, NULL, NULL)))
        outcome = error_set(job->error, -ENOMEM, "cannot verify: out of memory");
    verify_host_deinit(&host);
    return outcome;
}

/* --- what it leaves --- */

static void describe(const struct difference *difference, char text[300])
{
    char id[48] = "";
    if (difference->has_id)
        snprintf(id, sizeof(id), " %" PRIu64, difference->id);
    snprintf(text, 300, "%s%s: %s%s%s", difference->table, id, difference->what,
             *difference->detail ? "; " : "", difference->detail);
}

static int run(struct job *job, const char *sql, const struct waiting *waiting, const char *reason,
               const char *doing)
{
    char hex[2 * BATCH_HASH_SIZE + 1], subject[64];
    hex_text(hex, waiting->hash, BATCH_HASH_SIZE);
    snprintf(subject, sizeof(subject), "batch %" PRIu64 ", hash %.16s", waiting->batch, hex);
    const struct statement_value values[] = {
        {.name = "host_id", .kind = STATEMENT_NUMBER, .number = job->host_id     },
        {.name = "batch",   .kind = STATEMENT_NUMBER, .number = waiting->batch   },
        {.name = "hash",    .kind = STATEMENT_TEXT,   .text = slice_text(hex)    },
        {.name = "reason",  .kind = STATEMENT_TEXT,   .text = slice_text(reason) },
        {.name = "subject", .kind = STATEMENT_TEXT,   .text = slice_text(subject)},
    };
    return statement_do(job->mysql, sql, values, sizeof(values) / sizeof(values[0]), doing,
                        job->error);
}

static bool is_unsigned(const struct difference *difference)
{
    return !strcmp(difference->what, "not signed") || !strcmp(difference->what, "unknown key");
}

/* Who can add batches that fail must not drown all other findings in theirs. */
static int is_flood(struct job *job, bool *flood)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(job->mysql, &result, job->error, "count the failures",
                                 "SELECT 1 FROM verification_failure WHERE host_id = %" PRIu32
                                 " AND failed_at > UTC_TIMESTAMP() - INTERVAL 1 DAY LIMIT %d",
                                 job->host_id, FINDINGS_MOST + 1);
    *flood = !outcome && mysql_num_rows(result) > FINDINGS_MOST;
    return outcome;
}

static int leave_failure(struct job *job, const struct waiting *waiting)
{
    char reason[300];
    bool flood = false;
    describe(waiting->difference, reason);
    int outcome = run(job,
                      "INSERT IGNORE INTO verification_failure (host_id, batch, hash, reason)"
                      " VALUES (:host_id, :batch, UNHEX(:hash), :reason)",
                      waiting, reason, "keep a failure");
    if (!outcome)
        outcome = is_flood(job, &flood);
    if (!outcome && flood)
        outcome = run(job,
                      "CALL vestige_conclude('evidence-tampered', :host_id, 'very many batches',"
                      " 'more failed than are told; verification_failure has all', NULL)",
                      waiting, reason, "conclude that batches are not as they were sealed");
    else if (!outcome)
        outcome = run(
            job,
            is_unsigned(waiting->difference)
                ? "CALL vestige_conclude('evidence-unsigned', :host_id, :subject, :reason, NULL)"
                : "CALL vestige_conclude('evidence-tampered', :host_id, :subject, :reason, NULL)",
            waiting, reason, "conclude that a batch is not as it was sealed");
    job->arrived->n_failed += !outcome;
    return outcome;
}

static int leave(struct job *job, const struct waiting *waiting)
{
    if (waiting->difference)
        return leave_failure(job, waiting);
    int outcome = run(job,
                      "UPDATE batch SET verified_at = UTC_TIMESTAMP(6) WHERE host_id = :host_id"
                      " AND batch = :batch AND hash = UNHEX(:hash)",
                      waiting, "", "mark a batch as verified");
    job->arrived->n_verified += !outcome;
    return outcome;
}

/* A hole before what came: it does not fail that batch. */
static int leave_missing(struct job *job, const struct difference *difference)
{
    char reason[300];
    const struct waiting missing = {.batch = difference->batch};
    describe(difference, reason);
    return run(job,
               "CALL vestige_conclude('evidence-tampered', :host_id, CONCAT('batch ', :batch,"
               " ' missing'), :reason, NULL)",
               &missing, reason, "conclude that a batch is missing");
}

static int leave_all_missing(struct job *job, const struct differences *differences)
{
    int outcome = 0;
    for (size_t i = 0; i < differences_n(differences) && !outcome; i++)
        if (!strcmp(differences_at(differences, i)->what, "batch missing"))
            outcome = leave_missing(job, differences_at(differences, i));
    return outcome;
}

static int leave_all(struct job *job)
{
    int outcome = database_run(job->mysql, job->error, "mark batches", "START TRANSACTION");
    for (size_t i = 0; i < job->n && !outcome; i++)
        outcome = leave(job, &job->waiting[i]);
    return outcome ? outcome : database_run(job->mysql, job->error, "mark batches", "COMMIT");
}

/* --- all hosts --- */

static int run_round(struct job *job)
{
    struct verify_result result = {0};
    struct verify verify;
    int outcome = verify_open(&verify, &result, job->options, job->error);
    if (!outcome)
        outcome = verify_waiting(job, &verify);
    if (!outcome)
        find_failures(job, result.differences);
    verify_close(&verify);
    if (!outcome)
        outcome = leave_all(job);
    if (!outcome)
        outcome = leave_all_missing(job, result.differences);
    verify_result_deinit(&result);
    return outcome;
}

static bool goes_on(const struct job *job)
{
    return !job->options->goes_on || job->options->goes_on(job->options->goes_on_user);
}

static int run_host(struct job *job, bool *any)
{
    int outcome = list_waiting(job);
    if (outcome || !job->n || !goes_on(job))
        return outcome;
    *any = true;
    return run_round(job);
}

/* A round for each: one that sends very much does not hold up the others. */
static int run_each(struct job *job, bool *any)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char on[64] = "";
    if (job->options->has_host)
        snprintf(on, sizeof(on), " AND b.host_id = %" PRIu32, job->options->host_id);
    int outcome = database_query(job->mysql, &result, job->error, "list what is not verified",
                                 "SELECT DISTINCT b.host_id FROM batch b WHERE " NOT_TRIED "%s"
                                 " ORDER BY b.host_id",
                                 on);
    for (MYSQL_ROW row; !outcome && (row = mysql_fetch_row(result));) {
        job->host_id = (uint32_t)strtoul(row[0], NULL, 10);
        outcome = run_host(job, any);
    }
    return outcome;
}

static int run_hosts(struct job *job)
{
    bool any = true;
    int outcome = 0;
    while (any && !outcome) {
        any = false;
        outcome = run_each(job, &any);
    }
    return outcome;
}

/* A run that found nothing wrong is kept every ten minutes. */
static int note_run(struct job *job, bool is_success, const char *message)
{
    const struct statement_value values[] = {
        {.name = "ok",      .kind = STATEMENT_NUMBER, .number = is_success       },
        {.name = "message", .kind = STATEMENT_TEXT,   .text = slice_text(message)},
    };
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(job->mysql, &result, job->error, "read the runs of jobs",
                                 "SELECT 1 FROM maintenance_run WHERE name = 'verify' AND"
                                 " started_at > UTC_TIMESTAMP() - INTERVAL 10 MINUTE LIMIT 1");
    if (outcome || (is_success && mysql_num_rows(result) && !job->arrived->n_failed))
        return outcome;
    outcome = statement_do(job->mysql, "CALL vestige_run_begin('verify', @vestige_run)", NULL, 0,
                           "keep the run", job->error);
    return outcome ? outcome
                   : statement_do(job->mysql, "CALL vestige_run_end(@vestige_run, :ok, :message)",
                                  values, 2, "keep the run", job->error);
}

static int run_job(struct job *job)
{
    char message[160];
    struct error_text failure = ERROR_TEXT_NULL, *told = job->error;
    job->error = &failure;
    int outcome = run_hosts(job);
    job->error = told;
    snprintf(message, sizeof(message), "%" PRIu64 " batches verified, %" PRIu64 " not as sealed",
             job->arrived->n_verified, job->arrived->n_failed);
    int noted = note_run(job, !outcome, outcome ? failure.text : message);
    return outcome ? error_set(told, outcome, "%s", failure.text) : noted;
}

int verify_arrived(struct arrived *arrived, const struct verify_options *options,
                   struct error_text *error)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    AUTO_FREE struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    *arrived = (struct arrived){0};
    int outcome = options->connect(&mysql, options->user, error);
    if (outcome)
        return outcome;
    outcome = database_lock_job(mysql, "verify", error);
    if (outcome)
        return outcome;
    job->options = options;
    job->arrived = arrived;
    job->mysql = mysql;
    job->error = error;
    return run_job(job);
}
