#pragma once
/*
 * The ways to tell: mail (sendmail -t -i), a command (JSON on its standard input), a webhook (HTTP
 * POST of JSON by curl). Each runs a program, which has a bound in time.
 */
#include "reports/notify/notify_config.h"
#include "reports/notify/notify_message.h"

struct notify_channel {
    const char *name; /* "mail", "command", "webhook" */
    bool (*is_wanted)(const struct notify_config *config);
    /** Whom it tells, for the log; no secret. */
    void (*recipient)(const struct notify_config *config, char text[NOTIFY_TEXT_SIZE]);
    /** Deliver once. Returns 0 only when the program says that it succeeded. */
    int (*deliver)(const struct notify_config *config, const struct notify_message *message,
                   struct error_text *error);
};

/** Send a mail by the sendmail of the configuration. Returns 0 only when it says that it took it.
 */
int notify_mail_send(const struct notify_config *config, const struct notify_mail *mail,
                     struct error_text *error) MUST_CHECK;

extern const struct notify_channel notify_channels[];
extern const size_t notify_channels_n;
