/* A message holds one nested attribute with the statistics of the task that ended, and, when it was
 * the last of a process with several, a second one with the sums of the process. */
#include "collectors/taskstats/taskstats_decode.h"

#include "collectors/netlink/common_message.h"
#include "collectors/netlink/netlink_walk.h"

#include <linux/acct.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <stdlib.h>

#ifndef AGROUP
#define AGROUP 0x20 /* since version 12 */
#endif

#define FIELD_END(field)                                                                           \
    (offsetof(struct taskstats, field) + sizeof(((struct taskstats *)0)->field))

_Static_assert(FIELD_END(ac_tgid) == 372, "layout of the kernel's structure");

struct decoder {
    char unused;
};

int taskstats_decoder_new(struct decoder **decoderp)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = decoder;
    return 0;
}

struct decoder *taskstats_decoder_free(struct decoder *decoder)
{
    free(decoder);
    return NULL;
}

/* What a message holds: statistics as far as the kernel knows them, the rest zero. */
struct statistics {
    struct taskstats values;
    size_t filled; /* bytes; 0: not in the message */
};

struct task_message {
    struct statistics task, group;
};

static size_t at_most(size_t length, size_t limit)
{
    return length < limit ? length : limit;
}

/* Version 15 (Linux 6.14) alone has two more numbers behind each delay, in the middle of the
 * structure; version 16 moved them to its end. Only what is asked for is copied. */
static size_t copy_version_15(struct taskstats *to, const uint8_t *from, size_t length)
{
    static const struct {
        size_t begin, end, shift;
    } pieces[] = {
        {0,                         offsetof(struct taskstats, blkio_count),           0 },
        {offsetof(struct taskstats, ac_comm),                  FIELD_END(write_bytes), 48},
        {offsetof(struct taskstats, ac_btime64),               FIELD_END(ac_btime64),  80},
        {offsetof(struct taskstats, ac_tgid),                  FIELD_END(ac_tgid),     96},
    };
    size_t filled = 0;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t source = pieces[i].begin + pieces[i].shift;
        if (length <= source)
            break;
        size_t n = at_most(length - source, pieces[i].end - pieces[i].begin);
        memcpy((uint8_t *)to + pieces[i].begin, from + source, n);
        filled = pieces[i].begin + n;
    }
    return filled;
}

static int take_statistics(const struct nlattr *attribute, void *user)
{
    struct statistics *to = user;
    if (mnl_attr_get_type(attribute) != TASKSTATS_TYPE_STATS)
        return MNL_CB_OK;
    const uint8_t *from = mnl_attr_get_payload(attribute);
    size_t length = mnl_attr_get_payload_len(attribute);
    uint16_t version = 0;
    if (length >= sizeof(version))
        memcpy(&version, from, sizeof(version));
    if (version == 15) {
        to->filled = copy_version_15(&to->values, from, length);
    } else {
        to->filled = at_most(length, sizeof(to->values));
        memcpy(&to->values, from, to->filled);
    }
    return to->filled < FIELD_END(ac_stime) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int take_nest(const struct nlattr *attribute, void *user)
{
    struct task_message *message = user;
    uint16_t type = mnl_attr_get_type(attribute);
    if (type != TASKSTATS_TYPE_AGGR_PID && type != TASKSTATS_TYPE_AGGR_TGID)
        return MNL_CB_OK;
    return mnl_attr_parse_payload(
        mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), take_statistics,
        type == TASKSTATS_TYPE_AGGR_PID ? &message->task : &message->group);
}

static struct fact_task_stats task_fact(const struct statistics *statistics)
{
    const struct taskstats *task = &statistics->values;
    size_t length = statistics->filled;
    struct fact_task_stats stats = {
        .pid = task->ac_pid,
        .ppid = task->ac_ppid,
        .uid = task->ac_uid,
        .gid = task->ac_gid,
        .exit_code = task->ac_exitcode,
        .last = task->ac_flag & AGROUP,
        .forked_no_exec = task->ac_flag & AFORK,
        .comm = slice_of(task->ac_comm, strnlen(task->ac_comm, sizeof(task->ac_comm))),
        .begin_real_s = task->ac_btime,
        .elapsed_us = task->ac_etime,
        .user_us = task->ac_utime,
        .system_us = task->ac_stime,
        .max_rss_kib = task->hiwater_rss,
        .read_bytes = UINT64_MAX,
        .write_bytes = UINT64_MAX,
    };
    if (length >= FIELD_END(write_bytes)) {
        stats.read_bytes = task->read_bytes;
        stats.write_bytes = task->write_bytes;
    }
    if (length >= FIELD_END(ac_btime64) && task->ac_btime64)
        stats.begin_real_s = task->ac_btime64;
    if (length >= FIELD_END(ac_tgid))
        stats.tgid = task->ac_tgid;
    return stats;
}

static int decode_task(const struct nlmsghdr *header, const struct message *message,
                       fact_handler handler, void *user)
{
    const struct genlmsghdr *generic = mnl_nlmsg_get_payload(header);
    if (mnl_nlmsg_get_payload_len(header) < GENL_HDRLEN)
        return -EBADMSG;
    if (generic->cmd != TASKSTATS_CMD_NEW)
        return 0;
    struct task_message parsed = {.task.filled = 0};
    const uint8_t *attributes = mnl_nlmsg_get_payload_offset(header, GENL_HDRLEN);
    size_t length = mnl_nlmsg_get_payload_len(header) - GENL_HDRLEN;
    if (mnl_attr_parse_payload(attributes, length, take_nest, &parsed) != MNL_CB_OK ||
        parsed.task.filled == 0)
        return -EBADMSG;
    struct fact fact = {.kind = FACT_TASK_STATS,
                        .source = SOURCE_TASKSTATS,
                        .boot_ns = message->boot_ns,
                        .task_stats = task_fact(&parsed.task)};
    struct fact_task_stats *stats = &fact.task_stats;
    /* Where a kernel leaves the sums empty, the task's own numbers are a lower bound. */
    if (stats->last && parsed.group.filled && parsed.group.values.ac_utime >= stats->user_us &&
        parsed.group.values.ac_stime >= stats->system_us) {
        stats->user_us = parsed.group.values.ac_utime;
        stats->system_us = parsed.group.values.ac_stime;
    }
    handler(user, &fact);
    return 0;
}

int taskstats_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user)
{
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    struct slice left = message->bytes;
    const struct nlmsghdr *header = netlink_walk_next(&left);
    if (!header)
        return -EBADMSG;
    for (; header; header = netlink_walk_next(&left)) {
        if (header->nlmsg_type < NLMSG_MIN_TYPE)
            continue;
        int r = decode_task(header, message, handler, user);
        if (r < 0)
            return r;
    }
    return left.length ? -EBADMSG : 0;
}
