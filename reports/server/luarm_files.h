#pragma once
/* server-schema/luarm_views.sql, compiled into the program. */
#include "core/embedded_file.h"

extern const struct embedded_file luarm_files[];
extern const size_t luarm_files_n;
