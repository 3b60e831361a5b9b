#pragma once
/* For the tests of the audit decoder: records are written as text, facts are collected as text. */
#include "collectors/audit/audit_decoder.h"
#include "core/buffer.h"
#include "core/inet_address.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ull

struct audit_test {
    struct decoder *decoder;
    struct buffer facts; /* one line each */
    uint64_t boot_ns;
    uint32_t n_execs;
};

static inline void audit_test_append(struct audit_test *test, const char *name, struct slice text)
{
    buffer_printf(&test->facts, " %s=", name);
    if (slice_is_null(text))
        buffer_append_byte(&test->facts, '-');
    buffer_append_slice(&test->facts, text);
}

static inline void audit_test_exec(struct audit_test *test, const struct fact_audit_exec *exec)
{
    struct buffer *facts = &test->facts;
    test->n_execs++;
    buffer_printf(facts, "exec %u pid=%u argc=%u", exec->serial, exec->pid, exec->argc);
    audit_test_append(test, "cwd", exec->cwd);
    for (uint32_t i = 0; i < exec->n_argv; i++) {
        buffer_append_text(facts, " [");
        buffer_append_slice(facts, exec->argv[i]);
        buffer_append_text(facts, "]");
    }
    buffer_append_byte(facts, '\n');
}

static inline void audit_test_socket(struct audit_test *test, const struct fact_audit_socket *call)
{
    static const char *const names[] = {"connect", "bind", "accept", "send"};
    char address[INET_ADDRESS_TEXT];
    inet_address_text(&call->address, address);
    buffer_printf(&test->facts, "%s %u pid=%u uid=%u auid=%u result=%d fd=%d peer=%s:%u",
                  names[call->call], call->serial, call->pid, call->uid, call->login_uid,
                  call->result, call->descriptor, address, call->address.port);
    audit_test_append(test, "comm", call->comm);
    buffer_append_byte(&test->facts, '\n');
}

static inline void audit_test_kernel(struct audit_test *test, const struct fact_kernel_event *event)
{
    buffer_printf(&test->facts, "kernel %u kind=%d pid=%u uid=%u auid=%d %s", event->serial,
                  (int)event->kind, event->pid, event->uid, (int)event->login_uid,
                  !event->known    ? "unknown"
                  : event->success ? "success"
                                   : "failure");
    audit_test_append(test, "comm", event->comm);
    audit_test_append(test, "target", event->target);
    buffer_append_text(&test->facts, event->needs_target ? " needs\n" : "\n");
}

static inline void audit_test_fact(void *user, const struct fact *fact)
{
    struct audit_test *test = user;
    assert_int_equal(fact->source, SOURCE_AUDIT);
    switch (fact->kind) {
    case FACT_AUDIT_EXEC:
        audit_test_exec(test, &fact->audit_exec);
        break;
    case FACT_AUDIT_HOLE:
        buffer_printf(&test->facts, "hole %u-%u\n", fact->audit_hole.first, fact->audit_hole.last);
        break;
    case FACT_AUDIT_LOST:
        buffer_printf(&test->facts, "lost %u\n", fact->audit_lost.records);
        break;
    case FACT_AUDIT_RULES:
        buffer_printf(&test->facts, "rules %llu ms\n",
                      (unsigned long long)(fact->boot_ns - fact->audit_rules.since_ns) / 1000000);
        break;
    case FACT_AUDIT_LOGIN:
        buffer_printf(&test->facts, "login pid=%u %u->%u session %u->%u\n", fact->audit_login.pid,
                      fact->audit_login.old_login_uid, fact->audit_login.login_uid,
                      fact->audit_login.old_session, fact->audit_login.session);
        break;
    case FACT_NOTE:
        audit_test_append(test, "note", fact->note.mode);
        audit_test_append(test, "detail", fact->note.detail);
        buffer_append_byte(&test->facts, '\n');
        break;
    case FACT_AUDIT_SOCKET:
        audit_test_socket(test, &fact->audit_socket);
        break;
    case FACT_KERNEL_EVENT:
        audit_test_kernel(test, &fact->kernel_event);
        break;
    case FACT_KERNEL_TARGET:
        buffer_printf(&test->facts, "target %u%s", fact->kernel_target.serial,
                      fact->kernel_target.further ? " further" : "");
        audit_test_append(test, "is", fact->kernel_target.target);
        buffer_append_byte(&test->facts, '\n');
        break;
    case FACT_OVERRUN:
        buffer_append_text(&test->facts, "overrun\n");
        break;
    default:
        fail_msg("fact of kind %d", fact->kind);
    }
}

static inline int audit_test_setup(void **state)
{
    struct audit_test *test = calloc(1, sizeof(*test));
    if (!test || audit_decoder_new(&test->decoder) < 0)
        return -1;
    test->boot_ns = 100 * SECOND;
    *state = test;
    return 0;
}

static inline int audit_test_teardown(void **state)
{
    struct audit_test *test = *state;
    audit_decoder_free(test->decoder);
    buffer_deinit(&test->facts);
    free(test);
    return 0;
}

static inline int audit_test_message(struct audit_test *test, enum message_kind kind,
                                     struct slice bytes)
{
    const struct message message = {
        .source = SOURCE_AUDIT, .kind = kind, .boot_ns = test->boot_ns, .bytes = bytes};
    return audit_decoder_decode(test->decoder, &message, audit_test_fact, test);
}

/* A record of the kernel in memory of exactly its size; @p fields may hold any byte. */
static inline int audit_test_record_bytes(struct audit_test *test, uint16_t type, uint32_t serial,
                                          struct slice fields)
{
    char stamp[64];
    int stamp_length = snprintf(stamp, sizeof(stamp), "audit(1700000000.123:%u): ", serial);
    size_t length = sizeof(struct nlmsghdr) + (size_t)stamp_length + fields.length;
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    /* As in the kernel, the length does not count the header. */
    struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_len = (uint32_t)(length - sizeof(header))};
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), stamp, (size_t)stamp_length);
    memcpy(bytes + sizeof(header) + stamp_length, fields.data, fields.length);
    int r = audit_test_message(test, MESSAGE_DATA, slice_of(bytes, length));
    free(bytes);
    return r;
}

static inline int audit_test_record(struct audit_test *test, uint16_t type, uint32_t serial,
                                    const char *fields)
{
    return audit_test_record_bytes(test, type, serial, slice_text(fields));
}

static inline int audit_test_syscall(struct audit_test *test, uint32_t serial, uint32_t pid)
{
    char fields[512];
    snprintf(fields, sizeof(fields),
             "arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e a2=55f a3=8 items=2 "
             "ppid=1 pid=%u auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 "
             "tty=pts0 ses=3 comm=\"true\" exe=\"/usr/bin/true\" key=\"vestige\"",
             pid);
    return audit_test_record(test, AUDIT_SYSCALL, serial, fields);
}

static inline int audit_test_cwd(struct audit_test *test, uint32_t serial)
{
    return audit_test_record(test, AUDIT_CWD, serial, "cwd=\"/\"");
}

/* What was given out since the last call is exactly this. */
static inline void audit_test_expect(struct audit_test *test, const char *expected)
{
    buffer_append_byte(&test->facts, 0);
    assert_string_equal((const char *)test->facts.data, expected);
    buffer_clear(&test->facts);
}
