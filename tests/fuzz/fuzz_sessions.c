// links: vestige_tracker vestige_utmp vestige_audit
/*
 * Any bytes as records of wtmp, utmp and btmp, and any text as what a program says to audit, all
 * the way to rows: no crash, memory within its bounds, and every line has its values.
 *
 * The input is pieces: a letter and a byte that counts what follows. W, U, B: a record of that
 * file, whose bytes are repeated to its size; A: fields of a record to audit, of the type that the
 * first byte says; T: time passes; S: utmp is looked at anew.
 */
#include "collectors/audit/audit_decoder.h"
#include "collectors/utmp/utmp_message.h"
#include "recorder/row/row_sink_memory.h"
#include "recorder/sessions/sessions.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS_MOST = 16, ATTEMPTS_MOST = 16 };

struct run {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct sessions *sessions;
    struct decoder *audit;
    uint64_t now_ns, offset;
};

static void take(void *user, const struct fact *fact)
{
    sessions_fact(((struct run *)user)->sessions, fact);
}

static void give_record(struct run *run, enum login_file file, const uint8_t *bytes, size_t length)
{
    uint8_t record[UTMP_RECORD_SIZE] = {0};
    struct buffer text = BUFFER_NULL;
    const struct utmp_message_header header = {
        .file = (uint8_t)file, .old = length % 2, .inode = 1, .before = run->offset};
    for (size_t i = 0; length && i < sizeof(record); i++)
        record[i] = bytes[i % length];
    utmp_message_append_records(&text, &header, slice_of(record, sizeof(record)));
    const struct message message = {.source = SOURCE_UTMP,
                                    .kind = MESSAGE_DATA,
                                    .boot_ns = run->now_ns,
                                    .bytes = buffer_slice(&text)};
    if (utmp_decode(NULL, &message, take, run) != 0)
        abort();
    run->offset += UTMP_RECORD_SIZE;
    buffer_deinit(&text);
}

static void give_audit(struct run *run, const uint8_t *bytes, size_t length)
{
    char text[512];
    const struct nlmsghdr header = {.nlmsg_type = (uint16_t)(1100 + bytes[0] % 24)};
    memcpy(text, &header, sizeof(header));
    int stamp = snprintf(text + sizeof(header), 64, "audit(1780000000.002:%u): ", bytes[0]);
    size_t used = sizeof(header) + (size_t)stamp;
    memcpy(text + used, bytes + 1, length - 1);
    const struct message message = {.source = SOURCE_AUDIT,
                                    .kind = MESSAGE_DATA,
                                    .boot_ns = run->now_ns,
                                    .bytes = slice_of(text, used + length - 1)};
    int r = audit_decoder_decode(run->audit, &message, take, run);
    if (r != 0 && r != -EBADMSG)
        abort();
}

static void look(struct run *run, enum login_log_event event)
{
    const struct fact fact = {.kind = FACT_LOGIN_LOG,
                              .source = SOURCE_UTMP,
                              .boot_ns = run->now_ns,
                              .login_log = {.event = event}};
    sessions_fact(run->sessions, &fact);
}

static void pass_time(struct run *run, uint8_t tenths)
{
    run->now_ns += tenths * UINT64_C(100000000);
    timeline_tick(&run->timeline, run->now_ns, (int64_t)run->now_ns + INT64_C(1780000000000000000),
                  INT64_MIN);
    sessions_tick(run->sessions);
    row_sink_memory_clear(&run->memory);
}

static void step(struct run *run, uint8_t letter, const uint8_t *bytes, size_t length)
{
    if (letter == 'W')
        give_record(run, LOGIN_FILE_WTMP, bytes, length);
    else if (letter == 'U')
        give_record(run, LOGIN_FILE_UTMP, bytes, length);
    else if (letter == 'B')
        give_record(run, LOGIN_FILE_BTMP, bytes, length);
    else if (letter == 'A' && length)
        give_audit(run, bytes, length);
    else if (letter == 'T')
        pass_time(run, (uint8_t)length);
    else if (letter == 'S')
        look(run, (enum login_log_event)(length % LOGIN_LOG_EVENT_N));
    if (sessions_rows(run->sessions) > SESSIONS_MOST)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.now_ns = UINT64_C(1000000000000)};
    run.output = (struct row_output){.sink = row_sink_memory(&run.memory),
                                     .timeline = &run.timeline,
                                     .counters = &run.counters,
                                     .boot_id = "00000000-0000-0000-0000-000000000001"};
    const struct sessions_options options = {.output = &run.output,
                                             .merge_ns = UINT64_C(2000000000),
                                             .sessions_most = SESSIONS_MOST,
                                             .attempts_most = ATTEMPTS_MOST};
    timeline_init(&run.timeline, run.now_ns, INT64_C(1780001000000000000), 0, INT64_MIN);
    if (sessions_new(&run.sessions, &options) < 0 || audit_decoder_new(&run.audit) < 0)
        abort();
    while (size >= 2) {
        size_t length = data[1] < size - 2 ? data[1] : size - 2;
        step(&run, data[0], data + 2, length);
        data += 2 + length;
        size -= 2 + length;
    }
    struct buffer users = BUFFER_NULL;
    sessions_append_users(run.sessions, &users);
    buffer_deinit(&users);
    sessions_flush(run.sessions);
    sessions_free(run.sessions);
    audit_decoder_free(run.audit);
    line_deinit(&run.output.line);
    row_sink_memory_deinit(&run.memory);
    return 0;
}
