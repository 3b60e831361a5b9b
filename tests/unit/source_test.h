#pragma once
/* What tests of a source with a thread of its own share. */
#include "collectors/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

/* Until all that happened before this call can be drained; a minute at most. */
static inline void source_wait_until_read(struct source *source,
                                          void (*request)(struct source *source),
                                          uint64_t (*read_until)(const struct source *source))
{
    uint64_t asked_ns = clock_boot_ns();
    request(source);
    for (int i = 0; i < 60000 && read_until(source) < asked_ns; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_true(read_until(source) >= asked_ns);
}

/* Take all that is there, of a source whose decoder keeps nothing. */
static inline void source_drain_all(const struct source_ops *ops, struct source *source,
                                    struct gulp *gulp, fact_handler take_fact, void *user)
{
    int r;
    do {
        struct message message;
        size_t offset = 0;
        gulp->used = 0;
        r = ops->drain(source, gulp);
        assert_true(r >= 0);
        while (gulp_next(gulp, &offset, &message))
            assert_int_equal(ops->decode(NULL, &message, take_fact, user), 0);
    } while (r == SOURCE_MORE);
}
