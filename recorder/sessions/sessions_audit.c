/* Sessions by what audit says of them: of one login PAM speaks, and the program too; of its end the
 * one that opened, or another process of the same audit session. */
#include "recorder/sessions/sessions_private.h"

static uint64_t said_us(const struct sessions *s, const struct fact *fact)
{
    struct timeline *timeline = s->output->timeline;
    return timeline_real_us(
        timeline,
        timeline_stamp(timeline, fact->audit_user.real_ms * 1000000, fact->boot_ns).boot_ns);
}

static struct session *find_audit(const struct sessions *s, uint32_t pid)
{
    struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    if ((session->seen_by & SEEN_BY_AUDIT) && !session->ended &&
        session_is_of_process(session, pid))
        return session;
    return NULL;
}

static bool compatible(const struct login_text *a, const struct login_text *b)
{
    return a->length == 0 || b->length == 0 || login_text_same(a, b);
}

/* The session of which utmp has spoken first; NULL: none. */
static struct session *find_partner(const struct sessions *s, const struct session *said)
{
    struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (session->seen_by != SEEN_BY_UTMP || session->inserted)
            continue;
        if (session_is_of_process(session, said->leader_pid) &&
            sessions_of_one_life(s, session->created_us, said->created_us, session->live))
            return session;
        if (said->session_id != ID_UNSET && session->session_id == said->session_id)
            return session;
    }
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (session->seen_by == SEEN_BY_UTMP && !session->inserted &&
            compatible(&session->username, &said->username) &&
            compatible(&session->tty, &said->tty) &&
            sessions_near(s, session->created_us, said->created_us))
            return session;
    }
    return NULL;
}

void sessions_recall_account(struct sessions *s, const struct login_account *account,
                             struct login_text *name)
{
    struct slice known;
    if (!account->is_nameless || name->length || !s->options.names)
        return;
    if (user_names_find(s->options.names, account->uid, sessions_now(s), &known) &&
        !login_name_is_placeholder(known))
        login_text_set(name, known);
}

void sessions_take_account(struct sessions *s, const struct fact_audit_user *said,
                           struct login_account *account, struct login_text *name)
{
    if (!login_name_is_placeholder(said->account)) {
        login_text_set(name, said->account);
        return;
    }
    *account = (struct login_account){said->account_uid != ID_UNSET, said->account_uid};
    sessions_recall_account(s, account, name);
}

static void describe(struct sessions *s, struct session *session, const struct fact *fact)
{
    const struct fact_audit_user *said = &fact->audit_user;
    session->leader_pid = said->pid;
    session->session_id = said->session;
    session->login_uid = said->login_uid;
    session->created_us = said_us(s, fact);
    sessions_take_account(s, said, &session->account, &session->username);
    login_service(&session->service, said->exe);
    login_text_set(&session->tty, login_terminal(said->terminal));
    login_address(session->remote_address, said->address);
    if (!session->remote_address[0])
        login_address(session->remote_address, said->host_name);
    char address[INET_ADDRESS_TEXT];
    login_address(address, said->host_name);
    if (!address[0] && !slice_is_null(said->host_name))
        login_text_set(&session->remote_name, said->host_name);
}

/* Of two descriptions of one login each text that only one has. */
static void merge(struct sessions *s, struct session *session, const struct session *said)
{
    struct login_text *const texts[] = {&session->username, &session->tty, &session->service,
                                        &session->remote_name};
    const struct login_text *const others[] = {&said->username, &said->tty, &said->service,
                                               &said->remote_name};
    for (size_t i = 0; i < 4; i++)
        if (texts[i]->length == 0)
            *texts[i] = *others[i];
    if (!session->account.is_nameless)
        session->account = said->account;
    if (session->service.length && said->service.length)
        session->service = said->service; /* audit's is of the program, utmp's a guess */
    if (!session->remote_address[0])
        memcpy(session->remote_address, said->remote_address, sizeof(session->remote_address));
    if (session->leader_pid != said->leader_pid) {
        session->other_pid = session->leader_pid;
        session->leader_pid = said->leader_pid;
        sessions_note_pid(s, session->leader_pid);
        session->process_id = 0;
    }
    if (said->session_id != ID_UNSET)
        session->session_id = said->session_id;
    if (said->login_uid != ID_UNSET)
        session->login_uid = said->login_uid;
}

static void open_session(struct sessions *s, const struct fact *fact)
{
    struct session said = {.session_id = ID_UNSET};
    describe(s, &said, fact);
    struct session *session = login_service_is_inner(&said.service) ? NULL : find_partner(s, &said);
    if (!session)
        session = session_begin(s, said.created_us, fact->boot_ns);
    if (!session)
        return;
    merge(s, session, &said);
    session->seen_by |= SEEN_BY_AUDIT;
    session_find_leader(s, session);
}

/* The program's own word on a login. PAM has spoken before, if it is used. */
static void on_login(struct sessions *s, const struct fact *fact)
{
    const struct fact_audit_user *said = &fact->audit_user;
    struct session *session = find_audit(s, said->pid);
    if (!said->success)
        return;
    if (!session) {
        TAILQ_FOREACH(session, &s->open, in_list)
        if ((session->seen_by & SEEN_BY_AUDIT) && !session->ended &&
            session->session_id == said->session && said->session != ID_UNSET &&
            !login_service_is_inner(&session->service))
            break;
    }
    if (!session) {
        open_session(s, fact);
        return;
    }
    struct session more = {.session_id = ID_UNSET};
    describe(s, &more, fact);
    if (!session->inserted) {
        more.leader_pid = session->leader_pid;
        merge(s, session, &more);
    }
}

/* When the program has begun before audit was heard its login was, too. */
static bool is_younger_than_us(struct sessions *s, const struct fact *fact)
{
    struct actor actor;
    return !sessions_actor(s, fact->audit_user.pid, said_us(s, fact), fact->boot_ns, &actor) ||
           actor.from_ns > s->started_ns;
}

/* The session of the same service in the same audit session, opened by another process. The leader
 * may have become the service by then: systemd closes by a process of its own, `(sd-pam)`, if that
 * may speak to audit at all. */
static struct session *find_closed_by_another(const struct sessions *s,
                                              const struct fact_audit_user *said,
                                              const struct login_text *service)
{
    struct session *session, *found = NULL;
    struct actor actor;
    size_t n = 0;
    TAILQ_FOREACH(session, &s->open, in_list)
    {
        if (said->session == ID_UNSET || session->session_id != said->session || session->ended ||
            !(session->seen_by & SEEN_BY_AUDIT) || !login_text_same(&session->service, service))
            continue;
        if (!session_lives(s, session, &actor))
            return session;
        found = session;
        n++;
    }
    return n == 1 ? found : NULL;
}

static bool is_recent(const struct sessions *s, const struct fact_audit_user *said,
                      const struct login_text *service)
{
    if (sessions_recent(s, said->pid, NULL))
        return true;
    for (size_t i = 0; i < RECENT_SESSIONS && said->session != ID_UNSET; i++)
        if (s->recent[i].created_us && s->recent[i].session_id == said->session &&
            login_text_same(&s->recent[i].service, service))
            return true;
    return false;
}

static void on_close(struct sessions *s, const struct fact *fact)
{
    const struct fact_audit_user *said = &fact->audit_user;
    struct session *session = find_audit(s, said->pid);
    struct login_text service;
    login_service(&service, said->exe);
    if (!session)
        session = find_closed_by_another(s, said, &service);
    if (session) {
        session_end(s, session, said_us(s, fact), END_CLOSED);
        return;
    }
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session_is_of_process(session, said->pid))
        break;
    if (session && !session->ended)
        session_end(s, session, said_us(s, fact), END_CLOSED);
    if (session || is_recent(s, said, &service) || !is_younger_than_us(s, fact))
        return;
    sessions_report(s, "logout_without_login", NULL, said->pid,
                    "%s, process %u, closed a session that was not opened",
                    sessions_evidence(s, &service), said->pid);
}

void sessions_audit_user(struct sessions *s, const struct fact *fact)
{
    switch (fact->audit_user.event) {
    case AUDIT_USER_AUTHENTICATED:
    case AUDIT_USER_ACCOUNT:
    case AUDIT_USER_COMMAND:
        attempts_audit(s, fact);
        break;
    case AUDIT_USER_LOGIN:
        attempts_audit(s, fact);
        on_login(s, fact);
        break;
    case AUDIT_USER_START:
        if (fact->audit_user.success && !find_audit(s, fact->audit_user.pid))
            open_session(s, fact);
        break;
    case AUDIT_USER_END:
    case AUDIT_USER_LOGOUT:
        if (fact->audit_user.success)
            on_close(s, fact);
        break;
    case AUDIT_USER_SHUTDOWN: /* who is logged in is until the end */
    case AUDIT_USER_EVENT_N:
        break;
    }
}

/* The login user is set before or after the session is opened, as PAM is set up. */
void sessions_audit_login(struct sessions *s, const struct fact_audit_login *login)
{
    struct session *session = find_audit(s, login->pid);
    if (!session || session->inserted)
        return;
    session->session_id = login->session;
    session->login_uid = login->login_uid;
}
