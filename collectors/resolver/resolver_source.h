#pragma once
/*
 * Names of addresses: from the hosts file, else from DNS, by a thread that never keeps a fact
 * waiting. Each accepted request is answered by exactly one FACT_HOST_NAME:
 *
 *   a name                              the first one that the hosts file or DNS gives
 *   answered, no name                   there is none
 *   not answered, NAME_FROM_DNS         nobody answered in time, or not with an answer
 *
 * Besides, when the hosts file changes, each address whose entry is new or another one gives a fact
 * without having been asked for, and each whose entry is gone one that is
 *
 *   not answered, NAME_FROM_HOSTS       the name is no longer valid: ask again
 *
 * Addresses in facts are plain ones (core/plain_address.h). When nobody answers, requests are
 * answered so at once until somebody does again.
 */
#include "collectors/resolver/resolver_message.h"

extern const struct source_ops resolver_source_ops;

struct resolver_paths {
    const char *hosts, *resolv_conf;
};

/** As resolver_source_ops.open, with other files; the paths must outlive the source. */
int resolver_source_open(struct source **sourcep, const struct source_options *options,
                         const struct resolver_paths *paths, struct error_text *error) MUST_CHECK;
/** Ask for a name. Any thread; never waits. False: too many requests wait, ask again later; or it
 * is not an internet address. */
bool resolver_request(struct source *source, const struct inet_address *address);
