/* The SYSCALL record comes first and says who; SOCKADDR says which address. An accept whose caller
 * passes no buffer for the address (a1 is 0) has no SOCKADDR and is complete at once. Records of
 * two events may interleave, so a few calls wait in a ring. */
#include "collectors/audit/audit_socket.h"

#include <arpa/inet.h>
#include <linux/audit.h>
#include <linux/net.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { WAITING_MOST = 64, NAME_MOST = 64 };

struct waiting_call {
    bool open;
    uint64_t boot_ns;
    struct fact_audit_socket call;
    uint8_t comm[NAME_MOST];
    size_t comm_length;
};

struct audit_socket_set {
    struct waiting_call ring[WAITING_MOST];
    size_t next;
};

int audit_socket_set_new(struct audit_socket_set **setp)
{
    *setp = calloc(1, sizeof(**setp));
    return *setp ? 0 : -ENOMEM;
}

struct audit_socket_set *audit_socket_set_free(struct audit_socket_set *set)
{
    free(set);
    return NULL;
}

/* -- which call -- */

static const struct {
    uint32_t arch, connect, bind, accept, accept4, sendto, sendmsg, socketcall;
} numbers[] = {
    {AUDIT_ARCH_X86_64,  42,  49,  43,         288, 44,  46,  UINT32_MAX},
    {AUDIT_ARCH_I386,    362, 361, UINT32_MAX, 364, 369, 370, 102       },
    {AUDIT_ARCH_AARCH64, 203, 200, 202,        242, 206, 211, UINT32_MAX},
    {AUDIT_ARCH_ARM,     283, 282, 285,        366, 290, 296, 102       },
};

static enum audit_call multiplexed_call(uint64_t which)
{
    switch (which) {
    case SYS_CONNECT:
        return AUDIT_CALL_CONNECT;
    case SYS_BIND:
        return AUDIT_CALL_BIND;
    case SYS_ACCEPT:
    case SYS_ACCEPT4:
        return AUDIT_CALL_ACCEPT;
    case SYS_SENDTO:
    case SYS_SENDMSG:
        return AUDIT_CALL_SEND;
    default:
        return AUDIT_CALL_N;
    }
}

static enum audit_call find_call(uint32_t arch, uint32_t number, uint64_t first_argument)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].arch != arch)
            continue;
        if (number == numbers[i].connect)
            return AUDIT_CALL_CONNECT;
        if (number == numbers[i].bind)
            return AUDIT_CALL_BIND;
        if (number == numbers[i].accept || number == numbers[i].accept4)
            return AUDIT_CALL_ACCEPT;
        if (number == numbers[i].sendto || number == numbers[i].sendmsg)
            return AUDIT_CALL_SEND;
        if (number == numbers[i].socketcall)
            return multiplexed_call(first_argument);
    }
    return AUDIT_CALL_N;
}

/* -- SYSCALL -- */

struct syscall_fields {
    uint32_t arch, number;
    uint64_t arguments[2];
    int64_t result;
};

static bool field_i64(const struct audit_field *field, int64_t *value)
{
    char text[24], *end;
    if (field->value.length == 0 || field->value.length >= sizeof(text))
        return false;
    memcpy(text, field->value.data, field->value.length);
    text[field->value.length] = '\0';
    *value = strtoll(text, &end, 10);
    return *end == '\0';
}

/* Returns false when a field that matters cannot be understood. */
static bool take_field(struct waiting_call *waiting, struct syscall_fields *fields,
                       const struct audit_field *field)
{
    struct fact_audit_socket *call = &waiting->call;
    const struct {
        const char *name;
        uint32_t *value;
    } numbers32[] = {
        {"syscall", &fields->number },
        {"pid",     &call->pid      },
        {"auid",    &call->login_uid},
        {"uid",     &call->uid      },
        {"ses",     &call->session  },
    };
    for (size_t i = 0; i < sizeof(numbers32) / sizeof(numbers32[0]); i++)
        if (slice_is(field->name, numbers32[i].name))
            return audit_field_u32(field, numbers32[i].value);
    if (slice_is(field->name, "arch"))
        return audit_field_hex(field, &fields->arch);
    if (slice_is(field->name, "a0"))
        return audit_field_hex64(field, &fields->arguments[0]);
    if (slice_is(field->name, "a1"))
        return audit_field_hex64(field, &fields->arguments[1]);
    if (slice_is(field->name, "exit"))
        return field_i64(field, &fields->result);
    if (slice_is(field->name, "comm")) {
        struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
        if (audit_field_text(field, &text) == AUDIT_TEXT_KNOWN && text.length &&
            text.length <= NAME_MOST) {
            memcpy(waiting->comm, text.data, text.length);
            waiting->comm_length = text.length;
        }
    }
    return true;
}

static void give_out(struct waiting_call *waiting, fact_handler handler, void *user)
{
    struct fact fact = {.kind = FACT_AUDIT_SOCKET,
                        .source = SOURCE_AUDIT,
                        .boot_ns = waiting->boot_ns,
                        .audit_socket = waiting->call};
    if (waiting->comm_length)
        fact.audit_socket.comm = slice_of(waiting->comm, waiting->comm_length);
    waiting->open = false;
    handler(user, &fact);
}

static int add_syscall(struct audit_socket_set *set, const struct audit_record *record,
                       uint64_t boot_ns, fact_handler handler, void *user)
{
    struct waiting_call waiting = {
        .open = true,
        .boot_ns = boot_ns,
        .call = {.serial = record->serial,
                 .real_ms = record->real_ms,
                 .login_uid = ID_UNSET,
                 .session = ID_UNSET,
                 .uid = ID_UNSET}
    };
    struct syscall_fields fields = {.arch = 0};
    struct slice rest = record->fields;
    struct audit_field field;
    while (audit_field_next(&rest, &field))
        if (!take_field(&waiting, &fields, &field))
            return -EBADMSG;
    enum audit_call call = find_call(fields.arch, fields.number, fields.arguments[0]);
    if (call == AUDIT_CALL_N)
        return 0;
    if (waiting.call.pid == 0)
        return -EBADMSG;
    waiting.call.call = call;
    waiting.call.result = (int32_t)fields.result;
    waiting.call.descriptor = (int32_t)(uint32_t)fields.arguments[0];
    if (call == AUDIT_CALL_ACCEPT && fields.arguments[1] == 0) {
        give_out(&waiting, handler, user);
        return 0;
    }
    set->ring[set->next] = waiting;
    set->next = (set->next + 1) % WAITING_MOST;
    return 0;
}

/* -- SOCKADDR -- */

/* A struct sockaddr of the host's byte order; other families are no address. */
static struct inet_address parse_address(struct slice bytes)
{
    struct inet_address address = {0};
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    uint16_t family = 0;
    if (bytes.length >= sizeof(family))
        memcpy(&family, bytes.data, sizeof(family));
    if (family == AF_INET && bytes.length >= sizeof(in)) {
        memcpy(&in, bytes.data, sizeof(in));
        address.family = AF_INET;
        address.port = ntohs(in.sin_port);
        memcpy(address.bytes, &in.sin_addr, 4);
    } else if (family == AF_INET6 && bytes.length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        memcpy(&in6, bytes.data, offsetof(struct sockaddr_in6, sin6_scope_id));
        address.family = AF_INET6;
        address.port = ntohs(in6.sin6_port);
        memcpy(address.bytes, &in6.sin6_addr, 16);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            address.family = AF_INET;
            memset(address.bytes, 0, sizeof(address.bytes));
            memcpy(address.bytes, in6.sin6_addr.s6_addr + 12, 4);
        }
    }
    return address;
}

static int hex_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                                        : -1;
}

/* Up to the length of the largest address; what follows is not part of it. */
static int parse_hex(struct slice text, uint8_t to[sizeof(struct sockaddr_storage)], size_t *length)
{
    size_t n = text.length / 2;
    *length = n < sizeof(struct sockaddr_storage) ? n : sizeof(struct sockaddr_storage);
    for (size_t i = 0; i < *length; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EBADMSG;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static int add_address(struct audit_socket_set *set, const struct audit_record *record,
                       fact_handler handler, void *user)
{
    struct waiting_call *waiting = NULL;
    for (size_t i = 0; i < WAITING_MOST; i++)
        if (set->ring[i].open && set->ring[i].call.serial == record->serial)
            waiting = &set->ring[i];
    if (!waiting)
        return 0;
    struct slice rest = record->fields;
    struct audit_field field;
    uint8_t bytes[sizeof(struct sockaddr_storage)];
    size_t length;
    while (audit_field_next(&rest, &field)) {
        if (!slice_is(field.name, "saddr"))
            continue;
        if (parse_hex(field.value, bytes, &length) < 0)
            return -EBADMSG;
        waiting->call.address = parse_address(slice_of(bytes, length));
        give_out(waiting, handler, user);
        return 0;
    }
    return -EBADMSG;
}

int audit_socket_set_add(struct audit_socket_set *set, const struct audit_record *record,
                         uint64_t boot_ns, fact_handler handler, void *user)
{
    return record->type == AUDIT_SOCKADDR ? add_address(set, record, handler, user)
                                          : add_syscall(set, record, boot_ns, handler, user);
}
