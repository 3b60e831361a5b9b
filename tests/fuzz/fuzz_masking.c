// links: vestige_masking
// runs: 2000
/* The first line is a rule beside the usual ones; what follows are arguments, each ended by NUL. As
 * many come back, and none that was not masked has changed. Each input compiles all rules. */
#include "recorder/masking/masking.h"

#include <stdlib.h>

enum { ARGUMENTS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct masking *make(struct slice rule)
{
    struct masking_rules *rules = NULL;
    struct masking *masking = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    if (masking_rules_new(&rules))
        return NULL;
    int result = masking_rules_parse(rules, "usual", slice_text(masking_rules_default()), &error);
    if (result)
        abort();
    result = masking_rules_parse(rules, "fuzz", rule, &error);
    if (result && error.text[0] == '\0')
        abort();
    if (masking_rules_finish(rules) || masking_new(&masking, rules)) {
        masking_rules_free(rules);
        return NULL;
    }
    return masking;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice arguments[ARGUMENTS];
    const struct slice *masked = NULL;
    size_t n = 0, at = 0;
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    at = newline ? (size_t)(newline - data) + 1 : 0;
    struct masking *masking = make(slice_of(data, at));
    if (!masking)
        return 0;
    while (at < size && n < ARGUMENTS) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        arguments[n++] = slice_of(data + at, length);
        at += length + 1;
    }
    bool changed = false;
    if (masking_apply(masking, slice_text("/bin/x"), arguments, n, &masked) == 1) {
        for (size_t i = 0; i < n; i++)
            changed |= !slice_equal(arguments[i], masked[i]);
        if (!changed && !memchr(data, '*', size))
            abort();
    }
    masking_free(masking);
    return 0;
}
