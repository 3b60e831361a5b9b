/* Requests come through a queue under a mutex. The thread looks at each file at once, because a
 * short-lived process is soon gone, and answers when it knows the digest of that version. Else the
 * file waits to be read with others; they are read by turns, a slice in a time, so that a large one
 * does not hold up the small ones, and looks go on between slices. A file that became another
 * version meanwhile, as by its deletion, is looked at again where its process still shows it. */
#include "collectors/programs/programs_source.h"

#include "collectors/programs/program_reading.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/buffer.h"
#include "core/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    LOOKS_MOST = 3,
    QUEUE_BYTES = 64 << 10,
    CACHE_MOST = 8192,
    REQUESTS_MOST = 4096,
    READINGS_MOST = 64,
    IDLE_MS = 1000,
    SLICE_MS = 4,
    SLICE_BYTES = 256 << 10 /* with SLICE_MS: 64 MiB a second */
};

static const uint64_t largest_default = 256 << 20;

struct asked_program {
    STAILQ_ENTRY(asked_program) in_order;
    uint64_t number;
    uint32_t pid, root_pid;
    unsigned n_looks;
    /* Of the first look; of a later one at what the process shows. */
    uint64_t looked_ns, shown_ns;
    unsigned evidence;
    int64_t changed_ns;
    char path[];
};

STAILQ_HEAD(asked_list, asked_program);
TAILQ_HEAD(reading_list, program_reading);

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    uint64_t largest; /* bytes */
    /* Of the thread, once it runs: */
    struct program_cache *cache;
    struct reading_list readings;
    size_t n_readings;
    uint64_t next_slice_ns;

    pthread_mutex_t lock; /* of what follows */
    struct asked_list requests;
    size_t n_requests;
};

/* Waits for room. Fails only when the source is being stopped and nobody reads on. */
static void put(struct source *source, enum message_kind kind, uint64_t boot_ns, struct slice bytes)
{
    int r = message_queue_put(source->queue, kind, boot_ns, bytes);
    if (r < 0 && r != -ECANCELED)
        log_error("programs", "a message is lost: %s", strerror(-r));
}

static void post(struct source *source, uint64_t looked_ns, const struct fact_program *program)
{
    uint8_t message[PROGRAMS_MESSAGE_MOST];
    put(source, MESSAGE_DATA, looked_ns,
        slice_of(message, programs_message_write(message, program)));
}

/* The request is over. */
static void answer(struct source *source, struct asked_program *request,
                   const struct program_version *version, bool local, const uint8_t *digest)
{
    struct fact_program program = {.request = request->number,
                                   .known = true,
                                   .hashed = digest != NULL,
                                   .evidence = request->evidence,
                                   .size = version->size,
                                   .modified_real_ns = version->modified_ns,
                                   .changed_real_ns = local ? request->changed_ns : INT64_MAX,
                                   .shown_ns = digest ? request->shown_ns : 0};
    if (digest)
        memcpy(program.sha256, digest, sizeof(program.sha256));
    post(source, request->looked_ns, &program);
    free(request);
}

static bool join_reading(struct source *source, const struct program_file *file,
                         struct asked_program *request)
{
    struct program_reading *reading;
    TAILQ_FOREACH(reading, &source->readings, in_order)
    if (program_reading_join(reading, file, request))
        return true;
    return false;
}

static int begin_reading(struct source *source, const struct program_file *file,
                         struct asked_program *request)
{
    struct program_reading *reading;
    if (!file->local || file->version.size > source->largest)
        return -EFBIG;
    int r = program_reading_new(&reading, file, request);
    if (r < 0)
        return r;
    TAILQ_INSERT_TAIL(&source->readings, reading, in_order);
    source->n_readings++;
    return 0;
}

static void consider_file(struct source *source, const struct program_file *file,
                          struct asked_program *request)
{
    const uint8_t *digest = program_cache_find(source->cache, &file->version);
    if (digest)
        answer(source, request, &file->version, file->local, digest);
    else if (!join_reading(source, file, request) && begin_reading(source, file, request) < 0)
        answer(source, request, &file->version, file->local, NULL);
}

static void consider(struct source *source, struct asked_program *request)
{
    struct program_file file;
    int r = program_file_look(&file, request->pid, request->root_pid, request->path);
    request->n_looks = 1;
    request->looked_ns = file.looked_ns;
    request->evidence = file.evidence;
    request->changed_ns = file.version.changed_ns;
    if (r == 0) {
        consider_file(source, &file, request);
    } else {
        post(source, file.looked_ns, &(struct fact_program){.request = request->number});
        free(request);
    }
    program_file_deinit(&file);
}

static struct asked_program *take_request(struct source *source)
{
    pthread_mutex_lock(&source->lock);
    struct asked_program *request = STAILQ_FIRST(&source->requests);
    if (request) {
        STAILQ_REMOVE_HEAD(&source->requests, in_order);
        source->n_requests--;
    }
    pthread_mutex_unlock(&source->lock);
    return request;
}

static void take_requests(struct source *source)
{
    struct asked_program *request;
    while (source->n_readings < READINGS_MOST && (request = take_request(source))) {
        consider(source, request);
    }
}

static bool has_same_contents(const struct program_version *a, const struct program_version *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns;
}

/* Its inode was changed while it was read, as by deleting it as soon as it runs: whether the
 * process still shows it. What was found at the path is not known to be the same any more. */
static bool look_again(struct source *source, struct asked_program *request,
                       const struct program_version *version)
{
    struct program_file file;
    if (!(request->evidence & PROGRAM_OF_PROCESS) || request->n_looks >= LOOKS_MOST)
        return false;
    request->n_looks++;
    bool shown = program_file_look(&file, request->pid, 0, request->path) == 0 &&
                 has_same_contents(&file.version, version);
    if (shown) {
        request->shown_ns = file.looked_ns;
        consider_file(source, &file, request);
    }
    program_file_deinit(&file);
    return shown;
}

static void answer_askers(struct source *source, const struct program_reading *reading, int outcome,
                          const uint8_t *digest)
{
    for (size_t i = 0; i < reading->n_askers; i++)
        if (outcome != -ESTALE || !look_again(source, reading->askers[i], &reading->version))
            answer(source, reading->askers[i], &reading->version, reading->local,
                   outcome == READING_DONE ? digest : NULL);
}

/* The first reading goes on, and stands behind the others then. */
static void read_on(struct source *source, size_t *budget)
{
    struct program_reading *reading = TAILQ_FIRST(&source->readings);
    uint8_t digest[PROGRAM_DIGEST_SIZE];
    int r = program_reading_step(reading, budget, digest);
    if (r == READING_MORE) {
        TAILQ_REMOVE(&source->readings, reading, in_order);
        TAILQ_INSERT_TAIL(&source->readings, reading, in_order);
        return;
    }
    if (r == READING_DONE && program_reading_lasting(reading))
        program_cache_put(source->cache, &reading->version, digest);
    if (r == READING_DONE && source->counters)
        counter_add(source->counters, COUNTER_PROGRAMS_HASHED, 1);
    TAILQ_REMOVE(&source->readings, reading, in_order); /* nobody joins it any more */
    source->n_readings--;
    answer_askers(source, reading, r, digest);
    program_reading_free(reading);
}

static void read_slice(struct source *source)
{
    uint64_t now = clock_boot_ns();
    size_t budget = SLICE_BYTES;
    if (now < source->next_slice_ns)
        return;
    source->next_slice_ns = now + SLICE_MS * UINT64_C(1000000);
    while (budget > 0 && !TAILQ_EMPTY(&source->readings))
        read_on(source, &budget);
}

static void put_note(struct source *source)
{
    struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&note, "on\tsha256 of local files up to ");
    buffer_append_u64(&note, source->largest >> 20);
    buffer_append_text(&note, " MiB");
    if (!note.failed)
        put(source, MESSAGE_NOTE, clock_boot_ns(), buffer_slice(&note));
}

static void run(void *user)
{
    struct source *source = user;
    bool requested;
    put_note(source);
    do {
        take_requests(source);
        read_slice(source);
    } while (
        source_thread_wait(source->thread, source->n_readings ? SLICE_MS : IDLE_MS, &requested));
}

static struct asked_program *make_request(const struct program_request *wanted)
{
    struct asked_program *request = NULL;
    bool usable = wanted->path.length > 0 && wanted->path.length < PATH_MAX &&
                  wanted->path.data[0] == '/' &&
                  !memchr(wanted->path.data, '\0', wanted->path.length);
    if (usable)
        request = calloc(1, sizeof(*request) + wanted->path.length + 1);
    if (!request)
        return NULL;
    request->number = wanted->number;
    request->pid = wanted->pid;
    request->root_pid = wanted->root_pid;
    memcpy(request->path, wanted->path.data, wanted->path.length);
    request->path[wanted->path.length] = '\0';
    return request;
}

bool programs_request(struct source *source, const struct program_request *wanted)
{
    struct asked_program *request = make_request(wanted);
    if (!request)
        return false;
    pthread_mutex_lock(&source->lock);
    bool first = source->n_requests == 0; /* else the thread has been told, or has more to do */
    bool accepted = source->n_requests < REQUESTS_MOST;
    if (accepted) {
        STAILQ_INSERT_TAIL(&source->requests, request, in_order);
        source->n_requests++;
    }
    pthread_mutex_unlock(&source->lock);
    if (!accepted)
        free(request);
    else if (first)
        source_thread_request(source->thread);
    return accepted;
}

static void free_requests(struct source *source)
{
    struct asked_program *request;
    while ((request = take_request(source)))
        free(request);
    struct program_reading *reading;
    while ((reading = TAILQ_FIRST(&source->readings))) {
        TAILQ_REMOVE(&source->readings, reading, in_order);
        for (size_t i = 0; i < reading->n_askers; i++)
            free(reading->askers[i]);
        program_reading_free(reading);
    }
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        free_requests(source);
        program_cache_free(source->cache);
        message_queue_free(source->queue);
        pthread_mutex_destroy(&source->lock);
        free(source);
    }
    return NULL;
}

static int set_up(struct source *source, const struct source_options *options,
                  struct error_text *error)
{
    struct message_queue_options queue = {.source = SOURCE_PROGRAMS,
                                          .capacity = QUEUE_BYTES,
                                          .wake_fd = options->wake_fd,
                                          .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = program_cache_new(&source->cache, CACHE_MOST);
    if (r < 0)
        return error_set(error, r, "out of memory");
    return source_thread_new(&source->thread, "programs", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    pthread_mutex_init(&source->lock, NULL);
    STAILQ_INIT(&source->requests);
    TAILQ_INIT(&source->readings);
    source->counters = options->counters;
    source->largest = options->program_largest ? options->program_largest : largest_default;
    int r = set_up(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
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

const struct source_ops programs_source_ops = {
    .id = SOURCE_PROGRAMS,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = programs_decode,
    .decoder_free = decoder_none_free,
};
