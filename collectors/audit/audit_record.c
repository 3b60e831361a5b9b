/* The kernel writes numbers as they are, and text of others either in quotes (then it holds no
 * quote, no blank and no control character) or in upper-case hexadecimal without quotes. So a value
 * ends at its quote or at the next blank, and nothing inside it can pass for another field. */
#include "collectors/audit/audit_record.h"

#include "core/bounded_reader.h"

#include <linux/netlink.h>

/* Digits at the front of @p rest, which is moved behind them; false when there is none, or when
 * the number is greater than @p most. */
static bool take_decimal(struct slice *rest, uint64_t most, uint64_t *value)
{
    size_t i = 0;
    uint64_t number = 0;
    for (; i < rest->length; i++) {
        unsigned digit = (unsigned)rest->data[i] - '0';
        if (digit > 9)
            break;
        if (number > (most - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *rest = slice_of(rest->data + i, rest->length - i);
    *value = number;
    return i > 0;
}

static bool take_byte(struct slice *rest, char byte)
{
    if (rest->length == 0 || rest->data[0] != (uint8_t)byte)
        return false;
    *rest = slice_of(rest->data + 1, rest->length - 1);
    return true;
}

bool audit_record_type(struct slice message, uint16_t *type)
{
    struct bounded_reader reader = bounded_reader_of(message.data, message.length);
    struct nlmsghdr header;
    bounded_reader_copy(&reader, &header, sizeof(header));
    *type = header.nlmsg_type;
    return !reader.failed;
}

int audit_record_parse(struct slice message, struct audit_record *record)
{
    static const char prefix[] = "audit(";
    static const uint64_t most_seconds = INT64_MAX / 1000 - 1;
    if (!audit_record_type(message, &record->type))
        return -EBADMSG;
    struct slice rest =
        slice_of(message.data + sizeof(struct nlmsghdr), message.length - sizeof(struct nlmsghdr));
    while (rest.length && (rest.data[rest.length - 1] == 0 || rest.data[rest.length - 1] == '\n'))
        rest.length--;
    if (rest.length < sizeof(prefix) || memcmp(rest.data, prefix, sizeof(prefix) - 1) != 0)
        return -EBADMSG;
    rest = slice_of(rest.data + sizeof(prefix) - 1, rest.length - sizeof(prefix) + 1);
    uint64_t seconds, milli, serial;
    if (!take_decimal(&rest, most_seconds, &seconds) || !take_byte(&rest, '.') ||
        !take_decimal(&rest, 999, &milli) || !take_byte(&rest, ':') ||
        !take_decimal(&rest, UINT32_MAX, &serial) || !take_byte(&rest, ')') ||
        !take_byte(&rest, ':'))
        return -EBADMSG;
    record->real_ms = (int64_t)(seconds * 1000 + milli);
    record->serial = (uint32_t)serial;
    record->fields = rest;
    return 0;
}

bool audit_field_next(struct slice *rest, struct audit_field *field)
{
    const uint8_t *at = rest->data, *end = at + rest->length, *name = at;
    for (; at < end && *at != '='; at++)
        if (*at == ' ')
            name = at + 1;
    if (at == end)
        return false;
    field->name = slice_of(name, (size_t)(at - name));
    const uint8_t *value = ++at;
    field->quoted = at < end && (*at == '"' || *at == '\'');
    if (field->quoted) {
        const uint8_t quote = *at++;
        value = at;
        at = memchr(at, quote, (size_t)(end - at));
        if (!at)
            at = end;
    } else {
        while (at < end && *at != ' ')
            at++;
    }
    field->value = slice_of(value, (size_t)(at - value));
    if (at < end)
        at++;
    *rest = slice_of(at, (size_t)(end - at));
    return true;
}

bool audit_field_u32(const struct audit_field *field, uint32_t *value)
{
    struct slice rest = field->value;
    uint64_t number;
    if (field->quoted || !take_decimal(&rest, UINT32_MAX, &number) || rest.length)
        return false;
    *value = (uint32_t)number;
    return true;
}

/* 16 and more: not a hexadecimal digit. */
static unsigned hex_digit(uint8_t byte)
{
    unsigned digit = (unsigned)byte - '0';
    if (digit < 10)
        return digit;
    unsigned letter = ((unsigned)byte | 0x20) - 'a';
    return letter < 6 ? letter + 10 : 16;
}

bool audit_field_hex64(const struct audit_field *field, uint64_t *value)
{
    uint64_t number = 0;
    if (field->quoted || field->value.length == 0 || field->value.length > 16)
        return false;
    for (size_t i = 0; i < field->value.length; i++) {
        unsigned digit = hex_digit(field->value.data[i]);
        if (digit > 15)
            return false;
        number = number << 4 | digit;
    }
    *value = number;
    return true;
}

bool audit_field_hex(const struct audit_field *field, uint32_t *value)
{
    uint64_t number;
    if (field->value.length > 8 || !audit_field_hex64(field, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

static int append_hex(struct slice value, struct buffer *to)
{
    if (value.length == 0 || value.length % 2)
        return -EBADMSG;
    uint8_t *bytes = buffer_reserve(to, value.length / 2);
    if (!bytes)
        return 0; /* `to` says that it failed */
    for (size_t i = 0; i < value.length; i += 2) {
        unsigned high = hex_digit(value.data[i]), low = hex_digit(value.data[i + 1]);
        if ((high | low) > 15)
            return -EBADMSG;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    to->length += value.length / 2;
    return 0;
}

int audit_field_text(const struct audit_field *field, struct buffer *to)
{
    if (!field->quoted)
        return slice_is(field->value, "(null)") ? AUDIT_TEXT_UNKNOWN : append_hex(field->value, to);
    if (slice_is(field->value, "<no_memory>") || slice_is(field->value, "<too_long>"))
        return AUDIT_TEXT_UNKNOWN;
    buffer_append_slice(to, field->value);
    return AUDIT_TEXT_KNOWN;
}
