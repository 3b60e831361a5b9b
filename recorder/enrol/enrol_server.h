#pragma once
/* What a host asks of the server while it is enrolled. */
#include "core/buffer.h"

#include <stdbool.h>

/** Hand in what the host has made; the same again is no error. @p key and @p hash as text. */
int enrol_server_request(const char *options, const char *request, const char *key,
                         const char *hash, struct error_text *error) MUST_CHECK;

struct enrol_answer {
    bool is_approved, has_certificate;
    char host_id[24];
    long seconds_left; /* of the token */
    struct buffer certificate;
};

int enrol_server_look(const char *options, struct enrol_answer *answer,
                      struct error_text *error) MUST_CHECK;
/** Say, by the host's own account, that it has its files. @p word: the same when tried again. */
int enrol_server_confirm(const char *options, const char *word,
                         struct error_text *error) MUST_CHECK;
