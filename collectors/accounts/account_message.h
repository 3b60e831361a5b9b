#pragma once
/*
 * What was read, as messages: records one after the other, each a uint8_t kind and its fields, in
 * host order; a text is its length as uint32_t (UINT32_MAX: there is none) and its bytes.
 *
 *   1 wanted   u8 part, u32 sequence
 *   2 begin    u8 part, u32 sequence
 *   3 end      u8 part, u32 sequence, u8 complete
 *   4 account  u32 uid, u32 gid, password, texts name, gecos, home, shell
 *   5 group    u32 gid, password, text name
 *   6 member   texts group, name
 *   password   u8 state, u8 has_digest, 8 bytes of the digest (zeros: it has none)
 *
 * The time of a message is the moment of the change.
 */
#include "collectors/source.h"
#include "core/buffer.h"

void account_message_append_scan(struct buffer *to, const struct fact_account_scan *scan);
void account_message_append_account(struct buffer *to, const struct fact_account *account);
void account_message_append_group(struct buffer *to, const struct fact_account_group *group);
void account_message_append_member(struct buffer *to, const struct fact_group_member *member);

/** As source_ops.decode; the decoder keeps nothing between messages. */
int account_message_decode(struct decoder *decoder, const struct message *message,
                           fact_handler handler, void *user) MUST_CHECK;
