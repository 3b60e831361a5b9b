#pragma once
/*
 * The error contract of Vestige.
 *
 * A function that can fail returns int. 0 is success. A negative value is a negated errno(3): it is
 * passed up unchanged, or handled where the caller knows what to do. A positive value is an outcome
 * of that one function, named in an enum beside its declaration, which the caller must handle.
 * Pointers are given back through the first argument, whose name ends in `p`, and are written only
 * on success.
 *
 * What a person has to read (what failed, where, and what to do about it) is put into a
 * `struct error_text` by the function that knows; the caller that ends the operation prints it.
 *
 * Ownership is in the verb: _new allocates and _free releases (NULL is allowed, NULL is returned);
 * _init and _deinit do the same for embedded objects; _steal gives away; _consume takes over.
 */
#include <errno.h>
#include <stddef.h>

#define MUST_CHECK    __attribute__((warn_unused_result))
#define PRINTF(f, a)  __attribute__((format(printf, f, a)))
#define CLEANUP(func) __attribute__((cleanup(func)))

/** One line for a person: what, where, what to do. Never holds a secret. */
struct error_text {
    char text[512];
};

#define ERROR_TEXT_NULL                                                                            \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/** Set the text (truncated at its size, always terminated) and return @p error unchanged.
 *  @p text may be NULL. */
int error_set(struct error_text *text, int error, const char *format, ...) PRINTF(3, 4);
