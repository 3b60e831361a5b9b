#pragma once
/* Bytes as hexadecimal digits, in lower case. */
#include "core/buffer.h"

void hex_append(struct buffer *to, const uint8_t *bytes, size_t length);
/** Likewise into @p text, terminated: 2 * @p length + 1 bytes. */
void hex_text(char *text, const uint8_t *bytes, size_t length);
/** The value of a digit, -1: it is none. */
int hex_digit(uint8_t digit);
/** Whether @p text is exactly @p length bytes in digits, which then are in @p bytes. */
bool hex_parse(struct slice text, uint8_t *bytes, size_t length) MUST_CHECK;
