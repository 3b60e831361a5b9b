#pragma once
/* The questions of the timeline, and the script and style of its page, compiled into the program.
 */
#include "core/embedded_file.h"

extern const struct embedded_file timeline_files[];
extern const size_t timeline_files_n;

/** The text of one of them, which is terminated; the name is that of the file. */
const struct embedded_file *timeline_file(const char *name);
