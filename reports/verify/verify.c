/*
 * Hosts are taken in groups, in the order of their numbers: as many as the memory has sums for.
 * The groups together cover all numbers, so a row of a host that never had a seal is read, too.
 */
#include "reports/verify/verify_private.h"

#include "core/cleanup.h"
#include "reports/database/schema.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define DIFFERENCES_MOST 1000000
#define SURVIVORS_MOST   100000
#define LINES_MOST       20000 /* twice what a batch has; whoever says more has not that many */

/* --- workers --- */

struct errand {
    struct verify *verify;
    size_t n;
    atomic_size_t next;
    atomic_int failed; /* 1 + the worker that failed first */
    int (*work)(struct worker *worker, size_t i);
};

struct errand_of_one {
    struct errand *errand;
    unsigned number;
};

static void *work(void *user)
{
    struct errand_of_one *own = user;
    struct errand *errand = own->errand;
    mysql_thread_init();
    for (size_t i; !errand->failed && (i = atomic_fetch_add(&errand->next, 1)) < errand->n;) {
        int none = 0;
        if (errand->work(&errand->verify->workers[own->number], i))
            atomic_compare_exchange_strong(&errand->failed, &none, (int)own->number + 1);
    }
    mysql_thread_end();
    return NULL;
}

int verify_parallel(struct verify *verify, size_t n, int (*run)(struct worker *worker, size_t i),
                    struct error_text *error)
{
    struct errand errand = {.verify = verify, .n = n, .work = run};
    unsigned jobs = verify->options->jobs;
    AUTO_FREE pthread_t *threads = calloc(jobs, sizeof(*threads));
    AUTO_FREE struct errand_of_one *own = calloc(jobs, sizeof(*own));
    unsigned started = 0;
    if (!threads || !own)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    for (; started < jobs; started++) {
        own[started] = (struct errand_of_one){&errand, started};
        if (pthread_create(&threads[started], NULL, work, &own[started]))
            break;
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (!started)
        return error_set(error, -EAGAIN, "cannot verify: no thread can be started");
    if (errand.failed)
        return error_set(error, -EIO, "%s", verify->workers[errand.failed - 1].error.text);
    return 0;
}

static int worker_init(struct worker *worker, struct verify *verify, struct error_text *error)
{
    const struct verify_options *options = verify->options;
    *worker = (struct worker){.verify = verify};
    int outcome = options->connect(&worker->mysql, options->user, error);
    if (!outcome && retained_n(verify->retained))
        outcome = options->connect(&worker->aside, options->user, error);
    if (!outcome && (row_lines_new(&worker->lines) || batch_digest_new(&worker->digest) ||
                     survivors_new(&worker->survivors, SURVIVORS_MOST)))
        outcome = error_set(error, -ENOMEM, "cannot verify: out of memory");
    return outcome;
}

static void worker_deinit(struct worker *worker)
{
    database_close(worker->mysql);
    database_close(worker->aside);
    row_lines_free(worker->lines);
    batch_digest_free(worker->digest);
    survivors_free(worker->survivors);
    buffer_deinit(&worker->text);
}

/* --- hosts --- */

struct verify_host *verify_find_host(const struct verify *verify, uint32_t host_id)
{
    size_t low = 0, high = verify->n_hosts;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (verify->hosts[middle].host_id < host_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < verify->n_hosts && verify->hosts[low].host_id == host_id ? &verify->hosts[low]
                                                                          : NULL;
}

void verify_host_deinit(struct verify_host *host)
{
    line_sums_deinit(&host->sums);
    free(host->excluded.ranges);
    free(host->thinned.ranges);
    free(host->absent.ranges);
    free(host->formats);
    for (int table = 0; table < TABLE_N; table++)
        free(host->pairs[table].numbers);
    unfinished_deinit(host);
    *host = (struct verify_host){0};
}

/* What is known of hosts before their seals are read; from which batch on they are verified. */
static int list_hosts(struct verify *verify, MYSQL *mysql, struct error_text *error)
{
    const struct verify_options *options = verify->options;
    MYSQL_RES *result AUTO_RESULT = NULL;
    char on[64] = "", since[96] = "0";
    if (options->has_host)
        snprintf(on, sizeof(on), " WHERE host_id = %" PRIu32, options->host_id);
    if (options->since)
        snprintf(since, sizeof(since), "MIN(IF(received_at >= '%.26s', batch, NULL))",
                 options->since);
    int outcome =
        database_query(mysql, &result, error, "list the hosts",
                       "SELECT host_id, COUNT(*), SUM(LEAST(n_lines, %d)), %s FROM batch%s"
                       " GROUP BY host_id ORDER BY host_id",
                       LINES_MOST, since, on);
    if (outcome)
        return outcome;
    verify->all = calloc((size_t)mysql_num_rows(result) + 1, sizeof(*verify->all));
    if (!verify->all)
        return error_set(error, -ENOMEM, "cannot list the hosts: out of memory");
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        struct verify_host *host = &verify->all[verify->n_all++];
        host->host_id = (uint32_t)strtoul(row[0], NULL, 10);
        host->last = UINT64_MAX;
        host->n_batches = strtoull(row[1], NULL, 10);
        host->n_lines = strtoull(row[2], NULL, 10);
        host->first = row[3] ? strtoull(row[3], NULL, 10) : UINT64_MAX;
    }
    return 0;
}

/* Of rows with two lines in one batch the ids are kept: eight bytes for two lines at the worst. */
static uint64_t most_lines(const struct verify *verify)
{
    return verify->options->memory / 4 / sizeof(uint64_t) * 2;
}

/* The next group, beginning with host @p from of all; where the one after it begins. */
static size_t choose_group(struct verify *verify, size_t from)
{
    uint64_t buckets = verify->options->memory / 4 / (2 * sizeof(uint64_t)), batches = 0, lines = 0;
    size_t to = from;
    while (to < verify->n_all &&
           (to == from || (batches + verify->all[to].n_batches <= buckets &&
                           lines + verify->all[to].n_lines <= most_lines(verify)))) {
        batches += verify->all[to].n_batches;
        lines += verify->all[to++].n_lines;
    }
    verify->hosts = verify->all + from;
    verify->n_hosts = to - from;
    verify->first_host = from == 0 ? 0 : verify->all[from - 1].host_id + 1;
    verify->last_host = to == verify->n_all ? UINT32_MAX : verify->all[to - 1].host_id;
    if (verify->options->has_host)
        verify->first_host = verify->last_host = verify->options->host_id;
    return to;
}

static int prepare_sums(struct verify *verify, struct error_text *error)
{
    uint64_t buckets = verify->options->memory / 4 / (2 * sizeof(uint64_t));
    for (size_t i = 0; i < verify->n_hosts; i++) {
        struct verify_host *host = &verify->hosts[i];
        size_t n = (size_t)(host->n_batches < buckets ? host->n_batches : buckets);
        if (line_sums_init(&host->sums, n))
            return error_set(error, -ENOMEM, "cannot verify: out of memory");
    }
    return 0;
}

static int read_seals_of(struct worker *worker, size_t i)
{
    return verify_seals(worker, &worker->verify->hosts[i]);
}

static bool has_difference(const struct verify *verify)
{
    for (size_t i = 0; i < verify->n_hosts; i++)
        for (size_t j = 0; j < verify->hosts[i].sums.n; j++)
            if (!line_sums_is_zero(&verify->hosts[i].sums, j))
                return true;
    return false;
}

static int run_slice(struct verify *verify, struct error_text *error)
{
    MYSQL *mysql = verify->workers[0].mysql;
    struct units units = {0};
    verify->units = &units;
    int outcome = prepare_sums(verify, error);
    if (!outcome)
        outcome = verify_parallel(verify, verify->n_hosts, read_seals_of, error);
    if (!outcome)
        outcome = verify_units_list(&units, verify, mysql, error);
    if (!outcome)
        outcome = verify_sum_rows(verify, error);
    if (!outcome)
        outcome = unsealed_tell(verify, mysql, error);
    if (!outcome)
        outcome = verify_parallel(verify, verify->n_hosts, unfinished_check, error);
    if (!outcome && has_difference(verify))
        outcome = verify_match_rows(verify, error);
    verify_units_deinit(&units);
    for (size_t i = 0; i < verify->n_hosts; i++)
        verify_host_deinit(&verify->hosts[i]);
    return outcome;
}

/* A host with more lines than a group may have is taken in slices of ids. Where one ends is chosen
 * by the seals, which only have to be about right for that: each id is in one slice. */
static int find_slice(struct verify *verify, uint64_t n, uint64_t of, struct error_text *error)
{
    const struct verify_host *host = verify->hosts;
    uint64_t end;
    verify->first_id = n ? verify->last_id + 1 : 0;
    verify->last_id = UINT64_MAX;
    verify->later_slice = n > 0;
    if (n + 1 == of)
        return 0;
    int outcome = database_query_number(
        verify->workers[0].mysql, &end, error, "divide a host",
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', first_time) FROM batch WHERE host_id ="
        " %" PRIu32 " ORDER BY batch LIMIT 1 OFFSET %" PRIu64,
        host->host_id, (uint64_t)((double)host->n_batches * (double)(n + 1) / (double)of));
    verify->last_id = end > verify->first_id ? end : verify->first_id;
    return outcome;
}

static int run_group(struct verify *verify, struct error_text *error)
{
    uint64_t n_slices = 1;
    int outcome = 0;
    if (verify->n_hosts == 1)
        n_slices = verify->hosts->n_lines / most_lines(verify) + 1;
    struct verify_host *hosts = calloc(verify->n_hosts + 1, sizeof(*hosts));
    if (!hosts)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    memcpy(hosts, verify->hosts, verify->n_hosts * sizeof(*hosts));
    for (uint64_t i = 0; i < n_slices && !outcome; i++) {
        memcpy(verify->hosts, hosts, verify->n_hosts * sizeof(*hosts));
        outcome = find_slice(verify, i, n_slices, error);
        if (!outcome)
            outcome = run_slice(verify, error);
    }
    memcpy(verify->hosts, hosts, verify->n_hosts * sizeof(*hosts)); /* which own nothing */
    verify->result->counts.hosts += verify->n_hosts;
    free(hosts);
    return outcome;
}

/* --- what retention has dropped --- */

static uint64_t missing_of(const struct retained_day *day)
{
    return day->n_listed > day->n_found ? day->n_listed - day->n_found : 0;
}

/* Refused lines that were dropped may be of any of the days. */
static uint64_t allowed_of(const struct verify *verify, const struct retained_day *day)
{
    bool is_table = (int)day->table < TABLE_N;
    return day->n_dropped + (is_table ? retained_n_refused(verify->retained, day->host_id) : 0);
}

/* Rows do not go by themselves: what the last run has kept, and what came later, is there. Refused
 * rows may be among those that came. */
static bool has_kept(const struct verify *verify, const struct retained_day *day)
{
    const struct verify_options *options = verify->options;
    if ((int)day->table >= TABLE_N || options->since ||
        (options->has_host && day->host_id != options->host_id) ||
        retained_find(verify->retained, day->table, day->host_id, day->day) != day)
        return true; /* not all rows were read, or they are counted for all hosts together */
    uint64_t n_rows = day->n_rows + day->n_named;
    if (n_rows < day->n_kept)
        return false;
    return n_rows + day->n_refused + retained_n_refused(verify->retained, day->host_id) >=
           day->n_kept + day->n_late;
}

static void tell_kept(struct verify *verify, const struct retained_day *day)
{
    struct difference told = {.host_id = day->host_id,
                              .table = catalogue_table(day->table)->name,
                              .has_id = true,
                              .id = (uint64_t)day->day * DAY_US,
                              .what = "more missing than retention says"};
    snprintf(told.detail, sizeof(told.detail),
             "rows of that day: %" PRIu64 " are there, retention_log says that %" PRIu64
             " were kept, and %" PRIu64 " came later",
             day->n_rows, day->n_kept, day->n_late);
    differences_add(verify->result->differences, &told);
}

static void tell_day(struct verify *verify, const struct retained_day *day)
{
    static const char *const others[] = {"batch", "rejected"};
    bool is_table = (int)day->table < TABLE_N;
    struct difference told = {.host_id = day->host_id,
                              .table = is_table ? catalogue_table(day->table)->name
                                                : others[(int)day->table - TABLE_N],
                              .has_id = is_table,
                              .id = (uint64_t)day->day * DAY_US,
                              .what = "more missing than retention says"};
    snprintf(told.detail, sizeof(told.detail),
             "%s of that day: %" PRIu64 " are missing, retention_log says that %" PRIu64
             " were dropped",
             is_table                       ? "rows"
             : day->table == RETAINED_BATCH ? "digest lists"
                                            : "lines of batches",
             missing_of(day), day->n_dropped);
    differences_add(verify->result->differences, &told);
}

static void tell_dropped(struct verify *verify)
{
    struct verify_counts *counts = &verify->result->counts;
    for (size_t i = 0; i < retained_n(verify->retained); i++) {
        const struct retained_day *day = retained_at(verify->retained, i);
        uint64_t missing = missing_of(day);
        if (day->table == RETAINED_REJECTED)
            counts->dropped_refused += missing;
        else if (day->table != RETAINED_BATCH)
            counts->dropped_rows += missing;
        if (missing > allowed_of(verify, day))
            tell_day(verify, day);
        else if (!has_kept(verify, day))
            tell_kept(verify, day);
    }
}

static bool has_partition(void *user, const char *table, int64_t day)
{
    struct verify *verify = user;
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text ignored;
    int outcome = database_query(
        verify->workers[0].mysql, &result, &ignored, "list the partitions",
        "SELECT 1 FROM information_schema.partitions WHERE table_schema = DATABASE() AND"
        " table_name = '%s' AND (partition_name IS NULL OR partition_name ="
        " DATE_FORMAT('1970-01-01' + INTERVAL %" PRId64 " DAY, 'p%%Y%%m%%d') OR ("
        "  SELECT MIN(CAST(TRIM(BOTH '''' FROM partition_description) AS DATE))"
        "    FROM information_schema.partitions WHERE table_schema = DATABASE()"
        "     AND table_name = '%s' AND partition_description <> 'MAXVALUE')"
        "  > '1970-01-01' + INTERVAL %" PRId64 " DAY OR ("
        "  SELECT MAX(CAST(TRIM(BOTH '''' FROM partition_description) AS DATE))"
        "    FROM information_schema.partitions WHERE table_schema = DATABASE()"
        "     AND table_name = '%s' AND partition_description <> 'MAXVALUE')"
        "  <= '1970-01-01' + INTERVAL %" PRId64 " DAY) LIMIT 1",
        table, day, table, day, table, day);
    return outcome || mysql_num_rows(result) > 0;
}

/* --- all of it --- */

/* What went while it was read would be named as missing. */
static int check_retention(const struct verify *verify, struct error_text *error)
{
    bool older;
    int outcome = retained_is_older(verify->retained, verify->workers[0].mysql, &older, error);
    if (!outcome && older)
        outcome = error_set(error, -EAGAIN,
                            "retention has dropped rows meanwhile: verify again when it is done");
    return outcome;
}

static int run_groups(struct verify *verify, struct error_text *error)
{
    size_t next = 0;
    int outcome = list_hosts(verify, verify->workers[0].mysql, error);
    if (outcome)
        return outcome;
    do {
        next = choose_group(verify, next);
        outcome = run_group(verify, error);
    } while (!outcome && next < verify->n_all);
    if (outcome)
        return outcome;
    outcome = differences_conclude_lines(verify->result->differences);
    if (!outcome)
        tell_dropped(verify);
    if (!outcome)
        outcome = differences_conclude(verify->result->differences, has_partition, verify);
    if (outcome)
        return error_set(error, outcome, "cannot verify: out of memory");
    return differences_n(verify->result->differences) ? check_retention(verify, error) : 0;
}

static int open_workers(struct verify *verify, struct error_text *error)
{
    unsigned jobs = verify->options->jobs;
    int outcome = 0;
    verify->workers = calloc(jobs, sizeof(*verify->workers));
    if (!verify->workers)
        return error_set(error, -ENOMEM, "cannot verify: out of memory");
    for (unsigned i = 0; i < jobs && !outcome; i++)
        outcome = worker_init(&verify->workers[i], verify, error);
    return outcome;
}

/* A key that came after a seal was kept cannot have signed what had arrived by then. */
static void limit_keys(struct sealing_keys *keys, const struct verify_options *options)
{
    size_t at = 0;
    for (size_t i = 0; i < keys->n; i++) {
        struct sealing_key *key = &keys->keys[i];
        while (at < options->n_kept && options->kept[at].host_id < key->host_id)
            at++;
        const struct verify_kept *kept = at < options->n_kept ? &options->kept[at] : NULL;
        if (kept && kept->host_id == key->host_id && kept->last_key && key->number > kept->last_key)
            key->first_batch = kept->last + 1;
    }
}

/* What a newer program seals this one cannot rebuild, and would call it changed. */
static int check_schema(MYSQL *mysql, struct error_text *error)
{
    unsigned version;
    int outcome = schema_check(mysql, &version, error);
    return outcome < 0 ? outcome : 0;
}

int verify_open(struct verify *verify, struct verify_result *result,
                const struct verify_options *options, struct error_text *error)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    *verify = (struct verify){.options = options, .result = result, .last_id = UINT64_MAX};
    pthread_mutex_init(&verify->mutex, NULL);
    int outcome = options->connect(&mysql, options->user, error);
    if (!outcome)
        outcome = check_schema(mysql, error);
    if (!outcome)
        outcome = sealing_keys_load(&verify->keys, mysql, error);
    if (!outcome)
        outcome = retained_load(&verify->retained, mysql, error);
    limit_keys(&verify->keys, options);
    if (!outcome && (RAND_bytes(verify->secret, sizeof(verify->secret)) != 1 ||
                     unsealed_new(&verify->unsealed) ||
                     differences_new(&result->differences, DIFFERENCES_MOST)))
        outcome = error_set(error, -ENOMEM, "cannot verify: no memory, or no random numbers");
    return outcome ? outcome : open_workers(verify, error);
}

void verify_close(struct verify *verify)
{
    for (unsigned i = 0; verify->workers && i < verify->options->jobs; i++)
        worker_deinit(&verify->workers[i]);
    free(verify->workers);
    for (size_t i = 0; i < verify->n_all; i++)
        verify_host_deinit(&verify->all[i]);
    free(verify->all);
    sealing_keys_deinit(&verify->keys);
    retained_free(verify->retained);
    unsealed_free(verify->unsealed);
    pthread_mutex_destroy(&verify->mutex);
}

int verify_run(struct verify_result *result, const struct verify_options *options,
               struct error_text *error)
{
    struct verify verify;
    int outcome = verify_open(&verify, result, options, error);
    if (!outcome)
        outcome = run_groups(&verify, error);
    verify_close(&verify);
    return outcome;
}

void verify_result_deinit(struct verify_result *result)
{
    differences_free(result->differences);
    result->differences = NULL;
}
