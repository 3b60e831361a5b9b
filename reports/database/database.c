/* libmariadb reads option files only while it connects, and gives them precedence over what the
 * program has set before. So each file is read by an attempt that cannot leave this host (its
 * socket is a directory), which fails and leaves the options behind. Only then is it known whether
 * the way is a socket or TCP; what must not be left to an option file is set, and the true attempt
 * follows. */
#include "reports/database/database.h"
#include "reports/options/options.h"

#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/option_file.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 10

struct database_options database_options_of(const struct options *options)
{
    return (struct database_options){
        .defaults_file = options->defaults_file,
        .defaults_extra_file = options->defaults_extra_file,
        .defaults_group_suffix = options->defaults_group_suffix,
        .no_defaults = options->no_defaults,
        .host = options->host,
        .user = options->user,
        .socket = options->socket,
        .port = (unsigned)options->port,
    };
}

static int read_option_file(MYSQL *connection, const char *file, const char *group,
                            struct error_text *error)
{
    if (file && access(file, R_OK) < 0) {
        int code = errno;
        return error_set(error, -code, "cannot read the option file %s: %s", file, strerror(code));
    }
    if (file)
        mysql_options(connection, MYSQL_READ_DEFAULT_FILE, file);
    mysql_options(connection, MYSQL_READ_DEFAULT_GROUP, group);
    if (mysql_real_connect(connection, "localhost", "nobody", "-", NULL, 0, "/",
                           CLIENT_REMEMBER_OPTIONS))
        return error_set(error, -EIO, "a directory answered as a server");
    return 0;
}

static int read_option_files(MYSQL *connection, const struct database_options *options,
                             struct error_text *error)
{
    char group[128];
    const char *suffix = options->defaults_group_suffix ? options->defaults_group_suffix : "";
    snprintf(group, sizeof(group), "vestige%s", suffix);
    int r = 0;
    if (!options->no_defaults)
        r = read_option_file(connection, options->defaults_file, group, error);
    if (r == 0 && options->defaults_extra_file)
        r = read_option_file(connection, options->defaults_extra_file, group, error);
    return r;
}

static bool is_tcp(const MYSQL *connection)
{
    const char *host = connection->options.host;
    return (host && *host && strcmp(host, "localhost") != 0) ||
           connection->options.protocol == MYSQL_PROTOCOL_TCP;
}

static void apply_command_line(MYSQL *connection, const struct database_options *options)
{
    if (options->host)
        mysql_optionsv(connection, MARIADB_OPT_HOST, options->host);
    if (options->user)
        mysql_optionsv(connection, MARIADB_OPT_USER, options->user);
    if (options->port)
        mysql_optionsv(connection, MARIADB_OPT_PORT, &options->port);
    if (options->socket) {
        mysql_optionsv(connection, MARIADB_OPT_UNIXSOCKET, options->socket);
        if (!options->host) {
            unsigned protocol = MYSQL_PROTOCOL_SOCKET;
            mysql_optionsv(connection, MARIADB_OPT_HOST, "localhost");
            mysql_optionsv(connection, MYSQL_OPT_PROTOCOL, &protocol);
        }
    }
    if (options->database)
        mysql_optionsv(connection, MARIADB_OPT_SCHEMA, options->database);
    else if (!connection->options.db)
        mysql_optionsv(connection, MARIADB_OPT_SCHEMA, DATABASE_NAME);
}

/** Only a file that was named can say so: a default that somebody else set must not. */
static bool allows_cleartext(const struct database_options *options)
{
    char group[128];
    const char *suffix = options->defaults_group_suffix ? options->defaults_group_suffix : "";
    snprintf(group, sizeof(group), "vestige%s", suffix);
    return (options->defaults_file && !options->no_defaults &&
            option_file_is_set(options->defaults_file, group, "allow-cleartext")) ||
           (options->defaults_extra_file &&
            option_file_is_set(options->defaults_extra_file, group, "allow-cleartext"));
}

static void apply_fixed(MYSQL *connection, bool is_clear)
{
    unsigned off = 0, timeout = CONNECT_TIMEOUT_S;
    my_bool yes = 1, no = 0;
    mysql_options(connection, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_options(connection, MYSQL_OPT_RECONNECT, &no);
    mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT,
                  is_tcp(connection) && !is_clear ? &yes : &no);
}

const char *database_name(const MYSQL *connection)
{
    return connection->options.db;
}

void database_place(const MYSQL *connection, char text[300])
{
    const char *socket = connection->options.unix_socket;
    const char *host = connection->options.host;
    if (is_tcp(connection))
        snprintf(text, 300, "host %s port %u", host ? host : "localhost",
                 connection->options.port ? connection->options.port : (unsigned)MYSQL_PORT);
    else
        snprintf(text, 300, "socket %s", socket ? socket : "of the system's MariaDB");
}

/* What each group of errors is called, and what a person can do about it. */
static const struct {
    unsigned number;
    int code;
    const char *advice;
} known_errors[] = {
    {ER_ACCESS_DENIED_ERROR,                   -EACCES,
     "check user and password in the option file, group [vestige]"                                                       },
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR,       -EACCES,
     "give user and password in an option file, group [vestige], or run as root on the server"                           },
    {ER_ACCOUNT_HAS_BEEN_LOCKED,               -EACCES,       "the account is locked: was it revoked?"                   },
    {ER_DBACCESS_DENIED_ERROR,                 -EACCES,
     "the account has no right on this database; use one with the role vestige_reader or "
     "vestige_admin"                                                                                                     },
    {ER_TABLEACCESS_DENIED_ERROR,              -EACCES,
     "use an account with the right: vestige_reader and vestige_admin read all evidence, "
     "vestige_verifier marks it as verified"                                                                             },
    {ER_COLUMNACCESS_DENIED_ERROR,             -EACCES,
     "use an account with the right: vestige_reader and vestige_admin read all evidence, "
     "vestige_verifier marks it as verified"                                                                             },
    {ER_SPECIFIC_ACCESS_DENIED_ERROR,          -EACCES,       "run it as the server's administrator"                     },
    {ER_PROCACCESS_DENIED_ERROR,               -EACCES,       "use an account with the role vestige_admin"               },
    {ER_BAD_DB_ERROR,                          -ENOENT,
     "set it up with `vestige server init`, or name the right one in the option file (database=)"                        },
    {ER_NO_SUCH_TABLE,                         -ENOENT,
     "vestige-schema(7) has the tables; where none is there yet, `vestige server init` makes them, "
     "and an "
     "older schema is brought up to date with `vestige server migrate`"                                                  },
    {ER_BAD_FIELD_ERROR,                       -EINVAL,       "vestige-schema(7) has the columns"                        },
    {ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, -EPERM,
     "a question changes nothing; for what has to, use mariadb(1)"                                                       },
    {ER_SP_DOES_NOT_EXIST,                     -ENOENT,       "bring the schema up to date with `vestige server migrate`"},
    {ER_CANNOT_USER,                           -EEXIST,       NULL                                                       },
    {ER_DUP_ENTRY,                             -EEXIST,       NULL                                                       },
    {ER_LOCK_WAIT_TIMEOUT,                     -EAGAIN,       "try again: another session holds the table"               },
    {ER_LOCK_DEADLOCK,                         -EAGAIN,       "try again"                                                },
    {CR_CONNECTION_ERROR,                      -ECONNREFUSED,
     "is the server running, and does it listen there? A standalone instance needs --state DIR"                          },
    {CR_CONN_HOST_ERROR,                       -ECONNREFUSED, "is the server running and reachable on that port?"        },
    {CR_UNKNOWN_HOST,                          -ECONNREFUSED, "check host= in the option file"                           },
    {CR_SSL_CONNECTION_ERROR,                  -ECONNREFUSED,
     "the server must show a certificate for this host name by a CA of ssl-ca="                                          },
    {CR_SERVER_GONE_ERROR,                     -ECONNREFUSED, "the server ended the connection: did it stop?"            },
    {CR_SERVER_LOST,                           -ECONNREFUSED, "the server ended the connection: did it stop?"            },
    {ER_SERVER_SHUTDOWN,                       -ECONNREFUSED, "the server is stopping"                                   },
    {ER_CONNECTION_KILLED,                     -ECONNREFUSED, "an administrator ended this session"                      },
};

static int describe(unsigned number, const char *text, struct error_text *error, const char *doing)
{
    int code = -EIO;
    const char *advice = NULL;
    for (size_t i = 0; i < sizeof(known_errors) / sizeof(known_errors[0]); i++)
        if (known_errors[i].number == number) {
            code = known_errors[i].code;
            advice = known_errors[i].advice;
        }
    return error_set(error, code, "cannot %s: %s (error %u)%s%s", doing, text, number,
                     advice ? "; " : "", advice ? advice : "");
}

int database_error(MYSQL *connection, struct error_text *error, const char *doing)
{
    return describe(mysql_errno(connection), mysql_error(connection), error, doing);
}

int database_statement_error(MYSQL_STMT *statement, struct error_text *error, const char *doing)
{
    unsigned number = mysql_stmt_errno(statement);
    const char *text = mysql_stmt_error(statement);
    /* A connection that is lost between two rows is told to the connection alone, or to nobody. */
    if (!number && statement->mysql) {
        number = mysql_errno(statement->mysql);
        text = mysql_error(statement->mysql);
    }
    if (!number)
        return describe(CR_SERVER_LOST, "the connection was lost", error, doing);
    return describe(number, text, error, doing);
}

PRINTF(4, 0)
static int query_text(MYSQL *connection, struct error_text *error, const char *doing,
                      const char *format, va_list arguments)
{
    char *sql AUTO_FREE = NULL;
    int length = vasprintf(&sql, format, arguments);
    if (length < 0) {
        sql = NULL;
        return error_set(error, -ENOMEM, "cannot %s: out of memory", doing);
    }
    if (mysql_real_query(connection, sql, (unsigned long)length))
        return database_error(connection, error, doing);
    return 0;
}

/** Results of what follows the first (a CALL gives one more) are read and discarded, so that the
 *  connection is free for the next statement. */
static int discard_rest(MYSQL *connection, struct error_text *error, const char *doing)
{
    int more;
    while ((more = mysql_next_result(connection)) == 0)
        mysql_free_result(mysql_store_result(connection));
    return more > 0 ? database_error(connection, error, doing) : 0;
}

int database_run(MYSQL *connection, struct error_text *error, const char *doing, const char *format,
                 ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = query_text(connection, error, doing, format, arguments);
    va_end(arguments);
    if (r < 0)
        return r;
    mysql_free_result(mysql_store_result(connection));
    return discard_rest(connection, error, doing);
}

static int query(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error,
                 const char *doing, const char *format, va_list arguments) PRINTF(5, 0);

static int query(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error,
                 const char *doing, const char *format, va_list arguments)
{
    int r = query_text(connection, error, doing, format, arguments);
    if (r < 0)
        return r;
    MYSQL_RES *result AUTO_RESULT = mysql_store_result(connection);
    if (!result)
        return mysql_errno(connection)
                   ? database_error(connection, error, doing)
                   : error_set(error, -EINVAL, "cannot %s: no rows were asked for", doing);
    r = discard_rest(connection, error, doing);
    if (r < 0)
        return r;
    *resultp = result;
    result = NULL;
    return 0;
}

int database_query(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error,
                   const char *doing, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = query(connection, resultp, error, doing, format, arguments);
    va_end(arguments);
    return r;
}

int database_query_number(MYSQL *connection, uint64_t *number, struct error_text *error,
                          const char *doing, const char *format, ...)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    va_list arguments;
    va_start(arguments, format);
    int r = query(connection, &result, error, doing, format, arguments);
    va_end(arguments);
    MYSQL_ROW row = r ? NULL : mysql_fetch_row(result);
    *number = row ? database_u64(row[0]) : 0;
    return r;
}

int database_lock_job(MYSQL *connection, const char *job, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        connection, &result, error, "lock the job",
        "SELECT GET_LOCK(CONCAT('vestige.%s.', LEFT(SHA2(GROUP_CONCAT(applied_at ORDER BY"
        " version), 256), 32)), 2) FROM schema_version",
        job);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (!outcome && (!row || !row[0] || *row[0] != '1'))
        outcome = error_set(error, -EBUSY, "another vestige %s is at work", job);
    return outcome;
}

char *database_quote(MYSQL *connection, const char *text)
{
    size_t length = strlen(text);
    char *quoted = malloc(2 * length + 3);
    if (!quoted)
        return NULL;
    quoted[0] = '\'';
    size_t n = mysql_real_escape_string(connection, quoted + 1, text, length);
    quoted[n + 1] = '\'';
    quoted[n + 2] = '\0';
    return quoted;
}

static int prepare_session(MYSQL *connection, struct error_text *error)
{
    return database_run(connection, error, "set up the session",
                        "SET SESSION time_zone = '+00:00', tx_isolation = 'READ-COMMITTED',"
                        " sql_mode = 'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,"
                        "NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'");
}

static int connect_now(MYSQL *connection, const struct database_options *options, bool is_clear,
                       struct error_text *error)
{
    char doing[400], place[300];
    database_place(connection, place);
    snprintf(doing, sizeof(doing), "connect to MariaDB at %s", place);
    const char *database =
        options->select_no_database ? "information_schema" : database_name(connection);
    if (!mysql_real_connect(connection, NULL, NULL, NULL, database, 0, NULL,
                            CLIENT_REMEMBER_OPTIONS))
        return database_error(connection, error, doing);
    if (is_clear)
        log_warning("database",
                    "the connection is NOT ENCRYPTED, as allow-cleartext says: anybody on"
                    " the way can read and change the answers");
    else if (is_tcp(connection) && !mysql_get_ssl_cipher(connection))
        return error_set(error, -EPROTO, "cannot %s: the connection is not encrypted", doing);
    return prepare_session(connection, error);
}

int database_connect(MYSQL **connectionp, const struct database_options *options,
                     struct error_text *error)
{
    MYSQL *connection AUTO_DATABASE = mysql_init(NULL);
    if (!connection)
        return error_set(error, -ENOMEM, "cannot connect to MariaDB: out of memory");
    int r = read_option_files(connection, options, error);
    if (r < 0)
        return r;
    apply_command_line(connection, options);
    const char *authority = connection->options.ssl_ca;
    bool is_clear = is_tcp(connection) && allows_cleartext(options);
    if (is_clear && authority && *authority)
        return error_set(error, -EINVAL,
                         "the option file has both ssl-ca and allow-cleartext: remove one of them");
    apply_fixed(connection, is_clear);
    r = connect_now(connection, options, is_clear, error);
    if (r < 0)
        return r;
    *connectionp = connection;
    connection = NULL;
    return 0;
}

MYSQL *database_close(MYSQL *connection)
{
    if (connection)
        mysql_close(connection);
    return NULL;
}
