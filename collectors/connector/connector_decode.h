#pragma once
/* Decoding of process connector messages and of the connector's notes. Pure: see source.h. */
#include "collectors/source.h"

int connector_decoder_new(struct decoder **decoderp) MUST_CHECK;
int connector_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user) MUST_CHECK;
struct decoder *connector_decoder_free(struct decoder *decoder);

/** True when the datagram is the kernel's answer to a subscription sent with the acknowledge number
 *  @p ack; *@p error is then the kernel's (positive) error or 0. The sequence number that was sent
 *  does not come back: since Linux 4.6 the answer takes the next one of its CPU. */
bool connector_decode_ack(struct slice datagram, uint32_t ack, uint32_t *error);
