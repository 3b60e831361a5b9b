/* A login: the task sets its login user and session, and what it forks from then on inherits both.
 *
 * The record comes behind the connector's messages, so descendants have already been heard of, with
 * the values of before; some may even have ended. All processes in memory stand in the order of
 * their births, parents before children, so one walk finds who has inherited from whom. Rows that
 * audit describes itself have the value from there. */
#include "recorder/processes/processes_private.h"

#include <stdio.h>

static const uint64_t stamp_slack_ns = 2000000;

static void apply(struct processes *p, struct process *process,
                  const struct fact_audit_login *login, uint64_t since_ns)
{
    process->login_turn = p->login_turn;
    process->login_uid = login->login_uid;
    process->session = login->session;
    for (struct process_row *row = process->row; row; row = row->older) {
        if (row->created_ns >= since_ns && !row->settled && !row->audit_joined) {
            row->login_uid = login->login_uid;
            row->session = login->session;
        }
    }
}

/* Whether the parent has just been given the value. It may have ended, and its pid be another's. */
static bool parent_has_it(struct processes *p, const struct process *child)
{
    const struct process *parent = processes_find(p, child->ppid);
    if (!parent || parent->birth_id != child->parent_birth_id)
        parent = processes_find_ended(p, child->ppid);
    while (parent && parent->birth_id != child->parent_birth_id)
        parent = parent->older_life;
    return parent && parent->login_turn == p->login_turn;
}

static void apply_to_descendants(struct processes *p, const struct fact_audit_login *login,
                                 uint64_t since_ns)
{
    struct process *process;
    TAILQ_FOREACH(process, &p->births, in_births)
    if (process->fork_ns >= since_ns && process->parent_birth_id &&
        process->login_uid == login->old_login_uid && parent_has_it(p, process))
        apply(p, process, login, since_ns);
}

static void id_text(char *text, size_t size, uint32_t id)
{
    if (id == ID_UNSET)
        snprintf(text, size, "unset");
    else
        snprintf(text, size, "%u", id);
}

/* The record of a login comes before that of an exec which followed it, although the connector has
 * already spoken of the new image: the login belongs to the one before. */
static uint64_t image_at_login(const struct process *process, uint64_t ns)
{
    uint64_t id = process->current_id;
    for (const struct process_row *row = process->row;
         row && row->audit_expected && !row->audit_joined && !row->audit_guessed &&
         row->previous_id && row->exec_ns + stamp_slack_ns >= ns;
         row = row->older)
        id = row->previous_id;
    return id;
}

void login_fact(struct processes *p, const struct fact *fact)
{
    const struct fact_audit_login *login = &fact->audit_login;
    uint64_t ns =
        timeline_stamp(p->output->timeline, login->real_ms * 1000000, fact->boot_ns).boot_ns;
    if (ns > p->audit_horizon_ns)
        p->audit_horizon_ns = ns;
    struct process *process = processes_find_at(p, login->pid, ns);
    if (!process)
        return;
    char before[16], after[16];
    id_text(before, sizeof(before), login->old_login_uid);
    id_text(after, sizeof(after), login->login_uid);
    rows_change(p, image_at_login(process, ns), SEEN_BY_AUDIT, ns, "login_uid", slice_text(before),
                slice_text(after));
    p->login_turn++;
    apply(p, process, login, ns);
    apply_to_descendants(p, login, ns);
}
