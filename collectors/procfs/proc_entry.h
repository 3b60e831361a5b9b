#pragma once
/*
 * The messages of SOURCE_PROC, and their decoder. Numbers are in host order.
 *
 *   uint32_t type, then
 *   PROC_ENTRY_PROCESS     fields: uint32_t key, uint32_t length, bytes. Numbers have 8 bytes.
 *                          Unknown keys are skipped; absent ones are unknown. `arguments` comes
 *                          last: each argument ends with a NUL.
 *   PROC_ENTRY_SCAN_BEGIN  nothing
 *   PROC_ENTRY_SCAN_END    nothing
 */
#include "collectors/source.h"
#include "core/buffer.h"

enum proc_entry_type { PROC_ENTRY_PROCESS = 1, PROC_ENTRY_SCAN_BEGIN, PROC_ENTRY_SCAN_END };

enum proc_entry_limits {
    PROC_ENTRY_ARGUMENTS = 1 << 20, /* bytes of all arguments; more: only their number is kept */
    PROC_ENTRY_ARGUMENT_COUNT = 1 << 16 /* likewise */
};

/** Append the message. argv and container of @p process are ignored; @p arguments (each ended by a
 * NUL, or SLICE_NULL) stands for it. Check `to->failed`. */
void proc_entry_process(struct buffer *to, const struct fact_proc_process *process,
                        struct slice arguments);
/** A scan message. */
void proc_entry_scan(struct buffer *to, bool begin);
/** The length of the message without its arguments; it stays a valid message. */
size_t proc_entry_without_arguments(struct slice message);

int proc_decoder_new(struct decoder **decoderp) MUST_CHECK;
int proc_decoder_decode(struct decoder *decoder, const struct message *message,
                        fact_handler handler, void *user) MUST_CHECK;
struct decoder *proc_decoder_free(struct decoder *decoder);
