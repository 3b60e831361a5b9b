#pragma once
/*
 * Which dump is under way, and when the next one is due. Has no socket and no clock: it looks at
 * the messages that were read, and says what is to be done next.
 *
 * A scan is one dump after the other: links, addresses, IPv4 and IPv6 routes; or the routes alone,
 * when something happened of which the kernel tells no more than that: an interface went down or
 * away, an address, a route or a next hop object went, a route took the place of others. The kernel
 * tells of most of these before it removes the routes, so that there is a second look a moment
 * later; `vestige sync` does not wait for one that is far off. A dump that was interrupted
 * (NLM_F_DUMP_INTR) is repeated a few times; then the scan is incomplete, and there is another one
 * some seconds later. The next scan waits for fifty times as long as the last one took.
 */
#include "collectors/rtnetlink/rtnetlink_decode.h"

#include <libmnl/libmnl.h>

enum rtnetlink_dump {
    RTNETLINK_DUMP_LINKS,
    RTNETLINK_DUMP_ADDRESSES,
    RTNETLINK_DUMP_IPV4_ROUTES,
    RTNETLINK_DUMP_IPV6_ROUTES,
    RTNETLINK_DUMP_N
};

enum rtnetlink_want { RTNETLINK_WANT_NOTHING, RTNETLINK_WANT_ROUTES, RTNETLINK_WANT_ALL };

struct rtnetlink_scan {
    uint32_t port, sequence;     /* of our requests; a dump's answers have both */
    enum rtnetlink_want want;    /* the scan after this one */
    enum rtnetlink_want running; /* of this one, RTNETLINK_WANT_NOTHING: there is none */
    enum rtnetlink_want retry;   /* of one that was incomplete, due at retry_ns */
    enum rtnetlink_dump dump;
    unsigned attempt; /* of this dump */
    bool asked, interrupted, incomplete;
    bool noted; /* that one is wanted and has to wait */
    bool told;  /* that routes went, since this one began */
    bool again; /* that was told just before it began: its dumps may have been too early */
    uint64_t began_ns, asked_ns, not_before_ns, retry_ns;
};

/** The first scan is due at once. */
struct rtnetlink_scan rtnetlink_scan_of(uint32_t port);
/** Messages were lost: everything has to be asked for. */
void rtnetlink_scan_overrun(struct rtnetlink_scan *scan);
/** A message that was read, in the order of reading. */
void rtnetlink_scan_look(struct rtnetlink_scan *scan, const struct message *message);

enum rtnetlink_step {
    RTNETLINK_STEP_NONE,
    RTNETLINK_STEP_WANTED, /* write the note rtnetlink_scan_note */
    RTNETLINK_STEP_BEGIN,  /* likewise */
    RTNETLINK_STEP_ASK,    /* send rtnetlink_scan_request */
    RTNETLINK_STEP_END     /* write the note */
};
/** What is to be done now. */
enum rtnetlink_step rtnetlink_scan_step(struct rtnetlink_scan *scan, uint64_t now_ns);
enum rtnetlink_note rtnetlink_scan_note(const struct rtnetlink_scan *scan,
                                        enum rtnetlink_step step);
enum { RTNETLINK_REQUEST_SIZE = 64 };
/** The request that RTNETLINK_STEP_ASK is about, built in @p buffer, which is aligned to 4. */
struct nlmsghdr *rtnetlink_scan_request(const struct rtnetlink_scan *scan,
                                        char buffer[RTNETLINK_REQUEST_SIZE]);
/** It was done. */
void rtnetlink_scan_done(struct rtnetlink_scan *scan, enum rtnetlink_step step, uint64_t now_ns);
/** The request could not be sent. */
void rtnetlink_scan_refused(struct rtnetlink_scan *scan);
