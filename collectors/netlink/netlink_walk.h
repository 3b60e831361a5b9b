#pragma once
/*
 * Walks over the netlink messages of one datagram. mnl_nlmsg_ok alone is not enough for bytes that
 * are not the kernel's: it compares lengths as signed numbers, so one over 2 GiB passes.
 */
#include "core/slice.h"

#include <libmnl/libmnl.h>

/** The message at the start of @p left, which is moved behind it; NULL at the end, and when what is
 *  left is no whole message: then left->length is not 0. The data must be aligned to 4. */
static inline const struct nlmsghdr *netlink_walk_next(struct slice *left)
{
    const struct nlmsghdr *header = (const void *)left->data;
    if (left->length < sizeof(*header) || header->nlmsg_len < sizeof(*header) ||
        header->nlmsg_len > left->length)
        return NULL;
    size_t step = (header->nlmsg_len + (size_t)3) & ~(size_t)3;
    if (step > left->length)
        step = left->length;
    *left = slice_of(left->data + step, left->length - step);
    return header;
}
