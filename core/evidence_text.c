/* Three independent codecs: bytes to valid UTF-8, text to a LOAD DATA field, argument to a shell
 * word. Each scans for the longest run that needs nothing and copies it whole. */
#include "core/evidence_text.h"

#include <ctype.h>

/* Length of the valid UTF-8 sequence at the start of @p bytes, 0 when there is none. */
static size_t utf8_sequence(struct slice bytes)
{
    const uint8_t *b = bytes.data;
    if (bytes.length == 0 || b[0] == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || bytes.length < length)
        return 0;
    uint8_t low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static bool is_hex_escape(struct slice text, size_t at)
{
    return at + 3 < text.length && text.data[at] == '\\' && text.data[at + 1] == 'x' &&
           isxdigit(text.data[at + 2]) && isxdigit(text.data[at + 3]);
}

static void append_hex(struct buffer *to, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    buffer_append(to, escape, sizeof(escape));
}

void evidence_text_append(struct buffer *to, struct slice bytes)
{
    size_t start = 0, at = 0;
    while (at < bytes.length) {
        size_t length = utf8_sequence(slice_of(bytes.data + at, bytes.length - at));
        if (length && !is_hex_escape(bytes, at)) {
            at += length;
            continue;
        }
        buffer_append(to, bytes.data + start, at - start);
        append_hex(to, bytes.data[at]);
        start = ++at;
    }
    if (at > start)
        buffer_append(to, bytes.data + start, at - start);
}

static uint8_t hex_value(uint8_t digit)
{
    return (uint8_t)(isdigit(digit) ? digit - '0' : tolower(digit) - 'a' + 10);
}

void evidence_text_restore(struct buffer *to, struct slice text)
{
    for (size_t at = 0; at < text.length;) {
        if (is_hex_escape(text, at)) {
            uint8_t byte =
                (uint8_t)(hex_value(text.data[at + 2]) << 4 | hex_value(text.data[at + 3]));
            buffer_append(to, &byte, 1);
            at += 4;
        } else {
            buffer_append(to, text.data + at++, 1);
        }
    }
}

void evidence_field_append(struct buffer *to, struct slice value)
{
    if (slice_is_null(value)) {
        buffer_append(to, "\\N", 2);
        return;
    }
    size_t start = 0;
    for (size_t at = 0; at < value.length; at++) {
        const char *escape;
        switch (value.data[at]) {
        case '\\':
            escape = "\\\\";
            break;
        case '\t':
            escape = "\\t";
            break;
        case '\n':
            escape = "\\n";
            break;
        case '\r':
            escape = "\\r";
            break;
        case '\0':
            escape = "\\0";
            break;
        default:
            continue;
        }
        buffer_append(to, value.data + start, at - start);
        buffer_append(to, escape, 2);
        start = at + 1;
    }
    buffer_append(to, value.data + start, value.length - start);
}

int evidence_field_unescape(struct buffer *to, struct slice field)
{
    size_t start = 0;
    for (size_t at = 0; at < field.length; at++) {
        if (field.data[at] != '\\')
            continue;
        static const char codes[] = "\\tnr0", plain[] = "\\\t\n\r\0";
        const char *code =
            at + 1 < field.length ? memchr(codes, field.data[at + 1], sizeof(codes) - 1) : NULL;
        if (!code)
            return -EINVAL;
        buffer_append(to, field.data + start, at - start);
        buffer_append(to, &plain[code - codes], 1);
        start = ++at + 1;
    }
    if (start < field.length)
        buffer_append(to, field.data + start, field.length - start);
    return 0;
}

static bool is_plain_word(struct slice argument)
{
    for (size_t i = 0; i < argument.length; i++) {
        uint8_t c = argument.data[i];
        if (c >= 0x80 || (!isalnum(c) && (c == 0 || !strchr("_@%+=:,./-", c))))
            return false;
    }
    return argument.length > 0;
}

void evidence_quote_append(struct buffer *to, struct slice argument)
{
    if (is_plain_word(argument)) {
        buffer_append_slice(to, argument);
        return;
    }
    buffer_append_byte(to, '\'');
    size_t start = 0;
    for (size_t at = 0; at < argument.length; at++) {
        if (argument.data[at] != '\'')
            continue;
        buffer_append(to, argument.data + start, at - start);
        buffer_append_text(to, "'\\''");
        start = at + 1;
    }
    buffer_append(to, argument.data + start, argument.length - start);
    buffer_append_byte(to, '\'');
}
