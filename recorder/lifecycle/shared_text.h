#pragma once
/* Immutable bytes with a count of owners, for what a child shares with its parent. One thread. */
#include "core/slice.h"

struct shared_text {
    unsigned owners;
    uint32_t length;
    uint8_t data[];
};

/** NULL when memory is exhausted. */
struct shared_text *shared_text_new(struct slice bytes);
/** NULL is allowed in both. */
struct shared_text *shared_text_ref(struct shared_text *text);
struct shared_text *shared_text_unref(struct shared_text *text);

static inline struct slice shared_text_slice(const struct shared_text *text)
{
    return text ? slice_of(text->data, text->length) : SLICE_NULL;
}
