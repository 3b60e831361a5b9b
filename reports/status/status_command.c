/* `vestige status`: three parts, each of which may be missing (no agent here, no database
 * reachable) without hiding the others: the agent of this host, the hosts, and the server's own
 * jobs. */
#include "recorder/agent/control_client.h"
#include "reports/agent/agent.h"
#include "reports/command.h"
#include "reports/evidence/evidence.h"
#include "reports/evidence/findings.h"
#include "reports/options/nearest.h"
#include "reports/options/time_words.h"
#include "reports/server/server_settings.h"
#include "reports/status/status_hosts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_TIMEOUT_MS  5000
#define DAYS_AHEAD_LEAST  3
#define TEXT(number_text) ((number_text) ? (number_text) : "0")

struct status {
    const struct options *options;
    const char *configuration;
    bool only_hosts;
    struct findings findings;
    struct status_hosts hosts;
    struct error_text *error;
};

/* A line a host: asked for, or all of a fleet for people. One host is told at length. */
static bool is_table(const struct status *status)
{
    return status->only_hosts ||
           (!status->options->on && status->options->format == OUTPUT_TABLE && status->hosts.n > 1);
}

/* A moment of the server in the zone asked for; other text stays. */
static const char *local(const char *text, char moment[TIME_TEXT_SIZE])
{
    return text && time_words_convert(moment, slice_text(text)) ? moment : text;
}

static void add(struct status *status, enum finding_level level, const char *part, const char *name,
                const char *value, const char *advice)
{
    findings_add(&status->findings, level, part, name, value, advice);
}

/* --- the agent --- */

static void add_agent_value(void *user, const char *key, const char *value)
{
    static const struct {
        const char *key;
        const char *advice;
    } wrong_unless_zero[] = {
        {"journal_full",     "what is seen now is lost and counted in gaps; see why it does not ship"},
        {"server_cleartext",
         "evidence is sent without TLS: remove allow-cleartext, and set ssl-ca"                      },
        {"rows_rejected",    "the server refused rows; they are in the table rejected"               },
    };
    struct status *status = user;
    for (size_t i = 0; i < sizeof(wrong_unless_zero) / sizeof(wrong_unless_zero[0]); i++)
        if (!strcmp(key, wrong_unless_zero[i].key) && *value && strcmp(value, "0") &&
            strcmp(value, "no")) {
            add(status, FINDING_WRONG, "agent", key, value, wrong_unless_zero[i].advice);
            return;
        }
    if (!strcmp(key, "journal_error"))
        add(status, FINDING_WRONG, "agent", key, value,
            "rows wait in memory, and what does not fit there is lost and counted: make room");
    else if (strstr(key, "error") && *value)
        add(status, FINDING_WRONG, "agent", key, value,
            "rows wait in the journal until this is mended");
    else if (!strncmp(key, "source_", strlen("source_")))
        add(status, FINDING_NOTE, "agent", key, value, "see vestige doctor");
    else
        add(status, FINDING_OK, "agent", key, value, NULL);
}

static int ask_agent(struct status *status)
{
    struct agent agent;
    struct error_text reason = ERROR_TEXT_NULL;
    int outcome = agent_find(&agent, status->options, status->configuration, status->error);
    if (outcome)
        return outcome;
    outcome = agent_status(&agent, AGENT_TIMEOUT_MS, add_agent_value, status, &reason);
    bool none = outcome == -ENOENT || outcome == -ECONNREFUSED;
    if (none && agent.expected)
        add(status, FINDING_WRONG, "agent", "not running here", agent.socket,
            "this host is enrolled and nobody records it: systemctl start vestiged. If it runs, "
            "its "
            "log says why nobody can ask it");
    else if (outcome)
        add(status, none ? FINDING_NOTE : FINDING_WRONG, "agent",
            none ? "not running here" : "no answer", agent.socket, reason.text);
    return 0;
}

/* --- the hosts --- */

static int read_hosts(struct status *status, MYSQL *mysql, const struct evidence_window *window)
{
    int outcome = status_hosts_read(&status->hosts, mysql, window, status->error);
    if (outcome)
        return outcome;
    if (!status->hosts.n)
        add(status, FINDING_NOTE, "server", "hosts", "none is enrolled",
            "vestige client enroll HOST");
    if (!is_table(status))
        status_hosts_tell(&status->hosts, &status->findings);
    return 0;
}

static int read_coverage(struct status *status, MYSQL *mysql, const struct evidence_window *window)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char one[64] = "", part[300];
    if (window->has_host)
        snprintf(one, sizeof(one), " AND c.host_id = %" PRIu64, window->host_id);
    int outcome = database_query(
        mysql, &result, status->error, "read what is watched",
        "SELECT e.name, c.source, CONCAT_WS(', ', c.mode, NULLIF(c.detail, '')) FROM coverage c"
        " JOIN enrolment e ON e.host_id = c.host_id WHERE c.destroyed_at IS NULL"
        " AND e.retired_at IS NULL AND e.revoked_at IS NULL%s ORDER BY e.name, c.source",
        one);
    if (outcome)
        return outcome;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        snprintf(part, sizeof(part), "host %s", row[0]);
        char name[80];
        snprintf(name, sizeof(name), "watched: %.60s", row[1]);
        add(status, FINDING_OK, part, name, row[2], NULL);
    }
    return 0;
}

/* --- the server's own jobs --- */

static void add_partitions(struct status *status, MYSQL_ROW row)
{
    char name[100];
    bool wrong = database_i64(row[1]) < DAYS_AHEAD_LEAST;
    snprintf(name, sizeof(name), "days ahead in %.64s", row[0]);
    add(status, wrong ? FINDING_WRONG : FINDING_OK, "server", name, TEXT(row[1]),
        wrong ? "partitions are not made: is event_scheduler ON? vestige server retention makes "
                "them"
              : NULL);
    if (database_i64(row[2]))
        add(status, FINDING_WRONG, "server", "rows behind the last partition", row[2],
            "a clock of a host was far ahead, or partitions were not made");
}

/* People need no line for each. */
static int add_all_partitions(struct status *status, MYSQL_RES *result)
{
    char name[100];
    long long least = INT64_MAX;
    mysql_data_seek(result, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
        least = database_i64(row[1]) < least ? database_i64(row[1]) : least;
    snprintf(name, sizeof(name), "%lld, in all %llu tables", least,
             (unsigned long long)mysql_num_rows(result));
    add(status, FINDING_OK, "server", "days ahead", name, NULL);
    return 0;
}

static int read_partitions(struct status *status, MYSQL *mysql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        mysql, &result, status->error, "read the partitions",
        "SELECT table_name, DATEDIFF(MAX(IF(partition_description = 'MAXVALUE', NULL,"
        " CAST(TRIM(BOTH '''' FROM partition_description) AS DATE))), UTC_DATE()) - 1,"
        " SUM(IF(partition_description = 'MAXVALUE', table_rows, 0))"
        " FROM information_schema.partitions WHERE table_schema = DATABASE()"
        " AND partition_name IS NOT NULL GROUP BY table_name ORDER BY table_name");
    if (outcome)
        return outcome;
    bool all_well = true;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
        all_well &= database_i64(row[1]) >= DAYS_AHEAD_LEAST && !database_i64(row[2]);
    if (all_well && status->options->format == OUTPUT_TABLE && mysql_num_rows(result))
        return add_all_partitions(status, result);
    mysql_data_seek(result, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
        add_partitions(status, row);
    return 0;
}

/* How long after its last success a job is overdue, whoever runs it. */
static const struct job {
    const char *name;
    long long limit_s;
    const char *advice;
} jobs[] = {
    {"make_partitions", 7200,   "it should run every hour: is event_scheduler ON?"              },
    {"watch",           300,    "it should run every minute: is event_scheduler ON?"            },
    {"verify",          7200,   "nothing that arrives is verified: does its timer run?"         },
    {"retention",       172800,
     "it should run every day, or the disk fills: is event_scheduler ON, or does its timer run?"},
};
#define RUNNING_LIMIT_S 86400

static const struct job *job_named(const char *name)
{
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
        if (!strcmp(jobs[i].name, name))
            return &jobs[i];
    return NULL;
}

/* Retention has nothing to do before a rule is set; `rule_s` is how long one is, or NULL. */
static bool is_overdue(const struct job *job, MYSQL_ROW row, const char *rule_s)
{
    long long since = database_i64(row[4] ? row[4] : row[5]);
    if (job && !strcmp(job->name, "retention"))
        return rule_s && since > job->limit_s && database_i64(rule_s) > job->limit_s;
    return job && since > job->limit_s;
}

static void add_job(struct status *status, MYSQL_ROW row, const char *rule_s)
{
    char name[100], moment[TIME_TEXT_SIZE];
    const struct job *job = job_named(row[0]);
    bool failed = !strcmp(row[2], "failure");
    bool stuck = !strcmp(row[2], "running") && database_i64(row[5]) > RUNNING_LIMIT_S;
    bool overdue = is_overdue(job, row, rule_s);
    snprintf(name, sizeof(name), "job %.64s", row[0]);
    add(status, failed || overdue || stuck ? FINDING_WRONG : FINDING_OK, "server", name,
        local(row[1], moment),
        failed    ? row[3]
        : stuck   ? "it began over a day ago and never ended"
        : overdue ? job->advice
                  : row[3]);
}

/* A day, and what its timer may come late. */
#define FIRST_RETENTION_LIMIT_S 90000

static void add_retention(struct status *status, MYSQL_ROW rule)
{
    if (!rule[0] || database_i64(rule[1]))
        return;
    bool wrong = database_i64(rule[0]) > FIRST_RETENTION_LIMIT_S;
    add(status, wrong ? FINDING_WRONG : FINDING_OK, "server", "job retention", "not run yet",
        wrong ? job_named("retention")->advice : "it begins at its hour");
}

static int read_maintenance(struct status *status, MYSQL *mysql)
{
    MYSQL_RES *result AUTO_RESULT = NULL, *rules AUTO_RESULT = NULL;
    int outcome = database_query(mysql, &rules, status->error, "read how long evidence is kept",
                                 "SELECT TIMESTAMPDIFF(SECOND, MIN(changed_at), UTC_TIMESTAMP(6)),"
                                 " EXISTS (SELECT 1 FROM maintenance_run WHERE name = 'retention')"
                                 " FROM retention WHERE keep_days IS NOT NULL");
    if (outcome)
        return outcome;
    MYSQL_ROW rule = mysql_fetch_row(rules);
    add_retention(status, rule);
    outcome = database_query(
        mysql, &result, status->error, "read the server's own jobs",
        "SELECT m.name, m.started_at, m.result, m.message,"
        " (SELECT TIMESTAMPDIFF(SECOND, MAX(s.started_at), UTC_TIMESTAMP(6)) FROM maintenance_run s"
        "   WHERE s.name = m.name AND s.result = 'success'),"
        " TIMESTAMPDIFF(SECOND, m.started_at, UTC_TIMESTAMP(6))"
        " FROM maintenance_run m WHERE m.id IN (SELECT MAX(id) FROM maintenance_run"
        " GROUP BY name) ORDER BY m.name");
    if (outcome)
        return outcome;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
        add_job(status, row, rule[0]);
    return 0;
}

static void add_setting(void *user, const struct server_setting *setting, const char *found,
                        bool is_right)
{
    char name[100], advice[600];
    if (is_right || setting->level != SETTING_REQUIRED)
        return;
    snprintf(name, sizeof(name), "setting %.80s", setting->name);
    snprintf(advice, sizeof(advice), "%.300s; set: %.200s", setting->why, setting->wanted);
    add(user, FINDING_WRONG, "server", name, *found ? found : "empty", advice);
}

static int read_settings(struct status *status, MYSQL *mysql)
{
    int outcome = server_settings_check(mysql, add_setting, status, status->error);
    return outcome < 0 ? outcome : 0;
}

/* The event comes every minute; a run that is at work is not overdue. */
static int read_schedules(struct status *status, MYSQL *mysql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char name[100], moment[TIME_TEXT_SIZE];
    int outcome = database_query(
        mysql, &result, status->error, "read the schedules",
        "SELECT s.id, s.question, COALESCE(r.started_at, 'not run yet'), r.result = 'failure',"
        " r.message, COALESCE(r.result, '') <> 'running'"
        " AND s.next_due < UTC_TIMESTAMP(6) - INTERVAL 3 MINUTE"
        " FROM schedule s LEFT JOIN schedule_run r ON r.id ="
        " (SELECT MAX(id) FROM schedule_run l WHERE l.schedule_id = s.id)"
        " WHERE s.removed_at IS NULL AND s.every_minutes > 0 ORDER BY s.id");
    if (outcome)
        return outcome;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        bool failed = database_i64(row[3]) != 0, overdue = database_i64(row[5]) != 0;
        snprintf(name, sizeof(name), "schedule %.20s, %.64s", row[0], row[1]);
        add(status, failed || overdue ? FINDING_WRONG : FINDING_OK, "server", name,
            local(row[2], moment),
            failed    ? row[4]
            : overdue ? "it is overdue: is event_scheduler ON? vestige schedule run ID runs it now"
                      : NULL);
    }
    return 0;
}

/* Of each way to tell of findings, how the last attempt went. */
static int read_notifications(struct status *status, MYSQL *mysql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char name[100], moment[TIME_TEXT_SIZE];
    int outcome = database_query(
        mysql, &result, status->error, "read the log of notifications",
        "SELECT channel, attempted_at, result = 'failure', message FROM notification WHERE id IN"
        " (SELECT MAX(id) FROM notification GROUP BY channel) ORDER BY channel");
    if (outcome)
        return outcome;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        bool failed = database_i64(row[2]) != 0;
        snprintf(name, sizeof(name), "notification by %.64s", row[0]);
        add(status, failed ? FINDING_WRONG : FINDING_OK, "server", name, local(row[1], moment),
            failed ? row[3] : NULL);
    }
    return 0;
}

static int ask_database(struct status *status)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    struct evidence_window window = evidence_window_of(status->options);
    int outcome = evidence_connect(&mysql, status->options, &reason);
    if (outcome && status->only_hosts)
        return error_set(status->error, outcome, "%s", reason.text);
    if (outcome) {
        add(status, FINDING_WRONG, "database", "not reachable", NULL, reason.text);
        return 0;
    }
    if (status->options->on) {
        outcome = evidence_find_host(mysql, status->options->on, &window.host_id, status->error);
        window.has_host = true;
    }
    if (!outcome)
        outcome = read_hosts(status, mysql, &window);
    if (outcome || status->only_hosts)
        return outcome;
    if (!is_table(status))
        outcome = read_coverage(status, mysql, &window);
    if (!outcome)
        outcome = read_settings(status, mysql);
    if (!outcome)
        outcome = read_partitions(status, mysql);
    if (!outcome)
        outcome = read_maintenance(status, mysql);
    if (!outcome)
        outcome = read_schedules(status, mysql);
    if (!outcome)
        outcome = read_notifications(status, mysql);
    return outcome;
}

static int print(struct status *status)
{
    static const char *const titles[FINDING_TEXTS] = {"part", "name", "value", "advice"};
    int outcome = 0;
    if (is_table(status))
        outcome = status_hosts_print(&status->hosts, status->options->format);
    if (!outcome && !status->only_hosts) {
        size_t n_well = is_table(status) ? findings_drop_well(&status->findings) : 0;
        if (is_table(status))
            putchar('\n');
        if (status->findings.n || !is_table(status))
            outcome = findings_print(&status->findings, status->options->format, titles, 2);
        if (!outcome && n_well)
            printf("%zu more thing%s of the server and the agent are well: see --format json\n",
                   n_well, n_well == 1 ? "" : "s");
    }
    return outcome ? error_set(status->error, outcome, "the rows cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

/* In the table of hosts a host is one thing, however much of it is wrong. */
static size_t count_wrong(const struct status *status)
{
    return status->findings.n_wrong + (is_table(status) ? status_hosts_n_wrong(&status->hosts) : 0);
}

static int run(struct status *status)
{
    int outcome = status->only_hosts ? 0 : ask_agent(status);
    if (!outcome)
        outcome = ask_database(status);
    if (!outcome)
        outcome = print(status);
    if (outcome)
        return outcome;
    size_t n_wrong = count_wrong(status);
    FILE *remarks = output_remarks(status->options->format);
    if (n_wrong)
        fprintf(remarks, "%zu thing%s wrong.\n", n_wrong, n_wrong == 1 ? " is" : "s are");
    else
        fprintf(remarks, "Nothing is wrong.\n");
    return 0;
}

int status_command(int argc, char **argv)
{
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    struct status status = {.options = &options, .error = &error};
    const struct option_own own[] = {
        {"config", OPTION_TEXT, &status.configuration, "FILE",
         "the agent's configuration (default " AGENT_CONFIGURATION_DEFAULT ")",               0, 0},
        {"on",     OPTION_TEXT, &options.on,           "HOST", "only this host, at length",   0, 0},
        {"hosts",  OPTION_FLAG, &status.only_hosts,    NULL,   "only the hosts, a line each", 0, 0},
    };
    const struct command_line line = {
        .words = "status",
        .summary =
            "How the agent of this host, the hosts in the database, the server's settings and its "
            "own jobs\nare doing. Of a fleet a line a host, what is wrong first: when it was heard "
            "last, how far it\nis behind, what waits in its journal, its clock; --on says more of "
            "one.\nExit status: 0 nothing is wrong, 1 something is, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&status);
    size_t n_wrong = count_wrong(&status);
    findings_deinit(&status.findings);
    status_hosts_deinit(&status.hosts);
    return command_end("status", command_status(outcome, n_wrong ? STATUS_WRONG : STATUS_ROWS),
                       &error);
}
