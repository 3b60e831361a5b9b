#pragma once
/*
 * Logins: facts of audit's user messages and of utmp, wtmp and btmp become rows of `session` and
 * `auth_attempt`. One thread; no system calls; the same facts give the same rows.
 *
 * A session has one row, whoever told of it: what audit and utmp say of one login is merged when it
 * comes within `merge_ns` (2 s unless it is configured), and `seen_by` names who spoke by then. So
 * a row is written that long after its login. A partner is who names the same leader, or the same
 * audit session, or the same user and terminal within that time. su and sudo have rows of their
 * own, with the audit session that they are in; each cron job and each user manager of systemd has
 * one, with an audit session of its own, and is never merged with a login.
 *
 * `service` is the program that spoke: no record names the PAM service. So every session that
 * systemd opens for a unit (PAMName=) is `systemd-user`. It seldom closes it where audit hears:
 * then the row ends as `exit`, with the unit's main process.
 *
 * Where nobody sets a login user (sshd with `UsePAM no`) `session_id` and `login_uid` are NULL, and
 * a login without a terminal tells nobody of itself: it has no row, but keys that were refused
 * before it are a failed attempt.
 *
 * An attempt is one row, too: PAM, the program itself and btmp may each tell of it. What comes
 * within `merge_ns`, of the same process (3 s more, for PAM makes who gave a wrong password wait)
 * or of the same user, service and address, and with the same result, is the same attempt. What
 * sshd says of methods that a client only asked for, or of keys that were refused, is part of the
 * attempt that follows in that connection; if none follows, of one failed attempt.
 *
 * A job of cron, and a unit of systemd, is no attempt: nobody proves who he is. Only when its
 * user's account is refused there is one, failed.
 *
 * A session ends by what says so first: USER_END, a logout in wtmp or utmp, the end of its leader,
 * a record of a reboot or shutdown. utmp is but a file: that it shows somebody no more, as a whole,
 * ends nobody whose leader lives. A process is the leader when it began before the login, not by
 * its pid alone; and what is older than this boot by its time, for the clock was set since, is of
 * this boot when its leader lives.
 */
#include "core/fact.h"
#include "recorder/lifecycle/actors.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/user_names.h"

#include "collectors/source.h"

struct sessions;

struct sessions_options {
    struct row_output *output;
    struct user_names *names; /* NULL: names by number are not known */
    uint64_t merge_ns;
    size_t sessions_most; /* open at a time; what is beyond is counted */
    size_t attempts_most; /* that wait; beyond it the oldest is written as it is */
    bool utmp_active;     /* wtmp is read, so that what it says of the past is waited for */
    void *user;
    /** The last who @p pid was between these moments, inclusive; NULL: nobody knows any. */
    bool (*actor)(void *user, uint32_t pid, uint64_t from_ns, uint64_t until_ns,
                  struct actor *actor);
    /** Who @p pid is now. NULL: as above. */
    bool (*living)(void *user, uint32_t pid, struct actor *actor);
    /** All that lives is known. NULL: never. */
    bool (*processes_known)(void *user);
    /** Something does not fit: "logout_without_login", "session_without_leader", "utmp_shrank" of a
     *  terminal or, when none is known, "pid N"; "wtmp_shrank", "wtmp_changed_inode" of "wtmp" and
     *  "btmp_shrank", "btmp_changed_inode" of "btmp". Evidence text. NULL: it is counted only. */
    void (*finding)(void *user, const char *class, const char *subject, const char *detail);
};

int sessions_new(struct sessions **sessionsp, const struct sessions_options *options) MUST_CHECK;
struct sessions *sessions_free(struct sessions *sessions);

/** FACT_AUDIT_USER, FACT_AUDIT_LOGIN, FACT_LOGIN_RECORD, FACT_LOGIN_LOG; others are ignored. */
void sessions_fact(struct sessions *sessions, const struct fact *fact);
/** The image of a process has ended. */
void sessions_image_ended(struct sessions *sessions, const struct actor *image);
/** All sockets have been read: write what has waited long enough. */
void sessions_tick(struct sessions *sessions);
/** What was heard before @p boot_ns is written. */
bool sessions_settled_until(const struct sessions *sessions, uint64_t boot_ns);
/** Write all that waits, as it is. Ends nothing that is open. */
void sessions_flush(struct sessions *sessions);

/** Lines of an earlier run, in the order of the journal. */
void sessions_restore(struct sessions *sessions, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values);
/** All lines have been restored. Rows of another boot end as `reboot` at @p last_real_us; the
 * others stay open, but for those whose leader the first full scan does not find: `reconciled`. */
void sessions_restored(struct sessions *sessions, bool same_boot, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void sessions_checkpoint(struct sessions *sessions);

/** Who is logged in now: names, sorted, each once, with commas between, as evidence text. Those
 * whom su, sudo, pkexec, doas, cron and systemd made others do not count. */
void sessions_append_users(const struct sessions *sessions, struct buffer *to);
/** Whether that is known: the files have been read to their ends, and all processes are. */
bool sessions_users_known(const struct sessions *sessions);
/** From where wtmp and btmp have to be read after a restart: what is before is written. */
void sessions_cursors(const struct sessions *sessions, struct login_cursor *wtmp,
                      struct login_cursor *btmp);
/** What an earlier run had read. */
void sessions_set_cursors(struct sessions *sessions, struct login_cursor wtmp,
                          struct login_cursor btmp);
/** Logins for which there was no room, since the last call. */
uint64_t sessions_take_beyond(struct sessions *sessions);
/** How many findings there were. */
uint64_t sessions_findings(const struct sessions *sessions);
/** Rows in memory. */
size_t sessions_rows(const struct sessions *sessions);
