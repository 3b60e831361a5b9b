/* The text that is hashed is made here anew from what the table has, as 0032_reading.sql made it:
 * the former hash, then each column as its length and its bytes. Rows are read as the server sends
 * them, so that a log of any length is checked in bounded memory. */
#include "reports/evidence/reading.h"

#include "core/cleanup.h"
#include "core/evidence_text.h"
#include "core/hex.h"
#include "core/log.h"
#include "reports/database/statement.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUBSYSTEM "reading"
enum { HASH_SIZE = 32, N_HASHED = 18 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- who asks --- */

static void append_user_name(struct buffer *to, uid_t uid)
{
    const struct passwd *user = getpwuid(uid);
    if (user)
        buffer_append_text(to, user->pw_name);
    else
        buffer_printf(to, "%u", uid);
}

/* The user who logged in, whatever su or sudo came later; false: none did. */
static bool read_login_uid(uid_t *uid)
{
    char text[16] = "";
    int fd AUTO_CLOSE = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return false;
    *uid = (uid_t)strtoul(text, NULL, 10);
    return *uid != (uid_t)-1;
}

/* "root, logged in as alice" */
static void append_os_user(struct buffer *to)
{
    uid_t login;
    append_user_name(to, getuid());
    if (read_login_uid(&login) && login != getuid()) {
        buffer_append_text(to, ", logged in as ");
        append_user_name(to, login);
    }
}

static void append_words(struct buffer *to, const struct options *options)
{
    for (int i = 0; i < options->n_words; i++) {
        struct buffer quoted = BUFFER_NULL;
        evidence_quote_append(&quoted, slice_text(options->words[i]));
        if (i)
            buffer_append_byte(to, ' ');
        evidence_text_append(to, buffer_slice(&quoted));
        buffer_deinit(&quoted);
    }
}

/* --- writing --- */

static bool is_required(MYSQL *mysql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text ignored = ERROR_TEXT_NULL;
    if (database_query(mysql, &result, &ignored, "look whether the log is required",
                       "SELECT value FROM watch_setting WHERE name = 'reading_required'"
                       " AND host_id = 0"))
        return false;
    MYSQL_ROW row = mysql_fetch_row(result);
    return row && row[0] && strcmp(row[0], "0") != 0;
}

static struct statement_value text_value(const char *name, struct buffer *buffer, const char *text)
{
    if (!text)
        return (struct statement_value){.name = name, .kind = STATEMENT_NULL};
    evidence_text_append(buffer, slice_text(text));
    return (struct statement_value){
        .name = name, .kind = STATEMENT_TEXT, .text = buffer_slice(buffer)};
}

static struct statement_value moment_value(const char *name, bool has, int64_t us)
{
    return (struct statement_value){
        .name = name, .kind = has ? STATEMENT_MOMENT : STATEMENT_NULL, .us = us};
}

static int write_question(struct reading *reading, const struct options *options,
                          const char *question, struct error_text *error)
{
    static const char sql[] = "CALL vestige_read_begin(:os_user, :os_host, :command, :words,"
                              " :question, :on_host, :login_user, :since, :until,"
                              " @vestige_reading)";
    struct buffer user = BUFFER_NULL, words = BUFFER_NULL, texts[5] = {{0}};
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    append_os_user(&user);
    append_words(&words, options);
    const struct statement_value values[] = {
        {.name = "os_user", .kind = STATEMENT_TEXT, .text = buffer_slice(&user) },
        text_value("os_host", &texts[0], host),
        text_value("command", &texts[1], options->n_words ? options->words[0] : ""),
        {.name = "words",   .kind = STATEMENT_TEXT, .text = buffer_slice(&words)},
        text_value("question", &texts[2], question),
        text_value("on_host", &texts[3], options->on),
        text_value("login_user", &texts[4], options->login_user),
        moment_value("since", options->has_since, options->since_us),
        moment_value("until", options->has_until, options->until_us),
    };
    bool failed = user.failed || words.failed;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        failed |= texts[i].failed;
    int outcome =
        failed ? error_set(error, -ENOMEM, "out of memory")
               : statement_do(reading->mysql, sql, values, sizeof(values) / sizeof(values[0]),
                              "write the log of readers", error);
    if (!outcome)
        outcome = database_query_number(reading->mysql, &reading->id, error,
                                        "write the log of readers", "SELECT @vestige_reading");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        buffer_deinit(&texts[i]);
    buffer_deinit(&words);
    buffer_deinit(&user);
    return outcome;
}

int reading_begin(struct reading *reading, MYSQL *mysql, const struct options *options,
                  const char *question, struct error_text *error)
{
    struct error_text reason = ERROR_TEXT_NULL;
    *reading = (struct reading){.mysql = mysql, .begin_ms = now_ms()};
    int outcome = write_question(reading, options, question, &reason);
    if (!outcome)
        return 0;
    if (is_required(mysql))
        return error_set(error, outcome,
                         "who asks what has to be kept here, and cannot be: %.300s; no answer is "
                         "given",
                         reason.text);
    log_warning(SUBSYSTEM, "this question is not in the log of readers: %s", reason.text);
    return 0;
}

void reading_end(struct reading *reading, const struct evidence_window *window, uint64_t n_rows,
                 int outcome)
{
    static const char sql[] =
        "CALL vestige_read_end(:id, :since, :until, :host_id, :n_rows, :ms, :outcome)";
    struct error_text reason = ERROR_TEXT_NULL;
    const char *word = outcome < 0 ? "error" : n_rows ? "rows" : "none";
    if (!reading->mysql || !reading->id)
        return;
    const struct statement_value values[] = {
        {.name = "id",      .kind = STATEMENT_NUMBER,                            .number = reading->id   },
        moment_value("since", window && window->has_since, window ? window->since_us : 0),
        moment_value("until", window && window->has_until, window ? window->until_us : 0),
        {.name = "host_id",
         .kind = window && window->has_host ? STATEMENT_NUMBER : STATEMENT_NULL,
         .number = window ? window->host_id : 0                                                          },
        {.name = "n_rows",  .kind = STATEMENT_NUMBER,                            .number = n_rows        },
        {.name = "ms",
         .kind = STATEMENT_NUMBER,
         .number = (uint64_t)(now_ms() - reading->begin_ms)                                              },
        {.name = "outcome", .kind = STATEMENT_TEXT,                              .text = slice_text(word)},
    };
    /* After an error the connection may be gone, and that error is the one to tell. */
    if (statement_do(reading->mysql, sql, values, sizeof(values) / sizeof(values[0]),
                     "write the log of readers", &reason) &&
        outcome >= 0)
        log_warning(SUBSYSTEM, "the end of this question is not in the log of readers: %s",
                    reason.text);
    reading->mysql = NULL;
}

/* --- checking --- */

struct check {
    reading_handler handler;
    void *user;
    uint64_t last_id;
    int64_t n_wrong;
    unsigned char last_hash[HASH_SIZE];
    struct buffer text;
};

static void tell(struct check *check, uint64_t id, const char *what)
{
    check->n_wrong++;
    if (check->handler)
        check->handler(check->user, id, what);
}

static void append_field(struct buffer *to, const char *value, unsigned long length)
{
    if (!value) {
        buffer_append_text(to, "-;");
        return;
    }
    buffer_printf(to, "%lu:", length);
    buffer_append(to, value, length);
    buffer_append_byte(to, ';');
}

static bool hash_row(struct check *check, MYSQL_ROW row, const unsigned long *lengths,
                     unsigned char hash[EVP_MAX_MD_SIZE])
{
    unsigned length = 0;
    buffer_clear(&check->text);
    hex_append(&check->text, (const unsigned char *)row[N_HASHED], HASH_SIZE);
    buffer_append_byte(&check->text, ';');
    for (size_t i = 0; i < N_HASHED; i++)
        append_field(&check->text, row[i], lengths[i]);
    return !check->text.failed &&
           EVP_Digest(check->text.data, check->text.length, hash, &length, EVP_sha256(), NULL);
}

/* A row that was taken out shows as a hole; behind one, the chain goes on from the row's own word.
 */
static int check_row(struct check *check, MYSQL_ROW row, const unsigned long *lengths)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    uint64_t id = strtoull(row[0], NULL, 10);
    if (lengths[N_HASHED] != HASH_SIZE || lengths[N_HASHED + 1] != HASH_SIZE)
        return -EBADMSG;
    if (!hash_row(check, row, lengths, hash))
        return -ENOMEM;
    for (uint64_t missing = check->last_id + 1; missing < id && missing < check->last_id + 1000;
         missing++)
        tell(check, missing, "the row is missing");
    if (memcmp(hash, row[N_HASHED + 1], HASH_SIZE) != 0)
        tell(check, id, "the row is not as it was written");
    else if (id == check->last_id + 1 && memcmp(row[N_HASHED], check->last_hash, HASH_SIZE) != 0)
        tell(check, id, "the row does not follow the one before");
    memcpy(check->last_hash, row[N_HASHED + 1], HASH_SIZE);
    check->last_id = id;
    return 0;
}

static int check_rows(struct check *check, MYSQL *mysql, uint64_t *n, struct error_text *error)
{
    static const char sql[] =
        "SELECT id, at, step, asked_id, account, os_user, os_host, command, words, question,"
        " on_host, login_user, since, until, host_id, n_rows, duration_ms, outcome, previous_hash,"
        " hash FROM reading ORDER BY id";
    int outcome = 0;
    if (mysql_real_query(mysql, sql, sizeof(sql) - 1))
        return database_error(mysql, error, "read the log of readers");
    MYSQL_RES *result AUTO_RESULT = mysql_use_result(mysql);
    if (!result)
        return database_error(mysql, error, "read the log of readers");
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        if (!outcome)
            outcome = check_row(check, row, mysql_fetch_lengths(result));
        ++*n;
    }
    if (mysql_errno(mysql))
        return database_error(mysql, error, "read the log of readers");
    return outcome ? error_set(error, outcome, "the log of readers cannot be checked") : 0;
}

/* Rows that were taken off the end show by the head, unless that was set back too. */
static int check_head(struct check *check, MYSQL *mysql, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(mysql, &result, error, "read the log of readers",
                                 "SELECT id, hash FROM reading_head WHERE one = 1");
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (outcome)
        return outcome;
    const unsigned long *lengths = row ? mysql_fetch_lengths(result) : NULL;
    uint64_t id = row ? strtoull(row[0], NULL, 10) : 0;
    for (uint64_t missing = check->last_id + 1; missing <= id && missing < check->last_id + 1000;
         missing++)
        tell(check, missing, "the row is missing");
    if (!row || lengths[1] != HASH_SIZE || id < check->last_id ||
        (id == check->last_id && memcmp(row[1], check->last_hash, HASH_SIZE) != 0))
        tell(check, id, "the head is not that of the last row");
    return 0;
}

int64_t reading_check(MYSQL *mysql, reading_handler handler, void *user, uint64_t *n, char head[65],
                      struct error_text *error)
{
    struct check check = {.handler = handler, .user = user};
    *n = 0;
    /* The head is read in the same view of the tables as the rows. */
    int outcome = database_run(mysql, error, "read the log of readers",
                               "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    if (!outcome)
        outcome = database_run(mysql, error, "read the log of readers",
                               "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
    if (outcome)
        return outcome;
    outcome = check_rows(&check, mysql, n, error);
    if (!outcome)
        outcome = check_head(&check, mysql, error);
    hex_text(head, check.last_hash, HASH_SIZE);
    buffer_deinit(&check.text);
    mysql_rollback(mysql);
    return outcome ? outcome : check.n_wrong;
}
