/* `vestige seal`: where the chain of each host's batches ends now, in one snapshot, as a text that
 * is kept where the server's root cannot change it. */
#include "core/cleanup.h"
#include "core/hex.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/database/statement.h"
#include "reports/evidence/evidence.h"
#include "reports/notify/notify_channel.h"
#include "reports/options/time_words.h"
#include "reports/verify/seal_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

struct sealing {
    struct options options;
    const char *on, *mail, *configuration;
    struct notify_config config;
    MYSQL *mysql;
    struct seal seal;
    struct statement_value host; /* of --on */
    struct error_text *error;
};

static const char head_sql[] = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

/* Also hosts whose enrolment somebody took away. Of two batches with the last number the first one
 * that came is the one; `verify` tells of the other. */
static const char hosts_sql[] =
    "SELECT h.host_id, COALESCE(e.name, '-'), COALESCE(n.n, 0), COALESCE(n.last, 0),"
    " TIMESTAMPDIFF(MICROSECOND, '1970-01-01', b.received_at), b.hash"
    " FROM (SELECT host_id FROM enrolment UNION SELECT host_id FROM batch) h"
    " LEFT JOIN enrolment e ON e.host_id = h.host_id"
    " LEFT JOIN (SELECT host_id, COUNT(*) AS n, MAX(batch) AS last FROM batch GROUP BY host_id) n"
    " ON n.host_id = h.host_id"
    " LEFT JOIN batch b ON b.host_id = h.host_id AND b.batch = n.last"
    " WHERE :host_id IS NULL OR h.host_id = :host_id"
    " ORDER BY h.host_id, b.received_at, b.hash";

static const char keys_sql[] =
    "SELECT host_id, number, public_key FROM host_key"
    " WHERE retired_at IS NULL AND revoked_at IS NULL AND (:host_id IS NULL OR host_id = :host_id)"
    " ORDER BY host_id, number";

/* --- reading --- */

static uint64_t number(struct slice text)
{
    char digits[24] = "";
    if (text.length < sizeof(digits) && text.length)
        memcpy(digits, text.data, text.length);
    return strtoull(digits, NULL, 10);
}

static void take_name(struct seal_host *host, struct slice name)
{
    size_t length = name.length < SEAL_NAME_SIZE - 1 ? name.length : SEAL_NAME_SIZE - 1;
    for (size_t i = 0; i < length; i++)
        host->name[i] = seal_name_valid(slice_of(name.data + i, 1)) ? (char)name.data[i] : '_';
    if (length == 0)
        host->name[0] = '-';
}

static int take_host(struct sealing *sealing, const struct slice *values)
{
    size_t n = sealing->seal.n_hosts;
    uint64_t host_id = number(values[0]);
    if (n && seal_host_at(&sealing->seal, n - 1)->host_id == host_id)
        return 0;
    struct seal_host *host = seal_add(&sealing->seal);
    if (!host)
        return error_set(sealing->error, -ENOMEM, "out of memory");
    host->host_id = host_id;
    take_name(host, values[1]);
    host->n_batches = number(values[2]);
    host->last = number(values[3]);
    host->received_us = (int64_t)number(values[4]);
    if (host->last && values[5].length != SEAL_HASH_SIZE)
        return error_set(sealing->error, -EIO, "the server gives a hash of the wrong size");
    if (host->last)
        memcpy(host->hash, values[5].data, SEAL_HASH_SIZE);
    return 0;
}

/* Keys come in the order of the hosts, as these do. */
static struct seal_host *find_host(struct sealing *sealing, size_t *at, uint64_t host_id)
{
    struct seal_host *hosts = (struct seal_host *)(void *)sealing->seal.hosts.data;
    while (*at < sealing->seal.n_hosts && hosts[*at].host_id < host_id)
        ++*at;
    return *at < sealing->seal.n_hosts && hosts[*at].host_id == host_id ? &hosts[*at] : NULL;
}

static int take_key(struct sealing *sealing, size_t *at, const struct slice *values)
{
    struct seal_host *host = find_host(sealing, at, number(values[0]));
    if (!host || host->n_keys == SEAL_KEYS_MOST)
        return 0;
    if (values[2].length != SEAL_KEY_SIZE)
        return error_set(sealing->error, -EIO, "the server gives a key of the wrong size");
    struct seal_key *key = &host->keys[host->n_keys++];
    key->number = number(values[1]);
    memcpy(key->public_key, values[2].data, SEAL_KEY_SIZE);
    return 0;
}

enum part { PART_HEAD, PART_HOSTS, PART_KEYS };

static int read_part(struct sealing *sealing, enum part part)
{
    static const char *const texts[] = {head_sql, hosts_sql, keys_sql};
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    size_t at = 0;
    int outcome = statement_run(&statement, sealing->mysql, texts[part], &sealing->host,
                                part == PART_HEAD ? 0 : 1, "read the seals", sealing->error);
    while (!outcome &&
           (outcome = statement_next(statement, &values, sealing->error)) == STATEMENT_ROW) {
        outcome = 0;
        if (part == PART_HEAD)
            sealing->seal.at_us = (int64_t)number(values[0]);
        else if (part == PART_HOSTS)
            outcome = take_host(sealing, values);
        else
            outcome = take_key(sealing, &at, values);
    }
    return outcome;
}

static int find_on(struct sealing *sealing)
{
    sealing->host = (struct statement_value){.name = "host_id", .kind = STATEMENT_NULL};
    if (!sealing->on)
        return 0;
    sealing->host.kind = STATEMENT_NUMBER;
    return evidence_find_host(sealing->mysql, sealing->on, &sealing->host.number, sealing->error);
}

static int read_seal(struct sealing *sealing)
{
    int outcome = evidence_connect(&sealing->mysql, &sealing->options, sealing->error);
    if (!outcome)
        outcome = find_on(sealing);
    if (!outcome)
        outcome = database_run(sealing->mysql, sealing->error, "begin a snapshot",
                               "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    if (!outcome)
        outcome = database_run(sealing->mysql, sealing->error, "begin a snapshot",
                               "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
    for (enum part part = PART_HEAD; part <= PART_KEYS && !outcome; part++)
        outcome = read_part(sealing, part);
    return outcome;
}

/* --- telling --- */

static const struct output_column columns[] = {
    {"host_id",     OUTPUT_NUMBER, NULL},
    {"name",        OUTPUT_TEXT,   NULL},
    {"last_batch",  OUTPUT_NUMBER, NULL},
    {"hash",        OUTPUT_TEXT,   NULL},
    {"received_at", OUTPUT_TEXT,   NULL},
    {"batches",     OUTPUT_NUMBER, NULL},
    {"public_keys", OUTPUT_TEXT,   NULL},
};

static int write_row(struct output *output, const struct seal_host *host)
{
    char host_id[24], last[24], n_batches[24], received[TIME_TEXT_SIZE];
    struct buffer hash CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer keys CLEANUP(buffer_deinit) = BUFFER_NULL;
    snprintf(host_id, sizeof(host_id), "%" PRIu64, host->host_id);
    snprintf(last, sizeof(last), "%" PRIu64, host->last);
    snprintf(n_batches, sizeof(n_batches), "%" PRIu64, host->n_batches);
    time_words_format(received, host->received_us);
    hex_append(&hash, host->hash, SEAL_HASH_SIZE);
    for (size_t i = 0; i < host->n_keys; i++) {
        buffer_append_text(&keys, i ? " " : "");
        hex_append(&keys, host->keys[i].public_key, SEAL_KEY_SIZE);
    }
    struct slice values[] = {
        slice_text(host_id),  slice_text(host->name), slice_text(last),    buffer_slice(&hash),
        slice_text(received), slice_text(n_batches),  buffer_slice(&keys),
    };
    if (host->last == 0)
        values[2] = values[3] = values[4] = SLICE_NULL;
    if (host->n_keys == 0)
        values[6] = SLICE_NULL;
    return hash.failed || keys.failed ? -ENOMEM : output_row(output, values);
}

static int write_rows(struct sealing *sealing)
{
    struct output *output = NULL;
    char at[TIME_TEXT_SIZE];
    int outcome =
        output_new(&output, sealing->options.format, stdout, columns, N_ELEMENTS(columns));
    for (size_t i = 0; i < sealing->seal.n_hosts && !outcome; i++)
        outcome = write_row(output, seal_host_at(&sealing->seal, i));
    if (!outcome)
        outcome = output_finish(output);
    output_free(output);
    time_words_format(at, sealing->seal.at_us);
    fprintf(output_remarks(sealing->options.format), "As the server had it at %s.\n", at);
    return outcome;
}

static int send_mail(struct sealing *sealing, struct slice text)
{
    char subject[120], at[TIME_TEXT_SIZE];
    time_words_format(at, sealing->seal.at_us);
    snprintf(subject, sizeof(subject), "Vestige: seal of %zu host%s, %s", sealing->seal.n_hosts,
             sealing->seal.n_hosts == 1 ? "" : "s", at);
    const struct notify_mail mail = {.recipients = sealing->config.mail,
                                     .from = sealing->config.mail_from,
                                     .subject = subject,
                                     .body = text,
                                     .is_plain = true};
    int outcome = notify_mail_send(&sealing->config, &mail, sealing->error);
    if (!outcome)
        log_notice("seal", "sent to %s", sealing->config.mail);
    return outcome;
}

static int write_text(struct sealing *sealing)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    seal_print(&text, &sealing->seal);
    if (text.failed)
        return error_set(sealing->error, -ENOMEM, "out of memory");
    if (sealing->mail)
        return send_mail(sealing, buffer_slice(&text));
    fwrite(text.data, 1, text.length, stdout);
    return 0;
}

/* --- the command --- */

/* How mail is sent stands where it stands for findings, if it stands anywhere. */
static int read_config(struct sealing *sealing)
{
    const char *path = sealing->configuration ? sealing->configuration : NOTIFY_CONFIG_DEFAULT;
    notify_config_init(&sealing->config);
    if (!sealing->mail)
        return 0;
    if (sealing->options.format != OUTPUT_TABLE)
        return error_set(sealing->error, -EINVAL, "--mail sends the text: leave --format away");
    int outcome = notify_config_read(&sealing->config, path, sealing->error);
    if (outcome == -ENOENT && !sealing->configuration) {
        notify_config_init(&sealing->config);
        outcome = 0;
    }
    return outcome ? outcome
                   : notify_config_set_mail(&sealing->config, sealing->mail, sealing->error);
}

static int run(struct sealing *sealing)
{
    int outcome = read_config(sealing);
    if (!outcome)
        outcome = read_seal(sealing);
    if (outcome)
        return outcome;
    if (sealing->options.format == OUTPUT_TABLE)
        return write_text(sealing);
    outcome = write_rows(sealing);
    return outcome ? error_set(sealing->error, outcome, "the rows cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

int seal_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct sealing sealing = {.error = &error};
    const struct option_own own[] = {
        {"on",     OPTION_TEXT, &sealing.on,            "HOST",    "of this host only (name or number)",   0, 0},
        {"mail",   OPTION_TEXT, &sealing.mail,          "ADDRESS", "send it there instead of printing it", 0,
         0                                                                                                     },
        {"config", OPTION_TEXT, &sealing.configuration, "FILE",
         "how mail is sent: section [notify] (default " NOTIFY_CONFIG_DEFAULT ", if it is there)",
         0,                                                                                                   0},
    };
    const struct command_line line = {
        .words = "seal",
        .summary =
            "Where the chain of each host's sealed batches ends now, as a text to be kept "
            "elsewhere:\n"
            "printed on paper, or mailed to somebody who is not root of the server. With it\n"
            "`vestige verify --against FILE` proves that what had arrived by then was not "
            "changed,\n"
            "removed or replaced later, not even by root of the server. It does not prove that "
            "what\n"
            "a host sealed was true. A typing error in it is found; whoever can change the text "
            "can\n"
            "make it anew. Exit status: 0 there are hosts, 1 there are none, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = N_ELEMENTS(own),
    };
    int outcome = options_parse(&sealing.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&sealing);
    int status = sealing.seal.n_hosts ? STATUS_ROWS : STATUS_NO_ROWS;
    database_close(sealing.mysql);
    seal_deinit(&sealing.seal);
    return command_end("seal", command_status(outcome, status), &error);
}
