/* Each file is sent whole, as one multi-statement query, so that procedures need no DELIMITER. DDL
 * commits as it goes; a file can therefore be interrupted half way. It is recorded only after its
 * last statement, and each of its statements may be run again, so a resumed migration begins that
 * file from its start. */
#include "reports/database/schema.h"
#include "reports/database/schema_files.h"

#include "core/cleanup.h"
#include "core/hex.h"

#include <mysqld_error.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define COLLATION     "utf8mb4_nopad_bin"
#define CHECKSUM_SIZE 65 /* SHA-256 in hexadecimal, with its NUL */

/* The server's own event makes more. */
enum { FIRST_DAYS_AHEAD = 4 };

static unsigned file_version(const struct embedded_file *file)
{
    return (unsigned)strtoul(file->name, NULL, 10);
}

unsigned schema_latest(void)
{
    return file_version(&schema_files[schema_files_n - 1]);
}

static int file_checksum(const struct embedded_file *file, char checksum[CHECKSUM_SIZE],
                         struct error_text *error)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(file->text, file->length, hash, &length, EVP_sha256(), NULL) || length != 32)
        return error_set(error, -EIO, "libcrypto cannot compute SHA-256");
    hex_text(checksum, hash, length);
    return 0;
}

static const struct embedded_file *find_file(unsigned version)
{
    for (size_t i = 0; i < schema_files_n; i++)
        if (file_version(&schema_files[i]) == version)
            return &schema_files[i];
    return NULL;
}

static int check_applied_file(MYSQL *connection, MYSQL_ROW row, struct error_text *error)
{
    unsigned version = (unsigned)strtoul(row[0], NULL, 10);
    char checksum[CHECKSUM_SIZE];
    const struct embedded_file *file = find_file(version);
    if (!file)
        return error_set(error, -EPROTO,
                         "the schema of database %s is of version %u (%s), this program knows only "
                         "version %u: install a newer Vestige here; nothing was changed",
                         database_name(connection), version, row[1], schema_latest());
    int r = file_checksum(file, checksum, error);
    if (r < 0)
        return r;
    if (strcmp(checksum, row[2]) != 0)
        return error_set(error, -EBADMSG,
                         "%s was applied to database %s in another form than this program has "
                         "(SHA-256 %.12s..., here %.12s...): use the build that set the database "
                         "up; nothing was changed",
                         file->name, database_name(connection), row[2], checksum);
    return 0;
}

int schema_check(MYSQL *connection, unsigned *versionp, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    *versionp = 0;
    int r = database_query(connection, &result, error, "read the version of the schema",
                           "SELECT version, name, checksum FROM schema_version"
                           " ORDER BY version DESC");
    if (r < 0)
        return mysql_errno(connection) == ER_NO_SUCH_TABLE ? SCHEMA_OLDER : r;
    for (MYSQL_ROW row = mysql_fetch_row(result); row; row = mysql_fetch_row(result)) {
        r = check_applied_file(connection, row, error);
        if (r < 0)
            return r;
        if (*versionp == 0)
            *versionp = (unsigned)strtoul(row[0], NULL, 10);
    }
    return *versionp < schema_latest() ? SCHEMA_OLDER : SCHEMA_CURRENT;
}

/** Run all statements of a file; @p n_statement is the one that failed. */
static int run_statements(MYSQL *connection, const struct embedded_file *file,
                          unsigned *n_statement)
{
    *n_statement = 1;
    if (mysql_real_query(connection, file->text, file->length))
        return -EIO;
    for (;;) {
        mysql_free_result(mysql_store_result(connection));
        int more = mysql_next_result(connection);
        if (more < 0)
            return 0;
        ++*n_statement;
        if (more > 0)
            return -EIO;
    }
}

static int record_file(MYSQL *connection, const struct embedded_file *file,
                       struct error_text *error)
{
    char checksum[CHECKSUM_SIZE];
    int r = file_checksum(file, checksum, error);
    if (r < 0)
        return r;
    return database_run(connection, error, "record the migration",
                        "INSERT INTO schema_version (version, name, checksum)"
                        " VALUES (%u, '%s', '%s') ON DUPLICATE KEY UPDATE version = version",
                        file_version(file), file->name, checksum);
}

static int apply_file(MYSQL *connection, const struct embedded_file *file, struct error_text *error)
{
    char doing[200];
    unsigned n_statement;
    if (mysql_set_server_option(connection, MYSQL_OPTION_MULTI_STATEMENTS_ON))
        return database_error(connection, error, "send the schema");
    int r = run_statements(connection, file, &n_statement);
    snprintf(doing, sizeof(doing), "apply %s, statement %u, to database %s", file->name,
             n_statement, database_name(connection));
    if (r < 0)
        return database_error(connection, error, doing);
    if (mysql_set_server_option(connection, MYSQL_OPTION_MULTI_STATEMENTS_OFF))
        return database_error(connection, error, doing);
    return record_file(connection, file, error);
}

/* Procedures take their text in the character set that the database has when they are made. One
 * that somebody else made may have any: of names and questions in other letters nothing could be
 * kept. */
static int set_character_set(MYSQL *connection, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r =
        database_query(connection, &result, error, "read the character set of the database",
                       "SELECT 1 FROM information_schema.schemata WHERE schema_name = DATABASE()"
                       " AND default_collation_name <> '" COLLATION "'");
    if (r < 0 || !mysql_fetch_row(result))
        return r;
    return database_run(connection, error, "set the character set of the database",
                        "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE " COLLATION);
}

int schema_apply(MYSQL *connection, unsigned *n_applied, struct error_text *error)
{
    unsigned version, n = 0;
    int r = schema_check(connection, &version, error);
    if (r == SCHEMA_OLDER)
        r = set_character_set(connection, error);
    for (size_t i = 0; r >= 0 && i < schema_files_n; i++)
        if (file_version(&schema_files[i]) > version) {
            r = apply_file(connection, &schema_files[i], error);
            n++;
        }
    if (r < 0)
        return r;
    if (n_applied)
        *n_applied = n;
    return database_run(connection, error, "make partitions ahead",
                        "CALL vestige_make_partitions_at(UTC_DATE(), %d)", FIRST_DAYS_AHEAD);
}

int schema_create_database(MYSQL *connection, struct error_text *error)
{
    const char *name = database_name(connection);
    char doing[300];
    snprintf(doing, sizeof(doing), "create the database %s", name);
    if (strchr(name, '`') || strlen(name) > 64)
        return error_set(error, -EINVAL, "cannot %s: it is no usable name of a database", doing);
    int r = database_run(connection, error, doing,
                         "CREATE DATABASE IF NOT EXISTS `%s`"
                         " CHARACTER SET utf8mb4 COLLATE " COLLATION,
                         name);
    if (r < 0)
        return r;
    if (mysql_select_db(connection, name))
        return database_error(connection, error, doing);
    return 0;
}
