/* The body of a mail is base64 where it has evidence: lines of evidence may be of any length, and
 * no byte of them can end the body or begin a header. The subject has counts only. */
#include "reports/notify/notify_message.h"
#include "reports/output/safe_text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define DETAIL_MOST 2000

static void append_line(struct buffer *body, const char *name, struct slice text, size_t most)
{
    struct slice shown = text;
    if (slice_is_null(text))
        return;
    if (most && shown.length > most)
        for (shown.length = most; shown.length && (shown.data[shown.length] & 0xc0) == 0x80;)
            shown.length--;
    buffer_printf(body, "   %s: ", name);
    safe_text_append(body, shown);
    buffer_append_text(body, shown.length < text.length ? " ... (more in the table)\n" : "\n");
}

static void append_finding(struct buffer *body, const struct notify_finding *finding, size_t number)
{
    buffer_printf(body, "%zu. ", number);
    safe_text_append(body, finding->first_seen);
    buffer_append_text(body, " UTC, host ");
    safe_text_append(body, finding->host);
    buffer_append_text(body, ": ");
    safe_text_append(body, finding->class);
    buffer_append_byte(body, '\n');
    append_line(body, "about", finding->subject, DETAIL_MOST);
    append_line(body, "found", finding->detail, DETAIL_MOST);
    if (slice_is(finding->complete, "0"))
        buffer_append_text(body, "   The evidence was not complete: there may be more.\n");
    buffer_printf(
        body, "   vestige query \"SELECT * FROM finding WHERE host_id = %.*s AND id = %.*s\"\n\n",
        (int)finding->host_id.length, (const char *)finding->host_id.data, (int)finding->id.length,
        (const char *)finding->id.data);
}

static void append_base64(struct buffer *to, struct slice bytes)
{
    enum { GROUP = 57 }; /* 76 characters a line */
    for (size_t at = 0; at < bytes.length; at += GROUP) {
        unsigned char line[80];
        size_t length = bytes.length - at < GROUP ? bytes.length - at : GROUP;
        int n = EVP_EncodeBlock(line, bytes.data + at, (int)length);
        buffer_append(to, line, (size_t)n);
        buffer_append_byte(to, '\n');
    }
}

void notify_mail_print(struct buffer *to, const struct notify_mail *mail)
{
    if (*mail->from)
        buffer_printf(to, "From: %s\n", mail->from);
    buffer_printf(to,
                  "To: %s\nSubject: %s\nAuto-Submitted: auto-generated\n"
                  "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                  "Content-Transfer-Encoding: %s\n\n",
                  mail->recipients, mail->subject, mail->is_plain ? "7bit" : "base64");
    if (mail->is_plain)
        buffer_append_slice(to, mail->body);
    else
        append_base64(to, mail->body);
}

void notify_message_mail(struct buffer *to, const struct notify_message *message)
{
    struct buffer body = BUFFER_NULL;
    char subject[80];
    buffer_printf(&body, "Vestige has %zu new finding%s.\n\n", message->n,
                  message->n == 1 ? "" : "s");
    for (size_t i = 0; i < message->n; i++)
        append_finding(&body, &message->findings[i], i + 1);
    snprintf(subject, sizeof(subject), "Vestige: %zu new finding%s", message->n,
             message->n == 1 ? "" : "s");
    notify_mail_print(to, &(struct notify_mail){.recipients = message->recipients,
                                                .from = message->from,
                                                .subject = subject,
                                                .body = buffer_slice(&body)});
    to->failed = to->failed || body.failed;
    buffer_deinit(&body);
}

void notify_message_json(struct buffer *to, const struct notify_message *message)
{
    buffer_append_text(to, "{\"findings\": [");
    for (size_t i = 0; i < message->n; i++) {
        buffer_append_text(to, i ? ",\n" : "\n");
        buffer_append_slice(to, message->findings[i].json);
    }
    buffer_append_text(to, "\n]}\n");
}
