/* Attempts wait in the order in which they were heard of, until what else is told of them must have
 * come; then they are written, beginning and end in one line. What happened before the agent began
 * does not wait.
 *
 * A client of sshd begins by asking which methods there are, and tries its keys, and of each sshd
 * says that a login failed. Such a probe is part of the attempt that follows in the same
 * connection; when none follows, all probes of a connection are one failed attempt. */
#include "recorder/sessions/sessions_private.h"

#include <stdlib.h>

static bool compatible(const struct login_text *a, const struct login_text *b)
{
    return a->length == 0 || b->length == 0 || login_text_same(a, b);
}

static bool compatible_address(const char *a, const char *b)
{
    return !a[0] || !b[0] || strcmp(a, b) == 0;
}

/* Longer than sshd lets anybody wait by default. */
static const uint64_t probe_ns = UINT64_C(150000000000);

static bool is_probe(const struct attempt *attempt)
{
    return attempt->words == ATTEMPT_LOGIN && !attempt->success &&
           login_text_is(&attempt->service, "sshd");
}

static struct attempt *find_probe(const struct sessions *s, uint32_t pid)
{
    struct attempt *attempt;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (pid && attempt->pid == pid && is_probe(attempt))
        return attempt;
    return NULL;
}

/* PAM says that a password is wrong, and only then makes who gave it wait; then the program and
 * btmp tell of it. */
static const uint64_t delay_ns = UINT64_C(3000000000);
/* Some write whole seconds into btmp. */
static const uint64_t second_us = 1000000;

static bool is_near(const struct sessions *s, const struct attempt *a, const struct attempt *b,
                    uint64_t more_us)
{
    uint64_t from = a->created_us < b->created_us ? a->created_us : b->created_us;
    uint64_t until = a->created_us < b->created_us ? b->created_us : a->created_us;
    uint64_t coarse_us = (a->words | b->words) & ATTEMPT_BTMP ? second_us : 0;
    return until - from <= s->options.merge_ns / 1000 + coarse_us + more_us;
}

/* These words have not spoken of @p attempt yet, and would not contradict. */
static bool may_be(const struct attempt *attempt, const struct attempt *said)
{
    return !(attempt->words & said->words) && !is_probe(attempt) &&
           attempt->success == said->success && compatible(&attempt->username, &said->username);
}

/* btmp, and the word of the process that has become the user's, name other processes. */
static bool may_be_of_another_process(const struct attempt *attempt, const struct attempt *said)
{
    unsigned words = attempt->words | said->words;
    return ((words & ATTEMPT_BTMP) || (said->success && (words & ATTEMPT_LOGIN))) &&
           compatible(&attempt->service, &said->service) &&
           compatible_address(attempt->remote_address, said->remote_address);
}

/* The attempt that waits and is the same as @p said. */
static struct attempt *find(const struct sessions *s, const struct attempt *said)
{
    struct attempt *attempt;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (attempt->pid == said->pid && may_be(attempt, said) &&
        is_near(s, attempt, said, delay_ns / 1000))
        return attempt;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (may_be(attempt, said) && may_be_of_another_process(attempt, said) &&
        is_near(s, attempt, said, 0))
        return attempt;
    return NULL;
}

/* A password that was right is of no use when the account may not be used. */
static struct attempt *find_accepted(const struct sessions *s, const struct attempt *said)
{
    struct attempt *attempt;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (attempt->pid == said->pid && attempt->words == ATTEMPT_AUTHENTICATED && attempt->success &&
        !said->success && said->words == ATTEMPT_ACCOUNT)
        return attempt;
    return NULL;
}

static int write_attempt(struct sessions *s, const struct attempt *attempt)
{
    struct line *line = &s->output->line;
    line_begin(line, VERB_INSERT, TABLE_AUTH_ATTEMPT, attempt->id);
    line_time(line, attempt->created_us);
    row_output_seen_by(s->output, attempt->seen_by);
    line_evidence(line, login_text_slice(&attempt->username));
    line_evidence(line, login_text_slice(&attempt->service));
    line_word(line, attempt->success ? "success" : "failure");
    line_word(line, attempt->remote_address[0] ? attempt->remote_address : NULL);
    line_evidence(line, login_text_slice(&attempt->tty));
    if (attempt->process_id)
        line_u64(line, attempt->process_id);
    else
        line_null(line);
    line_time(line, attempt->created_us);
    line_word(line, end_cause_name(END_CLOSED));
    return row_output_send(s->output);
}

static void drop(struct sessions *s, struct attempt *attempt)
{
    TAILQ_REMOVE(&s->attempts, attempt, in_list);
    s->n_attempts--;
    free(attempt);
}

/* A time in whole seconds is of any moment of that second. */
static bool find_actor(struct sessions *s, const struct attempt *attempt, struct actor *actor)
{
    return sessions_actor(s, attempt->pid, attempt->created_us, attempt->heard_ns, actor) ||
           (attempt->created_us % second_us == 0 &&
            sessions_actor(s, attempt->pid, attempt->created_us + second_us, attempt->heard_ns,
                           actor));
}

static void find_process(struct sessions *s, struct attempt *attempt)
{
    struct actor actor;
    if (attempt->process_id || attempt->deadline_ns == 0 || !find_actor(s, attempt, &actor))
        return;
    attempt->process_id = actor.process_id;
    if (attempt->service.length == 0 && actor.comm[0])
        login_service(&attempt->service, slice_of(actor.comm, strnlen(actor.comm, 16)));
}

void attempts_tick(struct sessions *s, uint64_t now_ns)
{
    struct attempt *attempt, *next;
    for (attempt = TAILQ_FIRST(&s->attempts); attempt; attempt = next) {
        next = TAILQ_NEXT(attempt, in_list);
        if (attempt->deadline_ns > now_ns)
            continue;
        find_process(s, attempt);
        sessions_recall_account(s, &attempt->account, &attempt->username);
        int error = write_attempt(s, attempt);
        if (error && now_ns != UINT64_MAX)
            return;
        if (error)
            row_output_refused(s->output, false, error);
        drop(s, attempt);
    }
}

void attempts_free(struct sessions *s)
{
    struct attempt *attempt;
    while ((attempt = TAILQ_FIRST(&s->attempts)))
        drop(s, attempt);
}

bool attempts_settled_until(const struct sessions *s, uint64_t boot_ns)
{
    const struct attempt *attempt;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (attempt->heard_ns <= boot_ns && !(is_probe(attempt) && attempt->probing))
        return false;
    return true;
}

void attempts_image_ended(struct sessions *s, const struct actor *image)
{
    struct attempt *probe = find_probe(s, image->pid);
    if (!probe || image->end_cause == END_EXEC)
        return;
    probe->deadline_ns = sessions_now(s) + s->options.merge_ns;
    probe->probing = false;
}

static void make_room(struct sessions *s)
{
    struct attempt *oldest = TAILQ_FIRST(&s->attempts);
    if (s->n_attempts < s->options.attempts_most || !oldest)
        return;
    int error = write_attempt(s, oldest);
    if (error)
        row_output_refused(s->output, false, error);
    drop(s, oldest);
}

static void add(struct sessions *s, const struct attempt *said)
{
    make_room(s);
    struct attempt *attempt = malloc(sizeof(*attempt));
    if (!attempt) {
        s->beyond++;
        return;
    }
    *attempt = *said;
    sessions_note_pid(s, attempt->pid);
    attempt->id = timeline_id(s->output->timeline);
    TAILQ_INSERT_TAIL(&s->attempts, attempt, in_list);
    s->n_attempts++;
}

/* One more has spoken of @p attempt. */
static void merge(struct attempt *attempt, const struct attempt *said)
{
    attempt->words |= said->words;
    attempt->seen_by |= said->seen_by;
    attempt->success = said->success;
    if (attempt->username.length == 0)
        attempt->username = said->username;
    if (!attempt->account.is_nameless)
        attempt->account = said->account;
    if (attempt->tty.length == 0)
        attempt->tty = said->tty;
    if (attempt->service.length == 0 || ((said->seen_by & SEEN_BY_AUDIT) && said->service.length))
        attempt->service = said->service;
    if (!attempt->remote_address[0])
        memcpy(attempt->remote_address, said->remote_address, sizeof(attempt->remote_address));
    if (said->words == ATTEMPT_BTMP) {
        if (said->created_us % second_us) /* its clock is the finer one */
            attempt->created_us = said->created_us;
        attempt->hold = said->hold;
        attempt->hold_inode = said->hold_inode;
        attempt->deadline_ns = said->deadline_ns;
    }
    if (attempt->pid == 0)
        attempt->pid = said->pid;
}

/* Without PAM, a process that the connection's has begun tells that its user is in. */
static struct attempt *find_probe_of_success(const struct sessions *s, const struct attempt *said)
{
    struct attempt *attempt, *youngest = NULL;
    if (!said->success || said->words != ATTEMPT_LOGIN || said->username.length == 0)
        return NULL;
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    if (is_probe(attempt) && attempt->probing &&
        login_text_same(&attempt->service, &said->service) &&
        login_text_same(&attempt->username, &said->username) &&
        strcmp(attempt->remote_address, said->remote_address) == 0)
        youngest = attempt;
    return youngest;
}

/* What a connection has tried before is part of this. */
static void take_probe(struct sessions *s, struct attempt *attempt)
{
    struct attempt *probe = find_probe(s, attempt->pid);
    if (!probe)
        probe = find_probe_of_success(s, attempt);
    if (!probe)
        return;
    if (attempt->username.length == 0)
        attempt->username = probe->username;
    if (attempt->created_us % second_us == 0 &&
        attempt->created_us == probe->created_us - probe->created_us % second_us)
        attempt->created_us = probe->created_us;
    if (!attempt->account.is_nameless)
        attempt->account = probe->account;
    attempt->seen_by |= probe->seen_by;
    drop(s, probe);
}

/* Another word of the same kind in the same connection. */
static bool is_taken_by_probe(struct sessions *s, const struct attempt *said)
{
    struct attempt *probe = is_probe(said) ? find_probe(s, said->pid) : NULL;
    if (probe && probe->username.length == 0)
        probe->username = said->username;
    return probe != NULL;
}

static void begin_probe(struct sessions *s, struct attempt *attempt)
{
    struct actor actor;
    attempt->probing = sessions_living(s, attempt->pid, &actor);
    if (attempt->probing)
        attempt->deadline_ns = attempt->heard_ns + probe_ns;
}

/* -- audit -- */

/* Who takes what its program may do for an attempt: cron and systemd ask for no proof. */
static bool proves_nothing(const struct attempt *said)
{
    return said->success && said->words != ATTEMPT_AUTHENTICATED &&
           (login_text_is(&said->service, "cron") || login_text_is(&said->service, "atd") ||
            login_text_is(&said->service, "systemd-user"));
}

void attempts_audit(struct sessions *s, const struct fact *fact)
{
    const struct fact_audit_user *said = &fact->audit_user;
    struct timeline *timeline = s->output->timeline;
    struct attempt attempt = {.heard_ns = fact->boot_ns,
                              .deadline_ns = fact->boot_ns + s->options.merge_ns,
                              .hold = UINT64_MAX,
                              .pid = said->pid,
                              .words = 1U << said->event,
                              .seen_by = SEEN_BY_AUDIT,
                              .success = said->success};
    attempt.created_us = timeline_real_us(
        timeline, timeline_stamp(timeline, said->real_ms * 1000000, fact->boot_ns).boot_ns);
    sessions_take_account(s, said, &attempt.account, &attempt.username);
    login_service(&attempt.service, said->exe);
    login_text_set(&attempt.tty, login_terminal(said->terminal));
    login_address(attempt.remote_address, said->address);
    if (!attempt.remote_address[0])
        login_address(attempt.remote_address, said->host_name);
    struct attempt *same = find(s, &attempt);
    if (!same)
        same = find_accepted(s, &attempt);
    if (same) {
        merge(same, &attempt);
    } else if (!proves_nothing(&attempt) && !is_taken_by_probe(s, &attempt)) {
        if (is_probe(&attempt))
            begin_probe(s, &attempt);
        else
            take_probe(s, &attempt);
        if (attempt.words == ATTEMPT_AUTHENTICATED && !attempt.success)
            attempt.deadline_ns += delay_ns;
        find_process(s, &attempt);
        add(s, &attempt);
    }
}

/* -- btmp -- */

void attempts_btmp(struct sessions *s, const struct fact *fact)
{
    const struct fact_login_record *record = &fact->login_record;
    uint64_t heard_us = timeline_real_us(s->output->timeline, fact->boot_ns);
    bool plausible =
        record->real_us >= 0 && (uint64_t)record->real_us <= heard_us + UINT64_C(86400000000);
    struct attempt attempt = {.created_us = plausible ? (uint64_t)record->real_us : heard_us,
                              .heard_ns = fact->boot_ns,
                              .deadline_ns = fact->boot_ns + s->options.merge_ns,
                              .hold = record->begin,
                              .hold_inode = record->inode,
                              .pid = record->pid,
                              .words = ATTEMPT_BTMP,
                              .seen_by = SEEN_BY_UTMP};
    bool old = record->old && attempt.created_us < s->started_us;
    if (old && sessions_known(s, attempt.created_us, record->user))
        return;
    login_text_set(&attempt.username, record->user);
    login_text_set(&attempt.tty, login_terminal(record->line));
    if (record->line.length >= 4 && !memcmp(record->line.data, "ssh:", 4))
        login_text_set(&attempt.service, slice_text("sshd"));
    if (record->address.family)
        inet_address_text(&record->address, attempt.remote_address);
    else
        login_address(attempt.remote_address, record->host);
    struct attempt *same = old ? NULL : find(s, &attempt);
    if (same) {
        merge(same, &attempt);
        return;
    }
    if (old)
        attempt.deadline_ns = 0;
    else
        take_probe(s, &attempt);
    find_process(s, &attempt);
    add(s, &attempt);
    if (old)
        attempts_tick(s, 0);
}
