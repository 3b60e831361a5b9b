// links: vestige_audit
/*
 * Audit records of any text: no crash, no read outside of the message, no answer but 0 and
 * -EBADMSG, and never more arguments than declared.
 *
 * The input is lines. The first letter is the record's type (S SYSCALL, E EXECVE, C CWD, O EOE,
 * L LOGIN, U USER_AUTH, A CONFIG_CHANGE, B BPF, K KERN_MODULE, P PATH, I OBJ_PID, J TIME_INJOFFSET,
 * D TIME_ADJNTPVAL, N a note, T time passes), the second its serial. A small letter gives the text
 * without "audit(...): ", which then has to be in the line.
 */
#include "collectors/audit/audit_decoder.h"

#include <ctype.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum;

static void read_slice(struct slice slice)
{
    for (size_t i = 0; i < slice.length; i++)
        sum += slice.data[i];
}

static void read_user(const struct fact_audit_user *said)
{
    if (said->pid == 0)
        abort();
    read_slice(said->operation);
    read_slice(said->account);
    read_slice(said->exe);
    read_slice(said->host_name);
    read_slice(said->address);
    read_slice(said->terminal);
}

static void take_fact(void *user, const struct fact *fact)
{
    (void)user;
    if (fact->kind == FACT_NOTE) {
        read_slice(fact->note.mode);
        read_slice(fact->note.detail);
    }
    if (fact->kind == FACT_AUDIT_USER)
        read_user(&fact->audit_user);
    if (fact->kind == FACT_KERNEL_EVENT) {
        if (fact->kernel_event.kind >= KERNEL_CLOCK_STEP || fact->kernel_event.pid == 0)
            abort();
        read_slice(fact->kernel_event.comm);
        read_slice(fact->kernel_event.target);
    }
    if (fact->kind == FACT_KERNEL_TARGET) {
        if (fact->kernel_target.target.length > 4096)
            abort();
        read_slice(fact->kernel_target.target);
    }
    if (fact->kind != FACT_AUDIT_EXEC)
        return;
    const struct fact_audit_exec *exec = &fact->audit_exec;
    if (exec->n_argv > exec->argc || exec->pid == 0)
        abort();
    for (uint32_t i = 0; i < exec->n_argv; i++)
        read_slice(exec->argv[i]);
    read_slice(exec->comm);
    read_slice(exec->exe);
    read_slice(exec->tty);
    read_slice(exec->cwd);
    read_slice(exec->key);
}

static uint16_t type_of(uint8_t letter)
{
    switch (toupper(letter)) {
    case 'S':
        return AUDIT_SYSCALL;
    case 'E':
        return AUDIT_EXECVE;
    case 'C':
        return AUDIT_CWD;
    case 'O':
        return AUDIT_EOE;
    case 'L':
        return AUDIT_LOGIN;
    case 'U':
        return AUDIT_FIRST_USER_MSG;
    case 'B':
        return AUDIT_BPF;
    case 'K':
        return AUDIT_KERN_MODULE;
    case 'P':
        return AUDIT_PATH;
    case 'I':
        return AUDIT_OBJ_PID;
    case 'J':
        return AUDIT_TIME_INJOFFSET;
    case 'D':
        return AUDIT_TIME_ADJNTPVAL;
    default:
        return AUDIT_CONFIG_CHANGE;
    }
}

static void decode(struct decoder *decoder, enum message_kind kind, uint64_t boot_ns,
                   struct slice bytes)
{
    const struct message message = {
        .source = SOURCE_AUDIT, .kind = kind, .boot_ns = boot_ns, .bytes = bytes};
    int r = audit_decoder_decode(decoder, &message, take_fact, NULL);
    if (r != 0 && r != -EBADMSG)
        abort();
}

/* In memory of exactly its size. */
static void decode_record(struct decoder *decoder, uint64_t boot_ns, struct slice line)
{
    char stamp[32] = "";
    if (isupper(line.data[0]))
        snprintf(stamp, sizeof(stamp), "audit(1.002:%u): ", line.data[1] * 40u);
    const struct nlmsghdr header = {.nlmsg_type = type_of(line.data[0])};
    size_t length = sizeof(header) + strlen(stamp) + line.length - 2;
    uint8_t *bytes = malloc(length);
    if (!bytes)
        abort();
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), stamp, strlen(stamp));
    memcpy(bytes + sizeof(header) + strlen(stamp), line.data + 2, line.length - 2);
    decode(decoder, MESSAGE_DATA, boot_ns, slice_of(bytes, length));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoder *decoder;
    uint64_t boot_ns = 1000000000;
    if (audit_decoder_new(&decoder) < 0)
        abort();
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        if (length > 1 && data[0] == 'N')
            decode(decoder, MESSAGE_NOTE, boot_ns, slice_of(data + 1, length - 1));
        else if (length > 1 && data[0] == 'T')
            boot_ns += data[1] * 50000000ull;
        else if (length > 1)
            decode_record(decoder, boot_ns, slice_of(data, length));
        length += end != NULL;
        data += length;
        size -= length;
    }
    audit_decoder_free(decoder);
    return 0;
}
