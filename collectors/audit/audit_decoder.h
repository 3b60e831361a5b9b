#pragma once
/*
 * Audit messages to facts: FACT_AUDIT_EXEC, FACT_AUDIT_LOGIN, FACT_AUDIT_SOCKET, FACT_AUDIT_USER,
 * FACT_KERNEL_EVENT, FACT_KERNEL_TARGET, FACT_AUDIT_HOLE, FACT_AUDIT_LOST, FACT_AUDIT_RULES,
 * FACT_OVERRUN, FACT_NOTE. Pure: the same messages give the same facts.
 *
 * An exec goes out with its CWD record. In FACT_AUDIT_HOLE `first` and `last` are modulo 2^32.
 *
 * Notes besides the mode for `coverage`:
 *   lost=N          the kernel's count of lost records went up by N
 *   last_serial=N   the highest serial that an earlier run of the same boot has stored; holes are
 *                   counted from there
 */
#include "collectors/source.h"

int audit_decoder_new(struct decoder **decoderp) MUST_CHECK;
int audit_decoder_decode(struct decoder *decoder, const struct message *message,
                         fact_handler handler, void *user) MUST_CHECK;
struct decoder *audit_decoder_free(struct decoder *decoder);
