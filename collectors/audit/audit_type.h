#pragma once
/*
 * The record types of <linux/audit.h>: their names, and what this collector does with each. A type
 * that is skipped today is a row of the table all the same, so that a decoder for it is one line.
 */
#include <stdbool.h>
#include <stdint.h>

enum audit_use {
    AUDIT_USE_SKIP,    /* counted as unknown; its serial counts for holes */
    AUDIT_USE_EXEC,    /* a piece of an exec event */
    AUDIT_USE_LOGIN,   /* a login user id was set */
    AUDIT_USE_USER,    /* a program says something of a login */
    AUDIT_USE_SOCKET,  /* addresses of calls on sockets */
    AUDIT_USE_KERNEL,  /* what a call that changes the kernel was done to */
    AUDIT_USE_CONTROL, /* not a record: answers to requests, and the kernel's probe of its daemon */
};

enum audit_use audit_type_use(uint16_t type);
/** "EXECVE", or NULL for a type that the table does not have. */
const char *audit_type_name(uint16_t type);
