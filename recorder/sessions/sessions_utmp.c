/* Sessions by what utmp(5) says. wtmp tells one thing after the other: a login on a line, the end
 * of what ran on that line, reboots. utmp tells how things are: it is looked at as a whole, and
 * what it does not show any more is over. The same record stands in both.
 *
 * As in last(1), an end belongs to the line; a login on a line where somebody is logged in ends
 * what was there, and when nobody knows. */
#include "recorder/sessions/sessions_private.h"

#include <inttypes.h>
#include <utmp.h>

static const uint64_t day_us = UINT64_C(86400000000);

/* Its own time, unless it is one that cannot be. */
static uint64_t record_us(const struct sessions *s, const struct fact *fact)
{
    uint64_t heard_us = timeline_real_us(s->output->timeline, fact->boot_ns);
    int64_t said = fact->login_record.real_us;
    return said < 0 || (uint64_t)said > heard_us + day_us ? heard_us : (uint64_t)said;
}

static bool is_old(const struct sessions *s, const struct fact *fact, uint64_t at_us)
{
    return fact->login_record.old && at_us < s->started_us;
}

/* -- logins -- */

struct login {
    const struct fact_login_record *record;
    uint64_t at_us, heard_ns;
    bool old;
    struct login_text tty, user;
};

/* The session that this record, or its copy in the other file, has told of already. */
static struct session *find_same(const struct sessions *s, const struct login *login)
{
    struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    if ((session->seen_by & SEEN_BY_UTMP) && login_text_same(&session->tty, &login->tty) &&
        sessions_near(s, session->created_us, login->at_us) &&
        (session_is_of_process(session, login->record->pid) ||
         login_text_same(&session->username, &login->user)))
        return session;
    return NULL;
}

static bool is_over(const struct sessions *s, const struct login *login)
{
    for (size_t i = 0; i < RECENT_SESSIONS; i++)
        if (s->recent[i].created_us == login->at_us &&
            login_text_same(&s->recent[i].tty, &login->tty))
            return true;
    return false;
}

static bool may_be_partner(const struct session *session)
{
    return session->seen_by == SEEN_BY_AUDIT && !login_service_is_inner(&session->service) &&
           !(session->ended && session->inserted);
}

/* The session of which audit has spoken first. What is written stays as it is, but it is the same
 * session. A process, or an audit session, says more than a user who logs in twice. */
static struct session *find_partner(struct sessions *s, const struct login *login)
{
    struct session *session;
    struct actor actor;
    bool known = sessions_actor(s, login->record->pid, login->at_us, login->heard_ns, &actor);
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (!may_be_partner(session))
            continue;
        if (session_is_of_process(session, login->record->pid) &&
            sessions_of_one_life(s, session->created_us, login->at_us, !login->old))
            return session;
        if (known && actor.session != ID_UNSET && actor.session == session->session_id)
            return session;
    }
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (may_be_partner(session) && login_text_same(&session->username, &login->user) &&
            (session->tty.length == 0 || login_text_same(&session->tty, &login->tty)) &&
            sessions_near(s, session->created_us, login->at_us))
            return session;
    }
    return NULL;
}

/* Whoever is logged in on this line is not any more. */
static void end_line(struct sessions *s, const struct login *login, const struct session *other)
{
    struct session *session, *next;
    if (login->tty.length == 0)
        return;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        if (session != other && (session->seen_by & SEEN_BY_UTMP) && !session->ended &&
            session->created_us <= login->at_us && login_text_same(&session->tty, &login->tty))
            session_end(s, session, login->at_us, END_UNKNOWN);
    }
}

static void take_host(struct session *session, const struct fact_login_record *record)
{
    char address[INET_ADDRESS_TEXT];
    login_address(address, record->host);
    if (!address[0] && record->host.length && session->remote_name.length == 0)
        login_text_set(&session->remote_name, record->host);
    if (session->remote_address[0])
        return;
    if (record->address.family)
        inet_address_text(&record->address, session->remote_address);
    else
        memcpy(session->remote_address, address, sizeof(address));
}

static void describe(struct sessions *s, struct session *session, const struct login *login)
{
    struct actor actor;
    const struct fact_login_record *record = login->record;
    sessions_note_pid(s, record->pid);
    if (session->leader_pid == 0)
        session->leader_pid = record->pid;
    else if (session->leader_pid != record->pid)
        session->other_pid = record->pid;
    if (login->tty.length)
        session->tty = login->tty;
    if (login->user.length && session->username.length == 0)
        session->username = login->user;
    take_host(session, record);
    if (!session->this_boot ||
        !sessions_actor(s, record->pid, login->at_us, login->heard_ns, &actor))
        return;
    session_take_leader(session, &actor, session->leader_pid == record->pid);
}

/* By the clock, which may have been set since; then the leader decides: here, or in prove_session.
 */
static bool is_of_this_boot(const struct sessions *s, const struct login *login)
{
    struct actor actor;
    return login->at_us >= s->boot_us ||
           (!login->old && sessions_living(s, login->record->pid, &actor));
}

static void begin(struct sessions *s, const struct login *login)
{
    struct session *session = session_begin(s, login->at_us, login->heard_ns);
    if (!session)
        return;
    session->seen_by = SEEN_BY_UTMP;
    session->live = !login->old;
    session->past = session->unproven = login->old;
    session->this_boot = is_of_this_boot(s, login);
    session->in_utmp_only = login->record->file == LOGIN_FILE_UTMP;
    if (login->record->file == LOGIN_FILE_WTMP) {
        session->hold = login->record->begin;
        session->hold_inode = login->record->inode;
    }
    if (login->old)
        session->deadline_ns = UINT64_MAX;
    describe(s, session, login);
    if (login->record->file == LOGIN_FILE_UTMP)
        session->generation = s->generation;
}

static void on_login(struct sessions *s, const struct login *login)
{
    bool utmp = login->record->file == LOGIN_FILE_UTMP;
    struct session *session = find_same(s, login);
    if (!session) {
        if (is_over(s, login) ||
            (login->old && sessions_known(s, login->at_us, login_text_slice(&login->tty))))
            return;
        session = find_partner(s, login);
        if (session && !session->inserted) {
            session->seen_by |= SEEN_BY_UTMP;
            session->created_us = login->at_us;
            describe(s, session, login);
        } else if (session && session->other_pid == 0 &&
                   session->leader_pid != login->record->pid) {
            session->other_pid = login->record->pid;
        }
    }
    end_line(s, login, session);
    if (session && utmp)
        session->generation = s->generation;
    else if (session)
        session->in_utmp_only = false;
    if (!session)
        begin(s, login);
}

/* -- logouts -- */

static bool offers_login(const struct sessions *s, uint32_t pid)
{
    for (size_t i = 0; i < TERMINALS_MOST; i++)
        if (pid && s->terminals[i] == pid)
            return true;
    return false;
}

static struct session *find_logged_in(const struct sessions *s, const struct login *logout)
{
    struct session *session, *by_process = NULL;
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (session->ended || session->created_us > logout->at_us ||
            login_service_is_inner(&session->service))
            continue;
        if (logout->tty.length && login_text_same(&session->tty, &logout->tty))
            return session;
        if (session_is_of_process(session, logout->record->pid))
            by_process = session;
    }
    return by_process;
}

static void on_logout(struct sessions *s, const struct login *logout)
{
    struct session *session = find_logged_in(s, logout);
    const struct fact_login_record *record = logout->record;
    if (session && (record->file == LOGIN_FILE_WTMP || session_is_of_process(session, record->pid)))
        session_end(s, session, logout->at_us, END_CLOSED);
    if (session || record->file != LOGIN_FILE_WTMP || logout->old || offers_login(s, record->pid) ||
        sessions_recent(s, record->pid, &logout->tty))
        return;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session->ended && (session_is_of_process(session, record->pid) ||
                           login_text_same(&session->tty, &logout->tty)))
        return;
    sessions_report(s, "logout_without_login", &logout->tty, record->pid,
                    "process %u: a logout of nobody who was logged in", record->pid);
}

/* A record of a reboot proves nothing about a session whose leader lives. */
static void on_reboot(struct sessions *s, const struct login *record)
{
    struct session *session, *next;
    struct actor actor;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        bool lives = session->this_boot && !record->old && session_lives(s, session, &actor);
        if (!session->ended && session->created_us <= record->at_us && !lives)
            session_end(s, session, record->at_us, END_REBOOT);
    }
}

static void on_terminal(struct sessions *s, uint32_t pid)
{
    if (!pid || offers_login(s, pid))
        return;
    s->terminals[s->next_terminal] = pid;
    s->next_terminal = (s->next_terminal + 1) % TERMINALS_MOST;
}

static bool is_shutdown(const struct fact_login_record *record)
{
    return record->line.length && record->line.data[0] == '~' && slice_is(record->user, "shutdown");
}

static void on_record(struct sessions *s, const struct login *login)
{
    const struct fact_login_record *record = login->record;
    bool wtmp = record->file == LOGIN_FILE_WTMP;
    switch (record->type) {
    case USER_PROCESS:
        if (record->user.length)
            on_login(s, login);
        else
            on_logout(s, login);
        break;
    case DEAD_PROCESS:
        on_logout(s, login);
        break;
    case BOOT_TIME:
        if (wtmp)
            on_reboot(s, login);
        else
            s->utmp_boot_us = login->at_us;
        break;
    case RUN_LVL:
        if (wtmp && is_shutdown(record))
            on_reboot(s, login);
        break;
    case INIT_PROCESS:
    case LOGIN_PROCESS:
        on_terminal(s, record->pid);
        break;
    default: /* EMPTY, NEW_TIME, OLD_TIME, ACCOUNTING: nobody comes or goes */
        break;
    }
}

static void advance(struct login_cursor *cursor, const struct fact_login_record *record)
{
    cursor->inode = record->inode;
    cursor->offset = record->end;
    cursor->last = record->digest;
    if (record->begin == 0)
        cursor->first = record->digest;
}

void utmp_record(struct sessions *s, const struct fact *fact)
{
    const struct fact_login_record *record = &fact->login_record;
    if (record->file == LOGIN_FILE_BTMP) {
        advance(&s->btmp, record);
        attempts_btmp(s, fact);
        return;
    }
    struct login login = {.record = record, .at_us = record_us(s, fact), .heard_ns = fact->boot_ns};
    login.old = is_old(s, fact, login.at_us);
    login_text_set(&login.tty, login_terminal(record->line));
    login_text_set(&login.user, record->user);
    on_record(s, &login);
    if (record->file == LOGIN_FILE_WTMP)
        advance(&s->wtmp, record);
}

/* -- the files themselves -- */

/* utmp alone ends nobody who lives: it is but a file. */
static void vanish(struct sessions *s, struct session *session, uint64_t now_us)
{
    struct actor actor;
    bool lives = session_lives(s, session, &actor);
    session->generation = 0;
    if (!lives && !session->unproven)
        session_end(s, session, now_us, END_CLOSED);
    else if (lives)
        sessions_report(s, "utmp_shrank", &session->tty, session->leader_pid,
                        "%s, process %u: utmp shows it no more, and it lives",
                        sessions_evidence(s, &session->username), session->leader_pid);
}

static void end_vanished(struct sessions *s, uint64_t now_us)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        if (session->generation && session->generation != s->generation && !session->ended)
            vanish(s, session, now_us);
    }
}

/* What stood there before cannot be read again. */
static void hold_nothing(struct sessions *s, bool wtmp)
{
    struct session *session;
    struct attempt *attempt;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (wtmp)
        session->hold = UINT64_MAX;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (!wtmp)
        attempt->hold = UINT64_MAX;
}

static void on_other_file(struct sessions *s, const struct fact_login_log *log)
{
    bool wtmp = log->file == LOGIN_FILE_WTMP;
    struct login_cursor *cursor = wtmp ? &s->wtmp : &s->btmp;
    bool renamed = log->event == LOGIN_LOG_ROTATED;
    const char *name = wtmp ? "wtmp" : "btmp";
    const char *changed = wtmp ? "wtmp_changed_inode" : "btmp_changed_inode";
    *cursor = (struct login_cursor){.inode = log->inode};
    if (log->event == LOGIN_LOG_SHRANK) {
        hold_nothing(s, wtmp);
        sessions_report_file(s, wtmp ? "wtmp_shrank" : "btmp_shrank", name,
                             "%" PRIu64 " bytes were read, now it has %" PRIu64, log->before,
                             log->now);
    } else if (log->now == 0) {
        sessions_report_file(s, changed, name, "inode %" PRIu64 " %s gone, and there is no other",
                             log->before, renamed ? "was renamed and is" : "is");
    } else {
        sessions_report_file(s, changed, name, "%s; inode %" PRIu64 ", before %" PRIu64,
                             renamed ? "the one before was renamed" : "the one before is gone",
                             log->now, log->before);
    }
}

void utmp_log(struct sessions *s, const struct fact *fact)
{
    const struct fact_login_log *log = &fact->login_log;
    switch (log->event) {
    case LOGIN_LOG_SCAN_BEGAN:
        s->generation++;
        break;
    case LOGIN_LOG_SCAN_ENDED:
        end_vanished(s, timeline_real_us(s->output->timeline, fact->boot_ns));
        s->looked_at_utmp = true;
        break;
    case LOGIN_LOG_CAUGHT_UP:
        if (log->file == LOGIN_FILE_WTMP)
            s->caught_up_ns = fact->boot_ns;
        break;
    case LOGIN_LOG_SHRANK:
    case LOGIN_LOG_ROTATED:
    case LOGIN_LOG_REPLACED:
        if (log->file != LOGIN_FILE_UTMP)
            on_other_file(s, log);
        break;
    case LOGIN_LOG_EVENT_N:
        break;
    }
}
