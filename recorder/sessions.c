/* Sessions by what audit says of them, and what all sources share. Few are open at a time, so that
 * they are looked for one after the other. */
#include "recorder/sessions_private.h"

#include "core/evidence_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int sessions_new(struct sessions **sessionsp, const struct sessions_options *options)
{
    struct sessions *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->options = *options;
    s->output = options->output;
    TAILQ_INIT(&s->open);
    TAILQ_INIT(&s->attempts);
    *sessionsp = s;
    return 0;
}

struct sessions *sessions_free(struct sessions *s)
{
    struct session *session;
    if (!s)
        return NULL;
    while ((session = TAILQ_FIRST(&s->open)))
        session_free(s, session);
    attempts_free(s);
    buffer_deinit(&s->text);
    free(s);
    return NULL;
}

/* -- what is asked of others -- */

void sessions_report(struct sessions *s, const char *class, const char *subject, const char *format,
                     ...)
{
    char detail[256];
    va_list arguments;
    s->n_findings++;
    if (!s->options.finding)
        return;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    s->options.finding(s->options.user, class, subject, detail);
}

bool sessions_living(const struct sessions *s, uint32_t pid, struct actor *actor)
{
    return pid && s->options.living && s->options.living(s->options.user, pid, actor);
}

/* A record may be written a little before or after what it tells of. */
bool sessions_actor(struct sessions *s, uint32_t pid, uint64_t at_us, uint64_t heard_ns,
                    struct actor *actor)
{
    uint64_t at_ns =
        timeline_moment(s->output->timeline, (int64_t)(at_us * 1000), heard_ns).boot_ns;
    uint64_t from_ns = at_ns > s->options.merge_ns ? at_ns - s->options.merge_ns : 0;
    return pid && s->options.actor &&
           s->options.actor(s->options.user, pid, from_ns, at_ns + s->options.merge_ns, actor);
}

bool sessions_near(const struct sessions *s, uint64_t a_us, uint64_t b_us)
{
    return (a_us > b_us ? a_us - b_us : b_us - a_us) <= s->options.merge_ns / 1000;
}

bool sessions_recent(const struct sessions *s, uint32_t pid, const struct login_text *tty)
{
    for (size_t i = 0; i < RECENT_SESSIONS; i++) {
        const struct recent_session *recent = &s->recent[i];
        if (recent->created_us == 0)
            continue;
        if (pid && (recent->pid == pid || recent->other_pid == pid))
            return true;
        if (tty && tty->length && login_text_same(&recent->tty, tty))
            return true;
    }
    return false;
}

/* -- beginning and end -- */

struct session *session_begin(struct sessions *s, uint64_t created_us, uint64_t heard_ns)
{
    struct session *session =
        s->n_open < s->options.sessions_most ? calloc(1, sizeof(*session)) : NULL;
    if (!session) {
        s->beyond++;
        return NULL;
    }
    session->created_us = created_us;
    session->heard_ns = heard_ns;
    session->deadline_ns = heard_ns + s->options.merge_ns;
    session->hold = UINT64_MAX;
    session->session_id = session->login_uid = ID_UNSET;
    session->this_boot = created_us >= s->boot_us;
    session->live = true;
    session->id = timeline_id(s->output->timeline);
    TAILQ_INSERT_TAIL(&s->open, session, in_list);
    s->n_open++;
    return session;
}

static void mark_ended(struct session *session, uint64_t ended_us, enum end_cause cause)
{
    if (session->ended)
        return;
    session->ended = true;
    session->ended_us = ended_us > session->created_us ? ended_us : session->created_us;
    session->end_cause = cause;
}

void session_end(struct sessions *s, struct session *session, uint64_t ended_us,
                 enum end_cause cause)
{
    mark_ended(session, ended_us, cause);
    if (session->inserted || session->past)
        (void)session_write(s, session);
}

void sessions_image_ended(struct sessions *s, const struct actor *image)
{
    struct session *session;
    if (image->end_cause == END_EXEC)
        return;
    attempts_image_ended(s, image);
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session->leader_pid == image->pid && !session->ended && !session->exit_ns &&
        session->this_boot) {
        session->exit_ns = sessions_now(s) + s->options.merge_ns;
        session->exit_us = timeline_real_us(s->output->timeline, image->until_ns);
    }
}

/* -- audit -- */

static uint64_t said_us(const struct sessions *s, const struct fact *fact)
{
    const struct timeline *timeline = s->output->timeline;
    return timeline_real_us(
        timeline,
        timeline_moment(timeline, fact->audit_user.real_ms * 1000000, fact->boot_ns).boot_ns);
}

static bool is_of_process(const struct session *session, uint32_t pid)
{
    return session->leader_pid == pid || session->other_pid == pid;
}

static struct session *find_audit(const struct sessions *s, uint32_t pid)
{
    struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    if ((session->seen_by & SEEN_BY_AUDIT) && !session->ended && is_of_process(session, pid))
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
        if (is_of_process(session, said->leader_pid))
            return session;
        if (said->session_id != ID_UNSET && session->session_id == said->session_id)
            return session;
        if (compatible(&session->username, &said->username) &&
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
static void merge(struct session *session, const struct session *said)
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
        session->process_id = 0;
    }
    if (said->session_id != ID_UNSET)
        session->session_id = said->session_id;
    if (said->login_uid != ID_UNSET)
        session->login_uid = said->login_uid;
}

static struct slice program_of(const struct actor *actor)
{
    return slice_is_null(actor->exe) ? slice_of(actor->comm, strnlen(actor->comm, 16)) : actor->exe;
}

void session_take_leader(struct session *session, const struct actor *actor, bool is_leader)
{
    if (is_leader)
        session->process_id = actor->process_id;
    if (session->session_id == ID_UNSET)
        session->session_id = actor->session;
    if (session->login_uid == ID_UNSET)
        session->login_uid = actor->login_uid;
    if (session->service.length == 0)
        login_service(&session->service, program_of(actor));
}

static void find_leader(struct sessions *s, struct session *session)
{
    struct actor actor;
    if (session->process_id == 0 && !session->past &&
        sessions_actor(s, session->leader_pid, session->created_us, session->heard_ns, &actor))
        session_take_leader(session, &actor, true);
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
    merge(session, &said);
    session->seen_by |= SEEN_BY_AUDIT;
    find_leader(s, session);
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
        merge(session, &more);
    }
}

/* When the program has begun before audit was heard its login was, too. */
static bool is_younger_than_us(struct sessions *s, const struct fact *fact)
{
    struct actor actor;
    return !sessions_actor(s, fact->audit_user.pid, said_us(s, fact), fact->boot_ns, &actor) ||
           actor.from_ns > s->started_ns;
}

static void on_close(struct sessions *s, const struct fact *fact)
{
    const struct fact_audit_user *said = &fact->audit_user;
    struct session *session = find_audit(s, said->pid);
    if (session) {
        session_end(s, session, said_us(s, fact), END_CLOSED);
        return;
    }
    TAILQ_FOREACH(session, &s->open, in_list)
    if (is_of_process(session, said->pid))
        break;
    if (session && !session->ended)
        session_end(s, session, said_us(s, fact), END_CLOSED);
    if (session || sessions_recent(s, said->pid, NULL) || !is_younger_than_us(s, fact))
        return;
    struct login_text service;
    login_service(&service, said->exe);
    sessions_report(s, "logout_without_login", "audit",
                    "%.*s, process %u, closed a session that was not opened", service.length,
                    (const char *)service.bytes, said->pid);
}

static void on_audit_user(struct sessions *s, const struct fact *fact)
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
    case AUDIT_USER_EVENT_N:
        break;
    }
}

/* The login user is set before or after the session is opened, as PAM is set up. */
static void on_audit_login(struct sessions *s, const struct fact_audit_login *login)
{
    struct session *session = find_audit(s, login->pid);
    if (!session || session->inserted)
        return;
    session->session_id = login->session;
    session->login_uid = login->login_uid;
}

void sessions_fact(struct sessions *s, const struct fact *fact)
{
    if (s->started_ns == 0) {
        s->started_ns = sessions_now(s);
        s->started_us = timeline_real_us(s->output->timeline, s->started_ns);
        s->boot_us = timeline_real_us(s->output->timeline, 0);
    }
    if (fact->kind == FACT_AUDIT_USER)
        on_audit_user(s, fact);
    else if (fact->kind == FACT_AUDIT_LOGIN)
        on_audit_login(s, &fact->audit_login);
    else if (fact->kind == FACT_LOGIN_RECORD)
        utmp_record(s, fact);
    else if (fact->kind == FACT_LOGIN_LOG)
        utmp_log(s, fact);
}

/* -- time -- */

/* Its leader must have been a process. What was read from the past proves nothing. */
static void check_leader(struct sessions *s, const struct session *session)
{
    struct actor actor;
    if (!session->live || !session->leader_pid || !s->proven || !s->options.actor ||
        session->heard_ns <= s->started_ns ||
        sessions_actor(s, session->leader_pid, session->created_us, session->heard_ns, &actor) ||
        (session->other_pid &&
         sessions_actor(s, session->other_pid, session->created_us, session->heard_ns, &actor)) ||
        sessions_living(s, session->leader_pid, &actor))
        return;
    sessions_report(s, "session_without_leader",
                    (session->seen_by & SEEN_BY_UTMP) ? "utmp" : "audit",
                    "process %u, which a login names, was never there", session->leader_pid);
}

/* It is open only while its leader lives. What utmp alone shows of somebody who is gone is what
 * nobody has cleared away: it was over before. */
static void prove_session(struct sessions *s, struct session *session)
{
    struct actor actor;
    session->unproven = false;
    if (!session->leader_pid || sessions_living(s, session->leader_pid, &actor)) {
        session->deadline_ns = 0;
        if (session->leader_pid && !session->inserted)
            session_take_leader(session, &actor, true);
    } else if (!session->inserted && session->in_utmp_only) {
        session_free(s, session);
    } else {
        session_end(s, session, timeline_real_us(s->output->timeline, sessions_now(s)),
                    END_RECONCILED);
    }
}

/* What an earlier run, or the past, left open. */
static void prove(struct sessions *s)
{
    struct session *session, *next;
    if (s->proven || !s->options.processes_known || !s->options.processes_known(s->options.user) ||
        (s->options.utmp_active && !s->caught_up))
        return;
    s->proven = true;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        if (session->unproven && !session->ended)
            prove_session(s, session);
    }
}

static void tick_session(struct sessions *s, struct session *session, uint64_t now_ns)
{
    if (session->exit_ns && !session->ended && now_ns >= session->exit_ns)
        session_end(s, session, session->exit_us, END_EXIT);
    else if (session->ended && session->inserted)
        (void)session_write(s, session);
    else if (!session->inserted && now_ns >= session->deadline_ns) {
        find_leader(s, session);
        check_leader(s, session);
        (void)session_write(s, session);
    }
}

void sessions_tick(struct sessions *s)
{
    struct session *session, *next;
    uint64_t now = sessions_now(s);
    prove(s);
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        tick_session(s, session, now);
    }
    attempts_tick(s, now);
}

bool sessions_settled_until(const struct sessions *s, uint64_t boot_ns)
{
    const struct session *session;
    if (s->options.utmp_active && !s->caught_up)
        return false;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session->heard_ns <= boot_ns && (!session->inserted || session->ended || session->exit_ns))
        return false;
    return attempts_settled_until(s, boot_ns);
}

void sessions_flush(struct sessions *s)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        if (session->exit_ns)
            mark_ended(session, session->exit_us, END_EXIT);
        if (!session->inserted || session->ended) {
            int error = session_write(s, session);
            if (error)
                row_output_refused(s->output, false, error);
        }
    }
    attempts_tick(s, UINT64_MAX);
}

static int compare_names(const void *a, const void *b)
{
    const struct login_text *one = *(const struct login_text *const *)a,
                            *other = *(const struct login_text *const *)b;
    size_t least = one->length < other->length ? one->length : other->length;
    int order = memcmp(one->bytes, other->bytes, least);
    return order ? order : one->length - other->length;
}

void sessions_append_users(const struct sessions *s, struct buffer *to)
{
    enum { USERS_MOST = 256 };
    const struct login_text *names[USERS_MOST];
    const struct session *session;
    size_t n = 0;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (!session->ended && session->username.length && n < USERS_MOST &&
        !login_service_is_inner(&session->service))
        names[n++] = &session->username;
    qsort(names, n, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && login_text_same(names[i], names[i - 1]))
            continue;
        if (i > 0)
            buffer_append_byte(to, ',');
        evidence_text_append(to, login_text_slice(names[i]));
    }
}

uint64_t sessions_take_beyond(struct sessions *s)
{
    uint64_t beyond = s->beyond;
    s->beyond = 0;
    return beyond;
}

uint64_t sessions_findings(const struct sessions *s)
{
    return s->n_findings;
}

size_t sessions_rows(const struct sessions *s)
{
    return s->n_open;
}
