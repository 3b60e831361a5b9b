#pragma once
/* The compiled programs, inside of this program. */
#include "core/embedded_file.h"

extern const struct embedded_file bpf_objects[]; /* one */
extern const size_t bpf_objects_n;
