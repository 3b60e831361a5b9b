#pragma once
/* What the files of sessions and attempts share; nobody else includes it. */
#include "recorder/sessions/sessions.h"

#include "core/inet_address.h"

#include <sys/queue.h>

enum {
    LOGIN_TEXT_MOST = 256,
    RECENT_SESSIONS = 1024,
    KNOWN_MOST = 8192,
    TERMINALS_MOST = 64,
    PIDS_MOST = 65536
};

/* Text from outside; length 0: unknown. What is longer is cut and ends with "...". */
struct login_text {
    uint16_t length;
    uint8_t bytes[LOGIN_TEXT_MOST];
};

/* An account of which only the number was said: its name may come before the row is written. */
struct login_account {
    bool is_nameless;
    uint32_t uid;
};

struct session {
    TAILQ_ENTRY(session) in_list;
    uint64_t id, created_us, ended_us;
    uint64_t heard_ns;    /* boot clock; when it was first heard of */
    uint64_t deadline_ns; /* it waits so long for another source */
    uint64_t exit_ns,
        exit_us; /* exit_ns not 0: its leader has ended; so long it waits for a word */
    uint64_t process_id;
    uint64_t hold; /* where in wtmp stands what is not written yet; UINT64_MAX: nowhere */
    uint64_t hold_inode;
    uint32_t leader_pid, other_pid; /* 0: unknown; other: utmp's, when audit's leader is another */
    uint32_t session_id, login_uid;
    uint32_t generation; /* of the look at utmp that last showed it; 0: none */
    unsigned seen_by;
    enum end_cause end_cause;
    bool inserted, ended, this_boot;
    bool unproven;     /* that its leader lives is to be checked when all processes are known */
    bool past;         /* read from a file, from before the agent began: it waits for nobody */
    bool in_utmp_only; /* wtmp did not tell of it */
    bool live;         /* its login was heard as it happened */
    struct login_text username, tty, service, remote_name;
    struct login_account account;
    char remote_address[INET_ADDRESS_TEXT]; /* "": none */
};

TAILQ_HEAD(session_list, session);

/* What told of an attempt: a set. */
enum attempt_word {
    ATTEMPT_AUTHENTICATED = 1 << AUDIT_USER_AUTHENTICATED,
    ATTEMPT_ACCOUNT = 1 << AUDIT_USER_ACCOUNT,
    ATTEMPT_LOGIN = 1 << AUDIT_USER_LOGIN,
    ATTEMPT_COMMAND = 1 << AUDIT_USER_COMMAND,
    ATTEMPT_BTMP = 1 << AUDIT_USER_EVENT_N
};

struct attempt {
    TAILQ_ENTRY(attempt) in_list;
    uint64_t id, created_us, heard_ns, deadline_ns, process_id;
    uint64_t hold; /* where in btmp; UINT64_MAX: nowhere */
    uint64_t hold_inode;
    uint32_t pid;
    unsigned words, seen_by;
    bool success;
    bool probing; /* its connection lives and may try something else */
    struct login_text username, tty, service;
    struct login_account account;
    char remote_address[INET_ADDRESS_TEXT];
};

TAILQ_HEAD(attempt_list, attempt);

/* A session that is over: who speaks of it again says nothing new. */
struct recent_session {
    uint64_t created_us;
    uint32_t pid, other_pid, session_id;
    struct login_text tty, service;
};

struct sessions {
    struct sessions_options options;
    struct row_output *output;
    struct session_list open; /* in the order in which they were heard of */
    struct attempt_list attempts;
    size_t n_open, n_attempts;
    struct recent_session recent[RECENT_SESSIONS];
    size_t next_recent;
    uint32_t terminals[TERMINALS_MOST]; /* pids of programs that offer a login */
    size_t next_terminal;
    uint64_t
        known[KNOWN_MOST]; /* of rows of an earlier run: digests of time and terminal or name */
    size_t n_known;
    struct login_cursor wtmp, btmp; /* read up to here */
    uint64_t started_ns, started_us, boot_us;
    uint64_t utmp_boot_us; /* the boot by the clock of then, as utmp has it; 0: unknown */
    uint64_t caught_up_ns; /* wtmp was read to its end; 0: not yet */
    uint64_t beyond, n_findings;
    uint32_t generation;
    bool looked_at_utmp, proven;
    struct buffer text; /* scratch */
    uint64_t
        pids[PIDS_MOST / 64]; /* of leaders and of who tried, by their last bits; and of others */
};

/* A storm of failed logins is one of processes that end, too: few of those are looked for. */
static inline void sessions_note_pid(struct sessions *s, uint32_t pid)
{
    s->pids[pid % PIDS_MOST / 64] |= UINT64_C(1) << pid % 64;
}

static inline bool sessions_may_have_pid(const struct sessions *s, uint32_t pid)
{
    return s->pids[pid % PIDS_MOST / 64] & UINT64_C(1) << pid % 64;
}

static inline bool session_is_of_process(const struct session *session, uint32_t pid)
{
    return session->leader_pid == pid || session->other_pid == pid;
}

static inline uint64_t sessions_now(const struct sessions *s)
{
    return s->output->timeline->now_boot_ns;
}

/* login_text.c */
void login_text_set(struct login_text *text, struct slice bytes);
static inline struct slice login_text_slice(const struct login_text *text)
{
    return text->length ? slice_of(text->bytes, text->length) : SLICE_NULL;
}
bool login_text_same(const struct login_text *a, const struct login_text *b);
bool login_text_is(const struct login_text *text, const char *word);
/** "/dev/pts/0" and "pts/0" are "pts/0"; words that are no terminal ("ssh", "cron", "?") nothing.
 */
struct slice login_terminal(struct slice said);
/** The service of a program: the last part of its path, with other names of the same. */
void login_service(struct login_text *service, struct slice exe);
/** "" when @p said is no address. */
void login_address(char to[INET_ADDRESS_TEXT], struct slice said);
/** Names that programs write in place of one that does not exist. */
bool login_name_is_placeholder(struct slice name);
/** A session of these is not somebody who logged in. */
bool login_service_is_inner(const struct login_text *service);

/* sessions.c */
struct session *session_begin(struct sessions *s, uint64_t created_us, uint64_t heard_ns);
void session_end(struct sessions *s, struct session *session, uint64_t ended_us,
                 enum end_cause cause);
/** What its leader, or another process of it, tells of it where nobody else did. */
void session_take_leader(struct session *session, const struct actor *actor, bool is_leader);
/** Whoever had its leader's pid when it began. */
void session_find_leader(struct sessions *s, struct session *session);
bool sessions_near(const struct sessions *s, uint64_t a_us, uint64_t b_us);
/** Of two words on the same pid: that they are on one process. Where both are heard as it happens,
 * they may be apart by as much as the clock is set without being followed (timeline.c). */
bool sessions_of_one_life(const struct sessions *s, uint64_t a_us, uint64_t b_us, bool live);
/** Something is true of a terminal or, where none is known, of a process. Text from outside goes
 * into
 *  @p format by way of sessions_evidence. */
void sessions_report(struct sessions *s, const char *class, const struct login_text *tty,
                     uint32_t pid, const char *format, ...) PRINTF(5, 6);
/** The same of wtmp and btmp. */
void sessions_report_file(struct sessions *s, const char *class, const char *name,
                          const char *format, ...) PRINTF(4, 5);
/** @p text as evidence text, until the next call. */
const char *sessions_evidence(struct sessions *s, const struct login_text *text);
bool sessions_actor(struct sessions *s, uint32_t pid, uint64_t at_us, uint64_t heard_ns,
                    struct actor *actor);
bool sessions_living(const struct sessions *s, uint32_t pid, struct actor *actor);
/** Its leader lives: not whoever has got the pid since. */
bool session_lives(const struct sessions *s, const struct session *session, struct actor *actor);
/** A session of @p pid (0: any) on @p tty (NULL: any) is over. */
bool sessions_recent(const struct sessions *s, uint32_t pid, const struct login_text *tty);

/* sessions_audit.c */
void sessions_audit_user(struct sessions *s, const struct fact *fact);
void sessions_audit_login(struct sessions *s, const struct fact_audit_login *login);
/** The account's name as it was said, or as it is known by its number. */
void sessions_take_account(struct sessions *s, const struct fact_audit_user *said,
                           struct login_account *account, struct login_text *name);
/** The name of an account of which only the number was said, if it is known by now. */
void sessions_recall_account(struct sessions *s, const struct login_account *account,
                             struct login_text *name);

/* sessions_utmp.c */
void utmp_record(struct sessions *s, const struct fact *fact);
void utmp_log(struct sessions *s, const struct fact *fact);

/* sessions_rows.c */
/** Write what is due. The session may be freed. Returns the sink's error. */
int session_write(struct sessions *s, struct session *session);
void session_free(struct sessions *s, struct session *session);
uint64_t sessions_known_key(uint64_t created_us, struct slice text);
/** Whether an earlier run wrote a row of it. */
bool sessions_known(const struct sessions *s, uint64_t created_us, struct slice raw);

/* auth_attempts.c */
void attempts_audit(struct sessions *s, const struct fact *fact);
void attempts_btmp(struct sessions *s, const struct fact *fact);
bool attempts_settled_until(const struct sessions *s, uint64_t boot_ns);
void attempts_image_ended(struct sessions *s, const struct actor *image);
void attempts_tick(struct sessions *s, uint64_t now_ns);
void attempts_free(struct sessions *s);
