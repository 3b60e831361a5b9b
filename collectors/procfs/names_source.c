/* Requests wait in a small array under a mutex. The thread wakes for them and twice a second to
 * look whether the passwd file is another one; it alone uses the cache. A name of the switch is
 * believed for ten minutes, that there is none for one. */
#include "collectors/procfs/names_source.h"

#include "collectors/procfs/message_queue.h"
#include "collectors/procfs/name_cache.h"
#include "collectors/procfs/source_thread.h"
#include "core/bounded_reader.h"
#include "core/buffer.h"
#include "core/cleanup.h"

#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    QUEUE_BYTES = 64 << 10,
    REQUESTS_MOST = 256,
    CHECK_MS = 500,
    POSITIVE_S = 600,
    NEGATIVE_S = 60,
    SWITCH_BUFFER = 1 << 20,
    LINE_SIZE = 1 << 16
};

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct name_cache *cache;
    const char *passwd;
    struct stat passwd_status;
    pthread_mutex_t lock; /* of what follows */
    uint32_t requests[REQUESTS_MOST];
    size_t n_requests;
};

static int post(struct source *source, uint32_t uid, const char *name)
{
    struct buffer message = BUFFER_NULL;
    buffer_append(&message, &uid, sizeof(uid));
    buffer_append_byte(&message, name != NULL);
    buffer_append_text(&message, name ? name : "");
    int r = message.failed ? -ENOMEM
                           : message_queue_put(source->queue, MESSAGE_DATA, clock_boot_ns(),
                                               buffer_slice(&message));
    buffer_deinit(&message);
    return r;
}

static uint64_t after_seconds(unsigned seconds)
{
    return clock_boot_ns() + seconds * UINT64_C(1000000000);
}

static int lookup_switch(uint32_t uid, char **namep)
{
    struct passwd entry, *found = NULL;
    int r = ERANGE;
    *namep = NULL;
    for (size_t size = 1024; r == ERANGE && size <= SWITCH_BUFFER; size *= 2) {
        AUTO_FREE char *buffer = malloc(size);
        if (!buffer)
            return -ENOMEM;
        r = getpwuid_r(uid, &entry, buffer, size, &found);
        if (r == 0 && found && !(*namep = strdup(found->pw_name)))
            return -ENOMEM;
    }
    return 0;
}

/* Ask the switch, remember, post. */
static int resolve(struct source *source, uint32_t uid)
{
    AUTO_FREE char *name = NULL;
    int r = lookup_switch(uid, &name);
    if (r == 0)
        r = name_cache_put(source->cache, uid, name, after_seconds(name ? POSITIVE_S : NEGATIVE_S));
    return r < 0 ? r : post(source, uid, name);
}

/* The first line of a uid counts, as for getpwuid. */
static int take_entry(struct source *source, const struct passwd *entry)
{
    const struct name_cache_item *item = name_cache_find(source->cache, entry->pw_uid, 0);
    bool in_file = item && item->expires_ns == UINT64_MAX;
    if (in_file && item->fresh)
        return 0;
    bool same = item && item->name && !strcmp(item->name, entry->pw_name);
    int r = name_cache_put(source->cache, entry->pw_uid, entry->pw_name, UINT64_MAX);
    return r < 0 || same ? r : post(source, entry->pw_uid, entry->pw_name);
}

static int read_passwd(struct source *source, FILE *file)
{
    AUTO_FREE char *line = malloc(LINE_SIZE);
    struct passwd entry, *found;
    int r = line ? 0 : -ENOMEM;
    name_cache_age(source->cache);
    while (r == 0 && fgetpwent_r(file, &entry, line, LINE_SIZE, &found) == 0)
        if (entry.pw_name[0] != '\0' && entry.pw_name[0] != '+' && entry.pw_name[0] != '-')
            r = take_entry(source, &entry);
    uint32_t uid;
    while (r == 0 && name_cache_take_old(source->cache, &uid))
        r = resolve(source, uid);
    return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int refresh(struct source *source)
{
    struct stat status;
    if (stat(source->passwd, &status) < 0 || same_file(&status, &source->passwd_status))
        return 0;
    AUTO_FCLOSE FILE *file = fopen(source->passwd, "re");
    if (!file || fstat(fileno(file), &status) < 0)
        return 0;
    source->passwd_status = status;
    return read_passwd(source, file);
}

static int answer(struct source *source, uint32_t uid)
{
    const struct name_cache_item *item = name_cache_find(source->cache, uid, clock_boot_ns());
    return item ? post(source, uid, item->name) : resolve(source, uid);
}

static bool next_request(struct source *source, uint32_t *uid)
{
    pthread_mutex_lock(&source->lock);
    bool any = source->n_requests > 0;
    if (any) {
        *uid = source->requests[0];
        source->n_requests--;
        memmove(source->requests, source->requests + 1,
                source->n_requests * sizeof(source->requests[0]));
    }
    pthread_mutex_unlock(&source->lock);
    return any;
}

static void run(void *user)
{
    struct source *source = user;
    bool requested;
    do {
        uint32_t uid;
        int r = refresh(source); /* also when it was woken by a request */
        while (r != -ECANCELED && next_request(source, &uid))
            r = answer(source, uid);
        if (r == -ECANCELED)
            return;
    } while (source_thread_wait(source->thread, CHECK_MS, &requested));
}

bool names_request(struct source *source, uint32_t uid)
{
    pthread_mutex_lock(&source->lock);
    size_t at = 0;
    while (at < source->n_requests && source->requests[at] != uid)
        at++;
    bool room = at < REQUESTS_MOST;
    if (room && at == source->n_requests)
        source->requests[source->n_requests++] = uid;
    pthread_mutex_unlock(&source->lock);
    if (room)
        source_thread_request(source->thread);
    return room;
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        message_queue_free(source->queue);
        name_cache_free(source->cache);
        pthread_mutex_destroy(&source->lock);
        free(source);
    }
    return NULL;
}

int names_source_open(struct source **sourcep, const struct source_options *options,
                      const char *passwd, struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return -ENOMEM;
    struct message_queue_options queue = {.source = SOURCE_NAMES,
                                          .capacity = QUEUE_BYTES,
                                          .wake_fd = options->wake_fd,
                                          .counters = options->counters};
    source->passwd = passwd;
    pthread_mutex_init(&source->lock, NULL);
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = name_cache_new(&source->cache);
    if (r == 0)
        r = source_thread_new(&source->thread, "names", run, source, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    return names_source_open(sourcep, options, "/etc/passwd", error);
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

static void source_stop(struct source *source)
{
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

/* The decoder keeps nothing between messages. */
static int decoder_new(struct decoder **decoderp)
{
    *decoderp = NULL;
    return 0;
}

static struct decoder *decoder_free(struct decoder *decoder)
{
    return decoder;
}

int names_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                 void *user)
{
    (void)decoder;
    if (message->kind != MESSAGE_DATA)
        return 0;
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    struct fact fact = {
        .kind = FACT_USER_NAME, .source = message->source, .boot_ns = message->boot_ns};
    fact.user_name.uid = bounded_reader_u32(&reader);
    uint8_t is_known = bounded_reader_u8(&reader);
    struct slice name = bounded_reader_bytes(&reader, reader.left);
    if (reader.failed || is_known > 1 || (is_known == 1) != (name.length > 0))
        return -EBADMSG;
    fact.user_name.name = is_known ? name : SLICE_NULL;
    handler(user, &fact);
    return 0;
}

const struct source_ops names_source_ops = {
    .id = SOURCE_NAMES,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_new,
    .decode = names_decode,
    .decoder_free = decoder_free,
};
