#pragma once
/*
 * One self-contained HTML page. Text from evidence goes in through the functions here: it is first
 * made safe as on a terminal (safe_text.h: control characters are shown), then `<`, `>`, `&` and
 * quotes become references, so that it can never be markup or script.
 *
 * A page may load nothing and run nothing but its own style and script: the policy in its head
 * (Content-Security-Policy) names the two by SHA-256. So there can be no style="" and no
 * onclick="": use classes, the attributes of SVG, and addEventListener.
 *
 * The common style (html.css) gives colours as variables, light and dark, and a form for print.
 */
#include "core/buffer.h"

struct html_page {
    struct slice title;  /* may be evidence */
    struct slice style;  /* CSS behind the common one; SLICE_NULL: none */
    struct slice script; /* put at the end of the body; SLICE_NULL: none */
};

/** Everything up to and with `<body>`. Returns 0, -ENOMEM, or -EIO when libcrypto fails. */
int html_begin(struct buffer *to, const struct html_page *page) MUST_CHECK;
/** The script and the end. The same page as for html_begin. */
void html_end(struct buffer *to, const struct html_page *page);

/** Text inside an element. */
void html_append_text(struct buffer *to, struct slice text);
/** ` name="value"`. */
void html_append_attribute(struct buffer *to, const char *name, struct slice value);
/** A JSON string with its quotes, fit for <script type="application/json">. */
void html_append_json(struct buffer *to, struct slice text);

/* The file that a page is written to. A regular file appears under its name only when it is
 * complete;
 * "-" is standard output. It is readable by its owner alone: it holds evidence. */
struct html_file {
    const char *path;
    char *temporary; /* NULL: written in place */
    int fd;
};

#define HTML_FILE_NULL                                                                             \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

int html_file_open(struct html_file *file, const char *path, struct error_text *error) MUST_CHECK;
/** Write what @p from has and clear it; -ENOMEM when it has failed. */
int html_file_put(struct html_file *file, struct buffer *from, struct error_text *error) MUST_CHECK;
int html_file_finish(struct html_file *file, struct error_text *error) MUST_CHECK;
/** Without html_file_finish() nothing is left behind. */
void html_file_deinit(struct html_file *file);
