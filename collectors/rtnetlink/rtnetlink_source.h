#pragma once
/*
 * rtnetlink: interfaces, their addresses and routes of the agent's own network namespace: first all
 * that there is, then every change. It needs no privilege.
 *
 * Its notes (MESSAGE_NOTE), besides the mode for `coverage`, are those of rtnetlink_decode.h: when
 * a dump began and ended. What a complete one does not name does not exist any more.
 */
#include "collectors/source.h"

extern const struct source_ops rtnetlink_source;
