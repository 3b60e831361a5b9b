#pragma once
/*
 * The process connector (NETLINK_CONNECTOR, CN_IDX_PROC): birth, exec, change of ids and names, and
 * end of every task. No filter is set: the sequence numbers per CPU are the loss counter, and a
 * message filtered out would look like a lost one.
 *
 * Its notes (MESSAGE_NOTE), besides the mode for `coverage`:
 *   suspend_offset=N                     CLOCK_BOOTTIME minus CLOCK_MONOTONIC, nanoseconds. Event
 *                                        times are monotonic; the decoder adds the offset. Written
 *                                        at the start and when it has moved by over 1 ms.
 *   fork_total=N before=NS after=NS      forks since boot, read between these two moments: at the
 *                                        start, every 100 ms to 1 s, and after an overrun.
 */
#include "collectors/source.h"

extern const struct source_ops connector_source;
