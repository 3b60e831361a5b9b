#pragma once
/*
 * What is known of a uid, as a message, in host order:
 *
 *   u32 uid, u8 answer, and then
 *   0 nobody  nothing
 *   1 file    the bytes of the name
 *   2 switch  u32 gid, texts name, gecos, home, shell
 *   3 before  nothing: there is no new answer
 *   text      u32 length (UINT32_MAX: there is none) and its bytes
 *
 * Recordings of before the answers 2 and 3 have 1 for users of the switch, too.
 */
#include "collectors/source.h"
#include "core/buffer.h"

enum {
    NAMES_NAME_MOST = 255,   /* bytes; a user of the switch with a longer name is no answer */
    NAMES_TEXT_MOST = 16000, /* bytes; a longer field of the switch is told as missing */
};

void names_message_append(struct buffer *to, const struct fact_user_name *name);
/** The entry of the switch; its name and its fields must be within bounds. */
void names_message_append_entry(struct buffer *to, const struct fact_account *entry);

/** As source_ops.decode; the decoder keeps nothing between messages. An entry of the switch gives
 *  its FACT_ACCOUNT first. */
int names_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                 void *user) MUST_CHECK;
