// links: vestige_notify
/* Whom to tell: it is refused with a text, or no value of it can be another header of a mail. */
#include "reports/notify/notify_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notify_config config;
    struct error_text error = ERROR_TEXT_NULL;
    notify_config_init(&config);
    if (notify_config_parse(&config, "fuzz", slice_of(data, size), &error) < 0) {
        if (!error.text[0])
            abort();
        return 0;
    }
    if (strpbrk(config.mail, "\r\n") || strpbrk(config.mail_from, "\r\n") || config.attempts == 0)
        abort();
    return 0;
}
