#pragma once
/* The schema, compiled into the program. */
#include "core/embedded_file.h"

/* server-schema/NNNN_name.sql, in the order of their numbers. */
extern const struct embedded_file schema_files[];
extern const size_t schema_files_n;
