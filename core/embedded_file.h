#pragma once
/* A file that was compiled into the program (cmake/embed.cmake). */
#include <stddef.h>

struct embedded_file {
    const char *name; /* without its directory */
    const char *text; /* a NUL follows it */
    size_t length;
};
