/*
 * A row is updated and none inserted: a fleet that is only alive does not grow the database. The
 * row is made by the server when the host is enrolled. A refusal is no failure of shipping: it is
 * told once, and tried again with the next sign.
 */
#include "recorder/shipper/ship_alive.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SUBSYSTEM "shipper"

static const char sql[] = "UPDATE host_alive SET boot_id = ?, agent_version = ?, agent_run = ?,"
                          " beat = ?, batches_waiting = ?, journal_bytes = ?,"
                          " journal_limit_bytes = ?, waiting_us = ?, journal_full = ?, gaps = ?,"
                          " server_offset_us = ?";
enum { N_PARAMETERS = 11 };

DEFINE_CLEANUP(cleanup_statement, MYSQL_STMT, mysql_stmt_close);

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t any_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number))
        return number;
    return (uint64_t)now_ms();
}

void ship_alive_init(struct ship_alive *alive, const char *boot_id, unsigned every_ms)
{
    *alive = (struct ship_alive){.boot_id = boot_id, .every_ms = every_ms, .run = any_number()};
}

bool ship_alive_due(const struct ship_alive *alive)
{
    return alive->boot_id && now_ms() >= alive->due_ms;
}

/** A sixth of the time is left to chance, so that a fleet does not beat as one. */
static void set_due(struct ship_alive *alive)
{
    alive->due_ms =
        now_ms() + alive->every_ms - (int64_t)(any_number() % (alive->every_ms / 6 + 1));
}

static void bind_text(MYSQL_BIND *bind, const char *text)
{
    bind->buffer_type = MYSQL_TYPE_STRING;
    bind->buffer = (void *)(uintptr_t)text;
    bind->buffer_length = strlen(text);
}

static void bind_number(MYSQL_BIND *bind, void *number, bool is_unsigned)
{
    bind->buffer_type = MYSQL_TYPE_LONGLONG;
    bind->is_unsigned = is_unsigned;
    bind->buffer = number;
}

static enum ship_answer execute(struct ship_alive *alive, struct ship_connection *connection,
                                const struct ship_alive_state *state, struct ship_error *error)
{
    MYSQL_STMT *statement CLEANUP(cleanup_statement) = NULL;
    MYSQL_BIND binds[N_PARAMETERS] = {0};
    uint64_t numbers[] = {alive->run,
                          ++alive->beat,
                          state->batches_waiting,
                          state->journal_bytes,
                          state->journal_limit_bytes,
                          state->waiting_us,
                          state->journal_full,
                          state->gaps};
    int64_t offset = ship_connection_offset(connection->server_boot_us);
    bind_text(&binds[0], alive->boot_id);
    bind_text(&binds[1], VESTIGE_VERSION);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        bind_number(&binds[2 + i], &numbers[i], true);
    bind_number(&binds[N_PARAMETERS - 1], &offset, false);
    enum ship_answer answer =
        ship_connection_prepare(connection, slice_text(sql), &statement, error);
    if (answer != SHIP_OK)
        return answer;
    return mysql_stmt_bind_param(statement, binds) != 0 || mysql_stmt_execute(statement) != 0
               ? ship_connection_statement_error(statement, error)
               : SHIP_OK;
}

static void tell_refusal(struct ship_alive *alive, const struct ship_error *error)
{
    if (!alive->refused)
        log_warning(SUBSYSTEM, "the server takes no signs of life from this host: %s",
                    error->text.text);
    alive->refused = true;
}

enum ship_answer ship_alive_send(struct ship_alive *alive, struct ship_connection *connection,
                                 const struct ship_alive_state *state, struct ship_error *error)
{
    enum ship_answer answer = ship_connection_ping(connection, error);
    set_due(alive);
    if (answer != SHIP_OK)
        return answer == SHIP_LOST ? SHIP_LOST : SHIP_OK;
    answer = execute(alive, connection, state, error);
    if (answer == SHIP_OK)
        alive->refused = false;
    else if (answer != SHIP_LOST)
        tell_refusal(alive, error);
    return answer == SHIP_LOST ? SHIP_LOST : SHIP_OK;
}
