/* The row of `enrolment` gives the number, which gives the account its name. CREATE USER commits by
 * itself, so the row is there first, then the files, then the account, and at last the row gets the
 * digest of the password. A failure takes all back. A row without the digest is what a crash has
 * left: the host is enrolled as if there were none, under that number.
 *
 * The server gets the hash of the password and never the password itself, so that no log of
 * statements can have it.
 *
 * Of an account's limits none is by the hour: an account that reaches such a limit is shut out
 * until the hour is over, and a network that comes and goes makes a connection each second.
 * Connections at once are limited, which a dead one leaves free after the session's wait_timeout.
 */
#include "reports/client/enrolment.h"
#include "reports/database/statement.h"
#include "reports/options/nearest.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <openssl/crypto.h>
#include <string.h>

#define NAME_MOST  253
#define NAMES_MOST 2000 /* names among which a near one is looked for */
#define LIMITS     "WITH MAX_USER_CONNECTIONS 10 MAX_STATEMENT_TIME 60"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const struct enrolment_terms plain_terms = {0};

void enrolment_deinit(struct enrolment *enrolment)
{
    OPENSSL_cleanse(enrolment->password, sizeof(enrolment->password));
    OPENSSL_cleanse(enrolment->key.data, enrolment->key.length);
    buffer_deinit(&enrolment->key);
    certificate_deinit(&enrolment->certificate);
}

/** Names and patterns go into statements as they are, so they may hold only harmless characters. */
static int check_word(const char *what, const char *word, const char *allowed, size_t most,
                      struct error_text *error)
{
    size_t length = strlen(word);
    if (length == 0 || length > most || strspn(word, allowed) != length)
        return error_set(error, -EINVAL, "%.40s is no %s: write 1 to %zu characters of %s", word,
                         what, most, "letters, digits and ._-");
    return 0;
}

/** Names of files are made of it: none is hidden, and none is another directory or an option. */
int enrolment_check_name(const char *name, struct error_text *error)
{
    int r = check_word("name of a host", name, LETTERS "._-", NAME_MOST, error);
    if (r == 0 && (*name == '.' || *name == '-'))
        r = error_set(error, -EINVAL, "%.40s is no name of a host: it begins with %c", name, *name);
    return r;
}

int enrolment_check_from(const char *from, struct error_text *error)
{
    return check_word("host pattern", from, LETTERS "._-%:/",
                      sizeof((struct enrolment){0}.from) - 1, error);
}

int enrolment_note(MYSQL *connection, uint64_t host_id, const char *name, const char *action,
                   const char *detail, struct error_text *error)
{
    const struct statement_value values[] = {
        {.name = "host",   .kind = STATEMENT_NUMBER,       .number = host_id         },
        {.name = "name",   .kind = STATEMENT_TEXT,         .text = slice_text(name)  },
        {.name = "action", .kind = STATEMENT_TEXT,         .text = slice_text(action)},
        {.name = "detail",
         .kind = detail ? STATEMENT_TEXT : STATEMENT_NULL,
         .text = slice_text(detail)                                                  },
    };
    return statement_do(connection,
                        "INSERT INTO enrolment_log (host_id, name, action, done_by, detail)"
                        " VALUES (NULLIF(:host, 0), :name, :action, CURRENT_USER(), :detail)",
                        values, sizeof(values) / sizeof(values[0]), "log the enrolment", error);
}

/* ---- the account ---- */

static int make_secret(struct enrolment *enrolment, struct error_text *error)
{
    const struct enrolment_terms *terms = enrolment->terms;
    if (terms->hash) {
        int n = snprintf(enrolment->hash, sizeof(enrolment->hash), "%s", terms->hash);
        return n == PASSWORD_HASH_SIZE - 1 && terms->hash[0] == '*' &&
                       strspn(terms->hash + 1, "0123456789ABCDEF") == PASSWORD_HASH_SIZE - 2
                   ? 0
                   : error_set(error, -EINVAL, "that is no hash of a password");
    }
    int r = credential_make_password(enrolment->password, error);
    return r == 0 ? credential_hash_password(enrolment->password, enrolment->hash, error) : r;
}

static int make_certificate(struct enrolment *enrolment, struct error_text *error)
{
    const struct enrolment_terms *terms = enrolment->terms;
    struct buffer made CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct slice request = terms->request;
    enrolment->demand = terms->demand;
    if (terms->demand != DEMAND_CERTIFICATE)
        return 0;
    if (slice_is_null(request)) {
        int r = credential_make_key(&enrolment->key, &made, enrolment->user, error);
        if (r < 0)
            return r;
        request = buffer_slice(&made);
    }
    return authority_sign(terms->authority, request, enrolment->user, terms->days,
                          &enrolment->certificate, error);
}

/** The clause behind REQUIRE. The caller frees. */
static char *demand_text(MYSQL *connection, const struct enrolment *enrolment)
{
    char *text = NULL;
    if (enrolment->demand != DEMAND_CERTIFICATE)
        return strdup(enrolment->demand == DEMAND_TLS ? "SSL" : "NONE");
    char *subject AUTO_FREE = database_quote(connection, enrolment->certificate.subject);
    char *issuer AUTO_FREE = database_quote(connection, enrolment->certificate.issuer);
    if (!subject || !issuer || asprintf(&text, "SUBJECT %s AND ISSUER %s", subject, issuer) < 0)
        return NULL;
    return text;
}

enum account_state { ACCOUNT_NEW, ACCOUNT_MAY_EXIST, ACCOUNT_UNLOCK };

/** Make the account, or give the one that is there our password, and its only role. */
static int set_account(MYSQL *connection, struct enrolment *enrolment, const char *role,
                       enum account_state state, struct error_text *error)
{
    char account[200], doing[300];
    char *demand AUTO_FREE = demand_text(connection, enrolment);
    if (!demand)
        return error_set(error, -ENOMEM, "out of memory");
    snprintf(account, sizeof(account), "`%s`@`%s`", enrolment->user, enrolment->from);
    snprintf(doing, sizeof(doing), "make the account %s@%s", enrolment->user, enrolment->from);
    const char *limits = enrolment->host_id ? LIMITS : "";
    int r = database_run(connection, error, doing,
                         "CREATE USER %s %s IDENTIFIED VIA mysql_native_password USING '%s'"
                         " REQUIRE %s %s",
                         state == ACCOUNT_NEW ? "" : "IF NOT EXISTS", account, enrolment->hash,
                         demand, limits);
    enrolment->has_account = r == 0;
    if (r == 0 && state != ACCOUNT_NEW)
        r = database_run(connection, error, doing,
                         "ALTER USER %s IDENTIFIED VIA mysql_native_password USING '%s'"
                         " REQUIRE %s %s %s",
                         account, enrolment->hash, demand, limits,
                         state == ACCOUNT_UNLOCK ? "ACCOUNT UNLOCK" : "");
    snprintf(doing, sizeof(doing),
             "give the role %s to %s@%s (who gives it must have it with ADMIN"
             " OPTION)",
             role, enrolment->user, enrolment->from);
    if (r == 0)
        r = database_run(connection, error, doing, "GRANT `%s` TO %s", role, account);
    if (r == 0)
        r = database_run(connection, error, doing, "SET DEFAULT ROLE `%s` FOR %s", role, account);
    return r;
}

/** What was given out, for comparison with what is there later. */
static int record(MYSQL *connection, const struct enrolment *enrolment, struct error_text *error)
{
    bool has_certificate = enrolment->demand == DEMAND_CERTIFICATE;
    const struct certificate *certificate = &enrolment->certificate;
    const struct enrolment_terms *terms = enrolment->terms;
    enum statement_kind kind = has_certificate ? STATEMENT_TEXT : STATEMENT_NULL;
    const struct statement_value values[] = {
        {.name = "host",    .kind = STATEMENT_NUMBER,                 .number = enrolment->host_id            },
        {.name = "hash",    .kind = STATEMENT_TEXT,                   .text = slice_text(enrolment->hash)     },
        {.name = "subject", .kind = kind,                             .text = slice_text(certificate->subject)},
        {.name = "serial",  .kind = kind,                             .text = slice_text(certificate->serial) },
        {.name = "issuer",  .kind = kind,                             .text = slice_text(certificate->issuer) },
        {.name = "until",
         .kind = has_certificate ? STATEMENT_MOMENT : STATEMENT_NULL,
         .us = certificate->until * 1000000                                                                   },
        {.name = "address",
         .kind = terms->address ? STATEMENT_TEXT : STATEMENT_NULL,
         .text = slice_text(terms->address)                                                                   },
        {.name = "port",    .kind = STATEMENT_NUMBER,                 .number = terms->port                   },
    };
    return statement_do(connection,
                        "UPDATE enrolment SET credential_sha256 = UNHEX(SHA2(:hash, 256)),"
                        " renewed_at = IF(credential_sha256 IS NULL, renewed_at, UTC_TIMESTAMP(6)),"
                        " certificate_subject = :subject, certificate_issuer = :issuer,"
                        " certificate_serial = :serial,"
                        " certificate_until = :until, server_address = :address,"
                        " server_port = NULLIF(:port, 0), bundle_used_at = NULL,"
                        " bundle_used_from = NULL, bundle_use = NULL WHERE host_id = :host",
                        values, sizeof(values) / sizeof(values[0]), "record the credential", error);
}

/** Credential, account and record of a host whose number is known. */
static int give(MYSQL *connection, struct enrolment *enrolment, enum account_state state,
                struct error_text *error)
{
    const struct enrolment_terms *terms = enrolment->terms;
    int r = make_certificate(enrolment, error);
    if (r == 0 && terms->prepare)
        r = terms->prepare(terms->who, enrolment, error);
    if (r == 0)
        r = set_account(connection, enrolment, "vestige_agent", state, error);
    if (r == 0 && terms->deliver)
        r = terms->deliver(terms->who, enrolment, error);
    return r == 0 ? record(connection, enrolment, error) : r;
}

/* ---- the row ---- */

static void take_name(struct enrolled *enrolled, const char *at)
{
    snprintf(enrolled->user, sizeof(enrolled->user), "agent_%" PRIu64, enrolled->host_id);
    snprintf(enrolled->from, sizeof(enrolled->from), "%s", at ? at + 1 : "");
}

static int refuse_unknown(MYSQL *connection, const char *name, struct error_text *error)
{
    const char *names[NAMES_MOST];
    size_t n = 0;
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct buffer hint CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = database_query(connection, &result, error, "look for hosts of a like name",
                           "SELECT name FROM enrolment ORDER BY host_id LIMIT %d", NAMES_MOST);
    if (r < 0)
        return r;
    for (MYSQL_ROW row; n < NAMES_MOST && (row = mysql_fetch_row(result));)
        names[n++] = row[0];
    nearest_append(&hint, name, names, n);
    return error_set(error, -ENOENT, "host %s is not enrolled%.*s; see `vestige client list`", name,
                     (int)hint.length, hint.data ? (const char *)hint.data : "");
}

int enrolment_find(MYSQL *connection, const char *name, struct enrolled *enrolled,
                   struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = enrolment_check_name(name, error);
    if (r == 0)
        r = database_query(connection, &result, error, "look the host up",
                           "SELECT host_id, account, revoked_at IS NOT NULL,"
                           " retired_at IS NOT NULL, certificate_serial, server_address,"
                           " COALESCE(server_port, 0), credential_sha256 IS NULL"
                           " FROM enrolment WHERE name = '%s'",
                           name);
    if (r < 0)
        return r;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row)
        return refuse_unknown(connection, name, error);
    *enrolled = (struct enrolled){.host_id = strtoull(row[0], NULL, 10),
                                  .is_revoked = row[2][0] == '1',
                                  .is_retired = row[3][0] == '1'};
    take_name(enrolled, strchr(row[1], '@'));
    snprintf(enrolled->serial, sizeof(enrolled->serial), "%s", row[4] ? row[4] : "");
    snprintf(enrolled->address, sizeof(enrolled->address), "%s", row[5] ? row[5] : "");
    enrolled->port = (unsigned)strtoul(row[6], NULL, 10);
    enrolled->is_half_made = row[7][0] == '1';
    return enrolment_check_from(enrolled->from, error);
}

static int refuse_existing(MYSQL *connection, const char *name, struct error_text *error)
{
    struct enrolled there;
    if (enrolment_find(connection, name, &there, NULL) == 0 &&
        (there.is_revoked || there.is_retired))
        return error_set(error, -EEXIST,
                         "host %s was %s; its evidence stays under host_id %" PRIu64
                         ": `vestige client reinstate %s` lets it in again with a new credential",
                         name, there.is_revoked ? "revoked" : "retired", there.host_id, name);
    return error_set(error, -EEXIST,
                     "host %s is enrolled already; `vestige client rotate %s` gives it a new"
                     " password",
                     name, name);
}

int enrolment_check_new(MYSQL *connection, const char *name, struct error_text *error)
{
    struct enrolled there;
    struct error_text reason = ERROR_TEXT_NULL;
    int r = enrolment_check_name(name, error);
    if (r < 0)
        return r;
    r = enrolment_find(connection, name, &there, &reason);
    if (r == -ENOENT || (r == 0 && there.is_half_made && !there.is_revoked && !there.is_retired))
        return 0;
    return r < 0 ? error_set(error, r, "%s", reason.text)
                 : refuse_existing(connection, name, error);
}

static int insert(MYSQL *connection, const char *name, struct enrolment *enrolment,
                  struct error_text *error)
{
    int r = database_run(connection, error, "enrol the host",
                         "INSERT INTO enrolment (name, account) VALUES ('%s', '')", name);
    if (r < 0)
        return r;
    enrolment->host_id = mysql_insert_id(connection);
    snprintf(enrolment->user, sizeof(enrolment->user), "agent_%" PRIu64, enrolment->host_id);
    return 0;
}

/** The row of one that was begun and never got its account, or a new one. */
static int make_row(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    enum account_state *state, struct error_text *error)
{
    struct enrolled there;
    *state = ACCOUNT_NEW;
    int r = database_run(connection, error, "enrol the host", "START TRANSACTION");
    if (r == 0)
        r = insert(connection, name, enrolment, error);
    if (r == -EEXIST) {
        if (enrolment_find(connection, name, &there, NULL) < 0 || !there.is_half_made ||
            there.is_revoked || there.is_retired)
            return refuse_existing(connection, name, error);
        *state = ACCOUNT_MAY_EXIST;
        enrolment->host_id = there.host_id;
        snprintf(enrolment->user, sizeof(enrolment->user), "%s", there.user);
        r = 0;
    }
    if (r == 0)
        r = database_run(connection, error, "enrol the host",
                         "UPDATE enrolment SET account = '%s@%s' WHERE host_id = %" PRIu64,
                         enrolment->user, enrolment->from, enrolment->host_id);
    return r == 0 ? database_run(connection, error, "enrol the host", "COMMIT") : r;
}

/** What was made of a host that could not be enrolled. */
static void undo(MYSQL *connection, const struct enrolment *enrolment)
{
    /* The error that brought us here is the one to tell. */
    int r = database_run(connection, NULL, "", "ROLLBACK");
    if (!enrolment->host_id)
        return;
    if (r == 0 && enrolment->has_account)
        r = database_run(connection, NULL, "", "DROP USER IF EXISTS `%s`@`%s`", enrolment->user,
                         enrolment->from);
    if (r == 0)
        r = database_run(connection, NULL, "", "DELETE FROM host_key WHERE host_id = %" PRIu64,
                         enrolment->host_id);
    if (r == 0)
        r = database_run(connection, NULL, "", "DELETE FROM enrolment WHERE host_id = %" PRIu64,
                         enrolment->host_id);
    (void)r;
}

static void take_terms(struct enrolment *enrolment)
{
    if (!enrolment->terms)
        enrolment->terms = &plain_terms;
}

int enrolment_create(MYSQL *connection, const char *name, const char *from,
                     struct enrolment *enrolment, struct error_text *error)
{
    take_terms(enrolment);
    int r = enrolment_check_name(name, error);
    if (r == 0)
        r = enrolment_check_from(from, error);
    if (r == 0)
        r = make_secret(enrolment, error);
    if (r < 0)
        return r;
    enum account_state state;
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", from);
    enrolment->host_id = 0;
    r = make_row(connection, name, enrolment, &state, error);
    if (r == 0)
        r = give(connection, enrolment, state, error);
    if (r < 0)
        undo(connection, enrolment);
    return r == 0 ? enrolment_note(connection, enrolment->host_id, name, "enroll", NULL, error) : r;
}

static int give_again(MYSQL *connection, const struct enrolled *there, struct enrolment *enrolment,
                      enum account_state state, struct error_text *error)
{
    take_terms(enrolment);
    enrolment->host_id = there->host_id;
    snprintf(enrolment->user, sizeof(enrolment->user), "%s", there->user);
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", there->from);
    int r = make_secret(enrolment, error);
    return r == 0 ? give(connection, enrolment, state, error) : r;
}

int enrolment_renew(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    struct error_text *error)
{
    struct enrolled there;
    int r = enrolment_find(connection, name, &there, error);
    if (r == 0 && (there.is_revoked || there.is_retired)) {
        (void)refuse_existing(connection, name, error);
        return -ENOENT;
    }
    if (r == 0)
        r = give_again(connection, &there, enrolment, ACCOUNT_MAY_EXIST, error);
    return r == 0 ? enrolment_note(connection, enrolment->host_id, name, "rotate", NULL, error) : r;
}

int enrolment_reinstate(MYSQL *connection, const char *name, struct enrolment *enrolment,
                        struct error_text *error)
{
    struct enrolled there;
    int r = enrolment_find(connection, name, &there, error);
    if (r == 0 && !there.is_revoked && !there.is_retired)
        r = error_set(error, -EEXIST, "host %s may connect: there is nothing to reinstate", name);
    if (r == 0)
        r = give_again(connection, &there, enrolment, ACCOUNT_UNLOCK, error);
    if (r == 0)
        r = database_run(connection, error, "let the host in again",
                         "UPDATE enrolment SET revoked_at = NULL, retired_at = NULL"
                         " WHERE host_id = %" PRIu64,
                         there.host_id);
    return r == 0 ? enrolment_note(connection, there.host_id, name, "reinstate", NULL, error) : r;
}

int enrolment_reader_create(MYSQL *connection, const char *user, const char *from,
                            struct enrolment *enrolment, struct error_text *error)
{
    take_terms(enrolment);
    int r = check_word("name of an account", user, LETTERS "_", 79, error);
    if (r == 0 && (!strncmp(user, "agent_", 6) || !strncmp(user, "enrolling_", 10)))
        r = error_set(error, -EINVAL, "%s would be taken for an agent; choose another name", user);
    if (r == 0)
        r = enrolment_check_from(from, error);
    if (r == 0)
        r = make_secret(enrolment, error);
    if (r < 0)
        return r;
    enrolment->host_id = 0;
    snprintf(enrolment->user, sizeof(enrolment->user), "%s", user);
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", from);
    return set_account(connection, enrolment, "vestige_reader", ACCOUNT_MAY_EXIST, error);
}
