#pragma once
/*
 * Growing bytes with a sticky error: when memory or the limit is exhausted the buffer keeps what it
 * has, `failed` is set, and later appends do nothing. Check `failed` once, at the end.
 */
#include "core/error.h"
#include "core/slice.h"

struct buffer {
    uint8_t *data;
    size_t length;
    size_t capacity;
    size_t limit; /* bytes; 0: none */
    bool failed;
};

#define BUFFER_NULL                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void buffer_deinit(struct buffer *buffer);
/** Forget the contents and the error, keep the memory. */
void buffer_clear(struct buffer *buffer);
/** Make room for @p more bytes behind the contents; NULL (and failed) when there is none. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_u64(struct buffer *buffer, uint64_t value);
void buffer_append_i64(struct buffer *buffer, int64_t value);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF(2, 3);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data ? buffer->data : (const uint8_t *)"", buffer->length);
}
