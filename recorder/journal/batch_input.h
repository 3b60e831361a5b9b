#pragma once
/*
 * The bytes of a batch's text, from a compressed file, a plain one, or memory. At most
 * BATCH_TEXT_LIMIT of them: a small file that would decompress without end is an error.
 */
#include "core/error.h"
#include "core/slice.h"

#include <sys/types.h>

#define BATCH_TEXT_LIMIT (72u * 1024 * 1024)

struct batch_input;

int batch_input_open(struct batch_input **inputp, const char *path,
                     struct error_text *error) MUST_CHECK;
int batch_input_open_memory(struct batch_input **inputp, struct slice text) MUST_CHECK;
struct batch_input *batch_input_free(struct batch_input *input);
const char *batch_input_name(const struct batch_input *input);
/** Up to @p room bytes; 0 at the end; negative errno, -EBADMSG for damage with *@p reason. */
ssize_t batch_input_read(struct batch_input *input, void *to, size_t room,
                         const char **reason) MUST_CHECK;
void batch_input_rewind(struct batch_input *input);
