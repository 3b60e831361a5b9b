#pragma once
/* The questions of sql/, compiled into the program. */
#include "core/embedded_file.h"

/* sql/NAME.sql, by name. */
extern const struct embedded_file question_texts[];
extern const size_t question_texts_n;
