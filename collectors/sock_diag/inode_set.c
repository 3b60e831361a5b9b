/* A sorted array: tens of thousands of numbers of which most are the same each time are compared in
 * one walk, and take 4 bytes each. The kernel numbers sockets with 32 bits. */
#include "collectors/sock_diag/inode_set.h"

#include <stdlib.h>

void inode_set_deinit(struct inode_set *set)
{
    free(set->items);
    *set = (struct inode_set)INODE_SET_NULL;
}

void inode_set_clear(struct inode_set *set)
{
    set->n = 0;
    set->n_left_out = 0;
    set->sorted = true;
}

static int grow(struct inode_set *set)
{
    size_t capacity = set->capacity ? set->capacity * 2 : 1024;
    uint32_t *items = realloc(set->items, capacity * sizeof(*items));
    if (!items)
        return -ENOMEM;
    set->items = items;
    set->capacity = capacity;
    return 0;
}

int inode_set_add(struct inode_set *set, uint64_t inode)
{
    if (inode == 0)
        return 0;
    if (set->n == INODE_SET_MOST || inode > UINT32_MAX) {
        set->n_left_out++;
        return 0;
    }
    int r = set->n == set->capacity ? grow(set) : 0;
    if (r == 0) {
        set->items[set->n++] = (uint32_t)inode;
        set->sorted = false;
    }
    return r;
}

int inode_set_join(struct inode_set *set, const struct inode_set *from)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < from->n; i++)
        r = inode_set_add(set, from->items[i]);
    return r;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void inode_set_sort(struct inode_set *set)
{
    if (!set->sorted && set->n > 1)
        qsort(set->items, set->n, sizeof(*set->items), compare);
    set->sorted = true;
}

bool inode_set_has(const struct inode_set *set, uint64_t inode)
{
    uint32_t wanted = (uint32_t)inode;
    return inode <= UINT32_MAX && set->n > 0 &&
           bsearch(&wanted, set->items, set->n, sizeof(*set->items), compare);
}

int inode_set_difference(struct inode_set *to, const struct inode_set *set,
                         const struct inode_set *without)
{
    size_t j = 0;
    int r = 0;
    inode_set_clear(to);
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        while (j < without->n && without->items[j] < set->items[i])
            j++;
        if (j == without->n || without->items[j] != set->items[i])
            r = inode_set_add(to, set->items[i]);
    }
    to->sorted = true;
    return r;
}
