/*
 * An event opens with its SYSCALL record (always the first of the event) if that is a successful
 * execve or execveat, takes its EXECVE records, and is complete with CWD (after all EXECVE pieces)
 * or EOE. Everything else is left out at once, so that open events are few and a search among them,
 * newest first, is short. An event whose end was lost goes out incomplete when it is too old, or
 * when its slot or its memory is needed. Slots keep their buffers: nothing is allocated for an
 * ordinary exec.
 */
#include "collectors/audit/audit_event.h"

#include "collectors/audit/audit_arguments.h"

#include <linux/audit.h>
#include <stdlib.h>

#define STALE_NS      5000000000ull
#define STALE_SERIALS 8192
#define KEPT_CAPACITY (16u * 1024)

enum text_id { TEXT_COMM, TEXT_EXE, TEXT_TTY, TEXT_CWD, TEXT_KEY, TEXT_N };

struct span {
    size_t offset, length;
    bool known;
};

struct slot {
    uint64_t boot_ns;
    struct fact_audit_exec exec; /* numbers only; slices are made when it goes out */
    struct span texts[TEXT_N];   /* in `bytes` */
    struct buffer bytes;
    struct audit_arguments arguments;
    bool has_execve;
};

struct audit_event_set {
    struct slot slots[AUDIT_EVENT_SLOTS];
    uint16_t open[AUDIT_EVENT_SLOTS]; /* oldest first */
    uint16_t unused[AUDIT_EVENT_SLOTS];
    size_t n_open;        /* the others are unused */
    size_t size;          /* of the arguments of open events, bytes */
    struct buffer slices; /* of struct slice: the argv of the fact that goes out */
};

int audit_event_set_new(struct audit_event_set **setp)
{
    struct audit_event_set *set = calloc(1, sizeof(*set));
    if (!set)
        return -ENOMEM;
    for (uint16_t i = 0; i < AUDIT_EVENT_SLOTS; i++)
        set->unused[i] = (uint16_t)(AUDIT_EVENT_SLOTS - 1 - i);
    *setp = set;
    return 0;
}

struct audit_event_set *audit_event_set_free(struct audit_event_set *set)
{
    if (!set)
        return NULL;
    for (size_t i = 0; i < AUDIT_EVENT_SLOTS; i++) {
        buffer_deinit(&set->slots[i].bytes);
        audit_arguments_deinit(&set->slots[i].arguments);
    }
    buffer_deinit(&set->slices);
    free(set);
    return NULL;
}

static struct slice span_slice(const struct slot *slot, enum text_id id)
{
    const struct span *span = &slot->texts[id];
    if (!span->known || slot->bytes.failed)
        return SLICE_NULL;
    struct slice bytes = buffer_slice(&slot->bytes);
    return slice_of(bytes.data + span->offset, span->length);
}

/* The arguments as slices, in set->slices. */
static void make_argv(struct audit_event_set *set, struct slot *slot)
{
    struct audit_arguments *arguments = &slot->arguments;
    audit_arguments_finish(arguments);
    const uint8_t *bytes = buffer_slice(&arguments->bytes).data;
    buffer_clear(&set->slices);
    for (size_t i = 0; i < audit_arguments_count(arguments); i++) {
        struct audit_argument argument;
        memcpy(&argument, arguments->list.data + i * sizeof(argument), sizeof(argument));
        const struct slice slice = slice_of(bytes + argument.offset, argument.length);
        buffer_append(&set->slices, &slice, sizeof(slice));
    }
    slot->exec.argc = arguments->argc;
    slot->exec.n_argv = (uint32_t)(set->slices.length / sizeof(struct slice));
    slot->exec.argv = (const struct slice *)(const void *)set->slices.data;
}

static void give_out(struct audit_event_set *set, struct slot *slot, fact_handler handler,
                     void *user)
{
    make_argv(set, slot);
    slot->exec.comm = span_slice(slot, TEXT_COMM);
    slot->exec.exe = span_slice(slot, TEXT_EXE);
    slot->exec.tty = span_slice(slot, TEXT_TTY);
    slot->exec.cwd = span_slice(slot, TEXT_CWD);
    slot->exec.key = span_slice(slot, TEXT_KEY);
    const struct fact fact = {.kind = FACT_AUDIT_EXEC,
                              .source = SOURCE_AUDIT,
                              .boot_ns = slot->boot_ns,
                              .audit_exec = slot->exec};
    handler(user, &fact);
    if (set->slices.capacity > 64 * 1024)
        buffer_deinit(&set->slices);
}

/* End the open event at @p position of set->open. */
static void close_event(struct audit_event_set *set, size_t position, fact_handler handler,
                        void *user)
{
    uint16_t index = set->open[position];
    struct slot *slot = &set->slots[index];
    set->size -= audit_arguments_size(&slot->arguments);
    if (slot->has_execve)
        give_out(set, slot, handler, user);
    audit_arguments_clear(&slot->arguments);
    if (slot->bytes.capacity > KEPT_CAPACITY)
        buffer_deinit(&slot->bytes);
    set->n_open--;
    memmove(&set->open[position], &set->open[position + 1],
            (set->n_open - position) * sizeof(set->open[0]));
    set->unused[AUDIT_EVENT_SLOTS - 1 - set->n_open] = index;
}

/* The position of the open event, or n_open. */
static size_t find_event(const struct audit_event_set *set, uint32_t serial)
{
    for (size_t i = set->n_open; i-- > 0;)
        if (set->slots[set->open[i]].exec.serial == serial)
            return i;
    return set->n_open;
}

void audit_event_set_expire(struct audit_event_set *set, uint64_t before_ns, fact_handler handler,
                            void *user)
{
    while (set->n_open && set->slots[set->open[0]].boot_ns < before_ns)
        close_event(set, 0, handler, user);
}

static void expire_for(struct audit_event_set *set, uint32_t serial, uint64_t boot_ns,
                       fact_handler handler, void *user)
{
    if (boot_ns > STALE_NS)
        audit_event_set_expire(set, boot_ns - STALE_NS, handler, user);
    while (set->n_open && (int32_t)(serial - set->slots[set->open[0]].exec.serial) > STALE_SERIALS)
        close_event(set, 0, handler, user);
}

/* -- SYSCALL -- */

enum exec_answer { EXEC_NO, EXEC_YES, EXEC_UNKNOWN };

/* Whether a system call is one of the exec family. Of an architecture that is not here, EXECVE
 * records decide. */
static enum exec_answer is_exec(uint32_t arch, uint32_t number)
{
    static const struct {
        uint32_t arch, execve, execveat;
    } table[] = {
        {AUDIT_ARCH_X86_64,  59,               322             },
        {AUDIT_ARCH_I386,    11,               358             },
        {AUDIT_ARCH_AARCH64, 221,              281             },
        {AUDIT_ARCH_ARM,     11,               387             },
        {AUDIT_ARCH_RISCV64, 221,              281             },
        {AUDIT_ARCH_PPC64LE, 11,               362             },
        {AUDIT_ARCH_S390X,   11,               354             },
 /* x32 has the same arch and a bit in the number. */
        {AUDIT_ARCH_X86_64,  0x40000000 | 520, 0x40000000 | 545},
    };
    enum exec_answer answer = EXEC_UNKNOWN;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].arch != arch)
            continue;
        if (table[i].execve == number || table[i].execveat == number)
            return EXEC_YES;
        answer = EXEC_NO;
    }
    return answer;
}

struct syscall_head {
    uint32_t arch, number;
    bool success;
};

#define MEMBER(name) offsetof(struct fact_audit_exec, name)
#define NAME(text)   text, sizeof(text) - 1

static const struct number_field {
    const char *name;
    size_t length, member;
} number_fields[] = {
  /* in the kernel's order, so that each search begins where the last ended */
    {NAME("ppid"), MEMBER(ppid)     },
    {NAME("pid"),  MEMBER(pid)      },
    {NAME("auid"), MEMBER(login_uid)},
    {NAME("uid"),  MEMBER(uid)      },
    {NAME("gid"),  MEMBER(gid)      },
    {NAME("euid"), MEMBER(euid)     },
    {NAME("egid"), MEMBER(egid)     },
    {NAME("ses"),  MEMBER(session)  },
};

static const struct text_field {
    const char *name;
    size_t length;
    enum text_id id;
} text_fields[] = {
    {NAME("comm"), TEXT_COMM},
    {NAME("exe"),  TEXT_EXE },
    {NAME("key"),  TEXT_KEY }
};

static bool name_is(struct slice name, const char *text, size_t length)
{
    return name.length == length && memcmp(name.data, text, length) == 0;
}

static int add_text(struct slot *slot, enum text_id id, const struct audit_field *field)
{
    struct span span = {.offset = slot->bytes.length};
    int r = audit_field_text(field, &slot->bytes);
    span.length = slot->bytes.length - span.offset;
    span.known = r == AUDIT_TEXT_KNOWN;
    slot->texts[id] = span;
    return r < 0 ? r : 0;
}

/* A terminal is written as it is. */
static void add_tty(struct slot *slot, const struct audit_field *field)
{
    struct span span = {.offset = slot->bytes.length, .known = true};
    if (!slice_is(field->value, "(none)"))
        buffer_append_slice(&slot->bytes, field->value);
    span.length = slot->bytes.length - span.offset;
    slot->texts[TEXT_TTY] = span;
}

/* Returns 1 when the field is no number that is wanted. */
static int add_number(struct slot *slot, const struct audit_field *field, size_t *next)
{
    const size_t n = sizeof(number_fields) / sizeof(number_fields[0]);
    for (size_t i = 0; i < n; i++) {
        const struct number_field *row = &number_fields[(*next + i) % n];
        if (!name_is(field->name, row->name, row->length))
            continue;
        *next = (*next + i + 1) % n;
        uint32_t value;
        if (!audit_field_u32(field, &value))
            return -EBADMSG;
        memcpy((char *)&slot->exec + row->member, &value, sizeof(value));
        return 0;
    }
    return 1;
}

static int add_syscall_field(struct slot *slot, const struct audit_field *field, size_t *next)
{
    int r = add_number(slot, field, next);
    if (r <= 0)
        return r;
    for (size_t i = 0; i < sizeof(text_fields) / sizeof(text_fields[0]); i++)
        if (name_is(field->name, text_fields[i].name, text_fields[i].length))
            return add_text(slot, text_fields[i].id, field);
    if (name_is(field->name, NAME("tty")))
        add_tty(slot, field);
    return 0;
}

/* arch, syscall and success are the first three fields. */
static int parse_syscall_head(struct slice *fields, struct syscall_head *head)
{
    struct audit_field arch, number, success;
    if (!audit_field_next(fields, &arch) || !name_is(arch.name, NAME("arch")) ||
        !audit_field_hex(&arch, &head->arch) || !audit_field_next(fields, &number))
        return -EBADMSG;
    if (name_is(number.name, NAME("per")) && !audit_field_next(fields, &number))
        return -EBADMSG; /* a personality other than Linux stands between */
    if (!name_is(number.name, NAME("syscall")) || !audit_field_u32(&number, &head->number))
        return -EBADMSG;
    /* A process that was killed on its way has neither success nor exit. */
    struct slice before = *fields;
    head->success = audit_field_next(fields, &success) && name_is(success.name, NAME("success")) &&
                    slice_is(success.value, "yes");
    if (!head->success)
        *fields = before;
    return 0;
}

static struct slot *open_event(struct audit_event_set *set, const struct audit_record *record,
                               uint64_t boot_ns, fact_handler handler, void *user)
{
    if (set->n_open == AUDIT_EVENT_SLOTS)
        close_event(set, 0, handler, user);
    uint16_t index = set->unused[AUDIT_EVENT_SLOTS - 1 - set->n_open];
    set->open[set->n_open++] = index;
    struct slot *slot = &set->slots[index];
    buffer_clear(&slot->bytes);
    slot->boot_ns = boot_ns;
    slot->has_execve = false;
    memset(slot->texts, 0, sizeof(slot->texts));
    slot->exec = (struct fact_audit_exec){.serial = record->serial,
                                          .real_ms = record->real_ms,
                                          .login_uid = ID_UNSET,
                                          .session = ID_UNSET,
                                          .uid = ID_UNSET,
                                          .euid = ID_UNSET,
                                          .gid = ID_UNSET,
                                          .egid = ID_UNSET};
    return slot;
}

static int add_syscall(struct audit_event_set *set, const struct audit_record *record,
                       uint64_t boot_ns, fact_handler handler, void *user)
{
    struct slice fields = record->fields;
    struct syscall_head head;
    int r = parse_syscall_head(&fields, &head);
    if (r < 0)
        return r;
    enum exec_answer answer = is_exec(head.arch, head.number);
    if (answer == EXEC_NO)
        return AUDIT_EVENT_OTHER;
    if (!head.success)
        return AUDIT_EVENT_TAKEN;
    if (find_event(set, record->serial) < set->n_open)
        return -EBADMSG;
    struct slot *slot = open_event(set, record, boot_ns, handler, user);
    struct audit_field field;
    for (size_t next = 0; audit_field_next(&fields, &field);) {
        int one = add_syscall_field(slot, &field, &next);
        if (one < 0)
            r = one;
    }
    if (slot->exec.pid == 0) { /* without a pid it says nothing about anybody */
        close_event(set, set->n_open - 1, handler, user);
        return -EBADMSG;
    }
    return r;
}

/* -- EXECVE -- */

/* What a record can add at most: six bytes of text make one argument. */
static size_t growth_of(struct slice fields)
{
    return fields.length + fields.length / 6 * sizeof(struct audit_argument);
}

/* Make room by giving out other events as they are, oldest first. */
static bool make_room(struct audit_event_set *set, uint32_t serial, size_t growth,
                      fact_handler handler, void *user)
{
    while (set->size + growth > AUDIT_EVENT_MEMORY && set->n_open > 1) {
        bool oldest_is_it = set->slots[set->open[0]].exec.serial == serial;
        close_event(set, oldest_is_it ? 1 : 0, handler, user);
    }
    return set->size + growth <= AUDIT_EVENT_MEMORY;
}

static int add_execve(struct audit_event_set *set, const struct audit_record *record,
                      fact_handler handler, void *user)
{
    if (find_event(set, record->serial) == set->n_open)
        return -EBADMSG; /* its SYSCALL record was lost: nobody knows whose exec it is */
    bool room = make_room(set, record->serial, growth_of(record->fields), handler, user);
    struct slot *slot = &set->slots[set->open[find_event(set, record->serial)]];
    slot->has_execve = true;
    if (!room)
        slot->arguments.full = true;
    size_t before = audit_arguments_size(&slot->arguments);
    int r = audit_arguments_add(&slot->arguments, record->fields);
    set->size += audit_arguments_size(&slot->arguments);
    set->size -= before;
    return r;
}

/* -- CWD, EOE -- */

static int add_end(struct audit_event_set *set, const struct audit_record *record,
                   fact_handler handler, void *user)
{
    size_t position = find_event(set, record->serial);
    if (position == set->n_open)
        return 0; /* an event that is not wanted, or an EOE after the CWD */
    int r = 0;
    struct slice fields = record->fields;
    struct audit_field field;
    if (record->type == AUDIT_CWD && audit_field_next(&fields, &field) &&
        name_is(field.name, NAME("cwd")))
        r = add_text(&set->slots[set->open[position]], TEXT_CWD, &field);
    close_event(set, position, handler, user);
    return r;
}

int audit_event_set_add(struct audit_event_set *set, const struct audit_record *record,
                        uint64_t boot_ns, fact_handler handler, void *user)
{
    expire_for(set, record->serial, boot_ns, handler, user);
    switch (record->type) {
    case AUDIT_SYSCALL:
        return add_syscall(set, record, boot_ns, handler, user);
    case AUDIT_EXECVE:
        return add_execve(set, record, handler, user);
    case AUDIT_CWD:
    case AUDIT_EOE:
        return add_end(set, record, handler, user);
    default:
        return 0;
    }
}
