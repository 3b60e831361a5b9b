// links: vestige_config
/* A configuration file: it is refused with a text, or its dump is read again and gives the same. */
#include "recorder/agent/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct config *config)
{
    struct buffer first = BUFFER_NULL, second = BUFFER_NULL;
    struct config *again = NULL;
    config_dump(config, &first);
    if (config_new(&again) < 0)
        abort();
    if (config_parse(again, "dump", buffer_slice(&first), NULL) < 0)
        abort();
    config_dump(again, &second);
    if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
        abort();
    config_free(again);
    buffer_deinit(&first);
    buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    if (config_new(&config) < 0)
        return 0;
    int r = config_parse(config, "fuzz", slice_of(data, size), &error);
    if (r == 0)
        read_again(config);
    else if (error.text[0] == '\0')
        abort();
    config_free(config);
    return 0;
}
