#pragma once
/*
 * Whom to tell of findings: section [notify] of /etc/vestige/vestige.conf. Unknown and doubled keys
 * are errors with file and line.
 */
#include "core/error.h"
#include "core/slice.h"

#include <stdio.h>

#define NOTIFY_CONFIG_DEFAULT "/etc/vestige/vestige.conf"

enum { NOTIFY_TEXT_SIZE = 2048, NOTIFY_WORDS_MOST = 32 };

struct notify_config {
    char mail[NOTIFY_TEXT_SIZE];            /* "a@example.net, b@example.net"; "": no mail */
    char mail_from[NOTIFY_TEXT_SIZE];       /* "": as sendmail does */
    char sendmail[NOTIFY_TEXT_SIZE];        /* "": where it usually is */
    char command[NOTIFY_TEXT_SIZE];         /* an absolute path and words; "": none */
    char webhook[NOTIFY_TEXT_SIZE];         /* "": none */
    char webhook_header[NOTIFY_TEXT_SIZE];  /* lines, with newlines between */
    char webhook_headers[NOTIFY_TEXT_SIZE]; /* a file of such lines; "": none */
    unsigned attempts, retry_seconds, timeout_seconds, most;
};

/** Mail to these addresses alone, "a@example.net, b@example.net": what @p config says of it is
 *  replaced. -EINVAL: they are none. */
int notify_config_set_mail(struct notify_config *config, const char *addresses,
                           struct error_text *error) MUST_CHECK;
/** The defaults, with nobody to tell. */
void notify_config_init(struct notify_config *config);

/** Read @p path. -EACCES: it holds a secret, and others may read it. */
int notify_config_read(struct notify_config *config, const char *path,
                       struct error_text *error) MUST_CHECK;
/** The same of a text; @p name is for messages. Pure. */
int notify_config_parse(struct notify_config *config, const char *name, struct slice text,
                        struct error_text *error) MUST_CHECK;
