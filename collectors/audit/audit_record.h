#pragma once
/*
 * One audit record, taken apart: "audit(SECONDS.MILLI:SERIAL): name=value name=value ...". Nothing
 * is copied: slices point into the message. Pure.
 */
#include "core/buffer.h"
#include "core/error.h"

struct audit_record {
    uint16_t type;   /* as in <linux/audit.h> */
    uint32_t serial; /* of the event that it belongs to */
    int64_t real_ms; /* of the event, milliseconds since 1970 */
    struct slice fields;
};

/** The type in the netlink header; false when there is no whole header. */
bool audit_record_type(struct slice message, uint16_t *type);
/** @p message is one netlink message. The length in its header is not used: kernels differ in
 *  whether it counts the header. Returns 0 or -EBADMSG. */
int audit_record_parse(struct slice message, struct audit_record *record) MUST_CHECK;

struct audit_field {
    struct slice name;
    struct slice value; /* without its quotes */
    bool quoted;
};

/** The next field of @p rest, which is moved on; false at the end. Words without `=` are left
 *  out. */
bool audit_field_next(struct slice *rest, struct audit_field *field);

/** A decimal number of 32 bits. */
bool audit_field_u32(const struct audit_field *field, uint32_t *value);
/** A hexadecimal number of 32 bits, without prefix. */
bool audit_field_hex(const struct audit_field *field, uint32_t *value);

/* Outcomes of audit_field_text. */
enum {
    AUDIT_TEXT_KNOWN = 0,
    AUDIT_TEXT_UNKNOWN = 1 /* `(null)`, or the kernel had no memory or no room for it */
};

/** The same of 64 bits: as wide as a register. */
bool audit_field_hex64(const struct audit_field *field, uint64_t *value);

/** Append the bytes of a value that the kernel writes in quotes, or in hexadecimal when it holds
 *  what quotes cannot. Returns an outcome, or -EBADMSG (nothing appended). Memory: see @p to. */
int audit_field_text(const struct audit_field *field, struct buffer *to) MUST_CHECK;
