#pragma once
/*
 * Memory that ends at a page which may not be touched, so that reading too far is a crash. The
 * start is aligned to 4 as netlink wants it, so up to 3 bytes lie between the end and that page;
 * they are 0xee.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded {
    uint8_t *map;
    size_t map_length;
    uint8_t *data;
};

static inline struct guarded guarded_copy(const void *bytes, size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (length / page + 2) * page;
    struct guarded guarded = {.map_length = usable + page};
    guarded.map =
        mmap(NULL, guarded.map_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guarded.map == MAP_FAILED || mprotect(guarded.map + usable, page, PROT_NONE) < 0)
        abort();
    memset(guarded.map, 0xee, usable);
    guarded.data = guarded.map + usable - ((length + 3) & ~(size_t)3);
    memcpy(guarded.data, bytes, length);
    return guarded;
}

static inline void guarded_free(struct guarded *guarded)
{
    munmap(guarded->map, guarded->map_length);
}
