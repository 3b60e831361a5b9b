#pragma once
/* Cleanup attributes for what is not ours: descriptors, heap memory and streams. */
#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

static inline void cleanup_free(void *pointer)
{
    void **p = pointer;
    free(*p);
}

static inline void cleanup_fclose(FILE **stream)
{
    if (*stream)
        fclose(*stream);
}

#define AUTO_CLOSE  CLEANUP(cleanup_close)
#define AUTO_FREE   CLEANUP(cleanup_free)
#define AUTO_FCLOSE CLEANUP(cleanup_fclose)

/** Define a cleanup function `name` for locals of type `type *` released by `func`. */
#define DEFINE_CLEANUP(name, type, func)                                                           \
    static inline void name(type **pointer)                                                        \
    {                                                                                              \
        if (*pointer)                                                                              \
            func(*pointer);                                                                        \
    }                                                                                              \
    struct cleanup_semicolon_##name
