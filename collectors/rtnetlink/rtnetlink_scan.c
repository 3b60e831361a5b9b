/* The kernel answers a dump piece by piece, and each piece stands in the socket's queue behind the
 * changes that came before it. So what was read can be followed up in its order, and what a
 * complete dump does not name is gone. */
#include "collectors/rtnetlink/rtnetlink_scan.h"

#include "collectors/netlink/netlink_walk.h"

#include <linux/if.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

enum { ATTEMPTS_MOST = 5, PAUSE_FACTOR = 50 };

/* The kernel answers at once; a dump without an answer for so long has none. */
static const uint64_t patience_ns = UINT64_C(10000000000);
static const uint64_t retry_ns = UINT64_C(5000000000);
static const uint64_t again_ns = UINT64_C(50000000);

struct rtnetlink_scan rtnetlink_scan_of(uint32_t port)
{
    return (struct rtnetlink_scan){.port = port, .want = RTNETLINK_WANT_ALL};
}

static void want(struct rtnetlink_scan *scan, enum rtnetlink_want what)
{
    if (scan->want < what)
        scan->want = what;
}

void rtnetlink_scan_overrun(struct rtnetlink_scan *scan)
{
    want(scan, RTNETLINK_WANT_ALL);
    scan->noted = false;
}

static void end_dump(struct rtnetlink_scan *scan, bool complete)
{
    scan->asked = false;
    if (!complete && scan->attempt < ATTEMPTS_MOST)
        return;
    scan->incomplete |= !complete;
    scan->dump++;
    scan->attempt = 0;
}

/* Both kinds of the last message begin with a number that is negative when something went wrong. */
static bool is_success(const struct nlmsghdr *header)
{
    int32_t error = 0;
    if (mnl_nlmsg_get_payload_len(header) >= sizeof(error))
        memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
    return error == 0;
}

static void look_at_answer(struct rtnetlink_scan *scan, const struct nlmsghdr *header)
{
    if (header->nlmsg_flags & NLM_F_DUMP_INTR)
        scan->interrupted = true;
    if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
        end_dump(scan, is_success(header) && !scan->interrupted);
}

/* A new interface has changed in everything. */
static bool went_down(const struct nlmsghdr *header)
{
    struct ifinfomsg link;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(link))
        return false;
    memcpy(&link, mnl_nlmsg_get_payload(header), sizeof(link));
    return !(link.ifi_flags & IFF_UP) && link.ifi_change & IFF_UP && link.ifi_change != UINT32_MAX;
}

/* Routes may have gone of which the kernel does not tell; and one that it tells of may have had a
 * double that differed in nothing that a fact says. */
static bool concerns_other_routes(const struct nlmsghdr *header)
{
    switch (header->nlmsg_type) {
    case RTM_NEWLINK:
        return went_down(header);
    case RTM_NEWROUTE:
        return !(header->nlmsg_flags & (NLM_F_EXCL | NLM_F_APPEND));
    case RTM_DELROUTE:
    case RTM_DELLINK:
    case RTM_DELADDR:
    case RTM_DELNEXTHOP:
        return true;
    default:
        return false;
    }
}

void rtnetlink_scan_look(struct rtnetlink_scan *scan, const struct message *message)
{
    struct slice left = message->bytes;
    const struct nlmsghdr *header;
    if (message->kind != MESSAGE_DATA)
        return;
    while ((header = netlink_walk_next(&left))) {
        if (header->nlmsg_pid == scan->port && header->nlmsg_seq == scan->sequence) {
            if (scan->asked)
                look_at_answer(scan, header);
        } else if (concerns_other_routes(header)) {
            want(scan, RTNETLINK_WANT_ROUTES);
            scan->noted &= scan->told;
            scan->told = true;
        }
    }
}

static enum rtnetlink_step step_of_running(const struct rtnetlink_scan *scan, uint64_t now_ns)
{
    if (scan->dump == RTNETLINK_DUMP_N)
        return RTNETLINK_STEP_END;
    if (!scan->asked)
        return RTNETLINK_STEP_ASK;
    return now_ns - scan->asked_ns > patience_ns ? RTNETLINK_STEP_END : RTNETLINK_STEP_NONE;
}

enum rtnetlink_step rtnetlink_scan_step(struct rtnetlink_scan *scan, uint64_t now_ns)
{
    if (scan->running)
        return step_of_running(scan, now_ns);
    if (scan->retry && now_ns >= scan->retry_ns)
        want(scan, scan->retry);
    if (!scan->want)
        return RTNETLINK_STEP_NONE;
    if (now_ns >= scan->not_before_ns)
        return RTNETLINK_STEP_BEGIN;
    return scan->noted ? RTNETLINK_STEP_NONE : RTNETLINK_STEP_WANTED;
}

static bool is_complete(const struct rtnetlink_scan *scan)
{
    return scan->dump == RTNETLINK_DUMP_N && !scan->incomplete;
}

enum rtnetlink_note rtnetlink_scan_note(const struct rtnetlink_scan *scan, enum rtnetlink_step step)
{
    if (step == RTNETLINK_STEP_WANTED)
        return RTNETLINK_SCAN_WANTED;
    if (step == RTNETLINK_STEP_BEGIN)
        return scan->want == RTNETLINK_WANT_ALL ? RTNETLINK_SCAN_BEGAN
                                                : RTNETLINK_SCAN_ROUTES_BEGAN;
    return is_complete(scan) ? RTNETLINK_SCAN_COMPLETE : RTNETLINK_SCAN_INCOMPLETE;
}

struct nlmsghdr *rtnetlink_scan_request(const struct rtnetlink_scan *scan,
                                        char buffer[RTNETLINK_REQUEST_SIZE])
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = scan->sequence + 1;
    request->nlmsg_pid = scan->port;
    if (scan->dump == RTNETLINK_DUMP_LINKS) {
        request->nlmsg_type = RTM_GETLINK;
        mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
        mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    } else if (scan->dump == RTNETLINK_DUMP_ADDRESSES) {
        request->nlmsg_type = RTM_GETADDR;
        mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
    } else {
        request->nlmsg_type = RTM_GETROUTE;
        struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
        route->rtm_family = scan->dump == RTNETLINK_DUMP_IPV4_ROUTES ? AF_INET : AF_INET6;
    }
    return request;
}

static void begin(struct rtnetlink_scan *scan, uint64_t now_ns)
{
    bool all = scan->want == RTNETLINK_WANT_ALL;
    scan->running = scan->want;
    scan->dump = all ? RTNETLINK_DUMP_LINKS : RTNETLINK_DUMP_IPV4_ROUTES;
    if (scan->retry <= scan->running)
        scan->retry = RTNETLINK_WANT_NOTHING;
    scan->want = RTNETLINK_WANT_NOTHING;
    scan->noted = scan->incomplete = false;
    scan->again = scan->told;
    scan->told = false;
    scan->attempt = 0;
    scan->began_ns = now_ns;
}

static void ask(struct rtnetlink_scan *scan, uint64_t now_ns)
{
    scan->sequence++;
    scan->attempt++;
    scan->asked = true;
    scan->interrupted = false;
    scan->asked_ns = now_ns;
}

static void end(struct rtnetlink_scan *scan, uint64_t now_ns)
{
    if (!is_complete(scan) && scan->retry < scan->running) {
        scan->retry = scan->running;
        scan->retry_ns = now_ns + retry_ns;
    }
    uint64_t pause_ns = PAUSE_FACTOR * (now_ns - scan->began_ns);
    if (scan->again)
        want(scan, RTNETLINK_WANT_ROUTES);
    if (scan->again && pause_ns < again_ns)
        pause_ns = again_ns;
    /* It is not waited for, unless there is another reason for it. */
    scan->noted =
        scan->again && !scan->told && scan->want == RTNETLINK_WANT_ROUTES && pause_ns > again_ns;
    scan->not_before_ns = now_ns + pause_ns;
    scan->running = RTNETLINK_WANT_NOTHING;
    scan->asked = false;
}

void rtnetlink_scan_done(struct rtnetlink_scan *scan, enum rtnetlink_step step, uint64_t now_ns)
{
    if (step == RTNETLINK_STEP_WANTED)
        scan->noted = true;
    else if (step == RTNETLINK_STEP_BEGIN)
        begin(scan, now_ns);
    else if (step == RTNETLINK_STEP_ASK)
        ask(scan, now_ns);
    else if (step == RTNETLINK_STEP_END)
        end(scan, now_ns);
}

void rtnetlink_scan_refused(struct rtnetlink_scan *scan)
{
    scan->attempt++;
    end_dump(scan, false);
}
