/* One line for a person, filled where the cause is known and printed where the operation ends. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error_text *text, int error, const char *format, ...)
{
    if (text) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text->text, sizeof(text->text), format, arguments);
        va_end(arguments);
    }
    return error;
}
