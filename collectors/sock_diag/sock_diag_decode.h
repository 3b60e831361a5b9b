#pragma once
/* Decoding of the messages that sock_diag_message.h describes. Pure: see source.h. */
#include "collectors/source.h"

int sock_diag_decoder_new(struct decoder **decoderp) MUST_CHECK;
int sock_diag_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user) MUST_CHECK;
struct decoder *sock_diag_decoder_free(struct decoder *decoder);
