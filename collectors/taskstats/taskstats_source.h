#pragma once
/*
 * Taskstats (generic netlink): what each task used, sent by the kernel when it ends. The message of
 * the last task of a process is marked (AGROUP), exactly once a process.
 *
 * For facts with `last` user_us and system_us are the sums over all tasks of the process, where
 * the kernel gives them. read_bytes and write_bytes are always those of the one task that ended:
 * the process's are the sum over all its facts. forked_no_exec comes with the leader only, whether
 * or not it is the last.
 */
#include "collectors/source.h"

extern const struct source_ops taskstats_source;
