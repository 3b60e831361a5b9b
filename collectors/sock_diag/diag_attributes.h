#pragma once
/* The attributes of a message whose fixed part is followed by them. */
#include "core/slice.h"

#include <libmnl/libmnl.h>

/** Sets @p values[type] for each attribute of a type below @p n; absent ones are SLICE_NULL. False
 *  when lengths are not what they must be: what was found until then is set. The bytes must be
 *  aligned to 4. Pure. */
static inline bool diag_attributes(struct slice attributes, struct slice *values, size_t n)
{
    const uint8_t *end = attributes.data + attributes.length;
    const struct nlattr *attribute = (const void *)attributes.data;
    for (size_t i = 0; i < n; i++)
        values[i] = SLICE_NULL;
    while ((const uint8_t *)attribute < end) {
        if (attributes.length > INT32_MAX ||
            !mnl_attr_ok(attribute, (int)(end - (const uint8_t *)attribute)))
            return false;
        uint16_t type = mnl_attr_get_type(attribute);
        if (type < n)
            values[type] =
                slice_of(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
        attribute = mnl_attr_next(attribute);
    }
    return true;
}
