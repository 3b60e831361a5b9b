/* Escaping, the frame of a page, and its policy: style and script are constants of the program, so
 * their digests are computed as the page is written. */
#include "reports/output/html.h"
#include "reports/output/html_files.h"
#include "reports/output/safe_text.h"

#include <openssl/evp.h>

static void append_character(struct buffer *to, uint8_t byte)
{
    switch (byte) {
    case '<':
        buffer_append_text(to, "&lt;");
        break;
    case '>':
        buffer_append_text(to, "&gt;");
        break;
    case '&':
        buffer_append_text(to, "&amp;");
        break;
    case '"':
        buffer_append_text(to, "&quot;");
        break;
    case '\'':
        buffer_append_text(to, "&#39;");
        break;
    default:
        buffer_append_byte(to, (char)byte);
    }
}

void html_append_text(struct buffer *to, struct slice text)
{
    struct buffer safe = BUFFER_NULL;
    safe_text_append(&safe, text);
    for (size_t i = 0; i < safe.length; i++)
        append_character(to, safe.data[i]);
    to->failed |= safe.failed;
    buffer_deinit(&safe);
}

void html_append_attribute(struct buffer *to, const char *name, struct slice value)
{
    buffer_printf(to, " %s=\"", name);
    html_append_text(to, value);
    buffer_append_byte(to, '"');
}

void html_append_json(struct buffer *to, struct slice text)
{
    struct buffer safe = BUFFER_NULL;
    safe_text_append(&safe, text);
    buffer_append_byte(to, '"');
    for (size_t i = 0; i < safe.length; i++)
        if (strchr("<>&'\"\\", safe.data[i]))
            buffer_printf(to, "\\u%04x", safe.data[i]);
        else
            buffer_append_byte(to, (char)safe.data[i]);
    buffer_append_byte(to, '"');
    to->failed |= safe.failed;
    buffer_deinit(&safe);
}

/* 'sha256-...' of an inline style or script. */
static int append_digest(struct buffer *to, struct slice content)
{
    unsigned char digest[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
    unsigned length;
    if (!EVP_Digest(content.data, content.length, digest, &length, EVP_sha256(), NULL))
        return -EIO;
    EVP_EncodeBlock(text, digest, (int)length);
    buffer_printf(to, " 'sha256-%s'", (const char *)text);
    return 0;
}

static struct slice common_style(void)
{
    return slice_of(html_files[0].text, html_files[0].length);
}

static int append_policy(struct buffer *to, const struct html_page *page)
{
    buffer_append_text(to, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                           "'none'; base-uri 'none'; form-action 'none'; style-src");
    int error = append_digest(to, common_style());
    if (!error && page->style.length)
        error = append_digest(to, page->style);
    if (!error && page->script.length) {
        buffer_append_text(to, "; script-src");
        error = append_digest(to, page->script);
    }
    buffer_append_text(to, "\">\n");
    return error;
}

static void append_style(struct buffer *to, struct slice style)
{
    buffer_append_text(to, "<style>");
    buffer_append_slice(to, style);
    buffer_append_text(to, "</style>\n");
}

int html_begin(struct buffer *to, const struct html_page *page)
{
    buffer_append_text(to,
                       "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    int error = append_policy(to, page);
    if (error)
        return error;
    buffer_append_text(to,
                       "<meta name=\"viewport\" content=\"width=device-width, "
                       "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
                       "<title>");
    html_append_text(to, page->title);
    buffer_append_text(to, "</title>\n");
    append_style(to, common_style());
    if (page->style.length)
        append_style(to, page->style);
    buffer_append_text(to, "</head>\n<body>\n");
    return to->failed ? -ENOMEM : 0;
}

void html_end(struct buffer *to, const struct html_page *page)
{
    if (page->script.length) {
        buffer_append_text(to, "<script>");
        buffer_append_slice(to, page->script);
        buffer_append_text(to, "</script>\n");
    }
    buffer_append_text(to, "</body>\n</html>\n");
}
