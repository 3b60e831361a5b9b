/* Opening needs NET_ADMIN (receive buffers, process connector, taskstats) and AUDIT_CONTROL or
 * AUDIT_READ; BPF and PERFMON, or SYS_ADMIN, for the exact mode.
 *
 * The user is changed first, while there is one thread: a change in a process with threads would
 * need CAP_SETUID in each of them. With SECBIT_NO_SETUID_FIXUP capabilities survive it; locked
 * together with SECBIT_NOROOT, uid 0 means nothing any more to whatever this process could become.
 * So also an agent that stays root has no more than the files of root.
 *
 * Landlock would be another wall, but who is inside of it cannot read /proc of who is not. */
#include "recorder/agent/privilege.h"

#include "core/capabilities.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/thread_rights.h"
#include "recorder/agent/state_owner.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>

#include <sys/stat.h>

#define OPENING                                                                                    \
    (THREAD_READS_FILES | THREAD_READS_PROCESSES | THREAD_NETWORK | THREAD_ADMINISTRATES |         \
     THREAD_SETS_AUDIT | THREAD_HEARS_AUDIT | THREAD_LOADS_PROGRAMS)

static const cap_value_t needed[] = {CAP_NET_ADMIN, CAP_AUDIT_CONTROL, CAP_AUDIT_READ};
enum { NEEDED_WITHOUT_AUDIT = 1, PASSWD_BYTES = 16384 };

int privilege_check(bool audit, struct error_text *error)
{
    size_t n_needed = audit ? sizeof(needed) / sizeof(needed[0]) : NEEDED_WITHOUT_AUDIT;
    cap_t have AUTO_CAPABILITIES = cap_get_proc();
    char missing[128] = "";
    if (!have)
        return error_set(error, -errno, "cannot read this process's capabilities: %s",
                         strerror(errno));
    for (size_t i = 0; i < n_needed; i++) {
        cap_flag_value_t value = CAP_CLEAR;
        cap_get_flag(have, needed[i], CAP_EFFECTIVE, &value);
        if (value == CAP_SET)
            continue;
        char *name = cap_to_name(needed[i]);
        strncat(missing, missing[0] ? ", " : "", sizeof(missing) - strlen(missing) - 1);
        strncat(missing, name ? name : "?", sizeof(missing) - strlen(missing) - 1);
        cap_free(name);
    }
    if (!missing[0])
        return 0;
    return error_set(error, -EPERM,
                     "missing capabilities: %s; run it as root, or give them to the service",
                     missing);
}

struct identity {
    const char *name;
    uid_t uid;
    gid_t gid;
};

static int find_user(const char *name, struct identity *identity, struct error_text *error)
{
    char text[PASSWD_BYTES];
    struct passwd entry, *found = NULL;
    int r = getpwnam_r(name, &entry, text, sizeof(text), &found);
    if (!found)
        return error_set(error, r ? -r : -ENOENT,
                         "there is no user %s: make it (systemd-sysusers, or useradd --system %s), "
                         "or name another with user in section [agent]",
                         name, name);
    *identity = (struct identity){.name = name, .uid = entry.pw_uid, .gid = entry.pw_gid};
    return 0;
}

static int give_files(const struct privilege_options *options, const struct identity *identity,
                      struct error_text *error)
{
    int r =
        state_owner_give(options->state_directory, "journal", identity->uid, identity->gid, error);
    const char *record = options->record_directory;
    /* Why a directory for a recording cannot be made, is said by who makes it. */
    if (r == 0 && record && (mkdir(record, 0700) == 0 || errno == EEXIST) &&
        state_owner_give(record, NULL, identity->uid, identity->gid, NULL) < 0)
        log_debug("recording", "%s stays whose it is", record);
    return r;
}

/* What has CAP_SETPCAP only: a service manager that does not give it may have done all this. */
static int lock_root(struct error_text *error)
{
    uint64_t mask = thread_rights_mask(OPENING);
    cap_t have AUTO_CAPABILITIES = cap_get_proc();
    cap_flag_value_t may = CAP_CLEAR;
    if (!have || cap_get_flag(have, CAP_SETPCAP, CAP_EFFECTIVE, &may) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    if (may != CAP_SET && geteuid() != 0)
        return 0;
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!(mask >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return error_set(error, -errno,
                             "cannot drop a capability of what could be executed: "
                             "%s; the agent needs cap_setpcap for a moment",
                             strerror(errno));
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                         SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                         SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0
               ? error_set(error, -errno, "cannot give up what root may: %s", strerror(errno))
               : 0;
}

static int change_user(const struct identity *identity, struct error_text *error)
{
    if (setgroups(0, NULL) < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return error_set(error, -errno,
                         "cannot become the user %s: %s; start the agent as root or as that user",
                         identity->name, strerror(errno));
    return 0;
}

/* Journal and shipper have no capability, so the directories above have to let the user through. */
static int check_reach(const struct privilege_options *options, struct error_text *error)
{
    cap_t with AUTO_CAPABILITIES = cap_get_proc();
    cap_t without AUTO_CAPABILITIES = cap_get_proc();
    if (!with || !without || cap_clear_flag(without, CAP_EFFECTIVE) < 0 ||
        cap_set_proc(without) < 0)
        return error_set(error, -errno, "cannot set capabilities: %s", strerror(errno));
    int state = faccessat(AT_FDCWD, options->state_directory, R_OK | W_OK | X_OK, AT_EACCESS) < 0
                    ? -errno
                    : 0;
    AUTO_CLOSE int options_file = open(options->defaults_file, O_RDONLY | O_CLOEXEC);
    int file = options_file < 0 ? -errno : 0;
    if (cap_set_proc(with) < 0)
        return error_set(error, -errno, "cannot set capabilities: %s", strerror(errno));
    if (state)
        return error_set(
            error, state,
            "the agent's user (uid %u) cannot write in %s: %s; let it pass through the "
            "directories above (chmod o+x), or name another with state_directory",
            geteuid(), options->state_directory, strerror(-state));
    if (file)
        return error_set(error, file,
                         "the agent's user (uid %u) cannot read the option file %s: %s; give it to "
                         "that user (chown), with mode 0600",
                         geteuid(), options->defaults_file, strerror(-file));
    return 0;
}

int privilege_become(const struct privilege_options *options, struct error_text *error)
{
    struct identity identity = {.name = options->user, .uid = geteuid(), .gid = getegid()};
    int r = options->user[0] ? find_user(options->user, &identity, error) : 0;
    bool changes = identity.uid != geteuid();
    int at_parents_death = 0;
    prctl(PR_GET_PDEATHSIG, &at_parents_death);
    if (!r && changes && geteuid() == 0)
        r = give_files(options, &identity, error);
    if (!r)
        r = lock_root(error);
    if (!r && (changes || geteuid() == 0))
        r = change_user(&identity, error);
    if (r)
        return r;
    if (at_parents_death) /* a change of user cancels it */
        prctl(PR_SET_PDEATHSIG, at_parents_death);
    r = thread_rights_keep(OPENING);
    if (r < 0)
        return error_set(error, r, "cannot drop capabilities: %s", strerror(-r));
    if (!SYSTEM_CALLS_SANITIZED)
        prctl(PR_SET_DUMPABLE, 0); /* nobody but root looks into its memory */
    if (identity.uid == 0 && options->warn_of_root)
        log_warning("agent", "it stays root, whose files it could change: name a user in section "
                             "[agent]");
    return check_reach(options, error);
}

int privilege_drop(const char *thread, enum system_calls_mode mode, bool guard,
                   struct error_text *error)
{
    thread_begin(thread);
    return system_calls_restrict(mode, guard, error);
}
