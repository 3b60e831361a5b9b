#pragma once
/*
 * The host's side of enrolment: takes a bundle or a token of `vestige client enroll`, and leaves
 * the agent's files. What was begun can be begun again with the same file.
 */
#include "core/error.h"

#include <stdbool.h>

#define ENROL_DIRECTORY "/etc/vestige"

struct enrol_options {
    const char *file, *directory;
    unsigned wait_s; /* for the approval of a token */
    bool replace;    /* another host's identity, if there is one in the directory */
};

/** -EEXIST: the directory has the identity of another host; -EAGAIN: nobody approved in time. */
int enrol_run(const struct enrol_options *options, struct error_text *error) MUST_CHECK;
