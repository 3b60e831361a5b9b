#pragma once
/*
 * Reads numbers and strings from bytes that are not ours. The first read past the end sets a sticky
 * error; from then on every read gives zeros and empty slices, so that a decoder reads on and asks
 * once, at the end, whether it may believe what it got. Numbers are in host order, as in netlink.
 */
#include "core/slice.h"

struct bounded_reader {
    const uint8_t *position;
    size_t left;
    bool failed;
};

struct bounded_reader bounded_reader_of(const void *data, size_t length);
uint8_t bounded_reader_u8(struct bounded_reader *reader);
uint16_t bounded_reader_u16(struct bounded_reader *reader);
uint32_t bounded_reader_u32(struct bounded_reader *reader);
uint64_t bounded_reader_u64(struct bounded_reader *reader);
/** The next @p length bytes; an empty slice when there are not so many. */
struct slice bounded_reader_bytes(struct bounded_reader *reader, size_t length);
/** Copy a plain structure; zeros when there are not enough bytes. */
void bounded_reader_copy(struct bounded_reader *reader, void *to, size_t length);
