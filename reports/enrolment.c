/* The row of `enrolment` gives the number, which gives the account its name. CREATE USER commits by
 * itself, so the row is there first; a failure of what follows takes it back, and after a crash
 * between the two enrolment_renew completes what is missing.
 *
 * The server gets the hash of the password and never the password itself, so that no log of
 * statements can have it. 32 random bytes need no slow hash. */
#include "reports/enrolment.h"

#include "core/buffer.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <mysqld_error.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>

#define PASSWORD_BYTES 32
#define HASH_TEXT_SIZE 42 /* '*', 40 digits, NUL */
#define NAME_MOST      253

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

void enrolment_deinit(struct enrolment *enrolment)
{
    OPENSSL_cleanse(enrolment->password, sizeof(enrolment->password));
}

static int make_password(struct enrolment *enrolment, struct error_text *error)
{
    unsigned char bytes[PASSWORD_BYTES], text[4 * ((PASSWORD_BYTES + 2) / 3) + 1];
    _Static_assert(sizeof(text) <= sizeof(enrolment->password), "base64 of the bytes");
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return error_set(error, -EIO, "libcrypto gives no random bytes");
    int length = EVP_EncodeBlock(text, bytes, sizeof(bytes));
    for (int i = 0; i < length; i++) /* no character that an option file would treat specially */
        enrolment->password[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
    while (length > 0 && enrolment->password[length - 1] == '=')
        length--;
    enrolment->password[length] = '\0';
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

/** As the server's PASSWORD() does: SHA-1 of SHA-1. */
static int hash_password(const char *password, char hash[HASH_TEXT_SIZE], struct error_text *error)
{
    unsigned char once[EVP_MAX_MD_SIZE], twice[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(password, strlen(password), once, &length, EVP_sha1(), NULL) ||
        !EVP_Digest(once, length, twice, &length, EVP_sha1(), NULL) || length != 20)
        return error_set(error, -EIO, "libcrypto cannot compute the hash of a password");
    hash[0] = '*';
    for (unsigned i = 0; i < length; i++)
        snprintf(hash + 1 + 2 * (size_t)i, 3, "%02X", twice[i]);
    OPENSSL_cleanse(once, sizeof(once));
    return 0;
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

static int check_from(const char *from, struct error_text *error)
{
    return check_word("host pattern", from, LETTERS "._-%:/",
                      sizeof((struct enrolment){0}.from) - 1, error);
}

/** Make the account, or give the one that is there our password, and its only role. */
static int set_account(MYSQL *connection, const struct enrolment *enrolment, const char *role,
                       bool may_exist, struct error_text *error)
{
    char hash[HASH_TEXT_SIZE], account[200], doing[300];
    int r = hash_password(enrolment->password, hash, error);
    if (r < 0)
        return r;
    snprintf(account, sizeof(account), "`%s`@`%s`", enrolment->user, enrolment->from);
    snprintf(doing, sizeof(doing), "make the account %s@%s", enrolment->user, enrolment->from);
    r = database_run(connection, error, doing,
                     "CREATE USER %s %s IDENTIFIED VIA mysql_native_password USING '%s'",
                     may_exist ? "IF NOT EXISTS" : "", account, hash);
    if (r == 0 && may_exist)
        r = database_run(connection, error, doing,
                         "ALTER USER %s IDENTIFIED VIA mysql_native_password USING '%s'", account,
                         hash);
    if (r == 0)
        r = database_run(connection, error, doing, "GRANT `%s` TO %s", role, account);
    if (r == 0)
        r = database_run(connection, error, doing, "SET DEFAULT ROLE `%s` FOR %s", role, account);
    return r;
}

static int insert_row(MYSQL *connection, const char *name, struct enrolment *enrolment,
                      struct error_text *error)
{
    int r = database_run(connection, error, "enrol the host",
                         "INSERT INTO enrolment (name, account) VALUES ('%s', '')", name);
    if (r == -EEXIST)
        return error_set(error, -EEXIST,
                         "host %s is enrolled already; `vestige client rotate %s` gives it a new"
                         " password",
                         name, name);
    if (r < 0)
        return r;
    enrolment->host_id = mysql_insert_id(connection);
    snprintf(enrolment->user, sizeof(enrolment->user), "agent_%" PRIu64, enrolment->host_id);
    return database_run(connection, error, "enrol the host",
                        "UPDATE enrolment SET account = '%s@%s' WHERE host_id = %" PRIu64,
                        enrolment->user, enrolment->from, enrolment->host_id);
}

static void remove_row(MYSQL *connection, const struct enrolment *enrolment)
{
    /* The error that brought us here is the one to tell. */
    int r = database_run(connection, NULL, "", "DELETE FROM enrolment WHERE host_id = %" PRIu64,
                         enrolment->host_id);
    (void)r;
}

int enrolment_create(MYSQL *connection, const char *name, const char *from,
                     struct enrolment *enrolment, struct error_text *error)
{
    int r = check_word("name of a host", name, LETTERS "._-", NAME_MOST, error);
    if (r == 0)
        r = check_from(from, error);
    if (r == 0)
        r = make_password(enrolment, error);
    if (r < 0)
        return r;
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", from);
    enrolment->host_id = 0;
    r = insert_row(connection, name, enrolment, error);
    if (r == 0)
        r = set_account(connection, enrolment, "vestige_agent", false, error);
    if (r < 0 && enrolment->host_id)
        remove_row(connection, enrolment);
    return r;
}

static int find_row(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "look the host up",
                           "SELECT host_id, account FROM enrolment"
                           " WHERE name = '%s' AND revoked_at IS NULL",
                           name);
    if (r < 0)
        return r;
    MYSQL_ROW row = mysql_fetch_row(result);
    const char *at = row ? strchr(row[1], '@') : NULL;
    if (!at)
        return error_set(error, -ENOENT, "host %s is not enrolled; see `vestige client list`",
                         name);
    enrolment->host_id = strtoull(row[0], NULL, 10);
    snprintf(enrolment->user, sizeof(enrolment->user), "agent_%" PRIu64, enrolment->host_id);
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", at + 1);
    return check_from(enrolment->from, error);
}

int enrolment_renew(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    struct error_text *error)
{
    int r = check_word("name of a host", name, LETTERS "._-", NAME_MOST, error);
    if (r == 0)
        r = find_row(connection, name, enrolment, error);
    if (r == 0)
        r = make_password(enrolment, error);
    if (r == 0)
        r = set_account(connection, enrolment, "vestige_agent", true, error);
    return r;
}

int enrolment_reader_create(MYSQL *connection, const char *user, const char *from,
                            struct enrolment *enrolment, struct error_text *error)
{
    int r = check_word("name of an account", user, LETTERS "_", 79, error);
    if (r == 0 && !strncmp(user, "agent_", 6))
        r = error_set(error, -EINVAL, "%s would be taken for an agent; choose another name", user);
    if (r == 0)
        r = check_from(from, error);
    if (r == 0)
        r = make_password(enrolment, error);
    if (r < 0)
        return r;
    enrolment->host_id = 0;
    snprintf(enrolment->user, sizeof(enrolment->user), "%s", user);
    snprintf(enrolment->from, sizeof(enrolment->from), "%s", from);
    return set_account(connection, enrolment, "vestige_reader", true, error);
}

/** A value between double quotes, with the escapes of option files. */
static void append_value(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "%s = \"", name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\')
            buffer_append_byte(text, '\\');
        buffer_append_byte(text, *c);
    }
    buffer_append_text(text, "\"\n");
}

static void append_account(struct buffer *text, const struct enrolment *enrolment,
                           const struct enrolment_server *server)
{
    buffer_printf(text, "user = %s\npassword = %s\n", enrolment->user, enrolment->password);
    if (server->socket)
        append_value(text, "socket", server->socket);
    else
        append_value(text, "host", server->host);
    if (server->port && !server->socket)
        buffer_printf(text, "port = %u\n", server->port);
}

static int write_all(int fd, const struct buffer *text)
{
    for (size_t done = 0; done < text->length;) {
        ssize_t n = write(fd, text->data + done, text->length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/** Written beside its place and renamed, so that a reader never sees half a file. */
static int write_file(const char *path, const struct buffer *text, struct error_text *error)
{
    char beside[4096];
    if (text->failed)
        return error_set(error, -ENOMEM, "cannot write %s: out of memory", path);
    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    unlink(beside);
    int fd AUTO_CLOSE = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : write_all(fd, text);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(beside);
        return error_set(error, r, "cannot write %s: %s", path, strerror(-r));
    }
    return 0;
}

static int check_place(const struct enrolment_server *server, struct error_text *error)
{
    const char *place = server->socket ? server->socket : server->host;
    for (const char *c = place; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '"' || *c == '\'' || *c == '#')
            return error_set(error, -EINVAL,
                             "%s cannot stand in an option file: it has a quote, a # or a control"
                             " character",
                             place);
    return 0;
}

int enrolment_write_options(const char *path, const struct enrolment *enrolment,
                            const struct enrolment_server *server, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = check_place(server, error);
    if (r < 0)
        return r;
    if (!enrolment->host_id) {
        buffer_append_text(&text, "# The account of a reader; for any MariaDB client:"
                                  " mariadb --defaults-file=THIS_FILE ");
        buffer_printf(&text, "%s\n[client]\n", server->database);
        append_account(&text, enrolment, server);
        buffer_append_text(&text,
                           "[mariadb-client]\ninit-command = \"SET time_zone = '+00:00'\"\n");
    }
    buffer_append_text(&text, "[vestige]\n");
    append_account(&text, enrolment, server);
    buffer_printf(&text, "database = %s\n", server->database);
    r = write_file(path, &text, error);
    OPENSSL_cleanse(text.data, text.length);
    return r;
}

int enrolment_write_configuration(const char *path, const char *name,
                                  const struct enrolment *enrolment, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_printf(
        &text, "# Host %s, as `vestige client enroll` made it.\n[agent]\nhost_id = %" PRIu64 "\n",
        name, enrolment->host_id);
    return write_file(path, &text, error);
}
