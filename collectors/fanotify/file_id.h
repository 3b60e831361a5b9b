#pragma once
/* Which file, for as long as its filesystem exists: the filesystem's id and a file handle. */
#include "core/slice.h"

enum { FILE_HANDLE_MOST = 128 };

struct file_id {
    uint64_t filesystem; /* both words of f_fsid */
    int32_t type;        /* of the handle */
    struct slice handle; /* SLICE_NULL: unknown; at most FILE_HANDLE_MOST bytes */
};

static inline bool file_id_known(const struct file_id *id)
{
    return !slice_is_null(id->handle);
}
