#pragma once
/*
 * What is running, from /proc: a full scan at the start, every proc_full_interval_s and on request;
 * between them, every proc_interval_ms, only the processes that were not there before. Reading
 * /proc takes long, so it has a thread of its own.
 *
 * A full scan is FACT_PROC_SCAN begin, a FACT_PROC_PROCESS each, FACT_PROC_SCAN end. Every process
 * that lived from begin to end is in it; when one could not be read there is no end, and the next
 * begin starts anew.
 */
#include "collectors/source.h"

extern const struct source_ops proc_source_ops;

/** Ask for a full scan now. Any thread. */
void proc_source_request_full(struct source *source);
