#pragma once
/*
 * Evidence on a terminal: control characters (C0, DEL, C1) as \xNN, and characters that turn the
 * direction of text or break lines (U+061C, U+200B..F, U+2028..E, U+2060..9, U+FEFF) as \uNNNN.
 * Everything else is kept. Bytes that are not UTF-8 are shown as \xNN too.
 */
#include "core/buffer.h"

void safe_text_append(struct buffer *to, struct slice text);

/** The code point at the start of @p text and its length; length 1 and code UINT32_MAX when the
 *  bytes are no UTF-8; length 0 at the end. */
uint32_t safe_text_code(struct slice text, size_t *length);
/** Whether a terminal must not see this character. */
bool safe_text_is_unsafe(uint32_t code);
