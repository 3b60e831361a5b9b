/* Without a format, because each header of a batch has hundreds of digits. */
#include "core/hex.h"

static const char digits[] = "0123456789abcdef";

void hex_append(struct buffer *to, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        buffer_append_byte(to, digits[bytes[i] >> 4]);
        buffer_append_byte(to, digits[bytes[i] & 15]);
    }
}

void hex_text(char *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}

int hex_digit(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool hex_parse(struct slice text, uint8_t *bytes, size_t length)
{
    if (text.length != 2 * length)
        return false;
    for (size_t i = 0; i < length; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
