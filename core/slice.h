#pragma once
/* Bytes that somebody else owns. Not terminated, may hold any byte. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* NULL: unknown. Not NULL with length 0: known and empty. */
    size_t length;
};

#define SLICE_NULL ((struct slice){NULL, 0})

static inline struct slice slice_of(const void *data, size_t length)
{
    return (struct slice){(const uint8_t *)data, length};
}

static inline struct slice slice_text(const char *text)
{
    return text ? slice_of(text, strlen(text)) : SLICE_NULL;
}

static inline bool slice_is_null(struct slice s)
{
    return s.data == NULL;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_is(struct slice s, const char *text)
{
    return slice_equal(s, slice_text(text));
}
