#pragma once
/* Decoding of taskstats messages. Pure, and without memory from message to message. */
#include "collectors/source.h"

int taskstats_decoder_new(struct decoder **decoderp) MUST_CHECK;
int taskstats_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user) MUST_CHECK;
struct decoder *taskstats_decoder_free(struct decoder *decoder);
