/* Strings and numbers as JSON has them. Characters that a terminal must not see are escaped, so
 * that a document may be looked at; what is no UTF-8 becomes U+FFFD. */
#include "reports/output/json_text.h"
#include "reports/output/safe_text.h"

void json_append_string(struct buffer *to, struct slice text)
{
    size_t length;
    buffer_append_byte(to, '"');
    for (size_t at = 0; at < text.length; at += length) {
        struct slice rest = slice_of(text.data + at, text.length - at);
        uint32_t code = safe_text_code(rest, &length);
        if (code == '"' || code == '\\')
            buffer_printf(to, "\\%c", (char)code);
        else if (code == UINT32_MAX)
            buffer_append_text(to, "\xef\xbf\xbd");
        else if (safe_text_is_unsafe(code))
            buffer_printf(to, "\\u%04x", code);
        else
            buffer_append(to, rest.data, length);
    }
    buffer_append_byte(to, '"');
}

/* Whether JSON reads these bytes as a number; the server's own form of a number nearly always is
 * one, but a ZEROFILL column is not. */
static bool is_number(struct slice text)
{
    size_t at = text.length && text.data[0] == '-' ? 1 : 0, digits = at;
    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    if (at == digits || (text.data[digits] == '0' && at - digits > 1))
        return false;
    if (at < text.length && text.data[at] == '.') {
        size_t point = at++;
        while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9')
            at++;
        if (at == point + 1)
            return false;
    }
    if (at < text.length && (text.data[at] | 0x20) == 'e') {
        at +=
            at + 1 < text.length && (text.data[at + 1] == '-' || text.data[at + 1] == '+') ? 2 : 1;
        size_t exponent = at;
        while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9')
            at++;
        if (at == exponent)
            return false;
    }
    return at == text.length;
}

void json_append_value(struct buffer *to, bool is_a_number, struct slice value)
{
    if (slice_is_null(value))
        buffer_append_text(to, "null");
    else if (is_a_number && is_number(value))
        buffer_append_slice(to, value);
    else
        json_append_string(to, value);
}
