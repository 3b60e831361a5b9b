#pragma once
/*
 * User names: those of the passwd file at the start and when it changes, others when they are asked
 * for, from the passwd file and then from the name service switch, which may wait for a server and
 * so has a thread of its own. Each accepted request is answered by one FACT_USER_NAME, and where
 * the switch has said something, by its FACT_ACCOUNT.
 *
 * A user that the switch has told of is asked for again when somebody asks after ten minutes, and
 * one that nobody knows, or that the switch could not tell of, after one minute
 * (source_options.user_keep_s, user_absent_s). So what becomes of a user whom nobody asks for is
 * not known.
 *
 * While the switch does not answer, nothing else is answered either: names that are not yet known
 * stay so, those of a changed passwd file too. Its thread cannot be made to end; source_ops.stop
 * waits two seconds for it and then leaves it behind, with the memory that it may yet touch.
 */
#include "collectors/procfs/names_message.h"

extern const struct source_ops names_source_ops;

/** As names_source_ops.open, with another passwd file. */
int names_source_open(struct source **sourcep, const struct source_options *options,
                      const char *passwd, struct error_text *error) MUST_CHECK;
/** Ask for a name. Any thread; never waits. False: too many requests wait; ask again later. */
bool names_request(struct source *source, uint32_t uid);
