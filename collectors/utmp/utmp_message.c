/* A record is a structure of fixed size. Its texts fill their fields to the last byte, without a
 * zero, when they are that long; everything in them may come from who tried to log in. */
#include "collectors/utmp/utmp_message.h"

#include "collectors/netlink/common_message.h"
#include "collectors/utmp/record_memory.h"
#include "core/bounded_reader.h"

#include <sys/socket.h>

void utmp_message_append_records(struct buffer *to, const struct utmp_message_header *header,
                                 struct slice records)
{
    struct utmp_message_header written = *header;
    written.event = 0;
    written.record_size = UTMP_RECORD_SIZE;
    buffer_append(to, &written, sizeof(written));
    buffer_append_slice(to, records);
}

void utmp_message_append_log(struct buffer *to, const struct fact_login_log *log)
{
    const struct utmp_message_header header = {.event = (uint8_t)(1 + log->event),
                                               .file = (uint8_t)log->file,
                                               .record_size = UTMP_RECORD_SIZE,
                                               .inode = log->inode,
                                               .before = log->before,
                                               .now = log->now};
    buffer_append(to, &header, sizeof(header));
}

static struct slice text_of(const char *bytes, size_t size)
{
    return slice_of(bytes, strnlen(bytes, size));
}

static struct inet_address address_of(const int32_t words[4])
{
    struct inet_address address = {.family = 0};
    if (words[1] || words[2] || words[3])
        address.family = AF_INET6;
    else if (words[0])
        address.family = AF_INET;
    memcpy(address.bytes, words, address.family == AF_INET6 ? 16 : 4);
    return address;
}

static void hand_out(const struct message *message, const struct utmp_message_header *header,
                     uint64_t begin, const struct utmp *record, fact_handler handler, void *user)
{
    const struct fact fact = {
        .kind = FACT_LOGIN_RECORD,
        .source = SOURCE_UTMP,
        .boot_ns = message->boot_ns,
        .login_record = {.file = (enum login_file)header->file,
                         .old = header->old != 0,
                         .inode = header->inode,
                         .begin = begin,
                         .end = begin + UTMP_RECORD_SIZE,
                         .digest = record_digest(slice_of(record, sizeof(*record))),
                         .type = (uint16_t)record->ut_type,
                         .pid = record->ut_pid > 0 ? (uint32_t)record->ut_pid : 0,
                         .line = text_of(record->ut_line, sizeof(record->ut_line)),
                         .user = text_of(record->ut_user, sizeof(record->ut_user)),
                         .host = text_of(record->ut_host, sizeof(record->ut_host)),
                         .address = address_of(record->ut_addr_v6),
                         .real_us = (int64_t)record->ut_tv.tv_sec * 1000000 +
                                    (int64_t)record->ut_tv.tv_usec}
    };
    handler(user, &fact);
}

static int decode_records(const struct message *message, const struct utmp_message_header *header,
                          struct bounded_reader *reader, fact_handler handler, void *user)
{
    uint64_t begin = header->before;
    if (begin > INT64_MAX)
        return -EBADMSG;
    for (; reader->left >= UTMP_RECORD_SIZE; begin += UTMP_RECORD_SIZE) {
        struct utmp record;
        bounded_reader_copy(reader, &record, sizeof(record));
        hand_out(message, header, begin, &record, handler, user);
    }
    return reader->left ? -EBADMSG : 0;
}

int utmp_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                void *user)
{
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    struct utmp_message_header header;
    (void)decoder;
    if (common_message_decode(message, handler, user) || message->kind != MESSAGE_DATA)
        return 0;
    bounded_reader_copy(&reader, &header, sizeof(header));
    if (reader.failed || header.file >= LOGIN_FILE_N || header.record_size != UTMP_RECORD_SIZE ||
        header.event > LOGIN_LOG_EVENT_N)
        return -EBADMSG;
    if (header.event == 0)
        return decode_records(message, &header, &reader, handler, user);
    const struct fact fact = {
        .kind = FACT_LOGIN_LOG,
        .source = SOURCE_UTMP,
        .boot_ns = message->boot_ns,
        .login_log = {.event = (enum login_log_event)(header.event - 1),
                      .file = (enum login_file)header.file,
                      .inode = header.inode,
                      .before = header.before,
                      .now = header.now}
    };
    handler(user, &fact);
    return reader.left ? -EBADMSG : 0;
}
