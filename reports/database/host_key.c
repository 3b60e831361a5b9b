/* The row of a host's enrolment is locked first, so that two who give it a key at once come one
 * after the other. */
#include "reports/database/host_key.h"

#include "core/cleanup.h"
#include "core/hex.h"

#include <inttypes.h>
#include <string.h>

void host_key_hex(const uint8_t public_key[PUBLIC_KEY_SIZE], char hex[2 * PUBLIC_KEY_SIZE + 1])
{
    hex_text(hex, public_key, PUBLIC_KEY_SIZE);
}

int host_key_list(MYSQL *connection, uint64_t host_id, struct buffer *keys,
                  struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "read the keys of the host",
                           "SELECT number, public_key, retired_at IS NOT NULL,"
                           " revoked_at IS NOT NULL FROM host_key WHERE host_id = %" PRIu64
                           " ORDER BY number",
                           host_id);
    if (r < 0)
        return r;
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        struct host_key key = {.number = strtoull(row[0], NULL, 10),
                               .retired = row[2][0] == '1',
                               .revoked = row[3][0] == '1'};
        if (mysql_fetch_lengths(result)[1] != PUBLIC_KEY_SIZE)
            return error_set(error, -EIO, "the server gives a key of the wrong size");
        memcpy(key.public_key, row[1], PUBLIC_KEY_SIZE);
        buffer_append(keys, &key, sizeof(key));
    }
    return keys->failed ? error_set(error, -ENOMEM, "out of memory") : 0;
}

static int lock_host(MYSQL *connection, uint64_t host_id, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r =
        database_query(connection, &result, error, "look the host up",
                       "SELECT 1 FROM enrolment WHERE host_id = %" PRIu64 " FOR UPDATE", host_id);
    if (r < 0 || mysql_num_rows(result))
        return r;
    return error_set(error, -ENOENT, "host_id %" PRIu64 " is not enrolled", host_id);
}

/** Whether it is the host's key already, and the last one. */
static int is_current(MYSQL *connection, uint64_t host_id,
                      const uint8_t public_key[PUBLIC_KEY_SIZE], bool *is, struct error_text *error)
{
    struct buffer list CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = host_key_list(connection, host_id, &list, error);
    size_t n = list.length / sizeof(struct host_key);
    *is = false;
    if (r < 0 || n == 0)
        return r;
    const struct host_key *last = (const struct host_key *)(const void *)list.data + (n - 1);
    *is = !last->retired && !last->revoked &&
          memcmp(last->public_key, public_key, PUBLIC_KEY_SIZE) == 0;
    return 0;
}

static int insert(MYSQL *connection, uint64_t host_id, const uint8_t public_key[PUBLIC_KEY_SIZE],
                  struct error_text *error)
{
    char hex[2 * PUBLIC_KEY_SIZE + 1];
    host_key_hex(public_key, hex);
    int r =
        database_run(connection, error, "retire the key before",
                     "UPDATE host_key SET retired_at = UTC_TIMESTAMP(6) WHERE host_id = %" PRIu64
                     " AND retired_at IS NULL AND revoked_at IS NULL",
                     host_id);
    if (r == 0)
        r = database_run(connection, error, "keep the host's public key",
                         "INSERT INTO host_key (host_id, number, public_key, created_by)"
                         " SELECT %" PRIu64 ", COALESCE(MAX(number), 0) + 1, X'%s', CURRENT_USER()"
                         " FROM host_key WHERE host_id = %" PRIu64,
                         host_id, hex, host_id);
    if (r == -EEXIST)
        error_set(error, r,
                  "the public key %s was used before, by this host or by another one; make a new"
                  " key",
                  hex);
    return r;
}

int host_key_add(MYSQL *connection, uint64_t host_id, const uint8_t public_key[PUBLIC_KEY_SIZE],
                 struct error_text *error)
{
    bool done = false;
    int r = database_run(connection, error, "begin a transaction", "START TRANSACTION");
    if (r == 0)
        r = lock_host(connection, host_id, error);
    if (r == 0)
        r = is_current(connection, host_id, public_key, &done, error);
    if (r == 0 && !done)
        r = insert(connection, host_id, public_key, error);
    if (r == 0)
        r = database_run(connection, error, "keep the host's public key", "COMMIT");
    else
        mysql_rollback(connection);
    return r;
}

int host_key_revoke(MYSQL *connection, uint64_t host_id, struct error_text *error)
{
    return database_run(connection, error, "revoke the keys of the host",
                        "UPDATE host_key SET revoked_at = UTC_TIMESTAMP(6) WHERE host_id = %" PRIu64
                        " AND revoked_at IS NULL",
                        host_id);
}
