#pragma once
/* Reads one process and makes it a message. One thread an object. */
#include "collectors/procfs/proc_entry.h"

struct proc_reader;

enum { PROC_READ_GONE = 1 }; /* there is no such process, any more */

int proc_reader_new(struct proc_reader **readerp, struct error_text *error) MUST_CHECK;
struct proc_reader *proc_reader_free(struct proc_reader *reader);

/** Appends the message of process @p pid to @p to. Returns 0, PROC_READ_GONE, or an error that says
 *  that the process could not be looked at although it may live (-EMFILE, -ENOMEM ...). */
int proc_reader_process(struct proc_reader *reader, uint32_t pid, struct buffer *to) MUST_CHECK;
