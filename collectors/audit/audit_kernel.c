/*
 * The SYSCALL record says who, which call and with which numbers; what it was done to stands in
 * other records of the event. Which of them is the last cannot be told, so nothing waits here: each
 * becomes a fact, and the recorder puts them together. Only BPF and CONFIG_CHANGE come before
 * SYSCALL, and CWD is needed for a PATH that is relative: these are kept in a small table, by the
 * serial. Whoever changes audit does so by a message to the kernel: its SYSCALL record is of the
 * call that sent it, and is made although no rule asks for it.
 *
 * Pointers among the arguments say nothing. The paths are those that the caller gave, as its own
 * root sees them; one below a directory descriptor stays relative, because no record says of which
 * directory. move_mount takes two, each with a descriptor, and kernels differ in which of them they
 * look at first, so that both are told.
 */
#include "collectors/audit/audit_kernel.h"

#include "collectors/audit/audit_kernel_call.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <stdlib.h>

enum { CALLS_MOST = 64, DIRECTORY_MOST = 4096, COMM_MOST = 64 };

struct kernel_call {
    bool open;               /* SYSCALL has come, more may */
    bool loaded;             /* BPF has come: `program` */
    bool changed;            /* CONFIG_CHANGE has come: `change` */
    bool refused;            /* what it was about was refused */
    bool named;              /* a PATH has been taken */
    bool moves;              /* a second PATH may be another path of the caller */
    bool alone;              /* it is not, so that the first is where something is mounted */
    bool from_here, to_here; /* below the working directory, if relative */
    uint32_t serial, program;
    enum kernel_event_kind kind;
    struct buffer directory; /* CWD */
    struct buffer change;    /* what of audit was changed */
};

struct audit_kernel_set {
    struct kernel_call calls[CALLS_MOST]; /* by the serial, modulo */
};

struct call_fields {
    uint32_t arch, number, n_paths;
    uint64_t arguments[4];
    struct fact_kernel_event event;
    uint8_t comm[COMM_MOST];
};

int audit_kernel_set_new(struct audit_kernel_set **setp)
{
    *setp = calloc(1, sizeof(**setp));
    return *setp ? 0 : -ENOMEM;
}

struct audit_kernel_set *audit_kernel_set_free(struct audit_kernel_set *set)
{
    for (size_t i = 0; set && i < CALLS_MOST; i++) {
        buffer_deinit(&set->calls[i].directory);
        buffer_deinit(&set->calls[i].change);
    }
    free(set);
    return NULL;
}

static struct kernel_call *place(struct audit_kernel_set *set, uint32_t serial)
{
    return &set->calls[serial % CALLS_MOST];
}

static struct kernel_call *begin(struct audit_kernel_set *set, uint32_t serial)
{
    struct kernel_call *call = place(set, serial);
    if (call->serial == serial && (call->loaded || call->changed))
        return call;
    buffer_clear(&call->directory);
    buffer_clear(&call->change);
    *call = (struct kernel_call){
        .serial = serial, .directory = call->directory, .change = call->change};
    return call;
}

/* -- what the numbers say -- */

static const struct {
    uint64_t flag;
    const char *name;
} namespaces[] = {
    {CLONE_NEWNS,     "mount" },
    {CLONE_NEWCGROUP, "cgroup"},
    {CLONE_NEWUTS,    "uts"   },
    {CLONE_NEWIPC,    "ipc"   },
    {CLONE_NEWUSER,   "user"  },
    {CLONE_NEWPID,    "pid"   },
    {CLONE_NEWNET,    "net"   },
    {CLONE_NEWTIME,   "time"  },
};

/* Of clone the bit of CLONE_NEWTIME is part of a signal's number. */
static void append_namespaces(struct buffer *to, uint64_t flags, bool is_clone)
{
    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
        if (flags & namespaces[i].flag && !(is_clone && namespaces[i].flag == CLONE_NEWTIME))
            buffer_printf(to, "%s%s", to->length ? "," : "", namespaces[i].name);
}

static enum kernel_event_kind kind_of_mount(uint64_t flags)
{
    const uint64_t magic = 0xc0ed0000, magic_mask = 0xffff0000;
    const uint64_t propagation = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED;
    if ((flags & magic_mask) == magic)
        flags &= ~magic_mask;
    return flags & (MS_REMOUNT | propagation) ? KERNEL_REMOUNT : KERNEL_MOUNT;
}

/* Returns KERNEL_EVENT_N for a call that changes nothing. */
static enum kernel_event_kind describe_namespaces(enum audit_kernel_call call, uint64_t flags,
                                                  struct buffer *to)
{
    append_namespaces(to, flags, call == AUDIT_CALL_CLONE);
    if (call == AUDIT_CALL_SETNS)
        return KERNEL_SETNS;
    return to->length == 0            ? KERNEL_EVENT_N
           : call == AUDIT_CALL_CLONE ? KERNEL_CLONE
                                      : KERNEL_UNSHARE;
}

static enum kernel_event_kind describe_ptrace(const uint64_t *arguments, struct buffer *to)
{
    if (arguments[0] != audit_kernel_filter_value(AUDIT_KERNEL_ATTACH) &&
        arguments[0] != audit_kernel_filter_value(AUDIT_KERNEL_SEIZE))
        return KERNEL_EVENT_N;
    buffer_printf(to, "pid %" PRId32, (int32_t)(uint32_t)arguments[1]);
    return KERNEL_PTRACE;
}

static enum kernel_event_kind describe(enum audit_kernel_call call, struct call_fields *fields,
                                       struct buffer *to)
{
    const uint64_t *arguments = fields->arguments;
    switch (call) {
    case AUDIT_CALL_INIT_MODULE:
        return KERNEL_MODULE_LOAD;
    case AUDIT_CALL_DELETE_MODULE:
        return KERNEL_MODULE_UNLOAD;
    case AUDIT_CALL_MOUNT:
        return kind_of_mount(arguments[3]);
    case AUDIT_CALL_MOVE_MOUNT:
        return KERNEL_MOUNT;
    case AUDIT_CALL_MOUNT_SETATTR:
        return KERNEL_REMOUNT;
    case AUDIT_CALL_UMOUNT:
        return KERNEL_UMOUNT;
    case AUDIT_CALL_PTRACE:
        return describe_ptrace(arguments, to);
    case AUDIT_CALL_SETNS:
        return describe_namespaces(call, arguments[1], to);
    case AUDIT_CALL_UNSHARE:
    case AUDIT_CALL_CLONE:
        return describe_namespaces(call, arguments[0], to);
    case AUDIT_CALL_BPF: /* an int, to the kernel as to its filter */
        return (uint32_t)arguments[0] == audit_kernel_filter_value(AUDIT_KERNEL_BPF)
                   ? KERNEL_BPF_LOAD
                   : KERNEL_EVENT_N;
    case AUDIT_CALL_IO_URING_SETUP:
        buffer_printf(to, "%" PRIu32 " entries", (uint32_t)arguments[0]);
        return KERNEL_IO_URING_SETUP;
    case AUDIT_CALL_KEXEC_LOAD:
        return KERNEL_KEXEC_LOAD;
    case AUDIT_CALL_ADJTIMEX:
        fields->event.needs_target = fields->event.success;
        return KERNEL_CLOCK_SET;
    case AUDIT_CALL_SETTIMEOFDAY:
    case AUDIT_CALL_CLOCK_SETTIME:
        return KERNEL_CLOCK_SET;
    case AUDIT_KERNEL_CALL_N:
        break;
    }
    return KERNEL_EVENT_N;
}

/* -- SYSCALL -- */

static bool take_word(struct call_fields *fields, const struct audit_field *field)
{
    if (slice_is(field->name, "success")) {
        fields->event.known = true;
        fields->event.success = slice_is(field->value, "yes");
        return true;
    }
    if (!slice_is(field->name, "comm"))
        return true;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = audit_field_text(field, &text);
    if (r == AUDIT_TEXT_KNOWN && text.length <= COMM_MOST && !text.failed) {
        if (text.length)
            memcpy(fields->comm, text.data, text.length);
        fields->event.comm = slice_of(fields->comm, text.length);
    }
    return r >= 0;
}

/* Returns false when a field that matters cannot be understood. */
static bool take_field(struct call_fields *fields, const struct audit_field *field)
{
    const struct {
        const char *name;
        uint32_t *value;
    } numbers[] = {
        {"syscall", &fields->number         },
        {"pid",     &fields->event.pid      },
        {"auid",    &fields->event.login_uid},
        {"uid",     &fields->event.uid      },
        {"items",   &fields->n_paths        },
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (slice_is(field->name, numbers[i].name))
            return audit_field_u32(field, numbers[i].value);
    if (slice_is(field->name, "arch"))
        return audit_field_hex(field, &fields->arch);
    if (field->name.length == 2 && field->name.data[0] == 'a' && field->name.data[1] >= '0' &&
        field->name.data[1] <= '3')
        return audit_field_hex64(field, &fields->arguments[field->name.data[1] - '0']);
    return take_word(fields, field);
}

static bool is_here(uint64_t descriptor)
{
    return (int32_t)(uint32_t)descriptor == AT_FDCWD;
}

static void take_places(struct kernel_call *call, enum audit_kernel_call which,
                        const struct call_fields *fields)
{
    call->moves = which == AUDIT_CALL_MOVE_MOUNT;
    call->alone = call->moves && fields->n_paths == 1;
    call->from_here = call->to_here = true;
    if (call->moves)
        call->to_here = is_here(fields->arguments[2]);
    if (call->moves || which == AUDIT_CALL_MOUNT_SETATTR)
        call->from_here = is_here(fields->arguments[0]);
    if (which == AUDIT_CALL_MOUNT_SETATTR)
        call->to_here = call->from_here;
}

static void give_event(struct kernel_call *call, struct call_fields *fields, uint64_t boot_ns,
                       struct buffer *target, fact_handler handler, void *user)
{
    if (fields->event.kind == KERNEL_BPF_LOAD && call->loaded)
        buffer_printf(target, "program %" PRIu32, call->program);
    if (target->length && !target->failed)
        fields->event.target = buffer_slice(target);
    call->open = true;
    call->loaded = false;
    call->kind = fields->event.kind;
    const struct fact fact = {.kind = FACT_KERNEL_EVENT,
                              .source = SOURCE_AUDIT,
                              .boot_ns = boot_ns,
                              .kernel_event = fields->event};
    handler(user, &fact);
}

static bool has_changed(struct audit_kernel_set *set, uint32_t serial)
{
    const struct kernel_call *call = place(set, serial);
    return call->serial == serial && call->changed;
}

/* How the sending of the message ended says nothing. */
static void give_change(struct kernel_call *call, struct call_fields *fields, uint64_t boot_ns,
                        fact_handler handler, void *user)
{
    fields->event.kind = KERNEL_AUDIT_CHANGE;
    fields->event.known = true;
    fields->event.success = !call->refused;
    give_event(call, fields, boot_ns, &call->change, handler, user);
    call->changed = false;
}

static int add_syscall(struct audit_kernel_set *set, const struct audit_record *record,
                       uint64_t boot_ns, fact_handler handler, void *user)
{
    struct call_fields fields = {
        .event = {.serial = record->serial,
                  .real_ms = record->real_ms,
                  .login_uid = ID_UNSET,
                  .uid = ID_UNSET}
    };
    struct slice rest = record->fields;
    struct audit_field field;
    /* arch and number come first, so that other calls cost little. */
    while (!fields.number && audit_field_next(&rest, &field))
        if (!take_field(&fields, &field))
            return -EBADMSG;
    enum audit_kernel_call which = audit_kernel_call_find(fields.arch, fields.number);
    bool changed = has_changed(set, record->serial);
    if (which == AUDIT_KERNEL_CALL_N && !changed)
        return AUDIT_KERNEL_SET_OTHER;
    while (audit_field_next(&rest, &field))
        if (!take_field(&fields, &field))
            return -EBADMSG;
    if (fields.event.pid == 0)
        return -EBADMSG;
    if (changed) {
        give_change(place(set, record->serial), &fields, boot_ns, handler, user);
        return AUDIT_KERNEL_SET_TAKEN;
    }
    struct buffer target CLEANUP(buffer_deinit) = BUFFER_NULL;
    fields.event.kind = describe(which, &fields, &target);
    if (fields.event.kind == KERNEL_EVENT_N)
        return AUDIT_KERNEL_SET_TAKEN;
    struct kernel_call *call = begin(set, record->serial);
    take_places(call, which, &fields);
    give_event(call, &fields, boot_ns, &target, handler, user);
    return AUDIT_KERNEL_SET_TAKEN;
}

/* -- the records around it -- */

static bool find_field(struct slice fields, const char *name, struct audit_field *found)
{
    while (audit_field_next(&fields, found))
        if (slice_is(found->name, name))
            return true;
    return false;
}

static bool field_i64(const struct audit_field *field, int64_t *value)
{
    char text[24], *end;
    if (field->quoted || field->value.length == 0 || field->value.length >= sizeof(text))
        return false;
    memcpy(text, field->value.data, field->value.length);
    text[field->value.length] = '\0';
    errno = 0;
    *value = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static void cut(struct buffer *text, size_t most)
{
    if (text->length <= most)
        return;
    text->length = most;
    memcpy(text->data + most - 3, "...", 3);
}

static void give_target(const struct kernel_call *call, struct buffer *target, bool further,
                        uint64_t boot_ns, fact_handler handler, void *user)
{
    if (target->failed || target->length == 0)
        return;
    cut(target, KERNEL_TARGET_MOST);
    const struct fact fact = {
        .kind = FACT_KERNEL_TARGET,
        .source = SOURCE_AUDIT,
        .boot_ns = boot_ns,
        .kernel_target = {
                          .serial = call->serial, .further = further, .target = buffer_slice(target)}
    };
    handler(user, &fact);
}

/* The other operations are of no call. */
static int add_bpf(struct audit_kernel_set *set, const struct audit_record *record)
{
    struct audit_field field;
    if (!find_field(record->fields, "op", &field) || !slice_is(field.value, "LOAD"))
        return 0;
    uint32_t program;
    if (!find_field(record->fields, "prog-id", &field) || !audit_field_u32(&field, &program))
        return -EBADMSG;
    struct kernel_call *call = begin(set, record->serial);
    call->loaded = true;
    call->program = program;
    return 0;
}

/* Who did it stands in the call's own record. */
static bool is_about_sender(const struct audit_field *field)
{
    return slice_is(field->name, "auid") || slice_is(field->name, "ses") ||
           slice_is(field->name, "subj");
}

/* "remove_rule key=mine list=4", "set audit_enabled=0 old=1". */
static int describe_change(struct kernel_call *call, struct slice fields)
{
    struct audit_field field;
    struct buffer *to = &call->change;
    if (to->length)
        buffer_append_text(to, "; ");
    while (audit_field_next(&fields, &field)) {
        uint32_t result;
        if (slice_is(field.name, "res")) {
            call->refused |= audit_field_u32(&field, &result) && result == 0;
            continue;
        }
        if (is_about_sender(&field))
            continue;
        if (!slice_is(field.name, "op")) {
            buffer_append_slice(to, field.name);
            buffer_append_byte(to, '=');
        }
        int r = slice_is(field.name, "key") ? audit_field_text(&field, to) : AUDIT_TEXT_UNKNOWN;
        if (r < 0)
            return r;
        if (r == AUDIT_TEXT_UNKNOWN)
            buffer_append_slice(to, field.value);
        buffer_append_byte(to, ' ');
    }
    return 0;
}

static int add_change(struct audit_kernel_set *set, const struct audit_record *record)
{
    struct kernel_call *call = begin(set, record->serial);
    call->changed = true;
    int r = describe_change(call, record->fields);
    while (call->change.length && call->change.data[call->change.length - 1] == ' ')
        call->change.length--;
    cut(&call->change, KERNEL_TARGET_MOST);
    return r;
}

static int describe_module(const struct audit_record *record, struct buffer *to)
{
    struct audit_field name;
    if (!find_field(record->fields, "name", &name))
        return -EBADMSG;
    int r = audit_field_text(&name, to);
    return r < 0 ? r : 0;
}

/* Whose memory and registers can be seen from now on. */
static int describe_process(const struct audit_record *record, struct buffer *to)
{
    struct audit_field pid, comm;
    uint32_t number;
    if (!find_field(record->fields, "opid", &pid) || !audit_field_u32(&pid, &number))
        return -EBADMSG;
    buffer_printf(to, "pid %" PRIu32, number);
    if (!find_field(record->fields, "ocomm", &comm))
        return 0;
    struct buffer name CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = audit_field_text(&comm, &name);
    if (r == AUDIT_TEXT_KNOWN && name.length) {
        buffer_append_text(to, " (");
        buffer_append_slice(to, buffer_slice(&name));
        buffer_append_byte(to, ')');
    }
    return r < 0 ? r : 0;
}

/* By how much the wall clock was moved. */
static int describe_jump(const struct audit_record *record, struct buffer *to)
{
    struct audit_field field;
    int64_t seconds, nanoseconds, total;
    if (!find_field(record->fields, "sec", &field) || !field_i64(&field, &seconds) ||
        !find_field(record->fields, "nsec", &field) || !field_i64(&field, &nanoseconds))
        return -EBADMSG;
    if (__builtin_mul_overflow(seconds, INT64_C(1000000000), &total) ||
        __builtin_add_overflow(total, nanoseconds, &total)) {
        buffer_printf(to, "%+" PRId64 " s", seconds);
        return 0;
    }
    uint64_t size = total < 0 ? 0 - (uint64_t)total : (uint64_t)total;
    buffer_printf(to, "%c%" PRIu64 ".%06" PRIu64 " s", total < 0 ? '-' : '+', size / 1000000000,
                  size % 1000000000 / 1000);
    return 0;
}

/* One value of the clock's discipline: "offset 0 to 5000", in the kernel's units. */
static int describe_discipline(const struct audit_record *record, struct buffer *to)
{
    struct audit_field what, before, after;
    int64_t number;
    if (!find_field(record->fields, "op", &what) || what.value.length > 16 ||
        !find_field(record->fields, "old", &before) || !field_i64(&before, &number) ||
        !find_field(record->fields, "new", &after) || !field_i64(&after, &number))
        return -EBADMSG;
    buffer_append_slice(to, what.value);
    buffer_append_byte(to, ' ');
    buffer_append_slice(to, before.value);
    buffer_append_text(to, " to ");
    buffer_append_slice(to, after.value);
    return 0;
}

static bool is_about_mounts(enum kernel_event_kind kind)
{
    return kind == KERNEL_MOUNT || kind == KERNEL_REMOUNT || kind == KERNEL_UMOUNT;
}

static int take_directory(struct kernel_call *call, const struct audit_record *record)
{
    struct audit_field field;
    if (!is_about_mounts(call->kind) || !find_field(record->fields, "cwd", &field))
        return 0;
    buffer_clear(&call->directory);
    int r = audit_field_text(&field, &call->directory);
    cut(&call->directory, DIRECTORY_MOST);
    return r < 0 ? r : 0;
}

/* What the kernel went through to find the path of the caller. */
static bool is_parent(const struct audit_record *record)
{
    struct audit_field field;
    return find_field(record->fields, "nametype", &field) && slice_is(field.value, "PARENT");
}

static bool is_below_directory(const struct kernel_call *call, struct slice name)
{
    return name.data[0] != '/' && call->directory.length && call->to_here &&
           (call->from_here || call->alone);
}

/* The first path is where it is mounted; behind it come the source, and what it leads over. */
static int describe_path(struct kernel_call *call, const struct audit_record *record,
                         struct buffer *to)
{
    struct audit_field field;
    if (!is_about_mounts(call->kind) || (call->named && !call->moves) || is_parent(record) ||
        !find_field(record->fields, "name", &field))
        return 0;
    struct buffer name CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = audit_field_text(&field, &name);
    call->alone |= call->moves && r == AUDIT_TEXT_KNOWN && name.length == 0;
    if (r != AUDIT_TEXT_KNOWN || name.length == 0 || name.failed)
        return r < 0 ? r : 0;
    call->named = true;
    struct slice directory = buffer_slice(&call->directory);
    if (is_below_directory(call, buffer_slice(&name))) {
        buffer_append_slice(to, directory);
        if (directory.data[directory.length - 1] != '/')
            buffer_append_byte(to, '/');
    }
    buffer_append_slice(to, buffer_slice(&name));
    return 0;
}

/* It is told behind what other records of the call said. */
static bool is_further(const struct kernel_call *call, const struct audit_record *record)
{
    return record->type == AUDIT_TIME_INJOFFSET || record->type == AUDIT_TIME_ADJNTPVAL ||
           (record->type == AUDIT_PATH && call->named);
}

static int describe_record(struct kernel_call *call, const struct audit_record *record,
                           struct buffer *to)
{
    switch (record->type) {
    case AUDIT_KERN_MODULE:
        return describe_module(record, to);
    case AUDIT_OBJ_PID:
        return call->kind == KERNEL_PTRACE ? describe_process(record, to) : 0;
    case AUDIT_TIME_INJOFFSET:
        return describe_jump(record, to);
    case AUDIT_TIME_ADJNTPVAL:
        return describe_discipline(record, to);
    case AUDIT_CWD:
        return take_directory(call, record);
    case AUDIT_PATH:
        return describe_path(call, record, to);
    default:
        return 0;
    }
}

int audit_kernel_set_add(struct audit_kernel_set *set, const struct audit_record *record,
                         uint64_t boot_ns, fact_handler handler, void *user)
{
    if (record->type == AUDIT_SYSCALL)
        return add_syscall(set, record, boot_ns, handler, user);
    if (record->type == AUDIT_BPF)
        return add_bpf(set, record);
    if (record->type == AUDIT_CONFIG_CHANGE)
        return add_change(set, record);
    struct kernel_call *call = place(set, record->serial);
    if (!call->open || call->serial != record->serial)
        return 0;
    struct buffer target CLEANUP(buffer_deinit) = BUFFER_NULL;
    bool further = is_further(call, record);
    int r = describe_record(call, record, &target);
    if (r == 0)
        give_target(call, &target, further, boot_ns, handler, user);
    return r;
}
