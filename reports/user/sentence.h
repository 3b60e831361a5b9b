#pragma once
/*
 * Sentences from a form and the values of a row:
 *
 *   {name}             the value; `?` for NULL
 *   {name~moment}      the server's UTC form of a moment, to the second, in the time zone in use
 *   {name~time}        a number of seconds: "2 h 03 min"
 *   {name~bytes}       "1.5 MiB"
 *   {name|once|% times} the first form for 1, else the second, in which % is the number
 *   [ from {name}]     left out when a value in it is NULL or empty
 *
 * Values are copied as they are; whoever shows the sentence makes it safe.
 */
#include "core/buffer.h"

struct sentence_value {
    const char *name;
    struct slice value;
};

void sentence_append(struct buffer *to, const char *form, const struct sentence_value *values,
                     size_t n_values);
