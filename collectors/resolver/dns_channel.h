#pragma once
/*
 * Questions to DNS servers that are under way, at most DNS_QUERIES_MOST. One thread.
 */
#include "collectors/resolver/dns_reply.h"
#include "core/buffer.h"

enum { DNS_QUERIES_MOST = 64, DNS_TRIES = 2 };

struct dns_channel;

enum dns_outcome {
    DNS_NAMED,
    DNS_NONE,      /* there is no name */
    DNS_FAILED,    /* no server could say, or they cannot be reached */
    DNS_MALFORMED, /* a server answered what cannot be understood */
    DNS_UNANSWERED /* no answer within the time, or the channel was freed */
};

/** Called once for each query. May not call the channel. @p address is plain; NULL: a probe. */
typedef void (*dns_handler)(void *user, const struct inet_address *address,
                            enum dns_outcome outcome, struct slice name);

struct dns_channel_options {
    const char *servers;     /* ADDRESS or ADDRESS:PORT, by commas; NULL or "": of resolv_conf */
    const char *resolv_conf; /* its path */
    unsigned timeout_ms;     /* of the first try with each server; the second has twice the time */
    dns_handler handler;
    void *user;
};

int dns_channel_new(struct dns_channel **channelp, const struct dns_channel_options *options,
                    struct error_text *error) MUST_CHECK;
/** What is under way ends as unanswered. */
struct dns_channel *dns_channel_free(struct dns_channel *channel);

/** Ask for the name of a plain address; NULL: see whether anybody answers. False: too many queries
 *  are under way. */
bool dns_channel_ask(struct dns_channel *channel, const struct inet_address *address);
/** A descriptor that can be read when dns_channel_process has something to do. */
int dns_channel_fd(const struct dns_channel *channel);
/** The time until dns_channel_process has to be called in any case, at most @p most_ms. */
unsigned dns_channel_timeout_ms(const struct dns_channel *channel, unsigned most_ms);
/** Read what has come, repeat and give up what is due. Never waits. */
void dns_channel_process(struct dns_channel *channel);
/** The servers, as options.servers has them. */
void dns_channel_servers(const struct dns_channel *channel, struct buffer *to);
