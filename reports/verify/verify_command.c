/* `vestige verify`: what is different is a row of the answer; then it says what that proves. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/database/statement.h"
#include "reports/evidence/evidence.h"
#include "reports/evidence/reading.h"
#include "reports/options/time_words.h"
#include "reports/output/progress.h"
#include "reports/server/administrator.h"
#include "reports/verify/verify.h"
#include "reports/verify/verify_against.h"
#include "reports/verify/verify_arrived.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <time.h>

#define MEMORY_DEFAULT 256 /* MiB */
#define FINDINGS_MOST  1000

struct command {
    struct options options;
    bool require_signatures, arrived, conclude;
    const char *against;
    uint64_t jobs, memory;
    uint32_t host_id;
    uint64_t n_failed; /* of those that arrived */
    struct seal kept;
    struct verify_against compared;
    char kept_at[TIME_TEXT_SIZE];
    uint64_t n_reading; /* rows of the readers' log */
    char reading_head[65];
    uint64_t n_told_refused; /* by the hosts */
    struct verify_result result;
    uint64_t n_rows;
    double seconds;
    struct error_text *error;
};

static int connect_job(MYSQL **mysqlp, void *user, struct error_text *error)
{
    return administrator_connect(mysqlp, user, error);
}

static int connect_worker(MYSQL **mysqlp, void *user, struct error_text *error)
{
    return evidence_connect(mysqlp, user, error);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- what was found --- */

enum {
    COLUMN_HOST,
    COLUMN_TABLE,
    COLUMN_ID,
    COLUMN_LINES,
    COLUMN_BATCH,
    COLUMN_WHAT,
    COLUMN_DETAIL
};

static const struct output_column columns[] = {
    [COLUMN_HOST] = {"host",   OUTPUT_TEXT,   NULL},
      [COLUMN_TABLE] = {"table",  OUTPUT_TEXT,   NULL},
    [COLUMN_ID] = {"id",     OUTPUT_NUMBER, NULL},
      [COLUMN_LINES] = {"lines",  OUTPUT_TEXT,   NULL},
    [COLUMN_BATCH] = {"batch",  OUTPUT_NUMBER, NULL},
      [COLUMN_WHAT] = {"what",   OUTPUT_TEXT,   NULL},
    [COLUMN_DETAIL] = {"detail", OUTPUT_TEXT,   NULL},
};
#define COLUMN_N (sizeof(columns) / sizeof(columns[0]))

/* The name of a host, or its number when it has none. */
static const char *name_of(MYSQL_RES *names, uint32_t host_id, char number[16])
{
    mysql_data_seek(names, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(names));)
        if (strtoul(row[0], NULL, 10) == host_id)
            return row[1];
    snprintf(number, 16, "%" PRIu32, host_id);
    return number;
}

static int write_difference(struct output *output, const struct difference *difference,
                            MYSQL_RES *names)
{
    char host[16], id[24], batch[24];
    snprintf(id, sizeof(id), "%" PRIu64, difference->id);
    snprintf(batch, sizeof(batch), "%" PRIu64, difference->batch);
    const struct slice values[COLUMN_N] = {
        [COLUMN_HOST] = difference->host_id ? slice_text(name_of(names, difference->host_id, host))
                                            : SLICE_NULL,
        [COLUMN_TABLE] = slice_text(difference->table),
        [COLUMN_ID] = difference->has_id ? slice_text(id) : SLICE_NULL,
        [COLUMN_LINES] = *difference->verb ? slice_text(difference->verb) : SLICE_NULL,
        [COLUMN_BATCH] = difference->has_batch ? slice_text(batch) : SLICE_NULL,
        [COLUMN_WHAT] = slice_text(difference->what),
        [COLUMN_DETAIL] = *difference->detail ? slice_text(difference->detail) : SLICE_NULL,
    };
    return output_row(output, values);
}

static int write_differences(struct command *command, MYSQL *mysql)
{
    const struct differences *differences = command->result.differences;
    MYSQL_RES *names AUTO_RESULT = NULL;
    struct output *output = NULL;
    int outcome = database_query(mysql, &names, command->error, "read the names of hosts",
                                 "SELECT host_id, name FROM enrolment");
    if (outcome)
        return outcome;
    outcome = output_new(&output, command->options.format, stdout, columns, COLUMN_N);
    for (size_t i = 0; i < differences_n(differences) && !outcome; i++)
        outcome = write_difference(output, differences_at(differences, i), names);
    if (!outcome)
        outcome = output_finish(output);
    output_free(output);
    output_end_if_unread(outcome);
    return outcome ? error_set(command->error, outcome, "the rows cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

/* A finding each; of a flood, the first ones. */
static int conclude_one(struct command *command, MYSQL *mysql, const struct difference *difference)
{
    char subject[160], detail[400];
    int length = snprintf(subject, sizeof(subject), "%s", difference->table);
    if (difference->has_id)
        length += snprintf(subject + length, sizeof(subject) - (size_t)length, " %" PRIu64,
                           difference->id);
    else if (difference->has_batch)
        length += snprintf(subject + length, sizeof(subject) - (size_t)length, " %" PRIu64,
                           difference->batch);
    snprintf(subject + length, sizeof(subject) - (size_t)length, ": %s", difference->what);
    snprintf(detail, sizeof(detail), "found by vestige verify%s%s", *difference->detail ? ": " : "",
             difference->detail);
    const struct statement_value values[] = {
        {.name = "host_id", .kind = STATEMENT_NUMBER, .number = difference->host_id},
        {.name = "subject", .kind = STATEMENT_TEXT,   .text = slice_text(subject)  },
        {.name = "detail",  .kind = STATEMENT_TEXT,   .text = slice_text(detail)   },
    };
    return statement_do(mysql,
                        "CALL vestige_conclude('evidence-tampered', :host_id, :subject, :detail,"
                        " NULL)",
                        values, sizeof(values) / sizeof(values[0]), "keep a finding",
                        command->error);
}

static int conclude(struct command *command)
{
    const struct differences *differences = command->result.differences;
    MYSQL *mysql AUTO_DATABASE = NULL;
    int outcome =
        command->conclude ? administrator_connect(&mysql, &command->options, command->error) : 0;
    for (size_t i = 0;
         command->conclude && !outcome && i < differences_n(differences) && i < FINDINGS_MOST; i++)
        outcome = conclude_one(command, mysql, differences_at(differences, i));
    return outcome;
}

/* --- what that proves --- */

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void tell_limits(const struct verify_counts *counts, FILE *to)
{
    uint64_t other = counts->batches - counts->signed_batches - counts->unsigned_batches;
    if (counts->unsigned_batches)
        fprintf(to,
                "Not signed, because their hosts had no key then: %" PRIu64
                " batch%s. Whoever is root"
                " on the server could have made them anew.\n",
                counts->unsigned_batches, counts->unsigned_batches == 1 ? "" : "es");
    if (other)
        fprintf(to, "Without a good signature: %" PRIu64 " batch%s.\n", other,
                other == 1 ? "" : "es");
    if (counts->unprovable_rows)
        fprintf(to, "Not provable, because the seal is changed or missing: %" PRIu64 " row%s.\n",
                counts->unprovable_rows, plural(counts->unprovable_rows));
    if (counts->dropped_rows || counts->dropped_refused || counts->thinned_batches)
        fprintf(to,
                "Dropped by retention, as retention_log says: %" PRIu64 " row%s, %" PRIu64
                " refused line%s, digest lists of %" PRIu64 " batch%s; they are no longer"
                " provable.\n",
                counts->dropped_rows, plural(counts->dropped_rows), counts->dropped_refused,
                plural(counts->dropped_refused), counts->thinned_batches,
                counts->thinned_batches == 1 ? "" : "es");
    if (counts->unfinished_rows)
        fprintf(to,
                "Too many to see whether an end was taken away, on days from which retention has"
                " dropped: %" PRIu64 " row%s (--memory).\n",
                counts->unfinished_rows, plural(counts->unfinished_rows));
    if (counts->rejected_partly)
        fprintf(to,
                "Refused lines of which only the beginning was kept: %" PRIu64 "; what they said"
                " cannot be checked.\n",
                counts->rejected_partly);
    if (counts->newer_lines)
        fprintf(to, "Arrived meanwhile and not looked at: %" PRIu64 " line%s.\n",
                counts->newer_lines, plural(counts->newer_lines));
}

static void tell_proof(const struct command *command, FILE *to)
{
    if (command->against)
        fprintf(to, "Compared with the %zu end%s of chains that %s had at %s.\n",
                command->compared.n_hosts, plural(command->compared.n_hosts), command->against,
                command->kept_at);
    if (command->compared.n_newer)
        fprintf(to,
                "Keys of these hosts that came since: %" PRIu64
                "; whether the hosts got them by a rotation,"
                " the server alone says (enrolment_log).\n",
                command->compared.n_newer);
    if (command->n_reading)
        fprintf(to, "The log of readers has %" PRIu64 " row%s, its head is %s.\n",
                command->n_reading, plural(command->n_reading), command->reading_head);
    fprintf(
        to,
        "It proves that what is there is what the hosts have sealed, and that nothing is missing"
        " between. It does not\nprove what a host sealed after somebody else had it or its key,"
        " nor that nothing was cut off behind the\nnewest batch%s.\n",
        command->against ? " since then" : "; a kept seal does, up to its moment (--against)");
}

static void tell_result(const struct command *command, FILE *to)
{
    const struct verify_counts *counts = &command->result.counts;
    uint64_t n = differences_n(command->result.differences);
    uint64_t untold = differences_n_untold(command->result.differences) + counts->untold_lines;
    if (n || untold)
        fprintf(to, "TAMPERED: %" PRIu64 " difference%s", n, plural(n));
    else
        fprintf(to, "Clean");
    if (untold)
        fprintf(to, ", and %" PRIu64 " lines more, too many to be told", untold);
    fprintf(to,
            ". %" PRIu64 " row%s, %" PRIu64 " refused line%s, %" PRIu64 " line%s of %" PRIu64
            " batch%s of %" PRIu64 " host%s; %.1f s, %.0f rows/s.\n",
            counts->rows, plural(counts->rows), counts->rejected, plural(counts->rejected),
            counts->lines, plural(counts->lines), counts->batches, counts->batches == 1 ? "" : "es",
            counts->hosts, plural(counts->hosts), command->seconds,
            command->seconds > 0 ? (double)counts->rows / command->seconds : 0.0);
    if (counts->rejected)
        fprintf(to,
                "That the server could not take the refused lines is its own word; the hosts have"
                " told of %" PRIu64 ".\n",
                command->n_told_refused);
    tell_limits(counts, to);
    tell_proof(command, to);
}

/* --- the command --- */

/* What was kept elsewhere is one more difference or none: told with the others. */
static int compare_heads(struct command *command, MYSQL *mysql)
{
    if (!command->against)
        return 0;
    return verify_against(&command->compared, command->result.differences, mysql, &command->kept,
                          command->options.on ? &command->host_id : NULL, command->error);
}

static void tell_reading(void *user, uint64_t id, const char *what)
{
    const struct command *command = user;
    struct difference told = {.table = "reading", .has_id = true, .id = id, .what = what};
    differences_add(command->result.differences, &told);
}

/* Who read the evidence is evidence, too; it is of no host. */
static int check_reading(struct command *command, MYSQL *mysql)
{
    if (command->options.on)
        return 0;
    int64_t n_wrong = reading_check(mysql, tell_reading, command, &command->n_reading,
                                    command->reading_head, command->error);
    if (n_wrong < 0 && mysql_errno(mysql) == ER_NO_SUCH_TABLE)
        return 0; /* a schema of before */
    return n_wrong < 0 ? (int)n_wrong : 0;
}

/* How many lines were refused the hosts have told in gaps, as far as they knew. */
static int count_refused(struct command *command, MYSQL *mysql)
{
    char on[64] = "";
    if (command->options.on)
        snprintf(on, sizeof(on), " AND host_id = %" PRIu32, command->host_id);
    return database_query_number(mysql, &command->n_told_refused, command->error,
                                 "count refused lines",
                                 "SELECT SUM(`count`) FROM gap WHERE source = 'server' AND"
                                 " cause = 'rejected'%s",
                                 on);
}

static int read_kept(struct command *command, struct verify_options *about,
                     struct verify_kept **keptp)
{
    if (!command->against)
        return 0;
    int outcome = seal_read(&command->kept, command->against, command->error);
    if (!outcome)
        outcome = verify_against_prepare(keptp, &command->kept, command->error);
    if (outcome)
        return outcome;
    time_words_format(command->kept_at, command->kept.at_us);
    about->kept = *keptp;
    about->n_kept = command->kept.n_hosts;
    return 0;
}

static int verify(struct command *command, MYSQL *mysql)
{
    const struct options *options = &command->options;
    struct verify_options about = {.connect = connect_worker,
                                   .user = &command->options,
                                   .require_signatures = command->require_signatures,
                                   .jobs = (unsigned)command->jobs,
                                   .memory = (size_t)command->memory << 20};
    AUTO_FREE struct verify_kept *kept = NULL;
    char since[40];
    uint64_t host_id = 0;
    int outcome =
        options->on ? evidence_find_host(mysql, options->on, &host_id, command->error) : 0;
    about.has_host = options->on != NULL;
    about.host_id = command->host_id = (uint32_t)host_id;
    if (options->has_since) {
        time_t seconds = (time_t)(options->since_us / 1000000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &tm);
        about.since = since;
    }
    if (!outcome)
        outcome = read_kept(command, &about, &kept);
    if (outcome)
        return outcome;
    double start = now();
    struct progress *progress =
        progress_begin_counting("verifying", &command->result.counts.rows, "rows");
    outcome = verify_run(&command->result, &about, command->error);
    progress_end(progress);
    command->seconds = now() - start;
    return outcome;
}

/* The job says only what is not as it should be. */
static int run_arrived(struct command *command)
{
    struct verify_options about = {.connect = connect_job,
                                   .user = &command->options,
                                   .jobs = 1,
                                   .memory = (size_t)command->memory << 20};
    struct arrived arrived;
    if (command->against || command->conclude || command->require_signatures ||
        command->options.has_since || command->options.on)
        return error_set(command->error, -EINVAL, "--arrived takes no other option of verify");
    int outcome = verify_arrived(&arrived, &about, command->error);
    command->n_failed = outcome ? 0 : arrived.n_failed;
    if (!outcome && (arrived.n_verified || arrived.n_failed))
        printf("%" PRIu64 " batch%s verified, %" PRIu64 " not as sealed\n", arrived.n_verified,
               arrived.n_verified == 1 ? "" : "es", arrived.n_failed);
    return outcome;
}

static int run(struct command *command)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    int outcome = 0;
    if (command->options.has_until || command->options.login_user)
        return error_set(command->error, -EINVAL,
                         "verify takes neither --until nor --login-user: a batch is whole or not");
    if (command->arrived)
        return run_arrived(command);
    outcome = evidence_connect(&mysql, &command->options, command->error);
    if (!outcome)
        outcome = verify(command, mysql);
    if (!outcome)
        outcome = compare_heads(command, mysql);
    if (!outcome)
        outcome = check_reading(command, mysql);
    if (!outcome)
        outcome = count_refused(command, mysql);
    if (!outcome)
        outcome = write_differences(command, mysql);
    if (!outcome)
        outcome = conclude(command);
    if (!outcome)
        tell_result(command, output_remarks(command->options.format));
    return outcome;
}

int verify_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct command command = {
        .error = &error, .memory = MEMORY_DEFAULT, .jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN)};
    const struct option_own own[] = {
        {"require-signatures", OPTION_FLAG,   &command.require_signatures, NULL,
         "a batch without a signature is a difference",                                0, 0      },
        {"arrived",            OPTION_FLAG,   &command.arrived,            NULL,
         "the server's job: verify what nobody has verified yet, and set verified_at", 0, 0      },
        {"conclude",           OPTION_FLAG,   &command.conclude,           NULL,
         "keep each difference as a finding, of which vestige notify tells",           0, 0      },
        {"against",            OPTION_TEXT,   &command.against,            "FILE",
         "also compare the ends of the chains that `vestige seal` wrote there",        0, 0      },
        {"jobs",               OPTION_NUMBER, &command.jobs,               "N",
         "connections that read at once (as many as there are processors)",            1, 256    },
        {"memory",             OPTION_NUMBER, &command.memory,             "MIB",
         "use about so much (256), whatever the size of the database",                 1, 1048576},
    };
    const struct command_line line = {
        .words = "verify",
        .summary =
            "Rebuild every line from the tables and compare it with what the hosts have sealed:\n"
            "digests, hashes, the chain of batches, signatures; nothing missing, nothing extra.\n"
            "Each difference is a row. --since: batches that arrived from then on, and their "
            "rows.\n"
            "Exit status: 0 clean, 1 something is different, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    int outcome = options_parse(&command.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&command);
    bool clean = !outcome && command.arrived
                     ? command.n_failed == 0
                     : !outcome && differences_n(command.result.differences) == 0 &&
                           differences_n_untold(command.result.differences) == 0 &&
                           command.result.counts.untold_lines == 0;
    verify_result_deinit(&command.result);
    seal_deinit(&command.kept);
    return command_end("verify", command_status(outcome, clean ? STATUS_ROWS : STATUS_WRONG),
                       &error);
}
