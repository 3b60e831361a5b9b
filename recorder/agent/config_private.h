#pragma once
/* What the files config*.c share. */
#include "core/error.h"
#include "core/slice.h"
#include "recorder/agent/config.h"
#include "recorder/agent/config_keys.h"

/** Where @p config has the value of @p key: char[CONFIG_PATH_SIZE] or char[CONFIG_LIST_SIZE], const
 *  char *, uint32_t or uint64_t, by its type. */
void *config_member(struct config *config, const struct config_key *key);
void config_set_number(struct config *config, const struct config_key *key, uint64_t value);
