#pragma once
/* Pieces of JSON text. */
#include "core/buffer.h"

/** With its quotes. */
void json_append_string(struct buffer *to, struct slice text);
/** `null`, a number with all its digits where @p is_a_number and it is one in JSON, else a string.
 */
void json_append_value(struct buffer *to, bool is_a_number, struct slice value);
