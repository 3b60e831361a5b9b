#pragma once
/* Decoding of the programs' records. Pure, and without memory from record to record. */
#include "collectors/source.h"

int bpf_decoder_new(struct decoder **decoderp) MUST_CHECK;
int bpf_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
               void *user) MUST_CHECK;
struct decoder *bpf_decoder_free(struct decoder *decoder);
