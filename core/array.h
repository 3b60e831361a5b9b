#pragma once
/* Arrays: how many items one has, and those that grow, `items` of which `n` are used and `size`
 * have room. */
#include "core/error.h"

#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

enum { ARRAY_FIRST = 16 };

static inline int array_grow(void *itemsp, size_t n, size_t *size, size_t item_size)
{
    void *items;
    size_t larger = *size ? 2 * *size : ARRAY_FIRST;
    if (n < *size)
        return 0;
    memcpy(&items, itemsp, sizeof(items));
    items = reallocarray(items, larger, item_size);
    if (!items)
        return -ENOMEM;
    memcpy(itemsp, &items, sizeof(items));
    *size = larger;
    return 0;
}

/** Make room for one item behind the @p n that are used; all three are lvalues. Returns 0, or
 * -ENOMEM with everything as it was. */
#define ARRAY_GROW(items, n, size) array_grow(&(items), (n), &(size), sizeof(*(items)))
