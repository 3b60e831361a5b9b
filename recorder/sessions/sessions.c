/* What all sources share: how a session begins, who leads it, when it ends. Few are open at a time,
 * so that they are looked for one after the other. */
#include "recorder/sessions/sessions_private.h"

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

const char *sessions_evidence(struct sessions *s, const struct login_text *text)
{
    buffer_clear(&s->text);
    evidence_text_append(&s->text, login_text_slice(text));
    buffer_append_byte(&s->text, '\0');
    return s->text.failed ? "?" : (const char *)s->text.data;
}

/* Room for one text, each byte of which has become four characters. */
enum { DETAIL_MOST = 4 * LOGIN_TEXT_MOST + 256 };

static void report(struct sessions *s, const char *class, const char *subject, const char *format,
                   va_list arguments) __attribute__((format(printf, 4, 0)));

static void report(struct sessions *s, const char *class, const char *subject, const char *format,
                   va_list arguments)
{
    char detail[DETAIL_MOST];
    s->n_findings++;
    if (!s->options.finding)
        return;
    vsnprintf(detail, sizeof(detail), format, arguments);
    s->options.finding(s->options.user, class, subject, detail);
}

void sessions_report(struct sessions *s, const char *class, const struct login_text *tty,
                     uint32_t pid, const char *format, ...)
{
    struct buffer subject CLEANUP(buffer_deinit) = BUFFER_NULL;
    va_list arguments;
    if (tty && tty->length)
        evidence_text_append(&subject, login_text_slice(tty));
    else
        buffer_printf(&subject, "pid %u", pid);
    buffer_append_byte(&subject, '\0');
    va_start(arguments, format);
    report(s, class, subject.failed ? "?" : (const char *)subject.data, format, arguments);
    va_end(arguments);
}

void sessions_report_file(struct sessions *s, const char *class, const char *name,
                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(s, class, name, format, arguments);
    va_end(arguments);
}

bool sessions_living(const struct sessions *s, uint32_t pid, struct actor *actor)
{
    return pid && s->options.living && s->options.living(s->options.user, pid, actor);
}

/* How far the clock has been set forward since the boot: so much too early are old times. */
static uint64_t clock_lag_us(const struct sessions *s)
{
    return s->utmp_boot_us && s->utmp_boot_us < s->boot_us ? s->boot_us - s->utmp_boot_us : 0;
}

/* Some write whole seconds. */
static const uint64_t second_us = 1000000;

/* Not another one that has got its pid since. */
static bool is_leader(const struct sessions *s, const struct session *session,
                      const struct actor *actor)
{
    uint64_t merge_ns = s->options.merge_ns;
    if (session->live)
        return actor->began_ns <= session->heard_ns + merge_ns;
    return (session->process_id && session->process_id == actor->process_id) ||
           timeline_real_us(s->output->timeline, actor->began_ns) <=
               session->created_us + merge_ns / 1000 + second_us + clock_lag_us(s);
}

bool session_lives(const struct sessions *s, const struct session *session, struct actor *actor)
{
    return sessions_living(s, session->leader_pid, actor) && is_leader(s, session, actor);
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

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

bool sessions_near(const struct sessions *s, uint64_t a_us, uint64_t b_us)
{
    return distance(a_us, b_us) <= s->options.merge_ns / 1000;
}

bool sessions_of_one_life(const struct sessions *s, uint64_t a_us, uint64_t b_us, bool live)
{
    static const uint64_t hour_us = UINT64_C(3600000000);
    return sessions_near(s, a_us, b_us) || (live && distance(a_us, b_us) <= hour_us);
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
    session->this_boot = session->live = true;
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

/* Of one that is not proven only an end that was heard is one, and of a process whose beginning is
 * known: what was found to be gone may have ended before this run, and a pid may be another's. */
static bool is_end_of(const struct sessions *s, const struct session *session,
                      const struct actor *image)
{
    return session->leader_pid == image->pid && !session->ended && !session->exit_ns &&
           session->this_boot &&
           (!session->unproven ||
            (image->end_cause == END_EXIT && is_leader(s, session, image) &&
             (image->began_ns ||
              (session->process_id && session->process_id == image->process_id))));
}

void sessions_image_ended(struct sessions *s, const struct actor *image)
{
    struct session *session;
    if (image->end_cause == END_EXEC || !sessions_may_have_pid(s, image->pid))
        return;
    attempts_image_ended(s, image);
    TAILQ_FOREACH(session, &s->open, in_list)
    if (is_end_of(s, session, image)) {
        session->exit_ns = sessions_now(s) + s->options.merge_ns;
        session->exit_us = timeline_real_us(s->output->timeline, image->until_ns);
        if (session->unproven && !session->inserted)
            session_take_leader(session, image, true);
    }
}

void session_find_leader(struct sessions *s, struct session *session)
{
    struct actor actor;
    if (session->process_id == 0 && !session->past &&
        sessions_actor(s, session->leader_pid, session->created_us, session->heard_ns, &actor))
        session_take_leader(session, &actor, true);
}

void sessions_fact(struct sessions *s, const struct fact *fact)
{
    if (s->started_ns == 0) {
        s->started_ns = sessions_now(s);
        s->started_us = timeline_real_us(s->output->timeline, s->started_ns);
        s->boot_us = timeline_real_us(s->output->timeline, 0);
    }
    if (fact->kind == FACT_AUDIT_USER)
        sessions_audit_user(s, fact);
    else if (fact->kind == FACT_AUDIT_LOGIN)
        sessions_audit_login(s, &fact->audit_login);
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
        session_lives(s, session, &actor))
        return;
    sessions_report(s, "session_without_leader", &session->tty, session->leader_pid,
                    "process %u, which a login names, was never there", session->leader_pid);
}

/* It is open only while its leader lives, and then it is of this boot, whatever the clock was. What
 * utmp alone shows of somebody who is gone is what nobody has cleared away: it was over before. */
static void prove_session(struct sessions *s, struct session *session)
{
    struct actor actor;
    bool lives = session_lives(s, session, &actor);
    session->unproven = false;
    if (session->exit_ns) /* it lived, and its leader's end was heard since */
        return;
    session->this_boot |= lives;
    if (lives || (!session->leader_pid && session->this_boot)) {
        session->deadline_ns = 0;
        if (lives && !session->inserted)
            session_take_leader(session, &actor, true);
    } else if (!session->inserted && session->in_utmp_only) {
        session_free(s, session);
    } else if (!session->this_boot) {
        session_end(s, session, s->boot_us, END_REBOOT);
    } else {
        session_end(s, session, timeline_real_us(s->output->timeline, sessions_now(s)),
                    END_RECONCILED);
    }
}

/* utmp is looked at when wtmp was read to its end, if there is one. */
static bool is_read(const struct sessions *s)
{
    return !s->options.utmp_active ||
           (s->caught_up_ns &&
            (s->looked_at_utmp || sessions_now(s) >= s->caught_up_ns + s->options.merge_ns));
}

/* What an earlier run, or the past, left open. */
static void prove(struct sessions *s)
{
    struct session *session, *next;
    if (!s->proven && (!is_read(s) || !s->options.processes_known ||
                       !s->options.processes_known(s->options.user)))
        return;
    s->proven = true;
    for (session = TAILQ_FIRST(&s->open); session; session = next) {
        next = TAILQ_NEXT(session, in_list);
        if (session->unproven && !session->ended)
            prove_session(s, session);
    }
}

/* The connector is heard first: of a short login the end of its leader, before its beginning. */
static void find_end(struct sessions *s, struct session *session)
{
    struct actor actor;
    if (session->ended || session->exit_ns || !session->live || !session->this_boot ||
        !session->leader_pid || !s->options.actor || session_lives(s, session, &actor))
        return;
    uint64_t from_ns =
        session->heard_ns > s->options.merge_ns ? session->heard_ns - s->options.merge_ns : 0;
    if (s->options.actor(s->options.user, session->leader_pid, from_ns, sessions_now(s), &actor) &&
        actor.until_ns != UINT64_MAX && actor.end_cause != END_EXEC)
        mark_ended(session, timeline_real_us(s->output->timeline, actor.until_ns), END_EXIT);
}

static void tick_session(struct sessions *s, struct session *session, uint64_t now_ns)
{
    if (session->exit_ns && !session->ended && now_ns >= session->exit_ns)
        session_end(s, session, session->exit_us, END_EXIT);
    else if (session->ended && session->inserted)
        (void)session_write(s, session);
    else if (!session->inserted && now_ns >= session->deadline_ns) {
        session_find_leader(s, session);
        check_leader(s, session);
        find_end(s, session);
        (void)session_write(s, session);
    }
}

static void note_pids(struct sessions *s)
{
    const struct session *session;
    const struct attempt *attempt;
    memset(s->pids, 0, sizeof(s->pids));
    TAILQ_FOREACH(session, &s->open, in_list)
    sessions_note_pid(s, session->leader_pid);
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    sessions_note_pid(s, attempt->pid);
}

void sessions_tick(struct sessions *s)
{
    struct session *session, *next;
    uint64_t now = sessions_now(s);
    note_pids(s);
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
    if (s->options.utmp_active && !s->caught_up_ns)
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
        if (!session->inserted)
            find_end(s, session);
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

bool sessions_users_known(const struct sessions *s)
{
    return s->proven;
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
