/* Requests wait in a small array under a mutex. The thread wakes for them and twice a second to
 * look whether the passwd file is another one; it alone uses the cache. The cache says when the
 * switch may be asked again; what it has said is told once. */
#include "collectors/procfs/names_source.h"

#include "collectors/procfs/name_cache.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/file_state.h"
#include "core/log.h"

#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    QUEUE_BYTES = 64 << 10,
    REQUESTS_MOST = 256,
    CHECK_MS = 500,
    KEEP_S = 600,
    ABSENT_S = 60,
    SWITCH_BUFFER = 1 << 20,
    LINE_SIZE = 1 << 16,
    STOP_MS = 2000
};

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct name_cache *cache;
    struct counters *counters; /* may be NULL; the caller's, who may be gone after the stop */
    const char *passwd;
    struct stat passwd_status; /* as it was when it was read */
    bool passwd_lasting;       /* another state shows */
    unsigned keep_s, absent_s;
    bool left_behind;     /* its thread did not end */
    pthread_mutex_t lock; /* of what follows */
    uint32_t requests[REQUESTS_MOST];
    size_t n_requests;
};

static int put(struct source *source, struct buffer *message)
{
    int r = message->failed ? -ENOMEM
                            : message_queue_put(source->queue, MESSAGE_DATA, clock_boot_ns(),
                                                buffer_slice(message));
    buffer_deinit(message);
    return r;
}

static int post(struct source *source, uint32_t uid, enum user_name_origin origin, const char *name)
{
    struct buffer message = BUFFER_NULL;
    struct fact_user_name fact = {
        .uid = uid, .origin = origin, .name = name ? slice_text(name) : SLICE_NULL};
    names_message_append(&message, &fact);
    return put(source, &message);
}

static uint64_t after_seconds(unsigned seconds)
{
    return clock_boot_ns() + seconds * UINT64_C(1000000000);
}

static void count_unusable(const struct source *source)
{
    if (source->counters)
        counter_add(source->counters, COUNTER_USER_FIELDS_UNUSABLE, 1);
}

/* -- the switch -- */

static bool is_usable(const char *name)
{
    return name && name[0] != '\0' && strlen(name) <= NAMES_NAME_MOST;
}

static struct slice field(const struct source *source, const char *text)
{
    if (text && strlen(text) <= NAMES_TEXT_MOST)
        return slice_text(text);
    if (text)
        count_unusable(source);
    return SLICE_NULL;
}

static int post_entry(struct source *source, uint32_t uid, const struct passwd *entry)
{
    struct buffer message = BUFFER_NULL;
    struct fact_account fact = {.uid = uid,
                                .gid = entry->pw_gid,
                                .name = slice_text(entry->pw_name),
                                .gecos = field(source, entry->pw_gecos),
                                .home = field(source, entry->pw_dir),
                                .shell = field(source, entry->pw_shell)};
    names_message_append_entry(&message, &fact);
    return put(source, &message);
}

/* Remember, then tell. Of an error of the switch, or of a name that is none, nothing follows. */
static int take_answer(struct source *source, uint32_t uid, int error, const struct passwd *found)
{
    bool usable = found && is_usable(found->pw_name);
    int r = name_cache_put(source->cache, uid, usable ? found->pw_name : NULL,
                           after_seconds(usable ? source->keep_s : source->absent_s));
    if (r < 0)
        return r;
    if (usable)
        return post_entry(source, uid, found);
    if (found)
        count_unusable(source);
    return post(source, uid, error || found ? USER_AS_BEFORE : USER_OF_NOBODY, NULL);
}

/* Some modules say by an error that there is no such user (getpwnam(3)); others mean by these
 * errors that they could not ask. In doubt nothing is concluded. */
static int resolve(struct source *source, uint32_t uid)
{
    struct passwd entry, *found = NULL;
    for (size_t size = 1024; size <= SWITCH_BUFFER; size *= 2) {
        AUTO_FREE char *buffer = malloc(size);
        if (!buffer)
            return -ENOMEM;
        int error = getpwuid_r(uid, &entry, buffer, size, &found);
        if (source_thread_is_stopped(source->thread))
            return -ECANCELED; /* it may have been left behind */
        if (error != ERANGE)
            return take_answer(source, uid, error, error ? NULL : found);
    }
    count_unusable(source);
    return take_answer(source, uid, ERANGE, NULL);
}

/* -- the file -- */

/* The first line of a uid counts, as for getpwuid. */
static int take_entry(struct source *source, const struct passwd *entry)
{
    const struct name_cache_item *item = name_cache_find(source->cache, entry->pw_uid, 0);
    bool in_file = item && item->expires_ns == UINT64_MAX;
    if (in_file && item->fresh)
        return 0;
    bool same = in_file && item->name && !strcmp(item->name, entry->pw_name);
    int r = name_cache_put(source->cache, entry->pw_uid, entry->pw_name, UINT64_MAX);
    return r < 0 || same ? r : post(source, entry->pw_uid, USER_OF_FILE, entry->pw_name);
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

static int refresh(struct source *source)
{
    struct stat status;
    int64_t before_ns = file_state_clock_ns();
    if (stat(source->passwd, &status) < 0 ||
        (source->passwd_lasting && file_state_equal(&status, &source->passwd_status)))
        return 0;
    AUTO_FCLOSE FILE *file = fopen(source->passwd, "re");
    if (!file || fstat(fileno(file), &status) < 0)
        return 0;
    source->passwd_status = status;
    source->passwd_lasting = file_state_is_lasting(&status, before_ns, file_state_clock_ns());
    return read_passwd(source, file);
}

static int answer(struct source *source, uint32_t uid)
{
    const struct name_cache_item *item = name_cache_find(source->cache, uid, clock_boot_ns());
    if (!item)
        return resolve(source, uid);
    bool in_file = item->expires_ns == UINT64_MAX;
    return post(source, uid, in_file ? USER_OF_FILE : USER_AS_BEFORE, in_file ? item->name : NULL);
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

/* The queue is closed: whenever the switch answers, the thread finds nobody to tell. */
static void stop_thread(struct source *source)
{
    if (source->left_behind || source_thread_stop_within(source->thread, STOP_MS))
        return;
    source->left_behind = true;
    log_warning("names", "the name service switch does not answer; its thread is left behind");
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        if (source->thread)
            stop_thread(source);
        if (source->left_behind)
            return NULL;
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
    source->counters = options->counters;
    source->passwd = passwd;
    source->keep_s = options->user_keep_s ? options->user_keep_s : KEEP_S;
    source->absent_s = options->user_absent_s ? options->user_absent_s : ABSENT_S;
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
    stop_thread(source);
}

/* The decoder keeps nothing between messages. */
const struct source_ops names_source_ops = {
    .id = SOURCE_NAMES,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = names_decode,
    .decoder_free = decoder_none_free,
};
