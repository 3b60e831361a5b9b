#pragma once
/*
 * The argument vector of one exec, put together from its EXECVE records. Memory is bounded by what
 * the records hold, never by the number that `argc` claims.
 */
#include "collectors/audit/audit_record.h"

struct audit_argument {
    size_t offset, length; /* in `bytes` */
};

struct audit_arguments {
    struct buffer bytes;
    struct buffer list; /* of struct audit_argument, by index, without those that were lost */
    uint32_t argc;      /* declared; valid if argc_known */
    uint32_t next;      /* the lowest index that may still come */
    bool argc_known;
    bool full; /* memory ran out: nothing more is taken */
    /* The argument that comes in pieces, if one is open. */
    bool open, damaged;
    uint32_t open_index, next_piece;
    uint64_t declared_length, received_length; /* in characters as the kernel writes them */
    size_t open_offset;
};

void audit_arguments_deinit(struct audit_arguments *self);
/** Forget the contents; memory over a moderate size is given back. */
void audit_arguments_clear(struct audit_arguments *self);
/** Bytes that the contents take; the memory is at most twice that, and a moderate size. */
static inline size_t audit_arguments_size(const struct audit_arguments *self)
{
    return self->bytes.length + self->list.length;
}
/** Take the fields of one EXECVE record. Returns 0, or -EBADMSG when they contradict each other or
 *  what came before (what could be understood is kept). */
int audit_arguments_add(struct audit_arguments *self, struct slice fields) MUST_CHECK;
/** No more records will come. */
void audit_arguments_finish(struct audit_arguments *self);
static inline size_t audit_arguments_count(const struct audit_arguments *self)
{
    return self->list.length / sizeof(struct audit_argument);
}
