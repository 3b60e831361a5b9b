/* A message is one record, which is copied and then looked at. One of another version or length, or
 * with a number that no program of ours writes, is refused whole. */
#include "collectors/bpf/bpf_decode.h"

#include "collectors/bpf/bpf_record.h"
#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define LOST_NOTE  "lost="
#define STATE_MOST 13 /* TCP_BOUND_INACTIVE, since Linux 6.8 */

struct decoder {
    char unused;
};

int bpf_decoder_new(struct decoder **decoderp)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = decoder;
    return 0;
}

struct decoder *bpf_decoder_free(struct decoder *decoder)
{
    free(decoder);
    return NULL;
}

static bool is_end(const struct bpf_record_end *end)
{
    return (end->family == AF_INET || end->family == AF_INET6) && end->unused == 0;
}

static bool is_state(unsigned char state)
{
    return state >= TCP_ESTABLISHED && state <= STATE_MOST;
}

static int read_record(struct slice bytes, struct bpf_record *record)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    bounded_reader_copy(&reader, record, sizeof(*record));
    if (reader.failed || reader.left || record->magic != BPF_RECORD_MAGIC ||
        record->version != BPF_RECORD_VERSION || record->size != bytes.length)
        return -EBADMSG;
    if (record->kind == BPF_RECORD_SIGNAL || record->kind == BPF_RECORD_MOVED)
        return record->unused || record->error < 0 ? -EBADMSG : 0;
    if (record->kind >= BPF_RECORD_KIND_N || record->unused || record->error < 0 ||
        (record->family != AF_INET && record->family != AF_INET6) || !is_state(record->old_state) ||
        !is_state(record->new_state) || !is_end(&record->local) || !is_end(&record->remote))
        return -EBADMSG;
    return 0;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static struct inet_address address_of(const struct bpf_record_end *end)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct inet_address address = {.family = end->family, .port = end->port};
    if (end->family == AF_INET) {
        memcpy(address.bytes, end->address, 4);
    } else if (memcmp(end->address, mapped, sizeof(mapped)) == 0) {
        address.family = AF_INET;
        memcpy(address.bytes, end->address + sizeof(mapped), 4);
    } else {
        memcpy(address.bytes, end->address, sizeof(address.bytes));
    }
    if (!address.port && is_zero(address.bytes, sizeof(address.bytes)))
        address.family = 0;
    return address;
}

static struct socket_description description_of(const struct bpf_record *record)
{
    return (struct socket_description){
        .cookie = record->cookie,
        .netns = record->netns,
        .inode = record->inode,
        .family = record->family,
        .type = record->type,
        .protocol = record->protocol,
        .state = record->new_state,
        .local = address_of(&record->local),
        .remote = address_of(&record->remote),
        .interface = record->interface,
        .uid = record->socket_uid,
        .error = record->error,
        .bytes_sent = record->bytes_sent,
        .bytes_received = record->bytes_received,
        .path = SLICE_NULL,
    };
}

static void give_done(const struct bpf_record *record, enum kernel_event_kind kind,
                      struct slice target, fact_handler handler, void *user)
{
    struct fact fact = {
        .kind = FACT_KERNEL_EVENT, .source = SOURCE_BPF, .boot_ns = record->boot_ns};
    fact.kernel_event = (struct fact_kernel_event){
        .kind = kind,
        .real_ms = -1,
        .known = true,
        .success = true,
        .pid = record->pid,
        .uid = record->uid,
        .login_uid = record->login_uid,
        .comm = slice_of(record->comm, strnlen(record->comm, sizeof(record->comm))),
        .target = target};
    handler(user, &fact);
}

static const char *whose(const struct bpf_record *record)
{
    return record->interface ? "the guard of vestiged" : "vestiged";
}

/* SIGKILL to vestiged, pid 123, by the kernel. */
static int decode_signal(const struct bpf_record *record, fact_handler handler, void *user)
{
    char target[80];
    int number = record->inode <= 64 ? (int)record->inode : 0;
    const char *name = sigabbrev_np(number);
    char word[24];
    if (name)
        snprintf(word, sizeof(word), "SIG%s", name);
    else
        snprintf(word, sizeof(word), "signal %d", number);
    int length =
        snprintf(target, sizeof(target), "%s to %s, pid %" PRIu32 "%s", word, whose(record),
                 (uint32_t)record->cookie, record->error ? ", by the kernel" : "");
    give_done(record, KERNEL_SIGNAL, slice_of(target, (size_t)length), handler, user);
    return 0;
}

/* control group of vestiged, pid 123 */
static int decode_moved(const struct bpf_record *record, fact_handler handler, void *user)
{
    char target[80];
    int length = snprintf(target, sizeof(target), "control group of %s, pid %" PRIu32,
                          whose(record), (uint32_t)record->cookie);
    give_done(record, KERNEL_TAMPER, slice_of(target, (size_t)length), handler, user);
    return 0;
}

static int decode_record(const struct message *message, fact_handler handler, void *user)
{
    static const enum socket_call calls[] = {
        [BPF_RECORD_CONNECT] = SOCKET_CALL_CONNECT, [BPF_RECORD_LISTEN] = SOCKET_CALL_LISTEN,
        [BPF_RECORD_ACCEPT] = SOCKET_CALL_ACCEPT,   [BPF_RECORD_SEND] = SOCKET_CALL_SEND,
        [BPF_RECORD_RECEIVE] = SOCKET_CALL_RECEIVE,
    };
    struct bpf_record record;
    int r = read_record(message->bytes, &record);
    if (r < 0)
        return r;
    if (record.kind == BPF_RECORD_SIGNAL)
        return decode_signal(&record, handler, user);
    if (record.kind == BPF_RECORD_MOVED)
        return decode_moved(&record, handler, user);
    struct fact fact = {.source = SOURCE_BPF, .boot_ns = record.boot_ns};
    if (record.kind == BPF_RECORD_STATE) {
        fact.kind = FACT_SOCKET_STATE;
        fact.socket_state = (struct fact_socket_state){.old_state = record.old_state,
                                                       .new_state = record.new_state,
                                                       .socket = description_of(&record)};
    } else {
        fact.kind = FACT_SOCKET_CALL;
        fact.socket_call = (struct fact_socket_call){
            .call = calls[record.kind],
            .pid = record.pid,
            .uid = record.uid,
            .login_uid = record.login_uid,
            .session = record.session,
            .comm = slice_of(record.comm, strnlen(record.comm, sizeof(record.comm))),
            .socket = description_of(&record)};
    }
    handler(user, &fact);
    return 0;
}

/* "lost=NUMBER", and nothing behind it. */
static int decode_lost(const struct message *message, fact_handler handler, void *user)
{
    const size_t prefix = sizeof(LOST_NOTE) - 1;
    struct slice note = message->bytes;
    struct fact fact = {.kind = FACT_BPF_LOST, .source = SOURCE_BPF, .boot_ns = message->boot_ns};
    if (note.length <= prefix || memcmp(note.data, LOST_NOTE, prefix) != 0)
        return -EBADMSG;
    for (size_t i = prefix; i < note.length; i++) {
        unsigned digit = (unsigned)note.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(fact.bpf_lost.events, 10, &fact.bpf_lost.events) ||
            __builtin_add_overflow(fact.bpf_lost.events, digit, &fact.bpf_lost.events))
            return -EBADMSG;
    }
    handler(user, &fact);
    return 0;
}

int bpf_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
               void *user)
{
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    switch (message->kind) {
    case MESSAGE_DATA:
        return decode_record(message, handler, user);
    case MESSAGE_NOTE:
        return decode_lost(message, handler, user);
    default:
        return -EBADMSG;
    }
}
