/* The administrator's side of a token, and of certificates that are taken back. */
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/client/client.h"
#include "reports/database/host_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DIGITS_LEAST = 16 };

/** As people write them: in groups, in any case, the first 16 digits at least. */
static int compare_fingerprint(const char *said, const char *is, struct error_text *error)
{
    char digits[FINGERPRINT_SIZE] = "";
    size_t n = 0;
    for (; *said; said++) {
        if (*said == ' ' || *said == ':' || *said == '-')
            continue;
        if (n == sizeof(digits) - 1)
            return error_set(error, -EINVAL, "--fingerprint has more than %zu digits", n);
        digits[n++] = *said;
    }
    if (n < DIGITS_LEAST || strspn(digits, "0123456789abcdefABCDEF") != n)
        return error_set(error, -EINVAL,
                         "--fingerprint: write at least the first %d digits that the host shows",
                         DIGITS_LEAST);
    if (strncasecmp(digits, is, n) != 0)
        return error_set(error, -EPERM,
                         "the request has the fingerprint %s: it is not from that host; nothing was"
                         " approved",
                         is);
    return 0;
}

/** A host of that name has the password of this request: approving was interrupted. */
static int find_begun(MYSQL *connection, const char *name, struct token_request *request,
                      struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    char *hash AUTO_FREE = database_quote(connection, request->hash);
    int r = !hash ? error_set(error, -ENOMEM, "out of memory")
                  : database_query(connection, &result, error, "look the host up",
                                   "SELECT host_id FROM enrolment WHERE name = '%s'"
                                   " AND credential_sha256 = UNHEX(SHA2(%s, 256))",
                                   name, hash);
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (row)
        request->host_id = strtoull(row[0], NULL, 10);
    return r;
}

static int make_account(struct client *client, MYSQL *connection, const char *name,
                        const struct token_request *request, struct error_text *error)
{
    const struct enrolment_terms terms = {.demand = request->demand,
                                          .authority = client->authority,
                                          .days = (unsigned)client->days,
                                          .request = buffer_slice(&request->request),
                                          .hash = request->hash,
                                          .address = request->address[0] ? request->address : NULL,
                                          .port = request->port};
    struct enrolment enrolment AUTO_ENROLMENT = {.terms = &terms};
    struct enrolled before = {0};
    int r = request->host_id ? enrolment_find(connection, name, &before, error) : 0;
    if (r == 0)
        r = request->host_id ? enrolment_renew(connection, name, &enrolment, error)
                             : enrolment_create(connection, name, request->from, &enrolment, error);
    if (r == 0)
        r = host_key_add(connection, enrolment.host_id, request->public_key, error);
    if (r == 0)
        r = token_approve(connection, request, &enrolment, error);
    if (r == 0)
        r = enrolment_note(connection, enrolment.host_id, name, "approve", request->fingerprint,
                           error);
    if (r == 0 && request->host_id) {
        r = enrolment_end_sessions(connection, enrolment.user, NULL, error);
        if (r == 0)
            r = client_take_back(client, connection, before.serial, error);
    }
    if (r == 0)
        printf("host %s is host_id %" PRIu64 ", account %s@%s\n", name, enrolment.host_id,
               enrolment.user, enrolment.from);
    return r;
}

static int approve(struct client *client, MYSQL *connection, const char *name,
                   struct token_request *request, struct error_text *error)
{
    int r = 0;
    printf("handed in at %s UTC from %s\nfingerprint %s\n", request->at, request->came_from,
           request->fingerprint);
    if (client->fingerprint)
        r = compare_fingerprint(client->fingerprint, request->fingerprint, error);
    else
        log_warning("client", "the fingerprint was not compared with the one that the host shows");
    if (r == 0 && !request->host_id)
        r = find_begun(connection, name, request, error);
    return r == 0 ? make_account(client, connection, name, request, error) : r;
}

int client_approve(struct client *client, MYSQL *connection, const char *name,
                   struct error_text *error)
{
    struct token_request request CLEANUP(token_request_deinit) = {0};
    int r = enrolment_check_name(name, error);
    if (r == 0)
        r = token_find_request(connection, name, &request, error);
    /* What is demanded was settled when the token was made. */
    if (r == 0 && request.demand == DEMAND_CERTIFICATE)
        r = authority_open(&client->authority,
                           client->ca_directory ? client->ca_directory : CLIENT_CA_DIRECTORY,
                           error);
    return r == 0 ? approve(client, connection, name, &request, error) : r;
}

static int reload_list(MYSQL *connection, const char *list, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "ask the server for its revocation list",
                           "SELECT @@GLOBAL.ssl_crl");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return r;
    char here[4096], *resolved = realpath(list, here);
    if (row[0] && resolved && !strcmp(row[0], resolved))
        return database_run(connection, error, "let the server read its revocation list again",
                            "FLUSH SSL");
    printf(
        "the revocation list is %s; the server reads %s: copy it there, then run FLUSH SSL on the"
        " server\n",
        list, row[0] && *row[0] ? row[0] : "none (ssl_crl is not set)");
    return 0;
}

int client_take_back(struct client *client, MYSQL *connection, const char *serial,
                     struct error_text *error)
{
    if (!*serial)
        return 0;
    if (!client->authority) {
        log_warning(
            "client",
            "the certificate %s is not on the revocation list: --ca-directory was not given;"
            " the server refuses it with this account all the same",
            serial);
        return 0;
    }
    int r = authority_revoke(client->authority, serial, error);
    return r == 0 ? reload_list(connection, authority_revocation_list(client->authority), error)
                  : r;
}
