/* Ends are read by the reader like those of any netlink source. Dumps take long and wait, so they
 * have a thread of their own, with a small queue. Only that thread enters other namespaces: a
 * namespace belongs to a thread, and it is back in its own before it does anything else.
 *
 * Between two dumps the thread looks for namespaces, so that a container's sockets are heard soon.
 * When nothing was forked, that costs next to nothing. */
#include "collectors/sock_diag/sock_diag_source.h"

#include "collectors/netlink/netlink_socket.h"
#include "collectors/sock_diag/net_namespaces.h"
#include "collectors/sock_diag/sock_diag_decode.h"
#include "collectors/sock_diag/sock_diag_message.h"
#include "collectors/sock_diag/sock_dump.h"
#include "collectors/sock_diag/socket_owners.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/buffer.h"
#include "core/log.h"

#include <inttypes.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    QUEUE_BYTES = 256 << 10,
    END_SIZE = 2048, /* of a destroy message; the kernel's has about 400 bytes */
    INTERVAL_S = 30,
    LOOK_MS = 500,
    LEAST_MS = 1000 /* between two dumps, also when they are asked for */
};

struct source {
    struct netlink_socket ends; /* mnl NULL: not heard */
    char ends_text[160];        /* which are heard, for `coverage` */
    uint64_t n_overruns;
    struct nsid_map *map;
    uint64_t own_netns;

    struct message_queue *queue;
    struct source_thread *thread;
    uint32_t interval_s;

    /* Of the thread alone. */
    struct net_namespaces *namespaces;
    struct sock_dump *dump;
    struct socket_owners *owners;
    struct decoder *decoder;                /* to see what is dumped */
    struct inode_set dumped, known, wanted; /* now; before; of which owners are looked for */
    size_t n_scanned, n_refused;            /* namespaces */
    int set_error;
    struct buffer note;
    bool complained;
};

/* The thread. */

static int put(struct source *source, uint64_t boot_ns, enum sock_diag_type type, uint32_t detail,
               uint64_t netns)
{
    struct sock_diag_header header = {.type = type, .detail = detail, .netns = netns};
    return message_queue_put(source->queue, MESSAGE_DATA, boot_ns,
                             slice_of(&header, sizeof(header)));
}

static void take_dumped(void *user, const struct fact *fact)
{
    struct source *source = user;
    if (fact->kind == FACT_SOCKET && source->set_error == 0)
        source->set_error = inode_set_add(&source->dumped, fact->socket.socket.inode);
}

static int take_message(void *user, uint64_t boot_ns, struct slice bytes)
{
    struct source *source = user;
    const struct message message = {
        .source = SOURCE_SOCK_DIAG, .kind = MESSAGE_DATA, .boot_ns = boot_ns, .bytes = bytes};
    source->set_error = 0;
    int r = sock_diag_decode(source->decoder, &message, take_dumped, source);
    if (source->set_error)
        return source->set_error;
    if (r < 0)
        log_debug("sock_diag", "a dump has a message that cannot be understood");
    return message_queue_put(source->queue, MESSAGE_DATA, boot_ns, bytes);
}

static int scan_here(struct source *source, uint64_t netns)
{
    int r = put(source, clock_boot_ns(), SOCK_DIAG_SCAN_BEGIN, 0, netns);
    if (r < 0)
        return r;
    int outcome = sock_dump_run(source->dump, netns, take_message, source);
    if (outcome < 0)
        return outcome;
    return put(source, clock_boot_ns(), SOCK_DIAG_SCAN_END, outcome == 0, netns);
}

static int scan_namespace(struct source *source, size_t i)
{
    int r = net_namespaces_enter(source->namespaces, i);
    if (r == NET_NAMESPACES_VANISHED)
        return 0;
    if (r < 0) {
        source->n_refused++;
        return 0;
    }
    r = scan_here(source, net_namespaces_at(source->namespaces, i)->inode);
    source->n_scanned++;
    return net_namespaces_leave(source->namespaces) < 0 ? -ENOTRECOVERABLE : r;
}

/* Nothing of it can follow, and there is nothing in it. */
static int scan_gone(struct source *source, uint64_t netns)
{
    int r = put(source, clock_boot_ns(), SOCK_DIAG_SCAN_BEGIN, 0, netns);
    return r < 0 ? r : put(source, clock_boot_ns(), SOCK_DIAG_SCAN_END, 1, netns);
}

static int scan_namespaces(struct source *source, bool full)
{
    int r = net_namespaces_look(source->namespaces, full);
    inode_set_clear(&source->dumped);
    if (full)
        source->n_scanned = source->n_refused = 0;
    for (size_t i = 0; r == 0 && i < net_namespaces_count(source->namespaces); i++) {
        const struct net_namespace *space = net_namespaces_at(source->namespaces, i);
        if (space->state == NET_NAMESPACE_GONE && full)
            r = scan_gone(source, space->inode);
        else if (space->state == NET_NAMESPACE_PRESENT && (full || space->fresh))
            r = scan_namespace(source, i);
    }
    return r;
}

static int put_owners(void *user, uint64_t boot_ns, const struct sock_diag_owner *owners, size_t n)
{
    struct source *source = user;
    struct {
        struct sock_diag_header header;
        struct sock_diag_owner owners[SOCKET_OWNERS_MOST];
    } message = {.header = {.type = SOCK_DIAG_OWNERS}};
    memcpy(message.owners, owners, n * sizeof(*owners));
    return message_queue_put(source->queue, MESSAGE_DATA, boot_ns,
                             slice_of(&message, sizeof(message.header) + n * sizeof(*owners)));
}

/* Owners are looked for once, of what no dump had before. Then that is known. */
static int find_owners(struct source *source, bool full)
{
    inode_set_sort(&source->dumped);
    int r = inode_set_difference(&source->wanted, &source->dumped, &source->known);
    if (r == 0 && source->wanted.n > 0)
        r = socket_owners_find(source->owners, &source->wanted, put_owners, source);
    if (r < 0)
        return r;
    if (full) {
        struct inode_set before = source->known;
        source->known = source->dumped;
        source->dumped = before;
        return 0;
    }
    r = inode_set_join(&source->known, &source->wanted);
    inode_set_sort(&source->known);
    return r;
}

static void append_note(const struct source *source, struct buffer *to)
{
    bool by_file = sock_dump_without_tcp(source->dump);
    buffer_printf(to, "%s\t%s; %s every %u s; %zu namespace%s", by_file ? "proc-net" : "on",
                  source->ends_text, by_file ? "/proc/net" : "dump", source->interval_s,
                  source->n_scanned, source->n_scanned == 1 ? "" : "s");
    size_t n_unseen = source->n_refused + net_namespaces_left_out(source->namespaces);
    if (n_unseen)
        buffer_printf(to, ", %zu more not entered", n_unseen);
    size_t length = to->length;
    buffer_append_text(to, "; ");
    sock_dump_append_missing(source->dump, to);
    if (to->length == length + 2)
        to->length = length;
    else
        buffer_append_text(to, " from /proc/net");
    if (source->known.n_left_out)
        buffer_printf(to, "; owners of %" PRIu64 " sockets not looked for",
                      source->known.n_left_out);
}

/* When it says something new. */
static int put_note(struct source *source)
{
    struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
    append_note(source, &note);
    if (note.failed || slice_equal(buffer_slice(&note), buffer_slice(&source->note)))
        return note.failed ? -ENOMEM : 0;
    buffer_clear(&source->note);
    buffer_append_slice(&source->note, buffer_slice(&note));
    return message_queue_put(source->queue, MESSAGE_NOTE, clock_boot_ns(), buffer_slice(&note));
}

static int look(struct source *source, bool full)
{
    int r = scan_namespaces(source, full);
    if (r == 0)
        r = find_owners(source, full);
    if (r == 0 && full)
        r = put(source, clock_boot_ns(), SOCK_DIAG_SCAN_END, 1, 0);
    return r == 0 && full ? put_note(source) : r;
}

static void complain(struct source *source, int error)
{
    if (error == 0 || error == -ECANCELED || source->complained)
        return;
    log_warning("sock_diag", "cannot look at all sockets: %s; said once, tried again",
                strerror(-error));
    source->complained = true;
}

/* In a foreign namespace nothing that is read can be believed. */
static void give_up(struct source *source)
{
    static const char text[] = "failed\tcannot return to the own network namespace";
    log_error("sock_diag",
              "cannot return to the own network namespace; sockets are no more listed");
    if (message_queue_put(source->queue, MESSAGE_NOTE, clock_boot_ns(), slice_text(text)) < 0)
        log_debug("sock_diag", "the note of it is lost");
}

static unsigned wait_ms(uint64_t until_ns)
{
    uint64_t now = clock_boot_ns();
    uint64_t left_ms = until_ns > now ? (until_ns - now) / 1000000 + 1 : 0;
    return left_ms < LOOK_MS ? (unsigned)left_ms : LOOK_MS;
}

static void run(void *user)
{
    struct source *source = user;
    const uint64_t interval_ns = source->interval_s * UINT64_C(1000000000);
    const uint64_t least_ns = LEAST_MS * UINT64_C(1000000);
    uint64_t next_ns = 0, last_ns = 0;
    bool requested;
    for (;;) {
        uint64_t now = clock_boot_ns();
        bool full = now >= next_ns;
        if (full) {
            last_ns = now;
            next_ns = now + interval_ns;
        }
        int r = look(source, full);
        if (r == -ENOTRECOVERABLE) {
            give_up(source);
            return;
        }
        complain(source, r);
        if (!source_thread_wait(source->thread, wait_ms(next_ns), &requested))
            return;
        if (requested && last_ns + least_ns < next_ns)
            next_ns = last_ns + least_ns;
    }
}

void sock_diag_request(struct source *source)
{
    source_thread_request(source->thread);
}

/* The ends. */

static void put_header(void *user, uint8_t *to, int32_t nsid)
{
    const struct source *source = user;
    struct sock_diag_header header = {.type = SOCK_DIAG_END,
                                      .netns = nsid == NETLINK_SOCKET_NSID_NONE
                                                   ? source->own_netns
                                                   : nsid_map_find(source->map, nsid)};
    memcpy(to, &header, sizeof(header));
}

static int set_option(struct netlink_socket *socket, int option, int value)
{
    return mnl_socket_setsockopt(socket->mnl, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int each_group(struct netlink_socket *socket, int option, bool with_tcp)
{
    static const int udp[] = {SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
    static const int tcp[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};
    int r = 0;
    for (size_t i = 0; r == 0 && i < 2; i++)
        r = set_option(socket, option, udp[i]);
    for (size_t i = 0; r == 0 && with_tcp && i < 2; i++)
        r = set_option(socket, option, tcp[i]);
    return r;
}

/* What cannot be heard is inferred from dumps, and `coverage` says so. */
static void open_ends(struct source *source, const struct source_options *options)
{
    struct error_text error = ERROR_TEXT_NULL;
    const struct netlink_socket_options socket = {.protocol = NETLINK_SOCK_DIAG,
                                                  .source = SOURCE_SOCK_DIAG,
                                                  .name = "sock_diag",
                                                  .receive_buffer = options->receive_buffer,
                                                  .message_size = END_SIZE,
                                                  .counters = options->counters,
                                                  .header_size = sizeof(struct sock_diag_header),
                                                  .header = put_header,
                                                  .header_user = source};
    int everywhere = 0, r = netlink_socket_open(&source->ends, &socket, &error);
    if (r == 0) {
        everywhere = set_option(&source->ends, NETLINK_LISTEN_ALL_NSID, 1);
        r = each_group(&source->ends, NETLINK_ADD_MEMBERSHIP, !options->bpf_active);
    }
    if (r < 0) {
        netlink_socket_close(&source->ends);
        snprintf(source->ends_text, sizeof(source->ends_text), "ends inferred from dumps: %s",
                 strerror(-r));
        return;
    }
    snprintf(source->ends_text, sizeof(source->ends_text), "ends of %s by destroy groups%s%s",
             options->bpf_active ? "udp" : "tcp and udp",
             everywhere < 0 ? ", of this namespace only: " : "",
             everywhere < 0 ? strerror(-everywhere) : "");
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    if (!message_queue_drain(source->queue, gulp))
        return SOURCE_MORE;
    if (!source->ends.mnl)
        return SOURCE_DRAINED;
    int r = netlink_socket_drain(&source->ends, gulp);
    if (source->ends.n_overruns != source->n_overruns) {
        source->n_overruns = source->ends.n_overruns;
        sock_diag_request(source);
    }
    return r;
}

/* The source. */

static void source_stop(struct source *source)
{
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
    int r = source->ends.mnl ? each_group(&source->ends, NETLINK_DROP_MEMBERSHIP, true) : 0;
    if (r < 0)
        log_debug("sock_diag", "cannot unsubscribe: %s", strerror(-r));
}

static struct source *source_free(struct source *source)
{
    if (!source)
        return NULL;
    if (source->queue)
        message_queue_close(source->queue);
    source_thread_free(source->thread);
    netlink_socket_close(&source->ends);
    net_namespaces_free(source->namespaces);
    sock_dump_free(source->dump);
    socket_owners_free(source->owners);
    sock_diag_decoder_free(source->decoder);
    inode_set_deinit(&source->dumped);
    inode_set_deinit(&source->known);
    inode_set_deinit(&source->wanted);
    buffer_deinit(&source->note);
    message_queue_free(source->queue);
    nsid_map_free(source->map);
    free(source);
    return NULL;
}

static int build(struct source *source, const struct source_options *options,
                 struct error_text *error)
{
    const struct message_queue_options queue = {.source = SOURCE_SOCK_DIAG,
                                                .capacity = QUEUE_BYTES,
                                                .wake_fd = options->wake_fd,
                                                .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = nsid_map_new(&source->map);
    if (r == 0)
        r = sock_dump_new(&source->dump);
    if (r == 0)
        r = sock_diag_decoder_new(&source->decoder);
    if (r < 0)
        return error_set(error, r, "sock_diag: out of memory");
    r = net_namespaces_new(&source->namespaces, source->map, options->counters, error);
    if (r == 0)
        r = socket_owners_new(&source->owners, error);
    if (r < 0)
        return r;
    source->own_netns = net_namespaces_at(source->namespaces, 0)->inode;
    open_ends(source, options);
    return source_thread_new(&source->thread, "sock_diag", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "sock_diag: out of memory");
    source->interval_s = options->sock_diag_interval_s ? options->sock_diag_interval_s : INTERVAL_S;
    int r = build(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

const struct source_ops sock_diag_source_ops = {
    .id = SOURCE_SOCK_DIAG,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = sock_diag_decoder_new,
    .decode = sock_diag_decode,
    .decoder_free = sock_diag_decoder_free,
};
