#pragma once
/* Inode numbers of sockets: filled in any order, then sorted, then asked. Bounded. One thread. */
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { INODE_SET_MOST = 1 << 19 }; /* 2 MiB; what does not fit is counted */

struct inode_set {
    uint32_t *items;
    size_t n, capacity;
    uint64_t n_left_out; /* since inode_set_clear */
    bool sorted;
};

#define INODE_SET_NULL                                                                             \
    {                                                                                              \
        0                                                                                          \
    }

void inode_set_deinit(struct inode_set *set);
/** Empties it, keeps the memory. */
void inode_set_clear(struct inode_set *set);
/** 0 (of no file) is ignored. Returns 0 or -ENOMEM. */
int inode_set_add(struct inode_set *set, uint64_t inode) MUST_CHECK;
/** Adds all of @p from. Returns 0 or -ENOMEM. */
int inode_set_join(struct inode_set *set, const struct inode_set *from) MUST_CHECK;
void inode_set_sort(struct inode_set *set);
/** To be called after inode_set_sort. */
bool inode_set_has(const struct inode_set *set, uint64_t inode);
/** What is in @p set and not in @p without, into @p to, sorted. Both have to be sorted. Returns 0
 * or -ENOMEM. */
int inode_set_difference(struct inode_set *to, const struct inode_set *set,
                         const struct inode_set *without) MUST_CHECK;
