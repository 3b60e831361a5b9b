#pragma once
/* Single files whose reads the kernel passes over: what every program opens at its start, and
 * nobody wants to know. Few, by their ids. */
#include "collectors/fanotify/file_id.h"

enum { PASSED_FILES_MOST = 32 };

struct passed_file {
    uint64_t filesystem;
    int32_t type;
    size_t length;
    uint8_t handle[FILE_HANDLE_MOST];
    uint64_t marked_ns;
};

struct passed_files {
    struct passed_file list[PASSED_FILES_MOST];
    size_t n;
};

/** NULL: it is none of them. */
struct passed_file *passed_files_find(struct passed_files *files, const struct file_id *id);
/** NULL: there is no room. */
struct passed_file *passed_files_add(struct passed_files *files, const struct file_id *id);
/** The id points into @p file. */
struct file_id passed_file_id(const struct passed_file *file);
