/* The programs number the signals, and write the number last: one without its number is still being
 * written, and is read at the next tick. */
#include "collectors/bpf/bpf_signals.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UUID_LENGTH = 36 };

static bool read_boot_id(char boot_id[UUID_LENGTH + 1])
{
    FILE *file AUTO_FCLOSE = fopen("/proc/sys/kernel/random/boot_id", "re");
    return file && fgets(boot_id, UUID_LENGTH + 1, file);
}

static bool copy_record(const struct bpf_signals *from, unsigned long long nth,
                        struct bpf_record *to)
{
    memcpy(to, (const void *)&from->records[nth % BPF_SIGNALS_MOST], sizeof(*to));
    bool complete = to->bytes_sent == nth + 1;
    to->bytes_sent = ~0ull;
    return complete;
}

/* The first that is there still. */
static unsigned long long first_of(const struct bpf_signals *signals)
{
    unsigned long long n = signals->n, taken = signals->taken < n ? signals->taken : n;
    return n - taken > BPF_SIGNALS_MOST ? n - BPF_SIGNALS_MOST : taken;
}

static void take_file(struct bpf_signal_list *list, int directory,
                      const char boot_id[UUID_LENGTH + 1])
{
    struct bpf_signals written;
    int fd AUTO_CLOSE =
        openat(directory, BPF_SIGNALS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    ssize_t n = read(fd, &written, sizeof(written));
    unlinkat(directory, BPF_SIGNALS_FILE, 0);
    if (n != sizeof(written) || written.size != sizeof(written)) {
        log_warning("bpf",
                    "%s in the state directory is damaged; who ended the agent before is not known",
                    BPF_SIGNALS_FILE);
        return;
    }
    if (strncmp(written.boot_id, boot_id, UUID_LENGTH) != 0) /* its times mean nothing now */
        return;
    for (unsigned long long i = first_of(&written); i < written.n; i++)
        list->n_before += copy_record(&written, i, &list->before[list->n_before]);
}

void bpf_signals_init(struct bpf_signal_list *list, struct bpf_signals *shared,
                      const char *state_directory)
{
    char boot_id[UUID_LENGTH + 1] = "";
    *list = (struct bpf_signal_list){.shared = shared};
    if (!read_boot_id(boot_id))
        return;
    memcpy(shared->boot_id, boot_id, sizeof(boot_id));
    int directory AUTO_CLOSE =
        state_directory ? open(state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (directory >= 0)
        take_file(list, directory, boot_id);
}

static int add(struct gulp *gulp, const struct bpf_record *record, uint64_t now_ns)
{
    return gulp_add(gulp, SOURCE_BPF, MESSAGE_DATA, now_ns, slice_of(record, sizeof(*record)));
}

int bpf_signals_drain(struct bpf_signal_list *list, struct gulp *gulp, uint64_t now_ns)
{
    struct bpf_signals *shared = list->shared;
    struct bpf_record record;
    while (list->n_before_taken < list->n_before) {
        if (add(gulp, &list->before[list->n_before_taken], now_ns) < 0)
            return -ENOBUFS;
        list->n_before_taken++;
    }
    unsigned long long n = __atomic_load_n(&shared->n, __ATOMIC_ACQUIRE);
    while (shared->taken != n) {
        unsigned long long next = first_of(shared);
        list->n_overwritten += next - shared->taken;
        shared->taken = next;
        if (!copy_record(shared, next, &record))
            return 0;
        if (add(gulp, &record, now_ns) < 0)
            return -ENOBUFS;
        shared->taken = next + 1;
    }
    return 0;
}
