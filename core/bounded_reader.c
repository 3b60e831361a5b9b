/* A position, what is left, and a sticky error; every access goes through bounded_reader_bytes. */
#include "core/bounded_reader.h"

struct bounded_reader bounded_reader_of(const void *data, size_t length)
{
    return (struct bounded_reader){.position = data, .left = length};
}

struct slice bounded_reader_bytes(struct bounded_reader *reader, size_t length)
{
    if (reader->failed || length > reader->left) {
        reader->failed = true;
        return slice_of("", 0);
    }
    struct slice bytes = slice_of(reader->position, length);
    reader->position += length;
    reader->left -= length;
    return bytes;
}

void bounded_reader_copy(struct bounded_reader *reader, void *to, size_t length)
{
    struct slice bytes = bounded_reader_bytes(reader, length);
    if (bytes.length == length)
        memcpy(to, bytes.data, length);
    else
        memset(to, 0, length);
}

uint8_t bounded_reader_u8(struct bounded_reader *reader)
{
    uint8_t value;
    bounded_reader_copy(reader, &value, sizeof(value));
    return value;
}

uint16_t bounded_reader_u16(struct bounded_reader *reader)
{
    uint16_t value;
    bounded_reader_copy(reader, &value, sizeof(value));
    return value;
}

uint32_t bounded_reader_u32(struct bounded_reader *reader)
{
    uint32_t value;
    bounded_reader_copy(reader, &value, sizeof(value));
    return value;
}

uint64_t bounded_reader_u64(struct bounded_reader *reader)
{
    uint64_t value;
    bounded_reader_copy(reader, &value, sizeof(value));
    return value;
}
