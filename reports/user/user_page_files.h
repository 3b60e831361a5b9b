#pragma once
/* The style of the user page, compiled into the program: user_page.css. */
#include "core/embedded_file.h"

extern const struct embedded_file user_page_files[];
extern const size_t user_page_files_n;
