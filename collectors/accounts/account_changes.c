/* A lock that was removed while a change waits makes it due, also when the next program has locked
 * already: what it will do is a change of its own. */
#include "collectors/accounts/account_changes.h"

static const uint64_t quiet_ns = UINT64_C(50000000);
static const uint64_t patience_ns = UINT64_C(2000000000);

const char *account_file_name(enum account_file file)
{
    static const char *const names[] = {"passwd", "shadow", "group", "gshadow"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == ACCOUNT_FILE_N, "name each file");
    return names[file];
}

enum account_part account_file_part(enum account_file file)
{
    return file < FILE_GROUP ? ACCOUNT_PART_ACCOUNTS : ACCOUNT_PART_GROUPS;
}

void account_changes_mark(struct account_changes *changes, enum account_part part, uint64_t now_ns)
{
    struct account_change *change = &changes->part[part];
    if (!change->first_ns)
        change->first_ns = now_ns;
    change->last_ns = now_ns;
    change->released = false;
    change->sequence++;
}

void account_changes_lock(struct account_changes *changes, enum account_file file, bool there)
{
    unsigned before = changes->locked, bit = 1U << file;
    changes->locked = there ? before | bit : before & ~bit;
    if (!before || changes->locked)
        return;
    for (int part = 0; part < ACCOUNT_PART_N; part++)
        changes->part[part].released = changes->part[part].first_ns != 0;
}

void account_changes_event(struct account_changes *changes, const char *name, bool appeared,
                           uint64_t now_ns)
{
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++) {
        const char *own = account_file_name(file);
        size_t length = strlen(own);
        if (strncmp(name, own, length) != 0)
            continue;
        if (name[length] == '\0')
            account_changes_mark(changes, account_file_part(file), now_ns);
        else if (strcmp(name + length, ".lock") == 0)
            account_changes_lock(changes, file, appeared);
    }
}

uint64_t account_changes_due(const struct account_changes *changes, enum account_part part)
{
    const struct account_change *change = &changes->part[part];
    if (!change->first_ns)
        return UINT64_MAX;
    if (change->released)
        return change->last_ns;
    uint64_t latest = change->first_ns + patience_ns, quiet = change->last_ns + quiet_ns;
    return changes->locked || quiet > latest ? latest : quiet;
}

struct account_change account_changes_take(struct account_changes *changes, enum account_part part)
{
    struct account_change taken = changes->part[part];
    changes->part[part] = (struct account_change){.sequence = taken.sequence};
    return taken;
}
