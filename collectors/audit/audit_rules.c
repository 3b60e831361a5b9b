/* Rules are built field by field into zeroed memory, as the kernel reads and lists them. */
#include "collectors/audit/audit_rules.h"

#include "collectors/audit/audit_kernel_call.h"

#include <stdlib.h>

/* How AUDIT_LIST_RULES writes it; part of neither the key nor the field. */
#define LIST_MASK 0x0fu

size_t audit_rule_size(const struct audit_rule_data *rule)
{
    return sizeof(*rule) + rule->buflen;
}

bool audit_rule_equal(const struct audit_rule_data *a, const struct audit_rule_data *b)
{
    size_t size = audit_rule_size(a);
    return size == audit_rule_size(b) && memcmp(a, b, size) == 0;
}

bool audit_rule_is_keyed(const struct audit_rule_data *rule)
{
    const size_t key_length = sizeof(AUDIT_RULES_KEY) - 1;
    size_t offset = 0;
    for (uint32_t i = 0; i < rule->field_count && i < AUDIT_MAX_FIELDS; i++) {
        uint32_t length = rule->values[i];
        switch (rule->fields[i]) {
        case AUDIT_FILTERKEY:
            if (length == key_length && offset + length <= rule->buflen &&
                memcmp(rule->buf + offset, AUDIT_RULES_KEY, key_length) == 0)
                return true;
            offset += length;
            break;
        case AUDIT_WATCH:
        case AUDIT_DIR:
        case AUDIT_EXE:
        case AUDIT_SUBJ_USER ... AUDIT_SUBJ_CLR:
        case AUDIT_OBJ_USER ... AUDIT_OBJ_LEV_HIGH:
            offset += length; /* these have their string in `buf` too */
            break;
        default:
            break;
        }
    }
    return false;
}

bool audit_rule_is_task_never(const struct audit_rule_data *rule)
{
    return (rule->flags & LIST_MASK) == AUDIT_FILTER_TASK && rule->action == AUDIT_NEVER;
}

bool audit_rule_suppresses(const struct audit_rule_data *rule)
{
    uint32_t list = rule->flags & LIST_MASK;
    if (list == AUDIT_FILTER_EXCLUDE)
        return true;
    return rule->action == AUDIT_NEVER &&
           (list == AUDIT_FILTER_TASK || list == AUDIT_FILTER_EXIT || list == AUDIT_FILTER_USER);
}

bool audit_rule_is_exit(const struct audit_rule_data *rule)
{
    return (rule->flags & LIST_MASK) == AUDIT_FILTER_EXIT;
}

void audit_rules_deinit(struct audit_rules *self)
{
    for (size_t i = 0; i < self->n; i++)
        free(self->list[i]);
    free(self->list);
    *self = (struct audit_rules)AUDIT_RULES_NULL;
}

int audit_rules_append(struct audit_rules *self, const void *data, size_t size)
{
    struct audit_rule_data head;
    if (size < sizeof(head))
        return -EBADMSG;
    memcpy(&head, data, sizeof(head));
    if (head.buflen > size - sizeof(head) || head.field_count > AUDIT_MAX_FIELDS)
        return -EBADMSG;
    struct audit_rule_data **list =
        reallocarray(self->list, self->n + 1, sizeof(struct audit_rule_data *));
    if (!list)
        return -ENOMEM;
    self->list = list;
    struct audit_rule_data *rule = malloc(audit_rule_size(&head));
    if (!rule)
        return -ENOMEM;
    memcpy(rule, data, audit_rule_size(&head));
    self->list[self->n++] = rule;
    return 0;
}

bool audit_rules_contain(const struct audit_rules *self, const struct audit_rule_data *rule)
{
    for (size_t i = 0; i < self->n; i++)
        if (audit_rule_equal(self->list[i], rule))
            return true;
    return false;
}

int audit_rules_append_twin(struct audit_rules *self, const struct audit_rule_data *rule)
{
    int r = audit_rules_append(self, rule, audit_rule_size(rule));
    if (r < 0 || rule->field_count < 2)
        return r;
    struct audit_rule_data *twin = self->list[self->n - 1];
    for (uint32_t i = 0; i < 2; i++) {
        twin->fields[i] = rule->fields[1 - i];
        twin->fieldflags[i] = rule->fieldflags[1 - i];
        twin->values[i] = rule->values[1 - i];
    }
    return 0;
}

void audit_rules_drop_first(struct audit_rules *self, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(self->list[i]);
    self->n -= n;
    memmove(self->list, self->list + n, self->n * sizeof(self->list[0]));
}

bool audit_rules_precede_others(const struct audit_rules *self)
{
    bool ours = false;
    for (size_t i = 0; i < self->n; i++) {
        if (!audit_rule_is_exit(self->list[i]))
            continue;
        if (audit_rule_is_keyed(self->list[i]))
            ours = true;
        else if (ours)
            return true;
    }
    return false;
}

static void add_field(struct audit_rule_data *rule, uint32_t field, uint32_t operator,
                      uint32_t value)
{
    uint32_t i = rule->field_count++;
    rule->fields[i] = field;
    rule->fieldflags[i] = operator;
    rule->values[i] = value;
}

static void set_calls(struct audit_rule_data *rule, const uint32_t *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rule->mask[AUDIT_WORD(calls[i])] |= AUDIT_BIT(calls[i]);
}

struct keyed_field {
    uint32_t field, value;
    uint32_t comparison; /* 0: AUDIT_EQUAL */
};

/* A rule on the end of these calls, with our key as its last field. */
static int append_keyed_rule(struct audit_rules *rules, const uint32_t *calls, size_t n_calls,
                             const struct keyed_field *fields, size_t n_fields)
{
    const size_t key_length = sizeof(AUDIT_RULES_KEY) - 1;
    union {
        struct audit_rule_data rule;
        char bytes[sizeof(struct audit_rule_data) + sizeof(AUDIT_RULES_KEY)];
    } made;
    memset(&made, 0, sizeof(made));
    made.rule.flags = AUDIT_FILTER_EXIT;
    made.rule.action = AUDIT_ALWAYS;
    set_calls(&made.rule, calls, n_calls);
    for (size_t i = 0; i < n_fields; i++)
        add_field(&made.rule, fields[i].field,
                  fields[i].comparison ? fields[i].comparison : AUDIT_EQUAL, fields[i].value);
    add_field(&made.rule, AUDIT_FILTERKEY, AUDIT_EQUAL, (uint32_t)key_length);
    made.rule.buflen = (uint32_t)key_length;
    memcpy(made.bytes + sizeof(struct audit_rule_data), AUDIT_RULES_KEY, key_length);
    return audit_rules_append(rules, &made, audit_rule_size(&made.rule));
}

/* A system call table: the calls of which we want to hear. */
struct call_table {
    uint32_t arch;
    uint32_t execs[2];
    uint32_t addresses[7]; /* calls that take an address; a 0 ends them */
    uint32_t accepts[2];   /* likewise */
};

static const struct call_table call_tables[] = {
#if defined(__x86_64__)
    {AUDIT_ARCH_X86_64, {59, 322}, {42, 43, 44, 46, 49, 288},      {43, 288}},
    {AUDIT_ARCH_I386,   {11, 358}, {102, 361, 362, 364, 369, 370}, {364}    },
#elif defined(__aarch64__)
    {AUDIT_ARCH_AARCH64, {221, 281}, {200, 202, 203, 206, 211, 242}, {202, 242}},
    {AUDIT_ARCH_ARM, {11, 387}, {282, 283, 285, 290, 296, 366}, {285, 366}},
#endif
};

static size_t count_calls(const uint32_t *calls, size_t most)
{
    size_t n = 0;
    while (n < most && calls[n])
        n++;
    return n;
}

static int append_socket_rules(struct audit_rules *rules, const struct call_table *table)
{
    static const uint32_t families[] = {2, 10}; /* AF_INET, AF_INET6 */
    size_t n = count_calls(table->addresses, 7);
    int r = 0;
    for (size_t i = 0; r == 0 && i < 2; i++) {
        const struct keyed_field fields[] = {
            {AUDIT_ARCH,      table->arch},
            {AUDIT_SADDR_FAM, families[i]}
        };
        r = append_keyed_rule(rules, table->addresses, n, fields, 2);
    }
    const struct keyed_field fields[] = {
        {AUDIT_ARCH,    table->arch},
        {AUDIT_SUCCESS, 1          },
        {AUDIT_ARG1,    0          }
    };
    return r < 0 ? r
                 : append_keyed_rule(rules, table->accepts, count_calls(table->accepts, 2), fields,
                                     3);
}

int audit_rules_append_keyed(struct audit_rules *self, bool sockets)
{
    const size_t n = sizeof(call_tables) / sizeof(call_tables[0]);
    int r = n ? 0 : -ENOTSUP;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct keyed_field fields[] = {
            {AUDIT_ARCH,    call_tables[i].arch},
            {AUDIT_SUCCESS, 1                  }
        };
        r = append_keyed_rule(self, call_tables[i].execs, 2, fields, 2);
    }
    for (size_t i = 0; r == 0 && sockets && i < n; i++)
        r = append_socket_rules(self, &call_tables[i]);
    return r;
}

/* All calls of one filter in one rule. */
static int append_kernel_rule(struct audit_rules *rules, uint32_t arch,
                              enum audit_kernel_filter filter)
{
    uint32_t calls[AUDIT_KERNEL_CALLS_MOST];
    size_t n = audit_kernel_calls(arch, filter, calls);
    struct keyed_field fields[2] = {
        {.field = AUDIT_ARCH, .value = arch}
    };
    fields[1].field = AUDIT_ARG0;
    fields[1].value = audit_kernel_filter_value(filter);
    if (filter == AUDIT_KERNEL_CLONE)
        fields[1].comparison = AUDIT_BIT_MASK;
    return n ? append_keyed_rule(rules, calls, n, fields, filter == AUDIT_KERNEL_ANY ? 1 : 2) : 0;
}

int audit_rules_append_kernel(struct audit_rules *self)
{
    const size_t n = sizeof(call_tables) / sizeof(call_tables[0]);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        for (int filter = 0; r == 0 && filter < AUDIT_KERNEL_FILTER_N; filter++)
            r = append_kernel_rule(self, call_tables[i].arch, (enum audit_kernel_filter)filter);
    return r;
}

static int append_exclusion(struct audit_rules *rules, uint32_t first, uint32_t last)
{
    struct audit_rule_data rule = {.flags = AUDIT_FILTER_EXCLUDE, .action = AUDIT_ALWAYS};
    memset(rule.mask, 0xff, sizeof(rule.mask));
    /* The last bits name classes of system calls; the kernel does not give them back. */
    rule.mask[AUDIT_BITMASK_SIZE - 1] = UINT32_MAX >> AUDIT_SYSCALL_CLASSES;
    if (first == last) {
        add_field(&rule, AUDIT_MSGTYPE, AUDIT_EQUAL, first);
    } else {
        add_field(&rule, AUDIT_MSGTYPE, AUDIT_GREATER_THAN_OR_EQUAL, first);
        add_field(&rule, AUDIT_MSGTYPE, AUDIT_LESS_THAN_OR_EQUAL, last);
    }
    return audit_rules_append(rules, &rule, sizeof(rule));
}

int audit_rules_append_exclusions(struct audit_rules *self, bool paths)
{
    _Static_assert(AUDIT_BPRM_FCAPS == AUDIT_EOE + 1, "one rule for both");
    int r = paths ? 0 : append_exclusion(self, AUDIT_PATH, AUDIT_PATH);
    if (r == 0)
        r = append_exclusion(self, AUDIT_PROCTITLE, AUDIT_PROCTITLE);
    if (r == 0)
        r = append_exclusion(self, AUDIT_EOE, AUDIT_BPRM_FCAPS);
    return r;
}
