/* c-ares tells which descriptors it wants to be watched; they are in an epoll set, which is the one
 * descriptor that the thread waits for. The array of queries is the bound of what is under way. */
#include "collectors/resolver/dns_channel.h"

#include "core/cleanup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <sys/epoll.h>

enum { EVENTS_MOST = 16, DNS_PORT = 53 };

struct query {
    struct dns_channel *channel;
    bool used, probe;
    struct inet_address address;
};

struct dns_channel {
    struct dns_channel_options options;
    ares_channel ares;
    bool library, initialised;
    int epoll_fd;
    struct query queries[DNS_QUERIES_MOST];
};

/* c-ares gives ARES_ECONNREFUSED also for servers that answer by SERVFAIL or REFUSED. Both come at
 * once, so it does not matter which it was. */
static enum dns_outcome outcome_of(int status)
{
    switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return DNS_NONE;
    case ARES_EBADRESP:
        return DNS_MALFORMED;
    case ARES_ETIMEOUT:
    case ARES_EDESTRUCTION:
        return DNS_UNANSWERED;
    default:
        return DNS_FAILED;
    }
}

static enum dns_outcome read_reply(const struct query *query, struct slice reply,
                                   struct dns_name *name)
{
    char question[DNS_QUESTION_SIZE];
    dns_question(question, &query->address);
    int r = dns_reply_name(reply, question, name);
    return r < 0 ? DNS_MALFORMED : r == DNS_REPLY_NAME ? DNS_NAMED : DNS_NONE;
}

static void on_end(void *argument, int status, int timeouts, unsigned char *reply, int length)
{
    struct query *query = argument;
    struct dns_channel *channel = query->channel;
    struct dns_name name = {.length = 0};
    struct inet_address address = query->address;
    bool probe = query->probe;
    (void)timeouts;
    enum dns_outcome outcome = status == ARES_SUCCESS
                                   ? read_reply(query, slice_of(reply, (size_t)length), &name)
                                   : outcome_of(status);
    query->used = false;
    channel->options.handler(channel->options.user, probe ? NULL : &address, outcome,
                             outcome == DNS_NAMED ? slice_of(name.bytes, name.length) : SLICE_NULL);
}

static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *channel = user;
    struct epoll_event event = {.events = (readable ? (uint32_t)EPOLLIN : 0) |
                                          (writable ? (uint32_t)EPOLLOUT : 0),
                                .data.fd = fd};
    if (event.events == 0)
        epoll_ctl(channel->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(channel->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0)
        epoll_ctl(channel->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int set_up(struct dns_channel *channel, struct error_text *error)
{
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                   .timeout = (int)channel->options.timeout_ms,
                                   .tries = DNS_TRIES,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = channel};
    AUTO_FREE char *path = strdup(channel->options.resolv_conf);
    if (!path)
        return error_set(error, -ENOMEM, "out of memory");
    options.resolvconf_path = path;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    channel->library = status == ARES_SUCCESS;
    if (status == ARES_SUCCESS)
        status = ares_init_options(&channel->ares, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
    if (status != ARES_SUCCESS)
        return error_set(error, status == ARES_ENOMEM ? -ENOMEM : -EIO,
                         "cannot prepare for asking name servers: %s", ares_strerror(status));
    channel->initialised = true;
    const char *servers = channel->options.servers;
    if (servers && servers[0] && ares_set_servers_ports_csv(channel->ares, servers) != ARES_SUCCESS)
        return error_set(error, -EINVAL,
                         "[names] servers = %s: write addresses, each with :PORT if it is not 53, "
                         "separated by commas",
                         servers);
    return 0;
}

int dns_channel_new(struct dns_channel **channelp, const struct dns_channel_options *options,
                    struct error_text *error)
{
    struct dns_channel *channel = calloc(1, sizeof(*channel));
    if (!channel)
        return error_set(error, -ENOMEM, "out of memory");
    channel->options = *options;
    for (size_t i = 0; i < DNS_QUERIES_MOST; i++)
        channel->queries[i].channel = channel;
    channel->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int r = channel->epoll_fd < 0
                ? error_set(error, -errno, "cannot open a descriptor: %s", strerror(errno))
                : set_up(channel, error);
    if (r < 0) {
        dns_channel_free(channel);
        return r;
    }
    *channelp = channel;
    return 0;
}

struct dns_channel *dns_channel_free(struct dns_channel *channel)
{
    if (channel) {
        if (channel->initialised)
            ares_destroy(channel->ares);
        if (channel->library)
            ares_library_cleanup();
        if (channel->epoll_fd >= 0)
            close(channel->epoll_fd);
        free(channel);
    }
    return NULL;
}

bool dns_channel_ask(struct dns_channel *channel, const struct inet_address *address)
{
    static const struct inet_address loopback = {
        .family = AF_INET, .bytes = {127, 0, 0, 1}
    };
    char question[DNS_QUESTION_SIZE];
    size_t i = 0;
    while (i < DNS_QUERIES_MOST && channel->queries[i].used)
        i++;
    if (i == DNS_QUERIES_MOST)
        return false;
    struct query *query = &channel->queries[i];
    query->used = true;
    query->probe = !address;
    query->address = address ? *address : loopback;
    dns_question(question, &query->address);
    ares_query(channel->ares, question, ns_c_in, ns_t_ptr, on_end, query);
    return true;
}

int dns_channel_fd(const struct dns_channel *channel)
{
    return channel->epoll_fd;
}

unsigned dns_channel_timeout_ms(const struct dns_channel *channel, unsigned most_ms)
{
    struct timeval most = {.tv_sec = most_ms / 1000,
                           .tv_usec = (suseconds_t)(most_ms % 1000) * 1000};
    struct timeval left;
    const struct timeval *due = ares_timeout(channel->ares, &most, &left);
    return (unsigned)(due->tv_sec * 1000 + (due->tv_usec + 999) / 1000);
}

/* What a descriptor has to say goes to reading, errors too, so that none is left to wake us again.
 */
void dns_channel_process(struct dns_channel *channel)
{
    struct epoll_event events[EVENTS_MOST];
    int n = epoll_wait(channel->epoll_fd, events, EVENTS_MOST, 0);
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        uint32_t what = events[i].events;
        ares_process_fd(channel->ares, what & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
                        what & (uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD);
    }
    if (n <= 0)
        ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void append_server(struct buffer *to, const struct ares_addr_port_node *server)
{
    char address[INET6_ADDRSTRLEN] = "";
    inet_ntop(server->family, &server->addr, address, sizeof(address));
    bool other_port = server->udp_port != 0 && server->udp_port != DNS_PORT;
    bool brackets = other_port && server->family == AF_INET6;
    buffer_printf(to, "%s%s%s", brackets ? "[" : "", address, brackets ? "]" : "");
    if (other_port)
        buffer_printf(to, ":%d", server->udp_port);
}

void dns_channel_servers(const struct dns_channel *channel, struct buffer *to)
{
    struct ares_addr_port_node *servers = NULL;
    if (ares_get_servers_ports(channel->ares, &servers) != ARES_SUCCESS)
        return;
    for (const struct ares_addr_port_node *server = servers; server; server = server->next) {
        if (server != servers)
            buffer_append_byte(to, ',');
        append_server(to, server);
    }
    ares_free_data(servers);
}
