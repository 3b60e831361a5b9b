// links: vestige_bundle
/* A bundle: it is refused with a text, or its parts lie within it and make the same bundle again.
 * The end is put right, or the checksum would keep everything out. */
#include "recorder/keys/bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct bundle *bundle, struct slice text)
{
    for (int part = 0; part < BUNDLE_PART_N; part++) {
        struct slice found = bundle->parts[part];
        if (!slice_is_null(found) && (found.data < text.data || found.length > text.length ||
                                      found.data + found.length > text.data + text.length ||
                                      found.length > BUNDLE_PART_MOST))
            abort();
    }
}

static void parse(struct slice text)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct bundle bundle;
    int r = bundle_parse(&bundle, text, &error);
    if (r == 0)
        check_parts(&bundle, text);
    else if (error.text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer ended CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer filled CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct bundle_word words[] = {
        {BUNDLE_DIRECTORY, "/x"},
        {BUNDLE_USER,      ""  }
    };
    parse(slice_of(data, size));
    bundle_begin(&ended);
    buffer_append(&ended, data, size);
    if (bundle_end(&ended) == 0)
        parse(buffer_slice(&ended));
    bundle_fill_in(&filled, slice_of(data, size), words, 2);
    return 0;
}
