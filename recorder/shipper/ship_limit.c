/*
 * The library tells of each reading and writing. It exports the function for that, for its plugins,
 * without a header that declares it. It has one list for the process, so it is told once and for
 * ever, and each thread knows the connection that it means.
 */
#include "recorder/shipper/ship_limit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

typedef void (*transfer_function)(int mode, MYSQL *mysql, const unsigned char *bytes,
                                  size_t length);

extern int ma_pvio_register_callback(my_bool add, transfer_function function);

enum { TRANSFER_READ = 0 };

static _Thread_local struct {
    MYSQL *mysql;
    uint64_t n_bytes;
    int64_t since_ms;
    bool too_long, too_slow;
} answer;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void begin_answer(void)
{
    answer.n_bytes = 0;
    answer.since_ms = now_ms();
}

static void on_transfer(int mode, MYSQL *mysql, const unsigned char *bytes, size_t length)
{
    (void)bytes;
    if (!mysql || mysql != answer.mysql)
        return;
    if (mode != TRANSFER_READ) {
        begin_answer();
        return;
    }
    if ((ssize_t)length > 0)
        answer.n_bytes += length;
    answer.too_long |= answer.n_bytes > SHIP_ANSWER_MOST;
    answer.too_slow |= now_ms() - answer.since_ms > SHIP_ANSWER_MS;
    if (answer.too_long || answer.too_slow)
        shutdown((int)mysql_get_socket(mysql), SHUT_RDWR);
}

static void listen_to_library(void)
{
    ma_pvio_register_callback(1, on_transfer);
}

void ship_limit_watch(MYSQL *mysql)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, listen_to_library);
    answer.mysql = mysql;
    answer.too_long = answer.too_slow = false;
    begin_answer();
}

const char *ship_limit_words(void)
{
    return answer.too_long   ? "; its answer was longer than any of MariaDB's, and was not read"
           : answer.too_slow ? "; its answer took longer than two minutes, and was not waited for"
                             : "";
}
