#pragma once
/*
 * What is told of findings, as bytes: a mail for people, or JSON for programs. Pure. Texts of
 * findings are evidence: nothing of them is in a header, and control characters are shown.
 */
#include "core/buffer.h"

struct notify_finding {
    struct slice host, class, subject, detail, first_seen, id, host_id, complete;
    struct slice json; /* the whole of it, made by the server */
};

struct notify_message {
    const struct notify_finding *findings;
    size_t n;
    const char *recipients, *from; /* of a mail; from "": none */
};

/* Any mail of ours. */
struct notify_mail {
    const char *recipients, *from; /* addresses that notify_config has checked; from "": none */
    const char *subject;           /* plain ASCII, no control characters */
    struct slice body;
    bool is_plain; /* the body is ASCII in short lines: it may be sent as it is */
};

/** Headers and body, for `sendmail -t`. */
void notify_mail_print(struct buffer *to, const struct notify_mail *mail);

/** A whole mail, headers and all, for `sendmail -t`. */
void notify_message_mail(struct buffer *to, const struct notify_message *message);
/** {"findings": [...]} */
void notify_message_json(struct buffer *to, const struct notify_message *message);
