/* One pass over the form. An optional part is written and taken back when a value in it is missing.
 */
#include "reports/user/sentence.h"
#include "reports/options/time_words.h"

#include <inttypes.h>

static struct slice value_of(struct slice name, const struct sentence_value *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(name, values[i].name))
            return values[i].value;
    return SLICE_NULL;
}

static uint64_t number_of(struct slice value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.length && value.data[i] >= '0' && value.data[i] <= '9'; i++)
        number = number * 10 + value.data[i] - '0';
    return number;
}

static void append_moment(struct buffer *to, struct slice value)
{
    char text[TIME_TEXT_SIZE];
    if (value.length > 19)
        value.length = 19;
    if (time_words_convert(text, value))
        buffer_append_text(to, text);
    else
        buffer_append_slice(to, value);
}

static void append_time(struct buffer *to, uint64_t s)
{
    if (s < 60)
        buffer_printf(to, "%" PRIu64 " s", s);
    else if (s < 3600)
        buffer_printf(to, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
    else if (s < 86400)
        buffer_printf(to, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        buffer_printf(to, "%" PRIu64 " d %02" PRIu64 " h", s / 86400, s / 3600 % 24);
}

static void append_bytes(struct buffer *to, uint64_t n)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double amount = (double)n;
    size_t unit = 0;
    if (n < 1024) {
        buffer_printf(to, "%" PRIu64 " byte%s", n, n == 1 ? "" : "s");
        return;
    }
    for (amount /= 1024; amount >= 1024; amount /= 1024)
        unit++;
    buffer_printf(to, "%.1f %s", amount, units[unit]);
}

/* "once|% times": the form for this number. */
static void append_form(struct buffer *to, struct slice forms, struct slice value)
{
    const uint8_t *bar = memchr(forms.data, '|', forms.length);
    size_t one = bar ? (size_t)(bar - forms.data) : forms.length;
    struct slice form = slice_of(forms.data, one);
    if (bar && !slice_is(value, "1"))
        form = slice_of(bar + 1, forms.length - one - 1);
    for (size_t i = 0; i < form.length; i++)
        if (form.data[i] == '%')
            buffer_append_slice(to, value);
        else
            buffer_append_byte(to, (char)form.data[i]);
}

/* What stands between braces. False: the value is NULL or empty. */
static bool append_place(struct buffer *to, struct slice place, const struct sentence_value *values,
                         size_t n_values)
{
    size_t length = 0;
    while (length < place.length && place.data[length] != '~' && place.data[length] != '|')
        length++;
    struct slice value = value_of(slice_of(place.data, length), values, n_values);
    struct slice rest = slice_of(place.data + length, place.length - length);
    if (!value.length)
        buffer_append_text(to, slice_is_null(value) ? "?" : "");
    else if (!rest.length)
        buffer_append_slice(to, value);
    else if (rest.data[0] == '|')
        append_form(to, slice_of(rest.data + 1, rest.length - 1), value);
    else if (slice_is(rest, "~moment"))
        append_moment(to, value);
    else if (slice_is(rest, "~time"))
        append_time(to, number_of(value));
    else
        append_bytes(to, number_of(value));
    return value.length > 0;
}

void sentence_append(struct buffer *to, const char *form, const struct sentence_value *values,
                     size_t n_values)
{
    size_t part = SIZE_MAX; /* where the optional part at hand began */
    bool complete = true;
    for (const char *at = form; *at; at++) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (end) {
            complete &=
                append_place(to, slice_of(at + 1, (size_t)(end - at - 1)), values, n_values);
            at = end;
        } else if (*at == '[') {
            part = to->length;
            complete = true;
        } else if (*at == ']') {
            if (!complete && part <= to->length)
                to->length = part;
            part = SIZE_MAX;
        } else {
            buffer_append_byte(to, *at);
        }
    }
}
