/* The one-time account is named enrolling_<id>, so that no view of agents takes its number for a
 * host. It has EXECUTE on two procedures, which look at its name. */
#include "reports/client/enrolment_token.h"
#include "reports/database/statement.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMITS "WITH MAX_USER_CONNECTIONS 3 MAX_STATEMENT_TIME 10"

static int drop_account(MYSQL *connection, const char *account, struct error_text *error)
{
    const char *at = strchr(account, '@');
    if (!at || strncmp(account, "enrolling_", 10) != 0)
        return 0;
    int r = enrolment_check_from(at + 1, error);
    return r == 0 ? database_run(connection, error, "drop the account of a token",
                                 "DROP USER IF EXISTS `%.*s`@`%s`", (int)(at - account), account,
                                 at + 1)
                  : r;
}

static int drop_all(MYSQL *connection, MYSQL_RES *tokens, struct error_text *error)
{
    int r = 0;
    for (MYSQL_ROW row; r == 0 && (row = mysql_fetch_row(tokens));) {
        r = drop_account(connection, row[1], error);
        if (r == 0)
            r = database_run(connection, error, "withdraw a token",
                             "UPDATE enrolment_token SET finished_at = UTC_TIMESTAMP(6),"
                             " password_hash = NULL WHERE id = %s",
                             row[0]);
    }
    return r;
}

int token_sweep(MYSQL *connection, struct error_text *error)
{
    MYSQL_RES *expired AUTO_RESULT = NULL;
    int r = database_query(connection, &expired, error, "look for tokens that expired",
                           "SELECT id, account FROM enrolment_token"
                           " WHERE finished_at IS NULL AND expires_at < UTC_TIMESTAMP(6)"
                           " - INTERVAL 1 DAY");
    return r == 0 ? drop_all(connection, expired, error) : r;
}

int token_withdraw(MYSQL *connection, const char *name, struct error_text *error)
{
    MYSQL_RES *older AUTO_RESULT = NULL;
    int r = database_query(connection, &older, error, "look for older tokens",
                           "SELECT id, account FROM enrolment_token"
                           " WHERE name = '%s' AND finished_at IS NULL",
                           name);
    return r == 0 ? drop_all(connection, older, error) : r;
}

static int insert(MYSQL *connection, const char *name, const struct token_terms *terms,
                  struct token *token, struct error_text *error)
{
    const struct statement_value values[] = {
        {.name = "name",    .kind = STATEMENT_TEXT,                .text = slice_text(name)},
        {.name = "minutes", .kind = STATEMENT_NUMBER,              .number = terms->minutes},
        {.name = "demand",  .kind = STATEMENT_NUMBER,              .number = terms->demand },
        {.name = "host",    .kind = STATEMENT_NUMBER,              .number = terms->host_id},
        {.name = "address",
         .kind = terms->address ? STATEMENT_TEXT : STATEMENT_NULL,
         .text = slice_text(terms->address)                                                },
        {.name = "port",    .kind = STATEMENT_NUMBER,              .number = terms->port   },
    };
    int r = statement_do(
        connection,
        "INSERT INTO enrolment_token (name, account, demand, created_by, expires_at, host_id,"
        " server_address, server_port) VALUES (:name, '', :demand, CURRENT_USER(),"
        " UTC_TIMESTAMP(6) + INTERVAL :minutes MINUTE, NULLIF(:host, 0), :address,"
        " NULLIF(:port, 0))",
        values, sizeof(values) / sizeof(values[0]), "make a token", error);
    MYSQL_RES *result AUTO_RESULT = NULL;
    if (r == 0)
        r = database_query(connection, &result, error, "make a token", "SELECT LAST_INSERT_ID()");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return r < 0 ? r : -EIO;
    token->id = strtoull(row[0], NULL, 10);
    snprintf(token->user, sizeof(token->user), "enrolling_%" PRIu64, token->id);
    return database_run(connection, error, "make a token",
                        "UPDATE enrolment_token SET account = '%s@%s' WHERE id = %" PRIu64,
                        token->user, token->from, token->id);
}

static int make_account(MYSQL *connection, const struct token *token, enum enrolment_demand demand,
                        struct error_text *error)
{
    char hash[PASSWORD_HASH_SIZE], account[200];
    int r = credential_hash_password(token->password, hash, error);
    snprintf(account, sizeof(account), "`%s`@`%s`", token->user, token->from);
    if (r == 0)
        r = database_run(connection, error, "make the account of the token",
                         "CREATE USER %s IDENTIFIED VIA mysql_native_password USING '%s' REQUIRE %s"
                         " " LIMITS,
                         account, hash, demand == DEMAND_NOTHING ? "NONE" : "SSL");
    if (r == 0)
        r = database_run(connection, error, "give the token its right",
                         "GRANT vestige_newcomer TO %s", account);
    if (r == 0)
        r = database_run(connection, error, "give the token its right",
                         "SET DEFAULT ROLE vestige_newcomer FOR %s", account);
    return r;
}

int token_create(MYSQL *connection, const char *name, const char *from,
                 const struct token_terms *terms, struct token *token, struct error_text *error)
{
    int r = enrolment_check_name(name, error);
    if (r == 0)
        r = enrolment_check_from(from, error);
    if (r == 0)
        r = credential_make_password(token->password, error);
    if (r == 0)
        r = token_withdraw(connection, name, error);
    if (r < 0)
        return r;
    snprintf(token->from, sizeof(token->from), "%s", from);
    r = insert(connection, name, terms, token, error);
    if (r == 0)
        r = make_account(connection, token, terms->demand, error);
    return r == 0 ? enrolment_note(connection, terms->host_id, name, "token", token->user, error)
                  : r;
}

/* ---- what was handed in ---- */

void token_request_deinit(struct token_request *request)
{
    buffer_deinit(&request->request);
}

static void take_text(char *to, size_t size, struct slice text)
{
    snprintf(to, size, "%.*s", (int)text.length, text.data ? (const char *)text.data : "");
}

static int refuse(const char *name, const struct slice *row, struct error_text *error)
{
    if (slice_is(row[9], "1"))
        return error_set(
            error, -ENOENT,
            "the token of %s has expired; `vestige client enroll %s --token FILE` makes"
            " another",
            name, name);
    if (slice_is(row[10], "1"))
        return error_set(error, -EALREADY, "the request of %s is approved already", name);
    if (slice_is_null(row[3]))
        return error_set(
            error, -ENOENT,
            "host %s has not handed anything in yet: run `vestiged --enroll FILE` there,"
            " with its token",
            name);
    return 0;
}

static int take_request(struct token_request *request, const struct slice *row,
                        struct error_text *error)
{
    char id[24], host_id[24], port[24];
    take_text(id, sizeof(id), row[0]);
    take_text(port, sizeof(port), row[12]);
    take_text(host_id, sizeof(host_id), row[8]);
    request->id = strtoull(id, NULL, 10);
    request->host_id = strtoull(host_id, NULL, 10);
    request->demand = slice_is(row[1], "2")   ? DEMAND_CERTIFICATE
                      : slice_is(row[1], "1") ? DEMAND_TLS
                                              : DEMAND_NOTHING;
    take_text(request->from, sizeof(request->from), row[2]);
    take_text(request->at, sizeof(request->at), row[3]);
    take_text(request->came_from, sizeof(request->came_from), row[4]);
    take_text(request->hash, sizeof(request->hash), row[7]);
    take_text(request->address, sizeof(request->address), row[11]);
    request->port = (unsigned)strtoul(port, NULL, 10);
    buffer_append_slice(&request->request, row[5]);
    if (request->request.failed || row[6].length != sizeof(request->public_key))
        return error_set(error, -EBADMSG, "the request of the host is damaged");
    memcpy(request->public_key, row[6].data, sizeof(request->public_key));
    return credential_fingerprint(buffer_slice(&request->request), request->public_key,
                                  request->hash, request->fingerprint, error);
}

int token_find_request(MYSQL *connection, const char *name, struct token_request *request,
                       struct error_text *error)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct statement_value values[] = {
        {.name = "name", .kind = STATEMENT_TEXT, .text = slice_text(name)},
    };
    const struct slice *row;
    int r = statement_run(&statement, connection,
                          "SELECT id, demand, SUBSTRING(account, LOCATE('@', account) + 1),"
                          " requested_at, requested_from, request, public_key, password_hash,"
                          " COALESCE(host_id, 0), expires_at < UTC_TIMESTAMP(6),"
                          " approved_at IS NOT NULL, COALESCE(server_address, ''),"
                          " COALESCE(server_port, 0) FROM enrolment_token"
                          " WHERE name = :name AND finished_at IS NULL ORDER BY id DESC LIMIT 1",
                          values, 1, "look for the request of the host", error);
    if (r == 0)
        r = statement_next(statement, &row, error);
    if (r == STATEMENT_END)
        return error_set(
            error, -ENOENT,
            "there is no token for host %.253s; `vestige client enroll HOST --token FILE`"
            " makes one",
            name);
    if (r == STATEMENT_ROW)
        r = refuse(name, row, error);
    return r == 0 ? take_request(request, row, error) : r;
}

int token_approve(MYSQL *connection, const struct token_request *request,
                  const struct enrolment *enrolment, struct error_text *error)
{
    bool has_certificate = enrolment->demand == DEMAND_CERTIFICATE;
    const struct statement_value values[] = {
        {.name = "id",   .kind = STATEMENT_NUMBER,                  .number = request->id       },
        {.name = "host", .kind = STATEMENT_NUMBER,                  .number = enrolment->host_id},
        {.name = "pem",
         .kind = has_certificate ? STATEMENT_TEXT : STATEMENT_NULL,
         .text = buffer_slice(&enrolment->certificate.pem)                                      },
    };
    return statement_do(connection,
                        "UPDATE enrolment_token SET approved_at = UTC_TIMESTAMP(6),"
                        " approved_by = CURRENT_USER(), host_id = :host, certificate = :pem,"
                        " password_hash = NULL WHERE id = :id",
                        values, sizeof(values) / sizeof(values[0]), "approve the request", error);
}
