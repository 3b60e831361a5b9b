#pragma once
/* Writes lines to a stream, for --replay. Marks are left out. */
#include "recorder/row/row_sink.h"

#include <stdio.h>

/** The stream must outlive the sink. append returns -EIO when the stream cannot be written. */
struct row_sink row_sink_stream(FILE *stream);
