// links: vestige_procfs
/* The bytes of recorded messages: the first byte chooses the decoder, the second the kind. */
#include "collectors/procfs/names_source.h"
#include "collectors/procfs/proc_entry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(struct slice s, uint8_t *sum)
{
    for (size_t i = 0; i < s.length; i++)
        *sum ^= s.data[i];
}

static void take_process(const struct fact_proc_process *process, uint8_t *sum)
{
    if (process->pid == 0)
        abort();
    touch(process->comm, sum);
    touch(process->exe, sum);
    touch(process->cwd, sum);
    touch(process->tty, sum);
    touch(process->cgroup, sum);
    touch(process->container, sum);
    for (uint32_t i = 0; process->argv && i < process->argc; i++)
        touch(process->argv[i], sum);
}

static void take_account(const struct fact_account *account, uint8_t *sum)
{
    if (!account->from_switch || account->name.length == 0)
        abort();
    touch(account->name, sum);
    touch(account->gecos, sum);
    touch(account->home, sum);
    touch(account->shell, sum);
}

static void take(void *user, const struct fact *fact)
{
    if (fact->kind == FACT_PROC_PROCESS)
        take_process(&fact->proc_process, user);
    else if (fact->kind == FACT_ACCOUNT)
        take_account(&fact->account, user);
    else if (fact->kind == FACT_USER_NAME)
        touch(fact->user_name.name, user);
    else if (fact->kind == FACT_NOTE)
        touch(fact->note.detail, user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoder *decoder = NULL;
    uint8_t sum = 0;
    if (size < 2 || proc_decoder_new(&decoder) < 0)
        return 0;
    struct message message = {.source = SOURCE_PROC,
                              .kind = (enum message_kind)(data[1] % MESSAGE_KIND_N),
                              .bytes = slice_of(data + 2, size - 2)};
    if (data[0] & 1) {
        message.source = SOURCE_NAMES;
        if (names_decode(NULL, &message, take, &sum) > 0)
            abort();
    } else {
        if (proc_decoder_decode(decoder, &message, take, &sum) > 0)
            abort();
        if (proc_entry_without_arguments(message.bytes) > message.bytes.length)
            abort();
    }
    proc_decoder_free(decoder);
    return 0;
}
