#pragma once
/*
 * How bytes from the outside become text, and text becomes a field of a journal line.
 *
 * Evidence text is valid UTF-8 (as strict as RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF). A byte that is not part of a valid sequence is written `\xNN` (lower case); a
 * backslash that happens to stand directly before `xNN` (two hex digits of any case) is written
 * `\x5c`; every other byte is kept. NUL is written `\x00`. So the bytes can always be had back.
 *
 * A field of a line is escaped as LOAD DATA reads it: backslash, tab, newline, carriage return and
 * NUL become `\\ \t \n \r \0`; NULL is `\N`.
 *
 * An argument is quoted as a POSIX shell would read it where it needs it: words of
 * [A-Za-z0-9_@%+=:,./-] stay, everything else is put in single quotes, with ' as '\''.
 */
#include "core/buffer.h"

/** Append @p bytes as evidence text, field escaping not applied. */
void evidence_text_append(struct buffer *to, struct slice bytes);
/** Give back the bytes that evidence_text_append was given. */
void evidence_text_restore(struct buffer *to, struct slice text);

/** Append @p value with the escapes of LOAD DATA (\N when it is SLICE_NULL). */
void evidence_field_append(struct buffer *to, struct slice value);
/** Undo the escapes of one field. Returns 0, or -EINVAL for an escape that the writer never makes.
 *  The caller has already treated a field that is exactly `\N`. */
int evidence_field_unescape(struct buffer *to, struct slice field) MUST_CHECK;

/** Append raw bytes of one argument, quoted as a POSIX shell reads it. */
void evidence_quote_append(struct buffer *to, struct slice argument);
