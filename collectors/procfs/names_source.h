#pragma once
/*
 * User names: those of the passwd file at the start and when it changes, others when they are asked
 * for, from the passwd file and then from the name service switch, which may wait for a server and
 * so has a thread of its own. Each accepted request is answered by one FACT_USER_NAME.
 *
 * A message is uint32_t uid, uint8_t known, and the bytes of the name.
 */
#include "collectors/source.h"

extern const struct source_ops names_source_ops;

/** As names_source_ops.open, with another passwd file. */
int names_source_open(struct source **sourcep, const struct source_options *options,
                      const char *passwd, struct error_text *error) MUST_CHECK;
/** Ask for a name. Any thread; never waits. False: too many requests wait; ask again later. */
bool names_request(struct source *source, uint32_t uid);

int names_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                 void *user) MUST_CHECK;
