#pragma once
/*
 * The input of the decoders' fuzz targets is what a gulp holds: message headers and bytes. Each
 * message is given to the decoder in memory of exactly its size, and every byte of every slice of
 * every fact is read.
 */
#include "collectors/source.h"

#include <stdlib.h>

static volatile uint64_t fuzz_sum;

static inline void fuzz_read(struct slice slice)
{
    for (size_t i = 0; i < slice.length; i++)
        fuzz_sum += slice.data[i];
}

static inline void fuzz_read_fact(void *user, const struct fact *fact)
{
    ++*(uint64_t *)user;
    if (fact->kind == FACT_COMM)
        fuzz_read(fact->comm.comm);
    if (fact->kind == FACT_TASK_STATS)
        fuzz_read(fact->task_stats.comm);
    if (fact->kind == FACT_SOCKET_CALL)
        fuzz_read(fact->socket_call.comm);
    if (fact->kind == FACT_LINK)
        fuzz_read(fact->link.name);
    if (fact->kind == FACT_SOCKET)
        fuzz_read(fact->socket.socket.path);
    if (fact->kind == FACT_LOGIN_RECORD) {
        fuzz_read(fact->login_record.line);
        fuzz_read(fact->login_record.user);
        fuzz_read(fact->login_record.host);
    }
    if (fact->kind == FACT_NOTE) {
        fuzz_read(fact->note.mode);
        fuzz_read(fact->note.detail);
    }
}

static inline void fuzz_decode(const struct source_ops *ops, struct decoder *decoder,
                               const struct message *message, uint64_t *n_facts)
{
    struct message exact = *message;
    uint8_t *bytes = malloc(message->bytes.length ? message->bytes.length : 1);
    if (!bytes)
        abort();
    memcpy(bytes, message->bytes.data, message->bytes.length);
    exact.source = ops->id;
    exact.bytes = slice_of(bytes, message->bytes.length);
    int r = ops->decode(decoder, &exact, fuzz_read_fact, n_facts);
    if (r != 0 && r != -EBADMSG)
        abort();
    free(bytes);
}

static inline int fuzz_messages(const struct source_ops *ops, const uint8_t *data, size_t size)
{
    struct decoder *decoder;
    struct message message;
    size_t offset = 0;
    uint64_t n_facts = 0;
    struct gulp *gulp = gulp_new(size);
    if (!gulp || ops->decoder_new(&decoder) < 0)
        abort();
    memcpy(gulp->data, data, size);
    gulp->used = size;
    while (gulp_next(gulp, &offset, &message))
        fuzz_decode(ops, decoder, &message, &n_facts);
    ops->decoder_free(decoder);
    gulp_free(gulp);
    return 0;
}
