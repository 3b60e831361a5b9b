/* The thread is nice, and so are those that it starts. What fails is told once and tried again: the
 * server may just be starting anew. */
#include "reports/standalone/background_verifier.h"

#include "core/log.h"
#include "reports/server/administrator.h"
#include "reports/verify/verify_arrived.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVERY_SECONDS 10
#define LAST_SECONDS  5 /* that the end waits for what is left */
#define MEMORY        (64u << 20)

struct background_verifier {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_over;             /* under the mutex */
    _Atomic int64_t deadline; /* seconds; 0: none */
    bool told;
    struct options options;
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static int connect_administrator(MYSQL **mysqlp, void *user, struct error_text *error)
{
    return administrator_connect(mysqlp, user, error);
}

static bool goes_on(void *user)
{
    struct background_verifier *verifier = user;
    int64_t deadline = verifier->deadline;
    return deadline == 0 || now() < deadline;
}

static void verify(struct background_verifier *verifier)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct arrived arrived;
    const struct verify_options options = {.connect = connect_administrator,
                                           .user = &verifier->options,
                                           .goes_on = goes_on,
                                           .goes_on_user = verifier,
                                           .jobs = 1,
                                           .memory = MEMORY};
    int outcome = verify_arrived(&arrived, &options, &error);
    if (outcome && outcome != -ECONNREFUSED && outcome != -EBUSY && !verifier->told) {
        log_warning("verify", "%s; it is tried again every %d s", error.text, EVERY_SECONDS);
        verifier->told = true;
    }
    if (!outcome && arrived.n_failed)
        log_warning("verify",
                    "%llu batches are not as they were sealed; see vestige report findings",
                    (unsigned long long)arrived.n_failed);
}

static bool wait_for_next(struct background_verifier *verifier)
{
    struct timespec next;
    clock_gettime(CLOCK_REALTIME, &next);
    next.tv_sec += EVERY_SECONDS;
    pthread_mutex_lock(&verifier->mutex);
    while (!verifier->is_over &&
           pthread_cond_timedwait(&verifier->changed, &verifier->mutex, &next) == 0)
        continue;
    bool is_over = verifier->is_over;
    pthread_mutex_unlock(&verifier->mutex);
    return !is_over;
}

static void *run(void *user)
{
    struct background_verifier *verifier = user;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
    mysql_thread_init();
    do
        verify(verifier);
    while (wait_for_next(verifier));
    verify(verifier); /* what came last */
    mysql_thread_end();
    return NULL;
}

int background_verifier_start(struct background_verifier **verifierp, const char *state,
                              struct error_text *error)
{
    struct background_verifier *verifier = calloc(1, sizeof(*verifier));
    if (!verifier)
        return error_set(error, -ENOMEM, "cannot verify in the background: out of memory");
    verifier->options.state_directory = state;
    pthread_mutex_init(&verifier->mutex, NULL);
    pthread_cond_init(&verifier->changed, NULL);
    int failed = pthread_create(&verifier->thread, NULL, run, verifier);
    if (failed) {
        free(verifier);
        return error_set(error, -failed, "cannot verify in the background: no thread");
    }
    *verifierp = verifier;
    return 0;
}

struct background_verifier *background_verifier_stop(struct background_verifier *verifier)
{
    if (!verifier)
        return NULL;
    verifier->deadline = now() + LAST_SECONDS;
    pthread_mutex_lock(&verifier->mutex);
    verifier->is_over = true;
    pthread_cond_signal(&verifier->changed);
    pthread_mutex_unlock(&verifier->mutex);
    pthread_join(verifier->thread, NULL);
    pthread_cond_destroy(&verifier->changed);
    pthread_mutex_destroy(&verifier->mutex);
    free(verifier);
    return NULL;
}
