/* Kernels differ in how much of tcp_info they give; what is not there is not used. */
#include "collectors/sock_diag/tcp_bytes.h"

#include <linux/tcp.h>

#define FIELD_END(field) (offsetof(struct tcp_info, field) + sizeof(((struct tcp_info *)0)->field))

_Static_assert(FIELD_END(tcpi_snd_wnd) == 232, "layout of the kernel's structure");

static bool was_disconnected(const struct tcp_info *info)
{
    return info->tcpi_segs_in == 0 && info->tcpi_segs_out == 0 && info->tcpi_snd_wnd != 0;
}

static bool own_fin_acknowledged(const struct tcp_info *info, uint64_t sent)
{
    uint64_t beside_data = info->tcpi_bytes_acked > sent ? info->tcpi_bytes_acked - sent : 0;
    uint64_t segments = (uint64_t)info->tcpi_delivered + info->tcpi_total_retrans;
    return beside_data >= 2 ||
           (beside_data == 1 && segments >= (uint64_t)info->tcpi_data_segs_out + 2);
}

struct tcp_bytes tcp_bytes_of(struct slice bytes, uint32_t unread)
{
    struct tcp_info info = {0};
    if (bytes.length < FIELD_END(tcpi_bytes_retrans))
        return (struct tcp_bytes){UINT64_MAX, UINT64_MAX};
    memcpy(&info, bytes.data, bytes.length < sizeof(info) ? bytes.length : sizeof(info));
    if (was_disconnected(&info))
        return (struct tcp_bytes){UINT64_MAX, UINT64_MAX};
    struct tcp_bytes payload = {.received = info.tcpi_bytes_received};
    if (info.tcpi_bytes_sent > info.tcpi_bytes_retrans)
        payload.sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
    bool with_fin = unread == 1 || (unread == 0 && own_fin_acknowledged(&info, payload.sent));
    if (info.tcpi_data_segs_in == 0)
        payload.received = 0;
    else if (with_fin && payload.received > 0)
        payload.received--;
    return payload;
}
