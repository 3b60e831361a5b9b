/* Each question has its own connection: between two there may be minutes. */
#include "recorder/enrol/enrol_server.h"

#include "core/cleanup.h"
#include "recorder/shipper/ship_connection.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <string.h>

enum { WORDS_MOST = 3 };

static inline void close_connection(struct ship_connection *connection)
{
    ship_connection_close(connection);
}

DEFINE_CLEANUP(cleanup_statement, MYSQL_STMT, mysql_stmt_close);
DEFINE_CLEANUP(cleanup_result, MYSQL_RES, mysql_free_result);

static int code_of(unsigned number)
{
    switch (number) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCOUNT_HAS_BEEN_LOCKED:
        return -EACCES;
    case ER_SIGNAL_EXCEPTION: /* refused by a procedure of enrolment, with its reason */
        return -EPERM;
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
        return -ECONNREFUSED;
    default:
        return -EIO;
    }
}

static int open_connection(struct ship_connection *connection, const char *options,
                           struct error_text *error)
{
    struct ship_error reason = SHIP_ERROR_NULL;
    if (ship_connection_open(connection, options, 0, false, &reason) == SHIP_OK)
        return 0;
    return error_set(error, code_of(reason.number), "%s", reason.text.text);
}

static int statement_error(MYSQL_STMT *statement, struct error_text *error)
{
    unsigned number = mysql_stmt_errno(statement);
    return error_set(error, code_of(number), "the server refuses: %s (error %u)",
                     mysql_stmt_error(statement), number);
}

/** Run a CALL whose parameters are texts. */
static int call(struct ship_connection *connection, const char *sql, const char *const *words,
                size_t n_words, struct error_text *error)
{
    MYSQL_STMT *statement CLEANUP(cleanup_statement) = NULL;
    struct ship_error reason = SHIP_ERROR_NULL;
    MYSQL_BIND values[WORDS_MOST] = {0};
    unsigned long lengths[WORDS_MOST];
    for (size_t i = 0; i < n_words && i < WORDS_MOST; i++) {
        char *text = NULL;
        memcpy(&text, &words[i], sizeof(text)); /* the library only reads it */
        lengths[i] = strlen(words[i]);
        values[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                 .buffer = text,
                                 .buffer_length = lengths[i],
                                 .length = &lengths[i]};
    }
    if (ship_connection_prepare(connection, slice_text(sql), &statement, &reason) != SHIP_OK)
        return error_set(error, code_of(reason.number), "the server refuses: %.400s",
                         reason.text.text);
    if (mysql_stmt_bind_param(statement, values) || mysql_stmt_execute(statement))
        return statement_error(statement, error);
    while (mysql_stmt_next_result(statement) == 0)
        ;
    return 0;
}

int enrol_server_request(const char *options, const char *request, const char *key,
                         const char *hash, struct error_text *error)
{
    struct ship_connection connection CLEANUP(close_connection) = {0};
    const char *const words[] = {request, key, hash};
    int r = open_connection(&connection, options, error);
    return r == 0 ? call(&connection, "CALL vestige_token_request(?, ?, ?)", words, 3, error) : r;
}

int enrol_server_confirm(const char *options, const char *word, struct error_text *error)
{
    struct ship_connection connection CLEANUP(close_connection) = {0};
    int r = open_connection(&connection, options, error);
    return r == 0 ? call(&connection, "CALL vestige_enrolment_confirm(?)", &word, 1, error) : r;
}

static int take_answer(MYSQL_RES *result, struct enrol_answer *answer, struct error_text *error)
{
    MYSQL_ROW row = result && mysql_num_fields(result) == 6 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return error_set(error, -EPROTO, "the server does not say how the token stands");
    answer->is_approved = row[2] != NULL;
    snprintf(answer->host_id, sizeof(answer->host_id), "%s", row[1] ? row[1] : "");
    if (row[3])
        buffer_append_text(&answer->certificate, row[3]);
    answer->has_certificate = row[4] && !strcmp(row[4], "2");
    answer->seconds_left = row[5] ? strtol(row[5], NULL, 10) : 0;
    if (answer->is_approved &&
        (!answer->host_id[0] || strspn(answer->host_id, "0123456789") != strlen(answer->host_id)))
        return error_set(error, -EPROTO, "the server gives no number to this host");
    return answer->certificate.failed ? -ENOMEM : 0;
}

int enrol_server_look(const char *options, struct enrol_answer *answer, struct error_text *error)
{
    struct ship_connection connection CLEANUP(close_connection) = {0};
    MYSQL_RES *result CLEANUP(cleanup_result) = NULL;
    int r = open_connection(&connection, options, error);
    if (r < 0)
        return r;
    static const char sql[] = "CALL vestige_token_look()";
    if (mysql_real_query(connection.mysql, sql, sizeof(sql) - 1))
        return error_set(error, code_of(mysql_errno(connection.mysql)),
                         "the server refuses: %s (error %u)", mysql_error(connection.mysql),
                         mysql_errno(connection.mysql));
    result = mysql_store_result(connection.mysql);
    r = take_answer(result, answer, error);
    while (mysql_next_result(connection.mysql) == 0)
        mysql_free_result(mysql_store_result(connection.mysql));
    return r;
}
