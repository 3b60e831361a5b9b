#pragma once
/* Texts that go into every case bundle, compiled into the program. */
#include "core/embedded_file.h"

extern const struct embedded_file export_texts[];
extern const size_t export_texts_n;
