#pragma once
/* A file that was compiled into the program (cmake/embed.cmake). */
#include <stddef.h>

struct embedded_file {
    const char *name; /* without its directory */
    const char *text; /* a NUL follows it */
    size_t length;
};

/* server-schema/NNNN_name.sql, in the order of their numbers. */
extern const struct embedded_file schema_files[];
extern const size_t schema_files_n;
