/* One allocation: the count, the length, the bytes. */
#include "recorder/lifecycle/shared_text.h"

#include <stdlib.h>

struct shared_text *shared_text_new(struct slice bytes)
{
    struct shared_text *text = malloc(sizeof(*text) + bytes.length);
    if (!text)
        return NULL;
    text->owners = 1;
    text->length = (uint32_t)bytes.length;
    if (bytes.length)
        memcpy(text->data, bytes.data, bytes.length);
    return text;
}

struct shared_text *shared_text_ref(struct shared_text *text)
{
    if (text)
        text->owners++;
    return text;
}

struct shared_text *shared_text_unref(struct shared_text *text)
{
    if (text && --text->owners == 0)
        free(text);
    return NULL;
}
