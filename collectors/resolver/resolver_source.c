/* Requests come through a queue under a mutex. The thread looks each up in the hosts file at once;
 * what is left waits in a second queue for one of the queries that may be under way. It wakes for
 * requests, for name servers, and once a second to look whether its two files are other ones.
 *
 * An answer of DNS is looked up in the hosts file once more: an entry that came in the meantime
 * counts. */
#include "collectors/resolver/resolver_source.h"

#include "collectors/resolver/address_queue.h"
#include "collectors/resolver/dns_breaker.h"
#include "collectors/resolver/dns_channel.h"
#include "collectors/resolver/file_watch.h"
#include "collectors/resolver/hosts_file.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/plain_address.h"

#include <pthread.h>

enum { QUEUE_BYTES = 64 << 10, CHECK_MS = 1000, TIMEOUT_MS = 2000 };

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    /* Of the thread, once it runs: */
    struct hosts_file *hosts;
    struct file_watch resolv_conf;
    struct dns_channel_options dns_options;
    struct dns_channel *dns;
    struct dns_breaker breaker;
    struct address_queue waiting; /* for DNS */
    uint64_t looked_ns;           /* at the files */

    pthread_mutex_t lock; /* of what follows */
    struct address_queue requests;
};

/* Waits for room. Fails only when the source is being stopped and nobody reads on. */
static void put(struct source *source, enum message_kind kind, struct slice bytes)
{
    int r = message_queue_put(source->queue, kind, clock_boot_ns(), bytes);
    if (r < 0 && r != -ECANCELED)
        log_error("resolver", "a message is lost: %s", strerror(-r));
}

static void post(struct source *source, const struct inet_address *address, struct slice name,
                 bool answered, enum name_origin origin)
{
    uint8_t message[RESOLVER_MESSAGE_MOST];
    struct fact_host_name fact = {
        .address = *address, .name = name, .answered = answered, .origin = origin};
    put(source, MESSAGE_DATA, slice_of(message, resolver_message_write(message, &fact)));
}

/* True when the hosts file has it. */
static bool answer_from_hosts(struct source *source, const struct inet_address *address)
{
    struct slice name = hosts_file_find(source->hosts, address);
    if (!slice_is_null(name))
        post(source, address, name, true, NAME_FROM_HOSTS);
    return !slice_is_null(name);
}

static void answer(struct source *source, const struct inet_address *address, struct slice name,
                   bool answered)
{
    if (!answer_from_hosts(source, address))
        post(source, address, name, answered, NAME_FROM_DNS);
}

static void on_dns(void *user, const struct inet_address *address, enum dns_outcome outcome,
                   struct slice name)
{
    struct source *source = user;
    if (outcome == DNS_MALFORMED && source->counters)
        counter_add(source->counters, COUNTER_MESSAGES_MALFORMED, 1);
    if (outcome != DNS_UNANSWERED)
        dns_breaker_answered(&source->breaker);
    else if (!address)
        dns_breaker_probe_failed(&source->breaker);
    else
        dns_breaker_unanswered(&source->breaker, clock_boot_ns());
    if (address)
        answer(source, address, name, outcome == DNS_NAMED || outcome == DNS_NONE);
}

static void probe(struct source *source)
{
    uint64_t now = clock_boot_ns();
    if (dns_breaker_probe_due(&source->breaker, now)) {
        dns_breaker_probe_sent(&source->breaker, now);
        if (!dns_channel_ask(source->dns, NULL))
            dns_breaker_probe_failed(&source->breaker);
    }
}

/* Ask for as many as may be under way; all of them are answered when nobody answers. */
static void ask_servers(struct source *source)
{
    const struct inet_address *first;
    while ((first = address_queue_first(&source->waiting))) {
        struct inet_address address = *first;
        if (source->breaker.open) {
            probe(source);
            answer(source, &address, SLICE_NULL, false);
        } else if (!dns_channel_ask(source->dns, &address)) {
            return;
        }
        address_queue_drop_first(&source->waiting);
    }
}

static size_t count_requests(struct source *source)
{
    pthread_mutex_lock(&source->lock);
    size_t n = source->requests.n;
    pthread_mutex_unlock(&source->lock);
    return n;
}

static bool take_request(struct source *source, struct inet_address *address)
{
    pthread_mutex_lock(&source->lock);
    const struct inet_address *first = address_queue_first(&source->requests);
    bool any = first != NULL;
    if (any) {
        *address = *first;
        address_queue_drop_first(&source->requests);
    }
    pthread_mutex_unlock(&source->lock);
    return any;
}

static void consider(struct source *source, const struct inet_address *address)
{
    if (plain_address_is_unspecified(address))
        post(source, address, SLICE_NULL, true, NAME_FROM_HOSTS);
    else if (!answer_from_hosts(source, address))
        address_queue_append(&source->waiting, address);
}

/* No more than so many requests. */
static void work(struct source *source, size_t most)
{
    struct inet_address address;
    bool full;
    do {
        for (; most > 0 && !address_queue_full(&source->waiting) && take_request(source, &address);
             most--)
            consider(source, &address);
        full = address_queue_full(&source->waiting);
        ask_servers(source);
    } while (full && !address_queue_full(&source->waiting));
}

static void put_note(struct source *source)
{
    struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&note, "on\thosts file");
    if (hosts_file_truncated(source->hosts))
        buffer_append_text(&note, " (too large: not to its end)");
    buffer_append_text(&note, " and dns by ");
    dns_channel_servers(source->dns, &note);
    if (!note.failed)
        put(source, MESSAGE_NOTE, buffer_slice(&note));
}

static void on_hosts_change(void *user, const struct inet_address *address, struct slice name)
{
    post(user, address, name, !slice_is_null(name), NAME_FROM_HOSTS);
}

/* The system's servers are others now: what is under way is given up. */
static void change_servers(struct source *source)
{
    struct dns_channel *channel;
    struct error_text error = ERROR_TEXT_NULL;
    if (dns_channel_new(&channel, &source->dns_options, &error) < 0) {
        log_warning("resolver", "%s; the former name servers are asked", error.text);
        return;
    }
    dns_channel_free(source->dns);
    source->dns = channel;
    dns_breaker_answered(&source->breaker);
}

static bool look_at_files(struct source *source)
{
    bool own_servers = source->dns_options.servers && source->dns_options.servers[0];
    bool changed = false;
    source->looked_ns = clock_boot_ns();
    if (hosts_file_refresh(source->hosts, on_hosts_change, source) == HOSTS_FILE_READ) {
        if (source->counters)
            counter_add(source->counters, COUNTER_MESSAGES_MALFORMED,
                        hosts_file_refused(source->hosts));
        changed = true;
    }
    if (!own_servers && file_watch_changed(&source->resolv_conf)) {
        change_servers(source);
        changed = true;
    }
    return changed;
}

/* Those that came while it worked woke nobody. */
static bool requests_wait(struct source *source)
{
    return count_requests(source) > 0 && !address_queue_full(&source->waiting);
}

/* Each request was there before a look, so that an entry counts from the moment when it is there.
 */
static void run(void *user)
{
    struct source *source = user;
    bool requested;
    look_at_files(source);
    put_note(source);
    while (source_thread_wait_for(
        source->thread, dns_channel_fd(source->dns),
        requests_wait(source) ? 0 : dns_channel_timeout_ms(source->dns, CHECK_MS), &requested)) {
        size_t n = count_requests(source);
        dns_channel_process(source->dns);
        bool due = clock_boot_ns() - source->looked_ns >= CHECK_MS * UINT64_C(1000000);
        if ((n > 0 || due) && look_at_files(source))
            put_note(source);
        work(source, n);
    }
}

bool resolver_request(struct source *source, const struct inet_address *address)
{
    struct inet_address plain = plain_address(address);
    if (plain.family == 0)
        return false;
    pthread_mutex_lock(&source->lock);
    bool first = source->requests.n == 0; /* else the thread has been told, or has more to do */
    bool accepted = !address_queue_full(&source->requests);
    if (accepted)
        address_queue_append(&source->requests, &plain);
    pthread_mutex_unlock(&source->lock);
    if (first)
        source_thread_request(source->thread);
    return accepted;
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        dns_channel_free(source->dns);
        hosts_file_free(source->hosts);
        message_queue_free(source->queue);
        pthread_mutex_destroy(&source->lock);
        free(source);
    }
    return NULL;
}

static int set_up(struct source *source, const struct source_options *options,
                  const struct resolver_paths *paths, struct error_text *error)
{
    struct message_queue_options queue = {.source = SOURCE_RESOLVER,
                                          .capacity = QUEUE_BYTES,
                                          .wake_fd = options->wake_fd,
                                          .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = hosts_file_new(&source->hosts, paths->hosts);
    if (r < 0)
        return error_set(error, r, "out of memory");
    file_watch_changed(&source->resolv_conf);
    r = dns_channel_new(&source->dns, &source->dns_options, error);
    return r < 0 ? r : source_thread_new(&source->thread, "resolver", run, source, error);
}

int resolver_source_open(struct source **sourcep, const struct source_options *options,
                         const struct resolver_paths *paths, struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    pthread_mutex_init(&source->lock, NULL);
    source->counters = options->counters;
    source->resolv_conf.path = paths->resolv_conf;
    source->dns_options = (struct dns_channel_options){
        .servers = options->name_servers,
        .resolv_conf = paths->resolv_conf,
        .timeout_ms = options->name_timeout_ms ? options->name_timeout_ms : TIMEOUT_MS,
        .handler = on_dns,
        .user = source};
    int r = set_up(source, options, paths, error);
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
    static const struct resolver_paths paths = {.hosts = "/etc/hosts",
                                                .resolv_conf = "/etc/resolv.conf"};
    return resolver_source_open(sourcep, options, &paths, error);
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

const struct source_ops resolver_source_ops = {
    .id = SOURCE_RESOLVER,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = resolver_decode,
    .decoder_free = decoder_none_free,
};
