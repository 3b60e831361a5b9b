/* A row of `session` is written once, when its time to be merged is over, and once more when it
 * ends; in one line when it has ended by then. What the sink refuses is tried again at each tick.
 */
#include "recorder/sessions/sessions_private.h"

#include "core/evidence_text.h"
#include "core/hash.h"

#include <stdlib.h>

/* Positions in a line. */
enum {
    SESSION_CREATED_AT,
    SESSION_SEEN_BY,
    SESSION_BOOT_ID,
    SESSION_SESSION_ID,
    SESSION_LOGIN_UID,
    SESSION_USERNAME,
    SESSION_TTY,
    SESSION_SERVICE,
    SESSION_LEADER_PID,
    SESSION_PROCESS_ID,
    SESSION_REMOTE_ADDRESS,
    SESSION_REMOTE_NAME,
    SESSION_DESTROYED_AT,
    SESSION_END_CAUSE,
    SESSION_COLUMN_N
};
enum { ATTEMPT_USERNAME = 2 };

static int write_insert(struct sessions *s, const struct session *session, bool with_end)
{
    struct line *line = &s->output->line;
    line_begin(line, VERB_INSERT, TABLE_SESSION, session->id);
    line_time(line, session->created_us);
    row_output_seen_by(s->output, session->seen_by);
    line_word(line, session->this_boot ? s->output->boot_id : NULL);
    line_id32(line, session->session_id);
    line_id32(line, session->login_uid);
    line_evidence(line, login_text_slice(&session->username));
    line_evidence(line, login_text_slice(&session->tty));
    line_evidence(line, login_text_slice(&session->service));
    if (session->leader_pid)
        line_u64(line, session->leader_pid);
    else
        line_null(line);
    if (session->process_id)
        line_u64(line, session->process_id);
    else
        line_null(line);
    line_word(line, session->remote_address[0] ? session->remote_address : NULL);
    line_evidence(line, login_text_slice(&session->remote_name));
    row_output_end(s->output, with_end, session->ended_us, session->end_cause);
    return row_output_send(s->output);
}

static int write_end(struct sessions *s, const struct session *session)
{
    line_begin(&s->output->line, VERB_END, TABLE_SESSION, session->id);
    row_output_end(s->output, true, session->ended_us, session->end_cause);
    return row_output_send(s->output);
}

void session_free(struct sessions *s, struct session *session)
{
    TAILQ_REMOVE(&s->open, session, in_list);
    s->n_open--;
    free(session);
}

static void keep_recent(struct sessions *s, const struct session *session)
{
    s->recent[s->next_recent] = (struct recent_session){.created_us = session->created_us,
                                                        .pid = session->leader_pid,
                                                        .other_pid = session->other_pid,
                                                        .session_id = session->session_id,
                                                        .tty = session->tty,
                                                        .service = session->service};
    s->next_recent = (s->next_recent + 1) % RECENT_SESSIONS;
}

int session_write(struct sessions *s, struct session *session)
{
    if (!session->inserted)
        sessions_recall_account(s, &session->account, &session->username);
    int error = session->inserted ? 0 : write_insert(s, session, session->ended);
    bool whole = !session->inserted && session->ended;
    if (error)
        return error;
    if (session->inserted && session->ended)
        error = write_end(s, session);
    session->inserted = true;
    if (error)
        return error;
    session->hold = UINT64_MAX;
    if (whole || session->ended) {
        keep_recent(s, session);
        session_free(s, session);
    }
    return 0;
}

/* -- restart -- */

uint64_t sessions_known_key(uint64_t created_us, struct slice text)
{
    return hash_slice(HASH_START ^ created_us, text);
}

bool sessions_known(const struct sessions *s, uint64_t created_us, struct slice raw)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    bool found = false;
    if (s->n_known == 0)
        return false;
    evidence_text_append(&text, raw);
    uint64_t key = sessions_known_key(created_us, buffer_slice(&text));
    for (size_t i = 0; i < s->n_known && !found; i++)
        found = s->known[i] == key;
    return found;
}

static void know(struct sessions *s, const struct slice *values, size_t text)
{
    if (s->n_known == KNOWN_MOST) {
        memmove(s->known, s->known + KNOWN_MOST / 2, sizeof(s->known) / 2);
        s->n_known = KNOWN_MOST / 2;
    }
    s->known[s->n_known++] =
        sessions_known_key(line_parse_time(values[SESSION_CREATED_AT]), values[text]);
}

static uint32_t id32(struct slice value)
{
    uint64_t number = 0;
    if (slice_is_null(value) || value.length > 10)
        return ID_UNSET;
    for (size_t i = 0; i < value.length; i++)
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    return (uint32_t)number;
}

static uint64_t id64(struct slice value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.length; i++)
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    return number;
}

static void restore_text(struct sessions *s, struct login_text *text, struct slice value)
{
    buffer_clear(&s->text);
    if (!slice_is_null(value))
        evidence_text_restore(&s->text, value);
    login_text_set(text, buffer_slice(&s->text));
}

static struct session *find_id(const struct sessions *s, uint64_t id)
{
    struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session->id == id)
        return session;
    return NULL;
}

static unsigned parse_seen_by(struct slice value)
{
    bool audit = value.length >= 5 && !memcmp(value.data, "audit", 5);
    bool utmp = value.length >= 4 && !memcmp(value.data + value.length - 4, "utmp", 4);
    return (audit ? SEEN_BY_AUDIT : 0U) | (utmp ? SEEN_BY_UTMP : 0U);
}

static void remember(struct sessions *s, uint64_t id, const struct slice *values)
{
    struct session *session = session_begin(s, line_parse_time(values[SESSION_CREATED_AT]), 0);
    if (!session)
        return;
    session->id = id;
    session->inserted = true;
    session->unproven = true;
    session->live = false;
    session->this_boot = slice_is(values[SESSION_BOOT_ID], s->output->boot_id);
    session->seen_by = parse_seen_by(values[SESSION_SEEN_BY]);
    session->session_id = id32(values[SESSION_SESSION_ID]);
    session->login_uid = id32(values[SESSION_LOGIN_UID]);
    restore_text(s, &session->username, values[SESSION_USERNAME]);
    restore_text(s, &session->tty, values[SESSION_TTY]);
    restore_text(s, &session->service, values[SESSION_SERVICE]);
    restore_text(s, &session->remote_name, values[SESSION_REMOTE_NAME]);
    login_address(session->remote_address, values[SESSION_REMOTE_ADDRESS]);
    if (!slice_is_null(values[SESSION_LEADER_PID]))
        session->leader_pid = id32(values[SESSION_LEADER_PID]);
    session->process_id = id64(values[SESSION_PROCESS_ID]);
}

void sessions_restore(struct sessions *s, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values)
{
    if (table == TABLE_AUTH_ATTEMPT) {
        if (verb == VERB_INSERT && n_values > ATTEMPT_USERNAME)
            know(s, values, ATTEMPT_USERNAME);
        return;
    }
    struct session *session = find_id(s, id);
    if (verb == VERB_END && session)
        session_free(s, session);
    if (verb != VERB_INSERT || n_values != SESSION_COLUMN_N)
        return;
    know(s, values, SESSION_TTY);
    if (!session && slice_is_null(values[SESSION_DESTROYED_AT]))
        remember(s, id, values);
}

void sessions_restored(struct sessions *s, bool same_boot, uint64_t last_real_us)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&s->open); session && !same_boot; session = next) {
        next = TAILQ_NEXT(session, in_list);
        session_end(s, session, last_real_us, END_REBOOT);
    }
}

void sessions_checkpoint(struct sessions *s)
{
    const struct session *session;
    TAILQ_FOREACH(session, &s->open, in_list)
    if (session->inserted && write_insert(s, session, false) != 0)
        return; /* the one before stays */
}

/* -- cursors -- */

void sessions_set_cursors(struct sessions *s, struct login_cursor wtmp, struct login_cursor btmp)
{
    s->wtmp = wtmp;
    s->btmp = btmp;
}

struct held {
    uint64_t inode, offset; /* UINT64_MAX: nothing */
};

/* What waits in a file that was renamed since comes first: that file is read to its end again. */
static void hold_back(struct login_cursor *cursor, uint64_t current_inode, struct held held)
{
    if (held.offset == UINT64_MAX)
        return;
    if (held.inode != current_inode && cursor->inode == current_inode) {
        *cursor = (struct login_cursor){.inode = held.inode, .offset = held.offset};
    } else if (held.inode == cursor->inode && held.offset < cursor->offset) {
        cursor->offset = held.offset;
        cursor->last = 0;
    }
}

void sessions_cursors(const struct sessions *s, struct login_cursor *wtmp,
                      struct login_cursor *btmp)
{
    const struct session *session;
    const struct attempt *attempt;
    *wtmp = s->wtmp;
    *btmp = s->btmp;
    TAILQ_FOREACH(session, &s->open, in_list)
    hold_back(wtmp, s->wtmp.inode, (struct held){session->hold_inode, session->hold});
    TAILQ_FOREACH(attempt, &s->attempts, in_list)
    hold_back(btmp, s->btmp.inode, (struct held){attempt->hold_inode, attempt->hold});
}
