#pragma once
/* The common style of HTML pages, compiled into the program: html.css. */
#include "core/embedded_file.h"

extern const struct embedded_file html_files[];
extern const size_t html_files_n;
