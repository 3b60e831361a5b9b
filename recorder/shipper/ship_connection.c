/*
 * libmariadb reads an option file only while it connects, and lets it override what the program has
 * set. So the file is read by a first attempt that cannot leave this host (a socket that is no
 * socket, a port that nobody serves, another user, no password); then the options that are ours to
 * decide are set, and the second attempt is the real one.
 */
#include "recorder/shipper/ship_connection.h"

#include "core/cleanup.h"
#include "core/gulp.h"
#include "core/option_file.h"
#include "core/private_file.h"
#include "recorder/keys/credential.h"
#include "recorder/shipper/ship_limit.h"

#include <errmsg.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mysqld_error.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT  5  /* seconds */
#define ANSWER_TIMEOUT   30 /* seconds */
#define LOCK_TIMEOUT     "15"
#define WAIT_TIMEOUT     "180" /* seconds; an idle connection is tried more often */
#define CLOCK_READINGS   3
#define CERTIFICATE_MOST (1 << 20)
#define CLOCK_MOST       INT64_C(7258118400000000) /* microseconds: the year 2200 */
#define WARNING_COLUMNS  3
#define SQL_MODE                                                                                   \
    "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"                          \
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

static const char set_session[] =
    "SET SESSION sql_mode = '" SQL_MODE "', time_zone = '+00:00', tx_isolation = 'READ-COMMITTED',"
    " autocommit = 1, foreign_key_checks = 1, unique_checks = 1, check_constraint_checks = 1,"
    " wait_timeout = " WAIT_TIMEOUT ", lock_wait_timeout = " LOCK_TIMEOUT
    ", innodb_lock_wait_timeout = " LOCK_TIMEOUT;

static const char read_session[] =
    "SELECT @@sql_mode, @@time_zone, @@tx_isolation, @@character_set_client,"
    " @@character_set_connection, @@check_constraint_checks, @@max_allowed_packet";

static const struct {
    const char *name, *value;
} wanted[] = {
    {"sql_mode",                 SQL_MODE        },
    {"time_zone",                "+00:00"        },
    {"tx_isolation",             "READ-COMMITTED"},
    {"character_set_client",     "utf8mb4"       },
    {"character_set_connection", "utf8mb4"       },
    {"check_constraint_checks",  "1"             },
};
#define WANTED_N (sizeof(wanted) / sizeof(wanted[0]))

DEFINE_CLEANUP(cleanup_result, MYSQL_RES, mysql_free_result);
#define AUTO_RESULT CLEANUP(cleanup_result)

enum ship_answer ship_connection_error(struct ship_connection *connection, struct ship_error *error)
{
    unsigned number = mysql_errno(connection->mysql);
    error_set(&error->text, 0, "%s (error %u)%s%s", mysql_error(connection->mysql), number,
              ship_error_advice(number), ship_limit_words());
    error->number = number;
    return number
               ? ship_error_classify(number)
               : ship_error_set(error, SHIP_FAILED, "the client library failed without an error");
}

enum ship_answer ship_connection_run(struct ship_connection *connection, const char *sql,
                                     struct ship_error *error)
{
    if (mysql_real_query(connection->mysql, sql, strlen(sql)) != 0)
        return ship_connection_error(connection, error);
    return SHIP_OK;
}

enum ship_answer ship_connection_statement_error(MYSQL_STMT *statement, struct ship_error *error)
{
    unsigned number = mysql_stmt_errno(statement);
    error_set(&error->text, 0, "%s (error %u)%s%s", mysql_stmt_error(statement), number,
              ship_error_advice(number), ship_limit_words());
    error->number = number;
    return number ? ship_error_classify(number)
                  : ship_error_set(error, SHIP_FAILED, "a statement failed without an error");
}

static unsigned long count_parameters(struct slice sql)
{
    unsigned long n = 0;
    for (size_t i = 0; i < sql.length; i++)
        n += sql.data[i] == '?';
    return n;
}

static enum ship_answer check_prepared(MYSQL_STMT *statement, struct slice sql,
                                       struct ship_error *error)
{
    if (mysql_stmt_param_count(statement) == count_parameters(sql) &&
        mysql_stmt_field_count(statement) == 0)
        return SHIP_OK;
    return ship_error_set(error, SHIP_FAILED,
                          "the server takes a statement of %lu parameters for one of %lu, with %u "
                          "columns: it is no MariaDB, or something between changes what it says",
                          count_parameters(sql), mysql_stmt_param_count(statement),
                          mysql_stmt_field_count(statement));
}

enum ship_answer ship_connection_prepare(struct ship_connection *connection, struct slice sql,
                                         MYSQL_STMT **statementp, struct ship_error *error)
{
    MYSQL_STMT *statement = mysql_stmt_init(connection->mysql);
    if (!statement)
        return ship_error_set(error, SHIP_FAILED, "not enough memory for a statement");
    enum ship_answer answer = mysql_stmt_prepare(statement, (const char *)sql.data, sql.length) != 0
                                  ? ship_connection_statement_error(statement, error)
                                  : check_prepared(statement, sql, error);
    if (answer != SHIP_OK) {
        mysql_stmt_close(statement);
        return answer;
    }
    *statementp = statement;
    return SHIP_OK;
}

/** What has another number of columns is no answer to the question, and is not looked into. */
static enum ship_answer fetch(struct ship_connection *connection, const char *sql,
                              unsigned n_columns, MYSQL_RES **resultp, struct ship_error *error)
{
    enum ship_answer answer = ship_connection_run(connection, sql, error);
    if (answer != SHIP_OK)
        return answer;
    *resultp = mysql_store_result(connection->mysql);
    if (!*resultp)
        return ship_connection_error(connection, error);
    if (mysql_num_fields(*resultp) == n_columns)
        return SHIP_OK;
    return ship_error_set(error, SHIP_FAILED,
                          "the server answers with %u columns and not %u: it is no MariaDB, or "
                          "something between changes what it says",
                          mysql_num_fields(*resultp), n_columns);
}

/** The first column of the first row as a number; false when there is none. */
static bool fetch_number(MYSQL_RES *result, int64_t *value)
{
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row || !row[0])
        return false;
    *value = strtoll(row[0], NULL, 10);
    return true;
}

static enum ship_answer read_back(struct ship_connection *connection, struct ship_error *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    enum ship_answer answer = fetch(connection, read_session, WANTED_N + 1, &result, error);
    if (answer != SHIP_OK)
        return answer;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row)
        return ship_error_set(error, SHIP_FAILED, "the server does not show its session settings");
    for (size_t i = 0; i < WANTED_N; i++)
        if (!row[i] || strcmp(row[i], wanted[i].value) != 0)
            return ship_error_set(
                error, SHIP_FAILED,
                "the session's %s is '%s' and not '%s' after setting it; is there "
                "a proxy or an init-command that changes it?",
                wanted[i].name, row[i] ? row[i] : "NULL", wanted[i].value);
    connection->max_packet = row[WANTED_N] ? strtoul(row[WANTED_N], NULL, 10) : 0;
    if (connection->max_packet < 4 * SHIP_PACKET_MARGIN)
        return ship_error_set(error, SHIP_FAILED,
                              "the server's max_allowed_packet is %zu bytes; set it to 16M or more",
                              connection->max_packet);
    return SHIP_OK;
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/** The reading with the shortest round trip is the best one. */
static enum ship_answer measure_clock(struct ship_connection *connection, struct ship_error *error)
{
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < CLOCK_READINGS; i++) {
        MYSQL_RES *result AUTO_RESULT = NULL;
        int64_t before = now_us(CLOCK_BOOTTIME), server;
        enum ship_answer answer =
            fetch(connection, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)", 1,
                  &result, error);
        if (answer != SHIP_OK)
            return answer;
        int64_t round_trip = now_us(CLOCK_BOOTTIME) - before;
        if (!fetch_number(result, &server) || server <= 0 || server > CLOCK_MOST)
            return ship_error_set(error, SHIP_FAILED, "the server does not say what time it is");
        if (round_trip < shortest) {
            shortest = round_trip;
            connection->server_boot_us = server - (before + round_trip / 2);
        }
    }
    connection->clock_read_ms = (uint64_t)now_us(CLOCK_BOOTTIME) / 1000;
    return SHIP_OK;
}

enum ship_answer ship_connection_ping(struct ship_connection *connection, struct ship_error *error)
{
    return measure_clock(connection, error);
}

enum ship_answer ship_connection_freshen(struct ship_connection *connection, unsigned age_ms,
                                         struct ship_error *error)
{
    if ((uint64_t)now_us(CLOCK_BOOTTIME) / 1000 - connection->clock_read_ms < age_ms)
        return SHIP_OK;
    return measure_clock(connection, error);
}

int64_t ship_connection_offset(int64_t server_boot_us)
{
    int64_t real_ns;
    int64_t boot_ns = (int64_t)clock_both_ns(&real_ns);
    return server_boot_us - (real_ns - boot_ns) / 1000;
}

/** A number that the server may not have, or not show: @p value is then @p otherwise. */
static enum ship_answer ask_number(struct ship_connection *connection, const char *sql,
                                   int64_t otherwise, int64_t *value, struct ship_error *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    *value = otherwise;
    enum ship_answer answer = fetch(connection, sql, 1, &result, error);
    if (answer == SHIP_OK && !fetch_number(result, value))
        *value = otherwise;
    return answer == SHIP_LOST ? SHIP_LOST : SHIP_OK;
}

/** The server is migrated first, its agents follow one by one. So a newer schema is good as long as
 *  it says that it takes what this agent writes. Agents need no right on these tables; where they
 *  have it, both sides must agree. */
static enum ship_answer check_schema(struct ship_connection *connection, unsigned expected,
                                     struct ship_error *error)
{
    int64_t found, oldest;
    if (expected == 0)
        return SHIP_OK;
    enum ship_answer answer =
        ask_number(connection, "SELECT MAX(version) FROM schema_version", expected, &found, error);
    if (answer == SHIP_OK)
        answer = ask_number(connection, "SELECT MAX(oldest_agent) FROM schema_agents", found,
                            &oldest, error);
    if (answer != SHIP_OK)
        return answer;
    if (found < (int64_t)expected)
        return ship_error_set(error, SHIP_FAILED,
                              "the server's schema is version %" PRId64
                              ", this agent writes version %u: run `vestige server migrate` on the "
                              "server",
                              found, expected);
    if (oldest > (int64_t)expected)
        return ship_error_set(error, SHIP_FAILED,
                              "the server's schema is version %" PRId64
                              " and takes agents from version %" PRId64
                              " on, this agent writes version %u: install the newer vestiged on "
                              "this host",
                              found, oldest, expected);
    return SHIP_OK;
}

static enum ship_answer set_up_session(struct ship_connection *connection, unsigned schema_version,
                                       struct ship_error *error)
{
    enum ship_answer answer = ship_connection_run(connection, set_session, error);
    if (answer == SHIP_OK)
        answer = read_back(connection, error);
    if (answer == SHIP_OK)
        answer = measure_clock(connection, error);
    if (answer == SHIP_OK)
        answer = check_schema(connection, schema_version, error);
    return answer;
}

static bool over_tcp(const MYSQL *mysql)
{
    return mysql->options.protocol == MYSQL_PROTOCOL_TCP ||
           (mysql->options.host && strcmp(mysql->options.host, "localhost") != 0);
}

static void read_option_file(MYSQL *mysql, const char *defaults_file)
{
    unsigned connect_timeout = CONNECT_TIMEOUT, answer_timeout = ANSWER_TIMEOUT;
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &answer_timeout);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &answer_timeout);
    mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, defaults_file);
    mysql_options(mysql, MYSQL_READ_DEFAULT_GROUP, "vestige");
    mysql_real_connect(mysql, "localhost", "nobody", "-", NULL, 1, "/", CLIENT_REMEMBER_OPTIONS);
}

static void set_fixed_options(MYSQL *mysql, const struct ship_connection *connection)
{
    unsigned local_infile = 0;
    my_bool yes = 1, no = 0;
    if (over_tcp(mysql))
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, connection->is_clear ? &no : &yes);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &local_infile);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (connection->is_compressed)
        mysql_options(mysql, MYSQL_OPT_COMPRESS, NULL);
}

/** A server that refuses a certificate ends the connection, and mostly its reason is lost. What can
 *  be known here is told; the rest is in the server's log. */
static void append_certificate(MYSQL *mysql, char *text, size_t size)
{
    struct buffer pem CLEANUP(buffer_deinit) = BUFFER_NULL;
    const char *path = mysql->options.ssl_cert;
    unsigned number = mysql_errno(mysql);
    int64_t until;
    if (!over_tcp(mysql) || !path || !*path)
        return;
    size_t length = strlen(text);
    if (private_file_read(path, CERTIFICATE_MOST, &pem, NULL) == 0 &&
        credential_certificate_until(buffer_slice(&pem), &until) == 0 && until <= time(NULL))
        snprintf(
            text + length, size - length,
            "; this host's certificate %.100s has expired: `vestige client rotate` makes another",
            path);
    else if (number == CR_SERVER_LOST || strstr(mysql_error(mysql), "alert"))
        snprintf(
            text + length, size - length,
            "; the server refuses this host's certificate, it seems: is it revoked, or of another"
            " authority? Its error log says");
}

static void describe_failure(struct ship_connection *connection, struct ship_error *error)
{
    MYSQL *mysql = connection->mysql;
    bool tcp = over_tcp(mysql);
    error->number = mysql_errno(mysql);
    error_set(&error->text, 0, "cannot connect to MariaDB %s%s as '%s': %s (error %u)%s",
              tcp ? "at host " : "by socket ",
              tcp ? (mysql->options.host ? mysql->options.host : "localhost")
                  : (mysql->options.unix_socket ? mysql->options.unix_socket : "(default)"),
              mysql->options.user ? mysql->options.user : "", mysql_error(mysql), error->number,
              ship_error_advice(error->number));
    append_certificate(mysql, error->text.text, sizeof(error->text.text));
    size_t length = strlen(error->text.text);
    snprintf(error->text.text + length, sizeof(error->text.text) - length, "%s",
             ship_limit_words());
}

/** An unreadable file is silently left out by the library. */
static enum ship_answer check_readable(const char *path, struct ship_error *error)
{
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ship_error_set(error, SHIP_FAILED, "cannot read the option file %s: %s", path,
                              strerror(errno));
    return SHIP_OK;
}

/** Both at once would be a file whose writer believed in TLS. */
static enum ship_answer check_cleartext(struct ship_connection *connection,
                                        const char *defaults_file, struct ship_error *error)
{
    const char *authority = connection->mysql->options.ssl_ca;
    connection->is_clear = over_tcp(connection->mysql) &&
                           option_file_is_set(defaults_file, "vestige", "allow-cleartext");
    if (connection->is_clear && authority && *authority)
        return ship_error_set(error, SHIP_FAILED,
                              "%s has both ssl-ca and allow-cleartext: remove one of them",
                              defaults_file);
    return SHIP_OK;
}

static enum ship_answer connect_to_server(struct ship_connection *connection,
                                          struct ship_error *error)
{
    MYSQL *mysql = connection->mysql;
    const char *database = mysql->options.db ? NULL : "vestige";
    set_fixed_options(mysql, connection);
    ship_limit_watch(mysql);
    if (!mysql_real_connect(mysql, NULL, NULL, NULL, database, 0, NULL,
                            CLIENT_REMEMBER_OPTIONS | CLIENT_FOUND_ROWS)) {
        describe_failure(connection, error);
        return ship_error_classify(error->number);
    }
    if (over_tcp(mysql) && !connection->is_clear && !mysql_get_ssl_cipher(mysql))
        return ship_error_set(error, SHIP_FAILED, "the connection to MariaDB is not encrypted");
    return SHIP_OK;
}

enum ship_answer ship_connection_open(struct ship_connection *connection, const char *defaults_file,
                                      unsigned schema_version, bool compressed,
                                      struct ship_error *error)
{
    *connection = (struct ship_connection){.is_compressed = compressed};
    enum ship_answer answer = check_readable(defaults_file, error);
    if (answer != SHIP_OK)
        return answer;
    connection->mysql = mysql_init(NULL);
    if (!connection->mysql)
        return ship_error_set(error, SHIP_FAILED, "not enough memory for a connection");
    read_option_file(connection->mysql, defaults_file);
    answer = check_cleartext(connection, defaults_file, error);
    if (answer == SHIP_OK)
        answer = connect_to_server(connection, error);
    if (answer == SHIP_OK)
        answer = set_up_session(connection, schema_version, error);
    if (answer != SHIP_OK)
        ship_connection_close(connection);
    return answer;
}

void ship_connection_close(struct ship_connection *connection)
{
    if (connection->mysql)
        mysql_close(connection->mysql);
    connection->mysql = NULL;
    ship_limit_watch(NULL);
}

size_t ship_connection_bad_row(struct ship_connection *connection)
{
    struct ship_error ignored = SHIP_ERROR_NULL;
    MYSQL_RES *result AUTO_RESULT = NULL;
    int64_t row = 0;
    if (ship_connection_run(connection, "GET DIAGNOSTICS CONDITION 1 @vestige_row = ROW_NUMBER",
                            &ignored) ||
        fetch(connection, "SELECT @vestige_row", 1, &result, &ignored))
        return 0;
    return fetch_number(result, &row) && row > 0 ? (size_t)row : 0;
}

enum ship_answer ship_connection_warnings(struct ship_connection *connection,
                                          struct ship_error *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    enum ship_answer answer = fetch(connection, "SHOW WARNINGS", WARNING_COLUMNS, &result, error);
    if (answer != SHIP_OK)
        return answer;
    for (MYSQL_ROW row = mysql_fetch_row(result); row; row = mysql_fetch_row(result)) {
        unsigned number = row[1] ? (unsigned)strtoul(row[1], NULL, 10) : 0;
        if (ship_error_classify(number) != SHIP_ROW_REFUSED)
            continue;
        error_set(&error->text, 0, "%s (warning %u)", row[2] ? row[2] : "", number);
        error->number = number;
        return SHIP_ROW_REFUSED;
    }
    return SHIP_OK;
}
