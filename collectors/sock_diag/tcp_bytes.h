#pragma once
/*
 * Payload bytes of a TCP socket that has ended, from the `tcp_info` of its destroy message.
 *
 * Sent: tcpi_bytes_sent less tcpi_bytes_retrans.
 *
 * Received: tcpi_bytes_received has one too many when the peer's FIN was received by the socket. It
 * was not when the peer's side was still open at the end of the socket: then a TIME_WAIT entry,
 * which is no socket, takes the FIN. What the message says of this, found by trying:
 *
 *   who closed, and how                        unread  received   own FIN acknowledged   taken for
 *   peer first; we read the end, close            0    payload+1          yes             payload
 *   peer first; we close without reading it       1    payload+1          yes             payload
 *   we first; the peer's FIN comes with its
 *     acknowledgement of ours (as a rule)         1    payload+1          yes             payload
 *   we by halves; we read the end, close          0    payload+1          yes             payload
 *   nobody: reset by the peer                     0    payload            no              payload
 *   peer first; we write, and are reset           1    payload+1          no              payload
 *   we with unread data: a reset goes out        >1    payload            no              payload
 *   we first; the peer's FIN comes later than
 *     its acknowledgement (40 ms), or never       0    payload            yes             payload-1
 *   peer first, it is reset after the end was
 *     read; or it closed behind unread data     0,>1   payload+1          no              payload+1
 *
 * The last two look like others above; there the number is wrong by one byte. Exact ends are those
 * that BPF gives. Nothing in data segments received: 0.
 *
 * Own FIN acknowledged: tcpi_bytes_acked counts the SYN of who connects, and the FIN. Both, or one
 * and more segments delivered than the SYN and the data.
 *
 * A socket that is disconnected (an abort with SO_LINGER 0, connect(2) to AF_UNSPEC, one that
 * nobody had accepted) has its counters cleared, but not the peer's window: unknown if there was
 * one. A refused one has none, and nothing was ever sent: 0.
 */
#include "core/slice.h"

struct tcp_bytes {
    uint64_t sent, received; /* UINT64_MAX: unknown */
};

/** @p info: a struct tcp_info as long as the kernel knows it; @p unread: idiag_rqueue. Pure. */
struct tcp_bytes tcp_bytes_of(struct slice info, uint32_t unread);
