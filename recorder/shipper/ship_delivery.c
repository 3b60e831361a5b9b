/*
 * A connection that failed in any way is closed: the next attempt begins with a clean session, new
 * privileges and statements that fit the schema. When COMMIT was not answered nobody knows whether
 * the batch is in; the next attempt finds out by the seal, and what had been counted is kept until
 * then. Lost connections are not made again here: who calls waits, so that a fleet whose server is
 * restarted does not come back all at once.
 *
 * The server ends transactions of agents that are older than half a minute. A burst that a thin
 * line does not carry in that time would be sent again for ever, and hold up all behind it: when a
 * connection was lost after seconds of sending, the next ones are compressed.
 */
#include "recorder/shipper/ship_delivery.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define ATTEMPTS    5  /* at one batch, after deadlocks */
#define ATTEMPT_MS  20 /* at most this times the number of the attempt, between two */
#define CLOCK_MS    30000
#define SLOW_MS     5000
#define READINGS    10 /* of a file that the disk does not give, before it is passed over */
#define MILLISECOND 1000000L

DEFINE_CLEANUP(cleanup_reader, struct batch_reader, batch_reader_free);

int ship_delivery_init(struct ship_delivery *delivery, const char *defaults_file, uint64_t host_id,
                       unsigned schema_version)
{
    *delivery = (struct ship_delivery){.defaults_file = defaults_file,
                                       .host_id = host_id,
                                       .schema_version = schema_version,
                                       .clock_ms = CLOCK_MS,
                                       .lock = PTHREAD_MUTEX_INITIALIZER,
                                       .socket = -1};
    return ship_batch_new(&delivery->batch);
}

static void set_socket(struct ship_delivery *delivery, int fd)
{
    pthread_mutex_lock(&delivery->lock);
    delivery->socket = fd;
    if (fd >= 0 && delivery->aborted)
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&delivery->lock);
}

static bool is_aborted(struct ship_delivery *delivery)
{
    pthread_mutex_lock(&delivery->lock);
    bool aborted = delivery->aborted;
    pthread_mutex_unlock(&delivery->lock);
    return aborted;
}

void ship_delivery_disconnect(struct ship_delivery *delivery)
{
    set_socket(delivery, -1);
    delivery->statements = ship_statement_free(delivery->statements);
    ship_connection_close(&delivery->connection);
}

void ship_delivery_deinit(struct ship_delivery *delivery)
{
    ship_delivery_disconnect(delivery);
    delivery->batch = ship_batch_free(delivery->batch);
    pthread_mutex_destroy(&delivery->lock);
}

void ship_delivery_abort(struct ship_delivery *delivery)
{
    pthread_mutex_lock(&delivery->lock);
    delivery->aborted = true;
    if (delivery->socket >= 0)
        shutdown(delivery->socket, SHUT_RDWR);
    pthread_mutex_unlock(&delivery->lock);
}

bool ship_delivery_connected(const struct ship_delivery *delivery)
{
    return delivery->connection.mysql != NULL;
}

enum ship_delivery_outcome ship_delivery_connect(struct ship_delivery *delivery,
                                                 struct ship_error *error)
{
    if (ship_delivery_connected(delivery))
        return SHIP_DELIVERED;
    if (is_aborted(delivery)) {
        ship_error_set(error, SHIP_FAILED, "the agent is ending");
        return SHIP_UNDELIVERED;
    }
    if (ship_connection_open(&delivery->connection, delivery->defaults_file,
                             delivery->schema_version, delivery->is_slow, error) != SHIP_OK)
        return SHIP_UNDELIVERED;
    set_socket(delivery, (int)mysql_get_socket(delivery->connection.mysql));
    if (ship_statement_new(&delivery->statements, &delivery->connection, delivery->host_id) == 0)
        return SHIP_DELIVERED;
    ship_delivery_disconnect(delivery);
    ship_error_set(error, SHIP_FAILED, "not enough memory for a connection");
    return SHIP_UNDELIVERED;
}

enum ship_delivery_outcome ship_delivery_ping(struct ship_delivery *delivery,
                                              struct ship_error *error)
{
    enum ship_answer answer = ship_connection_ping(&delivery->connection, error);
    if (answer == SHIP_OK)
        return SHIP_DELIVERED;
    ship_delivery_disconnect(delivery);
    return answer == SHIP_LOST ? SHIP_CUT_OFF : SHIP_UNDELIVERED;
}

static void pause_at_random(unsigned most_ms)
{
    unsigned random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = (unsigned)time(NULL);
    struct timespec pause = {.tv_nsec = (long)(random % most_ms + 1) * MILLISECOND};
    nanosleep(&pause, NULL);
}

/** Whether to try again at once. A lock that was not to be had has cost seconds
 *  already, and has to be seen in the status. */
static bool may_repeat(enum ship_answer answer, const struct ship_error *error, unsigned attempt)
{
    if (answer != SHIP_TRY_AGAIN || error->number == ER_LOCK_WAIT_TIMEOUT || attempt >= ATTEMPTS)
        return false;
    pause_at_random(attempt * ATTEMPT_MS);
    return true;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)(now.tv_nsec / MILLISECOND);
}

static void note_loss(struct ship_delivery *delivery, uint64_t number, uint64_t began_ms)
{
    uint64_t took_ms = now_ms() - began_ms;
    if (took_ms < SLOW_MS || delivery->is_slow)
        return;
    delivery->is_slow = true;
    log_notice("shipper",
               "the connection was lost after %" PRIu64 " s of batch %" PRIu64
               ": what is sent is compressed from now on",
               took_ms / 1000, number);
}

static void settle_uncertainty(struct ship_delivery *delivery, uint64_t number,
                               struct ship_receipt *receipt)
{
    bool known = delivery->uncertain == number;
    receipt->counted = !receipt->result.already || known;
    if (receipt->result.already && known) {
        receipt->result = delivery->uncertain_result;
        receipt->result.already = true;
    }
    delivery->uncertain = 0;
}

static enum ship_delivery_outcome transmit(struct ship_delivery *delivery, uint64_t number,
                                           struct batch_reader *reader,
                                           struct ship_receipt *receipt, struct ship_error *error)
{
    for (unsigned attempt = 1;; attempt++) {
        uint64_t began_ms = now_ms();
        enum ship_answer answer =
            ship_connection_freshen(&delivery->connection, delivery->clock_ms, error);
        if (answer == SHIP_OK)
            answer = ship_batch_send(delivery->batch, &delivery->connection, delivery->statements,
                                     reader, &receipt->result, error);
        if (answer == SHIP_OK) {
            settle_uncertainty(delivery, number, receipt);
            return SHIP_DELIVERED;
        }
        if (receipt->result.uncertain) {
            delivery->uncertain = number;
            delivery->uncertain_result = receipt->result;
        }
        if (may_repeat(answer, error, attempt))
            continue;
        ship_delivery_disconnect(delivery);
        if (answer != SHIP_LOST)
            return SHIP_UNDELIVERED;
        note_loss(delivery, number, began_ms);
        return SHIP_CUT_OFF;
    }
}

/** A batch of another host cannot be sent with this one's credentials, and is not to be lost. */
static enum ship_delivery_outcome check_header(const struct ship_delivery *delivery,
                                               uint64_t number, const struct batch_header *header,
                                               const char *path, struct ship_error *error)
{
    if (header->kind != BATCH_SEALED || header->batch != number) {
        ship_error_set(error, SHIP_FAILED, "%s is not batch %" PRIu64, path, number);
        return SHIP_DAMAGED;
    }
    if (header->host_id == delivery->host_id)
        return SHIP_DELIVERED;
    ship_error_set(error, SHIP_FAILED,
                   "%s is of host %" PRIu64 ", this agent is host %" PRIu64
                   ": ship it with the credentials of that host, or move it away",
                   path, header->host_id, delivery->host_id);
    return SHIP_UNDELIVERED;
}

/** A disk that fails may come back, so a file is passed over only when it could not be read for
 *  several attempts. */
static enum ship_delivery_outcome outcome_of_disk(struct ship_delivery *delivery, uint64_t number)
{
    delivery->n_unread = delivery->unread == number ? delivery->n_unread + 1 : 1;
    delivery->unread = number;
    return delivery->n_unread < READINGS ? SHIP_UNDELIVERED : SHIP_DAMAGED;
}

static enum ship_delivery_outcome outcome_of_file(struct ship_delivery *delivery, uint64_t number,
                                                  int r)
{
    switch (r) {
    case 0:
        return SHIP_DELIVERED;
    case -EBADMSG:
    case -ENOENT:
    case -EINVAL:
        return SHIP_DAMAGED;
    case -EIO:
        return outcome_of_disk(delivery, number);
    default:
        return SHIP_UNDELIVERED;
    }
}

static enum ship_delivery_outcome open_batch(struct ship_delivery *delivery, uint64_t number,
                                             const char *path, struct batch_reader **readerp,
                                             struct ship_receipt *receipt, struct ship_error *error)
{
    int r = batch_reader_open(readerp, path, &error->text);
    if (r != 0)
        return outcome_of_file(delivery, number, r);
    const struct batch_header *header = batch_reader_header(*readerp);
    receipt->n_lines = header->n_lines;
    receipt->first_us = header->first_us;
    receipt->last_us = header->last_us;
    enum ship_delivery_outcome outcome = check_header(delivery, number, header, path, error);
    if (outcome != SHIP_DELIVERED)
        return outcome;
    return outcome_of_file(delivery, number,
                           ship_batch_load(delivery->batch, *readerp, &error->text));
}

enum ship_delivery_outcome ship_delivery_send(struct ship_delivery *delivery, uint64_t number,
                                              const char *path, struct ship_receipt *receipt,
                                              struct ship_error *error)
{
    struct batch_reader *reader CLEANUP(cleanup_reader) = NULL;
    *receipt = (struct ship_receipt){0};
    error->number = 0;
    enum ship_delivery_outcome outcome =
        open_batch(delivery, number, path, &reader, receipt, error);
    return outcome == SHIP_DELIVERED ? transmit(delivery, number, reader, receipt, error) : outcome;
}
