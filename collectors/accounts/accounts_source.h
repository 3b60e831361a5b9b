#pragma once
/*
 * Accounts, groups and their members, from passwd, shadow, group and gshadow of one directory. It
 * reads all at first, and then a part (passwd with shadow, group with gshadow) when something in it
 * has changed. Each reading is a begin, all that is there now, and an end; the time of its messages
 * is the moment of the change. A hash of a password is in no message.
 */
#include "collectors/source.h"

extern const struct source_ops accounts_source_ops;
