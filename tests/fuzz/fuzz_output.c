// links: vestige_html vestige_output
/* Evidence on its way out: on a terminal it has no control character, in JSON and in a page it
 * cannot end the text that it stands in, and what is safe already stays as it is. */
#include "reports/output/html.h"
#include "reports/output/json_text.h"
#include "reports/output/safe_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(struct slice text)
{
    size_t length;
    for (size_t at = 0; at < text.length; at += length) {
        uint32_t code = safe_text_code(slice_of(text.data + at, text.length - at), &length);
        if (safe_text_is_unsafe(code) || length == 0)
            abort();
    }
}

static void check_without(struct slice text, const char *forbidden)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] == 0 || strchr(forbidden, text.data[i]))
            abort();
}

/* A string of JSON: each backslash begins a known escape, and only the last byte is a quote. */
static void check_json(struct slice text)
{
    if (text.length < 2 || text.data[0] != '"' || text.data[text.length - 1] != '"')
        abort();
    for (size_t i = 1; i + 1 < text.length; i++) {
        if (text.data[i] < 0x20 || text.data[i] == '"')
            abort();
        if (text.data[i] != '\\')
            continue;
        i++;
        if (i + 1 >= text.length || !text.data[i] || !strchr("\"\\/bfnrtu", text.data[i]))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct buffer safe CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer again CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer json CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer page CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer script CLEANUP(buffer_deinit) = BUFFER_NULL;
    safe_text_append(&safe, bytes);
    check_safe(buffer_slice(&safe));
    safe_text_append(&again, buffer_slice(&safe));
    if (!slice_equal(buffer_slice(&safe), buffer_slice(&again)))
        abort();
    json_append_string(&json, bytes);
    check_json(buffer_slice(&json));
    json_append_value(&script, true, bytes);
    buffer_clear(&script);
    html_append_text(&page, bytes);
    check_safe(buffer_slice(&page));
    check_without(buffer_slice(&page), "<>\"'");
    html_append_json(&script, bytes);
    check_json(buffer_slice(&script));
    check_without(buffer_slice(&script), "<>&'");
    return 0;
}
