/* Reads one code point at a time; what is safe is copied as it is. */
#include "reports/output/safe_text.h"

uint32_t safe_text_code(struct slice text, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = text.data;
    *length = text.length ? 1 : 0;
    if (text.length == 0 || b[0] < 0x80)
        return text.length ? b[0] : 0;
    size_t n = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || text.length < n)
        return UINT32_MAX;
    uint32_t code = b[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return UINT32_MAX;
        code = code << 6 | (b[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return UINT32_MAX;
    *length = n;
    return code;
}

bool safe_text_is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x2069) || code == 0xfeff || code > 0x10ffff;
}

void safe_text_append(struct buffer *to, struct slice text)
{
    size_t length;
    for (size_t at = 0; at < text.length; at += length) {
        struct slice rest = slice_of(text.data + at, text.length - at);
        uint32_t code = safe_text_code(rest, &length);
        if (!safe_text_is_unsafe(code))
            buffer_append(to, rest.data, length);
        else if (code <= 0x9f)
            buffer_printf(to, "\\x%02x", code);
        else if (code <= 0xffff)
            buffer_printf(to, "\\u%04x", code);
        else
            buffer_printf(to, "\\x%02x", rest.data[0]);
    }
}
