#pragma once
/*
 * What was executed: size, time and SHA-256 of programs' files, by a thread that never keeps a fact
 * waiting. Each accepted request is answered by exactly one FACT_PROGRAM, while the source runs.
 *
 * A file is read once for each of its versions (device, inode, size, times), at a bounded number of
 * bytes a second, and its digest remembered; each answer is of a new look at the file itself.
 */
#include "collectors/programs/programs_message.h"

extern const struct source_ops programs_source_ops;

struct program_request {
    uint64_t number;
    uint32_t pid;      /* which executed it */
    uint32_t root_pid; /* a process that sees the same files; 0: nobody knows one */
    struct slice path; /* as that process sees it */
};

/** Any thread; never waits. False: too many requests wait, or it is no path; nobody will answer. */
bool programs_request(struct source *source, const struct program_request *request);
