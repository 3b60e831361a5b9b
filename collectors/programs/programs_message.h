#pragma once
/*
 * An answer as a message, in host order: uint64_t request, uint8_t what is known (0 nothing, 1 the
 * file, 2 its digest too), uint8_t evidence; of a known file uint64_t size, int64_t modified,
 * int64_t changed, and its digest.
 */
#include "collectors/source.h"

enum { PROGRAMS_MESSAGE_MOST = 8 + 2 + 3 * 8 + 32 + 8 };

/** Returns the length of the message. */
size_t programs_message_write(uint8_t to[PROGRAMS_MESSAGE_MOST],
                              const struct fact_program *program);

/** As source_ops.decode; the decoder keeps nothing between messages. */
int programs_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user) MUST_CHECK;
