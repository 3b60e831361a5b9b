/*
 * `vestige notify`: what is new in `finding` is told through each channel of its own position.
 *
 * New findings come in units: those of one schedule, in the order of their numbers, and those of
 * the agent of one host, in the order of its batches. A round gathers units, tells them in
 * messages, and then moves all their positions in one transaction. Whatever fails before that is
 * told again: at least once, never less.
 */
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/database/statement.h"
#include "reports/notify/notify_channel.h"
#include "reports/server/administrator.h"

#include <inttypes.h>
#include <time.h>

#define ROUND_MOST    1000 /* findings; the last unit may bring more */
#define SCHEDULE_MOST "1000"
#define AGENT_MOST    10001 /* one more than a batch has lines */

struct unit {
    uint64_t schedule_id, host_id, last; /* last: the position that it is moved to */
    MYSQL_RES *rows;
};

struct round {
    struct unit *units;
    size_t n_units;
    struct notify_finding *findings;
    size_t n_findings, findings_size;
};

struct notify {
    struct options options;
    const char *configuration;
    struct notify_config config;
    const struct notify_channel *channel;
    MYSQL *mysql;
    uint64_t n_told;
    struct error_text *error;
};

/* --- positions --- */

/* Before the first time there is no position: what is there already is not news. */
static int begin_channel(struct notify *notify, bool *is_new)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    const char *name = notify->channel->name;
    int outcome = database_query(notify->mysql, &result, notify->error, "read the positions",
                                 "SELECT 1 FROM notification_position WHERE channel = '%s'"
                                 " AND schedule_id = 0 AND host_id = 0",
                                 name);
    *is_new = !outcome && mysql_num_rows(result) == 0;
    if (outcome || !*is_new)
        return outcome;
    outcome = database_run(
        notify->mysql, notify->error, "begin a channel",
        "INSERT INTO notification_position (channel, schedule_id, host_id, last)"
        " SELECT '%s', 0, 0, 1"
        " UNION ALL SELECT '%s', schedule_id, 0, MAX(id) FROM schedule_finding GROUP BY schedule_id"
        " UNION ALL SELECT '%s', 0, host_id, MAX(batch) FROM batch GROUP BY host_id",
        name, name, name);
    if (!outcome)
        log_notice("notify", "%s: findings from now on are told", name);
    return outcome;
}

static int move_positions(struct notify *notify, const struct round *round)
{
    struct buffer sql = BUFFER_NULL;
    buffer_append_text(&sql,
                       "INSERT INTO notification_position (channel, schedule_id, host_id, last)"
                       " VALUES ");
    for (size_t i = 0; i < round->n_units; i++)
        buffer_printf(&sql, "%s('%s', %" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", i ? ", " : "",
                      notify->channel->name, round->units[i].schedule_id, round->units[i].host_id,
                      round->units[i].last);
    buffer_append_text(&sql, " ON DUPLICATE KEY UPDATE last = GREATEST(last, VALUES(last))");
    buffer_append_byte(&sql, '\0');
    int outcome = sql.failed ? error_set(notify->error, -ENOMEM, "out of memory")
                             : database_run(notify->mysql, notify->error, "move the positions",
                                            "%s", (const char *)sql.data);
    buffer_deinit(&sql);
    return outcome;
}

/* --- what is new --- */

/* Long texts are in the table; messages have their beginning. */
static const char finding_columns[] =
    "SELECT COALESCE(h.name, IF(f.host_id = 0, '(server)', f.host_id)), f.class, LEFT(f.subject, "
    "1000), LEFT(f.detail, 2000),"
    " CAST(f.first_seen AS CHAR), f.id, f.host_id, f.complete, JSON_OBJECT('host', COALESCE(h.name,"
    " IF(f.host_id = 0, '(server)', NULL)), 'host_id', f.host_id, 'id', f.id, 'day', CAST(f.day AS "
    "CHAR), 'class', f.class,"
    " 'schedule_id', f.schedule_id, 'subject', LEFT(f.subject, 1000), 'detail', LEFT(f.detail, "
    "2000),"
    " 'first_seen', CAST(f.first_seen AS CHAR), 'last_seen', CAST(f.last_seen AS CHAR),"
    " 'complete', f.complete, 'row_keys', JSON_COMPACT(f.row_keys COLLATE utf8mb4_nopad_bin)), "
    "f.batch";

enum { COLUMN_ID = 5, COLUMN_BATCH = 9 };

static int ask_schedule(struct notify *notify, struct unit *unit)
{
    int outcome = database_query(
        notify->mysql, &unit->rows, notify->error, "read the findings",
        "%s FROM schedule_finding s JOIN finding f ON f.host_id = s.host_id AND f.id = s.id"
        " AND f.day = s.day LEFT JOIN enrolment h ON h.host_id = f.host_id"
        " WHERE s.schedule_id = %" PRIu64 " AND s.id > %" PRIu64
        " ORDER BY s.id LIMIT " SCHEDULE_MOST,
        finding_columns, unit->schedule_id, unit->last);
    uint64_t n = outcome ? 0 : mysql_num_rows(unit->rows);
    if (n) {
        mysql_data_seek(unit->rows, n - 1);
        unit->last = database_u64(mysql_fetch_row(unit->rows)[COLUMN_ID]);
    }
    return outcome;
}

/* Rows of a batch that may not be whole are left for the next round; of one batch there are never
 * as many as that. */
static void keep_whole_batches(struct unit *unit, uint64_t newest)
{
    unit->last = newest;
    if (mysql_num_rows(unit->rows) < AGENT_MOST)
        return;
    mysql_data_seek(unit->rows, AGENT_MOST - 1);
    uint64_t cut = database_u64(mysql_fetch_row(unit->rows)[COLUMN_BATCH]);
    unit->last = cut - 1;
}

static int ask_agent(struct notify *notify, struct unit *unit, uint64_t newest,
                     const char *first_time)
{
    int outcome = database_query(
        notify->mysql, &unit->rows, notify->error, "read the findings",
        "%s FROM finding f LEFT JOIN enrolment h ON h.host_id = f.host_id"
        " WHERE f.schedule_id IS NULL AND f.host_id = %" PRIu64 " AND f.batch > %" PRIu64
        " AND f.batch <= %" PRIu64 " AND f.day >= DATE('%s') - INTERVAL 1 DAY"
        " ORDER BY f.batch, f.id LIMIT %d",
        finding_columns, unit->host_id, unit->last, newest, first_time, AGENT_MOST);
    if (!outcome)
        keep_whole_batches(unit, newest);
    return outcome;
}

static struct slice cell(MYSQL_ROW row, const unsigned long *lengths, unsigned i)
{
    return row[i] ? slice_of(row[i], lengths[i]) : SLICE_NULL;
}

static int take_findings(struct round *round, const struct unit *unit)
{
    mysql_data_seek(unit->rows, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(unit->rows));) {
        const unsigned long *l = mysql_fetch_lengths(unit->rows);
        if (!unit->schedule_id && database_u64(row[COLUMN_BATCH]) > unit->last)
            return 0;
        if (round->n_findings == round->findings_size) {
            size_t size = round->findings_size ? 2 * round->findings_size : 64;
            void *more = realloc(round->findings, size * sizeof(*round->findings));
            if (!more)
                return -ENOMEM;
            round->findings = more;
            round->findings_size = size;
        }
        round->findings[round->n_findings++] = (struct notify_finding){
            cell(row, l, 0), cell(row, l, 1), cell(row, l, 2), cell(row, l, 3), cell(row, l, 4),
            cell(row, l, 5), cell(row, l, 6), cell(row, l, 7), cell(row, l, 8)};
    }
    return 0;
}

/* Units that may have something new; of agents, those of which a batch came. */
static int list_units(struct notify *notify, MYSQL_RES **resultp)
{
    const char *name = notify->channel->name;
    return database_query(
        notify->mysql, resultp, notify->error, "read the positions",
        "SELECT s.id, 0, COALESCE(p.last, 0), NULL, NULL FROM schedule s"
        " LEFT JOIN notification_position p ON p.channel = '%s' AND p.schedule_id = s.id"
        " AND p.host_id = 0"
        " UNION ALL SELECT 0, e.host_id, e.last, e.newest, (SELECT MIN(first_time) FROM batch b"
        " WHERE b.host_id = e.host_id AND b.batch > e.last) FROM (SELECT h.host_id,"
        " COALESCE(p.last, 0) AS last, (SELECT MAX(batch) FROM batch b WHERE b.host_id = h.host_id)"
        " AS newest FROM enrolment h LEFT JOIN notification_position p ON p.channel = '%s'"
        " AND p.schedule_id = 0 AND p.host_id = h.host_id) e WHERE e.newest > e.last",
        name, name);
}

static int gather(struct notify *notify, struct round *round)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = list_units(notify, &result);
    if (outcome)
        return outcome;
    round->units = calloc((size_t)mysql_num_rows(result) + 1, sizeof(*round->units));
    if (!round->units)
        return error_set(notify->error, -ENOMEM, "out of memory");
    MYSQL_ROW row;
    while (round->n_findings < ROUND_MOST && (row = mysql_fetch_row(result))) {
        struct unit *unit = &round->units[round->n_units];
        *unit =
            (struct unit){database_u64(row[0]), database_u64(row[1]), database_u64(row[2]), NULL};
        outcome = row[4] ? ask_agent(notify, unit, database_u64(row[3]), row[4])
                         : ask_schedule(notify, unit);
        if (outcome)
            return outcome;
        round->n_units++;
        if (take_findings(round, unit))
            return error_set(notify->error, -ENOMEM, "out of memory");
    }
    return 0;
}

static void round_deinit(struct round *round)
{
    for (size_t i = 0; i < round->n_units; i++)
        mysql_free_result(round->units[i].rows);
    free(round->units);
    free(round->findings);
}

/* --- telling --- */

struct delivery {
    const struct notify_message *message;
    int64_t attempted_at;
    unsigned attempts;
    int outcome;
    struct error_text reason;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void append_keys(struct buffer *to, const struct notify_message *message)
{
    buffer_append_byte(to, '[');
    for (size_t i = 0; i < message->n; i++)
        buffer_printf(to, "%s[%.*s, %.*s]", i ? ", " : "", (int)message->findings[i].host_id.length,
                      (const char *)message->findings[i].host_id.data,
                      (int)message->findings[i].id.length,
                      (const char *)message->findings[i].id.data);
    buffer_append_byte(to, ']');
}

/* A channel that stays broken is noted once an hour. */
static int write_log(struct notify *notify, const struct delivery *delivery)
{
    static const char sql[] =
        "INSERT INTO notification (channel, recipient, attempted_at, attempts, result, n_findings,"
        " findings, message) SELECT :channel, :recipient, :at, :attempts, :result, :n, :findings,"
        " :message FROM (SELECT 1) one WHERE :result = 'success' OR NOT EXISTS (SELECT 1 FROM"
        " notification WHERE channel = :channel AND result = 'failure' AND message = :message"
        " AND attempted_at > :at - INTERVAL 1 HOUR)";
    char recipient[NOTIFY_TEXT_SIZE];
    struct buffer keys = BUFFER_NULL;
    notify->channel->recipient(&notify->config, recipient);
    append_keys(&keys, delivery->message);
    const struct statement_value values[] = {
        {.name = "channel",   .kind = STATEMENT_TEXT,   .text = slice_text(notify->channel->name)},
        {.name = "recipient", .kind = STATEMENT_TEXT,   .text = slice_text(recipient)            },
        {.name = "at",        .kind = STATEMENT_MOMENT, .us = delivery->attempted_at             },
        {.name = "attempts",  .kind = STATEMENT_NUMBER, .number = delivery->attempts             },
        {.name = "result",
         .kind = STATEMENT_TEXT,
         .text = slice_text(delivery->outcome ? "failure" : "success")                           },
        {.name = "n",         .kind = STATEMENT_NUMBER, .number = delivery->message->n           },
        {.name = "findings",  .kind = STATEMENT_TEXT,   .text = buffer_slice(&keys)              },
        {.name = "message",   .kind = STATEMENT_TEXT,   .text = slice_text(delivery->reason.text)},
    };
    int outcome = keys.failed
                      ? error_set(notify->error, -ENOMEM, "out of memory")
                      : statement_do(notify->mysql, sql, values, sizeof(values) / sizeof(values[0]),
                                     "write the log of notifications", notify->error);
    buffer_deinit(&keys);
    return outcome;
}

/* Each pause is twice the one before. */
static int tell(struct notify *notify, const struct notify_message *message)
{
    struct delivery delivery = {.message = message, .attempted_at = now_us()};
    unsigned pause = notify->config.retry_seconds;
    do {
        if (delivery.attempts++) {
            sleep(pause);
            pause *= 2;
        }
        delivery.reason = (struct error_text)ERROR_TEXT_NULL;
        delivery.outcome = notify->channel->deliver(&notify->config, message, &delivery.reason);
    } while (delivery.outcome && delivery.attempts < notify->config.attempts);
    int outcome = write_log(notify, &delivery);
    if (!outcome && delivery.outcome)
        outcome =
            error_set(notify->error, delivery.outcome,
                      "%s: %zu findings were not told after %u attempts: %.380s",
                      notify->channel->name, message->n, delivery.attempts, delivery.reason.text);
    return outcome;
}

static int tell_round(struct notify *notify, const struct round *round)
{
    for (size_t at = 0; at < round->n_findings;) {
        size_t rest = round->n_findings - at, most = notify->config.most;
        struct notify_message message = {.findings = round->findings + at,
                                         .n = rest < most ? rest : most,
                                         .recipients = "",
                                         .from = ""};
        int outcome = tell(notify, &message);
        if (outcome)
            return outcome;
        at += message.n;
        notify->n_told += message.n;
    }
    return round->n_units ? move_positions(notify, round) : 0;
}

static int tell_channel(struct notify *notify)
{
    bool is_new;
    size_t n;
    int outcome = begin_channel(notify, &is_new);
    if (outcome || is_new)
        return outcome;
    do {
        struct round round = {0};
        outcome = gather(notify, &round);
        if (!outcome)
            outcome = tell_round(notify, &round);
        n = round.n_findings;
        round_deinit(&round);
    } while (!outcome && n);
    return outcome;
}

/* One that fails does not keep the others from telling. */
static int tell_all(struct notify *notify)
{
    int worst = 0;
    for (size_t i = 0; i < notify_channels_n; i++) {
        notify->channel = &notify_channels[i];
        if (!notify->channel->is_wanted(&notify->config))
            continue;
        int outcome = tell_channel(notify);
        if (outcome) {
            log_error("notify", "%s", notify->error->text);
            worst = outcome;
        }
    }
    return worst;
}

/* Two at once would tell everything twice. The lock is only a courtesy: on another node of a
 * cluster it does not hold. */
static int lock(struct notify *notify)
{
    return database_lock_job(notify->mysql, "notify", notify->error);
}

static int run(struct notify *notify)
{
    int outcome = notify_config_read(&notify->config, notify->configuration, notify->error);
    if (!outcome)
        outcome = administrator_connect(&notify->mysql, &notify->options, notify->error);
    if (!outcome)
        outcome = lock(notify);
    if (outcome) {
        log_error("notify", "%s", notify->error->text);
        return outcome;
    }
    outcome = tell_all(notify);
    if (notify->n_told)
        printf("%" PRIu64 " notifications of findings\n", notify->n_told);
    return outcome;
}

int notify_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct notify notify = {.configuration = NOTIFY_CONFIG_DEFAULT, .error = &error};
    const struct option_own own[] = {
        {"config", OPTION_TEXT, &notify.configuration, "FILE",
         "whom to tell (default " NOTIFY_CONFIG_DEFAULT ", section [notify])", 0, 0},
    };
    const struct command_line line = {
        .words = "notify",
        .summary =
            "Tell of findings that are new since the last time: by mail, by a command or by a\n"
            "webhook, each at least once. A timer runs it (vestige-notify.timer). Needs the role\n"
            "vestige_notifier. Says nothing when there is nothing. Exit status: 0 done, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    int outcome = options_parse(&notify.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (outcome)
        log_error("notify", "%s", error.text);
    else
        outcome = run(&notify);
    database_close(notify.mysql);
    return outcome ? STATUS_ERROR : STATUS_ROWS;
}
