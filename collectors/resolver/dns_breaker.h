#pragma once
/*
 * Is there anybody who answers? After some queries in a row to which nobody did, nobody is asked
 * any more, so that a dead server costs no time. Whether it is back is tried with a query of our
 * own, at once and then every few seconds for as long as somebody wants to know names: an address
 * whose own servers are dead says nothing of ours.
 */
#include <stdbool.h>
#include <stdint.h>

enum { DNS_BREAKER_FAILURES = 8, DNS_BREAKER_PROBE_S = 5 };

struct dns_breaker {
    unsigned n_failures; /* in a row */
    bool open;           /* nobody answers: do not ask */
    bool probing;
    uint64_t next_probe_ns;
};

static inline void dns_breaker_answered(struct dns_breaker *breaker)
{
    *breaker = (struct dns_breaker){.open = false};
}

static inline void dns_breaker_unanswered(struct dns_breaker *breaker, uint64_t now_ns)
{
    if (++breaker->n_failures < DNS_BREAKER_FAILURES || breaker->open)
        return;
    breaker->open = true;
    breaker->next_probe_ns = now_ns;
}

static inline bool dns_breaker_probe_due(const struct dns_breaker *breaker, uint64_t now_ns)
{
    return breaker->open && !breaker->probing && now_ns >= breaker->next_probe_ns;
}

static inline void dns_breaker_probe_sent(struct dns_breaker *breaker, uint64_t now_ns)
{
    breaker->probing = true;
    breaker->next_probe_ns = now_ns + DNS_BREAKER_PROBE_S * UINT64_C(1000000000);
}

/** The probe has got no answer. */
static inline void dns_breaker_probe_failed(struct dns_breaker *breaker)
{
    breaker->probing = false;
}
